"""How a picture is cut into cells."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from legstat._core.typing import IntArray
from legstat._core.values import read_only


@dataclass(frozen=True, eq=False)
class Tiling:
    """A picture cut into rows and columns of cells, of equal size where the grid divides it.

    Elsewhere, as `numpy.array_split` cuts, the first rows (and columns) of cells have a pixel more than the others.

    Attributes
    ----------
    heights, widths : ndarray of shape (p1,) and (p2,)
        Pixels of each row and of each column of cells.

    Examples
    --------
    >>> tiling = Tiling.of((3, 2), 8, 4)
    >>> tiling.heights, tiling.widths, tiling.even
    (array([3, 3, 2]), array([2, 2]), False)
    """

    heights: IntArray
    widths: IntArray

    @classmethod
    def of(cls, shape: tuple[int, int], height: int, width: int) -> Self:
        """A picture of so many pixels in so many cells a side, at most one a pixel."""
        return cls(_cut(height, shape[0]), _cut(width, shape[1]))

    @cached_property
    def even(self) -> bool:
        """Whether all cells have one size."""
        return bool(self.heights[0] == self.heights[-1] and self.widths[0] == self.widths[-1])

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of pixels of the largest cell: of every cell where the tiling is even."""
        return int(self.heights[0]), int(self.widths[0])

    @property
    def repeats(self) -> tuple[int | IntArray, int | IntArray]:
        """How often `numpy.repeat` is to repeat a cell's number down and across: one number where all are equal."""
        return self.size if self.even else (self.heights, self.widths)

    @property
    def row_of(self) -> IntArray:
        """The row of cells of each row of pixels, shape (height,)."""
        return np.repeat(np.arange(len(self.heights)), self.heights)

    @property
    def column_of(self) -> IntArray:
        """The column of cells of each column of pixels, shape (width,)."""
        return np.repeat(np.arange(len(self.widths)), self.widths)


def _cut(pixels: int, cells: int) -> IntArray:
    sizes = np.full(cells, pixels // cells, dtype=np.int64)
    sizes[: pixels % cells] += 1
    return read_only(sizes)
