"""Maps over pictures."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import colormaps, rc_context, rcParamsDefault
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.font_manager import get_font_names
from matplotlib.patheffects import withStroke
from matplotlib.ticker import ScalarFormatter
from PIL import Image

from legstat._core.errors import invalid
from legstat._core.files import replacing
from legstat._core.typing import AxesArray, AxesLike, BoolArray, FloatArray
from legstat.designs.grid import Grid
from legstat.report.axes import one_panel, panels
from legstat.report.colours import BLUE_TO_RED, grey_levels, map_unit, score_unit
from legstat.report.shown import Shown, ShownAtL, ShownPath, ShownRegions
from legstat.report.summary import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIGNED, UNSIGNED = "RdBu_r", "YlOrBr"
"""Colour maps that readers with any common colour vision can tell. Red raises the score, blue lowers it; white is 0."""

RAISES, LOWERS = f"#{BLUE_TO_RED[-2]}", f"#{BLUE_TO_RED[1]}"
"""Outlines of regions."""
_SMALLEST_OVERLAY = 224
PLAIN: dict[str, Any] = {"parse_math": False, "usetex": False}
"""Texts are shown as they are: labels hold dollars and backslashes that mean nothing."""
_WIDER_FONTS = ("Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Micro Hei", "Microsoft YaHei", "PingFang SC",
                "Arial Unicode MS")  # fmt: skip
"""Fonts for labels that matplotlib's own font lacks the characters of, where one is installed."""


@np.errstate(under="ignore")
def plot_map(
    results: Shown,
    ax: Axes | Figure | None = None,
    *,
    alpha: float = 0.5,
    cmap: str | Colormap | None = None,
    colorbar: bool = True,
    title: str | None = None,
    limit: float | None = None,
) -> Axes:
    """Draw a map over its picture.

    The picture is multiplied into the colours as a shade of grey: where the map is near 0, which is white, the picture
    shows as it is, and hue and order of the colours are the map's alone.

    Parameters
    ----------
    results : Shown
        What to draw; with the picture where it has one, else the map on its grid.
    ax : matplotlib Axes or empty Figure, optional
        Where to draw; a new figure of pyplot's unless given.
    alpha : float, default 0.5
        Weight of the map against the picture, in [0, 1]: what is left of a colour where the picture is black.
    cmap : str or Colormap, optional
        By default blue to red, centred at 0, for signed maps; light to dark brown for sums of absolute values.
    colorbar : bool, default True
        Draw the scale, with its units.
    title : str, optional
        Title; the estimator, L and the out-of-sample R^2 by default.
    limit : float, optional
        Absolute value at the end of the colours; the largest of the map by default.

    Returns
    -------
    Axes
        The axes drawn on.

    Raises
    ------
    ValueError
        If `alpha` is not in [0, 1].
    """
    if not 0.0 <= alpha <= 1.0:
        raise ValueError(invalid("plot_map", "alpha", alpha, "in [0, 1]"))
    ax = one_panel(ax, (4.6, 4.0))
    values = _values(results)
    signed = len(results.channel_maps) == 1
    colours = _colours(signed, cmap)
    norm = _norm(values, signed, limit)
    grey = np.ones(values.shape) if results.image is None else grey_levels(results.image)
    ax.imshow(shaded(values, grey, colours, norm, alpha), interpolation="nearest")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_title(title if title is not None else _title(results), fontsize=10, **PLAIN)
    if colorbar:
        if ax.figure is None:
            raise ValueError(invalid("plot_map", "ax", ax, "axes of a figure"))
        figure = ax.figure.figure  # of axes in a part of a figure: the whole
        numbers = ScalarFormatter(useMathText=True)
        numbers.set_powerlimits((-2, 3))
        bar = figure.colorbar(ScalarMappable(norm, colours), ax=ax, fraction=0.046, pad=0.03, format=numbers)
        bar.set_label(_units(results), fontsize=8, **PLAIN)
        bar.ax.tick_params(labelsize=8)
        bar.ax.yaxis.get_offset_text().set_fontsize(8)
    return ax


def plot_explanation(
    leg: Shown,
    tv: ShownAtL,
    path: ShownPath | None = None,
    regions: ShownRegions | None = None,
    axes: AxesLike | Figure | None = None,
    *,
    path_points: int = 0,
) -> AxesArray:
    """Picture with the regions that were found, LEG and LEG-TV side by side.

    Parameters
    ----------
    leg, tv : Shown, ShownAtL
        The two estimates.
    path : ShownPath, optional
        Where `tv` was chosen from; needed for `path_points`.
    regions : ShownRegions, optional
        Drawn on the picture as outlines: those that differ from 0, red where they raise the score, blue where they
        lower it, with their numbers.
    axes : ndarray or sequence of matplotlib Axes, or empty Figure, optional
        Where to draw, a panel each; a new figure of pyplot's unless given.
    path_points : int, default 0
        Show that many points of the path, `tv` among them, instead of `tv` alone.

    Returns
    -------
    ndarray of Axes, shape (2 + number of points,)
        The axes drawn on.

    Raises
    ------
    ValueError
        If `axes` are not as many.
    """
    shown = [tv] if path is None or path_points < 2 else _points(path, tv, path_points)
    width, height = 0.6 + 3.2 * (2 + len(shown)), 3.5 if len(shown) > 1 else 3.3
    # one scale for all points of the path, so that they can be compared
    limit = max(float(np.abs(point.saliency).max()) for point in shown)
    with own_settings():
        drawn: AxesArray = panels("Explanation.plot", axes, (1, 2 + len(shown)), (width, height))[0]
        _plot_picture(drawn[0], leg)
        if regions is not None and leg.image is not None:
            plot_regions(regions, drawn[0], leg.image.shape[1:])
        plot_map(leg, drawn[1])
        for ax, point in zip(drawn[2:], shown, strict=True):
            plot_map(point, ax, limit=limit, colorbar=point is shown[-1])
            if len(shown) > 1 and point is tv:
                for side in ax.spines.values():
                    side.set_linewidth(2.5)
                ax.set_xlabel("chosen", fontsize=10)
    return drawn


def plot_regions(regions: ShownRegions, ax: Axes, size: tuple[int, ...]) -> Axes:
    """Outline the regions that were found on a picture, with their numbers.

    Parameters
    ----------
    regions : ShownRegions
        What to outline; of several channels all at their place.
    ax : matplotlib Axes
        Where the picture is drawn.
    size : tuple of int
        Height and width of the picture in pixels.

    Returns
    -------
    Axes
        The axes drawn on.
    """
    colours = {1: RAISES, -1: LOWERS}
    for plane in regions.found_labels:
        pixels = Grid(plane.shape).lift(plane, *size)
        for number in np.unique(plane[plane >= 0]):
            lines, colour = outline_of(pixels == number), colours.get(int(regions.signs[number]), RAISES)
            ax.add_collection(LineCollection(lines, colors="white", linewidths=2.6, capstyle="projecting"))
            ax.add_collection(LineCollection(lines, colors=colour, linewidths=1.4, capstyle="projecting"))
            own = np.argwhere(pixels == number)
            row, column = own[np.argmin(np.square(own - own.mean(axis=0)).sum(axis=1))]
            label = ax.text(column, row, str(number), color=colour, fontsize=9, ha="center", va="center", **PLAIN)
            label.set_path_effects([withStroke(linewidth=2.4, foreground="white")])
    return ax


def outline_of(inside: BoolArray) -> list[FloatArray]:
    """Lines around pixels, each as its two ends (x, y)."""
    framed, lines = np.pad(inside, 1), []
    for along, changes in (
        ((1.0, 0.0), framed[1:, 1:-1] != framed[:-1, 1:-1]),
        ((0.0, 1.0), framed[1:-1, 1:] != framed[1:-1, :-1]),
    ):
        lines += [np.array([start, start + np.array(along)]) for start in np.argwhere(changes)[:, ::-1] - 0.5]
    return lines


@np.errstate(under="ignore")
def save_overlay(results: Shown, path: str | Path, *, alpha: float = 0.5, cmap: str | Colormap | None = None) -> None:
    """Write the map over its picture as a PNG of exactly the picture's size.

    Pictures whose short side is below 224 pixels are scaled up by a whole number.

    Parameters
    ----------
    results : Shown
        What to draw.
    path : str or Path
        PNG file to write.
    alpha, cmap : optional
        As for `plot_map`.
    """
    values = _values(results)
    signed = len(results.channel_maps) == 1
    grey = np.ones(values.shape) if results.image is None else grey_levels(results.image)
    pixels = shaded(values, grey, _colours(signed, cmap), _norm(values, signed, None), alpha)
    image = Image.fromarray(np.round(255.0 * pixels).astype(np.uint8))
    factor = -(-_SMALLEST_OVERLAY // min(image.size)) if min(image.size) < _SMALLEST_OVERLAY else 1
    enlarged = image.resize((factor * image.width, factor * image.height), Image.Resampling.NEAREST)
    with replacing(path) as stream:
        enlarged.save(stream, format="PNG")


def save_figure(draw: Callable[[Figure], object], path: str | Path) -> None:
    """Write a figure as a PNG, drawn by the means of this package whatever the user's settings are.

    Parameters
    ----------
    draw : callable
        Draws on the empty figure that it is called with, which is outside pyplot: no window, no global state.
    path : str or Path
        File to write.
    """
    with own_settings(), replacing(path) as stream:
        figure = Figure(dpi=130)
        draw(figure)
        figure.savefig(stream, format="png", backend="agg")


@contextmanager
def own_settings() -> Iterator[None]:
    """matplotlib and numpy as delivered: users' settings may ask for TeX, absent fonts, or errors at underflow."""
    fonts = ["DejaVu Sans", *sorted(set(_WIDER_FONTS) & set(get_font_names()))]
    delivered = {name: value for name, value in rcParamsDefault.items() if name not in ("backend", "backend_fallback")}
    with rc_context(delivered | {"font.family": fonts}), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # a box is drawn; the page has the text
        yield


def _plot_picture(ax: Axes, results: Shown) -> None:
    image = results.image
    if image is None:
        ax.set_axis_off()
        return
    planes = np.moveaxis(image, 0, -1)
    ax.imshow(
        planes if planes.shape[-1] == 3 else grey_levels(image), cmap="gray", vmin=0, vmax=1, interpolation="nearest"
    )
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_title(_picture_title(results), fontsize=10, **PLAIN)


def _points(path: ShownPath, tv: ShownAtL, count: int) -> list[ShownAtL]:
    """`count` points of the path, L descending: `tv` in place of the nearest of points spread evenly over the path."""
    spread = [path[i] for i in np.linspace((len(path) - 1) / 5, len(path) - 1, count).round().astype(int)]
    nearest = min(range(len(spread)), key=lambda i: abs(spread[i].L - tv.L))
    spread[nearest] = tv
    return sorted(spread, key=lambda r: -r.L)


def _values(results: Shown) -> FloatArray:
    return results.saliency if results.image is None else results.heatmap


def _colours(signed: bool, cmap: str | Colormap | None) -> Colormap:
    if isinstance(cmap, Colormap):
        return cmap
    return colormaps[cmap or (SIGNED if signed else UNSIGNED)]


def _norm(values: FloatArray, signed: bool, limit: float | None) -> Normalize:
    largest = limit or float(np.abs(values).max()) or 1.0
    return Normalize(-largest if signed else 0.0, largest)


def shaded(values: FloatArray, grey: FloatArray, colours: Colormap, norm: Normalize, alpha: float) -> FloatArray:
    """Colours shaded by the picture, RGB of shape (H, W, 3)."""
    shade = (alpha + (1.0 - alpha) * grey)[..., None]
    return np.asarray(shade * colours(norm(values))[..., :3], dtype=np.float64)


def _title(results: Shown) -> str:
    name = "LEG" if not hasattr(results, "L_ratio") else f"LEG-TV, L = {results.L_ratio:.2g} L_max"
    return name if results.r2_heldout is None else f"{name}\nout-of-sample R² {results.r2_heldout:.2f}"


def _picture_title(results: Shown) -> str:
    response = results.moments.source.get("response", {})
    label, target = response.get("target_label"), response.get("target")
    lines = [printable(str(label or ("picture" if target is None else f"class {target}")))]
    if "f_x0" in results.moments.source:
        lines.append(f"f(x0) = {results.moments.source['f_x0']:.4g} ({_score(results)})")
    return "\n".join(lines)


def _score(results: Shown) -> str:
    return score_unit(str(results.moments.source.get("response", {}).get("score", "custom")))


def _units(results: Shown) -> str:
    source = results.moments.source
    return map_unit(str(source.get("response", {}).get("score", "custom")), str(source.get("perturbation", "")))
