"""Bound buffers against plain runs, bit for bit, on the CPU: the same code writes to and reads from a GPU's memory."""

from __future__ import annotations

import json
import pickle
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import legstat as ls
from legstat._core.errors import LegstatWarning
from legstat.designs.grid import Grid
from legstat.responses.onnx import binding as module
from legstat.responses.onnx.binding import Binding, load_runtime
from legstat.responses.onnx.opening import onnx_response
from legstat.responses.onnx.response import OnnxResponse
from legstat.responses.onnx.runner import is_out_of_memory
from tests.helpers_onnx import linear_model

SHAPE = (3, 4, 8)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return linear_model(tmp_path / "m.onnx", shape=SHAPE).path


@pytest.fixture
def images(rng: np.random.Generator) -> np.ndarray:
    return rng.random((40, *SHAPE)).astype(np.float32)


def pair(path: Path, **more: Any) -> tuple[OnnxResponse, OnnxResponse]:
    bound, plain = (
        onnx_response(path, target=1, session=ls.SessionSettings(io_binding=on), **more) for on in (True, False)
    )
    assert bound.describe()["io_binding"]
    assert not plain.describe()["io_binding"]
    return bound, plain


@pytest.mark.parametrize("compose", ["outside", "inside"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "uint8"])
def test_every_batch_size_and_the_last_partial_batch(
    tmp_path: Path, dtype: str, compose: Any, rng: np.random.Generator
) -> None:
    path = linear_model(tmp_path / "m.onnx", shape=SHAPE, dtype=dtype).path
    bound, plain = pair(path, compose=compose)
    recipe = ls.Additive().recipe(rng.random(SHAPE), Grid((2, 4)), bound.dtype)
    z = 0.2 * rng.standard_normal((40, 1, 2, 4))
    for size in (1, 2, 7, 16, 39, 40, 64, 7):
        ours, theirs = (f.with_batch_size(size).scorer(recipe)(z, None) for f in (bound, plain))
        np.testing.assert_array_equal(ours, theirs)
    assert len(np.unique(ours)) == 40


def test_a_smaller_batch_has_nothing_of_the_larger_one(path: Path, images: np.ndarray) -> None:
    bound, plain = pair(path, batch_size=64)
    for n in (40, 3, 40, 1, 3, 17, 40):
        chosen = images[-n:]  # other rows than those that the buffers begin with
        outputs = bound.class_outputs(chosen)
        assert outputs.shape == (n, 5)
        np.testing.assert_array_equal(outputs, plain.class_outputs(chosen))


def test_what_was_fetched_stays_as_it_is(path: Path, images: np.ndarray) -> None:
    # on the CPU ONNX Runtime hands out views of the bound buffer, which the next run writes to
    bound, _ = pair(path, batch_size=4)
    first = bound.class_outputs(images[:4])
    kept = first.copy()
    bound.class_outputs(images[4:8])
    np.testing.assert_array_equal(first, kept)


def test_buffers_are_made_once_for_a_shape(path: Path, images: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    bound, _ = pair(path, batch_size=16, compose="inside")
    recipe = ls.Additive().recipe(images[0].astype(float), Grid((2, 4)), bound.dtype)
    z = 0.2 * np.random.default_rng(1).standard_normal((40, 1, 2, 4))
    score = bound.scorer(recipe)
    first = score(z, None)
    made: list[str] = []
    values = load_runtime().OrtValue

    class Counting:
        @staticmethod
        def ortvalue_from_shape_and_type(*arguments: Any) -> Any:
            made.append("batch")
            return values.ortvalue_from_shape_and_type(*arguments)

        @staticmethod
        def ortvalue_from_numpy(*arguments: Any) -> Any:
            made.append("constant")
            return values.ortvalue_from_numpy(*arguments)

    class Runtime:
        OrtValue = Counting

    monkeypatch.setattr(module, "load_runtime", lambda: Runtime)
    for _ in range(3):  # batches of 16, 16 and 8
        np.testing.assert_array_equal(score(z, None), first)
    assert made == []
    other = bound.scorer(ls.Additive().recipe(images[1].astype(float), Grid((2, 4)), bound.dtype))
    assert not np.array_equal(other(z, None), first)  # another picture is sent, though its arrays have the same shapes
    assert made == ["constant"]
    np.testing.assert_array_equal(score(z, None), first)


def test_few_shapes_are_kept(path: Path, images: np.ndarray) -> None:
    bound, _ = pair(path, batch_size=64)
    for n in range(1, 30):
        bound.class_outputs(images[:n])
    binding = bound._runner.session._binding
    assert binding is not None
    assert len(binding._buffers) == 4


def test_a_batch_that_does_not_fit_gives_its_buffers_back_and_nothing_paid_is_lost(
    path: Path, images: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound, plain = pair(path, batch_size=8)
    bound.class_outputs(images[:8])
    binding = bound._runner.session._binding
    assert binding is not None
    session, tries, kept = binding._session, [], []

    class Full:
        def __getattr__(self, name: str) -> Any:
            return getattr(session, name)

        def run_with_iobinding(self, iobinding: Any) -> None:
            tries.append(bound.batch_size)
            if len(tries) == 2:
                raise RuntimeError("BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer")
            session.run_with_iobinding(iobinding)

    monkeypatch.setattr(binding, "_session", Full())
    release = Binding.release
    monkeypatch.setattr(Binding, "release", lambda self: release(self) or kept.append(len(self._buffers)))
    with pytest.warns(LegstatWarning, match="a batch of 8 did not fit the memory .* going on with 4"):
        outputs = bound.class_outputs(images[:24])
    assert tries == [8, 8, 4, 4, 4, 4]  # the first 8 are not run again
    assert kept == [0]
    np.testing.assert_array_equal(outputs, plain.class_outputs(images[:24]))


def test_threads_take_turns(path: Path, images: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    bound, plain = pair(path, batch_size=4)
    expected, found = plain.class_outputs(images), {}
    bound.class_outputs(images)
    binding = bound._runner.session._binding
    assert binding is not None
    session = binding._session

    class Slow:
        def __getattr__(self, name: str) -> Any:
            return getattr(session, name)

        def run_with_iobinding(self, iobinding: Any) -> None:
            time.sleep(1e-3)  # between writing the batch and reading the outputs: another thread would write here
            session.run_with_iobinding(iobinding)

    monkeypatch.setattr(binding, "_session", Slow())

    def work(k: int) -> None:
        found[k] = [bound.class_outputs(images[k::4]) for _ in range(5)]

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [0, 1, 2, 3]
    for k, runs in found.items():
        for outputs in runs:
            np.testing.assert_array_equal(outputs, expected[k::4])


def test_constants_that_follow_the_batch_are_sent_with_it(tmp_path: Path, images: np.ndarray) -> None:
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"], axis=1),
        helper.make_node("Mul", ["flat", "by"], ["scaled"]),
        helper.make_node("Add", ["scaled", "more"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *SHAPE]),
            helper.make_tensor_value_info("by", TensorProto.FLOAT, ["N", 1]),
            helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]),
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 96])],
    )
    from tests.helpers_onnx import save

    path = save(graph, tmp_path / "m.onnx")
    constants = {"by": np.array([[2.0]], dtype=np.float32), "more": np.array([0.5], dtype=np.float32)}
    bound, plain = pair(path, constants=constants, batch_size=16)
    np.testing.assert_array_equal(bound.class_outputs(images), 2 * images.reshape(40, -1) + np.float32(0.5))
    np.testing.assert_array_equal(bound.class_outputs(images), plain.class_outputs(images))


def test_it_goes_to_another_process(path: Path, images: np.ndarray) -> None:
    bound, plain = pair(path)
    bound(images)
    sent = pickle.loads(pickle.dumps(bound))
    assert sent._runner.session._binding is None
    np.testing.assert_array_equal(sent(images), plain(images))
    assert isinstance(sent._runner.session._binding, Binding)


def test_the_plain_way_is_the_usual_one_on_the_cpu(path: Path) -> None:
    assert not onnx_response(path).describe()["io_binding"]
    assert onnx_response(path).describe()["device_id"] is None


@pytest.mark.parametrize("bad", [-1, 1.5, True])
def test_bad_device(bad: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"`device_id` must be a whole number >= 0"):
        ls.SessionSettings(device_id=bad)


@pytest.mark.parametrize("name", ["allow_fallback", "tf32", "io_binding"])
def test_bad_switch(name: str) -> None:
    with pytest.raises(TypeError, match=rf"legstat\.SessionSettings: `{name}` must be True or False"):
        ls.SessionSettings(**{name: 1})  # type: ignore[arg-type]


def test_options_are_texts_of_names(path: Path) -> None:
    with pytest.raises(TypeError, match=r"`provider_options` must be a mapping"):
        ls.SessionSettings(provider_options="HEURISTIC")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"`session` must be a SessionSettings"):
        onnx_response(path, session={"tf32": True})  # type: ignore[arg-type]
    given = {"gpu_mem_limit": 1024}
    one = ls.SessionSettings(provider_options=given)
    given["gpu_mem_limit"] = 1
    assert one.provider_options == {"gpu_mem_limit": "1024"}
    assert one != ls.SessionSettings()
    assert len({one, ls.SessionSettings(provider_options={"gpu_mem_limit": "1024"})}) == 1


def test_a_record_brings_the_settings_back(path: Path) -> None:
    session = ls.SessionSettings(tf32=True, device_id=2, io_binding=True, provider_options={"arena": 1})
    about = json.loads(json.dumps(onnx_response(path, target=1, session=session).describe()))
    assert about["asked"]["device_id"] == 2  # flat, as records have had them from the first
    again = ls.reopen_onnx(about, path)
    assert again._runner.settings == session
    assert again.describe()["asked"] == about["asked"]
    for name in ("tf32", "device_id", "io_binding", "provider_options"):  # an older record may say less
        del about["asked"][name]
    assert ls.reopen_onnx(about, path)._runner.settings == ls.SessionSettings()


def test_options_of_the_provider_are_its_own_and_recorded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    onnxruntime = load_runtime()
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    asked: list[Any] = []
    original = onnxruntime.InferenceSession

    def fallen(source: object, options: object, providers: list[str], provider_options: list[Any]) -> object:
        asked.append(provider_options)
        return original(source, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(onnxruntime, "InferenceSession", fallen)
    own = {"cudnn_conv_algo_search": "HEURISTIC"}
    session = ls.SessionSettings(allow_fallback=True, provider_options=own, device_id=1, tf32=True)
    with pytest.warns(LegstatWarning, match="running on 'CPUExecutionProvider'"):
        f = onnx_response(path, provider="cuda", session=session)
    assert asked == [[{"device_id": "1", "use_tf32": "1", "cudnn_conv_algo_search": "HEURISTIC"}, {}]]
    assert f.describe()["asked"]["provider_options"] == {"cudnn_conv_algo_search": "HEURISTIC"}


@pytest.mark.gpu
@pytest.mark.parametrize("compose", ["outside", "inside"])
def test_on_a_cuda_device(tmp_path: Path, compose: Any, rng: np.random.Generator) -> None:
    if "CUDAExecutionProvider" not in load_runtime().get_available_providers():
        pytest.skip("needs onnxruntime-gpu and a CUDA device")
    path = linear_model(tmp_path / "m.onnx", shape=SHAPE).path
    cuda = onnx_response(path, target=1, provider="cuda", compose=compose)
    assert cuda.describe()["io_binding"]
    recipe = ls.Additive().recipe(rng.random(SHAPE), Grid((2, 4)), cuda.dtype)
    z = 0.2 * rng.standard_normal((40, 1, 2, 4))
    expected = onnx_response(path, target=1).scorer(recipe)(z, None)
    for size in (1, 7, 16, 40):
        found = cuda.with_batch_size(size).scorer(recipe)(z, None)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)  # float32 sums of 96 in another order


@pytest.mark.parametrize(
    "text",
    [
        "Error in execution: Non-zero status code returned while running Add node. Status Message: bfc_arena.cc:360 "
        "AllocateRawInternal(size_t, bool, Stream*) Available memory of 253476352 is smaller than requested bytes of "
        "635830272",
        "CUDA failure 2: out of memory",
        "Failed to allocate memory for requested buffer of size 635830272",
    ],
)
def test_what_the_runtime_says_of_full_memory_is_known(text: str) -> None:
    assert is_out_of_memory(RuntimeError(text))
    assert not is_out_of_memory(RuntimeError("Non-zero status code returned while running Add node: shapes differ"))


def test_pictures_are_made_on_a_device_where_there_is_one(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    f = onnx_response(path, target=1)
    assert not f.spares_transfer
    assert f.compose == "auto"
    # the session is the CPU's; only its opening is told that its memory lies elsewhere
    monkeypatch.setattr(OnnxResponse, "spares_transfer", True)
    assert onnx_response(path, target=1).compose == "inside"
    assert onnx_response(path, target=1, compose="outside").compose == "outside"
