"""legstat's own estimates as methods of a comparison."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np

from legstat._core.conventions import MomentKind, get_conventions
from legstat._core.typing import FloatArray
from legstat.comparison.method import MethodMap
from legstat.designs.by_name import LawName
from legstat.estimators.leg import LEG
from legstat.estimators.legtv import LEGTV
from legstat.estimators.radius import Rule
from legstat.metrics.references import ReferenceName
from legstat.responses.base import Response
from legstat.samples.sample import QuerySample
from legstat.sampling.cache import QueryCache
from legstat.sampling.defaults import default_design, default_operator
from legstat.sampling.query import query


@dataclass(frozen=True)
class _Own:
    """What both have in common: one sample by the defaults of `legstat.explain`, the same for both from one seed."""

    shape: tuple[int, int] | None = None
    name: str = ""
    law: LawName | None = None
    moments: MomentKind | None = None
    least: int = 100
    baseline: ReferenceName = field(default="blur", init=False, repr=False)
    draws: str = field(default="leg", init=False, repr=False)
    cache: QueryCache | None = field(default=None, repr=False, compare=False)

    def cached_in(self, cache: QueryCache) -> Self:
        """The same method, asking through a cache: budgets then share their first draws, and LEG-TV those of LEG."""
        return replace(self, cache=cache)

    def _sample(self, response: Response, image: FloatArray, n_queries: int, rng: Any) -> QuerySample:
        operator = default_operator(get_conventions("default"), design_given=False)
        design = default_design(image.shape[-2:], operator, self.shape, None, self.law)
        return query(
            response, image, design, n_queries, perturbation=operator, rng=rng, cache=self.cache, progress=False
        )


def _counted(sample: QuerySample) -> tuple[int, int]:
    """Evaluations that a sample stands on, and how many of them a cache answered."""
    return sample.ledger.spent + sample.ledger.cached, sample.ledger.cached


@dataclass(frozen=True)
class LegMap(_Own):
    """LEG in deletion coordinates, with the defaults of `legstat.explain`.

    Parameters
    ----------
    shape : tuple of int, optional
        Cells. By default as many as `legstat.explain` takes.
    name : str
        What tables call it: two laws side by side need two names.
    law : str, optional
        Law of z by name; that of `legstat.explain` unless given. "structured", "isotropic", "blocks", "cells",
        "smooth", "smooth_binary".
    moments : str, optional
        Of the estimator; its default unless given. "adaptive" shrinks, and is what maps of few evaluations want.

    Examples
    --------
    >>> import legstat as ls
    >>> f = ls.simulate.linear(np.eye(4))
    >>> LegMap((4, 4))(f, np.random.default_rng(0).random((1, 8, 8)), 402, 0).n_queries
    402
    """

    name: str = "leg"

    def __call__(self, response: Response, image: FloatArray, n_queries: int, rng: Any) -> MethodMap:
        """The map, signed."""
        sample = self._sample(response, image, n_queries, rng)
        return MethodMap(np.array(LEG(sample, moments=self.moments).fit().saliency), *_counted(sample))


@dataclass(frozen=True)
class LegTvMap(_Own):
    """LEG-TV in deletion coordinates, with the defaults of `legstat.explain`.

    Parameters
    ----------
    shape : tuple of int, optional
        Cells. By default as many as `legstat.explain` takes.
    name : str
        What tables call it: two laws side by side need two names.
    law : str, optional
        Law of z by name; that of `legstat.explain` unless given. "structured", "isotropic", "blocks", "cells",
        "smooth", "smooth_binary".
    moments : str, optional
        Of the estimator; its default unless given. "adaptive" shrinks, and is what maps of few evaluations want.
    L : str, default "readable"
        Rule for L, as for `legstat.LEGTVPath.select`.
    relaxed : bool, default True
        Whether levels are refitted on the regions, as for `legstat.LEGTV`.

    Examples
    --------
    >>> LegTvMap((4, 4)).name
    'legtv'
    """

    name: str = "legtv"
    L: Rule = "readable"
    relaxed: bool = True

    def __call__(self, response: Response, image: FloatArray, n_queries: int, rng: Any) -> MethodMap:
        """The map, signed."""
        sample = self._sample(response, image, n_queries, rng)
        chosen = LEGTV(sample, moments=self.moments, relaxed=self.relaxed).fit_path(progress=False).select(self.L)
        return MethodMap(np.array(chosen.saliency), *_counted(sample))
