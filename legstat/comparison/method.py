"""What every method of a comparison is: picture, black box, budget and seed in; a map and what it cost out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from legstat._core.typing import FloatArray
from legstat.responses.base import Response
from legstat.sampling.cache import QueryCache


@dataclass(frozen=True, eq=False)
class MethodMap:
    """A map, and what was spent on it.

    Attributes
    ----------
    saliency : ndarray of shape (p1, p2)
        High where important.
    n_queries : int
        Evaluations that the map stands on, f(x0) included.
    cached : int
        How many of these a cache answered, so that they were not made again.

    Examples
    --------
    >>> import numpy as np
    >>> MethodMap(np.zeros((2, 3)), 100)
    <MethodMap 2x3 of 100 evaluations>
    """

    saliency: FloatArray = field(repr=False)
    n_queries: int
    cached: int = 0

    def __repr__(self) -> str:
        rows, columns = self.saliency.shape
        return f"<MethodMap {rows}x{columns} of {self.n_queries} evaluations>"


@runtime_checkable
class Method(Protocol):
    """A way to make a map with a counted number of evaluations.

    `name` is what tables call it, `least` the fewest evaluations that it can work with; called with response, picture,
    budget and seed, it gives a `MethodMap`. Two methods are the same where their `repr` is: a store keeps maps under
    it. Methods with one attribute `draws` are seeded alike, so that they can share what was asked. A method that has
    an attribute `baseline` is refused before any map where a picture equals that baseline.

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


@runtime_checkable
class Caching(Protocol):
    """A method whose answers a `QueryCache` can keep.

    Examples
    --------
    >>> from legstat.comparison.methods.own import LegMap
    >>> isinstance(LegMap(), Caching)
    True
    """

    def cached_in(self, cache: QueryCache) -> Method:
        """The same method, asking through that cache."""


@runtime_checkable
class Choosy(Protocol):
    """A method that needs something of the response that not every one has.

    Examples
    --------
    >>> from legstat.comparison.methods.gradients import GradientMap
    >>> isinstance(GradientMap(), Choosy)
    True
    """

    def check_response(self, response: Response) -> None:
        """An error that names the remedy where the response lacks it; nothing is asked."""


@runtime_checkable
class SizeBound(Protocol):
    """A method whose least budget depends on the picture's size.

    Examples
    --------
    >>> from legstat.comparison.methods.masks import Occlusion
    >>> Occlusion(stride=8).least_for(224, 224)
    626
    """

    def least_for(self, height: int, width: int) -> int:
        """Fewest evaluations for a picture of so many pixels."""


def draws_of(method: Method) -> str:
    """Methods for which this is the same are seeded alike."""
    return str(getattr(method, "draws", method.name))
