"""From a mask to a map: cells in the order of what the mask deletes, and a stated order among equals."""

from __future__ import annotations

import numpy as np

from legstat._core.typing import FloatArray

_EQUAL = 9
"""Decimals in which masks are compared: cells that agree in them are tied."""


def ranked_saliency(importance: FloatArray, second: FloatArray) -> tuple[FloatArray, int]:
    """The importance of each cell, ties broken by `second`, and how many cells were tied.

    Most cells of a deletion mask stay at 1, and all are then equal. Among cells of equal importance those come first
    whose `second` (the score's own slope, averaged over the iterations) is larger. What is added for that is less than
    half the distance between any two different importances, so that no other order changes.

    Examples
    --------
    >>> ranked_saliency(np.array([[0.0, 1.0, 0.0]]), np.array([[5.0, 0.0, 9.0]]))[1]
    2
    """
    values = np.round(importance, _EQUAL)
    levels, counts = np.unique(values, return_counts=True)
    gap = float(np.diff(levels).min()) if len(levels) > 1 else 1.0
    order = np.empty(values.size)
    _, places = np.unique(second.ravel(), return_inverse=True)
    order[:] = places / values.size
    return values + 0.5 * gap * order.reshape(values.shape), int(counts[counts > 1].sum())
