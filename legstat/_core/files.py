"""How files are written: whole or not at all, and JSON that any reader takes."""

from __future__ import annotations

import errno
import json
import math
import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

_FLOAT = "float"


@contextmanager
def replacing(path: str | Path) -> Iterator[BinaryIO]:
    """A stream whose contents take the place of `path` once all of them are on the disk.

    They are collected in a file beside it. Whatever interrupts the writing, the old file (or none) stays as it was.

    Parameters
    ----------
    path : str or Path
        File to write; a link is followed.

    Yields
    ------
    binary stream
        What is written there becomes the file.

    Raises
    ------
    OSError
        If it cannot be written; `filename` is `path`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(Path(folder) / "a.txt") as stream:
    ...         _ = stream.write(b"whole")
    ...     [(file.name, file.read_bytes()) for file in Path(folder).iterdir()]
    [('a.txt', b'whole')]
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():  # a device or a pipe is written to, never replaced; a folder refuses
        with target.open("wb") as stream:
            yield stream
        return
    beside = target.with_name(f".legstat-{secrets.token_hex(8)}.part")
    try:
        with beside.open("xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        if target.exists():
            beside.chmod(target.stat().st_mode)
        beside.replace(target)
    except BaseException as error:
        beside.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename == str(beside):
            error.filename = str(path)
        raise


def is_full(error: BaseException) -> bool:
    """Whether a disk without room is what an error, or what led to it, tells of.

    Parameters
    ----------
    error : BaseException
        The error.

    Returns
    -------
    bool
        For files, and for SQLite's.
    """
    one: BaseException | None = error
    while one is not None:
        if isinstance(one, OSError) and one.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return True
        if isinstance(one, sqlite3.OperationalError) and "is full" in str(one):
            return True
        one = one.__cause__
    return False


def write_text(path: str | Path, text: str) -> None:
    r"""Write a text as UTF-8, whole or not at all.

    Names of files that are no UTF-8 reach Python with lone surrogates, which UTF-8 lacks: they are written as the
    escapes that JSON has for them (``\udcff``), so that the file is UTF-8 and `json.loads` gives the same name back.
    """
    with replacing(path) as stream:
        stream.write(encoded(text))


def encoded(text: str) -> bytes:
    """UTF-8 as `write_text` writes it."""
    return text.encode("utf-8", "backslashreplace")


def json_text(value: Any, *, indent: int | None = None, sort_keys: bool = False) -> str:
    """Strict JSON, which has no NaN and no infinity: those are written as ``{"float": "nan"}`` (or "inf", "-inf").

    Parameters
    ----------
    value : object
        Mappings, sequences, strings, numbers, booleans and None.
    indent : int, optional
        As for `json.dumps`.
    sort_keys : bool, default False
        As for `json.dumps`.

    Returns
    -------
    str
        What `json_value` reads.

    Examples
    --------
    >>> json_text({"f_base": float("nan"), "n": 3})
    '{"f_base": {"float": "nan"}, "n": 3}'
    """
    return json.dumps(_spelt(value), indent=indent, sort_keys=sort_keys, allow_nan=False, ensure_ascii=False)


def json_value(text: str | bytes) -> Any:
    """What `json_text` wrote; files of earlier versions, with NaN as a bare word, are read as well.

    Examples
    --------
    >>> json_value('{"up": {"float": "inf"}, "down": -Infinity}')
    {'up': inf, 'down': -inf}
    """
    return json.loads(text, object_hook=_read)


def _spelt(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return {_FLOAT: repr(float(value))}
    if isinstance(value, dict):
        return {key: _spelt(one) for key, one in value.items()}
    return [_spelt(one) for one in value] if isinstance(value, list | tuple) else value


def _read(entry: dict[str, Any]) -> Any:
    return float(entry[_FLOAT]) if entry.keys() == {_FLOAT} and isinstance(entry[_FLOAT], str) else entry
