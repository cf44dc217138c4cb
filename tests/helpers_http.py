"""A server on loopback that speaks version 2 of the Open Inference Protocol for the digits network, and misbehaves."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import onnxruntime

from legstat.data import digits_model_path

TYPES = {"FP32": np.float32, "FP16": np.float16}


class Server(ThreadingHTTPServer):
    """Version 2 of the protocol, written from its text.

    `faults` misbehave, one request after another; a function in their place is asked with the pictures of each request
    which fault it gets. With `shifted`, logits are those of the network plus a second input of the picture's batch.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self,
        *,
        binary: bool = True,
        batch: int = -1,
        datatype: str = "FP32",
        most: int = 10**6,
        shifted: bool = False,
        pause: float = 0.0,
    ) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.binary, self.batch, self.datatype, self.most = binary, batch, datatype, most
        self.shifted, self.pause, self.drift = shifted, pause, 0.0
        self.network = onnxruntime.InferenceSession(str(digits_model_path()), providers=["CPUExecutionProvider"])
        self.lock = threading.Lock()
        self.under_way = self.most_under_way = 0
        self.faults: Any = []
        self.sizes: list[int] = []
        self.headers: list[dict[str, str]] = []
        self.times: list[float] = []
        self.bodies: list[bytes] = []

    def handle_error(self, *_: object) -> None:
        """Say nothing: a client that has had enough is no fault here."""

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
        about: dict[str, Any] = {
            "name": "digits",
            "versions": ["3"],
            "platform": "onnxruntime_onnx",
            "inputs": [{"name": "input", "shape": [self.server.batch, 1, 8, 8], **tensor}],
            "outputs": [{"name": "logits", "shape": [self.server.batch, 10], **tensor}],
        }
        if self.server.shifted:
            about["inputs"].append({"name": "shift", "datatype": "FP32", "shape": [self.server.batch, 10]})
        return self.reply(json.dumps(about).encode())

    def do_POST(self) -> None:
        server = self.server
        with server.lock:
            server.under_way += 1
            server.most_under_way = max(server.most_under_way, server.under_way)
        try:
            time.sleep(server.pause)
            self.infer()
        finally:
            with server.lock:
                server.under_way -= 1

    def infer(self) -> None:
        server = self.server
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server.times.append(time.monotonic())
        server.headers.append(dict(self.headers))
        server.bodies.append(body)
        end = int(self.headers.get("Inference-Header-Content-Length", len(body)))
        asked = json.loads(body[:end])
        tensor, *others = asked["inputs"]
        assert len(others) == server.shifted
        assert tensor["datatype"] == server.datatype
        assert asked["outputs"][0]["name"] == "logits"
        raw = "data" not in tensor
        kind = np.dtype(TYPES[server.datatype])
        arrays, at = [], end
        for one, its in zip(asked["inputs"], (kind, np.dtype(np.float32)), strict=False):
            if raw:
                size = one["parameters"]["binary_data_size"]
                arrays.append(np.frombuffer(body[at : at + size], dtype=its).reshape(one["shape"]))
                at += size
            else:
                arrays.append(np.array(one["data"], dtype=its).reshape(one["shape"]))
        assert not raw or at == len(body)
        images = arrays[0]
        if len(images) > server.most:
            return self.reply(b'{"error": "too many pictures"}', 413)
        if server.batch > 0:
            assert len(images) == server.batch
        given = server.faults
        fault = given(images) if callable(given) else given.pop(0) if given else None
        server.sizes.append(len(images))
        if isinstance(fault, float):
            time.sleep(fault)
            fault = None
        if isinstance(fault, int):
            return self.reply(b'{"error": "not now"}', fault, Retry_After="0")
        if isinstance(fault, tuple):
            return self.reply(b'{"error": "not now"}', fault[0], Retry_After=str(fault[1]))
        if fault == "drip headers":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            return self.drip(b"x" * 400)
        if fault == "dead":
            self.close_connection = True
            return self.connection.close()
        if fault == "elsewhere":
            return self.reply(b"", 302, Location="http://127.0.0.1:9/v2")
        if fault == "no json":
            return self.reply(b"<html>")
        logits = server.network.run(None, {"input": images.astype(np.float32)})[0].astype(kind)
        logits[:, 7] += kind.type(server.drift)
        if server.shifted:
            assert len(arrays[1]) == len(images)
            logits = logits + arrays[1]
        shape = list(logits.shape)
        if fault == "nan":
            logits[0, 3] = np.nan
        if fault == "lying shape":
            shape = [len(images), 11]
        if fault == "one row":
            logits, shape = logits[:1], [1, 10]
        if fault == "fewer classes":
            logits, shape = logits[:, :5], [len(images), 5]
        about = {"model_name": "digits", "model_version": "4" if fault == "another version" else "3"}
        name = "probabilities" if fault == "another output" else "logits"
        answer: dict[str, Any] = {"name": name, "shape": shape, "datatype": server.datatype}
        if raw and asked["outputs"][0]["parameters"]["binary_data"]:
            numbers = logits.tobytes()
            answer["parameters"] = {"binary_data_size": len(numbers)}
            if fault == "cut short":
                numbers = numbers[:-4]
            head = json.dumps({**about, "outputs": [answer]}).encode()
            if fault == "half a JSON":
                head = head[: len(head) // 2]
            return self.reply(head + numbers, Inference_Header_Content_Length=str(len(head)))
        answer["data"] = logits.ravel().tolist()
        if fault == "cut short":
            answer["data"].pop()
        text = json.dumps({**about, "outputs": [answer]}).encode()
        if fault == "half a JSON":
            text = text[: len(text) // 2]
        if fault == "half a body":
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text[: len(text) // 2])
            self.close_connection = True
            return self.wfile.flush()
        if fault == "drip":
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            return self.drip(text)
        return self.reply(text)

    def drip(self, content: bytes) -> None:
        """A byte now and then, each well within what a client waits for a byte."""
        try:
            for at in range(len(content)):  # some 200 bytes: ten seconds and more
                self.wfile.write(content[at : at + 1])
                self.wfile.flush()
                time.sleep(0.05)
        except OSError:  # the client has had enough
            self.close_connection = True


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
