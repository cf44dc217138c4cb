"""An ONNX file as a response, run by ONNX Runtime."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from legstat._typing import JSON, AnyArray, FloatArray
from legstat.composition import Recipe, Scorer
from legstat.errors import LegstatWarning, invalid
from legstat.responses.base import ImageShape, check_whole
from legstat.responses.choices import Choices
from legstat.responses.constants import Constants, recorded_constants
from legstat.responses.labels import Target
from legstat.responses.network import NetworkResponse
from legstat.responses.onnx_choices import choose_input, choose_layout, choose_output
from legstat.responses.onnx_compose import Prefix
from legstat.responses.onnx_graph import load_proto, model_facts, read_model
from legstat.responses.onnx_runner import TOLERANCE, Runner, is_out_of_memory
from legstat.responses.onnx_session import CPU, SessionSettings, default_threads
from legstat.responses.outputs import Decision, check_output_kind, class_rows
from legstat.responses.preprocessing import PRESETS, Preprocessing, as_preprocessing
from legstat.responses.scores import probabilities

Compose = Literal["outside", "inside", "auto"]
"""Where perturbed pictures are made; "auto" is outside until `measured` settles it."""

_SAME = 1e-6
"""Largest difference of class outputs, relative to their size, between pictures made inside the graph and outside."""


class OnnxResponse(NetworkResponse):
    """An ONNX classifier behind one ONNX Runtime session, which lives as long as the response.

    Built by `onnx_response`. Sending it to another process reopens the session there.
    """

    def __init__(
        self,
        runner: Runner,
        choices: Choices,
        constants: Constants,
        *,
        preprocessing: Preprocessing,
        preprocessing_given: bool,
        input_shape: ImageShape,
        prior: Decision | None,
        batch_size: int | None,
        input_dtype: np.dtype[np.generic],
        compose: Compose,
        asked: JSON,
    ) -> None:
        super().__init__(
            choices,
            preprocessing=preprocessing,
            preprocessing_given=preprocessing_given,
            input_shape=input_shape,
            prior=prior,
            batch_size=batch_size,
            input_dtype=input_dtype,
        )
        self._runner, self._constants, self._asked = runner, constants, asked
        self._tensors = [runner.choice.fetched]
        self.compose: Compose = compose

    def free_batch_axis(self) -> None:
        """Free a fixed batch axis if that changes nothing, tried on three random pictures."""
        if self._runner.fixed is not None:
            self._runner.free_batch_axis(self._write(self._random_pictures(3)))

    def verify_provider(self) -> None:
        """Make sure, by one profiled run, that the provider asked for executes something; the CPU always does.

        Raises
        ------
        RuntimeError
            The provider came up and left every node to another one.
        """
        if self._runner.session.provider != CPU:
            self._runner.verify_provider(self._write(self._random_pictures(1)))

    def _random_pictures(self, n: int) -> AnyArray:
        """Pictures for checks that need no particular one."""
        free = (3, 224, 224)
        shape = [size or usual for size, usual in zip(self.input_shape or free, free, strict=True)]
        return np.random.default_rng(0).random((n, *shape)).astype(self.dtype)

    def _forward(self, inputs: NDArray[np.generic]) -> NDArray[np.generic]:
        return self._runner.fetch(inputs, self._tensors)[0]

    # -- the perturbation inside the graph -----------------------------------------------------------------------

    def scorer(self, recipe: Recipe) -> Scorer:
        """What scores perturbed pictures from their z; see `Response`.

        With ``compose="inside"`` the pictures are made by nodes in front of the graph: only the cells' numbers go into
        the session, only the class outputs come back. That it changes nothing is verified on three random pictures,
        once for each form of recipe.

        Raises
        ------
        ValueError
            The graph cannot take the perturbation, or the class outputs differ by more than 1e-6 of their size.
        """
        if self.compose != "inside":
            return super().scorer(recipe)
        self._check_settled()
        prefix = Prefix.of(recipe, self.preprocessing, self._written_dtype)
        runner, fresh = self._runner.composed(prefix, prefix.arrays(recipe))

        def class_outputs(z: FloatArray, channel: int | None) -> NDArray[np.generic]:
            cells = prefix.feed(recipe, z, channel)
            parts = self._in_batches(
                len(cells), lambda at, end: self._rows(runner.fetch(cells[at:end], self._tensors)[0], end - at)
            )
            return parts[0] if len(parts) == 1 else np.concatenate(parts)

        if fresh or not self._runner.checks["inside"]["works"]:
            planes = 1 if recipe.at is not None else len(recipe.base)
            z = 0.2 * np.random.default_rng(0).standard_normal((3, planes, *recipe.grid.shape))
            self._verify_inside(class_outputs(z, None), self.class_outputs(recipe.composer()(z)))
        return lambda z, channel: self._scored(class_outputs(z, channel))

    def _verify_inside(self, inside: NDArray[np.generic], outside: NDArray[np.generic]) -> None:
        """Note how far two ways to the same outputs differ; refuse the one inside if it is too far."""
        expected = outside.astype(np.float64)
        difference = float(np.abs(inside - expected).max() / max(np.abs(expected).max(), 1e-30))
        self._runner.checks["inside"] = {
            "works": difference <= _SAME,
            "evaluations": 2 * len(inside),
            "pictures": "random",
            "relative_difference": difference,
        }
        if not difference <= _SAME:
            remedy = f"They differ by {difference:.3g} of their size. Pass compose='outside'."
            valid = "'outside' where pictures made inside the graph give other outputs"
            raise ValueError(invalid(self._choices.where, "compose", "inside", valid, remedy))

    def with_compose(self, compose: Literal["outside", "inside"]) -> Self:
        """The same response with pictures made there; shares the session, not the buffers.

        Parameters
        ----------
        compose : {"outside", "inside"}
            As for `onnx_response`.

        Returns
        -------
        OnnxResponse
            A copy, with another fingerprint if it is inside now and was not.
        """
        other = self.with_batch_size(self.batch_size)
        other.compose = compose
        return other

    def variants(self) -> tuple[Self, ...]:
        """Both places to make pictures, where that was left open; see `Response`."""
        return (self.with_compose("outside"), self.with_compose("inside")) if self.compose == "auto" else (self,)

    def resolved(self, description: JSON) -> Self:
        """The response that an earlier `describe` speaks of, pictures made where they were then; see `Response`."""
        known = self.with_compose(description.get("compose", "outside")) if self.compose == "auto" else self
        return super(OnnxResponse, known).resolved(description)

    # ------------------------------------------------------------------------------------------------------------

    def _first(self, inputs: NDArray[np.generic]) -> NDArray[np.generic]:
        """At x0: where logits inside the graph are read, the declared probabilities must follow from them."""
        choice = self._runner.choice
        if choice.declared is None or choice.decision is None:
            return self._forward(inputs)
        logits, declared = self._runner.fetch(inputs, [choice.fetched, choice.declared])
        rows = class_rows(logits, 1, self._choices.where).astype(np.float64)
        shown = class_rows(declared, 1, self._choices.where).astype(np.float64)
        expected = probabilities(rows, choice.decision.kind)
        for _ in range(choice.softmaxes - 1):
            expected = probabilities(expected, "logits")
        if self._runner.facts.tails[choice.declared].kind == "log_probabilities":
            shown = np.exp(shown)
        if shown.shape != expected.shape or not np.allclose(
            shown, expected, rtol=0, atol=TOLERANCE[declared.dtype.itemsize], equal_nan=True
        ):
            raise ValueError(
                invalid(
                    self._choices.where,
                    "output",
                    choice.declared,
                    f"the softmax of {choice.tensor!r}, as the graph suggests",
                    "At x0 it is not (a softmax over another axis than the classes?). Pass output= and output_kind=.",
                )
            )
        return logits

    def node_placement(self, image: AnyArray) -> dict[str, int]:
        """Which provider executes how many nodes, by profiling one run of a picture.

        Parameters
        ----------
        image : ndarray of shape (C, H, W)
            In [0, 1].

        Returns
        -------
        dict of str to int
            Nodes executed by provider, after the runtime's own fusions.
        """
        self.check_image(np.asarray(image))
        return self._runner.placement(self._write(np.asarray(image, dtype=self.dtype)[None]))

    def _is_out_of_memory(self, error: Exception) -> bool:
        return is_out_of_memory(error)

    @property
    def path(self) -> Path:
        """The model's file."""
        return self._runner.facts.path

    @property
    def constant_files(self) -> dict[str, Path]:
        """Files that constants were read from, by name of the input."""
        return self._constants.files

    @property
    def model_sha256(self) -> str:
        """SHA-256 of the file (with its external data, where it has any)."""
        return self._runner.facts.sha256

    def _identity(self) -> tuple[object, ...]:
        return (*self._runner.identity, "inside") if self.compose == "inside" else self._runner.identity

    def _backend(self) -> JSON:
        about = self._runner.describe() | {"constants": self._constants.describe()}
        where = "inside" if self.compose == "inside" else "outside"
        return {"kind": "onnx", **about, "compose": where, "asked": self._asked}


def onnx_response(
    path: str | Path,
    *,
    target: Target = "top",
    score: str = "log_odds",
    preprocessing: Preprocessing | str | Path | Mapping[str, object] | None = None,
    input: str | None = None,
    output: str | None = None,
    output_kind: str | None = None,
    constants: Mapping[str, AnyArray | float | str | Path] | None = None,
    labels: str | Path | Sequence[str] | None = None,
    batch_size: int | None = None,
    free_batch_axis: bool = True,
    threads: int | None = None,
    provider: str | Sequence[str] = "cpu",
    allow_fallback: bool = False,
    tf32: bool = False,
    device_id: int = 0,
    provider_options: Mapping[str, object] | None = None,
    io_binding: bool | None = None,
    compose: Compose = "auto",
) -> OnnxResponse:
    r"""A classifier in an ONNX file as a response.

    Parameters
    ----------
    path : str or Path
        The model; external data must lie in its own folder.
    target : int or str or tuple, optional
        Class index, label, "top" (the first choice at x0), or a pair for ``score="difference"``.
    score : {"log_odds", "probability", "logit", "difference"}
        What is explained, in float64; :math:`\log p_t - \log\sum_{k \ne t} p_k` by default, computed from logits
        wherever the graph has them. "difference" is :math:`p_a - p_b` (LEG paper, eq. 1).
    preprocessing : Preprocessing or str or Path or mapping, optional
        A preset ("imagenet", "caffe", "tf", "unit", "raw"), a TOML file, or the thing itself. Without it the network is
        taken to want RGB in [0, 1] ([0, 255] if its input is uint8), and `describe` says that this was assumed.
    input : str, optional
        Name of the input that takes the picture; needed where several could.
    output : str, optional
        Name of the class output, taken as it is: an output of the graph or any tensor inside it. By default the logits:
        where the graph ends in a softmax or sigmoid, what enters it is read (and verified against the output at x0).
    output_kind : str, optional
        "logits", "log_probabilities", "probabilities", "sigmoid_logits" or "sigmoid_probabilities", where the graph and
        the values at x0 do not settle it.
    constants : mapping of str to ndarray or float or path, optional
        Values of the graph's other inputs; a path is that of a .npy file, one number fills the input's shape.
    labels : sequence of str or str or Path, optional
        Class names: a list, a text file with one per line, or a JSON file such as imagenet_class_index.json.
    batch_size : int, optional
        Images per call; by default what fits the processor's cache, see `tune_batch_size` for a measured one.
    free_batch_axis : bool
        Free a fixed batch axis (verified against the original graph on random pictures); False, or where it
        fails: images are run in pieces of the fixed size.
    threads : int, optional
        Threads within an operator; by default the processors that this process may use.
    provider : str or sequence of str
        "cpu", "cuda", ..., "auto", or a name of ONNX Runtime's.
    allow_fallback : bool
        Whether another provider than the one asked for may run; else that is an error.
    tf32 : bool
        Whether CUDA may round products to 10 bits; the differences that are explained are of that size.
    device_id : int
        Which of several CUDA devices; one response runs on one.
    provider_options : mapping of str to object, optional
        Further options of the provider, by ONNX Runtime's names; they become part of the record.
    io_binding : bool, optional
        Whether batches are written into buffers on the device that are kept from batch to batch; by default where the
        device has a memory of its own (CUDA, TensorRT).
    compose : {"auto", "outside", "inside"}
        Where perturbed pictures are made: here, or by nodes in front of the graph, so that only the cells' numbers go
        into the session. "auto": outside, unless ``query(..., batch_size="auto")`` or `tune_batch_size` measures that
        inside is faster.

    Returns
    -------
    OnnxResponse
        The response.

    Raises
    ------
    ValueError
        Anything that can be found wrong without an evaluation: file, opset, external data, target, label, preset,
        score, layout, provider, names of inputs and outputs.
    BackendUnavailableError
        onnx or onnxruntime is missing.
    RuntimeError
        The provider was installed and did not come up.

    Notes
    -----
    One session serves the response for its life. On the CPU the scores of the tested networks do not depend on batch
    size and threads; the promise of equal bits is for one machine and one version of ONNX Runtime.
    A uint8 input rounds every perturbed picture to 256 levels: `describe` shows ``input_dtype``.

    Examples
    --------
    >>> from legstat.data import digits_model_path
    >>> from legstat.responses import onnx_response
    >>> f = onnx_response(digits_model_path(), target=3)
    >>> f.describe()["provider"]
    'CPUExecutionProvider'
    """
    where = "onnx_response"
    proto = load_proto(where, path)
    facts = model_facts(where, path, proto)
    fed = Constants(where, constants, facts.inputs)
    info = choose_input(where, facts.inputs, input, fed)
    choice = choose_output(where, facts, output, proto.graph)
    stated = check_output_kind(where, output_kind)
    prior = choice.decision if stated is None else Decision(stated, "stated", f"stated by the user as {stated!r}")
    dtype = np.dtype(info.dtype)
    rule = PRESETS["raw"] if preprocessing is None and dtype.kind == "u" else as_preprocessing(preprocessing)
    layout, shape = choose_layout(where, info, rule.layout)
    threads = default_threads() if threads is None else check_whole(where, "threads", threads)
    choices = Choices.check(where, score, target, labels, choice.n_classes)
    if choice.softmaxes > 1 and choice.decision is not None:
        warnings.warn(f"{where}: {choice.decision.ground}.", LegstatWarning, stacklevel=2)
    if compose not in get_args(Compose):
        raise ValueError(invalid(where, "compose", compose, f"one of {list(get_args(Compose))}"))
    settings = SessionSettings(
        provider=provider,
        threads=threads,
        allow_fallback=allow_fallback,
        tf32=tf32,
        device_id=check_whole(where, "device_id", device_id, least=0),
        io_binding=io_binding,
        options=tuple((str(name), str(value)) for name, value in (provider_options or {}).items()),
    )
    response = OnnxResponse(
        Runner(where, facts, info, choice, fed, settings),
        choices,
        fed,
        preprocessing=rule.for_layout(layout),
        preprocessing_given=preprocessing is not None,
        input_shape=shape,
        prior=prior,
        batch_size=batch_size,
        input_dtype=dtype,
        compose=compose,
        asked={
            "input": input,
            "output": output,
            "output_kind": output_kind,
            "free_batch_axis": free_batch_axis,
            "threads": threads,
            "provider": provider if isinstance(provider, str) else list(provider),
            "allow_fallback": allow_fallback,
            "tf32": tf32,
            "device_id": device_id,
            "provider_options": dict(settings.options),
            "io_binding": io_binding,
            "compose": compose,
        },
    )
    if free_batch_axis:
        response.free_batch_axis()
    response.verify_provider()
    return response


def reopen_onnx(
    description: JSON,
    path: str | Path,
    *,
    constants: Mapping[str, AnyArray | float | str | Path] | None = None,
    constant_files: Mapping[str, Path] | None = None,
    labels: str | Path | Sequence[str] | None = None,
) -> OnnxResponse:
    """The response that a record describes, built anew from its file.

    Parameters
    ----------
    description : dict
        What `OnnxResponse.describe` returned.
    path : str or Path
        The model file; another file than the one described is refused.
    constants : mapping of str to ndarray or float or path, optional
        Values of the graph's other inputs that are too large for a description.
    constant_files : mapping of str to Path, optional
        Where else to look for them: .npy files by name of the input.
    labels : sequence of str or str or Path, optional
        Class names.

    Returns
    -------
    OnnxResponse
        With the described target, score, preprocessing and settings. `NetworkResponse.resolved` settles it without an
        evaluation, `anchor` with one.

    Raises
    ------
    ValueError
        The file is not the one described.

    Examples
    --------
    >>> from legstat.data import digits_model_path, load_digit
    >>> from legstat.responses import onnx_response, reopen_onnx
    >>> f, _ = onnx_response(digits_model_path()).anchor(load_digit(0)[0])
    >>> reopen_onnx(f.describe(), digits_model_path()).resolved(f.describe()).fingerprint == f.fingerprint
    True
    """
    where = "reopen_onnx"
    found = read_model(where, path).sha256
    if found != description.get("model_sha256"):
        raise ValueError(
            invalid(where, "path", str(path), "the file that was described", f"SHA-256 is {found}: another model.")
        )
    target = description["target"] if description["target"] is not None else description["target_given"]
    return onnx_response(
        path,
        target=(target[0], target[1]) if isinstance(target, list) else target,
        score=description["score"],
        preprocessing=description["preprocessing"],
        constants=recorded_constants(where, description["constants"], constants, constant_files or {}),
        labels=labels,
        batch_size=description["batch_size"],
        **description["asked"] | ({"compose": "inside"} if description.get("compose") == "inside" else {}),
    )
