"""The perturbation inside the graph against outside it (CPU).

Outside, as `legstat.query` does it, a thread writes the next batch of pictures while the network works on this one.
Inside, only the cells' noise crosses into the session: lift, add or blend, clip and preprocessing are nodes in front of
the user's graph. "folded" has the preprocessing in the picture already, which saves passes and rounds
otherwise; "same" does what the outside way does, operation by operation. All sides draw z alike.

Run: LEGSTAT_DATA=... python benchmarks/bench_fused.py
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from timing import best_times, save

import legstat as ls
from legstat.designs import BLOCK

DATA = Path(os.environ.get("LEGSTAT_DATA", Path(__file__).parents[2] / "shared" / "data"))
MODELS = {"mobilenet_v2_1.0_224": "tf", "squeezenet1.1": "caffe"}
PICTURE = "images/samples/n02099601_golden_retriever.JPEG"
GRID = (28, 28)
QUERIES = 48


def composed(
    path: Path, f: ls.Response, image: NDArray[np.float64], operator: ls.Additive | ls.Blend, folded: bool
) -> onnx.ModelProto:
    """The graph of `path` with the perturbation of `image` in front.

    Its input is z, or the mask level for a blend, of shape (n, 1, p1, p2) in float32.
    """
    model = onnx.load(str(path))
    graph, (p1, p2) = model.graph, GRID
    channels, height, width = image.shape
    h, w = height // p1, width // p2
    rule = f.preprocessing  # type: ignore[attr-defined]
    factor, offset = (v[:, None, None] for v in rule.affine(channels))
    a, b = (factor, offset) if folded else (np.ones_like(factor), np.zeros_like(offset))

    def written(pictures: NDArray[np.float64]) -> NDArray[np.float64]:
        return pictures[::-1] if rule.channel_order == "BGR" else pictures

    def constant(name: str, value: Any, kind: type = np.float32) -> str:
        graph.initializer.append(numpy_helper.from_array(np.asarray(value, dtype=kind), f"fused_{name}"))
        return f"fused_{name}"

    picture = next(v for v in graph.input if v.name not in {t.name for t in graph.initializer})
    rows = (1, channels, p1, h, width)  # a cell's noise is the same down its rows: broadcasting repeats it
    nodes = []

    def node(kind: str, inputs: list[str], output: str) -> str:
        nodes.append(helper.make_node(kind, inputs, [f"fused_{output}"]))
        return f"fused_{output}"

    def lifted(z: str) -> str:
        cells = node("Reshape", [z, constant("cells", [-1, 1, p1, 1, p2, 1], np.int64)], "cells_out")
        wide = node("Expand", [cells, constant("wide", [1, 1, 1, 1, 1, w], np.int64)], "wide_out")
        return node("Reshape", [wide, constant("row", [-1, 1, p1, 1, width], np.int64)], "row_out")

    if isinstance(operator, ls.Blend):
        baseline = operator.baseline_picture(image)
        contrast = constant("contrast", (a * written(image - baseline)).reshape(rows))
        ground = constant("ground", (a * written(baseline) + b).reshape(rows))
        made = node("Add", [node("Mul", [lifted("z"), contrast], "removed"), ground], "made")
    else:
        # clip(x + z, 0, 1) a + b = clip(a x + b + a z, b, a + b)
        step = lifted("z")
        if folded:
            step = node("Mul", [step, constant("a", a.reshape(1, channels, 1, 1, 1))], "step")
        moved = node("Add", [step, constant("x", (a * written(image) + b).reshape(rows))], "moved")
        low, high = (constant(n, v.reshape(1, channels, 1, 1, 1)) for n, v in (("low", b), ("high", a + b)))
        made = node("Min", [node("Max", [moved, low], "floored"), high], "made")
    made = node("Reshape", [made, constant("shape", [-1, channels, height, width], np.int64)], "picture")
    if not folded:
        made = node(
            "Add", [node("Mul", [made, constant("factor", factor)], "scaled"), constant("offset", offset)], "sent"
        )
    nodes.append(helper.make_node("Identity", [made], [picture.name]))
    for value in [v for v in graph.input if v.name == picture.name]:
        graph.input.remove(value)
    graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, ["n", 1, p1, p2]))
    for i, one in enumerate(nodes):
        graph.node.insert(i, one)
    model.ir_version = max(model.ir_version, 4)
    return model


def main() -> None:
    """Time everything and save the table."""
    rows = []
    for name, preprocessing in MODELS.items():
        path = DATA / "models" / f"{name}.onnx"
        for label, operator, scale in (("additive", ls.Additive(), 0.02), ("blend", ls.Blend(), 0.25)):
            for batch in (1, 4, 16):
                row = compare(name, path, preprocessing, label, operator, scale, batch)
                print(row, flush=True)
                rows.append(row)
    save("fused", rows, queries=QUERIES)


def compare(
    name: str, path: Path, preprocessing: str, label: str, operator: Any, scale: float, batch: int
) -> dict[str, Any]:
    """One row of the table."""
    f = ls.onnx_response(path, preprocessing=preprocessing, target=207, batch_size=batch)
    image, design = f.load_image(DATA / PICTURE), ls.StructuredGaussian(GRID, scale)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = f.describe()["threads"]
    folded, same = (
        onnxruntime.InferenceSession(
            composed(path, f, image, operator, fold).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        for fold in (True, False)
    )
    overhead = 1 + int(operator.needs_base)
    read = f.describe()["output"]

    def outside() -> NDArray[np.float64]:
        sample = ls.query(f, image, design, overhead + QUERIES, perturbation=operator, key=(1, 2), progress=False)
        return sample.responses

    def scores(logits: NDArray[np.float32]) -> NDArray[np.float64]:
        values = logits.reshape(len(logits), -1).astype(np.float64)
        others = np.delete(values, 207, axis=1)
        top = others.max(axis=1)
        return values[:, 207] - top - np.log(np.exp(others - top[:, None]).sum(axis=1))

    def inside(session: onnxruntime.InferenceSession) -> NDArray[np.float64]:
        found = []
        for block in range(-(-QUERIES // (2 * BLOCK))):
            z = design.draw((1, 2), 0, block)
            pairs = np.stack([z, -z], axis=1).reshape(-1, *z.shape[1:])
            if isinstance(operator, ls.Blend):
                pairs = np.clip(operator.at + pairs, 0.0, 1.0)
            pairs = pairs.astype(np.float32)
            batches = (pairs[at : at + batch] for at in range(0, len(pairs), batch))
            found += [scores(session.run([read], {"z": z})[0]) for z in batches]
        return np.concatenate(found)[:QUERIES]

    theirs = outside()
    size = np.abs(theirs).max()
    calls: dict[str, Callable[[], Any]] = {
        "outside": outside,
        "folded": lambda: inside(folded),
        "same": lambda: inside(same),
    }
    times = best_times(calls, repeats=6)
    return {
        "model": name,
        "perturbation": label,
        "batch": batch,
        "outside ms a query": times["outside"] / QUERIES * 1e3,
        "folded / outside": times["folded"] / times["outside"],
        "same / outside": times["same"] / times["outside"],
        "folded: difference / largest score": float(np.abs(inside(folded) - theirs).max() / size),
        "same: difference": float(np.abs(inside(same) - theirs).max() / size),
    }


if __name__ == "__main__":
    main()
