"""Resident memory of a query run against n_queries: flat is the target.

Each run is a process of its own; what is reported is its peak resident set. The network is the shipped digit
classifier, so that long runs end soon: the loop is the same for every network.

Run: python benchmarks/bench_memory.py [--quick]        (--quick: up to 6,000)
"""

from __future__ import annotations

import subprocess
import sys

from timing import save

SIZES = (1_000, 6_000, 50_000, 200_000)
CHILD = """
import resource, sys
import legstat as ls
from legstat.data import digits_model_path, load_digit
f = ls.onnx_response(digits_model_path())
ls.query(f, load_digit(0)[0], ls.StructuredGaussian(grid=(8, 8), scale=0.1), int(sys.argv[1]), rng=0, progress=False)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def main() -> None:
    """Run each size in its own process and save the table."""
    rows = []
    for n in SIZES[:2] if "--quick" in sys.argv else SIZES:
        done = subprocess.run([sys.executable, "-c", CHILD, str(n)], capture_output=True, text=True, check=True)
        rows.append({"queries": n, "peak resident MiB": float(done.stdout)})
    for row in rows:
        row["over 1,000 queries"] = row["peak resident MiB"] / rows[0]["peak resident MiB"]
    save("memory", rows)


if __name__ == "__main__":
    main()
