"""All methods that need evaluations alone, before the same pictures of real networks, at equal numbers of evaluations.

The pictures were not used for choosing anything: images/boxed and every second file of images/samples (odd positions of
the sorted names); of these the first `--pictures` that the network gets right with a probability of .3 and more. Scores
are log-odds, maps have 28 x 28 cells, curves run over 56 steps against the picture blurred by 10 pixels.

Pictures are worked off in groups of `--group`, and the rows are saved after each: a run that is stopped keeps them, and
a second run goes on behind them, also from a folder that holds FOLDER/NETWORK.json alone. Maps stay in FOLDER/store.

Run: LEGSTAT_DATA=... python benchmarks/study_comparison.py FOLDER [--network squeezenet1.1] [--pictures 24] [--jobs 2]
With --device cuda the networks run as torch modules (onnx2torch makes them), one process a job.
"""

from __future__ import annotations

import argparse
import csv
import os
import signal
import subprocess
import time
import warnings
from functools import partial
from pathlib import Path
from typing import Any

from pictures import DATA, NETWORKS
from timing import machine

import legstat as ls
from legstat._core.files import json_text, json_value, write_text
from legstat._core.typing import FloatArray
from legstat.comparison.method import Method
from legstat.comparison.methods.own import LegMap, LegTvMap

LEAST = 0.3
OURS: dict[str, Method] = {
    "leg_adaptive": LegMap(name="leg_adaptive", moments="adaptive"),
    "legtv_simplest": LegTvMap(name="legtv_simplest", L="simplest"),
    "legtv_penalised": LegTvMap(name="legtv_penalised", L="simplest", relaxed=False),
    "leg_structured": LegMap(name="leg_structured", law="structured"),
    "legtv_structured": LegTvMap(name="legtv_structured", law="structured"),
}
"""legstat's estimates by other choices than the defaults, which "leg" and "legtv" take."""
NAMES = ("rise", "lime_cells", "lime_superpixels", "kernelshap", "sobol", "hsic", "c_shapley", "occlusion")
NAMES += ("leg", "legtv", *OURS, "centre", "random")


def opened(name: str, device: str, score: str = "log_odds") -> ls.Response:
    """The network, as the ONNX file that it is, or as a torch module on a device."""
    path = DATA / "models" / f"{name}.onnx"
    if device == "cpu":
        return ls.onnx_response(path, preprocessing=NETWORKS[name], score=score, threads=1, batch_size=2)
    import torch
    from onnx2torch import convert

    class Logits(torch.nn.Module):
        """The first output alone."""

        def __init__(self) -> None:
            super().__init__()
            self.network = convert(path)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            found = self.network(x)
            return found if isinstance(found, torch.Tensor) else found[0]

    return ls.torch_response(
        Logits().eval(), preprocessing=NETWORKS[name], score=score, output_kind="logits", device=device, batch_size=128
    )


def chosen(name: str, device: str, count: int) -> dict[str, FloatArray]:
    """The pictures, by the rule above."""
    candidates = []
    for folder, table, kept in (("samples", "imagenet_samples", 1), ("boxed", "imagenet_val_boxed", None)):
        with (DATA / "labels" / f"{table}.csv").open() as file:
            rows = sorted(csv.DictReader(file), key=lambda row: row["file"])
        candidates += [(folder, row) for i, row in enumerate(rows) if kept is None or i % 2 == kept]
    f = opened(name, device, score="probability")
    found: dict[str, FloatArray] = {}
    for folder, row in candidates:
        image = f.load_image(DATA / "images" / folder / row["file"])
        settled, p = f.bind(image)
        if settled.describe()["target"] == int(row["label"]) and p >= LEAST:
            found[Path(row["file"]).stem] = image
        if len(found) == count:
            break
    return found


def main() -> None:
    """Run the study, group by group."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--network", default="mobilenet_v2_1.0_224", choices=list(NETWORKS))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--pictures", type=int, default=24)
    parser.add_argument("--n-queries", type=int, nargs="*", default=[500, 2000])
    parser.add_argument("--methods", nargs="*", default=list(NAMES))
    parser.add_argument(
        "--metrics", nargs="*", default=["deletion", "insertion", "insertion_minus_deletion", "key_size"]
    )
    parser.add_argument("--group", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=1)
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    warnings.filterwarnings("ignore", category=ls.LegstatWarning)
    asked.folder.mkdir(parents=True, exist_ok=True)
    pictures = list(chosen(asked.network, asked.device, asked.pictures).items())
    file = asked.folder / f"{asked.network}.json"
    known = json_value(file.read_text(encoding="utf-8")) if file.is_file() else {"pictures": 0, "rows": []}
    rows: list[dict[str, Any]] = known["rows"]
    methods = [OURS.get(name, name) for name in asked.methods]
    start = time.perf_counter()
    for at in range(known["pictures"], len(pictures), asked.group):
        group = dict(pictures[at : at + asked.group])
        found = ls.compare(
            methods,
            partial(opened, asked.network, asked.device),
            group,
            metrics=asked.metrics,
            n_queries=asked.n_queries,
            rng=at,
            store=asked.folder / "store",
            cache=asked.folder / "answers",
            n_jobs=asked.jobs,
            progress=False,
        )
        rows += [dict(row) for row in found.rows]
        device = _device(asked.device)
        facts = {"network": asked.network, "device": device, "machine": machine(), "pictures": at + len(group)}
        write_text(file, json_text({**facts, "rows": rows}) + "\n")
        print(asked.network, at + len(group), "pictures", round(time.perf_counter() - start), "s", flush=True)
    table = ls.Comparison(rows).summary()
    print(table.to_string())


def _device(device: str) -> str:
    if device == "cpu":
        return f"CPU, one thread each, {os.cpu_count()} processors"
    asked = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
