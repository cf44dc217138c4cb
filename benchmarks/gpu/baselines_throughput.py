"""mask and I-GOS with exact gradients of several pictures at a time: maps a minute, alone and in common batches.

Alone: one call for each picture. Batched: `legstat.baselines.batched`, 8, 16, ... pictures at once. Bare: as many
forward and backward passes of the module on a batch of that many pictures that lies on the device, as the maps ask for.
Masks of both ways are compared, largest difference over all cells: kernels round by the size of their batches.

Run: python benchmarks/gpu/baselines_throughput.py [--device cuda] [--size 224] [--width 64] [--pictures 64]
(`--device cpu --size 32 --width 4 --pictures 4 --at-once 2 4 --iterations 3` tries the script where there is no GPU.)
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from networks import resnet
from timing import save

import legstat as ls
from legstat.baselines import BaselineResult, batched, igos, mask


def timed(call: Callable[[], list[BaselineResult]]) -> tuple[float, list[BaselineResult]]:
    """Wall-clock seconds of a call whose results are on the host, and the results."""
    start = time.perf_counter()
    found = call()
    return time.perf_counter() - start, found


def bare(module: torch.nn.Module, device: str, size: int, batch: int, passes: int) -> float:
    """Seconds of so many forward and backward passes of a batch."""
    pictures = torch.rand(batch, 3, size, size, device=device, requires_grad=True)

    def once() -> None:
        torch.autograd.grad(module(pictures)[:, 0].sum(), pictures)

    once()
    start = time.perf_counter()
    for _ in range(passes):
        once()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - start


def of_method(
    run: Callable[..., BaselineResult],
    response: Any,
    images: list[Any],
    module: torch.nn.Module,
    asked: Any,
    **how: int,
) -> list[dict[str, Any]]:
    """The rows of mask or I-GOS."""
    run(response, images[0], rng=0, **how)  # warm
    rngs = np.random.default_rng(1).spawn(len(images))
    alone, singly = timed(lambda: [run(response, x, rng=rng, **how) for x, rng in zip(images, rngs, strict=True)])
    backward = sum(one.n_backward for one in singly)
    rows: list[dict[str, Any]] = [
        {"method": singly[0].method, "at once": 1, "maps a minute": 60.0 * len(images) / alone, "backward": backward}
    ]
    print(rows[-1], flush=True)
    for n in asked.at_once:
        spent, found = timed(partial(batched, run, response, images, rng=1, at_once=n, **how))
        passes = bare(module, asked.device, asked.size, n, -(-backward // n))
        apart = [float(np.abs(one.mask - other.mask).max()) for one, other in zip(found, singly, strict=True)]
        row = {"method": singly[0].method, "at once": n, "maps a minute": 60.0 * len(images) / spent}
        row |= {"alone over batched": alone / spent, "bare passes over batched": passes / spent}
        rows.append(row | {"masks differ by": max(apart), "in the median": float(np.median(apart))})
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Time everything and save the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--pictures", type=int, default=64)
    parser.add_argument("--at-once", type=int, nargs="*", default=[8, 16, 32, 64])
    parser.add_argument("--iterations", type=int, help="of both; by default 100 of the mask, 15 of I-GOS")
    asked = parser.parse_args()
    on_cuda = asked.device.startswith("cuda")
    if on_cuda and not torch.cuda.is_available():
        sys.exit("No CUDA device: torch.cuda.is_available() is False. Nothing was measured.")
    name = torch.cuda.get_device_name(asked.device) if on_cuda else "CPU"
    print("device:", name, flush=True)
    rows: list[dict[str, Any]] = []
    module = resnet(width=asked.width).to(asked.device).eval()
    response = ls.torch_response(
        module, output_kind="logits", preprocessing="imagenet", device=asked.device, batch_size=max(asked.at_once)
    )
    images = list(np.random.default_rng(0).random((asked.pictures, 3, asked.size, asked.size)))
    warnings.filterwarnings("ignore", category=ls.LegstatWarning)  # a network without training is sure of nothing
    for run, iterations in ((mask, 100), (igos, 15)):
        rows += of_method(run, response, images, module, asked, iterations=asked.iterations or iterations)
    file = "gpu_baselines_throughput" if on_cuda else "gpu_baselines_throughput_on_cpu"
    save(
        file,
        rows,
        device=name,
        torch=torch.__version__,
        cuda=torch.version.cuda,
        pictures=asked.pictures,
        size=asked.size,
    )


if __name__ == "__main__":
    main()
