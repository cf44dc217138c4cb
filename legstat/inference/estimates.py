"""Intervals, p-values, bands and tests of several estimates: of cells and of linear contrasts alike."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from legstat._core.checks import check_choice, check_flag, check_level
from legstat._core.errors import InferenceUnavailableError
from legstat._core.typing import FloatArray
from legstat.inference.covariance import SEED
from legstat.inference.intervals import (
    N_DRAWS,
    DrawSource,
    bonferroni_quantile,
    check_kind,
    joint_quantile,
    max_t_draws,
    normal_quantile,
    symmetric,
    t_quantiles,
    two_sided_pvalues,
)
from legstat.inference.multiplicity import MultipleTest, multiple_test, rate_and_method


@dataclass(frozen=True, eq=False)
class Basis:
    """What inference on several estimates rests on.

    Attributes
    ----------
    estimates, std_errors : ndarray of shape (Q,)
        The estimates and their standard errors.
    df, joint_df : ndarray of shape (Q,)
        Degrees of freedom of each by itself, and where all of them speak together.
    cov_type : str
        Which estimate of variance it is; it decides from how many observations inference is offered.
    n, unknowns : int
        Observations (draws, or pairs) behind each estimate, and unknowns that they determine together.
    map_shape : tuple of int
        (p1, p2) of the maps that the estimates form, or (1, Q).
    draws : callable
        Gives what draws the joint law of their errors; asked only where it is needed.
    """

    estimates: FloatArray
    std_errors: FloatArray
    df: FloatArray
    joint_df: FloatArray
    cov_type: str
    n: int
    unknowns: int
    map_shape: tuple[int, int]
    draws: Callable[[], DrawSource]

    def check(self, where: str, joint: bool) -> None:
        """InferenceUnavailableError where it would not hold what it says; one estimate alone is never joint."""
        check_kind(where, self.cov_type, self.n, self.unknowns, joint and self.estimates.size > 1)

    def of(self, joint: bool) -> FloatArray:
        """Degrees of freedom of each by itself, or of all at once."""
        return self.joint_df if joint and self.estimates.size > 1 else self.df

    @property
    def tstats(self) -> FloatArray:
        """Estimates over standard errors, 0 where those are 0."""
        return np.divide(self.estimates, self.std_errors, out=np.zeros_like(self.std_errors), where=self.std_errors > 0)


class Inferring(ABC):
    """Estimates that carry standard errors: what can be said of their error, each by itself or all at once.

    All of it is asymptotic in the number of observations, over repeated draws of z, for the estimand gamma of this
    picture and this network. Noise of the network's own is part of the responses and thereby of every standard error.
    """

    @property
    @abstractmethod
    def _basis(self) -> Basis:
        """What it rests on; InferenceUnavailableError where there are no standard errors."""

    @property
    def tstats(self) -> FloatArray:
        """Estimates over standard errors, shape (Q,)."""
        return self._basis.tstats

    @property
    def pvalues(self) -> FloatArray:
        """Two-sided p-values of each being 0, by itself, shape (Q,)."""
        basis = self._basis
        basis.check(self._call("pvalues"), False)
        return two_sided_pvalues(basis.tstats, basis.df)

    @property
    def has_intervals(self) -> bool:
        """Whether `conf_int` and `pvalues` are offered: there are standard errors, and the observations are enough."""
        try:
            self._basis.check(self._call("conf_int"), False)
        except InferenceUnavailableError:
            return False
        return True

    def conf_int(
        self,
        *,
        level: float = 0.95,
        simultaneous: bool = False,
        method: str = "max-t",
        n_draws: int = N_DRAWS,
        rng: Any = SEED,
    ) -> FloatArray:
        """Intervals by Student's t, each for itself or all at once.

        Parameters
        ----------
        level : float, default 0.95
            Coverage of each interval by itself, or (simultaneous) of all together. By name alone: statsmodels'
            ``conf_int(0.05)`` means 95 %.
        simultaneous : bool, default False
            Whether the intervals hold for all at once.
        method : {"max-t", "bonferroni"}, default "max-t"
            Of simultaneous bands: the quantile of the largest |t|, by draws of the estimates' joint law, or Bonferroni,
            which needs no covariance and is a little wider.
        n_draws : int, default 2000
            Such draws.
        rng : None, int, Generator or anything `numpy.random.default_rng` takes
            Their source; the same by default, so that the band is a function of the sample.

        Returns
        -------
        ndarray of shape (Q, 2)
            Lower and upper ends.

        Raises
        ------
        TypeError, ValueError
            If the level is not inside (0, 1), or another argument cannot be.
        InferenceUnavailableError
            Where there are no standard errors, or too few observations; for "max-t" also where the sample is not at
            hand.
        """
        where = self._call("conf_int")
        checked, joint = check_level(where, "level", level), check_flag(where, "simultaneous", simultaneous)
        check_choice(where, "method", method, ("max-t", "bonferroni"))
        basis = self._basis
        basis.check(where, joint)
        quantile = normal_quantile(checked)
        if joint and basis.estimates.size > 1:
            if method == "bonferroni":
                quantile = bonferroni_quantile(checked, basis.estimates.size)
            else:
                quantile = joint_quantile(max_t_draws(basis.draws(), basis.std_errors, n_draws, rng), checked)
        return symmetric(basis.estimates, t_quantiles(quantile, basis.of(joint)) * basis.std_errors)

    def test(
        self,
        *,
        fdr: float | None = None,
        fwer: float | None = None,
        method: str | None = None,
        n_draws: int = N_DRAWS,
        rng: Any = SEED,
    ) -> MultipleTest:
        """Which of them differ from 0, with control over all of them.

        Parameters
        ----------
        fdr, fwer : float
            Level of the false discovery rate or of the familywise error rate; exactly one of the two.
        method : str, optional
            For `fdr` "BH" (default) or "BY"; for `fwer` "step-down" (default), "max-t", "Holm" or "Bonferroni".
        n_draws, rng : optional
            Of the draws behind "max-t" and "step-down", as for `conf_int`.

        Returns
        -------
        MultipleTest
            Decisions, adjusted p-values and the map of what is significant.

        Raises
        ------
        TypeError, ValueError
            If not exactly one rate is given, or the method does not control it.
        InferenceUnavailableError
            As `conf_int`; FWER as bands.
        """
        where = self._call("test")
        rate = rate_and_method(where, fdr, fwer, method)
        basis, joint = self._basis, rate[0] == "fwer"
        basis.check(where, joint)
        return multiple_test(
            basis.estimates,
            basis.std_errors,
            two_sided_pvalues(basis.tstats, basis.of(joint)),
            rate,
            basis.map_shape,
            covariance=basis.draws,
            n_draws=n_draws,
            rng=rng,
        )

    def _call(self, method: str) -> str:
        """The call to name in an error."""
        return f"{type(self).__name__}.{method}"
