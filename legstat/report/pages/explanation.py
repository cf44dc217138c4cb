"""The page of one explanation: a report of a single picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from legstat._core.files import write_text
from legstat._core.typing import JSON, BoolArray, FloatArray, IntArray
from legstat.report.colours import map_unit
from legstat.report.pages.picture import LEVEL, PicturePage
from legstat.report.pages.rendering import render
from legstat.report.pages.words import ESTIMAND, LIMITS, QUESTION, WORDS
from legstat.report.shown import ShownAtL, ShownPath, ShownRegions, ShownWithIntervals

if TYPE_CHECKING:
    from statsmodels.iolib.summary import Summary


@dataclass(frozen=True, eq=False)
class ExplainedPicture:
    """A picture of a report, from LEG, the path of LEG-TV and its chosen point.

    Attributes
    ----------
    name : str
        What it is called.
    estimate : ShownWithIntervals
        LEG.
    tv : ShownAtL
        LEG-TV at the chosen L.
    results : ShownPath
        LEG-TV along L.
    path_r2 : ndarray or None
        Out-of-sample R^2 along L, where it was measured.
    tested : ShownRegions or None
        Regions that were found on one half of the draws and tested on the other.
    """

    name: str
    estimate: ShownWithIntervals
    tv: ShownAtL
    results: ShownPath
    path_r2: FloatArray | None = None
    tested: ShownRegions | None = None
    curves: JSON | None = None
    checks: tuple[JSON, ...] = ()

    @cached_property
    def facts(self) -> JSON:
        """What is told of it."""
        source, tv = self.estimate.moments.source, self.tv
        response: JSON = source.get("response", {})
        facts: JSON = {name: response[name] for name in ("target", "target_label", "score") if name in response}
        if response.get("probability_x0") is not None:
            facts["probability"] = response["probability_x0"]
        facts |= {name: source[name] for name in ("f_x0", "f_base", "mean_shift", "sd", "ledger") if name in source}
        return facts | {
            "L": tv.L,
            "L_max": tv.L_max,
            "L_ratio": tv.L_ratio,
            "n_regions": tv.n_regions,
            "r2_heldout": {"leg": self.estimate.r2_heldout, "legtv": tv.r2_heldout},
            "certificate": {"passed": tv.certificate.passed, "gap": tv.certificate.gap},
            "signed": self._planes == 1,
        }

    @property
    def unit(self) -> str:
        """What the maps are counted in."""
        source = self.estimate.moments.source
        return map_unit(str(source.get("response", {}).get("score", "custom")), str(source.get("perturbation", "")))

    @property
    def _planes(self) -> int:
        return len(self.estimate.channel_maps)

    @property
    def picture(self) -> NDArray[np.uint8]:
        """As the model saw it, shape (H, W, C)."""
        image = self.estimate.image
        if image is None:  # of moments alone: a blank sheet under the map
            return np.full((*self.leg.shape, 1), 255, dtype=np.uint8)
        return np.rint(255.0 * np.moveaxis(image, 0, -1)).astype(np.uint8)

    @property
    def leg(self) -> FloatArray:
        """LEG on the grid."""
        return self.estimate.saliency

    @property
    def has_intervals(self) -> bool:
        """Whether cells have them: one map, and enough observations."""
        return self._planes == 1 and self.estimate.has_intervals

    @property
    def std_errors(self) -> FloatArray | None:
        """Standard errors of LEG's cells, where they have any."""
        return self.estimate.std_errors.reshape(self.leg.shape) if self.has_intervals else None

    @cached_property
    def pvalues(self) -> FloatArray:
        """Two-sided p-values of LEG's cells."""
        return self.estimate.pvalues.reshape(self.leg.shape)

    def conf_int(self, *, level: float = 0.95) -> FloatArray:
        """Intervals of LEG's cells, shape (p1, p2, 2)."""
        return self.estimate.conf_int(level=level).reshape(*self.leg.shape, 2)

    def significant(self, fdr: float) -> BoolArray:
        """Cells of LEG that differ from 0 at that false discovery rate."""
        return np.asarray(self.estimate.test(fdr=fdr).significant[0], dtype=np.bool_)

    @property
    def legtv(self) -> FloatArray:
        """LEG-TV at the chosen L."""
        return self.tv.saliency

    @cached_property
    def path_Ls(self) -> FloatArray:
        """L of the points of the path."""
        return np.array([self.results[i].L for i in range(len(self.results))])

    @cached_property
    def path(self) -> FloatArray:
        """LEG-TV along L."""
        return np.stack([self.results[i].saliency for i in range(len(self.results))])

    @property
    def regions(self) -> IntArray:
        """Those that were found, or LEG-TV's where none were tested, of one map; none of several."""
        if self._planes > 1:
            return np.full(self.leg.shape, -1, dtype=np.int64)
        shown: IntArray = (self.tv.regions if self.tested is None else self.tested.found_labels)[0]
        return shown

    @property
    def regions_table(self) -> tuple[JSON, ...]:
        """A row for each region that was found."""
        if self.tested is None or self._planes > 1:
            return ()
        frame = self.tested.to_frame(level=LEVEL).rename(columns={"conf_low": "low", "conf_high": "high"})
        wanted = ["sign", "cells", "sum", "low", "high", "pvalue", "pvalue_adjusted"]
        return tuple({name: row[name] for name in wanted} for _, row in frame.iterrows())


def save_page(
    path: str | Path, picture: ExplainedPicture, record: JSON, summary: Summary, *, digests: Mapping[str, str]
) -> None:
    """Write the page of an explanation, one file without an address outside.

    Parameters
    ----------
    path : str or Path
        File to write.
    picture : ExplainedPicture
        The picture with its maps.
    record : dict
        The explanation's record: inputs, response, experiment, environment, provenance.
    summary : statsmodels Summary
        Its tables.
    digests : mapping of str to str
        SHA-256 of the files beside the page.
    """
    from markupsafe import Markup  # here: only who writes a page waits for it

    page = PicturePage.of(picture)
    write_text(
        path,
        render(
            "explanation.html",
            title=f"Explanation of {picture.name}",
            page=page,
            unit=picture.unit,
            sections=_sections(record, digests),
            summary=Markup(summary.as_html()),
            question=QUESTION,
            estimand=ESTIMAND,
            limits=LIMITS,
            words=WORDS,
        ),
    )


def _sections(record: JSON, digests: Mapping[str, str]) -> list[tuple[str, JSON]]:
    """Headings and facts of the record, as its page has them."""
    parts = {
        "Picture and model": "inputs",
        "Experiment": "experiment",
        "Estimators": "estimators",
        "Evaluations spent": "ledger",
        "Model as it was run": "response",
        "Software and machine": "environment",
        "Run": "provenance",
    }
    return [(title, record[name]) for title, name in parts.items()] + [("Files beside this page", dict(digests))]
