"""Links lead somewhere; pages drawn from results find their columns; outside names that are linked to exist."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
INVENTORIES = sorted((ROOT / "docs" / "inventories").glob("*.txt"))


def module_in(folder: str, name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A script or extension by its file, not left behind in what is imported."""
    monkeypatch.syspath_prepend(str(ROOT / folder))
    monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module(name)


@pytest.fixture
def links(monkeypatch):
    return module_in("tools", "check_links", monkeypatch)


@pytest.fixture
def run_all(monkeypatch):
    return module_in("benchmarks", "run_all", monkeypatch)


def test_links_of_the_repository_lead_somewhere(links):
    assert links.broken_in_texts() == []


def test_broken_links_of_texts_are_told(links, tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "theory.md").write_text("# Theory\n\n## Eq. 5\n\n(below)=\n", encoding="utf-8")
    text = """[there](docs/theory.md) [label](docs/theory.md#below) [heading](docs/theory.md#eq-5) [web](https://a.b/c#d)
[gone](docs/gone.md) [no anchor](docs/theory.md#eq-6) ![no picture](docs/none.png) `[code](nowhere.md)`

    [code too](nowhere.md)
"""
    (tmp_path / "README.md").write_text(text, encoding="utf-8")
    assert links.broken_in_texts(tmp_path) == [
        "README.md: docs/gone.md: no such file",
        "README.md: docs/theory.md#eq-6: no such heading",
        "README.md: docs/none.png: no such file",
    ]


def test_broken_links_of_pages_are_told(links, tmp_path):
    (tmp_path / "api").mkdir()
    (tmp_path / "api" / "a.html").write_text('<p id="here"></p><a href="../index.html#top">up</a>', encoding="utf-8")
    page = '<b id="top"></b><a href="api/a.html#here"></a><a href="#top"></a><a href="api/b.html"></a>'
    (tmp_path / "index.html").write_text(f'{page}<img src="p.png"><a href="api/a.html#there"></a>', encoding="utf-8")
    assert links.broken_in_pages(tmp_path) == [
        "index.html: api/b.html: no such file",
        "index.html: p.png: no such file",
        "index.html: api/a.html#there: no such anchor",
    ]


@pytest.mark.parametrize("inventory", INVENTORIES, ids=lambda path: path.stem)
def test_outside_names_exist(inventory):
    """As the packages here have them; that their pages do, only `make links` can say."""
    first, project, version, *lines = inventory.read_text(encoding="utf-8").splitlines()
    assert (first, project[:11], version[:11]) == ("# Sphinx inventory version 1", "# Project: ", "# Version: ")
    for line in lines:
        name, kind, page = line.split()
        module, _, last = name.rpartition(".")
        assert hasattr(importlib.import_module(module or "builtins"), last) or last in ("None", "True", "False"), name
        assert kind in {"class", "data", "exception", "function"}
        assert page.endswith(".html")


def test_the_page_of_benchmarks_finds_its_columns(monkeypatch):
    pytest.importorskip("sphinx", reason="the page is drawn by an extension of Sphinx (extra docs)")
    drawn = module_in("docs/_ext", "from_results", monkeypatch)
    source = [(ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")]
    asked = source[0].count("{{ benchmark(")
    drawn.render(None, "benchmarks", source)
    assert "{{" not in source[0]
    assert len(re.findall(r"^\|(?:---\|)+$", source[0], re.MULTILINE)) == asked
    assert (
        len(re.findall(r"^\*`(?:\w+=\S+ )*python benchmarks/.*`, 20\d\d-\d\d-\d\d: .*\*$", source[0], re.MULTILINE))
        == asked
    )
    with pytest.raises(Exception, match=r"no column \['speed'\]"):
        drawn.benchmark("sampler", columns=["grid", "speed"])


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.1, "1.10"), (281.04, "281"), (1193.29, "1,193"), (2289, "2,289"), (7e-14, "7.0e-14"), (0.0, "0"),
     (float("nan"), "-"), (None, ""), (True, "True"), ("a|b", "a\\|b"), (123456.0, "1.2e5")],
)  # fmt: skip
def test_numbers_in_tables(monkeypatch, value, text):
    pytest.importorskip("sphinx", reason="the page is drawn by an extension of Sphinx (extra docs)")
    assert module_in("docs/_ext", "from_results", monkeypatch).text_of(value) == text


def test_the_scripts_of_the_benchmarks_load():
    """What they take from inside the package is still there; in a process of its own, as they are started."""
    scripts = sorted(path.stem for path in (ROOT / "benchmarks").glob("bench_*.py"))
    load = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]"
    paths = os.pathsep.join([str(ROOT / "benchmarks"), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", load, *scripts], env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_ratios_of_benchmarks_are_in_their_results(run_all):
    for name, one in run_all.BENCHMARKS.items():
        assert (run_all.HOME / one.script).is_file()
        for what in one.compared:
            file = run_all.COMMITTED / f"{what.result}.json"
            if not file.is_file():
                continue
            rows = json.loads(file.read_text(encoding="utf-8"))[what.part]
            for column in (*what.keys, *what.low, *what.high):
                assert any(column in row for row in rows), f"{name}: {column}"
            keys = [tuple(row.get(key) for key in what.keys) for row in rows if row.get((what.low + what.high)[0])]
            assert len(set(keys)) == len(keys), f"{name}: {what.keys} do not tell its rows apart"


def test_worse_ratios_are_told(run_all, tmp_path, monkeypatch):
    old, new = tmp_path / "old", tmp_path / "new"
    for folder, (low, high) in ((old, (1.0, 100.0)), (new, (1.5, 90.0))):
        folder.mkdir()
        rows = [{"grid": "8", "cost": low, "gain": high}, {"grid": "28", "cost": low if folder == old else None}]
        (folder / "x.json").write_text(json.dumps({"rows": rows}), encoding="utf-8")
    monkeypatch.setattr(run_all, "COMMITTED", old)
    rows = run_all.compared(run_all.Compared("x", ("grid",), ("cost",), ("gain",)), new, 1.3)
    assert [(row["ratio"], row["told"]) for row in rows] == [("cost", True), ("gain", False)]
    assert rows[1]["worse by"] == pytest.approx(100.0 / 90.0, rel=1e-12, abs=0)
    assert run_all.compared(run_all.Compared("gone", ("grid",), ("cost",)), new, 1.3) == []
