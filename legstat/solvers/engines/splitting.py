r"""Where the regions and active rows of a lifted program are likely to be, for many L at once.

The alternating direction method of multipliers on x = D g, v = a - A g:

.. math:: \min_{x, v} \sum_e w_e |x_e| + [\|v\|_\infty \le L] \quad\text{s.t.}\quad (x, v) = (D g, a - A g)

(Boyd, Parikh, Chu, Peleato and Eckstein, Foundations and Trends in Machine Learning 3, 2011). All L share one p x p
inverse, so that a step is three matrix products for all of them together, in single precision. It is slow to become
exact but soon tells which x are 0 and which v are at their bound, the better the smaller L: an engine that is exact
starts from there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from legstat._core.typing import BoolArray, FloatArray, IntArray
from legstat.solvers.programs.general import GeneralProgram
from legstat.solvers.programs.graph import joined

MOST_UNKNOWNS = 4096
"""Unknowns up to which the p x p inverse is formed."""
_STEPS = 200
_HELD = 0.95  # of its bound: an edge whose flow is beyond may become a jump
_RELAXATION = 1.8
_BALANCE = 30.0  # the penalty of v over that of x, where both matrices have the same trace
_JUMP, _POWER = 2.0, 0.65  # the threshold of x: 2 (L / L_max)^0.65 times the largest entry of a smooth estimate


@dataclass(frozen=True)
class Guess:
    """Regions and active rows at one L.

    Attributes
    ----------
    parts : ndarray of int, shape (p,)
        Cells joined by edges that are neither a jump nor near to becoming one.
    rows : ndarray of int, shape (k,)
        Rows of the constraint at their bound.
    signs : ndarray of float, shape (k,)
        Of their residuals.
    multipliers : float
        Sum of the rows' multipliers, roughly.
    g : ndarray of float, shape (p,)
        Levels, equal where no jump is between.
    z : ndarray of float, shape (m,)
        Flows, at their bounds where there is a jump.
    """

    parts: IntArray
    rows: IntArray
    signs: FloatArray
    multipliers: float
    g: FloatArray
    z: FloatArray


@dataclass(frozen=True)
class _Matrices:
    """What all right-hand sides of a program share, in its own units and in single precision."""

    difference: Any
    potential: Any  # C with A = D C
    inverse: Any  # of D^T D + penalty A^T A
    penalty: np.float32

    @classmethod
    def of(cls, program: GeneralProgram) -> _Matrices:
        if program.lift is None:
            raise AssertionError("a program of another form")
        difference = program.difference
        potential = program.lift.potential(np.eye(program.n_nodes)) / program.lift.size
        gram = (difference.T @ difference).toarray()
        square = potential.T @ (gram @ potential)
        penalty = _BALANCE * float(np.trace(gram) / np.trace(square))
        inverse = np.linalg.inv(gram + penalty * square)
        single = np.float32
        return cls(difference.astype(single), potential.astype(single), inverse.astype(single), single(penalty))


def guesses(program: GeneralProgram, unit_Ls: FloatArray) -> list[Guess]:
    """Of a lifted program, at each L (in the program's own units).

    O(p^3) once for a program and its `with_moments`, then O(p^2) for each step and each L.
    """
    shared = program.once("splitting", lambda: _Matrices.of(program))
    difference, backward = shared.difference, shared.difference.T.tocsr()
    onto, penalty = shared.penalty * shared.potential.T, shared.penalty
    target = (program.target / program.scale)[:, None].astype(np.float32)
    radius = unit_Ls.astype(np.float32)
    smooth = shared.inverse @ (onto @ (backward @ target))
    share = np.minimum(unit_Ls * (program.scale / (program.L_max or 1.0)), 1.0)
    sizes = _JUMP * float(np.abs(smooth).max()) * share**_POWER
    thresholds = np.maximum(sizes, np.finfo(np.float32).tiny).astype(np.float32)
    shrunk = np.multiply.outer(program.unit_weights.astype(np.float32), thresholds)
    step = np.float32(_RELAXATION)
    g = np.zeros((program.n_nodes, radius.size), dtype=np.float32)
    x = v = bare = np.zeros((program.n_edges, radius.size), dtype=np.float32)
    in_x, in_v, held = x.copy(), x.copy(), x.copy()
    for _ in range(_STEPS):
        g = shared.inverse @ (backward @ in_x + onto @ (backward @ (target - in_v)))
        fit_x, fit_v = difference @ g, target - difference @ (shared.potential @ g)
        held = np.clip(2.0 * fit_x - in_x, -shrunk, shrunk)
        x = 2.0 * fit_x - in_x - held
        bare = 2.0 * fit_v - in_v
        v = np.clip(bare, -radius, radius)
        in_x += step * (x - fit_x)
        in_v += step * (v - fit_v)
    excess = np.asarray(bare - v, dtype=np.float64)
    sums = np.abs(excess).sum(axis=0) * float(penalty) / thresholds
    flows = np.asarray(held / shrunk, dtype=np.float64) * program.unit_weights[:, None]
    found = []
    for k in range(radius.size):
        regions = _joined(program, x[:, k] == 0.0)
        parts = _joined(program, np.abs(held[:, k]) < _HELD * shrunk[:, k])
        levels = (np.bincount(regions, g[:, k]) / np.bincount(regions))[regions]
        rows = np.flatnonzero(excess[:, k])
        found.append(Guess(parts, rows, np.sign(excess[rows, k]), float(sums[k]), levels, flows[:, k]))
    return found


def _joined(program: GeneralProgram, edges: BoolArray) -> IntArray:
    links = program.difference[edges]
    return joined(links.T @ links)[1]
