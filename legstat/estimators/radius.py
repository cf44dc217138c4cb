"""How L is given or chosen: a number, a rule, a share of L_max, a number of regions; and what the rules amount to."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import numpy as np

from legstat._core.checks import check_count
from legstat._core.conventions import MomentKind
from legstat._core.errors import InferenceUnavailableError, invalid
from legstat.designs.design import Design
from legstat.inference.confidence_set import bootstrap_L
from legstat.inference.covariance import Covariance, no_variance
from legstat.inference.intervals import check_units
from legstat.inference.theory import edge_variance, structured_L, theorem_L
from legstat.moments.estimate import COV_TYPES
from legstat.moments.moments import Moments
from legstat.samples.sample import QuerySample

Rule = Literal["readable", "simplest", "heldout", "bootstrap", "theory"]
RULES: tuple[Rule, ...] = get_args(Rule)
MEASURED: tuple[Rule, ...] = ("readable", "simplest", "heldout")
"""The rules that measure K-fold R^2 all along a path."""


def check_rule(where: str, L: object, L_ratio: object, n_regions: object) -> None:
    """TypeError or ValueError unless exactly one of the three is given, L being a number or the name of a rule."""
    given = {"L": L, "L_ratio": L_ratio, "n_regions": n_regions}
    if sum(value is not None for value in given.values()) != 1:
        valid = "exactly one: L=" + "|".join(map(repr, RULES)) + "|number, L_ratio=, n_regions="
        raise ValueError(invalid(where, "L, L_ratio, n_regions", tuple(given.values()), valid))
    if isinstance(L, str) and L not in RULES:
        raise ValueError(invalid(where, "L", L, "a number or one of " + ", ".join(map(repr, RULES))))
    if n_regions is not None:
        check_count(where, "n_regions", n_regions)


def check_theory(where: str, score: str, bounded: bool | None, design: Design, probability: float = 0.95) -> None:
    """ValueError where Theorem 1 does not admit that score or that scale, whatever the number of draws."""
    if score not in ("probability", "difference", "custom", "unknown"):
        remedy = "Use score='probability' or 'difference', or choose L by 'heldout'."
        raise ValueError(invalid(where, "score", score, "bounded by 1, as Theorem 1 assumes", remedy))
    if bounded is False:
        remedy = "Choose L by 'bootstrap' or 'heldout'."
        raise ValueError(invalid(where, "response.bounded", False, "a score within [-1, 1]", remedy))
    # both fall like n^-1/2. L has no sigma in it and the noise of the constraint has: from here on the set misses
    # gamma more often
    noise = structured_L(design.grid, math.sqrt(edge_variance(design)), 1, probability=probability)
    if noise > theorem_L(design.grid, 1, probability=probability):
        remedy = "Choose L by 'bootstrap', or give pictures and scale in [0, 1]."
        raise ValueError(invalid(where, "design.scale", design.scale, "small enough for that L", remedy))


def theory_radius(moments: Moments, probability: float) -> float:
    """See `LEGTV.L_theory`."""
    about, design = moments.source.get("response", {}), moments.design
    check_theory("LEGTV.L_theory", about.get("score", "unknown"), about.get("bounded"), design, probability)
    return theorem_L(design.grid, moments.n, probability=probability)


def bootstrap_radius(
    sample: QuerySample | Moments, moments: Moments, kind: MomentKind, level: float, n_draws: int, rng: Any
) -> float:
    """See `LEGTV.L_bootstrap`: of `moments` of that kind, made from `sample`."""
    if isinstance(sample, Moments):
        raise InferenceUnavailableError(
            "legstat.LEGTV.L_bootstrap: needs the responses; moments alone do not tell their noise. Make LEGTV "
            "from the sample, or pass L=."
        )
    check_units("LEGTV.L_bootstrap", min(sample.n_units))
    shrunken = COV_TYPES[kind] == ("none",)
    unbiased = sample.moments("crossfit" if shrunken else kind)
    if unbiased.influence is None:
        raise no_variance(kind, "LEGTV.L_bootstrap")
    L = bootstrap_L(Covariance(sample.units, unbiased.influence), sample.design, level=level, n_draws=n_draws, rng=rng)
    away = sample.design.grid.pinv_transpose(moments.b - unbiased.b)
    return L + float(np.abs(away).max(initial=0.0))
