"""Studies behind figures: read from ``paper_figures/results`` where they were stored, run where they were not.

``python paper_figures/stored.py fig05 [--jobs 2]`` runs the studies of a figure at full size and stores them; a run
that is stopped goes on with the same command. ``--table`` only prints the stored exponents, as docs/studies has them.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legstat.studies import SampleSizeStudy, StudyResults

HOME = Path(__file__).resolve().parent
STUDIES = HOME.parent / "benchmarks" / "results"
FULL_SIZE = ("fig05", "fig06")


def study(name: str) -> dict[str, Any]:
    """What a script of `benchmarks` found, as it is stored there."""
    found: dict[str, Any] = json.loads((STUDIES / f"{name}.json").read_text(encoding="utf-8"))
    return found


def maps_of(name: str) -> dict[str, NDArray[np.uint8]]:
    """The maps that a script of `benchmarks` kept, in 256 steps; none where it has not run."""
    file = STUDIES / f"{name}.npz"
    return dict(np.load(file)) if file.is_file() else {}


def averages(rows: Iterable[dict[str, Any]], keys: Sequence[str], values: Sequence[str]) -> dict[str, float]:
    """Means of some columns over the rows that agree in others: "key, key: column"."""
    groups: dict[str, list[float]] = {}
    for row in rows:
        for value in values:
            if row.get(value) is not None:
                groups.setdefault(", ".join(str(row[key]) for key in keys) + f": {value}", []).append(float(row[value]))
    return {name: float(np.mean(found)) for name, found in groups.items()}


def results_of(name: str, study: SampleSizeStudy) -> StudyResults:
    """The stored results, if they are those of this very study; else it is run, and nothing stored."""
    file = HOME / "results" / f"{name}.csv"
    if file.is_file():
        kept = StudyResults.load(file)
        if kept.settings == json.loads(json.dumps(study.describe())):
            return kept
    return study.run(progress=False)


def table(name: str) -> str:
    """The exponents of a stored study beside the theorem's, as a table of markdown."""
    slopes = StudyResults.load(HOME / "results" / f"{name}.csv").slopes()
    lines = [
        "| term | estimator | design | exponent (95 % interval) | closed form | proof | paper | bound |",
        "|---|---|---|---|---|---|---|---|",
    ]
    order = {term: i for i, term in enumerate(dict.fromkeys(slopes["term"]))}
    for row in slopes.sort_values("term", key=lambda terms: terms.map(order), kind="stable").itertuples():
        theory = [_text(value) for value in (row.closed_form, row.proof, row.printed, row.bound)]
        exponent = f"{row.exponent:.2f} ({row.low:.2f} to {row.high:.2f})"
        cells = [row.term, f"`{row.estimator}`", row.design, exponent, *theory]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _text(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"


def main() -> None:
    """Run and store the studies of the figures named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("figures", nargs="+", choices=FULL_SIZE)
    parser.add_argument("--jobs", type=int, default=1, help="replicates at a time")
    parser.add_argument("--table", action="store_true", help="print the stored exponents, run nothing")
    options = parser.parse_args()
    sys.path.insert(0, str(HOME))
    out, results = HOME / "out", HOME / "results"
    out.mkdir(exist_ok=True)
    for figure in options.figures:
        (script,) = HOME.glob(f"{figure}_*.py")
        for name, study in importlib.import_module(script.stem).studies().items():
            if options.table:
                print(f"{name}\n\n{table(name)}")
                continue
            found = study.run(out / f"{name}.sqlite3", n_jobs=options.jobs)
            found.save(results / f"{name}.csv")
            print(f"{name}: {found}")


if __name__ == "__main__":
    main()
