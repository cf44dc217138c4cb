"""One picture of a report: its numbers for JSON, and what its page draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from legstat._core.digests import array_sha256
from legstat._core.typing import JSON, FloatArray
from legstat.report.pages.drawing import (
    Edges,
    is_small,
    outline,
    packed,
    picture_uri,
    polyline,
    quantised,
    thumbnail_uri,
)
from legstat.report.shown import ShownPicture

LEVEL = 0.95
"""Coverage of the intervals in a report, each by itself."""
FDRS = (0.05, 0.1, 0.2)
"""False discovery rates that its readers can choose from."""
_STRONGEST = 5
_ARRAYS = ("picture", "leg", "std_errors", "legtv", "path_Ls", "path", "responses", "regions")


@dataclass(frozen=True, eq=False)
class PicturePage:
    """What a page shows of a picture.

    Attributes
    ----------
    entry : dict
        The picture in the report's JSON.
    maps : dict
        What the page's script draws: arrays in base64.
    picture, thumbnail : str
        Data addresses of the picture, and of LEG-TV over it.
    edges : Edges
        Where cells begin and end: the unit of all that is drawn over the picture.
    regions : str
        Path of the lines between regions.
    region_paths : tuple of str
        Path of each row of the table of regions.
    curves : dict or None
        Points of deletion and insertion, with the ends of their axis.
    boxes : tuple
        x, y, width and height of the boxes that were given, in the unit of `edges`.
    """

    entry: JSON
    maps: JSON
    picture: str
    thumbnail: str
    edges: Edges
    regions: str
    region_paths: tuple[str, ...]
    curves: JSON | None
    boxes: tuple[tuple[float, ...], ...] = ()

    @classmethod
    def of(cls, shown: ShownPicture) -> PicturePage:
        """The page of a picture."""
        signed = bool(shown.facts.get("signed", True))
        found, table = _found(shown), list(shown.regions_table)
        edges = Edges.of((shown.leg.shape[0], shown.leg.shape[1]), *shown.picture.shape[:2])
        return cls(
            entry={
                "name": shown.name,
                "facts": shown.facts,
                "grid": list(shown.leg.shape),
                "found": found,
                "regions": table,
                "areas": {kind: curve["area"] for kind, curve in (shown.curves or {}).items()},
                "checks": list(shown.checks),
                "arrays": {
                    name: array_sha256(array)
                    for name in _ARRAYS
                    if isinstance(array := getattr(shown, name, None), np.ndarray)
                },
            },
            maps={**_maps(shown, signed), "rows": edges.rows, "columns": edges.columns},
            picture=picture_uri(shown.picture),
            thumbnail=thumbnail_uri(shown.picture, shown.legtv, signed),
            edges=edges,
            regions=outline(shown.regions + 1, edges),
            region_paths=tuple(outline(shown.regions == number, edges) for number in range(len(table))),
            curves=_curves(shown.curves),
            boxes=_boxes(shown, edges),
        )

    @property
    def failed(self) -> list[JSON]:
        """The picture's checks that failed."""
        return [check for check in self.entry["checks"] if check["status"] == "failed"]


def _found(shown: ShownPicture) -> JSON:
    """The strongest cells with their intervals, and how many cells differ from 0."""
    columns = shown.leg.shape[1]
    order = np.argsort(-np.abs(shown.leg.ravel()), kind="stable")[:_STRONGEST]
    ends = shown.conf_int(level=LEVEL) if shown.has_intervals else None
    strongest = []
    for i in order.tolist():
        place = divmod(i, columns)
        row: JSON = {"row": place[0], "column": place[1], "leg": float(shown.leg[place])}
        row["legtv"] = float(shown.legtv[place])
        if ends is not None:
            row |= {"low": float(ends[place][0]), "high": float(ends[place][1])}
            row["pvalue"] = float(shown.pvalues[place])
        strongest.append(row)
    counts = {f"{rate:g}": int(shown.significant(rate).sum()) for rate in FDRS} if ends is not None else None
    return {"n_cells": shown.leg.size, "significant": counts, "strongest": strongest}


def _maps(shown: ShownPicture, signed: bool) -> JSON:
    Ls, path, r2, chosen = _along(shown)
    values, steps = quantised(path)
    maps: JSON = {
        "signed": signed,
        "small": is_small(shown.picture),
        "leg": packed(shown.leg, "<f4"),
        "Ls": Ls.tolist(),
        "L_max": float(shown.facts.get("L_max") or Ls[0]),
        "r2": None if r2 is None else r2.tolist(),
        "chosen": chosen,
        "path": values,
        "steps": steps,
    }
    if shown.has_intervals:
        ends = shown.conf_int(level=LEVEL)
        maps |= {"low": packed(ends[..., 0], "<f4"), "high": packed(ends[..., 1], "<f4")}
        maps["pvalues"] = packed(shown.pvalues, "<f4")
        # at how many of the rates a cell is significant; what is at one, is at all above it
        maps["rates"] = packed(np.sum([shown.significant(rate) for rate in FDRS], axis=0), "u1")
    return maps


def _along(shown: ShownPicture) -> tuple[FloatArray, FloatArray, FloatArray | None, int]:
    """L, maps and R^2 along the path, the chosen map put among them where it is none of them; its place.

    It is none of them where its L lies between two, and where its levels were refitted on its regions.
    """
    Ls, path, r2 = np.asarray(shown.path_Ls), np.asarray(shown.path, dtype=np.float64), shown.path_r2
    own: Any = shown.facts.get("L")
    L = float(Ls[-1] if own is None else own)
    place = int(np.argmin(np.abs(Ls - L)))
    near = 1e-6 * float(np.abs(shown.legtv).max())  # paths are kept as float32
    if np.isclose(Ls[place], L, rtol=1e-12, atol=0.0) and np.allclose(path[place], shown.legtv, rtol=0.0, atol=near):
        return Ls, path, r2, place
    place = int(np.searchsorted(-Ls, -L, side="right"))
    own = (shown.facts.get("r2_heldout") or {}).get("legtv")
    return (
        np.insert(Ls, place, L),
        np.insert(path, place, shown.legtv, axis=0),
        None if r2 is None else np.insert(r2, place, np.nan if own is None else own),
        place,
    )


def _boxes(shown: ShownPicture, edges: Edges) -> tuple[tuple[float, ...], ...]:
    height, width = shown.picture.shape[:2]
    scale = np.array([edges.columns[-1] / width, edges.rows[-1] / height])
    corners = [np.array(box, dtype=float).reshape(2, 2) * scale for box in shown.facts.get("boxes") or ()]
    return tuple((*ends[0].tolist(), *(ends[1] - ends[0]).tolist()) for ends in corners)


def _curves(curves: JSON | None) -> JSON | None:
    if not curves:
        return None
    scores = [score for curve in curves.values() for score in curve["scores"]]
    bounds = float(min(scores)), float(max(scores))
    lines = {
        kind: {"points": polyline(curve["fractions"], curve["scores"], bounds), "area": curve["area"]}
        for kind, curve in curves.items()
    }
    return {"low": bounds[0], "high": bounds[1], "lines": lines}
