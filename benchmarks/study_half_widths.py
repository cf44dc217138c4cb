"""How much narrower the intervals of boxes are under blocks than under the structured law, at equal evaluations.

The pictures of `study_comparison.py`, 28 x 28 cells, `Blend("blur")`, pairs, log-odds, 2,000 evaluations a law.
Standard errors are those of cross-fitted moments, of LEG's sums over the 16 boxes of 7 x 7 cells, those of 4 x 4, and
over single cells; R^2 is that of shrunken ("adaptive") moments, out of sample, under the law that they were drawn from.

Rows are saved after each picture; a run that was stopped, or whose minutes were over (exit status 3), goes on there.

Run: LEGSTAT_DATA=... python benchmarks/study_half_widths.py [--pictures 24] [--minutes M]
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from pictures import NETWORKS
from study_comparison import chosen, opened
from study_laws import errors
from timing import RESULTS, write

import legstat as ls
from legstat._core.files import json_value
from legstat._core.typing import FloatArray
from legstat.estimators.heldout import heldout_r2

GRID, N = (28, 28), 2000
LAWS = {"blocks": ls.MultiscaleBlocks(GRID), "structured": ls.StructuredGaussian(GRID, scale=0.25)}
FILE = RESULTS / "half_widths.json"


def measured(f: ls.Response, image: FloatArray, seed: int) -> dict[str, Any]:
    """Standard errors and R^2 of one picture under each law."""
    found: dict[str, Any] = {}
    for law, design in LAWS.items():
        sample = ls.query(f, image, design, N, perturbation=ls.Blend(), rng=seed, batch_size=2, progress=False)
        shrunken = heldout_r2(sample, lambda fold, of=sample: of.moments("adaptive", leave_out=fold).gamma[None])
        found[law] = {**errors(sample), "r2": float(shrunken.r2[0])}
    return found


def main() -> None:
    """Measure all pictures of both networks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=24)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    asked = parser.parse_args()
    end = time.monotonic() + 60.0 * asked.minutes
    rows: list[dict[str, Any]] = json_value(FILE.read_text(encoding="utf-8"))["rows"] if FILE.is_file() else []
    known = {(row["network"], row["picture"]) for row in rows}
    for network in NETWORKS:
        f = opened(network, "cpu")
        for seed, (picture, image) in enumerate(chosen(network, "cpu", asked.pictures).items()):
            if (network, picture) in known:
                continue
            if time.monotonic() > end:
                raise SystemExit(3)
            rows.append({"network": network, "picture": picture, "n_queries": N, **measured(f, image, seed)})
            write("half_widths", {"rows": rows})
            print(network, picture, {law: rows[-1][law]["7 x 7"] for law in LAWS}, flush=True)


if __name__ == "__main__":
    main()
