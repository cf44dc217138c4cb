"""What frozen dataclasses share: they travel by their fields."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from legstat._core.values import read_only


class Portable:
    """A frozen dataclass that pickles by its fields at any time.

    What was computed from them on first use stays behind and is computed again, to the same bits. Arrays arrive
    read-only, as they were.
    """

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]

    def __setstate__(self, state: dict[str, Any]) -> None:
        for value in state.values():
            if isinstance(value, np.ndarray):
                read_only(value)
        vars(self).update(state)
