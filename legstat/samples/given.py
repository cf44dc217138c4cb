"""Perturbations and scores that came from elsewhere, checked before they are taken for a sample."""

from __future__ import annotations

import numpy as np

from legstat._core.errors import invalid
from legstat._core.typing import FloatArray
from legstat._core.values import read_only
from legstat.designs.design import Design


def check_given(
    where: str, z: FloatArray, y: FloatArray, design: Design, antithetic: bool
) -> tuple[FloatArray, FloatArray]:
    """Copies of z, of shape (n, planes, p1, p2), and y, of shape (n,); see `QuerySample.from_arrays`.

    Raises
    ------
    ValueError
        If shapes disagree, values are not finite, pairs are asked for and not there, or the z are far from what the
        design draws.
    """
    p1, p2 = design.grid.shape
    z, y = np.array(z, dtype=np.float64), np.array(y, dtype=np.float64)
    if z.ndim == 3:
        z = z[:, None]
    planes = z.shape[1] if z.ndim == 4 and design.channels == "joint" else 1
    if z.ndim != 4 or z.shape[1:] != (planes, p1, p2):
        raise ValueError(
            invalid(where, "z", z.shape, f"of shape (n, {p1}, {p2}), or (n, C, {p1}, {p2}) for a joint design")
        )
    if design.channels == "separate":
        raise ValueError(
            invalid(where, "design.channels", "separate", '"shared" or "joint"', "Make one sample a channel.")
        )
    if y.shape != (len(z),) or len(y) < 2:
        raise ValueError(invalid(where, "y", y.shape, f"of shape ({len(z)},), one score for each z, at least two"))
    if not (np.isfinite(z).all() and np.isfinite(y).all()):
        raise ValueError(
            invalid(where, "z, y", "NaN or infinity", "finite", "Drop the failed evaluations, pairs as a whole.")
        )
    if antithetic and (len(y) % 2 or not np.allclose(z[0::2], -z[1::2], rtol=0.0, atol=1e-9 * np.abs(z).max())):
        raise ValueError(
            invalid(where, "antithetic", antithetic, "False for these z", "Row 2i + 1 must be minus row 2i.")
        )
    flat = z.reshape(len(z), planes, -1)
    # E z^T Sigma^{-1} z = p for every law; the mean over the rows has this standard deviation (pairs repeat one z):
    # for normal z from the chi-squared law, for others from the rows themselves
    lengths = np.sum(flat * design.solve(flat), axis=-1)
    spread = float(np.mean(lengths)) / design.grid.n_cells
    variance = 2.0 if design.gaussian else float(np.var(lengths)) / design.grid.n_cells
    error = np.sqrt(variance * (2 if antithetic else 1) / z.size)
    if abs(spread - 1.0) > 0.05 + 6.0 * error:
        got = f"rows with z^T Sigma^-1 z = {spread:.3g} p on average"
        remedy = "Check the units (pixels in [0, 1]) and the scale; clipped z have another law than the design's."
        raise ValueError(invalid(where, "z", got, "drawn from `design`, where it is p", remedy))
    return read_only(z), y
