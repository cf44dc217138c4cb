"""Time per image, from z to score, by batch size and threads on the CPU, and the size `tune_batch_size` would choose.

Run: LEGSTAT_DATA=... python benchmarks/bench_batch_size.py
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from timing import save

from legstat.responses.network.evaluation import usual_batch_size
from legstat.responses.onnx.opening import onnx_response
from legstat.sampling.batch_size import measure_batch_sizes

DATA = Path(os.environ.get("LEGSTAT_DATA", Path(__file__).parents[2] / "shared" / "data"))
MODELS = {
    "mobilenet_v2_1.0_224": "tf",
    "squeezenet1.1": "caffe",
    "SqueezeNet_fp16": "caffe",
    "cifar10_resnet20": "unit",
    "leg_mnist_cnn": "tf",
}


def main() -> None:
    """Time everything and save the table."""
    rows = []
    for name, preprocessing in MODELS.items():
        for threads in sorted({1, os.cpu_count() or 1}):
            f = onnx_response(DATA / "models" / f"{name}.onnx", preprocessing=preprocessing, target=0, threads=threads)
            shape = [size or 224 for size in f.input_shape or ()]
            timings = measure_batch_sizes(f, np.random.default_rng(0).random(shape), seconds=5.0)
            usual = usual_batch_size(shape)
            rows.append(
                {
                    "model": name,
                    "threads": threads,
                    "measured best": timings.best,
                    "default": usual,
                    "ms an image, best": 1e3 * min(timings.seconds.values()),
                    "default / best": timings.seconds.get(usual, float("nan")) / min(timings.seconds.values()),
                }
            )
    save("batch_size", rows)


if __name__ == "__main__":
    main()
