"""LEG: the linearly estimated gradient in closed form (LEG paper, Lemma 1 and eq. 4)."""

from __future__ import annotations

from legstat.conventions import MomentKind
from legstat.errors import invalid
from legstat.estimators.heldout import heldout_r2
from legstat.estimators.results import LEGResults
from legstat.moments import Moments
from legstat.samples import QuerySample

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
    moments : {"printed", "centred", "regression", "crossfit"}, optional
        How b is estimated from a sample: "crossfit", which carries standard errors, unless the sample's conventions say
        otherwise. See `estimate_moments`.

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
    >>> bool(np.abs(result.saliency - gamma).max() < 1e-6)
    True
    """

    def __init__(self, data: QuerySample | Moments, *, moments: MomentKind | None = None) -> None:
        self._data, self._kind = check_data("LEG", data, moments, "leg_moments")

    def fit(self) -> LEGResults:
        """Estimate gamma.

        Returns
        -------
        LEGResults
            params of shape (P p,), with standard errors where the moments carry them.

        Notes
        -----
        No model evaluation is spent. From a sample, costs the moments once and once more for each fold of the
        out-of-sample R^2.
        """
        if isinstance(self._data, Moments):
            return LEGResults(moments=self._data, params=self._data.gamma.ravel())
        sample, kind = self._data, self._kind
        moments = sample.moments(kind)
        fidelity = None
        if min(sample.n_units) >= 4 * FOLDS:
            fidelity = float(
                heldout_r2(sample, lambda fold: sample.moments(kind, leave_out=fold).gamma[None], FOLDS).r2[0]
            )
        return LEGResults(moments=moments, params=moments.gamma.ravel(), fidelity=fidelity, image=sample.image)


def check_data(
    where: str, data: QuerySample | Moments, kind: MomentKind | None, rule: str
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
    implied: MomentKind = getattr(data.convention_set, rule)
    if kind is not None and data.conventions != "default" and kind != implied:
        remedy = "Query with conventions='default' to choose."
        raise ValueError(invalid(where, "moments", kind, f"{implied!r} under conventions={data.conventions!r}", remedy))
    return data, kind or implied
