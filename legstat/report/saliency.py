"""Maps without an estimate behind them over their picture, and the terms of an objective over its iterations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Colormap, Normalize

from legstat._core.errors import invalid
from legstat._core.typing import FloatArray
from legstat.report.axes import one_panel, panels
from legstat.report.colours import grey_levels
from legstat.report.plots import PLAIN, UNSIGNED, shaded

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@np.errstate(under="ignore")
def plot_saliency(
    heatmap: FloatArray,
    image: FloatArray,
    ax: Axes | Figure | None = None,
    *,
    alpha: float = 0.5,
    cmap: str | Colormap = UNSIGNED,
    title: str = "",
) -> Axes:
    """Draw a map of pixels, light to dark from its least value to its greatest, over the picture in grey.

    Parameters
    ----------
    heatmap : ndarray of shape (H, W)
        High where important.
    image : ndarray of shape (C, H, W)
        The picture.
    ax : matplotlib Axes or empty Figure, optional
        Where to draw; a new figure of pyplot's unless given.
    alpha : float, default 0.5
        Weight of the map against the picture, in [0, 1].
    cmap : str or Colormap
        Colours.
    title : str
        Title.

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
        raise ValueError(invalid("plot_saliency", "alpha", alpha, "in [0, 1]"))
    ax = one_panel(ax, (4.0, 4.0))
    low, high = float(heatmap.min()), float(heatmap.max())
    colours = cmap if isinstance(cmap, Colormap) else colormaps[cmap]
    norm = Normalize(low, high if high > low else low + 1.0)
    ax.imshow(shaded(heatmap, grey_levels(image), colours, norm, alpha), interpolation="nearest")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_title(title, fontsize=10, **PLAIN)
    return ax


def plot_terms(terms: Mapping[str, FloatArray], ax: Axes | Figure | None = None) -> Axes:
    """Draw the terms of an objective over the iterations, a line each.

    Parameters
    ----------
    terms : mapping of str to ndarray of shape (iterations,)
        The terms by name; NaN where one was not asked for, as between two estimates of a gradient.
    ax : matplotlib Axes or empty Figure, optional
        Where to draw; a new figure of pyplot's unless given.

    Returns
    -------
    Axes
        The axes drawn on.
    """
    ax = one_panel(ax, (5.0, 3.2))
    for name, values in terms.items():
        known = np.flatnonzero(np.isfinite(values))
        ax.plot(known + 1, values[known], "-" if len(known) == len(values) else ".-", label=name)
    ax.set_xlabel("iteration")
    ax.legend(fontsize=8)
    return ax


def side_by_side(*drawings: Callable[[Axes], object]) -> Callable[[Figure], None]:
    """What draws a panel for each drawing, which is handed its axes, on a figure.

    Parameters
    ----------
    *drawings : callable
        Each draws on the axes that it is called with.

    Returns
    -------
    callable
        Takes the empty figure.
    """

    def draw(figure: Figure) -> None:
        for drawing, ax in zip(
            drawings, panels("side_by_side", figure, (1, len(drawings)), (4.5 * len(drawings), 4.0))[0], strict=True
        ):
            drawing(ax)

    return draw
