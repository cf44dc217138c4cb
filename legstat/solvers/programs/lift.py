"""The lift of eq. 5: A = D (D^T D)^+ S without forming it, and the sparse system that stands for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy

from legstat._core.typing import FloatArray
from legstat.solvers.programs.graph import Sparse, as_rows, joined, times


@dataclass(frozen=True, eq=False)
class Lift:
    """A = D (D^T D)^+ S, applied without being formed.

    Attributes
    ----------
    difference : sparse array, shape (m, p)
        D.
    product, poisson : callable
        g -> S g and r -> (D^T D)^+ r, for vectors or columns.
    size : float
        A power of two: about the largest entry of the sparse part of S.
    box, equality : sparse array
        Of the `LinearForm`.
    """

    difference: Sparse
    product: Callable[[FloatArray], FloatArray]
    poisson: Callable[[FloatArray], FloatArray]
    size: float
    box: Sparse
    equality: Sparse

    @classmethod
    def of(cls, difference: Sparse, covariance: Sparse, shared: FloatArray, size: float) -> Lift:
        """Of S = covariance + shared shared^T, shapes (p, p) and (p, 0 or 1)."""
        gram, null = as_rows(difference.T @ difference), null_space(difference)
        shares = as_rows(shared / np.sqrt(size))
        (k, p), n_shares, n_null = difference.shape, shares.shape[1], null.shape[1]
        box = as_rows(
            scipy.sparse.hstack(
                [scipy.sparse.csr_array((k, p)), -difference, scipy.sparse.csr_array((k, n_null + n_shares))]
            )
        )
        rows: Any = [[covariance / size, gram, null, shares]]
        if n_shares:
            none = [scipy.sparse.csr_array((n_shares, width)) for width in (p, n_null)]
            rows.append([shares.T, *none, -scipy.sparse.eye_array(n_shares)])

        def product(v: FloatArray) -> FloatArray:
            own = times(covariance, v)
            return own + shared @ (shared.T @ v) if n_shares else own

        return cls(difference, product, _poisson(gram, null), size, box, as_rows(scipy.sparse.block_array(rows)))

    def potential(self, g: FloatArray) -> FloatArray:
        """(D^T D)^+ S g, whose differences are A g."""
        return self.poisson(self.product(g))

    def forward(self, g: FloatArray) -> FloatArray:
        """A g."""
        return times(self.difference, self.potential(g))

    @cached_property
    def _backward(self) -> Any:
        return self.difference.T

    def adjoint(self, y: FloatArray) -> FloatArray:
        """A^T y."""
        return self.product(self.poisson(times(self._backward, y)))


def null_space(difference: Sparse) -> Sparse:
    """Indicator columns (p x K) of the components on which every difference of a constant is 0."""
    count, label = joined(difference.T @ difference)
    p = difference.shape[1]
    indicator: Any = scipy.sparse.csr_array((np.ones(p), (np.arange(p), label)), shape=(p, count))
    moved = times(abs(difference @ indicator).T, np.ones(difference.shape[0]))
    return as_rows(indicator.tocsc()[:, moved == 0])


def _poisson(gram: Sparse, null: Sparse) -> Callable[[FloatArray], FloatArray]:
    """(D^T D)^+ by a sparse factorisation, null space removed before and after."""
    from scipy.sparse.linalg import splu  # slow to load

    ground = np.zeros(gram.shape[0])
    columns: Any = null.tocsc()
    sizes = times(null.T, np.ones(gram.shape[0]))
    ground[columns.indices[columns.indptr[:-1]]] = 1.0
    grounded: Any = gram + scipy.sparse.diags_array(ground)
    factor = splu(grounded.tocsc())

    onto = null.T  # once: it takes as long as the products

    def project(x: FloatArray) -> FloatArray:
        return np.asarray(x - times(null, (times(onto, x).T / sizes).T)) if sizes.size else x

    return lambda right: project(np.asarray(factor.solve(project(right))))
