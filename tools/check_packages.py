"""Build wheel and sdist, install them into clean environments, and try what a stranger would.

    python tools/check_packages.py [--only core lowest ...] [--tests]

For each environment: the wheel is installed with its extras, dependencies as new or as old as pyproject.toml allows,
and nothing of the checkout beside it; `legstat --help` and a user's typed script run there, mypy --strict checks that
script from outside, and where the extra onnx is in it `legstat demo` runs. With --tests the project's tests run against
the installed package, from a copy that has no legstat beside it. The extra torch is not among them: on Linux it pulls
gigabytes of CUDA; nothing else may.

Needs uv (`pip install uv`); versions that pip would take from elsewhere, uv takes from UV_FIND_LINKS and its like.
"""

from __future__ import annotations

import argparse
import email
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = ("onnx", "http", "fast", "compare")
ENVIRONMENTS: dict[str, tuple[tuple[str, ...], str]] = {
    "core": ((), "highest"),
    **{extra: ((extra,), "highest") for extra in EXTRAS},
    "lowest": (EXTRAS, "lowest-direct"),
    "newest": (EXTRAS, "highest"),
}
"""Extras, and which versions uv takes of what pyproject.toml names."""
TOOLS = ("pytest", "pytest-randomly", "pytest-xdist", "hypothesis", "scikit-learn", "psutil", "scikit-image")
MOST_MIB = 2.0
"""A wheel above this has something in it that nobody meant to ship."""
SCRIPT = """
import numpy as np
import legstat as ls

found: ls.Explanation = ls.explain(
    lambda images: images.mean(axis=(1, 2, 3)), np.linspace(0.2, 0.8, 64).reshape(1, 8, 8), n_queries=402, rng=0,
    progress=False,
)
low: float = float(found.leg.conf_int(level=0.95)[:, 0].min())
certified: bool = found.tv.certificate.passed
print(found.summary().as_text().splitlines()[0].strip(), certified, low < 0.1)
"""


SAID = "Explanation by LEG and LEG-TV True True\n"
"""What it prints, and nothing else."""


def main() -> int:
    """Build, look inside, and go through the environments; 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=list(ENVIRONMENTS), choices=list(ENVIRONMENTS))
    parser.add_argument("--tests", action="store_true", help="run the tests against the installed package too")
    asked = parser.parse_args()
    if shutil.which("uv") is None:
        print("uv is missing: pip install uv")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        run(["uv", "build", "--quiet", "--out-dir", home / "dist", ROOT])
        wheel, sdist = next(home.glob("dist/*.whl")), next(home.glob("dist/*.tar.gz"))
        faults = inspected(wheel, sdist)
        for name in asked.only:
            try:
                tried(home / name, wheel, *ENVIRONMENTS[name], tests=asked.tests)
            except subprocess.CalledProcessError as error:
                faults.append(f"{name}: {' '.join(map(str, error.cmd[:6]))} ... ended with {error.returncode}")
                print(error.stdout or "", error.stderr or "", sep="\n")
            print(f"{name}: {'FAILED' if faults and faults[-1].startswith(name) else 'passed'}", flush=True)
    print("\n".join(faults) or "all passed")
    return 1 if faults else 0


def inspected(wheel: Path, sdist: Path) -> list[str]:
    """What is wrong with the files themselves."""
    names = zipfile.ZipFile(wheel).namelist()
    size = wheel.stat().st_size / 2**20
    print(f"{wheel.name}: {size:.2f} MiB, {len(names)} files; {sdist.name}: {sdist.stat().st_size / 2**20:.2f} MiB")
    faults = [f"wheel: {size:.1f} MiB"] if size > MOST_MIB else []
    wanted = ("legstat/py.typed", "legstat/data/digits_cnn.onnx", "LICENSE")
    faults += [f"wheel lacks {one}" for one in wanted if not any(name.endswith(one) for name in names)]
    faults += [f"wheel has {name}" for name in names if name.split("/")[0] not in ("legstat", *_info(names))]
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "legstat").rglob("*.py")}
    faults += [f"wheel lacks {name}" for name in sorted(sources - set(names))]
    with tarfile.open(sdist) as packed:
        inside = {name.split("/", 1)[-1] for name in packed.getnames()}
    faults += [f"sdist lacks {one}" for one in ("tests/conftest.py", "README.md", "LICENSE") if one not in inside]
    metadata = next(name for name in names if name.endswith("METADATA"))
    about = email.message_from_bytes(zipfile.ZipFile(wheel).read(metadata))
    core = [one for one in about.get_all("Requires-Dist", []) if "extra ==" not in one]
    return faults + [f"the core requires {one}" for one in core if one.startswith(("torch", "nvidia", "onnx"))]


def _info(names: list[str]) -> set[str]:
    return {name.split("/")[0] for name in names if ".dist-info/" in name}


def tried(home: Path, wheel: Path, extras: tuple[str, ...], resolution: str, *, tests: bool) -> None:
    """Install, and run what a user would; CalledProcessError where that fails."""
    run(["uv", "venv", "--quiet", home])
    python = home / "bin" / "python"
    named = f"legstat[{','.join(extras)}] @ {wheel.as_uri()}" if extras else f"legstat @ {wheel.as_uri()}"
    # first as a user installs it: no tool of ours may decide a version
    run(["uv", "pip", "install", "--quiet", "--python", python, "--resolution", resolution, named])
    kept = run(["uv", "pip", "freeze", "--python", python])
    heavy = [line for line in kept.splitlines() if line.startswith(("torch", "nvidia", "triton"))]
    if heavy:
        raise subprocess.CalledProcessError(1, ["resolution"], output=f"pulls {heavy}")
    script = home / "user.py"
    script.write_text(SCRIPT, encoding="utf-8")
    said = run([python, script], cwd=home)
    if said != SAID:  # a banner of a library, say: it would be in what --json prints too
        raise subprocess.CalledProcessError(1, ["user.py"], output=said)
    run([home / "bin" / "legstat", "--help"], cwd=home)
    if "onnx" in extras:
        run([home / "bin" / "legstat", "demo", "--out", home / "demo"], cwd=home)
    run(["uv", "pip", "install", "--quiet", "--python", python, "mypy>=1.15"])
    run([python, "-m", "mypy", "--strict", "--cache-dir", home / "mypy", script], cwd=home)
    if tests:
        frozen = home / "frozen.txt"
        frozen.write_text(kept, encoding="utf-8")
        run(["uv", "pip", "install", "--quiet", "--python", python, "--constraint", frozen, *TOOLS])
        for name in ("tests", "pyproject.toml", "docs", "README.md", "CONTRIBUTING.md"):
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, home / name)
        print(run([python, "-m", "pytest", "-q", "-n", "2", "tests/unit", "tests/properties"], cwd=home)[-200:])


def run(command: list[str | Path], cwd: Path | None = None) -> str:
    """What a command prints; it sees no checkout."""
    surroundings = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "MYPYPATH", "VIRTUAL_ENV")}
    found = subprocess.run(
        list(map(str, command)), cwd=cwd, env=surroundings, check=True, capture_output=True, text=True
    )
    return found.stdout


if __name__ == "__main__":
    sys.exit(main())
