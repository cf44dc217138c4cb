"""What `explain` takes where the user says nothing: grid, design, the rule for L; and the least budget for it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from legstat._core.checks import check_within
from legstat._core.conventions import ConventionsName, MomentKind
from legstat._core.errors import invalid
from legstat._core.typing import JSON
from legstat.designs.structured import StructuredGaussian
from legstat.estimators.leg import FOLDS, moment_kind
from legstat.estimators.radius import check_rule, check_theory
from legstat.inference.intervals import MINIMUM_UNITS
from legstat.moments.estimate import CROSSFIT_MINIMUM
from legstat.perturbations.operators import Perturbation
from legstat.responses.base import Response
from legstat.sampling.defaults import default_scale
from legstat.sampling.experiment import Experiment

MOST_CELLS = 28
"""Cells a side of the default grid, at most: that of the LEG paper."""
_FEWEST_CELLS = 4
_PUBLISHED_L_RATIO = 0.1


def default_grid(height: int, width: int) -> tuple[int, int]:
    """The finest grid of at most 28 cells a side that divides a picture, or nearly.

    Parameters
    ----------
    height, width : int
        Pixels.

    Returns
    -------
    tuple of int
        (p1, p2). A side without a divisor between 4 and 28 is cut into cells whose sizes differ by a pixel.

    Examples
    --------
    >>> default_grid(224, 224), default_grid(8, 8), default_grid(32, 48), default_grid(227, 331)
    ((28, 28), (8, 8), (16, 24), (26, 28))
    """

    def cells(side: int) -> int:
        divisor = max(d for d in range(1, MOST_CELLS + 1) if side % d == 0)
        pixels = -(-side // MOST_CELLS)  # of the largest cell, where cells differ
        return divisor if divisor >= min(_FEWEST_CELLS, side) else -(-side // pixels)

    return cells(height), cells(width)


def default_design(
    size: tuple[int, int], operator: Perturbation, grid: tuple[int, int] | None, scale: float | None
) -> StructuredGaussian:
    """The structured design on a picture of (height, width), of the default grid and scale unless these are given."""
    return StructuredGaussian(
        default_grid(*size) if grid is None else grid, default_scale(operator) if scale is None else scale
    )


def choose_L(L: float | str | None, L_ratio: float | None, n_regions: int | None, conventions: ConventionsName) -> JSON:
    """How L will be chosen, as the arguments of `LEGTVPath.select`; an error where that cannot be right.

    Where nothing is given: the point of the path with the largest out-of-sample R^2; under the paper's and the authors'
    conventions a tenth of L_max, as published.
    """
    if L is None and L_ratio is None and n_regions is None:
        return {"L": "heldout"} if conventions == "default" else {"L_ratio": _PUBLISHED_L_RATIO}
    check_rule("explain", L, L_ratio, n_regions)
    if n_regions is not None:
        return {"n_regions": int(n_regions)}
    if L_ratio is not None:
        return {"L_ratio": check_within("explain", "L_ratio", L_ratio, 0.0, 1.0, remedy="For L itself pass `L=`.")}
    return {"L": L if isinstance(L, str) else check_within("explain", "L", L)}


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
    by_rule = {"heldout": 2 * FOLDS, "bootstrap": MINIMUM_UNITS}.get(str(rule), 2)
    # "least_squares" wants more than there are unknowns, in what a fold of the out-of-sample R^2 leaves too
    by_kind = {"crossfit": CROSSFIT_MINIMUM, "least_squares": -(-(n_unknowns + 1) * FOLDS // (FOLDS - 1))}
    return max(by_rule, *(by_kind.get(kind, 2) for kind in kinds))
