"""Flows that meet demands within capacities, by maximum flows; or a minimum cut that says why there is none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy

from legstat._core.typing import BoolArray, FloatArray, IntArray

_DIGITS = 29  # SciPy's maximum flow takes integers of 32 bits; a sum of demands must not overflow them either


@dataclass(frozen=True)
class Routing:
    """What a network can carry.

    Attributes
    ----------
    flow : ndarray of float, shape (m,)
        From tail to head, negative backwards: within the capacities.
    complete : bool
        Whether it meets the demands, up to their rounding.
    sources, sinks : ndarray of bool, shape (p,)
        Nodes from which no more gets out, and to which no more gets in: the two minimum cuts nearest to either end.
        Meaningful where it is not complete.
    """

    flow: FloatArray
    complete: bool
    sources: BoolArray
    sinks: BoolArray


def route(
    tail: IntArray, head: IntArray, backward: FloatArray, forward: FloatArray, demand: FloatArray, label: IntArray
) -> Routing:
    """The flow on which as much as possible of the demands is met.

    Parameters
    ----------
    tail, head : ndarray of int, shape (m,)
        Edges, no two between the same nodes.
    backward, forward : ndarray of float, shape (m,)
        Capacities >= 0 from head to tail, and from tail to head.
    demand : ndarray of float, shape (p,)
        What is to arrive at each node; of sum 0 in each component but for rounding.
    label : ndarray of int, shape (p,)
        Component of each node, numbered from 0.

    Returns
    -------
    Routing
        With demands and capacities rounded to 2^-29 of the sum of demands.
    """
    from scipy.sparse import csgraph  # slow to load

    p = demand.size
    wanted = float(np.abs(demand).sum())
    if wanted == 0.0:
        none = np.zeros(p, dtype=bool)
        return Routing(np.zeros(tail.size), True, none, none)
    scale = 2.0 ** np.floor(_DIGITS - np.log2(wanted))
    whole = _balanced(np.rint(demand * scale).astype(np.int64), label)
    giving, taking = np.flatnonzero(whole < 0), np.flatnonzero(whole > 0)
    start = np.concatenate([tail, head, np.full(giving.size, p), taking])
    end = np.concatenate([head, tail, giving, np.full(taking.size, p + 1)])
    most = 2.0**_DIGITS  # an arc carries no more than all demands together
    inner = np.floor(np.minimum(np.concatenate([forward, backward]) * scale, most)).astype(np.int64)
    limits = np.concatenate([inner, -whole[giving], whole[taking]])
    order = np.argsort(start * np.int64(p + 2) + end)  # rows made here: a detour over coordinates takes longer
    starts = np.searchsorted(start[order], np.arange(p + 3))
    arcs = scipy.sparse.csr_array((limits[order].astype(np.int32), end[order], starts), shape=(p + 2, p + 2))
    found = csgraph.maximum_flow(arcs, p, p + 1)
    carried = found.flow
    places = np.repeat(np.arange(p + 2, dtype=np.int64), np.diff(carried.indptr)) * (p + 2) + carried.indices
    flow = carried.data[np.searchsorted(places, tail * np.int64(p + 2) + head)] / scale
    if found.flow_value == int(whole[taking].sum()):
        none = np.zeros(p, dtype=bool)
        return Routing(flow, True, none, none)
    left = scipy.sparse.csr_array(arcs - carried)
    left.eliminate_zeros()
    sides = np.zeros((2, p + 2), dtype=bool)
    for side, point, links in zip(sides, (p, p + 1), (left, left.T.tocsr()), strict=True):
        side[csgraph.breadth_first_order(links, point, return_predecessors=False)] = True
    return Routing(flow, False, sides[0, :p], sides[1, :p])


def _balanced(whole: IntArray, label: IntArray) -> IntArray:
    """Whole demands with a sum of 0 in each component, the largest of each corrected by what rounding left."""
    order = np.lexsort((np.abs(whole), label))
    largest = order[np.append(np.flatnonzero(np.diff(label[order])), label.size - 1)]
    out = whole.copy()
    out[largest] -= np.bincount(label, whole).astype(np.int64)[label[largest]]
    return out
