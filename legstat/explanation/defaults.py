"""What `explain` takes where the user says nothing of L, and the least budget for it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from legstat._core.checks import check_within
from legstat._core.conventions import ConventionsName, MomentKind, get_conventions
from legstat._core.errors import invalid
from legstat._core.typing import JSON
from legstat.estimators.leg import FOLDS, moment_kind
from legstat.estimators.radius import MEASURED, check_rule, check_theory
from legstat.estimators.relaxed import check_relaxed
from legstat.inference.intervals import MINIMUM_UNITS
from legstat.moments.estimate import CROSSFIT_MINIMUM
from legstat.responses.base import Response
from legstat.sampling.experiment import Experiment

_PUBLISHED_L_RATIO = 0.1


def choose_L(L: float | str | None, L_ratio: float | None, n_regions: int | None, conventions: ConventionsName) -> JSON:
    """How L will be chosen, as the arguments of `LEGTVPath.select`; an error where that cannot be right.

    Where nothing is given: the L of the path with the largest out-of-sample R^2 among the maps of few regions;
    under the paper's and the authors' conventions a tenth of L_max, as published.
    """
    if L is None and L_ratio is None and n_regions is None:
        return {"L": "readable"} if conventions == "default" else {"L_ratio": _PUBLISHED_L_RATIO}
    check_rule("explain", L, L_ratio, n_regions)
    if n_regions is not None:
        return {"n_regions": int(n_regions)}
    if L_ratio is not None:
        return {"L_ratio": check_within("explain", "L_ratio", L_ratio, 0.0, 1.0, remedy="For L itself pass `L=`.")}
    return {"L": L if isinstance(L, str) else check_within("explain", "L", L)}


def choose_relaxed(relaxed: bool | None, conventions: ConventionsName) -> bool:
    """Whether LEG-TV has its levels refitted: ours does unless told not to, those of the papers cannot."""
    if relaxed is None:
        return conventions == "default"
    return check_relaxed("explain", relaxed, get_conventions(conventions, "explain"))


def check_estimates(
    response: Response, experiment: Experiment, choice: Mapping[str, Any], moments: MomentKind | None
) -> None:
    """Refuse what the estimators would refuse of the sample that was paid for: moments, the rule for L, the budget."""
    grid, budget = experiment.design.grid, experiment.budget
    unknowns = experiment.planes * grid.n_cells
    kinds = {
        moment_kind("explain", moments, experiment.rules, "leg_moments", unknowns),
        moment_kind("explain", moments, experiment.rules, "legtv_moments", unknowns),
    }
    if choice.get("L") == "theory":
        check_theory("explain", response.score_name, response.bounded, experiment.design)
    n_regions, maps = choice.get("n_regions"), experiment.planes * budget.streams
    if n_regions is not None and n_regions < maps:
        valid = f">= {maps}: every channel has a map, of a region or more"
        raise ValueError(invalid("explain", "n_regions", n_regions, valid))
    needed = _units_needed(choice.get("L"), kinds, unknowns + (0 if budget.antithetic else 1))
    if experiment.n_queries < budget.queries(needed):
        paid = f"f(x0) and {needed} {budget.unit}s for each of {budget.streams} channel(s)"
        valid, remedy = f"at least {budget.queries(needed)}: {paid}", "6000 is usual at 28 x 28 cells."
        raise ValueError(invalid("explain", "n_queries", experiment.n_queries, valid, remedy))


def _units_needed(rule: object, kinds: Collection[MomentKind], n_unknowns: int) -> int:
    """Draws (or pairs) of each channel without which the estimators would refuse the sample that was paid for."""
    by_rule = 2 * FOLDS if rule in MEASURED else MINIMUM_UNITS if rule == "bootstrap" else 2
    # "least_squares" wants more than there are unknowns, in what a fold of the out-of-sample R^2 leaves too
    by_kind = {"crossfit": CROSSFIT_MINIMUM, "least_squares": -(-(n_unknowns + 1) * FOLDS // (FOLDS - 1))}
    return max(by_rule, *(by_kind.get(kind, 2) for kind in kinds))
