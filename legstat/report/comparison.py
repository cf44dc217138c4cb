"""Figures of a comparison: curves with their bands, differences with their intervals, maps side by side.

Colours are told apart by readers with any common colour vision, and lines by their dashes too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import scipy
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from legstat._core.checks import check_choice, check_within
from legstat._core.errors import invalid
from legstat._core.typing import AxesArray, AxesLike, FloatArray
from legstat.designs.grid import Grid
from legstat.report.axes import one_panel, panels
from legstat.report.colours import grey_levels
from legstat.report.plots import PLAIN, SIGNED, UNSIGNED, own_settings, shaded
from legstat.report.summary import printable

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
"""Colours of lines: Okabe and Ito's, without their yellow, which is lost on white."""
DASHES = ("-", "--", ":", "-.")
"""Dashes of lines: the next ones when the colours are used up."""
_LONGEST = 26
_CROWD = 4
"""Bands beyond which they are drawn fainter: they lie on one another."""

MapColours = Literal["value", "rank"]
"""What the colours of maps side by side show."""


class ShownBand(Protocol):
    """A mean curve with a band about it."""

    @property
    def label(self) -> str:
        """What the curve is called."""

    @property
    def fractions(self) -> FloatArray:
        """Shares of cells that have changed."""

    @property
    def means(self) -> FloatArray:
        """Mean score at each share."""

    @property
    def low(self) -> FloatArray:
        """Lower end of the band, NaN where there is none."""

    @property
    def high(self) -> FloatArray:
        """Upper end of the band, NaN where there is none."""

    @property
    def extent(self) -> tuple[float, float]:
        """Smallest and largest score of the single curves."""

    @property
    def area(self) -> float:
        """Mean area under the curves."""


def curves(
    bands: Sequence[ShownBand], ax: Axes | Figure | None = None, *, xlabel: str, ylabel: str, title: str | None = None
) -> Axes:
    """Draw mean curves with their bands.

    Parameters
    ----------
    bands : sequence of ShownBand
        The curves in the order of the legend, which gives each area.
    ax : matplotlib Axes or empty Figure, optional
        Where to draw; a new figure of pyplot's unless given.
    xlabel, ylabel : str
        What the axes show.
    title : str, optional
        Title.

    Returns
    -------
    Axes
        The axes drawn on.
    """
    ax = one_panel(ax, (6.4, 4.0))
    strength = 0.18 if len(bands) <= _CROWD else 0.07
    for number, band in enumerate(bands):
        colour, dashes = LINES[number % len(LINES)], DASHES[number // len(LINES) % len(DASHES)]
        label = f"{printable(band.label)}  {band.area:.3f}"
        if np.isfinite(band.low).any():
            ax.fill_between(band.fractions, band.low, band.high, color=colour, alpha=strength, linewidth=0)
        ax.plot(band.fractions, band.means, dashes, color=colour, linewidth=1.5, label=label)
    ax.set_xlim(min(band.fractions[0] for band in bands), max(band.fractions[-1] for band in bands))
    # where scores are: of few pictures a band may end far beyond what a score can be
    lowest, highest = min(band.extent[0] for band in bands), max(band.extent[1] for band in bands)
    margin = 0.04 * (highest - lowest or 1.0)
    ax.set_ylim(lowest - margin, highest + margin)
    ax.set_xlabel(xlabel, fontsize=9, **PLAIN)
    ax.set_ylabel(ylabel, fontsize=9, **PLAIN)
    ax.tick_params(labelsize=8)
    if title is not None:
        ax.set_title(title, fontsize=10, **PLAIN)
    # beside the axes: with many methods there is no free corner
    legend = ax.legend(title="method, area", loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0,
                       fontsize=8, title_fontsize=8, frameon=False)  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)
    return ax


def forest(
    differences: pd.DataFrame,
    ax: Axes | Figure | None = None,
    *,
    high_is_good: bool,
    xlabel: str,
    title: str | None = None,
) -> Axes:
    """Draw differences with their intervals, one below the other, the best on top.

    Filled where the interval leaves 0 out, hollow where it holds it.

    Parameters
    ----------
    differences : pandas.DataFrame
        ``method``, ``n_queries``, ``difference``, ``low``, ``high``, as `Comparison.differences` gives them for one
        metric.
    ax : matplotlib Axes or empty Figure, optional
        Where to draw; a new figure of pyplot's unless given.
    high_is_good : bool
        Whether positive differences are good: said below the axis.
    xlabel : str
        What the differences are.
    title : str, optional
        Title.

    Returns
    -------
    Axes
        The axes drawn on.

    Raises
    ------
    ValueError
        There is nothing to draw.
    """
    if differences.empty:
        raise ValueError(invalid("forest", "differences", "no rows", "one row at least"))
    order = differences.sort_values("difference", ascending=not high_is_good)
    ax = one_panel(ax, (6.8, 1.2 + 0.27 * len(order)))
    places = np.arange(len(order))[::-1]
    several = differences["n_queries"].nunique() > 1
    budgets = sorted(differences["n_queries"].unique())
    values, low, high = (order[name].to_numpy(dtype=np.float64) for name in ("difference", "low", "high"))
    for place, budget, value, left, right in zip(places, order["n_queries"], values, low, high, strict=True):
        colour = LINES[budgets.index(budget) % len(LINES)]
        certain = left > 0.0 or right < 0.0
        ax.plot([left, right], [place, place], color=colour, linewidth=1.5, solid_capstyle="butt")
        ax.plot([value], [place], "o", color=colour, markersize=5, markerfacecolor=colour if certain else "white")
    ax.axvline(0.0, color="0.5", linewidth=0.8, zorder=0)
    names = [printable(str(name)) for name in order["method"]]
    labels = [f"{name}, {budget:,}" for name, budget in zip(names, order["n_queries"], strict=True)]
    ax.set_yticks(places, labels if several else names, fontsize=8, **PLAIN)
    ax.set_ylim(-0.6, len(order) - 0.4)
    beside = ax.get_yaxis_transform()
    for place, value, left, right in zip(places, values, low, high, strict=True):
        text = f"{value:+.3f} [{left:+.3f}, {right:+.3f}]".replace("-", "\N{MINUS SIGN}")
        ax.text(1.02, place, text, transform=beside, va="center", fontsize=8, **PLAIN)
    ax.tick_params(axis="x", labelsize=8)
    ax.tick_params(axis="y", length=0)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    better = "better to the right" if high_is_good else "better to the left"
    ax.set_xlabel(f"{xlabel}\n{better}", fontsize=9, **PLAIN)
    if title is not None:
        ax.set_title(title, fontsize=10, **PLAIN)
    return ax


def maps(
    pictures: Mapping[str, FloatArray],
    found: Mapping[str, Mapping[str, FloatArray]],
    axes: AxesLike | Figure | None = None,
    *,
    colours: MapColours = "value",
    alpha: float = 0.5,
) -> AxesArray:
    """Draw maps over their pictures: a row for each picture, a column for each method, one rule for all colours.

    Methods have units of their own, and deletion or insertion read nothing but the order of the cells. So both rules
    leave out what a map's units and its level say:

    - "value": a map's deviation from its own median, over the largest such deviation. White is the median, red above.
    - "rank": the share of the map's cells that are lower (ties count half): all that the curves see.

    Parameters
    ----------
    pictures : mapping of str to ndarray of shape (C, H, W)
        The rows, in their order.
    found : mapping of str to mapping of str to ndarray of shape (p1, p2)
        The columns: of each method the map of each picture. Pictures that a method has no map of stay empty.
    axes : ndarray or sequence of matplotlib Axes, or empty Figure, optional
        Where to draw, a panel each, row by row; a new figure of pyplot's unless given.
    colours : {"value", "rank"}
        The rule.
    alpha : float, default 0.5
        Weight of the map against the picture, as for `legstat.report.plot_map`.

    Returns
    -------
    ndarray of Axes, shape (pictures, 1 + methods)
        The axes drawn on.

    Raises
    ------
    ValueError
        Nothing to draw, an unknown rule, `alpha` outside [0, 1], or another number of axes.
    """
    where = "Comparison.plot_maps"
    check_choice(where, "colours", colours, ("value", "rank"))
    check_within(where, "alpha", alpha, 0.0, 1.0)
    if not pictures or not found:
        raise ValueError(invalid(where, "pictures and methods", f"{len(pictures)} and {len(found)}", "one at least"))
    by_value = colours == "value"
    colour_map, norm = (
        (colormaps[SIGNED], Normalize(-1.0, 1.0)) if by_value else (colormaps[UNSIGNED], Normalize(0.0, 1.0))
    )
    rule = _deviation if by_value else _rank
    told = "deviation from the map's median, over the largest" if by_value else "share of the map's cells below"
    size, shape = 1.5, (len(pictures), 1 + len(found))
    figsize = (0.5 + size * shape[1], 0.8 + size * shape[0])
    with own_settings():
        drawn = panels(where, axes, shape, figsize, "compressed")
        for row, (name, picture) in zip(drawn, pictures.items(), strict=True):
            grey = grey_levels(picture)
            planes = np.moveaxis(picture, 0, -1)
            _show(row[0], planes if planes.shape[-1] == 3 else grey)
            row[0].set_ylabel(_short(name), fontsize=7, **PLAIN)
            for ax, of_method in zip(row[1:], found.values(), strict=True):
                if name not in of_method:
                    ax.set_axis_off()
                    continue
                values = rule(of_method[name])
                lifted = Grid((values.shape[0], values.shape[1])).lift(values, *picture.shape[-2:])
                _show(ax, shaded(lifted, grey, colour_map, norm, alpha))
        for ax, title in zip(drawn[0], ("picture", *found), strict=True):
            ax.set_title(_short(title), fontsize=9, **PLAIN)
        below = {"ax": drawn, "location": "bottom", "fraction": 0.03, "aspect": 50}
        bar = drawn[0, 0].figure.colorbar(ScalarMappable(norm, colour_map), **below)
        bar.set_label(told, fontsize=8, **PLAIN)
        bar.ax.tick_params(labelsize=8)
    return drawn


def _show(ax: Axes, pixels: Any) -> None:
    ax.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    ax.set_xticks([])
    ax.set_yticks([])


def _short(text: str) -> str:
    one_line = printable(text)
    return one_line if len(one_line) <= _LONGEST else one_line[: _LONGEST - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _deviation(saliency: FloatArray) -> FloatArray:
    away = saliency - np.median(saliency)
    return np.asarray(away / (np.abs(away).max() or 1.0), dtype=np.float64)


def _rank(saliency: FloatArray) -> FloatArray:
    ranks = scipy.stats.rankdata(saliency, method="average").reshape(saliency.shape)
    return np.asarray((ranks - 0.5) / saliency.size, dtype=np.float64)
