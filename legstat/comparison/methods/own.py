"""legstat's own estimates as methods of a comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from legstat._core.conventions import get_conventions
from legstat._core.typing import FloatArray
from legstat.comparison.method import MethodMap
from legstat.estimators.leg import LEG
from legstat.estimators.legtv import LEGTV
from legstat.responses.base import Response
from legstat.samples.sample import QuerySample
from legstat.sampling.defaults import default_design, default_operator
from legstat.sampling.query import query


def _sample(response: Response, image: FloatArray, shape: tuple[int, int] | None, n: int, rng: Any) -> QuerySample:
    operator = default_operator(get_conventions("default"), design_given=False)
    design = default_design(image.shape[-2:], operator, shape, None)
    return query(response, image, design, n, perturbation=operator, rng=rng, progress=False)


@dataclass(frozen=True)
class LegMap:
    """LEG in deletion coordinates, with the defaults of `legstat.explain`.

    Parameters
    ----------
    shape : tuple of int, optional
        Cells. By default as many as `legstat.explain` takes.

    Examples
    --------
    >>> import legstat as ls
    >>> f = ls.simulate.linear(np.eye(4))
    >>> LegMap((4, 4))(f, np.random.default_rng(0).random((1, 8, 8)), 402, 0).n_queries
    402
    """

    shape: tuple[int, int] | None = None
    name: str = "leg"
    least: int = 100

    def __call__(self, response: Response, image: FloatArray, n_queries: int, rng: Any) -> MethodMap:
        """The map, signed."""
        sample = _sample(response, image, self.shape, n_queries, rng)
        return MethodMap(np.array(LEG(sample).fit().saliency), sample.ledger.spent)


@dataclass(frozen=True)
class LegTvMap:
    """LEG-TV in deletion coordinates at the held-out L, with the defaults of `legstat.explain`.

    Parameters
    ----------
    shape : tuple of int, optional
        Cells. By default as many as `legstat.explain` takes.

    Examples
    --------
    >>> LegTvMap((4, 4)).name
    'legtv'
    """

    shape: tuple[int, int] | None = None
    name: str = "legtv"
    least: int = 100

    def __call__(self, response: Response, image: FloatArray, n_queries: int, rng: Any) -> MethodMap:
        """The map, signed."""
        sample = _sample(response, image, self.shape, n_queries, rng)
        chosen = LEGTV(sample).fit_path(progress=False).select("heldout")
        return MethodMap(np.array(chosen.saliency), sample.ledger.spent)
