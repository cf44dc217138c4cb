"""Wheel and sdist: what is in them, and that they work by themselves."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("hatchling", reason="the extra test brings it, with packaging and trove-classifiers")
from packaging.metadata import Metadata
from trove_classifiers import classifiers

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(not (ROOT / "legstat").is_dir(), reason="tests of an installed package, no sources")


def _build(home: Path, out: Path, *targets: str) -> Path:
    wanted = [word for target in targets for word in ("-t", target)]
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", out, *wanted], cwd=home, check=True,
                   capture_output=True)  # fmt: skip
    return out


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Wheel and sdist."""
    out = _build(ROOT, tmp_path_factory.mktemp("dist"), "wheel", "sdist")
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return wheel, sdist


def test_what_is_inside(built: tuple[Path, Path]) -> None:
    found = importlib.util.spec_from_file_location("check_packages", ROOT / "tools" / "check_packages.py")
    assert found is not None
    assert found.loader is not None
    tool: Any = importlib.util.module_from_spec(found)
    found.loader.exec_module(tool)
    assert tool.inspected(*built) == []
    extras = set(_metadata(built[0]).provides_extra or ())
    assert extras == {*tool.EXTRAS, *tool.UNTRIED}, "tools/check_packages.py tries each extra, or says why not"


def _metadata(wheel: Path) -> Metadata:
    """What the wheel says of itself, held to the rules as an index does."""
    with zipfile.ZipFile(wheel) as packed:
        name = next(name for name in packed.namelist() if name.endswith(".dist-info/METADATA"))
        return Metadata.from_email(packed.read(name), validate=True)


def test_metadata_is_what_an_index_takes(built: tuple[Path, Path]) -> None:
    about = _metadata(built[0])
    assert set(about.classifiers or ()) <= classifiers
    assert about.description_content_type == "text/markdown"
    description, readme = about.description or "", (ROOT / "README.md").read_text(encoding="utf-8")
    left = iter(readme.splitlines())
    assert all(line in left for line in description.splitlines())  # in the README's order, none added
    assert len(description) > len(readme) - 300  # the picture and its caption
    links = re.findall(r"\]\(([^)]*)\)", description)
    assert not [link for link in links if not link.startswith("https://")]  # an index has no files
    assert {name.split("/")[-1] for name in about.license_files or ()} == {"LICENSE"}


def test_the_sdist_builds_the_same_wheel(built: tuple[Path, Path], tmp_path: Path) -> None:
    wheel, sdist = built
    with tarfile.open(sdist) as packed:
        options: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # from Python 3.11.4 on
        packed.extractall(tmp_path, **options)
    (source,) = tmp_path.iterdir()
    _build(source, tmp_path / "again", "wheel")
    assert (tmp_path / "again" / wheel.name).read_bytes() == wheel.read_bytes()


def test_the_command_runs_from_the_wheel(built: tuple[Path, Path], tmp_path: Path) -> None:
    with zipfile.ZipFile(built[0]) as packed:
        packed.extractall(tmp_path)
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); sys.argv = ['legstat', *sys.argv[1:]]\n"
        "import legstat, legstat.cli; print(legstat.__file__); legstat.cli.main()"
    )

    def said(*arguments: str) -> str:
        command = [sys.executable, "-I", "-c", code, *arguments]
        return subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    shown = said("--help")
    assert shown.startswith(str(tmp_path))  # not the checkout
    assert all(name in shown for name in ("explain", "audit", "verify"))
    said("demo", "--quiet", "--out", str(tmp_path / "out"))
    assert (tmp_path / "out" / "summary.html").exists()  # templates and styles came along
