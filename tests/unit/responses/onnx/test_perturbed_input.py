"""Pictures made inside the graph: against numpy's pictures and exact linear networks, and against the way outside."""

from __future__ import annotations

import json
import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

import legstat as ls
from legstat._core.errors import LegstatWarning
from legstat.data import digits_model_path, load_digit
from legstat.designs.grid import Grid
from legstat.explanation.explanation import Explanation
from legstat.perturbations.operators import Perturbation
from legstat.perturbations.recipe import Recipe, Scorer
from legstat.responses.network.preprocessing import Preprocessing
from legstat.responses.onnx.opening import onnx_response, reopen_onnx
from legstat.responses.onnx.perturbed_input import CELLS, Prefix, prepend
from legstat.responses.onnx.response import InsideScorer, OnnxResponse
from legstat.responses.onnx.session import Session
from legstat.sampling import batch_size as batching
from legstat.sampling.batch_size import tune_batch_size
from tests.helpers import naive_pictures
from tests.helpers_onnx import linear_model, residual_model

GRID = Grid((2, 4))
OPERATORS: dict[str, Perturbation] = {
    "clipped": ls.Additive(),
    "free": ls.Additive(clip=False),
    "quantised": ls.Additive(clip=False, quantise=True),
    "blend": ls.Blend("mean", at=0.4),
    "smooth blend": ls.Blend("mean", at=0.4, lift="smooth"),
    "smooth": ls.Additive(clip=False, lift="smooth"),
}
WAYS = [(name, "shared") for name in OPERATORS] + [
    (name, way) for name in ("clipped", "quantised", "smooth") for way in ("joint", "separate")
]


def noise(channels: int, way: str, seed: int = 0) -> tuple[np.ndarray, int | None]:
    """z from nothing to far beyond the range, for the planes and the channel of that arrangement."""
    z = np.random.default_rng(seed).standard_normal((5, channels if way == "joint" else 1, *GRID.shape))
    return z * np.array([0.0, 0.02, 0.1, 0.4, 2.0])[:, None, None, None], channels - 1 if way == "separate" else None


def truth(
    operator: Perturbation, image: np.ndarray, z: np.ndarray, channel: int | None, rule: Preprocessing, whole: bool
) -> np.ndarray:
    """The network's input by loops and the docstrings' formulas, in float64, in the network's layout."""
    assert isinstance(operator, ls.Additive | ls.Blend)
    smooth = operator.lift == "smooth"
    if isinstance(operator, ls.Blend):
        baseline = operator.baseline_picture(image)
        pictures = naive_pictures(image, z, baseline=baseline, at=operator.at, smooth=smooth)
    else:
        rules = {"clip": operator.clip, "quantise": operator.quantise, "smooth": smooth}
        pictures = naive_pictures(image, z, channel=channel, **rules)
    if rule.channel_order == "BGR" and len(image) == 3:
        pictures = pictures[:, ::-1]
    mean, std = (np.broadcast_to(v, len(image))[:, None, None] for v in (rule.mean, rule.std))
    inputs = (rule.scale * pictures - mean) / std
    if whole:
        inputs = np.clip(np.rint(inputs), 0, 255)
    return inputs.transpose(0, 2, 3, 1) if rule.layout == "NHWC" else inputs


# (type of the input, channels, opset, preprocessing): what exports differ in
NETWORKS: dict[str, tuple[str, int, int, Preprocessing]] = {
    "float32": ("float32", 3, 13, Preprocessing()),
    "imagenet": ("float32", 3, 17, Preprocessing(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))),
    "caffe": ("float32", 3, 9, Preprocessing(channel_order="BGR", scale=255.0, mean=(103.9, 116.8, 123.7))),
    "imagenet, newest": ("float32", 3, 21, Preprocessing(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))),
    "caffe, oldest": ("float32", 3, 7, Preprocessing(channel_order="BGR", scale=255.0, mean=(103.9, 116.8, 123.7))),
    "oldest": ("float32", 3, 7, Preprocessing(scale=255.0, mean=127.5, std=127.5)),
    "channels last": ("float32", 3, 11, Preprocessing(layout="NHWC", channel_order="BGR", mean=(0.1, 0.2, 0.3))),
    "grey": ("float32", 1, 13, Preprocessing(scale=2.0, mean=1.0)),
    "float16": ("float16", 3, 13, Preprocessing()),
    "float64": ("float64", 3, 13, Preprocessing(mean=0.5)),
    "float64 before Clip": ("float64", 3, 9, Preprocessing(mean=0.5)),
    "uint8": ("uint8", 3, 13, Preprocessing(scale=255.0)),
    "uint8, channels last": ("uint8", 3, 11, Preprocessing(scale=255.0, layout="NHWC", channel_order="BGR")),
}


@pytest.mark.parametrize(("name", "way"), WAYS)
@pytest.mark.parametrize(("network", "batch"), [(name, "N") for name in NETWORKS] + [("caffe", 2), ("uint8", 2)])
def test_scores_are_those_of_pictures_made_by_hand(
    tmp_path: Path, network: str, name: str, way: str, batch: int | str, rng: np.random.Generator
) -> None:
    dtype, channels, opset, rule = NETWORKS[network]
    last = rule.layout == "NHWC"
    model = linear_model(
        tmp_path / "m.onnx",
        shape=(channels, 4, 8),
        dtype=dtype,
        opset=opset,
        channels_last=last,
        batch=batch,
        scale=1 / rule.scale,
    )
    image, operator = rng.random((channels, 4, 8)), OPERATORS[name]
    image.flat[::5] = 0.0
    z, channel = noise(channels, way)
    more = {"target": 1, "score": "logit", "preprocessing": rule, "batch_size": 3, "free_batch_axis": False}
    f = onnx_response(model.path, compose="inside", **more)
    recipe = operator.recipe(image, GRID, f.dtype)
    inside = f.scorer(recipe)(z, channel)
    # the same bits as with pictures that come from outside
    np.testing.assert_array_equal(inside, onnx_response(model.path, **more).scorer(recipe)(z, channel))
    if dtype == "uint8" and operator == OPERATORS["quantised"]:
        return  # a grey level that was truncated in float32 or in float64 may be the next one
    expected = model.logits(truth(operator, image, z, channel, rule, dtype == "uint8"))[:, 1]
    # rounding of 32 or 96 numbers to 11, 24, 53 bits, and of sums of them; a level of 255 is 0.004 of the input's size
    size = {"float16": 2e-2, "float32": 2e-5, "float64": 1e-13, "uint8": 2e-5}[dtype]
    np.testing.assert_allclose(inside, expected, rtol=0, atol=size * max(1.0, np.abs(expected).max()))


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=list(OPERATORS))
def test_the_runtime_fuses_the_same_nodes(tmp_path: Path, operator: Perturbation, rng: np.random.Generator) -> None:
    # where it does not know that both branches have one size it adds them later, which rounds differently
    f = onnx_response(residual_model(tmp_path / "m.onnx"), target=1, score="logit", compose="inside")
    recipe = operator.recipe(rng.random((3, 8, 16)), GRID, f.dtype)
    z, _ = noise(3, "shared")
    inside, outside = f.scorer(recipe)(z, None), f.with_compose("outside").scorer(recipe)(z, None)
    np.testing.assert_array_equal(inside, outside)


def test_only_numbers_of_cells_go_in_and_only_class_outputs_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    model = linear_model(tmp_path / "m.onnx", shape=(3, 4, 8))
    f = onnx_response(model.path, target=1, compose="inside", batch_size=4)
    score = f.scorer(ls.Blend("mean").recipe(rng.random((3, 4, 8)), GRID, f.dtype))
    seen: list[tuple[dict[str, int], list[tuple[int, ...]]]] = []
    original = Session.run

    def run(self: Session, names: list[str], feed: dict[str, np.ndarray], constant: Any = ()) -> list[np.ndarray]:
        made = original(self, names, feed, constant)
        moving = {name: value.size for name, value in feed.items() if name not in constant}
        seen.append((moving, [value.shape for value in made]))
        return made

    monkeypatch.setattr(Session, "run", run)
    score(np.zeros((4, 1, *GRID.shape)), None)
    assert seen == [({CELLS: 4 * 3 * 8}, [(4, 5)])]


def scorer_of(f: OnnxResponse, image: np.ndarray) -> Scorer:
    return f.scorer(ls.Additive().recipe(image, GRID, f.dtype))


def test_pictures_of_one_form_share_a_session(tmp_path: Path, rng: np.random.Generator) -> None:
    model = linear_model(tmp_path / "m.onnx", shape=(3, 4, 8))
    f = onnx_response(model.path, target=1, compose="inside")
    one, two = rng.random((2, 3, 4, 8))
    z, _ = noise(3, "shared")
    first, session = scorer_of(f, one)(z, None), f._runner._composed
    second = scorer_of(f, two)(z, None)
    assert f._runner._composed is session
    outside = f.with_compose("outside")
    np.testing.assert_array_equal(second, scorer_of(outside, two)(z, None))
    # an earlier scorer goes on with its own picture
    np.testing.assert_array_equal(scorer_of(outside, one)(z, None), first)
    finer = ls.Additive().recipe(one, Grid((4, 8)), f.dtype)
    f.scorer(finer)
    assert f._runner._composed is not session


def test_initialisers_listed_as_inputs_stay_what_they_are(tmp_path: Path, rng: np.random.Generator) -> None:
    path = linear_model(tmp_path / "m.onnx", shape=(3, 4, 8), opset=8).path
    proto = onnx.load(str(path))
    proto.ir_version = 3
    for tensor in proto.graph.initializer:
        proto.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    onnx.save(proto, str(path))
    prefix = Prefix.of(ls.Additive().recipe(np.zeros((3, 4, 8)), GRID, np.dtype("f")), "NCHW", np.dtype("f"))
    prepend("test", proto, "image", prefix, 8, None)
    onnx.checker.check_model(proto)  # initialisers that are no inputs are none before version 4 of the format
    assert [value.name for value in proto.graph.input] == ["legstat_cells", "legstat_base"]
    f, image, (z, _) = onnx_response(path, target=1, compose="inside"), rng.random((3, 4, 8)), noise(3, "shared")
    np.testing.assert_array_equal(scorer_of(f, image)(z, None), scorer_of(f.with_compose("outside"), image)(z, None))


def test_where_it_changes_the_outputs_it_is_refused_every_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    original = Prefix.arrays
    monkeypatch.setattr(
        Prefix, "arrays", lambda self, recipe: {k: v + np.float32(1e-4) for k, v in original(self, recipe).items()}
    )
    f = onnx_response(linear_model(tmp_path / "m.onnx", shape=(3, 4, 8)).path, target=1, compose="inside")
    for _ in range(2):
        with pytest.raises(ValueError, match=r"`compose` must be 'outside' where .* They differ by .* of their size"):
            scorer_of(f, rng.random((3, 4, 8)))
    assert f.describe()["checks"]["inside"]["works"] is False


def test_a_graph_that_cannot_round_is_named(tmp_path: Path, rng: np.random.Generator) -> None:
    model = linear_model(tmp_path / "m.onnx", shape=(3, 4, 8), dtype="uint8", opset=10)
    f = onnx_response(model.path, target=1, compose="inside")
    with pytest.raises(ValueError, match=r"`compose` must be 'outside' for a whole-numbered input below opset 11"):
        scorer_of(f, rng.random((3, 4, 8)))


def test_an_open_target_is_not_scored(tmp_path: Path) -> None:
    f = onnx_response(linear_model(tmp_path / "m.onnx", shape=(3, 4, 8)).path, compose="inside")
    with pytest.raises(ValueError, match=r"`target` must be settled"):
        scorer_of(f, np.zeros((3, 4, 8)))


def test_unknown_place() -> None:
    with pytest.raises(ValueError, match=r"`compose` must be one of \['auto', 'outside', 'inside'\]. Got 'within'"):
        onnx_response(digits_model_path(), compose="within")  # type: ignore[arg-type]


DESIGN = ls.StructuredGaussian(grid=(8, 8), scale=0.1)


def digits(compose: Any = "inside", **more: Any) -> OnnxResponse:
    return onnx_response(digits_model_path(), compose=compose, **more)


def test_it_is_part_of_the_fingerprint_and_of_the_description() -> None:
    image = load_digit(0)[0]
    outside, inside, auto = (digits(where).bind(image)[0] for where in ("outside", "inside", "auto"))
    assert [f.describe()["compose"] for f in (outside, inside, auto)] == ["outside", "inside", "outside"]
    assert outside.fingerprint == auto.fingerprint != inside.fingerprint
    about = json.loads(json.dumps(inside.describe()))
    assert digits("auto").resolved(about).fingerprint == inside.fingerprint
    assert digits("auto").resolved(about).compose == "inside"
    again = reopen_onnx(about, digits_model_path())
    assert again.compose == "inside"
    assert again.resolved(about).fingerprint == inside.fingerprint
    with pytest.raises(ValueError, match="They differ in: compose"):
        digits("outside").resolved(about)
    assert "inside" not in outside.describe()["checks"]


@pytest.mark.parametrize("operator", [ls.Additive(), ls.Blend("blur")], ids=repr)
def test_a_query_run_gives_the_same_bits(operator: Perturbation, monkeypatch: pytest.MonkeyPatch) -> None:
    image = load_digit(0)[0]
    made: list[int] = []
    composer = Recipe.composer
    monkeypatch.setattr(Recipe, "composer", lambda self, **more: made.append(1) or composer(self, **more))
    arguments: Any = {"n_queries": 301, "perturbation": operator, "rng": 0, "progress": False}
    outside = ls.query(digits("outside"), image, DESIGN, **arguments)
    f = digits()
    f.bind(image)[0].scorer(operator.recipe(image, DESIGN.grid, f.dtype))  # verified once, with pictures from here
    count = len(made)
    for batch_size in (1, 7, 64):
        inside = ls.query(f, image, DESIGN, batch_size=batch_size, **arguments)
        np.testing.assert_array_equal(inside.responses, outside.responses)
        assert (inside.f_x0, inside.f_base) == (outside.f_x0, outside.f_base)
        assert inside.response["compose"] == "inside"
        assert inside.response["checks"]["inside"]["works"]
    assert len(made) == count, "no picture is made outside the graph"


@pytest.fixture
def ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread of its own for the session, as with a device."""
    original = InsideScorer.__init__

    def init(self: InsideScorer, *arguments: Any, ahead: int) -> None:
        assert ahead == 0, "the CPU has none"
        original(self, *arguments, ahead=1)

    monkeypatch.setattr(InsideScorer, "__init__", init)


@pytest.mark.usefixtures("ahead")
def test_a_session_that_works_ahead_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    image, threads = load_digit(0)[0], set()
    arguments: Any = {"n_queries": 302, "perturbation": ls.Blend("blur"), "rng": 0, "progress": False}
    usual = ls.query(digits("outside"), image, DESIGN, **arguments)
    original = Session.run
    calls: list[int] = []

    def run(self: Session, names: list[str], feed: dict[str, np.ndarray], constant: Any = ()) -> list[np.ndarray]:
        threads.add(threading.current_thread().name)
        calls.append(len(feed.get(CELLS, ())))
        if len(calls) == 20 and calls[-1] == 7:
            raise RuntimeError("session is gone")
        return original(self, names, feed, constant)

    monkeypatch.setattr(Session, "run", run)
    with pytest.raises(ls.QueryError, match="session is gone") as caught:
        ls.query(digits(), image, DESIGN, batch_size=7, **arguments)
    stopped = caught.value.sample
    assert len(threads) == 2  # f(x0) in this one
    kept = stopped.ledger.base + stopped.ledger.perturbed
    done = ls.query(digits(), image, DESIGN, **{**arguments, "rng": None}, resume=stopped, batch_size=16)
    np.testing.assert_array_equal(done.responses, usual.responses)
    assert done.ledger.spent == usual.ledger.spent
    verified = done.response["checks"]["inside"]["evaluations"] // 2
    answered = sum(calls[:19]) - verified  # all that the session answered before it was gone, but for the check
    assert kept in (answered, answered + sum(calls[20:21]))


@pytest.mark.usefixtures("ahead")
def test_a_batch_that_does_not_fit_ahead_is_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    image, original = load_digit(0)[0], Session.run
    arguments: Any = {"n_queries": 200, "rng": 0, "progress": False}

    def run(self: Session, names: list[str], feed: dict[str, np.ndarray], constant: Any = ()) -> list[np.ndarray]:
        if len(feed.get(CELLS, ())) > 8:
            raise RuntimeError("Failed to allocate memory for requested buffer")
        return original(self, names, feed, constant)

    usual = ls.query(digits("outside"), image, DESIGN, **arguments)
    monkeypatch.setattr(Session, "run", run)
    with pytest.warns(LegstatWarning, match="did not fit the memory"):
        halved = ls.query(digits(), image, DESIGN, batch_size=32, **arguments)
    np.testing.assert_array_equal(halved.responses, usual.responses)
    assert halved.ledger == usual.ledger


def test_a_stopped_run_goes_on_where_its_pictures_were_made(tmp_path: Path) -> None:
    image = load_digit(0)[0]
    start = ls.query(digits(), image, DESIGN, 101, rng=0, cache=tmp_path, progress=False)
    done = ls.query(digits("auto"), image, DESIGN, 301, resume=start, progress=False)
    assert done.response["compose"] == "inside"
    whole = ls.query(digits("outside"), image, DESIGN, 301, rng=0, progress=False)
    np.testing.assert_array_equal(done.responses, whole.responses)
    served = ls.query(digits(), image, DESIGN, 101, rng=0, cache=tmp_path, progress=False)
    assert served.ledger.cached == 101
    assert ls.query(digits("outside"), image, DESIGN, 101, rng=0, cache=tmp_path, progress=False).ledger.cached == 0


def test_a_record_is_verified_with_pictures_made_where_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = ls.explain(digits(), load_digit(0)[0], perturbation=ls.Blend("black"), n_queries=402, rng=0)
    files = found.save(tmp_path)
    inside: list[str] = []
    original = OnnxResponse.scorer
    monkeypatch.setattr(
        OnnxResponse, "scorer", lambda self, recipe: inside.append(self.compose) or original(self, recipe)
    )
    assert ls.verify(files[-1], progress=False).passed
    assert inside == ["inside"]


@pytest.mark.parametrize("fastest", ["outside", "inside"])
def test_a_measurement_settles_what_was_left_open(
    tmp_path: Path, fastest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def seconds(response: OnnxResponse, recipe: Recipe, planes: int, size: int) -> float:
        response.scorer(recipe)
        return (1.0 if response.compose == fastest else 2.0) / min(size, 16)

    monkeypatch.setattr(batching, "_seconds_per_image", seconds)
    image = load_digit(0)[0]
    arguments: Any = {"n_queries": 402, "perturbation": ls.Blend("black"), "rng": 0, "progress": False}
    sample = ls.query(digits("auto"), image, DESIGN, batch_size="auto", cache=tmp_path / "kept", **arguments)
    assert sample.response["compose"] == fastest
    assert sample.response["batch_size"] == 16
    assert sample.response["asked"]["compose"] == "auto"
    np.testing.assert_array_equal(sample.responses, ls.query(digits("outside"), image, DESIGN, **arguments).responses)
    resumed = ls.query(
        digits("auto"), image, DESIGN, **{**arguments, "n_queries": 502, "rng": None}, resume=sample, batch_size="auto"
    )
    assert resumed.response["compose"] == fastest
    monkeypatch.delattr(batching, "_measure")
    again = ls.query(digits("auto"), image, DESIGN, batch_size="auto", cache=tmp_path / "kept", **arguments)
    assert {**again.response, "checks": {}} == {**sample.response, "checks": {}}
    assert again.ledger.cached == again.ledger.n_queries - again.ledger.unused  # found under the same fingerprint
    files = Explanation.of(sample).save(tmp_path)
    assert ls.verify(files[-1], model=digits_model_path(), progress=False).passed


def test_what_cannot_be_composed_stays_outside_and_says_why(tmp_path: Path, rng: np.random.Generator) -> None:
    model = linear_model(tmp_path / "m.onnx", shape=(3, 4, 8), dtype="uint8", opset=10)
    f = tune_batch_size(onnx_response(model.path, target=1), rng.random((3, 4, 8)), seconds=0.05)
    assert isinstance(f, OnnxResponse)
    assert f.describe()["compose"] == "outside"
    assert "below opset 11" in f.describe()["checks"]["inside"]["reason"]


def test_it_goes_to_another_process_without_its_composed_session() -> None:
    image = load_digit(0)[0]
    f, _ = digits().bind(image)
    z = 0.1 * np.random.default_rng(0).standard_normal((3, 1, 8, 8))
    recipe = ls.Additive().recipe(image, DESIGN.grid, f.dtype)
    here = f.scorer(recipe)(z, None)
    sent = pickle.loads(pickle.dumps(f))
    assert sent._runner._composed is None
    np.testing.assert_array_equal(sent.scorer(recipe)(z, None), here)


@pytest.mark.parametrize("free", [True, False])
@pytest.mark.parametrize(
    ("name", "preprocessing", "grid"),
    [
        ("mobilenet_v2_1.0_224", "tf", 28),
        ("squeezenet1.1", "caffe", 28),
        ("SqueezeNet_fp16", "caffe", 28),
        ("mnist_cntk", "raw", 14),
        ("leg_mnist_cnn", "tf", 14),
        ("mnist_kw_robust", "unit", 14),
        ("cifar10_resnet20", "unit", 16),
        ("cifar10_resnet_4b_robust", "unit", 16),
    ],
)
def test_real_networks_see_the_same_bits(data_dir: Path, name: str, preprocessing: str, grid: int, free: bool) -> None:
    f = onnx_response(
        data_dir / "models" / f"{name}.onnx",
        preprocessing=preprocessing,
        compose="inside",
        batch_size=2,
        free_batch_axis=free,
    )
    channels, height, width = (size or 224 for size in f.input_shape or ())
    rng = np.random.default_rng(0)
    image, z = rng.random((channels, height, width)), 0.2 * rng.standard_normal((3, channels, grid, grid))
    settled, _ = f.bind(image)
    for operator, planes, channel in (
        (ls.Additive(), 1, None),
        (ls.Additive(clip=False), channels, None),
        (ls.Additive(clip=False, quantise=True), 1, 0),
        (ls.Blend("blur"), 1, None),
    ):
        recipe = operator.recipe(image, Grid((grid, grid)), f.dtype)
        inside = settled.scorer(recipe)(z[:, :planes], channel)
        outside = settled.with_compose("outside").scorer(recipe)(z[:, :planes], channel)
        np.testing.assert_array_equal(inside, outside)
