"""Perturbation operators: how a grid perturbation z acts on the picture, and what z it really was.

An operator Phi(x0; z) turns a picture and cell perturbations into perturbed pictures. Clipping, to the valid range of
pixels or of mask levels, changes z on the way: the estimand is then defined on the *realised* z, the mean over each
cell of what really happened; under a smooth lift what happened at the cell's centre. For both operators below the
realised z of a cell is a non-decreasing, piecewise linear function of that cell's z alone, which `CellMap` holds
exactly; its covariance follows in closed form (see `legstat.perturbations.clipped_law`).
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import scipy

from legstat._core.checks import check_choice, check_level
from legstat._core.conventions import Conventions, clash
from legstat._core.errors import invalid
from legstat._core.pictures import rounded
from legstat._core.typing import JSON, FloatArray
from legstat._core.values import Value
from legstat.designs.grid import Grid
from legstat.perturbations.cell_map import CellMap, clipped_sum, joined, pixels_by_cell
from legstat.perturbations.recipe import Composer, Recipe

Baseline = Literal["blur", "mean", "black", "noise"]
LiftName = Literal["cells", "smooth"]


class Perturbation(Value):
    """How z acts on a picture: `recipe` says how the perturbed pictures are made, `cell_map` tells the realised z."""

    needs_base: ClassVar[bool] = False
    """Whether Phi(x0; 0) differs from x0, so that its score is a further evaluation."""

    @abstractmethod
    def check(self, image: FloatArray, grid: Grid, channels: str) -> None:
        """Raise ValueError where this operator cannot act on that picture."""

    @abstractmethod
    def recipe(self, image: FloatArray, grid: Grid, dtype: np.dtype[Any]) -> Recipe:
        """How perturbed pictures of that image are made, in that dtype."""

    def composer(self, image: FloatArray, grid: Grid, dtype: np.dtype[Any]) -> Composer:
        """What makes perturbed pictures from z."""
        return self.recipe(image, grid, dtype).composer()

    @abstractmethod
    def cell_map(self, image: FloatArray, grid: Grid, channels: str, channel: int) -> CellMap | None:
        """Realised z as a function of z, None where they are equal.

        `channels` is the design's; `channel` is the perturbed one for "separate", ignored else. The map has C planes
        for "joint", one else.
        """

    def with_conventions(self, conventions: Conventions) -> Perturbation:
        """This operator if it agrees with the conventions; ValueError where it does not."""
        implied = Additive(clip=conventions.clip, quantise=conventions.quantise)
        if conventions.name != "default" and self != implied:
            raise clash("query", "perturbation", self, conventions, implied)
        return self


class Additive(Perturbation):
    """Phi(x0; z) = x0 + lift(z): the LEG paper's perturbation of pixel values.

    Parameters
    ----------
    clip : bool, default True
        Clip to [0, 1], so that the network never sees an impossible picture; the estimand is then that of the
        realised z. The paper and its code do not clip.
    quantise : bool, default False
        Truncate perturbed pictures towards zero to whole grey levels of 0..255, as the authors' code does; the
        realised z ignores it, as theirs does.
    lift : {"cells", "smooth"}, default "cells"
        As for `Blend`; "smooth" with ``clip=False`` alone, since what pixels lose to clipping then belongs to several
        cells.

    Raises
    ------
    ValueError
        If clipping and truncation are asked for, which no convention has together, or clipping and a smooth lift.

    Examples
    --------
    >>> Additive()
    Additive(clip=True, quantise=False)
    """

    clip: bool
    quantise: bool
    lift: LiftName

    def __init__(self, clip: bool = True, *, quantise: bool = False, lift: LiftName = "cells") -> None:
        if clip and quantise:
            raise ValueError(
                invalid(
                    "Additive", "quantise", quantise, "False with clip=True", "Use Additive(clip=False, quantise=True)."
                )
            )
        lift = _checked_lift("Additive", lift)
        if clip and lift != "cells":
            valid, remedy = (
                '"cells" with clip=True',
                "Use Additive(clip=False, lift='smooth'), or Blend(lift='smooth').",
            )
            raise ValueError(invalid("Additive", "lift", lift, valid, remedy))
        self._keep(clip=bool(clip), quantise=bool(quantise), lift=lift)

    def check(self, image: FloatArray, grid: Grid, channels: str) -> None:
        """Any picture of at least a pixel a cell will do."""
        grid.tiling(*image.shape[-2:])

    def recipe(self, image: FloatArray, grid: Grid, dtype: np.dtype[Any]) -> Recipe:
        """x0 + lift(z)."""
        ends = (np.zeros(len(image), dtype=dtype), np.ones(len(image), dtype=dtype))
        return Recipe(
            grid,
            rounded(image, dtype),
            limits=ends if self.clip else None,
            quantise=self.quantise,
            smooth=self.lift == "smooth",
        )

    def cell_map(self, image: FloatArray, grid: Grid, channels: str, channel: int) -> CellMap | None:
        """Mean over the cell's pixels of clip(x + z, 0, 1) - x: knots at -x and 1 - x of every pixel."""
        if not self.clip:
            return None

        def planes(cells: FloatArray) -> FloatArray:
            # of each cell's pixels (cells, C, k) those that one number of z moves: one channel's, or all
            if channels == "joint":
                return np.moveaxis(cells, 1, 0)
            return cells[None, :, channel] if channels == "separate" else cells.reshape(1, len(cells), -1)

        return joined(grid.shape, [(where, clipped_sum(planes(cells))) for where, cells in pixels_by_cell(image, grid)])

    def parameters(self) -> JSON:
        """Constructor arguments."""
        return {"clip": self.clip, "quantise": self.quantise, **_lift_unless_cells(self.lift)}


class Blend(Perturbation):
    """Phi(x0; z) = x0 . m + baseline . (1 - m), m = clip(at + lift(z), 0, 1): deletion coordinates.

    The operator of the mask and I-GOS papers: a cell's z moves it between the picture (m = 1) and a baseline that
    lacks the evidence (m = 0), around the mask level `at`. LEG in these coordinates asks which cells' evidence the
    score responds to, where the additive operator asks which cells' grey values it responds to.

    Parameters
    ----------
    baseline : {"blur", "mean", "black", "noise"} or ndarray of shape (C, H, W), default "blur"
        "blur": Gaussian blur. "mean": the picture's mean colour. "black": zeros. "noise": that colour plus Gaussian
        noise of standard deviation 0.2, clipped, the same at every call. An array is used as it is.
    at : float, default 0.5
        Mask level around which the score is studied, strictly between 0 and 1; the base point is Phi(x0; 0).
    blur_sigma : float, optional
        Standard deviation of the blur in pixels; 10 for a short side of 224 (the papers' value), in proportion else,
        but at least 2: less leaves a tiny picture as it is.
    lift : {"cells", "smooth"}, default "cells"
        "cells": every pixel of a cell has the cell's level. "smooth": levels are interpolated bilinearly between the
        cells' centres, flat beyond the outermost, so that masks have no edges along the grid. A cell's number is then
        its level at its centre, which is what the realised z holds and the estimand refers to: clip(at + z, 0, 1) - at
        with either lift.

    Raises
    ------
    ValueError
        If `at` is not inside (0, 1), baseline or lift are unknown, or a baseline's shape or values do not fit the
        picture.

    Notes
    -----
    Only for designs with channels="shared". A scale near 0.25 moves most cells visibly at ``at=0.5``.

    Examples
    --------
    >>> Blend("mean", at=0.8)
    Blend(baseline='mean', at=0.8, blur_sigma=None)
    """

    needs_base = True

    baseline: Baseline | FloatArray
    at: float
    blur_sigma: float | None
    lift: LiftName

    def __init__(
        self,
        baseline: Baseline | FloatArray = "blur",
        at: float = 0.5,
        *,
        blur_sigma: float | None = None,
        lift: LiftName = "cells",
    ) -> None:
        if isinstance(baseline, str) and baseline not in get_args(Baseline):
            valid = "one of " + ", ".join(map(repr, get_args(Baseline))) + " or an array of the picture's shape"
            raise ValueError(invalid("Blend", "baseline", baseline, valid))
        at = check_level("Blend", "at", at)
        if blur_sigma is not None and not (np.isfinite(blur_sigma) and blur_sigma > 0):
            raise ValueError(invalid("Blend", "blur_sigma", blur_sigma, "a finite number > 0, in pixels"))
        own = baseline if isinstance(baseline, str) else np.array(baseline, dtype=np.float64)
        self._keep(baseline=own, at=float(at), blur_sigma=blur_sigma, lift=_checked_lift("Blend", lift))

    def check(self, image: FloatArray, grid: Grid, channels: str) -> None:
        """Channels must be shared and a given baseline must have the picture's shape and range."""
        grid.tiling(*image.shape[-2:])
        if channels != "shared":
            remedy = "A mask level has no channels; use Additive() for per-channel maps."
            raise ValueError(invalid("query", "design.channels", channels, '"shared" with Blend', remedy))
        if isinstance(self.baseline, np.ndarray):
            if self.baseline.shape != image.shape:
                raise ValueError(
                    invalid("Blend", "baseline", self.baseline.shape, f"of the picture's shape {image.shape}")
                )
            if not np.isfinite(self.baseline).all() or self.baseline.min() < 0 or self.baseline.max() > 1:
                raise ValueError(invalid("Blend", "baseline", "values outside [0, 1] or NaN", "finite, within [0, 1]"))

    def recipe(self, image: FloatArray, grid: Grid, dtype: np.dtype[Any]) -> Recipe:
        """baseline + m (x0 - baseline): the contrast is what the mask level acts on."""
        baseline = self.baseline_picture(image)
        contrast = rounded(image - baseline, dtype)
        return Recipe(grid, rounded(baseline, dtype), gain=contrast, at=self.at, smooth=self.lift == "smooth")

    @np.errstate(under="ignore")
    def baseline_picture(self, image: FloatArray) -> FloatArray:
        """The baseline for that picture, of its shape, in [0, 1]."""
        if isinstance(self.baseline, np.ndarray):
            return self.baseline
        colour = np.broadcast_to(image.mean(axis=(1, 2), keepdims=True), image.shape)
        if self.baseline == "mean":
            return np.array(colour)
        if self.baseline == "black":
            return np.zeros_like(image)
        if self.baseline == "noise":
            # a baseline is part of the operator, not of the experiment: its noise is the same for everybody
            noise = np.random.Generator(np.random.Philox(key=0)).standard_normal(image.shape)
            return np.clip(colour + 0.2 * noise, 0.0, 1.0)
        sigma = self.blur_sigma or max(10.0 * min(image.shape[-2:]) / 224.0, 2.0)
        return np.asarray(scipy.ndimage.gaussian_filter(image, sigma=(0.0, sigma, sigma)), dtype=np.float64)

    def cell_map(self, image: FloatArray, grid: Grid, channels: str, channel: int) -> CellMap | None:
        """clip(at + z, 0, 1) - at."""
        ends = np.broadcast_to([-self.at, 1.0 - self.at], (1, grid.n_cells, 2))
        return CellMap(ends, ends)

    def parameters(self) -> JSON:
        """Constructor arguments."""
        own = {"baseline": self.baseline, "at": self.at, "blur_sigma": self.blur_sigma}
        return {**own, **_lift_unless_cells(self.lift)}


def _checked_lift(where: str, lift: object) -> LiftName:
    return check_choice(where, "lift", lift, get_args(LiftName))


def _lift_unless_cells(lift: LiftName) -> JSON:
    # operators were saved without it before there was a choice
    return {} if lift == "cells" else {"lift": lift}


PERTURBATIONS: dict[str, type[Perturbation]] = {"Additive": Additive, "Blend": Blend}
"""Perturbations by class name, as saved samples name them."""
