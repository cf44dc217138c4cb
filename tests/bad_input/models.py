"""What cannot be right about a model: ONNX files, torch modules, endpoints, and how they are to be read."""

from __future__ import annotations

import numpy as np
import pytest

import legstat as ls
from tests.bad_input.world import Row, World

V, T = ValueError, TypeError


def _module() -> object:
    pytest.importorskip("torch", reason="the row is about a torch module")
    import torch

    return torch.nn.Linear(64, 10)


ONNX = [
    Row("no such model", lambda w: w.onnx(path="nowhere.onnx"), V, ("`path`", "existing")),
    Row("model is a folder", lambda w: w.onnx(path=w.folder), V, ("`path`",)),
    Row("model is empty", lambda w: w.onnx(path=w.file("m.onnx")), V, ("`path`", "m.onnx")),
    Row("model is a picture", lambda w: w.onnx(path=w.picture), V, ("`path`", "ONNX")),
    Row("model is a text", lambda w: w.onnx(path=w.file("m.onnx", "no model\n")), V, ("`path`", "ONNX")),
    Row(
        "model cut short",
        lambda w: w.onnx(path=w.file("m.onnx", w.digits.read_bytes()[:20000])),
        V,
        ("`path`", "m.onnx"),
    ),
    Row("target below 0", lambda w: w.onnx(target=-1), V, ("`target`", "0..9")),
    Row("target above the classes", lambda w: w.onnx(target=10), V, ("`target`", "0..9")),
    Row("target a fraction", lambda w: w.onnx(target=3.5), T, ("`target`", "class index")),
    Row("target True", lambda w: w.onnx(target=True), T, ("`target`", "class index")),
    Row("label without labels", lambda w: w.onnx(target="seven"), V, ("`target`", "labels=")),
    Row("unknown label", lambda w: w.onnx(target="eleven", labels=[*"abcdefghij"]), V, ("`target`", "10 labels")),
    Row("two labels alike", lambda w: w.onnx(target="a", labels=[*"aabcdefghi"]), V, ("`target`", "[0, 1]", "index")),
    Row("unknown score", lambda w: w.onnx(score="softmax"), V, ("`score`", "log_odds")),
    Row("difference of one", lambda w: w.onnx(score="difference", target=3), V, ("`target`", "difference")),
    Row("pair without difference", lambda w: w.onnx(target=(3, 4)), V, ("`target`", "difference")),
    Row("difference with itself", lambda w: w.onnx(score="difference", target=(3, 3)), V, ("`target`", "3")),
    Row("unknown preset", lambda w: w.onnx(preprocessing="resnet"), V, ("preprocessing", "imagenet")),
    Row("unknown rule", lambda w: w.onnx(preprocessing={"means": 0.5}), V, ("means", "mean")),
    Row("preprocessing a number", lambda w: w.onnx(preprocessing=255), V, ("preprocessing",)),
    Row("std of 0", lambda w: w.onnx(preprocessing={"std": 0.0}), V, ("`std`", "0")),
    Row("means of other channels", lambda w: w.onnx(preprocessing={"mean": (0.1, 0.2)}), V, ("mean", "channel")),
    Row("unknown input", lambda w: w.onnx(input="data"), V, ("`input`", "'input'")),
    Row("unknown output", lambda w: w.onnx(output="probs"), V, ("`output`", "'logits'")),
    Row("unknown kind of output", lambda w: w.onnx(output_kind="softmax"), V, ("`output_kind`", "probabilities")),
    Row("unknown constant", lambda w: w.onnx(constants={"training": 0}), V, ("constants", "training")),
    Row("too few labels", lambda w: w.onnx(labels=["a", "b"]), V, ("`labels`", "10 names")),
    Row("labels of numbers", lambda w: w.onnx(labels=list(range(10))), T, ("`labels`", "str")),
    Row("batch size below 1", lambda w: w.onnx(batch_size=0), V, ("`batch_size`", ">= 1")),
    Row("threads below 1", lambda w: w.onnx(threads=0), V, ("`threads`", ">= 1")),
    Row("unknown provider", lambda w: w.onnx(provider="gpu"), V, ("`provider`", "cpu")),
    Row("session as a mapping", lambda w: w.onnx(session={"tf32": True}), T, ("`session`", "SessionSettings(")),
    Row("device below 0", lambda w: ls.SessionSettings(device_id=-1), V, ("`device_id`", ">= 0")),
    Row("unknown place", lambda w: w.onnx(compose="within"), V, ("`compose`", "outside")),
    Row(
        "picture of another size",
        lambda w: ls.query(w.onnx(), np.zeros((1, 9, 9)), ls.StructuredGaussian(grid=(3, 3)), n_queries=9),
        V,
        ("`image`", "(1, 8, 8)"),
    ),
    Row(
        "picture of other channels",
        lambda w: ls.explain(w.onnx(), np.zeros((3, 8, 8)), n_queries=50),
        V,
        ("`image`", "(1, 8, 8)"),
    ),
    Row("another model reopened", lambda w: ls.reopen_onnx({"model_sha256": "00"}, w.digits), V, ("`path`", "SHA-256")),
    Row("inspection of a text", lambda w: ls.inspect_model(w.file("m.onnx", "x")), V, ("`path`", "ONNX")),
    Row("inspection of no picture", lambda w: ls.inspect_model(w.digits, image="no.png"), V, ("`path`", "no.png")),
]

TORCH = [
    Row("module is a file", lambda w: w.torch("model.pt"), T, ("`module`", "torch.nn.Module")),
    Row("module is a function", lambda w: w.torch(w.f), T, ("`module`", "as_response(f)")),
    Row("unknown device", lambda w: w.torch(device="gpu"), V, ("`device`", "cuda")),
    Row("settings as a mapping", lambda w: w.torch(settings={"tf32": True}), T, ("`settings`", "TorchSettings(")),
    Row("no device", lambda w: w.torch(device=[]), V, ("`device`",)),
    Row("unknown precision", lambda w: ls.TorchSettings(autocast="int8"), V, ("`autocast`", "bfloat16")),
    Row("unknown compilation", lambda w: ls.TorchSettings(compile_mode="fast"), V, ("`compile_mode`",)),
    Row("shape of two", lambda w: w.torch(input_shape=(8, 8)), V, ("`input_shape`", "(C, H, W)")),
    Row("unknown torch score", lambda w: w.torch(score="softmax"), V, ("`score`", "log_odds")),
    Row("torch target a fraction", lambda w: w.torch(target=0.5), T, ("`target`", "class index")),
    Row("torch batch size", lambda w: w.torch(batch_size=0), V, ("`batch_size`", ">= 1")),
    Row("unknown torch place", lambda w: w.torch(compose="gpu"), V, ("`compose`", "inside")),
]


def _http(w: World, url: str = "http://127.0.0.1:9", **changed: object) -> object:
    asked = {name: changed.pop(name) for name in [*changed] if name in {"batch_size"}}
    return ls.http_response(url, "digits", transport=ls.Transport(**{"retries": 0, "timeout": 0.5, **changed}), **asked)


HTTP = [
    Row("address without http", lambda w: _http(w, "localhost:8000"), V, ("`url`", "http://localhost:8000")),
    Row("address of a file", lambda w: _http(w, "file:///etc/hosts"), V, ("`url`", "http")),
    Row("nobody answers", lambda w: _http(w), ConnectionError, ("no answer", "127.0.0.1:9")),
    Row("nothing under way", lambda w: _http(w, in_flight=0), V, ("`in_flight`", ">= 1")),
    Row("half a request under way", lambda w: ls.Transport(in_flight=1.5), T, ("`in_flight`", "whole number")),
    Row("timeout a word", lambda w: ls.Transport(timeout="30 s"), T, ("`timeout`", "number")),
    Row("deadline of 0", lambda w: ls.Transport(deadline=0), V, ("`deadline`", "number >=")),
    Row("deadline NaN", lambda w: ls.Transport(deadline=float("nan")), V, ("`deadline`", "finite")),
    Row("pause below 0", lambda w: ls.Transport(backoff=-1), V, ("`backoff`", ">= 0")),
    Row("retries True", lambda w: ls.Transport(retries=True), T, ("`retries`", "whole number")),
    Row("header of a number", lambda w: ls.Transport(headers={"A": 7}), V, ("`headers`", "texts")),
    Row("certificates of a number", lambda w: ls.Transport(ca_certs=7), T, ("`ca_certs`", "file")),
    Row(
        "transport of a mapping",
        lambda w: ls.http_response("http://127.0.0.1:9", "m", transport={"rate": 1}),
        T,
        ("`transport`", "Transport"),
    ),
    Row("rate of 0", lambda w: _http(w, rate=0), V, ("`rate`", "number >=")),
    Row("timeout of 0", lambda w: _http(w, timeout=0), V, ("`timeout`", "number >=")),
    Row("retries below 0", lambda w: _http(w, retries=-1), V, ("`retries`", ">= 0")),
    Row(
        "no certificates",
        lambda w: _http(w, "https://127.0.0.1:9", ca_certs="nowhere.pem"),
        V,
        ("`ca_certs`", "nowhere.pem"),
    ),
    Row("headers of a list", lambda w: _http(w, headers=["Authorization: x"]), T, ("`headers`", "mapping")),
    Row("line break in a header", lambda w: _http(w, headers={"A": "x\nB: y"}), V, ("`headers`", "line")),
    Row("http batch size", lambda w: _http(w, batch_size=0), V, ("`batch_size`", ">= 1")),
]

ROWS = [*ONNX, *TORCH, *HTTP]
