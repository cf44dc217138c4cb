"""What the last nodes of a graph say of an output: logits, probabilities, a choice of classes, or nothing certain."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from legstat.responses.network.scores import OutputKind

if TYPE_CHECKING:
    import onnx

_PASS = {
    "Identity",
    "Flatten",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
    "Cast",
    "Dropout",
    "QuantizeLinear",
    "DequantizeLinear",
}
"""Operators that hand the class outputs on, unchanged or rounded."""

_FINAL: dict[str, OutputKind] = {
    "Softmax": "probabilities",
    "LogSoftmax": "log_probabilities",
    "Sigmoid": "sigmoid_probabilities",
}
_LINEAR = {"Gemm", "MatMul", "Conv", "Einsum", "QLinearMatMul", "QLinearConv", "MatMulInteger", "ConvInteger"}
"""Operators whose result is a logit, whatever they are fed."""
_OF_LOGITS = {"Relu", "LeakyRelu", "PRelu", "Elu", "BatchNormalization", "Gelu"}
"""Operators that leave a logit one, and make no statement of probabilities."""
_AVERAGES = {"Mean", "ReduceMean", "GlobalAveragePool", "AveragePool", "Concat"}
"""Operators that average what they are fed, or put it side by side: each number is still what it was."""
_CARRY = {"Clip", "Exp", "Log", "Neg", "Pow", "Sqrt", "Min", "Max", "MaxPool", "GlobalMaxPool", "ReduceSum"}
"""Operators that make something else of each number: behind a softmax or sigmoid no logit."""

_CHOOSE = {"TopK", "ArgMax", "ArgMin", "Hardmax", "ReduceMax", "ReduceMin"}
"""Operators that sort or choose among the classes: entry k is another class for another picture."""
_DECIDE = {"Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Not", "Where", "Round", "Floor", "Ceil", "Sign"}
"""Operators that make a yes or no of class outputs."""


@dataclass(frozen=True)
class Tail:
    """The last nodes before a tensor.

    Parameters
    ----------
    kind : str or None
        What the tensor is by the graph; None where the graph does not tell.
    ground : str
        In words.
    softmaxes : int
        Softmax nodes passed on the way.
    logits : str or None
        Tensor that enters the (first) softmax or sigmoid; None where there is none.
    root : str
        Tensor that the chain of passing and softmax nodes starts from.
    read : str
        The tensor itself; what a ZipMap packs, where it is a sequence of maps.
    chosen : str or None
        Operator that chose or sorted classes, where the numbers are no class outputs for that.
    feed : str
        Tensor that class outputs may be read from instead.
    squashed : tuple of str
        What softmaxes and sigmoids make, where arithmetic behind them leaves open what the tensor is.
    rounded : bool
        Whether it was quantised on the way.
    """

    kind: OutputKind | None
    ground: str
    softmaxes: int
    logits: str | None
    root: str
    read: str
    chosen: str | None = None
    feed: str = ""
    squashed: tuple[str, ...] = ()
    rounded: bool = False


@dataclass(frozen=True)
class _Origin:
    """What a tensor is made of by arithmetic.

    `kind` is that of all its parts. `weight` is the sum of their factors, 1 for an average, and None for what is no
    combination with positive factors; `squashed` are the parts that softmaxes and sigmoids make.
    """

    kind: OutputKind | None = None
    weight: float | None = None
    squashed: frozenset[str] = field(default_factory=frozenset)


def tail(graph: onnx.GraphProto, name: str) -> Tail:
    """Walk back from a tensor to the softmax, sigmoid or layer that makes it.

    Parameters
    ----------
    graph : onnx.GraphProto
        The graph.
    name : str
        Tensor to start from.

    Returns
    -------
    Tail
        What was found.
    """
    makers = {made: node for node in graph.node for made in node.output}
    constants = _constants(graph)
    kind: OutputKind | None = None
    ground, softmaxes, logits, rounded = "", 0, None, False
    current = name
    while (node := makers.get(current)) is not None:
        operator = node.op_type
        if operator == "ZipMap":
            return tail(graph, node.input[0])
        if operator in _FINAL and (kind is None or operator == "Softmax"):
            softmaxes += operator == "Softmax"
            kind = kind or _FINAL[operator]
            ground = ground or f"a {operator} node feeds the output {name!r}"
            logits = node.input[0]
        elif operator == "Log" and kind is None:
            ahead = tail(graph, node.input[0])
            if ahead.kind != "probabilities":
                break
            ground = f"Log of a Softmax feeds the output {name!r}"
            return replace(ahead, kind="log_probabilities", ground=ground, read=name, rounded=rounded or ahead.rounded)
        elif operator not in _PASS:
            break
        rounded = rounded or operator == "QuantizeLinear"
        current = node.input[0]
    chosen, feed = _choice(makers, constants, name)
    squashed: tuple[str, ...] = ()
    if kind is None:
        kind, ground, squashed = _by_arithmetic(makers, constants, name, current)
    if softmaxes > 1:
        ground += f", after {softmaxes - 1} earlier Softmax: the softmax is applied {softmaxes} times"
    return Tail(kind, ground, softmaxes, logits, current, name, chosen, feed, squashed, rounded)


def _constants(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    """Initialisers and the tensors of Constant nodes."""
    found = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].HasField("t"):
            found[node.output[0]] = node.attribute[0].t
    return found


def _choice(
    makers: dict[str, onnx.NodeProto], constants: dict[str, onnx.TensorProto], name: str
) -> tuple[str | None, str]:
    """The operator that chose among classes on the way to a tensor, if one did, and what class outputs it was fed."""
    chosen: str | None = None
    while (node := makers.get(name)) is not None:
        if node.op_type in _CHOOSE:
            return node.op_type, node.input[0]
        if node.op_type in _DECIDE:
            chosen, name = node.op_type, node.input[1 if node.op_type == "Where" else 0]
            continue
        if node.domain == "ai.onnx.ml" and len(node.output) == 2:  # a classifier of its own: label, class outputs
            return (node.op_type, node.output[1]) if name == node.output[0] else (chosen, name)
        if node.op_type in ("Gather", "ArrayFeatureExtractor") and node.input[0] in constants:  # names by index
            chosen, name = node.op_type, node.input[1]
        elif node.op_type in _PASS or (chosen is not None and node.op_type == "Add"):
            name = node.input[0]
        else:
            break
    return chosen, name


def _by_arithmetic(
    makers: dict[str, onnx.NodeProto], constants: dict[str, onnx.TensorProto], name: str, made: str
) -> tuple[OutputKind | None, str, tuple[str, ...]]:
    """Kind, ground and open parts of the tensor `name`, which is what the node behind `made` gives."""
    node = makers.get(made)
    operator = "no node" if node is None else node.op_type
    origin = _origins(makers, constants)(made)
    if origin.squashed:
        kinds = sorted({makers[part].op_type for part in origin.squashed})
        if origin.kind is not None and origin.weight is not None and abs(origin.weight - 1.0) < 1e-3:
            return origin.kind, f"the output {name!r} averages what {len(origin.squashed)} {kinds[0]} nodes make", ()
        ground = f"{operator} makes the output {name!r} of what {' and '.join(kinds)} gave"
        return None, ground, tuple(sorted(origin.squashed))
    return origin.kind, f"{operator} makes the output {name!r} and no softmax or sigmoid follows", ()


def _origins(makers: dict[str, onnx.NodeProto], constants: dict[str, onnx.TensorProto]) -> Callable[[str], _Origin]:
    """A function that says what a tensor is made of."""

    @cache
    def origin(name: str) -> _Origin:
        node = makers.get(name)
        operator = None if node is None else node.op_type
        if node is None or operator is None or name in constants:
            return _Origin()
        if operator in _LINEAR:
            return _Origin("logits")
        if operator in _FINAL:
            # averages of log-probabilities are none
            kind = None if operator == "LogSoftmax" else _FINAL[operator]
            return _Origin(kind, 1.0, frozenset([name]))
        if operator in _PASS:
            return origin(node.input[0])
        moving = [origin(one) for one in node.input if one and one not in constants]
        fixed = [constants[one] for one in node.input if one in constants]
        if operator in _AVERAGES:
            weights = [part.weight for part in moving]
            return _joined(moving, None if None in weights else float(np.mean([w for w in weights if w is not None])))
        if operator in ("Add", "Sum", "Sub", "Mul", "Div"):
            return _joined(moving, _weight(operator, moving, fixed))
        if operator in _OF_LOGITS or operator in _CARRY:
            first = origin(node.input[0])
            kept = operator in _OF_LOGITS and not first.squashed
            return _Origin(first.kind if kept else None, None, first.squashed)
        return _Origin()

    return origin


def _joined(parts: Iterable[_Origin], weight: float | None) -> _Origin:
    """The origin of a combination: of squashed parts alone their kind, else logits as soon as one part is."""
    parts = list(parts)
    squashed = frozenset[str]().union(*(part.squashed for part in parts))
    kinds = {part.kind for part in parts}
    if squashed:
        alike = len(kinds) == 1 and all(part.squashed for part in parts)
        return _Origin(kinds.pop(), weight, squashed) if alike else _Origin(None, None, squashed)
    return _Origin("logits" if "logits" in kinds else None)


def _weight(operator: str, moving: list[_Origin], fixed: list[onnx.TensorProto]) -> float | None:
    """Sum of the factors that a sum, product or quotient gives its parts; None where there is an offset or a sign."""
    weights = [part.weight for part in moving]
    known = [weight for weight in weights if weight is not None]
    if len(known) < len(weights):
        return None
    if operator in ("Add", "Sum") and not fixed:
        return sum(known)
    if operator in ("Mul", "Div") and len(known) == len(fixed) == 1 and not fixed[0].external_data:
        factor = _number(fixed[0])
        if factor is not None and factor > 0:
            return known[0] * factor if operator == "Mul" else known[0] / factor
    return None


def _number(tensor: onnx.TensorProto) -> float | None:
    """The one number that a constant holds, or that all its entries are."""
    import onnx

    if int(np.prod(tensor.dims)) > 4096:
        return None
    values = np.unique(np.asarray(onnx.numpy_helper.to_array(tensor), dtype=np.float64))
    return float(values[0]) if values.size == 1 else None
