"""Out-of-sample R^2 of a linear map: how much of f's response a map explains on observations it has not seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from legstat._core.checks import check_count
from legstat._core.frozen import Portable
from legstat._core.typing import FloatArray
from legstat.moments.units import Units
from legstat.samples.sample import QuerySample


@dataclass(frozen=True, eq=False)
class HeldOut(Portable):
    """K-fold R^2 of one or several maps fitted to the same sample.

    Attributes
    ----------
    r2 : ndarray of shape (models,)
        1 - (squared error on the folds left out) / (sum of squares there), over all folds; 0 for a score that never
        moved.
    std_errors : ndarray of shape (models,)
        Standard deviation of the folds' R^2 over the square root of their number.
    loss_errors : ndarray of shape (models,)
        Standard error of the mean squared error, from its spread over the observations, in the units of R^2.

    Examples
    --------
    >>> errors = np.array([0.04, 0.02, 0.02, 0.02])
    >>> found = HeldOut(np.array([0.1, 0.7, 0.71, 0.7]), std_errors=errors, loss_errors=errors)
    >>> found, found.best, found.simplest
    (<HeldOut R^2 0.100, 0.700, 0.710, 0.700>, 2, 1)
    """

    r2: FloatArray
    std_errors: FloatArray
    loss_errors: FloatArray

    @property
    def best(self) -> int:
        """The model with the largest R^2."""
        return int(np.argmax(self.r2))

    @property
    def simplest(self) -> int:
        """The first model (the largest L) whose loss is within one standard error of the best one's."""
        least = self.r2[self.best] - self.loss_errors[self.best]
        return int(np.flatnonzero(self.r2 >= least)[0])

    def __repr__(self) -> str:
        return f"<HeldOut R^2 {', '.join(f'{r2:.3f}' for r2 in self.r2[:5])}{', ...' if len(self.r2) > 5 else ''}>"


def heldout_r2(sample: QuerySample, fit: Callable[[tuple[int, int]], FloatArray], folds: int = 5) -> HeldOut:
    """K-fold R^2 on the observations of a sample.

    For antithetic samples the observations are pairs and R^2 is that of the odd part (f(z) - f(-z)) / 2, which a linear
    map can explain in full only if f is linear there; else the response is centred at its mean over the training folds.

    Parameters
    ----------
    sample : QuerySample
        The sample; its observations are dealt to the folds in turn.
    fit : callable
        ``fit((fold, folds))`` gives maps of shape (models, P, p), estimated without that fold.
    folds : int, default 5
        Number of folds, at least 2.

    Returns
    -------
    HeldOut
        R^2 of each model, with standard errors.

    Raises
    ------
    ValueError
        If there are fewer observations than two for each fold.
    """
    most = min(sample.n_units) // 2
    folds = check_count("heldout_r2", "folds", folds, 2, most, remedy="Raise n_queries for more.")
    errors, totals, squares = [], [], []
    for fold in range(folds):
        maps = fit((fold, folds))
        e, t, q = zip(*(_squares(u, maps, c, (fold, folds)) for c, u in enumerate(sample.units)), strict=True)
        errors.append(np.sum(e, axis=0))
        totals.append(np.sum(t))
        squares.append(np.sum(q, axis=0))
    by_fold = np.stack([_r2(e, t) for e, t in zip(errors, totals, strict=True)])
    error, total, n = np.sum(errors, axis=0), np.sum(totals), sum(sample.n_units)
    spread = np.sqrt(np.maximum(np.sum(squares, axis=0) - error**2 / n, 0.0) * n / (n - 1))
    return HeldOut(_r2(error, total), by_fold.std(axis=0, ddof=1) / np.sqrt(folds), spread / (total or 1.0))


def _r2(errors: FloatArray, total: np.float64) -> FloatArray:
    """1 - errors / total; 0 where the score never moved, so that there is nothing to explain."""
    return np.zeros_like(errors) if total == 0.0 else 1.0 - errors / total


def r2_on(sample: QuerySample, params: FloatArray) -> float:
    """R^2 of one map of shape (P, p) on all observations of a sample it was not fitted to.

    Parameters
    ----------
    sample : QuerySample
        Fresh draws of the same experiment.
    params : ndarray of shape (P, p)
        The linear map.

    Returns
    -------
    float
        1 - squared error / sum of squares, of the odd part for antithetic samples; 0 for a score that never moved.
    """
    parts = [_squares(units, params[None], c, None) for c, units in enumerate(sample.units)]
    return float(_r2(np.sum([e for e, _, _ in parts], axis=0), np.sum([t for _, t, _ in parts]))[0])


def _squares(
    units: Units, maps: FloatArray, channel: int, fold: tuple[int, int] | None
) -> tuple[FloatArray, float, FloatArray]:
    """Of one stream, on one fold or on everything: sums of each model's squared errors, the score's own, and e^4."""
    planes, p = units.law.mean.shape
    rows = maps[:, channel : channel + planes] if planes == 1 else maps
    g = rows.reshape(len(maps), planes * p)
    mu = units.law.mean.ravel()
    shift = 0.0
    if not units.paired:
        # the intercept is learnt where the map was: off the fold, or on the fresh sample itself where there is none
        sums = [(float(y.sum()), len(y)) for _, y in units.rows(fold)]
        shift = sum(s for s, _ in sums) / sum(n for _, n in sums)
    error, total, fourth = np.zeros(len(maps)), 0.0, np.zeros(len(maps))
    for z, y in units.rows(fold, only=fold is not None):
        centred = y - shift
        squares = np.square(centred[:, None] - (z - mu) @ g.T)
        error += squares.sum(axis=0)
        fourth += np.square(squares).sum(axis=0)
        total += float(centred @ centred)
    return error, total, fourth
