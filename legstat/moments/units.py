"""A sample's observations, draws or pairs, as estimates and their variances pass over them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar, cast

import numpy as np

from legstat._core.typing import FloatArray
from legstat.perturbations.clipped_law import ClippedLaw

Made = TypeVar("Made")
_KEEP_BYTES = 512 * 2**20  # realised draws below this size are kept between passes, else drawn again


@dataclass(frozen=True, eq=False)
class Units:
    """The observations of one stream, draws or pairs, ready to be passed over more than once.

    Attributes
    ----------
    law : ClippedLaw
        Law of one observation's z.
    chunks : callable
        Gives an iterator over (z of shape (k, planes, p), y of shape (k,)), always in the same chunks.
    n : int
        Number of observations.
    paired : bool
        Whether an observation is an antithetic pair: y is then an odd part with mean 0 and is never centred.
    keep : bool
        Whether z is kept between passes where it is small; else it is drawn again for each.
    """

    law: ClippedLaw
    chunks: Callable[[], Iterator[tuple[FloatArray, FloatArray]]]
    n: int
    paired: bool
    keep: bool = True

    def __getstate__(self) -> dict[str, Any]:
        # draws and what was made of them are made again where they are needed
        return {name: value for name, value in vars(self).items() if name not in ("_kept", "_made")}

    @property
    def called(self) -> str:
        """What a user calls them."""
        return "pairs" if self.paired else "observations"

    @property
    def n_unknowns(self) -> int:
        """Entries of z: planes p."""
        return self.law.mean.size

    def solve(self, v: FloatArray) -> FloatArray:
        """S^{-1} v for flat v of shape (..., planes p), S the covariance of the observations' law."""
        return self.law.solve(v.reshape(*v.shape[:-1], *self.law.mean.shape)).reshape(v.shape)

    @cached_property
    def _kept(self) -> list[tuple[FloatArray, FloatArray]] | None:
        return list(self.chunks()) if self.keep and 8 * self.n * self.n_unknowns <= _KEEP_BYTES else None

    @cached_property
    def _made(self) -> dict[str, Any]:
        return {}

    def once(self, name: str, make: Callable[[], Made]) -> Made:
        """What the estimates of a sample and of its folds share, made by the first of them that asks for it."""
        if name not in self._made:
            self._made[name] = make()
        return cast("Made", self._made[name])

    def rows(
        self, leave_out: tuple[int, int] | None = None, *, only: bool = False
    ) -> Iterator[tuple[FloatArray, FloatArray]]:
        """Chunks of flat (z of shape (k, planes p), y), without one fold or (`only`) of that fold alone."""
        start = 0
        for z, y in self.chunks() if self._kept is None else self._kept:
            flat = z.reshape(len(z), -1)
            if leave_out is None:
                yield flat, y
            else:
                fold, folds = leave_out
                inside = (start + np.arange(len(y))) % folds == fold
                keep = inside if only else ~inside
                yield flat[keep], y[keep]
            start += len(y)
