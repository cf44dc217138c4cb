"""Pictures that depend on parameters: on a mask, on blur radii, on a shift of the pixels; with the adjoint of that."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import scipy

from legstat._core.typing import FloatArray, IntArray
from legstat.designs.grid import Grid
from legstat.perturbations.lifts import Lift


class Family(Protocol):
    """Pictures Phi(theta), and how gradients at pictures become gradients at theta.

    Where a family has several members (noise or jitter draws a picture anew for each), `which` names the member that
    each theta goes through.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of theta."""

    @property
    def members(self) -> int:
        """Pictures x0 that it has."""

    @property
    def planes(self) -> int:
        """Planes of cells in a random direction: 1 of a mask, C of a picture."""

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Range of theta; None where it has none."""

    def pictures(self, thetas: FloatArray, which: IntArray) -> FloatArray:
        """Phi(theta) for thetas of shape (n, *shape): (n, C, H, W)."""

    def pullback(self, thetas: FloatArray, gradients: FloatArray, which: IntArray) -> FloatArray:
        """From gradients at the pictures (n, C, H, W) to gradients at theta (n, *shape), by the chain rule."""

    def spread(self, directions: FloatArray) -> FloatArray:
        """Directions over cells (n, planes, p1, p2) as directions of theta (n, *shape)."""

    def gathered(self, gradient: FloatArray) -> FloatArray:
        """A gradient along those directions, (planes, p1, p2), as one at theta."""


class Masked:
    r"""Phi(m) = x0 . up(m) + x~ . (1 - up(m)): I-GOS eq. 2, the mask paper's constant and noise perturbations.

    Parameters
    ----------
    images : ndarray of shape (k, C, H, W)
        x0; several where each member has noise or jitter of its own.
    baselines : ndarray of shape (k or 1, C, H, W)
        x~.
    lift : Lift
        From mask to pixels.

    Examples
    --------
    >>> family = Masked(np.ones((1, 1, 2, 2)), np.zeros((1, 1, 2, 2)), Lift.repeated((1, 2), (2, 2)))
    >>> family.pictures(np.array([[[1.0, 0.25]]]), np.array([0]))[0, 0, 0]
    array([1.  , 0.25])
    """

    planes = 1
    bounds = (0.0, 1.0)

    def __init__(self, images: FloatArray, baselines: FloatArray, lift: Lift) -> None:
        self._baselines = np.broadcast_to(baselines, images.shape)
        self._contrasts = images - baselines
        self._lift, self.members = lift, len(images)

    @property
    def shape(self) -> tuple[int, int]:
        """Cells of the mask."""
        return self._lift.shape

    def pictures(self, thetas: FloatArray, which: IntArray) -> FloatArray:
        """See `Family`."""
        # one new array, written once more in place: most of the time goes into memory
        pictures = self._lift.up(thetas)[:, None] * self._of(self._contrasts, which)
        pictures += self._of(self._baselines, which)
        return np.asarray(pictures, dtype=np.float64)

    def pullback(self, thetas: FloatArray, gradients: FloatArray, which: IntArray) -> FloatArray:
        """See `Family`."""
        contrasts = np.broadcast_to(self._of(self._contrasts, which), gradients.shape)
        return self._lift.down(np.einsum("nchw,nchw->nhw", gradients, contrasts))

    def _of(self, pictures: FloatArray, which: IntArray) -> FloatArray:
        """The members' pictures; of the only one no copies."""
        return pictures if self.members == 1 else pictures[which]

    def spread(self, directions: FloatArray) -> FloatArray:
        """The one plane."""
        return np.asarray(directions[:, 0], dtype=np.float64)

    def gathered(self, gradient: FloatArray) -> FloatArray:
        """The one plane."""
        return np.asarray(gradient[0], dtype=np.float64)


class BlurredByRadius:
    r"""The mask paper's blur: each pixel blurred by a radius of its own, :math:`\sigma(u) = \sigma_0 (1 - m(u))`.

    The paper prints :math:`\sigma_0 m(u)`, which would blur where the mask keeps. Pictures are interpolated linearly
    between some that are blurred as wholes, so the gradient is exact for what is shown.

    Parameters
    ----------
    images : ndarray of shape (k, C, H, W)
        x0.
    sigma : float
        sigma_0 in pixels.
    lift : Lift
        From mask to pixels.
    levels : int, default 11
        Pictures to interpolate between, from no blur to sigma_0.
    """

    planes = 1
    bounds = (0.0, 1.0)

    @np.errstate(under="ignore")
    def __init__(self, images: FloatArray, sigma: float, lift: Lift, levels: int = 11) -> None:
        self._lift, self.members = lift, len(images)
        blurs = [
            scipy.ndimage.gaussian_filter(images, (0.0, 0.0, s, s)) if s > 0.0 else images
            for s in np.linspace(0.0, sigma, levels)
        ]
        self._stack = np.stack(blurs, axis=1)  # (k, levels, C, H, W)

    @property
    def shape(self) -> tuple[int, int]:
        """Cells of the mask."""
        return self._lift.shape

    def pictures(self, thetas: FloatArray, which: IntArray) -> FloatArray:
        """See `Family`."""
        share, lower, upper = self._between(thetas, which)
        return np.asarray(lower + share[:, None] * (upper - lower), dtype=np.float64)

    def pullback(self, thetas: FloatArray, gradients: FloatArray, which: IntArray) -> FloatArray:
        """See `Family`; at a radius of the stack the slope towards more blur."""
        _, lower, upper = self._between(thetas, which)
        steps = self._stack.shape[1] - 1
        return self._lift.down(-steps * np.einsum("nchw,nchw->nhw", gradients, upper - lower))

    def _between(self, thetas: FloatArray, which: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        steps = self._stack.shape[1] - 1
        at = steps * (1.0 - self._lift.up(thetas))
        low = np.clip(np.floor(at), 0, steps - 1).astype(np.int64)
        places = low[:, None, None]
        stack = self._stack[which]
        lower = np.take_along_axis(stack, places, axis=1)[:, 0]
        upper = np.take_along_axis(stack, places + 1, axis=1)[:, 0]
        return at - low, lower, upper

    def spread(self, directions: FloatArray) -> FloatArray:
        """The one plane."""
        return np.asarray(directions[:, 0], dtype=np.float64)

    def gathered(self, gradient: FloatArray) -> FloatArray:
        """The one plane."""
        return np.asarray(gradient[0], dtype=np.float64)


class Shifted:
    """Phi(delta) = x0 + delta: what l1-q and adversarial pictures move.

    Parameters
    ----------
    image : ndarray of shape (C, H, W)
        x0.
    grid : Grid, optional
        Cells that random directions are constant on; by default each pixel is one.

    Examples
    --------
    >>> family = Shifted(np.zeros((1, 2, 2)))
    >>> family.pictures(np.ones((1, 1, 2, 2)), np.array([0])).sum()
    np.float64(4.0)
    """

    bounds = None
    members = 1

    def __init__(self, image: FloatArray, grid: Grid | None = None) -> None:
        self._image = image
        self._grid = Grid((image.shape[1], image.shape[2])) if grid is None else grid

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W)."""
        return self._image.shape

    @property
    def planes(self) -> int:
        """C."""
        return len(self._image)

    def pictures(self, thetas: FloatArray, which: IntArray) -> FloatArray:
        """See `Family`."""
        return np.asarray(self._image + thetas, dtype=np.float64)

    def pullback(self, thetas: FloatArray, gradients: FloatArray, which: IntArray) -> FloatArray:
        """See `Family`."""
        return gradients

    def spread(self, directions: FloatArray) -> FloatArray:
        """Every pixel takes its cell's number."""
        return np.asarray(self._grid.lift(directions, *self._image.shape[1:]), dtype=np.float64)

    def gathered(self, gradient: FloatArray) -> FloatArray:
        """A cell's slope, shared among its pixels."""
        tiling = self._grid.tiling(*self._image.shape[1:])
        return self.spread(gradient / np.outer(tiling.heights, tiling.widths))
