"""One file format for samples and results: an .npz of plain arrays with a JSON header, never a pickle."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np

from legstat._core.typing import JSON, AnyArray

_HEADER = "header.json"
SCHEMA = 2
"""Version of the files' form. 1 had no number, and other names for two of the results' facts."""
_RENAMED = {"fidelity": "r2_heldout", "nonuniqueness": "face_width"}  # 1 -> 2


def save_arrays(path: str | Path, kind: str, header: JSON, arrays: dict[str, AnyArray]) -> None:
    """Write `arrays` and the JSON `header` to `path`, exactly under that name."""
    text = np.frombuffer(json.dumps({"legstat": kind, "schema": SCHEMA, **header}).encode(), dtype=np.uint8)
    with Path(path).open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **{_HEADER: text}, **arrays)


def load_arrays(path: str | Path, kind: str) -> tuple[JSON, dict[str, AnyArray]]:
    """Header and arrays of a file of that kind; ValueError where it is something else."""
    try:
        # opened here: numpy leaves the file open where its contents are broken
        with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        header: JSON = json.loads(bytes(arrays.pop(_HEADER)).decode())
    except FileNotFoundError:
        raise
    except (zipfile.BadZipFile, KeyError, ValueError, OSError, EOFError) as error:
        raise ValueError(
            f"legstat.{kind}.load: {str(path)!r} is not a file that {kind}.save wrote ({error})."
        ) from error
    if header.get("legstat") != kind:
        raise ValueError(
            f"legstat.{kind}.load: {str(path)!r} holds a {header.get('legstat')!r}. Load it with that class."
        )
    if header.setdefault("schema", 1) > SCHEMA:
        raise ValueError(
            f"legstat.{kind}.load: {str(path)!r} is of schema {header['schema']}, and {SCHEMA} is the newest that this "
            "version reads. Use the legstat that wrote it, or a newer one."
        )
    header = {_RENAMED.get(name, name): value for name, value in header.items()} if header["schema"] == 1 else header
    for array in arrays.values():
        array.flags.writeable = False
    return header, arrays
