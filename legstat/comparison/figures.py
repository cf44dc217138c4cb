"""Figures of a comparison: mean curves with bands, a forest of differences, maps by method and picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import scipy

from legstat._core.checks import check_choice, check_level
from legstat._core.errors import invalid
from legstat._core.typing import JSON, AnyArray, AxesArray, AxesLike, FloatArray
from legstat.comparison.outcome import Outcome

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from legstat.report.comparison import MapColours


class Figures:
    """What a comparison draws of its rows and outcomes; matplotlib is loaded by the first figure."""

    rows: Sequence[JSON]
    outcomes: Sequence[Outcome]
    pictures: dict[str, JSON]
    high_is_good: Mapping[str, bool]

    def differences(self, against: str, *, at: int | None = None, level: float = 0.95) -> pd.DataFrame:
        """Paired differences, as `Comparison` has them."""
        raise NotImplementedError

    def plot_curves(
        self,
        metric: str = "insertion",
        ax: Axes | Figure | None = None,
        *,
        methods: Sequence[str] | None = None,
        n_queries: int | None = None,
        level: float = 0.95,
    ) -> Axes:
        """Draw the mean deletion, insertion or ROAD curve of each method, with a band over the pictures.

        Parameters
        ----------
        metric : str, default "insertion"
            Name of a metric that is the area under a curve.
        ax : matplotlib Axes or empty Figure, optional
            Where to draw; a new figure of pyplot's unless given.
        methods : sequence of str, optional
            Which methods; all by default.
        n_queries : int, optional
            At which budget; the largest by default.
        level : float, default 0.95
            Of the band at each share of cells by itself (Student's t over pictures): it says nothing of curves as
            wholes, nor of differences, which are paired. None is drawn of a single picture.

        Returns
        -------
        Axes
            The axes drawn on.

        Raises
        ------
        ValueError
            No such curve, method or budget.
        """
        from legstat.report.comparison import curves

        where = "Comparison.plot_curves"
        share = check_level(where, "level", level)
        chosen = chosen_outcomes(where, self.outcomes, methods, n_queries)
        first = next(iter(chosen.values()))[0]
        check_choice(where, "metric", metric, list(first.curves), remedy="Only areas under curves have one.")
        found = bands(chosen, metric, share, high_is_good=self.high_is_good.get(metric, True))
        band = f"; bands: {share:.0%}, pointwise" if found[0].n > 1 else ""
        title = f"{metric} at {first.n_queries:,} evaluations, pictures: {found[0].n}{band}"
        done = {"deletion": "deleted", "insertion": "inserted"}.get(first.curves[metric].kind, "removed")
        # where there are classes, what curves show is the target's probability; see `legstat.metrics.deletion`
        chances = bool(self.pictures) and all(one["first_choice"] is not None for one in self.pictures.values())
        ylabel = "probability of the target" if chances else "score"
        return curves(found, ax, xlabel=f"share of cells {done}", ylabel=ylabel, title=title)

    def plot_differences(
        self,
        against: str,
        metric: str,
        ax: Axes | Figure | None = None,
        *,
        at: int | None = None,
        level: float = 0.95,
    ) -> Axes:
        """Draw the paired differences to one method with their simultaneous intervals: a forest plot.

        Parameters
        ----------
        against : str
            Name of the method that others are compared with.
        metric : str
            Which metric.
        ax : matplotlib Axes or empty Figure, optional
            Where to draw; a new figure of pyplot's unless given.
        at, level : optional
            As for `differences`.

        Returns
        -------
        Axes
            The axes drawn on, the best method on top.

        Raises
        ------
        ValueError
            No such method, metric or budget, or fewer than two pictures.
        """
        from legstat.report.comparison import forest

        where = "Comparison.plot_differences"
        check_choice(where, "metric", metric, list(dict.fromkeys(row["metric"] for row in self.rows)))
        rows = self.differences(against, at=at, level=level)
        pictures = len({row["picture"] for row in self.rows})
        base = f"{against!r}" if at is None else f"{against!r} at {at:,} evaluations"
        title = f"{metric}, pictures: {pictures}; simultaneous {level:.0%} intervals"
        return forest(
            rows[rows["metric"] == metric],
            ax,
            high_is_good=self.high_is_good[metric],
            xlabel=f"paired difference to {base}",
            title=title,
        )

    def plot_maps(
        self,
        images: Mapping[str, AnyArray] | Sequence[AnyArray],
        axes: AxesLike | Figure | None = None,
        *,
        methods: Sequence[str] | None = None,
        n_queries: int | None = None,
        colours: MapColours = "value",
    ) -> AxesArray:
        """Draw the maps side by side over their pictures: pictures in rows, methods in columns.

        Parameters
        ----------
        images : mapping of str to ndarray, or sequence of ndarray of shape (C, H, W)
            The pictures as they were handed to `compare`, which keeps none; or some of them by name.
        axes : ndarray or sequence of matplotlib Axes, or empty Figure, optional
            Where to draw, row by row; a new figure of pyplot's unless given.
        methods : sequence of str, optional
            Which methods; all by default.
        n_queries : int, optional
            At which budget; the largest by default.
        colours : {"value", "rank"}
            One rule for all: a map's deviation from its median over the largest such, or the share of cells below.

        Returns
        -------
        ndarray of Axes, shape (pictures, 1 + methods)
            The axes drawn on.

        Raises
        ------
        ValueError
            No such method, budget or rule; no map of any of the pictures; another number of axes.
        """
        from legstat.report.comparison import maps

        where = "Comparison.plot_maps"
        chosen = chosen_outcomes(where, self.outcomes, methods, n_queries)
        found = {name: {one.picture: one.saliency for one in outcomes} for name, outcomes in chosen.items()}
        known = set().union(*found.values())
        named = dict(images) if isinstance(images, Mapping) else {f"{i}": image for i, image in enumerate(images)}
        shown = {name: np.asarray(image, dtype=np.float64) for name, image in named.items() if name in known}
        if not shown:
            raise ValueError(invalid(where, "images", list(named), f"some of the pictures {sorted(known)}"))
        return maps(shown, found, axes, colours=colours)


@dataclass(frozen=True, eq=False)
class Band:
    """The mean of one method's curves over the pictures, with a pointwise interval.

    Attributes
    ----------
    label : str
        Name of the method.
    fractions, means, low, high : ndarray of shape (k,)
        At each share of cells the mean score and its interval by Student's t; NaN with a single picture.
    extent : tuple of float
        Smallest and largest score of single pictures.
    area : float
        Mean area under the curves.
    n : int
        Pictures.
    """

    label: str
    fractions: FloatArray = field(repr=False)
    means: FloatArray = field(repr=False)
    low: FloatArray = field(repr=False)
    high: FloatArray = field(repr=False)
    extent: tuple[float, float]
    area: float
    n: int


def chosen_outcomes(
    where: str, outcomes: Sequence[Outcome], methods: Sequence[str] | None, n_queries: int | None
) -> dict[str, list[Outcome]]:
    """The outcomes of each method at one budget, methods in the order asked for.

    Parameters
    ----------
    where : str
        Public call, for errors.
    outcomes : sequence of Outcome
        All of a comparison.
    methods : sequence of str, optional
        All by default.
    n_queries : int, optional
        The largest budget by default.

    Returns
    -------
    dict of str to list of Outcome
        By method.

    Raises
    ------
    ValueError
        There are none, or no such budget or method.
    """
    if not outcomes:
        remedy = "Only what `compare` returns, or a file of it, has maps and curves."
        raise ValueError(invalid(where, "outcomes", "none", "one at least", remedy))
    budgets = sorted({one.n_queries for one in outcomes})
    budget = budgets[-1] if n_queries is None else n_queries
    if budget not in budgets:
        raise ValueError(invalid(where, "n_queries", n_queries, f"one of {budgets}"))
    known = list(dict.fromkeys(one.method for one in outcomes))
    asked = known if methods is None else list(methods)
    if isinstance(methods, str) or not asked or not set(asked) <= set(known):
        raise ValueError(invalid(where, "methods", methods, f"a list of some of {known}"))
    return {name: [one for one in outcomes if (one.method, one.n_queries) == (name, budget)] for name in asked}


def bands(found: Mapping[str, Sequence[Outcome]], metric: str, level: float, *, high_is_good: bool) -> list[Band]:
    """The mean curve of each method with pointwise intervals, the best area first.

    Parameters
    ----------
    found : mapping of str to sequence of Outcome
        By method.
    metric : str
        Whose curves.
    level : float
        Of the interval at each share by itself.
    high_is_good : bool
        Which areas are the best.

    Returns
    -------
    list of Band
        Where curves have points at different shares, all are taken at all of these, straight in between: as their
        areas are.
    """
    made = []
    for name, outcomes in found.items():
        curves = [one.curves[metric] for one in outcomes]
        fractions = np.unique(np.concatenate([curve.fractions for curve in curves]))
        scores = np.array([np.interp(fractions, curve.fractions, curve.scores) for curve in curves])
        n = len(scores)
        means = scores.mean(axis=0)
        errors = scores.std(axis=0, ddof=1) / np.sqrt(n) if n > 1 else np.full(len(means), np.nan)
        width = scipy.stats.t.ppf(0.5 + level / 2.0, max(n - 1, 1)) * errors
        area = float(np.mean([curve.area for curve in curves]))
        extent = (float(scores.min()), float(scores.max()))
        made.append(Band(name, fractions, means, means - width, means + width, extent, area, n))
    return sorted(made, key=lambda band: band.area, reverse=high_is_good)
