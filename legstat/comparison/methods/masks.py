"""Methods that average the score over random or sliding masks: RISE, occlusion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from legstat._core.errors import invalid
from legstat._core.typing import FloatArray
from legstat.comparison.asking import Asking, map_shape, resized
from legstat.comparison.method import MethodMap
from legstat.metrics.references import ReferenceName
from legstat.responses.base import Response

_TOGETHER = 64  # masks at pixel resolution that are made at once: 26 MB at 224 x 224


@dataclass(frozen=True)
class Rise:
    r"""RISE: the mean of random masks, weighted by the score under each (Petsiuk, Das and Saenko, 2018, eq. 6).

    .. math:: s = \frac{1}{E[M] N} \sum_i f(x_0 M_i + \tilde x (1 - M_i)) M_i

    Masks are Bernoulli grids, up-sampled bilinearly to one cell more than the picture and cropped at a random offset.

    Parameters
    ----------
    shape : tuple of int, optional
        Cells of the map that is returned, means over its pixels.
        By default as many as `legstat.explain` takes.
    cells : int, default 8
        Cells of a mask along a side.
    p : float, default 0.5
        Chance of a cell to be kept.
    baseline : str, default "blur"
        What masked pixels become; the paper's is "black" (of the network's own input: "zeros").

    Examples
    --------
    >>> import legstat as ls
    >>> f = ls.simulate.linear(np.eye(2))
    >>> Rise((2, 2), cells=2, baseline="black")(f, np.ones((1, 8, 8)), 400, 0).saliency.argmax() in (0, 3)
    True
    """

    shape: tuple[int, int] | None = None
    cells: int = 8
    p: float = 0.5
    baseline: ReferenceName = "blur"
    name: str = "rise"
    least: int = 2

    def __call__(self, response: Response, image: FloatArray, n_queries: int, rng: Any) -> MethodMap:
        """The map; every evaluation but f(x0) is a mask."""
        asking = Asking(self.name, response, image, n_queries, self.baseline)
        generator = np.random.default_rng(rng)
        height, width = image.shape[-2:]
        weighted, total = np.zeros((height, width)), np.zeros((height, width))
        while asking.left:
            masks = self.masks(min(asking.left, _TOGETHER), height, width, generator)
            weighted += np.einsum("n,nij->ij", asking.scores(masks), masks)
            total += masks.sum(axis=0)
        # a pixel's own mean mask in place of p: on average the same, and constant scores give a constant map
        return MethodMap(resized(weighted / np.maximum(total, 1e-12), map_shape(self.shape, image)), asking.spent)

    def masks(self, n: int, height: int, width: int, rng: np.random.Generator) -> FloatArray:
        """Random masks of shape (n, height, width) within [0, 1]."""
        rows, columns = -(-height // self.cells), -(-width // self.cells)
        big = ((self.cells + 1) * columns, (self.cells + 1) * rows)
        kept = rng.random((n, self.cells, self.cells)) < self.p
        offsets = rng.integers(0, [rows, columns], size=(n, 2))
        masks = np.empty((n, height, width))
        for mask, grid, (row, column) in zip(masks, kept, offsets, strict=True):
            large = np.asarray(Image.fromarray(grid.astype(np.float32)).resize(big, Image.Resampling.BILINEAR))
            mask[:] = large[row : row + height, column : column + width]
        return np.clip(masks, 0.0, 1.0)


@dataclass(frozen=True)
class Occlusion:
    """Occlusion: how much the score falls where a sliding patch hides a pixel (Zeiler and Fergus, 2014).

    Parameters
    ----------
    shape : tuple of int, optional
        Cells of the map, means over its pixels.
        By default as many as `legstat.explain` takes.
    patch : int, default 35
        Side of the patch in pixels of a picture of 224; in proportion for others (the mask paper's supplement: 35).
    stride : int, optional
        Pixels of 224 between patches (there: 8). By default the smallest whole number of pixels that the budget pays.
    baseline : str, default "mean"
        What the patch shows; "blur" is the supplement's blurred variant.

    Examples
    --------
    >>> import legstat as ls
    >>> f = ls.simulate.linear(np.eye(2))
    >>> Occlusion((2, 2), patch=112, stride=112, baseline="black")(f, np.ones((1, 8, 8)), 50, 0).saliency
    array([[1., 0.],
           [0., 1.]])
    """

    shape: tuple[int, int] | None = None
    patch: int = 35
    stride: int | None = None
    baseline: ReferenceName = "mean"
    name: str = "occlusion"
    least: int = 5

    def __call__(self, response: Response, image: FloatArray, n_queries: int, rng: Any) -> MethodMap:
        """The map; patches slide over the picture from edge to edge."""
        height, width = image.shape[-2:]
        side = self._side(height, width)
        rows, columns = self._paid(height, width, n_queries - 1)
        asking = Asking(self.name, response, image, n_queries, self.baseline)
        drop, covered = np.zeros((height, width)), np.zeros((height, width))
        places = [(r, c) for r in rows for c in columns]
        for at in range(0, len(places), _TOGETHER):
            some = places[at : at + _TOGETHER]
            keep = np.ones((len(some), height, width))
            for mask, (r, c) in zip(keep, some, strict=True):
                mask[r : r + side, c : c + side] = 0.0
            for (r, c), score in zip(some, asking.scores(keep), strict=True):
                drop[r : r + side, c : c + side] += asking.f_x0 - score
                covered[r : r + side, c : c + side] += 1.0
        return MethodMap(resized(drop / np.maximum(covered, 1.0), map_shape(self.shape, image)), asking.spent)

    def least_for(self, height: int, width: int) -> int:
        """f(x0) and the patches of the stride that is given, or of the largest one."""
        rows, columns = self._starts(height, width, self._strides(height, width)[-1])
        return 1 + len(rows) * len(columns)

    def _side(self, height: int, width: int) -> int:
        return max(round(self.patch * min(height, width) / 224), 1)

    def _strides(self, height: int, width: int) -> Sequence[int]:
        finest_first = range(1, max(height, width, 2))
        return finest_first if self.stride is None else [max(round(self.stride * min(height, width) / 224), 1)]

    def _starts(self, height: int, width: int, stride: int) -> tuple[list[int], list[int]]:
        side = self._side(height, width)
        rows, columns = (sorted({*range(0, size - side, stride), max(size - side, 0)}) for size in (height, width))
        return rows, columns

    def _paid(self, height: int, width: int, most: int) -> tuple[list[int], list[int]]:
        for stride in self._strides(height, width):
            rows, columns = self._starts(height, width, stride)
            if len(rows) * len(columns) <= most:
                return rows, columns
        got = f"{most + 1} with stride {self.stride}"
        raise ValueError(invalid(self.name, "n_queries", got, f"at least {self.least_for(height, width)}"))
