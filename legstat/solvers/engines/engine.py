"""What an engine is: it takes a program in its own units, and L; it hands back what the solver said, to be verified."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from legstat._core.typing import FloatArray

INFINITY = float("inf")


@dataclass(frozen=True)
class Raw:
    """An engine's unverified answer, in the units of the program.

    Attributes
    ----------
    primal : ndarray of float
        h of a flow program (m,), g of a general program (p,). Empty where the solver gave none.
    flow : ndarray of float
        Multipliers of h = D g, shape (m,).
    multipliers : ndarray of float
        Multipliers of the constraint of a general program; empty for a flow program.
    outcome : str
        "solved", "time_limit", "infeasible" or "failed".
    message : str
        The solver's own words.
    iterations : int
        Simplex or interior-point iterations; 0 where the solver does not say.
    precision : float
        To which the vectors are known: rounding for a vertex, the tolerance for an interior-point method.
    unique : bool
        Whether the engine has seen that there is no other optimal primal.
    """

    primal: FloatArray
    flow: FloatArray
    multipliers: FloatArray
    outcome: str
    message: str
    iterations: int = 0
    precision: float = 1e-11
    unique: bool = False


def no_answer(outcome: str, message: str) -> Raw:
    """A `Raw` without vectors."""
    empty = np.empty(0)
    return Raw(empty, empty, empty, outcome, message)


class Engine(Protocol):
    """One solver bound to one program; it may keep state (a basis, a compiled model) from one L to the next."""

    name: str

    def run(self, unit_L: float, *, time_limit: float | None, cold: bool) -> Raw:
        """Solve at `unit_L`; `cold` starts afresh, the careful way: the second attempt."""
        ...


def split_bounds(centre: FloatArray, L: float) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Bounds of h+ and h- (h = h+ - h-, both >= 0) that say |h - c| <= L.

    Returns
    -------
    plus_low, plus_high, minus_low, minus_high : ndarray of float, shape (m,)
    """
    low, high = centre - L, centre + L
    return np.maximum(low, 0.0), np.maximum(high, 0.0), np.maximum(-high, 0.0), np.maximum(-low, 0.0)
