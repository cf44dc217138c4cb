"""Small networks for pictures of known cause: linear, two layers, convolutions; trained in seconds, written as ONNX.

Shapes after the 8 x 8 networks of XAI-TRIS (Clark et al., 2023), the hidden layers somewhat wider. As in
``tools/train_digits.py`` the graphs are written node by node with `onnx.helper`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from legstat._core.typing import FloatArray, IntArray

KINDS = ("linear", "mlp", "cnn")


def module(kind: str) -> nn.Sequential:
    """An untrained network from 8 x 8 pixels to two logits."""
    if kind == "linear":
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    if kind == "mlp":
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 2))
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(256, 32),
        nn.ReLU(),
        nn.Linear(32, 2),
    )


def train(kind: str, images: FloatArray, labels: IntArray, *, epochs: int, seed: int) -> nn.Sequential:
    """The network after some epochs of Adam with weight decay."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    network = module(kind)
    x, y = torch.from_numpy(2.0 * images - 1.0).float(), torch.from_numpy(labels)
    x = x / x.std()  # as many units of input as of weights; undone in the first layer below
    steps = epochs * -(-len(y) // 100)
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-2, total_steps=steps)
    for _ in range(epochs):
        for batch in torch.randperm(len(y)).split(100):
            optimiser.zero_grad()
            nn.functional.cross_entropy(network(x[batch]), y[batch]).backward()
            optimiser.step()
            schedule.step()
    with torch.no_grad():
        next(layer for layer in network if hasattr(layer, "weight")).weight /= (2.0 * images - 1.0).std()
    return network.eval()


def write(network: nn.Sequential, path: Path) -> None:
    """The network as ONNX; its input is the picture in [0, 1], turned to [-1, 1] inside."""
    values = {"two": np.array(2.0, dtype=np.float32), "one": np.array(1.0, dtype=np.float32)}
    nodes = [helper.make_node("Mul", ["input", "two"], ["twice"]), helper.make_node("Sub", ["twice", "one"], ["x0"])]
    for i, layer in enumerate(network):
        before, after = f"x{i}", "logits" if i == len(network) - 1 else f"x{i + 1}"
        if isinstance(layer, nn.Linear | nn.Conv2d):
            values |= {f"w{i}": layer.weight.detach().numpy(), f"b{i}": layer.bias.detach().numpy()}
            if isinstance(layer, nn.Linear):
                nodes.append(helper.make_node("Gemm", [before, f"w{i}", f"b{i}"], [after], transB=1))
            else:
                nodes.append(helper.make_node("Conv", [before, f"w{i}", f"b{i}"], [after], pads=[1, 1, 1, 1]))
        elif isinstance(layer, nn.MaxPool2d):
            nodes.append(helper.make_node("MaxPool", [before], [after], kernel_shape=[2, 2], strides=[2, 2]))
        else:
            nodes.append(helper.make_node("Relu" if isinstance(layer, nn.ReLU) else "Flatten", [before], [after]))
    graph = helper.make_graph(
        nodes,
        "tetromino",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 1, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 2])],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(proto, full_check=True)
    path.write_bytes(proto.SerializeToString())
