"""Colours and units of maps, without a drawing library: pages are written where none can be loaded."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from legstat._core.typing import FloatArray

BLUE_TO_RED = ("053061", "2166ac", "4393c3", "92c5de", "d1e5f0", "f7f7f7", "fddbc7", "f4a582", "d6604d", "b2182b",
               "67001f")  # fmt: skip
LIGHT_TO_BROWN = ("ffffe5", "fff7bc", "fee391", "fec44f", "fe9929", "ec7014", "cc4c02", "993404", "662506")
"""ColorBrewer's RdBu, reversed, and YlOrBr: readers with any common colour vision can tell their ends."""
_UNITS = {"probability": "probability", "difference": "probability", "logit": "logit", "log_odds": "log-odds"}


def palette(signed: bool) -> NDArray[np.uint8]:
    """256 colours, RGB of shape (256, 3): blue to red for signed maps, else light to dark brown.

    Parameters
    ----------
    signed : bool
        Whether the middle is 0, which is white.

    Returns
    -------
    ndarray of uint8, shape (256, 3)
        From the least value to the greatest.

    Examples
    --------
    >>> palette(True)[[0, 255]].tolist()
    [[5, 48, 97], [103, 0, 31]]
    """
    stops = np.array([list(bytes.fromhex(stop)) for stop in (BLUE_TO_RED if signed else LIGHT_TO_BROWN)], dtype=float)
    at, places = np.linspace(0.0, 1.0, 256), np.linspace(0.0, 1.0, len(stops))
    return np.stack([np.interp(at, places, channel) for channel in stops.T], axis=1).round().astype(np.uint8)


def grey_levels(image: FloatArray) -> FloatArray:
    """Luma of a picture (ITU-R 601), or the mean of other channels than RGB."""
    luma = np.tensordot([0.299, 0.587, 0.114], image, axes=1) if len(image) == 3 else image.mean(axis=0)
    return np.asarray(luma, dtype=np.float64)


def score_unit(score: str) -> str:
    """What a score is counted in."""
    return _UNITS.get(score, "score")


def map_unit(score: str, perturbation: str) -> str:
    """What a map of that score is counted in, under an operator by its name.

    Examples
    --------
    >>> map_unit("log_odds", "Blend(baseline='blur', at=0.5)")
    'log-odds per unit of mask level'
    """
    return f"{score_unit(score)} per unit of {'mask level' if perturbation.startswith('Blend') else 'pixel value'}"
