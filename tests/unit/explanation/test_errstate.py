"""`np.seterr(all="raise")` by the user: whatever rounds to 0 on the way is nobody's fault, and changes no number."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest

import legstat as ls
from legstat._core.conventions import MomentKind
from legstat.data import digits_model_path, load_digit

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
