r"""Gradients estimated from queries: antithetic pairs around the point, in directions that a design draws.

With u the draw in units of the design's bound, a the half-range of each cell and c its middle (:math:`\theta \pm h` cut
off at the ends of the range), a pair observes

.. math:: y = f(c + a u) - f(c - a u) \approx d^T \nabla f(c), \qquad d = 2 a u.

Without earlier draws the estimate is :math:`\mathrm{Cov}(u)^{-1} \overline{u y / 2} / a`, unbiased for LEG at c: for
the gradient itself where f is linear or quadratic along the pairs, and up to the third derivative's share else.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import scipy

from legstat._core.checks import check_choice, check_count, check_level, check_positive
from legstat._core.errors import invalid
from legstat._core.typing import FloatArray
from legstat.designs.design import Design
from legstat.designs.grid import Grid
from legstat.gradients.families import Family
from legstat.gradients.gradient import Asked, Gradient
from legstat.moments.ridge import PENALTIES, SMOOTHNESS, gcv_ridge

Earlier = Literal["ignore", "pilot", "pool"]


class EstimatedGradients:
    """Gradients of any response, from antithetic pairs.

    Parameters
    ----------
    asked : Asked
        The bound response and its ledger.
    design : Design
        Law of the directions, on the cells of the mask (or on a grid over the picture). One that is bounded (blocks on
        and off) is cut off at the range of the parameters; a Gaussian one is added as it is: its scale must be small.
    pairs : int
        Antithetic pairs of one `mean_gradient`.
    rng : numpy.random.Generator
        Draws.
    half_range : float, default 0.5
        h: how far from the point a bounded design reaches, in units of theta.
    earlier : {"ignore", "pilot", "pool"}
        What is done with the pairs of earlier calls. "ignore": nothing. "pilot": a smooth regression on them predicts
        each y, and only what it misses is averaged, which leaves the estimate unbiased. "pool": the smooth regression
        on all pairs, these included, is the estimate: biased, and far less noisy where pairs are fewer than cells.
    keep : float, default 0.9
        Weight of a pair falls by this factor with each later call.

    Raises
    ------
    ValueError
        An argument out of range.

    Examples
    --------
    >>> import legstat as ls
    >>> from legstat.gradients.families import Masked
    >>> from legstat.perturbations.lifts import Lift
    >>> f, image = ls.as_response(ls.simulate.linear(np.array([[1.0, -2.0]]))), np.ones((1, 2, 2))
    >>> design = ls.IsotropicGaussian((1, 2), 0.1)
    >>> source = EstimatedGradients(Asked("mask", f, image), design, 400, np.random.default_rng(0))
    >>> family = Masked(image[None], np.zeros((1, 1, 2, 2)), Lift.repeated((1, 2), (2, 2)))
    >>> found = source.mean_gradient(family, np.full((1, 1, 2), 0.5), np.ones(1))
    >>> bool(np.all(np.abs(found.gradient - [[1.0, -2.0]]) < 4.0 * found.std_errors))
    True
    """

    name: Literal["queries"] = "queries"

    def __init__(
        self,
        asked: Asked,
        design: Design,
        pairs: int,
        rng: np.random.Generator,
        *,
        half_range: float = 0.5,
        earlier: Earlier = "ignore",
        keep: float = 0.9,
    ) -> None:
        where = "gradients"
        self.asked, self._design, self._rng = asked, design, rng
        self._pairs = check_count(where, "pairs", pairs, 2, remedy="Raise n_queries, or lower the iterations.")
        self._half_range = check_positive(where, "half_range", half_range)
        self._earlier = check_choice(where, "earlier", earlier, get_args(Earlier))
        self._keep = 1.0 if keep == 1.0 else check_level(where, "keep", keep)
        self._pool: _Pool | None = None

    def spread_over(self, calls: int, reserved: int = 0) -> None:
        """Let each of the next calls have an equal part of what is left beyond `reserved`, in whole pairs."""
        remedy = "Raise n_queries, or lower the iterations."
        affordable = int(min((self.asked.left - reserved) // (2 * calls), 10**6))
        self._pairs = check_count("gradients", "pairs", affordable, 2, remedy=remedy)

    def mean_gradient(self, family: Family, points: FloatArray, weights: FloatArray) -> Gradient:
        """See `Gradients`; the pairs are spread evenly over the points."""
        n, planes, shape = self._pairs, family.planes, self._design.grid.shape
        if self._pool is None:
            self._pool = _Pool(shape, planes)
        # every point gets as many pairs as any other, or one more
        which = self._rng.permutation(np.resize(np.arange(len(points)), n))
        u = self._design.sample(self._rng, n * planes).reshape(n, planes, -1)
        low, high = self._reach(family, points[which])
        middle = (low + high) / 2.0
        bound = self._design.bound
        units = u if bound is None else u / bound
        cells = units.reshape(n, planes, *shape)
        half = np.ones((n, planes, *shape)) if bound is None else self._cell_ranges(family, (high - low) / 2.0, cells)
        steps = family.spread(half * cells)
        scores = self.asked.scores(
            family, np.concatenate([middle + steps, middle - steps]), np.tile(which % family.members, 2)
        )
        # the point's share of the sum, so that all pairs estimate one and the same vector
        y = (scores[:n] - scores[n:]) * weights[which] * len(points)
        a = half.reshape(n, planes, -1)
        if self._earlier == "pool":
            self._pool.add(2.0 * a * units, y, self._keep)
            gradient, errors = self._pool.fit()
        else:
            known = self._pool.fit()[0] if self._earlier == "pilot" and self._pool.n else np.zeros(a.shape[1:])
            missed = y - np.einsum("npc,pc->n", 2.0 * a * units, known)
            scale = 1.0 if bound is None else bound**2
            parts = scale * self._design.solve(units * missed[:, None, None] / 2.0) / a
            gradient = known + parts.mean(axis=0)
            errors = parts.std(axis=0, ddof=1) / np.sqrt(n)
            if self._earlier == "pilot":
                self._pool.add(2.0 * a * units, y, self._keep)
        grid = (planes, *shape)
        return Gradient(family.gathered(gradient.reshape(grid)), None, family.gathered(errors.reshape(grid)))

    def _reach(self, family: Family, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Least and greatest theta of a pair."""
        if self._design.bound is None:
            return points, points
        low, high = points - self._half_range, points + self._half_range
        return (low, high) if family.bounds is None else (np.clip(low, *family.bounds), np.clip(high, *family.bounds))

    def _cell_ranges(self, family: Family, half: FloatArray, cells: FloatArray) -> FloatArray:
        """a for each cell of a direction: the mask's own, or h throughout where theta has no range."""
        if family.bounds is None:
            return np.full(cells.shape, self._half_range)
        return half[:, None]


class _Pool:
    """Pairs of all calls, in sums: enough for a ridge on a smooth prior."""

    def __init__(self, shape: tuple[int, int], planes: int) -> None:
        p = shape[0] * shape[1]
        self._grid, self._planes = Grid(shape), planes
        self._gram = np.zeros((planes * p, planes * p))
        self._b, self._yy, self.n = np.zeros(planes * p), 0.0, 0.0
        smooth = self._grid.apply_spectrum(lambda e: (e + SMOOTHNESS) ** -0.5, np.eye(p))
        self._factor = scipy.linalg.block_diag(*[smooth] * planes)

    def add(self, d: FloatArray, y: FloatArray, keep: float) -> None:
        """Add pairs of directions (n, planes, p) and differences (n,); what was there weighs less from now on."""
        rows = d.reshape(len(d), -1)
        self._gram = keep * self._gram + rows.T @ rows
        self._b = keep * self._b + rows.T @ y
        self._yy, self.n = keep * self._yy + float(y @ y), keep * self.n + len(y)

    def fit(self) -> tuple[FloatArray, FloatArray]:
        """The map (planes, p) and its standard deviation under the prior."""
        b, gram, n = self._b / self.n, self._gram / self.n, self.n
        unit = float(np.einsum("ij,ij->", self._factor, gram @ self._factor)) / len(b)
        shape = (self._planes, -1)
        if unit == 0.0 or self._yy == 0.0:
            return np.zeros((self._planes, self._grid.n_cells)), np.zeros((self._planes, self._grid.n_cells))
        gamma, hat, _ = gcv_ridge(b, gram, self._yy / n, round(n), self._factor, unit * PENALTIES, or_nothing=False)
        residual = max(self._yy / n - 2.0 * float(b @ gamma) + float(gamma @ gram @ gamma), 0.0)
        leverage = min(float(np.einsum("ij,ij->", hat, gram)), 0.99)
        errors = np.sqrt(residual / (1.0 - leverage) * np.maximum(np.diag(hat), 0.0))
        return gamma.reshape(shape), errors.reshape(shape)


def check_directions(where: str, design: Design, shape: tuple[int, int]) -> Design:
    """A design on those cells, or ValueError."""
    if design.grid.shape != shape:
        raise ValueError(invalid(where, "design.grid", design.grid.shape, f"on the mask's cells, {shape}"))
    return design
