"""Linear contrasts of the estimate: regions of cells, differences of regions, Wald tests."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy

from legstat._core.checks import check_choice, check_count, check_rng, is_number
from legstat._core.errors import InferenceUnavailableError, invalid
from legstat._core.frozen import Portable
from legstat._core.notebooks import Rich
from legstat._core.typing import AnyArray, FloatArray
from legstat._core.values import read_only
from legstat.inference.covariance import SEED
from legstat.inference.estimates import Basis, Inferring

if TYPE_CHECKING:
    import pandas as pd

Box = tuple[int, int, int, int]
"""(first row, row after the last, first column, column after the last)."""


@dataclass(frozen=True)
class WaldTest:
    """A joint test of several linear hypotheses.

    Attributes
    ----------
    statistic : float
        (R gamma-hat - r)^T (R V R^T)^{-1} (R gamma-hat - r): statsmodels' chi-squared form.
    df : int
        Number of hypotheses k.
    df_denom : float
        nu - k + 1, with nu the smallest degrees of freedom of the k standard errors; infinite with ``use_t=False``.
    pvalue : float
        From Hotelling's law: statistic (nu - k + 1) / (k nu) as F(k, nu - k + 1). It tends to chi-squared with n. With
        n in the place of nu, as for normal contributions, true hypotheses were rejected far too often (16 of them at
        100 observations, level 5 %: in 20 to 55 % of samples).

    Examples
    --------
    >>> import legstat as ls
    >>> gamma = np.zeros((4, 4)); gamma[1:3, 1:3] = 2.0
    >>> design = ls.StructuredGaussian(grid=(4, 4), scale=0.2)
    >>> sample = ls.query(ls.simulate.logistic(gamma), np.full((1, 4, 4), 0.5), design, n_queries=1201, rng=0)
    >>> bool(ls.LEG(sample).fit().wald_test(np.eye(16)[5:7]).pvalue < 1e-6)
    True
    """

    statistic: float
    df: int
    df_denom: float
    pvalue: float

    def __repr__(self) -> str:
        return f"<WaldTest statistic={self.statistic:.4g} df={self.df} pvalue={self.pvalue:.3g}>"


@dataclass(frozen=True, kw_only=True, eq=False)
class Contrasts(Rich, Portable, Inferring):
    """Estimates of linear contrasts of gamma with their covariance.

    Attributes
    ----------
    labels : tuple of str
        Name of each contrast.
    estimates : ndarray of shape (k,)
        C gamma-hat.
    covariance : ndarray of shape (k, k)
        Estimated covariance of `estimates`.
    df : ndarray of shape (k,)
        Degrees of freedom of their variances.
    n : int
        Observations (draws, or pairs) behind them.
    cov_type : str
        Which estimate of variance stands behind the covariance; it decides from how many observations inference is
        offered.
    unknowns : int
        Unknowns of a stream, for the same.
    joint_df : ndarray of shape (k,), optional
        Those for statements about all contrasts at once; `df` where left out.

    Examples
    --------
    >>> import legstat as ls
    >>> gamma = np.zeros((4, 4)); gamma[1:3, 1:3] = 2.0
    >>> design = ls.StructuredGaussian(grid=(4, 4), scale=0.2)
    >>> sample = ls.query(ls.simulate.logistic(gamma), np.full((1, 4, 4), 0.5), design, n_queries=1201, rng=0)
    >>> inner = ls.LEG(sample).fit().compare_regions((1, 3, 1, 3), (0, 1, 0, 4))
    >>> inner
    <Contrasts 1: rows 1:3, columns 1:3 - rows 0:1, columns 0:4>
    >>> bool(inner.conf_int(level=0.99)[0, 0] > 0)
    True
    """

    labels: tuple[str, ...]
    estimates: FloatArray
    covariance: FloatArray
    df: FloatArray
    n: int
    cov_type: str = "none"
    unknowns: int = 0
    joint_df: FloatArray | None = None

    def __post_init__(self) -> None:
        for name in ("estimates", "covariance", "df", "joint_df"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, read_only(np.array(getattr(self, name), dtype=np.float64)))

    @cached_property
    def std_errors(self) -> FloatArray:
        """Standard errors, shape (k,)."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def _basis(self) -> Basis:
        """Its joint law is the normal one with this covariance."""
        return Basis(
            estimates=self.estimates,
            std_errors=self.std_errors,
            df=self.df,
            joint_df=self.df if self.joint_df is None else self.joint_df,
            cov_type=self.cov_type,
            n=self.n,
            unknowns=self.unknowns,
            map_shape=(1, len(self.estimates)),
            draws=lambda: self,
        )

    def draws(self, n_draws: int, rng: Any = SEED) -> list[FloatArray]:
        """Normal draws with the estimated covariance, as one batch of shape (n_draws, k)."""
        check_count("Contrasts.draws", "n_draws", n_draws, what="; 2000 is usual")
        values, vectors = np.linalg.eigh(self.covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        return [check_rng("Contrasts.draws", rng).standard_normal((n_draws, len(values))) @ root.T]

    def wald_test(self, r: FloatArray | float = 0.0) -> WaldTest:
        """Test all contrasts against r at once.

        Parameters
        ----------
        r : float or ndarray of shape (k,), default 0
            Their values under the hypothesis.

        Returns
        -------
        WaldTest
            Statistic and p-value.

        Raises
        ------
        ValueError
            If the contrasts are linearly dependent, or r has another shape.
        InferenceUnavailableError
            If the covariance of so many contrasts is not known well enough.
        """
        self._basis.check("wald_test", False)
        k = len(self.estimates)
        try:
            target = np.array(r, dtype=np.float64)
        except (TypeError, ValueError):
            raise ValueError(invalid("wald_test", "r", r, f"a number or numbers of shape ({k},)")) from None
        if target.shape not in ((), (k,)) or not np.isfinite(target).all():
            raise ValueError(invalid("wald_test", "r", r, f"finite, a number or of shape ({k},)"))
        nu = float(self.df.min())
        if nu <= k:
            raise InferenceUnavailableError(
                f"legstat.wald_test: {k} hypotheses at once need standard errors of more than {k} degrees of freedom; "
                f"{self.n} observations give {nu:.0f}. Raise n_queries, test fewer contrasts, or use "
                "conf_int(simultaneous=True), which needs no inverse."
            )
        scale = self.std_errors
        correlation = self.covariance / np.outer(scale, scale) if (scale > 0).all() else np.zeros((k, k))
        smallest = float(np.linalg.eigvalsh(correlation)[0])
        if smallest <= 1e-10:
            raise ValueError(
                invalid(
                    "wald_test",
                    "R",
                    f"rows whose estimates have a correlation matrix of smallest eigenvalue {smallest:.2g}",
                    "linearly independent contrasts",
                    "Drop a row that the others imply.",
                )
            )
        t = (self.estimates - target) / scale
        statistic = float(t @ np.asarray(scipy.linalg.solve(correlation, t, assume_a="pos")))
        if np.isinf(nu):
            return WaldTest(statistic, k, nu, float(scipy.stats.chi2.sf(statistic, k)))
        rest = nu - k + 1.0
        return WaldTest(statistic, k, rest, float(scipy.stats.f.sf(statistic * rest / (k * nu), k, rest)))

    def to_frame(self, *, level: float = 0.95) -> pd.DataFrame:
        """One row a contrast: estimate, standard error, z, p-value and its interval at that level."""
        import pandas as pd

        low, high = self.conf_int(level=level).T
        columns = {"estimate": self.estimates, "std_error": self.std_errors, "z": self.tstats, "pvalue": self.pvalues}
        return pd.DataFrame({**columns, "conf_low": low, "conf_high": high}, index=list(self.labels))

    def __repr__(self) -> str:
        return f"<Contrasts {len(self.labels)}: {', '.join(self.labels[:3])}{', ...' if len(self.labels) > 3 else ''}>"


def region_weights(
    where: str, region: AnyArray | Box, grid_shape: tuple[int, int], aggregate: str
) -> tuple[tuple[str, ...], FloatArray]:
    """Labels and weights of the cells of each region.

    Parameters
    ----------
    where : str
        Call to name in errors.
    region : ndarray of shape (p1, p2) or tuple of four int
        A boolean mask; a map of labels, one region for each label >= 0; or a box (row, row after, column, column
        after).
    grid_shape : tuple of int
        (p1, p2).
    aggregate : {"mean", "sum"}
        Over the cells of a region.

    Returns
    -------
    labels : tuple of str
        One for each region.
    weights : ndarray of shape (regions, p1 p2)
        Rows that take the mean or the sum.

    Examples
    --------
    >>> region_weights("region", (0, 1, 0, 2), (2, 2), "mean")[1]
    array([[0.5, 0.5, 0. , 0. ]])
    """
    check_choice(where, "aggregate", aggregate, ("mean", "sum"))
    labels: tuple[str, ...]
    if isinstance(region, tuple):
        edges: tuple[object, ...] = region
        if len(edges) != 4 or not all(is_number(edge) and edge == int(edge) for edge in edges):
            valid = "four whole numbers: row, row after the last, column, column after the last"
            raise ValueError(invalid(where, "region", region, valid))
        a, b, c, d = map(int, region)
        if not (0 <= a < b <= grid_shape[0] and 0 <= c < d <= grid_shape[1]):
            raise ValueError(invalid(where, "region", region, f"a box with cells, inside the grid {grid_shape}"))
        mask = np.zeros(grid_shape, dtype=np.bool_)
        mask[a:b, c:d] = True
        labels, masks = (f"rows {a}:{b}, columns {c}:{d}",), mask.reshape(1, -1)
    else:
        array = np.asarray(region)
        if array.shape != grid_shape:
            remedy = "A map on the picture goes to cells by `Grid.cell_means(map) > 0.5`."
            raise ValueError(invalid(where, "region", array.shape, f"of the grid's shape {grid_shape}", remedy))
        if array.dtype == np.bool_:
            labels, masks = ("region",), array.reshape(1, -1)
        elif np.issubdtype(array.dtype, np.integer):
            values = np.unique(array[array >= 0])
            labels = tuple(f"region {v}" for v in values)
            masks = array.ravel() == values[:, None]
        else:
            raise ValueError(invalid(where, "region", array.dtype, "boolean (a mask) or whole numbers (labels)"))
    sizes = masks.sum(axis=1)
    if not len(sizes) or not sizes.all():
        raise ValueError(invalid(where, "region", "no cell", "with at least one cell in each region"))
    return labels, masks / (sizes[:, None] if aggregate == "mean" else 1.0)
