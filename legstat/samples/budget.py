"""How queries become observations: the one place where evaluations, pairs and streams are counted into each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from legstat._core.typing import AnyArray
from legstat.designs.design import Design
from legstat.perturbations.operators import Perturbation


@dataclass(frozen=True)
class Budget:
    """How queries become observations, draws or pairs, in each stream.

    Attributes
    ----------
    antithetic : bool
        Whether an observation is a pair.
    streams : int
        Channels with a budget of their own: C for a "separate" design, else 1.
    overhead : int
        Queries that no observation gets: f(x0), the base point of `Blend`, what was spent beforehand or failed.

    Examples
    --------
    >>> budget = Budget(antithetic=True, streams=3)
    >>> budget.queries(100), budget.units(601), budget.units(600)
    (601, 100, 99)
    """

    antithetic: bool = True
    streams: int = 1
    overhead: int = 1

    @classmethod
    def of(
        cls, design: Design, perturbation: Perturbation, image: AnyArray, antithetic: bool, *, more: int = 0
    ) -> Self:
        """That of an experiment on a picture of shape (C, H, W), with `more` queries that no observation gets."""
        return cls(antithetic, streams_of(design, image), 1 + int(perturbation.needs_base) + more)

    @property
    def per_unit(self) -> int:
        """Queries of one observation."""
        return 2 if self.antithetic else 1

    @property
    def per_round(self) -> int:
        """Queries of one observation in each stream."""
        return self.streams * self.per_unit

    @property
    def unit(self) -> str:
        """What an observation is called: "pair" or "draw"."""
        return "pair" if self.antithetic else "draw"

    def queries(self, units: float) -> int:
        """Fewest queries with at least so many observations in each stream."""
        return self.overhead + self.per_round * int(np.ceil(units - 1e-9))

    def units(self, n_queries: float) -> int:
        """Observations in each stream that so many queries pay for."""
        return max(0, int(n_queries - self.overhead) // self.per_round)


def streams_of(design: Design, image: AnyArray) -> int:
    """Channels of a picture with draws, and a budget, of their own: C for a "separate" design, else 1."""
    return len(image) if design.channels == "separate" else 1


def planes_of(design: Design, image: AnyArray) -> int:
    """Independent planes of z in one draw: C for a "joint" design, else 1."""
    return len(image) if design.channels == "joint" else 1
