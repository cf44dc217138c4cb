"""Moments and units at any time of their life: pickled, printed, locked."""

from __future__ import annotations

import pickle
from typing import Any, get_args

import numpy as np
import pytest

import legstat as ls
from legstat._core.conventions import MomentKind

IMAGE = np.random.default_rng(0).uniform(0.1, 0.9, (1, 6, 6))


@pytest.fixture(scope="module")
def sample() -> ls.QuerySample:
    f, design = ls.simulate.linear(np.arange(9.0).reshape(3, 3)), ls.StructuredGaussian((3, 3), 0.2)
    return ls.query(f, IMAGE, design, n_queries=121, rng=0, progress=False)


@pytest.mark.parametrize("kind", get_args(MomentKind))
def test_moments_and_units_pickle(sample: ls.QuerySample, kind: Any) -> None:
    moments = sample.moments(kind)
    for units, again in zip(sample.units, pickle.loads(pickle.dumps(sample.units)), strict=True):
        assert "_kept" in vars(units)
        assert "_kept" not in vars(again)  # the draws themselves stay behind
        for (z, y), (z2, y2) in zip(units.rows(), again.rows(), strict=True):
            np.testing.assert_array_equal(z2, z)
            np.testing.assert_array_equal(y2, y)
    again = pickle.loads(pickle.dumps(moments))
    assert (again.design, again.n, again.kind, again.cov_type) == (moments.design, moments.n, kind, moments.cov_type)
    for name in ("b", "variances", "df"):
        one, other = getattr(moments, name), getattr(again, name)
        assert (one is None) == (other is None)
        if one is not None:
            np.testing.assert_array_equal(one, other)
            for array in (one, other):
                with pytest.raises(ValueError, match="read-only"):
                    array[...] = 0.0
    for mine, theirs in zip(moments.influence, again.influence, strict=True):  # type: ignore[arg-type]
        for phi, phi2 in zip(mine.rows(sample.units[0]), theirs.rows(sample.units[0]), strict=True):
            np.testing.assert_array_equal(phi, phi2)


def test_a_used_sample_pickles_with_the_same_moments(sample: ls.QuerySample) -> None:
    expected = sample.moments("crossfit")
    again = pickle.loads(pickle.dumps(sample))
    np.testing.assert_array_equal(again.moments("crossfit").b, expected.b)
    np.testing.assert_array_equal(again.draws(), sample.draws())


def test_moments_print_on_one_line(sample: ls.QuerySample) -> None:
    assert repr(sample.moments("crossfit")) == "<Moments 3x3 n=60 kind=crossfit cov_type=crossfit>"
    design = ls.StructuredGaussian((3, 3), 0.2, channels="separate")
    assert repr(ls.Moments(b=np.zeros((2, 9)), design=design, n=7)) == "<Moments 2x3x3 n=7 kind=given cov_type=none>"


def test_a_boolean_is_no_number_of_draws() -> None:
    with pytest.raises(ValueError, match="`n` must be a whole number"):
        ls.Moments(b=np.zeros(9), design=ls.StructuredGaussian((3, 3)), n=True)
