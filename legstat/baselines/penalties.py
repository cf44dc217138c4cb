"""What holds a mask small and smooth: L1 and total variation, with their gradients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from legstat._core.typing import FloatArray

_LEAST = 1e-5
"""Length of a difference below which the isotropic gradient takes this one instead, as the authors' code does."""


@dataclass(frozen=True)
class Penalty:
    r"""g(m) = l1 |1 - m| + tv TV_beta(m), or l1 |m| where cells are to be kept.

    Parameters
    ----------
    l1, tv : float
        Weights, non-negative.
    beta : float
        Power of the differences.
    isotropic : bool
        :math:`\sum (\Delta_r^2 + \Delta_c^2)^{\beta / 2}` (mask paper), else
        :math:`\sum |\Delta_r|^\beta + \sum |\Delta_c|^\beta` (the codes of I-GOS).
    mean : bool
        Means over cells, and over the differences of each direction, in place of sums.
    kept : bool
        The preservation game: what is kept costs, not what is deleted.

    Examples
    --------
    >>> Penalty(1.0, 2.0, 2.0, isotropic=False, mean=False).terms(np.array([[1.0, 0.5]]))
    {'l1': 0.5, 'tv': 0.5}
    """

    l1: float
    tv: float
    beta: float
    isotropic: bool
    mean: bool
    kept: bool = False

    def terms(self, mask: FloatArray) -> dict[str, float]:
        """Both terms, weights included."""
        area = mask if self.kept else 1.0 - mask
        down, across = np.diff(mask, axis=0), np.diff(mask, axis=1)
        if self.isotropic:
            total = float(np.sum(_lengths(mask) ** self.beta))
            variation = total / mask.size if self.mean else total
        else:
            variation = self._sum(np.abs(down) ** self.beta) + self._sum(np.abs(across) ** self.beta)
        return {"l1": self.l1 * self._sum(np.abs(area)), "tv": self.tv * variation}

    def gradient(self, mask: FloatArray) -> FloatArray:
        """Gradient of their sum; of |1 - m| and |m| the one from inside [0, 1], also at its ends."""
        found = np.full(mask.shape, (self.l1 if self.kept else -self.l1) / (mask.size if self.mean else 1.0))
        down, across = np.diff(mask, axis=0), np.diff(mask, axis=1)
        if self.isotropic:
            slope = self.beta * np.maximum(_lengths(mask), _LEAST) ** (self.beta - 2.0)
            share = self.tv / mask.size if self.mean else self.tv
            by_rows, by_columns = share * slope[:-1] * down, share * slope[:, :-1] * across
        else:
            by_rows, by_columns = (self._slopes(one) for one in (down, across))
        found[1:] += by_rows
        found[:-1] -= by_rows
        found[:, 1:] += by_columns
        found[:, :-1] -= by_columns
        return found

    def _sum(self, values: FloatArray) -> float:
        return float(values.mean() if self.mean else values.sum()) if values.size else 0.0

    def _slopes(self, steps: FloatArray) -> FloatArray:
        share = self.tv / max(steps.size, 1) if self.mean else self.tv
        return np.asarray(share * self.beta * np.abs(steps) ** (self.beta - 1.0) * np.sign(steps), dtype=np.float64)


def _lengths(mask: FloatArray) -> FloatArray:
    """Length of the forward differences of each cell; nothing beyond the far border."""
    down, across = np.zeros_like(mask), np.zeros_like(mask)
    down[:-1], across[:, :-1] = np.diff(mask, axis=0), np.diff(mask, axis=1)
    return np.hypot(down, across)
