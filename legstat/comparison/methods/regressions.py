"""Methods that regress the score on which parts are shown: LIME on cells and on superpixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

from legstat._core.optional import optional_module
from legstat._core.typing import FloatArray, IntArray
from legstat.comparison.asking import Asking, map_shape, resized
from legstat.comparison.method import MethodMap
from legstat.metrics.references import ReferenceName
from legstat.responses.base import Response

_TOGETHER = 64


def lime_weights(shown: FloatArray, width: float = 0.25) -> FloatArray:
    r"""LIME's weight of each row of 0 and 1: :math:`e^{-d^2 / w^2}`, d the cosine distance to a row of ones, (n,)."""
    distance = 1.0 - np.sqrt(shown.mean(axis=1))
    return np.asarray(np.exp(-((distance / width) ** 2)), dtype=np.float64)


def weighted_ridge(shown: FloatArray, scores: FloatArray, weights: FloatArray, penalty: float = 1.0) -> FloatArray:
    r"""Coefficients of the ridge regression with an intercept that is not penalised, shape (d,).

    .. math:: \min_{a, g} \sum_i w_i (y_i - a - g^T x_i)^2 + \lambda \|g\|^2
    """
    total = weights.sum()
    x = shown - weights @ shown / total
    y = scores - weights @ scores / total
    gram = (x * weights[:, None]).T @ x + penalty * np.eye(x.shape[1])
    return np.asarray(scipy.linalg.solve(gram, x.T @ (weights * y), assume_a="pos"), dtype=np.float64)


@dataclass(frozen=True)
class LimeCells:
    """LIME with square cells in place of superpixels (Ribeiro, Singh and Guestrin, 2016).

    Parameters
    ----------
    shape : tuple of int, optional
        Cells of the map.
        By default as many as `legstat.explain` takes.
    cells : int, default 14
        Cells along a side that are switched on and off, each with probability 1/2; at most one a pixel.
    baseline : str, default "blur"
        What a cell that is off shows.

    Examples
    --------
    >>> import legstat as ls
    >>> f = ls.simulate.linear(np.eye(2))
    >>> LimeCells((2, 2), cells=2, baseline="black")(f, np.ones((1, 4, 4)), 400, 0).saliency.round(1) + 0.0
    array([[1., 0.],
           [0., 1.]])
    """

    shape: tuple[int, int] | None = None
    cells: int = 14
    baseline: ReferenceName = "blur"
    name: str = "lime_cells"
    least: int = 3

    def __call__(self, response: Response, image: FloatArray, n_queries: int, rng: Any) -> MethodMap:
        """The map; every evaluation but f(x0) is a draw."""
        asking = Asking(self.name, response, image, n_queries, self.baseline)
        rows, columns = (min(self.cells, size) for size in image.shape[-2:])
        shown = np.random.default_rng(rng).integers(0, 2, (asking.left, rows * columns)).astype(np.float64)
        scores = asking.scores(shown.reshape(-1, rows, columns))
        found = weighted_ridge(shown, scores, lime_weights(shown)).reshape(rows, columns)
        return MethodMap(resized(found, map_shape(self.shape, image)), asking.spent)


@dataclass(frozen=True)
class LimeSuperpixels:
    """LIME on superpixels of the picture (Ribeiro, Singh and Guestrin, 2016), segmented by SLIC.

    Parameters
    ----------
    shape : tuple of int, optional
        Cells of the map, means over its pixels.
        By default as many as `legstat.explain` takes.
    segments : int, default 50
        Superpixels that SLIC is asked for.
    baseline : str, default "blur"
        What a superpixel that is off shows.

    Raises
    ------
    BackendUnavailableError
        scikit-image is missing (extra ``compare``).

    Examples
    --------
    >>> import legstat as ls
    >>> image = np.kron(np.array([[[0.2, 0.9], [0.9, 0.2]]]), np.ones((8, 8)))
    >>> f = ls.simulate.linear(np.array([[0.0, 0.0], [1.0, 0.0]]))
    >>> LimeSuperpixels((2, 2), segments=4, baseline="black")(f, image, 200, 0).saliency.argmax().item()
    2
    """

    shape: tuple[int, int] | None = None
    segments: int = 50
    baseline: ReferenceName = "blur"
    name: str = "lime_superpixels"
    least: int = 3

    def __call__(self, response: Response, image: FloatArray, n_queries: int, rng: Any) -> MethodMap:
        """The map; every evaluation but f(x0) is a draw."""
        labels = superpixels(image, self.segments)
        asking = Asking(self.name, response, image, n_queries, self.baseline)
        shown = np.random.default_rng(rng).integers(0, 2, (asking.left, int(labels.max()) + 1)).astype(np.float64)
        found = weighted_ridge(shown, scores_of_segments(asking, shown, labels), lime_weights(shown))
        return MethodMap(resized(found[labels], map_shape(self.shape, image)), asking.spent)


def superpixels(image: FloatArray, segments: int) -> IntArray:
    """Labels from 0 of SLIC's superpixels, shape (H, W)."""
    segmentation = optional_module("skimage.segmentation", "scikit-image", "compare", "Superpixels of a picture")
    channels = image if len(image) == 3 else np.repeat(image[:1], 3, axis=0)
    found = segmentation.slic(channels.transpose(1, 2, 0), n_segments=segments, compactness=10, start_label=0)
    # numbered without gaps, whatever the segmentation left out
    _, labels = np.unique(found, return_inverse=True)
    return np.asarray(labels.reshape(found.shape), dtype=np.int64)


def scores_of_segments(asking: Asking, shown: FloatArray, labels: IntArray) -> FloatArray:
    """Scores of pictures that show the segments with 1 in each row of `shown`, shape (n,)."""
    starts, half = range(0, len(shown), _TOGETHER), shown.astype(np.float32)  # exact, and half of what is moved
    return np.concatenate([asking.scores(half[at : at + _TOGETHER][:, labels]) for at in starts])
