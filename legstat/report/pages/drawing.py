"""What a page draws, as text that stands in it: pictures, arrays, outlines of regions, curves."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

from legstat._core.typing import AnyArray, BoolArray, FloatArray, IntArray
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
    rows, columns = (np.arange(n) * values.shape[axis] // n for axis, n in enumerate(shape))
    colours = _coloured(values[np.ix_(rows, columns)], float(np.abs(values).max()) or 1.0, signed)
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


def outline(regions: IntArray | BoolArray) -> str:
    """The lines between regions, and around those that reach the edge, as the path of an SVG in units of cells.

    Parameters
    ----------
    regions : ndarray of shape (p1, p2)
        Numbers of regions, or which cells belong to one; what is below 1 lies outside.

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
    horizontal = [f"M{a} {i}h{b - a}" for i, row in enumerate(across) for a, b in _runs(row)]
    return "".join(horizontal + [f"M{j} {a}v{b - a}" for j, row in enumerate(down) for a, b in _runs(row)])


def polyline(xs: Sequence[float], ys: Sequence[float], bounds: tuple[float, float]) -> str:
    """Points of a curve over [0, 1] x `bounds`, in an SVG of 100 x 100 whose y runs down."""
    low, high = bounds
    span = (high - low) or 1.0
    return " ".join(f"{100.0 * x:.4g},{100.0 * (high - y) / span:.4g}" for x, y in zip(xs, ys, strict=True))


def _coloured(values: FloatArray, limit: float, signed: bool) -> NDArray[np.uint8]:
    """Colours of values up to a limit, RGB of shape (..., 3)."""
    places = values / limit
    return np.take(palette(signed), np.rint(255.0 * ((places + 1.0) / 2.0 if signed else places)).astype(int), axis=0)


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
