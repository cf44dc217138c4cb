"""ONNX Runtime on a CUDA device: agreement with the CPU, bound buffers, TF32's effect, a batch that does not fit.

A network of ResNet-50's shape with random weights; the reference is ONNX Runtime on the CPU. Without TF32 class outputs
may differ by 1e-4 of their size (float32 sums in another order), else the script ends with status 1.

Run: python benchmarks/gpu/onnx_correctness.py [--provider cuda] [--size 224] [--width 64] [--queries 200]
(`--provider cpu --size 64 --width 4` tries the script itself where there is no GPU.)
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from onnx_networks import cuda_or_exit, device_name, resnet
from timing import save

import legstat as ls

TOLERANCE = 1e-4
TARGET = 1
RUNS: dict[str, dict[str, Any]] = {
    "plain runs": {"session": ls.SessionSettings(io_binding=False)},
    "bound buffers": {"session": ls.SessionSettings(io_binding=True)},
    "bound, perturbed inside": {"session": ls.SessionSettings(io_binding=True), "compose": "inside"},
    "bound, batches of 7": {"session": ls.SessionSettings(io_binding=True), "batch_size": 7},
    "TF32": {"session": ls.SessionSettings(io_binding=True, tf32=True)},
}


def main() -> None:
    """Compare everything and save the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--provider", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--memory", type=int, default=2, help="GiB that the batch which does not fit is given")
    asked = parser.parse_args()
    cuda_or_exit(asked.provider)
    with tempfile.TemporaryDirectory() as folder:
        path = resnet(Path(folder) / "resnet.onnx", width=asked.width, size=asked.size)
        rows, wrong = compare(path, asked)
        if asked.provider == "cuda":
            rows.append(too_large(path, asked))
        else:
            print("a batch that does not fit: needs a CUDA device (gpu_mem_limit)", flush=True)
    save(
        f"gpu_onnx_correctness{'' if asked.provider == 'cuda' else '_on_cpu'}",
        rows,
        provider=asked.provider,
        device=device_name(asked.provider),
    )
    if wrong:
        sys.exit(f"Beyond {TOLERANCE} of the outputs' size: {', '.join(wrong)}")


def sampled(path: Path, asked: Any, **more: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Responses of a query run, and class outputs of partial batches after full ones."""
    options = {"batch_size": 64, "provider": asked.provider} | more
    f, _ = ls.onnx_response(path, target=TARGET, preprocessing="imagenet", **options).bind(picture(asked))
    design = ls.StructuredGaussian(grid=(asked.size // 8,) * 2, scale=0.02)
    sample = ls.query(f, picture(asked), design, asked.queries, key=(1, 2), progress=False)
    pictures = np.random.default_rng(2).random((20, 3, asked.size, asked.size)).astype(np.float32)
    parts = [f.class_outputs(pictures[:n]) for n in (20, 3, 20, 1)]
    return sample.responses, np.concatenate(parts).astype(np.float64)


def picture(asked: Any) -> NDArray[np.float64]:
    """The picture that is perturbed."""
    return np.random.default_rng(1).random((3, asked.size, asked.size))


def compare(path: Path, asked: Any) -> tuple[list[dict[str, Any]], list[str]]:
    """Every way to run against plain runs on the CPU; names of those that are off."""
    cpu = argparse.Namespace(**{**vars(asked), "provider": "cpu"})
    scores, outputs = sampled(path, cpu, batch_size=4)
    size, effect = np.abs(outputs).max(), np.std(scores)
    rows, wrong = [], []
    for label, options in RUNS.items():
        mine, theirs = sampled(path, asked, **options), sampled(path, asked, **options)
        difference = float(np.abs(mine[1] - outputs).max() / size)
        rows.append(
            {
                "run": label,
                "outputs: difference / size": difference,
                "scores: difference / their standard deviation": float(np.abs(mine[0] - scores).max() / effect),
                "same bits again": all(np.array_equal(a, b) for a, b in zip(mine, theirs, strict=True)),
            }
        )
        print(rows[-1], flush=True)
        if label != "TF32" and difference > TOLERANCE:
            wrong.append(label)
    return rows, wrong


def too_large(path: Path, asked: Any) -> dict[str, Any]:
    """A batch beyond the memory that the provider may take: halved with a warning, no answer lost."""
    limits = {"gpu_mem_limit": asked.memory << 30, "arena_extend_strategy": "kSameAsRequested"}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        scores, _ = sampled(path, asked, batch_size=1024, session=ls.SessionSettings(provider_options=limits))
    told = [str(one.message) for one in said if "did not fit the memory" in str(one.message)]
    usual, _ = sampled(path, asked)
    print("\n".join(told) or "every batch fitted: give less --memory", flush=True)
    return {
        "run": f"1,024 a batch in {asked.memory} GiB",
        "outputs: difference / size": float("nan"),
        "scores: difference / their standard deviation": float(np.abs(scores - usual).max() / np.std(usual)),
        "same bits again": f"halved {len(told)} times",
    }


if __name__ == "__main__":
    main()
