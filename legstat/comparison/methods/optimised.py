"""Maps that are optimised, by exact gradients where there are any and by estimated ones else: mask, I-GOS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from legstat._core.typing import FloatArray
from legstat.baselines.games import mask
from legstat.baselines.integrated import igos
from legstat.baselines.result import BaselineResult
from legstat.comparison.asking import map_shape
from legstat.comparison.method import MethodMap
from legstat.gradients.opening import GradientChoice
from legstat.responses.base import Response


@dataclass(frozen=True)
class _Optimised:
    """What both have in common: a baseline with its default settings, on as many cells as the comparison's others."""

    shape: tuple[int, int] | None = None
    gradient: GradientChoice = "auto"
    name: str = ""
    least: int = 0
    _found: ClassVar[Callable[..., BaselineResult]]

    def __call__(self, response: Response, image: FloatArray, n_queries: int, rng: Any) -> MethodMap:
        """The saliency of the mask, ties ranked by the score's slope."""
        cells = map_shape(self.shape, image)
        found = self._found(response, image, gradient=self.gradient, n_queries=n_queries, rng=rng, shape=cells)
        return MethodMap(found.saliency, found.n_queries)


@dataclass(frozen=True)
class MaskMap(_Optimised):
    """The mask of Fong and Vedaldi, `legstat.baselines.mask`, with its default settings.

    Parameters
    ----------
    shape : tuple of int, optional
        Cells. By default as many as `legstat.explain` takes.
    gradient : {"auto", "exact", "queries"}
        Where gradients come from. "auto": exact where there are any.

    Examples
    --------
    >>> MaskMap((4, 4)).name
    'mask'
    """

    name: str = "mask"
    least: int = 60
    _found = staticmethod(mask)


@dataclass(frozen=True)
class IgosMap(_Optimised):
    """I-GOS, `legstat.baselines.igos`, with its default settings.

    Parameters
    ----------
    shape : tuple of int, optional
        Cells. By default as many as `legstat.explain` takes.
    gradient : {"auto", "exact", "queries"}
        Where gradients come from. "auto": exact where there are any.

    Examples
    --------
    >>> IgosMap((4, 4)).name
    'igos'
    """

    name: str = "igos"
    least: int = 40
    _found = staticmethod(igos)
