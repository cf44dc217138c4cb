"""ONNX Runtime on a CUDA device: the query loop over the bare session, for a ResNet-50-size network.

"session.run" hands numpy arrays over and takes numpy arrays back; "bound" runs over a batch that lies on the device
already, into an output that stays there: the forward pass alone. Both draw nothing, compose nothing, score nothing.
"query" is `legstat.query` with pictures made outside or inside the graph, with plain runs or bound buffers. The aim is
bound / query >= 0.95 for the best way.

Run: python benchmarks/gpu/onnx_throughput.py [--provider cuda] [--size 224] [--width 64] [--queries 4096]
(`--provider cpu --size 64 --width 4 --queries 64` tries the script itself where there is no GPU.)
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from onnx_networks import cuda_or_exit, device_name, resnet
from timing import best_times, save

import legstat as ls

WAYS: dict[str, dict[str, Any]] = {
    "outside, plain": {"compose": "outside", "io_binding": False},
    "outside, bound": {"compose": "outside", "io_binding": True},
    "inside, plain": {"compose": "inside", "io_binding": False},
    "inside, bound": {"compose": "inside", "io_binding": True},
}


def main() -> None:
    """Time everything and save the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--provider", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--queries", type=int, default=4096)
    parser.add_argument("--batches", type=int, nargs="*", default=[16, 64, 256])
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    cuda_or_exit(asked.provider)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = resnet(Path(folder) / "resnet.onnx", width=asked.width, size=asked.size)
        for tf32 in (False, True) if asked.provider == "cuda" else (False,):
            for batch in asked.batches:
                rows.append({"tf32": tf32, "batch": batch, **compare(path, asked, batch, tf32)})
                print(rows[-1], flush=True)
    name = f"gpu_onnx_throughput{'' if asked.provider == 'cuda' else '_on_cpu'}"
    facts = {
        "device": device_name(asked.provider),
        "onnxruntime": onnxruntime.__version__,
        "queries": asked.queries,
        "size": asked.size,
    }
    save(name, rows, provider=asked.provider, **facts)


def bare(path: Path, asked: Any, batch: int, times: int, tf32: bool) -> dict[str, Callable[[], None]]:
    """The session alone, `times` times."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    providers: list[Any] = ["CPUExecutionProvider"]
    if asked.provider == "cuda":
        providers.insert(0, ("CUDAExecutionProvider", {"use_tf32": str(int(tf32))}))
    session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    if asked.provider == "cuda" and "CUDAExecutionProvider" not in session.get_providers():
        sys.exit("No CUDA device: the CUDA provider did not come up. Nothing was measured.")
    shape = (batch, 3, asked.size, asked.size)
    pictures = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    binding = session.io_binding()
    binding.bind_ortvalue_input("input", onnxruntime.OrtValue.ortvalue_from_numpy(pictures, asked.provider, 0))
    binding.bind_output("logits", asked.provider, 0)

    def run() -> None:
        for _ in range(times):
            session.run(["logits"], {"input": pictures})

    def bound() -> None:
        for _ in range(times):
            session.run_with_iobinding(binding)
        binding.synchronize_outputs()

    run()
    bound()
    return {"session.run": run, "bound": bound}


def compare(path: Path, asked: Any, batch: int, tf32: bool) -> dict[str, Any]:
    """One row."""
    image = np.random.default_rng(1).random((3, asked.size, asked.size))
    design, n = ls.StructuredGaussian(grid=(asked.size // 8,) * 2, scale=0.02), asked.queries // batch * batch
    calls = bare(path, asked, batch, n // batch, tf32)
    for label, options in WAYS.items():
        session = ls.SessionSettings(tf32=tf32, io_binding=options["io_binding"])
        more = {"provider": asked.provider, "batch_size": batch, "session": session, "compose": options["compose"]}
        f = ls.onnx_response(path, target=1, preprocessing="imagenet", **more)
        recipe = ls.Additive().recipe(image, design.grid, f.dtype)
        f.scorer(recipe)(np.zeros((batch, 1, *design.grid.shape)), None)  # opened and verified before the clock runs

        def query(f: ls.Response = f) -> None:
            ls.query(f, image, design, n_queries=n + 1, key=(1, 2), progress=False)

        calls[label] = query
    times = best_times(calls, repeats=asked.repeats)
    found = {f"{name}: pictures a second": n / times[name] for name in ("session.run", "bound")}
    return found | {f"bound / query {label}": times["bound"] / times[label] for label in WAYS}


if __name__ == "__main__":
    main()
