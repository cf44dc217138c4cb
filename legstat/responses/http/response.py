"""A network behind an HTTP endpoint as a response: several requests under way, answers in order."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from legstat._core.digests import value_sha256
from legstat._core.errors import LegstatWarning, PartialAnswerError
from legstat._core.typing import JSON, AnyArray, FloatArray
from legstat.responses.base import ImageShape
from legstat.responses.http.endpoint import WHERE, Endpoint, TooLargeError
from legstat.responses.http.protocol import ProtocolError, decode_answer, encode_request, tensor_infos
from legstat.responses.network.evaluation import Writer
from legstat.responses.network.fixed_inputs import Constants
from legstat.responses.network.outputs import Decision
from legstat.responses.network.preprocessing import Preprocessing
from legstat.responses.network.response import NetworkResponse
from legstat.responses.network.target import Choices
from legstat.responses.network.tensors import TensorInfo


class HttpResponse(NetworkResponse):
    """A classifier behind an endpoint; built by `http_response`."""

    _runs_here = False

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
            batch_size=None if together is None else together * endpoint.transport.in_flight,
            input_dtype=np.dtype(picture.dtype),
        )
        self._endpoint, self._described, self._picture, self._output = endpoint, described, picture, output
        self._constants, self._binary, self._asked = constants, binary, asked
        self._served: str | None = None
        free = {info.name for info in tensor_infos(described, "inputs") if info.shape and info.size(0) is None}
        self._batched = {name for name, value in constants.items() if name in free and value.ndim and len(value) == 1}

    @property
    def _in_flight(self) -> int:
        return self._endpoint.transport.in_flight

    def _usual_together(self, shape: Sequence[int | None]) -> int:
        return 1  # a batch is several requests already

    @property
    def request_size(self) -> int:
        """Pictures in one request, at most."""
        return self._fixed or max(self.batch_size // self._in_flight, 1)

    def __call__(self, images: AnyArray) -> FloatArray:
        """Scores of a batch; see `Response`, and `PartialAnswerError` where only some requests were answered."""
        return self._scores(len(images), lambda at, end: self._write(images[at:end]))

    def _scores(self, n: int, write: Writer) -> FloatArray:
        """Scores of a batch, several requests at a time; see `NetworkResponse`.

        Raises
        ------
        PartialAnswerError
            Some requests were answered and others were not; it holds the scores that came.
        """
        self._check_settled()
        answers, error = self._ask(write(0, n))
        scores = np.full(n, np.nan)
        for start, outputs in answers.items():
            scores[start : start + len(outputs)] = self._scored(outputs)
        if error is None:
            return scores
        if not answers:
            raise error
        raise PartialAnswerError(f"{type(error).__name__}: {error}", scores) from error

    def _outputs(self, n: int, write: Writer) -> NDArray[np.generic]:
        """Class outputs of a batch, several requests at a time; see `NetworkResponse`."""
        answers, error = self._ask(write(0, n))
        if error is not None:
            raise error
        return np.concatenate([answers[start] for start in sorted(answers)])

    def _ask(self, inputs: NDArray[np.generic]) -> tuple[dict[int, NDArray[np.generic]], Exception | None]:
        """Class outputs by number of their first picture, and what went wrong with the others, if anything did."""
        size = self.request_size
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
    def tensors(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Inputs and outputs as the server describes them."""
        inputs, outputs = (tensor_infos(self._described, which) for which in ("inputs", "outputs"))
        return tuple(map(str, inputs)), tuple(map(str, outputs))

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
