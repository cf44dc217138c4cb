"""SHA-256 of files, of arrays, and of Python values by content."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from legstat._core.contents import contents
from legstat._core.typing import AnyArray


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


def array_sha256(array: AnyArray) -> str:
    """SHA-256 of an array's numbers, as anybody can compute it.

    Parameters
    ----------
    array : ndarray
        Numbers, of any shape.

    Returns
    -------
    str
        Hexadecimal digest of the little-endian float64 bytes in C order.

    Examples
    --------
    >>> array_sha256(np.array([1.0, 2.0]))[:16]
    'dc91ce9a50ddc828'
    """
    return hashlib.sha256(np.ascontiguousarray(array, dtype="<f8").tobytes()).hexdigest()


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
