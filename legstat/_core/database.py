"""SQLite files that many processes write to, or one alone, and that survive being killed at any moment."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path


def open_database(file: Path | None, tables: Iterable[str], *, shared: bool, wait: float) -> sqlite3.Connection:
    """A connection to a file, or to memory, with the tables made where they are missing.

    A process that is killed leaves whole transactions behind, whichever way the file is used. What a power failure
    leaves is in order as well; only of a shared file the last transactions may then be missing.

    Parameters
    ----------
    file : Path or None
        The file; made where it is missing. None: in memory.
    tables : iterable of str
        Statements that make the tables.
    shared : bool
        True: readers and one writer at a time (write-ahead log, which is forced to the disk now and then). False: this
        connection alone, from here on until it is closed, and every transaction is forced to the disk.
    wait : float
        Seconds to wait for another process.

    Returns
    -------
    sqlite3.Connection
        In autocommit mode: what belongs together goes into `transaction`.

    Raises
    ------
    sqlite3.Error
        It cannot be opened or made, is no such file, or is in use for longer than `wait`.

    Examples
    --------
    >>> connection = open_database(None, ["CREATE TABLE IF NOT EXISTS t (a)"], shared=False, wait=1.0)
    >>> with transaction(connection):
    ...     _ = connection.execute("INSERT INTO t VALUES (1)")
    >>> connection.execute("SELECT a FROM t").fetchall()
    [(1,)]
    >>> connection.close()
    """
    connection = sqlite3.connect(":memory:" if file is None else file, timeout=wait, isolation_level=None)
    try:
        if shared:
            patiently(lambda: connection.execute("PRAGMA journal_mode = WAL"), wait)
            connection.execute("PRAGMA synchronous = NORMAL")
        else:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("PRAGMA synchronous = FULL")
        # alone: the lock is taken here, and kept; shared: a file that has its tables need not be locked for them
        with nullcontext() if shared else transaction(connection):
            for table in tables:
                connection.execute(table)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing; the lock comes before the first look, so that nobody writes in between.

    Parameters
    ----------
    connection : sqlite3.Connection
        From `open_database`.

    Yields
    ------
    None
        Committed at the end, rolled back on any error.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if connection.in_transaction:  # some errors have ended it already
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def patiently(work: Callable[[], object], wait: float) -> None:
    """Do what SQLite does not wait for by itself: another process may be making the same file.

    Parameters
    ----------
    work : callable
        Done again and again while the file is locked.
    wait : float
        Seconds after which that is an error.
    """
    end = time.monotonic() + wait
    while True:
        try:
            work()
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
        time.sleep(0.01)
