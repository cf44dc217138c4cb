"""Finished replicates on disk: one SQLite file that survives being killed at any moment.

A replicate is written in one transaction when it is finished, by the process that started the study, and is on the disk
before the next one is waited for. What was half written is rolled back when the file is opened again. The primary key
keeps a second copy of a replicate out; an exclusive lock keeps a second run out.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Self

from legstat._core.database import open_database, transaction
from legstat._core.files import json_text, json_value
from legstat._core.typing import JSON

FORMAT = 1
"""How replicates are keyed and drawn. Raised whenever the same content means another experiment."""
_TABLES = (
    "CREATE TABLE IF NOT EXISTS made_by (made_by TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS replicates (cell TEXT NOT NULL, replicate INTEGER NOT NULL, estimator TEXT NOT NULL,"
    " row TEXT NOT NULL, PRIMARY KEY (cell, replicate, estimator)) WITHOUT ROWID",
    'CREATE TABLE IF NOT EXISTS "references" (key TEXT PRIMARY KEY, payload TEXT NOT NULL) WITHOUT ROWID',
)


class Store:
    """Finished replicates and references, in a file or, without one, in memory.

    Parameters
    ----------
    path : Path or None
        The file; made where it is missing.

    Raises
    ------
    ValueError
        If it is no such file, of another format, or in use by another run.
    """

    def __init__(self, path: Path | None) -> None:
        name = ":memory:" if path is None else str(path)
        try:
            # from here on and until `close`: another run of the same study must not start
            self._connection = open_database(path, _TABLES, shared=False, wait=1.0)
        except sqlite3.DatabaseError as error:
            text = f"legstat.SampleSizeStudy.run: {name!r} cannot hold replicates: {error}."
            locked = isinstance(error, sqlite3.OperationalError) and "locked" in str(error)
            remedy = "Another run is writing to it: wait for that one." if locked else "Name another file."
            raise ValueError(f"{text} {remedy}") from error
        with transaction(self._connection):
            found = self._connection.execute("SELECT made_by FROM made_by").fetchone()
            if found is None:
                self._connection.execute("INSERT INTO made_by VALUES (?)", (_made_by(),))
        if found is not None and found[0] != _made_by():
            self._connection.close()
            text = f"legstat.SampleSizeStudy.run: {name!r} was begun by {found[0]}, this is {_made_by()}"
            raise ValueError(f"{text}: estimates may have changed in between. Name another file.")

    def done(self) -> set[tuple[str, int, str]]:
        """(cell, replicate, estimator) of everything that is finished."""
        return set(self._connection.execute("SELECT cell, replicate, estimator FROM replicates"))

    def add(self, cell: str, replicate: int, rows: Iterable[tuple[str, JSON]]) -> None:
        """Keep the rows (estimator, row) of a finished replicate: all of them or none."""
        values = [(cell, replicate, estimator, json_text(row)) for estimator, row in rows]
        with transaction(self._connection):
            self._connection.executemany("INSERT INTO replicates VALUES (?, ?, ?, ?)", values)

    def row(self, cell: str, replicate: int, estimator: str) -> JSON:
        """A row that is there."""
        text = "SELECT row FROM replicates WHERE cell = ? AND replicate = ? AND estimator = ?"
        row: JSON = json_value(self._connection.execute(text, (cell, replicate, estimator)).fetchone()[0])
        return row

    def reference(self, key: str) -> JSON | None:
        """A reference, if it is there."""
        found = self._connection.execute('SELECT payload FROM "references" WHERE key = ?', (key,)).fetchone()
        return None if found is None else json_value(found[0])

    def add_reference(self, key: str, payload: JSON) -> None:
        """Keep a reference."""
        self._connection.execute('INSERT INTO "references" VALUES (?, ?)', (key, json_text(payload)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._connection.close()


def _made_by() -> str:
    """The version whose numbers a file holds: replicates of two versions are not mixed."""
    try:
        return f"legstat {version('legstat')}, format {FORMAT}"
    except PackageNotFoundError:  # a source tree on the path
        return f"legstat, format {FORMAT}"
