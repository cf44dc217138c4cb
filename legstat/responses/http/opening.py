"""A classifier behind an HTTP endpoint (Open Inference Protocol, version 2) as a response."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from legstat._core.checks import check_count, check_type
from legstat._core.errors import invalid
from legstat._core.typing import JSON, AnyArray
from legstat.responses.http.endpoint import WHERE, Endpoint
from legstat.responses.http.protocol import tensor_infos
from legstat.responses.http.response import HttpResponse
from legstat.responses.network.fixed_inputs import Constants, recorded_constants
from legstat.responses.network.labels import Target
from legstat.responses.network.outputs import Decision, check_output_kind
from legstat.responses.network.preprocessing import PRESETS, Preprocessing, as_preprocessing
from legstat.responses.network.target import Choices
from legstat.responses.network.tensors import TensorInfo, choose_input, choose_layout
from legstat.responses.transport import Transport


def http_response(
    url: str,
    model: str,
    *,
    version: str | None = None,
    target: Target = "top",
    score: str = "log_odds",
    preprocessing: Preprocessing | str | Path | Mapping[str, object] | None = None,
    input: str | None = None,
    output: str | None = None,
    output_kind: str | None = None,
    constants: Mapping[str, AnyArray | float | str | Path] | None = None,
    labels: str | Path | Sequence[str] | None = None,
    batch_size: int | None = None,
    binary: bool | None = None,
    transport: Transport | None = None,
) -> HttpResponse:
    """A classifier behind an HTTP endpoint as a response, by the Open Inference Protocol (Triton, KServe, ...).

    Pictures are preprocessed here; what is sent is the network's input, what is asked for one class output.

    Parameters
    ----------
    url : str
        Address of the server, such as "http://localhost:8000"; what comes before ``/v2`` belongs to it.
    model : str
        The model's name there.
    version : str, optional
        Its version. Without one the server's choice is taken, and answers cannot be kept in a `QueryCache`.
    target, score, preprocessing : optional
        As for `onnx_response`.
    input, output : str, optional
        Names of the tensors, where the model has several.
    output_kind, constants, labels : optional
        As for `onnx_response`; whether outputs are logits or probabilities is told from the values at x0.
    batch_size : int, optional
        Pictures in one request; a model whose batch is fixed is sent that many, the last ones repeated to fill it. A
        server that refuses a request for its size (status 413) gets half.
    binary : bool, optional
        Whether numbers travel as bytes; by default if the server says that it takes them. As JSON they are some five
        times as long, and equally exact.
    transport : Transport, optional
        Headers, certificates, times, retries, and how many requests may be under way at once.

    Returns
    -------
    HttpResponse
        The response. Nothing was evaluated yet; the model's description was read.

    Raises
    ------
    ValueError
        For an argument that cannot be right, or that does not fit the model's description.
    ConnectionError
        The endpoint does not answer, or says "not now" at every attempt.
    RuntimeError
        It refuses, or its answers are not of the protocol's form, of another shape than was asked for, or change.
    PartialAnswerError
        Where images are scored in several requests, and some of them came to one of the ends above.
    BackendUnavailableError
        urllib3 is missing.

    Notes
    -----
    Redirects are refused. What the model is cannot be seen: `describe` holds its description and says
    ``"weights_seen": False``. Answers are counted, not attempts: `HttpResponse.repeated` has the latter.

    Examples
    --------
    >>> from legstat.responses.http.opening import http_response
    >>> http_response("localhost:8000", "resnet50")
    Traceback (most recent call last):
    ValueError: legstat.http_response: `url` must be an address such as http://localhost:8000. Got 'localhost:8000'.
    """
    if batch_size is not None:
        batch_size = check_count(WHERE, "batch_size", batch_size)
    check_type(WHERE, "transport", transport, Transport | None, "such as Transport(rate=5.0)")
    endpoint = Endpoint(url, model, version, transport or Transport())
    described = endpoint.json(endpoint.path)
    inputs, outputs = tensor_infos(described, "inputs"), tensor_infos(described, "outputs")
    fed = Constants(WHERE, constants, inputs)
    picture = choose_input(WHERE, inputs, input, fed)
    read = _choose_output(output, outputs)
    dtype = np.dtype(picture.dtype)
    rule = PRESETS["raw"] if preprocessing is None and dtype.kind == "u" else as_preprocessing(preprocessing)
    layout, shape = choose_layout(WHERE, picture, rule.layout)
    stated = check_output_kind(WHERE, output_kind)
    if binary is None:
        binary = dtype == np.float16 or "binary_tensor_data" in _extensions(endpoint)
    return HttpResponse(
        endpoint,
        described,
        picture,
        read,
        fed,
        binary,
        Choices.check(WHERE, score, target, labels, None),
        preprocessing=rule.for_layout(layout),
        preprocessing_given=preprocessing is not None,
        input_shape=shape,
        prior=None if stated is None else Decision(stated, "stated", f"stated by the user as {stated!r}"),
        batch_size=batch_size,
        asked={"input": input, "output": output, "output_kind": output_kind, "binary": binary},
    )


def reopen_http(
    description: JSON,
    *,
    constants: Mapping[str, AnyArray | float | str | Path] | None = None,
    constant_files: Mapping[str, Path] | None = None,
    labels: str | Path | Sequence[str] | None = None,
    transport: Transport | None = None,
) -> HttpResponse:
    """The response that a record describes, built anew from its endpoint.

    Parameters
    ----------
    description : dict
        What `HttpResponse.describe` returned.
    constants : mapping of str to ndarray or float or path, optional
        Values of the model's other inputs that are too large for a description.
    constant_files : mapping of str to Path, optional
        Where else to look for them: .npy files by name of the input.
    labels : sequence of str or str or Path, optional
        Class names.
    transport : Transport, optional
        How to reach it; of an earlier one a description says only how many requests were under way at once.

    Returns
    -------
    HttpResponse
        With the described target, score, preprocessing and inputs. Whether the endpoint says of its model what it said
        then is for `HttpResponse.model_sha256` to tell, and `HttpResponse.resolved` refuses another one.

    Raises
    ------
    ConnectionError
        The endpoint does not answer.
    ValueError
        Its model takes other inputs, or has other outputs.
    """
    target = description["target"] if description["target"] is not None else description["target_given"]
    in_flight = description["in_flight"]
    return http_response(
        description["url"],
        description["model"],
        version=description["version"],
        target=tuple(target) if isinstance(target, list) else target,
        score=description["score"],
        preprocessing=description["preprocessing"],
        constants=recorded_constants("reopen_http", description["constants"], constants, constant_files or {}),
        labels=labels,
        batch_size=max(description["batch_size"] // in_flight, 1),
        transport=transport or Transport(in_flight=in_flight),
        **description["asked"],
    )


def _choose_output(name: str | None, outputs: Sequence[TensorInfo]) -> TensorInfo:
    """The output of that name, or the only one of floats."""
    fit = [one for one in outputs if (one.dtype.startswith("float") if name is None else one.name == name)]
    if len(fit) != 1:
        valid = "given" if name is None and fit else "a float tensor"
        remedy = f"They are: {'; '.join(map(str, outputs))}."
        raise ValueError(invalid(WHERE, "output", name, f"{valid}, one of the model's outputs", remedy))
    if fit[0].dtype not in ("float16", "float32", "float64"):
        raise ValueError(invalid(WHERE, "output", str(fit[0]), "of type FP16, FP32 or FP64"))
    return fit[0]


def _extensions(endpoint: Endpoint) -> Sequence[object]:
    """Extensions of the protocol that the server says it speaks; none where it does not say."""
    try:
        found = endpoint.json("v2").get("extensions", ())
    except RuntimeError:
        return ()
    return found if isinstance(found, list) else ()
