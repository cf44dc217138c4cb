"""What the benchmark scripts share: interleaved timing, the machine's description, results on disk.

Ratios are what counts: both sides of a ratio are timed in turn in one process, and the best of the repeats is taken,
since a shared machine only ever adds time.
"""

from __future__ import annotations

import json
import os
import platform
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
