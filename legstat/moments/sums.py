"""First and second moments of a stream's observations, all that the regressions need of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from legstat._core.typing import FloatArray
from legstat.moments.units import Units


@dataclass
class Sums:
    """First and second moments of observations, added up chunk by chunk in their fixed order."""

    n: int
    y: float
    yy: float
    z: FloatArray
    zy: FloatArray
    zz: FloatArray  # of shape (0, 0) where it is not kept

    @classmethod
    def zeros(cls, q: int, gram: bool) -> Sums:
        """No observations yet, of q unknowns, with room for z z^T or (`gram` False) without."""
        return cls(0, 0.0, 0.0, np.zeros(q), np.zeros(q), np.zeros((q, q) if gram else (0, 0)))

    def add(self, z: FloatArray, y: FloatArray) -> None:
        """Add a chunk: z of shape (k, q), y of shape (k,)."""
        self.n += len(y)
        self.y += float(y.sum())
        self.yy += float(y @ y)
        self.z += z.sum(axis=0)
        self.zy += y @ z
        if self.zz.size:
            self.zz += z.T @ z

    def without(self, part: Sums) -> Sums:
        """Sums over the other observations, those of a part taken away."""
        return Sums(
            self.n - part.n, self.y - part.y, self.yy - part.yy, self.z - part.z, self.zy - part.zy, self.zz - part.zz
        )

    def centred(self, paired: bool) -> tuple[FloatArray, FloatArray, float]:
        """Mean of z y, of z z^T and of y^2, about the sample means unless the observations are pairs."""
        zy, yy = self.zy / self.n, self.yy / self.n
        zz = self.zz / self.n
        if paired:
            return zy, zz, yy
        z, y = self.z / self.n, self.y / self.n
        return zy - z * y, zz - np.outer(z, z) if zz.size else zz, yy - y * y

    def centre(self, paired: bool) -> tuple[FloatArray, float, float]:
        """Where `centred` took its moments about, in z and in y, and the leverage that the constant costs."""
        return (np.zeros_like(self.z), 0.0, 0.0) if paired else (self.z / self.n, self.y / self.n, 1.0 / self.n)


SUBTRACTED = 256
"""Unknowns beyond which the Gram matrix without a fold is that of the sample less the fold's."""


def summed(units: Units, leave_out: tuple[int, int] | None, *, parts: int = 1, gram: bool = False) -> list[Sums]:
    """Sums over the observations, dealt out to `parts` in turn."""
    if gram and parts == 1 and units.n_unknowns > SUBTRACTED:
        whole = units.once("sums", lambda: _added(units.rows(), units.n_unknowns, 1, gram)[0])
        if leave_out is None:
            return [whole]
        return [whole.without(_added(units.rows(leave_out, only=True), units.n_unknowns, 1, gram)[0])]
    return _added(units.rows(leave_out), units.n_unknowns, parts, gram)


def _added(rows: Iterable[tuple[FloatArray, FloatArray]], q: int, parts: int, gram: bool) -> list[Sums]:
    sums = [Sums.zeros(q, gram) for _ in range(parts)]
    start = 0
    for z, y in rows:
        turn = (start + np.arange(len(y))) % parts
        for part, one in enumerate(sums):
            one.add(z[turn == part], y[turn == part]) if parts > 1 else one.add(z, y)
        start += len(y)
    return sums
