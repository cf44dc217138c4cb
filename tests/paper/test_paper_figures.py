"""Every figure at a small size: its claim holds, its numbers keep to the expected ones, its picture can be drawn."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

HOME = Path(__file__).resolve().parents[2] / "paper_figures"
SMALL: dict[str, dict[str, Any]] = {
    "fig01": {},  # as cheap as it gets at full size
    "fig02": {"n_queries": 601, "source": "digits"},
    "fig03": {"side": 12},
    "fig04": {"n_draws": 1000},
}


@pytest.fixture
def maker(monkeypatch):
    monkeypatch.syspath_prepend(str(HOME))
    yield importlib.import_module("make")
    for name in [n for n, m in sys.modules.items() if Path(getattr(m, "__file__", None) or "/").parent == HOME]:
        monkeypatch.delitem(sys.modules, name)


def test_every_script_is_in_the_manifest_and_has_expected_numbers(maker):
    entries = maker.manifest()
    assert sorted(e["script"] for e in entries.values()) == sorted(p.name for p in HOME.glob("fig*.py"))
    assert set(entries) == set(SMALL)
    for name in entries:
        assert json.loads((HOME / "expected" / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", SMALL)
def test_claim_holds_at_small_size(maker, name, tmp_path):
    if name == "fig02":
        pytest.importorskip("onnxruntime", reason="fig02 explains ONNX files")
    figure = maker.load(name)
    data = figure.compute(**SMALL[name])
    figure.check(data)
    figure.plot(data, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    maker.write(tmp_path / "data.npz", "digest", data)
    sources, again = maker.read(tmp_path / "data.npz")
    assert sources == "digest"
    assert again["numbers"] == data["numbers"]


@pytest.mark.parametrize("name", ["fig01", "fig04"])
def test_numbers_are_the_expected_ones(maker, name):
    assert maker.compare(name, maker.load(name).compute(seed=maker.manifest()[name]["seed"])) == []


def test_checks_notice_what_does_not_hold(maker):
    figure = maker.load("fig01")
    data = figure.compute()
    with pytest.raises(AssertionError, match="intervals"):
        figure.check({**data, "exact": data["exact"] * 1.5, "quadrature": data["exact"] * 1.5})
    figure = maker.load("fig03")
    data = figure.compute(side=12)
    with pytest.raises(AssertionError, match="overlap_down"):
        figure.check({**data, "numbers": {**data["numbers"], "overlap_down": 0.5}})
    figure = maker.load("fig04")
    data = figure.compute(n_draws=1000)
    white = {**data["structured"], "sampled": np.array(data["isotropic"]["sampled"])}
    with pytest.raises(AssertionError, match="variogram"):
        figure.check({**data, "structured": white})


@pytest.mark.slow
def test_claim_holds_on_real_pictures(maker, data_dir, monkeypatch):
    pytest.importorskip("onnxruntime", reason="fig02 explains ONNX files")
    monkeypatch.setenv("LEGSTAT_DATA", str(data_dir))
    figure = maker.load("fig02")
    data = figure.compute(n_queries=1201, source="imagenet")
    figure.check(data)
    # even at a fifth of the budget the defaults' LEG-TV has predictive value on both pictures
    assert all(row["maps"]["default legtv"]["r2"] > 0.05 for row in data["rows"])
