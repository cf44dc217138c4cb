"""What every method of a comparison is: picture, black box, budget and seed in; a map and what it cost out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from legstat._core.typing import FloatArray
from legstat.responses.base import Response


@dataclass(frozen=True, eq=False)
class MethodMap:
    """A map, and what was spent on it.

    Attributes
    ----------
    saliency : ndarray of shape (p1, p2)
        High where important.
    n_queries : int
        Evaluations spent, f(x0) included.

    Examples
    --------
    >>> import numpy as np
    >>> MethodMap(np.zeros((2, 3)), 100)
    <MethodMap 2x3 of 100 evaluations>
    """

    saliency: FloatArray = field(repr=False)
    n_queries: int

    def __repr__(self) -> str:
        rows, columns = self.saliency.shape
        return f"<MethodMap {rows}x{columns} of {self.n_queries} evaluations>"


@runtime_checkable
class Method(Protocol):
    """A way to make a map with a counted number of evaluations.

    `name` is what tables call it, `least` the fewest evaluations that it can work with; called with response, picture,
    budget and seed, it gives a `MethodMap`.

    Examples
    --------
    >>> from legstat.comparison.methods.controls import RandomMap
    >>> isinstance(RandomMap(), Method)
    True
    """

    @property
    def name(self) -> str:
        """What tables call it."""

    @property
    def least(self) -> int:
        """Fewest evaluations that it can work with."""

    def __call__(self, response: Response, image: FloatArray, n_queries: int, rng: Any) -> MethodMap:
        """The map of `image` (C, H, W) with at most `n_queries` evaluations; the same `rng`, the same bits."""
