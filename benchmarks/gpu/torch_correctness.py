"""torch on a CUDA device: agreement with the CPU, what TF32, autocast and compilation change, too large a batch.

A network of ResNet-50's shape with random weights. The reference is the same network in float64 on the CPU.

Run: python benchmarks/gpu/torch_correctness.py [--device cuda] [--size 224] [--width 64] [--queries 64]
(`--device cpu --size 64 --width 4` tries the script itself where there is no GPU.)
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from networks import resnet
from timing import save

import legstat as ls

TARGET = 1


def main() -> None:
    """Compare everything and save the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--queries", type=int, default=64)
    asked = parser.parse_args()
    if asked.device.startswith("cuda") and not torch.cuda.is_available():
        sys.exit("No CUDA device: torch.cuda.is_available() is False. Nothing was measured.")
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    print("device:", names[0] if asked.device.startswith("cuda") else "CPU", flush=True)
    module = resnet(width=asked.width)
    image = np.random.default_rng(1).random((3, asked.size, asked.size))
    exact = scores(resnet(width=asked.width).double(), image, asked.queries, device="cpu")
    runs: dict[str, dict[str, Any]] = {
        "cpu, float32": {"device": "cpu"},
        "float32": {},
        "float32, composed on the host": {"compose": "outside"},
        "float32, batches of 7": {"batch_size": 7},
        "float32, channels_last": {"settings": ls.TorchSettings(channels_last=True)},
        "float32, compiled": {"settings": ls.TorchSettings(compile_mode="default")},
        "float32, CUDA graphs": {"settings": ls.TorchSettings(compile_mode="reduce-overhead")},
        "TF32": {"settings": ls.TorchSettings(tf32=True)},
        "bfloat16": {"settings": ls.TorchSettings(autocast="bfloat16")},
        "float16": {"settings": ls.TorchSettings(autocast="float16")},
        "float16, channels_last, compiled": {
            "settings": ls.TorchSettings(autocast="float16", channels_last=True, compile_mode="default")
        },
    }
    if len(names) > 1 or asked.device == "cpu":
        several = ["cpu", "cpu"] if asked.device == "cpu" else [f"cuda:{i}" for i in range(len(names))]
        runs[f"float32, {len(several)} devices"] = {"device": several}
    # first of all: CUDA graphs keep pools of their own, which would count towards the limit
    memory = does_not_fit(module, image, asked) if asked.device.startswith("cuda") else "not on the CPU"
    print("memory:", memory, flush=True)
    rows = []
    for name, options in runs.items():
        rows.append({"run": name, **errors(module, image, asked, exact, options)})
        print(rows[-1], flush=True)
    save(
        "gpu_torch_correctness" if asked.device.startswith("cuda") else "gpu_torch_correctness_on_cpu",
        rows,
        devices=names,
        torch=torch.__version__,
        cuda=torch.version.cuda,
        cudnn=torch.backends.cudnn.version(),
        tf32_switches_by_default=switches(),
        memory=memory,
    )


def scores(module: torch.nn.Module, image: Any, queries: int, **options: Any) -> Any:
    """Scores of one run."""
    f = ls.torch_response(module, target=TARGET, preprocessing="imagenet", **options)
    design = ls.StructuredGaussian(grid=(8, 8), scale=0.1)
    return ls.query(f, image, design, n_queries=queries + 1, key=(1, 2), progress=False).responses


def errors(module: torch.nn.Module, image: Any, asked: Any, exact: Any, options: dict[str, Any]) -> dict[str, Any]:
    """One row: errors against float64, in units of the score's spread over the pictures; two runs compared."""
    given = {"device": asked.device, **options}
    try:
        found, again = (scores(module, image, asked.queries, **given) for _ in range(2))
    except Exception as error:  # what one option cannot do must not cost the other rows
        return {
            "rms error / spread": "",
            "largest error": "",
            "same bits twice": f"{type(error).__name__}: {error}"[:200],
        }
    difference = found - exact
    return {
        "rms error / spread": float(np.sqrt(np.mean(difference**2)) / np.std(exact)),
        "largest error": float(np.abs(difference).max()),
        "same bits twice": bool(np.array_equal(found, again)),
    }


def switches() -> dict[str, str]:
    """torch's switches as they are outside a run: the user's, which must have come back."""
    backends = torch.backends
    if not hasattr(backends.cudnn, "conv"):
        return {"matmul": str(backends.cuda.matmul.allow_tf32), "cudnn": str(backends.cudnn.allow_tf32)}
    return {"matmul": backends.cuda.matmul.fp32_precision, "conv": backends.cudnn.conv.fp32_precision}


def does_not_fit(module: torch.nn.Module, image: Any, asked: Any) -> dict[str, Any]:
    """A memory limit under which the batch asked for does not fit: it is halved, and every score is as ever."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    # 600 queries, so that a batch of 512 is really handed over
    expected = scores(module, image, 600, device=asked.device, batch_size=16)
    room = 2.5 * torch.cuda.max_memory_allocated()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(min(1.0, room / total))
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = scores(module, image, 600, device=asked.device, batch_size=512)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    halvings = [str(w.message)[:120] for w in caught if "did not fit" in str(w.message)]
    return {
        "room_bytes": room,
        "halvings": halvings,
        "largest_difference": float(np.abs(found - expected).max()),
        "spread": float(np.std(expected)),
    }


if __name__ == "__main__":
    main()
