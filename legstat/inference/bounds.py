r"""Theorem 1 of the LEG paper: its constants and its bound, as printed and as its proof gives it.

The proof shows :math:`\kappa \|\Delta\|_2^2 \le 4 L \sqrt s\, \|\Delta\|_2` for the differencing error
:math:`\Delta = D(\tilde\gamma - \gamma^*)`, then :math:`\|\Delta\|_2 \ge C_d \|\tilde\gamma - \gamma^*\|_2` up to
the mean. So it bounds the norm of the error, where the theorem prints its square.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import scipy

from legstat._core.checks import check_choice, check_count, check_positive, check_rng, check_within
from legstat._core.errors import invalid
from legstat._core.typing import FloatArray
from legstat.designs.dense import DENSE_LIMIT
from legstat.designs.design import Design
from legstat.designs.grid import Grid
from legstat.designs.structured import StructuredGaussian
from legstat.inference.theory import norm_pinv, structured_L, theorem_L

BoundForm = Literal["proof", "printed"]


@dataclass(frozen=True)
class Kappa:
    """The restricted eigenvalue of Assumption 1 (LEG paper, eq. 6), enclosed.

    Attributes
    ----------
    lower : float
        Certified: no set S of any size has less.
    upper : float
        The smallest quotient met by a search; kappa is at most this.
    """

    lower: float
    upper: float

    @property
    def exact(self) -> bool:
        """Whether the two agree to rounding."""
        return self.upper - self.lower <= 1e-9 * self.upper


def C_p(grid: Grid) -> float:
    """C_p of Theorem 1: 4 sqrt(2 ||D^+||_1).

    Parameters
    ----------
    grid : Grid
        The grid of cells.

    Returns
    -------
    float
        Grows as the square root of the longer side.

    Examples
    --------
    >>> round(C_p(Grid((28, 28))), 3)
    21.166
    """
    return float(4.0 * np.sqrt(2.0 * norm_pinv(grid)))


def C_d(grid: Grid) -> float:
    """C_d of Theorem 1: the smallest positive singular value of D.

    Parameters
    ----------
    grid : Grid
        The grid of cells.

    Returns
    -------
    float
        2 sin(pi / (2 max(p1, p2))) with the free boundary: it falls as the grid grows, which the
        rate in p that follows Theorem 1 leaves out.

    Raises
    ------
    ValueError
        If the grid is a single cell without edges.

    Examples
    --------
    >>> bool(np.isclose(C_d(Grid((28, 28))), 2 * np.sin(np.pi / 56)))
    True
    """
    positive = grid.eigenvalues[grid.eigenvalues > 0]
    if not positive.size:
        raise ValueError(invalid("C_d", "grid", grid.shape, "of at least two cells"))
    return float(np.sqrt(positive.min()))


def kappa(design: Design, sparsity: int | None = None, *, n_tries: int = 2000, rng: Any = 0) -> Kappa:
    r"""The restricted eigenvalue of Assumption 1 for sets S of a given size.

    .. math:: \kappa = \inf \frac{v^T \Sigma v}{\|D v\|_2^2}\ \text{over}\ v \perp 1\ \text{with}\
              \|(D v)_S\|_1 \ge \|(D v)_{S^C}\|_1

    (LEG paper, eq. 6, with :math:`\Delta = D v`.) sigma^2 for the structured design, for every S.

    Parameters
    ----------
    design : Design
        Gives Sigma and D.
    sparsity : int, optional
        s, the size of S; every size where it is left out (the infimum is then a plain eigenvalue and exact).
    n_tries : int, default 2000
        Maps with at most s differing neighbours that the upper estimate tries.
    rng : None, int, Generator or anything `numpy.random.default_rng` takes
        Source of these maps.

    Returns
    -------
    Kappa
        A certified lower bound and an upper estimate.

    Raises
    ------
    ValueError
        If the sparsity is not between 1 and the number of edges.

    Notes
    -----
    Lower bound: the smallest generalised eigenvalue of (Sigma, D^T D) off the constants, less the rounding of its
    computation (O(p^3)); closed forms for the structured and the isotropic design at any size.
    Upper estimate: the smallest quotient over single cells, rectangles and pairs of rectangles that satisfy the
    condition with the s largest differences as S.

    Examples
    --------
    >>> kappa(StructuredGaussian(grid=(8, 8), scale=0.5)).lower
    0.25
    """
    grid = design.grid
    if sparsity is not None:
        sparsity = check_count("kappa", "sparsity", sparsity, 1, grid.n_edges, what=" edges, or left out")
    check_count("kappa", "n_tries", n_tries, 1)
    if isinstance(design, StructuredGaussian) and grid.boundary == "free":
        return Kappa(design.scale**2, design.scale**2)
    lower = _lower_kappa(design)
    if sparsity is None and grid.n_cells <= DENSE_LIMIT:
        return Kappa(lower, max(lower, _smallest_eigenvalue(design)))
    return Kappa(lower, _upper_kappa(design, sparsity or grid.n_edges, n_tries, rng))


def error_bound(
    design: Design,
    sparsity: int,
    n: int,
    *,
    probability: float = 0.95,
    form: BoundForm = "proof",
    L: float | Literal["theorem", "structured"] = "theorem",
    bound: float = 1.0,
) -> float:
    r"""The bound of Theorem 1 on the error of LEG-TV, up to its mean.

    .. math:: \frac{4 L \sqrt s}{\kappa\, C_d} = \frac1\kappa \frac{C_p}{C_d} \sqrt{\frac{s \log(p_1 p_2/\epsilon)}{n}}

    the latter with the theorem's L (LEG paper, Theorem 1).

    Parameters
    ----------
    design : Design
        The design; kappa enters by its certified lower bound.
    sparsity : int
        s, non-zero entries of D gamma.
    n : int
        Independent draws.
    probability : float, default 0.95
        1 - eps.
    form : {"proof", "printed"}, default "proof"
        "proof": the right-hand side bounds the Frobenius norm. "printed": it bounds the square of the norm, as the
        theorem says; the norm returned is then its root.
    L : float, "theorem" or "structured", default "theorem"
        Which L: the theorem's, `structured_L` (structured design alone), or a number (a bootstrap quantile).
    bound : float, default 1.0
        B with |y| <= B, for the structured L. Scores without a bound (logits, log-odds) have no such theorem: use a
        bootstrap L.

    Returns
    -------
    float
        Bound on the norm of the error, in units of gamma.

    Raises
    ------
    ValueError
        If an argument is out of range, or "structured" is asked for another design.
    """
    where, grid = "error_bound", design.grid
    check_choice(where, "form", form, get_args(BoundForm))
    check_count(where, "sparsity", sparsity, 0, grid.n_edges, what=" edges")
    check_positive(where, "n", n)
    if L == "theorem":
        radius = theorem_L(grid, n, probability=probability)
    elif L == "structured":
        if not isinstance(design, StructuredGaussian):
            raise ValueError(invalid(where, "L", L, '"theorem" or a number, for this design'))
        radius = structured_L(grid, design.scale, n, probability=probability, bound=bound)
    else:
        radius = check_within(where, "L", L, remedy='Or "theorem", or "structured".')
    value = 4.0 * radius * np.sqrt(sparsity) / (kappa(design).lower * C_d(grid))
    return float(value if form == "proof" else np.sqrt(value))


def _pencil(design: Design) -> FloatArray:
    """(D^T D)^{+1/2} Sigma (D^T D)^{+1/2}, shape (p, p)."""
    grid = design.grid

    def root(eigenvalues: FloatArray) -> FloatArray:
        result = np.zeros_like(eigenvalues)
        np.divide(1.0, np.sqrt(eigenvalues), out=result, where=eigenvalues > 0)
        return result

    half = grid.apply_spectrum(root, np.eye(grid.n_cells))
    return grid.apply_spectrum(root, design.covariance(half))


def _smallest_eigenvalue(design: Design) -> float:
    values = scipy.linalg.eigvalsh(_pencil(design))
    # with the free boundary the constants are one exact zero of the pencil, below all others
    return float(values[1] if design.grid.boundary == "free" else values[0])


def _lower_kappa(design: Design) -> float:
    grid = design.grid
    if isinstance(design, StructuredGaussian):
        return design.scale**2  # 1 1^T / p adds nothing negative
    if design.spectrum is not None:
        moves = grid.eigenvalues > 0  # the constants, which D does not see, have none
        return float((design.spectrum[moves] / grid.eigenvalues[moves]).min())
    if grid.n_cells > DENSE_LIMIT:
        remedy = "Use a structured or an isotropic design, whose kappa has a closed form."
        raise ValueError(invalid("kappa", "design", design, f"of at most {DENSE_LIMIT} cells", remedy))
    pencil = _pencil(design)
    # backward error of the eigenvalues and of forming the pencil, generously
    rounding = 32.0 * grid.n_cells * np.finfo(np.float64).eps * float(np.linalg.norm(pencil, 2))
    return max(_smallest_eigenvalue(design) - rounding, 0.0)


def _upper_kappa(design: Design, sparsity: int, n_tries: int, rng: Any) -> float:
    grid, generator = design.grid, check_rng("kappa", rng)
    p1, p2 = grid.shape
    candidates = [np.eye(grid.n_cells)]
    for _ in range(n_tries):
        a, b = np.sort(generator.choice(p1 + 1, 2, replace=False))
        c, d = np.sort(generator.choice(p2 + 1, 2, replace=False))
        v = np.zeros((p1, p2))
        v[a:b, c:d] = 1.0
        # a second rectangle, of free sign, makes patterns that no single one has
        e, f = np.sort(generator.choice(p1 + 1, 2, replace=False))
        g, h = np.sort(generator.choice(p2 + 1, 2, replace=False))
        v[e:f, g:h] += generator.choice([-1.0, 0.0, 1.0])
        candidates.append(v.reshape(1, -1))
    v = np.concatenate(candidates)
    if grid.boundary == "free":
        v = v - v.mean(axis=1, keepdims=True)
    jumps = grid.difference(v)
    size = np.square(jumps).sum(axis=1)
    ordered = np.sort(np.abs(jumps), axis=1)[:, ::-1]
    # the best S of size s holds the largest differences
    allowed = (ordered[:, :sparsity].sum(axis=1) >= 0.5 * ordered.sum(axis=1)) & (size > 0)
    if not allowed.any():
        return float("inf")
    quotient = np.einsum("ij,ij->i", v[allowed], design.covariance(v[allowed])) / size[allowed]
    return float(quotient.min())
