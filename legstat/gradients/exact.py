"""Exact gradients: torch's backward pass to the picture, the chain rule from there to the mask."""

from __future__ import annotations

from typing import Literal

import numpy as np

from legstat._core.errors import invalid
from legstat._core.typing import FloatArray
from legstat.gradients.families import Family
from legstat.gradients.gradient import Asked, Gradient
from legstat.responses.torch.response import TorchResponse


class ExactGradients:
    """Gradients of a torch module's score.

    Parameters
    ----------
    asked : Asked
        The bound response and its ledger; each point costs one forward and one backward pass.

    Raises
    ------
    TypeError
        The response has no gradients.
    """

    name: Literal["exact"] = "exact"

    def __init__(self, asked: Asked) -> None:
        if not isinstance(asked.response, TorchResponse):
            remedy = 'Pass gradient="queries": it is estimated from evaluations alone.'
            raise TypeError(invalid("gradients", "gradient", "exact", "'queries' where there is no module", remedy))
        self.asked, self._response = asked, asked.response

    def spread_over(self, calls: int, reserved: int = 0) -> None:
        """Nothing: a call costs as many evaluations as it has points."""

    def mean_gradient(self, family: Family, points: FloatArray, weights: FloatArray) -> Gradient:
        """See `Gradients`; costs as many evaluations as points, and memory for one batch of pictures."""
        self.asked.count(len(points), backward=True)
        step = self._response.batch_size
        members = np.arange(len(points), dtype=np.int64) % family.members
        total = np.zeros(points.shape[1:])
        values = np.empty(len(points))
        for at in range(0, len(points), step):
            some, which = points[at : at + step], members[at : at + step]
            pictures = family.pictures(some, which)
            values[at : at + step], gradients = self._response.scores_and_gradients(pictures)
            parts = family.pullback(some, gradients, which)
            # one after the other: the sum does not depend on the size of the batches
            for weight, part in zip(weights[at : at + step], parts, strict=True):
                total += weight * part
        self.asked.check_finite(values)
        return Gradient(total, values, None)
