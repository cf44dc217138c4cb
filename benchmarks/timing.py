"""What the benchmark scripts share: interleaved timing, the machine's description, results on disk.

Results go to ``benchmarks/results``, or to the folder that BENCHMARK_RESULTS names.

Ratios are what counts: both sides of a ratio are timed in turn in one process, and the best of the repeats is taken,
since a shared machine only ever adds time.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from legstat._core.files import write_text

HOME = Path(__file__).resolve().parent
RESULTS = Path(os.environ.get("BENCHMARK_RESULTS") or HOME / "results")
TOLD = ("numpy", "scipy", "highspy", "clarabel", "cvxpy", "pylmcf", "onnxruntime", "torch")
"""Packages whose versions are told, where a script has loaded them: the names they are installed and imported by."""
SETTINGS = ("OMP_NUM_THREADS", "LEGSTAT_DATA")
"""Variables of the environment that a command is told with."""


def best_times(
    calls: dict[str, Callable[[], Any]], repeats: int = 7, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Best seconds of each call, the calls taken in turn; `time.process_time` where one thread does all the work."""
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(repeats):
        for name, call in calls.items():
            start = clock()
            call()
            best[name] = min(best[name], clock() - start)
    return best


def paired_ratios(ours: Callable[[], Any], bare: Callable[[], Any], rounds: int) -> tuple[float, float, float]:
    """(ratio of the best times, median of the ratios of neighbouring runs, best time of `bare`).

    The two are run in turn, which of them first in turn too. On a machine whose speed changes from second to second the
    best of one may come from a faster moment than the best of the other; neighbours share their moment.
    """
    times: dict[str, list[float]] = {"ours": [], "bare": []}
    for number in range(rounds):
        for name, call in (("ours", ours), ("bare", bare))[:: 1 if number % 2 else -1]:
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    ratios = [a / b for a, b in zip(times["ours"], times["bare"], strict=True)]
    return min(times["ours"]) / min(times["bare"]), statistics.median(ratios), min(times["bare"])


def machine() -> dict[str, Any]:
    """What a reader needs to place figures and to repeat them: processor, load, versions, day, command."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "versions": {name: version(name) for name in TOLD if name in sys.modules},
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": command(),
    }


def command() -> str:
    """The command line from the root of the project, with the variables that matter; a folder of data is left out."""
    values = {name: os.environ[name] for name in SETTINGS if os.environ.get(name)}
    settings = [f"{name}={'...' if name == 'LEGSTAT_DATA' else value}" for name, value in values.items()]
    script = Path(sys.argv[0]).resolve()
    inside = script.relative_to(HOME.parent) if script.is_relative_to(HOME.parent) else script.name
    return " ".join([*settings, "python", str(inside), *map(shlex.quote, sys.argv[1:])])


def write(name: str, found: dict[str, Any]) -> None:
    """Write results/<name>.json, the machine first."""
    RESULTS.mkdir(exist_ok=True, parents=True)
    write_text(RESULTS / f"{name}.json", json.dumps({"machine": machine(), **found}, indent=1) + "\n")


def save(name: str, rows: list[dict[str, Any]], **facts: Any) -> None:
    """Write results/<name>.json and print the rows as a markdown table."""
    write(name, {**facts, "rows": rows})
    show(rows)


def show(rows: list[dict[str, Any]], title: str = "") -> None:
    """Print rows as a markdown table."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    heading = f"\n{title}\n\n" if title else ""
    if not rows:
        print(heading.rstrip())
        return
    print(heading + "| " + " | ".join(columns) + " |")
    print("|" + "---|" * len(columns))
    for row in rows:
        print("| " + " | ".join(f"{v:.4g}" if isinstance(v, float) else str(v) for v in map(row.get, columns)) + " |")
