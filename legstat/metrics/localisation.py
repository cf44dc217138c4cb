"""Is the map where the object is? Boxes, points and keypoints; and the smallest box without which the class is gone."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from legstat._core.checks import check_choice, check_count, check_level, check_within
from legstat._core.errors import LegstatWarning, invalid
from legstat._core.typing import AnyArray, BoolArray, FloatArray
from legstat.metrics.masked import Answering, MaskedPicture, check_map
from legstat.metrics.references import ReferenceName, reference_picture

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1: left, upper, right and lower edge in pixels of the map; right and lower edges are outside."""


@dataclass(frozen=True)
class Localisation:
    """The box that a map draws, beside the boxes that are labelled.

    Attributes
    ----------
    box : tuple of float or None
        x0, y0, x1, y1 around the cells beyond the threshold; None where there are none.
    overlap : float
        Intersection over union with the labelled box that fits best.
    hit : bool
        Whether that is at least one half.

    Examples
    --------
    >>> Localisation((0, 0, 2, 2), 0.5, True)
    Localisation(box=(0, 0, 2, 2), overlap=0.5, hit=True)
    """

    box: Box | None
    overlap: float
    hit: bool


@dataclass(frozen=True)
class SuppressingBox:
    """The smallest of the boxes that a map draws without which the class is gone.

    Attributes
    ----------
    box : tuple of float or None
        In cells of the map; None where no box suppresses the class.
    area : float
        Its share of the map; 1 where there is none.
    censored : bool
        No box suppressed the class: the area is larger than that of all that were tried, and not known.
    n_queries : int
        Evaluations spent.

    Examples
    --------
    >>> SuppressingBox((0, 0, 2, 2), 0.25, False, 11).area
    0.25
    """

    box: Box | None
    area: float
    censored: bool
    n_queries: int


def localisation(
    heatmap: AnyArray,
    boxes: Sequence[Box],
    *,
    rule: Literal["value", "energy", "mean"] = "energy",
    alpha: float = 0.5,
) -> Localisation:
    """Weak localisation: the box around what is left of a map beyond a threshold (mask paper, section 5.6).

    Parameters
    ----------
    heatmap : ndarray of shape (H, W)
        Map at the resolution of the boxes; negative values count as 0.
    boxes : sequence of (x0, y0, x1, y1)
        Labelled boxes of the object in pixels, right and lower edges outside.
    rule : {"value", "energy", "mean"}, default "energy"
        "value": pixels of at least alpha times the largest value. "energy": the fewest pixels of largest value that
        hold the share alpha of the sum. "mean": pixels of at least alpha times the mean.
    alpha : float, default 0.5
        The threshold: within [0, 1] for the first two, at least 0 for "mean".

    Returns
    -------
    Localisation
        Box, intersection over union, and whether that is one half or more.

    Raises
    ------
    ValueError
        No boxes, a box without area, or alpha out of range.

    Examples
    --------
    >>> heat = np.zeros((6, 6)); heat[1:3, 1:5] = 1.0
    >>> localisation(heat, [(1, 1, 5, 3)], rule="value")
    Localisation(box=(1.0, 1.0, 5.0, 3.0), overlap=1.0, hit=True)
    """
    where = "localisation"
    values = np.maximum(check_map(where, heatmap), 0.0)
    labelled = _check_boxes(where, boxes)
    check_choice(where, "rule", rule, ("value", "energy", "mean"))
    check_within(where, "alpha", alpha, 0.0, *((1.0,) if rule != "mean" else ()))
    box = _around(_beyond(values, rule, alpha))
    overlap = max((_iou(box, one) for one in labelled), default=0.0) if box is not None else 0.0
    return Localisation(box, overlap, overlap >= 0.5)


def pointing(heatmap: AnyArray, boxes: Sequence[Box], *, tolerance: float = 0.0) -> bool:
    """Pointing game: whether the map's largest value lies in a labelled box (Zhang et al., 2016).

    Parameters
    ----------
    heatmap : ndarray of shape (H, W)
        Map at the resolution of the boxes; of several largest pixels their centre counts.
    boxes : sequence of (x0, y0, x1, y1)
        Labelled boxes in pixels.
    tolerance : float, default 0.0
        Pixels by which each box is widened; 15 is usual at the picture's own resolution.

    Returns
    -------
    bool
        Hit or miss.

    Raises
    ------
    ValueError
        No boxes, or one without area.

    Examples
    --------
    >>> heat = np.zeros((6, 6)); heat[2, 3] = 1.0
    >>> pointing(heat, [(3, 2, 5, 4)]), pointing(heat, [(0, 0, 2, 2)])
    (True, False)
    """
    values = check_map("pointing", heatmap)
    labelled = _check_boxes("pointing", boxes)
    check_within("pointing", "tolerance", tolerance)
    rows, columns = np.nonzero(values == values.max())
    y, x = rows.mean() + 0.5, columns.mean() + 0.5
    return any(
        x0 - tolerance <= x <= x1 + tolerance and y0 - tolerance <= y <= y1 + tolerance for x0, y0, x1, y1 in labelled
    )


def saliency_share(
    heatmap: AnyArray, groups: Mapping[str, Sequence[tuple[float, float]]], *, radius: float = 5.0
) -> dict[str, float]:
    """Mean saliency around given keypoints, by group: the mask paper's feet-to-eyes comparison (section 5.4).

    Parameters
    ----------
    heatmap : ndarray of shape (H, W)
        Map; negative values count as 0.
    groups : mapping of str to sequence of (x, y)
        Keypoints in pixels of the map, by what they are: "eyes", "feet".
    radius : float, default 5.0
        Pixels around a keypoint that count as it.

    Returns
    -------
    dict
        For each group the mean of the map over its discs, in units of the map's own mean: 1 is no preference.

    Raises
    ------
    ValueError
        A group without keypoints, or keypoints outside the map; a map without positive values.

    Examples
    --------
    >>> heat = np.zeros((20, 20)); heat[:10] = 1.0
    >>> saliency_share(heat, {"eyes": [(5, 4)], "feet": [(5, 15)]}, radius=2)
    {'eyes': 2.0, 'feet': 0.0}
    """
    where = "saliency_share"
    values = np.maximum(check_map(where, heatmap), 0.0)
    if not values.any():
        raise ValueError(invalid(where, "heatmap", "no positive value", "a map with positive values"))
    height, width = values.shape
    y, x = np.indices(values.shape) + 0.5
    shares = {}
    for name, points in groups.items():
        near: BoolArray = np.zeros(values.shape, dtype=bool)
        for px, py in points:
            if not (0 <= px <= width and 0 <= py <= height):
                raise ValueError(invalid(where, f"groups[{name!r}]", (px, py), f"within {width} x {height} pixels"))
            near |= np.hypot(x - px, y - py) <= radius
        if not near.any():
            raise ValueError(invalid(where, f"groups[{name!r}]", points, "at least one keypoint"))
        shares[name] = float(values[near].mean() / values.mean())
    return shares


def smallest_box(
    response: Answering,
    image: AnyArray,
    saliency: AnyArray,
    *,
    suppression: float = 0.9,
    thresholds: int = 20,
    baseline: ReferenceName | FloatArray = "blur",
) -> SuppressingBox:
    """Smallest box around a map's largest values whose deletion suppresses the class (mask paper, section 5.3).

    The map is cut at evenly spaced thresholds of its range; the box around what is left is replaced by the baseline.
    The class counts as suppressed where the score, normalised to 1 at x0 and 0 at the baseline, is at most
    1 - suppression.

    Parameters
    ----------
    response, image, saliency : as for `deletion`
        What is asked.
    suppression : float, default 0.9
        Share of the score that must go; the paper shows .8, .9, .95 and .99.
    thresholds : int, default 20
        Boxes that are tried, at most.
    baseline : str or ndarray, default "blur"
        What a box is replaced by, see `deletion`.

    Returns
    -------
    SuppressingBox
        The smallest box that does it, or `censored`.

    Raises
    ------
    ValueError
        Anything that does not fit, before the first evaluation.

    Warns
    -----
    LegstatWarning
        The baseline scores no less than x0, so that no box suppresses anything: `censored`.

    Notes
    -----
    Costs at most `thresholds` + 2 evaluations.

    Examples
    --------
    >>> import legstat as ls
    >>> gamma = np.zeros((4, 4)); gamma[1, 1:3] = 1.0
    >>> found = ls.metrics.smallest_box(ls.simulate.linear(gamma), np.ones((1, 8, 8)), gamma, baseline="black")
    >>> found.box, found.area
    ((1.0, 1.0, 3.0, 2.0), 0.125)
    """
    where = "smallest_box"
    values = check_map(where, saliency)
    wanted, n_cuts = check_level(where, "suppression", suppression), check_count(where, "thresholds", thresholds)
    if np.ptp(values) == 0.0:
        raise ValueError(invalid(where, "saliency", "a constant map", "a map that varies", "It draws no box."))
    subject = MaskedPicture(where, response, image, (values.shape[0], values.shape[1]))
    reference = reference_picture(where, baseline, subject.image, subject.opened)
    cuts = values.min() + np.ptp(values) * (1.0 - np.arange(1, n_cuts + 1) / (n_cuts + 1))
    boxes = list(dict.fromkeys(box for cut in cuts if (box := _around(values >= cut)) is not None))
    keep = np.ones((len(boxes) + 1, *values.shape))
    keep[-1] = 0.0
    for mask, (x0, y0, x1, y1) in zip(keep, boxes, strict=False):
        mask[int(y0) : int(y1), int(x0) : int(x1)] = 0.0
    scores = subject.scores(reference, keep)
    if scores[-1] >= subject.f_x0:
        warnings.warn(
            f"legstat.{where}: the baseline scores {scores[-1]:.4g}, x0 itself {subject.f_x0:.4g}: no box suppresses "
            "the class. Take another baseline.",
            LegstatWarning,
            stacklevel=2,
        )
        return SuppressingBox(None, 1.0, True, subject.n_queries)
    left = (scores[:-1] - scores[-1]) / (subject.f_x0 - scores[-1])
    areas = 1.0 - keep[:-1].mean(axis=(1, 2))
    enough = np.flatnonzero(left <= 1.0 - wanted)
    if not enough.size:
        return SuppressingBox(None, 1.0, True, subject.n_queries)
    best = int(enough[np.argmin(areas[enough])])
    return SuppressingBox(boxes[best], float(areas[best]), False, subject.n_queries)


def _beyond(values: FloatArray, rule: str, alpha: float) -> BoolArray:
    if not values.any():
        return np.zeros(values.shape, dtype=bool)
    if rule == "value":
        return np.asarray(values >= alpha * values.max())
    if rule == "mean":
        return np.asarray(values >= alpha * values.mean())
    order = np.argsort(-values, axis=None, kind="stable")
    held = np.cumsum(values.ravel()[order]) / values.sum()
    # the first pixel with which the share is reached is the last that counts; rounding must not ask for one more
    count = int(np.searchsorted(held, alpha * (1.0 - 1e-12))) + 1
    return np.asarray(values >= values.ravel()[order[min(count, values.size) - 1]])


def _around(inside: BoolArray) -> Box | None:
    rows, columns = np.nonzero(inside)
    if not rows.size:
        return None
    return float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1)


def _iou(a: Box, b: Box) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    common = max(width, 0.0) * max(height, 0.0)
    return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)


def _check_boxes(where: str, boxes: Sequence[Box]) -> list[Box]:
    checked = [(float(x0), float(y0), float(x1), float(y1)) for x0, y0, x1, y1 in boxes]
    if not checked:
        raise ValueError(invalid(where, "boxes", [], "at least one (x0, y0, x1, y1)"))
    for one in checked:
        if not (np.isfinite(one).all() and one[0] < one[2] and one[1] < one[3]):
            raise ValueError(invalid(where, "boxes", one, "(x0, y0, x1, y1) with x0 < x1 and y0 < y1"))
    return checked
