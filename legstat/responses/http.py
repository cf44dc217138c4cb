"""A classifier behind an HTTP endpoint (Open Inference Protocol, version 2) as a response."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from legstat._typing import JSON, AnyArray, FloatArray
from legstat.errors import LegstatWarning, PartialAnswerError, invalid
from legstat.responses.base import ImageShape, check_whole
from legstat.responses.choices import Choices
from legstat.responses.constants import Constants
from legstat.responses.digests import value_sha256
from legstat.responses.endpoint import WHERE, Endpoint, TooLargeError
from legstat.responses.inference_protocol import (
    ProtocolError,
    decode_answer,
    encode_request,
    tensor_infos,
)
from legstat.responses.labels import Target
from legstat.responses.network import NetworkResponse
from legstat.responses.onnx_choices import choose_input, choose_layout
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
        constants: Constants,
        binary: bool,
        choices: Choices,
        *,
        preprocessing: Preprocessing,
        preprocessing_given: bool,
        input_shape: ImageShape,
        prior: Decision | None,
        batch_size: int | None,
        in_flight: int,
        asked: JSON,
    ) -> None:
        self._fixed = picture.size(0)
        together = self._fixed or batch_size
        super().__init__(
            choices,
            preprocessing=preprocessing,
            preprocessing_given=preprocessing_given,
            input_shape=input_shape,
            prior=prior,
            batch_size=None if together is None else together * in_flight,
            input_dtype=np.dtype(picture.dtype),
        )
        self._endpoint, self._described, self._picture, self._output = endpoint, described, picture, output
        self._constants, self._binary, self._in_flight, self._asked = constants, binary, in_flight, asked
        self._served: str | None = None
        free = {info.name for info in tensor_infos(described, "inputs") if info.shape and info.size(0) is None}
        self._batched = {name for name, value in constants.items() if name in free and value.ndim and len(value) == 1}

    @property
    def request_size(self) -> int:
        """Pictures in one request, at most."""
        return self._fixed or max(self.batch_size // self._in_flight, 1)

    def __call__(self, images: AnyArray) -> FloatArray:
        """Scores of a batch; see `Response`.

        Raises
        ------
        PartialAnswerError
            Some requests were answered and others were not; it holds the scores that came.
        """
        self._check_settled()
        answers, error = self._ask(images)
        scores = np.full(len(images), np.nan)
        for start, outputs in answers.items():
            scores[start : start + len(outputs)] = self._scored(outputs)
        if error is None:
            return scores
        if not answers:
            raise error
        raise PartialAnswerError(f"{type(error).__name__}: {error}", scores) from error

    def class_outputs(self, images: AnyArray) -> NDArray[np.generic]:
        """The network's class outputs as they are, for a batch of any length; several requests at a time.

        Parameters
        ----------
        images : ndarray of shape (n, C, H, W)
            In [0, 1].

        Returns
        -------
        ndarray of shape (n, K)
            In the network's own type.
        """
        answers, error = self._ask(images)
        if error is not None:
            raise error
        return np.concatenate([answers[start] for start in sorted(answers)])

    def _ask(self, images: AnyArray) -> tuple[dict[int, NDArray[np.generic]], Exception | None]:
        """Class outputs by number of their first picture, and what went wrong with the others, if anything did."""
        inputs, size = self._write(images), self.request_size
        pieces = {start: inputs[start : start + size] for start in range(0, max(len(inputs), 1), size)}

        def ask(start: int) -> NDArray[np.generic]:
            return self._rows(self._piece(pieces[start]), len(pieces[start]))

        if len(pieces) == 1:
            return {0: ask(0)}, None
        with ThreadPoolExecutor(self._in_flight) as pool:
            asked = {start: pool.submit(ask, start) for start in pieces}
            try:
                wait(asked.values(), return_when=FIRST_EXCEPTION)
            except BaseException:
                self._endpoint.stop()
                raise
            finally:
                for future in asked.values():  # those under way are paid for, and their answers waited for
                    future.cancel()
        found: dict[int, NDArray[np.generic]] = {}
        errors: list[Exception] = []
        for start, one in asked.items():
            if one.cancelled():
                continue
            error = one.exception()
            if error is None:
                found[start] = one.result()
            elif isinstance(error, Exception):
                errors.append(error)
            else:
                raise error
        return found, errors[0] if errors else None

    def _piece(self, inputs: NDArray[np.generic]) -> NDArray[np.generic]:
        """`_forward`, in halves where the server refuses a request for its size."""
        try:
            return self._forward(inputs)
        except TooLargeError as error:
            half = len(inputs) // 2
            if self._fixed is not None or half < 1:
                raise
            if half < self.request_size:
                self.batch_size = half * self._in_flight
                warnings.warn(
                    f"{self._choices.where}: a request of {len(inputs)} pictures was too large ({error}); going on "
                    f"with {half}.",
                    LegstatWarning,
                    stacklevel=2,
                )
            return np.concatenate([self._piece(inputs[:half]), self._piece(inputs[half:])])

    def _forward(self, inputs: NDArray[np.generic]) -> NDArray[np.generic]:
        n = len(inputs)
        if self._fixed is not None and n < self._fixed:
            inputs = np.concatenate([inputs, np.repeat(inputs[-1:], self._fixed - n, axis=0)])
        size = len(inputs)
        sent: dict[str, NDArray[np.generic]] = {self._picture.name: inputs.astype(self._input_dtype, copy=False)}
        for name, value in self._constants.items():
            sent[name] = np.repeat(value, size, axis=0) if name in self._batched else value
        body, headers = encode_request(sent, self._output.name, self._binary)
        answer, stated = self._endpoint.call(f"{self._endpoint.path}/infer", body, headers)
        try:
            values, version = decode_answer(answer, stated, self._output.name)
            if values.ndim == 0 or values.shape[0] != size:
                raise ProtocolError(f"{size} pictures were sent, and the answer is of shape {values.shape}")
            if version != (self._served or version):
                raise ProtocolError(
                    f"version {version} of the model answered, before it was {self._served}: it was replaced under the "
                    "run. Ask for one version"
                )
        except ProtocolError as error:
            raise ProtocolError(f"legstat.{WHERE}: {self._endpoint.url}: {error}.") from error
        self._served = version
        return values[:n]

    def resolved(self, description: JSON) -> Self:
        """The response that an earlier `describe` speaks of, without an evaluation; see `Response`."""
        settled = super().resolved(description)
        settled._served = description.get("version_served")
        return settled

    @property
    def model_sha256(self) -> str:
        """SHA-256 of what the endpoint says of itself; the network's bytes cannot be seen from here."""
        end = self._endpoint
        return value_sha256("endpoint", end.url, end.model, end.version, self._described)[0]

    def _identity(self) -> tuple[object, ...]:
        return (self._picture.name, self._output.name, dict(self._constants))

    @property
    def constant_files(self) -> dict[str, Path]:
        """Files that constants were read from, by name of the input."""
        return self._constants.files

    def _backend(self) -> JSON:
        end = self._endpoint
        return {
            "kind": "http",
            "url": end.url,
            "model": end.model,
            "version": end.version,
            "version_served": self._served,
            "platform": self._described.get("platform"),
            "input": self._picture.name,
            "output": self._output.name,
            "constants": self._constants.describe(),
            "binary": self._binary,
            "request_size": self.request_size,
            "in_flight": self._in_flight,
            "asked": self._asked,
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
    constants: Mapping[str, AnyArray | float | str | Path] | None = None,
    labels: str | Path | Sequence[str] | None = None,
    batch_size: int | None = None,
    in_flight: int = 4,
    binary: bool | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 30.0,
    deadline: float = 300.0,
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
    output_kind, constants, labels : optional
        As for `onnx_response`; whether outputs are logits or probabilities is told from the values at x0.
    batch_size : int, optional
        Pictures in one request; a model whose batch is fixed is sent that many, the last ones repeated to fill it. A
        server that refuses a request for its size (status 413) gets half.
    in_flight : int, default 4
        Requests that may be under way at the same time, each on a connection and a thread of its own. Answers are put
        in the order of the pictures; 1 makes one request after another.
    binary : bool, optional
        Whether numbers travel as bytes; by default if the server says that it takes them. As JSON they are some five
        times as long, and equally exact.
    headers : mapping of str to str, optional
        Sent with every request (authorisation). They appear in no record, error or representation.
    timeout : float, default 30
        Seconds to wait for a connection, and for each silence of the server, in one attempt.
    deadline : float, default 300
        Seconds for one request with all its attempts and pauses, however the server spends them: a byte now and then
        does not extend it.
    retries : int, default 4
        Further attempts where there is no answer, or one of 429, 500, 502, 503, 504.
    backoff : float, default 0.5
        Pause before the second retry in seconds, doubled from one to the next, with a random half of it on top; a
        server's Retry-After is obeyed up to 60 s.
    rate : float, optional
        Attempts in a second, at most, over all requests under way.
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
    >>> from legstat.responses import http_response
    >>> http_response("localhost:8000", "resnet50")
    Traceback (most recent call last):
    ValueError: legstat.http_response: `url` must be an address such as http://localhost:8000. Got 'localhost:8000'.
    """
    in_flight = check_whole(WHERE, "in_flight", in_flight)
    if batch_size is not None:
        check_whole(WHERE, "batch_size", batch_size)
    endpoint = Endpoint(
        url,
        model,
        version,
        headers=headers,
        timeout=timeout,
        deadline=deadline,
        retries=retries,
        backoff=backoff,
        rate=rate,
        in_flight=in_flight,
        ca_certs=ca_certs,
    )
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
        in_flight=in_flight,
        asked={"input": input, "output": output, "output_kind": output_kind, "binary": binary},
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
