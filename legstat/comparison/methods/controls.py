"""Maps that ask nothing: chance, the centre, and the picture's edges. What a method must beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

from legstat._core.typing import FloatArray
from legstat.comparison.asking import map_shape, resized
from legstat.comparison.method import MethodMap
from legstat.responses.base import Response


@dataclass(frozen=True)
class RandomMap:
    """Independent uniform numbers.

    Parameters
    ----------
    shape : tuple of int, optional
        Cells of the map.
        By default as many as `legstat.explain` takes.

    Examples
    --------
    >>> import legstat as ls
    >>> RandomMap((2, 2))(ls.as_response(len), np.zeros((1, 4, 4)), 0, 0).saliency.shape
    (2, 2)
    """

    shape: tuple[int, int] | None = None
    name: str = "random"
    least: int = 0

    def __call__(self, response: Response, image: FloatArray, n_queries: int, rng: Any) -> MethodMap:
        """The map; nothing is evaluated."""
        return MethodMap(np.random.default_rng(rng).random(map_shape(self.shape, image)), 0)


@dataclass(frozen=True)
class CentreMap:
    """Minus the distance from the picture's centre: objects tend to be there.

    Parameters
    ----------
    shape : tuple of int, optional
        Cells of the map.
        By default as many as `legstat.explain` takes.

    Examples
    --------
    >>> import legstat as ls
    >>> CentreMap((1, 3))(ls.as_response(len), np.zeros((1, 4, 6)), 0, 0).saliency
    array([[-2., -0., -2.]])
    """

    shape: tuple[int, int] | None = None
    name: str = "centre"
    least: int = 0

    def __call__(self, response: Response, image: FloatArray, n_queries: int, rng: Any) -> MethodMap:
        """The map; nothing is evaluated."""
        height, width = image.shape[-2:]
        rows, columns = map_shape(self.shape, image)
        y = (np.arange(rows) + 0.5) * height / rows - height / 2.0
        x = (np.arange(columns) + 0.5) * width / columns - width / 2.0
        return MethodMap(-np.hypot(y[:, None], x[None, :]), 0)


@dataclass(frozen=True)
class EdgeMap:
    """Strength of the picture's edges (Sobel's filter on its grey levels): a map that knows no network.

    Parameters
    ----------
    shape : tuple of int, optional
        Cells of the map.
        By default as many as `legstat.explain` takes.

    Examples
    --------
    >>> import legstat as ls
    >>> image = np.repeat([[[0.0, 0.0, 1.0, 1.0]]], 4, axis=1)
    >>> EdgeMap((1, 4))(ls.as_response(len), image, 0, 0).saliency
    array([[0., 4., 4., 0.]])
    """

    shape: tuple[int, int] | None = None
    name: str = "edges"
    least: int = 0

    def __call__(self, response: Response, image: FloatArray, n_queries: int, rng: Any) -> MethodMap:
        """The map; nothing is evaluated."""
        grey = image.mean(axis=0)
        strength = np.hypot(scipy.ndimage.sobel(grey, axis=0), scipy.ndimage.sobel(grey, axis=1))
        return MethodMap(resized(strength, map_shape(self.shape, image)), 0)
