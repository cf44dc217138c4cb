"""The graph beneath a flow program: differences along edges, faces of a planar drawing, Poisson solves.

Self-contained on purpose: the solvers know nothing of images, grids of cells or designs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import scipy

from legstat._core.typing import BoolArray, FloatArray, IntArray
from legstat._core.values import read_only

Sparse: TypeAlias = "scipy.sparse.csr_array[np.float64, tuple[int, int]]"
Columns: TypeAlias = "scipy.sparse.csc_array[np.float64]"


def as_rows(matrix: Any) -> Sparse:
    """Any dense or sparse matrix as float64 rows."""
    out: Sparse = scipy.sparse.csr_array(matrix, dtype=np.float64)
    return out


def joined(links: Any, directed: bool = False) -> tuple[int, IntArray]:
    """Number of (strong, if directed) components of an adjacency matrix, and the component of each node."""
    from scipy.sparse import csgraph  # slow to load

    count, label = csgraph.connected_components(links, directed=directed, connection="strong")
    return int(count), np.asarray(label, dtype=np.int64)


def times(matrix: Any, vector: FloatArray) -> FloatArray:
    """matrix @ vector for a dense or sparse matrix; also for several columns."""
    return np.asarray(matrix @ vector, dtype=np.float64)


def spanning_forest(difference: Sparse) -> tuple[BoolArray, IntArray]:
    """Rows of D that make a spanning forest, and the roots of the trees that no one-ended row ties to the boundary.

    Parameters
    ----------
    difference : sparse array, shape (m, p)
        D: rows with two entries join two nodes, rows with one a node and the boundary.

    Returns
    -------
    chosen : ndarray of bool, shape (m,)
        As many rows as D has rank.
    roots : ndarray of int
    """
    m, p = difference.shape
    ends = np.full((m, 2), p)  # the boundary is node p
    starts, counts = difference.indptr[:-1], np.diff(difference.indptr)
    ends[:, 0] = difference.indices[starts]
    ends[counts == 2, 1] = difference.indices[starts[counts == 2] + 1]
    # the first rows of a spanning forest are those of least number: no two rows weigh the same
    from scipy.sparse import csgraph  # slow to load

    low, high = ends.min(axis=1), ends.max(axis=1)
    _, first = np.unique(low * (p + 1) + high, return_index=True)
    # in 32 bits: minimum_spanning_tree of SciPy 1.16 takes no others
    nodes = (low[first].astype(np.int32), high[first].astype(np.int32))
    links = scipy.sparse.csr_array((first + 1.0, nodes), shape=(p + 1, p + 1))
    chosen = np.zeros(m, dtype=bool)
    chosen[csgraph.minimum_spanning_tree(links).data.astype(np.int64) - 1] = True
    _, label = joined(links)
    _, trees = np.unique(label, return_index=True)
    return chosen, np.asarray(trees[label[trees] != label[p]], dtype=np.int64)


@lru_cache(maxsize=8)
def grid_edges(shape: tuple[int, int]) -> tuple[IntArray, IntArray]:
    """Tails and heads of the edges of a full rectangle, horizontal edges first, each in C order (read-only).

    Parameters
    ----------
    shape : (int, int)
        Rows p1 and columns p2.

    Returns
    -------
    tail, head : ndarray of int, shape (2 p1 p2 - p1 - p2,)
    """
    cells = np.arange(shape[0] * shape[1], dtype=np.int64).reshape(shape)
    tail = np.concatenate([cells[:, :-1].ravel(), cells[:-1, :].ravel()])
    head = np.concatenate([cells[:, 1:].ravel(), cells[1:, :].ravel()])
    return read_only(tail), read_only(head)


@lru_cache(maxsize=8)
def grid_faces(shape: tuple[int, int]) -> tuple[IntArray, IntArray, int]:
    """Faces on both sides of each edge of a full rectangle.

    The unit square with corner (i, j) reads ``H[i, j] + V[i, j + 1] - H[i + 1, j] - V[i, j] = 0`` for a field of
    differences: an edge is counted with +1 in its `positive` face and with -1 in its `negative` face. The last face is
    the outside.

    Returns
    -------
    positive, negative : ndarray of int, shape (m,)
    n_faces : int
        Unit squares plus one.
    """
    p1, p2 = shape
    outer = max(p1 - 1, 0) * max(p2 - 1, 0)
    padded = np.full((p1 + 1, p2 + 1), outer, dtype=np.int64)
    padded[1:-1, 1:-1] = np.arange(outer, dtype=np.int64).reshape(max(p1 - 1, 0), max(p2 - 1, 0))
    below, above = padded[1:, 1:-1], padded[:-1, 1:-1]  # of the horizontal edges, (p1, p2 - 1)
    left, right = padded[1:-1, :-1], padded[1:-1, 1:]  # of the vertical edges, (p1 - 1, p2)
    positive = np.concatenate([below.ravel(), left.ravel()])
    return read_only(positive), read_only(np.concatenate([above.ravel(), right.ravel()])), outer + 1


def masked_faces(shape: tuple[int, int], kept: BoolArray) -> tuple[IntArray, IntArray, int]:
    """Faces beside the kept edges of a rectangle: dropping an edge merges the two faces beside it.

    Holes and the outside become faces with long boundaries, so an object silhouette is as planar as the rectangle.

    Parameters
    ----------
    shape : (int, int)
    kept : ndarray of bool, shape (m,)
        Which edges of the full rectangle remain.

    Returns
    -------
    positive, negative : ndarray of int, shape (kept.sum(),)
        Equal for a bridge, an edge on no cycle.
    n_faces : int
        The last one holds the outside.
    """
    positive, negative, n_faces = grid_faces(shape)
    gone = ~kept
    n_merged, label = components(positive[gone], negative[gone], n_faces)
    outside = label[n_faces - 1]
    label = np.where(label == outside, n_merged - 1, np.where(label == n_merged - 1, outside, label))
    return label[positive[kept]], label[negative[kept]], n_merged


def incidence(tail: IntArray, head: IntArray, n_nodes: int) -> Sparse:
    """D (m x p): -1 at the tail and +1 at the head of each edge."""
    m = tail.size
    edge = np.arange(m)
    values = np.concatenate([-np.ones(m), np.ones(m)])
    where = (np.concatenate([edge, edge]), np.concatenate([tail, head]))
    return scipy.sparse.csr_array((values, where), shape=(m, n_nodes))


def components(tail: IntArray, head: IntArray, n_nodes: int, directed: bool = False) -> tuple[int, IntArray]:
    """Number of connected (strongly, if directed) components and the label of each node."""
    # rows made here: a detour over coordinate format takes longer than the search
    arcs = np.sort(tail * np.int64(n_nodes) + head)
    starts = np.searchsorted(arcs, np.arange(n_nodes + 1, dtype=np.int64) * n_nodes)
    links = scipy.sparse.csr_array((np.ones(arcs.size), arcs % max(n_nodes, 1), starts), shape=(n_nodes, n_nodes))
    return joined(links, directed)


def centred(values: FloatArray, count: int, label: IntArray) -> FloatArray:
    """Subtract the mean of each component."""
    if count == 1:
        return np.asarray(values - values.mean(), dtype=np.float64)
    sizes = np.bincount(label, minlength=count)
    means = np.bincount(label, weights=values, minlength=count) / sizes
    return np.asarray(values - means[label], dtype=np.float64)


@lru_cache(maxsize=8)
def dct_poisson(shape: tuple[int, int]) -> Callable[[FloatArray], FloatArray]:
    """(D^T D)^+ of a full rectangle by the two-dimensional DCT-II, in O(p log p)."""
    p1, p2 = shape
    lam = (2 - 2 * np.cos(np.pi * np.arange(p1) / p1))[:, None] + (2 - 2 * np.cos(np.pi * np.arange(p2) / p2))[None, :]
    lam[0, 0] = 1.0

    def apply(right: FloatArray) -> FloatArray:
        spectrum = scipy.fft.dctn(right.reshape(shape), norm="ortho") / lam
        spectrum[0, 0] = 0.0
        return np.asarray(scipy.fft.idctn(spectrum, norm="ortho"), dtype=np.float64).ravel()

    return apply


def sparse_poisson(tail: IntArray, head: IntArray, n_nodes: int) -> Callable[[FloatArray], FloatArray]:
    """(D^T D)^+ of any graph, by one sparse factorisation; each component gets mean 0."""
    from scipy.sparse.linalg import splu  # slow to load

    count, label = components(tail, head, n_nodes)
    difference = incidence(tail, head, n_nodes)
    _, roots = np.unique(label, return_index=True)
    ground = np.zeros(n_nodes)
    ground[roots] = 1.0  # makes each block positive definite without changing solutions of balanced right-hand sides
    gram: Any = difference.T @ difference + scipy.sparse.diags_array(ground)
    factor = splu(gram.tocsc())

    def apply(right: FloatArray) -> FloatArray:
        return centred(np.asarray(factor.solve(centred(right, count, label))), count, label)

    return apply
