"""The pilot of "crossfit" where observations are about as many as unknowns."""

from __future__ import annotations

import numpy as np
import pytest

import legstat as ls
from legstat.moments.ridge import gcv_ridge


@pytest.fixture(scope="module")
def sample() -> ls.QuerySample:
    """A nearly noiseless linear score, 40 pairs for 36 unknowns: cross-validation would interpolate."""
    f = ls.simulate.linear(np.arange(36.0).reshape(6, 6))
    image, design = np.full((1, 6, 6), 0.5), ls.StructuredGaussian((6, 6), 0.02)
    return ls.query(f, image, design, perturbation=ls.Additive(clip=False), n_queries=81, rng=0, progress=False)


def test_the_pilot_never_nearly_interpolates(sample: ls.QuerySample) -> None:
    """Coverage falls to 90 % beyond a mean leverage of .65 (docs/studies/coverage.md): the bound holds in every fit."""
    z = (sample.draws()[0::2] - sample.draws()[1::2]).reshape(40, 36) / 2
    y = (sample.responses[0::2] - sample.responses[1::2]) / 2
    # what the rule without the bound would take
    root = np.linalg.inv(np.linalg.cholesky(sample.design.covariance_matrix())).T
    _, free, _ = gcv_ridge(
        z.T @ y / 40, z.T @ z / 40, float(y @ y) / 40, 40, root, np.geomspace(1e-3, 1e3, 25), or_nothing=True
    )
    assert np.einsum("ij,jk,ik->", z, free, z) / 40 > 0.8
    influence = sample.moments("crossfit").influence
    assert influence is not None
    assert influence[0].hat is not None
    taken = np.einsum("ij,jk,ik->", z, influence[0].hat, z) / 40
    assert 0.4 < taken < 0.65
