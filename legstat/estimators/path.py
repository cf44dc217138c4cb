"""The path of LEG-TV along L, and the choice of L on it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, overload

import numpy as np

from legstat._core.checks import check_within
from legstat._core.errors import invalid
from legstat._core.notebooks import Rich
from legstat._core.typing import JSON, AnyArray, FloatArray
from legstat.estimators.channels import ExactMaps, Solving
from legstat.estimators.heldout import HeldOut
from legstat.estimators.legtv_results import LEGTVResults
from legstat.estimators.merging import MOST_REGIONS
from legstat.estimators.radius import MEASURED, check_rule
from legstat.inference.covariance import SEED

READABLE = 60
"""Regions of a "readable" map, at most, for each channel (docs/studies/laws.md)."""

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


class Refit(Protocol):
    """What a path asks of the estimator that made it."""

    def fit(
        self,
        L: float | str | None = None,
        *,
        L_ratio: float | None = None,
        engine: str = "auto",
        selection: str = "closest",
        options: JSON | None = None,
        time_limit: float | None = None,
    ) -> LEGTVResults:
        """The result at one L."""

    def heldout(self, results: Sequence[LEGTVResults], solving: Solving | None = None) -> HeldOut:
        """K-fold R^2 at the results' L."""

    def heldout_merged(self, result: LEGTVResults, counts: list[int], solving: Solving | None = None) -> HeldOut:
        """K-fold R^2 of the result with its regions merged to so many."""

    def L_bootstrap(self, *, level: float = 0.95, rng: Any = SEED) -> float:
        """L of "bootstrap"."""

    def L_theory(self, *, probability: float = 0.95) -> float:
        """L of "theory"."""


class LEGTVPath(Rich, Sequence[LEGTVResults]):
    """LEG-TV along L: a sequence of results, L descending.

    Made by `LEGTV.fit_path`.

    Parameters
    ----------
    estimator : Refit
        What was fitted: a `LEGTV`.
    results : list of LEGTVResults
        The solutions; of an exact path those at its knots.
    solving : Solving
        What they were solved with.
    exact : ExactMaps, optional
        Of an exact path: the optimal solution at any L within it, by interpolation.

    Examples
    --------
    >>> import legstat as ls
    >>> gamma = np.zeros((6, 6)); gamma[2:4, 2:4] = 1.0
    >>> design = ls.StructuredGaussian(grid=(6, 6), scale=0.05)
    >>> sample = ls.query(ls.simulate.linear(gamma), np.full((1, 6, 6), 0.5), design, n_queries=400, rng=0)
    >>> path = ls.LEGTV(sample).fit_path(n_Ls=5)
    >>> len(path), path.params.shape, bool(path[0].L_ratio == 1.0)
    (5, (36, 5), True)
    """

    def __init__(
        self,
        estimator: Refit,
        results: list[LEGTVResults],
        solving: Solving,
        *,
        exact: ExactMaps | None = None,
    ) -> None:
        self._estimator, self._results, self._solving, self._exact = estimator, results, solving, exact
        self._error = None if exact is None else exact.error

    @overload
    def __getitem__(self, index: int) -> LEGTVResults: ...
    @overload
    def __getitem__(self, index: slice) -> list[LEGTVResults]: ...
    def __getitem__(self, index: int | slice) -> LEGTVResults | list[LEGTVResults]:
        return self._results[index]

    def __len__(self) -> int:
        return len(self._results)

    def __iter__(self) -> Iterator[LEGTVResults]:
        return iter(self._results)

    @property
    def error(self) -> float | None:
        """Of an exact path: certified bound on the relative error of the optimal value between the knots."""
        return self._error

    @property
    def Ls(self) -> FloatArray:
        """L of each result, descending."""
        return np.array([r.L for r in self])

    @property
    def params(self) -> FloatArray:
        """Estimates side by side, shape (P p, number of L)."""
        return np.stack([r.params for r in self], axis=1)

    def to_frame(self) -> pd.DataFrame:
        """One row a result: L, L_ratio, number of regions, certified gap; the maps are in `to_xarray`."""
        import pandas as pd

        gaps = [result.certificate.gap for result in self]
        return pd.DataFrame({"L": self.Ls, **self._along(), "gap": gaps})

    def to_xarray(self) -> xr.Dataset:
        """The maps side by side with named axes; needs the extra xarray.

        Returns
        -------
        xarray.Dataset
            ``estimate`` with the dimensions ``L``, ``channel``, ``row`` and ``column``, places in pixels; ``L_ratio``
            and ``n_regions`` at each L; law, score and units as attributes.

        Raises
        ------
        BackendUnavailableError
            xarray is missing.
        """
        from legstat.report.labelled import facts_of, labelled

        maps = {"estimate": np.stack([result.channel_maps for result in self])}
        attrs = {"estimator": type(self).__name__, **facts_of(self[0].moments)}
        along = {"L": self.Ls, **self._along()}
        return labelled("LEGTVPath.to_xarray", maps, self[0].image, attrs=attrs, along=along)

    def _along(self) -> dict[str, AnyArray]:
        return {name: np.array([getattr(result, name) for result in self]) for name in ("L_ratio", "n_regions")}

    @cached_property
    def heldout(self) -> HeldOut:
        """K-fold R^2 at each L (solves the path once for each fold)."""
        return self._estimator.heldout(self._results, self._solving)

    def at(self, L: float) -> LEGTVResults:
        """LEG-TV at any L.

        Parameters
        ----------
        L : float
            Radius of the constraint, in the units of `Ls`.

        Returns
        -------
        LEGTVResults
            On an exact path by interpolation between its knots, else solved there; certified in either case.

        Raises
        ------
        ValueError
            If L is negative, or below the end of an exact path.
        """
        if self._exact is not None:
            return self._exact.at(L)
        check_within("LEGTVPath.at", "L", L)
        return self._fit(L=L)

    def select(
        self,
        L: float | str | None = None,
        *,
        L_ratio: float | None = None,
        n_regions: int | None = None,
        probability: float = 0.95,
        level: float = 0.95,
        rng: Any = SEED,
    ) -> LEGTVResults:
        """The result at one L.

        Parameters
        ----------
        L : float or {"readable", "simplest", "heldout", "bootstrap", "theory"}, optional
            A given L, solved exactly there, or a rule: "heldout", the L of the path with the largest K-fold R^2;
            "readable", the same among the maps of at most 60 regions a channel; "simplest", the largest L whose squared
            error is within one standard error of the least, for still fewer regions (of a relaxed map they are then
            merged, `LEGTVResults.merge`, as far as the squared error does not rise); "bootstrap", the quantile of the
            noise in the constraint (`LEGTV.L_bootstrap`); "theory", Theorem 1's L.
        L_ratio : float, optional
            A given fraction of L_max, solved exactly there.
        n_regions : int, optional
            The most detailed map of the path with at most so many regions. Exactly one of L, L_ratio, n_regions.
        probability : float, default 0.95
            1 - eps of "theory".
        level : float, default 0.95
            Probability of "bootstrap", that the true moment vector is within L of the estimated one.
        rng : None, int, Generator or anything `numpy.random.default_rng` takes
            Source of the multipliers of "bootstrap".

        Returns
        -------
        LEGTVResults
            With its out-of-sample R^2 where there is a sample.

        Raises
        ------
        TypeError, ValueError
            If not exactly one of the three is given, the rule is unknown, or no map of the path has so few regions.
        """
        where = "LEGTVPath.select"
        check_rule(where, L, L_ratio, n_regions)
        if L in MEASURED:
            choices = {"readable": self._readable, "simplest": self.heldout.simplest, "heldout": self.heldout.best}
            chosen = choices[str(L)]
            found = self[chosen].replace(r2_heldout=float(self.heldout.r2[chosen]))
            return self._merged(found) if L == "simplest" else found
        if n_regions is not None:
            counts = np.array([r.n_regions for r in self])
            if not (counts <= n_regions).any():
                valid = f"at least {counts.min()}, the fewest regions on this path"
                raise ValueError(invalid(where, "n_regions", n_regions, valid, "Start the path at L_max."))
            L = self[int(np.flatnonzero(counts <= n_regions)[-1])].L
        elif L == "bootstrap":
            L = self._estimator.L_bootstrap(level=level, rng=rng)
        elif L == "theory":
            L = self._estimator.L_theory(probability=probability)
        return self._fit(L=L, L_ratio=L_ratio)

    @property
    def _readable(self) -> int:
        """The result with the largest K-fold R^2 among those of few regions, or of the fewest."""
        counts = np.array([result.n_regions for result in self])
        few = np.flatnonzero(counts <= max(READABLE * len(self[0].moments.b), counts.min()))
        return int(few[np.argmax(self.heldout.r2[few])])

    def _merged(self, found: LEGTVResults) -> LEGTVResults:
        """A relaxed map, its regions merged as far as its held-out squared error does not rise."""
        fewest = len(found.moments.b)
        if not found.relaxed or not fewest < found.n_regions <= MOST_REGIONS:
            return found
        counts = list(range(fewest, found.n_regions + 1))
        r2 = self._estimator.heldout_merged(found, counts, self._solving).r2
        k = int(np.flatnonzero(r2 >= r2[-1])[0])
        return found if counts[k] == found.n_regions else found.merge(counts[k]).replace(r2_heldout=float(r2[k]))

    def _fit(self, *, L: float | str | None, L_ratio: float | None = None) -> LEGTVResults:
        return self._estimator.fit(L, L_ratio=L_ratio, **dataclasses.asdict(self._solving))

    def __repr__(self) -> str:
        kind = "" if self.error is None else f", exact within {self.error:.0e}"
        return f"<LEGTVPath {len(self)} solutions, L from {self.Ls[0]:.4g} to {self.Ls[-1]:.4g}{kind}>"
