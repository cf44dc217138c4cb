"""Cost of the query loop over the bare `session.run` on the same batches (CPU): the target is at most 1.05.

Run: LEGSTAT_DATA=... python benchmarks/bench_queries.py
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnxruntime
from timing import paired_ratios, save

import legstat as ls

DATA = Path(os.environ.get("LEGSTAT_DATA", Path(__file__).parents[2] / "shared" / "data"))
MODELS = {"mobilenet_v2_1.0_224": "tf", "squeezenet1.1": "caffe"}
QUERIES = 400
ROUNDS = 12
PICTURE = "images/samples/n02099601_golden_retriever.JPEG"


def main() -> None:
    """Time everything and save the table."""
    rows = []
    for name, preprocessing in MODELS.items():
        path = DATA / "models" / f"{name}.onnx"
        for batch in (1, 4, 16):
            f = ls.onnx_response(path, preprocessing=preprocessing, batch_size=batch)
            image = f.load_image(DATA / PICTURE)
            threads = f.describe()["threads"]
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads if isinstance(threads, int) else threads["intra_op"]
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            pictures = np.random.default_rng(0).standard_normal((batch, 3, 224, 224)).astype(np.float32)
            for label, perturbation, scale in (("additive", ls.Additive(), 0.02), ("blend", ls.Blend(), 0.25)):
                design = ls.StructuredGaussian(grid=(28, 28), scale=scale)

                def ours(f=f, image=image, design=design, perturbation=perturbation) -> None:  # type: ignore[no-untyped-def]
                    ls.query(f, image, design, n_queries=QUERIES, perturbation=perturbation, rng=0, progress=False)

                def bare(session=session, pictures=pictures, batch=batch) -> None:  # type: ignore[no-untyped-def]
                    for _ in range(QUERIES // batch):
                        session.run(["logits"], {"input": pictures})

                best, middle, seconds = paired_ratios(ours, bare, ROUNDS)
                rows.append(
                    {
                        "model": name,
                        "perturbation": label,
                        "batch": batch,
                        "bare ms a query": seconds / QUERIES * 1e3,
                        "query loop / bare, best": best,
                        "median of neighbours": middle,
                    }
                )
                print(rows[-1], flush=True)
    save("queries", rows)


if __name__ == "__main__":
    main()
