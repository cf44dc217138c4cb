"""Where figures are drawn: axes that were given, an empty figure that was given, or a new one of pyplot's."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from legstat._core.errors import invalid
from legstat._core.typing import AxesArray, AxesLike


def one_panel(given: Axes | Figure | None, figsize: tuple[float, float]) -> Axes:
    """The axes to draw on.

    Parameters
    ----------
    given : matplotlib Axes or Figure, or None
        Axes; an empty figure, of which nobody but its owner knows; None for a figure of pyplot's, which notebooks
        and ``pyplot.show()`` show.
    figsize : tuple of float
        Inches, of a figure.

    Returns
    -------
    Axes
        Those given, or the only ones of the figure.
    """
    return given if isinstance(given, Axes) else arranged(given, figsize).add_subplot()


def panels(
    where: str,
    given: AxesLike | Figure | None,
    shape: tuple[int, int],
    figsize: tuple[float, float],
    layout: str = "constrained",
) -> AxesArray:
    """The axes to draw several panels on.

    Parameters
    ----------
    where : str
        Public call, for errors.
    given : ndarray or sequence of matplotlib Axes, Figure, or None
        As for `one_panel`; axes in any shape of that many.
    shape : tuple of int
        Rows and columns of panels.
    figsize, layout
        Of a figure.

    Returns
    -------
    ndarray of Axes
        Of that shape.

    Raises
    ------
    ValueError
        Another number of axes.
    """
    if given is None or isinstance(given, Figure):
        made: AxesArray = arranged(given, figsize, layout).subplots(*shape, squeeze=False)
        return made
    axes = np.asarray(given, dtype=object)
    if axes.size != shape[0] * shape[1]:
        remedy = f"Such as matplotlib.pyplot.subplots({shape[0]}, {shape[1]})[1]."
        raise ValueError(invalid(where, "axes", axes.size, f"{shape[0] * shape[1]} axes", remedy))
    return axes.reshape(shape)


def arranged(given: Figure | None, figsize: tuple[float, float], layout: Any = "constrained") -> Figure:
    """The given figure, or a new one of pyplot's, in that size and layout."""
    if given is None:
        from matplotlib import pyplot  # here: writers, which have figures of their own, never load it

        return pyplot.figure(figsize=figsize, layout=layout)
    given.set_size_inches(*figsize)
    given.set_layout_engine(layout)
    return given
