"""I-GOS's step: Armijo's condition with the total gradient in place of the objective's, on the projected mask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from legstat._core.typing import FloatArray


@dataclass(frozen=True)
class LineSearch:
    r"""Backtracking by the revised Armijo condition (I-GOS paper, eq. 8).

    The step is made smaller until

    .. math:: F(P(M - \alpha T)) - F(M) \le -\alpha \beta\, T^T T,

    P the projection onto [0, 1], or until alpha reaches the lower bound, which is then taken.

    Parameters
    ----------
    upper, lower : float
        Bounds of alpha.
    decay : float
        What alpha is multiplied with, in (0, 1).
    beta : float
        Share of the decrease that a linear objective would have, in (0, 1).
    """

    upper: float = 200.0
    lower: float = 1e-5
    decay: float = 0.2
    beta: float = 1e-4

    def __call__(
        self, objective: Callable[[FloatArray], float], mask: FloatArray, total: FloatArray, value: float
    ) -> Step:
        """The step from `mask`, where the objective has `value`, against the total gradient."""
        bound, alpha, asked = self.beta * float(np.sum(total**2)), self.upper, 0
        while True:
            moved = np.clip(mask - alpha * total, 0.0, 1.0)
            found = objective(moved)
            asked += 1
            satisfied = found - value <= -alpha * bound
            if satisfied or alpha <= self.lower:
                return Step(moved, found, alpha, satisfied, asked)
            alpha = max(alpha * self.decay, self.lower)

    @property
    def most(self) -> int:
        """Evaluations of one search at most."""
        return 1 + int(np.ceil(np.log(self.lower / self.upper) / np.log(self.decay)))


@dataclass(frozen=True, eq=False)
class Step:
    """A step that was taken.

    Attributes
    ----------
    mask : ndarray
        Where it leads, within [0, 1].
    value : float
        The objective there.
    alpha : float
        Its size.
    satisfied : bool
        Whether eq. 8 holds; else alpha is the lower bound.
    asked : int
        Values of the objective that were computed.
    """

    mask: FloatArray = field(repr=False)
    value: float
    alpha: float
    satisfied: bool
    asked: int
