"""How a mask of few cells becomes one of pixels: linear, and separable into rows and columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from legstat._core.errors import invalid
from legstat._core.typing import FloatArray, IntArray
from legstat.designs.grid import Grid


@dataclass(frozen=True, eq=False)
class Between:
    """Linear interpolation along one axis: where each pixel lies between the centres of two cells.

    Attributes
    ----------
    first, second : ndarray of shape (pixels,)
        The two cells.
    share : ndarray of shape (pixels,)
        How far on the way from the first to the second, in [0, 1].

    Examples
    --------
    >>> between = Between.of(2, 4)
    >>> between.first, between.second, between.share
    (array([0, 0, 0, 0]), array([1, 1, 1, 1]), array([0.  , 0.25, 0.75, 1.  ]))
    """

    first: IntArray
    second: IntArray
    share: FloatArray

    @classmethod
    def of(cls, n: int, pixels: int, *, corners: bool = False) -> Between:
        """For n cells and so many pixels; `corners` as for `Lift.bilinear`."""
        at = np.arange(pixels) * ((n - 1) / max(pixels - 1, 1)) if corners else (np.arange(pixels) + 0.5) * n / pixels
        at = np.clip(at if corners else at - 0.5, 0.0, n - 1.0)
        first = np.minimum(np.floor(at).astype(np.int64), max(n - 2, 0))
        return cls(first, np.minimum(first + 1, n - 1), at - first)


@dataclass(frozen=True, eq=False)
class Lift:
    r"""up(M) = R M C^T: each pixel's level is a weighted mean of cells' levels.

    Parameters
    ----------
    rows : ndarray of shape (H, r1)
        R; non-negative, each row sums to 1, so that levels in [0, 1] stay there.
    columns : ndarray of shape (W, r2)
        C, likewise.

    Examples
    --------
    >>> lift = Lift.bilinear((2, 2), (4, 4))
    >>> lift.up(np.array([[0.0, 1.0], [0.0, 1.0]]))[0]
    array([0.  , 0.25, 0.75, 1.  ])
    """

    rows: FloatArray
    columns: FloatArray

    @classmethod
    def bilinear(cls, shape: tuple[int, int], size: tuple[int, int], *, corners: bool = False) -> Lift:
        """Bilinear interpolation between the cells' centres (I-GOS paper, eq. 9), flat beyond the outermost.

        With `corners` the outermost cells lie on the picture's outermost pixels, as in both codes of the field.
        """
        return cls(*(_bilinear(n, pixels, corners) for n, pixels in zip(shape, size, strict=True)))

    @classmethod
    def repeated(cls, shape: tuple[int, int], size: tuple[int, int]) -> Lift:
        """Every pixel takes its cell's level."""
        tiling = Grid(shape).tiling(*size)
        return cls(*(np.eye(n)[cells] for n, cells in zip(shape, (tiling.row_of, tiling.column_of), strict=True)))

    @classmethod
    def gaussian(cls, shape: tuple[int, int], size: tuple[int, int], sigma: float) -> Lift:
        r"""Weights :math:`g_\sigma(v - u)` of pixel v and cell centre u, normalised (mask paper, below eq. 4).

        `sigma` is in pixels of a picture with a short side of 224 (the paper's is 5), and in proportion for others.
        """
        width = sigma * min(size) / 224.0
        return cls(*(_gaussian(n, pixels, width) for n, pixels in zip(shape, size, strict=True)))

    def blurred(self, sigma: float) -> Lift:
        """This lift and then a Gaussian blur of the pixels, `sigma` as for `gaussian` (mask paper, authors' code)."""
        height, width = self.size
        smooth = Lift.gaussian((height, width), (height, width), sigma)
        return Lift(smooth.rows @ self.rows, smooth.columns @ self.columns)

    @property
    def shape(self) -> tuple[int, int]:
        """Cells of the mask."""
        return self.rows.shape[1], self.columns.shape[1]

    @property
    def size(self) -> tuple[int, int]:
        """Pixels of the picture."""
        return self.rows.shape[0], self.columns.shape[0]

    def up(self, masks: FloatArray) -> FloatArray:
        """Masks (..., r1, r2) at pixels (..., H, W)."""
        return np.asarray(self.rows @ masks @ self.columns.T, dtype=np.float64)

    def down(self, gradients: FloatArray) -> FloatArray:
        """The adjoint, R^T G C: gradients at pixels (..., H, W) as gradients at cells (..., r1, r2)."""
        return np.asarray(self.rows.T @ gradients @ self.columns, dtype=np.float64)


def check_mask_shape(where: str, shape: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """A mask's shape that the picture has pixels for, or ValueError."""
    if shape[0] > size[0] or shape[1] > size[1]:
        remedy = "A mask has at most a cell a pixel."
        raise ValueError(invalid(where, "shape", shape, f"at most {size}, the picture's rows and columns", remedy))
    return shape


def _bilinear(n: int, pixels: int, corners: bool) -> FloatArray:
    between = Between.of(n, pixels, corners=corners)
    weights = np.zeros((pixels, n))
    weights[np.arange(pixels), between.first] = 1.0 - between.share
    weights[np.arange(pixels), between.second] += between.share
    return weights


@np.errstate(under="ignore")
def _gaussian(n: int, pixels: int, width: float) -> FloatArray:
    centres = (np.arange(n) + 0.5) * pixels / n - 0.5
    distance = (np.arange(pixels)[:, None] - centres) / width
    # relative to the nearest cell, so that a narrow kernel between two cells does not vanish
    weights = np.exp(-0.5 * (distance**2 - np.min(distance**2, axis=1, keepdims=True)))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float64)
