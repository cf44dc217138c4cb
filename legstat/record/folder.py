"""The folder of a run: its files are replaced together, and its record says which belong together."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

from legstat._core.digests import file_sha256
from legstat._core.errors import LegstatWarning, invalid
from legstat._core.files import replacing, write_text
from legstat._core.npz import loading_arrays, save_arrays
from legstat._core.typing import JSON, FloatArray
from legstat.estimators.found_regions import Regions
from legstat.estimators.leg_results import LEGResults
from legstat.estimators.legtv_results import LEGTVResults
from legstat.estimators.path import LEGTVPath
from legstat.record.numbers import path_arrays
from legstat.record.writing import write_record
from legstat.report.pages.explanation import ExplainedPicture, save_page
from legstat.report.summary import joint_summary
from legstat.samples.sample import QuerySample

NUMBERS = ("sample.npz", "leg.npz", "legtv.npz", "path.npz", "summary.txt")
REGIONS = "regions.npz"
"""Beside them where regions were tested."""
FIGURES = ("leg.png", "legtv.png", "explanation.png", "summary.html")
FILES = (*NUMBERS, *FIGURES, "record.json")
"""What the folder of a run holds. The record comes last: where it is, all that it speaks of is there."""

_ROOM = 1 << 22
"""Bytes that must fit before anything is spent: a run's files are one to four megabytes."""


@dataclass(frozen=True, eq=False)
class SavedPath:
    """The path of LEG-TV as path.npz keeps it: the solutions, without what is needed to solve at further L.

    Attributes
    ----------
    Ls : ndarray of shape (k,)
        L of each solution, descending.
    params : ndarray of shape (P p, k)
        The estimates side by side.
    heldout_r2, heldout_std_errors : ndarray of shape (k,) or None
        Out-of-sample R^2 at each L, where it was measured.
    choice : dict
        How the reported L was chosen: the arguments of `LEGTVPath.select`.

    Examples
    --------
    >>> import numpy as np, legstat as ls
    >>> f = ls.simulate.linear(np.eye(4))
    >>> found = ls.explain(f, np.full((1, 4, 4), 0.5), perturbation=ls.Additive(), n_queries=100, rng=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = found.save(folder)
    ...     path = SavedPath.load(Path(folder) / "path.npz")
    >>> bool((path.params == found.path.params).all()), path.choice
    (True, {'L': 'readable'})
    """

    Ls: FloatArray
    params: FloatArray
    heldout_r2: FloatArray | None
    heldout_std_errors: FloatArray | None
    choice: JSON

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read the path.npz of a run; ValueError for any other file."""
        with loading_arrays(path, "LEGTVPath") as (header, arrays):
            measured = (arrays.get("heldout_r2"), arrays.get("heldout_std_errors"))
            # the rule was an argument of its own in schema 1
            choice = {"L" if name == "rule" else name: value for name, value in header["choice"].items()}
            return cls(arrays["Ls"], arrays["params"], *measured, choice)


def prepare(folder: str | Path) -> None:
    """Make the folder of a run and try to write there, so that a fault shows before anything is spent.

    Parameters
    ----------
    folder : str or Path
        The folder; it may exist and hold an earlier run.

    Raises
    ------
    ValueError
        If it cannot be made, cannot be written to, has no room, or another folder stands where a file must go.
    """
    home = Path(folder)
    try:
        home.mkdir(parents=True, exist_ok=True)
        _refuse_folders(home)
        probe = home / ".legstat-probe"
        with replacing(probe) as stream:
            stream.write(bytes(_ROOM))
        probe.unlink()
    except OSError as error:
        valid = f"a folder to write to, with {_ROOM >> 20} MB to spare"
        raise ValueError(invalid("save", "folder", str(folder), valid, f"{type(error).__name__}: {error}.")) from error


def save_run(
    folder: str | Path,
    record: JSON,
    sample: QuerySample,
    leg: LEGResults,
    path: LEGTVPath,
    tv: LEGTVResults,
    regions: Regions | None = None,
    *,
    path_points: int = 0,
) -> list[Path]:
    """Write a run into a folder: numbers and record first and all at once, then the figures.

    An earlier run there is replaced as a whole. A fault before the last file of numbers is on the disk leaves it as it
    was; a figure that cannot be drawn is a warning.

    Parameters
    ----------
    folder : str or Path
        Where to; made where it is missing. Other files there are left alone.
    record : dict
        What `make_record` made of the same run.
    sample, leg, path, tv : QuerySample, LEGResults, LEGTVPath, LEGTVResults
        The run.
    regions : Regions, optional
        Where they were tested.
    path_points : int, default 0
        Points of the path to show in the panel.

    Returns
    -------
    list of Path
        The files that were written, the record last.

    Raises
    ------
    OSError
        If the numbers cannot be written.
    """
    home, summary = Path(folder), joint_summary(leg, tv, regions)
    written = NUMBERS if regions is None else (*NUMBERS, REGIONS)
    with _replaced_together(home, (REGIONS, *FILES)) as new:
        if regions is not None:
            regions.save(new / REGIONS)
        sample.save(new / "sample.npz")
        leg.save(new / "leg.npz")
        tv.save(new / "legtv.npz")
        save_arrays(new / "path.npz", "LEGTVPath", {"choice": record["estimators"]["choice"]}, path_arrays(path))
        write_text(new / "summary.txt", summary.as_text() + "\n")
        write_record(record | {"files": _digests(new, written)}, new / "record.json")
    with _faults_are_warnings("the figures"):
        from legstat.report import plots  # here: matplotlib is slow to load, and refuses some settings of its own

        with _faults_are_warnings("leg.png"):
            plots.save_overlay(leg, home / "leg.png")
        with _faults_are_warnings("legtv.png"):
            plots.save_overlay(tv, home / "legtv.png")
        with _faults_are_warnings("explanation.png"):
            draw = partial(plots.plot_explanation, leg, tv, path, regions, path_points=path_points)
            plots.save_figure(draw, home / "explanation.png")
    with _faults_are_warnings("summary.html"):
        name = record["inputs"]["picture"]["file"] or "the picture"
        picture = ExplainedPicture(name, leg, tv, path, path_arrays(path).get("heldout_r2"), regions)
        save_page(home / "summary.html", picture, record, summary, digests=_digests(home, written))
    drawn = [name for name in (*written, *FIGURES) if (home / name).exists()]
    write_record(record | {"files": _digests(home, drawn)}, home / "record.json")
    return [home / name for name in (*drawn, "record.json")]


def keep_sample(sample: QuerySample, folder: str | Path, *, over: str | Path | None = None) -> Path:
    """Save a sample that nothing else holds: into the folder, or where that fails, to another place.

    Parameters
    ----------
    sample : QuerySample
        What was paid for.
    folder : str or Path
        Where to, as partial.npz; partial-2.npz and so on where other samples are kept there.
    over : str or Path, optional
        A file that may be overwritten, for the sample holds all that is in it.

    Returns
    -------
    Path
        Where it lies: in the folder, the current one, or the system's folder of temporary files.

    Raises
    ------
    OSError
        If none of them can be written to.
    """
    faults: list[OSError] = []
    for place in (Path(folder), Path.cwd(), Path(tempfile.gettempdir())):
        try:
            place.mkdir(parents=True, exist_ok=True)
            kept = _free(place, over)
            sample.save(kept)
        except OSError as error:
            faults.append(error)
        else:
            return kept
    raise faults[0]


def _free(place: Path, over: str | Path | None) -> Path:
    number, kept = 1, place / "partial.npz"
    while kept.exists() and not (over is not None and Path(over).exists() and kept.samefile(over)):
        number += 1
        kept = place / f"partial-{number}.npz"
    return kept


def _digests(home: Path, names: Sequence[str]) -> dict[str, str]:
    return {name: file_sha256(home / name) for name in names}


def _refuse_folders(home: Path) -> None:
    for name in (REGIONS, *FILES):
        if (home / name).is_dir():
            raise IsADirectoryError(f"a folder stands where {name} is to go")


@contextlib.contextmanager
def _faults_are_warnings(name: str) -> Iterator[None]:
    """The numbers are written: no fault of a drawing library may look like a failed run."""
    try:
        yield
    except Exception as error:
        text = f"{name} could not be made ({type(error).__name__}: {error}); numbers, summary and record are written."
        warnings.warn(text, LegstatWarning, stacklevel=4)


@contextlib.contextmanager
def _replaced_together(home: Path, names: Sequence[str]) -> Iterator[Path]:
    """A folder whose files take the place of all files of these names in `home`, once the body is through.

    It lies within `home`: a folder beside it may be on another disk, or not ours to write. The last name is the first
    to go and the last to come.
    """
    home.mkdir(parents=True, exist_ok=True)
    _refuse_folders(home)
    new = Path(tempfile.mkdtemp(prefix=".legstat-", dir=home))
    old = new / "replaced"
    old.mkdir()
    moved: list[tuple[Path, Path]] = []

    def move(name: str, source: Path, target: Path) -> None:
        if (source / name).exists():
            (source / name).rename(target / name)
            moved.append((source / name, target / name))

    try:
        yield new
        try:
            for name in reversed(names):
                move(name, home, old)
            for name in names:
                move(name, new, home)
        except BaseException:
            for source, target in reversed(moved):
                target.rename(source)
            raise
    finally:
        shutil.rmtree(new, ignore_errors=True)
