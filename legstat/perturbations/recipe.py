"""How perturbed pictures are made of z: the recipe as data, and the composer that follows it with numpy.

A recipe is all that a device, or a graph, needs to make the pictures itself, so that only z has to cross to it.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from legstat._core.typing import AnyArray, FloatArray
from legstat.designs.grid import Grid
from legstat.perturbations.lifts import Between

Scorer = Callable[[FloatArray, int | None], FloatArray]
"""Scores (n,) of the pictures that z of shape (n, planes, p1, p2) makes, by `Composer`'s rules for `channel`."""


class AheadScorer(ABC):
    """A scorer whose device works by itself: a batch may be started before the scores of the last one are fetched.

    Attributes
    ----------
    ahead : int
        Batches to start ahead of the one that is asked for; 0 where starting one means computing it.
    """

    ahead: int = 0

    @abstractmethod
    def start(self, z: FloatArray, channel: int | None) -> Callable[[], FloatArray]:
        """Start on the pictures that z makes; what is returned waits for their scores (n,)."""

    def __call__(self, z: FloatArray, channel: int | None) -> FloatArray:
        """Scores (n,) for z of shape (n, planes, p1, p2)."""
        return self.start(z, channel)()


@dataclass(frozen=True, eq=False)
class Recipe:
    r"""How perturbed pictures of one image are made, as data, in the order in which the operations are rounded.

    .. math:: \Phi = a\, q(\mathrm{clip}(\text{base} + \text{gain} \cdot \mathrm{lift}(w v))) + b, \qquad
              v = z \text{ or } \mathrm{clip}(\text{at} + z, 0, 1)

    with the clip to limits, the truncation q to whole grey levels and the affine map only where there are any. The
    lift repeats a cell's number over its pixels, or interpolates between the cells' centres. As a perturbation states
    it, a recipe makes pictures in [0, 1]; `then` makes of it the recipe of a network's input.

    Parameters
    ----------
    grid : Grid
        The cells.
    base : ndarray of shape (C, H, W)
        Picture that something is added to; its dtype is that of the pictures and of all arithmetic behind v.
    gain : ndarray of shape (C, H, W), optional
        What lift(v) is multiplied with, in base's dtype; None: 1.
    at : float, optional
        Mask level that z moves: v is the level, clipped to [0, 1]; None: v is z.
    limits : tuple of ndarray, optional
        Least and greatest value in each channel, shapes (C,), that the sum is clipped to.
    quantise : bool
        Then ``trunc(255 x) / 255``.
    weight : ndarray of shape (C,), optional
        w, by which each channel's v is multiplied before it is lifted; None: 1.
    reverse : bool
        The channels of base, gain, ... are in the reverse order of z's planes.
    affine : tuple of ndarray, optional
        a and b of each channel, shapes (C,).
    smooth : bool
        The lift is bilinear, flat beyond the outermost centres: first across, then down, each as
        ``first + share (second - first)`` (`Between`) in base's dtype.

    Examples
    --------
    >>> recipe = Recipe(Grid((1, 2)), np.full((1, 2, 4), 0.5), limits=(np.zeros(1), np.ones(1)))
    >>> recipe.composer()(np.array([[[[0.25, 0.75]]]]))[0, 0, 0]
    array([0.75, 0.75, 1.  , 1.  ])
    """

    grid: Grid
    base: AnyArray
    gain: AnyArray | None = None
    at: float | None = None
    limits: tuple[AnyArray, AnyArray] | None = None
    quantise: bool = False
    weight: AnyArray | None = None
    reverse: bool = False
    affine: tuple[AnyArray, AnyArray] | None = None
    smooth: bool = False

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pictures."""
        return self.base.dtype

    @np.errstate(under="ignore")
    def then(self, factor: FloatArray, offset: FloatArray, *, reverse: bool) -> Recipe:
        """The recipe of ``factor x + offset`` for the pictures x of this one, in few passes over each.

        An affine map of each channel passes through sum, product and clip: it is applied to the recipe's arrays, once.
        Only behind a truncation it stays a step of its own. The unperturbed picture is rounded as if it had been mapped
        by itself, so that z = 0 gives the bits of x0's own input.

        Parameters
        ----------
        factor, offset : ndarray of shape (C,)
            Of each channel, after they have been put in their new order; factors are positive.
        reverse : bool
            Whether the channels come in reverse order.

        Returns
        -------
        Recipe
            In the same dtype.
        """
        a, b = factor.astype(self.dtype), offset.astype(self.dtype)
        still = bool(np.all(a == 1.0) and np.all(b == 0.0))
        # what the arrays are mapped with now; behind a truncation nothing
        scale, shift = (np.ones_like(a), np.zeros_like(b)) if self.quantise else (a, b)

        def scaled(array: AnyArray) -> AnyArray:
            return np.ascontiguousarray(array[::-1] if reverse else array) * _as_axis0(scale, array)

        def mapped(array: AnyArray) -> AnyArray:
            return np.asarray(scaled(array) + _as_axis0(shift, array))

        return replace(
            self,
            base=mapped(self.base),
            gain=None if self.gain is None else scaled(self.gain),
            limits=None if self.limits is None else (mapped(self.limits[0]), mapped(self.limits[1])),
            weight=None if self.gain is not None or np.all(scale == 1.0) else scale,
            reverse=reverse,
            affine=(a, b) if self.quantise and not still else None,
        )

    @np.errstate(under="ignore")
    def cells(self, z: FloatArray, channel: int | None = None) -> AnyArray:
        """w v of each cell: formed in float64, rounded to the pictures' type, then weighted.

        Parameters
        ----------
        z : ndarray of shape (n, planes, p1, p2)
            One plane acts on all channels, or on `channel` alone where it is given; C planes act one on each.
        channel : int, optional
            Number of that channel, in the order of z's planes.

        Returns
        -------
        ndarray of shape (n, 1 or C, p1, p2)
            In the pictures' order of channels; one plane where all channels have the same.
        """
        v = (z if self.at is None else np.clip(self.at + z, 0.0, 1.0)).astype(self.dtype)
        if channel is not None:
            alone = np.zeros((len(v), len(self.base), *v.shape[2:]), dtype=self.dtype)
            alone[:, channel] = v[:, 0]
            v = alone
        if self.reverse and v.shape[1] > 1:
            v = v[:, ::-1]
        return v if self.weight is None else v * self.weight[:, None, None]

    @property
    def between(self) -> tuple[Between, Between]:
        """Where each row, and each column, of pixels lies between cells: what a smooth lift is made of."""
        down, across = (Between.of(n, pixels) for n, pixels in zip(self.grid.shape, self.base.shape[-2:], strict=True))
        return down, across

    def composer(self, *, room: Room | None = None) -> Composer:
        """What makes the pictures with numpy, in arrays of their own, or in that room."""
        return Composer(self, room)


class Room:
    """Memory for a batch of pictures that outlives whoever writes there; each thread has its own.

    The first touch of new memory costs as much as writing a picture does: some 0.3 ms for 3 x 224 x 224 in float32.

    Examples
    --------
    >>> room = Room()
    >>> room.take(2, (1, 4, 4), np.dtype(float)).base is room.take(1, (1, 4, 4), np.dtype(float)).base
    True
    """

    def __init__(self) -> None:
        self._local = threading.local()

    def take(self, n: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> AnyArray:
        """Room for n pictures, valid until the next call in this thread."""
        kept: AnyArray | None = getattr(self._local, "kept", None)
        if kept is None or len(kept) < n or kept.shape[1:] != shape or kept.dtype != dtype:
            kept = self._local.kept = np.empty((n, *shape), dtype=dtype)
        return kept[:n]

    def __reduce__(self) -> tuple[type[Room], tuple[()]]:
        return Room, ()


class Composer:
    """Makes perturbed pictures of one image.

    Parameters
    ----------
    recipe : Recipe
        How.
    room : Room or None
        Where to write every batch: it is then valid until somebody else writes there. None: arrays of their own.
    """

    def __init__(self, recipe: Recipe, room: Room | None) -> None:
        self._recipe, self._room = recipe, room
        self._shape = recipe.base.shape
        tiling = recipe.grid.tiling(*self._shape[-2:])
        self._down, self._across = tiling.repeats
        self._between = recipe.between if recipe.smooth else None
        # rows of a cell side by side: where all have as many, broadcasting takes a cell's number down them
        repeated = tiling.even and not recipe.smooth
        cells = (recipe.grid.shape[0], tiling.size[0]) if repeated else (1, self._shape[1])
        self._split = (self._shape[0], *cells, self._shape[2])
        self._flat = (self._shape[0], -1)
        self._base = recipe.base.reshape(self._flat)
        self._gain = None if recipe.gain is None else recipe.gain.reshape(self._flat)
        self._limits = None if recipe.limits is None else [limit[:, None] for limit in recipe.limits]
        self._affine = None if recipe.affine is None else [number[:, None] for number in recipe.affine]

    @np.errstate(under="ignore")
    def __call__(self, z: FloatArray, channel: int | None = None) -> AnyArray:
        """Pictures (n, C, H, W) for z of shape (n, planes, p1, p2); `channel` as for `Recipe.cells`."""
        rows = self._lifted(self._recipe.cells(z, channel))
        room = Room() if self._room is None else self._room
        pictures = room.take(len(z), self._shape, self._recipe.dtype)
        # one picture after the other, so that each pass finds the last one's result in the cache
        for row, picture in zip(rows, pictures, strict=True):
            picture.reshape(self._split)[:] = row
            self._finish(picture.reshape(self._flat))
        return pictures

    def _lifted(self, cells: AnyArray) -> AnyArray:
        """Numbers of cells ready to be broadcast over pixels that are split into the rows of cells, or not at all."""
        if self._between is not None:
            down, across = self._between
            return _interpolated(_interpolated(cells, across, -1), down, -2)[:, :, None]
        rows = np.repeat(cells, self._across, axis=-1)
        return rows[:, :, :, None] if isinstance(self._down, int) else np.repeat(rows, self._down, axis=-2)[:, :, None]

    def _finish(self, picture: AnyArray) -> None:
        """From lifted numbers to a picture, in place: whole rows of memory, which numpy adds fastest."""
        if self._gain is not None:
            picture *= self._gain
        picture += self._base
        if self._limits is not None:
            np.clip(picture, *self._limits, out=picture)
        if self._recipe.quantise:
            picture *= 255.0
            np.trunc(picture, out=picture)
            picture /= 255.0
        if self._affine is not None:
            picture *= self._affine[0]
            picture += self._affine[1]


def _interpolated(numbers: AnyArray, between: Between, axis: int) -> AnyArray:
    """Along one of the last two axes from cells to pixels, in the numbers' type."""
    first, second = numbers.take(between.first, axis=axis), numbers.take(between.second, axis=axis)
    second -= first
    second *= between.share.astype(numbers.dtype).reshape(-1, *(1,) * (-1 - axis))
    second += first
    return second


def _as_axis0(numbers: AnyArray, array: AnyArray) -> AnyArray:
    """One number for each entry of an array's first axis, ready to act on it."""
    return numbers.reshape(-1, *(1,) * (array.ndim - 1))
