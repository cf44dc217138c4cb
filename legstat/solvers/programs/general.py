r"""Eq. 5 of the LEG paper for any covariance: min_g sum_e w_e |(D g)_e| subject to ||a - A g||_inf <= L.

Under LEG-TV :math:`A = D^{+T}\Sigma` and :math:`a = D^{+T} b`. A is dense even where Sigma is sparse, so three forms of
the same constraint are offered: `dense`; `lifted`, which keeps a sparse Sigma sparse by one more vector of unknowns;
and `zero_boundary`, the structured design whose grid is padded with zeros, by one more scalar.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar, cast

import numpy as np
import scipy
from numpy.typing import ArrayLike

from legstat._core.errors import SolverError, invalid
from legstat._core.typing import FloatArray, IntArray
from legstat._core.values import read_only
from legstat.solvers.programs.graph import Sparse, as_rows, times
from legstat.solvers.programs.lift import Lift, null_space
from legstat.solvers.programs.scale import check_range, power_of_two

Made = TypeVar("Made")
_ROUNDING = 1e-13  # what a subtraction of vectors of size 1 leaves where the answer is 0
_FREE_TOLERANCE = (
    1e-9  # a constant moves the constraint by rounding only (D^{+T} Sigma computed in floats: about 1e-14)
)


@dataclass(frozen=True, eq=False)
class LinearForm:
    """The constraint with extra unknowns, v = (g, extras): equality v = right, |centre - box v| <= L, to scale."""

    box: Sparse | FloatArray
    centre: FloatArray
    equality: Sparse
    right: FloatArray


@dataclass(frozen=True, eq=False)
class GeneralProgram:
    """min_g sum_e w_e |(D g)_e| subject to ||a - A g||_inf <= L; made by `dense`, `lifted` or `zero_boundary`.

    Parameters
    ----------
    difference : sparse array, shape (m, p)
        D; each row has -1 and +1, or a single +1 or -1 (an edge to a boundary of zeros).
    target : ndarray of float, shape (k,)
        a.
    forward, adjoint : callable
        g -> A g and y -> A^T y.
    form : LinearForm
        What engines are given: in units of `scale` for a, extras and L, and of `g_scale` for g.
    scale, g_scale : float
        Powers of two.
    weights : ndarray of float, shape (m,), optional
    kind : str
        "dense", "lifted" (cells without covariances), "wide" (lifted, cells with covariances) or "zero_boundary".
    lift : Lift, optional
        Of a lifted program, what does not depend on b.

    Examples
    --------
    >>> import numpy as np
    >>> from legstat.solvers import GeneralProgram, solve
    >>> D = np.array([[-1.0, 1.0, 0.0], [0.0, -1.0, 1.0]])
    >>> program = GeneralProgram.dense(D, np.eye(3), np.array([0.0, 0.0, 4.0]))
    >>> program.L_max
    2.0
    >>> round(solve(program, L=1.0).objective, 9)
    2.0
    """

    difference: Sparse
    target: FloatArray
    forward: Callable[[FloatArray], FloatArray]
    adjoint: Callable[[FloatArray], FloatArray]
    form: LinearForm
    scale: float
    g_scale: float
    weights: FloatArray | None
    kind: str
    lift: Lift | None = None
    _made: dict[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        where = f"GeneralProgram.{self.kind}"
        check_range(where, "a", float(np.abs(self.target).max(initial=0.0)))
        check_range(where, "a / A", self.g_scale)
        check_range(where, "weights times a / A", self.g_scale, self._heaviest)
        check_range(where, "weights / A", self.g_scale, self._heaviest, 1.0 / self.scale)

    @classmethod
    def dense(cls, D: Any, A: Any, a: ArrayLike, weights: ArrayLike | None = None) -> GeneralProgram:
        """Any matrix A (k x p), dense or sparse.

        At 28 x 28 (1512 x 784) an interior-point solve takes about 5 s; time grows like p^3 (see `seconds`).
        """
        difference, w = _checked("dense", D, weights)
        p = difference.shape[1]
        matrix: Any = as_rows(A) if scipy.sparse.issparse(A) else read_only(np.array(A, dtype=np.float64))
        centre = _vector("dense", "a", a)
        if matrix.ndim != 2 or matrix.shape != (centre.size, p):
            raise ValueError(invalid("GeneralProgram.dense", "A", np.shape(matrix), f"of shape {(centre.size, p)}"))
        size = float(abs(matrix).max()) if centre.size else 0.0
        if not np.isfinite(size):
            raise ValueError(invalid("GeneralProgram.dense", "A", "an array with NaN or infinity", "finite everywhere"))
        scale, alpha = power_of_two(float(np.abs(centre).max(initial=0.0))), power_of_two(size)
        form = LinearForm(matrix / alpha, read_only(centre / scale), scipy.sparse.csr_array((0, p)), np.empty(0))
        return cls(difference, centre, lambda g: times(matrix, g), lambda y: times(matrix.T, y), form,
                   scale, scale / alpha, w, "dense")  # fmt: skip

    @classmethod
    def lifted(
        cls,
        laplacian: Any,
        D: Any,
        Sigma: Any,
        b: ArrayLike,
        weights: ArrayLike | None = None,
        *,
        common: ArrayLike | None = None,
    ) -> GeneralProgram:
        r"""A = D (D^T D)^+ S and a = D (D^T D)^+ b for S = Sigma + v v^T with a sparse Sigma.

        The program stays sparse by one more vector u of unknowns, and one more number s for v:

        .. math:: (D^T D) u + t \mathbf 1 = b - \Sigma g - s v, \qquad s = v^T g, \qquad |D u| \le L

        with a scalar t for each component that constants leave unchanged. The isotropic design is Sigma = sigma^2 I;
        the block law has at most (2 s - 1)^2 entries a row, s the side of its largest blocks.

        Parameters
        ----------
        laplacian : sparse array, shape (p, p)
            D^T D, checked against D.
        D : sparse array, shape (m, p)
        Sigma : sparse array, shape (p, p)
            Symmetric.
        b : array_like, shape (p,)
        weights : array_like, shape (m,), optional
        common : array_like, shape (p,), optional
            v, a part of z that cells share; none unless given.
        """
        difference, w = _checked("lifted", D, weights)
        p = difference.shape[1]
        covariance, moments = as_rows(Sigma), _vector("lifted", "b", b)
        gram = as_rows(difference.T @ difference)
        if covariance.shape != (p, p) or moments.shape != (p,):
            raise ValueError(invalid("GeneralProgram.lifted", "Sigma, b", (covariance.shape, moments.shape),
                                     f"of shapes {(p, p)} and {(p,)}"))  # fmt: skip
        size = _largest(covariance)
        if _largest(covariance - covariance.T) > 1e-12 * size:
            raise ValueError(invalid("GeneralProgram.lifted", "Sigma", "an asymmetric matrix", "symmetric"))
        given = as_rows(laplacian)
        if given.shape != (p, p) or _largest(given - gram) > 1e-9:
            raise ValueError(invalid("GeneralProgram.lifted", "laplacian", given, "D.T @ D"))
        shared = np.zeros((p, 0)) if common is None else _vector("lifted", "common", common)[:, None]
        if shared.shape[0] != p:
            raise ValueError(invalid("GeneralProgram.lifted", "common", shared.shape[0], f"{p} numbers"))
        lift = Lift.of(difference, covariance, shared, power_of_two(size))
        off_diagonal = covariance - scipy.sparse.diags_array(covariance.diagonal())
        return cls._of(lift, moments, w, "wide" if shared.size or _largest(off_diagonal) else "lifted", {})

    @classmethod
    def _of(
        cls, lift: Lift, moments: FloatArray, weights: FloatArray | None, kind: str, made: dict[str, Any]
    ) -> GeneralProgram:
        target = read_only(times(lift.difference, lift.poisson(moments)))
        scale = power_of_two(float(np.abs(target).max(initial=0.0)))
        more = lift.equality.shape[0] - moments.size
        right = read_only(np.append(moments / scale, np.zeros(more)))
        form = LinearForm(lift.box, np.zeros(target.size), lift.equality, right)
        return cls(lift.difference, target, lift.forward, lift.adjoint, form, scale, scale / lift.size, weights, kind,
                   lift, made)  # fmt: skip

    def with_moments(self, b: ArrayLike) -> GeneralProgram:
        """A lifted program with another b, which shares all that does not depend on it."""
        moments = _vector("with_moments", "b", b)
        if self.lift is None or moments.shape != (self.n_nodes,):
            raise ValueError(
                invalid("GeneralProgram.with_moments", "b", moments.shape, f"({self.n_nodes},), of a lift")
            )
        return self._of(self.lift, moments, self.weights, self.kind, self._made)

    @classmethod
    def zero_boundary(cls, D: Any, a: ArrayLike, column: ArrayLike, weights: ArrayLike | None = None) -> GeneralProgram:
        r"""The structured design on a grid padded with zeros, divided by sigma^2: A g = D g + column mean(g).

        Parameters
        ----------
        D : sparse array, shape (m, p)
            With its one-ended edges.
        a : array_like, shape (m,)
            :math:`D^{+T} b / \sigma^2`.
        column : array_like, shape (m,)
            :math:`D^{+T} \mathbf 1`.
        weights : array_like, shape (m,), optional
        """
        difference, w = _checked("zero_boundary", D, weights)
        m, p = difference.shape
        centre, ones = _vector("zero_boundary", "a", a), _vector("zero_boundary", "column", column)
        if centre.shape != (m,) or ones.shape != (m,):
            shapes = (centre.shape, ones.shape)
            raise ValueError(invalid("GeneralProgram.zero_boundary", "a, column", shapes, f"of shape ({m},)"))
        scale = power_of_two(float(np.abs(centre).max(initial=0.0)))
        box = as_rows(scipy.sparse.hstack([difference, scipy.sparse.csr_array(ones[:, None])]))
        mean = scipy.sparse.csr_array(np.append(np.full(p, 1.0 / p), -1.0)[None, :])
        form = LinearForm(box, read_only(centre / scale), mean, np.zeros(1))
        return cls(difference, centre, lambda g: times(difference, g) + ones * float(g.mean()),
                   lambda y: times(difference.T, y) + float(ones @ y) / p, form, scale, scale, w,
                   "zero_boundary")  # fmt: skip

    def once(self, name: str, make: Callable[[], Made]) -> Made:
        """What depends on D and A alone, made by the first that asks for it and shared by all `with_moments`."""
        if name not in self._made:
            self._made[name] = make()
        return cast("Made", self._made[name])

    def rows(self, indices: IntArray) -> FloatArray:
        """Rows of A, which are kept."""
        known: dict[int, FloatArray] = self.once("rows", dict)
        new = [row for row in dict.fromkeys(indices.tolist()) if row not in known]
        if new:
            units = np.zeros((self.target.size, len(new)))
            units[new, np.arange(len(new))] = 1.0
            known |= dict(zip(new, np.ascontiguousarray(self.adjoint(units).T), strict=True))
        return np.array([known[row] for row in indices.tolist()]).reshape(-1, self.n_nodes)

    @property
    def n_nodes(self) -> int:
        """Number p of unknowns."""
        return int(self.difference.shape[1])

    @property
    def n_edges(self) -> int:
        """Number m of rows of D."""
        return int(self.difference.shape[0])

    @cached_property
    def weight_scale(self) -> float:
        """Power of two by which the weights are divided before an engine sees them."""
        return power_of_two(self._heaviest)

    @property
    def seconds(self) -> float:
        """Rough time of one solve by HiGHS on one core, from measured times at 784 to 12,544 unknowns."""
        at_784, power = {
            "dense": (5.0, 3.0),
            "wide": (1.0, 2.2),
            "lifted": (0.3, 2.2),
            "zero_boundary": (0.1, 1.9),
        }[self.kind]
        return float(at_784 * (self.n_nodes / 784) ** power)

    @property
    def gigabytes(self) -> float:
        """Rough memory of one solve: some eight copies of the entries of the constraint."""
        box, equality = self.form.box, self.form.equality
        entries = (box.nnz if scipy.sparse.issparse(box) else box.size) + equality.nnz
        return float(8 * 8 * (entries + 6 * self.n_edges) / 1e9)

    @property
    def objective_unit(self) -> float:
        """g_scale max w: what residuals and errors of the objective are compared with."""
        return self.g_scale * self._heaviest

    @cached_property
    def _heaviest(self) -> float:
        return 1.0 if self.weights is None else float(self.weights.max(initial=0.0))

    @cached_property
    def unit_weights(self) -> FloatArray:
        """w / weight_scale."""
        return read_only(np.ones(self.n_edges) if self.weights is None else self.weights / self.weight_scale)

    @cached_property
    def _constants(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Constants per component that D does not see: those A sees (p x K), their image under A, those A misses."""
        null: FloatArray = null_space(self.difference).toarray()
        image = np.empty((self.target.size, null.shape[1]))
        for k, column in enumerate(null.T):
            image[:, k] = self.forward(column)
        # an entry of A of size scale / g_scale, summed over a component, is what rounding is measured against
        seen = np.abs(image).max(axis=0, initial=0.0) > _FREE_TOLERANCE * self.scale / self.g_scale
        return null[:, seen], image[:, seen], null[:, ~seen]

    @property
    def hidden(self) -> int:
        """Directions of the lifted unknowns that leave all else as it is: constants of u, and those of g left open."""
        seen, _, unseen = self._constants
        return int(seen.shape[1] + 2 * unseen.shape[1])

    @property
    def mean_determined(self) -> bool:
        """False where a constant can be added to g without changing objective or constraint."""
        return not self._constants[2].shape[1]

    @property
    def free_constants(self) -> FloatArray:
        """Indicators (p, K) of the components whose constant neither objective nor constraint sees."""
        return self._constants[2]

    def without_free_constants(self, g: FloatArray) -> FloatArray:
        """g with mean 0 in each component whose mean the program leaves open."""
        free = self._constants[2]
        return np.asarray(g - free @ ((free.T @ g) / free.sum(axis=0))) if free.size else g

    @cached_property
    def at_zero(self) -> tuple[float, FloatArray]:
        """L_max and a g of objective 0 that reaches it: min over t of ||a - A N t||_inf over the constants N."""
        constants, image, _ = self._constants
        if constants.shape[1] == 0:
            return float(np.abs(self.target).max(initial=0.0)), np.zeros(self.n_nodes)
        t = _minimax(self.target / self.scale, image * (self.g_scale / self.scale))
        g = constants @ t * self.g_scale
        reached, size = (float(np.abs(v).max(initial=0.0)) for v in (self.target - self.forward(g), self.target))
        return (
            reached if reached > _ROUNDING * size else 0.0
        ), g  # a constant fits the data: nothing is left to penalise

    def constant_at(self, L: float) -> FloatArray:
        """For L >= L_max: the g of objective 0 whose residual is smallest in least squares (one free constant)."""
        constants, image, _ = self._constants
        start = self.at_zero[1]
        if constants.shape[1] != 1:
            return start
        column, residual = image[:, 0], self.target - self.forward(start)
        seen = column != 0
        low = ((residual[seen] - np.sign(column[seen]) * L) / column[seen]).max(initial=-np.inf)
        high = ((residual[seen] + np.sign(column[seen]) * L) / column[seen]).min(initial=np.inf)
        best = float(column @ residual / (column @ column))
        return np.asarray(start + constants[:, 0] * (min(max(best, low), high) if low <= high else 0.0))

    @property
    def L_max(self) -> float:
        """Smallest L at which the objective is 0."""
        return self.at_zero[0]


def _minimax(a: FloatArray, columns: FloatArray) -> FloatArray:
    """argmin_t ||a - columns t||_inf, a linear program in 1 + K unknowns."""
    size = np.abs(columns).max(axis=0)
    scaled = columns / size
    count = scaled.shape[1]
    radius = -np.ones((a.size, 1))
    rows = np.vstack([np.hstack([-scaled, radius]), np.hstack([scaled, radius])])
    cost = np.append(np.zeros(count), 1.0)
    bounds = [(None, None)] * count + [(0.0, None)]
    result = scipy.optimize.linprog(cost, A_ub=rows, b_ub=np.concatenate([-a, a]), bounds=bounds, method="highs-ds")
    if result.status != 0:
        raise SolverError(f"L_max could not be computed: {result.message}")
    return np.asarray(np.asarray(result.x)[:count] / size)


def _largest(matrix: Any) -> float:
    return float(abs(matrix).max()) if matrix.nnz else 0.0


def _checked(where: str, D: Any, weights: ArrayLike | None) -> tuple[Sparse, FloatArray | None]:
    name, difference = f"GeneralProgram.{where}", as_rows(D)
    entries, sums = np.diff(difference.indptr), times(difference, np.ones(difference.shape[1]))
    legal = np.isin(difference.data, (-1.0, 1.0)).all() and np.isin(entries, (1, 2)).all()
    if not (legal and (sums[entries == 2] == 0).all()):
        raise ValueError(invalid(name, "D", D, "a difference operator: rows with -1 and +1, or one of them"))
    if weights is None:
        return difference, None
    w = _vector(where, "weights", weights)
    if w.shape != (difference.shape[0],) or not (w > 0).all():
        raise ValueError(invalid(name, "weights", weights, f"{difference.shape[0]} positive numbers"))
    return difference, w


def _vector(where: str, name: str, values: ArrayLike) -> FloatArray:
    vector = read_only(np.array(values, dtype=np.float64))
    if vector.ndim != 1 or not np.isfinite(vector).all():
        raise ValueError(invalid(f"GeneralProgram.{where}", name, values, "a vector of finite numbers"))
    return vector
