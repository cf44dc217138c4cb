"""What metrics, RISE and a comparison cost over the bare forward passes that they need (SqueezeNet, CPU).

Three questions: the processor time of a metric over that spent in its own session while it ran (aim: at most 1.05);
RISE over a straight loop over batches of the same masks; and how often a comparison of 8 methods on 10 pictures opens a
session, reads and binds a picture, and asks for what a cache knows.

One thread, so that processor seconds are those of the work, and not of threads that wait for it.

Run: LEGSTAT_DATA=... python benchmarks/bench_metrics.py [metrics] [comparison]
"""

from __future__ import annotations

import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import onnxruntime
from timing import save

import legstat as ls
from legstat.comparison.asking import resized
from legstat.comparison.methods.masks import Rise
from legstat.metrics.references import reference_picture
from legstat.responses.onnx.session import Session

DATA = Path(os.environ.get("LEGSTAT_DATA", Path(__file__).parents[2] / "shared" / "data"))
MODEL, PREPROCESSING = "squeezenet1.1", "caffe"
PICTURES = sorted((DATA / "images" / "samples").glob("*.JPEG"))
ROUNDS = 3
MASKS = 300


class Inside:
    """Processor seconds and pictures of all runs of sessions, while it is looked at."""

    def __init__(self) -> None:
        self.seconds, self.pictures = 0.0, 0

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Count every `Session.run` in here."""
        run = Session.run

        def counted(session: Session, *arguments: Any) -> Any:
            start = time.process_time()
            made = run(session, *arguments)
            self.seconds += time.process_time() - start
            self.pictures += len(made[0])
            return made

        with mock.patch.object(Session, "run", counted):
            yield


def seconds_of(call: Callable[[], Any]) -> tuple[float, Inside]:
    """Processor seconds of a call, and what went into its session."""
    inside = Inside()
    with inside.watched():
        start = time.process_time()
        call()
        whole = time.process_time() - start
    return whole, inside


def of_metrics(f: ls.Response, image: np.ndarray) -> list[dict[str, Any]]:
    """Each metric over its own forward passes."""
    saliency = np.random.default_rng(0).standard_normal((28, 28))
    metrics: dict[str, Callable[[], Any]] = {
        "deletion": lambda: ls.metrics.deletion(f, image, saliency),
        "deletion, I-GOS blur": lambda: ls.metrics.deletion(f, image, saliency, baseline="igos"),
        "insertion": lambda: ls.metrics.insertion(f, image, saliency),
        "insertion, RISE blur": lambda: ls.metrics.insertion(f, image, saliency, baseline="rise"),
        "key_size": lambda: ls.metrics.key_size(f, image, saliency),
        "masking_curve": lambda: ls.metrics.masking_curve(f, image, saliency),
        "patch_deletions": lambda: ls.metrics.patch_deletions(f, image, saliency),
        "infidelity": lambda: ls.metrics.infidelity(f, image, saliency),
        "road": lambda: ls.metrics.road(f, image, saliency),
    }
    rows = []
    for name, metric in metrics.items():
        metric()
        runs = [seconds_of(metric) for _ in range(ROUNDS)]
        ratios = [whole / inside.seconds for whole, inside in runs]
        rows.append(
            {
                "what": name,
                "evaluations": runs[0][1].pictures,
                "bare ms an evaluation": min(i.seconds for _, i in runs) / runs[0][1].pictures * 1e3,
                "over its forward passes, median": statistics.median(ratios),
                "least": min(ratios),
                "beside them ms": statistics.median([whole - inside.seconds for whole, inside in runs]) * 1e3,
            }
        )
        print(rows[-1], flush=True)
    return rows


def of_rise(f: ls.Response, image: np.ndarray, session: onnxruntime.InferenceSession) -> dict[str, Any]:
    """RISE over a straight loop: the same masks, made by the same call, in batches; pictures and scores by numpy."""
    bound, _ = f.bind(image)
    rise, batch, target = Rise((28, 28)), bound.batch_size, bound.target
    mean = np.array([103.939, 116.779, 123.68], dtype=np.float32)[:, None, None]

    def straight() -> np.ndarray:
        rng = np.random.default_rng(0)
        reference = reference_picture("rise", "blur", image, bound)
        x, r = (np.ascontiguousarray(one[::-1] * 255.0, dtype=np.float32) - mean for one in (image, reference))
        weighted, total = np.zeros((224, 224)), np.zeros((224, 224))
        blocks = (rise.masks(min(64, MASKS - 1 - at), 224, 224, rng) for at in range(0, MASKS - 1, 64))
        for masks in (block[at : at + batch] for block in blocks for at in range(0, len(block), batch)):
            pictures = r + masks[:, None].astype(np.float32) * (x - r)
            logits = session.run(["logits"], {"input": pictures})[0].astype(np.float64)
            others = np.delete(logits, target, axis=1)
            top = others.max(axis=1)
            scores = logits[:, target] - top - np.log(np.exp(others - top[:, None]).sum(axis=1))
            for score, mask in zip(scores, masks, strict=True):
                weighted += score * mask
            total += masks.sum(axis=0)
        return resized(weighted / total, (28, 28))

    def ours() -> np.ndarray:
        return rise(bound, image, MASKS, np.random.default_rng(0)).saliency

    times: dict[str, list[float]] = {"ours": [], "straight": []}
    for number in range(ROUNDS):
        for name, call in (("ours", ours), ("straight", straight))[:: 1 if number % 2 else -1]:
            start = time.process_time()
            call()
            times[name].append(time.process_time() - start)
    ratios = [a / b for a, b in zip(times["ours"], times["straight"], strict=True)]
    whole, inside = seconds_of(ours)
    found = {
        "what": f"RISE, {MASKS} evaluations",
        "over a straight loop, median of neighbours": statistics.median(ratios),
        "of the best times": min(times["ours"]) / min(times["straight"]),
        "over its forward passes": whole / inside.seconds,
        "largest difference of the maps, over their range": float(np.abs(ours() - straight()).max() / np.ptp(ours())),
    }
    print(found, flush=True)
    return found


def of_a_comparison(f: ls.Response) -> dict[str, Any]:
    """What a comparison of 8 methods on 10 pictures opens, reads, binds and asks for; then once more from its store."""
    images = {path.stem: f.load_image(path) for path in PICTURES[:10]}
    methods = ["leg", "legtv", "rise", "lime_cells", "occlusion", "edges", "centre", "random"]
    counts: Counter[str] = Counter()
    made = Session.__init__

    def opened(session: Session, *arguments: Any, **more: Any) -> None:
        counts["sessions"] += 1
        made(session, *arguments, **more)

    with tempfile.TemporaryDirectory() as folder, mock.patch.object(Session, "__init__", opened):
        places = {"store": Path(folder) / "maps", "cache": Path(folder) / "answers.sqlite"}
        found: list[ls.Comparison] = []

        def comparison() -> None:
            found.append(
                ls.compare(methods, f, images, metrics=["deletion"], n_queries=[100], progress=False, **places)
            )

        whole, inside = seconds_of(comparison)
        again, inside_again = seconds_of(comparison)
    totals = found[0].evaluations()
    wanted = int(totals["spent"].sum() + totals["metrics"].sum())
    return {
        "what": "8 methods, 10 pictures, 100 evaluations a map, deletion",
        "the same rows again": found[0].rows == found[1].rows,
        "sessions opened": counts["sessions"],
        "counted evaluations": wanted,
        "of them cached": int(totals["cached"].sum()),
        "pictures that reached the network": inside.pictures,
        "over its forward passes": whole / inside.seconds,
        "processor s": whole,
        "again from the store: pictures that reached the network": inside_again.pictures,
        "again: processor s": again,
    }


def main(parts: list[str]) -> None:
    """Measure and save what was asked for."""
    f = ls.onnx_response(
        DATA / "models" / f"{MODEL}.onnx",
        preprocessing=PREPROCESSING,
        threads=1,
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        str(DATA / "models" / f"{MODEL}.onnx"), options, providers=["CPUExecutionProvider"]
    )
    image = f.load_image(DATA / "images/samples/n02099601_golden_retriever.JPEG")
    if "metrics" in parts:
        save("metrics", [*of_metrics(f, image), of_rise(f, image, session)])
    if "comparison" in parts:
        save("metrics_comparison", [of_a_comparison(f)])


if __name__ == "__main__":
    main(sys.argv[1:] or ["metrics", "comparison"])
