"""Inference after LEG-TV: regions found on one part of the draws, estimated and tested on the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from legstat._core.checks import check_count
from legstat._core.conventions import MomentKind
from legstat._core.errors import invalid
from legstat._core.frozen import Portable
from legstat._core.notebooks import Rich
from legstat._core.typing import FloatArray, IntArray
from legstat.estimators.leg import LEG
from legstat.estimators.leg_results import LEGResults
from legstat.estimators.legtv import LEGTV
from legstat.estimators.legtv_results import LEGTVResults
from legstat.estimators.radius import check_rule
from legstat.inference.contrasts import Contrasts
from legstat.inference.multiplicity import MultipleTest
from legstat.samples.sample import QuerySample
from legstat.samples.splitting import split_sample

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True, eq=False)
class RegionInference(Rich, Portable):
    """Regions that LEG-TV found, with estimates, intervals and tests from draws that did not choose them.

    Attributes
    ----------
    labels : ndarray of shape (P, p1, p2)
        Region of each cell, numbered from 0 over all channels; -1 where a region was below the smallest size.
    contrasts : Contrasts
        Mean of gamma over each region, from the second part.
    selection : LEGTVResults
        The map that the regions come from, fitted to the first part.
    estimation : LEGResults
        LEG of the second part.

    Examples
    --------
    >>> import legstat as ls
    >>> gamma = np.zeros((4, 4)); gamma[1:3, 1:3] = 2.0
    >>> design = ls.StructuredGaussian(grid=(4, 4), scale=0.2)
    >>> sample = ls.query(ls.simulate.logistic(gamma), np.full((1, 4, 4), 0.5), design, n_queries=1201, rng=0)
    >>> region_inference(sample, L_ratio=0.5).selection.n
    288
    """

    labels: IntArray
    contrasts: Contrasts
    selection: LEGTVResults
    estimation: LEGResults

    @property
    def n_regions(self) -> int:
        """Number of regions."""
        return len(self.contrasts.labels)

    def conf_int(self, *, level: float = 0.95, simultaneous: bool = False) -> FloatArray:
        """Intervals of the regions' means, shape (regions, 2), each for itself or all at once."""
        return self.contrasts.conf_int(level=level, simultaneous=simultaneous)

    def test(self, *, fdr: float | None = None, fwer: float | None = None, method: str | None = None) -> MultipleTest:
        """Which regions' means differ from 0 (see `Contrasts.test`)."""
        return self.contrasts.test(fdr=fdr, fwer=fwer, method=method)

    def to_frame(self, *, level: float = 0.95) -> pd.DataFrame:
        """One row a region: cells, mean, standard error, z, p-value, interval."""
        frame = self.contrasts.to_frame(level=level)
        frame.insert(0, "cells", np.bincount(self.labels[self.labels >= 0], minlength=self.n_regions))
        return frame

    def __repr__(self) -> str:
        parts = f"found on {self.selection.n} observations, tested on {self.contrasts.n}"
        return f"<RegionInference {self.n_regions} regions, {parts}>"


def region_inference(
    sample: QuerySample,
    *,
    L: float | str | None = None,
    L_ratio: float | None = None,
    n_regions: int | None = None,
    share: float = 0.5,
    smallest: int = 2,
    moments: MomentKind | None = None,
    cov_type: str | None = None,
    relaxed: bool = False,
) -> RegionInference:
    """Find regions by LEG-TV on one part of the draws, estimate and test them on the other.

    LEG-TV's own regions cannot be tested on the draws that chose them: they were chosen for being different. On draws
    of their own they are regions named in advance, and every interval and test of `LEGResults.region` holds.

    Parameters
    ----------
    sample : QuerySample
        The sample; split by `split_sample`.
    L, L_ratio, n_regions : optional
        Penalty of LEG-TV on the first part, or how to choose it there, as for `LEGTV.fit`; ``L="heldout"`` where none
        of the three is given.
    share : float, default 0.5
        Share of the draws that chooses.
    smallest : int, default 2
        Smallest region, in cells, that is tested.
    moments : str, optional
        Of LEG-TV on the first part; its default unless given.
    cov_type : str, optional
        Of LEG on the second part; its default unless given.
    relaxed : bool, default False
        Whether levels are refitted on the first part, as for `LEGTV`: it moves the choice of L, hence the regions.

    Returns
    -------
    RegionInference
        The regions with their means. The mean of gamma over a region is the estimand, whether or not gamma is constant
        there.

    Raises
    ------
    ValueError
        If the sample is too small to split, no region is large enough, or more than one of the three ways to L is
        given.
    InferenceUnavailableError
        If the second part has too few observations for intervals.

    Notes
    -----
    No model evaluation is spent. What splitting costs: regions are found on `share` of the draws, and the standard
    errors are those of the rest.

    Examples
    --------
    >>> import legstat as ls
    >>> gamma = np.zeros((6, 6)); gamma[2:4, 2:4] = 1.0
    >>> design = ls.StructuredGaussian(grid=(6, 6), scale=0.2)
    >>> f = ls.simulate.logistic(gamma, offset=-2.0)
    >>> sample = ls.query(f, np.full((1, 6, 6), 0.5), design, n_queries=2001, rng=0)
    >>> found = ls.region_inference(sample, L_ratio=0.3)
    >>> bool(found.test(fwer=0.05).reject[found.labels[0, 2, 2]])
    True
    """
    if L is None and L_ratio is None and n_regions is None:
        L = "heldout"
    check_rule("region_inference", L, L_ratio, n_regions)
    smallest = check_count("region_inference", "smallest", smallest, what=" cells")
    chooser, tester = split_sample(sample, share)
    selection = LEGTV(chooser, moments=moments, relaxed=relaxed).fit(L, L_ratio=L_ratio, n_regions=n_regions)
    if np.bincount(selection.regions.ravel()).max() < smallest:
        valid = f"such that some region has {smallest} cells"
        got, remedy = (selection.L, smallest), "Raise L, or lower `smallest`."
        raise ValueError(invalid("region_inference", "L, smallest", got, valid, remedy))
    return inference_on(LEG(tester).fit(cov_type=cov_type), selection, smallest)


def inference_on(estimation: LEGResults, selection: LEGTVResults, smallest: int) -> RegionInference:
    """Regions of `selection`, of so many cells at least, with their means from draws that had no part in it."""
    labels = selection.regions
    sizes = np.bincount(labels.ravel())
    kept = np.flatnonzero(sizes >= smallest)
    number = np.full(len(sizes), -1, dtype=np.int64)
    number[kept] = np.arange(len(kept))
    labels = number[labels]
    weights = (labels.reshape(1, -1) == np.arange(len(kept))[:, None]) / sizes[kept][:, None]
    names = tuple(f"region {i}" for i in range(len(kept)))
    return RegionInference(
        labels=labels, contrasts=estimation.contrasts(weights, names), selection=selection, estimation=estimation
    )
