r"""The linear programs of LEG-TV, free of images and models.

`FlowProgram` is eq. 5 of the LEG paper under the structured design, divided by sigma^2. There
:math:`D^{+T}\Sigma = \sigma^2 D`, so with :math:`c = D u` the centre of the constraint,

.. math:: \min_g \sum_e w_e |(D g)_e| \quad\text{subject to}\quad |c_e - (D g)_e| \le L ,

a minimum-cost flow on the faces of the graph. `GeneralProgram` is eq. 5 for any other covariance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy
from numpy.typing import ArrayLike

from legstat._core.errors import invalid
from legstat._core.typing import BoolArray, FloatArray, IntArray
from legstat._core.values import read_only
from legstat.solvers.programs import graph
from legstat.solvers.programs.graph import Columns, Sparse
from legstat.solvers.programs.scale import check_range, power_of_two

_CURL_TOLERANCE = 1e-9  # largest mismatch of centre and D u, relative to max|centre|: beyond it no g fits L = 0


@dataclass(frozen=True, eq=False)
class FlowProgram:
    r"""min sum_e w_e |(D g)_e| subject to |c_e - (D g)_e| <= L, on any graph.

    Parameters
    ----------
    tail, head : array_like of int, shape (m,)
        Ends of the edges; :math:`(D g)_e = g_{head} - g_{tail}`.
    n_nodes : int
        Number p of unknowns.
    centre : array_like of float, shape (m,)
        c, a field of differences: c = D u for some u (under LEG-TV :math:`c = D^{+T} b/\sigma^2`).
    weights : array_like of float, shape (m,), optional
        Positive weights w of the edges; None for 1.
    grid_shape : (int, int), optional
        Rows and columns where the graph is a full rectangle with the edges of `grid_edges`: the fast path.
    faces : (array, array, int), optional
        The two faces beside each edge and the number of faces, where the graph is drawn in the plane; filled in for a
        rectangle and by `from_mask`. Without them the node form of the program is solved, which is slower.

    Raises
    ------
    ValueError
        Where shapes disagree, an entry is not finite, a weight is not positive, an edge leaves the nodes, `centre` sums
        to something other than 0 around a cycle, or the data are so large or small that their products are no numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from legstat.solvers import FlowProgram, solve
    >>> program = FlowProgram.from_potential((2, 2), np.array([0.0, 1.0, 0.0, 4.0]))
    >>> program.L_max
    4.0
    >>> round(solve(program, L=1.0).objective, 9)
    6.0
    """

    tail: IntArray
    head: IntArray
    n_nodes: int
    centre: FloatArray
    weights: FloatArray | None = None
    grid_shape: tuple[int, int] | None = None
    faces: tuple[IntArray, IntArray, int] | None = None

    def __post_init__(self) -> None:
        where = "FlowProgram"
        tail, head = (_locked_ints(a) for a in (self.tail, self.head))
        centre = read_only(np.array(self.centre, dtype=np.float64))
        m, p = centre.size, int(self.n_nodes)
        if p < 1:
            raise ValueError(invalid(where, "n_nodes", self.n_nodes, "at least 1"))
        if centre.shape != (m,) or tail.shape != (m,) or head.shape != (m,):
            shapes = (tail.shape, head.shape, centre.shape)
            raise ValueError(invalid(where, "tail, head, centre", shapes, "vectors of one length, one entry per edge"))
        rectangle = self.grid_shape is not None and self._is_rectangle(self.grid_shape, tail, head)
        if not rectangle and m and not _are_edges(tail, head, p):
            raise ValueError(invalid(where, "tail, head", (tail, head), f"two different nodes in 0..{p - 1} per edge"))
        if not np.isfinite(centre).all():
            raise ValueError(invalid(where, "centre", centre, "finite everywhere"))
        if self.weights is not None:
            weights = read_only(np.array(self.weights, dtype=np.float64))
            if weights.shape != (m,) or not (np.isfinite(weights).all() and (weights > 0).all()):
                raise ValueError(invalid(where, "weights", self.weights, f"{m} finite positive numbers"))
            object.__setattr__(self, "weights", weights)
        for name, value in (("tail", tail), ("head", head), ("n_nodes", p), ("centre", centre)):
            object.__setattr__(self, name, value)
        check_range(where, "centre", self.L_max)
        check_range(where, "centre times weights", self.L_max, self._heaviest)
        if rectangle and self.faces is None and self.grid_shape is not None:
            object.__setattr__(self, "faces", graph.grid_faces(self.grid_shape))
        error = float(np.abs(centre - self.differences(self.potential)).max(initial=0.0))
        if error > _CURL_TOLERANCE * np.abs(centre).max(initial=0.0):
            raise ValueError(
                invalid(where, "centre", centre, "a field of differences, c = D u", f"It misses one by {error:.2g}; "
                        "pass D @ u, or its projection D (D^T D)^+ D^T c.")
            )  # fmt: skip

    def _is_rectangle(self, shape: tuple[int, int], tail: IntArray, head: IntArray) -> bool:
        p1, p2 = int(shape[0]), int(shape[1])
        object.__setattr__(self, "grid_shape", (p1, p2))
        if p1 >= 1 and p2 >= 1 and p1 * p2 == self.n_nodes:
            edges = graph.grid_edges((p1, p2))
            if all(a is b or np.array_equal(a, b) for a, b in zip(edges, (tail, head), strict=True)):
                return True
        raise ValueError(
            invalid("FlowProgram", "grid_shape", shape, "the rectangle whose edges are `tail` and `head`",
                    "Horizontal edges come first, then vertical ones, in C order; for another graph pass None.")
        )  # fmt: skip

    @classmethod
    def grid(cls, shape: tuple[int, int], centre: ArrayLike, weights: ArrayLike | None = None) -> FlowProgram:
        """Program on a full rectangle with `centre` given on its edges (horizontal first, then vertical)."""
        tail, head = graph.grid_edges(shape)
        return cls(tail, head, shape[0] * shape[1], _floats(centre), _floats_or_none(weights), shape)

    @classmethod
    def from_potential(cls, shape: tuple[int, int], u: ArrayLike, weights: ArrayLike | None = None) -> FlowProgram:
        r"""Program on a full rectangle with centre c = D u; u has p1 p2 entries (:math:`(D^T D)^+ b/\sigma^2`)."""
        tail, head = graph.grid_edges(shape)
        flat = _floats(u).ravel()
        if flat.size != shape[0] * shape[1]:
            raise ValueError(invalid("FlowProgram.from_potential", "u", np.shape(u), f"of size {shape[0] * shape[1]}"))
        return cls(tail, head, flat.size, flat[head] - flat[tail], _floats_or_none(weights), shape)

    @classmethod
    def from_mask(cls, mask: ArrayLike, u: ArrayLike, weights: ArrayLike | None = None) -> FlowProgram:
        """Program on the cells of a mask (object silhouettes, holes, several pieces), still drawn in the plane.

        Parameters
        ----------
        mask : array_like of bool, shape (p1, p2)
            Cells that belong to the region; they are numbered in C order.
        u : array_like of float
            The potential of the centre, either on all cells (p1 p2 values) or on those of the mask.
        weights : array_like of float, optional
            One positive weight per edge between two cells of the mask (horizontal first, then vertical).

        Returns
        -------
        FlowProgram
        """
        cells: BoolArray = np.asarray(mask, dtype=bool)
        if cells.ndim != 2 or not cells.any():
            raise ValueError(invalid("FlowProgram.from_mask", "mask", mask, "a 2-D array with at least one cell"))
        shape = (cells.shape[0], cells.shape[1])
        inside = cells.ravel()
        flat = _floats(u).ravel()
        flat = flat[inside] if flat.size == inside.size else flat
        if flat.size != inside.sum():
            raise ValueError(invalid("FlowProgram.from_mask", "u", np.shape(u), f"of size {inside.size} (all cells) or "
                                     f"{inside.sum()} (cells of the mask)"))  # fmt: skip
        tail, head = graph.grid_edges(shape)
        kept = inside[tail] & inside[head]
        number = np.cumsum(inside) - 1
        tail, head = number[tail[kept]], number[head[kept]]
        faces = graph.masked_faces(shape, kept)
        return cls(tail, head, flat.size, flat[head] - flat[tail], _floats_or_none(weights), None, faces)

    @property
    def n_edges(self) -> int:
        """Number m of edges."""
        return self.centre.size

    @cached_property
    def incidence(self) -> Sparse:
        """D, shape (m, p)."""
        return graph.incidence(self.tail, self.head, self.n_nodes)

    @cached_property
    def pieces(self) -> tuple[int, IntArray]:
        """Number of connected components and the component of each node."""
        if self.grid_shape is not None:
            return 1, np.zeros(self.n_nodes, dtype=np.int64)
        return graph.components(self.tail, self.head, self.n_nodes)

    @cached_property
    def poisson(self) -> Callable[[FloatArray], FloatArray]:
        """r -> (D^T D)^+ r: by DCT on a rectangle, by a sparse factorisation elsewhere."""
        if self.grid_shape is not None:
            return graph.dct_poisson(self.grid_shape)
        return graph.sparse_poisson(self.tail, self.head, self.n_nodes)

    def differences(self, g: FloatArray) -> FloatArray:
        """D g."""
        return np.asarray(g[self.head] - g[self.tail])

    def divergence(self, flow: FloatArray) -> FloatArray:
        """D^T f: what flows into each node, less what flows out."""
        p = self.n_nodes
        return np.asarray(np.bincount(self.head, flow, p) - np.bincount(self.tail, flow, p))

    def integrate(self, h: FloatArray) -> FloatArray:
        """The g of mean 0 (in each component) whose differences are nearest to h."""
        return self.poisson(self.divergence(h))

    @cached_property
    def potential(self) -> FloatArray:
        """u with mean 0 and D u = c."""
        return read_only(self.integrate(self.centre) if self.n_edges else np.zeros(self.n_nodes))

    def centred(self, g: FloatArray) -> FloatArray:
        """g with mean 0 in each component."""
        return graph.centred(g, *self.pieces)

    @property
    def mean_determined(self) -> bool:
        """False: objective and constraint see differences only."""
        return False

    @cached_property
    def L_max(self) -> float:
        """Smallest L at which the optimum is 0: max_e |c_e|."""
        return float(np.abs(self.centre).max(initial=0.0))

    @cached_property
    def scale(self) -> float:
        """Power of two by which centre and L are divided before an engine sees them."""
        return power_of_two(self.L_max)

    @cached_property
    def weight_scale(self) -> float:
        """Power of two by which the weights are divided before an engine sees them."""
        return power_of_two(self._heaviest)

    @property
    def objective_unit(self) -> float:
        """L_max max w: what residuals and errors of the objective are compared with."""
        return self.L_max * self._heaviest

    @cached_property
    def _heaviest(self) -> float:
        return 1.0 if self.weights is None else float(self.weights.max(initial=0.0))

    @cached_property
    def unit_centre(self) -> FloatArray:
        """c / scale, of size about 1."""
        return read_only(self.centre / self.scale)

    @cached_property
    def unit_weights(self) -> FloatArray:
        """w / weight_scale, of size about 1."""
        ones = np.ones(self.n_edges)
        return read_only(ones if self.weights is None else self.weights / self.weight_scale)

    @cached_property
    def curl(self) -> Columns | None:
        """Face rows C with {h : C h = 0} = {D g}, without the redundant last face; None where no faces are known."""
        if self.faces is None:
            return None
        positive, negative, n_faces = self.faces
        m = self.n_edges
        edge, values = np.concatenate([np.arange(m)] * 2), np.concatenate([np.ones(m), -np.ones(m)])
        faces = np.concatenate([positive, negative])
        keep = (faces < n_faces - 1) & np.tile(positive != negative, 2)  # a bridge is on no cycle
        return scipy.sparse.csc_array((values[keep], (faces[keep], edge[keep])), shape=(n_faces - 1, m))


def _locked_ints(values: IntArray) -> IntArray:
    """Read-only int64 array; one that is read-only already (the cached edges of a rectangle) is shared."""
    if values.dtype == np.int64 and not values.flags.writeable:
        return values
    return read_only(np.array(values, dtype=np.int64))


def _are_edges(tail: IntArray, head: IntArray, p: int) -> bool:
    ends = min(tail.min(), head.min()), max(tail.max(), head.max())
    return bool(ends[0] >= 0 and ends[1] < p and not np.any(tail == head))


def _floats(values: ArrayLike) -> FloatArray:
    return np.asarray(values, dtype=np.float64)


def _floats_or_none(values: ArrayLike | None) -> FloatArray | None:
    return None if values is None else _floats(values)
