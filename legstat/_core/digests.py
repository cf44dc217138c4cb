"""SHA-256 of Python values, for fingerprints of responses.

Numbers, strings, bytes, arrays, containers, functions (bytecode, constants, defaults, closure) and plain objects (their
``__dict__``) are hashed by content, never by address, so the digest is the same in another process of the same Python.
"""

from __future__ import annotations

import hashlib
import types
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

_MAX_DEPTH = 12


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
    """SHA-256 of values by content.

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
    state = hashlib.sha256()
    complete = [_feed(state, value, 0) for value in values]
    return state.hexdigest(), all(complete)


def _token(state: hashlib._Hash, tag: str, body: bytes = b"") -> bool:
    """Feed one tagged, length-prefixed item, so that no two sequences of items read alike."""
    state.update(f"{tag}:{len(body)}:".encode())
    state.update(body)
    return True


def _feed_all(state: hashlib._Hash, values: Iterable[object], depth: int) -> bool:
    """Feed every value, the ones after an incomplete one too."""
    complete = [_feed(state, value, depth + 1) for value in values]
    return all(complete)


def _feed(state: hashlib._Hash, value: object, depth: int) -> bool:
    """Feed one value; returns whether all of it was hashed by content."""
    if depth > _MAX_DEPTH:
        _token(state, "deep", type(value).__qualname__.encode())
        return False
    if value is None or isinstance(value, bool | int | float | complex | str):
        return _token(state, type(value).__name__, repr(value).encode())
    if isinstance(value, bytes | bytearray):
        return _token(state, "bytes", bytes(value))
    if isinstance(value, np.ndarray) and value.dtype != object:
        _token(state, "array", f"{value.dtype.str}{value.shape}".encode())
        return _token(state, "data", np.ascontiguousarray(value).tobytes())
    if isinstance(value, np.generic):
        return _token(state, "scalar", value.dtype.str.encode() + value.tobytes())
    if isinstance(value, list | tuple):
        _token(state, type(value).__name__, str(len(value)).encode())
        return _feed_all(state, value, depth)
    if isinstance(value, set | frozenset):
        _token(state, "set")
        return _feed_all(state, sorted(value, key=repr), depth)
    if isinstance(value, Mapping):
        _token(state, "mapping", str(len(value)).encode())
        items = sorted(value.items(), key=lambda item: repr(item[0]))
        return _feed_all(state, [part for item in items for part in item], depth)
    if isinstance(value, types.CodeType):
        _token(state, "code", value.co_code)
        return _feed(state, (value.co_names, value.co_consts), depth + 1)
    if isinstance(value, types.FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        _token(state, "function", f"{value.__module__}.{value.__qualname__}".encode())
        return _feed(state, (value.__code__, value.__defaults__, value.__kwdefaults__, cells), depth + 1)
    if isinstance(value, types.MethodType):
        _token(state, "method")
        return _feed(state, (value.__func__, value.__self__), depth + 1)
    if isinstance(value, type | types.ModuleType | types.BuiltinFunctionType | np.ufunc):
        return _token(state, "named", repr(getattr(value, "__qualname__", value.__name__)).encode())
    _token(state, "object", f"{type(value).__module__}.{type(value).__qualname__}".encode())
    inside = getattr(value, "__dict__", None)
    if inside:
        return _feed(state, dict(inside), depth + 1)
    return False
