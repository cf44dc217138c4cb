"""torch on a CUDA device: the query loop over the bare forward pass on the same batches, for a ResNet-50-size network.

"bare" runs the module over a batch that lies on the device, without waiting between batches; it draws nothing, composes
nothing, scores nothing. "query" is `legstat.query`, which starts a batch before it fetches the scores of the last one.
The other columns call the response's scorer: "inside" and "outside" say where pictures are made, one batch at a time.
The aim is query / bare >= 0.95.

Run: python benchmarks/gpu/torch_throughput.py [--device cuda] [--size 224] [--width 64] [--queries 4096]
(`--device cpu --size 64 --width 4 --queries 64` tries the script itself where there is no GPU.)
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from networks import resnet
from timing import best_times, save

import legstat as ls
from legstat.responses.torch.devices import precision

RUNS: dict[str, ls.TorchSettings] = {
    "float32": ls.TorchSettings(),
    "TF32, channels_last": ls.TorchSettings(tf32=True, channels_last=True),
    "bfloat16, channels_last": ls.TorchSettings(autocast="bfloat16", channels_last=True),
    "bfloat16, channels_last, compiled": ls.TorchSettings(
        autocast="bfloat16", channels_last=True, compile_mode="default"
    ),
}


def bare(module: torch.nn.Module, pictures: torch.Tensor, settings: ls.TorchSettings, times: int) -> Callable[[], None]:
    """The forward pass alone, `times` times."""
    network: Any = copy.deepcopy(module).to(pictures.device)
    if settings.channels_last:
        network = network.to(memory_format=torch.channels_last)
        pictures = pictures.contiguous(memory_format=torch.channels_last)
    if settings.compile_mode is not None:
        network = torch.compile(network, mode=settings.compile_mode, dynamic=False)
    kind = pictures.device.type
    narrow = torch.autocast(kind, dtype=torch.bfloat16) if settings.autocast is not None else nullcontext()

    def run() -> None:
        with torch.inference_mode(), precision(settings.tf32), narrow:  # TF32 off unless asked for, as in a response
            for _ in range(times):
                network(pictures)
        if kind == "cuda":
            torch.cuda.synchronize()

    return run


def main() -> None:
    """Time everything and save the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--queries", type=int, default=4096)
    parser.add_argument("--batches", type=int, nargs="*", default=[16, 64, 256])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--runs", nargs="*", default=list(RUNS), choices=list(RUNS))
    asked = parser.parse_args()
    on_cuda = asked.device.startswith("cuda")
    if on_cuda and not torch.cuda.is_available():
        sys.exit("No CUDA device: torch.cuda.is_available() is False. Nothing was measured.")
    name = torch.cuda.get_device_name(asked.device) if on_cuda else "CPU"
    print("device:", name, flush=True)
    module, rows = resnet(width=asked.width), []
    for label in asked.runs:
        settings = RUNS[label]
        for batch in asked.batches:
            rows.append({"run": label, "batch": batch, **compare(module, asked, batch, settings)})
            print(rows[-1], flush=True)
    file = "gpu_torch_throughput" if on_cuda else "gpu_torch_throughput_on_cpu"
    facts = {"torch": torch.__version__, "cuda": torch.version.cuda, "queries": asked.queries, "size": asked.size}
    save(file, rows, device=name, **facts)


def compare(module: torch.nn.Module, asked: Any, batch: int, settings: ls.TorchSettings) -> dict[str, Any]:
    """One row."""
    image = np.random.default_rng(1).random((3, asked.size, asked.size))
    design, perturbation = ls.StructuredGaussian(grid=(asked.size // 8,) * 2, scale=0.02), ls.Additive()
    shape = (batch, 3, asked.size, asked.size)
    pictures = torch.from_numpy(np.random.default_rng(0).standard_normal(shape).astype(np.float32)).to(asked.device)
    n = asked.queries // batch * batch
    calls = {"bare": bare(module, pictures, settings, n // batch)}
    for where in ("inside", "outside"):
        f = ls.torch_response(
            module,
            target=1,
            output_kind="logits",
            preprocessing="imagenet",
            device=asked.device,
            batch_size=batch,
            compose=where,
            settings=settings,
        )
        f, _ = f.bind(image)  # compiled, and measured, before the clock runs
        calls[f"{where}, one at a time"] = partial(scored, f, image, design, perturbation, n, batch)
        if where == "inside":
            # a settled response is bound again by `query`, which compiles nothing anew
            calls["query"] = partial(ls.query, f, image, design, n_queries=n + 1, key=(1, 2), progress=False)
    times = best_times(calls, repeats=asked.repeats)
    found = {"bare pictures a second": n / times["bare"]}
    found |= {f"{name} / bare, throughput": times["bare"] / spent for name, spent in times.items() if name != "bare"}
    return found


def scored(f: Any, image: Any, design: Any, perturbation: Any, n: int, batch: int) -> Any:
    """Scores of n pictures by the response's own scorer, each batch waited for before the next z is drawn."""
    scorer = f.scorer(perturbation.recipe(image, design.grid, f.dtype))
    scores = []
    rest = np.empty((0, 1, *design.grid.shape))
    for block in range(-(-n // 64)):
        z = design.draw((1, 2), 0, block)
        rest = np.concatenate([rest, np.stack([z, -z], axis=1).reshape(-1, *z.shape[1:])])
        while len(rest) >= batch:
            scores.append(scorer(rest[:batch], None))
            rest = rest[batch:]
    return np.concatenate(scores)


if __name__ == "__main__":
    main()
