"""What a query run does beside evaluating: interim analyses of its widths, its bar, and warnings at its end."""

from __future__ import annotations

import warnings
from typing import NoReturn

import numpy as np
from tqdm import tqdm

from legstat._core.errors import ConstantScoreWarning, TargetNotReachedWarning
from legstat.inference.sequential import widest_half_width
from legstat.responses.base import Response
from legstat.samples.faults import QueryError
from legstat.samples.sample import QuerySample
from legstat.samples.stopping import Stopping
from legstat.sampling.experiment import Experiment


def analyse(sample: QuerySample, so_far: Stopping) -> Stopping:
    """What has been seen, this interim analysis included."""
    try:
        return so_far.after(min(sample.n_units), widest_half_width(sample, so_far.rule))
    except Exception as error:
        text = f"legstat.query: the widths could not be judged: {type(error).__name__}: {error} "
        raise QueryError(text + "What was paid for is in `.sample`.", sample) from error


def count_towards(bar: tqdm[NoReturn], stopping: Stopping, experiment: Experiment) -> None:
    """Let the bar count towards the analysis at which the target is expected."""
    sizes = [units for units in experiment.analyses if units > stopping.units[-1]]
    expected = next((units for units in sizes if units >= stopping.predicted_units), experiment.units)
    bar.total = experiment.budget.queries(expected) - experiment.budget.overhead
    bar.set_postfix_str(f"half-width {stopping.half_widths[-1]:.3g}, wanted {stopping.rule.target:.3g}")


def warn_if_not_reached(sample: QuerySample, experiment: Experiment) -> None:
    """Say so where the ceiling came before the half-width, with what is predicted to reach it."""
    seen = sample.stopping
    if seen is not None and not seen.reached:
        predicted = experiment.budget.queries(seen.predicted_units)
        warnings.warn(
            f"legstat.query: the ceiling of {experiment.n_queries} evaluations came before the half-width: "
            f"{seen.half_widths[-1]:.3g} at {seen.units[-1]} {experiment.budget.unit}s a channel, wanted "
            f"{seen.rule.target:g}. It is predicted for n_queries={predicted}; query(..., resume=sample, until=...) "
            "goes on from here.",
            TargetNotReachedWarning,
            stacklevel=4,
        )


def movement(sample: QuerySample, dtype: np.dtype[np.floating]) -> float:
    """Range of the scores, in units of what a network of that type resolves: some 1e-7 of a float32 score's size."""
    y = sample.responses
    resolution = np.finfo(dtype).eps * max(abs(sample.f_base), float(np.abs(y).max(initial=0.0)))
    return 0.0 if resolution == 0.0 else float(np.ptp(y) / resolution)


def warn_if_constant(sample: QuerySample, response: Response) -> None:
    """Say so where the score does not move, or only within its rounding."""
    y = sample.responses
    if y.size > 1 and movement(sample, response.dtype) <= 4.0:  # only by its own rounding
        advice = (
            "ask for score='log_odds'" if sample.response.get("score") in ("probability", "difference") else "check f"
        )
        warnings.warn(
            f"legstat.query: the score does not move: f(x0) = {sample.f_x0:.6g} and all {y.size} responses lie within "
            f"{np.ptp(y):.3g} of each other. A map of this is zero or rounding noise. Raise the design's scale (now "
            f"{sample.design.scale:g}), or {advice}: a saturated softmax hides every change.",
            ConstantScoreWarning,
            stacklevel=4,
        )
