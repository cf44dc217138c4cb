"""Linear contrasts of the estimate: regions of cells, differences of regions, Wald tests."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.linalg
import scipy.stats

from legstat._core.checks import check_level, check_rng
from legstat._core.errors import InferenceUnavailableError, invalid
from legstat._core.typing import AnyArray, FloatArray
from legstat.inference.covariance import SEED
from legstat.inference.intervals import (
    N_DRAWS,
    check_kind,
    joint_quantile,
    normal_quantile,
    studentised,
    symmetric,
    t_quantiles,
    two_sided_pvalues,
)
from legstat.inference.multiplicity import MultipleTest, multiple_test, rate_and_method

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
        100 units, level 5 %: in 20 to 55 % of samples).

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
class Contrasts:
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
        Units behind them.
    cov_type : str
        Which estimate of variance stands behind the covariance; it decides from how many units inference is offered.
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
    >>> bool(inner.conf_int(0.99)[0, 0] > 0)
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
        for name in ("estimates", "covariance", "df"):
            array = np.array(getattr(self, name), dtype=np.float64)
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    @cached_property
    def std_errors(self) -> FloatArray:
        """Standard errors, shape (k,)."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def tstats(self) -> FloatArray:
        """estimates / std_errors, shape (k,)."""
        errors = self.std_errors
        return np.divide(self.estimates, errors, out=np.zeros_like(errors), where=errors > 0)

    @property
    def pvalues(self) -> FloatArray:
        """Two-sided p-values of each contrast being 0, by itself, shape (k,)."""
        self._check("Contrasts.pvalues")
        return two_sided_pvalues(self.tstats, self.df)

    def _df(self, joint: bool) -> FloatArray:
        """Degrees of freedom of each contrast by itself, or where all are to hold at once; one alone is never joint."""
        return self.joint_df if joint and len(self.estimates) > 1 and self.joint_df is not None else self.df

    def _check(self, where: str, joint: bool = False) -> None:
        """InferenceUnavailableError where it would not hold what it says; one contrast alone is never joint."""
        check_kind(where, self.cov_type, self.n, self.unknowns, joint and len(self.estimates) > 1)

    def conf_int(
        self, level: float = 0.95, simultaneous: bool = False, *, n_draws: int = N_DRAWS, rng: Any = SEED
    ) -> FloatArray:
        """Intervals of each contrast by itself, or of all at once by max-t.

        Parameters
        ----------
        level : float, default 0.95
            Coverage of each, or (simultaneous) of all together.
        simultaneous : bool, default False
            Whether all hold at once.
        n_draws, rng : optional
            Draws of the estimates' normal law and their source.

        Returns
        -------
        ndarray of shape (k, 2)
            Lower and upper ends.

        Raises
        ------
        ValueError
            If the level is not inside (0, 1).
        InferenceUnavailableError
            Where the units are too few, as for the cells' intervals and bands (`LEGResults.conf_int`).
        """
        checked = check_level("Contrasts.conf_int", "level", level)
        self._check("Contrasts.conf_int", simultaneous)
        quantile = normal_quantile(checked)
        if simultaneous and len(self.estimates) > 1:
            maxima = np.concatenate([studentised(b, self.std_errors).max(axis=1) for b in self.draws(n_draws, rng)])
            quantile = joint_quantile(maxima, checked)
        df = self._df(simultaneous)
        return symmetric(self.estimates, t_quantiles(quantile, df) * self.std_errors)

    def draws(self, n_draws: int, rng: Any = SEED) -> list[FloatArray]:
        """Normal draws with the estimated covariance, as one batch of shape (n_draws, k)."""
        values, vectors = np.linalg.eigh(self.covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        return [check_rng("Contrasts.draws", rng).standard_normal((n_draws, len(values))) @ root.T]

    def test(
        self,
        *,
        fdr: float | None = None,
        fwer: float | None = None,
        method: str | None = None,
        n_draws: int = N_DRAWS,
        rng: Any = SEED,
    ) -> MultipleTest:
        """Which contrasts differ from 0, with control over all of them (see `MultipleTest`).

        Parameters
        ----------
        fdr, fwer : float
            Level of the false discovery rate or of the familywise error rate; exactly one of the two.
        method : str, optional
            "BH" or "BY" for the first; "step-down", "max-t", "Holm" or "Bonferroni" for the second.
        n_draws, rng : optional
            As for `conf_int`.

        Returns
        -------
        MultipleTest
            The decisions.

        Raises
        ------
        ValueError
            If not exactly one rate is given, or the method does not control it.
        InferenceUnavailableError
            As `conf_int`; FWER as bands.
        """
        rate = rate_and_method("Contrasts.test", fdr, fwer, method)
        joint = rate[0] == "fwer"
        self._check("Contrasts.test", joint)
        return multiple_test(
            self.estimates,
            self.std_errors,
            two_sided_pvalues(self.tstats, self._df(joint)),
            rate,
            (1, len(self.estimates)),
            covariance=lambda: self,
            n_draws=n_draws,
            rng=rng,
        )

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
        self._check("wald_test")
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
                f"{self.n} units give {nu:.0f}. Raise n_queries, test fewer contrasts, or use "
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

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """One row a contrast: estimate, standard error, z, p-value and its interval at that level."""
        import pandas as pd

        low, high = self.conf_int(level).T
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
    if aggregate not in ("mean", "sum"):
        raise ValueError(invalid(where, "aggregate", aggregate, '"mean" or "sum"'))
    labels: tuple[str, ...]
    if isinstance(region, tuple):
        edges: tuple[object, ...] = region
        if len(edges) != 4 or not all(isinstance(edge, int | np.integer) for edge in edges):
            valid = "four whole numbers: row, row after the last, column, column after the last"
            raise ValueError(invalid(where, "region", region, valid))
        a, b, c, d = region
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
