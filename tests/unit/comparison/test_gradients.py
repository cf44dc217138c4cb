"""Gradient methods against captum called by hand, against closed forms, and on real networks as torch modules."""

import sys
import types
from pathlib import Path

import numpy as np
import pytest

import legstat as ls
from legstat.comparison.methods.gradients import (
    GradCamMap,
    GradientMap,
    GuidedBackpropMap,
    IntegratedGradientsMap,
    SmoothGradMap,
)

torch = pytest.importorskip("torch", reason="needs the extra torch")
attr = pytest.importorskip("captum.attr", reason="needs the extra gradients")

METHODS = (GradientMap, GuidedBackpropMap, IntegratedGradientsMap, SmoothGradMap, GradCamMap)
IMAGE = np.random.default_rng(3).random((3, 16, 16))
MEAN, SD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
SHAPE = (4, 4)


class Network(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Conv2d(3, 6, 3, padding=1)
        self.relu = torch.nn.ReLU(inplace=True)
        self.second = torch.nn.Conv2d(6, 5, 3, stride=2)
        self.last = torch.nn.Linear(5, 4)
        self.passes = 0

    def forward(self, x):
        self.passes += len(x)
        return self.last(self.relu(self.second(self.relu(self.first(x)))).mean(dim=(2, 3)))


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return Network().eval()


@pytest.fixture(scope="module")
def response(network) -> ls.Response:
    rule = ls.Preprocessing(mean=MEAN, std=SD)
    return ls.torch_response(network, preprocessing=rule, output_kind="logits", batch_size=8).bind(IMAGE)[0]


class ByHand(torch.nn.Module):
    """Preprocessing, network and log-odds, written out."""

    def __init__(self, network: torch.nn.Module, target: int) -> None:
        super().__init__()
        self.network, self.target = network, target

    def forward(self, pictures):
        mean, sd = (torch.tensor(one, dtype=torch.float64) for one in (MEAN, SD))
        # as the response does: one product, one sum, in float32
        factor, offset = (one.float()[:, None, None] for one in (1.0 / sd, -mean / sd))
        logits = self.network(pictures * factor + offset).double()
        others = [k for k in range(logits.shape[1]) if k != self.target]
        return logits[:, self.target] - torch.logsumexp(logits[:, others], dim=1)


def by_hand(method, network, target, seed_of=None):
    scored = ByHand(network, target)
    x = torch.from_numpy(IMAGE[None].astype(np.float32)).requires_grad_()
    if isinstance(method, GradCamMap):
        found = attr.LayerGradCam(scored, network.second).attribute(x, relu_attributions=True)
        pixels = attr.LayerAttribution.interpolate(found, (16, 16), "bilinear")[0, 0]
    elif isinstance(method, IntegratedGradientsMap):
        black = torch.zeros_like(x)
        pixels = attr.IntegratedGradients(scored).attribute(x, black, n_steps=20, internal_batch_size=8)[0]
        pixels = pixels.double().sum(dim=0)
    else:
        if isinstance(method, GradientMap):
            found = attr.Saliency(scored).attribute(x, abs=False)
        elif isinstance(method, GuidedBackpropMap):
            found = attr.GuidedBackprop(scored).attribute(x)
        else:
            seed = int(np.random.default_rng(5).integers(2**63))
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                found = attr.NoiseTunnel(attr.Saliency(scored)).attribute(
                    x, nt_type="smoothgrad", nt_samples=20, nt_samples_batch_size=8, stdevs=float(0.15 * np.ptp(IMAGE)),
                    abs=False)  # fmt: skip
        pixels = found[0].abs().amax(dim=0)
    return pixels.detach().double().numpy().reshape(4, 4, 4, 4).mean(axis=(1, 3))


@pytest.mark.parametrize("kind", METHODS)
@pytest.mark.filterwarnings("ignore:Setting backward hooks")
def test_maps_are_captums(kind, network, response):
    method = kind(SHAPE)
    found = method(response, IMAGE, 21, np.random.default_rng(5))
    expected = by_hand(method, network, response.target)
    assert np.ptp(expected) > 0
    # the same operations on the same float32 numbers, but for a factor 1 / std that is rounded once more or less
    np.testing.assert_allclose(found.saliency, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("kind", METHODS)
def test_evaluations_are_passes(kind, network, response, monkeypatch):
    passes = []
    forward = Network.forward
    monkeypatch.setattr(Network, "forward", lambda self, x: (passes.append(len(x)), forward(self, x))[1])
    found = kind(SHAPE)(response, IMAGE, 21, 0)
    spent = 21 if kind in (IntegratedGradientsMap, SmoothGradMap) else 2
    assert found.n_queries == spent
    # what bind tries of the answers beside f(x0) is the response's own
    assert sum(passes) - response.bind(IMAGE)[0].trials in (spent, spent + 1)


@pytest.mark.parametrize("kind", METHODS)
def test_same_seed_same_bits_and_nothing_left_behind(kind, network, response):
    state, hooks = torch.get_rng_state(), [len(p._forward_hooks) + len(p._forward_pre_hooks) for p in network.modules()]
    first = kind(SHAPE)(response, IMAGE, 12, 7)
    second = kind(SHAPE)(response, IMAGE, 12, 7)
    np.testing.assert_array_equal(first.saliency, second.saliency)
    assert torch.equal(state, torch.get_rng_state())
    parts = [*network.modules(), *response.module.modules()]
    assert [len(p._forward_hooks) + len(p._forward_pre_hooks) for p in parts] == hooks * 2
    assert not any(parameter.grad is not None for parameter in network.parameters())


def test_integrated_gradients_are_complete(response):
    found = IntegratedGradientsMap((16, 16), baseline="black")(response, IMAGE, 201, 0)
    black = float(response(np.zeros((1, 3, 16, 16), dtype=np.float32))[0])
    whole = float(response(IMAGE[None].astype(np.float32))[0])
    # the rule's error on kinks of ReLUs, which 200 points leave
    assert found.saliency.sum() == pytest.approx(whole - black, abs=2e-3 * abs(whole - black))


def test_gradient_of_a_linear_score_is_its_coefficients():
    weights = np.random.default_rng(0).standard_normal((2, 3 * 16 * 16)).astype(np.float32)
    with torch.random.fork_rng(devices=[]):
        linear = torch.nn.Linear(3 * 16 * 16, 2, bias=False)
    linear.weight.data = torch.from_numpy(weights)
    f = ls.torch_response(torch.nn.Sequential(torch.nn.Flatten(), linear), score="logit", target=1,
                          output_kind="logits")  # fmt: skip
    cells = np.abs(weights[1].astype(np.float64)).reshape(3, 16, 16).max(axis=0).reshape(4, 4, 4, 4).mean(axis=(1, 3))
    for method in (GradientMap(SHAPE), SmoothGradMap(SHAPE)):
        # means of equal float32 numbers
        np.testing.assert_allclose(method(f, IMAGE, 9, 0).saliency, cells, rtol=1e-6, atol=0)


def test_a_response_without_gradients_is_refused_before_anything_is_asked():
    asked = []

    def f(images):
        asked.append(len(images))
        return images.mean(axis=(1, 2, 3))

    for name in ("gradient", "guided_backprop", "integrated_gradients", "smoothgrad", "gradcam"):
        with pytest.raises(TypeError, match=r"torch_response.*'rise'"):
            ls.compare(["random", name], ls.as_response(f), [IMAGE], metrics=["deletion"], progress=False)
    assert not asked


def test_layers_and_relus_that_are_not_there_are_told(response):
    with pytest.raises(ValueError, match="'first', 'second'"):
        GradCamMap(layer="third").check_response(response)
    GradCamMap(layer="relu").check_response(response)
    linear = ls.torch_response(torch.nn.Flatten(), score="logit", output_kind="logits")
    with pytest.raises(ValueError, match="convolutions, from the end: none"):
        GradCamMap().check_response(linear)
    with pytest.raises(ValueError, match=r"torch\.nn\.ReLU"):
        GuidedBackpropMap().check_response(linear)
    with pytest.raises(ValueError, match="rows, columns"):
        GradCamMap(layer="last")(response, IMAGE, 9, 0)


def test_without_captum_the_extra_is_named(response, monkeypatch):
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(ImportError, match=r"legstat\[gradients\]"):
        GradientMap().check_response(response)


def test_in_a_comparison_with_methods_that_ask(response):
    methods = [GradCamMap(SHAPE), GradientMap(SHAPE), "random"]
    found = ls.compare(methods, response, [IMAGE], metrics=["deletion"], n_queries=[50], progress=False)
    assert {(row["method"], row["spent"]) for row in found.rows} == {("gradcam", 2), ("gradient", 2), ("random", 0)}


@pytest.fixture(scope="module")
def convert():
    """onnx2torch, with the two operators of torchvision that it imports, and these networks lack, left empty."""
    stubs = {}
    if "torchvision" not in sys.modules:
        ops = types.ModuleType("torchvision.ops")
        ops.roi_align = ops.nms = None
        stubs = {"torchvision": types.ModuleType("torchvision"), "torchvision.ops": ops}
        stubs["torchvision"].ops = ops
        sys.modules.update(stubs)
    try:
        return pytest.importorskip("onnx2torch", reason="needs the package onnx2torch").convert
    finally:
        for name in stubs:
            sys.modules.pop(name)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("model", "rule"), [("squeezenet1.1", "caffe"), ("mobilenet_v2_1.0_224", "tf")])
def test_real_networks_as_modules_answer_as_onnx_runtime(data_dir, convert, model, rule):
    path = Path(data_dir) / "models" / f"{model}.onnx"
    onnx = ls.onnx_response(path, preprocessing=rule, output="logits")
    image = onnx.load_image(Path(data_dir) / "images/samples/n02099601_golden_retriever.JPEG")

    def logits(made):
        return made if isinstance(made, torch.Tensor) else made[0]

    with torch.random.fork_rng(devices=[]):  # layers are made with random weights first
        converted = convert(str(path)).eval()
    module = ls.torch_response(converted, preprocessing=rule, output=logits, output_kind="logits")
    bound, value = onnx.bind(image)
    of_module, again = module.bind(image)
    assert of_module.target == bound.target
    assert again == pytest.approx(value, rel=1e-5)  # float32 kernels of two libraries
    names = ["gradient", "gradcam"]
    if model == "squeezenet1.1":  # the other one clips: ReLU6 is none of captum's
        names.append("guided_backprop")
    for name in names:
        found = ls.compare([name], of_module, [image], metrics=["insertion"], n_queries=[50], progress=False)
        assert found.rows[0]["spent"] == 2
        saliency = found.outcomes[0].saliency
        assert saliency.shape == (28, 28)
        assert np.ptp(saliency) > 0
