"""An open cache: the answers of every experiment in one SQLite file, each entry with a digest of its own."""

from __future__ import annotations

import os
import sqlite3
import warnings
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

import numpy as np

from legstat._core.database import open_database, transaction
from legstat._core.digests import value_sha256
from legstat._core.errors import LegstatWarning, invalid
from legstat._core.files import json_text, json_value
from legstat._core.typing import JSON, AnyArray, FloatArray
from legstat.responses.base import Response
from legstat.sampling.cache_keys import FORMAT, anchor_key, settled_key

_T = TypeVar("_T")
_TABLES = (
    "CREATE TABLE IF NOT EXISTS blocks (experiment TEXT NOT NULL, stream INTEGER NOT NULL, block INTEGER NOT NULL,"
    " scores BLOB NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (experiment, stream, block)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS anchors (anchor TEXT PRIMARY KEY, facts TEXT NOT NULL, digest TEXT NOT NULL)"
    " WITHOUT ROWID",
)
_WAIT = 30.0
"""Seconds to wait for another process that is writing; one write takes a fraction of a millisecond."""
_BASE = -1
"""Stream under which the base point of a blend is kept."""


class Answers:
    """An open cache.

    Parameters
    ----------
    file : Path
        The SQLite file; made where missing, set aside where broken.

    Raises
    ------
    ValueError
        If it cannot be opened or made.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._inode: int | None = None
        self._connection: sqlite3.Connection | None = None
        try:
            try:
                self._open()
            except sqlite3.OperationalError:  # no permission, locked, no room: nothing is wrong with the file
                raise
            except sqlite3.DatabaseError as error:
                self._set_aside(error)
        except (sqlite3.Error, OSError) as error:
            text = f"Opening {file} failed: {error}."
            raise ValueError(invalid("QueryCache", "folder", str(file.parent), "writable", text)) from error

    def _open(self) -> None:
        self._connection = open_database(self._file, _TABLES, shared=True, wait=_WAIT)
        self._inode = os.stat(self._file).st_ino

    def _set_aside(self, error: Exception) -> None:
        """Go on with a new file; the broken one stays beside it for whoever wants to look."""
        self.close()
        # another process may have put a new one there already
        if self._inode is None or os.stat(self._file).st_ino == self._inode:
            for tail in ("-wal", "-shm"):
                Path(f"{self._file}{tail}").unlink(missing_ok=True)
            self._file.replace(self._file.with_suffix(".broken"))
            warnings.warn(
                f"QueryCache: {self._file} is broken ({error}) and was set aside as a .broken file; "
                "what it held is paid for again.",
                LegstatWarning,
                stacklevel=3,
            )
        self._open()

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _try(self, work: Callable[[sqlite3.Connection], _T], otherwise: _T) -> _T:
        """Do something with the file; where that fails, go on without: no answer is lost by it, only not kept."""
        if self._connection is None:
            return otherwise
        try:
            try:
                return work(self._connection)
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError as error:
                self._set_aside(error)
                return work(self._connection)
        except (sqlite3.Error, OSError) as error:
            self.close()
            warnings.warn(f"QueryCache: {error}; going on without the cache.", LegstatWarning, stacklevel=3)
            return otherwise

    # -- f(x0) -----------------------------------------------------------------------------------------------------

    def bind(self, response: Response, image: FloatArray) -> tuple[Response, float] | None:
        """The settled response and f(x0), if they are known; see `Response.bind`."""
        key = anchor_key(response, image)

        def read(connection: sqlite3.Connection) -> JSON | None:
            row = connection.execute("SELECT facts, digest FROM anchors WHERE anchor = ?", (key,)).fetchone()
            if row is None:
                return None
            if not _is_text(row) or _digest(key, row[0].encode()) != row[1]:
                _dropped("f(x0)")
                connection.execute("DELETE FROM anchors WHERE anchor = ? AND digest IS ?", (key, row[1]))
                return None
            facts: JSON = json_value(row[0])
            return facts

        facts = self._try(read, None)
        if facts is None:
            return None
        return response.resolved(facts["description"]), float.fromhex(facts["value"])

    def keep_bound(self, response: Response, image: FloatArray, settled: Response, value: float) -> None:
        """Keep f(x0) and what it settled about `response`."""
        if not np.isfinite(value):
            return
        key = anchor_key(response, image)
        facts = json_text({"value": value.hex(), "description": settled.describe()})
        row = (key, facts, _digest(key, facts.encode()))
        self._try(lambda connection: connection.execute("INSERT OR REPLACE INTO anchors VALUES (?, ?, ?)", row), None)

    # -- perturbed pictures ----------------------------------------------------------------------------------------

    def shelf(self, response: Response, *parts: object) -> Shelf:
        """The answers of one experiment.

        Parameters
        ----------
        response : Response
            Settled.
        *parts : object
            All else that determines what is evaluated, as `value_sha256` takes it.
        """
        return Shelf(self, value_sha256(FORMAT, settled_key(response), *parts)[0])


class Shelf:
    """The answers of one experiment, by stream and block; from `Answers.shelf`."""

    def __init__(self, answers: Answers, name: str) -> None:
        self._answers, self._name = answers, name

    def fill(self, scores: FloatArray, stream: int, first_block: int, size: int) -> int:
        """Put what is known in place of NaN.

        Parameters
        ----------
        scores : ndarray of shape (k,)
            Answers of consecutive blocks of one stream, NaN where one is missing; changed in place.
        stream, first_block : int
            Whose answers they are.
        size : int
            Answers in one block.

        Returns
        -------
        int
            How many were put in.
        """
        last = first_block + -(-len(scores) // size) - 1

        def read(connection: sqlite3.Connection) -> list[tuple[int, object, object]]:
            text = (
                "SELECT block, scores, digest FROM blocks WHERE experiment = ? AND stream = ? AND block BETWEEN ? AND ?"
            )
            return connection.execute(text, (self._name, stream, first_block, last)).fetchall()

        before = int(np.isnan(scores).sum())
        nothing: list[tuple[int, object, object]] = []
        for block, payload, digest in self._answers._try(read, nothing):
            known = self._checked(stream, block, payload, digest, size)
            if known is None:
                continue
            at = (block - first_block) * size
            here = scores[at : at + size]
            np.copyto(here, known[: len(here)], where=np.isnan(here))
        return before - int(np.isnan(scores).sum())

    def keep(self, stream: int, block: int, size: int, at: AnyArray, values: FloatArray) -> None:
        """Keep answers of one block; those at other places stay.

        Parameters
        ----------
        stream, block : int
            Which block.
        size : int
            Answers in it.
        at : ndarray of shape (k,)
            Places in the block.
        values : ndarray of shape (k,)
            Answers; NaN and infinity are left out.
        """

        def write(connection: sqlite3.Connection) -> None:
            where = (self._name, stream, block)
            text = "SELECT scores, digest FROM blocks WHERE experiment = ? AND stream = ? AND block = ?"
            with transaction(connection):  # another process may be filling the same block
                row: tuple[object, object] | None = connection.execute(text, where).fetchone()
                known = None if row is None else self._checked(stream, block, *row, size)
                scores = np.full(size, np.nan) if known is None else known
                scores[at] = np.where(np.isfinite(values), values, scores[at])
                payload = scores.astype("<f8").tobytes()
                whole = (*where, payload, self._digest(stream, block, payload))
                connection.execute("INSERT OR REPLACE INTO blocks VALUES (?, ?, ?, ?, ?)", whole)

        if np.isfinite(values).any():
            self._answers._try(write, None)

    def base(self) -> float | None:
        """The score of the base point, if it is known."""
        score = np.array([np.nan])
        return float(score[0]) if self.fill(score, _BASE, 0, 1) else None

    def keep_base(self, value: float) -> None:
        """Keep the score of the base point."""
        self.keep(_BASE, 0, 1, np.array([0]), np.array([value]))

    def _digest(self, stream: int, block: int, payload: bytes) -> str:
        return _digest(f"{self._name} {stream} {block}", payload)

    def _checked(self, stream: int, block: int, payload: object, digest: object, size: int) -> FloatArray | None:
        """An entry's scores, None where it is not what was written."""
        if isinstance(payload, bytes) and len(payload) == 8 * size and self._digest(stream, block, payload) == digest:
            scores: FloatArray = np.frombuffer(payload, dtype="<f8").astype(np.float64)
            return scores
        _dropped(f"block {block}")
        return None


def _digest(place: str, payload: bytes) -> str:
    return sha256(place.encode() + b"\n" + payload).hexdigest()


def _is_text(row: tuple[object, ...]) -> bool:
    return all(isinstance(cell, str) for cell in row)


def _dropped(what: str) -> None:
    warnings.warn(
        f"QueryCache: the entry of {what} is corrupted and was dropped; it is evaluated again.",
        LegstatWarning,
        stacklevel=4,
    )
