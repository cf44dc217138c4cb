"""The draws of one stream, made again from the key, beside the responses to them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from legstat._core.typing import FloatArray
from legstat.designs.blocks import BLOCK
from legstat.designs.design import Design
from legstat.moments.units import Units
from legstat.perturbations.cell_map import CellMap
from legstat.perturbations.clipped_law import ClippedLaw
from legstat.samples.segments import Segment

CHUNK = 32 * BLOCK
"""Draws made at once: the order of summation, hence part of the bits of every moment."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Stream:
    """One stream of a sample: all from which its draws are made again.

    A value, and what is called for its chunks: so it can be pickled with whatever holds it.

    Attributes
    ----------
    design : Design
        Law of z.
    cell_map : CellMap or None
        From z to the realised z; None where they are equal.
    planes : int
        Planes of one draw.
    antithetic : bool
        Whether a row of responses is of z and -z.
    f_base : float
        Score at the base point.
    segments : tuple of Segment
        Those of this stream.
    external_z : ndarray of shape (rows, planes, p) or None
        The realised z of every row (of pairs: half their difference) where there is no key to draw it again.
    """

    design: Design
    cell_map: CellMap | None
    planes: int
    antithetic: bool
    f_base: float
    segments: tuple[Segment, ...]
    external_z: FloatArray | None = None

    def drawn(self) -> Iterator[tuple[FloatArray, FloatArray]]:
        """Chunks of z before it was realised (k, planes, p) and responses (k, r), segment by segment."""
        for segment in self.segments:
            units = len(segment.responses)
            for start in range(0, units, CHUNK):
                stop = min(start + CHUNK, units)
                if self.external_z is not None:
                    z = self.external_z[start:stop]
                else:
                    first = segment.first_block + start // BLOCK
                    blocks = range(first, first + -(-(stop - start) // BLOCK))
                    z = np.concatenate([self.design.draw(segment.key, segment.channel, b, self.planes) for b in blocks])
                yield z[: stop - start].reshape(stop - start, self.planes, -1), segment.responses[start:stop]

    def realised(self) -> Iterator[FloatArray]:
        """Chunks of the realised z of every response, shape (k r, planes, p), pairs side by side."""
        for z, y in self.drawn():
            both = [z, -z] if self.antithetic else [z]
            if self.cell_map is not None:
                both = [self.cell_map(one) for one in both]
            yield np.stack(both, axis=1).reshape(y.size, self.planes, -1)

    @cached_property
    def _unit_map(self) -> CellMap | None:
        return self.cell_map.odd_part() if self.cell_map is not None and self.antithetic else self.cell_map

    def __call__(self) -> Iterator[tuple[FloatArray, FloatArray]]:
        """Chunks of the observations: realised z (of pairs the odd part) of shape (k, planes, p), response (k,)."""
        for z, y in self.drawn():
            realised = z if self._unit_map is None else self._unit_map(z)
            yield realised, (y[:, 0] - y[:, 1]) / 2.0 if self.antithetic else y[:, 0] - self.f_base

    @property
    def units(self) -> Units:
        """The observations as estimates pass over them."""
        n = sum(len(segment.responses) for segment in self.segments)
        law = ClippedLaw(self.design, self._unit_map, self.planes)
        return Units(law=law, chunks=self, n=n, paired=self.antithetic)
