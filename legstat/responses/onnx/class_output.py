"""Which input of an ONNX graph takes the picture, and which tensor is read as the class output."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from legstat._core.errors import invalid
from legstat.responses.network.outputs import Decision
from legstat.responses.network.scores import OutputKind
from legstat.responses.network.tensors import TensorInfo
from legstat.responses.onnx.edits import WIDENED
from legstat.responses.onnx.graph import ModelFacts, tail

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class OutputChoice:
    """The tensor that is read, and what it is.

    Parameters
    ----------
    tensor : str
        Tensor that is fetched.
    exposed : bool
        Whether the tensor lies inside the graph and has to be made an output of it first.
    widen : bool
        Whether it is read as float32 though the graph makes it float16.
    declared : str or None
        Output of the graph that an exposed tensor feeds through softmax or sigmoid; fetched too at x0, to verify it.
    decision : Decision or None
        Kind by the graph.
    n_classes : int or None
        Classes, where the shapes tell.
    softmaxes : int
        Softmax nodes between the first logits and the declared output.
    """

    tensor: str
    exposed: bool
    widen: bool
    declared: str | None
    decision: Decision | None
    n_classes: int | None
    softmaxes: int

    @property
    def fetched(self) -> str:
        """Name under which the tensor is fetched."""
        return WIDENED if self.widen else self.tensor


def choose_output(where: str, facts: ModelFacts, output: str | None, graph: onnx.GraphProto) -> OutputChoice:
    """Pick the class output: logits where the graph has them, any score can be computed from those.

    Parameters
    ----------
    where : str
        Call to name in an error.
    facts : ModelFacts
        Of the model.
    output : str or None
        A name, taken as it is: an output of the graph, or any tensor in it.
    graph : onnx.GraphProto
        The graph.

    Returns
    -------
    OutputChoice
        The choice.

    Raises
    ------
    ValueError
        Unknown name, or outputs that are not one classification.
    """
    by_name = {info.name: info for info in facts.outputs}
    if output is not None:
        if output not in by_name and output not in facts.tensors:
            close = difflib.get_close_matches(output, [*by_name, *facts.tensors], n=3)
            raise ValueError(
                invalid(where, "output", output, f"one of {list(by_name)}, or a tensor of the graph", _mean(close))
            )
        last = tail(graph, output)
        decision = None if last.kind is None else Decision(last.kind, "graph", last.ground)
        return OutputChoice(
            output, output not in by_name, False, None, decision, _classes(by_name.get(output)), last.softmaxes
        )
    floats = {name: facts.tails[name] for name, info in by_name.items() if info.dtype.startswith("float")}
    roots = {last.root for last in floats.values()}
    if len(roots) != 1:
        raise ValueError(
            invalid(
                where,
                "output",
                None,
                "given for a graph with several unrelated outputs" if floats else "a float tensor of the graph",
                f"Its outputs are: {'; '.join(map(str, facts.outputs))}. Pass output=name.",
            )
        )
    n_classes = next((k for name in floats if (k := _classes(by_name[name])) is not None), None)
    narrow = all(by_name[name].dtype == "float16" for name in floats)
    plain = next((name for name, last in floats.items() if last.logits is None), None)
    squashed = next(((name, last) for name, last in floats.items() if last.logits is not None), None)
    if squashed is None:
        name, last = next(iter(floats.items()))
        decision = None if last.kind is None else Decision(last.kind, "graph", last.ground)
        return OutputChoice(name, False, narrow, None, decision, n_classes, 0)
    # What enters a softmax or sigmoid is a logit, whatever made it.
    declared, last = squashed
    kind: OutputKind = "sigmoid_logits" if last.kind == "sigmoid_probabilities" else "logits"
    if plain is not None:
        ground = f"{last.ground}; the output {plain!r} carries what enters it"
        return OutputChoice(plain, False, narrow, None, Decision(kind, "graph", ground), n_classes, last.softmaxes)
    inner = cast("str", last.logits)
    ground = f"{last.ground}; its input {inner!r} is read instead, before the rounding of the {last.ground.split()[1]}"
    return OutputChoice(inner, True, narrow, declared, Decision(kind, "graph", ground), n_classes, last.softmaxes)


def _classes(info: TensorInfo | None) -> int | None:
    """Number of classes by an output's declared shape."""
    if info is None or info.shape is None or not info.shape:
        return None
    sizes = info.shape[1:] if len(info.shape) > 1 else ()
    if not sizes:
        return 1 if not isinstance(info.shape[0], int) else None
    known = [size for size in sizes if isinstance(size, int)]
    return math.prod(known) if len(known) == len(sizes) else None


def _mean(close: list[str]) -> str:
    return f"Did you mean {', '.join(map(repr, close))}?" if close else ""
