"""Batches through an ONNX graph: constants fed, fixed batch axes freed or worked around."""

from __future__ import annotations

import copy
import json
import tempfile
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from legstat._core.errors import LegstatWarning
from legstat._core.typing import JSON
from legstat.responses.network.company import ALIKE, relative_difference
from legstat.responses.network.outputs import class_rows
from legstat.responses.network.tensors import TensorInfo
from legstat.responses.onnx.class_output import OutputChoice
from legstat.responses.onnx.edits import WIDE_INPUT, expose, free_batch, widen_input
from legstat.responses.onnx.graph import ModelFacts, load_proto, model_sha256
from legstat.responses.onnx.perturbed_input import CELLS, Prefix, prepend
from legstat.responses.onnx.session import CPU, Session
from legstat.responses.onnx.settings import SessionSettings


def is_out_of_memory(error: Exception) -> bool:
    """Whether ONNX Runtime's error says that a batch did not fit (it has no class of its own for that)."""
    text = str(error).lower()
    words = (
        *("out of memory", "failed to allocate memory", "bad allocation", "bad_alloc", "cudaerrormemoryallocation"),
        "is smaller than requested bytes",  # the arena, where `gpu_mem_limit` holds it back
    )
    return isinstance(error, MemoryError) or any(word in text for word in words)


@dataclass
class Runner:
    """A graph, what is read from it, and the session it runs in.

    Parameters
    ----------
    where : str
        Call to name in errors.
    facts : ModelFacts
        Of the model.
    input : TensorInfo
        The input that takes the picture.
    choice : OutputChoice
        The tensor that is read.
    constants : dict of str to ndarray
        Values of the other inputs.
    provider : str or sequence of str
        As the user named it.
    threads : int
        Threads within an operator.
    settings : SessionSettings
        How sessions are opened otherwise.
    """

    where: str
    facts: ModelFacts
    input: TensorInfo
    choice: OutputChoice
    constants: dict[str, NDArray[np.generic]]
    provider: str | Sequence[str]
    threads: int
    settings: SessionSettings

    def __post_init__(self) -> None:
        self.fixed = self.input.size(0)
        self.batch_rule = "free" if self.fixed is None else f"fixed at {self.fixed}, run in pieces"
        self.checks: JSON = {}
        self._picture = WIDE_INPUT if self.input.dtype == "float16" else self.input.name
        self._prefix: Prefix | None = None
        self._composed: tuple[Prefix, Session] | None = None
        self.session = self._open(free=False)
        sizes = {info.name: info.shape[0] for info in self.facts.inputs if info.shape}
        own = sizes.get(self.input.name)
        self._batched = {
            name
            for name, value in self.constants.items()
            if isinstance(own, str) and sizes.get(name) == own and value.ndim
        }

    @property
    def freed(self) -> bool:
        """Whether the file's batch axis is fixed and the session's is not."""
        return self.input.size(0) is not None and self.fixed is None

    def _open(self, free: bool, profile: Path | None = None) -> Session:
        """A session of the file as it is, or of a copy that is changed as far as is needed."""
        model: Path | bytes = self.facts.path
        one_more, narrow = bool(self.choice.inside) or self.choice.widen, self.input.dtype == "float16"
        if free or one_more or narrow or self._prefix is not None:
            proto = load_proto(self.where, self.facts.path)
            if one_more:
                expose(proto, self.choice.inside, self.choice.tensor if self.choice.widen else None)
            if free:
                free_batch(proto, self.input.name)
            if narrow:
                widen_input(proto, self.input.name)
            if self._prefix is not None:
                fixed = None if free else self.fixed
                prepend(self.where, proto, self._picture, self._prefix, self.facts.opset, fixed)
            model = proto.SerializeToString()
        folder = self.facts.path.parent.resolve()
        return Session(self.where, model, folder, self.provider, self.threads, self.settings, profile=profile)

    def _feed(self, inputs: NDArray[np.generic]) -> dict[str, NDArray[np.generic]]:
        """Inputs by name; a constant of one row is repeated where the graph wants the picture's batch."""
        feed = {self._picture if self._prefix is None else CELLS: inputs}
        for name, value in self.constants.items():
            feed[name] = np.repeat(value, len(inputs), axis=0) if self._repeats(name) else value
        return feed

    def _repeats(self, name: str) -> bool:
        return name in self._batched and len(self.constants[name]) == 1

    def _run(self, names: list[str], inputs: NDArray[np.generic]) -> list[NDArray[np.generic]]:
        return self.session.run(names, self._feed(inputs), [name for name in self.constants if not self._repeats(name)])

    def composed(self, prefix: Prefix, arrays: dict[str, NDArray[np.generic]]) -> tuple[Runner, bool]:
        """A runner that takes cells' numbers and makes the pictures inside its graph.

        Parameters
        ----------
        prefix : Prefix
            What stands in front of the graph. The session of the last one is kept for the next picture of its form.
        arrays : dict of str to ndarray
            The picture, as `Prefix.arrays` gives it.

        Returns
        -------
        runner : Runner
            With a session of its own: the network's weights are in memory twice.
        fresh : bool
            Whether that session was opened now.
        """
        other = copy.copy(self)
        other._prefix, other.constants = prefix, {**self.constants, **arrays}
        fresh = self._composed is None or self._composed[0] != prefix
        if self._composed is None or fresh:
            self._composed = None  # the old one goes before the new one comes
            self._composed = prefix, other._open(free=self.freed)
        other.session = self._composed[1]
        return other, fresh

    def fetch(self, inputs: NDArray[np.generic], names: list[str]) -> list[NDArray[np.generic]]:
        """Tensors for a batch; where the graph's batch is fixed, in pieces of that size, the last one padded.

        Parameters
        ----------
        inputs : ndarray
            In the network's layout and type; float32 for a float16 network, which rounds it itself.
        names : list of str
            Tensors to fetch.

        Returns
        -------
        list of ndarray
            One per name.
        """
        fixed, n = self.fixed, len(inputs)
        if fixed is None or n == fixed:
            return self._run(names, inputs)
        pieces: list[list[NDArray[np.generic]]] = []
        for start in range(0, n, fixed):
            piece = inputs[start : start + fixed]
            size = len(piece)
            if size < fixed:
                piece = np.concatenate([piece, np.repeat(piece[-1:], fixed - size, axis=0)])
            fetched = self._run(names, piece)
            pieces.append([class_rows(value, fixed, self.where)[:size] for value in fetched])
        return [np.concatenate(parts) for parts in zip(*pieces, strict=True)]

    def free_batch_axis(self, inputs: NDArray[np.generic]) -> None:
        """Go over to a copy of the graph with a free batch axis, if it computes the same.

        Parameters
        ----------
        inputs : ndarray
            A few pictures in the network's layout and type; each is run through the original graph, all of them at once
            through the copy.
        """
        fixed, names = self.fixed, [self.choice.fetched]
        expected = self.fetch(inputs, names)[0]
        try:
            session = self._open(free=True)
            got = class_rows(session.run(names, self._feed(inputs))[0], len(inputs), self.where)
        except Exception as error:  # whatever stops the copy, the original still runs
            self.checks["free_batch"] = {"works": False, "reason": str(error).strip()[:300]}
            return
        difference = relative_difference(got, expected)
        works = difference <= ALIKE[got.dtype.itemsize]
        self.checks["free_batch"] = {
            "works": works,
            "evaluations": 2 * len(inputs),
            "pictures": "random",
            "relative_difference": difference,
        }
        if works:
            self.session, self.fixed = session, None
            self.batch_rule = f"fixed at {fixed}, freed by changing the graph"

    def verify_freed(self, inputs: NDArray[np.generic]) -> None:
        """Make sure that the copy with the freed batch axis computes the same of a picture that matters.

        Random pictures do not reach every branch of a network. Where the copy differs, the file as it is takes over,
        with a warning.

        Parameters
        ----------
        inputs : ndarray
            One picture in the network's layout and type. Both ways it runs next to its negative and a blank one: what
            one row does to another would show.
        """
        if not self.freed:
            return
        ends = float(inputs.min()) + float(inputs.max())
        negative = (ends - inputs.astype(np.float64)).astype(inputs.dtype)
        pictures = np.concatenate([inputs, negative, np.zeros_like(inputs)])
        original = copy.copy(self)
        original.fixed, original.session = self.input.size(0), self._open(free=False)
        names = [self.choice.fetched]
        got, expected = (class_rows(one.fetch(pictures, names)[0], 3, self.where) for one in (self, original))
        difference = relative_difference(got, expected)
        self.checks["free_batch"] |= {"evaluations_x0": 2 * len(pictures), "relative_difference_x0": difference}
        if difference <= ALIKE[got.dtype.itemsize]:
            return
        self.checks["free_batch"]["works"] = False
        self.session, self.fixed, self._composed = original.session, original.fixed, None
        self.batch_rule = f"fixed at {self.fixed}, run in pieces"
        warnings.warn(
            f"{self.where}: with its batch axis freed the graph answers otherwise at x0 (by {difference:.3g} of its "
            f"outputs' size); it is run as it is, {self.fixed} at a time.",
            LegstatWarning,
            stacklevel=2,
        )

    def placement(self, inputs: NDArray[np.generic]) -> dict[str, int]:
        """Nodes executed by provider in one run, from ONNX Runtime's profile of it.

        Parameters
        ----------
        inputs : ndarray
            One picture in the network's layout and type.

        Returns
        -------
        dict of str to int
            Counts.
        """
        with tempfile.TemporaryDirectory() as folder:
            session = self._open(free=self.freed, profile=Path(folder))
            repeat = self.fixed or 1
            session.run([self.choice.fetched], self._feed(np.repeat(inputs[:1], repeat, axis=0)))
            events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
        counts = Counter(
            str(event["args"]["provider"])
            for event in events
            if event.get("cat") == "Node" and "provider" in event.get("args", {})
        )
        return dict(counts)

    def verify_provider(self, inputs: NDArray[np.generic]) -> None:
        """Refuse a provider that came up and executes nothing; note how many nodes each one executes.

        Parameters
        ----------
        inputs : ndarray
            One picture in the network's layout and type.
        """
        provider, nodes = self.session.provider, self.placement(inputs)
        self.checks["nodes"] = {**nodes, "evaluations": 1}
        if nodes.get(provider, 0) > 0:
            return
        running = ", ".join(sorted(nodes))
        if not self.settings.allow_fallback and self.provider != "auto":
            raise RuntimeError(
                f"legstat.{self.where}: the provider {provider!r} came up and executes no node of this graph; "
                f"all of it runs on {running}. Pass provider='cpu', or "
                "session=SessionSettings(allow_fallback=True) (--allow-fallback)."
            )
        warnings.warn(
            f"{self.where}: {provider!r} executes no node of this graph; running on {running}.",
            LegstatWarning,
            stacklevel=2,
        )
        self.session.provider = running

    @property
    def identity(self) -> tuple[object, ...]:
        """What besides the file determines the outputs."""
        return (self.input.name, self.choice.tensor, self.choice.widen, dict(self.constants))

    def describe(self) -> JSON:
        """The runner's part of a record."""
        import onnx

        facts = self.facts
        return {
            "file": facts.path.name,
            "opset": facts.opset,
            "ir_version": facts.ir_version,
            "producer": facts.producer,
            "n_parameters": facts.n_parameters,
            "external_files": list(facts.external_files),
            "input": self.input.name,
            "output": self.choice.tensor,
            "output_inside_graph": self.choice.tensor in self.choice.inside,
            "output_widened": self.choice.widen,
            "softmaxes": self.choice.softmaxes,
            "constants": {name: [str(value.dtype), *value.shape] for name, value in self.constants.items()},
            "batch": self.batch_rule,
            "checks": self.checks,
            "provider": self.session.provider,
            "device_id": self.settings.device_id if self.session.provider != CPU else None,
            "io_binding": self.session.bound,
            "threads": self.threads,
            "versions": {"onnxruntime": self.session.version, "onnx": onnx.__version__, "numpy": np.__version__},
        }

    def __getstate__(self) -> dict[str, object]:
        """All but the composed session, which another process makes when it needs one."""
        return {**self.__dict__, "_composed": None}

    def __setstate__(self, state: dict[str, object]) -> None:
        """Refuse to go on in another process with a file that has changed since."""
        self.__dict__.update(state)
        if model_sha256(self.facts.path, self.facts.external_files) != self.facts.sha256:
            raise RuntimeError(f"legstat.{self.where}: {self.facts.path} has changed since the response was made.")
