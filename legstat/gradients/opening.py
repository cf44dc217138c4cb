"""The source of gradients that the user asked for, checked before anything is evaluated."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from legstat._core.checks import check_choice
from legstat._core.errors import invalid
from legstat.designs.design import Design
from legstat.gradients.estimated import Earlier, EstimatedGradients
from legstat.gradients.gradient import Asked, GradientName, Gradients
from legstat.responses.base import Response

GradientChoice = Literal["exact", "queries", "auto"]


def check_gradient(where: str, gradient: object, response: Response) -> GradientName:
    """The source, "auto" settled: exact where the response has gradients.

    Raises
    ------
    ValueError
        Unknown name.
    TypeError
        Exact gradients of a black box that has none.
    """
    choice = check_choice(where, "gradient", gradient, get_args(GradientChoice))
    differentiable = hasattr(response, "scores_with_history")
    if choice == "exact" and not differentiable:
        remedy = 'Pass gradient="queries": it is estimated from evaluations alone. `torch_response` has exact ones.'
        raise TypeError(invalid(where, "gradient", choice, f"'queries' for a {type(response).__name__}", remedy))
    if choice == "auto":
        return "exact" if differentiable else "queries"
    return "exact" if choice == "exact" else "queries"


def open_gradients(
    name: GradientName,
    asked: Asked,
    design: Design,
    rng: np.random.Generator,
    *,
    half_range: float,
    earlier: Earlier,
    keep: float,
) -> Gradients:
    """The source by name; all that follows `asked` is of the estimated one."""
    if name == "exact":
        from legstat.gradients.exact import ExactGradients

        return ExactGradients(asked)
    return EstimatedGradients(asked, design, 2, rng, half_range=half_range, earlier=earlier, keep=keep)
