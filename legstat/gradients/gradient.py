"""The one protocol: the score at parameters, its weighted mean gradient there, and every evaluation counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from legstat._core.errors import invalid
from legstat._core.pictures import rounded
from legstat._core.typing import FloatArray, IntArray
from legstat.gradients.families import Family
from legstat.responses.base import Response
from legstat.samples.faults import NonFiniteResponseError
from legstat.samples.segments import Ledger

GradientName = Literal["exact", "queries"]


@dataclass(frozen=True, eq=False)
class Gradient:
    r"""A weighted sum of gradients, :math:`\sum_k w_k \nabla f(\Phi(\theta_k))`.

    Attributes
    ----------
    gradient : ndarray of theta's shape
        The sum.
    values : ndarray of shape (k,) or None
        f at the points, where it was evaluated there.
    std_errors : ndarray of theta's shape or None
        Of each entry; None of an exact gradient. Under ``earlier="pool"`` the standard deviation that the smooth prior
        leaves, which says nothing of what the prior itself does to the estimate.
    """

    gradient: FloatArray
    values: FloatArray | None
    std_errors: FloatArray | None


class Gradients(Protocol):
    """Where gradients come from."""

    @property
    def name(self) -> GradientName:
        """Which source."""

    @property
    def asked(self) -> Asked:
        """The black box, and what was asked of it."""

    def spread_over(self, calls: int, reserved: int = 0) -> None:
        """Plan what is left of the budget for that many calls; nothing to do where a call costs what it costs."""

    def mean_gradient(self, family: Family, points: FloatArray, weights: FloatArray) -> Gradient:
        """The gradient at points (k, *shape) of the family, point k going through member k (or the only one)."""


class Asked:
    """A bound black box, and every evaluation of it counted against a ceiling.

    Parameters
    ----------
    where : str
        The public call, for errors.
    response : Response
        The black box.
    image : ndarray of shape (C, H, W)
        x0, as `Response.check_image` gives it; it is evaluated once.
    n_queries : int, optional
        Ceiling on evaluations; none unless given.

    Attributes
    ----------
    response : Response
        Bound.
    f_x0 : float
        f(x0).
    """

    def __init__(self, where: str, response: Response, image: FloatArray, n_queries: int | None = None) -> None:
        self._where, self._ceiling = where, n_queries
        self.response, self.f_x0 = response.bind(image)
        self._perturbed = 0
        self.n_backward = 0

    @property
    def spent(self) -> int:
        """Evaluations so far, f(x0) included."""
        return 1 + self._perturbed

    @property
    def left(self) -> float:
        """Evaluations that are left; infinity without a ceiling."""
        return np.inf if self._ceiling is None else self._ceiling - self.spent

    @property
    def ledger(self) -> Ledger:
        """What was asked, in the form of all runs; without a ceiling what was spent is the ceiling."""
        ceiling = self.spent if self._ceiling is None else self._ceiling
        return Ledger(n_queries=ceiling, x0=1, base=0, perturbed=self._perturbed)

    def count(self, n: int, *, backward: bool = False) -> None:
        """Take n evaluations from the budget, before they are made; ValueError where it does not hold them."""
        if n > self.left:
            text = f"{n} evaluations with {self.left:.0f} left of {self._ceiling}"
            raise ValueError(invalid(self._where, "n_queries", text, "kept"))
        self._perturbed += n
        self.n_backward += n if backward else 0

    def scores(self, family: Family, points: FloatArray, which: IntArray | None = None) -> FloatArray:
        """f(Phi(theta)) at points (n, *shape), batch by batch; shape (n,).

        Raises
        ------
        NonFiniteResponseError
            A score is NaN or infinite: no gradient can be made of it.
        """
        which = np.zeros(len(points), dtype=np.int64) if which is None else which
        self.count(len(points))
        step = max(self.response.batch_size, self.response.together)
        dtype = self.response.dtype
        parts = [
            self.response(rounded(family.pictures(points[at : at + step], which[at : at + step]), dtype))
            for at in range(0, len(points), step)
        ]
        scores = np.concatenate(parts) if parts else np.empty(0)
        self.check_finite(scores)
        return scores

    def check_finite(self, scores: FloatArray) -> None:
        """NonFiniteResponseError where one of the last scores is NaN or infinite."""
        broken = np.flatnonzero(~np.isfinite(scores))
        if broken.size:
            number = self.spent - len(scores) + int(broken[0])
            text = f"legstat.{self._where}: evaluation {number} gave {scores[broken[0]]}. Mend the black box."
            raise NonFiniteResponseError(text, index=number)
