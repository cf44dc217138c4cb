"""A comparison as a folder of files."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from legstat._core.files import json_text, write_text
from legstat._core.typing import FloatArray
from legstat.comparison.results import Comparison

if TYPE_CHECKING:
    import pandas as pd

_OURS = ("differences.csv", "differences_*.png", "deletion.png", "insertion.png", "maps.png")
_SHOWN = 8
"""Pictures whose maps are drawn."""


def save_folder(found: Comparison, folder: str | Path, images: Mapping[str, FloatArray], *, against: str) -> list[Path]:
    """Write tables, numbers and figures of a comparison.

    Parameters
    ----------
    found : Comparison
        What is written.
    folder : str or Path
        Where to; it is there.
    images : mapping of str to ndarray of shape (C, H, W)
        The pictures, for the figure of the maps; the first eight are drawn.
    against : str
        Name of the method that others are compared with.

    Returns
    -------
    list of Path
        The files: ``rows.csv``, ``summary.csv``, ``ranks.csv``, ``evaluations.csv``, ``comparison.json`` (for
        `Comparison.load`), ``pictures.json``, ``summary.txt``; of two pictures and two methods or more
        ``differences.csv``; and figures.
    """
    home, files = Path(folder), []
    for pattern in _OURS:  # of an earlier comparison there, which may have had other metrics
        for file in home.glob(pattern):
            file.unlink()

    def table(name: str, frame: pd.DataFrame) -> None:
        write_text(home / name, frame.to_csv(index=False))
        files.append(home / name)

    summary = found.summary()
    table("rows.csv", found.to_frame())
    table("summary.csv", summary)
    table("ranks.csv", found.ranks())
    table("evaluations.csv", found.evaluations())
    if can_differ(found):
        table("differences.csv", found.differences(against))
    found.save(home / "comparison.json")
    about = {"pictures": found.pictures, "dropped": found.dropped}
    write_text(home / "pictures.json", json_text(about, indent=1) + "\n")
    write_text(home / "summary.txt", str(summary) + "\n")
    files += [home / name for name in ("comparison.json", "pictures.json", "summary.txt")]
    return files + _drawn(found, home, images, against)


def can_differ(found: Comparison) -> bool:
    """Whether there is anything to compare: two methods, and two pictures for a standard error."""
    counts = [len({row[name] for row in found.rows}) for name in ("method", "picture")]
    return min(counts) >= 2


def _drawn(found: Comparison, home: Path, images: Mapping[str, FloatArray], against: str) -> list[Path]:
    from legstat.report.plots import save_figure  # matplotlib is slow to load

    curves = [kind for kind in ("deletion", "insertion") if all(kind in one.curves for one in found.outcomes)]
    for kind in curves:
        save_figure(partial(found.plot_curves, kind), home / f"{kind}.png")
    metrics = list(dict.fromkeys(row["metric"] for row in found.rows)) if can_differ(found) else []
    for metric in metrics:
        save_figure(partial(found.plot_differences, against, metric), home / f"differences_{metric}.png")
    kept = [name for name in images if name not in found.dropped]
    shown = {name: images[name] for name in kept[:_SHOWN]}
    save_figure(partial(found.plot_maps, shown), home / "maps.png")
    names = [*(f"{kind}.png" for kind in curves), *(f"differences_{metric}.png" for metric in metrics), "maps.png"]
    return [home / name for name in names]
