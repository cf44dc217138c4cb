"""A classifier behind an HTTP endpoint (Open Inference Protocol, version 2) as a response."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from legstat._typing import JSON
from legstat.errors import invalid
from legstat.responses.base import ImageShape, check_whole
from legstat.responses.choices import Choices
from legstat.responses.digests import value_sha256
from legstat.responses.endpoint import WHERE, Endpoint
from legstat.responses.inference_protocol import (
    ProtocolError,
    decode_answer,
    encode_request,
    tensor_infos,
)
from legstat.responses.labels import Target
from legstat.responses.network import NetworkResponse
from legstat.responses.onnx_choices import choose_layout
from legstat.responses.onnx_graph import TensorInfo
from legstat.responses.outputs import Decision, check_output_kind
from legstat.responses.preprocessing import PRESETS, Preprocessing, as_preprocessing


class HttpResponse(NetworkResponse):
    """A classifier behind an endpoint; built by `http_response`."""

    def __init__(
        self,
        endpoint: Endpoint,
        described: JSON,
        picture: TensorInfo,
        output: TensorInfo,
        binary: bool,
        choices: Choices,
        *,
        preprocessing: Preprocessing,
        preprocessing_given: bool,
        input_shape: ImageShape,
        prior: Decision | None,
        batch_size: int | None,
    ) -> None:
        self._fixed = picture.size(0)
        super().__init__(
            choices,
            preprocessing=preprocessing,
            preprocessing_given=preprocessing_given,
            input_shape=input_shape,
            prior=prior,
            batch_size=self._fixed or batch_size,
            input_dtype=np.dtype(picture.dtype),
        )
        self._endpoint, self._described, self._picture, self._output = endpoint, described, picture, output
        self._binary = binary
        self._row: tuple[int, ...] | None = None

    def _forward(self, inputs: NDArray[np.generic]) -> NDArray[np.generic]:
        n = len(inputs)
        if self._fixed is not None and n > self._fixed:
            pieces = range(0, n, self._fixed)
            return np.concatenate([self._forward(inputs[at : at + self._fixed]) for at in pieces])
        if self._fixed is not None and n < self._fixed:
            inputs = np.concatenate([inputs, np.repeat(inputs[-1:], self._fixed - n, axis=0)])
        sent = inputs.astype(self._input_dtype, copy=False)
        body, headers = encode_request(self._picture.name, sent, self._output.name, self._binary)
        answer, stated = self._endpoint.call(f"{self._endpoint.path}/infer", body, headers)
        try:
            values = decode_answer(answer, stated, self._output.name)
            if values.ndim == 0 or values.shape[0] != len(sent):
                raise ProtocolError(f"{len(sent)} pictures were sent, and the answer is of shape {values.shape}")
            # its class outputs may not change under a run: the target would be another class
            if self._row is not None and values.shape[1:] != self._row:
                raise ProtocolError(
                    f"one picture's answer was of shape {self._row} before and is {values.shape[1:]} now"
                )
        except ProtocolError as error:
            raise ProtocolError(f"legstat.{WHERE}: {self._endpoint.url}: {error}.") from error
        self._row = values.shape[1:]
        return values[:n]

    @property
    def model_sha256(self) -> str:
        """SHA-256 of what the endpoint says of itself; the network's bytes cannot be seen from here."""
        end = self._endpoint
        return value_sha256("endpoint", end.url, end.model, end.version, self._described)[0]

    def _identity(self) -> tuple[object, ...]:
        return (self._picture.name, self._output.name)

    def _backend(self) -> JSON:
        end = self._endpoint
        return {
            "kind": "http",
            "url": end.url,
            "model": end.model,
            "version": end.version,
            "platform": self._described.get("platform"),
            "input": self._picture.name,
            "output": self._output.name,
            "binary": self._binary,
            "provider": "remote",
            "weights_seen": False,
            # without a version the model may be replaced under its name, and answers kept would be another model's
            "fingerprint_complete": end.version is not None,
            "versions": {"numpy": np.__version__},
        }

    @property
    def requests(self) -> int:
        """Requests that were answered, repeated attempts not counted."""
        return self._endpoint.requests

    @property
    def repeated(self) -> int:
        """Attempts that had to be repeated; the server may have computed their batches, nobody was answered."""
        return self._endpoint.repeated


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
    labels: str | Path | Sequence[str] | None = None,
    batch_size: int | None = None,
    binary: bool | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 30.0,
    retries: int = 4,
    backoff: float = 0.5,
    rate: float | None = None,
    ca_certs: str | Path | None = None,
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
    output_kind, labels : optional
        As for `onnx_response`; whether outputs are logits or probabilities is told from the values at x0.
    batch_size : int, optional
        Pictures in one request; a model whose batch is fixed is sent that many, the last ones repeated to fill it. A
        server that refuses a request for its size (status 413) gets half.
    binary : bool, optional
        Whether numbers travel as bytes; by default if the server says that it takes them. As JSON they are some five
        times as long, and equally exact.
    headers : mapping of str to str, optional
        Sent with every request (authorisation). They appear in no record, error or representation.
    timeout : float, default 30
        Seconds to wait for a connection, and for each silence of the server.
    retries : int, default 4
        Further attempts where there is no answer, or one of 429, 500, 502, 503, 504.
    backoff : float, default 0.5
        Pause before the second retry in seconds, doubled from one to the next, with a random half of it on top; a
        server's Retry-After is obeyed up to 60 s.
    rate : float, optional
        Requests in a second, at most; pauses between retries are on top of that.
    ca_certs : str or Path, optional
        Certificates to trust, where the system's do not do.

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
    BackendUnavailableError
        urllib3 is missing.

    Notes
    -----
    Redirects are refused. What the model is cannot be seen: `describe` holds its description and says
    ``"weights_seen": False``. Answers are counted, not attempts: `HttpResponse.repeated` has the latter.

    Examples
    --------
    >>> from legstat.responses import http_response
    >>> http_response("localhost:8000", "resnet50")
    Traceback (most recent call last):
    ValueError: legstat.http_response: `url` must be an address such as http://localhost:8000. Got 'localhost:8000'.
    """
    endpoint = Endpoint(
        url,
        model,
        version,
        headers=headers,
        timeout=timeout,
        retries=retries,
        backoff=backoff,
        rate=rate,
        ca_certs=ca_certs,
    )
    described = endpoint.json(endpoint.path)
    inputs, outputs = tensor_infos(described, "inputs"), tensor_infos(described, "outputs")
    picture = _choose("input", input, inputs, [one for one in inputs if one.shape and len(one.shape) == 4])
    if len(inputs) > 1:
        raise ValueError(
            invalid(WHERE, "model", model, "one with a single input", f"It has {'; '.join(map(str, inputs))}.")
        )
    read = _choose("output", output, outputs, [one for one in outputs if one.dtype.startswith("float")])
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
        binary,
        Choices.check(WHERE, score, target, labels, None),
        preprocessing=rule.for_layout(layout),
        preprocessing_given=preprocessing is not None,
        input_shape=shape,
        prior=None if stated is None else Decision(stated, "stated", f"stated by the user as {stated!r}"),
        batch_size=None if batch_size is None else check_whole(WHERE, "batch_size", batch_size),
    )


def _choose(what: str, name: str | None, there: Sequence[TensorInfo], fit: Sequence[TensorInfo]) -> TensorInfo:
    """The tensor of that name, or the only one that fits."""
    listed = "; ".join(map(str, there))
    if name is not None:
        fit = [one for one in fit if one.name == name]
    if len(fit) != 1:
        valid = "given" if name is None and fit else "a picture of four axes" if what == "input" else "a float tensor"
        raise ValueError(invalid(WHERE, what, name, f"{valid}, one of the model's {what}s", f"They are: {listed}."))
    if fit[0].dtype not in ("float16", "float32", "float64", "uint8"):
        raise ValueError(invalid(WHERE, what, str(fit[0]), "of type FP16, FP32, FP64 or UINT8"))
    return fit[0]


def _extensions(endpoint: Endpoint) -> Sequence[object]:
    """Extensions of the protocol that the server says it speaks; none where it does not say."""
    try:
        found = endpoint.json("v2").get("extensions", ())
    except RuntimeError:
        return ()
    return found if isinstance(found, list) else ()
