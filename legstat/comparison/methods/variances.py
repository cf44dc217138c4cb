"""Methods that share out the variance, or the dependence, of the score among cells: Sobol' indices and HSIC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

from legstat._core.typing import FloatArray
from legstat.comparison.asking import Asking, map_shape, resized
from legstat.comparison.method import MethodMap
from legstat.metrics.references import ReferenceName
from legstat.responses.base import Response


@dataclass(frozen=True)
class SobolIndices:
    r"""Total Sobol' indices of a mask's cells (Fel, Cadene, Chalvidal, Cord, Vigouroux and Serre, 2021).

    Jansen's estimator on a scrambled Sobol' sequence of masks A, B in [0, 1]: with :math:`C_i` the mask A whose cell i
    is that of B,

    .. math:: T_i = \frac{1}{2 N} \sum_j (f(A_j) - f(C_{ij}))^2 \Big/ \mathrm{Var} f(A).

    Parameters
    ----------
    shape : tuple of int, optional
        Cells of the map; the indices are resized to it bicubically.
        By default as many as `legstat.explain` takes.
    cells : int, default 8
        Cells of a mask along a side; N (cells^2 + 1) + 1 evaluations are spent.
    baseline : str, default "blur"
        What masked cells become.

    Examples
    --------
    >>> import legstat as ls
    >>> f = ls.simulate.linear(np.array([[2.0, 0.0], [0.0, 1.0]]))
    >>> found = SobolIndices((2, 2), cells=2, baseline="black")(f, np.ones((1, 4, 4)), 2000, 0)
    >>> found.saliency.round(1)
    array([[0.8, 0. ],
           [0. , 0.2]])
    """

    shape: tuple[int, int] | None = None
    cells: int = 8
    baseline: ReferenceName = "blur"
    name: str = "sobol"

    @property
    def least(self) -> int:
        """f(x0), and two designs."""
        return 2 * (self.cells**2 + 1) + 1

    def __call__(self, response: Response, image: FloatArray, n_queries: int, rng: Any) -> MethodMap:
        """The map; what does not make a whole design is left over."""
        asking = Asking(self.name, response, image, n_queries, self.baseline)
        d = self.cells**2
        n = asking.left // (d + 1)
        # a power of two of points keeps the sequence's balance; the first n of them are used
        points = scipy.stats.qmc.Sobol(2 * d, scramble=True, rng=np.random.default_rng(rng)).random(
            int(2 ** np.ceil(np.log2(n)))
        )
        a, b = points[:n, :d], points[:n, d:]
        start = asking.scores(a.reshape(n, self.cells, self.cells))
        totals = np.empty(d)
        for i in range(d):
            c = a.copy()
            c[:, i] = b[:, i]
            totals[i] = np.mean((start - asking.scores(c.reshape(n, self.cells, self.cells))) ** 2) / 2.0
        variance = float(start.var())
        indices = totals / variance if variance > 0.0 else np.zeros(d)
        return MethodMap(
            resized(indices.reshape(self.cells, self.cells), map_shape(self.shape, image), "bicubic"), asking.spent
        )


@dataclass(frozen=True)
class Hsic:
    r"""Hilbert-Schmidt dependence of the score on each cell of a binary mask (Novello, Fel and Vigouroux, 2022).

    .. math:: H_i = \frac{1}{(n-1)^2} \mathrm{tr}(K_i C L C), \quad K_i(m, m') = 1\{m_i = m'_i\}, \quad
              L(y, y') = e^{-(y - y')^2 / 2 w^2}

    with C the centring matrix and w the median of \|y - y'\| (the paper takes the median of y). Cells are on with
    probability 1/2.

    Parameters
    ----------
    shape : tuple of int, optional
        Cells of the map; the measures are resized to it bicubically.
        By default as many as `legstat.explain` takes.
    cells : int, default 8
        Cells of a mask along a side.
    baseline : str, default "blur"
        What masked cells become.

    Notes
    -----
    Memory of n^2 numbers: 290 MB at 6,000 evaluations.

    Examples
    --------
    >>> import legstat as ls
    >>> f = ls.simulate.linear(np.array([[2.0, 0.0], [0.0, 1.0]]))
    >>> found = Hsic((2, 2), cells=2, baseline="black")(f, np.ones((1, 4, 4)), 500, 0).saliency
    >>> found.argmax().item(), found.min() >= 0
    (0, np.True_)
    """

    shape: tuple[int, int] | None = None
    cells: int = 8
    baseline: ReferenceName = "blur"
    name: str = "hsic"
    least: int = 4

    def __call__(self, response: Response, image: FloatArray, n_queries: int, rng: Any) -> MethodMap:
        """The map; every evaluation but f(x0) is a draw."""
        asking = Asking(self.name, response, image, n_queries, self.baseline)
        masks = np.random.default_rng(rng).integers(0, 2, (asking.left, self.cells**2)).astype(np.float64)
        found = dependence(masks, asking.scores(masks.reshape(-1, self.cells, self.cells)))
        return MethodMap(
            resized(found.reshape(self.cells, self.cells), map_shape(self.shape, image), "bicubic"), asking.spent
        )


def dependence(masks: FloatArray, scores: FloatArray) -> FloatArray:
    """HSIC of the scores (n,) with each column of binary masks (n, d); shape (d,)."""
    n = len(scores)
    apart = np.abs(scores[:, None] - scores[None, :])
    width = float(np.median(apart[~np.eye(n, dtype=bool)]))
    if width == 0.0:  # most scores are equal
        width = float(scores.std()) or 1.0
    kernel = np.exp(-(apart**2) / (2.0 * width**2))
    kernel -= kernel.mean(axis=0)
    kernel -= kernel.mean(axis=1)[:, None]
    # 1{m = m'} is m m' + (1 - m)(1 - m'), and both terms give the same with a centred kernel
    return np.asarray(2.0 * np.einsum("ni,ni->i", masks, kernel @ masks) / (n - 1) ** 2, dtype=np.float64)
