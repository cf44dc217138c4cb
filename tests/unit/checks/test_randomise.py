"""Weights of files and modules replaced layer by layer: which ones, by what, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from legstat.checks import randomize, weight_layers
from legstat.data import digits_model_path, load_digit
from legstat.responses.onnx.opening import onnx_response

onnx = pytest.importorskip("onnx", reason="files are read")
helper, numpy_helper = onnx.helper, onnx.numpy_helper
FLOAT = onnx.TensorProto.FLOAT


def tensors(path: Path | str) -> dict[str, NDArray[np.generic]]:
    """All initialisers and constants of a file, as the library reads them."""
    graph = onnx.load(str(path)).graph
    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            found[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    return found


def changed(before: Path | str, after: Path | str) -> set[str]:
    old, new = tensors(before), tensors(after)
    assert set(old) == set(new)
    assert all(old[name].shape == new[name].shape and old[name].dtype == new[name].dtype for name in old)
    return {name for name in old if not np.array_equal(old[name], new[name])}


def write(
    path: Path, nodes: Sequence[onnx.NodeProto], weights: dict[str, NDArray[np.generic]], functions: Sequence = ()
) -> Path:
    """A graph from `x` (N, 4) to `y`."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", FLOAT, ["N", 4])],
        [helper.make_tensor_value_info("y", FLOAT, ["N", "K"])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    opsets = [helper.make_opsetid("", 17), *(helper.make_opsetid(f.domain, 1) for f in functions)]
    model = helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def normal(*shape: int, dtype: str = "float32") -> NDArray[np.generic]:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(dtype)


# ------------------------------------------------------------------------------------------------ which are replaced


def test_layers_are_replaced_from_the_output_and_nothing_else(tmp_path: Path) -> None:
    original = digits_model_path().read_bytes()
    names = [set(layer.tensors) for layer in weight_layers(digits_model_path())]
    for k in range(4):
        fresh = randomize(digits_model_path(), tmp_path / f"{k}.onnx", layers=k, rng=0)
        assert changed(digits_model_path(), fresh) == set().union(*names[:k])
        onnx.checker.check_model(onnx.load(fresh))
    assert digits_model_path().read_bytes() == original


def test_named_layers_alone(tmp_path: Path) -> None:
    last, middle, _ = weight_layers(digits_model_path())
    fresh = randomize(digits_model_path(), tmp_path / "m.onnx", layers=[middle.name], rng=0)
    assert changed(digits_model_path(), fresh) == set(middle.tensors)
    # and to the same numbers as in a cascade
    both = randomize(digits_model_path(), tmp_path / "c.onnx", layers=[last.name, middle.name], rng=0)
    for name in middle.tensors:
        np.testing.assert_array_equal(tensors(fresh)[name], tensors(both)[name])


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    one, two, other = (randomize(digits_model_path(), tmp_path / f"{i}.onnx", rng=s) for i, s in enumerate((3, 3, 4)))
    assert one.read_bytes() == two.read_bytes() != other.read_bytes()


def test_longer_cascades_begin_as_shorter_ones(tmp_path: Path) -> None:
    short = tensors(randomize(digits_model_path(), tmp_path / "1.onnx", layers=1, rng=5))
    long = tensors(randomize(digits_model_path(), tmp_path / "3.onnx", layers=3, rng=5))
    for name in weight_layers(digits_model_path())[0].tensors:
        np.testing.assert_array_equal(short[name], long[name])


def test_layers_of_one_shape_get_different_numbers(tmp_path: Path) -> None:
    nodes = [helper.make_node("MatMul", ["x", "W"], ["a"]), helper.make_node("MatMul", ["a", "V"], ["y"])]
    path = write(tmp_path / "m.onnx", nodes, {"W": normal(4, 4), "V": normal(4, 4)})
    fresh = tensors(randomize(path, tmp_path / "r.onnx", law="uniform", rng=0))
    assert not np.isclose(fresh["W"], fresh["V"]).any()


def test_what_prepares_the_picture_is_no_weight_and_what_follows_a_layer_is(tmp_path: Path) -> None:
    weights = {
        "mean": normal(4),
        "std": np.abs(normal(4)) + 1,
        "W": normal(4, 5),
        "bias": normal(5),
        "half": np.array([0.5], np.float32),
        "V": normal(5, 3),
    }
    nodes = [
        helper.make_node("Sub", ["x", "mean"], ["a"]),
        helper.make_node("Div", ["a", "std"], ["b"]),
        helper.make_node("MatMul", ["b", "W"], ["c"]),
        helper.make_node("Add", ["c", "bias"], ["d"]),
        helper.make_node("Mul", ["d", "half"], ["e"]),
        helper.make_node("MatMul", ["e", "V"], ["y"]),
    ]
    path = write(tmp_path / "m.onnx", nodes, weights)
    assert [layer.tensors for layer in weight_layers(path)] == [("V",), ("W", "bias")]
    assert changed(path, randomize(path, tmp_path / "r.onnx", rng=0)) == {"W", "bias", "V"}


def test_a_batch_normalisation_keeps_its_mean_and_variance(tmp_path: Path) -> None:
    weights = {"W": normal(4, 5), "scale": normal(5), "shift": normal(5), "mean": normal(5), "var": np.abs(normal(5))}
    nodes = [
        helper.make_node("MatMul", ["x", "W"], ["a"]),
        helper.make_node("BatchNormalization", ["a", "scale", "shift", "mean", "var"], ["y"]),
    ]
    path = write(tmp_path / "m.onnx", nodes, weights)
    (layer,) = weight_layers(path)
    assert layer.tensors == ("W", "scale", "shift")
    assert changed(path, randomize(path, tmp_path / "r.onnx", rng=0)) == {"W", "scale", "shift"}


def test_constant_nodes_reshaped_shared_and_quantised_weights(tmp_path: Path) -> None:
    weights = {
        "flat": normal(16),
        "shape": np.array([4, 4]),
        "q": np.arange(-8, 8, dtype=np.int8).reshape(4, 4),
        "steps": np.full(4, 0.1, np.float32),
        "zeros": np.zeros(4, np.int8),
    }
    nodes = [
        helper.make_node("Constant", [], ["C"], value=numpy_helper.from_array(normal(4, 4), "inner")),
        helper.make_node("Reshape", ["flat", "shape"], ["W"]),
        helper.make_node("DequantizeLinear", ["q", "steps", "zeros"], ["Q"], axis=1),
        helper.make_node("MatMul", ["x", "C"], ["a"]),
        helper.make_node("MatMul", ["a", "W"], ["b"]),
        helper.make_node("MatMul", ["b", "Q"], ["c"]),
        helper.make_node("MatMul", ["c", "W"], ["y"]),
    ]
    path = write(tmp_path / "m.onnx", nodes, weights)
    # W serves twice: it stands in the layer nearest to the output, and the other has nothing left
    assert [layer.tensors for layer in weight_layers(path)] == [("flat",), ("q",), ("C",)]
    fresh = randomize(path, tmp_path / "r.onnx", law="permuted", rng=0)
    assert changed(path, fresh) == {"C", "flat", "q"}
    with pytest.raises(ValueError, match="'permuted' for whole numbers, such as the weights 'q'"):
        randomize(path, tmp_path / "n.onnx", law="normal", rng=0)


def test_float16_and_data_beside_the_file(tmp_path: Path) -> None:
    half = {"W": normal(4, 64, dtype="float16")}
    nodes = [
        helper.make_node("Cast", ["x"], ["h"], to=onnx.TensorProto.FLOAT16),
        helper.make_node("MatMul", ["h", "W"], ["z"]),
        helper.make_node("Cast", ["z"], ["y"], to=FLOAT),
    ]
    model = onnx.load(write(tmp_path / "m.onnx", nodes, half))
    beside = tmp_path / "beside"
    beside.mkdir()
    onnx.save_model(model, beside / "m.onnx", save_as_external_data=True, location="m.bin", size_threshold=0)
    data = (beside / "m.bin").read_bytes()
    fresh = randomize(beside / "m.onnx", tmp_path / "r.onnx", rng=0)
    assert changed(tmp_path / "m.onnx", fresh) == {"W"}  # float16 still, by `changed`, and within the file
    assert (beside / "m.bin").read_bytes() == data
    place = next(entry for entry in model.graph.initializer[0].external_data if entry.key == "location")
    place.value = "../../secret"
    (beside / "away.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ValueError, match="external data lie in its own folder"):
        randomize(beside / "away.onnx", tmp_path / "s.onnx", rng=0)


def test_functions_are_looked_into_and_branches_refused(tmp_path: Path) -> None:
    linear = helper.make_function(
        "own",
        "Linear",
        ["x", "w"],
        ["y"],
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        [helper.make_opsetid("", 17)],
    )
    node = helper.make_node("Linear", ["x", "W"], ["y"], domain="own")
    path = write(tmp_path / "f.onnx", [node], {"W": normal(4, 2)}, [linear])
    assert [layer.operation for layer in weight_layers(path)] == ["MatMul"]

    def branch(name: str) -> onnx.GraphProto:
        inner = [helper.make_node("MatMul", ["x", "W"], [name])]
        return helper.make_graph(inner, name, [], [helper.make_tensor_value_info(name, FLOAT, ["N", "K"])])

    asked = [
        helper.make_node("ReduceSum", ["x"], ["s"], keepdims=0),
        helper.make_node("Cast", ["s"], ["c"], to=onnx.TensorProto.BOOL),
        helper.make_node("If", ["c"], ["y"], then_branch=branch("t"), else_branch=branch("e")),
    ]
    with pytest.raises(ValueError, match="If with MatMul inside"):
        weight_layers(write(tmp_path / "i.onnx", asked, {"W": normal(4, 2)}))


def test_only_what_the_output_depends_on(tmp_path: Path) -> None:
    nodes = [helper.make_node("MatMul", ["x", "W"], ["y"]), helper.make_node("MatMul", ["y", "V"], ["z"])]
    path = write(tmp_path / "m.onnx", nodes, {"W": normal(4, 5), "V": normal(5, 3)})
    assert [layer.tensors for layer in weight_layers(path)] == [("W",)]
    assert [layer.tensors for layer in weight_layers(path, output="z")] == [("V",), ("W",)]
    with pytest.raises(ValueError, match="`output` must be the name of a tensor"):
        weight_layers(path, output="nowhere")


# ---------------------------------------------------------------------------------------------------------- by what


def test_the_laws(tmp_path: Path) -> None:
    old = tensors(digits_model_path())["linear.weight"]

    def by(law: str) -> NDArray[np.generic]:
        return tensors(randomize(digits_model_path(), tmp_path / f"{law}.onnx", law=law, rng=0))["linear.weight"]

    uniform = by("uniform")
    assert np.abs(uniform).max() <= np.float32(0.05)
    # 5,120 numbers: the error of their standard deviation is 0.05 / sqrt(3) / sqrt(5 * 5120) of itself or less
    assert uniform.std() == pytest.approx(0.05 / np.sqrt(3), rel=0.03)
    assert abs(uniform.mean()) < 4 * 0.05 / np.sqrt(3 * old.size)
    drawn = by("normal")
    assert np.sqrt(np.mean(np.square(drawn))) == pytest.approx(float(np.sqrt(np.mean(np.square(old)))), rel=0.04)
    assert abs(np.corrcoef(drawn.ravel(), old.ravel())[0, 1]) < 4 / np.sqrt(old.size)
    permuted = by("permuted")
    np.testing.assert_array_equal(np.sort(permuted.ravel()), np.sort(old.ravel()))
    assert not np.array_equal(permuted, old)


# --------------------------------------------------------------------------------------- torch, and who answers then


def test_a_module_is_copied_and_its_first_layers_stay() -> None:
    torch = pytest.importorskip("torch", reason="modules are torch's")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = torch.nn.Sequential(
            torch.nn.Conv2d(1, 4, 3),
            torch.nn.BatchNorm2d(4),
            torch.nn.ReLU(),
            torch.nn.Flatten(),
            torch.nn.Linear(144, 10),
        )
    before = {name: value.clone() for name, value in module.state_dict().items()}
    layers = weight_layers(module)
    assert [layer.tensors for layer in layers] == [
        ("4.weight", "4.bias"),
        ("0.weight", "0.bias", "1.weight", "1.bias"),
    ]
    fresh = randomize(module, layers=1, rng=0)
    moved = {name for name, value in fresh.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {"4.weight", "4.bias"}
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    whole = randomize(module, rng=0)
    assert torch.equal(whole.state_dict()["4.weight"], fresh.state_dict()["4.weight"])
    assert torch.equal(whole.state_dict()["1.running_var"], before["1.running_var"])


def test_tied_parameters_of_a_module_stay_tied() -> None:
    torch = pytest.importorskip("torch", reason="modules are torch's")
    with torch.random.fork_rng():
        module = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 4, bias=False))
    module[1].weight = module[0].weight
    fresh = randomize(module, layers=1, rng=0)
    assert fresh[1].weight is fresh[0].weight


def test_another_network_is_asked_the_same_question(tmp_path: Path) -> None:
    image = load_digit(0)[0]
    settled, value = onnx_response(digits_model_path(), score="probability").bind(image)
    same = settled.with_weights(randomize(digits_model_path(), tmp_path / "same.onnx", layers=0, rng=0))
    assert same.bind(image)[1] == value
    other = settled.with_weights(randomize(digits_model_path(), tmp_path / "other.onnx", rng=0))
    bound, moved = other.bind(image)
    assert (bound.target, bound.score_name) == (settled.target, "probability")  # not the new network's first choice
    assert moved != value
    assert bound.describe()["model_sha256"] != settled.describe()["model_sha256"]
    assert settled(image[None].astype(np.float32))[0] == value  # the old one answers as before


def test_another_module_is_asked_the_same_question() -> None:
    torch = pytest.importorskip("torch", reason="modules are torch's")
    from legstat.responses.torch.opening import torch_response

    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    image = load_digit(0)[0]
    settled, value = torch_response(module, score="logit", output_kind="logits").bind(image)
    other = settled.with_weights(randomize(settled.module, rng=0))
    bound, moved = other.bind(image)
    assert bound.target == settled.target
    assert moved != value
    assert settled(image[None].astype(np.float32))[0] == value


@pytest.mark.parametrize(
    ("name", "layers", "share"),
    [
        ("mobilenet_v2_1.0_224", 53, 0.9999),
        ("squeezenet1.1", 26, 1.0),
        ("SqueezeNet_fp16", 26, 1.0),
        ("cifar10_resnet20", 20, 0.999),
        ("mnist_cntk", 3, 0.999),
        ("leg_mnist_cnn", 5, 1.0),
    ],
)
def test_all_weights_of_real_networks_are_found(data_dir: Path, name: str, layers: int, share: float) -> None:
    path = data_dir / "models" / f"{name}.onnx"
    found = weight_layers(path)
    total = sum(value.size for value in tensors(path).values())
    assert len(found) == layers
    assert sum(layer.n_parameters for layer in found) >= share * total


@pytest.mark.parametrize("law", ["normal", "uniform", "permuted"])
def test_a_float16_network_with_random_weights_answers(data_dir: Path, tmp_path: Path, law: str) -> None:
    path = data_dir / "models" / "SqueezeNet_fp16.onnx"
    fresh = randomize(path, tmp_path / "r.onnx", law=law, rng=0)
    f = onnx_response(fresh, target=0, score="logit", preprocessing="caffe")
    image = np.random.default_rng(0).random((3, 224, 224))
    assert np.isfinite(f.bind(image)[1])
