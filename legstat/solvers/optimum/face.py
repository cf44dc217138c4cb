r"""The optimal face of a flow program and the graph of its regions.

Any optimal h satisfies complementary slackness with *one* optimal circulation f, so the face is an interval per edge:
h_e minimises :math:`w_e |h| - f_e h` on [c_e - L, c_e + L]. This is a system of difference constraints. At one point of
it, an edge that sits on its upper bound is an arc of length 0 from tail to head, one on its lower bound an arc of
length 0 back; by Farkas' lemma exactly the edges on directed cycles of such arcs are fixed on the whole face.
Contracting them (strong components) leaves the regions, a far smaller graph on which the face has an interior.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy

from legstat._core.typing import BoolArray, FloatArray, IntArray
from legstat.solvers.programs.flow import FlowProgram
from legstat.solvers.programs.graph import components

_BATCH = 64  # regions whose shortest paths are computed together
FLAT = 1e-12
"""|h_e| up to this, with max|c| about 1, is a flat edge: the rounding of the engines that give vertices."""


def edge_intervals(
    program: FlowProgram, flow: FloatArray, unit_L: float, tolerance: float
) -> tuple[FloatArray, FloatArray]:
    """Bounds alpha <= h <= beta of the optimal face, from the optimal circulation `flow`, in the program's own units.

    Parameters
    ----------
    program : FlowProgram
    flow : ndarray of float, shape (m,)
    unit_L : float
    tolerance : float
        |f_e| within this of w_e counts as equal to it: the precision of the engine's flow.

    Returns
    -------
    alpha, beta : ndarray of float, shape (m,)
    """
    c, w = program.unit_centre, program.unit_weights
    low, high = c - unit_L, c + unit_L
    size, up = np.abs(flow), flow > 0
    inner, beyond = size < w - tolerance, size > w + tolerance
    nearest = np.minimum(np.maximum(0.0, low), high)
    alpha = np.where(inner, nearest, np.where(up, np.where(beyond, high, nearest), low))
    beta = np.where(inner, nearest, np.where(up, high, np.where(beyond, low, nearest)))
    return alpha, beta


@dataclass(frozen=True)
class Regions:
    """What is free on the face: x on the regions, with low <= x_head - x_tail <= high, around a known optimal g.

    Attributes
    ----------
    label : ndarray of int, shape (p,)
        Region of each node; the optimal points are g + x[label].
    n_regions : int
    tail, head : ndarray of int, shape (k,)
        Neighbouring regions; parallel edges are merged.
    low, high : ndarray of float, shape (k,)
        Bounds of x_head - x_tail, low <= 0 <= high.
    target, count : ndarray of float, shape (k,)
        Mean of c - D g over the merged edges, and their number.
    """

    label: IntArray
    n_regions: int
    tail: IntArray
    head: IntArray
    low: FloatArray
    high: FloatArray
    target: FloatArray
    count: FloatArray

    def differences(self, x: FloatArray) -> FloatArray:
        """x_head - x_tail."""
        return np.asarray(x[self.head] - x[self.tail])

    def divergence(self, y: FloatArray) -> FloatArray:
        """The transpose of `differences`."""
        n = self.n_regions
        return np.asarray(np.bincount(self.head, y, n) - np.bincount(self.tail, y, n))


def regions_of_face(program: FlowProgram, g: FloatArray, flow: FloatArray, unit_L: float, precision: float) -> Regions:
    """Contract what is fixed on the face around its point g.

    Parameters
    ----------
    program : FlowProgram
    g : ndarray of float, shape (p,)
        An optimal point in the program's own units.
    flow : ndarray of float, shape (m,)
        An optimal circulation.
    unit_L : float
    precision : float
        To which g and the flow are known.

    Returns
    -------
    Regions
        Cost O(m log m).
    """
    h = program.differences(g)
    alpha, beta = edge_intervals(program, flow, unit_L, max(1e-7, precision))
    low, high = alpha - h, beta - h
    tail, head, n = program.tail, program.head, program.n_nodes
    at_high, at_low = high <= precision, low >= -precision
    start, end = np.concatenate([tail[at_high], head[at_low]]), np.concatenate([head[at_high], tail[at_low]])
    count, label = components(start, end, n, directed=True)
    a, b = label[tail], label[head]
    free = np.flatnonzero(a != b)
    a, b, low, high = a[free], b[free], low[free], high[free]
    backwards = a > b
    a, b = np.minimum(a, b), np.maximum(a, b)
    low, high = np.where(backwards, -high, low), np.where(backwards, -low, high)
    distance = np.where(backwards, -1.0, 1.0) * (program.unit_centre - h)[free]
    key, where = np.unique(a * np.int64(count) + b, return_inverse=True)
    merged = np.bincount(where, minlength=key.size).astype(np.float64)
    tightest_low, tightest_high = np.full(key.size, -np.inf), np.full(key.size, np.inf)
    np.maximum.at(tightest_low, where, low)
    np.minimum.at(tightest_high, where, high)
    target = np.bincount(where, distance, key.size) / np.maximum(merged, 1.0)
    # g is on the face: rounding must not empty an interval
    return Regions(label, count, key // max(count, 1), key % max(count, 1), np.minimum(tightest_low, 0.0),
                   np.maximum(tightest_high, 0.0), target, merged)  # fmt: skip


def flattened(program: FlowProgram, g: FloatArray, h: FloatArray, flat: float = FLAT) -> FloatArray:
    """g with exactly one value on each set of cells joined by edges with |h| <= flat.

    The engine's zeros survive the Poisson solve only to rounding; this restores them, so that regions and jumps can
    be counted without a tolerance.
    """
    zero: BoolArray = np.abs(h) <= flat
    count, label = components(program.tail[zero], program.head[zero], program.n_nodes)
    means = np.bincount(label, g, count) / np.bincount(label, minlength=count)
    return np.asarray(means[label])


def widest_range(regions: Regions) -> float:
    """Largest range of one edge over the face, exactly: 0 where the optimum is unique.

    The range of x_b - x_a is a shortest path from a to b plus one from b to a, with lengths `high` along and -`low`
    against the edges. Edges are visited from the widest interval down until no wider range is possible; the worst case
    is one shortest-path tree per region.
    """
    from scipy.sparse import csgraph  # slow to load

    if regions.tail.size == 0:
        return 0.0
    n = regions.n_regions
    start, end = np.concatenate([regions.tail, regions.head]), np.concatenate([regions.head, regions.tail])
    # csgraph reads an explicit 0 as no arc
    length = np.maximum(np.concatenate([regions.high, -regions.low]), np.finfo(float).tiny)
    arcs = scipy.sparse.csr_array((length, (start, end)), shape=(n, n))
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
