"""ONNX files as responses, on tiny graphs whose outputs are known exactly."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from legstat._core.errors import LegstatWarning
from legstat.responses.network.preprocessing import Preprocessing
from legstat.responses.onnx.opening import onnx_response, reopen_onnx
from legstat.responses.onnx.session import Session
from legstat.responses.onnx.settings import SessionSettings
from tests.helpers_onnx import linear_model, save, softmax

FLAT = (3, 4, 4)
# the newest standard operators that both packages know: ONNX Runtime follows onnx by a version or two
NEWEST = min(onnx.defs.onnx_opset_version(), 22 + 2 * (int(onnxruntime.__version__.split(".")[1]) >= 23))


@pytest.fixture
def images(rng: np.random.Generator) -> np.ndarray:
    return rng.random((7, *FLAT)).astype(np.float32)


def exact_log_odds(z: np.ndarray, t: int) -> np.ndarray:
    """The definition, from moderate float64 logits."""
    return z[:, t] - np.log(np.exp(np.delete(z, t, axis=1)).sum(axis=1))


# float32 networks of 48 inputs: a few ulp of sums of order 10
TOLERANCE = {"rel": 1e-5, "abs": 1e-5}


@pytest.mark.parametrize("batch_size", [1, 3, 7, 64])
@pytest.mark.parametrize("tails", [("logits",), ("logits", "probs"), ("probs", "logits"), ("probs",), ("logprobs",)])
def test_log_odds_are_those_of_the_exact_logits(
    tmp_path: Path, images: np.ndarray, tails: tuple[str, ...], batch_size: int
) -> None:
    model = linear_model(tmp_path / "m.onnx", tails=tails)
    f = onnx_response(model.path, target=2, batch_size=batch_size)
    truth = exact_log_odds(model.logits(images), 2)
    assert f(images) == pytest.approx(truth, **TOLERANCE)
    settled, value = f.bind(images[0].astype(np.float64))
    assert value == pytest.approx(truth[0], **TOLERANCE)
    assert settled.describe()["output_kind"] == "logits"
    assert settled.describe()["output_kind_source"] == "graph"
    assert settled.fingerprint == f.fingerprint


def test_where_the_softmax_is_inside_its_input_is_read_and_verified(tmp_path: Path, rng: np.random.Generator) -> None:
    model = linear_model(tmp_path / "m.onnx", tails=("probs",), scale=20.0)
    x = rng.random(FLAT)
    f, value = onnx_response(model.path).bind(x)
    z = model.logits(x[None])
    assert np.float32(softmax(z).max()) == 1.0  # what the graph declares has no log-odds left
    assert value == pytest.approx(exact_log_odds(z, int(z.argmax()))[0], rel=1e-5)
    about = f.describe()
    assert about["output"] == "z"
    assert about["output_inside_graph"]
    assert "Softmax node feeds the output 'probs'" in about["output_kind_ground"]
    assert about["logit_x0"] == pytest.approx(z.max(), rel=1e-5)
    named, _ = onnx_response(model.path, output="probs", score="probability").bind(x)
    assert named.describe()["output_kind"] == "probabilities"


def test_a_saturated_named_output_is_refused_with_the_remedy(tmp_path: Path, rng: np.random.Generator) -> None:
    model = linear_model(tmp_path / "m.onnx", tails=("probs",), scale=300.0)
    with pytest.raises(ValueError, match=r"float32 softmax is saturated.*carries logits"):
        onnx_response(model.path, output="probs").bind(rng.random(FLAT))
    onnx_response(model.path).bind(rng.random(FLAT))


def test_logit_needs_logits(tmp_path: Path, images: np.ndarray) -> None:
    model = linear_model(tmp_path / "m.onnx", tails=("probs",))
    f = onnx_response(model.path, target=1, score="logit")
    assert f(images) == pytest.approx(model.logits(images)[:, 1], **TOLERANCE)
    with pytest.raises(ValueError, match=r"`score` must be .*gives probabilities only"):
        onnx_response(model.path, target=1, score="logit", output="probs")


def test_difference_is_eq_1_and_bounded(tmp_path: Path, images: np.ndarray) -> None:
    model = linear_model(tmp_path / "m.onnx")
    f = onnx_response(model.path, target=(0, 3), score="difference", labels=list("abcde"))
    p = softmax(model.logits(images))
    assert f(images) == pytest.approx(p[:, 0] - p[:, 3], **TOLERANCE)
    assert f.bounded is True
    assert f.describe()["target_label"] == "a - d"
    settled, _ = f.bind(images[0])
    assert settled.describe()["probability_x0"] == pytest.approx([p[0, 0], p[0, 3]], rel=1e-5)


@pytest.mark.usefixtures("bare_bind")
def test_top_is_resolved_at_the_anchor_by_one_evaluation(tmp_path: Path, images: np.ndarray) -> None:
    model = linear_model(tmp_path / "m.onnx")
    f = onnx_response(model.path, labels=list("abcde"))
    with pytest.raises(ValueError, match=r"`target` must be settled before images are scored. Got 'top'.*bind"):
        f(images)
    calls = count_runs(f)
    settled, value = f.bind(images[0])
    assert calls == [1]
    top = int(model.logits(images[:1]).argmax())
    assert settled.target == top
    assert f.target is None
    about = settled.describe()
    assert about["target_label"] == "abcde"[top]
    assert about["target_given"] == "top"
    assert about["top_x0"][0][:2] == [top, "abcde"[top]]
    assert settled(images[:1])[0] == value
    json.dumps(about, allow_nan=False)


def count_runs(f: object) -> list[int]:
    """Batch sizes of all calls of the session from now on."""
    calls: list[int] = []
    session = f._runner.session
    original = session.run

    def run(names: list[str], feed: dict[str, np.ndarray], *constant: object) -> list[np.ndarray]:
        calls.append(len(next(iter(feed.values()))))
        return original(names, feed, *constant)

    session.run = run
    return calls


def test_a_resumed_response_needs_no_evaluation(tmp_path: Path, images: np.ndarray) -> None:
    model = linear_model(tmp_path / "m.onnx", tails=("probs",))
    settled, _ = onnx_response(model.path).bind(images[0])
    about = json.loads(json.dumps(settled.describe()))
    again = onnx_response(model.path)
    calls = count_runs(again)
    resumed = again.resolved(about)
    assert calls == []
    assert resumed.fingerprint == settled.fingerprint
    assert resumed.describe() == settled.describe()
    assert np.array_equal(resumed(images), settled(images))
    with pytest.raises(ValueError, match=r"They differ in: preprocessing"):
        onnx_response(model.path, preprocessing="tf").resolved(about)
    other = linear_model(tmp_path / "other.onnx", tails=("probs",), seed=1)
    with pytest.raises(ValueError, match=r"They differ in: model_sha256"):
        onnx_response(other.path).resolved(about)


def test_fingerprints_differ_where_scores_do(tmp_path: Path) -> None:
    model = linear_model(tmp_path / "m.onnx", tails=("logits", "probs"))
    variants = [
        {},
        {"target": 1},
        {"score": "probability"},
        {"preprocessing": "tf"},
        {"output": "probs"},
        {"target": (0, 1), "score": "difference"},
    ]
    prints = {onnx_response(model.path, **{"target": 0} | kw).fingerprint for kw in variants}
    assert len(prints) == len(variants)
    base = onnx_response(model.path, target=0)
    assert base.fingerprint == onnx_response(model.path, target=0, batch_size=3, threads=1).fingerprint


def test_rescored_shares_the_session(tmp_path: Path, images: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    model = linear_model(tmp_path / "m.onnx")
    f, _ = onnx_response(model.path).bind(images[0])
    monkeypatch.setattr(onnxruntime, "InferenceSession", None)
    p = f.rescored("probability")
    assert p.target == f.target
    assert p(images) == pytest.approx(softmax(model.logits(images))[:, f.target], **TOLERANCE)
    assert f.class_probabilities(images) == pytest.approx(softmax(model.logits(images)), **TOLERANCE)
    assert f.rescored("difference", (0, 1)).bounded


# -- what peers got wrong --------------------------------------------------------------------------------------------


def test_one_session_serves_the_response_for_its_life(
    tmp_path: Path, images: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    original = onnxruntime.InferenceSession
    monkeypatch.setattr(
        onnxruntime, "InferenceSession", lambda *a, **k: opened.append(k["providers"]) or original(*a, **k)
    )
    f, _ = onnx_response(linear_model(tmp_path / "m.onnx").path).bind(images[0])
    for _ in range(5):
        f(images)
    assert opened == [["CPUExecutionProvider"]]  # and providers are always named


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("batch", [1, 2, 3])
@pytest.mark.parametrize("freed", [True, False])
def test_every_sample_of_a_batch_is_processed(
    tmp_path: Path, images: np.ndarray, n: int, batch: int, freed: bool
) -> None:
    model = linear_model(tmp_path / "m.onnx", batch=batch, reshape=True)
    f = onnx_response(model.path, target=0, free_batch_axis=freed)
    assert f.describe()["batch"].startswith(f"fixed at {batch}, {'freed' if freed else 'run in pieces'}")
    assert f(images[:n]) == pytest.approx(exact_log_odds(model.logits(images[:n]), 0), **TOLERANCE)


def test_a_graph_that_answers_for_the_first_sample_only_is_an_error(tmp_path: Path, images: np.ndarray) -> None:
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("Gather", ["flat", "first"], ["logits"], axis=0),
    ]
    graph = helper.make_graph(
        nodes,
        "first",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", *FLAT])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["M", 48])],
        [numpy_helper.from_array(np.array([0]), "first")],
    )
    f = onnx_response(save(graph, tmp_path / "m.onnx"), target=0, output_kind="logits")
    f(images[:1])
    with pytest.raises(ValueError, match=r"`output` must be of 7 rows.*Got \(1, 48\).*batch_size=1"):
        f(images)


def test_a_fixed_batch_that_cannot_be_freed_is_run_in_pieces(tmp_path: Path, images: np.ndarray) -> None:
    # The second row of the batch is added to the first one's logits: rows are not independent, so freeing changes them.
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("ReduceMean", ["flat"], ["mean"], axes=[0], keepdims=1),
        helper.make_node("Add", ["flat", "mean"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "mixed",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, *FLAT])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 48])],
    )
    f = onnx_response(save(graph, tmp_path / "m.onnx"), target=0, output_kind="logits")
    about = f.describe()
    assert about["batch"] == "fixed at 1, run in pieces"
    assert not about["checks"]["free_batch"]["works"]
    assert f(images) == pytest.approx(exact_log_odds(2.0 * images.reshape(7, -1).astype(np.float64), 0), **TOLERANCE)


def test_a_freed_batch_that_differs_at_x0_only_is_found_there(tmp_path: Path, images: np.ndarray) -> None:
    # In a batch whose mean is above 0.9 the logits are other ones: no random picture is that bright.
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("ReduceMean", ["flat"], ["mean"], keepdims=1),
        helper.make_node("Sub", ["mean", "limit"], ["above"]),
        helper.make_node("Relu", ["above"], ["excess"]),
        helper.make_node("Mul", ["flat", "excess"], ["more"]),
        helper.make_node("Add", ["flat", "more"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "bright",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, *FLAT])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 48])],
        [numpy_helper.from_array(np.array([[0.9]], dtype=np.float32), "limit")],
    )
    path = save(graph, tmp_path / "m.onnx")
    f = onnx_response(path, target=0, output_kind="logits")
    assert f.describe()["checks"]["free_batch"]["works"]
    bright = np.linspace(0.97, 1.0, 48).reshape(FLAT)
    with pytest.warns(LegstatWarning, match=r"answers otherwise at x0 .* it is run as it is, 1 at a time"):
        settled, _ = f.bind(bright)
    about = settled.describe()
    assert about["batch"] == "fixed at 1, run in pieces"
    assert not about["checks"]["free_batch"]["works"]
    x = np.concatenate([images, np.repeat(bright[None], 3, axis=0)]).astype(np.float32)
    flat = x.reshape(len(x), -1).astype(np.float64)
    truth = flat * (1.0 + np.maximum(flat.mean(axis=1, keepdims=True) - 0.9, 0.0))
    assert settled(x) == pytest.approx(exact_log_odds(truth, 0), **TOLERANCE)
    # and an ordinary picture leaves the copy in place
    ordinary, _ = onnx_response(path, target=0, output_kind="logits").bind(images[0])
    assert ordinary.describe()["checks"]["free_batch"]["relative_difference_x0"] <= 1e-6


@pytest.fixture
def two_inputs(tmp_path: Path) -> Path:
    """Logits = image + shift, the shift being a second input of the picture's batch size."""
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("Add", ["flat", "shift"], ["logits"]),
    ]
    inputs = [
        helper.make_tensor_value_info("shift", TensorProto.FLOAT, ["N", 48]),
        helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", *FLAT]),
    ]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 48])]
    return save(helper.make_graph(nodes, "two", inputs, outputs), tmp_path / "two.onnx")


def test_all_inputs_are_fed_not_only_the_first(two_inputs: Path, images: np.ndarray, rng: np.random.Generator) -> None:
    shift = rng.normal(size=(1, 48)).astype(np.float32)
    f = onnx_response(two_inputs, target=5, output_kind="logits", constants={"shift": shift})
    assert f.describe()["input"] == "image"
    truth = images.reshape(7, -1).astype(np.float64) + shift
    assert f(images) == pytest.approx(exact_log_odds(truth, 5), **TOLERANCE)
    with pytest.raises(ValueError, match=r"`constants` must be values for the graph's other inputs \['shift'\]"):
        onnx_response(two_inputs)
    for wrong, shown in ((np.nan, "nan"), (-1e39, r"-1e\+39")):  # of which float32 makes -inf
        with pytest.raises(ValueError, match=rf"`constants` must be numbers that float32 can hold. Got .{shown} for"):
            onnx_response(
                two_inputs, constants={"shift": np.where(np.arange(shift.size) == 1, wrong, 0.0).reshape(shift.shape)}
            )
    # an infinity that was given is meant: masks of attention hold them
    onnx_response(two_inputs, target=5, output_kind="logits", constants={"shift": np.full(shift.shape, -np.inf)})
    with pytest.raises(ValueError, match=r"`constants` must be one of the graph's inputs .*Got 'shfit'"):
        onnx_response(two_inputs, constants={"shfit": shift})
    other = onnx_response(two_inputs, target=5, constants={"shift": shift + 1})
    assert other.fingerprint != f.fingerprint


def test_a_provider_that_is_not_there_is_an_error_not_a_fall_back(tmp_path: Path) -> None:
    model = linear_model(tmp_path / "m.onnx")
    with pytest.raises(ValueError, match=r"`provider` must be one of those that the installed ONNX Runtime has"):
        onnx_response(model.path, provider="migraphx")
    with pytest.raises(ValueError, match=r"`provider` must be 'auto' or one of .*Got 'gpu'"):
        onnx_response(model.path, provider="gpu")
    with pytest.warns(LegstatWarning, match=r"'MIGraphXExecutionProvider' is not to be had; running on 'CPU"):
        f = onnx_response(model.path, provider=["migraphx", "cpu"], session=SessionSettings(allow_fallback=True))
    assert f.describe()["provider"] == "CPUExecutionProvider"
    assert onnx_response(model.path, provider="auto").describe()["provider"] in onnxruntime.get_available_providers()


def test_a_provider_that_does_not_come_up_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What a CUDA build does without its driver: the provider is listed, the session runs on the CPU without a word.
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    original = onnxruntime.InferenceSession
    asked = []

    def fallen(source: object, options: object, providers: list[str], provider_options: list[dict[str, str]]) -> object:
        asked.append((providers, provider_options))
        return original(source, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(onnxruntime, "InferenceSession", fallen)
    model = linear_model(tmp_path / "m.onnx")
    with pytest.raises(RuntimeError, match=r"'CUDAExecutionProvider' was asked for and did not come up"):
        onnx_response(model.path, provider="cuda")
    assert asked == [(["CUDAExecutionProvider", "CPUExecutionProvider"], [{"device_id": "0", "use_tf32": "0"}, {}])]
    with pytest.warns(LegstatWarning, match="running on 'CPUExecutionProvider'"):
        onnx_response(model.path, provider="cuda", session=SessionSettings(allow_fallback=True))


# -- inputs of all kinds ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "tolerance"), [("float16", 2e-2), ("float32", 1e-5), ("float64", 1e-12)])
@pytest.mark.parametrize("channels_last", [False, True])
def test_types_and_layouts(
    tmp_path: Path, images: np.ndarray, dtype: str, tolerance: float, channels_last: bool
) -> None:
    model = linear_model(tmp_path / "m.onnx", dtype=dtype, channels_last=channels_last, trailing=2)
    f = onnx_response(model.path, target=1)
    assert f.input_shape == FLAT
    x = images.astype(f.dtype)
    seen = x.transpose(0, 2, 3, 1) if channels_last else x
    # the tolerance is the type's rounding of inputs and weights in sums of order 10
    assert f(x) == pytest.approx(exact_log_odds(model.logits(seen), 1), rel=tolerance, abs=tolerance * 10)
    assert f.describe()["preprocessing"]["layout"] == ("NHWC" if channels_last else "NCHW")
    assert f.describe()["output_widened"] == (dtype == "float16")


def test_uint8_inputs_get_levels(tmp_path: Path, images: np.ndarray) -> None:
    model = linear_model(tmp_path / "m.onnx", dtype="uint8", scale=0.01)
    f = onnx_response(model.path, target=1)
    about = f.describe()
    assert about["preprocessing"]["scale"] == 255.0
    assert not about["preprocessing_given"]
    levels = np.rint(images * np.float32(255))
    assert f(images) == pytest.approx(exact_log_odds(model.logits(levels), 1), rel=1e-4)


@pytest.mark.parametrize(("opset", "ir_version"), [(7, 3), (9, 4), (11, 6), (13, 8), (17, 8), (NEWEST, 10)])
@pytest.mark.parametrize("tails", [("logits",), ("probs",)])
def test_opsets(tmp_path: Path, images: np.ndarray, opset: int, ir_version: int, tails: tuple[str, ...]) -> None:
    model = linear_model(tmp_path / "m.onnx", tails=tails, opset=opset, batch=1, reshape=True)
    proto = onnx.load(model.path)
    proto.ir_version = ir_version
    if ir_version < 4:  # there initialisers had to be inputs as well
        for tensor in proto.graph.initializer:
            proto.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
    onnx.save(proto, model.path)
    f = onnx_response(model.path, target=0)
    assert f.describe()["checks"]["free_batch"]["works"]
    assert f(images) == pytest.approx(exact_log_odds(model.logits(images), 0), **TOLERANCE)


def test_single_sigmoid_output_is_its_own_two_class_problem(tmp_path: Path, images: np.ndarray) -> None:
    model = linear_model(tmp_path / "m.onnx", classes=1, tails=("sigmoid",))
    f, value = onnx_response(model.path).bind(images[0])
    z = model.logits(images)[:, 0]
    assert f.target == 0
    assert f(images) == pytest.approx(z, **TOLERANCE)
    assert value == pytest.approx(z[0], **TOLERANCE)
    assert f.describe()["output_kind"] == "sigmoid_logits"
    assert f.rescored("probability")(images) == pytest.approx(1 / (1 + np.exp(-z)), **TOLERANCE)
    plain = linear_model(tmp_path / "p.onnx", classes=1)
    assert onnx_response(plain.path, target=0)(images) == pytest.approx(plain.logits(images)[:, 0], **TOLERANCE)
    with pytest.raises(ValueError, match=r"index in 0..0. Got 1. A single-output network has one class"):
        onnx_response(plain.path, target=1)


def test_softmax_twice_is_said_and_undone(tmp_path: Path, images: np.ndarray) -> None:
    model = linear_model(tmp_path / "m.onnx", tails=("twice",))
    with pytest.warns(LegstatWarning, match="the softmax is applied 2 times"):
        f = onnx_response(model.path, target=0)
    f, _ = f.bind(images[0])
    assert f(images) == pytest.approx(exact_log_odds(model.logits(images), 0), **TOLERANCE)
    assert f.describe()["softmaxes"] == 2
    with pytest.warns(LegstatWarning, match="2 times"):
        named = onnx_response(model.path, target=0, output="twice")
    with pytest.warns(LegstatWarning, match="softmax may have been applied twice"):
        named, _ = named.bind(images[0])
    assert named(images) == pytest.approx(exact_log_odds(softmax(model.logits(images)), 0), **TOLERANCE)


def test_graph_and_values_that_disagree_are_an_error(tmp_path: Path, images: np.ndarray) -> None:
    # A softmax over the batch axis, as a wrong export has it: rows do not sum to 1.
    nodes = [
        helper.make_node("Flatten", ["image"], ["z"]),
        helper.make_node("Softmax", ["z"], ["probs"], axis=0),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "axis",
        [value("image", TensorProto.FLOAT, ["N", *FLAT])],
        [value("probs", TensorProto.FLOAT, ["N", 48])],
    )
    path = save(graph, tmp_path / "m.onnx")
    with pytest.raises(ValueError, match=r"`output` must be the softmax of 'z'.*another axis"):
        onnx_response(path).bind(images[0])
    with pytest.raises(ValueError, match=r"They disagree: a Softmax node feeds .*sum to 48"):
        onnx_response(path, output="probs").bind(images[0])
    # the other way round: probabilities by arithmetic, and a layer behind them
    nodes = [
        helper.make_node("Flatten", ["image"], ["z"]),
        helper.make_node("ReduceSum", ["z", "axes"], ["total"], keepdims=1),
        helper.make_node("Reciprocal", ["total"], ["inverse"]),
        helper.make_node("Mul", ["z", "inverse"], ["parts"]),
        helper.make_node("MatMul", ["parts", "same"], ["share"]),
    ]
    graph = helper.make_graph(
        nodes,
        "share",
        [value("image", TensorProto.FLOAT, ["N", *FLAT])],
        [value("share", TensorProto.FLOAT, ["N", 48])],
        [
            numpy_helper.from_array(np.array([1]), "axes"),
            numpy_helper.from_array(np.eye(48, dtype=np.float32), "same"),
        ],
    )
    path = save(graph, tmp_path / "s.onnx")
    with pytest.raises(ValueError, match=r"They disagree: MatMul makes the output 'share'.*the right output_kind="):
        onnx_response(path).bind(images[0])
    f, _ = onnx_response(path, output_kind="probabilities", target=3, score="probability").bind(images[0])
    flat = images.reshape(7, -1).astype(np.float64)
    assert f(images) == pytest.approx(flat[:, 3] / flat.sum(1), rel=1e-5)
    assert f.describe()["output_kind_source"] == "stated"


def test_several_outputs_need_a_name(tmp_path: Path, images: np.ndarray) -> None:
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["image"], ["a"]), helper.make_node("Neg", ["a"], ["b"])],
        "several",
        [value("image", TensorProto.FLOAT, ["N", *FLAT])],
        [value("a", TensorProto.FLOAT, ["N", 48]), value("b", TensorProto.FLOAT, ["N", 48])],
    )
    path = save(graph, tmp_path / "m.onnx")
    with pytest.raises(ValueError, match=r"several unrelated outputs.*a float32 \[N, 48\]; b float32 \[N, 48\]"):
        onnx_response(path)
    with pytest.raises(ValueError, match=r"`output` must be one of \['a', 'b'\]"):
        onnx_response(path, output="c")
    f = onnx_response(path, output="b", output_kind="logits", target=0)
    assert f(images) == pytest.approx(exact_log_odds(-images.reshape(7, -1).astype(np.float64), 0), **TOLERANCE)


# -- pickling, threads, memory ---------------------------------------------------------------------------------------


def test_a_response_travels_to_another_process_by_reopening_its_session(tmp_path: Path, images: np.ndarray) -> None:
    for batch in ("N", 1):
        model = linear_model(tmp_path / f"{batch}.onnx", tails=("probs",), batch=batch)
        f, _ = onnx_response(model.path).bind(images[0])
        copy = pickle.loads(pickle.dumps(f))
        assert np.array_equal(copy(images), f(images))
        assert copy.fingerprint == f.fingerprint
    sent = pickle.dumps(f)
    linear_model(model.path, seed=5)
    with pytest.raises(RuntimeError, match="has changed since the response was made"):
        pickle.loads(sent)


@pytest.mark.parametrize("message", ["Failed to allocate memory for requested buffer of size 1", "CUDA out of memory"])
def test_a_batch_that_does_not_fit_is_halved_and_nothing_is_lost(
    tmp_path: Path, images: np.ndarray, monkeypatch: pytest.MonkeyPatch, message: str
) -> None:
    model = linear_model(tmp_path / "m.onnx")
    f = onnx_response(model.path, target=0, batch_size=7)
    original = Session.run
    sizes = []

    def run(self: Session, names: list[str], feed: dict[str, np.ndarray], *constant: object) -> list[np.ndarray]:
        sizes.append(len(feed["image"]))
        if sizes[-1] > 3:
            raise RuntimeError(message)
        return original(self, names, feed, *constant)

    monkeypatch.setattr(Session, "run", run)
    with pytest.warns(LegstatWarning, match="a batch of 7 did not fit the memory .* going on with 3"):
        scores = f(images)
    assert scores == pytest.approx(exact_log_odds(model.logits(images), 0), **TOLERANCE)
    assert f.batch_size == 3
    assert sizes == [7, 3, 3, 1]
    f(images)
    assert sizes[4:] == [3, 3, 1]  # remembered
    monkeypatch.setattr(Session, "run", lambda *_: (_ for _ in ()).throw(RuntimeError("session is gone")))
    with pytest.raises(RuntimeError, match="session is gone"):
        f(images)


def test_bits_do_not_depend_on_batch_size_or_threads(tmp_path: Path, images: np.ndarray) -> None:
    model = linear_model(tmp_path / "m.onnx")
    scores = [
        onnx_response(model.path, target=0, batch_size=size, threads=threads)(images)
        for size, threads in ((1, 1), (3, 2), (7, 1))
    ]
    assert all(np.array_equal(scores[0], other) for other in scores[1:])


# -- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": 5}, r"`target` must be a class index in 0..4. Got 5"),
        ({"target": -1}, r"`target` must be a class index in 0..4. Got -1"),
        ({"target": "betaa", "labels": ["alpha", "beta", "gamma", "delta", "eps"]}, r"Did you mean 'beta' \(1\)"),
        ({"target": "dog"}, r"where no labels are given. Got 'dog'. Pass `labels=`"),
        ({"labels": ["a", "b"]}, r"`labels` must be 5 names"),
        ({"labels": "missing.txt"}, r"`labels` must be a text file"),
        ({"preprocessing": "keras"}, r"`preprocessing` must be one of the presets"),
        ({"preprocessing": Preprocessing(mean=(1, 2))}, r"`mean` must be one number, or one per channel"),
        ({"preprocessing": Preprocessing(layout="NHWC")}, r"`layout` must be 'NCHW' for the input image float32"),
        ({"score": "odds"}, r"`score` must be one of"),
        ({"target": (1, 2)}, r"`target` must be one class for score='log_odds'"),
        ({"target": (1, 1), "score": "difference"}, r"`target` must be a pair of two different classes"),
        ({"target": 1, "score": "difference"}, r"`target` must be a pair of classes"),
        ({"output_kind": "odds"}, r"`output_kind` must be one of"),
        ({"input": "picture"}, r"`input` must be one of the graph's inputs \['image'\]"),
        ({"batch_size": 0}, r"`batch_size` must be a whole number >= 1"),
        ({"threads": 0}, r"`threads` must be a whole number >= 1"),
    ],
)
def test_bad_arguments_are_named_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, object], message: str
) -> None:
    model = linear_model(tmp_path / "m.onnx")
    monkeypatch.setattr(Session, "run", lambda *_: pytest.fail("the network was run"))
    with pytest.raises(ValueError, match=message):
        onnx_response(model.path, **arguments)


def test_bad_images_are_named_before_anything_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    f = onnx_response(linear_model(tmp_path / "m.onnx").path)
    monkeypatch.setattr(Session, "run", lambda *_: pytest.fail("the network was run"))
    for image, message in [
        (np.zeros((1, 4, 4)), r"wrong: channels"),
        (np.zeros((3, 5, 4)), r"wrong: rows"),
        (np.full(FLAT, 200.0), r"within \[0, 1\].*Divide 0..255 pictures by 255"),
        (np.full(FLAT, np.nan), r"must be finite"),
    ]:
        with pytest.raises(ValueError, match=message):
            f.check_image(image)
    with pytest.raises(ValueError, match=r"wrong: columns"):
        f.class_outputs(np.zeros((2, 3, 4, 5), dtype=np.float32))


def test_bad_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"`path` must be an existing ONNX file. Got .*none\.onnx"):
        onnx_response(tmp_path / "none.onnx")
    with pytest.raises(ValueError, match=r"That is a folder"):
        onnx_response(tmp_path)
    for name, content in (("text.onnx", b"no model at all"), ("empty.onnx", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=r"`path` must be"):
            onnx_response(tmp_path / name)
    whole = linear_model(tmp_path / "whole.onnx").path.read_bytes()
    for length in (len(whole) // 4, len(whole) // 2, len(whole) - 20):
        (tmp_path / "cut.onnx").write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"`path` must be"):
            onnx_response(tmp_path / "cut.onnx")
    old = linear_model(tmp_path / "old.onnx", opset=7)
    proto = onnx.load(old.path)
    proto.opset_import[0].version = 6
    onnx.save(proto, old.path)
    with pytest.raises(ValueError, match=r"opset 7 or newer.*version_converter"):
        onnx_response(old.path)
    proto.opset_import[0].version = 99
    onnx.save(proto, old.path)
    with pytest.raises(ValueError, match=r"a model that ONNX Runtime .* can open"):
        onnx_response(old.path)


def external(path: Path, location: str) -> None:
    """Point the weights of a model at a file."""
    model = onnx.load(path)
    tensor = next(t for t in model.graph.initializer if t.name == "W")
    data = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    del tensor.external_data[:]
    for key, value in (("location", location), ("offset", "0"), ("length", str(len(data)))):
        tensor.external_data.add(key=key, value=value)
    target = path.parent / location
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(data)
    path.write_bytes(model.SerializeToString())


@pytest.mark.parametrize("tails", [("logits",), ("probs",)])
def test_external_data_beside_the_model_are_read_and_hashed(
    tmp_path: Path, images: np.ndarray, tails: tuple[str, ...]
) -> None:
    model = linear_model(tmp_path / "m.onnx", tails=tails)
    external(model.path, "m.data")
    f = onnx_response(model.path, target=0)
    assert f.describe()["external_files"] == ["m.data"]
    assert f(images) == pytest.approx(exact_log_odds(model.logits(images), 0), **TOLERANCE)
    data = bytearray((tmp_path / "m.data").read_bytes())
    data[0] ^= 1
    (tmp_path / "m.data").write_bytes(data)
    assert onnx_response(model.path, target=0).model_sha256 != f.model_sha256
    (tmp_path / "m.data").unlink()
    with pytest.raises(ValueError, match=r"accompanied by its data file 'm.data'"):
        onnx_response(model.path)


@pytest.mark.parametrize("kind", ["parent", "absolute", "link"])
def test_external_data_outside_the_folder_are_refused(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "inside"
    folder.mkdir()
    model = linear_model(folder / "m.onnx")
    location = {"parent": "../secret.data", "absolute": str(tmp_path / "secret.data"), "link": "link.data"}[kind]
    if kind == "link":
        (tmp_path / "secret.data").touch()
        (folder / "link.data").symlink_to(tmp_path / "secret.data")
    external(model.path, location)
    with pytest.raises(ValueError, match=r"external data lie in its own folder"):
        onnx_response(model.path)


def test_a_float16_network_sees_the_numbers_that_numpy_rounds(tmp_path: Path, images: np.ndarray) -> None:
    model = linear_model(tmp_path / "m.onnx", dtype="float16")
    f = onnx_response(model.path, target=0, preprocessing="raw")
    raw = onnxruntime.InferenceSession(str(model.path), providers=["CPUExecutionProvider"])
    declared = raw.run(["logits"], {"image": (images * np.float32(255)).astype(np.float16)})[0]
    # the response reads the same logits in float32, before the last rounding
    assert np.array_equal(f.class_outputs(images).astype(np.float16), declared)
    assert f.class_outputs(images).dtype == np.float32


@pytest.mark.skipif(
    "AzureExecutionProvider" not in onnxruntime.get_available_providers(), reason="this build has no Azure provider"
)
def test_a_provider_that_comes_up_and_executes_nothing_is_an_error(tmp_path: Path) -> None:
    # Azure's is in every CPU wheel: it lists itself first and leaves each node to the CPU.
    model = linear_model(tmp_path / "m.onnx")
    with pytest.raises(RuntimeError, match=r"'AzureExecutionProvider' came up and executes no node .* CPUExec"):
        onnx_response(model.path, provider="AzureExecutionProvider")
    with pytest.warns(LegstatWarning, match="executes no node"):
        f = onnx_response(model.path, provider="AzureExecutionProvider", session=SessionSettings(allow_fallback=True))
    assert f.describe()["provider"] == "CPUExecutionProvider"
    assert f.describe()["checks"]["nodes"]["CPUExecutionProvider"] >= 1


@pytest.mark.parametrize("dtype", ["float16", "float32", "uint8"])
@pytest.mark.parametrize("tails", [("logits",), ("probs",)])
def test_a_response_is_built_anew_from_its_record(
    tmp_path: Path, images: np.ndarray, dtype: str, tails: tuple[str, ...]
) -> None:
    model = linear_model(tmp_path / "m.onnx", dtype=dtype, tails=tails, batch=1, scale=0.05)
    f, value = onnx_response(model.path, threads=1, preprocessing={"preset": "caffe"}).bind(images[0])
    about = json.loads(json.dumps(f.describe()))
    again = reopen_onnx(about, model.path)
    assert again.resolved(about).fingerprint == f.fingerprint
    assert again.bind(images[0])[1] == value
    assert np.array_equal(again.resolved(about)(images), f(images))
    assert again.resolved(about).describe() == {**about, "target_given": about["target"], "preprocessing_given": True}
    other = linear_model(tmp_path / "other.onnx", dtype=dtype, seed=3)
    with pytest.raises(ValueError, match=r"`path` must be the file that was described"):
        reopen_onnx(about, other.path)
