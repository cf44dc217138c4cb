"""Scores of any size: the same map times a factor, or a refusal."""

from __future__ import annotations

import numpy as np
import pytest

import legstat as ls


def test_scores_whose_fourth_powers_are_no_numbers_are_refused() -> None:
    gamma = np.zeros((6, 6))
    gamma[2:4, 2:4] = 1.0
    maps = {}
    for size in (1e-100, 1e-50, 1.0, 1e50, 1e100):
        linear = ls.simulate.linear(size * gamma)
        sample = ls.query(linear, np.full((1, 6, 6), 0.5), ls.StructuredGaussian(grid=(6, 6), scale=0.05), 400, rng=0,
                          progress=False)  # fmt: skip
        if size in (1e-100, 1e100):
            for kind in ("printed", "adaptive", "crossfit"):
                with pytest.raises(ValueError, match="`responses` must be 0 or of size 1e-60 to 1e60"):
                    ls.LEGTV(sample, moments=kind)  # type: ignore[arg-type]
            continue
        maps[size] = ls.LEGTV(sample).fit(L_ratio=0.2).params / size
    for found in maps.values():
        # moments of scaled data differ by rounding, the programs by 2^-40
        np.testing.assert_allclose(found, maps[1.0], rtol=0, atol=1e-8)
