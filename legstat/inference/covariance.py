"""The covariance of an estimate, kept as the observations' contributions so that no p x p matrix is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import numpy as np

from legstat._core.checks import check_count, check_rng
from legstat._core.errors import InferenceUnavailableError, invalid
from legstat._core.typing import AnyArray, FloatArray
from legstat.moments.estimate import ROUNDING
from legstat.moments.influence import Influence, PowerSums, degrees_of_freedom
from legstat.moments.moments import Moments
from legstat.moments.units import Units

_BATCH_BYTES = 64 * 2**20  # multiplier draws held at once; further draws pass over the observations again
SEED = 0
"""Seed of the multiplier bootstrap unless one is given, so that an interval is a function of the sample."""


class Covariance:
    r"""Estimated covariance :math:`\sum_u \phi_u \phi_u^T` of gamma-hat, never formed unless asked for.

    Parameters
    ----------
    units : tuple of Units
        The observations of each stream.
    influence : tuple of Influence
        How they moved each stream's estimate (`Moments.influence`).

    Attributes
    ----------
    size : int
        Number of parameters Q, all streams together.

    Notes
    -----
    phi_u belongs to one observation: a draw, or an antithetic pair. Streams (the channels of a "separate" design)
    are drawn independently, so their estimates are uncorrelated. Every method passes over the observations and costs
    O(n Q log Q) per pass (O(n Q^2) for a dense design or least squares); memory is named with each.

    Examples
    --------
    >>> import legstat as ls
    >>> f, design = ls.simulate.quadratic(np.ones((4, 4)), 0.5), ls.StructuredGaussian(grid=(4, 4), scale=0.2)
    >>> sample = ls.query(f, np.full((1, 4, 4), 0.5), design, n_queries=401, antithetic=False, rng=0)
    >>> moments = sample.moments("crossfit")
    >>> covariance = Covariance(sample.units, moments.influence)
    >>> bool(np.allclose(covariance.variances, moments.variances.ravel()))
    True
    """

    def __init__(self, units: tuple[Units, ...], influence: tuple[Influence, ...]) -> None:
        self._units, self._influence = units, influence
        sizes = [i.centre.size for i in influence]
        self._slices = [slice(end - size, end) for size, end in zip(sizes, np.cumsum(sizes).tolist(), strict=True)]
        self.size = sum(sizes)
        # an exactly linear response leaves residuals of rounding alone, which say nothing of the rounding in gamma
        largest = [ROUNDING * float(np.abs(i.maps).max()) for i in influence]
        self._rounding = np.concatenate([np.full(s, r) for s, r in zip(sizes, largest, strict=True)])

    @property
    def n(self) -> int:
        """Observations behind each parameter, in the smallest stream."""
        return min(u.n for u in self._units)

    @cached_property
    def variances(self) -> FloatArray:
        """Diagonal, shape (Q,); O(Q) memory."""
        spreads = [i.spread(u)[0] for u, i in zip(self._units, self._influence, strict=True)]
        return np.asarray(np.maximum(np.concatenate(spreads), np.square(self._rounding)), dtype=np.float64)

    def matrix(self) -> FloatArray:
        """The whole matrix, shape (Q, Q); O(Q^2) memory."""
        full = np.zeros((self.size, self.size))
        for where, rows in self._streams():
            for phi in rows:
                full[where, where] += phi.T @ phi
        np.fill_diagonal(full, np.maximum(np.diagonal(full), np.square(self._rounding)))
        return full

    def of(self, contrasts: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Covariance of C gamma-hat for C of shape (k, Q), and its degrees of freedom: shapes (k, k), (k,).

        O(k Q) memory.
        """
        k = len(contrasts)
        result, noise, number = np.zeros((k, k)), np.zeros(k), 0
        for where, rows in self._streams():
            sums, n = PowerSums(k), 0
            for phi in rows:
                projected = phi @ contrasts[:, where].T
                result += projected.T @ projected
                sums.add(projected)
                n += len(phi)
            noise += sums.fourth - sums.square**2 / n
            number += n
        np.fill_diagonal(result, np.maximum(np.diagonal(result), np.square(np.abs(contrasts) @ self._rounding)))
        second = np.diag(result)
        # the streams' own means are taken off already, so that the fourth powers of all add up
        return result, degrees_of_freedom(second, noise + second**2 / number, number)

    def draws(
        self, n_draws: int, rng: Any = SEED, transform: Callable[[FloatArray], FloatArray] | None = None
    ) -> Iterator[FloatArray]:
        r"""Gaussian multiplier bootstrap: draws of :math:`\sum_u e_u \phi_u`, e_u independent standard normals.

        Given the sample these are normal with mean 0 and the estimated covariance.

        Parameters
        ----------
        n_draws : int
            How many.
        rng : None, int, Generator or anything `numpy.random.default_rng` takes
            Source of the multipliers.
        transform : callable, optional
            Linear map of draws (b, Q) to (b, Q'), applied to each batch.

        Yields
        ------
        ndarray of shape (b, Q) or (b, Q')
            Batches, n_draws rows in all; at most 64 MiB or one draw at a time.
        """
        check_count("Covariance.draws", "n_draws", n_draws, 1, what="; 2000 is usual")
        generator = check_rng("Covariance.draws", rng)
        size = max(1, _BATCH_BYTES // (8 * self.size))
        for start in range(0, n_draws, size):
            batch = np.zeros((min(size, n_draws - start), self.size))
            for where, rows in self._streams():
                for phi in rows:
                    batch[:, where] += generator.standard_normal((len(batch), len(phi))) @ phi
            yield batch if transform is None else transform(batch)

    def _streams(self) -> Iterator[tuple[slice, Iterator[FloatArray]]]:
        for where, units, influence in zip(self._slices, self._units, self._influence, strict=True):
            yield where, influence.rows(units)


def covariance_of(moments: Moments, units: tuple[Units, ...] | None, where: str) -> Covariance:
    """The covariance behind a moment vector, or the reason why there is none.

    Parameters
    ----------
    moments : Moments
        What was estimated.
    units : tuple of Units or None
        The sample's observations; None where the sample is not at hand.
    where : str
        Call to name in the error.

    Returns
    -------
    Covariance
        Of gamma-hat.

    Raises
    ------
    InferenceUnavailableError
        For shrunken moments, given moments, and results that were loaded without their sample.
    """
    if moments.variances is None:
        raise no_variance(moments.kind, where)
    if moments.influence is None or units is None:
        raise InferenceUnavailableError(
            f"legstat.{where}: needs the covariance between cells, which is computed from the sample; a saved result "
            "keeps the diagonal alone. Fit again: LEG(QuerySample.load(path)).fit(). Pointwise intervals, p-values and "
            "bands by method='bonferroni' are there without it."
        )
    return Covariance(units, moments.influence)


def no_variance(kind: str, where: str) -> InferenceUnavailableError:
    """Why moments of a kind carry no variance, and what does."""
    if kind in ("regression", "adaptive"):
        reason = f"{kind} moments shrink towards 0: intervals about them undercover (54 to 94 % at nominal 95 %)"
    else:
        return InferenceUnavailableError(
            f"legstat.{where}: no standard errors: moments that were given without responses carry no variance. Hand "
            "over LEG's variances with them, Moments(b=, design=, n=, variances=), for pointwise intervals; or use "
            "LEG(sample, moments='crossfit')."
        )
    return InferenceUnavailableError(
        f"legstat.{where}: no standard errors: {reason}. Use LEG(sample, moments='crossfit')."
    )


def contrast_matrix(where: str, name: str, value: AnyArray, size: int) -> FloatArray:
    """A finite matrix of shape (k, size) from one or several contrasts; ValueError otherwise."""
    try:
        matrix = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(
            invalid(where, name, value, f"numbers of shape (k, {size}): one row a contrast, one column a parameter")
        ) from None
    if matrix.ndim == 1:
        matrix = matrix[None]
    if matrix.ndim != 2 or matrix.shape[1] != size or not len(matrix) or not np.isfinite(matrix).all():
        got = f"shape {np.shape(value)}, finite: {bool(np.isfinite(matrix).all())}"
        raise ValueError(invalid(where, name, got, f"finite, of shape (k, {size}): one column a parameter"))
    return matrix
