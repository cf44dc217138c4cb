"""The calling conventions of captum and Quantus: the maps are those of `explain`, whatever the inputs went through."""

import numpy as np
import pytest

import legstat as ls
from legstat.interop import Attribution, explain_func

torch = pytest.importorskip("torch", reason="needs the extra torch")

PICTURES = np.random.default_rng(0).uniform(0.1, 0.9, (2, 3, 8, 8)).astype(np.float32)
SETTINGS = {"n_queries": 202, "grid": (4, 4), "progress": False}
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


@pytest.fixture(scope="module")
def module():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = (torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 3))
        return torch.nn.Sequential(*layers).eval()


def normalised(pictures):
    return torch.from_numpy(((pictures - MEAN[:, None, None]) / STD[:, None, None]).astype(np.float32))


def test_maps_are_those_of_explain_on_the_pictures_before_their_normalisation(module):
    inputs = normalised(PICTURES)
    asked = Attribution(module, preprocessing="imagenet", network={"output_kind": "logits"}, **SETTINGS)
    maps = asked.attribute(inputs, target=[2, 0], rng=5)
    assert (maps.shape, maps.dtype, maps.device) == (inputs.shape, inputs.dtype, inputs.device)
    for i, target in enumerate((2, 0)):
        f = ls.torch_response(module, target=target, preprocessing="imagenet", output_kind="logits")
        stream = np.random.default_rng(5).spawn(2)[i]
        found = ls.explain(f, PICTURES[i], rng=stream, **SETTINGS)
        # the inputs are float32: one part in 1e7 of the picture, through the network and 200 regressions
        np.testing.assert_allclose(
            maps[i, 1].numpy(), found.tv.heatmap, rtol=0, atol=1e-4 * abs(found.tv.heatmap).max()
        )
        assert (maps[i] == maps[i, 0]).all()


def test_a_picture_has_its_map_whatever_comes_behind_it(module):
    asked = Attribution(module, estimate="leg", network={"output_kind": "logits"}, **SETTINGS)
    two, one = (asked.attribute(torch.from_numpy(PICTURES[:n]), target=1, rng=0) for n in (2, 1))
    assert torch.equal(two[:1], one)


def test_without_a_target_each_picture_s_first_choice_is_explained(module):
    asked = Attribution(module, network={"output_kind": "logits"}, **SETTINGS)
    inputs = torch.from_numpy(PICTURES)
    found = [one.sample.response["target"] for one in asked.explanations(inputs, rng=0)]
    assert found == module(inputs).argmax(dim=1).tolist()


def test_caffe_s_order_of_channels_is_undone(module):
    inputs = torch.from_numpy(255 * PICTURES[:, ::-1].copy()) - torch.tensor([103.939, 116.779, 123.68])[:, None, None]
    found = Attribution(module, preprocessing="caffe", network={"output_kind": "logits"}, **SETTINGS)
    # float32 at some hundred: one part in 1e7 of 255 grey values
    np.testing.assert_allclose(found._pictures(inputs.numpy()), PICTURES, rtol=0, atol=1e-6)


def test_metrics_of_captum_take_it(module):
    metrics = pytest.importorskip("captum.metrics", reason="needs the extra gradients")
    asked = Attribution(module, network={"output_kind": "logits"}, **SETTINGS)
    inputs = torch.from_numpy(PICTURES)
    maps = asked.attribute(inputs, target=1, rng=0)

    def one_pixel(pictures):
        moved = torch.zeros_like(pictures)
        moved[:, 0, 0, 0] = 0.25
        return moved, pictures - moved

    # (the map's product with what moved - what the output fell by)^2: one pixel of one channel, no draws
    expected = (0.25 * maps[:, 0, 0, 0] - (module(inputs) - module(one_pixel(inputs)[1]))[:, 1]) ** 2
    found = metrics.infidelity(module, one_pixel, inputs, maps, target=1, n_perturb_samples=1)
    # float32 differences of outputs of order 1
    torch.testing.assert_close(found, expected.detach(), rtol=1e-4, atol=1e-6)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        how = {"target": 1, "rng": 0, "n_perturb_samples": 1, "perturb_radius": 0.0}
        still = metrics.sensitivity_max(asked.attribute, inputs, **how)
    assert (still == 0.0).all()  # the same pictures, draws and map
    with pytest.raises(ValueError, match="one, the pictures"):
        asked.attribute((inputs, inputs), target=1)


def test_the_function_for_quantus_gives_the_same_maps(module):
    asked = {"estimate": "leg", "network": {"output_kind": "logits"}, **SETTINGS}
    maps = explain_func(module, PICTURES, np.array([1, 2]), rng=0, device="cpu", **asked)
    expected = Attribution(module, **asked).attribute(torch.from_numpy(PICTURES), target=[1, 2], rng=0)[:, :1]
    assert maps.shape == (2, 1, 8, 8)
    np.testing.assert_array_equal(maps.astype(np.float32), expected.numpy())


def test_quantus_takes_the_function(module):
    quantus = pytest.importorskip("quantus", reason="needs the package Quantus", exc_type=ImportError)
    kept = np.random.get_state()  # noqa: NPY002 - Quantus draws from numpy's global generator
    metric = quantus.Sparseness(disable_warnings=True, normalise=False, abs=True)
    asked = {"estimate": "leg", "network": {"output_kind": "logits"}, "rng": 0, **SETTINGS}
    scores = metric(
        model=module, x_batch=PICTURES, y_batch=np.array([1, 2]), explain_func=explain_func, explain_func_kwargs=asked
    )
    np.random.set_state(kept)  # noqa: NPY002
    assert np.isfinite(scores).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": 3 * PICTURES}, "`inputs` must be within"),
        ({"inputs": PICTURES[0]}, r"`inputs` must be \(N, C, H, W\)"),
        ({"target": [0, 1, 2]}, "`target` must be a class, or 2 of them"),
        ({"target": 0.5}, "`target` must be a class"),
    ],
)
def test_what_cannot_be_right_is_refused_before_a_pass(change, message):
    class Counting(torch.nn.Module):
        def forward(self, x):
            raise AssertionError("asked")

    given = {"inputs": PICTURES, "target": 0} | change
    asked = Attribution(Counting(), network={"output_kind": "logits"}, **SETTINGS)
    with pytest.raises(ValueError, match=message):
        asked.explanations(given["inputs"], given["target"], rng=0)


def test_settings_that_explain_does_not_have_are_named(module):
    with pytest.raises(TypeError, match=r"`settings` must be of `explain`: grid, scale.*Got 'queries'"):
        Attribution(module, queries=100)
