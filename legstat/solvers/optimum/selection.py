r"""Which point of the optimal face: nearest to the data ("closest") or its analytic centre ("interior").

Both are unique, so neither depends on the engine that found the face. On the regions of the face, with d = x_head -
x_tail, "closest" is the strictly convex quadratic program

.. math:: \min_x \tfrac12 \sum_k n_k (d_k - t_k)^2 \quad\text{s.t.}\quad low_k \le d_k \le high_k,

and "interior" maximises :math:`\sum_k \log (d_k - low_k) + \log (high_k - d_k)`. Both are solved by a primal-dual
interior-point method whose steps cost one sparse factorisation of a weighted Laplacian of the regions; "closest" is
then finished to rounding on the active set that emerges.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph
from scipy.sparse.linalg import splu

from legstat._core.typing import FloatArray, IntArray
from legstat.solvers.optimum.face import Regions
from legstat.solvers.programs.graph import components

_STEPS = 80  # 12 to 18 are usual
_TO_BOUNDARY = 0.995
_DEPTHS = (1e-9, 1e-11, 1e-14)  # of complementarity: where the active set is tried; nearly always the first will do
_SHARP = 1e-5  # an error bound below this means that the active set was right (the error itself is then rounding)
_PENALTY = 1e4  # of the finishing multiplier method: each step gains one to four digits, more would cost rounding
_FINISHING_STEPS = 4
_CORRECTIONS = 8  # changes of the active set tried before the interior-point method goes deeper
_VIOLATED = 1e-12
_BATCH = 64  # regions whose shortest paths are computed together


@dataclass(frozen=True)
class Selected:
    """x on the regions; a bound on the largest error of an edge (closest); steps of the interior-point method."""

    x: FloatArray
    error: float
    steps: int


class _Laplacian:
    """Factorises D^T diag(weight) D of the regions, one region of each component grounded.

    The pattern is fixed: it is ordered once for little fill, which halves the time of the factorisations that follow.
    """

    def __init__(self, regions: Regions) -> None:
        self.regions, n = regions, regions.n_regions
        _, label = components(regions.tail, regions.head, n)
        _, self._roots = np.unique(label, return_index=True)
        self._arrange(np.arange(n))
        # symmetric and diagonally dominant: no pivoting, an ordering for A^T + A
        order = self._factorise(np.ones(regions.tail.size), "MMD_AT_PLUS_A").perm_c
        self._arrange(np.argsort(order))

    def _arrange(self, order: IntArray) -> None:
        """Compressed columns of the pattern with the regions renumbered: row k is region order[k]."""
        n = order.size
        place = np.empty(n, dtype=np.int64)
        place[order] = np.arange(n)
        tail, head = place[self.regions.tail], place[self.regions.head]
        rows, columns = np.concatenate([place, tail, head]), np.concatenate([place, head, tail])
        self._entry = np.lexsort((rows, columns))
        self._rows = rows[self._entry].astype(np.int32)
        self._starts = np.searchsorted(columns[self._entry], np.arange(n + 1)).astype(np.int32)
        self._order, self._place = order, place

    def _factorise(self, weight: FloatArray, ordering: Literal["NATURAL", "MMD_AT_PLUS_A"]) -> Any:
        n = self.regions.n_regions
        diagonal = np.bincount(self.regions.head, weight, n) + np.bincount(self.regions.tail, weight, n)
        diagonal[self._roots] = 2.0 * diagonal[self._roots] + (diagonal[self._roots] == 0)
        values = np.concatenate([diagonal, -weight, -weight])[self._entry]
        matrix = sparse.csc_array((values, self._rows, self._starts), shape=(n, n))
        return splu(matrix, permc_spec=ordering, diag_pivot_thresh=0.0, options={"SymmetricMode": True})

    def factor(self, weight: FloatArray) -> Callable[[FloatArray], FloatArray]:
        """The solver of one weighting; RuntimeError where the weights span more than rounding."""
        solve = self._factorise(weight, "NATURAL").solve
        return lambda right: np.asarray(solve(right[self._order])[self._place])


def closest(regions: Regions) -> Selected:
    """The x whose edges are nearest to the data, in the sense of least squares over all edges."""
    if regions.tail.size == 0:
        return Selected(np.zeros(regions.n_regions), 0.0, 0)
    laplacian = _Laplacian(regions)
    width = regions.high - regions.low
    floor = 1e-6 * float(width.max()) ** 2
    level = max(floor, float((np.abs(regions.count * regions.target) * width).mean()))
    point = _InteriorPoint(regions, laplacian, regions.count, regions.target, level)
    best = Selected(point.x, np.inf, 0)
    steps = 0
    for depth in _DEPTHS:
        steps += point.follow(depth)
        error = _error(regions, regions.differences(point.x), point.push_down - point.push_up)
        rough = Selected(point.x, error, steps)
        for found in (rough, _finish(regions, laplacian, rough, point)):
            best = found if found.error < best.error else best
        if best.error <= _SHARP * point.size:
            break
    return best


def analytic_centre(regions: Regions) -> Selected:
    """The x in the middle of the face."""
    if regions.tail.size == 0:
        return Selected(np.zeros(regions.n_regions), 0.0, 0)
    nothing = np.zeros(regions.tail.size)
    level = float((regions.high - regions.low).max()) ** 2
    point = _InteriorPoint(regions, _Laplacian(regions), nothing, nothing, level)
    steps = point.centre(level)
    return Selected(point.x, 0.0, steps)


class _Step(NamedTuple):
    x: FloatArray
    below: FloatArray
    above: FloatArray
    push_up: FloatArray
    push_down: FloatArray


class _InteriorPoint:
    """State of the method: x, the slacks below (d - low) and above (high - d), and their multipliers."""

    def __init__(self, regions: Regions, laplacian: _Laplacian, count: FloatArray, target: FloatArray,
                 level: float) -> None:  # fmt: skip
        self.regions, self.laplacian, self.count, self.target = regions, laplacian, count, target
        width = regions.high - regions.low
        self.size = float(width.max())
        self.x = np.zeros(regions.n_regions)
        self.below, self.above = np.maximum(-regions.low, 0.1 * width), np.maximum(regions.high, 0.1 * width)
        self.push_up, self.push_down = level / self.below, level / self.above
        self._measure()

    def follow(self, depth: float) -> int:
        """Mehrotra's predictor-corrector down to a mean complementarity of `depth`; the number of steps."""
        for step in range(_STEPS):
            mean = float(self.below @ self.push_up + self.above @ self.push_down) / (2 * self.below.size)
            if (self._feasible() and mean <= depth * self.size**2) or not self._factorise():
                return step
            nothing = np.zeros_like(self.below)
            guess = self._step(nothing, nothing)
            goal = mean * (self._mean(guess, self._longest(guess)) / mean) ** 3
            self._advance(self._step(goal - guess.below * guess.push_up, goal - guess.above * guess.push_down))
        return _STEPS

    def centre(self, level: float) -> int:
        """Newton steps towards slack times multiplier = level on every bound; the number of steps."""
        wanted = np.full_like(self.below, level)
        for step in range(_STEPS):
            products = np.concatenate([self.below * self.push_up, self.above * self.push_down])
            central = np.abs(products - level).max() <= 1e-10 * level and np.abs(self._dual).max() <= 1e-10 * self.size
            if (self._feasible() and central) or not self._factorise():
                return step
            self._advance(self._step(wanted, wanted))
        return _STEPS

    def _measure(self) -> None:
        d = self.regions.differences(self.x)
        self._dual = self.regions.divergence(self.count * (d - self.target) - self.push_up + self.push_down)
        self._off_low, self._off_high = d - self.regions.low - self.below, self.regions.high - d - self.above

    def _feasible(self) -> bool:
        return max(float(np.abs(self._off_low).max()), float(np.abs(self._off_high).max())) <= 1e-13 * self.size

    def _factorise(self) -> bool:
        try:
            weight = self.count + self.push_up / self.below + self.push_down / self.above
            self._factor = self.laplacian.factor(weight)
        except RuntimeError:  # weights beyond rounding: the point reached is as good as this method gets
            return False
        return True

    def _step(self, want_low: FloatArray, want_high: FloatArray) -> _Step:
        """Newton step towards slack times multiplier = want_low, want_high."""
        lift = (want_low - self.push_up * self._off_low) / self.below - self.push_up
        press = (want_high - self.push_down * self._off_high) / self.above - self.push_down
        x = np.asarray(self._factor(self.regions.divergence(lift - press) - self._dual))
        change = self.regions.differences(x)
        below, above = change + self._off_low, self._off_high - change
        return _Step(x, below, above, (want_low - self.push_up * below) / self.below - self.push_up,
                     (want_high - self.push_down * above) / self.above - self.push_down)  # fmt: skip

    def _pairs(self, step: _Step) -> tuple[tuple[FloatArray, FloatArray], ...]:
        return ((self.below, step.below), (self.above, step.above), (self.push_up, step.push_up),
                (self.push_down, step.push_down))  # fmt: skip

    def _longest(self, step: _Step) -> float:
        """Largest part of the step that keeps slacks and multipliers positive."""
        ratios = [1.0 / _TO_BOUNDARY]
        for value, change in self._pairs(step):
            shrinking = change < 0
            ratios.append(float((value[shrinking] / -change[shrinking]).min(initial=np.inf)))
        return min(ratios)

    def _mean(self, step: _Step, length: float) -> float:
        below, above, up, down = (value + length * change for value, change in self._pairs(step))
        return float(below @ up + above @ down) / (2 * below.size)

    def _advance(self, step: _Step) -> None:
        length = min(1.0, _TO_BOUNDARY * self._longest(step))
        self.x = self.x + length * step.x
        self.below, self.above, self.push_up, self.push_down = (v + length * c for v, c in self._pairs(step))
        self._measure()


def _finish(regions: Regions, laplacian: _Laplacian, rough: Selected, point: _InteriorPoint) -> Selected:
    """Least squares with the active bounds as equations, by multiplier steps that share one factorisation.

    Active bounds close cycles, so their multipliers are not unique: starting from those of the interior-point method,
    which have the right signs, keeps the signs. Bounds whose multiplier turns the wrong way all the same are released,
    violated ones added, a few times.
    """
    t, n = regions.target, regions.count
    x, d = rough.x, regions.differences(rough.x)
    # the multiplier beats the slack on an active bound, the slack beats the multiplier elsewhere
    at_low, at_high = point.push_up > d - regions.low, point.push_down > regions.high - d
    y = np.where(at_low | at_high, point.push_down - point.push_up, 0.0)
    best = rough
    for _ in range(_CORRECTIONS):
        active = at_low | at_high
        bound = np.where(at_high, regions.high, regions.low)
        penalty = _PENALTY * n * active
        try:
            solve = laplacian.factor(n + penalty)
        except RuntimeError:
            return best
        for _ in range(_FINISHING_STEPS):
            x = x + solve(-regions.divergence(n * (d - t) + y + penalty * (d - bound)))
            d = regions.differences(x)
            y = y + penalty * (d - bound)
        found = Selected(x, _error(regions, d, y), rough.steps)
        best = found if found.error < best.error else best
        if found.error <= _SHARP * point.size:
            return best
        at_low = (at_low & (y < 0)) | (d < regions.low - _VIOLATED * point.size)
        at_high = (at_high & (y > 0)) | (d > regions.high + _VIOLATED * point.size)
        y = np.where(at_low | at_high, y, 0.0)
    return best


def _error(regions: Regions, d: FloatArray, y: FloatArray) -> float:
    """Bound on max_e |h_e - h*_e|: sqrt(2 gap), as the objective is strongly convex with modulus 1, plus violations."""
    n, t = regions.count, regions.target
    inside = np.minimum(np.maximum(d, regions.low), regions.high)
    slack = np.where(y > 0, y * (regions.high - d), y * (regions.low - d))
    unbalanced = regions.divergence(n * (d - t) + y)
    hidden = float(np.abs(unbalanced).sum() * np.abs(d - t).max())
    return float(np.sqrt(2.0 * (np.abs(slack).sum() + hidden)) + np.abs(d - inside).max())


def widest_range(regions: Regions) -> float:
    """Largest range of one edge over the face, exactly: 0 where the optimum is unique.

    The range of x_b - x_a is a shortest path from a to b plus one from b to a, with lengths `high` along and -`low`
    against the edges. Edges are visited from the widest interval down until no wider range is possible; the worst case
    is one shortest-path tree per region.
    """
    if regions.tail.size == 0:
        return 0.0
    n = regions.n_regions
    start, end = np.concatenate([regions.tail, regions.head]), np.concatenate([regions.head, regions.tail])
    # csgraph reads an explicit 0 as no arc
    length = np.maximum(np.concatenate([regions.high, -regions.low]), np.finfo(float).tiny)
    arcs = sparse.csr_array((length, (start, end)), shape=(n, n))
    width = regions.high - regions.low
    order = np.argsort(-width, kind="stable")
    best = 0.0
    for first in range(0, order.size, _BATCH):
        edges = order[first : first + _BATCH]
        if width[edges[0]] <= best:
            break
        a, b = regions.tail[edges], regions.head[edges]
        sources, where = np.unique(np.concatenate([a, b]), return_inverse=True)
        far = np.asarray(csgraph.dijkstra(arcs, indices=sources))
        there, back = far[where[: a.size], b], far[where[a.size :], a]
        best = max(best, float((there + back).max()))
    return best
