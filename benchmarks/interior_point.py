r"""The interior-point method that found the point nearest to the data before Clarabel did: kept to be measured.

Mehrotra's predictor-corrector on the regions of the optimal face, one sparse factorisation of a weighted Laplacian a
step, then a multiplier method on the active set that emerges. `bench_selection.py` compares.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from legstat._core.typing import FloatArray, IntArray
from legstat.solvers.optimum.face import Regions
from legstat.solvers.optimum.selection import Selected, error_bound
from legstat.solvers.programs.graph import components

_STEPS = 80  # 12 to 18 are usual
_TO_BOUNDARY = 0.995
_DEPTHS = (1e-9, 1e-11, 1e-14)  # of complementarity: where the active set is tried; nearly always the first will do
_SHARP = 1e-5  # an error bound below this means that the active set was right (the error itself is then rounding)
_PENALTY = 1e4  # of the finishing multiplier method: each step gains one to four digits, more would cost rounding
_FINISHING_STEPS = 4
_CORRECTIONS = 8  # changes of the active set tried before the interior-point method goes deeper
_VIOLATED = 1e-12


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
        error = error_bound(regions, regions.differences(point.x), point.push_down - point.push_up)
        rough = Selected(point.x, error, steps)
        for found in (rough, _finish(regions, laplacian, rough, point)):
            best = found if found.error < best.error else best
        if best.error <= _SHARP * point.size:
            break
    return best


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
        found = Selected(x, error_bound(regions, d, y), rough.steps)
        best = found if found.error < best.error else best
        if found.error <= _SHARP * point.size:
            return best
        at_low = (at_low & (y < 0)) | (d < regions.low - _VIOLATED * point.size)
        at_high = (at_high & (y > 0)) | (d > regions.high + _VIOLATED * point.size)
        y = np.where(at_low | at_high, y, 0.0)
    return best
