"""What pictures say together, as a summary page shows it: intervals as strips of a table, mean maps on one scale."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from legstat._core.typing import JSON
from legstat.report.pages.drawing import map_uri, outline
from legstat.report.shown import ShownFindings, ShownMeanMap


def together(found: ShownFindings) -> JSON:
    """What the page draws of findings.

    Parameters
    ----------
    found : ShownFindings
        The findings.

    Returns
    -------
    dict
        ``level``; ``shares`` and ``differences``, or None: ``rows``, each with the place of its interval, from 0 to
        100, as ``strip``, the ``ends`` of their axis, and whether pictures are too ``few`` for an interval;
        ``matters``, the finding of the tests of single pictures, or None; ``maps``, or None: ``limit`` of the colours
        and what is drawn and told of each mean map.
    """
    by_kind: dict[str, list[JSON]] = {}
    for row in found.rows:
        by_kind.setdefault(row["finding"], []).append(row)
    shares, differences = by_kind.get("share inside", []), by_kind.get("groups differ", [])
    ends = [abs(row[kind]) for row in differences for kind in ("estimate", "low", "high") if math.isfinite(row[kind])]
    reach = 1.1 * max([0.01, *ends])
    return {
        "level": found.level,
        "shares": _strips(shares, lambda share: 100.0 * share, (0.0, 1.0)),
        "differences": _strips(differences, lambda value: 50.0 + 50.0 * value / reach, (-reach, reach)),
        "matters": next(iter(by_kind.get("object matters", [])), None),
        "maps": _maps(found.mean_maps),
    }


def mean_map_entry(shown: ShownMeanMap) -> JSON:
    """A mean map in the report's JSON: its cells, their standard errors, and which of them differ from 0."""
    return {
        "group": shown.group,
        "pictures": shown.pictures,
        "clusters": shown.clusters,
        "mean": shown.mean.tolist(),
        "std_error": shown.std_errors.tolist(),
        "significant": shown.significant().tolist() if shown.has_intervals else None,
    }


def _strips(rows: Sequence[JSON], place: Callable[[float], float], ends: tuple[float, float]) -> JSON | None:
    if not rows:
        return None

    def at(value: float) -> float | None:
        return round(min(100.0, max(0.0, place(value))), 2) if math.isfinite(value) else None

    strips = [{kind: at(row[kind]) for kind in ("estimate", "low", "high", "area")} for row in rows]
    return {
        "rows": [{**row, "strip": strip} for row, strip in zip(rows, strips, strict=True)],
        "ends": list(ends),
        "few": any(strip["low"] is None for strip in strips),
    }


def _maps(shown: Sequence[ShownMeanMap]) -> JSON | None:
    if not shown:
        return None
    limit = max(float(np.abs(one.mean).max()) for one in shown) or 1.0
    return {"limit": limit, "maps": [_map(one, limit) for one in shown]}


def _map(shown: ShownMeanMap, limit: float) -> JSON:
    significant = shown.significant()
    strongest = np.unravel_index(int(np.abs(shown.mean).argmax()), shown.mean.shape)
    return {
        "group": shown.group,
        "pictures": shown.pictures,
        "clusters": shown.clusters,
        "shape": list(shown.mean.shape),
        "image": map_uri(shown.mean, limit),
        "outline": outline(significant),
        "cells": shown.mean.size,
        "significant": int(significant.sum()) if shown.has_intervals else None,
        "strongest": {
            "row": int(strongest[0]),
            "column": int(strongest[1]),
            "value": float(shown.mean[strongest]),
        },
    }
