"""A response over HTTP against a real server on loopback: the digits network behind the Open Inference Protocol."""

from __future__ import annotations

import json
import pickle
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import onnxruntime
import pytest

import legstat as ls
from legstat.data import digits_model_path, load_digit
from legstat.errors import LegstatWarning, NonFiniteResponseError, QueryError
from legstat.responses.inference_protocol import ProtocolError, decode_answer, encode_request

IMAGE, _ = load_digit(5)
DESIGN = ls.StructuredGaussian((4, 4), 0.1)
NETWORK = onnxruntime.InferenceSession(str(digits_model_path()), providers=["CPUExecutionProvider"])
TYPES = {"FP32": np.float32, "FP16": np.float16}


class Server(ThreadingHTTPServer):
    """Version 2 of the protocol, written from its text; `faults` misbehave, one request after another."""

    daemon_threads = True

    def __init__(self, *, binary: bool = True, batch: int = -1, datatype: str = "FP32", most: int = 10**6) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.binary, self.batch, self.datatype, self.most = binary, batch, datatype, most
        self.faults: list[Any] = []
        self.sizes: list[int] = []
        self.headers: list[dict[str, str]] = []
        self.times: list[float] = []
        self.bodies: list[bytes] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: object) -> None:
        pass

    def reply(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.server.headers.append(dict(self.headers))
        if self.path == "/v2":
            extensions = ["binary_tensor_data"] if self.server.binary else []
            return self.reply(json.dumps({"name": "tiny", "version": "1", "extensions": extensions}).encode())
        if self.path not in ("/v2/models/digits", "/v2/models/digits/versions/3"):
            return self.reply(b'{"error": "unknown model"}', 404)
        tensor = {"datatype": self.server.datatype}
        about = {
            "name": "digits",
            "versions": ["3"],
            "platform": "onnxruntime_onnx",
            "inputs": [{"name": "input", "shape": [self.server.batch, 1, 8, 8], **tensor}],
            "outputs": [{"name": "logits", "shape": [self.server.batch, 10], **tensor}],
        }
        return self.reply(json.dumps(about).encode())

    def do_POST(self) -> None:
        server = self.server
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server.times.append(time.monotonic())
        server.headers.append(dict(self.headers))
        server.bodies.append(body)
        end = int(self.headers.get("Inference-Header-Content-Length", len(body)))
        asked = json.loads(body[:end])
        (tensor,) = asked["inputs"]
        assert tensor["datatype"] == server.datatype
        assert asked["outputs"][0]["name"] == "logits"
        raw = "data" not in tensor
        kind = np.dtype(TYPES[server.datatype])
        if raw:
            assert tensor["parameters"]["binary_data_size"] == len(body) - end
            images = np.frombuffer(body[end:], dtype=kind)
        else:
            images = np.array(tensor["data"], dtype=kind)
        images = images.reshape(tensor["shape"])
        if len(images) > server.most:
            return self.reply(b'{"error": "too many pictures"}', 413)
        if server.batch > 0:
            assert len(images) == server.batch
        fault = server.faults.pop(0) if server.faults else None
        server.sizes.append(len(images))
        if isinstance(fault, float):
            time.sleep(fault)
            fault = None
        if isinstance(fault, int):
            return self.reply(b'{"error": "not now"}', fault, Retry_After="0")
        if fault == "dead":
            self.close_connection = True
            return self.connection.close()
        if fault == "elsewhere":
            return self.reply(b"", 302, Location="http://127.0.0.1:9/v2")
        if fault == "no json":
            return self.reply(b"<html>")
        logits = NETWORK.run(None, {"input": images.astype(np.float32)})[0].astype(kind)
        shape = list(logits.shape)
        if fault == "nan":
            logits[0, 3] = np.nan
        if fault == "lying shape":
            shape = [len(images), 11]
        if fault == "one row":
            logits, shape = logits[:1], [1, 10]
        if fault == "fewer classes":
            logits, shape = logits[:, :5], [len(images), 5]
        name = "probabilities" if fault == "another output" else "logits"
        answer: dict[str, Any] = {"name": name, "shape": shape, "datatype": server.datatype}
        if raw and asked["outputs"][0]["parameters"]["binary_data"]:
            numbers = logits.tobytes()
            answer["parameters"] = {"binary_data_size": len(numbers)}
            if fault == "cut short":
                numbers = numbers[:-4]
            head = json.dumps({"model_name": "digits", "outputs": [answer]}).encode()
            return self.reply(head + numbers, Inference_Header_Content_Length=str(len(head)))
        answer["data"] = logits.ravel().tolist()
        if fault == "cut short":
            answer["data"].pop()
        return self.reply(json.dumps({"model_name": "digits", "outputs": [answer]}).encode())


@contextmanager
def serving(**options: Any) -> Iterator[Server]:
    server = Server(**options)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as one:
        yield one


def respond(server: Server, **more: Any) -> ls.Response:
    return ls.http_response(server.url, "digits", **{"timeout": 2.0, "backoff": 0.01, **more})


def run(f: ls.Response, n: int = 41, **more: Any) -> ls.QuerySample:
    return ls.query(f, IMAGE, DESIGN, n, progress=False, **({"rng": 0} | more))


LOCAL = run(ls.onnx_response(digits_model_path(), batch_size=8))


# ---------------------------------------------------------------- the same numbers


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("batch", [-1, 1, 3])
def test_scores_are_those_of_the_file(binary: bool, batch: int) -> None:
    with serving(binary=binary, batch=batch) as server:
        f = respond(server, batch_size=8)
        sample = run(f)
    # the same network in another session: equal but for sums in another order at another batch size
    np.testing.assert_allclose(sample.responses, LOCAL.responses, rtol=1e-5, atol=1e-6)
    assert sample.response["target"] == LOCAL.response["target"]
    assert sample.response["output_kind"] == "logits"
    assert sample.response["binary"] is binary
    assert max(server.sizes) == (8 if batch < 0 else batch)
    assert sample.ledger.spent == 41
    assert f.requests == len(server.sizes) + 2  # and what described server and model


def test_half_precision_travels_as_such() -> None:
    with serving(datatype="FP16") as server:
        sample = run(respond(server))
    # logits of some 20 in steps of 1/64
    np.testing.assert_allclose(sample.responses, LOCAL.responses, rtol=0, atol=0.1)


def test_requests_are_of_the_documented_form() -> None:
    array = np.array([[0.25, -1.0]], dtype=np.float32)
    body, headers = encode_request("x", array, "y", binary=False)
    assert json.loads(body) == {
        "inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [0.25, -1.0]}],
        "outputs": [{"name": "y"}],
    }
    body, headers = encode_request("x", array, "y", binary=True)
    head = int(headers["Inference-Header-Content-Length"])
    assert body[head:] == b"\x00\x00\x80\x3e\x00\x00\x80\xbf"
    assert json.loads(body[:head])["inputs"][0]["parameters"] == {"binary_data_size": 8}


def test_several_binary_outputs_are_told_apart() -> None:
    outputs = [
        {"name": name, "shape": [1, 2], "datatype": "FP32", "parameters": {"binary_data_size": 8}} for name in "ab"
    ]
    head = json.dumps({"outputs": outputs}).encode()
    body = head + np.arange(4, dtype="<f4").tobytes()
    assert decode_answer(body, {"Inference-Header-Content-Length": str(len(head))}, "b").tolist() == [[2.0, 3.0]]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]",
        b"{}",
        b'{"outputs": 3}',
        b'{"outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 2]}]}',
        b'{"outputs": [{"name": "y", "datatype": "BYTES", "shape": [1], "data": ["3"]}]}',
        b'{"outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, -2], "data": [1, 2]}]}',
        b'{"outputs": [{"name": "y", "datatype": "FP32", "shape": [3], "data": [1, 2]}]}',
        b'{"outputs": [{"name": "y", "datatype": "FP32", "shape": [1], "data": ["a"]}]}',
        b'{"outputs": [{"name": "y", "datatype": "FP32", "shape": [1], "parameters": {"binary_data_size": 4}}]}',
        b'{"outputs": [{"name": "y", "datatype": "FP32", "shape": [1], "parameters": {"binary_data_size": -4}}]}',
    ],
)
def test_answers_of_another_form_are_refused(answer: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_answer(answer, {}, "y")
    with pytest.raises(ProtocolError):
        decode_answer(answer, {"Inference-Header-Content-Length": "9999"}, "y")


# ---------------------------------------------------------------- faults


def test_passing_faults_are_waited_out(server: Server) -> None:
    f = respond(server, batch_size=8)
    server.faults = [503, None, 429, "dead", None, 500, 502, 504]
    sample = run(f)
    np.testing.assert_allclose(sample.responses, LOCAL.responses, rtol=1e-5, atol=1e-6)  # as above
    assert sample.ledger.spent == 41  # answers, not attempts
    assert f.repeated == 6


def test_slow_endpoint_times_out_and_is_asked_again(server: Server) -> None:
    f = respond(server, timeout=0.3, batch_size=64)
    server.faults = [None, 1.0]
    assert run(f).ledger.spent == 41
    assert f.repeated == 1
    server.faults = [1.0] * 3
    with pytest.raises(QueryError, match=r"no answer from .*/infer in 2 attempts of 0.3 s: ReadTimeoutError"):
        run(respond(server, timeout=0.3, retries=1))


def test_endpoint_that_dies_midway_loses_nothing(server: Server) -> None:
    f = respond(server, batch_size=4, retries=2)
    server.faults = [None] * 6 + ["dead"] * 3
    with pytest.raises(QueryError, match=r"ConnectionError: .*no answer from") as caught:
        run(f)
    assert caught.value.sample.ledger.perturbed == 20
    before = len(server.sizes)
    done = run(f, resume=caught.value.sample, rng=None)
    np.testing.assert_allclose(done.responses, LOCAL.responses, rtol=1e-5, atol=1e-6)  # as above
    assert sum(server.sizes[before:]) == 20


def test_refusals_that_do_not_end(server: Server) -> None:
    server.faults = [503] * 9
    with pytest.raises(QueryError, match=r"answered 503 .*: not now"):
        run(respond(server, retries=2))
    assert len(server.sizes) == 3


def test_endpoint_that_is_not_there() -> None:
    with serving() as server:
        url = server.url
    with pytest.raises(ConnectionError, match=r"no answer from .* in 2 attempts of 0.5 s"):
        ls.http_response(url, "digits", timeout=0.5, retries=1, backoff=0.0)


LIES = {
    "lying shape": r"the answer's shape is \[\d+, 11\], and \d+ numbers came",
    "one row": r"8 pictures were sent, and the answer is of shape \(1, 10\)",
    "fewer classes": r"of shape \(10,\) before and is \(5,\) now",
    "another output": r"no output 'logits', only \['probabilities'\]",
    "cut short": r"(bytes are announced|numbers came)",
    "no json": "not of the protocol's form",
    "elsewhere": "answered 302",
}


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("lie", LIES)
def test_lies_are_found_out_and_what_was_paid_is_kept(lie: str, binary: bool, server: Server) -> None:
    f = respond(server, batch_size=8, binary=binary)
    server.faults = [None, None, lie]
    with pytest.raises(QueryError, match=LIES[lie]) as caught:
        run(f)
    assert caught.value.sample.ledger.perturbed == 8
    assert len(server.sizes) == 3  # a lie is no passing fault: it is not asked for again


@pytest.mark.parametrize("binary", [True, False])
def test_nan_is_a_failed_evaluation(binary: bool, server: Server) -> None:
    server.faults = [None, None, "nan"]
    with pytest.raises(NonFiniteResponseError) as caught:
        run(respond(server, batch_size=8, binary=binary))
    assert caught.value.sample.ledger.failed == 1


def test_batches_that_are_too_large_are_halved() -> None:
    with serving(most=5) as server:
        f = respond(server, batch_size=16)
        with pytest.warns(LegstatWarning, match="going on with"):
            sample = run(f)
    np.testing.assert_allclose(sample.responses, LOCAL.responses, rtol=1e-5, atol=1e-6)  # as above
    assert max(server.sizes) == 4
    assert sum(server.sizes) == 41


def test_rate_is_kept(server: Server) -> None:
    run(respond(server, rate=50.0, batch_size=8))
    gaps = np.diff(server.times)
    # the client's clock keeps the distance; here it may shrink by what one request took longer than the next
    assert np.sum(gaps) >= (len(gaps) - 1) * 0.02
    assert len(gaps) == 5


# ---------------------------------------------------------------- arguments, secrets, records


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"url": "ftp://x"}, "`url`"),
        ({"url": "http://me:secret@localhost"}, "`url` must be without one"),
        ({"timeout": 0.0}, "`timeout`"),
        ({"timeout": float("nan")}, "`timeout`"),
        ({"retries": -1}, "`retries`"),
        ({"backoff": -1.0}, "`backoff`"),
        ({"rate": 0.0}, "`rate`"),
        ({"batch_size": 0}, "`batch_size`"),
        ({"input": "image"}, r"`input` .* They are: input float32 \[\?, 1, 8, 8\]"),
        ({"output": "probs"}, "`output`"),
        ({"score": "margin"}, "`score`"),
        ({"target": "seven"}, "target"),
    ],
)
def test_bad_arguments_cost_nothing(change: dict[str, Any], named: str, server: Server) -> None:
    with pytest.raises(ValueError, match=named) as caught:
        ls.http_response(**{"url": server.url, "model": "digits", **change})
    assert "secret" not in str(caught.value)
    assert server.sizes == []


def test_unknown_model(server: Server) -> None:
    with pytest.raises(RuntimeError, match=r"/v2/models/a%2Fb answered 404 Not Found: unknown model"):
        ls.http_response(server.url, "a/b")


def test_headers_are_sent_and_kept_nowhere(server: Server) -> None:
    f, _ = respond(server, headers={"Authorization": "Bearer secret"}).anchor(IMAGE)
    assert all(one["Authorization"] == "Bearer secret" for one in server.headers)
    server.faults = [404]
    with pytest.raises(RuntimeError) as caught:
        f(IMAGE[None])
    for text in (repr(f), json.dumps(f.describe()), str(caught.value)):
        assert "secret" not in text
    again = pickle.loads(pickle.dumps(f))
    assert again(IMAGE[None]) == f(IMAGE[None])


def test_description_says_what_cannot_be_seen(server: Server) -> None:
    f, _ = respond(server, version="3").anchor(IMAGE)
    about = f.describe()
    assert (about["kind"], about["version"], about["weights_seen"]) == ("http", "3", False)
    assert f.resolved(json.loads(json.dumps(about))).fingerprint == f.fingerprint
    assert respond(server).fingerprint != respond(server, version="3").fingerprint


def test_answers_are_kept_for_a_named_version_only(server: Server, tmp_path: Any) -> None:
    with pytest.raises(ValueError, match="Name the model's version"):
        run(respond(server), cache=tmp_path)
    assert server.sizes == []
    run(respond(server, version="3"), cache=tmp_path)
    before = len(server.sizes)
    assert run(respond(server, version="3"), cache=tmp_path).ledger.cached == 41
    assert len(server.sizes) == before
