"""LEG: the linearly estimated gradient in closed form (LEG paper, Lemma 1 and eq. 4)."""

from __future__ import annotations

import dataclasses
from typing import Literal, get_args

from legstat._core.checks import check_choice, check_flag
from legstat._core.conventions import Conventions, MomentKind
from legstat._core.errors import invalid
from legstat.designs.dense import DENSE_LIMIT
from legstat.estimators.heldout import heldout_r2
from legstat.estimators.leg_results import LEGResults
from legstat.inference.covariance import no_variance
from legstat.moments.estimate import ADAPTIVE_LIMIT, COV_TYPES
from legstat.moments.moments import Moments
from legstat.moments.regression import check_dense
from legstat.samples.sample import QuerySample

MomentRule = Literal["leg_moments", "legtv_moments"]
"""The field of `Conventions` that names an estimator's moments."""
FOLDS = 5
"""Folds of the out-of-sample R^2 that results report."""


class LEG:
    r"""The linearly estimated gradient, :math:`\hat\gamma = \Sigma^{-1} b`.

    The estimand is

    .. math:: \gamma = \arg\min_g E[(f(x_0 + z) - f(x_0) - g^T z)^2] = \Sigma^{-1} E[(f(x_0+z) - f(x_0)) z]

    (LEG paper, eq. 2 with the sign of Lemma 1, eq. 3): the best linear description of f's response to z.

    Parameters
    ----------
    data : QuerySample or Moments
        A sample, or the moment vector alone.
    moments : {"printed", "centred", "regression", "adaptive", "crossfit", "least_squares"}, optional
        How b is estimated from a sample: "crossfit", which carries standard errors, unless the sample's conventions or
        the `cov_type` of `fit` say otherwise. See `estimate_moments`.

    Raises
    ------
    TypeError
        If `data` is neither.
    ValueError
        If `moments` is given with a `Moments`, or contradicts the sample's conventions.

    Examples
    --------
    >>> import numpy as np, legstat as ls
    >>> gamma = np.zeros((6, 6)); gamma[2:4, 2:4] = 1.0
    >>> design = ls.StructuredGaussian(grid=(6, 6), scale=0.05)
    >>> sample = ls.query(ls.simulate.linear(gamma), np.full((1, 6, 6), 0.5), design, n_queries=400, rng=0)
    >>> result = ls.LEG(sample).fit()
    >>> bool(np.abs(result.saliency - gamma).max() < 0.01)
    True
    """

    def __init__(self, data: QuerySample | Moments, *, moments: MomentKind | None = None) -> None:
        self._data, self._kind = check_data("LEG", data, moments, "leg_moments")
        self._named = moments is not None

    def fit(self, cov_type: str | None = None, *, use_t: bool = True) -> LEGResults:
        """Estimate gamma.

        Parameters
        ----------
        cov_type : {"sandwich", "crossfit", "HC0", "HC1", "HC2", "HC3"}, optional
            Which estimate of variance stands behind the standard errors. Each belongs to one way of estimating: the
            known-covariance "sandwich" to centred moments (or printed ones, if named), "crossfit" to cross-fitted ones,
            HC0 to HC3 to least squares, where they equal statsmodels' OLS. The moments' own where it is left out, and
            the moments follow it where they were not named.
        use_t : bool, default True
            Student's intervals and p-values, with degrees of freedom estimated for each standard error; normal ones
            else (statsmodels' default with HC0 to HC3).

        Returns
        -------
        LEGResults
            params of shape (P p,), with standard errors where the moments carry them.

        Raises
        ------
        ValueError
            If the type is unknown or not one of the named moments'.
        InferenceUnavailableError
            If a type is asked of regression moments, which are shrunken, or of given moments.

        Notes
        -----
        No model evaluation is spent. From a sample, costs the moments once and once more for each fold of the
        out-of-sample R^2.
        """
        check_flag("LEG.fit", "use_t", use_t)
        if isinstance(self._data, Moments):
            if cov_type not in (None, self._data.cov_type):
                raise no_variance(self._data.kind, "LEG.fit")
            return LEGResults(moments=self._data, params=self._data.gamma.ravel(), use_t=use_t)
        sample, kind = self._data, self._kind_for(cov_type)
        moments = sample.moments(kind, cov_type=cov_type)
        r2_heldout = None
        if min(sample.n_units) >= 4 * FOLDS:
            r2_heldout = self._r2_heldout(sample, kind)
        light = dataclasses.replace(sample)  # without its kept draws, which a kept result would hold on to
        return LEGResults(
            moments=dataclasses.replace(moments, influence=None),
            params=moments.gamma.ravel(),
            r2_heldout=r2_heldout,
            image=sample.image,
            sample=light,
            use_t=use_t,
        )

    def __repr__(self) -> str:
        return f"<LEG on {self._kind} moments of {self._data!r}>"

    def _kind_for(self, cov_type: str | None) -> MomentKind:
        """The kind of moments that has that estimate of variance."""
        if cov_type is None:
            return self._kind
        known = [t for types in COV_TYPES.values() for t in types if t != "none"]
        if cov_type not in known:
            valid = "one of " + ", ".join(map(repr, dict.fromkeys(known)))
            raise ValueError(invalid("LEG.fit", "cov_type", cov_type, valid))
        if cov_type in COV_TYPES[self._kind]:
            return self._kind
        if COV_TYPES[self._kind] == ("none",):
            raise no_variance(self._kind, "LEG.fit")
        if self._named or isinstance(self._data, Moments) or self._data.conventions != "default":
            valid = " or ".join(map(repr, COV_TYPES[self._kind])) + f" for {self._kind!r} moments"
            raise ValueError(invalid("LEG.fit", "cov_type", cov_type, valid, "Leave `moments` out to let it follow."))
        follows: dict[str, MomentKind] = {"sandwich": "centred", "crossfit": "crossfit"}
        return follows.get(cov_type, "least_squares")

    @staticmethod
    def _r2_heldout(sample: QuerySample, kind: MomentKind) -> float | None:
        """Out-of-sample R^2, None where a fold leaves fewer observations than least squares has unknowns."""
        unknowns = sample.planes * sample.design.grid.n_cells + 1
        if kind == "least_squares" and min(sample.n_units) * (FOLDS - 1) // FOLDS <= unknowns:
            return None
        found = heldout_r2(sample, lambda fold: sample.moments(kind, leave_out=fold).gamma[None], FOLDS)
        return float(found.r2[0])


def check_data(
    where: str, data: QuerySample | Moments, kind: MomentKind | None, rule: MomentRule
) -> tuple[QuerySample | Moments, MomentKind]:
    """The data and the kind of moments that an estimator will use; an error where they do not go together."""
    if isinstance(data, Moments):
        if kind is not None:
            raise ValueError(invalid(where, "moments", kind, "left out with a Moments", "Its b is already estimated."))
        return data, "printed"
    if not isinstance(data, QuerySample):
        raise TypeError(
            invalid(
                where, "data", type(data).__name__, "a QuerySample or a Moments", "`legstat.query` makes the first."
            )
        )
    unknowns = data.planes * data.design.grid.n_cells
    return data, moment_kind(where, kind, data.convention_set, rule, unknowns)


def moment_kind(where: str, kind: object, rules: Conventions, rule: MomentRule, n_unknowns: int) -> MomentKind:
    """The kind of moments of a sample under these conventions; an error where the one that is named cannot be.

    Parameters
    ----------
    where : str
        Call to name in errors.
    kind : str or None
        The kind that the user named.
    rules : Conventions
        The sample's.
    rule : {"leg_moments", "legtv_moments"}
        Which estimator's.
    n_unknowns : int
        Cells times planes of one draw.
    """
    implied: MomentKind = getattr(rules, rule)
    if kind is None:
        if implied == "adaptive" and n_unknowns > ADAPTIVE_LIMIT:
            return "regression" if n_unknowns <= DENSE_LIMIT else "crossfit"  # which needs no p x p matrix
        return implied
    named: MomentKind = check_choice(where, "moments", kind, get_args(MomentKind))
    if rules.name != "default" and named != implied:
        remedy = "Query with conventions='default' to choose."
        raise ValueError(invalid(where, "moments", kind, f"{implied!r} under conventions={rules.name!r}", remedy))
    check_dense(where, "moments", named, n_unknowns)
    return named
