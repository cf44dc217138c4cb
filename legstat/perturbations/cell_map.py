"""The realised z of each cell as a function of its z, exactly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from legstat._core.typing import FloatArray, IntArray
from legstat.designs.grid import Grid

Block = tuple[slice, slice]
"""Neighbouring rows and columns of cells."""


@dataclass(frozen=True, eq=False)
class CellMap:
    """Piecewise linear maps from each cell's z to its realised z, one per plane and cell.

    Attributes
    ----------
    knots, values : ndarray of shape (planes, p, k)
        Non-decreasing knots and the maps' values there; constant beyond the first and the last knot.
    """

    knots: FloatArray
    values: FloatArray

    @np.errstate(under="ignore")
    def __call__(self, z: FloatArray) -> FloatArray:
        """Realised z for z of shape (n, planes, p); same shape."""
        realised = np.empty_like(z)
        for plane in range(z.shape[1]):
            for cell in range(z.shape[2]):
                realised[:, plane, cell] = np.interp(
                    z[:, plane, cell], self.knots[plane, cell], self.values[plane, cell]
                )
        return realised

    @np.errstate(under="ignore")
    def keeps(self, bound: float) -> bool:
        """Whether every z within [-bound, bound] is realised as it is."""
        # a piecewise linear map is the identity where it is at the ends and at every knot between them
        ends = np.broadcast_to([-bound, bound], (*self.knots.shape[:2], 2))
        z = np.moveaxis(np.concatenate([ends, np.clip(self.knots, -bound, bound)], axis=-1), -1, 0)
        return bool(np.allclose(self(z), z, rtol=0.0, atol=1e-12 * bound))

    @np.errstate(under="ignore")
    def odd_part(self) -> CellMap:
        """The maps z -> (phi(z) - phi(-z)) / 2: what a pair z, -z realises of its direction."""
        knots = np.sort(np.concatenate([self.knots, -self.knots], axis=-1), axis=-1)
        n = np.moveaxis(knots, -1, 0)
        values = (self(n) - self(-n)) / 2.0
        return CellMap(knots, np.moveaxis(values, 0, -1))


def pixels_by_cell(image: FloatArray, grid: Grid) -> Iterator[tuple[Block, FloatArray]]:
    """The pixels (cells, C, k) of each block of cells of one size: the whole grid, or up to four blocks."""
    tiling = grid.tiling(*image.shape[-2:])
    top = 0
    for rows, h in _runs(tiling.heights):
        n_rows, left = rows.stop - rows.start, 0
        for columns, w in _runs(tiling.widths):
            n_columns = columns.stop - columns.start
            part = image[:, top : top + n_rows * h, left : left + n_columns * w]
            cells = part.reshape(len(image), n_rows, h, n_columns, w).transpose(1, 3, 0, 2, 4)
            yield (rows, columns), cells.reshape(n_rows * n_columns, len(image), h * w)
            left += n_columns * w
        top += n_rows * h


@np.errstate(under="ignore")
def clipped_sum(pixels: FloatArray) -> CellMap:
    """Mean over the pixels x (planes, p, n) of clip(x + z, 0, 1) - x: knots at -x and 1 - x of every pixel."""
    knots = np.sort(np.concatenate([-pixels, 1.0 - pixels], axis=-1), axis=-1)
    # between neighbouring knots the slope is the share of pixels that neither end clips: integrate it upwards
    # from the lowest knot, where every pixel is black
    low, high = np.sort(-pixels, axis=-1), np.sort(1.0 - pixels, axis=-1)
    opened = _counts(low, knots[..., :-1])
    closed = _counts(high, knots[..., :-1])
    steps = (opened - closed) / pixels.shape[-1] * np.diff(knots, axis=-1)
    start = -pixels.mean(axis=-1, keepdims=True)
    return CellMap(knots, np.concatenate([start, start + np.cumsum(steps, axis=-1)], axis=-1))


def joined(shape: tuple[int, int], blocks: list[tuple[Block, CellMap]]) -> CellMap:
    """One map of all the grid's cells; where a cell has fewer knots than others its last one is repeated."""
    if len(blocks) == 1:
        return blocks[0][1]
    planes, most = len(blocks[0][1].knots), max(part.knots.shape[-1] for _, part in blocks)

    def placed(arrays: list[FloatArray]) -> FloatArray:
        full = np.empty((planes, *shape, most))
        for ((rows, columns), _), array in zip(blocks, arrays, strict=True):
            filled = np.pad(array, ((0, 0), (0, 0), (0, most - array.shape[-1])), mode="edge")
            here = full[:, rows, columns]
            here[...] = filled.reshape(here.shape)
        return full.reshape(planes, -1, most)

    return CellMap(placed([part.knots for _, part in blocks]), placed([part.values for _, part in blocks]))


def _runs(sizes: IntArray) -> Iterator[tuple[slice, int]]:
    """Neighbours of one size, and that size."""
    larger = int(np.sum(sizes == sizes[0]))
    for run in (slice(0, larger), slice(larger, len(sizes))):
        if run.start < run.stop:
            yield run, int(sizes[run.start])


def _counts(sorted_values: FloatArray, at: FloatArray) -> FloatArray:
    """For each row, how many sorted values are <= each entry of `at`; both of shape (planes, p, .)."""
    flat_values, flat_at = sorted_values.reshape(-1, sorted_values.shape[-1]), at.reshape(-1, at.shape[-1])
    counts = [np.searchsorted(v, a, side="right") for v, a in zip(flat_values, flat_at, strict=True)]
    return np.asarray(counts, dtype=np.float64).reshape(at.shape)
