"""What a method left of one picture at one budget: its map, and the curves that were measured on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from legstat._core.typing import JSON, FloatArray
from legstat.metrics.deletion import Curve


@dataclass(frozen=True, eq=False)
class Outcome:
    """A map of a comparison, and the curves behind its areas.

    Attributes
    ----------
    method : str
        Name of the method.
    n_queries : int
        Its budget.
    picture : str
        Name of the picture.
    saliency : ndarray of shape (p1, p2)
        The map, high where important.
    curves : mapping of str to Curve
        "deletion", "insertion": those that the metrics asked for.

    Examples
    --------
    >>> Outcome("rise", 500, "cat", np.zeros((2, 3)), {})
    <Outcome of 'rise' at 500 on 'cat': 2x3, no curves>
    """

    method: str
    n_queries: int
    picture: str
    saliency: FloatArray = field(repr=False)
    curves: Mapping[str, Curve] = field(repr=False)

    def to_dict(self) -> JSON:
        """All of it in lists and numbers, without loss."""
        curves = {kind: one.to_dict() for kind, one in self.curves.items()}
        about = {"method": self.method, "n_queries": self.n_queries, "picture": self.picture}
        return {**about, "saliency": self.saliency.tolist(), "curves": curves}

    @classmethod
    def from_dict(cls, about: JSON) -> Self:
        """What `to_dict` wrote."""
        curves = {kind: Curve.from_dict(one) for kind, one in about["curves"].items()}
        named = (about["method"], about["n_queries"], about["picture"])
        return cls(*named, np.array(about["saliency"], dtype=np.float64), curves)

    def __repr__(self) -> str:
        rows, columns = self.saliency.shape
        curves = ", ".join(self.curves) or "no curves"
        return f"<Outcome of {self.method!r} at {self.n_queries} on {self.picture!r}: {rows}x{columns}, {curves}>"
