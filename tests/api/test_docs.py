"""The API pages hold every public name, and what the pages call legstat's is there."""

from __future__ import annotations

import ast
import importlib
import re
import tomllib
from pathlib import Path

import pytest

import legstat
import legstat.data
import legstat.interop
import legstat.metrics
import legstat.simulate
import legstat.studies
from legstat.comparison.compare import METHODS
from legstat.sampling.defaults import BLOCK_QUERIES

DOCS = Path(__file__).resolve().parents[2] / "docs"
PACKAGE = DOCS.parent / "legstat"
SPOKEN_OF = {"rng"}
"""Words in code that are no definitions: arguments."""
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_every_public_name_is_on_a_reference_page():
    pages = "\n".join(path.read_text(encoding="utf-8") for path in (DOCS / "api").glob("*.md"))
    wanted = {f"legstat.{name}" for name in legstat.__all__}
    spaces = (legstat.audit, legstat.checks, legstat.data, legstat.interop, legstat.metrics, legstat.studies)
    wanted |= {f"{module.__name__}.{name}" for module in spaces for name in module.__all__}
    missing = sorted(name for name in wanted if not re.search(rf":: {re.escape(name)}$", pages, re.MULTILINE))
    assert not missing, f"add these to a page of docs/api: {missing}"


def test_names_in_code_exist():
    """`ls.name`, and dotted paths from `legstat.` on, as far as they look like code."""
    for path in [*DOCS.rglob("*.md"), DOCS.parent / "README.md"]:
        text = path.read_text(encoding="utf-8")
        for name in re.findall(r"\bls\.(\w+)", text):
            assert hasattr(legstat, name), f"{path.name}: ls.{name}"
        for dotted in re.findall(r"(?:`~?|:: |from )(legstat(?:\.\w+)+)", text):
            assert _resolves(dotted), f"{path.name}: {dotted}"


def test_the_readme_states_the_defaults():
    """Its calls, one by one, are `explain` with nothing said."""
    pytest.importorskip("onnxruntime", reason="the digits' network is an ONNX file")
    text = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    assert f"{BLOCK_QUERIES:,} evaluations in pairs" in text
    lines = text.split("## From Python")[1]
    # the README's own words for law and operator, on the grid of the shipped digits
    law = eval(re.search(r"ls\.MultiscaleBlocks\(.*?\)(?=  #)", lines)[0].replace("28, 28", "8, 8"), {"ls": legstat})
    operator = eval(re.search(r"perturbation=(ls\.Blend\(.*?\))", lines)[1], {"ls": legstat})
    image, _ = legstat.data.load_digit(5)
    f = legstat.onnx_response(legstat.data.digits_model_path())
    found = legstat.explain(f, image, n_queries=300, rng=0, progress=False)
    sample = legstat.query(f, image, law, perturbation=operator, n_queries=300, rng=0, progress=False)
    assert (sample.design, sample.perturbation) == (found.sample.design, found.sample.perturbation)
    assert (sample.responses == found.sample.responses).all()
    tv = eval(re.search(r"ls\.LEGTV\(sample.*", lines)[0], {"ls": legstat, "sample": sample})
    assert (tv.params == found.tv.params).all()


def test_the_readme_compares_as_it_says():
    """Its lines run on two digits; the methods it lists are all that `compare` knows; LEG beats chance."""
    pytest.importorskip("onnxruntime", reason="the digits' network is an ONNX file")
    text = (DOCS.parent / "README.md").read_text(encoding="utf-8").split("## Is the map any good?")[1]
    lines = BLOCK.search(text)[1]
    assert "range(12)" in lines
    names = {"ls": legstat}
    exec(lines.replace("range(12)", "range(2)"), names)
    assert 0.0 <= names["curve"].area <= 1.0
    assert names["curve"].n_queries == len(names["curve"].scores)
    assert {row["spent"] for row in names["found"].rows} == {0, 300}
    better = names["found"].differences(against="random").query("metric == 'insertion_minus_deletion'")["difference"]
    assert (better > 0.0).all()
    listed = re.split(r"Any\s+callable", text.split("a name is enough:")[1])[0]
    assert set(re.findall(r'`"(\w+)"`', listed)) == set(METHODS)


def test_the_readme_lists_the_extras():
    text = (DOCS.parent / "README.md").read_text(encoding="utf-8").split("## Installation")[1].split("\n## ")[0]
    extras = tomllib.loads((DOCS.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "optional-dependencies"
    ]
    named = set(re.findall(r"`([a-z-]+)`", text)) | set(re.findall(r"\.\[([a-z-]+)\]", text))
    assert named == set(extras)


BUILT = DOCS / "how_it_is_built.md"


def test_the_walks_lead_through_code_that_is_there():
    """After a file in `folder/file.py`, each name in code up to the next file is defined in it."""
    walks = BUILT.read_text(encoding="utf-8").split("## A picture", 1)[1]
    pieces = re.split(r"`([\w/]+\.py)`", walks)
    assert len(pieces) > 40
    for file, text in zip(pieces[1::2], pieces[2::2], strict=True):
        path = PACKAGE / file
        assert path.is_file(), file
        text = text.split("\n## ")[0]  # what follows is another walk, with its own call
        names = [name for name in re.findall(r"`([A-Za-z_][\w.]*)`", text) if not name.startswith("_")]
        missing = set(names) - _defined(path) - SPOKEN_OF
        assert not missing, f"{file} does not define {sorted(missing)}"


def test_every_folder_has_its_line():
    folders = {path.parent.relative_to(PACKAGE).parts[-1] for path in PACKAGE.glob("*/**/__init__.py")}
    lines = BUILT.read_text(encoding="utf-8").split("## Folders")[1].split("\n## ")[0]
    named = set(re.findall(r"`(\w+)/`", lines))
    assert named == folders


def _defined(path: Path) -> set[str]:
    """Functions, classes, and their methods as `Class.method`."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef)}
    return found


def _resolves(dotted: str) -> bool:
    parts = dotted.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            value: object = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for name in parts[cut:]:
            if not hasattr(value, name):
                return False
            value = getattr(value, name)
        return True
    return False
