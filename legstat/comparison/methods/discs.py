"""Occlusion by soft discs: the variants of the mask paper's supplement (Fong and Vedaldi, 2017, section 4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import scipy

from legstat._core.errors import invalid
from legstat._core.typing import FloatArray, IntArray
from legstat.comparison.asking import Asking, map_shape, resized
from legstat.comparison.method import MethodMap
from legstat.metrics.references import ReferenceName
from legstat.responses.base import Response

_TOGETHER = 64  # masks at pixel resolution that are made at once: 26 MB at 224 x 224
_LOG_AREA = (7.5060, 1.2848)
"""Mean and standard deviation of the log area of objects, in pixels of 224 x 224, as the supplement fits them."""
_ROW = (116.0759, 47.5054)
"""Mean and standard deviation of the row of their boxes' centres; columns are uniform."""


class Discs:
    """Discs with softened edges, on pictures of one size.

    Parameters
    ----------
    height, width : int
        Of the pictures.
    softness : float
        Standard deviation of the Gaussian that softens the edges, in pixels.
    """

    def __init__(self, height: int, width: int, softness: float) -> None:
        self.height, self.width, self.softness = height, width, softness
        self._whole: dict[int, FloatArray] = {}

    def masks(self, centres: IntArray, radii: IntArray) -> FloatArray:
        """1 inside, 0 outside, soft between: shape (n, height, width) for centres (n, 2) and radii (n,) in pixels."""
        found = np.empty((len(radii), self.height, self.width))
        for mask, (row, column), radius in zip(found, centres.tolist(), radii.tolist(), strict=True):
            top, left = self.height - row, self.width - column
            mask[:] = self._disc(radius)[top : top + self.height, left : left + self.width]
        return found

    def _disc(self, radius: int) -> FloatArray:
        """One in the middle of a canvas that holds the picture at every place of it."""
        if radius not in self._whole:
            y, x = np.arange(2 * self.height + 1) - self.height, np.arange(2 * self.width + 1) - self.width
            inside = (y[:, None] ** 2 + x[None, :] ** 2 <= radius**2).astype(np.float64)
            self._whole[radius] = scipy.ndimage.gaussian_filter(inside, self.softness)
        return self._whole[radius]


@dataclass(frozen=True)
class BlurOcclusion:
    """Occlusion by a sliding soft disc that blurs what it covers (the mask paper's supplement, 4.1).

    Parameters
    ----------
    shape : tuple of int, optional
        Cells of the map, means over its pixels.
        By default as many as `legstat.explain` takes.
    diameter : int, default 35
        Of the disc in pixels of a picture of 224; in proportion for others.
    stride : int, optional
        Pixels of 224 between discs (there: 8, which makes 784 of them). By default the smallest whole number of
        pixels that the budget pays.
    softness : float, default 10.0
        Standard deviation, in pixels of 224, of the Gaussian that softens the disc's edge.
    baseline : str, default "blur"
        What the disc shows: a blur of 10 pixels of 224.

    Examples
    --------
    >>> import legstat as ls
    >>> f = ls.simulate.linear(np.array([[1.0, 0.0], [0.0, 0.0]]))
    >>> BlurOcclusion((2, 2), baseline="black")(f, np.ones((1, 8, 8)), 65, 0).saliency.argmax().item()
    0
    """

    shape: tuple[int, int] | None = None
    diameter: int = 35
    stride: int | None = None
    softness: float = 10.0
    baseline: ReferenceName = "blur"
    name: str = "occlusion_blur"
    least: int = 5

    def __call__(self, response: Response, image: FloatArray, n_queries: int, rng: Any) -> MethodMap:
        """The map: the mean drop of the score, each disc weighted by how much of the pixel it covers."""
        height, width = image.shape[-2:]
        unit = min(height, width) / 224
        centres = self._paid(height, width, n_queries - 1)
        asking = Asking(self.name, response, image, n_queries, self.baseline)
        radii = np.full(len(centres), max(round(self.diameter * unit / 2), 1))
        _, found = mean_drops(asking, Discs(height, width, self.softness * unit), centres, radii)
        return MethodMap(resized(found, map_shape(self.shape, image)), asking.spent)

    def least_for(self, height: int, width: int) -> int:
        """f(x0) and the discs of the stride that is given, or of the largest one."""
        return 1 + len(self.centres(height, width, self._strides(height, width)[-1]))

    def centres(self, height: int, width: int, stride: int) -> IntArray:
        """Rows and columns of the discs' centres, shape (n, 2)."""
        rows, columns = (np.arange(min(stride // 2, size - 1), size, stride) for size in (height, width))
        return np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)

    def _strides(self, height: int, width: int) -> Sequence[int]:
        finest_first = range(1, max(height, width, 2))
        return finest_first if self.stride is None else [max(round(self.stride * min(height, width) / 224), 1)]

    def _paid(self, height: int, width: int, most: int) -> IntArray:
        for stride in self._strides(height, width):
            found = self.centres(height, width, stride)
            if len(found) <= most:
                return found
        got = f"{most + 1} with stride {self.stride}"
        raise ValueError(invalid(self.name, "n_queries", got, f"at least {self.least_for(height, width)}"))


@dataclass(frozen=True)
class VariableOcclusion:
    r"""Occlusion by soft discs of random size and place that blur what they cover (the supplement, 4.1).

    A disc's area is log-normal and its row normal, with the parameters that the supplement fits to objects of a large
    collection of photographs; its column is uniform.

    Parameters
    ----------
    shape : tuple of int, optional
        Cells of the map, means over its pixels.
        By default as many as `legstat.explain` takes.
    rule : {"mean", "point"}, default "mean"
        "mean": the mean drop of the score, each disc weighted by how much of the pixel it covers. "point", the
        supplement's for the pointing game: of the tenth of the discs that suppress most, the smallest one; the map is
        minus the distance to its centre.
    softness : float, default 10.0
        Standard deviation, in pixels of 224, of the Gaussian that softens a disc's edge.
    baseline : str, default "blur"
        What a disc shows.

    Examples
    --------
    >>> import legstat as ls
    >>> f = ls.simulate.linear(np.array([[1.0, 0.0], [0.0, 0.0]]))
    >>> VariableOcclusion((2, 2), baseline="black")(f, np.ones((1, 8, 8)), 200, 0).saliency.argmax().item()
    0
    """

    shape: tuple[int, int] | None = None
    rule: Literal["mean", "point"] = "mean"
    softness: float = 10.0
    baseline: ReferenceName = "blur"
    name: str = "occlusion_variable"
    least: int = 11

    def __call__(self, response: Response, image: FloatArray, n_queries: int, rng: Any) -> MethodMap:
        """The map; every evaluation but f(x0) is a disc."""
        height, width = image.shape[-2:]
        unit = min(height, width) / 224
        asking = Asking(self.name, response, image, n_queries, self.baseline)
        centres, radii = self.draw(asking.left, height, width, np.random.default_rng(rng))
        drops, found = mean_drops(asking, Discs(height, width, self.softness * unit), centres, radii)
        if self.rule == "point":
            best = np.argsort(-drops, kind="stable")[: -(-len(drops) // 10)]
            row, column = centres[best[np.argmin(radii[best])]]
            found = -np.hypot(np.arange(height)[:, None] - row, np.arange(width)[None, :] - column)
        return MethodMap(resized(found, map_shape(self.shape, image)), asking.spent)

    def draw(self, n: int, height: int, width: int, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
        """Centres (n, 2) within the picture and radii (n,) >= 1, in whole pixels."""
        area = rng.lognormal(*_LOG_AREA, n) * (height * width / 224**2)
        rows = rng.normal(*_ROW, n) * height / 224
        centres = np.stack([np.clip(np.round(rows), 0, height - 1), rng.integers(0, width, n)], axis=1)
        radii = np.clip(np.round(np.sqrt(area / np.pi)), 1, height + width)
        return centres.astype(np.int64), radii.astype(np.int64)


def mean_drops(asking: Asking, discs: Discs, centres: IntArray, radii: IntArray) -> tuple[FloatArray, FloatArray]:
    """Drop of the score under each disc, shape (n,), and their mean over each pixel by its share of the discs."""
    drops = np.empty(len(radii))
    weighted, total = (np.zeros(asking.image.shape[-2:]) for _ in range(2))
    for at in range(0, len(radii), _TOGETHER):
        here = slice(at, at + _TOGETHER)
        masks = discs.masks(centres[here], radii[here])
        drops[here] = asking.f_x0 - asking.scores(1.0 - masks)
        weighted += np.einsum("n,nij->ij", drops[here], masks)
        total += masks.sum(axis=0)
    return drops, weighted / np.maximum(total, 1e-12)
