r"""Our own proof of optimality, computed from a primal g and a dual flow f whatever the engine said.

For a circulation f (:math:`D^T f = 0`) every feasible h = D g obeys

.. math:: \sum_e w_e |h_e| = \sum_e (w_e |h_e| - f_e h_e) \ge \sum_e \min_{|h - c_e| \le L} (w_e |h| - f_e h),

and the right-hand side is the dual value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from legstat._core.typing import FloatArray
from legstat.solvers.programs.flow import FlowProgram
from legstat.solvers.programs.general import GeneralProgram
from legstat.solvers.programs.graph import times

GAP_TOLERANCE = 1e-8
FEASIBILITY_TOLERANCE = 1e-8


@dataclass(frozen=True)
class Certificate:
    """What was verified about a solution; all residuals are relative, so 1e-12 and 1e12 programs read alike.

    Attributes
    ----------
    primal_residual : float
        Largest violation of the constraint, over max(L_max, L).
    dual_residual : float
        Largest violation of the dual equations (flow conservation), over the largest weight.
    dual_value : float
        The lower bound on the objective that the dual solution proves.
    gap : float
        Objective minus dual value, plus what an unbalanced dual could hide (sum |D^T f| |g|), over
        max(objective, 1e-3 L_max max w): near L_max, where the objective tends to 0, rounding alone would fail a
        purely relative test.
    complementarity : float
        Largest amount by which one edge misses its own minimum, over L_max max w.

    Examples
    --------
    >>> exact = Certificate(primal_residual=0.0, dual_residual=1e-16, dual_value=0.8, gap=2e-16, complementarity=0.0)
    >>> exact.passed
    True
    """

    primal_residual: float
    dual_residual: float
    dual_value: float
    gap: float
    complementarity: float

    @property
    def passed(self) -> bool:
        """True where the gap and both residuals are at most 1e-8."""
        return (
            self.gap <= GAP_TOLERANCE
            and self.primal_residual <= FEASIBILITY_TOLERANCE
            and self.dual_residual <= FEASIBILITY_TOLERANCE
        )


def edge_minimum(weights: FloatArray, low: FloatArray, high: FloatArray, flow: FloatArray) -> FloatArray:
    """min over h in [low, high] of w |h| - f h, edge by edge."""
    ends = np.minimum(weights * np.abs(low) - flow * low, weights * np.abs(high) - flow * high)
    return np.asarray(np.where((low <= 0) & (high >= 0), np.minimum(ends, 0.0), ends))


def balanced(program: FlowProgram, flow: FloatArray) -> FloatArray:
    """The circulation nearest to `flow`: whole numbers where those balance exactly, else the projection onto D^T f = 0.

    With unit weights the optimal flows of a vertex are whole numbers (the matrix is totally unimodular), so rounding
    removes the engine's tolerance; an interior solution is projected instead.
    """
    whole = np.rint(flow)
    if np.abs(flow - whole).max(initial=0.0) < 1e-6 and not program.divergence(whole).any():
        return whole
    return np.asarray(flow - program.differences(program.integrate(flow)))


def flow_certificate(program: FlowProgram, unit_g: FloatArray, flow: FloatArray, unit_L: float) -> Certificate:
    """Certificate of g and f, both in the program's own units (divided by `scale` and `weight_scale`).

    Cost O(m).
    """
    c, w = program.unit_centre, program.unit_weights
    h = program.differences(unit_g)
    size = max(float(np.abs(c).max(initial=0.0)), unit_L, np.finfo(float).tiny)
    low, high = c - unit_L, c + unit_L
    objective = float((w * np.abs(h)).sum())
    lowest = edge_minimum(w, low, high, flow)
    dual = float(lowest.sum())
    unbalanced = program.divergence(flow)
    unit = float(np.abs(c).max(initial=0.0) * w.max(initial=1.0)) or 1.0
    hidden = float(np.abs(unbalanced) @ np.abs(unit_g))
    return Certificate(
        primal_residual=float(max((np.abs(h - c) - unit_L).max(initial=0.0), 0.0)) / size,
        dual_residual=float(np.abs(unbalanced).max(initial=0.0)) / float(w.max(initial=1.0)),
        dual_value=dual * program.scale * program.weight_scale,
        gap=(abs(objective - dual) + hidden) / max(objective, 1e-3 * unit),
        complementarity=float((w * np.abs(h) - flow * h - lowest).max(initial=0.0)) / unit,
    )


def slope_of_flow(program: FlowProgram, flow: FloatArray, unit_L: float) -> float:
    r"""Subgradient of the value function at L from an optimal circulation, in units of `weight_scale`.

    The dual value of a fixed f is convex in L and touches V here; its slope is 0 on an edge whose minimum is at h = 0,
    :math:`w \,\mathrm{sign}(h) - f` at the upper bound and minus that at the lower. With unit weights: a whole number.
    """
    c, w = program.unit_centre, program.unit_weights
    low, high = c - unit_L, c + unit_L
    at_low, at_high = w * np.abs(low) - flow * low, w * np.abs(high) - flow * high
    at_zero = np.where((low <= 0) & (high >= 0), 0.0, np.inf)
    lower = (at_low < at_zero) & (at_low <= at_high)
    upper = (at_high < at_zero) & (at_high < at_low)
    return float((flow - w * np.sign(low))[lower].sum() + (w * np.sign(high) - flow)[upper].sum())


def general_certificate(
    program: GeneralProgram, g: FloatArray, flow: FloatArray, multipliers: FloatArray, L: float
) -> Certificate:
    r"""Certificate of g with multipliers z of D g and y of the constraint, all in the program's real units.

    With |z| <= w and :math:`A^T y = D^T z` every feasible g obeys
    :math:`\sum_e w_e |(D g)_e| \ge z^T D g = y^T A g \ge a^T y - L \|y\|_1`.
    """
    w = program.unit_weights * program.weight_scale
    h = times(program.difference, g)
    residual = program.target - program.forward(g)
    z = np.clip(flow, -w, w)
    objective = float((w * np.abs(h)).sum())
    slack = L * np.abs(multipliers) - multipliers * residual
    dual = float(program.target @ multipliers - L * np.abs(multipliers).sum())
    unbalanced = times(program.difference.T, z) - program.adjoint(multipliers)
    heaviest = float(w.max(initial=0.0)) or 1.0
    unit = program.g_scale * heaviest
    # where a constant fits the data, L_max is 0 and residuals are measured by the data
    size = max(program.L_max, L) or float(np.abs(program.target).max(initial=0.0)) or 1.0
    return Certificate(
        primal_residual=float(max((np.abs(residual) - L).max(initial=0.0), 0.0)) / size,
        dual_residual=float(np.abs(unbalanced).max(initial=0.0)) / heaviest,
        dual_value=dual,
        gap=(abs(objective - dual) + float(np.abs(unbalanced) @ np.abs(g))) / max(objective, 1e-3 * unit),
        complementarity=float(max((w * np.abs(h) - z * h).max(initial=0.0), slack.max(initial=0.0))) / unit,
    )
