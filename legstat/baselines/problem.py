"""What mask and I-GOS have in common: a picture before a black box, a baseline, cells, a source of gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

import numpy as np

from legstat._core.checks import check_choice, check_count, check_rng, check_type
from legstat._core.typing import JSON, AnyArray, FloatArray
from legstat.baselines.penalties import Penalty
from legstat.designs.design import Design
from legstat.designs.grid import parse_shape
from legstat.designs.multiscale import MultiscaleBlocks
from legstat.gradients.estimated import Earlier, check_directions
from legstat.gradients.families import Family, Masked
from legstat.gradients.gradient import Asked
from legstat.gradients.opening import GradientChoice, check_gradient, open_gradients
from legstat.metrics.references import ReferenceName, reference_picture
from legstat.perturbations.lifts import Lift, check_mask_shape
from legstat.responses.base import Response
from legstat.responses.function import as_response
from legstat.sampling.defaults import default_grid

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Settings = TypeVar("Settings", bound="DataclassInstance")
ScoreChoice = Literal["probability", "given"]
N_QUERIES = 2000
"""Ceiling where gradients are estimated and nobody names one."""
WEAK = 0.01
"""Probability below which the I-GOS paper saw its method fail."""


class Problem:
    """A picture whose mask is to be found.

    Parameters
    ----------
    where : str
        The public call, for errors.
    response : Response or callable
        The black box.
    image : ndarray of shape (C, H, W)
        x0.
    gradient : {"exact", "queries", "auto"}
        Where gradients come from.
    n_queries : int or None
        Ceiling; None: 2,000 for estimated gradients, none for exact ones.
    rng : anything `numpy.random.default_rng` takes
        Noise, jitter, directions.
    shape : tuple of int or None
        Cells of the mask.
    baseline : str or ndarray
        What is shown where the mask is 0.
    score : {"probability", "given"}
        Of a network the probability of its target, or the score that it was opened with.
    first : int or None
        As many first choices together are explained, by their probability, in place of the target.
    in_contrasts : bool
        Divide scores by the difference between x0 and the baseline, so that the penalties' weights do not depend on
        the score's unit.
    directions : Design or None
        Of estimated gradients.
    half_range, earlier, keep
        As for `EstimatedGradients`.
    """

    def __init__(
        self,
        where: str,
        response: Response | Callable[[AnyArray], AnyArray],
        image: AnyArray,
        gradient: GradientChoice,
        n_queries: int | None,
        rng: Any,
        *,
        shape: tuple[int, int] | None,
        baseline: ReferenceName | FloatArray,
        score: ScoreChoice,
        in_contrasts: bool,
        first: int | None = None,
        directions: Design | None = None,
        half_range: float = 0.5,
        earlier: Earlier = "pool",
        keep: float = 0.9,
    ) -> None:
        black_box = as_response(response)
        check_choice(where, "score", score, get_args(ScoreChoice))
        scoring = black_box.as_probability(first) if score == "probability" or first is not None else black_box
        self.where, self.image = where, black_box.check_image(image, where)
        self.size = (self.image.shape[1], self.image.shape[2])
        cells = default_grid(*self.size) if shape is None else parse_shape(where, shape)
        self.shape = check_mask_shape(where, cells, self.size)
        name = check_gradient(where, gradient, scoring)
        if n_queries is None and name == "queries":
            n_queries = N_QUERIES
        if n_queries is not None:
            n_queries = check_count(where, "n_queries", n_queries, 3)
        self.rng = check_rng(where, rng)
        if directions is not None:
            check_type(where, "directions", directions, Design, "such as MultiscaleBlocks(grid=(28, 28))")
        design = MultiscaleBlocks(self.shape) if directions is None else check_directions(where, directions, self.shape)
        self.baseline = reference_picture(where, baseline, self.image, scoring)
        # nothing above has evaluated anything
        self.asked = Asked(where, scoring, self.image, n_queries)
        self.source = open_gradients(
            name, self.asked, design, self.rng, half_range=half_range, earlier=earlier, keep=keep
        )
        self.f_x0, self.unit = self.asked.f_x0, 1.0
        if in_contrasts:
            plain = Masked(self.image[None], self.baseline[None], Lift.repeated((1, 1), self.size))
            f_baseline = float(self.asked.scores(plain, np.zeros((1, 1, 1)))[0])
            # a baseline as good as the picture leaves nothing to divide by
            self.unit = self.f_x0 - f_baseline if self.f_x0 > f_baseline else 1.0

    def value(self, family: Family, mask: FloatArray) -> float:
        """The score under a mask, in its unit."""
        return float(self.asked.scores(family, mask[None])[0]) / self.unit

    def facts(self) -> JSON:
        """The response as it describes itself, and f(x0)."""
        return {"response": self.asked.response.describe(), "f_x0": self.f_x0, "unit": self.unit}


def affordable_steps(asked: Asked, steps: int, each: int, last: int = 0) -> int:
    """Steps of that many evaluations that the ceiling pays for beside `last`: at most `steps`, and at least one."""
    left = asked.left - last
    return steps if np.isinf(left) else max(min(steps, int(left // each)), 1)


def shown(family: Family, solution: FloatArray) -> FloatArray:
    """The picture that a solution makes, within [0, 1]."""
    pictures = family.pictures(solution[None], np.zeros(1, dtype=np.int64))
    return np.asarray(np.clip(pictures[0], 0.0, 1.0), dtype=np.float64)


def total_terms(score: float, penalty: Penalty, mask: FloatArray) -> tuple[float, dict[str, float]]:
    """The objective, and what it is the sum of."""
    terms = penalty.terms(mask)
    return score + sum(terms.values()), {"score": score, **terms}


def changed(settings: Settings, changes: dict[str, Any]) -> Settings:
    """Settings with those changes that are not None."""
    return replace(settings, **{name: value for name, value in changes.items() if value is not None})
