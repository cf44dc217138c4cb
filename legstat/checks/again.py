"""The experiment of a sample, carried out before another network."""

from __future__ import annotations

import warnings
from typing import Any

from legstat._core.errors import LegstatWarning
from legstat.responses.base import Response
from legstat.samples.faults import QueryError
from legstat.samples.sample import QuerySample
from legstat.sampling.query import query


def asked_again(f: Response, sample: QuerySample, n_queries: int, rng: Any, *, progress: bool = False) -> QuerySample:
    """The same picture, law, operator and conventions; errors as `query` raises them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LegstatWarning)  # scores that hardly move are what is looked for
        return query(
            f,
            sample.image,
            sample.design,
            n_queries=n_queries,
            perturbation=sample.perturbation,
            antithetic=sample.antithetic if sample.conventions == "default" else None,
            conventions=sample.conventions,
            rng=rng,
            progress=progress,
        )


def tried_again(
    f: Response, sample: QuerySample, n_queries: int, rng: Any, *, progress: bool = False
) -> tuple[QuerySample | None, int, str]:
    """The sample, or None where the network gives no finite scores; evaluations that were spent; why there is none."""
    try:
        found = asked_again(f, sample, n_queries, rng, progress=progress)
    except QueryError as error:
        return None, 1 if error.sample is None else error.sample.ledger.spent, str(error)
    except ValueError as error:  # f(x0) that is not finite, or cannot be a score
        return None, 1, str(error)
    return found, found.ledger.spent + found.ledger.trials, ""
