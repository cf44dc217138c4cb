"""Finished maps on disk, and what they were measured by: files that are whole or not there."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np

from legstat._core.errors import invalid
from legstat._core.files import json_text, json_value, write_text
from legstat._core.npz import loading_arrays, save_arrays
from legstat._core.typing import JSON
from legstat.comparison.measure import Measured
from legstat.comparison.method import MethodMap
from legstat.metrics.deletion import Curve

FORMAT = 1
"""Part of every key: raised whenever the same settings mean another map or another number."""
_KIND = "ComparedMap"


@dataclass(eq=False)
class FinishedMap:
    """A map, what it cost, and what was measured on it so far.

    Attributes
    ----------
    made : MethodMap
        The map.
    measured : dict
        By `repr` of the measure.
    """

    made: MethodMap
    measured: dict[str, Measured] = field(default_factory=dict)


@dataclass(frozen=True)
class MapStore:
    """A folder with two files a map: ``KEY.npz`` has the map, ``KEY.json`` what is known of it.

    Parameters
    ----------
    folder : Path
        The folder.
    """

    folder: Path

    @classmethod
    def at(cls, where: str, folder: str | Path) -> Self:
        """The store in that folder, made where it is missing; ValueError where that cannot be."""
        path = Path(folder)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            fault = f"{type(error).__name__}: {error}."
            raise ValueError(invalid(where, "store", str(path), "a folder to write to", fault)) from error
        return cls(path)

    def find(self, key: str) -> FinishedMap | None:
        """The map of that key, if it is finished."""
        file = self.folder / f"{key}.npz"
        if not file.is_file():
            return None
        with loading_arrays(file, _KIND) as (header, arrays):
            made = MethodMap(np.asarray(arrays["saliency"]), header["n_queries"], header["cached"])
        notes = self.folder / f"{key}.json"
        known: JSON = json_value(notes.read_text(encoding="utf-8")) if notes.is_file() else {"measured": {}}
        return FinishedMap(made, {name: _read(one) for name, one in known["measured"].items()})

    def keep_map(self, key: str, about: JSON, made: MethodMap) -> None:
        """Keep a map as soon as it is made."""
        header = {**about, "n_queries": made.n_queries, "cached": made.cached}
        save_arrays(self.folder / f"{key}.npz", _KIND, header, {"saliency": made.saliency})

    def keep_measured(self, key: str, about: JSON, found: FinishedMap) -> None:
        """Keep all that was measured on a map."""
        measured = {name: _written(one) for name, one in found.measured.items()}
        write_text(self.folder / f"{key}.json", json_text({**about, "measured": measured}, indent=1) + "\n")


def _written(one: Measured) -> JSON:
    about: JSON = {"value": one.value, "n_queries": one.n_queries, "censored": one.censored}
    return about if one.curve is None else {**about, "curve": one.curve.to_dict()}


def _read(about: JSON) -> Measured:
    curve = about.get("curve")
    return Measured(
        about["value"], about["n_queries"], about["censored"], None if curve is None else Curve.from_dict(curve)
    )
