"""Each folder says what it is for and what it may not touch; CONTRIBUTING and the contracts know all of them."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "legstat"
FOLDERS = sorted(path.parent for path in PACKAGE.rglob("__init__.py"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_a_folder_says_in_two_sentences_what_it_is(folder: Path) -> None:
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    assert len(re.findall(r"[.:](?=\s|$)", text)) >= 2, text
    assert "\n\n" in text  # what it is, then what it may touch


def test_every_python_file_lies_in_a_folder_that_says_so() -> None:
    assert {path.parent for path in PACKAGE.rglob("*.py")} == set(FOLDERS)


def test_contributing_names_every_stage() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    stages = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert not {name for name in stages if f"`{name}/`" not in text}


def test_no_contract_excepts_an_import_of_our_own() -> None:
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    excepted = [one for contract in rules["contracts"] for one in contract.get("ignore_imports", [])]
    assert excepted
    assert not [one for one in excepted if one.split(" -> ")[1].startswith("legstat")]
