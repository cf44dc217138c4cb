"""ONNX files of plain convolutional classifiers as torch modules, for tests that need gradients of real networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.numpy_helper
import torch
from torch.nn import functional

Tensors = list[torch.Tensor]


class OnnxModule(torch.nn.Module):
    """Follows an ONNX graph node by node; `output` names the tensor that is returned, by default the first output.

    Every node's output goes through an identity that is a part of its name (dots become underscores), for hooks; that
    of a ReLU is torch's own.
    """

    def __init__(self, path: str | Path, output: str | None = None) -> None:
        super().__init__()
        graph = onnx.load(str(path)).graph
        self._nodes = [
            (n.op_type, list(n.input), n.output[0], {a.name: onnx.helper.get_attribute_value(a) for a in n.attribute})
            for n in graph.node
        ]
        self.layers = torch.nn.ModuleDict(
            {
                _part(made): torch.nn.ReLU() if kind == "Relu" else torch.nn.Identity()
                for kind, _, made, _ in self._nodes
            }
        )
        self._names = {}
        for i, tensor in enumerate(graph.initializer):
            self._names[tensor.name] = f"w{i}"
            self.register_buffer(f"w{i}", torch.from_numpy(np.array(onnx.numpy_helper.to_array(tensor))))
        self._input = next(i.name for i in graph.input if i.name not in self._names)
        self._output = output or graph.output[0].name

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        known = {name: getattr(self, place) for name, place in self._names.items()} | {self._input: pictures}
        for kind, inputs, output, about in self._nodes:
            made = _OPERATIONS[kind]([known[name] for name in inputs if name], about)
            known[output] = self.layers[_part(output)](made)
            if output == self._output:
                break
        return known[self._output]

    def layer(self, output: str) -> str:
        """Name of the part whose output is that tensor of the graph."""
        return f"layers.{_part(output)}"


def _part(tensor: str) -> str:
    return tensor.replace(".", "_")


def _pads(x: torch.Tensor, about: dict) -> tuple[list[int], list[int]]:
    """Rows and columns to add before and after."""
    spatial = x.ndim - 2
    if about.get("auto_pad") == b"SAME_UPPER":
        kernel, strides = about["kernel_shape"], about.get("strides", [1] * spatial)
        total = [max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(x.shape[2:], kernel, strides, strict=True)]
        begin, end = [t // 2 for t in total], [t - t // 2 for t in total]
    else:
        pads = about.get("pads", [0] * 2 * spatial)
        begin, end = list(pads[:spatial]), list(pads[spatial:])
        if about.get("ceil_mode"):
            for i, (n, k, s) in enumerate(
                zip(x.shape[2:], about["kernel_shape"], about.get("strides", [1] * spatial), strict=True)
            ):
                end[i] += -(n + begin[i] + end[i] - k) % s
    return begin, end


def _padded(x: torch.Tensor, pads: tuple[list[int], list[int]], value: float = 0.0) -> torch.Tensor:
    flat = [side for pair in zip(reversed(pads[0]), reversed(pads[1]), strict=True) for side in pair]
    return functional.pad(x, flat, value=value) if any(flat) else x


def _conv(x: Tensors, about: dict) -> torch.Tensor:
    bias = x[2] if len(x) > 2 else None
    strides, groups = about.get("strides", [1, 1]), about.get("group", 1)
    begin, end = _pads(x[0], about)
    if begin == end:  # the convolution's own, without a copy
        return functional.conv2d(x[0], x[1], bias, stride=tuple(strides), padding=tuple(begin), groups=groups)
    return functional.conv2d(_padded(x[0], (begin, end)), x[1], bias, stride=tuple(strides), groups=groups)


def _max_pool(x: Tensors, about: dict) -> torch.Tensor:
    low = float("-inf")
    return functional.max_pool2d(_padded(x[0], _pads(x[0], about), low), about["kernel_shape"], about.get("strides"))


def _gemm(x: Tensors, about: dict) -> torch.Tensor:
    a = x[0].T if about.get("transA") else x[0]
    b = x[1].T if about.get("transB") else x[1]
    product = about.get("alpha", 1.0) * (a @ b)
    return product + about.get("beta", 1.0) * x[2] if len(x) > 2 else product


def _slice(x: Tensors, _: dict) -> torch.Tensor:
    starts, ends = x[1].tolist(), x[2].tolist()
    axes = x[3].tolist() if len(x) > 3 else list(range(len(starts)))
    steps = x[4].tolist() if len(x) > 4 else [1] * len(starts)
    picked = x[0]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        where = [slice(None)] * picked.ndim
        where[axis] = slice(start, min(end, picked.shape[axis]), step)
        picked = picked[tuple(where)]
    return picked


def _pad(x: Tensors, _: dict) -> torch.Tensor:
    n = x[0].ndim
    pads = x[1].tolist()
    flat = [side for i in reversed(range(n)) for side in (pads[i], pads[n + i])]
    return functional.pad(x[0], flat)


def _softmax(x: Tensors, about: dict) -> torch.Tensor:
    return functional.softmax(x[0], dim=about.get("axis", 1))


def _flatten(x: Tensors, about: dict) -> torch.Tensor:
    return x[0].flatten(about.get("axis", 1))


def _reshape(x: Tensors, _: dict) -> torch.Tensor:
    shape = x[1].tolist()
    batch = shape[0] == 1 and x[0].shape[0] != 1 and x[0].ndim == 4
    return x[0].reshape([-1, *shape[1:]] if batch else shape)


def _clip(x: Tensors, about: dict) -> torch.Tensor:
    low = float(x[1]) if len(x) > 1 else about.get("min", float("-inf"))
    high = float(x[2]) if len(x) > 2 else about.get("max", float("inf"))
    # one kernel in each direction, where a clamp by tensors takes five
    return functional.hardtanh(x[0], low, high)


_OPERATIONS = {
    "Add": lambda x, _: x[0] + x[1],
    "Clip": _clip,
    "Concat": lambda x, about: torch.cat(x, dim=about["axis"]),
    "Conv": _conv,
    "Div": lambda x, _: x[0] / x[1],
    "Dropout": lambda x, _: x[0],
    "Flatten": _flatten,
    "Gemm": _gemm,
    "GlobalAveragePool": lambda x, _: x[0].mean(dim=(2, 3), keepdim=True),
    "Identity": lambda x, _: x[0],
    "MatMul": lambda x, _: x[0] @ x[1],
    "MaxPool": _max_pool,
    "Pad": _pad,
    "Relu": lambda x, _: x[0],  # its part is one
    "Reshape": _reshape,
    "Slice": _slice,
    "Softmax": _softmax,
    "Sub": lambda x, _: x[0] - x[1],
    "Transpose": lambda x, about: x[0].permute(*about["perm"]),
}
