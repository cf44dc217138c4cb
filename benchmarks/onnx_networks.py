"""An ONNX network of ResNet-50's size with random weights: for speed, and for the size of rounding errors."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class _Graph:
    """Layers one after the other; weights of He's size from one seed."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._rng = np.random.default_rng(0)

    def add(self, kind: str, *inputs: str, **attributes: object) -> str:
        """One node; returns the name of what it makes."""
        made = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [made], **attributes))
        return made

    def weight(self, *shape: int, scale: float = 1.0) -> str:
        """Random weights with the fan-in behind the first axis; zeros for one axis."""
        size = np.sqrt(2.0 / np.prod(shape[1:])) if len(shape) > 1 else 0.0
        values = scale * size * self._rng.standard_normal(shape, dtype=np.float32)
        self.weights.append(numpy_helper.from_array(values.astype(np.float32), f"weight_{len(self.weights)}"))
        return f"weight_{len(self.weights) - 1}"

    def conv(self, x: str, inside: int, outside: int, size: int, stride: int = 1, scale: float = 1.0) -> str:
        """A convolution with bias, as exporters leave it when they fold batch norms in."""
        w, b = self.weight(outside, inside, size, size, scale=scale), self.weight(outside)
        pads = [size // 2] * 4
        return self.add("Conv", x, w, b, kernel_shape=[size, size], strides=[stride, stride], pads=pads)


def resnet(
    path: Path, blocks: tuple[int, ...] = (3, 4, 6, 3), *, width: int = 64, size: int = 224, classes: int = 1000
) -> Path:
    """Write a residual network; by default of ResNet-50's shape (25.6 million parameters)."""
    graph = _Graph()
    x = graph.add("Relu", graph.conv("input", 3, width, 7, 2))
    x = graph.add("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    inside = width
    for stage, number in enumerate(blocks):
        narrow = width << stage
        for i in range(number):
            stride = 2 if stage and i == 0 else 1
            y = graph.add("Relu", graph.conv(x, inside, narrow, 1))
            y = graph.add("Relu", graph.conv(y, narrow, narrow, 3, stride))
            # branches that add little: the sum stays of one size through the depth
            y = graph.conv(y, narrow, 4 * narrow, 1, scale=0.3)
            if stride > 1 or inside != 4 * narrow:
                x = graph.conv(x, inside, 4 * narrow, 1, stride)
            x, inside = graph.add("Relu", graph.add("Add", y, x)), 4 * narrow
    x = graph.add("Flatten", graph.add("GlobalAveragePool", x))
    w, b = graph.weight(classes, inside), graph.weight(classes)
    graph.nodes.append(helper.make_node("Gemm", [x, w, b], ["logits"], transB=1))
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "resnet",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 3, size, size])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", classes])],
            graph.weights,
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


def cuda_or_exit(provider: str) -> None:
    """End with a clear message where CUDA is asked for and not to be had."""
    import onnxruntime

    available = onnxruntime.get_available_providers()
    if provider == "cuda" and "CUDAExecutionProvider" not in available:
        raise SystemExit(
            f"No CUDA: the installed onnxruntime {onnxruntime.__version__} has {available} only. Nothing was measured. "
            "pip install 'legstat[onnx-gpu]' in place of onnxruntime, on a machine with an NVIDIA driver."
        )


def device_name(provider: str) -> str:
    """What the session runs on, as the driver's own tool names it."""
    if provider != "cuda":
        return "CPU"
    asked = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
