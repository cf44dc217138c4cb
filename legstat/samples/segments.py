"""The parts of a sample: which blocks of which stream were answered how, and what every evaluation was for."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from functools import partial

import numpy as np

from legstat._core.typing import FloatArray
from legstat._core.values import read_only
from legstat.designs.blocks import BLOCK, Key


@dataclass(frozen=True, eq=False)
class Segment:
    """Consecutive observations of one stream: responses to the draws of `first_block` and the blocks after it.

    Attributes
    ----------
    key : pair of int
        Key of the generator.
    channel : int
        Stream under the key: the perturbed channel of a "separate" design, else 0.
    first_block : int
        Number of the first block.
    responses : ndarray of shape (n, r)
        f at the perturbed pictures; r = 2 for antithetic pairs (z, then -z), else 1.
    pending : ndarray of shape (k,)
        Answers beyond the last whole observation of a run that was stopped, NaN where one is missing: half a pair, or
        what came after a NaN in its batch. They are not part of the sample, but a resumed run does not pay for them
        again.

    Examples
    --------
    >>> part = Segment(key=(1, 2), channel=0, first_block=3, responses=np.zeros((40, 2)))
    >>> part, part.blocks
    (<Segment 40 of stream 0 from block 3>, range(3, 5))
    """

    key: Key
    channel: int
    first_block: int
    responses: FloatArray
    pending: FloatArray = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        read_only(self.responses)
        read_only(self.pending)

    @classmethod
    def of_run(cls, key: Key, channel: int, first_block: int, row: FloatArray, per_unit: int) -> Segment:
        """The segment of one stream's answers in their order, NaN where there is none."""
        answered = np.flatnonzero(np.isfinite(row))
        row = row[: answered[-1] + 1] if answered.size else row[:0]
        missing = np.flatnonzero(np.isnan(row))
        whole = (missing[0] if missing.size else len(row)) // per_unit * per_unit
        return cls(key, channel, first_block, row[:whole].reshape(-1, per_unit).copy(), row[whole:].copy())

    @property
    def blocks(self) -> range:
        """Numbers of the blocks that the observations come from, the last one possibly in part."""
        return range(self.first_block, self.first_block + -(-len(self.responses) // BLOCK))

    @property
    def answered(self) -> int:
        """Answers in it, those that are pending included."""
        return self.responses.size + int(np.isfinite(self.pending).sum())

    def cut(self, at: int) -> tuple[Segment | None, Segment | None]:
        """The part before observation `at`, the first of a block, and the part from there on; None for nothing.

        What is pending belongs to the draws after the last whole observation, and goes with these.
        """
        if at >= len(self.responses):
            return self, None
        rest = replace(self, first_block=self.first_block + at // BLOCK, responses=self.responses[at:])
        return (replace(self, responses=self.responses[:at], pending=np.empty(0)) if at else None), rest

    def __reduce__(self) -> tuple[partial[Segment], tuple[()]]:
        return partial(type(self), **{part.name: getattr(self, part.name) for part in fields(self)}), ()

    def __repr__(self) -> str:
        also = f", {len(self.pending)} pending" if self.pending.size else ""
        return f"<Segment {len(self.responses)} of stream {self.channel} from block {self.first_block}{also}>"


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
    trials : int
        Evaluations at the first picture that tried whether answers depend on their batch. They too come on top; they
        are made once for a network that runs here, and none by the clock.

    Examples
    --------
    >>> ledger = Ledger(n_queries=100, x0=1, base=1, perturbed=96)
    >>> ledger.spent, ledger.unused
    (98, 2)
    """

    n_queries: int
    x0: int
    base: int
    perturbed: int
    failed: int = 0
    cached: int = 0
    beforehand: int = 0
    tuning: int = 0
    trials: int = 0

    @property
    def spent(self) -> int:
        """All evaluations really made, but `trials`."""
        return self.x0 + self.base + self.perturbed + self.failed + self.beforehand + self.tuning

    @property
    def unused(self) -> int:
        """What of the ceiling was neither spent nor served: nothing whole fitted any more, or the run stopped early."""
        return self.n_queries - (self.spent - self.tuning) - self.cached
