"""What a page draws, as text that stands in it: pictures, arrays, outlines of regions, curves."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

from legstat._core.typing import AnyArray, BoolArray, FloatArray, IntArray
from legstat.designs.grid import Grid
from legstat.report.colours import grey_levels, palette

_SMALL = 64
"""Sides up to which every pixel counts: such pictures are kept without loss."""
_THUMBNAIL = 96
_LARGEST_INT16 = 32767


def is_small(pixels: NDArray[np.uint8]) -> bool:
    """Whether every pixel of a picture is to be seen."""
    return bool(max(pixels.shape[:2]) <= _SMALL)


def picture_uri(pixels: NDArray[np.uint8]) -> str:
    """A picture inside the page: without loss where it is small, else as WebP.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (H, W, C)
        Grey or RGB; of other channels their mean.

    Returns
    -------
    str
        A data address.
    """
    return _uri(_image(pixels), lossless=is_small(pixels), quality=90)


def thumbnail_uri(pixels: NDArray[np.uint8], values: FloatArray, signed: bool) -> str:
    """The map over its picture, 96 pixels a side at most, for galleries.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (H, W, C)
        The picture.
    values : ndarray of shape (p1, p2)
        The map.
    signed : bool
        Whether white stands for 0 in the middle of the colours.

    Returns
    -------
    str
        A data address.
    """
    height, width = pixels.shape[:2]
    scale = _THUMBNAIL / max(height, width)
    shape = max(1, round(height * scale)), max(1, round(width * scale))
    rows, columns = (np.arange(n) * whole // n for n, whole in zip(shape, (height, width), strict=True))
    lifted = Grid((values.shape[0], values.shape[1])).lift(values, height, width)
    colours = _coloured(lifted[np.ix_(rows, columns)], float(np.abs(values).max()) or 1.0, signed)
    small = _image(pixels).resize(
        (shape[1], shape[0]), Image.Resampling.BILINEAR if scale < 1 else Image.Resampling.BOX
    )
    grey = grey_levels(np.moveaxis(np.atleast_3d(np.asarray(small, dtype=float)), -1, 0)) / 255.0
    shade = (0.5 + 0.5 * grey)[..., None]  # as maps over pictures are drawn elsewhere
    return _uri(Image.fromarray(np.rint(shade * colours).astype(np.uint8)), lossless=False, quality=75)


def map_uri(values: FloatArray, limit: float) -> str:
    """A signed map, a pixel a cell.

    Parameters
    ----------
    values : ndarray of shape (p1, p2)
        The map.
    limit : float
        Absolute value at the ends of the colours.

    Returns
    -------
    str
        A data address.
    """
    return _uri(Image.fromarray(_coloured(values, limit, signed=True)), lossless=True, quality=100)


def packed(values: AnyArray, dtype: str) -> str:
    """An array's bytes, little-endian in C order, in base64."""
    return base64.b64encode(np.ascontiguousarray(values, dtype=dtype).tobytes()).decode("ascii")


def quantised(maps: AnyArray) -> tuple[str, list[float]]:
    """Maps as whole numbers of 16 bits, each with the value of one step.

    Parameters
    ----------
    maps : ndarray of shape (k, p1, p2)
        The maps.

    Returns
    -------
    text : str
        The whole numbers in base64.
    steps : list of float
        What one is worth in each map: its largest absolute value over 32,767, so that every value is within half of
        1/32,767 of that.
    """
    steps = np.abs(maps).reshape(len(maps), -1).max(axis=1).astype(np.float64) / _LARGEST_INT16
    divisors = np.where(steps > 0, steps, 1.0)[:, None, None]
    return packed(np.rint(maps / divisors), "<i2"), steps.tolist()


@dataclass(frozen=True)
class Edges:
    """Where cells begin and end, in the largest unit of which every cell has a whole number.

    That is a cell where all have one size, else a pixel: cells of 28 columns on 227 pixels are 8 or 9 wide.

    Attributes
    ----------
    rows, columns : list of int
        Edges from 0 to the whole height, and to the whole width: one more than there are cells.

    Examples
    --------
    >>> Edges.of((2, 3), 8, 8)
    Edges(rows=[0, 1, 2], columns=[0, 3, 6, 8])
    """

    rows: list[int]
    columns: list[int]

    @classmethod
    def of(cls, shape: tuple[int, int], height: int, width: int) -> Self:
        """Of a grid on a picture of so many pixels."""
        tiling = Grid(shape).tiling(height, width)
        return cls(*(_from_0(sizes // np.gcd.reduce(sizes)) for sizes in (tiling.heights, tiling.widths)))

    @classmethod
    def even(cls, shape: tuple[int, int]) -> Self:
        """Of a grid without a picture."""
        return cls(*(list(range(count + 1)) for count in shape))


def outline(regions: IntArray | BoolArray, edges: Edges | None = None) -> str:
    """The lines between regions, and around those that reach the edge, as the path of an SVG.

    Parameters
    ----------
    regions : ndarray of shape (p1, p2)
        Numbers of regions, or which cells belong to one; what is below 1 lies outside.
    edges : Edges, optional
        Where cells begin and end; all of one size unless given.

    Returns
    -------
    str
        Horizontal and vertical lines, those that go on joined into one.

    Examples
    --------
    >>> outline(np.array([[True, True], [False, False]]))
    'M0 0h2M0 1h2M0 0v1M2 0v1'
    """
    inside = np.maximum(np.asarray(regions, dtype=np.int64), 0)
    framed = np.pad(inside, 1)
    across = framed[1:, 1:-1] != framed[:-1, 1:-1]  # a line above row i of the grid, for i = 0..p1
    down = (framed[1:-1, 1:] != framed[1:-1, :-1]).T
    at = edges or Edges.even((inside.shape[0], inside.shape[1]))
    x, y = at.columns, at.rows
    horizontal = [f"M{x[a]} {y[i]}h{x[b] - x[a]}" for i, row in enumerate(across) for a, b in _runs(row)]
    return "".join(horizontal + [f"M{x[j]} {y[a]}v{y[b] - y[a]}" for j, row in enumerate(down) for a, b in _runs(row)])


def polyline(xs: Sequence[float], ys: Sequence[float], bounds: tuple[float, float]) -> str:
    """Points of a curve over [0, 1] x `bounds`, in an SVG of 100 x 100 whose y runs down."""
    low, high = bounds
    span = (high - low) or 1.0
    return " ".join(f"{100.0 * x:.4g},{100.0 * (high - y) / span:.4g}" for x, y in zip(xs, ys, strict=True))


def _coloured(values: FloatArray, limit: float, signed: bool) -> NDArray[np.uint8]:
    """Colours of values up to a limit, RGB of shape (..., 3)."""
    places = values / limit
    return np.take(palette(signed), np.rint(255.0 * ((places + 1.0) / 2.0 if signed else places)).astype(int), axis=0)


def _from_0(sizes: IntArray) -> list[int]:
    return [0, *np.cumsum(sizes).tolist()]


def _runs(row: BoolArray) -> list[tuple[int, int]]:
    """First and past-the-last position of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], row.astype(np.int8), [0]))))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _image(pixels: NDArray[np.uint8]) -> Image.Image:
    if pixels.shape[-1] == 3:
        return Image.fromarray(pixels)
    return Image.fromarray(np.rint(pixels.mean(axis=-1)).astype(np.uint8))


def _uri(image: Image.Image, *, lossless: bool, quality: int) -> str:
    stream = io.BytesIO()
    if lossless or not features.check("webp"):
        image.save(stream, format="PNG", optimize=True)
        kind = "png"
    else:
        image.save(stream, format="WEBP", quality=quality)
        kind = "webp"
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
