"""Tiny ONNX graphs whose outputs are known exactly: logits = W x + b, and what exporters put around them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

TYPES = {
    "float16": TensorProto.FLOAT16,
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "uint8": TensorProto.UINT8,
}


class Linear(NamedTuple):
    """A model file and the weights in it: logits = images.reshape(n, -1) @ weights + bias."""

    path: Path
    weights: NDArray[np.float64]
    bias: NDArray[np.float64]

    def logits(self, inputs: NDArray[np.generic]) -> NDArray[np.float64]:
        """The truth, in float64, for the network's input as it sees it."""
        flat = np.asarray(inputs, dtype=np.float64).reshape(len(inputs), -1)
        return flat @ self.weights + self.bias


def softmax(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Naive softmax of moderate logits."""
    e = np.exp(z)
    return e / e.sum(axis=1, keepdims=True)


def linear_model(
    path: Path,
    *,
    classes: int = 5,
    shape: tuple[int, int, int] = (3, 4, 4),
    batch: int | str = "N",
    dtype: str = "float32",
    opset: int = 13,
    tails: Sequence[str] = ("logits",),
    channels_last: bool = False,
    trailing: int = 0,
    reshape: bool = False,
    scale: float = 1.0,
    ir_version: int = 8,
    seed: int = 0,
) -> Linear:
    """Write a linear classifier.

    `tails` names the graph's outputs: "logits", "probs" (Softmax), "twice" (Softmax of Softmax), "logprobs", "sigmoid".
    `trailing` adds that many axes of length 1 to the outputs; `reshape` flattens by a Reshape to a fixed batch size.
    """
    rng = np.random.default_rng(seed)
    size = int(np.prod(shape))
    weights = rng.normal(size=(size, classes)) * scale
    bias = rng.normal(size=classes)
    work = "float32" if dtype == "uint8" else dtype
    weights, bias = weights.astype(work), bias.astype(work)
    dims = (shape[1], shape[2], shape[0]) if channels_last else shape
    nodes = []
    current = "image"
    if dtype == "uint8":
        nodes.append(helper.make_node("Cast", [current], ["real"], to=TensorProto.FLOAT))
        current = "real"
    initialisers = [numpy_helper.from_array(weights, "W"), numpy_helper.from_array(bias, "B")]
    if reshape:
        if not isinstance(batch, int):
            raise ValueError("reshape needs a fixed batch")
        initialisers.append(numpy_helper.from_array(np.array([batch, size], dtype=np.int64), "flat_shape"))
        nodes.append(helper.make_node("Reshape", [current, "flat_shape"], ["flat"]))
    else:
        nodes.append(helper.make_node("Flatten", [current], ["flat"], axis=1))
    nodes.append(helper.make_node("Gemm", ["flat", "W", "B"], ["z"]))
    makers = {
        "logits": [helper.make_node("Identity", ["z"], ["logits"])],
        "probs": [helper.make_node("Softmax", ["z"], ["probs"], axis=1)],
        "twice": [
            helper.make_node("Softmax", ["z"], ["once"], axis=1),
            helper.make_node("Softmax", ["once"], ["twice"], axis=1),
        ],
        "logprobs": [helper.make_node("LogSoftmax", ["z"], ["logprobs"], axis=1)],
        "sigmoid": [helper.make_node("Sigmoid", ["z"], ["sigmoid"])],
    }
    outputs = []
    for name in tails:
        nodes += makers[name]
        made = name
        if trailing:
            target = np.array([0, classes] + [1] * trailing, dtype=np.int64)
            initialisers.append(numpy_helper.from_array(target, f"{name}_shape"))
            nodes.append(helper.make_node("Reshape", [name, f"{name}_shape"], [f"{name}_wide"]))
            made = f"{name}_wide"
        outputs.append(helper.make_tensor_value_info(made, TYPES[work], [batch, classes] + [1] * trailing))
    inputs = [helper.make_tensor_value_info("image", TYPES[dtype], [batch, *dims])]
    graph = helper.make_graph(nodes, "linear", inputs, outputs, initialisers)
    save(graph, path, opset, ir_version)
    return Linear(path, weights.astype(np.float64), bias.astype(np.float64))


def save(graph: onnx.GraphProto, path: Path, opset: int = 13, ir_version: int = 8) -> Path:
    """Write a graph as a checked model file."""
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


def residual_model(path: Path, *, width: int = 8, seed: int = 0) -> Path:
    """Write a classifier of (3, 8, 16) pictures with a sum of two branches, which runtimes fuse if sizes are known."""
    rng = np.random.default_rng(seed)

    def weight(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(rng.normal(0, np.prod(shape[1:]) ** -0.5, shape).astype(np.float32), name)

    nodes = [
        helper.make_node("Conv", ["image", "W1"], ["a"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "W2"], ["c"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["c", "b"], ["d"]),
        helper.make_node("Relu", ["d"], ["e"]),
        helper.make_node("GlobalAveragePool", ["e"], ["f"]),
        helper.make_node("Flatten", ["f"], ["logits"]),
    ]
    weights = [weight("W1", width, 3, 3, 3), weight("W2", width, width, 3, 3)]
    inputs = [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, 8, 16])]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", width])]
    return save(helper.make_graph(nodes, "residual", inputs, outputs, weights), path, 17)


def one_picture_model(path: Path) -> Path:
    """Takes pictures (3, 4, 4) one at a time: batch 1 in a Reshape's target, behind a declared free batch."""
    nodes = [
        helper.make_node("Reshape", ["image", "shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "W"], ["logits"]),
    ]
    weights = np.random.default_rng(5).normal(size=(48, 5)).astype(np.float32)
    held = {"shape": np.array([1, 48], np.int64), "W": weights}
    graph = helper.make_graph(
        nodes,
        "one",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, 4, 4])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 5])],
        [numpy_helper.from_array(value, name) for name, value in held.items()],
    )
    return save(graph, path)


def open_size_model(path: Path) -> Path:
    """Write a dense layer for 4 x 4 pictures behind an input whose rows and columns are open."""
    weights = np.random.default_rng(7).normal(size=(48, 5)).astype(np.float32)
    nodes = [helper.make_node("Flatten", ["image"], ["flat"]), helper.make_node("MatMul", ["flat", "W"], ["out"])]
    graph = helper.make_graph(
        nodes,
        "open",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, "H", "W"])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["N", 5])],
        [numpy_helper.from_array(weights, "W")],
    )
    return save(graph, path)
