"""The perturbation inside the graph against outside it (CPU): time for a query, and what the scores differ by.

Both sides are `legstat.query` on one file, with ``compose="outside"`` and ``"inside"``: outside, numpy writes the
pictures and the preprocessing; inside, they are nodes in front of the user's graph, and only the cells' numbers go into
the session. "inside, bound" binds inputs and outputs to buffers that are kept, as on a GPU. Sides are taken in turn.
Wall time says what a user waits; processor time is less disturbed by other programs.

Run: LEGSTAT_DATA=... python benchmarks/bench_fused.py
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from timing import save

import legstat as ls

DATA = Path(os.environ.get("LEGSTAT_DATA", Path(__file__).parents[2] / "shared" / "data"))
MODELS = {"mobilenet_v2_1.0_224": "tf", "squeezenet1.1": "caffe"}
PICTURE = "images/samples/n02099601_golden_retriever.JPEG"
QUERIES = 96
REPEATS = 6
WAYS: dict[str, dict[str, Any]] = {
    "outside": {"compose": "outside"},
    "inside": {"compose": "inside"},
    "inside, bound": {"compose": "inside", "session": ls.SessionSettings(io_binding=True)},
}


def main() -> None:
    """Time everything and save the table."""
    rows = []
    for name, preprocessing in MODELS.items():
        for label, operator, scale in (("additive", ls.Additive(), 0.02), ("blend", ls.Blend(), 0.25)):
            for batch in (1, 4, 16, 64):
                row = compare(DATA / "models" / f"{name}.onnx", preprocessing, operator, scale, batch)
                rows.append({"model": name, "perturbation": label, "batch": batch, **row})
                print(rows[-1], flush=True)
    save("fused", rows, queries=QUERIES)


def compare(path: Path, preprocessing: str, operator: Any, scale: float, batch: int) -> dict[str, Any]:
    """One row of the table."""
    design = ls.StructuredGaussian((28, 28), scale)
    responses = {
        way: ls.onnx_response(path, preprocessing=preprocessing, target=207, batch_size=batch, **options)
        for way, options in WAYS.items()
    }
    image = next(iter(responses.values())).load_image(DATA / PICTURE)
    n = 1 + int(operator.needs_base) + QUERIES
    scores, wall, processor = {}, dict.fromkeys(WAYS, np.inf), dict.fromkeys(WAYS, np.inf)
    for repeat in range(1 + REPEATS):
        for way, f in responses.items():
            began, busy = time.perf_counter(), time.process_time()
            sample = ls.query(f, image, design, n, perturbation=operator, key=(1, 2), progress=False)
            spent, busy = time.perf_counter() - began, time.process_time() - busy
            scores[way] = sample.responses
            if repeat:  # the first run opens and verifies the composed session
                wall[way], processor[way] = min(wall[way], spent), min(processor[way], busy)
    row: dict[str, Any] = {"outside ms a query": wall["outside"] / n * 1e3}
    for way in list(WAYS)[1:]:
        row[f"{way} / outside"] = wall[way] / wall["outside"]
        row[f"{way} / outside, processor"] = processor[way] / processor["outside"]
        difference = np.abs(scores[way] - scores["outside"]).max() / np.abs(scores["outside"]).max()
        row[f"{way}: difference / largest score"] = float(difference)
    return row


if __name__ == "__main__":
    main()
