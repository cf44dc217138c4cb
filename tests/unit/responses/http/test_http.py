"""A response over HTTP against a real server on loopback: the digits network behind the Open Inference Protocol."""

from __future__ import annotations

import json
import pickle
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

import legstat as ls
from legstat._core.errors import LegstatWarning, PartialAnswerError
from legstat.data import digits_model_path, load_digit
from legstat.responses.http.protocol import ProtocolError, decode_answer, encode_request
from legstat.samples.faults import NonFiniteResponseError, QueryError, QueryInterrupted
from tests.helpers_http import Server, serving

IMAGE, _ = load_digit(5)
DESIGN = ls.StructuredGaussian((4, 4), 0.1)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as one:
        yield one


def respond(server: Server, **more: Any) -> ls.Response:
    given = {"timeout": 2.0, "backoff": 0.01, "in_flight": 1}  # one at a time: faults come in a known order
    given |= {name: more.pop(name) for name in [*more] if name in {field.name for field in fields(ls.Transport)}}
    return ls.http_response(server.url, "digits", transport=ls.Transport(**given), **more)


def hurried(f: Any, timeout: float, deadline: float) -> Any:
    """The response with less patience from here on: a loaded machine may be slow in opening it."""
    f._endpoint.transport = replace(f._endpoint.transport, timeout=timeout, deadline=deadline)
    return f


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
    body, headers = encode_request({"x": array}, "y", binary=False)
    assert json.loads(body) == {
        "inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [0.25, -1.0]}],
        "outputs": [{"name": "y"}],
    }
    body, headers = encode_request({"x": array}, "y", binary=True)
    head = int(headers["Inference-Header-Content-Length"])
    assert body[head:] == b"\x00\x00\x80\x3e\x00\x00\x80\xbf"
    assert json.loads(body[:head])["inputs"][0]["parameters"] == {"binary_data_size": 8}


def test_several_binary_outputs_are_told_apart() -> None:
    outputs = [
        {"name": name, "shape": [1, 2], "datatype": "FP32", "parameters": {"binary_data_size": 8}} for name in "ab"
    ]
    head = json.dumps({"outputs": outputs}).encode()
    body = head + np.arange(4, dtype="<f4").tobytes()
    values, version = decode_answer(body, {"Inference-Header-Content-Length": str(len(head))}, "b")
    assert (values.tolist(), version) == ([[2.0, 3.0]], None)


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
    f = hurried(respond(server, timeout=20.0, batch_size=64), timeout=0.3, deadline=60.0)
    server.faults = [None, 1.0]
    assert run(f).ledger.spent == 41
    assert f.repeated == 1
    server.faults = [1.0] * 3
    with pytest.raises(QueryError, match=r"no answer from .*/infer in 2 attempts of 0.3 s: ReadTimeoutError"):
        run(hurried(respond(server, timeout=20.0, retries=1), timeout=0.3, deadline=60.0))


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
        ls.http_response(url, "digits", transport=ls.Transport(timeout=0.5, retries=1, backoff=0.0))


LIES = {
    "lying shape": r"the answer's shape is \[\d+, 11\], and \d+ numbers came",
    "one row": r"8 pictures were sent, and the answer is of shape \(1, 10\)",
    "fewer classes": r"`output` must be of 10 columns",
    "another version": "version 4 of the model answered, before it was 3: it was replaced under the run",
    "another output": r"no output 'logits', only \['probabilities'\]",
    "cut short": r"(bytes are announced|numbers came)",
    "no json": "not of the protocol's form",
    "half a JSON": "not of the protocol's form",
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


def test_attempts_that_are_repeated_keep_to_the_rate_too(server: Server) -> None:
    f, _ = respond(server, rate=10.0, backoff=0.0).bind(IMAGE)
    server.faults = [503, 503, 503, None]
    f(IMAGE[None])
    assert np.sum(np.diff(server.times[1:])) >= 0.3 * 0.9  # three distances; arrival may lag behind sending


# ---------------------------------------------------------------- time


@pytest.mark.parametrize("fault", ["drip", "drip headers"])
def test_a_byte_now_and_then_does_not_extend_the_deadline(fault: str) -> None:
    with serving(binary=False) as server:
        f = hurried(respond(server, timeout=20.0).bind(IMAGE)[0], timeout=10.0, deadline=1.0)
        server.faults = [fault]
        began = time.monotonic()
        with pytest.raises(ConnectionError, match=r"no answer from .*/infer within 1 s, in 1 attempts"):
            f(IMAGE[None])
        assert 0.9 < time.monotonic() - began < 8.0  # the drip takes longer than that


def test_deadline_covers_retries_and_pauses(server: Server) -> None:
    f = hurried(respond(server, timeout=20.0, retries=50, backoff=0.2).bind(IMAGE)[0], timeout=0.3, deadline=0.8)
    server.faults = [5.0] * 50
    began = time.monotonic()
    with pytest.raises(ConnectionError, match=r"within 0.8 s, in \d attempts; the last one: ReadTimeoutError"):
        f(IMAGE[None])
    assert time.monotonic() - began < 4.5  # one answer alone takes 5 s, the pause 30
    server.faults = [(429, 30)]  # a pause that does not fit is not begun
    began = time.monotonic()
    with pytest.raises(ConnectionError, match=r"within 0.8 s, in 1 attempts; the last one: status 429"):
        f(IMAGE[None])
    assert time.monotonic() - began < 4.5  # one answer alone takes 5 s, the pause 30


def test_retry_after_is_obeyed(server: Server) -> None:
    f, _ = respond(server).bind(IMAGE)
    server.faults = [(429, 1), None]
    f(IMAGE[None])
    assert np.diff(server.times)[-1] >= 1.0
    assert f.repeated == 1


def test_half_an_answer_is_asked_for_again() -> None:
    with serving(binary=False) as server:
        f, value = respond(server).bind(IMAGE)
        server.faults = ["half a body", None]
        assert f(IMAGE[None]) == [value]
        assert f.repeated == 1


# ---------------------------------------------------------------- several requests under way


@pytest.mark.parametrize("batch", [-1, 3])
def test_requests_run_side_by_side_and_their_answers_stay_in_order(batch: int) -> None:
    with serving(pause=0.05, batch=batch) as server:
        f = respond(server, in_flight=4, batch_size=3)
        sample = run(f, 61)
    assert server.most_under_way == 4
    assert max(server.sizes) == 3
    assert sample.response["in_flight"] == 4
    local = run(ls.onnx_response(digits_model_path(), batch_size=3), 61)
    np.testing.assert_allclose(sample.responses, local.responses, rtol=1e-5, atol=1e-6)  # as above


def test_answers_that_overtake_each_other_stay_in_order(server: Server) -> None:
    images = np.random.default_rng(0).random((8, 1, 8, 8)).astype(np.float32)
    f, _ = respond(server, in_flight=8, batch_size=1).bind(IMAGE)
    expected = f.with_batch_size(8)(images)
    order = {float(image.sum()): k for k, image in enumerate(images)}
    server.faults = lambda pictures: 0.05 * (8 - order[float(pictures[0].sum())])  # the first is answered last
    assert np.array_equal(f(images), expected)
    assert server.most_under_way == 8


def test_no_more_are_under_way_than_asked_for() -> None:
    with serving(pause=0.02) as server:
        f, _ = respond(server, in_flight=2, batch_size=2).bind(IMAGE)
        f(np.repeat(IMAGE[None], 16, axis=0).astype(np.float32))  # more than the evaluation loop hands over at a time
        assert server.most_under_way == 2
        assert server.sizes == [1, *[2] * 8]


def test_rate_holds_for_all_of_them_together(server: Server) -> None:
    run(respond(server, rate=50.0, batch_size=4, in_flight=4))
    gaps = np.diff(server.times)
    assert len(gaps) == 10
    assert np.sum(gaps) >= (len(gaps) - 1) * 0.02  # as above


def test_what_the_others_were_answered_is_kept(server: Server) -> None:
    f = respond(server, in_flight=4, batch_size=2, retries=0)
    lock, left = threading.Lock(), [7]

    def fails_once(_: np.ndarray) -> Any:
        with lock:
            left[0] -= 1
            return 0.2 if left[0] else 404  # the others of its four are still being answered then

    server.faults = fails_once
    with pytest.raises(QueryError, match=r"RuntimeError: .* answered 404") as caught:
        run(f)
    kept = caught.value.sample
    # f(x0), four requests, and of the next four those that had been begun beside the one that failed
    assert kept.ledger.perturbed == 2 * (sum(server.sizes) - 1 - 2) // 2
    server.faults = []
    before = sum(server.sizes)
    done = run(f, resume=kept, rng=None)
    assert sum(server.sizes) - before == 40 - kept.ledger.perturbed
    np.testing.assert_allclose(done.responses, LOCAL.responses, rtol=1e-5, atol=1e-6)  # as above


def test_direct_call_says_what_came(server: Server) -> None:
    f, value = respond(server, in_flight=2, batch_size=1).bind(IMAGE)
    marked = np.stack([IMAGE, IMAGE[:, ::-1]])
    server.faults = lambda pictures: 0.1 if np.array_equal(pictures[0], IMAGE.astype(np.float32)) else 404
    with pytest.raises(PartialAnswerError, match="answered 404") as caught:
        f(marked)
    assert caught.value.scores[0] == value
    assert np.isnan(caught.value.scores[1])
    with pytest.raises(RuntimeError, match="answered 404"):
        f.class_outputs(marked)


def test_batches_that_are_too_large_are_halved_side_by_side() -> None:
    with serving(most=5) as server:
        f = respond(server, batch_size=16, in_flight=2)
        with pytest.warns(LegstatWarning, match="going on with"):
            sample = run(f)
        assert f.batch_size == 32  # the response that was handed in is as it was: the settled copy has learned
    np.testing.assert_allclose(sample.responses, LOCAL.responses, rtol=1e-5, atol=1e-6)  # as above
    assert max(server.sizes) == 4
    assert sum(server.sizes) == 41


def test_interruption_does_not_wait_for_the_server(server: Server) -> None:
    f = respond(server, in_flight=3, batch_size=2, timeout=20.0)
    server.faults = [None, *[8.0] * 30]
    threading.Timer(0.7, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT]).start()
    began = time.monotonic()
    with pytest.raises(QueryInterrupted) as caught:
        run(f)
    assert time.monotonic() - began < 5.0
    assert caught.value.sample.ledger.spent == 1


# ---------------------------------------------------------------- other inputs


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("batch", [-1, 3])
def test_other_inputs_are_fed_constants(binary: bool, batch: int) -> None:
    shift = np.arange(10.0)[None] / 8.0
    with serving(binary=binary, batch=batch, shifted=True) as server:
        given = shift if batch < 0 else np.repeat(shift, batch, axis=0)
        f, _ = respond(server, constants={"shift": given}, target=3, score="logit").bind(IMAGE)
        plain, _ = ls.onnx_response(digits_model_path(), target=3, score="logit").bind(IMAGE)
        images = np.random.default_rng(0).random((7, 1, 8, 8)).astype(np.float32)
        np.testing.assert_allclose(f(images), plain(images) + shift[0, 3], rtol=1e-5, atol=1e-5)  # float32 logits
        about = f.describe()["constants"]["shift"]
        assert about["dtype"] == "float32"
        assert np.array_equal(about["values"], given)
        other = respond(server, constants={"shift": given + 1.0}, target=3, score="logit")
        assert other.fingerprint != f.fingerprint
        with pytest.raises(ValueError, match=r"other inputs \['shift'\].* Pass constants=\{'shift': array\}"):
            respond(server)
        with pytest.raises(ValueError, match=r"`constants` must be one of the graph's inputs .*Got 'shfit'"):
            respond(server, constants={"shfit": shift})
        with pytest.raises(ValueError, match=r"`constants` must be of the shape of shift float32"):
            respond(server, constants={"shift": shift[0]})


# ---------------------------------------------------------------- arguments, secrets, records


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"url": "ftp://x"}, "`url`"),
        ({"url": "http://me:secret@localhost"}, "`url` must be without one"),
        ({"batch_size": 0}, "`batch_size`"),
        ({"input": "image"}, r"`input` must be one of the graph's inputs \['input'\]"),
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


@pytest.mark.parametrize(
    "wrong",
    [
        {"timeout": 0.0},
        {"timeout": float("nan")},
        {"retries": -1},
        {"backoff": -1.0},
        {"rate": 0.0},
        {"deadline": 0.0},
        {"in_flight": 0},
    ],
)
def test_bad_transport_is_named(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(ValueError, match=rf"legstat\.Transport: `{name}` must be"):
        ls.Transport(**wrong)


def test_transport_is_a_value_that_hides_its_headers() -> None:
    given = {"Authorization": "Bearer secret"}
    one = ls.Transport(headers=given)
    given["Authorization"] = "another"
    assert one.headers == {"Authorization": "Bearer secret"}
    assert "secret" not in repr(one)
    assert one == pickle.loads(pickle.dumps(one))
    assert len({one, ls.Transport(headers={"Authorization": "Bearer secret"})}) == 1


def test_unknown_model(server: Server) -> None:
    with pytest.raises(RuntimeError, match=r"/v2/models/a%2Fb answered 404 Not Found: unknown model"):
        ls.http_response(server.url, "a/b")


def test_headers_are_sent_and_kept_nowhere(server: Server) -> None:
    f, _ = respond(server, headers={"Authorization": "Bearer secret"}).bind(IMAGE)
    assert all(one["Authorization"] == "Bearer secret" for one in server.headers)
    server.faults = [404]
    with pytest.raises(RuntimeError) as caught:
        f(IMAGE[None])
    for text in (repr(f), json.dumps(f.describe()), str(caught.value)):
        assert "secret" not in text
    again = pickle.loads(pickle.dumps(f))
    assert again(IMAGE[None]) == f(IMAGE[None])


def test_description_says_what_cannot_be_seen(server: Server) -> None:
    f, _ = respond(server, version="3").bind(IMAGE)
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
