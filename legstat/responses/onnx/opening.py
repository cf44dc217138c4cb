"""ONNX files as responses, run by ONNX Runtime."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import get_args

import numpy as np

from legstat._core.checks import check_count, check_type
from legstat._core.errors import LegstatWarning, invalid
from legstat._core.typing import JSON, AnyArray
from legstat.responses.network.composing import Compose
from legstat.responses.network.fixed_inputs import Constants, recorded_constants
from legstat.responses.network.labels import Target
from legstat.responses.network.outputs import Decision, check_output_kind
from legstat.responses.network.preprocessing import PRESETS, Preprocessing, as_preprocessing
from legstat.responses.network.target import Choices
from legstat.responses.network.tensors import choose_input, choose_layout
from legstat.responses.onnx.class_output import choose_output
from legstat.responses.onnx.graph import load_proto, model_facts, read_model
from legstat.responses.onnx.response import OnnxResponse
from legstat.responses.onnx.runner import Runner
from legstat.responses.onnx.session import default_threads
from legstat.responses.onnx.settings import SessionSettings


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
    session: SessionSettings | None = None,
    compose: Compose = "auto",
) -> OnnxResponse:
    r"""A classifier in an ONNX file as a response.

    Parameters
    ----------
    path : str or Path
        The model; external data must lie in its own folder.
    target : int or str or tuple, optional
        Class index, label, "top" (the first choice at x0), or a pair for ``score="difference"``. With
        ``score="probability"`` also several classes, or "top:5" (the first five choices): the sum of theirs.
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
    session : SessionSettings, optional
        Devices, precision, buffers, whether another provider may stand in, further options of the provider.
    compose : {"auto", "outside", "inside"}
        Where perturbed pictures are made: here, or by nodes in front of the graph, so that only the cells' numbers go
        into the session. "auto": inside on a device, where that spares the pictures' way there (1.5 to 1.9 times
        as many a second on an H100, ``benchmarks/results/gpu_onnx_throughput.json``); outside on a CPU, unless
        ``query(..., batch_size="auto")`` or `tune_batch_size` measures that inside is faster: there it gains 2 % at
        most and costs up to 14 % (``benchmarks/results/fused.json``).

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
    >>> from legstat.responses.onnx.opening import onnx_response
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
    prior = choice.prior if stated is None else Decision(stated, "stated", f"stated by the user as {stated!r}")
    dtype = np.dtype(info.dtype)
    rule = PRESETS["raw"] if preprocessing is None and dtype.kind == "u" else as_preprocessing(preprocessing)
    layout, shape = choose_layout(where, info, rule.layout)
    threads = default_threads() if threads is None else check_count(where, "threads", threads)
    choices = Choices.check(where, score, target, labels, choice.n_classes)
    if choice.softmaxes > 1 and choice.prior is not None:
        warnings.warn(f"{where}: {choice.prior.ground}.", LegstatWarning, stacklevel=2)
    if compose not in get_args(Compose):
        raise ValueError(invalid(where, "compose", compose, f"one of {list(get_args(Compose))}"))
    settings = SessionSettings() if session is None else session
    check_type(where, "session", settings, SessionSettings, "such as SessionSettings(device_id=1)")
    response = OnnxResponse(
        Runner(where, facts, info, choice, fed, provider, threads, settings),
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
            **asdict(settings),
            "compose": compose,
        },
    )
    if free_batch_axis:
        response.free_batch_axis()
    response.verify_provider()
    return response.with_compose("inside") if compose == "auto" and response.spares_transfer else response


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
        evaluation, `bind` with one.

    Raises
    ------
    ValueError
        The file is not the one described.

    Examples
    --------
    >>> from legstat.data import digits_model_path, load_digit
    >>> from legstat.responses.onnx.opening import onnx_response, reopen_onnx
    >>> f, _ = onnx_response(digits_model_path()).bind(load_digit(0)[0])
    >>> reopen_onnx(f.describe(), digits_model_path()).resolved(f.describe()).fingerprint == f.fingerprint
    True
    """
    where = "reopen_onnx"
    found = read_model(where, path).sha256
    if found != description.get("model_sha256"):
        raise ValueError(
            invalid(where, "path", str(path), "the file that was described", f"SHA-256 is {found}: another model.")
        )
    # a record has the session's settings flat among the rest
    names = {one.name for one in fields(SessionSettings)}
    asked = dict(description["asked"])
    session = SessionSettings(**{name: asked.pop(name) for name in names & asked.keys()})
    if description.get("compose") == "inside":
        asked["compose"] = "inside"
    target = description["target"] if description["target"] is not None else description["target_given"]
    return onnx_response(
        path,
        target=tuple(target) if isinstance(target, list) else target,
        score=description["score"],
        preprocessing=description["preprocessing"],
        constants=recorded_constants(where, description["constants"], constants, constant_files or {}),
        labels=labels,
        batch_size=description["batch_size"],
        session=session,
        **asked,
    )
