"""Networks whose answer for one picture depends on what else is in the batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import legstat as ls
from legstat._core.errors import LegstatWarning
from legstat.responses.onnx.opening import onnx_response
from tests.helpers_onnx import linear_model, one_picture_model, save

SHAPE, CLASSES = (3, 4, 4), 5
RNG = np.random.default_rng(5)
X0 = RNG.random(SHAPE)
DESIGN = ls.StructuredGaussian(grid=(4, 4), scale=0.1)
SAID = r"answers otherwise for a picture in company .* one by one"


def dynamic(path: Path, batch: int | str = "N") -> Path:
    """A dense layer as dynamic quantisation leaves it: the range of its input is that of the whole batch."""
    weights = RNG.integers(-100, 100, size=(48, CLASSES)).astype(np.int8)
    held = {"W": weights, "Wz": np.array(0, np.int8), "Ws": np.array(0.01, np.float32)}
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"], axis=1),
        helper.make_node("DynamicQuantizeLinear", ["flat"], ["q", "s", "z"]),
        helper.make_node("MatMulInteger", ["q", "W", "z", "Wz"], ["i"]),
        helper.make_node("Cast", ["i"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["s", "Ws"], ["scale"]),
        helper.make_node("Mul", ["f", "scale"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "dynamic",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, *SHAPE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, CLASSES])],
        [numpy_helper.from_array(value, name) for name, value in held.items()],
    )
    return save(graph, path)


def test_the_example_depends_on_its_company(tmp_path: Path) -> None:
    f = onnx_response(dynamic(tmp_path / "m.onnx"), target=1)
    images = np.stack([0.5 * X0, X0, 1 - X0]).astype(np.float32)
    assert abs(f(images)[0] - f(images[:1])[0]) > 1e-4


def test_such_a_network_is_run_one_by_one_and_its_scores_do_not_depend_on_the_batch_size(tmp_path: Path) -> None:
    f = onnx_response(dynamic(tmp_path / "m.onnx"), target=1)
    images = np.stack([0.5 * X0, X0, 1 - X0]).astype(np.float32)
    with pytest.warns(LegstatWarning, match=SAID):
        settled, value = f.bind(X0)
    about = settled.describe()
    assert about["batch_size"] == 1
    assert not about["company"]["alike"]
    assert about["company"]["relative_difference"] > 1e-4
    alone = np.concatenate([f(one[None]) for one in images])
    for size in (1, 2, 64):
        assert np.array_equal(settled.with_batch_size(size)(images), alone)
    assert value == settled(X0[None].astype(np.float32))[0]
    samples = [ls.query(f, X0, DESIGN, n_queries=41, rng=0, batch_size=1, progress=False)]
    for size in (7, 64):
        with pytest.warns(LegstatWarning, match=SAID):
            samples.append(ls.query(f, X0, DESIGN, n_queries=41, rng=0, batch_size=size, progress=False))
    for sample in samples[1:]:
        assert np.array_equal(sample.responses, samples[0].responses)
    # a response that is told what was found goes on in the same way
    again = f.resolved(about)
    assert np.array_equal(again.with_batch_size(64)(images), alone)


def test_an_ordinary_network_keeps_its_batches(tmp_path: Path) -> None:
    f, _ = onnx_response(linear_model(tmp_path / "m.onnx").path, target=1, batch_size=7).bind(X0)
    assert f.describe()["company"] == {
        "alike": True,
        "relative_difference": f.describe()["company"]["relative_difference"],
        "evaluations": 4 + 7,
    }
    assert f.batch_size == 7


def test_the_probe_varies_the_company() -> None:
    def f(images: np.ndarray) -> np.ndarray:
        """Scores that hang on the brightest picture of the batch."""
        return images.mean(axis=(1, 2, 3)) + 1e-3 * images.max()

    for size in (2, 3, 64):
        probe = ls.noise_probe(ls.as_response(f, batch_size=size), X0, DESIGN, rng=0)
        assert not probe.deterministic, size
    assert ls.noise_probe(ls.as_response(f, batch_size=1), X0, DESIGN, rng=0).deterministic


def test_batches_that_fail_are_found_before_a_query_is_spent(tmp_path: Path) -> None:
    path = one_picture_model(tmp_path / "m.onnx")
    with pytest.raises(ValueError, match=r"`batch_size` must be 1 for this network. Got .*fails on 16 at once"):
        onnx_response(path, target=1).bind(X0)
    f, _ = onnx_response(path, target=1, batch_size=1).bind(X0)
    images = np.stack([X0, 1 - X0]).astype(np.float32)
    assert f(images) == pytest.approx([f(one[None])[0] for one in images], rel=1e-6)


def test_what_was_tried_stands_in_the_ledger_and_is_not_tried_again(tmp_path: Path) -> None:
    f = onnx_response(linear_model(tmp_path / "m.onnx", shape=SHAPE).path, target=1)
    sample = ls.query(f, X0, DESIGN, n_queries=101, rng=0, progress=False)
    about = sample.response["company"]
    assert sample.ledger.trials == about["evaluations"] > 0
    assert sample.ledger.spent == 101
    bound, _ = f.bind(X0)
    again = ls.query(bound, X0, DESIGN, n_queries=101, rng=0, progress=False)
    assert again.ledger.trials == 0
    np.testing.assert_array_equal(again.responses, sample.responses)
    assert again.response["company"] == about


def test_one_response_tries_it_once_whatever_the_pictures_and_the_copies(tmp_path: Path) -> None:
    f = onnx_response(linear_model(tmp_path / "m.onnx", shape=SHAPE).path, target=1)
    first = ls.query(f, X0, DESIGN, n_queries=41, rng=0, progress=False)
    other = ls.query(f.rescored("logit"), 1 - X0, DESIGN, n_queries=41, rng=0, progress=False)
    assert first.ledger.trials > other.ledger.trials == 0
    assert other.response["company"] == first.response["company"]
    smaller = ls.query(f, X0, DESIGN, n_queries=41, rng=0, batch_size=3, progress=False)
    assert smaller.ledger.trials == 3 + 3  # another size of a batch may take other kernels


def test_what_was_found_once_holds_for_the_next_picture_and_is_said_again(tmp_path: Path) -> None:
    f = onnx_response(dynamic(tmp_path / "m.onnx"), target=1)
    for picture, tried in ((X0, True), (1 - X0, False)):
        with pytest.warns(LegstatWarning, match=SAID):
            settled, _ = f.bind(picture)
        assert settled.batch_size == 1
        assert (settled.trials > 0) == tried


def test_without_single_precision_company_may_round_otherwise() -> None:
    torch = pytest.importorskip("torch")

    class Slightly(torch.nn.Module):
        """A picture's company changes 4 in a thousand of its outputs, as bfloat16 kernels were seen to."""

        def __init__(self) -> None:
            super().__init__()
            self.dense = torch.nn.Linear(48, CLASSES)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.dense(x.flatten(1)).float() * (1 + 4e-3 * (len(x) > 1))

    with torch.random.fork_rng():
        module = Slightly()
    for settings in (ls.TorchSettings(autocast="bfloat16"), ls.TorchSettings(tf32=True)):
        f, _ = ls.torch_response(module, target=1, output_kind="logits", settings=settings, batch_size=8).bind(X0)
        assert f.describe()["company"]["alike"], settings
        assert f.batch_size == 8
    with pytest.warns(LegstatWarning, match=SAID):
        f, _ = ls.torch_response(module, target=1, output_kind="logits", batch_size=8).bind(X0)
    assert f.batch_size == 1


@pytest.mark.filterwarnings("ignore::legstat.LegstatWarning")
@pytest.mark.parametrize("kept", ["cache", "sample"])
def test_answers_given_alone_are_not_followed_by_answers_given_in_company(kept: str, tmp_path: Path) -> None:
    """In batches of one nothing is tried: what was kept then says nothing about larger ones."""
    path, picture = dynamic(tmp_path / "m.onnx"), 0.5 * X0
    alone, many = (onnx_response(path, target=1, batch_size=size) for size in (1, 64))
    cache = tmp_path / "cache" if kept == "cache" else None
    whole = ls.query(alone, picture, DESIGN, n_queries=141, rng=0, progress=False)
    first = ls.query(alone, picture, DESIGN, n_queries=77, rng=0, cache=cache, progress=False)
    how = {"rng": 0, "cache": cache} if kept == "cache" else {"resume": first}
    rest = ls.query(many, picture, DESIGN, n_queries=141, progress=False, **how)
    np.testing.assert_array_equal(rest.responses, whole.responses)
    # nothing that is there is paid for again but f(x0), with which company is tried
    assert rest.ledger.spent == (1 + 141 - 77 if kept == "cache" else 141)


def test_batch_sizes_of_an_ordinary_network_share_answers(tmp_path: Path) -> None:
    f = onnx_response(linear_model(tmp_path / "m.onnx", shape=SHAPE).path, target=1)
    for size, n, spent in ((1, 77, 77), (7, 141, 1 + 141 - 77), (64, 141, 1), (7, 141, 0)):
        sample = ls.query(f, X0, DESIGN, n_queries=n, rng=0, batch_size=size, cache=tmp_path, progress=False)
        assert sample.ledger.spent == spent, size
