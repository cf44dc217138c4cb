"""What a measure of a map is, and what it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np

from legstat._core.typing import FloatArray
from legstat.comparison.method import MethodMap
from legstat.metrics.deletion import Curve
from legstat.responses.base import Response


@dataclass(frozen=True)
class Measured:
    """What a measure says of a map, and what it asked for that.

    Attributes
    ----------
    value : float
        The number.
    n_queries : int
        Evaluations.
    censored : bool
        The number is only known to be larger than `value`.
    curve : Curve or None
        The curve that the number is the area of.

    Examples
    --------
    >>> Measured(0.25, 57)
    Measured(value=0.25, n_queries=57, censored=False)
    """

    value: float
    n_queries: int
    censored: bool = False
    curve: Curve | None = field(default=None, repr=False, compare=False)


@runtime_checkable
class Measure(Protocol):
    """A number for a map. `name` is what tables call it, `high_is_good` says which maps it prefers.

    Two measures are the same where their `repr` is: under it a store keeps what was measured.

    Examples
    --------
    >>> from legstat.comparison.measures import DeletionArea
    >>> isinstance(DeletionArea(), Measure)
    True
    """

    @property
    def name(self) -> str:
        """What tables call it."""

    @property
    def high_is_good(self) -> bool:
        """Whether large values are good."""

    def __call__(
        self, response: Response, image: FloatArray, saliency: FloatArray, rng: np.random.Generator
    ) -> Measured:
        """The number for the map `saliency` of the picture `image`; `rng` is the same for every map of a picture."""


@runtime_checkable
class Explaining(Protocol):
    """A measure of the method itself, which asks it for maps of other pictures.

    Examples
    --------
    >>> from legstat.comparison.measures import MaxSensitivity
    >>> isinstance(MaxSensitivity(), Explaining)
    True
    """

    def by(self, explain: Callable[[FloatArray], MethodMap]) -> Measure:
        """The same measure of the method that `explain` is: with the budget, and the draws, of the map at x0."""


def told_apart(saliency: FloatArray, rng: np.random.Generator) -> FloatArray:
    """The map itself; in place of a constant one, whose cells have no order, cells of its sign in a random order."""
    if np.ptp(saliency) > 0.0 or saliency.size == 1:
        return saliency
    sign = -1.0 if saliency.flat[0] < 0.0 else 1.0
    return np.asarray(sign * (1.0 + rng.permutation(saliency.size).reshape(saliency.shape)), dtype=np.float64)
