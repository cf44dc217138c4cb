"""How perturbed pictures are made of z: the recipe as data, and the composer that follows it with numpy.

A recipe is all that a device, or a graph, needs to make the pictures itself, so that only z has to cross to it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from legstat._typing import AnyArray, FloatArray
from legstat.grids import Grid

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

    .. math:: \Phi = q(\mathrm{clip}(\text{base} + \text{gain} \cdot \mathrm{lift}(v))), \qquad
              v = z \text{ or } \mathrm{clip}(\text{at} + z, 0, 1)

    with the clip to [0, 1] and the truncation q to whole grey levels only where asked for. The lift repeats a cell's
    number over its pixels.

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
    clip : bool
        Clip the sum to [0, 1].
    quantise : bool
        Then ``trunc(255 x) / 255``.

    Examples
    --------
    >>> recipe = Recipe(Grid((1, 2)), np.full((1, 2, 4), 0.5), clip=True)
    >>> recipe.composer()(np.array([[[[0.25, 0.75]]]]))[0, 0, 0]
    array([0.75, 0.75, 1.  , 1.  ])
    """

    grid: Grid
    base: AnyArray
    gain: AnyArray | None = None
    at: float | None = None
    clip: bool = False
    quantise: bool = False

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pictures."""
        return self.base.dtype

    def values(self, z: FloatArray) -> AnyArray:
        """v for z of any shape: formed in float64, rounded once to the pictures' type."""
        v = z if self.at is None else np.clip(self.at + z, 0.0, 1.0)
        return v.astype(self.dtype)

    def composer(self, *, reuse: bool = False) -> Composer:
        """What makes the pictures with numpy; with `reuse` in one and the same array at every call."""
        return Composer(self, reuse)


class Composer:
    """Makes perturbed pictures of one image.

    Parameters
    ----------
    recipe : Recipe
        How.
    reuse : bool
        Write every batch into the same array: it is then valid until the next call.
    """

    def __init__(self, recipe: Recipe, reuse: bool) -> None:
        self._recipe, self._reuse = recipe, reuse
        self._shape = recipe.base.shape
        # rows of a cell side by side: z is constant down a cell, and broadcasting repeats it
        h, self._width = recipe.grid.cell_size(*self._shape[-2:])
        self._split = (self._shape[0], recipe.grid.shape[0], h, self._shape[-1])
        self._base = recipe.base.reshape(self._split)
        self._gain = None if recipe.gain is None else recipe.gain.reshape(self._split)
        self._kept = np.empty((0, *self._shape), dtype=recipe.dtype)

    def __call__(self, z: FloatArray, channel: int | None = None) -> AnyArray:
        """Pictures (n, C, H, W) for z of shape (n, planes, p1, p2).

        One plane acts on all channels, or on `channel` alone where it is given; C planes act one on each.
        """
        rows = np.repeat(self._recipe.values(z), self._width, axis=-1)[:, :, :, None, :]
        if len(self._kept) < len(z):
            self._kept = np.empty((len(z), *self._shape), dtype=self._recipe.dtype)
        pictures = self._kept[: len(z)]
        if not self._reuse:
            self._kept = self._kept[:0]
        # one picture after the other, so that each pass finds the last one's result in the cache
        for row, picture in zip(rows, pictures, strict=True):
            self._compose(row, picture, channel)
        return pictures

    def _compose(self, row: AnyArray, picture: AnyArray, channel: int | None) -> None:
        """Write one picture; `row` has shape (planes, p1, 1, W)."""
        split, base, gain = picture.reshape(self._split), self._base, self._gain
        if channel is not None:
            split[:] = base
            split[channel] += row[0] if gain is None else row[0] * gain[channel]
        elif gain is None:
            np.add(row, base, out=split)
        else:
            np.multiply(row, gain, out=split)
            split += base
        if self._recipe.clip:
            np.clip(picture, 0.0, 1.0, out=picture)
        if self._recipe.quantise:
            picture *= 255.0
            np.trunc(picture, out=picture)
            picture /= 255.0
