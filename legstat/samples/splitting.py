"""One sample as two of disjoint draws: to choose on the one and to test on the other."""

from __future__ import annotations

import dataclasses

import numpy as np

from legstat._core.errors import invalid
from legstat.designs.blocks import BLOCK
from legstat.samples.sample import QuerySample
from legstat.samples.segments import Segment


def split_sample(sample: QuerySample, share: float = 0.5) -> tuple[QuerySample, QuerySample]:
    """Split a sample into two with independent draws.

    Parameters
    ----------
    sample : QuerySample
        The sample.
    share : float, default 0.5
        Share of each stream's units that goes to the first part, rounded to whole blocks of draws.

    Returns
    -------
    first, second : QuerySample
        Both with the same picture, response and f(x0), for whose evaluation the first one's ledger stands.
        ``first.merge(second)`` is the sample again, unless it was made from arrays.

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
    part_of: object = share
    if not isinstance(part_of, int | float | np.number) or not 0.0 < part_of < 1.0:
        raise ValueError(invalid("split_sample", "share", share, "strictly between 0 and 1", "0.5 is usual."))
    unit = 1 if sample.external_z is not None else BLOCK
    parts: tuple[list[Segment], list[Segment]] = ([], [])
    for channel, total in enumerate(sample.n_units):
        left = round(share * total / unit) * unit
        if not 0 < left < total:
            valid = f"of more units a channel, at least {2 * unit} and enough for both parts"
            remedy = "Raise n_queries, or move the share towards 0.5."
            raise ValueError(invalid("split_sample", "sample", f"{total} units", valid, remedy))
        for segment in (s for s in sample.segments if s.channel == channel):
            # a merged sample has several segments, each of which starts with a block of its own
            here = min(max(left, 0), len(segment.responses)) // unit * unit
            left -= here
            ends = (segment.responses[:here], segment.responses[here:])
            starts = (segment.first_block, segment.first_block + here // BLOCK)
            for part, responses, start in zip(parts, ends, starts, strict=True):
                if len(responses):
                    responses.flags.writeable = False
                    part.append(dataclasses.replace(segment, first_block=start, responses=responses))
    ledger = sample.ledger
    paid = [sum(s.responses.size for s in part) for part in parts]
    first = dataclasses.replace(ledger, n_queries=ledger.n_queries - paid[1], perturbed=ledger.perturbed - paid[1])
    once = {"x0": 0, "base": 0, "failed": 0, "cached": 0, "beforehand": 0, "tuning": 0}  # the first part has them
    second = dataclasses.replace(ledger, n_queries=paid[1], perturbed=paid[1], **once)
    z = sample.external_z
    cut = paid[0]
    return (
        dataclasses.replace(
            sample, segments=tuple(parts[0]), ledger=first, external_z=None if z is None else np.asarray(z)[:cut]
        ),
        dataclasses.replace(
            sample, segments=tuple(parts[1]), ledger=second, external_z=None if z is None else np.asarray(z)[cut:]
        ),
    )
