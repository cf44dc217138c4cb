"""Run the benchmarks and compare their ratios with the last committed results.

Ratios are compared, never seconds: both sides of a ratio were timed in one process, so that another machine or its load
changes them little. One that is worse than the committed one by more than the tolerance is told, and the exit code is
1. New results go to a folder of their own; --write puts them in place of the committed ones.

Run: [LEGSTAT_DATA=...] OMP_NUM_THREADS=1 python benchmarks/run_all.py [--quick] [--only sampler lp] [--write]

--quick takes some minutes: small sizes, few repeats, and what needs longer left out. Benchmarks that need real networks
are left out where there are none.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from timing import show

HOME = Path(__file__).resolve().parent
COMMITTED = HOME / "results"
DATA = Path(os.environ.get("LEGSTAT_DATA", HOME.parents[1] / "shared" / "data"))


@dataclass(frozen=True)
class Compared:
    """Which numbers of a result are ratios that can be compared.

    Attributes
    ----------
    result : str
        Name of the file in ``results``.
    keys : tuple of str
        What tells its rows apart.
    low, high : tuple of str
        Ratios of which small, or large, values are good.
    part : str
        Which list of rows.
    """

    result: str
    keys: tuple[str, ...]
    low: tuple[str, ...] = ()
    high: tuple[str, ...] = ()
    part: str = "rows"


@dataclass(frozen=True)
class Benchmark:
    """A script, and what is compared of it; `quick` are its arguments under --quick, None where it takes too long."""

    script: str
    compared: tuple[Compared, ...]
    arguments: tuple[str, ...] = ()
    quick: tuple[str, ...] | None = ()
    data: bool = False


BENCHMARKS = {
    "sampler": Benchmark(
        "bench_sampler.py",
        (Compared("sampler", ("grid",), ("over the same generator's normals (Philox)",)),),
    ),
    "lp": Benchmark(
        "bench_lp.py",
        (Compared("lp", ("28 x 28", "L/L_max"), high=("cpu",), part="against_dense"),),
        quick=("--quick",),
    ),
    "path": Benchmark(
        "bench_path.py",
        (Compared("path", ("28 x 28",), high=("Clarabel/this, cpu",), part="against_dense"),),
        quick=("--quick",),
    ),
    "lift": Benchmark(
        "bench_lift.py", (Compared("lift", ("grid", "what"), ("cpu / path to 0.05",)),), ("--quick",), ("--quick",)
    ),
    "selection": Benchmark(
        "bench_selection.py",
        (Compared("selection", ("grid", "L/L_max", "selection"), high=("rival/in use",)),),
        quick=("--quick",),
    ),
    "memory": Benchmark(
        "bench_memory.py", (Compared("memory", ("queries",), ("over 1,000 queries",)),), quick=("--quick",)
    ),
    "queries": Benchmark(
        "bench_queries.py",
        (
            Compared(
                "queries",
                ("model", "perturbation", "batch"),
                ("median of neighbours", "whole loop / its own session.run"),
            ),
        ),
        quick=("--quick",),
        data=True,
    ),
    "metrics": Benchmark(
        "bench_metrics.py",
        (
            Compared("metrics", ("what",), ("over its forward passes, median",)),
            Compared("metrics_comparison", ("what",), ("over its forward passes",)),
        ),
        quick=("metrics",),
        data=True,
    ),
    "comparison": Benchmark(
        "bench_comparison.py", (Compared("comparison", ("what",), ("ratio",)),), quick=("1", "200"), data=True
    ),
    "audit": Benchmark("bench_audit.py", (Compared("audit", ("what",), ("ratio",)),), quick=("40", "10")),
    "fused": Benchmark(
        "bench_fused.py",
        (Compared("fused", ("model", "perturbation", "batch"), ("inside / outside, processor",)),),
        quick=None,
        data=True,
    ),
    "baselines": Benchmark(
        "bench_baselines.py",
        (Compared("bench_baselines", ("method", "iterations"), ("over its passes",)),),
        quick=("1",),
        data=True,
    ),
    "cache": Benchmark("bench_cache.py", ()),
    "estimation": Benchmark("bench_estimation.py", (), quick=None, data=True),
    "batch_size": Benchmark(
        "bench_batch_size.py",
        (Compared("batch_size", ("model", "threads"), ("default / best",)),),
        quick=None,
        data=True,
    ),
    "torch": Benchmark(
        "bench_torch.py",
        (Compared("torch", ("width", "run", "perturbation", "batch"), ("outside / bare", "inside / bare")),),
        ("--full",),
        ("--queries", "32", "--repeats", "2", "--runs", "as it is"),
    ),
}


def run(name: str, folder: Path, *, quick: bool) -> str | None:
    """Run one benchmark into a folder; why it was not run, or what went wrong, or None."""
    one = BENCHMARKS[name]
    if quick and one.quick is None:
        return "left out by --quick"
    if one.data and not (DATA / "models").is_dir():
        return "needs real networks: set LEGSTAT_DATA"
    arguments = (one.quick or ()) if quick else one.arguments
    paths = os.pathsep.join([str(HOME.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, str(HOME / one.script), *arguments],
        env={**os.environ, "BENCHMARK_RESULTS": str(folder), "PYTHONPATH": paths},
        check=False,
    )
    return f"failed with exit code {done.returncode}" if done.returncode else None


def compared(what: Compared, folder: Path, tolerance: float) -> list[dict[str, Any]]:
    """The ratios of a new result beside the committed ones, the rows that both have."""
    new, old = (_rows(place / f"{what.result}.json", what) for place in (folder, COMMITTED))
    found = []
    for key in new.keys() & old.keys():
        for column, sign in [*((c, 1) for c in what.low), *((c, -1) for c in what.high)]:
            now, then = new[key].get(column), old[key].get(column)
            if isinstance(now, int | float) and isinstance(then, int | float) and min(now, then) > 0:
                worse = (now / then) ** sign
                found.append({"result": what.result, "case": ", ".join(map(str, key)), "ratio": column,
                              "committed": then, "now": now, "worse by": worse, "told": worse > tolerance})  # fmt: skip
    return sorted(found, key=lambda row: (row["case"], row["ratio"]))


def _rows(file: Path, what: Compared) -> dict[tuple[Any, ...], dict[str, Any]]:
    if not file.is_file():
        return {}
    rows = json.loads(file.read_text(encoding="utf-8"))[what.part]
    return {tuple(row.get(key) for key in what.keys): row for row in rows}


def main() -> int:
    """Run, compare, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes, few repeats")
    parser.add_argument("--only", nargs="+", choices=list(BENCHMARKS), default=list(BENCHMARKS), help="which")
    parser.add_argument("--tolerance", type=float, default=1.3, help="how much worse a ratio may be (default 1.3)")
    parser.add_argument("--out", type=Path, help="folder for the new results; a temporary one by default")
    parser.add_argument("--write", action="store_true", help="put them in place of the committed ones (not --quick)")
    asked = parser.parse_args()
    if asked.write and asked.quick:
        parser.error("--write takes full runs: leave out --quick")
    folder = asked.out or Path(tempfile.mkdtemp(prefix="benchmarks-"))
    rows, failed = [], []
    for name in asked.only:
        print(f"\n=== {name}", flush=True)
        note = run(name, folder, quick=asked.quick)
        if note is not None:
            print(f"{name}: {note}")
            failed += [name] if note.startswith("failed") else []
            continue
        found = [row for what in BENCHMARKS[name].compared for row in compared(what, folder, asked.tolerance)]
        rows += found
        show(found, f"{name}: {len(found)} ratios that both runs have")
    print(f"results: {folder}")
    if asked.write:
        for file in folder.iterdir():
            shutil.copy(file, COMMITTED / file.name)
    worse = [row for row in rows if row["told"]]
    show(
        worse,
        f"Of {len(rows)} ratios {len(worse)} are worse by more than {asked.tolerance:g}; failed: {failed or 'none'}",
    )
    return int(bool(worse or failed))


if __name__ == "__main__":
    sys.exit(main())
