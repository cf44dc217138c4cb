"""The audit of the digits that come along: a store with labels, groups and boxes, and its plan."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from legstat.audit.plan import Plan
from legstat.data import digits_model_path, load_digit

_DIGITS, _QUERIES = 48, 300
"""Digits enough for intervals in both groups."""


def demo_plan(folder: Path) -> Plan:
    """Write held-out digits into a folder, as a store, and plan their audit.

    Parameters
    ----------
    folder : Path
        Where ``digits.npz`` is written; made where it is missing.

    Returns
    -------
    Plan
        48 digits, with their labels, in two groups (0 to 4, 5 to 9), with the box around the ink.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     demo_plan(Path(folder))
    <Plan '...digits_cnn.onnx', 300 queries a picture, pictures: all>
    """
    digits = [load_digit(i) for i in range(_DIGITS)]
    images = np.stack([image for image, _ in digits])
    labels = np.array([label for _, label in digits])
    groups = np.where(labels < 5, "0 to 4", "5 to 9")
    folder.mkdir(parents=True, exist_ok=True)
    store = folder / "digits.npz"
    boxes = np.array([_around(image[0] > 0) for image in images])
    # written once: the same command goes on with the same store
    if not store.exists():
        np.savez(store, images=images, labels=labels, groups=groups, boxes=boxes)
    return Plan(
        question="Which pixels move the log-odds of the digit that the network sees?",
        purpose="A demonstration on held-out digits.",
        places=(str(store),),
        model={"model": str(digits_model_path()), "preprocessing": "unit", "target": "top", "score": "log_odds"},
        operator="black",
        n_queries=_QUERIES,
    )


def _around(ink: np.ndarray) -> list[int]:
    """x0, y0, x1, y1 around what is true."""
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    return [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]
