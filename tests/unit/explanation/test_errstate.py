"""`np.seterr(all="raise")` by the user: whatever rounds to 0 on the way is nobody's fault, and changes no number."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from matplotlib.figure import Figure

import legstat as ls
from legstat._core.conventions import MomentKind
from legstat.data import digits_model_path, load_digit
from legstat.perturbations.cell_map import CellMap
from legstat.perturbations.clipped_law import ClippedLaw
from legstat.perturbations.lifts import Lift
from legstat.perturbations.recipe import Recipe
from legstat.report.plots import plot_map, save_figure
from legstat.report.saliency import plot_saliency
from legstat.responses.network.input import InputLayout, InputWriter
from legstat.responses.network.preprocessing import Preprocessing

ROUTES = {"callable": lambda: _mean, "onnx": lambda: ls.onnx_response(digits_model_path())}
OPERATORS = {"additive": ls.Additive(), "blend": ls.Blend("blur")}


def _mean(images: np.ndarray) -> np.ndarray:
    return images[:, :, 2:6, 3:5].mean(axis=(1, 2, 3))


def _picture() -> np.ndarray:
    """A digit whose paper is as good as blank: grey values that float32, or even float64, has as denormals or as 0."""
    image = load_digit(5)[0].copy()
    image[0, 0], image[0, 1], image[0, 7] = 1e-310, 1e-42, 1e-150
    return image


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("route", ROUTES)
def test_every_stage_runs_where_the_user_made_underflow_an_error(route: str, operator: str, tmp_path: Path) -> None:
    def sampled() -> ls.QuerySample:
        design = ls.StructuredGaussian(grid=(3, 4), scale=0.2)  # 8 rows by 3: cells of two sizes
        given = {"perturbation": OPERATORS[operator], "rng": 0, "progress": False}
        return ls.query(ROUTES[route](), _picture(), design, 221, **given)

    quiet = sampled()
    with np.errstate(all="raise"):
        sample = sampled()
        for kind in get_args(MomentKind):
            leg = ls.LEG(sample, moments=kind).fit()
            np.testing.assert_array_equal(leg.params, ls.LEG(quiet, moments=kind).fit().params)
            assert ls.LEGTV(leg.moments).fit(L_ratio=0.3).certificate.passed
        path = ls.LEGTV(sample).fit_path(n_Ls=2)
        found = ls.Explanation(sample, leg, path, path.select("heldout"), {"L": "heldout"})
        assert len(found.summary().as_html()) > 1000
        if route == "onnx":  # figures know nothing of the response
            assert len(found.save(tmp_path)) == len(ls.record.FILES)
        rules = ("bootstrap",) if route == "onnx" else ("bootstrap", "theory")  # log-odds have no bound
        assert all(path.select(rule).certificate.passed for rule in rules)
    np.testing.assert_array_equal(sample.responses, quiet.responses)


# ---------------------------------------------------------------- the parts, each by itself

GRID, DESIGN = ls.Grid((2, 2)), ls.StructuredGaussian(grid=(4, 4), scale=0.3)
LEAST = 5e-324  # of float64
DIM = np.full((1, 8, 8), 1e-42)  # below the least number of full precision of float32
INPUTS = np.full((2, 1, 1, 8, 8), [[[[[1e-42]]]], [[[[1e-20]]]]], dtype=np.float32)


def _recipe() -> Recipe:
    return ls.Blend("black").recipe(DIM, GRID, INPUTS.dtype)


def _law(design: ls.Design) -> ClippedLaw:
    law = ClippedLaw(design, ls.Additive().cell_map(_picture(), design.grid, "shared", 0), planes=1)
    assert law.clipped
    return law


def _drawn(draw: Callable[..., Any], *given: Any) -> Any:
    return draw(*given, Figure()).images[0].get_array()


def _leg() -> ls.LEGResults:
    return ls.LEG(ls.query(_mean, _picture(), DESIGN, 81, perturbation=ls.Additive(), rng=0, progress=False)).fit()


FEW = np.full((1, 1, 16), 3 * LEAST)
PARTS: dict[str, Callable[[], Any]] = {
    "a recipe behind a preprocessing": lambda: _recipe().then(np.array([0.3]), np.array([0.0]), reverse=False).gain,
    "cells": lambda: ls.Additive().recipe(DIM, GRID, INPUTS.dtype).cells(np.full((1, 1, 2, 2), 1e-60)),
    "a composer": lambda: _recipe().composer()(np.full((1, 1, 2, 2), -0.2)),
    "the odd part": lambda: CellMap(np.array([[[-1.0, 1.0]]]), np.array([[[0.0, LEAST]]])).odd_part().values,
    "a baseline": lambda: ls.Blend("mean").baseline_picture(np.diag([LEAST] * 8)[None]),
    "a lift": lambda: Lift.gaussian((8, 8), (64, 64), 1.0).rows,
    "a network's type": lambda: InputLayout(Preprocessing(layout="NCHW"), np.dtype(np.float16))(INPUTS[1]),
    "a network's input": lambda: InputWriter(Preprocessing(std=3.0, layout="NCHW"), 1, INPUTS.dtype)(INPUTS[0]),
    "a clipped covariance": lambda: _law(DESIGN).covariance(FEW),
    "a clipped covariance of two values": lambda: _law(ls.BernoulliCells(grid=(4, 4), scale=0.3)).covariance(FEW),
    "a clipped solve of two values": lambda: _law(ls.BernoulliCells(grid=(4, 4), scale=0.3)).solve(FEW),
    "a map": lambda: _drawn(plot_map, _leg()),
    "a saliency": lambda: _drawn(plot_saliency, np.eye(8), _picture()),
}


@pytest.mark.parametrize("part", PARTS)
def test_each_part_runs_where_the_user_made_underflow_an_error(part: str) -> None:
    usual = np.array(PARTS[part]())
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(PARTS[part](), usual)


def test_figures_are_drawn_where_the_user_made_underflow_an_error(tmp_path: Path) -> None:
    def draw(figure: Figure) -> None:
        figure.add_subplot().imshow([[0.0, LEAST], [1.0, 3.0]])  # whose share of the range of colours is 0

    with np.errstate(all="raise"):
        save_figure(draw, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 0
