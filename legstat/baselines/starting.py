"""Where mask and I-GOS start: the first mask, and how its cells become pixels."""

from __future__ import annotations

from typing import Literal

import numpy as np
import scipy

from legstat._core.errors import invalid
from legstat._core.typing import FloatArray
from legstat.baselines.problem import Problem
from legstat.designs.grid import Grid
from legstat.gradients.families import Masked
from legstat.perturbations.lifts import Lift

Start = Literal["circle", "ones", "half", "random"]
LiftName = Literal["gaussian", "repeat_blur", "bilinear", "corners", "repeat"]
RADII = np.arange(0, 180, 5)
"""Radii of the first mask in pixels of 224 (mask paper, supplement, section 2)."""
SUPPRESSED = 0.01
"""Share of the score's drop that the first mask may leave."""


def lift_by_name(name: LiftName, shape: tuple[int, int], size: tuple[int, int], sigma: float) -> Lift:
    """From cells to pixels: the mask paper's kernel; nearest and then a blur, as its authors' code does; bilinear.

    Parameters
    ----------
    name : {"gaussian", "repeat_blur", "bilinear", "corners", "repeat"}
        Which; "corners" is bilinear with the outermost cells on the outermost pixels, "repeat" nearest alone.
    shape, size : tuple of int
        Cells and pixels.
    sigma : float
        Of the kernel or the blur, in pixels of 224.
    """
    if name == "gaussian":
        return Lift.gaussian(shape, size, sigma)
    if name in ("repeat", "repeat_blur"):
        repeated = Lift.repeated(shape, size)
        return repeated.blurred(sigma) if name == "repeat_blur" else repeated
    return Lift.bilinear(shape, size, corners=name == "corners")


def first_mask(problem: Problem, start: Start, *, deleting: bool = True) -> FloatArray:
    """The mask to start from.

    Parameters
    ----------
    problem : Problem
        Whose mask.
    start : {"circle", "ones", "half", "random"}
        Which; "circle" costs 37 evaluations.
    deleting : bool
        Whether the mask is to delete, or to preserve.
    """
    if start == "circle":
        return _circle(problem, deleting)
    if start == "random":
        return np.asarray(problem.rng.random(problem.shape), dtype=np.float64)
    return np.full(problem.shape, 1.0 if start == "ones" else 0.5)


def _circle(problem: Problem, deleting: bool) -> FloatArray:
    """The supplement's section 2: the smallest disc that is enough, softened and brought to the mask's cells."""
    size = problem.size
    if problem.asked.left < len(RADII) + 5:
        text, valid = f"{problem.asked.left:.0f} left", f"at least {len(RADII) + 5} more for start='circle'"
        raise ValueError(invalid(problem.where, "n_queries", text, valid, "Raise it, or take start='ones'."))
    rows, columns = (np.arange(n) - (n - 1) / 2.0 for n in size)
    distance = np.hypot(rows[:, None], columns[None, :]) * 224.0 / min(size)
    discs = (distance[None] <= RADII[:, None, None]) & (RADII[:, None, None] > 0)
    pixels = Masked(problem.image[None], problem.baseline[None], Lift.repeated(size, size))
    ends = problem.asked.scores(pixels, np.stack([np.zeros(size)]))
    masks = (~discs if deleting else discs).astype(np.float64)
    scores = problem.asked.scores(pixels, masks)
    drop = problem.f_x0 - ends[0]
    share = (scores - ends[0]) / drop if drop > 0.0 else np.ones(len(scores))
    enough = np.flatnonzero(share <= SUPPRESSED if deleting else share >= 1.0 - SUPPRESSED)
    chosen = masks[enough[0]] if enough.size else np.zeros(size) if deleting else np.ones(size)
    soft = scipy.ndimage.gaussian_filter(chosen, 10.0 * min(size) / 224.0, mode="nearest")
    return np.clip(Grid(problem.shape).cell_means(soft), 0.0, 1.0)
