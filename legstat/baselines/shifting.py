"""What l1-q and adversarial pictures have in common: a picture before a black box, moved pixel by pixel."""

from __future__ import annotations

from typing import Any

import numpy as np

from legstat._core.checks import check_count, check_rng
from legstat._core.typing import FloatArray
from legstat.baselines.problem import N_QUERIES, affordable_steps
from legstat.designs.design import Design
from legstat.designs.grid import Grid
from legstat.designs.isotropic import IsotropicGaussian
from legstat.gradients.estimated import Earlier
from legstat.gradients.families import Shifted
from legstat.gradients.gradient import Asked, Gradients
from legstat.gradients.opening import GradientChoice, check_gradient, open_gradients
from legstat.responses.base import Response
from legstat.sampling.defaults import default_grid


class Shifting:
    """A picture that is to be moved, and the gradient of its score.

    Parameters
    ----------
    where : str
        The public call, for errors.
    response : Response
        The black box.
    image : ndarray of shape (C, H, W)
        x0, as `Response.check_image` gives it.
    gradient : {"exact", "queries", "auto"}
        Where gradients come from.
    n_queries : int or None
        Ceiling; None: 2,000 for estimated gradients, none for exact ones.
    rng : anything `numpy.random.default_rng` takes
        Directions.
    directions : Design or None
        Of estimated gradients; `IsotropicGaussian` of scale 0.05 on the default grid unless given.
    earlier : {"ignore", "pilot", "pool"}
        As for `EstimatedGradients`.
    steps : int
        Steps at most; a ceiling that does not pay for them, and for the last score, lowers their number.

    Attributes
    ----------
    steps : int
        Steps that are paid for.
    asked : Asked
        The ledger.
    source : Gradients
        Of the gradients.
    """

    def __init__(
        self,
        where: str,
        response: Response,
        image: FloatArray,
        gradient: GradientChoice,
        n_queries: int | None,
        rng: Any,
        directions: Design | None,
        earlier: Earlier,
        steps: int,
    ) -> None:
        name = check_gradient(where, gradient, response)
        if n_queries is None and name == "queries":
            n_queries = N_QUERIES
        if n_queries is not None:
            n_queries = check_count(where, "n_queries", n_queries, 3)
        design = directions or IsotropicGaussian(default_grid(*image.shape[1:]), 0.05)
        Grid(design.grid.shape).tiling(*image.shape[1:])
        generator = check_rng(where, rng)
        # nothing above has evaluated anything
        self.asked = Asked(where, response, image, n_queries)
        self.source: Gradients = open_gradients(
            name, self.asked, design, generator, half_range=0.1, earlier=earlier, keep=0.9
        )
        self._family = Shifted(image, Grid(design.grid.shape))
        self.steps = affordable_steps(self.asked, steps, 1 if name == "exact" else 4, last=1)

    def gradient(self, delta: FloatArray, k: int) -> tuple[FloatArray, float]:
        """The gradient at x0 + delta in step k, and the score there (NaN where it was not evaluated)."""
        self.source.spread_over(self.steps - k, reserved=1)
        found = self.source.mean_gradient(self._family, delta[None], np.ones(1))
        return found.gradient, np.nan if found.values is None else float(found.values[0])

    def score(self, delta: FloatArray) -> float:
        """The score at x0 + delta."""
        return float(self.asked.scores(self._family, delta[None])[0])
