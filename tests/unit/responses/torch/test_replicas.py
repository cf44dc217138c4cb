"""Where and how the module runs: pictures made on the device, several devices, precision, compilation, faults."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import legstat as ls
from legstat._core.errors import LegstatWarning
from legstat.responses.network.preprocessing import Preprocessing
from legstat.responses.torch.devices import _switches
from legstat.responses.torch.opening import torch_response
from legstat.samples.faults import NonFiniteResponseError, QueryError

torch = pytest.importorskip("torch")

GRID = (4, 5)
COMPILED = ls.TorchSettings(compile_mode="default")
SEVERAL = [None, ["cpu", "cpu"], ["cpu", "cpu", "cpu"]]


@pytest.fixture
def image(rng: np.random.Generator) -> np.ndarray:
    return rng.random((3, 8, 10))


@pytest.fixture
def ready() -> object:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return torch.nn.Sequential(
            torch.nn.Conv2d(3, 6, 3),
            torch.nn.BatchNorm2d(6),
            torch.nn.ReLU(),
            torch.nn.Flatten(),
            torch.nn.Linear(288, 5),
        ).eval()


class Spy(torch.nn.Module):
    """Logits are the first pixels; keeps what it was handed."""

    def __init__(self, log: list[object]) -> None:
        super().__init__()
        self._log = (log,)

    def __deepcopy__(self, memo: object) -> object:
        return Spy(self._log[0])  # the same list, so that the test sees what the copy sees

    def forward(self, x: object) -> object:
        self._log[0].append(x.clone())
        return x.flatten(1)[:, :7].float()


def answers(
    module: object, image: np.ndarray, design: object, perturbation: object = None, **more: object
) -> np.ndarray:
    f = torch_response(module, target=1, output_kind="logits", **more)
    sample = ls.query(f, image, design, n_queries=152, perturbation=perturbation, rng=3, progress=False)
    assert sample.ledger.spent <= 152
    return sample.responses


PREPROCESSINGS = {
    "unit": "unit",
    "caffe": "caffe",
    "imagenet": "imagenet",
    "bgr": Preprocessing(channel_order="BGR"),
}
RECIPES = {
    "additive": (ls.Additive(), "shared"),
    "separate": (ls.Additive(), "separate"),
    "joint": (ls.Additive(), "joint"),
    "unclipped": (ls.Additive(clip=False), "joint"),
    "quantised": (ls.Additive(clip=False, quantise=True), "separate"),
    "blend": (ls.Blend("mean", at=0.7), "shared"),
    "smooth": (ls.Blend("mean", at=0.7, lift="smooth"), "shared"),
    "smooth, unclipped": (ls.Additive(clip=False, lift="smooth"), "joint"),
}


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("preprocessing", PREPROCESSINGS)
def test_pictures_made_on_the_device_are_equal_to_the_bit(
    image: np.ndarray, recipe: str, preprocessing: str, last: bool
) -> None:
    perturbation, channels = RECIPES[recipe]
    design = ls.StructuredGaussian(grid=GRID, scale=0.4, channels=channels)
    seen: dict[str, list[object]] = {"outside": [], "inside": []}
    found = {
        where: answers(
            Spy(log),
            image,
            design,
            perturbation,
            preprocessing=PREPROCESSINGS[preprocessing],
            compose=where,
            settings=ls.TorchSettings(channels_last=last),
            batch_size=32,  # both ways take the channels' batches in the same order
        )
        for where, log in seen.items()
    }
    assert len(seen["outside"]) == len(seen["inside"]) > 5
    for host, device in zip(seen["outside"], seen["inside"], strict=True):
        assert torch.equal(host, device)
        assert device.is_contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
    assert np.array_equal(found["outside"], found["inside"])


def test_composition_for_networks_with_the_channels_last(image: np.ndarray) -> None:
    class Turned(torch.nn.Module):
        def forward(self, x: object) -> object:
            assert x.shape[1:] == (8, 10, 3)
            return x.flatten(1)[:, ::3]

    design = ls.StructuredGaussian(grid=GRID, scale=0.4)
    rule = Preprocessing(layout="NHWC", channel_order="BGR", scale=255.0, mean=(1.0, 2.0, 3.0))
    host, device = (
        answers(Turned(), image, design, preprocessing=rule, compose=where, batch_size=9)
        for where in ("outside", "inside")
    )
    assert np.array_equal(host, device)


def test_where_pictures_are_made_is_measured_where_it_was_left_open(ready: object, image: np.ndarray) -> None:
    f, _ = torch_response(ready, target=1).bind(image)
    outside, inside = f.variants()
    assert (outside.describe()["compose"], inside.describe()["compose"]) == ("outside", "inside")
    assert outside.fingerprint == f.fingerprint != inside.fingerprint
    assert len(torch_response(ready, target=1, compose="inside").variants()) == 1
    assert f.with_compose("inside")._replicas is f._replicas
    design = ls.StructuredGaussian(grid=GRID, scale=0.1)
    sample = ls.query(inside, image, design, n_queries=51, rng=0, progress=False)
    longer = ls.query(torch_response(ready, target=1), image, design, n_queries=101, resume=sample, progress=False)
    assert longer.response["compose"] == "inside"
    whole = ls.query(f, image, design, n_queries=101, rng=0, progress=False)
    # kernels of other sizes of batch
    assert longer.responses == pytest.approx(whole.responses, rel=1e-5, abs=1e-6)
    auto = ls.query(torch_response(ready, target=1), image, design, n_queries=6000, batch_size="auto", rng=0)
    assert auto.response["compose"] in ("outside", "inside")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("device", SEVERAL)
def test_scores_do_not_depend_on_where_pictures_are_made_nor_on_the_number_of_devices(
    ready: object, image: np.ndarray, dtype: object, device: object
) -> None:
    design, module = ls.StructuredGaussian(grid=GRID, scale=0.1), ready.to(dtype)
    one = answers(module, image, design, batch_size=8, compose="outside")
    more = {} if device is None else {"device": device}
    for compose in ("outside", "inside"):
        other = answers(module, image, design, batch_size=8, compose=compose, **more)
        # other shares of a batch, other kernels: float32 sums of some 300 terms; bfloat16 has 8 bits
        assert other == pytest.approx(one, rel=0.05 if dtype == torch.bfloat16 else 1e-5, abs=1e-5)
        if device is None:
            assert np.array_equal(one, other)


def test_shares_of_a_batch_come_back_in_order(image: np.ndarray) -> None:
    log: list[object] = []
    f, _ = torch_response(
        Spy(log), target=1, score="logit", output_kind="logits", device=["cpu"] * 3, batch_size=8
    ).bind(image)
    images = np.random.default_rng(0).random((19, 3, 8, 10)).astype(np.float32)
    log.clear()
    assert np.array_equal(f(images), images[:, 0, 0, 1])
    assert sorted(len(x) for x in log) == [1, 1, 1, 2, 2, 3, 3, 3, 3]  # 8 + 8 + 3 pictures
    assert f.describe()["provider"] == "cpu, cpu, cpu"


@pytest.mark.usefixtures("bare_bind")
def test_only_the_output_of_a_module_that_fails_on_one_device_is_an_error(image: np.ndarray) -> None:
    class Fails(torch.nn.Module):
        def forward(self, x: object) -> object:
            if len(x) == 2:
                raise RuntimeError("the second device is gone")
            return x.flatten(1)

    f = torch_response(Fails(), target=1, output_kind="logits", device=["cpu", "cpu"], batch_size=5)
    with pytest.raises(QueryError, match="the second device is gone"):
        ls.query(f, image, ls.StructuredGaussian(grid=GRID, scale=0.1), n_queries=30, rng=0, progress=False)


# -- precision ---------------------------------------------------------------------------------------------------


def test_the_error_of_autocast_is_measured(ready: object, image: np.ndarray) -> None:
    exact, _ = torch_response(ready, target=1).bind(image)
    for dtype in ("bfloat16", "float16"):
        f, value = torch_response(ready, target=1, settings=ls.TorchSettings(autocast=dtype)).bind(image)
        found = f.describe()["checks"]["autocast"]
        assert found["evaluations"] == 16
        assert found["error_x0"] == pytest.approx(value - exact(image[None])[0], abs=2e-3)  # kernels of 1 and of 4 rows
        assert 0 < found["error_rms"] <= found["error_max"] < found["spread"]
        images = np.random.default_rng(0).random((20, 3, 8, 10)).astype(np.float32)
        error = np.abs(f(images) - exact(images)).max()
        # the same size of error on other pictures, and not nothing: the precision is really lower
        assert 0.1 * found["error_rms"] < error < 30 * found["error_max"]
        json.dumps(f.describe(), allow_nan=False)
        again = torch_response(ready, target=1, settings=ls.TorchSettings(autocast=dtype)).resolved(f.describe())
        assert again.describe() == f.describe()
    with pytest.raises(ValueError, match="They differ in"):
        torch_response(ready, target=1).resolved(f.describe())
    assert "checks" in exact.describe()
    assert exact.describe()["checks"] == {}


@pytest.mark.usefixtures("bare_bind")
def test_switches_of_torch_hold_during_the_run_and_come_back(image: np.ndarray) -> None:
    seen = []

    class Asks(torch.nn.Module):
        def forward(self, x: object) -> object:
            seen.append([getattr(holder, name) for holder, name, _ in _switches()[0]])
            if len(seen) > 4:
                raise RuntimeError("stop")
            return x.flatten(1)

    _, off, on = _switches()
    before = [getattr(holder, name) for holder, name, _ in _switches()[0]]
    images = image[None].astype(np.float32)
    precision = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        users = [getattr(holder, name) for holder, name, _ in _switches()[0]]
        assert users != before
        for tf32 in (False, True):
            f, _ = torch_response(Asks(), target=0, output_kind="logits", settings=ls.TorchSettings(tf32=tf32)).bind(
                image
            )
            f(images)
        with pytest.raises(RuntimeError, match="stop"):
            f(images)
        assert [getattr(holder, name) for holder, name, _ in _switches()[0]] == users
    finally:
        torch.set_float32_matmul_precision(precision)
        for (holder, name, _), value in zip(_switches()[0], before, strict=True):
            setattr(holder, name, value)
    assert seen[0] == seen[1] == [off] * len(before)
    assert seen[2] == [on if is_cuda else off for _, _, is_cuda in _switches()[0]]


# -- compilation -------------------------------------------------------------------------------------------------


def test_sizes_are_filled_up_to_compiled_ones(monkeypatch: pytest.MonkeyPatch, image: np.ndarray) -> None:
    log: list[object] = []
    # the module itself in place of the compiled one: it is the sizes that are looked at
    monkeypatch.setattr(torch, "compile", lambda module, **more: module)
    f, value = torch_response(
        Spy(log), target=1, score="logit", output_kind="logits", batch_size=8, settings=COMPILED
    ).bind(image)
    images = np.random.default_rng(0).random((8, 3, 8, 10)).astype(np.float32)
    assert value == np.float32(image[0, 0, 1])
    sizes = []
    for n in (8, 5, 3, 5, 8, 5, 5, 4, 2):
        log.clear()
        assert np.array_equal(f(images[:n]), images[:n, 0, 0, 1])
        sizes.append(len(log[0]))
    # 5 is a regular size from the third time on; 4 and less are then filled up to it
    assert sizes == [8, 8, 8, 8, 8, 5, 5, 5, 5]
    assert len(f.class_outputs(images[:0])) == 0
    for n in range(9, 40):
        log.clear()
        f.with_batch_size(n)(np.repeat(images, 6, axis=0)[:n])
        assert [len(x) for x in log] == [n]  # a full batch is never filled up


def test_a_compiled_network_that_computes_something_else_is_refused(
    monkeypatch: pytest.MonkeyPatch, ready: object, image: np.ndarray
) -> None:
    monkeypatch.setattr(torch, "compile", lambda module, **more: lambda x: module(x) * 1.02)
    with pytest.raises(ValueError, match=r"`compile_mode` must be one that changes the outputs by at most 0.0001"):
        torch_response(ready, target=1, settings=COMPILED).bind(image)
    narrow = ls.TorchSettings(compile_mode="default", autocast="bfloat16")
    f, _ = torch_response(ready, target=1, settings=narrow).bind(image)
    assert 1e-4 < f.describe()["checks"]["compile"]["difference"] < 5e-2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on the CPU")
def test_compiled_once_for_a_run_with_partial_batches(bare_bind: None, ready: object, image: np.ndarray) -> None:
    from torch._dynamo.utils import counters

    # the run by itself: what `bind` tries in a batch of its own compiles one graph more
    design = ls.StructuredGaussian(grid=GRID, scale=0.1)
    for compose in ("outside", "inside"):
        eager = answers(ready, image, design, batch_size=30, compose=compose)
        torch._dynamo.reset()
        counters.clear()
        compiled = answers(ready, image, design, batch_size=30, compose=compose, settings=COMPILED)
        # batches of 1, 8, 30, 4 and 28 pictures: of these 4 comes up three times, in blocks of 64
        assert counters["stats"]["unique_graphs"] <= 2
        assert compiled == pytest.approx(eager, rel=1e-4, abs=1e-5)  # what the documentation states


# -- faults ------------------------------------------------------------------------------------------------------


class Small(torch.nn.Module):
    """Does not fit more than `fits` pictures."""

    def __init__(self, fits: int, log: list[int]) -> None:
        super().__init__()
        self.fits, self._log = fits, (log,)

    def __deepcopy__(self, memo: object) -> object:
        return Small(self.fits, self._log[0])

    def forward(self, x: object) -> object:
        if len(x) > self.fits:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        self._log[0].append(len(x))
        return x.flatten(1)[:, :7]


@pytest.mark.parametrize("compose", ["outside", "inside"])
@pytest.mark.parametrize("device", ["cpu", ["cpu", "cpu"]])
@pytest.mark.usefixtures("bare_bind")
def test_out_of_memory_halves_and_loses_nothing(image: np.ndarray, compose: str, device: object) -> None:
    design = ls.StructuredGaussian(grid=GRID, scale=0.1)
    expected = answers(Small(64, []), image, design, batch_size=64)
    log: list[int] = []
    k = 1 if device == "cpu" else 2
    f = torch_response(Small(5, log), target=1, output_kind="logits", batch_size=64, compose=compose, device=device)
    with pytest.warns(LegstatWarning, match="did not fit the memory") as warned:
        sample = ls.query(f, image, design, n_queries=152, rng=3, progress=False)
    sizes = [str(w.message) for w in warned if "did not fit" in str(w.message)]
    assert len(sizes) == {1: 4, 2: 3}[k]  # 64, 32, 16, 8 -> 4; of two devices 32 + 32, 16 + 16, 8 + 8 -> 4 + 4
    assert np.array_equal(sample.responses, expected)
    assert sample.ledger.spent == 151
    # a share that fitted is paid again only where the other share of its batch did not
    assert sum(log) == 151


@pytest.mark.usefixtures("bare_bind")
def test_memory_that_the_processor_does_not_have_halves_the_batch(image: np.ndarray) -> None:
    class Huge(torch.nn.Module):
        def forward(self, x: object) -> object:
            if len(x) > 3:
                torch.empty(1 << 52)  # the allocator's own error, not an injected one
            return x.flatten(1)

    f, _ = torch_response(Huge(), target=0, score="logit", output_kind="logits", batch_size=7).bind(image)
    images = np.repeat(image[None], 7, axis=0).astype(np.float32)
    with pytest.warns(LegstatWarning, match=r"a batch of 7 did not fit .* going on with 3"):
        assert np.array_equal(f(images), images[:, 0, 0, 0])


@pytest.mark.parametrize("compose", ["outside", "inside"])
@pytest.mark.usefixtures("bare_bind")
def test_one_picture_that_does_not_fit_is_an_error(image: np.ndarray, compose: str) -> None:
    f, _ = torch_response(Small(1, []), target=1, output_kind="logits", compose=compose).bind(image)
    f._replicas.module.fits = 0
    with pytest.raises(QueryError, match="out of memory"):
        ls.query(f, image, ls.StructuredGaussian(grid=GRID, scale=0.1), n_queries=21, rng=0, progress=False)


@pytest.mark.parametrize("compose", ["outside", "inside"])
@pytest.mark.usefixtures("bare_bind")
def test_what_was_paid_is_kept_when_the_module_fails(image: np.ndarray, compose: str) -> None:
    class Broken(torch.nn.Module):
        def __init__(self, fault: str) -> None:
            super().__init__()
            self.fault, self.calls = fault, 0

        def forward(self, x: object) -> object:
            self.calls += 1
            made = x.flatten(1)[:, :7].clone()
            if self.calls < 5 or not self.fault:
                return made
            if self.fault == "raises":
                raise RuntimeError("CUDA error: device-side assert triggered")
            if self.fault == "nan":
                made[3] = float("nan")
            return {"classes": made[:, :6], "rows": made[:-1], "nan": made}[self.fault]

    design = ls.StructuredGaussian(grid=GRID, scale=0.1)
    arguments = {"target": 1, "output_kind": "logits", "batch_size": 10, "compose": compose}
    whole = answers(
        Broken(""), image, design, **{k: v for k, v in arguments.items() if k not in ("target", "output_kind")}
    )
    faults = {
        "raises": (QueryError, "device-side assert", 30),
        "classes": (QueryError, r"of 7 columns.*another number of classes", 30),
        "rows": (QueryError, r"of 10 rows, one per image", 30),
        # outside three batches are scored together, and each of them has a NaN
        "nan": (NonFiniteResponseError, "returned nan for evaluation 33", 39 if compose == "inside" else 57),
    }
    for fault, (error, text, paid) in faults.items():
        f = torch_response(Broken(fault), **arguments)
        with pytest.raises(error, match=text) as caught:
            ls.query(f, image, design, n_queries=152, rng=3, progress=False)
        sample = caught.value.sample
        assert sample.ledger.perturbed == paid
        known = np.concatenate([sample.segments[0].responses.ravel(), sample.segments[0].pending])
        kept = np.isfinite(known)
        assert kept.sum() == paid
        assert np.array_equal(known[kept], whole[: len(known)][kept])


def test_wrong_settings_are_named(ready: object) -> None:
    wrong = [
        ({"device": "quantum"}, ValueError, "`device` must be a device that this torch can use"),
        ({"device": "meta"}, ValueError, "computes no numbers"),
        ({"device": []}, ValueError, "sequence of at least one"),
        ({"compose": "graph"}, ValueError, "`compose` must be one of"),
        ({"settings": {"tf32": True}}, TypeError, "`settings` must be a TorchSettings"),
    ]
    if not torch.cuda.is_available():
        wrong.append(({"device": "cuda"}, ValueError, "`device` must be a device that this torch can use"))
    for more, kind, text in wrong:
        with pytest.raises(kind, match=text):
            torch_response(ready, **more)
    of_its_own: list[tuple[dict[str, object], type[Exception], str]] = [
        ({"autocast": "float8"}, ValueError, "`autocast` must be one of"),
        ({"compile_mode": "fast"}, ValueError, "`compile_mode` must be one of"),
        ({"channels_last": 1}, TypeError, "`channels_last` must be True or False"),
        ({"tf32": None}, TypeError, "`tf32` must be True or False"),
    ]
    for given, kind, text in of_its_own:
        with pytest.raises(kind, match=text):
            ls.TorchSettings(**given)
    with pytest.raises(ValueError, match="Autocast is for float32 weights"):
        torch_response(ready.to(torch.bfloat16), settings=ls.TorchSettings(autocast="bfloat16"))


def test_a_module_that_is_nowhere_is_refused() -> None:
    module = torch.nn.Linear(3, 3, device="meta")
    with pytest.raises(ValueError, match="`module` must be a module with weights"):
        torch_response(module)


def test_the_default_is_to_compose_on_the_device_unless_it_is_the_cpu(ready: object) -> None:
    about = torch_response(ready).describe()
    assert (about["compose"], about["tf32"], about["autocast"], about["provider"]) == ("outside", False, None, "cpu")
    assert about["deterministic"]["algorithms"] is False


# -- another runtime ---------------------------------------------------------------------------------------------


class DigitCNN(torch.nn.Module):
    """The graph of leg_mnist_cnn.onnx in torch, with that file's weights."""

    def __init__(self, weights: dict[str, np.ndarray]) -> None:
        super().__init__()
        skip = torch.nn.utils.skip_init  # no draw from torch's global generator
        self.convolutions = torch.nn.ModuleList(skip(torch.nn.Conv2d, *sizes, 3) for sizes in ((1, 32), (32, 64)))
        self.dense = torch.nn.ModuleList(skip(torch.nn.Linear, *sizes) for sizes in ((1600, 128), (128, 64), (64, 10)))
        names = [("w1", "b2"), ("w6", "b7"), ("w13", "b14"), ("w17", "b18"), ("w21", "b22")]
        with torch.no_grad():
            for layer, (weight, bias) in zip([*self.convolutions, *self.dense], names, strict=True):
                layer.weight.copy_(torch.from_numpy(weights[weight].copy()))
                layer.bias.copy_(torch.from_numpy(weights[bias].copy()))

    def forward(self, x: object) -> object:
        for layer in self.convolutions:
            x = torch.nn.functional.max_pool2d(layer(x).relu(), 2)
        x = x.permute(0, 2, 3, 1).flatten(1)
        return self.dense[2](self.dense[1](self.dense[0](x).relu()).relu())


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"compose": "inside", "settings": ls.TorchSettings(channels_last=True)},
        {"device": ["cpu", "cpu"], "compose": "inside"},
        {"settings": ls.TorchSettings(autocast="bfloat16")},
        pytest.param({"settings": COMPILED, "compose": "inside"}, marks=pytest.mark.slow),
    ],
)
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_a_real_network_gives_the_maps_of_its_onnx_file(data_dir: Path, more: dict[str, object]) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    path = data_dir / "models" / "leg_mnist_cnn.onnx"
    weights = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}
    with gzip.open(data_dir / "mnist" / "t10k-images-idx3-ubyte.gz") as stream:
        digits = np.frombuffer(stream.read(16 + 4 * 784), np.uint8, offset=16).reshape(-1, 1, 28, 28) / 255.0
    by_onnx = ls.onnx_response(path, preprocessing="tf", batch_size=16)
    by_torch = torch_response(DigitCNN(weights), preprocessing="tf", batch_size=16, **more)
    design = ls.StructuredGaussian(grid=(7, 7), scale=0.1)
    # sums of up to 1,600 float32 terms in another order; bfloat16's 8 bits in log-odds of size 20
    tolerance = 0.3 if more.get("settings") == ls.TorchSettings(autocast="bfloat16") else 1e-4
    for digit in digits:
        one, other = (ls.query(f, digit, design, n_queries=101, rng=1, progress=False) for f in (by_onnx, by_torch))
        assert other.responses == pytest.approx(one.responses, abs=tolerance)
        assert other.response["target"] == one.response["target"]
        assert np.ptp(one.responses) > 10 * tolerance


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_agrees_with_the_cpu(ready: object, image: np.ndarray) -> None:
    design = ls.StructuredGaussian(grid=GRID, scale=0.1)
    cpu = answers(ready, image, design, batch_size=30)
    for compose in ("outside", "inside"):
        cuda = answers(ready, image, design, batch_size=30, compose=compose, device="cuda")
        # other kernels, float32 throughout: TF32 would differ by 1e-3
        assert cuda == pytest.approx(cpu, rel=1e-4, abs=1e-5)
