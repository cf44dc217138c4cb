"""Which tensor of an ONNX graph is read as the class output."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from legstat._core.errors import invalid
from legstat.responses.network.outputs import Decision, Doubt
from legstat.responses.network.scores import OutputKind
from legstat.responses.network.tensors import TensorInfo
from legstat.responses.onnx.edits import WIDENED
from legstat.responses.onnx.graph import ModelFacts
from legstat.responses.onnx.tails import Tail, tail

if TYPE_CHECKING:
    import onnx


_READ = ("float16", "float32", "float64")
"""Types of class scores."""


@dataclass(frozen=True)
class OutputChoice:
    """The tensor that is read, and what it is.

    Parameters
    ----------
    tensor : str
        Tensor that is fetched.
    inside : tuple of str
        Tensors to fetch that lie inside the graph and have to be made outputs of it first.
    widen : bool
        Whether it is read as float32 though the graph makes it float16.
    declared : str or None
        What a tensor inside the graph becomes through softmax or sigmoid; fetched too at x0, to verify it.
    prior : Decision, Doubt or None
        What the graph says of it.
    n_classes : int or None
        Classes, where the shapes tell.
    softmaxes : int
        Softmax nodes between the first logits and the declared output.
    tail : Tail
        Of the declared output, or of the tensor itself.
    """

    tensor: str
    inside: tuple[str, ...]
    widen: bool
    declared: str | None
    prior: Decision | Doubt | None
    n_classes: int | None
    softmaxes: int
    tail: Tail

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
        Unknown name, outputs that are no class scores (chosen, sorted, whole numbers, text), or not one classification.
    """
    by_name = {info.name: info for info in facts.outputs}
    if output is not None:
        if output not in by_name and output not in facts.tensors:
            close = difflib.get_close_matches(output, [*by_name, *facts.tensors], n=3)
            raise ValueError(
                invalid(where, "output", output, f"one of {list(by_name)}, or a tensor of the graph", _mean(close))
            )
        last = tail(graph, output)
        if (fault := _no_scores(by_name.get(output), last)) is not None:
            raise ValueError(invalid(where, "output", output, "a tensor of class scores", fault))
        inside = () if last.read in by_name else (last.read,)
        return OutputChoice(
            last.read, inside, False, None, _prior(last), _classes(by_name.get(output)), last.softmaxes, last
        )
    faults = {name: _no_scores(info, facts.tails[name]) for name, info in by_name.items()}
    usable = {name: facts.tails[name] for name, fault in faults.items() if fault is None}
    if not usable:
        told = " ".join(fault for fault in dict.fromkeys(faults.values()) if fault is not None)
        raise ValueError(invalid(where, "output", None, "given for a graph whose outputs are no class scores", told))
    if len({last.root for last in usable.values()}) != 1:
        listed = "; ".join(map(str, facts.outputs))
        raise ValueError(
            invalid(
                where,
                "output",
                None,
                "given for a graph with several unrelated outputs",
                f"Its outputs are: {listed}. Pass output=name.",
            )
        )
    n_classes = next((k for name in usable if (k := _classes(by_name[name])) is not None), None)
    narrow = all(by_name[name].dtype == "float16" for name in usable)
    plain = next((last for last in usable.values() if last.logits is None), None)
    squashed = next((last for last in usable.values() if last.logits is not None), None)

    def needed(*tensors: str) -> tuple[str, ...]:
        return tuple(one for one in tensors if one not in by_name)

    if squashed is None:
        last = next(iter(usable.values()))
        return OutputChoice(last.read, needed(last.read), narrow, None, _prior(last), n_classes, 0, last)
    # What enters a softmax or sigmoid is a logit, whatever made it.
    last = squashed
    kind: OutputKind = "sigmoid_logits" if last.kind == "sigmoid_probabilities" else "logits"
    if plain is not None:
        ground = f"{last.ground}; the output {plain.read!r} carries what enters it"
        prior, read = Decision(kind, "graph", ground), plain.read
        return OutputChoice(read, needed(read), narrow, None, prior, n_classes, last.softmaxes, last)
    inner = cast("str", last.logits)
    ground = f"{last.ground}; its input {inner!r} is read instead, before the rounding of the {last.ground.split()[1]}"
    prior = Decision(kind, "graph", ground)
    return OutputChoice(inner, needed(inner, last.read), narrow, last.read, prior, n_classes, last.softmaxes, last)


def _no_scores(info: TensorInfo | None, last: Tail) -> str | None:
    """Why a tensor cannot be read as class scores, and which one can be instead; None where it can be."""
    zipped = info is not None and last.read != info.name
    if last.chosen is not None:
        return f"{last.read!r} is made by {last.chosen}, which chooses among classes. Pass output={last.feed!r}."
    if info is not None and not zipped and info.dtype not in _READ:
        of_it = f" Pass output={last.feed!r}." if last.feed != info.name else ""
        return f"{info} holds no real numbers.{of_it}"
    return None


def _prior(last: Tail) -> Decision | Doubt | None:
    """What the graph says of a tensor that is read as it is."""
    if last.kind is not None:
        return Decision(last.kind, "graph", last.ground)
    if last.squashed:
        named = " or ".join(f"output={name!r}" for name in last.squashed[:3])
        return Doubt(last.ground, f"Or pass {named}, as the softmax or sigmoid made it.")
    return None


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
