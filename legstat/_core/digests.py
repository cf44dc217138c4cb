"""SHA-256 of files, of arrays, and of Python values by content."""

from __future__ import annotations

import hashlib
from pathlib import Path

from legstat._core.contents import contents


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, read in blocks.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    str
        Hexadecimal digest.
    """
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def value_sha256(*values: object) -> tuple[str, bool]:
    """SHA-256 of values by content; see `legstat._core.contents.contents`, which tells more.

    Parameters
    ----------
    *values : object
        What to hash.

    Returns
    -------
    digest : str
        Hexadecimal digest.
    complete : bool
        False where something could be hashed by its type's name only (an object of compiled code, say): two such
        values may differ and have one digest.
    """
    found = contents(*values)
    return found.sha256, found.complete
