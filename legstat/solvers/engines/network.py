r"""Network simplex (LEMON, through pylmcf): exact on whole numbers, the fastest engine by an order of magnitude.

Data are rounded to about 40 bits. The centre is rounded through its potential, so that the rounded program is again a
field of differences and stays feasible down to L = 0; the answer is exact for the rounded program, and the relative
rounding 2^-40 (9e-13) is what its certificate shows.

- With faces (rectangles, masks): a flow on the dual graph. Edge e carries h_e from its positive to its negative face;
  it starts at the point of [c - L, c + L] nearest to 0, and leaving it costs w_e per unit.
- Without faces (3-D, any graph): the dual circulation on the graph itself, shifted by the potential u. Starting from
  f = w sign(c), a unit of change costs L, except the first 2 w units against the sign where |c_e| < L, which cost
  |c_e|; the node potentials are g - u.

pylmcf holds the interpreter while it solves: no time limit, no Ctrl-C inside a solve (0.3 s at 50,176 unknowns).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from legstat._core.errors import BackendUnavailableError
from legstat._core.typing import FloatArray, IntArray
from legstat.solvers.engines.engine import Raw
from legstat.solvers.programs.flow import FlowProgram

_WORD = 61  # bits that sums of flows or costs may fill in a signed 64-bit word, with room for the sign


def _graph_class() -> Any:
    try:
        import pylmcf
    except ImportError as error:
        raise BackendUnavailableError("pylmcf", "fast", "engine='network'") from error
    return pylmcf.Graph


class _Arcs:
    """A pylmcf graph whose arcs keep the caller's order (pylmcf wants them sorted)."""

    def __init__(self, n_nodes: int, start: IntArray, end: IntArray) -> None:
        self._order = np.argsort(start * np.int64(n_nodes) + end, kind="stable")
        starts, ends = start[self._order].astype(np.int32), end[self._order].astype(np.int32)
        # warm repair stays at pylmcf's default, the dual one: the primal repair takes seconds at 112 x 112
        self._graph = _graph_class()(n_nodes, starts, ends)
        # by default a repair is given up by the clock, and then another vertex comes out: the same bits every time need
        # that it never is
        self._graph.set_warm_repair_budget(0.0)

    def set_cost(self, cost: IntArray) -> None:
        self._graph.set_edge_costs(cost[self._order])

    def solve(self, supply: IntArray, capacity: IntArray) -> tuple[IntArray, IntArray]:
        """Flow on the arcs and potentials of the nodes."""
        self._graph.set_node_supply(supply)
        self._graph.set_edge_capacities(capacity[self._order])
        self._graph.solve()
        flow = np.empty(self._order.size, dtype=np.int64)
        flow[self._order] = self._graph.result()
        return flow, np.asarray(self._graph.potentials(), dtype=np.int64)


class NetworkFlow:
    """A flow program as a minimum-cost flow on whole numbers.

    Parameters
    ----------
    program : FlowProgram

    Raises
    ------
    BackendUnavailableError
        Where pylmcf is not installed (extra "fast").
    """

    name = "network"

    def __init__(self, program: FlowProgram) -> None:
        _graph_class()
        self.program = program
        m, p = program.n_edges, program.n_nodes
        weighted = program.weights is not None
        # a node may collect all m edges, each up to 2^(bits + 1)
        self.bits = min(40, _WORD - 2 - math.ceil(math.log2(m + 1)))
        self.weight_bits = min(40, _WORD - 4 - math.ceil(math.log2(p + 2))) if weighted else 0
        self._resolution = 2.0**self.bits
        self._weights = np.rint(program.unit_weights * 2.0**self.weight_bits).astype(np.int64)
        self._potential = np.rint(program.potential / program.scale * self._resolution).astype(np.int64)
        self._centre = self._potential[program.head] - self._potential[program.tail]
        self._planar: _Arcs | None = None

    def run(self, unit_L: float, *, time_limit: float | None, cold: bool) -> Raw:
        """Solve at `unit_L` (see `Engine`); `time_limit` cannot be enforced inside a solve."""
        if cold:
            self._planar = None
        whole_L = round(unit_L * self._resolution)
        if self.program.faces is None:
            h, flow = self._circulation(whole_L)
        else:
            h, flow = self._dual_graph(whole_L)
        return Raw(h / self._resolution, flow / 2.0**self.weight_bits, np.empty(0), "solved",
                   f"whole numbers of {self.bits} bits")  # fmt: skip

    def _dual_graph(self, L: int) -> tuple[IntArray, FloatArray]:
        assert self.program.faces is not None
        positive, negative, n_faces = self.program.faces
        looped = positive == negative  # bridges: on no cycle, so nothing but the nearest point to 0
        if self._planar is None:
            start, end = np.concatenate([positive, negative]), np.concatenate([negative, positive])
            self._planar = _Arcs(n_faces, start, end)
            self._planar.set_cost(np.concatenate([self._weights, self._weights]))
        low, high = self._centre - L, self._centre + L
        base = np.where(low > 0, low, np.where(high < 0, high, 0))  # the bound towards 0 is reached already
        up, down = np.where(looped, 0, high - base), np.where(looped, 0, base - low)
        # whole numbers below 2^53 each, but their sums are not: bincount would add them as floats
        supply = np.zeros(n_faces, dtype=np.int64)
        np.subtract.at(supply, positive, base)
        np.add.at(supply, negative, base)
        moved, potential = self._planar.solve(supply, np.concatenate([up, down]))
        m = base.size
        return base + moved[:m] - moved[m:], (potential[negative] - potential[positive]).astype(np.float64)

    def _circulation(self, L: int) -> tuple[IntArray, FloatArray]:
        tail, head, c, w = self.program.tail, self.program.head, self._centre, self._weights
        p, m = self.program.n_nodes, c.size
        start_flow = np.where(c < 0, -w, w)
        cheap = np.flatnonzero(np.abs(c) < L)
        against = start_flow[cheap] > 0
        start = np.concatenate([tail, head, np.where(against, head[cheap], tail[cheap])])
        end = np.concatenate([head, tail, np.where(against, tail[cheap], head[cheap])])
        arcs = _Arcs(p, start, end)
        arcs.set_cost(np.concatenate([np.full(2 * m, L, dtype=np.int64), np.abs(c[cheap])]))
        ample = 2 * int(w.sum()) + 1  # no optimal circulation needs more on one arc
        supply = np.zeros(p, dtype=np.int64)
        np.add.at(supply, head, start_flow)
        np.subtract.at(supply, tail, start_flow)
        moved, potential = arcs.solve(supply, np.concatenate([np.full(2 * m, ample), 2 * w[cheap]]))
        flow = start_flow + moved[:m] - moved[m : 2 * m]
        flow[cheap] += np.where(against, -1, 1) * moved[2 * m :]
        g = self._potential + potential
        return g[head] - g[tail], flow.astype(np.float64)
