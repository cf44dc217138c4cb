"""What can be drawn: results by what they offer, whatever estimated them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from legstat._core.typing import JSON, BoolArray, FloatArray, IntArray
from legstat.moments.moments import Moments

if TYPE_CHECKING:
    import pandas as pd


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

    def conf_int(self, *, level: float = ...) -> FloatArray:
        """Intervals, shape (P p, 2), of 95 % unless said."""

    def test(self, *, fdr: float) -> ShownTest:
        """Which cells differ from 0 at that false discovery rate."""


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
    def regions(self) -> IntArray:
        """Number of each cell's region, shape (P, p1, p2)."""

    @property
    def relaxed(self) -> bool:
        """Whether the levels were refitted on the regions."""

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


class ShownRegions(Protocol):
    """Regions found on one part of the draws and tested on the other, strongest first."""

    @property
    def found_labels(self) -> IntArray:
        """Number of each cell's region, -1 where none was found, shape (P, p1, p2)."""

    @property
    def signs(self) -> IntArray:
        """1 or -1 for each region."""

    @property
    def level(self) -> float:
        """Of the familywise error."""

    @property
    def n_regions(self) -> int:
        """How many were tested."""

    @property
    def n_found(self) -> int:
        """How many differ from 0."""

    @property
    def n_finding(self) -> int:
        """Observations that found them."""

    @property
    def n_testing(self) -> int:
        """Observations that tested them."""

    def to_frame(self, *, level: float = ..., every: bool = ...) -> pd.DataFrame:
        """A row a region: place, cells, sign, sum, standard error, adjusted p-value, interval."""


class ShownPath(Protocol):
    """Penalised estimates, L descending."""

    def __len__(self) -> int:
        """How many."""

    def __getitem__(self, index: int, /) -> ShownAtL:
        """One of them."""


class ShownTest(Protocol):
    """Which cells differ from 0, with control over all of them."""

    @property
    def significant(self) -> BoolArray:
        """The map of significant cells, shape (P, p1, p2)."""


class ShownPicture(Protocol):
    """One picture of a report: the maps, and what is told of them as JSON."""

    @property
    def name(self) -> str:
        """Unique in the report."""

    @property
    def facts(self) -> JSON:
        """File and hashes, label, target, score, L, certificate, out-of-sample R^2, ledger, whatever there is."""

    @property
    def picture(self) -> NDArray[np.uint8]:
        """As the network saw it, shape (H, W, C)."""

    @property
    def leg(self) -> FloatArray:
        """LEG on the grid, shape (p1, p2)."""

    @property
    def has_intervals(self) -> bool:
        """Whether the three below are there."""

    @property
    def pvalues(self) -> FloatArray:
        """Two-sided p-values of LEG's cells, shape (p1, p2)."""

    def conf_int(self, *, level: float = ...) -> FloatArray:
        """Intervals of LEG's cells, shape (p1, p2, 2)."""

    def significant(self, fdr: float) -> BoolArray:
        """Cells of LEG that differ from 0 at that false discovery rate, shape (p1, p2)."""

    @property
    def legtv(self) -> FloatArray:
        """LEG-TV at the chosen L, shape (p1, p2)."""

    @property
    def path_Ls(self) -> FloatArray:
        """L of the points of the path, descending."""

    @property
    def path(self) -> NDArray[np.float32] | FloatArray:
        """LEG-TV along L, shape (k, p1, p2)."""

    @property
    def path_r2(self) -> FloatArray | None:
        """Out-of-sample R^2 along L, where it was measured."""

    @property
    def regions(self) -> IntArray:
        """Regions of cells by number, shape (p1, p2); below 0 for none."""

    @property
    def regions_table(self) -> Sequence[JSON]:
        """A row a region, where they were tested."""

    @property
    def curves(self) -> JSON | None:
        """Deletion and insertion: fractions, scores, area."""

    @property
    def checks(self) -> Sequence[JSON]:
        """Outcomes of this picture's checks: name, status, value, valid, meaning, details."""


class ShownRun(Protocol):
    """An audit: what was planned, what is finished, what failed."""

    @property
    def folder(self) -> Path:
        """Where it lies."""

    @property
    def plan(self) -> JSON:
        """The plan, whole."""

    @property
    def facts(self) -> JSON:
        """Model, law, operator, budget, seed, environment, command, times."""

    @property
    def names(self) -> Sequence[str]:
        """Of the finished pictures, in order."""

    @property
    def waiting(self) -> Sequence[str]:
        """Of pictures that are neither finished nor failed."""

    @property
    def failures(self) -> Sequence[JSON]:
        """Pictures that failed: name, reason, attempts."""

    @property
    def checks(self) -> Sequence[JSON]:
        """Outcomes of the checks of the whole run."""

    def picture(self, name: str) -> ShownPicture:
        """One of the finished pictures."""

    @property
    def ledger(self) -> JSON:
        """Model evaluations by what they were for, with their total."""

    def files(self) -> Iterable[Path]:
        """What belongs to it, for good: neither locks nor caches."""


class ShownMeanMap(Protocol):
    """The mean map of a group of pictures."""

    @property
    def group(self) -> str:
        """Which."""

    @property
    def pictures(self) -> int:
        """How many."""

    @property
    def clusters(self) -> int:
        """In how many clusters."""

    @property
    def mean(self) -> FloatArray:
        """Each cell's mean share of the saliency, signed, shape (p1, p2)."""

    @property
    def std_errors(self) -> FloatArray:
        """Standard error of each cell, over pictures, shape (p1, p2)."""

    @property
    def has_intervals(self) -> bool:
        """Whether pictures are enough for what stands below."""

    def significant(self) -> BoolArray:
        """Cells whose mean differs from 0, at a familywise error of 5 % over all cells, shape (p1, p2)."""


class ShownFindings(Protocol):
    """What pictures say together."""

    @property
    def rows(self) -> Sequence[JSON]:
        """A row a finding: finding, group, pictures, estimate, low, high, area, pvalue, pvalue_adjusted."""

    @property
    def mean_maps(self) -> Sequence[ShownMeanMap]:
        """Of all pictures, and of each group."""

    @property
    def level(self) -> float:
        """Of the intervals."""
