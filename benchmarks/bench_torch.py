"""The torch backend on a CPU: the query loop over the bare forward pass, and what its options bring.

One network of a quarter of ResNet-50's width and one of its full width, random weights, 224 x 224 pictures, a 28 x 28
grid. "bare" is the same module, in the same layout, precision and compilation, run over as many batches of fixed
pictures; it draws nothing, composes nothing and scores nothing. Everything of one row runs in turn in one process.

Run: python benchmarks/bench_torch.py [--queries 64] [--repeats 5] [--full] [--runs "as it is" autocast]
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from networks import resnet
from timing import best_times, save

import legstat as ls

CONFIGURATIONS: dict[str, ls.TorchSettings] = {
    "as it is": ls.TorchSettings(),
    "channels_last": ls.TorchSettings(channels_last=True),
    "autocast": ls.TorchSettings(autocast="bfloat16"),
    "compiled": ls.TorchSettings(compile_mode="default"),
    "compiled, channels_last": ls.TorchSettings(compile_mode="default", channels_last=True),
}
PERTURBATIONS: dict[str, tuple[ls.Additive | ls.Blend, float]] = {
    "additive": (ls.Additive(), 0.02),
    "blend": (ls.Blend(), 0.25),
}


def bare(module: torch.nn.Module, batch: int, settings: ls.TorchSettings, queries: int) -> Callable[[], None]:
    """The forward pass alone, over the batches of a run."""
    network: Any = copy.deepcopy(module)
    pictures = torch.from_numpy(np.random.default_rng(0).standard_normal((batch, 3, 224, 224)).astype(np.float32))
    if settings.channels_last:
        network = network.to(memory_format=torch.channels_last)
        pictures = pictures.contiguous(memory_format=torch.channels_last)
    if settings.compile_mode is not None:
        network = torch.compile(network, mode=settings.compile_mode, dynamic=False)
    narrow = torch.autocast("cpu", dtype=torch.bfloat16) if settings.autocast is not None else nullcontext()

    def run() -> None:
        with torch.inference_mode(), narrow:
            for _ in range(queries // batch):
                network(pictures)

    return run


def main() -> None:
    """Time everything and save the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--full", action="store_true", help="the full width of ResNet-50 too")
    parser.add_argument("--runs", nargs="*", choices=list(CONFIGURATIONS), default=list(CONFIGURATIONS))
    asked = parser.parse_args()
    image = np.random.default_rng(1).random((3, 224, 224))
    rows = []
    for width in (16, 64) if asked.full else (16,):
        module = resnet(width=width)
        for name, settings in ((name, CONFIGURATIONS[name]) for name in asked.runs):
            for batch in (4, 16):
                for label, (perturbation, scale) in PERTURBATIONS.items():
                    row = compare(module, image, batch, settings, perturbation, scale, asked.queries, asked.repeats)
                    rows.append({"width": width, "run": name, "perturbation": label, "batch": batch, **row})
                    print(rows[-1], flush=True)
    save("torch", rows, torch=torch.__version__, threads=torch.get_num_threads(), queries=asked.queries)


def compare(
    module: torch.nn.Module,
    image: Any,
    batch: int,
    settings: ls.TorchSettings,
    perturbation: ls.Additive | ls.Blend,
    scale: float,
    queries: int,
    repeats: int,
) -> dict[str, Any]:
    """One row: both ways of composing against the bare forward pass."""
    design = ls.StructuredGaussian(grid=(28, 28), scale=scale)
    responses = {
        where: ls.torch_response(
            module, preprocessing="imagenet", batch_size=batch, compose=where, settings=settings
        ).bind(image)[0]
        for where in ("outside", "inside")
    }
    found = {}

    def scored(where: str) -> Callable[[], None]:
        # settled before: what is timed are the perturbed pictures, by the very loop that `query` runs
        f, recipe = responses[where], perturbation.recipe(image, design.grid, np.dtype(np.float32))
        scorer = f.scorer(recipe)

        def run() -> None:
            scores = []
            for block in range(-(-queries // 64)):
                z = design.draw((1, 2), 0, block)
                pairs = np.stack([z, -z], axis=1).reshape(-1, *z.shape[1:])[: queries - 64 * block]
                scores += [scorer(pairs[at : at + batch], None) for at in range(0, len(pairs), batch)]
            found[where] = np.concatenate(scores)

        return run

    calls = {"bare": bare(module, batch, settings, queries), "outside": scored("outside"), "inside": scored("inside")}
    times = best_times(calls, repeats=repeats)
    about = responses["outside"].describe()["checks"]
    return {
        "bare ms a query": times["bare"] / queries * 1e3,
        "outside / bare": times["outside"] / times["bare"],
        "inside / bare": times["inside"] / times["bare"],
        "largest difference": float(np.abs(found["outside"] - found["inside"]).max()),
        "autocast: rms error / spread": about["autocast"]["error_rms"] / about["autocast"]["spread"]
        if "autocast" in about
        else "",
        "compiled: difference": about["compile"]["difference"] if "compile" in about else "",
    }


if __name__ == "__main__":
    main()
