"""The regions of a picture as an answer: found on one half of the draws, summed and tested on the other."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from legstat._core.checks import check_flag, check_level
from legstat._core.frozen import Portable
from legstat._core.notebooks import Rich
from legstat._core.npz import loading_arrays, save_arrays
from legstat._core.typing import JSON, BoolArray, FloatArray, IntArray
from legstat._core.values import read_only
from legstat.estimators.leg import LEG
from legstat.estimators.legtv import LEGTV
from legstat.estimators.regions import RegionInference, inference_on
from legstat.inference.contrasts import Contrasts
from legstat.inference.intervals import MINIMUM_JOINT_UNITS
from legstat.samples.sample import QuerySample
from legstat.samples.splitting import first_units, split_sample

if TYPE_CHECKING:
    import pandas as pd

SHARE, FWER = 0.5, 0.05
"""Share of the draws that finds regions, and level of the tests, of `explain`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Regions(Rich, Portable):
    """Connected regions with the sum of gamma over each, strongest first, tested with control over all of them.

    LEG-TV finds them on one half of the draws; sums, intervals and tests are LEG's on the other, for which they are
    regions named in advance: whatever gamma does within a region, all of it holds.

    Attributes
    ----------
    labels : ndarray of int, shape (P, p1, p2)
        Region of each cell over all channels, 0 the strongest: by adjusted p-value, then by |z|; -1 where a region is
        too small to be tested (none of `explain`).
    sums : Contrasts
        Sum of gamma over each region: score per unit of z, as if all its cells moved together.
    pvalues_adjusted : ndarray of shape (k,)
        Adjusted for all regions by max-t: found at level q exactly where they are <= q; bands of 1 - q then exclude 0.
    level : float
        Of the familywise error: the probability of any false region, at most.
    n_finding : int
        Observations that found the regions.
    L : float
        L of the map that found them.

    Examples
    --------
    >>> import legstat as ls
    >>> gamma = np.zeros((6, 6)); gamma[2:4, 2:4] = 1.0
    >>> f = ls.simulate.logistic(gamma, offset=-2.0)
    >>> found = ls.explain(f, np.full((1, 6, 6), 0.5), perturbation=ls.Additive(), scale=0.2, n_queries=2001, rng=0)
    >>> regions = found.regions
    >>> inside = np.unique(regions.labels[0, 2:4, 2:4])
    >>> regions.found[inside].all(), np.unique(regions.signs[inside])
    (np.True_, array([1]))
    """

    labels: IntArray
    sums: Contrasts
    pvalues_adjusted: FloatArray
    level: float
    n_finding: int
    L: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", read_only(np.array(self.labels, dtype=np.int64)))
        object.__setattr__(self, "pvalues_adjusted", read_only(np.array(self.pvalues_adjusted, dtype=np.float64)))

    @classmethod
    def of(cls, inference: RegionInference, *, fwer: float = FWER) -> Self:
        """The regions of an inference by sample splitting, in the order of their strength.

        Parameters
        ----------
        inference : RegionInference
            What `region_inference` gave.
        fwer : float, default 0.05
            Level of the familywise error.

        Returns
        -------
        Regions
            Sums in place of means, tested.

        Raises
        ------
        ValueError
            If the level is not inside (0, 1).
        InferenceUnavailableError
            If fewer than 300 observations test.
        """
        level = check_level("Regions.of", "fwer", fwer)
        means, labels = inference.contrasts, inference.labels
        sizes = np.bincount(labels[labels >= 0], minlength=inference.n_regions)
        # sums are means by their sizes: the same tests. In one step, so that what is found is what bands exclude 0 from
        test = means.test(fwer=level, method="max-t")
        order = np.lexsort((-np.abs(means.tstats), test.pvalues_adjusted))  # those that are found come first
        rank = np.full(len(order) + 1, -1, dtype=np.int64)  # the last, for the label -1
        rank[order] = np.arange(len(order))
        joint = means.joint_df
        sums = dataclasses.replace(
            means,
            labels=tuple(f"region {i}" for i in range(len(order))),
            estimates=(means.estimates * sizes)[order],
            covariance=(means.covariance * np.outer(sizes, sizes))[np.ix_(order, order)],
            df=means.df[order],
            joint_df=None if joint is None else joint[order],
        )
        return cls(
            labels=rank[labels],
            sums=sums,
            pvalues_adjusted=test.pvalues_adjusted[order],
            level=level,
            n_finding=inference.selection.n,
            L=inference.selection.L,
        )

    @property
    def n_regions(self) -> int:
        """Number of regions that were tested."""
        return len(self.sums.labels)

    @property
    def n_testing(self) -> int:
        """Observations that tested them."""
        return self.sums.n

    @property
    def found(self) -> BoolArray:
        """Whether the sum of each is declared not to be 0, shape (k,)."""
        return np.asarray(self.pvalues_adjusted <= self.level, dtype=np.bool_)

    @property
    def n_found(self) -> int:
        """Number of regions whose sum is declared not to be 0."""
        return int(self.found.sum())

    @property
    def signs(self) -> IntArray:
        """1 where a region speaks for the class, -1 where against it, shape (k,)."""
        return np.sign(self.sums.estimates).astype(np.int64)

    @property
    def cells(self) -> IntArray:
        """Number of cells of each, shape (k,)."""
        return np.bincount(self.labels[self.labels >= 0], minlength=self.n_regions)

    @property
    def found_labels(self) -> IntArray:
        """`labels` of the regions that were found, -1 elsewhere, shape (P, p1, p2)."""
        return np.where(np.append(self.found, False)[self.labels], self.labels, -1)

    def conf_int(self, *, level: float = 0.95, simultaneous: bool = True) -> FloatArray:
        """Intervals of the sums, shape (k, 2); all hold at once, which those of regions that were found must.

        Parameters
        ----------
        level : float, default 0.95
            Probability that all hold; of each by itself without `simultaneous`.
        simultaneous : bool, default True
            Whether they are to hold at once.

        Returns
        -------
        ndarray of shape (k, 2)
            Lower and upper ends.
        """
        joint = check_flag("Regions.conf_int", "simultaneous", simultaneous)
        return self.sums.conf_int(level=level, simultaneous=joint)

    def to_frame(self, *, level: float = 0.95, every: bool = False) -> pd.DataFrame:
        """One row a region that was found, strongest first.

        Parameters
        ----------
        level : float, default 0.95
            Probability that all intervals hold.
        every : bool, default False
            The other regions too.

        Returns
        -------
        pandas.DataFrame
            ``channel``, ``row``, ``column`` (the region's cell that is nearest to its centre), ``cells``, ``sign``,
            ``sum``, ``std_error``, ``z``, ``pvalue``, ``pvalue_adjusted``, ``conf_low``, ``conf_high``; with `every`
            ``found`` too. The index is the number in `labels`.
        """
        import pandas as pd

        low, high = self.conf_int(level=level).T
        places = np.array([self._place(number) for number in range(self.n_regions)]).reshape(-1, 3)
        frame = pd.DataFrame(
            {
                **dict(zip(("channel", "row", "column"), places.T, strict=True)),
                "cells": self.cells,
                "sign": self.signs,
                "sum": self.sums.estimates,
                "std_error": self.sums.std_errors,
                "z": self.sums.tstats,
                "pvalue": self.sums.pvalues,
                "pvalue_adjusted": self.pvalues_adjusted,
                "conf_low": low,
                "conf_high": high,
                "found": self.found,
            }
        )
        return frame if every else frame[self.found].drop(columns="found")

    def _place(self, number: int) -> IntArray:
        """Channel, row and column of the region's cell that is nearest to its centre."""
        own = np.argwhere(self.labels == number)
        away = np.square(own[:, 1:] - own[:, 1:].mean(axis=0)).sum(axis=1)
        return np.asarray(own[int(np.argmin(away))])

    def save(self, path: str | Path) -> None:
        """Write an .npz file without pickle: a JSON header and plain arrays."""
        sums = self.sums
        header = {"level": self.level, "n_finding": self.n_finding, "L": self.L}
        header |= {name: getattr(sums, name) for name in ("n", "cov_type", "unknowns")}
        save_arrays(path, "Regions", header, self.arrays())

    def arrays(self) -> dict[str, Any]:
        """What is saved of it, by name."""
        sums = self.sums
        joint = sums.df if sums.joint_df is None else sums.joint_df
        own = {"labels": self.labels, "pvalues_adjusted": self.pvalues_adjusted}
        return own | {"sums": sums.estimates, "covariance": sums.covariance, "df": sums.df, "joint_df": joint}

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote; ValueError for any other file."""
        with loading_arrays(path, "Regions") as (header, arrays):
            sums = Contrasts(
                labels=tuple(f"region {i}" for i in range(len(arrays["sums"]))),
                estimates=arrays["sums"],
                covariance=arrays["covariance"],
                df=arrays["df"],
                joint_df=arrays["joint_df"],
                n=header["n"],
                cov_type=header["cov_type"],
                unknowns=header["unknowns"],
            )
            facts: JSON = {name: header[name] for name in ("level", "n_finding", "L")}
            return cls(labels=arrays["labels"], sums=sums, pvalues_adjusted=arrays["pvalues_adjusted"], **facts)

    def __repr__(self) -> str:
        parts = f"found on {self.n_finding} observations, tested on {self.n_testing}"
        return f"<Regions {self.n_found} of {self.n_regions} found, FWER <= {self.level:g}, {parts}>"


def can_be_tested(sample: QuerySample) -> bool:
    """Whether `find_regions` would have the observations that it needs on the half that tests."""
    if sample.conventions != "default":
        return False
    total = min(sample.n_units)
    return total - first_units(sample, total, SHARE) >= MINIMUM_JOINT_UNITS


def find_regions(sample: QuerySample, choice: Mapping[str, Any], *, relaxed: bool) -> Regions:
    """The regions of a sample as `region_inference` has them, tested.

    Parameters
    ----------
    sample : QuerySample
        The sample; by the default conventions, and of 300 observations a channel or more in its second half.
    choice : mapping
        How L is chosen on the first half: arguments of `LEGTVPath.select`.
    relaxed : bool
        Whether levels are refitted there, which moves the choice.

    Returns
    -------
    Regions
        Single cells among them.
    """
    finding, testing = split_sample(sample, SHARE)
    return Regions.of(inference_on(LEG(testing).fit(), LEGTV(finding, relaxed=relaxed).fit(**choice), 1))
