"""What pictures say together, drawn: shares inside objects, differences of groups, mean maps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from legstat._core.errors import invalid
from legstat._core.typing import JSON, AxesArray, AxesLike
from legstat.report.axes import arranged, one_panel, panels
from legstat.report.comparison import LINES
from legstat.report.plots import PLAIN, SIGNED, outline_of, own_settings
from legstat.report.shown import ShownFindings, ShownMeanMap
from legstat.report.summary import printable

_ACROSS = 4
"""Mean maps in a row of a figure."""


@np.errstate(under="ignore")
def plot_mean_map(shown: ShownMeanMap, ax: Axes | Figure | None = None, *, limit: float | None = None) -> Axes:
    """Draw a mean map on its grid, with the cells outlined whose mean differs from 0.

    Parameters
    ----------
    shown : ShownMeanMap
        What to draw.
    ax : matplotlib Axes or empty Figure, optional
        Where to draw; a new figure of pyplot's, with a scale, unless given.
    limit : float, optional
        Absolute value at the end of the colours; the largest of the map by default.

    Returns
    -------
    Axes
        The axes drawn on.
    """
    alone = not isinstance(ax, Axes)
    ax = one_panel(ax, (4.6, 4.0))
    largest = limit or float(np.abs(shown.mean).max()) or 1.0
    norm = Normalize(-largest, largest)
    ax.imshow(shown.mean, cmap=SIGNED, norm=norm, interpolation="nearest")
    ax.add_collection(LineCollection(outline_of(shown.significant()), colors="black", linewidths=1.2))
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_title(f"{printable(shown.group)}: {shown.pictures} pictures", fontsize=10, **PLAIN)
    if not shown.has_intervals:
        ax.set_xlabel("too few pictures for tests", fontsize=8)
    if alone:
        _scale(ax, norm, [ax])
    return ax


def plot_findings(shown: ShownFindings, axes: AxesLike | Figure | None = None) -> AxesArray:
    """Draw what there is of them: shares inside and differences of groups above, mean maps on one scale below.

    Parameters
    ----------
    shown : ShownFindings
        What to draw.
    axes : ndarray or sequence of matplotlib Axes, or empty Figure, optional
        Where to draw, a panel each; a new figure of pyplot's unless given.

    Returns
    -------
    ndarray of Axes
        The axes drawn on: shares, differences, mean maps, as far as there are any.

    Raises
    ------
    ValueError
        There is nothing to draw, or `axes` are not as many.
    """
    kinds = {kind: [row for row in shown.rows if row["finding"] == kind] for kind in ("share inside", "groups differ")}
    forests = [(kind, rows) for kind, rows in kinds.items() if rows]
    maps = shown.mean_maps
    count = len(forests) + len(maps)
    if not count:
        raise ValueError(invalid("plot_findings", "findings", shown, "of pictures with objects, or of two pictures"))
    with own_settings():
        if axes is None or isinstance(axes, Figure):
            axes = _parts(axes, [len(rows) for _, rows in forests], len(maps))
        drawn: AxesArray = panels("Findings.plot", axes, (1, count), (0.0, 0.0))[0]
        for ax, (kind, rows) in zip(drawn, forests, strict=False):
            (_plot_shares if kind == "share inside" else _plot_differences)(ax, rows, shown.level)
        limit = max((float(np.abs(one.mean).max()) for one in maps), default=0.0) or 1.0
        below = drawn[len(forests) :]
        for ax, one in zip(below, maps, strict=True):
            plot_mean_map(one, ax, limit=limit)
        if maps:
            _scale(below[0], Normalize(-limit, limit), below.tolist())
    return drawn


def _parts(given: Figure | None, lines: Sequence[int], n_maps: int) -> list[Axes]:
    """Panels of a figure: beside each other those with so many lines, and below them those of the maps."""
    across, down = min(_ACROSS, n_maps), -(-n_maps // _ACROSS)
    tall = [0.9 + 0.3 * max(lines)] if lines else []
    heights = tall + [2.8 * down] * bool(down)
    figure = arranged(given, (9.0, sum(heights) + 0.3))
    parts = figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    above = parts[0].subplots(1, len(lines), squeeze=False).ravel().tolist() if lines else []
    below = parts[-1].subplots(down, across, squeeze=False).ravel().tolist() if down else []
    for ax in below[n_maps:]:
        ax.set_axis_off()
    return [*above, *below[:n_maps]]


def _plot_shares(ax: Axes, rows: Sequence[JSON], level: float) -> None:
    _plot_intervals(ax, rows)
    for place, row in enumerate(rows):
        ax.plot([row["area"]] * 2, [place - 0.35, place + 0.35], color=LINES[1], linewidth=1.5, linestyle=":")
    ax.set_xlim(0.0, 1.0)
    ax.xaxis.set_major_formatter(PercentFormatter(1.0))
    ax.set_xlabel(f"share on the object, with {level:.0%} interval\ndotted: of an even map", fontsize=9, **PLAIN)


def _plot_differences(ax: Axes, rows: Sequence[JSON], level: float) -> None:
    _plot_intervals(ax, rows)
    ax.axvline(0.0, color="0.5", linewidth=0.8, zorder=0)
    ends = [abs(row[kind]) for row in rows for kind in ("estimate", "low", "high") if np.isfinite(row[kind])]
    reach = 1.1 * max([0.01, *ends])
    ax.set_xlim(-reach, reach)
    ax.xaxis.set_major_formatter(PercentFormatter(1.0, symbol=""))
    ax.set_xlabel(f"difference in percentage points,\nwith {level:.0%} interval", fontsize=9, **PLAIN)


def _plot_intervals(ax: Axes, rows: Sequence[JSON]) -> None:
    """A line and a point a row, the first on top."""
    for place, row in enumerate(rows):
        ax.plot([row["low"], row["high"]], [place, place], color=LINES[0], linewidth=1.8, solid_capstyle="butt")
        ax.plot([row["estimate"]], [place], "o", color=LINES[0], markersize=5)
    names = [f"{printable(str(row['group']))} ({row['pictures']})" for row in rows]
    ax.set_yticks(np.arange(len(rows)), names, fontsize=8, **PLAIN)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.tick_params(axis="x", labelsize=8)
    ax.tick_params(axis="y", length=0)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)


def _scale(ax: Axes, norm: Normalize, axes: list[Axes]) -> None:
    figure = ax.get_figure()
    if figure is not None:
        bar = figure.colorbar(ScalarMappable(norm, colormaps[SIGNED]), ax=axes, fraction=0.046, pad=0.03)
        bar.set_label("mean share of a map's absolute sum", fontsize=8, **PLAIN)
        bar.ax.yaxis.set_major_formatter(PercentFormatter(1.0))
        bar.ax.tick_params(labelsize=8)
