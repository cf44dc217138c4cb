"""The parts of a sample: which blocks of which stream were answered how, and what every evaluation was for."""

from __future__ import annotations

from dataclasses import dataclass

from legstat._typing import FloatArray
from legstat.designs import BLOCK, Key


@dataclass(frozen=True, eq=False)
class Segment:
    """Consecutive units of one stream: responses to the draws of `first_block` and the blocks after it.

    Attributes
    ----------
    key : pair of int
        Key of the generator.
    channel : int
        Stream under the key: the perturbed channel of a "separate" design, else 0.
    first_block : int
        Number of the first block.
    responses : ndarray of shape (units, r)
        f at the perturbed pictures; r = 2 for antithetic pairs (z, then -z), else 1.
    """

    key: Key
    channel: int
    first_block: int
    responses: FloatArray

    @property
    def blocks(self) -> range:
        """Numbers of the blocks that the units come from, the last one possibly in part."""
        return range(self.first_block, self.first_block + -(-len(self.responses) // BLOCK))


@dataclass(frozen=True)
class Ledger:
    """Every model evaluation, by what it was for.

    Attributes
    ----------
    n_queries : int
        The ceiling that was asked for.
    x0, base, perturbed : int
        Evaluations of the picture itself, of the base point Phi(x0; 0) where it differs, and of perturbed pictures.
    """

    n_queries: int
    x0: int
    base: int
    perturbed: int

    @property
    def spent(self) -> int:
        """All evaluations."""
        return self.x0 + self.base + self.perturbed

    @property
    def unused(self) -> int:
        """Evaluations of the ceiling that were left over: no whole unit fitted, or the run stopped early."""
        return self.n_queries - self.spent
