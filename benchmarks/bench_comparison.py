"""What a comparison costs beside the forward passes it needs; workers; going on from a store.

SqueezeNet 1.1, one thread a session. "bare" runs the same number of pictures, ready made, through the same session in
batches of the same size. Rows: the whole comparison; the same with two workers; the same from its store.

Run: LEGSTAT_DATA=... python benchmarks/bench_comparison.py [pictures] [evaluations]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from pictures import classified, network
from timing import save

import legstat as ls

METHODS = ("leg", "rise", "lime_cells", "hsic", "sobol", "occlusion", "c_shapley", "random")


METRICS = ("deletion", "insertion")


def main(pictures: int = 2, evaluations: int = 300) -> None:
    """Time the three and save the table."""
    f = network("squeezenet1.1", threads=1)
    images = dict(classified("squeezenet1.1", pictures))

    def compared(n_jobs: int, store: Path | None = None) -> tuple[ls.Comparison, float]:
        start = time.perf_counter()
        found = ls.compare(
            METHODS, f, images, n_queries=[evaluations], metrics=METRICS, n_jobs=n_jobs, store=store, progress=False
        )
        return found, time.perf_counter() - start

    def bare(n: int) -> float:
        bound, _ = f.bind(next(iter(images.values())))
        batch = np.random.default_rng(0).random((bound.batch_size, 3, 224, 224), dtype=np.float32)
        start = time.perf_counter()
        for at in range(0, n, bound.batch_size):
            bound(batch[: min(bound.batch_size, n - at)])
        return time.perf_counter() - start

    with tempfile.TemporaryDirectory() as folder:
        first, alone = compared(1, Path(folder))
        totals = first.evaluations()
        n = int(totals["spent"].sum() + totals["metrics"].sum())
        passes = bare(n)
        again, kept = compared(1, Path(folder))
    two, side_by_side = compared(2)
    if not first.rows == again.rows == two.rows:
        raise AssertionError("the rows differ")
    rows = [
        {"what": "bare forward passes", "evaluations": n, "seconds": passes, "over bare": 1.0},
        {"what": "comparison", "evaluations": n, "seconds": alone, "over bare": alone / passes},
        {"what": "two workers", "evaluations": n, "seconds": side_by_side, "over bare": side_by_side / passes},
        {"what": "from its store", "evaluations": 0, "seconds": kept, "over bare": kept / passes},
    ]
    save("comparison", rows, pictures=len(images), budget=evaluations, methods=list(METHODS))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
