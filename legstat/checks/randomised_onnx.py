"""The weights of an ONNX file: found by walking the graph back from its outputs, and replaced layer by layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from legstat._core.errors import invalid
from legstat.checks.layers import WeightLaw, WeightLayer, chosen, drawn
from legstat.responses.onnx.graph import load_proto, model_facts

if TYPE_CHECKING:
    import onnx

_LINEAR: dict[str, tuple[int, ...]] = {
    "Conv": (1, 2),
    "ConvTranspose": (1, 2),
    "ConvInteger": (1,),
    "QLinearConv": (3, 8),
    "FusedConv": (1, 2),
    "Gemm": (0, 1, 2),
    "FusedGemm": (0, 1, 2),
    "MatMul": (0, 1),
    "FusedMatMul": (0, 1),
    "MatMulInteger": (0, 1),
    "QLinearMatMul": (0, 3),
    "Einsum": (0, 1, 2, 3),
    "Gather": (0,),
    "LSTM": (1, 2, 3, 7),
    "GRU": (1, 2, 3),
    "RNN": (1, 2, 3),
}
"""Operations that begin a layer, with the inputs that may be weights. Gather: a table of embeddings."""

_FOLLOWING: dict[str, tuple[int, ...]] = {
    "Add": (0, 1),
    "Sub": (0, 1),
    "Mul": (0, 1),
    "Div": (0, 1),
    "PRelu": (1,),
    "BatchNormalization": (1, 2),
    "InstanceNormalization": (1, 2),
    "LayerNormalization": (1, 2),
    "GroupNormalization": (1, 2),
}
"""Operations whose weights belong to the layer before. Mean and variance of a batch normalisation are no weights: they
describe the training pictures, and a variance drawn anew could be negative."""

_SMALLEST_FILE = 1_800_000_000
"""Bytes of weights from which a file is written with its data beside it: one message holds 2 GiB."""


@dataclass(frozen=True)
class _Found:
    """A layer while the graph is walked: its node, and its weights as they are met."""

    node: onnx.NodeProto
    tensors: dict[str, onnx.TensorProto] = field(default_factory=dict)


class Weights:
    """The layers of a model, from the output back.

    Parameters
    ----------
    where : str
        Call to name in an error.
    path : str or Path
        The file; external data are read where they lie in its folder.
    output : str, optional
        Tensor from which to walk back; by default all outputs of the graph.
    """

    def __init__(self, where: str, path: str | Path, output: str | None = None) -> None:
        import onnx

        self._where, self._path = where, Path(path)
        model = load_proto(where, path)
        if model_facts(where, path, model).external_files:  # refused where they lie outside
            onnx.load_external_data_for_model(model, str(self._path.parent.resolve()))
        if model.functions:
            import onnx.inliner

            model = onnx.inliner.inline_local_functions(model)
        self.model = model
        self._nodes = list(model.graph.node)
        self._producers = {name: i for i, node in enumerate(self._nodes) for name in node.output if name}
        self._constants = dict(self._named_constants())
        self._wanted = self._outputs(output)

    @cached_property
    def layers(self) -> tuple[WeightLayer, ...]:
        """What `legstat.checks.weight_layers` returns."""
        made = []
        for found in self._found:
            size = sum(int(np.prod(tensor.dims)) for tensor in found.tensors.values())
            name = found.node.name or found.node.output[0]
            made.append(WeightLayer(name, found.node.op_type, tuple(found.tensors), size))
        return tuple(made)

    def replace(self, layers: int | Sequence[str] | None, law: WeightLaw, root: int) -> None:
        """Replace the weights of some layers (in place); layer i draws from a stream of its own."""
        import onnx

        for i in chosen(self._where, layers, self.layers):
            rng = np.random.default_rng([root, i])
            for name, tensor in self._found[i].tensors.items():
                values = onnx.numpy_helper.to_array(tensor)
                if values.dtype.kind in "iu" and law != "permuted":
                    remedy = "Take law='permuted', or the file as it was before it was quantised."
                    raise ValueError(
                        invalid(
                            self._where,
                            "law",
                            law,
                            f"'permuted' for whole numbers, such as the weights {name!r}",
                            remedy,
                        )
                    )
                fresh = drawn(values, law, rng).astype(values.dtype)
                tensor.CopyFrom(onnx.numpy_helper.from_array(fresh, tensor.name))

    def save(self, to: str | Path) -> Path:
        """Write the model, all its data within, or beside it where one file cannot hold them."""
        import onnx

        path = Path(to)
        if path.resolve() == self._path.resolve():
            raise ValueError(invalid(self._where, "to", str(to), "another file than the model's own"))
        apart = self.model.ByteSize() > _SMALLEST_FILE
        path.with_name(f"{path.name}.data").unlink(missing_ok=True)  # data would be appended to it
        onnx.save_model(self.model, str(path), save_as_external_data=apart, location=f"{path.name}.data")
        return path

    # -- the walk ------------------------------------------------------------------------------------------------

    @cached_property
    def _found(self) -> list[_Found]:
        """Layers with their weights: through the graph once, forwards, then turned round."""
        reached = self._reached()
        live = {value.name for value in self.model.graph.input if value.name not in self._constants}
        layer_of: dict[str, int] = {}  # tensor -> place of the node that began the layer it comes from
        layers: dict[int, _Found] = {}
        for i, node in enumerate(self._nodes):
            if not live.intersection(node.input):
                continue  # made of constants alone: reached through the weights it ends in
            live.update(node.output)
            origin = max((layer_of.get(name, -1) for name in node.input), default=-1)
            if i in reached:
                self._refuse_subgraphs(node)
                fixed = [name for name in self._inputs(node, _LINEAR) if name not in live]
                if fixed and (weights := self._upstream(node, fixed)):
                    layers[i] = _Found(node, weights)
                    origin = i
                elif origin in layers:  # else it prepares the picture: no layer came before
                    fixed = [name for name in self._inputs(node, _FOLLOWING) if name not in live]
                    floats = self._upstream(node, fixed)
                    layers[origin].tensors.update({n: t for n, t in floats.items() if t.data_type not in _integers()})
            layer_of.update(dict.fromkeys(node.output, origin))
        if not layers:
            remedy = "Its layers were looked for from the outputs back."
            raise ValueError(invalid(self._where, "model", self._path.name, "a network with weights", remedy))
        return self._each_once([layers[i] for i in sorted(layers, reverse=True)])

    @staticmethod
    def _each_once(layers: list[_Found]) -> list[_Found]:
        """The layers with each shared tensor in the first alone; without those that have none left."""
        met: set[str] = set()
        for found in layers:
            for name in met.intersection(found.tensors):
                del found.tensors[name]
            met.update(found.tensors)
        return [found for found in layers if found.tensors]

    def _outputs(self, output: str | None) -> list[str]:
        if output is None:
            return [value.name for value in self.model.graph.output]
        if output not in self._producers:
            valid = "the name of a tensor that the graph produces"
            raise ValueError(invalid(self._where, "output", output, valid, "`inspect_model` lists the outputs."))
        return [output]

    def _named_constants(self) -> Iterator[tuple[str, onnx.TensorProto]]:
        """Initialisers and the tensors of Constant nodes, by the name under which nodes take them."""
        for tensor in self.model.graph.initializer:
            yield tensor.name, tensor
        for node in self._nodes:
            for attribute in node.attribute if node.op_type == "Constant" else ():
                if attribute.HasField("t"):
                    yield node.output[0], attribute.t

    def _reached(self) -> set[int]:
        """Nodes that the outputs depend on."""
        reached: set[int] = set()
        open_names = list(self._wanted)
        while open_names:
            i = self._producers.get(open_names.pop())
            if i is not None and i not in reached:
                reached.add(i)
                open_names += self._nodes[i].input
        return reached

    @staticmethod
    def _inputs(node: onnx.NodeProto, table: dict[str, tuple[int, ...]]) -> list[str]:
        """Names of the inputs that may be weights, those that are left out aside."""
        return [node.input[k] for k in table.get(node.op_type, ()) if k < len(node.input) and node.input[k]]

    def _upstream(self, node: onnx.NodeProto, names: Sequence[str]) -> dict[str, onnx.TensorProto]:
        """The constants of more than one number from which these inputs are made, however reshaped or scaled."""
        weights: dict[str, onnx.TensorProto] = {}
        open_names = list(names)
        while open_names:
            name = open_names.pop(0)
            if name in self._constants:
                tensor = self._constants[name]
                if tensor.data_type in _numbers() and int(np.prod(tensor.dims)) > 1:
                    weights[name] = tensor
                continue
            if name not in self._producers:
                what = (
                    f"{node.op_type} with weights {name!r} that are neither initialisers nor constants (sparse ones?)"
                )
                remedy = "Export it with dense initialisers."
                raise ValueError(invalid(self._where, "model", what, "a network whose weights can be read", remedy))
            maker = self._nodes[self._producers[name]]
            # what makes numbers of quantised weights again: its scales stay
            open_names += maker.input[:1] if maker.op_type == "DequantizeLinear" else maker.input
        return weights

    def _refuse_subgraphs(self, node: onnx.NodeProto) -> None:
        graphs = [one.g for one in node.attribute if one.HasField("g")]
        graphs += [graph for one in node.attribute for graph in one.graphs]
        inside = [n.op_type for graph in graphs for n in graph.node if n.op_type in _LINEAR and n.op_type != "Gather"]
        if inside:
            remedy = "Weights in there are not reached: export the network without control flow."
            what = f"{node.op_type} with {inside[0]} inside"
            raise ValueError(invalid(self._where, "model", what, "a network without layers in subgraphs", remedy))


def _integers() -> set[int]:
    """Element types of quantised weights."""
    import onnx

    return {onnx.TensorProto.INT8, onnx.TensorProto.UINT8, onnx.TensorProto.INT32}


def _numbers() -> set[int]:
    """Element types of weights: real numbers, and quantised ones."""
    import onnx

    kinds = onnx.TensorProto
    return {kinds.FLOAT, kinds.FLOAT16, kinds.DOUBLE, kinds.BFLOAT16} | _integers()
