"""What a comparison costs beside the forward passes it needs; workers; going on from a store.

SqueezeNet 1.1, one thread a session. "bare" runs the same number of pictures, ready made, through the same session in
batches of the same size. Rows: the whole comparison; one of RISE alone, which has no estimation of its own; the whole
from its store; these in processor seconds, which a busy machine does not add to. The last row, two workers, has the
time on the clock over that of one.

Run: LEGSTAT_DATA=... python benchmarks/bench_comparison.py [pictures] [evaluations]
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
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

    def compared(methods: Sequence[str], n_jobs: int, store: Path | None = None) -> tuple[ls.Comparison, float, float]:
        clock, start = time.perf_counter(), time.process_time()
        found = ls.compare(
            methods, f, images, n_queries=[evaluations], metrics=METRICS, n_jobs=n_jobs, store=store, progress=False
        )
        return found, time.process_time() - start, time.perf_counter() - clock

    def asked(found: ls.Comparison) -> int:
        return int(found.evaluations()[["spent", "metrics"]].to_numpy().sum())

    def bare(n: int) -> float:
        bound, _ = f.bind(next(iter(images.values())))
        batch = np.random.default_rng(0).random((bound.batch_size, 3, 224, 224), dtype=np.float32)
        start = time.process_time()
        for at in range(0, n, bound.batch_size):
            bound(batch[: min(bound.batch_size, n - at)])
        return time.process_time() - start

    with tempfile.TemporaryDirectory() as folder:
        first, whole, alone = compared(METHODS, 1, Path(folder))
        again, kept, _ = compared(METHODS, 1, Path(folder))
    rise, single, _ = compared(["rise"], 1)
    two, _, side_by_side = compared(METHODS, 2)
    if not first.rows == again.rows == two.rows:
        raise AssertionError("the rows differ")
    n, m = asked(first), asked(rise)
    passes, few = bare(n), bare(m)
    rows = [
        {"what": "comparison", "evaluations": n, "seconds": whole, "bare": passes, "ratio": whole / passes},
        {"what": "RISE alone", "evaluations": m, "seconds": single, "bare": few, "ratio": single / few},
        {"what": "from its store", "evaluations": 0, "seconds": kept, "bare": passes, "ratio": kept / passes},
        {
            "what": "two workers",
            "evaluations": n,
            "seconds": side_by_side,
            "bare": alone,
            "ratio": side_by_side / alone,
        },
    ]
    save("comparison", rows, pictures=len(images), budget=evaluations, methods=list(METHODS))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
