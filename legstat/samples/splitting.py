"""One sample as two of disjoint draws: to choose on the one and to test on the other."""

from __future__ import annotations

import dataclasses

import numpy as np

from legstat._core.checks import check_level
from legstat._core.errors import invalid
from legstat.designs.blocks import BLOCK
from legstat.samples.sample import QuerySample
from legstat.samples.segments import Ledger, Segment


def split_sample(sample: QuerySample, share: float = 0.5) -> tuple[QuerySample, QuerySample]:
    """Split a sample into two with independent draws.

    Parameters
    ----------
    sample : QuerySample
        The sample.
    share : float, default 0.5
        Share of each stream's observations that goes to the first part, rounded to whole blocks of draws.

    Returns
    -------
    first, second : QuerySample
        Both with the same picture, response and f(x0), for whose evaluation the first one's ledger stands.
        ``first.merge(second)`` has the draws of the sample again, unless it was made from arrays. Of one run, either
        can be gone on with (``query(..., resume=)``), the merged one cannot; of a run that stopped midway, what is
        pending goes with the second.

    Raises
    ------
    TypeError
        If it is no sample.
    ValueError
        If the share is not inside (0, 1), or a stream has too few blocks to give each part one.

    Notes
    -----
    Given f(x0), which is no draw, the parts are independent: whatever was chosen on the first is fixed in the second.

    Examples
    --------
    >>> import legstat as ls
    >>> f, design = ls.simulate.linear(np.ones((4, 4))), ls.StructuredGaussian(grid=(4, 4))
    >>> sample = ls.query(f, np.full((1, 4, 4), 0.5), design, n_queries=401, rng=0)
    >>> [part.n_units for part in split_sample(sample)]
    [(96,), (104,)]
    """
    given: object = sample
    if not isinstance(given, QuerySample):
        remedy = "Moments alone cannot be split: their responses are needed."
        raise TypeError(invalid("split_sample", "sample", type(given).__name__, "a QuerySample", remedy))
    share = check_level("split_sample", "share", share)
    block = _block(sample)
    parts: tuple[list[Segment], list[Segment]] = ([], [])
    for channel, total in enumerate(sample.n_units):
        left = first_units(sample, total, share)
        if not 0 < left < total:
            valid = f"of more {sample.budget.unit}s a channel, at least {2 * block} and enough for both parts"
            remedy = "Raise n_queries, or move the share towards 0.5."
            raise ValueError(invalid("split_sample", "sample", f"{total} {sample.budget.unit}s", valid, remedy))
        for segment in (s for s in sample.segments if s.channel == channel):
            # a merged sample has several segments, each of which starts with a block of its own
            here = min(left, len(segment.responses)) // block * block
            left -= here
            for part, piece in zip(parts, segment.cut(here), strict=True):
                if piece is not None:
                    part.append(piece)
    first, second = _ledgers(sample.ledger, sum(piece.answered for piece in parts[1]))
    z = sample.external_z
    cut = sum(piece.responses.size for piece in parts[0])
    return (
        dataclasses.replace(
            sample, segments=tuple(parts[0]), ledger=first, external_z=None if z is None else np.asarray(z)[:cut]
        ),
        dataclasses.replace(
            sample, segments=tuple(parts[1]), ledger=second, external_z=None if z is None else np.asarray(z)[cut:]
        ),
    )


def first_units(sample: QuerySample, total: int, share: float) -> int:
    """How many of a stream's `total` observations go to the first part: whole blocks of draws."""
    block = _block(sample)
    return round(share * total / block) * block


def _block(sample: QuerySample) -> int:
    return 1 if sample.external_z is not None else BLOCK


def _ledgers(ledger: Ledger, answers: int) -> tuple[Ledger, Ledger]:
    """What two parts cost, the second of which has so many of the answers; the first has all that is no answer."""
    evaluated = min(answers, ledger.perturbed)  # which of them were served from a cache is not known
    second = Ledger(answers, x0=0, base=0, perturbed=evaluated, cached=answers - evaluated)
    first = dataclasses.replace(
        ledger,
        n_queries=ledger.n_queries - answers,
        perturbed=ledger.perturbed - second.perturbed,
        cached=ledger.cached - second.cached,
    )
    return first, second
