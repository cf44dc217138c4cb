"""Answers kept on disk: what keeping costs a batch, what serving takes, how large the file is.

Processor seconds beside those of the same run without a cache, the two in turn; the network is the shipped one, whose
passes are short. Keeping is one transaction a batch.

Run: python benchmarks/bench_cache.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from timing import best_times, save

import legstat as ls
from legstat.data import digits_model_path, load_digit

QUERIES, BATCH, REPEATS = 6000, 32, 25


def main() -> None:
    """Time the run bare, kept and served."""
    image, design = load_digit(5)[0], ls.StructuredGaussian(grid=(8, 8), scale=0.1)
    f = ls.onnx_response(digits_model_path(), threads=1, batch_size=BATCH)
    how: dict[str, Any] = {"n_queries": QUERIES, "rng": 0, "progress": False}
    with tempfile.TemporaryDirectory() as folder:
        numbers = iter(range(REPEATS))
        times = best_times(
            {
                "bare": lambda: ls.query(f, image, design, **how),
                "kept": lambda: ls.query(f, image, design, cache=f"{folder}/{next(numbers)}", **how),
                "served": lambda: ls.query(f, image, design, cache=f"{folder}/0", **how),
            },
            REPEATS,
        )
        size = sum(file.stat().st_size for file in Path(folder, "0").iterdir())
    batches = -(-QUERIES // BATCH)
    row = {"queries": QUERIES, "batch": BATCH, "keeping, ms a batch": 1e3 * (times["kept"] - times["bare"]) / batches}
    save("cache", [row | {"serving, ms": 1e3 * times["served"], "file, kB": size / 1e3}])


if __name__ == "__main__":
    main()
