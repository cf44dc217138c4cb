"""One file format for samples and results: an .npz of plain arrays with a JSON header, never a pickle."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from legstat._core.files import encoded, json_text, json_value, replacing
from legstat._core.typing import JSON, AnyArray
from legstat._core.values import read_only

if TYPE_CHECKING:
    from numpy.lib.npyio import NpzFile

_HEADER = "header.json"
SCHEMA = 2
"""Version of the files' form. 1 had no number, and other names for two of the results' facts."""
_RENAMED = {"fidelity": "r2_heldout", "nonuniqueness": "face_width"}  # 1 -> 2
_OF_THE_SYSTEM = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
_BROKEN = (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, LookupError, TypeError, AttributeError,
           NotImplementedError)  # fmt: skip
"""What numpy, zipfile and json raise for contents that are not what they should be."""


def save_arrays(path: str | Path, kind: str, header: JSON, arrays: dict[str, AnyArray]) -> None:
    """Write `arrays` and the JSON `header` to `path`, exactly under that name, whole or not at all."""
    text = np.frombuffer(encoded(json_text({"legstat": kind, "schema": SCHEMA, **header})), dtype=np.uint8)
    with replacing(path) as file:
        np.savez_compressed(file, allow_pickle=False, **{_HEADER: text}, **arrays)


@contextmanager
def loading_arrays(path: str | Path, kind: str) -> Iterator[tuple[JSON, dict[str, AnyArray]]]:
    """Header and arrays of a file of that kind, for the body to build the object from.

    ValueError where it is something else, of a newer schema, or where the body misses an entry.
    """
    with _archive(path, kind) as archive:
        arrays = {name: archive[name] for name in archive.files if name != _HEADER}
        header: JSON = json_value(bytes(archive[_HEADER]))
        found = header.get("legstat")
    header = _checked(header, found, path, kind)
    for array in arrays.values():
        read_only(array)
    try:
        yield header, arrays
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(
            f"legstat.{kind}.load: {str(path)!r} is broken, or was changed: an entry that {kind}.save writes is "
            f"missing or is of another type ({type(error).__name__}: {error})."
        ) from error


def loading_header(path: str | Path, kind: str) -> JSON:
    """The header alone of a file of that kind; no array is read. ValueError as `loading_arrays`."""
    with _archive(path, kind) as archive:
        header: JSON = json_value(bytes(archive[_HEADER]))
        found = header.get("legstat")
    return _checked(header, found, path, kind)


@contextmanager
def _archive(path: str | Path, kind: str) -> Iterator[NpzFile]:
    """The file's members, to be read within; ValueError for contents that are not what they should be."""
    try:
        # opened here: numpy leaves the file open where its contents are broken
        with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as archive:
            yield archive
    except _OF_THE_SYSTEM:
        raise
    except _BROKEN as error:
        raise ValueError(
            f"legstat.{kind}.load: {str(path)!r} is not a file that {kind}.save wrote ({error})."
        ) from error


def _checked(header: JSON, found: object, path: str | Path, kind: str) -> JSON:
    """The header with today's names; ValueError for another kind of file, or a newer one."""
    schema = header.setdefault("schema", 1)
    if found != kind:
        raise ValueError(f"legstat.{kind}.load: {str(path)!r} holds a {found!r}. Load it with that class.")
    if not isinstance(schema, int) or schema > SCHEMA:
        raise ValueError(
            f"legstat.{kind}.load: {str(path)!r} is of schema {schema!r}, and {SCHEMA} is the newest that this "
            "version reads. Use the legstat that wrote it, or a newer one."
        )
    if schema == 1:
        header = {_RENAMED.get(name, name): value for name, value in header.items()}
    return header
