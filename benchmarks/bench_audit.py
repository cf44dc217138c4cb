"""What an audit costs beside the forward passes and the linear programs that it needs; its memory; two workers.

Digits of 8 x 8 pixels before the network that comes along, one thread a session, in processor seconds, which a busy
machine does not add to. "bare" asks for as many pictures, ready made, through the same session in batches of the same
size, and estimates LEG, LEG-TV and the regions that are tested from the samples that the audit drew: what no audit can
do without. "whole" has curves and the checks of each picture besides. The row of two workers has the time on the clock
over that of one. The memory is that of a run of all the pictures, with a given L: after a tenth of them, and at its
end.

Run: python benchmarks/bench_audit.py [pictures] [pictures that are timed]
"""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from sklearn.datasets import load_digits
from timing import save

import legstat as ls
from legstat.audit import AuditRun, Plan, audit, auditing
from legstat.audit.pictures import chosen_items
from legstat.audit.unit import REGIONS_L_RATIO, sample_again
from legstat.data import digits_model_path

N_QUERIES = 300


def main(pictures: int = 1000, timed: int = 100) -> None:
    """Measure and save the table."""
    f = ls.onnx_response(digits_model_path(), preprocessing="unit", threads=1)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        store = home / "digits.npz"
        np.savez(store, images=load_digits().images[:pictures] / 16.0)
        model = {"model": str(digits_model_path()), "preprocessing": "unit"}
        plan = Plan(places=(str(store),), model=model, n_queries=N_QUERIES, steps=0, checks=False)
        some = replace(plan, choice="every", every=max(1, pictures // timed))
        audit(f, replace(some, choice="every", every=pictures // 2), home / "warm", progress=False)

        rows: list[dict[str, Any]] = []
        whole = replace(some, steps=56, checks=True, randomised=0)
        clocks = []
        for workers in (1, 2):  # one after the other, on the clock: the machine must be idle for these two
            clock = time.perf_counter()
            audit(f, replace(whole, workers=workers), home / f"workers {workers}", progress=False)
            clocks.append(time.perf_counter() - clock)
        rows.append({"what": "two workers", "pictures": timed, "seconds": clocks[1], "passes": None, "estimates": None,
                     "ratio": clocks[0] / clocks[1]})  # fmt: skip
        for what, one in {"maps": some, "whole": whole}.items():
            start = time.process_time()
            run = audit(f, one, home / what, progress=False)
            seconds = time.process_time() - start
            passes, estimates = bare(f, run, one)
            base = passes + estimates
            rows.append({"what": what, "pictures": len(run), "seconds": seconds, "passes": passes,
                         "estimates": estimates, "ratio": seconds / base})  # fmt: skip
        rows.append(memory(f, replace(plan, L_ratio=0.1, L=None), home / "all"))
    save("audit", rows, n_queries=N_QUERIES)


def bare(f: ls.Response, run: AuditRun, plan: Plan) -> tuple[float, float]:
    """Processor seconds of the passes and of the estimates alone."""
    resolved = Plan.from_dict(run.plan)
    items = {one.name: one for one in chosen_items(plan)}
    samples = [sample_again(f, items[one.name], resolved, one) for one in run]
    bound, _ = f.bind(samples[0].image)
    asked = sum(one.facts["ledger"]["spent"] + one.facts["ledger"]["curves"] for one in run)
    batch = np.random.default_rng(0).random((bound.batch_size, *samples[0].image.shape), dtype=np.float32)
    start = time.process_time()
    for at in range(0, asked, bound.batch_size):
        bound(batch[: min(bound.batch_size, asked - at)])
    passes = time.process_time() - start
    start = time.process_time()
    for sample in samples:
        ls.Explanation.of(sample, **resolved.rule, relaxed=resolved.relaxed, progress=False)
        with suppress(ls.InferenceUnavailableError, ValueError):
            ls.region_inference(sample, L_ratio=REGIONS_L_RATIO)
    return passes, time.process_time() - start


def memory(f: ls.Response, plan: Plan, out: Path) -> dict[str, Any]:
    """Megabytes after a tenth of the pictures, and at the end."""
    process, seen = psutil.Process(), []
    audited = auditing.audit_picture

    def watched(*given: Any) -> Any:
        seen.append(process.memory_info().rss / 1e6)
        return audited(*given)

    auditing.audit_picture = watched
    start = time.process_time()
    try:
        run = audit(f, plan, out, progress=False)
    finally:
        auditing.audit_picture = audited
    tenth = max(seen[: len(seen) // 10])
    return {"what": f"memory, MB: {tenth:.0f}, then {max(seen):.0f}", "pictures": len(run), "passes": None,
            "seconds": time.process_time() - start, "estimates": None, "ratio": max(seen) / tenth}  # fmt: skip


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
