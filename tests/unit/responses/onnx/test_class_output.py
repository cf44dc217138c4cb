"""What is read from graphs that end in more than a softmax: averages, arithmetic, quantisation, choices of classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from legstat.responses.onnx.opening import onnx_response
from tests.helpers_onnx import softmax

SHAPE, CLASSES = (3, 4, 4), 5
RNG = np.random.default_rng(3)
W1, W2 = (RNG.normal(size=(48, CLASSES)).astype(np.float32) for _ in range(2))
X0 = RNG.random(SHAPE)
Z1, Z2 = (X0.astype(np.float32).reshape(1, -1).astype(np.float64) @ W.astype(np.float64) for W in (W1, W2))

Node = tuple[str, Sequence[str], Sequence[str], dict[str, object]]


def expit(z: np.ndarray) -> np.ndarray:
    """Naive sigmoid of moderate logits."""
    return 1.0 / (1.0 + np.exp(-z))


def model(
    path: Path,
    nodes: Sequence[Node],
    outputs: Sequence[object] = ("out",),
    constants: dict[str, np.ndarray] | None = None,
) -> Path:
    """A graph with the logits z1 and z2 of two linear networks, and `nodes` behind them."""
    made = [
        helper.make_node("Flatten", ["image"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "W1"], ["z1"]),
        helper.make_node("MatMul", ["flat", "W2"], ["z2"]),
        *(helper.make_node(kind, list(ins), list(outs), **more) for kind, ins, outs, more in nodes),
    ]
    declared = [
        helper.make_tensor_value_info(one, TensorProto.FLOAT, ["N", CLASSES]) if isinstance(one, str) else one
        for one in outputs
    ]
    held = {"W1": W1, "W2": W2, **(constants or {})}
    graph = helper.make_graph(
        made,
        "ends",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", *SHAPE])],
        declared,
        [numpy_helper.from_array(value, name) for name, value in held.items()],
    )
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("ai.onnx.ml", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), str(path))
    return path


SOFT = [("Softmax", ["z1"], ["p1"], {"axis": 1}), ("Softmax", ["z2"], ["p2"], {"axis": 1})]
SIG = [("Sigmoid", ["z1"], ["p1"], {}), ("Sigmoid", ["z2"], ["p2"], {})]
NUMBERS = {
    "half": np.array(0.5, np.float32),
    "two": np.array([2.0], np.float32),
    "hundred": np.array(100.0, np.float32),
    "at": np.array([0], np.int64),
    "step": np.array(1 / 256, np.float32),
    "zero": np.array(0, np.uint8),
    "k": np.array([3], np.int64),
}
MEANS: dict[str, list[Node]] = {
    "Mean": [("Mean", ["p1", "p2"], ["out"], {})],
    "Add, Mul": [("Add", ["p1", "p2"], ["s"], {}), ("Mul", ["s", "half"], ["out"], {})],
    "Add, Div": [("Add", ["p1", "p2"], ["s"], {}), ("Div", ["s", "two"], ["out"], {})],
    "weighted": [
        ("Mul", ["p1", "half"], ["a"], {}),
        ("Mul", ["half", "p2"], ["b"], {}),
        ("Add", ["a", "b"], ["out"], {}),
    ],
    "ReduceMean": [
        ("Unsqueeze", ["p1", "at"], ["u1"], {}),
        ("Unsqueeze", ["p2", "at"], ["u2"], {}),
        ("Concat", ["u1", "u2"], ["c"], {"axis": 0}),
        ("ReduceMean", ["c"], ["out"], {"axes": [0], "keepdims": 0}),
    ],
}


@pytest.mark.parametrize("how", MEANS)
def test_a_mean_of_softmaxes_gives_probabilities(tmp_path: Path, how: str) -> None:
    path = model(tmp_path / "m.onnx", [*SOFT, *MEANS[how]], constants=NUMBERS)
    f, value = onnx_response(path, target=1, score="probability").bind(X0)
    # float32 softmaxes of 48 inputs
    assert value == pytest.approx((softmax(Z1) + softmax(Z2))[0, 1] / 2, rel=1e-5)
    assert f.describe()["output_kind"] == "probabilities"
    assert f.describe()["output_kind_source"] == "graph"
    assert "averages what 2 Softmax nodes make" in f.describe()["output_kind_ground"]


@pytest.mark.parametrize("how", MEANS)
def test_a_mean_of_sigmoids_gives_each_class_its_own_probability(tmp_path: Path, how: str) -> None:
    path = model(tmp_path / "m.onnx", [*SIG, *MEANS[how]], constants=NUMBERS)
    f, value = onnx_response(path, target=1).bind(X0)
    p = (expit(Z1) + expit(Z2))[0, 1] / 2
    assert value == pytest.approx(np.log(p / (1 - p)), rel=1e-4)  # a float32 probability's log-odds
    assert f.describe()["output_kind"] == "sigmoid_probabilities"
    assert f.describe()["output_kind_source"] == "graph"


OPEN: dict[str, list[Node]] = {
    "a sum": [("Add", ["p1", "p2"], ["out"], {})],
    "a product": [("Mul", ["p1", "p2"], ["out"], {})],
    "a difference": [("Sub", ["p1", "p2"], ["out"], {})],
    "per cent": [("Mul", ["p1", "hundred"], ["out"], {})],
    "shifted": [("Sub", ["p1", "half"], ["out"], {})],
    "logarithms": [("Add", ["p1", "p2"], ["s"], {}), ("Log", ["s"], ["out"], {})],
    "clipped": [("Mul", ["p1", "hundred"], ["s"], {}), ("Clip", ["s", "half"], ["out"], {})],
}


@pytest.mark.parametrize("how", OPEN)
@pytest.mark.parametrize("made", ["softmaxes", "sigmoids"])
def test_arithmetic_behind_a_softmax_or_sigmoid_is_no_proof_of_logits(tmp_path: Path, how: str, made: str) -> None:
    path = model(tmp_path / "m.onnx", [*(SOFT if made == "softmaxes" else SIG), *OPEN[how]], constants=NUMBERS)
    with pytest.raises(ValueError, match=r"`output_kind` must be given.*(Softmax|Sigmoid) gave.*pass output='p1'"):
        onnx_response(path, target=1).bind(X0)
    _, value = onnx_response(path, target=1, output="p1", score="probability").bind(X0)
    assert value == pytest.approx((softmax(Z1) if made == "softmaxes" else expit(Z1))[0, 1], rel=1e-5)
    stated, _ = onnx_response(path, target=1, output_kind="logits").bind(X0)
    assert stated.describe()["output_kind_source"] == "stated"


LOGITS: dict[str, list[Node]] = {
    "their mean": [("Mean", ["z1", "z2"], ["out"], {})],
    "a bias": [("Add", ["z1", "half"], ["out"], {})],
    "a temperature": [("Div", ["z1", "two"], ["out"], {})],
    "rectified": [("Relu", ["z1"], ["out"], {})],
    "a layer on sigmoids": [("Sigmoid", ["z1"], ["s"], {}), ("MatMul", ["s", "square"], ["out"], {})],
}


@pytest.mark.parametrize("how", LOGITS)
def test_what_a_layer_makes_stays_a_logit_through_arithmetic(tmp_path: Path, how: str) -> None:
    square = {"square": RNG.normal(size=(CLASSES, CLASSES)).astype(np.float32)}
    path = model(tmp_path / "m.onnx", LOGITS[how], constants=NUMBERS | square)
    f, _ = onnx_response(path).bind(X0)
    assert (f.describe()["output_kind"], f.describe()["output_kind_source"]) == ("logits", "graph")


ROUND = [
    ("QuantizeLinear", ["p1", "step", "zero"], ["q"], {}),
    ("DequantizeLinear", ["q", "step", "zero"], ["out"], {}),
]


@pytest.mark.parametrize(("made", "kind"), [(SOFT, "logits"), (SIG, "sigmoid_logits")])
def test_behind_a_quantised_softmax_or_sigmoid_its_logits_are_read(tmp_path: Path, made: list[Node], kind: str) -> None:
    f, value = onnx_response(
        model(tmp_path / "m.onnx", [*made[:1], *ROUND], constants=NUMBERS), target=1, score="logit"
    ).bind(X0)
    assert value == pytest.approx(Z1[0, 1], rel=1e-5)
    assert f.describe()["output_kind"] == kind
    assert f.describe()["output"] == "z1"


def test_sigmoids_of_no_known_graph_are_asked_about(tmp_path: Path) -> None:
    nodes: list[Node] = [*SIG[:1], ("Where", ["yes", "p1", "p1"], ["w"], {}), ("HardSigmoid", ["z1"], ["out"], {})]
    path = model(tmp_path / "m.onnx", nodes, constants={"yes": np.array([True])})
    with pytest.raises(ValueError, match=r"lie within \[0, 1\] and sum to .*each class by itself"):
        onnx_response(path, target=1).bind(X0)
    _, value = onnx_response(path, target=1, output_kind="sigmoid_probabilities", score="probability").bind(X0)
    assert value == pytest.approx(np.clip(0.2 * Z1[0, 1] + 0.5, 0, 1), rel=1e-5)


# -- choices among classes -------------------------------------------------------------------------------------------

INTS = helper.make_tensor_value_info("label", TensorProto.INT64, ["N"])
RANKS = helper.make_tensor_value_info("ranks", TensorProto.INT64, ["N", 3])
TOP = ("TopK", ["p1", "k"], ["out", "ranks"], {"axis": 1})
CHOSEN: dict[str, tuple[list[Node], list[object], str]] = {
    "TopK": ([*SOFT[:1], TOP], ["out", RANKS], "p1"),
    "TopK, values alone": ([*SOFT[:1], TOP, ("Identity", ["out"], ["same"], {})], ["same"], "p1"),
    "TopK of logits": ([("TopK", ["z1", "k"], ["out", "ranks"], {"axis": 1})], ["out", RANKS], "z1"),
    "ArgMax": ([("ArgMax", ["z1"], ["label"], {"axis": 1, "keepdims": 0})], [INTS], "z1"),
    "ArgMax as float": (
        [("ArgMax", ["z1"], ["i"], {"axis": 1}), ("Cast", ["i"], ["out"], {"to": TensorProto.FLOAT})],
        ["out"],
        "z1",
    ),
    "names by index": (
        [("ArgMax", ["z1"], ["i"], {"axis": 1, "keepdims": 0}), ("Gather", ["names", "i"], ["label"], {})],
        [helper.make_tensor_value_info("label", TensorProto.STRING, ["N"])],
        "z1",
    ),
    "yes or no": (
        [*SIG[:1], ("Greater", ["p1", "half"], ["y"], {}), ("Cast", ["y"], ["label"], {"to": TensorProto.INT64})],
        [helper.make_tensor_value_info("label", TensorProto.INT64, ["N", CLASSES])],
        "p1",
    ),
    "whole numbers": (
        [*SOFT[:1], ("QuantizeLinear", ["p1", "step", "zero"], ["label"], {})],
        [helper.make_tensor_value_info("label", TensorProto.UINT8, ["N", CLASSES])],
        "p1",
    ),
}


@pytest.mark.parametrize("how", CHOSEN)
def test_a_choice_of_classes_is_refused_and_what_it_was_made_from_named(tmp_path: Path, how: str) -> None:
    nodes, outputs, feed = CHOSEN[how]
    names = {"names": np.array(["a", "b", "c", "d", "e"], dtype=object)} if how == "names by index" else {}
    path = model(tmp_path / "m.onnx", nodes, outputs, NUMBERS | names)
    with pytest.raises(ValueError, match=rf"`output` must be .*Pass output='{feed}'"):
        onnx_response(path, target=1)
    one = outputs[0] if isinstance(outputs[0], str) else outputs[0].name
    with pytest.raises(ValueError, match=rf"`output` must be a tensor of class scores.*Pass output='{feed}'"):
        onnx_response(path, target=1, output=one)
    f, value = onnx_response(path, target=1, output=feed, score="probability").bind(X0)
    truth = {"sigmoid_probabilities": expit}.get(f.describe()["output_kind"], softmax)(Z1)
    assert value == pytest.approx(truth[0, 1], rel=1e-5)


def test_class_scores_beside_a_choice_are_read(tmp_path: Path) -> None:
    nodes = [*SOFT[:1], TOP, ("ArgMax", ["z1"], ["label"], {"axis": 1, "keepdims": 0})]
    f, value = onnx_response(model(tmp_path / "m.onnx", nodes, [INTS, "out", "p1"], NUMBERS), target=1).bind(X0)
    z = Z1[0]
    assert value == pytest.approx(z[1] - np.log(np.exp(np.delete(z, 1)).sum()), rel=1e-5)
    assert f.describe()["output"] == "z1"


@pytest.mark.parametrize("named", [None, "maps"])
def test_the_probabilities_behind_a_zipmap_are_read_by_themselves(tmp_path: Path, named: str | None) -> None:
    nodes: list[Node] = [
        *SOFT[:1],
        ("ArgMax", ["z1"], ["label"], {"axis": 1, "keepdims": 0}),
        ("ZipMap", ["p1"], ["maps"], {"domain": "ai.onnx.ml", "classlabels_int64s": list(range(CLASSES))}),
    ]
    value_type = helper.make_tensor_type_proto(TensorProto.FLOAT, [])
    maps = helper.make_value_info(
        "maps", helper.make_sequence_type_proto(helper.make_map_type_proto(TensorProto.INT64, value_type))
    )
    path = model(tmp_path / "m.onnx", nodes, [INTS, maps], NUMBERS)
    f, value = onnx_response(path, target=1, score="probability", output=named).bind(X0)
    assert value == pytest.approx(softmax(Z1)[0, 1], rel=1e-5)
    assert f.describe()["output"] == ("z1" if named is None else "p1")
    assert f(np.stack([X0, X0]).astype(np.float32)) == pytest.approx([value, value], rel=1e-6)


def test_whole_numbers_inside_the_graph_are_refused_when_they_come(tmp_path: Path) -> None:
    nodes: list[Node] = [
        *SOFT[:1],
        ("Cast", ["p1"], ["i"], {"to": TensorProto.INT64}),
        ("Identity", ["p1"], ["out"], {}),
    ]
    path = model(tmp_path / "m.onnx", nodes)
    with pytest.raises(ValueError, match=r"`output` must be of real numbers, one per class. Got .*int64"):
        onnx_response(path, target=1, output="i", output_kind="logits").bind(X0)
