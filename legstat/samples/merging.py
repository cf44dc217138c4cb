"""Parts of samples put together: segments in their order, none twice, and ledgers that add up."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from legstat._core.errors import invalid
from legstat.samples.segments import Ledger, Segment


def check_mergeable(one: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    """ValueError where two samples, given by their parts, are not of one experiment or cannot be merged at all."""
    where = "QuerySample.merge"
    if one["stopping"] is not None or other["stopping"] is not None:
        remedy = "Extend one run instead: query(..., resume=sample); or merge runs of a fixed n_queries."
        raise ValueError(invalid(where, "others", "a run with `until`", "runs of fixed size", remedy))
    for name in ("design", "perturbation", "antithetic", "conventions", "f_x0", "f_base", "response"):
        mine, theirs = one[name], other[name]
        if name == "response":
            # the fingerprint is all that determines the scores; batch sizes and threads do not
            mine, theirs = mine.get("fingerprint", mine), theirs.get("fingerprint", theirs)
        if mine != theirs:
            raise ValueError(invalid(where, f"others.{name}", f"{mine!r} and {theirs!r}", "the same in every sample"))
    if not np.array_equal(other["image"], one["image"]):
        raise ValueError(invalid(where, "others.image", "another picture", "the same in every sample"))
    if one["external_z"] is not None or other["external_z"] is not None:
        remedy = "Concatenate the arrays."
        raise ValueError(invalid(where, "others", "samples from arrays", "samples with a key", remedy))


def merge_segments(segments: Iterable[Segment]) -> tuple[Segment, ...]:
    """All of them in the order of key, stream and block; ValueError where two answer the same block."""
    ordered = sorted(segments, key=lambda s: (s.key, s.channel, s.first_block))
    for a, b in pairwise(segment for segment in ordered if segment.blocks):  # a run may stop before its first one
        if (a.key, a.channel) == (b.key, b.channel) and a.blocks.stop > b.first_block:
            valid = "samples of disjoint blocks of one key, or of different keys"
            remedy = "Give each run its own `first_block` or `rng`."
            raise ValueError(
                invalid("QuerySample.merge", "others", f"{a.blocks} and {b.blocks} of one key", valid, remedy)
            )
    return tuple(ordered)


def merge_ledgers(ledgers: Iterable[Ledger]) -> Ledger:
    """What all of them cost together."""
    given = tuple(ledgers)
    return Ledger(**{f.name: sum(getattr(one, f.name) for one in given) for f in dataclasses.fields(Ledger)})
