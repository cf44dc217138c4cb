r"""General programs on few regions: rows of the constraint and regions are added where they are found to be missing.

An optimum of eq. 5 has as many active rows as regions, and few of either where L is not small. So the program is solved
on a partition of the cells, with some of the rows, as its dual: with A R the rows' sums over the parts, z the flows
between neighbouring parts and y the rows' multipliers,

.. math:: \max_{z, y \ge 0} \sum_r y_r (s_r a_r - L) \quad\text{s.t.}\quad
          \sum_{\text{into } i} z = \sum_r y_r s_r (A R)_{ri},\quad |z_{ij}| \le w_{ij},\quad \sum_r y_r \le M,

whose multipliers are the parts' levels. (M keeps it bounded while the parts are too few to fit the data, and is raised
if it binds at the end.) Rows that those levels violate are added. Then one maximum flow either extends z to the edges
inside the regions, which proves the whole program's optimum, or ends in minimum cuts along which regions are split:
cut pursuit (Landrieu and Obozinski, SIAM Journal on Imaging Sciences 10, 2017), here for a linear program. Where many
regions are to be expected the first partition and the first rows are those of `legstat.solvers.engines.splitting`;
where there are few, the last L's.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

from legstat._core.typing import BoolArray, FloatArray, IntArray
from legstat.solvers.engines.engine import INFINITY, Raw, no_answer
from legstat.solvers.engines.highs_model import SIMPLEX, Model
from legstat.solvers.engines.splitting import MOST_UNKNOWNS, Guess, guesses
from legstat.solvers.programs.general import GeneralProgram
from legstat.solvers.programs.graph import components, incidence, spanning_forest
from legstat.solvers.programs.routing import Routing, route

FEWEST_UNKNOWNS = 200
"""With fewer unknowns the simplex of the whole program takes milliseconds, and its bits are those of every record."""
_OPTIONS = {**SIMPLEX, "simplex_scale_strategy": 0, "simplex_dual_edge_weight_strategy": 1,
            "primal_feasibility_tolerance": 1e-9, "dual_feasibility_tolerance": 1e-9}  # fmt: skip
_DUAL, _PRIMAL = 1, 4  # HiGHS' simplex strategies
_ROWS = 20  # that are added at once: the most violated ones
_NEAR = 0.3  # rows within this share of their bound are kept for the next L
_FLAT = 1e-9  # of the range of levels: neighbours that differ by less are one region
_MARGIN = 2.0**-16  # of the weights: flows that keep it show that no region could be split at no cost
_HEADROOM = 3.0  # M over the sum of multipliers at the last L
_MOST_ROUNDS = 200
_FEW_REGIONS = 16  # up to which the last L is a better start than a guess
_SMALL = 0.3  # of L_max: without a last L a smaller one starts from a guess


@dataclass
class _Point:
    """Where a restricted program starts: what was found on a coarser partition, or with fewer rows."""

    g: FloatArray  # levels, by cell
    y: FloatArray  # multipliers, by row
    z: FloatArray  # flows, by edge
    slack: float  # by how much L was exceeded


class CutsGeneral:
    """A general program in HiGHS, restricted to regions and rows that matter.

    Parameters
    ----------
    program : GeneralProgram
        With two cells at each edge, and a mean of g that the constraint determines.
    """

    name = "cuts"

    def __init__(self, program: GeneralProgram) -> None:
        self.program = program
        pairs = program.difference.indices.reshape(-1, 2)
        forward = program.difference.data.reshape(-1, 2)[:, 1] > 0
        self._tail = np.where(forward, pairs[:, 0], pairs[:, 1]).astype(np.int64)
        self._head = np.where(forward, pairs[:, 1], pairs[:, 0]).astype(np.int64)
        self._target = program.target / program.scale
        self._model = Model(_OPTIONS)
        self._ahead, self._guesses = np.empty(0), dict[float, Guess]()
        self._forget()

    @staticmethod
    def fits(program: GeneralProgram) -> bool:
        """Whether a program is of the kind that this engine is for."""
        two_ended = program.difference.nnz == 2 * program.n_edges
        sized = FEWEST_UNKNOWNS < program.n_nodes <= MOST_UNKNOWNS
        return program.kind == "wide" and sized and two_ended and program.mean_determined

    def expect(self, unit_Ls: FloatArray) -> None:
        """Tell which L will be asked for: what they share is done for all at once."""
        self._ahead = unit_Ls

    def _forget(self) -> None:
        p, m = self.program.n_nodes, self.program.n_edges
        self._part = np.zeros(p, dtype=np.int64)
        self._rows, self._signs, self._matrix = np.empty(0, dtype=np.int64), np.empty(0), np.empty((0, p))
        self._most = 100.0 * self.program.n_edges / p  # M
        self._point = _Point(np.zeros(p), np.empty(0), np.zeros(m), 0.0)

    def run(self, unit_L: float, *, time_limit: float | None, cold: bool) -> Raw:
        """Solve at `unit_L` (see `Engine`)."""
        stop = INFINITY if time_limit is None else time.perf_counter() + time_limit
        if cold:
            self._forget()
        pivots, tight, changed = 0, False, not cold and self._guess(unit_L)
        if not self._rows.size:
            self._add_rows(self._target)
        for _ in range(_MOST_ROUNDS):
            restricted = _Restricted(self, unit_L)
            # a new L leaves the dual program's point feasible, new parts leave its multipliers so
            message = restricted.solve(_DUAL if changed else _PRIMAL, stop)
            pivots += restricted.pivots
            if message is not None:
                return no_answer("time_limit" if time.perf_counter() >= stop else "failed", message)
            changed = True
            regions, demand = self._regions()
            inner = regions[self._tail] == regions[self._head]
            routed = self._route(demand, inner, regions, 1.0 - _MARGIN)
            if not routed.complete and not self._split(routed):
                # what could be cut off is cut off already, so it is worth nothing: a tie
                tight, routed = True, self._route(demand, inner, regions, 1.0)
                if not routed.complete and self._split(routed):
                    continue
            elif not routed.complete:
                continue
            if self._point.slack > _FLAT * unit_L:
                self._most *= _HEADROOM
                continue
            return self._answer(unit_L, regions, demand, inner, routed, tight, pivots)
        return no_answer("failed", f"no optimum after {_MOST_ROUNDS} rounds")

    def _guess(self, unit_L: float) -> bool:
        """Start from a guess, where many regions are likely: the last L had them, or there was none and L is small."""
        L_max = self.program.L_max / self.program.scale
        many = self._part.max() >= _FEW_REGIONS if self._rows.size else unit_L < _SMALL * L_max
        if not many:
            return False
        if unit_L not in self._guesses:
            Ls = np.unique(np.append(self._ahead[(self._ahead > 0.0) & (self._ahead <= unit_L)], unit_L))
            known = unit_L in self._ahead or not self._rows.size
            self._guesses = dict(zip(Ls.tolist(), guesses(self.program, Ls), strict=True)) if known else {}
        guess = self._guesses.get(unit_L)
        if guess is None:
            return False
        self._forget()
        self._part = guess.parts
        self._point.g, self._point.z = guess.g, guess.z
        self._most = max(_HEADROOM * guess.multipliers, 1.0)
        self._keep(guess.rows, guess.signs)
        return True

    def _keep(self, rows: IntArray, signs: FloatArray) -> None:
        """Add rows to those that the program has."""
        unit = self.program.g_scale / self.program.scale
        self._rows, self._signs = np.concatenate([self._rows, rows]), np.concatenate([self._signs, signs])
        self._matrix = np.concatenate([self._matrix, self.program.rows(rows) * (unit * signs)[:, None]])

    def _residual(self, g: FloatArray) -> FloatArray:
        """a - A g in the program's own units."""
        unit = self.program.g_scale / self.program.scale
        return np.asarray(self._target - self.program.forward(g) * unit, dtype=np.float64)

    def _add_rows(self, residual: FloatArray, radius: float = 0.0) -> int:
        """Add the rows that exceed a radius most, none twice; their number."""
        beyond = np.abs(residual) - radius
        beyond[self._rows[np.sign(residual[self._rows]) == self._signs]] = 0.0
        found = np.flatnonzero(beyond > _FLAT)
        found = found[np.argsort(-beyond[found], kind="stable")[:_ROWS]]
        self._keep(found, np.sign(residual[found]))
        return int(found.size)

    def _regions(self) -> tuple[IntArray, FloatArray]:
        """Region of each cell, and what is to arrive at each cell along the edges inside the regions."""
        point, w = self._point, self.program.unit_weights
        jump = point.g[self._head] - point.g[self._tail]
        flat = np.abs(jump) <= _FLAT * float(np.ptp(point.g))
        # parts that are joined along flat edges only
        z = np.where(flat, 0.0, np.sign(jump) * w)
        demand = point.y @ self._matrix - self._divergence(z)
        point.z = z
        return self._joined(flat), demand

    def _joined(self, links: BoolArray) -> IntArray:
        return components(self._tail[links], self._head[links], self.program.n_nodes)[1]

    def _divergence(self, z: FloatArray) -> FloatArray:
        p = self.program.n_nodes
        return np.asarray(np.bincount(self._head, z, p) - np.bincount(self._tail, z, p))

    def _route(self, demand: FloatArray, inner: BoolArray, regions: IntArray, share: float) -> Routing:
        limits = share * self.program.unit_weights[inner]
        routed = route(self._tail[inner], self._head[inner], limits, limits, demand, regions)
        self._point.z[inner] = routed.flow
        return routed

    def _split(self, routed: Routing) -> bool:
        """Split parts along the cuts; whether there was anything to split."""
        key = 4 * self._part + 2 * routed.sources + routed.sinks
        parts = self._joined(key[self._tail] == key[self._head])
        new = bool(parts.max() > self._part.max())
        self._part = parts
        return new

    def _answer(
        self, unit_L: float, regions: IntArray, demand: FloatArray, inner: BoolArray, routed: Routing, tight: bool,
        pivots: int
    ) -> Raw:  # fmt: skip
        """The optimum, with its flow to all digits; what the next L starts from."""
        point, program = self._point, self.program
        sizes = np.bincount(regions)
        g = (np.bincount(regions, point.g) / sizes)[regions]
        tail, head, w = self._tail[inner], self._head[inner], program.unit_weights[inner]
        left = demand - self._divergence(np.where(inner, point.z, 0.0))
        rest = route(tail, head, w + routed.flow, w - routed.flow, left, regions)
        z = point.z.copy()
        z[inner] += rest.flow
        multipliers = np.zeros(program.target.size)
        np.add.at(multipliers, self._rows, self._signs * point.y)
        used = point.y > _FLAT * float(point.y.max(initial=0.0))
        kept = used | (self._signs * self._residual(g)[self._rows] > (1.0 - _NEAR) * unit_L)
        self._rows, self._signs, self._matrix = self._rows[kept], self._signs[kept], self._matrix[kept]
        self._point = _Point(g, point.y[kept], z, 0.0)
        self._most = max(_HEADROOM * float(point.y.sum()), 1.0)
        self._part = regions
        unique = not tight and int(used.sum()) == sizes.size
        return Raw(g, z, multipliers, "solved", "Optimal", pivots, 1e-9, unique)


class _Restricted:
    """The dual program on the engine's parts and rows, in HiGHS."""

    def __init__(self, engine: CutsGeneral, unit_L: float) -> None:
        self.engine, self.L = engine, unit_L
        self.pivots = 0
        part = engine._part
        self.count = int(part.max()) + 1
        i, j = part[engine._tail], part[engine._head]
        between = np.flatnonzero(i != j)
        i, j = i[between], j[between]
        key, where = np.unique(np.minimum(i, j) * self.count + np.maximum(i, j), return_inverse=True)
        self.tail, self.head = key // self.count, key % self.count
        weights = np.bincount(where, engine.program.unit_weights[between], key.size)
        self.order = np.argsort(part, kind="stable")
        self.starts = np.searchsorted(part[self.order], np.arange(self.count))
        k, links, rows = self.count, key.size, engine._rows.size
        ends = np.stack([self.tail, self.head], axis=1).ravel()
        entries = np.concatenate([np.tile([-1.0, 1.0], links), self._columns(0).ravel()])
        index = np.concatenate([ends, np.tile(np.arange(k + 1), rows)])
        begin = np.concatenate([np.arange(0, 2 * links, 2), 2 * links + (k + 1) * np.arange(rows + 1)])
        matrix: Any = scipy.sparse.csc_array((entries, index, begin), shape=(k + 1, links + rows))
        low = np.concatenate([-weights, np.zeros(rows)])
        high = np.concatenate([weights, np.full(rows, INFINITY)])
        balance = np.append(np.zeros(k), -INFINITY), np.append(np.zeros(k), engine._most)
        cost = np.concatenate([np.zeros(links), self._costs(0)])
        engine._model.load(cost, matrix, (low, high), balance)
        self._start(where, np.where(j > i, 1.0, -1.0) * engine._point.z[between])

    def _columns(self, first: int) -> FloatArray:
        """Of each row from there on its sums over the parts, negative, and its share in the sum of multipliers."""
        rows = self.engine._matrix[first:]
        sums = np.add.reduceat(rows[:, self.order], self.starts, axis=1)
        return np.concatenate([-sums, np.ones((len(rows), 1))], axis=1)

    def _costs(self, first: int) -> FloatArray:
        signs, rows = self.engine._signs[first:], self.engine._rows[first:]
        return np.asarray(self.L - signs * self.engine._target[rows], dtype=np.float64)

    def _start(self, where: IntArray, flows: FloatArray) -> None:
        """Begin at the vertex that the engine knows, where its numbers allow it, or near the guess."""
        engine, point = self.engine, self.engine._point
        levels = np.zeros(self.count)
        levels[engine._part] = point.g
        jump = levels[self.head] - levels[self.tail]
        flat = np.abs(jump) <= _FLAT * float(np.ptp(levels))
        up = np.where(flat, np.bincount(where, flows, jump.size) >= 0, jump > 0)
        inside, used = np.zeros(jump.size, dtype=bool), np.zeros(engine._rows.size, dtype=bool)
        inside[flat] = spanning_forest(incidence(self.tail[flat], self.head[flat], self.count))[0]
        if point.y.size:
            used[: point.y.size] = point.y > _FLAT * float(point.y.max(initial=0.0))
        else:  # a guess: as many independent rows as there are regions
            n, region = components(self.tail[inside], self.head[inside], self.count)
            sums = np.zeros((n, used.size))
            np.add.at(sums, region, self._columns(0)[:, :-1].T)
            used[scipy.linalg.qr(sums, mode="r", pivoting=True)[1][:n]] = True
        bound = point.slack > _FLAT
        columns = np.concatenate([inside, used])
        if columns.sum() + (not bound) == self.count + 1:
            basic_rows = np.append(np.zeros(self.count, dtype=bool), not bound)
            engine._model.start_at(columns, basic_rows, np.concatenate([up, np.zeros(used.size, dtype=bool)]))

    def solve(self, strategy: int, stop: float) -> str | None:
        """Solve, with the rows added that turn out to be violated; None, or why there is no answer."""
        engine, model = self.engine, self.engine._model
        while True:
            model.highs.setOptionValue("simplex_strategy", strategy)
            left = stop - time.perf_counter()
            if left <= 0:
                return "time limit"
            outcome, message, iterations = model.run(None if left == INFINITY else left)
            self.pivots += iterations
            if outcome != "solved":
                return message
            x, dual = model.solution()
            levels, slack = dual[: self.count], float(-dual[self.count])
            g = levels[engine._part]
            residual = engine._residual(g)
            known = engine._rows.size
            if not engine._add_rows(residual, self.L + slack):
                engine._point = _Point(g, x[self.tail.size :], engine._point.z, slack)
                return None
            model.add_columns(self._costs(known), self._columns(known))
            strategy = _PRIMAL
