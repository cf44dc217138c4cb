"""Every public method that draws takes axes and returns them."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure

import legstat as ls
from legstat.audit import Findings, MeanMap

NAMES = Path(__file__).parents[2] / "api" / "public_names.txt"
IMAGE = np.linspace(0.2, 0.8, 64).reshape(1, 8, 8)
MANY = {"legstat.Explanation.plot": (3,), "legstat.Comparison.plot_maps": (2, 2), "legstat.audit.Findings.plot": (2,)}
"""Those that draw several panels, and how many here."""


@pytest.fixture(scope="module")
def drawing() -> dict[str, Any]:
    """Each of them, bound to an instance, with the arguments that it needs."""
    f = ls.as_response(ls.simulate.linear(np.eye(4)))
    found = ls.explain(f, IMAGE, grid=(4, 4), n_queries=402, rng=0, progress=False)
    mask = ls.baselines.mask(f, IMAGE, gradient="queries", n_queries=200, shape=(2, 2), rng=0)
    images = [IMAGE, IMAGE[:, ::-1]]
    compared = ls.compare(["leg", "random"], f, images, metrics=["deletion"], n_queries=[100], rng=0, progress=False)
    means = [MeanMap.of(group, np.random.default_rng(0).normal(1.0, 1.0, (9, 2, 2)), np.arange(9)) for group in "ab"]
    return {
        "legstat.audit.Findings.plot": Findings(rows=(), mean_maps=means).plot,
        "legstat.audit.MeanMap.plot": means[0].plot,
        "legstat.Explanation.plot": found.plot,
        "legstat.LEGResults.plot": found.leg.plot,
        "legstat.LEGTVResults.plot": found.tv.plot,
        "legstat.baselines.BaselineResult.plot": mask.plot,
        "legstat.baselines.BaselineResult.plot_trace": mask.plot_trace,
        "legstat.Comparison.plot_curves": lambda ax=None: compared.plot_curves("deletion", ax),
        "legstat.Comparison.plot_differences": lambda ax=None: compared.plot_differences("random", "deletion", ax),
        "legstat.Comparison.plot_maps": lambda axes=None: compared.plot_maps(images, axes, methods=["leg"]),
    }


def test_all_of_them_are_tried(drawing: dict[str, Any]) -> None:
    names = NAMES.read_text(encoding="utf-8").split()
    assert {name for name in names if name.rpartition(".")[2].startswith("plot")} == set(drawing)


def test_axes_have_one_name(drawing: dict[str, Any]) -> None:
    for path in drawing:
        home, kind, method = path.rsplit(".", 2)
        taken = inspect.signature(getattr(getattr(importlib.import_module(home), kind), method)).parameters
        name = "axes" if path in MANY else "ax"
        assert taken[name].default is None, path
        assert taken[name].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD, path


def test_axes_are_drawn_on_and_returned(drawing: dict[str, Any]) -> None:
    for path, draw in drawing.items():
        figure = Figure()
        given = figure.subplots(*MANY.get(path, ()), squeeze=path not in MANY)
        returned = draw(given)
        if path in MANY:
            assert list(returned.flat) == list(given.flat), path
        else:
            assert returned is given, path
        assert all(ax.has_data() for ax in np.ravel(given)), path
        made = draw(empty := Figure())
        assert np.shape(made) == np.shape(returned), path
        assert {ax.get_figure(root=True) for ax in np.ravel(made)} == {empty}, path


def test_without_axes_a_figure_of_pyplots_is_drawn_on(drawing: dict[str, Any]) -> None:
    """So that notebooks, and `pyplot.show()`, show it."""
    for path, draw in drawing.items():
        made = np.ravel(draw())
        assert pyplot.get_fignums() == [made[0].get_figure(root=True).number], path
        pyplot.close("all")


def test_other_numbers_of_axes_are_refused(drawing: dict[str, Any]) -> None:
    for path in MANY:
        with pytest.raises(
            ValueError, match=rf"legstat\.{path.split('.', path.count('.') - 1)[-1]}: `axes` must be \d+ axes"
        ):
            drawing[path](Figure().subplots(1, 5))
