"""What `explain` takes where the user says nothing: grid, design, the rule for L; and the least budget for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from legstat._core.checks import check_within
from legstat._core.conventions import Conventions, ConventionsName, MomentKind
from legstat._core.errors import invalid
from legstat._core.typing import JSON
from legstat.designs.structured import StructuredGaussian
from legstat.estimators.leg import FOLDS
from legstat.estimators.radius import check_rule
from legstat.inference.intervals import MINIMUM_UNITS
from legstat.moments.estimate import CROSSFIT_MINIMUM
from legstat.perturbations.operators import Perturbation
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


def check_enough(experiment: Experiment, choice: Mapping[str, Any], moments: MomentKind | None) -> None:
    """Refuse a budget that pays for a sample but not for estimates from it."""
    units, budget = _units_needed(choice, experiment.rules, moments), experiment.budget
    least = budget.queries(units)
    if experiment.n_queries < least:
        valid = f"at least {least}: f(x0) and {units} {budget.unit}s for each of {budget.streams} channel(s)"
        remedy = "6000 is usual at 28 x 28 cells."
        raise ValueError(invalid("explain", "n_queries", experiment.n_queries, valid, remedy))


def _units_needed(choice: Mapping[str, Any], rules: Conventions, moments: MomentKind | None) -> int:
    """Draws (or pairs) of each channel without which the estimators would refuse the sample that was paid for."""
    if choice.get("L") == "heldout":
        return 2 * FOLDS
    if choice.get("L") == "bootstrap":
        return MINIMUM_UNITS
    return CROSSFIT_MINIMUM if (moments or rules.leg_moments) == "crossfit" else 2
