"""Answers kept on disk, so that a repeated, extended or resumed run pays only for what is new.

One SQLite file holds, for every experiment (response, picture, design, perturbation, key), the scores of each block of
draws, and f(x0) with what it settled. Every entry carries a SHA-256 over its place and its bytes: one that does not
match is dropped and evaluated again, never served. An answer is kept before the next batch is asked for: killing the
process loses none that was kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from legstat._core.errors import invalid
from legstat.sampling.answers import Answers


class QueryCache:
    """Answers of black boxes in a folder on disk, for `query`, `explain` and the command line's ``--cache``.

    What is asked twice is paid once: a repeated run costs nothing, one extended from 6,000 to 10,000 queries costs
    4,000, and one that was killed costs what it had not been answered yet. Scores are served bit for bit as they came.

    Parameters
    ----------
    folder : str or Path
        Where the file ``answers.sqlite3`` lies or is to be made. Several processes may use one folder at once; it must
        be on a disk of this machine (SQLite's locks do not hold on network file systems).

    Raises
    ------
    ValueError
        If the folder cannot be made, or is a file.

    Notes
    -----
    An entry is found again only if all of this is the same: the response's fingerprint (model bytes, preprocessing,
    target, score), its provider and the versions of what computes it; the picture; design, perturbation and pairing;
    the generator's key; stream and number of the block. Batch size and threads are not asked about: on the CPU scores
    do not depend on them. NaN and infinity are never kept. Nothing is ever thrown out: 6,000 queries take some 80 kB.
    Two processes that run the same experiment *at the same moment* both pay for what neither had kept before it began.

    Examples
    --------
    >>> import tempfile, numpy as np, legstat as ls
    >>> f, design = ls.simulate.linear(np.ones((4, 4))), ls.StructuredGaussian(grid=(4, 4), scale=0.02)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for n in (101, 101, 201):
    ...         sample = ls.query(f, np.full((1, 8, 8), 0.5), design, n, rng=0, cache=ls.QueryCache(folder))
    ...         print(sample.ledger.spent, sample.ledger.cached)
    101 0
    0 101
    100 101
    """

    def __init__(self, folder: str | Path) -> None:
        if not isinstance(folder, str | Path):
            raise TypeError(invalid("QueryCache", "folder", folder, "the path of a folder"))
        self.folder = Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            text = f"It could not be made: {error}."
            raise ValueError(
                invalid("QueryCache", "folder", str(folder), "a folder, or a path for one", text)
            ) from error

    @property
    def file(self) -> Path:
        """The SQLite file."""
        return self.folder / "answers.sqlite3"

    @contextmanager
    def opened(self) -> Iterator[Answers]:
        """The answers, for the thread that opens them and until the end of the ``with`` block.

        Yields
        ------
        Answers
            What `query` asks and tells.
        """
        answers = Answers(self.file)
        try:
            yield answers
        finally:
            answers.close()

    def __repr__(self) -> str:
        return f"QueryCache({str(self.folder)!r})"


def as_cache(cache: QueryCache | str | Path) -> QueryCache:
    """A cache from itself or the path of its folder.

    Parameters
    ----------
    cache : QueryCache or str or Path
        What the user passed.

    Returns
    -------
    QueryCache
        The cache.
    """
    return cache if isinstance(cache, QueryCache) else QueryCache(cache)
