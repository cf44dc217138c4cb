"""Cost of mask and I-GOS over the passes that they ask for, and memory against the number of iterations.

Exact gradients of MobileNetV2 on one thread. Bare: the same module alone, as many forward and backward passes in
batches of the same size, as many forward passes of one picture as start and line searches take; both in turn, in
processor seconds. Memory: the peak resident set of processes of their own (Linux).

Run: LEGSTAT_DATA=... PYTHONPATH=. python benchmarks/bench_baselines.py [rounds]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from pictures import DATA, NETWORKS
from timing import save

import legstat as ls
from tests.helpers_torch import OnnxModule

HERE = Path(__file__).resolve().parent
NAME = "mobilenet_v2_1.0_224"
CHILD = """
import sys
import numpy as np
import legstat as ls
from pictures import DATA, NETWORKS
from tests.helpers_torch import OnnxModule
name = "mobilenet_v2_1.0_224"
f = ls.torch_response(OnnxModule(DATA / "models" / f"{name}.onnx", "logits"), output_kind="logits",
                      preprocessing=NETWORKS[name])
image = np.random.default_rng(0).random((3, 224, 224))
method, iterations = sys.argv[1], int(sys.argv[2])
if method == "mask":
    ls.baselines.mask(f, image, iterations=iterations, start="ones", rng=0)
else:  # with noise, so that no iteration is the last, and a picture for each point
    ls.baselines.igos(f, image, iterations=iterations, steps=5, noise=0.01, rng=0)
# not getrusage's, which begins at the size of whoever started this process
print(next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024)
"""


def seconds(call: Callable[[], object]) -> float:
    """Processor seconds of a call."""
    start = time.process_time()
    call()
    return time.process_time() - start


def bare(module: torch.nn.Module, batch: int, backward: int, forward: int) -> None:
    """The passes by themselves."""
    pictures = torch.rand(batch, 3, 224, 224).contiguous(memory_format=torch.channels_last)
    for at in range(0, backward, batch):
        some = pictures[: min(batch, backward - at)].clone().requires_grad_()
        torch.autograd.grad(module(some)[:, 0].sum(), some)
    with torch.inference_mode():
        for _ in range(forward):
            module(pictures[:1])


def main(rounds: int = 5) -> None:
    """Measure and save."""
    module = OnnxModule(DATA / "models" / f"{NAME}.onnx", "logits").eval().to(memory_format=torch.channels_last)
    response = ls.torch_response(
        module, output_kind="logits", preprocessing=NETWORKS[NAME], settings=ls.TorchSettings(channels_last=True)
    )
    image = np.random.default_rng(0).random((3, 224, 224))
    runs: dict[str, Callable[[], ls.baselines.BaselineResult]] = {
        "igos": lambda: ls.baselines.igos(response, image, iterations=2, noise=0.01, rng=0),
        "mask": lambda: ls.baselines.mask(response, image, iterations=40, start="ones", rng=0),
    }
    rows: list[dict[str, object]] = []
    for name, run in runs.items():
        found = run()  # warm, and its counts
        forward = found.n_queries - found.n_backward
        batch = min(response.batch_size, 10) if name == "igos" else 1
        ratios, best = [], float("inf")
        for _ in range(rounds):
            alone = seconds(lambda b=batch, n=found.n_backward, f=forward: bare(module, b, n, f))
            ratios.append(seconds(run) / alone)
            best = min(best, alone)
        rows.append({
            "method": name, "iterations": len(found.trace["score"]), "backward": found.n_backward, "forward": forward,
            "batch": batch, "over its passes": statistics.median(ratios), "least": min(ratios), "bare s": best,
        })  # fmt: skip
    for method in ("igos", "mask"):
        for iterations in (2, 8, 32):
            done = subprocess.run(
                [sys.executable, "-c", CHILD, method, str(iterations)],
                capture_output=True,
                text=True,
                check=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)])},
            )
            rows.append({"method": method, "iterations": iterations, "peak resident MiB": float(done.stdout)})
    save("bench_baselines", rows)


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
