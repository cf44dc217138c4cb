"""What can be drawn: results by what they offer, whatever estimated them."""

from __future__ import annotations

from typing import Protocol

from legstat._core.typing import FloatArray
from legstat.moments.moments import Moments


class Shown(Protocol):
    """An estimate with a map."""

    @property
    def moments(self) -> Moments:
        """The moment vector behind it, with the facts about the experiment in ``source``."""

    @property
    def n(self) -> int:
        """Observations behind it: draws, or pairs."""

    @property
    def r2_heldout(self) -> float | None:
        """Out-of-sample R^2, where it was measured."""

    @property
    def image(self) -> FloatArray | None:
        """The picture, shape (C, H, W), where there is one."""

    @property
    def grid_shape(self) -> tuple[int, int]:
        """(p1, p2)."""

    @property
    def channel_maps(self) -> FloatArray:
        """Signed maps, shape (P, p1, p2)."""

    @property
    def saliency(self) -> FloatArray:
        """The map on the grid, shape (p1, p2)."""

    @property
    def heatmap(self) -> FloatArray:
        """The map on the picture, shape (H, W)."""

    def strongest(self, k: int = 5) -> list[tuple[int, int, float]]:
        """(row, column, saliency) of the k cells of largest absolute value."""


class ShownWithIntervals(Shown, Protocol):
    """An estimate whose cells carry inference, where `has_intervals`."""

    @property
    def has_intervals(self) -> bool:
        """Whether the four below are there."""

    @property
    def std_errors(self) -> FloatArray:
        """Standard error of each cell."""

    @property
    def tstats(self) -> FloatArray:
        """Estimate over standard error."""

    @property
    def pvalues(self) -> FloatArray:
        """Two-sided p-values, pointwise."""

    def conf_int(self) -> FloatArray:
        """95 % intervals, shape (p, 2)."""


class ShownCertificate(Protocol):
    """How well a program was solved."""

    @property
    def passed(self) -> bool:
        """Whether the solution is optimal within the tolerances."""

    @property
    def gap(self) -> float:
        """Relative duality gap."""


class ShownAtL(Shown, Protocol):
    """A penalised estimate: a point on a path along L."""

    @property
    def L(self) -> float:
        """Radius of its constraint."""

    @property
    def L_max(self) -> float:
        """The L from which on the map is flat."""

    @property
    def L_ratio(self) -> float:
        """L / L_max."""

    @property
    def n_regions(self) -> int:
        """Regions of equal cells."""

    @property
    def engine(self) -> str:
        """What solved it."""

    @property
    def selection(self) -> str:
        """Which of several optima it is."""

    @property
    def face_width(self) -> float | None:
        """How far the optima lie apart."""

    @property
    def certificate(self) -> ShownCertificate:
        """How well it was solved."""


class ShownPath(Protocol):
    """Penalised estimates, L descending."""

    def __len__(self) -> int:
        """How many."""

    def __getitem__(self, index: int, /) -> ShownAtL:
        """One of them."""
