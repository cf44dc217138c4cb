"""Cost of the query loop over the bare `session.run` on as many batches (CPU): the target is at most 1.05.

Three ratios: of the best times of either side, the median over neighbouring runs of the two, and the loop's whole time
(f(x0), draws, pictures, scores) over what it spent in its own session, which a machine that changes speed disturbs
least.

Run: LEGSTAT_DATA=... python benchmarks/bench_queries.py [--quick]     (--quick: SqueezeNet, batches of 4, 3 rounds)
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import onnxruntime
from timing import paired_ratios, save

import legstat as ls
from legstat.responses.onnx.session import Session

DATA = Path(os.environ.get("LEGSTAT_DATA", Path(__file__).parents[2] / "shared" / "data"))
MODELS = {"mobilenet_v2_1.0_224": "tf", "squeezenet1.1": "caffe"}
QUERIES = 200
ROUNDS = 12
PICTURE = "images/samples/n02099601_golden_retriever.JPEG"


inside: list[float] = []
"""Seconds of every call of a session within the query loop."""
whole: list[float] = []
"""Seconds of every query loop."""


def timed(loop: Callable[[], None]) -> Callable[[], None]:
    """The loop, with its whole time and that inside its session added up: a ratio from one and the same run."""
    run = Session.run

    def counted(self: Session, *arguments: Any) -> Any:
        start = time.perf_counter()
        made = run(self, *arguments)
        inside.append(time.perf_counter() - start)
        return made

    def measured() -> None:
        with mock.patch.object(Session, "run", counted):
            start = time.perf_counter()
            loop()
            whole.append(time.perf_counter() - start)

    return measured


def main() -> None:
    """Time everything and save the table."""
    quick = "--quick" in sys.argv
    rows = []
    for name, preprocessing in list(MODELS.items())[-1 if quick else 0 :]:
        path = DATA / "models" / f"{name}.onnx"
        for batch in (4,) if quick else (1, 4, 16):
            f = ls.onnx_response(path, preprocessing=preprocessing, batch_size=batch)
            image = f.load_image(DATA / PICTURE)
            threads = f.describe()["threads"]
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads if isinstance(threads, int) else threads["intra_op"]
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            # as many pictures as the loop makes, each read once: a batch that is run again and again is in the cache
            pictures = np.random.default_rng(0).standard_normal((QUERIES, 3, 224, 224), dtype=np.float32)
            for label, perturbation, scale in (("additive", ls.Additive(), 0.02), ("blend", ls.Blend(), 0.25)):
                design = ls.StructuredGaussian(grid=(28, 28), scale=scale)

                def ours(f=f, image=image, design=design, perturbation=perturbation) -> None:  # type: ignore[no-untyped-def]
                    ls.query(f, image, design, n_queries=QUERIES, perturbation=perturbation, rng=0, progress=False)

                def bare(session=session, pictures=pictures, batch=batch) -> None:  # type: ignore[no-untyped-def]
                    for at in range(0, QUERIES, batch):
                        session.run(["logits"], {"input": pictures[at : at + batch]})

                inside.clear()
                whole.clear()
                best, middle, seconds = paired_ratios(timed(ours), bare, 3 if quick else ROUNDS)
                rows.append(
                    {
                        "model": name,
                        "perturbation": label,
                        "batch": batch,
                        "bare ms a query": seconds / QUERIES * 1e3,
                        "query loop / bare, best": best,
                        "median of neighbours": middle,
                        "whole loop / its own session.run": sum(whole) / sum(inside),
                    }
                )
                print(rows[-1], flush=True)
    save("queries", rows)


if __name__ == "__main__":
    main()
