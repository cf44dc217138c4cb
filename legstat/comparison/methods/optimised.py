"""Maps that are optimised, by exact gradients where there are any and by estimated ones else: mask, I-GOS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from legstat._core.typing import FloatArray
from legstat.baselines.games import mask
from legstat.baselines.integrated import igos
from legstat.comparison.asking import map_shape
from legstat.comparison.method import MethodMap
from legstat.gradients.opening import GradientChoice
from legstat.responses.base import Response


@dataclass(frozen=True)
class MaskMap:
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

    shape: tuple[int, int] | None = None
    gradient: GradientChoice = "auto"
    name: str = "mask"
    least: int = 60

    def __call__(self, response: Response, image: FloatArray, n_queries: int, rng: Any) -> MethodMap:
        """1 - m, ties ranked by the score's slope."""
        how: dict[str, Any] = {"gradient": self.gradient, "n_queries": n_queries, "rng": rng}
        found = mask(response, image, shape=map_shape(self.shape, image), **how)
        return MethodMap(found.saliency, found.n_queries)


@dataclass(frozen=True)
class IgosMap:
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

    shape: tuple[int, int] | None = None
    gradient: GradientChoice = "auto"
    name: str = "igos"
    least: int = 40

    def __call__(self, response: Response, image: FloatArray, n_queries: int, rng: Any) -> MethodMap:
        """1 - M, ties ranked by the integrated gradients."""
        how: dict[str, Any] = {"gradient": self.gradient, "n_queries": n_queries, "rng": rng}
        found = igos(response, image, shape=map_shape(self.shape, image), **how)
        return MethodMap(found.saliency, found.n_queries)
