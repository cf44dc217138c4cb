"""The parts of a sample: which blocks of which stream were answered how, and what every evaluation was for."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from legstat._core.typing import FloatArray
from legstat.designs.blocks import BLOCK, Key


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
    pending : ndarray of shape (k,)
        Answers beyond the last whole unit of a run that was stopped, NaN where one is missing: half a pair, or what
        came after a NaN in its batch. They are not part of the sample, but a resumed run does not pay for them again.
    """

    key: Key
    channel: int
    first_block: int
    responses: FloatArray
    pending: FloatArray = field(default_factory=lambda: np.empty(0))

    @classmethod
    def of_run(cls, key: Key, channel: int, first_block: int, row: FloatArray, per_unit: int) -> Segment:
        """The segment of one stream's answers in their order, NaN where there is none."""
        answered = np.flatnonzero(np.isfinite(row))
        row = row[: answered[-1] + 1] if answered.size else row[:0]
        missing = np.flatnonzero(np.isnan(row))
        whole = (missing[0] if missing.size else len(row)) // per_unit * per_unit
        responses, pending = row[:whole].reshape(-1, per_unit).copy(), row[whole:].copy()
        responses.flags.writeable = pending.flags.writeable = False
        return cls(key, channel, first_block, responses, pending)

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
    failed : int
        Evaluations of perturbed pictures that gave NaN or infinity.
    cached : int
        Answers of any of these kinds that a `QueryCache` served: no evaluation was made for them.
    beforehand : int
        Evaluations made before on the same budget, for a `noise_probe` say.
    tuning : int
        Evaluations that measured the batch size (``batch_size="auto"``). They give no answers and come on top of
        `n_queries`: how many there are depends on the machine, and the sample must not.
    """

    n_queries: int
    x0: int
    base: int
    perturbed: int
    failed: int = 0
    cached: int = 0
    beforehand: int = 0
    tuning: int = 0

    @property
    def spent(self) -> int:
        """All evaluations really made."""
        return self.x0 + self.base + self.perturbed + self.failed + self.beforehand + self.tuning

    @property
    def unused(self) -> int:
        """What of the ceiling was neither spent nor served: no whole unit fitted, or the run stopped early."""
        return self.n_queries - (self.spent - self.tuning) - self.cached
