"""Ridge maps on the family of priors that the study of laws compares: `adaptive_ridge`, its constants left open.

Through the singular values of Z F, which cost less than the package's p x p matrices where pairs are fewer than cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from legstat._core.typing import FloatArray
from legstat.designs.grid import Grid
from legstat.moments.ridge import FLOOR, PENALTIES, ROUNDS, SMOOTHNESS, WIDTH


@dataclass(frozen=True)
class Prior:
    """Constants of the prior; the package's unless given.

    Attributes
    ----------
    power : float
        q: the covariance is (D^T D + epsilon)^-q at first.
    smoothness, width, floor : float
        epsilon; the energy's window in cells; the energy that every cell is granted.
    rounds : int
        How often the energy is taken from the map.
    """

    power: float = 0.5
    smoothness: float = SMOOTHNESS
    width: float = WIDTH
    floor: float = FLOOR
    rounds: int = ROUNDS


def ridge_map(z: FloatArray, y: FloatArray, shape: tuple[int, int], prior: Prior | None = None) -> FloatArray:
    """The map of pairs: z of shape (n, p), y the odd parts."""
    prior = prior or Prior()
    smooth = Grid(shape).apply_spectrum(lambda e: (e + prior.smoothness) ** (-prior.power / 2.0), np.eye(z.shape[1]))
    gamma = _fit(z, y, smooth)
    for _ in range(prior.rounds):
        energy = scipy.ndimage.gaussian_filter(gamma.reshape(shape) ** 2, prior.width, mode="nearest").ravel()
        gamma = _fit(z, y, np.sqrt(energy + prior.floor * energy.mean())[:, None] * smooth)
    return gamma


def _fit(z: FloatArray, y: FloatArray, factor: FloatArray) -> FloatArray:
    """The penalty by generalised cross-validation, as `legstat.moments.ridge.gcv_ridge` has it."""
    n, p = z.shape
    seen = z @ factor
    # the smaller of the two Gram matrices; what it leaves out has eigenvalue 0 and no part in the map
    gram = (seen @ seen.T if n < p else seen.T @ seen) / n
    values, vectors = np.linalg.eigh(gram)
    kept = values > 1e-12 * values[-1]
    values, vectors = values[kept], vectors[:, kept]
    right = vectors if n >= p else seen.T @ vectors / np.sqrt(n * values)
    u = right.T @ (seen.T @ y / n)
    yy, best, chosen = float(np.mean(y**2)), np.inf, 0.0
    for penalty in PENALTIES * values.sum() / p:
        inverse = 1.0 / (values + penalty)
        leverage = float(np.sum(values * inverse)) / n
        score = (yy - float(np.sum(u**2 * inverse * (2.0 - values * inverse)))) / (1.0 - leverage) ** 2
        if score < best:
            best, chosen = score, penalty
    return np.asarray(factor @ (right @ (u / (values + chosen))), dtype=np.float64)


@dataclass(frozen=True)
class Pairs:
    """Pairs of one law: z of shape (n, p), and the score of z and of -z."""

    z: FloatArray
    plus: FloatArray
    minus: FloatArray

    def __len__(self) -> int:
        return len(self.z)

    @property
    def odd(self) -> FloatArray:
        """(f(z) - f(-z)) / 2."""
        return (self.plus - self.minus) / 2.0

    def __getitem__(self, rows: slice | FloatArray) -> Pairs:
        return Pairs(self.z[rows], self.plus[rows], self.minus[rows])

    @classmethod
    def joined(cls, parts: Sequence[Pairs]) -> Pairs:
        """All of them, one after the other."""
        return cls(*(np.concatenate([getattr(one, name) for one in parts]) for name in ("z", "plus", "minus")))


def sides_of(z: FloatArray, shape: tuple[int, int], sides: Sequence[int]) -> FloatArray:
    """The side of the blocks of each on/off draw: the largest on whose lattice all changes lie."""
    planes = z.reshape(-1, *shape)
    found = np.zeros(len(planes), dtype=np.int64)
    for number, plane in enumerate(planes):
        changes = [np.flatnonzero(np.any(np.diff(plane, axis=axis) != 0, axis=1 - axis)) + 1 for axis in (0, 1)]
        found[number] = max(s for s in sides if all(len(set(c % s)) <= 1 for c in changes))
    return found


def r2(pairs: Pairs, gamma: FloatArray, weights: FloatArray | None = None) -> float:
    """Share of the odd part's square that a map explains, pairs weighted where they were not drawn as the law does."""
    y = pairs.odd
    w = np.ones(len(y)) if weights is None else weights
    return 1.0 - float(np.sum(w * (y - pairs.z @ gamma) ** 2) / np.sum(w * y**2))
