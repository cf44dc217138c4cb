"""What the benchmark scripts share: interleaved timing, the machine's description, results on disk.

Ratios are what counts: both sides of a ratio are timed in turn in one process, and the best of the repeats is taken,
since a shared machine only ever adds time.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def best_times(calls: dict[str, Callable[[], Any]], repeats: int = 7) -> dict[str, float]:
    """Best seconds of each call, the calls taken in turn."""
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(repeats):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            best[name] = min(best[name], time.perf_counter() - start)
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
    """Processor, cores, load and Python: what a reader needs to place the figures."""
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
    }


def save(name: str, rows: list[dict[str, Any]], **facts: Any) -> None:
    """Write results/<name>.json and print the rows as a markdown table."""
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps({"machine": machine(), **facts, "rows": rows}, indent=1)
    (RESULTS / f"{name}.json").write_text(text + "\n")
    columns = list(dict.fromkeys(key for row in rows for key in row))
    print("| " + " | ".join(columns) + " |")
    print("|" + "---|" * len(columns))
    for row in rows:
        print("| " + " | ".join(f"{v:.4g}" if isinstance(v, float) else str(v) for v in map(row.get, columns)) + " |")
