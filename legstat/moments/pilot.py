r"""The pilot of "crossfit" for many unknowns, in coordinates in which its prior N(0, F F^T) is white.

There a draw is :math:`F^T (z - \mu)`. The whole sample's are made once, a fold's Gram matrix is the sample's less the
fold's, and all that a fold asks for follows from a tridiagonal form and a Cholesky factor, without any inverse.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import scipy

from legstat._core.frozen import Portable
from legstat._core.typing import FloatArray
from legstat.designs.design import Design
from legstat.moments.cosines import Cosines
from legstat.moments.ridge import SMOOTHNESS, least_gcv
from legstat.moments.sums import Sums, summed
from legstat.moments.units import Units

MOST_LEVERAGE = 0.65
"""Largest mean leverage of the pilot. Close to as many observations as unknowns a pilot that nearly interpolates
changes with every observation that is left out; the residuals are then correlated across observations, and 95 %
intervals that take them for uncorrelated covered 90 to 93 % of the truths. Held at 0.65 they cover 94 to 96 %
(docs/studies/coverage.md); from 1.6 observations an unknown on it changes nothing."""
PENALTIES = np.geomspace(1e-3, 1e3, 25)
"""Candidates, in units in which the draws in the prior's coordinates have variance 1, or the mean of theirs."""


class Prior(Protocol):
    """N(0, F F^T)."""

    def into(self, rows: FloatArray) -> FloatArray:
        """F^T z for each row."""

    def out(self, rows: FloatArray) -> FloatArray:
        """F x for each row."""

    def solve(self, row: FloatArray) -> FloatArray:
        """S^{-1} F^{-T} x, S the covariance of the observations' law."""

    def unit(self, inner: FloatArray) -> float:
        """What penalties are counted in."""


class OwnPrior:
    """F F^T = S^{-1}, in whose coordinates the law of z is white."""

    def __init__(self, units: Units) -> None:
        self._lower = scipy.linalg.cholesky(units.law.matrix(), lower=True)

    def into(self, rows: FloatArray) -> FloatArray:
        """L^{-1} z for each row, S = L L^T."""
        return _solved(self._lower, rows)

    def out(self, rows: FloatArray) -> FloatArray:
        """L^{-T} x for each row."""
        return np.asarray(scipy.linalg.blas.dtrsm(1.0, self._lower, rows.T, lower=1, trans_a=1).T)

    def solve(self, row: FloatArray) -> FloatArray:
        """S^{-1} L x = L^{-T} x."""
        return np.asarray(self.out(row[None])[0], dtype=np.float64)

    def unit(self, inner: FloatArray) -> float:
        """1."""
        return 1.0


class SmoothPrior:
    """F = C (e + epsilon)^{-1/2}: F F^T = (D^T D + epsilon I)^{-1}, in cosines."""

    def __init__(self, units: Units, shape: tuple[int, int]) -> None:
        self._units, self._cosines = units, Cosines(shape, len(units.law.mean))
        self._sizes = (self._cosines.eigenvalues + SMOOTHNESS) ** -0.5

    def into(self, rows: FloatArray) -> FloatArray:
        """F^T z for each row."""
        return np.asarray(self._cosines.of(rows) * self._sizes)

    def out(self, rows: FloatArray) -> FloatArray:
        """F x for each row."""
        return self._cosines.back(rows * self._sizes)

    def solve(self, row: FloatArray) -> FloatArray:
        """S^{-1} C (e + epsilon)^{1/2} x."""
        return self._units.solve(self._cosines.back(row / self._sizes))

    def unit(self, inner: FloatArray) -> float:
        """Mean eigenvalue of F^T G F."""
        return float(np.trace(inner)) / len(inner)


@dataclass(frozen=True, eq=False)
class Pilot(Portable):
    """A ridge map of all observations but a fold's, in its prior's coordinates.

    Attributes
    ----------
    sums : Sums
        Of what it was fitted to, in these coordinates.
    map : ndarray of shape (q,)
        x.
    penalty : float
        lambda; infinity where x = 0.
    lower : ndarray of shape (q, q) or None
        Cholesky factor of F^T G F + lambda I; None where x = 0.
    """

    sums: Sums
    map: FloatArray
    penalty: float
    lower: FloatArray | None

    def __repr__(self) -> str:
        return f"<Pilot of {self.map.size} unknowns, penalty {self.penalty:.3g}>"

    def leverages(self, spread: FloatArray) -> FloatArray:
        """Of draws about their centre, in these coordinates."""
        if self.lower is None:
            return np.zeros(len(spread))
        half = _solved(self.lower, spread)
        return np.asarray(np.einsum("ij,ij->i", half, half) / self.sums.n)

    def moved(self, v: FloatArray) -> FloatArray:
        """(F^T G F + lambda I)^{-1} v / n."""
        if self.lower is None:
            return np.zeros_like(v)
        return np.asarray(scipy.linalg.cho_solve((self.lower, True), v)) / self.sums.n


@dataclass(frozen=True, eq=False)
class Piloting:
    """The observations of one stream in the coordinates of their pilots' prior.

    Attributes
    ----------
    units : Units
        F^T (z - mu) in place of z.
    prior : Prior
        F.
    """

    units: Units
    prior: Prior

    @classmethod
    def of(cls, units: Units, design: Design) -> Piloting:
        """That of a sample's observations under a design, kept with them."""

        def make() -> Piloting:
            prior: Prior = SmoothPrior(units, design.grid.shape) if design.smooth_pilot else OwnPrior(units)
            mu = units.law.mean.ravel()

            def chunks() -> Iterator[tuple[FloatArray, FloatArray]]:
                for z, y in units.rows():
                    yield prior.into(z - mu), y

            return cls(replace(units, chunks=chunks), prior)

        return units.once("piloting", make)

    def __repr__(self) -> str:
        return f"<Piloting of {self.units.n} {self.units.called}>"

    def pilot(self, leave_out: tuple[int, int] | None) -> Pilot:
        """The pilot without a fold: O(q^3)."""
        (sums,) = summed(self.units, leave_out, gram=True)
        b, inner, yy = sums.centred(self.units.paired)
        penalties = self.prior.unit(inner) * PENALTIES
        x, penalty = least_gcv(inner, b, yy, sums.n, penalties, or_nothing=True, most_leverage=MOST_LEVERAGE)
        if not np.isfinite(penalty):
            return Pilot(sums, x, penalty, None)
        inner[np.diag_indices_from(inner)] += penalty
        return Pilot(sums, x, penalty, scipy.linalg.cholesky(inner, lower=True, overwrite_a=True, check_finite=False))

    def without(self, leave_out: tuple[int, int]) -> FloatArray:
        """Cross-fitted gamma without a fold: the pilots' mean, plus S^{-1} times the mean of z r."""
        pilot = self.pilot(leave_out)
        centre, mean_y, base = pilot.sums.centre(self.units.paired)
        shift = 0.0 if self.units.paired else mean_y - float(pilot.map @ centre)
        product, along = np.zeros((2, self.units.n_unknowns))
        for rows, y in self.units.rows(leave_out):
            spread = rows - centre
            residual = (y - shift - rows @ pilot.map) / (1.0 - base - pilot.leverages(spread))
            product += residual @ rows
            along += residual @ spread
        n = float(pilot.sums.n)
        pilots = self.prior.out((pilot.map - pilot.moved(along) / n)[None])[0]
        return np.asarray(pilots + self.prior.solve(product) / n)

    def hat(self, pilot: Pilot) -> FloatArray:
        """H of the leverages of draws as they are, z^T H z: F (F^T G F + lambda I)^{-1} F^T / n."""
        q = self.units.n_unknowns
        if pilot.lower is None:
            return np.zeros((q, q))
        half, _ = scipy.linalg.lapack.dtrtri(pilot.lower, lower=1)
        root = self.prior.out(half)  # F L^{-T} as rows
        return np.asarray(root.T @ root / pilot.sums.n)


def _solved(lower: FloatArray, rows: FloatArray) -> FloatArray:
    """L^{-1} z for each row."""
    return np.asarray(scipy.linalg.blas.dtrsm(1.0, lower, rows.T, lower=1).T)
