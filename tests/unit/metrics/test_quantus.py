"""Metrics against Quantus, which is no dependency: where it is installed its numbers are ours."""

import contextlib

import numpy as np
import pytest

import legstat as ls
from legstat.metrics.faithfulness import filled_in

torch = pytest.importorskip("torch", reason="needs the extra torch")
pytestmark = pytest.mark.filterwarnings("ignore")  # Quantus' own, and those of what it imports

RNG = np.random.default_rng(4)
IMAGE = RNG.uniform(0.1, 1.0, (1, 8, 8))
SALIENCY = RNG.standard_normal((8, 8))


@pytest.fixture(scope="module")
def quantus():
    return pytest.importorskip("quantus", reason="needs the package Quantus", exc_type=ImportError)


@contextlib.contextmanager
def global_state_kept():
    """Quantus draws from numpy's global generator."""
    state = np.random.get_state()  # noqa: NPY002
    yield
    np.random.set_state(state)  # noqa: NPY002


@pytest.fixture(scope="module")
def network():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = (torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 3))
        return torch.nn.Sequential(*layers).eval()


@pytest.fixture(scope="module")
def response(network):
    return ls.torch_response(network, output_kind="logits", batch_size=8).bind(IMAGE)[0]


def called(metric, network, image, target, saliency, **more):
    x, a = image[None].astype(np.float32), saliency[None, None]
    with global_state_kept():
        return metric(model=network, x_batch=x, y_batch=np.array([target]), a_batch=a, channel_first=True, softmax=True,
                  device="cpu", **more)  # fmt: skip


@pytest.mark.parametrize("cells", [1, 4])
def test_deletion_is_pixel_flipping(quantus, network, response, cells):
    metric = quantus.PixelFlipping(features_in_step=cells, perturb_baseline=0.0, disable_warnings=True)
    (theirs,) = called(metric, network, IMAGE, response.target, SALIENCY)
    ours = ls.metrics.deletion(response, IMAGE, SALIENCY, baseline="black", steps=64 // cells)
    # the softmax is theirs in float32, ours in float64
    np.testing.assert_allclose(ours.scores[1:], theirs, rtol=2e-6, atol=0)


def test_infidelity_of_the_whole_picture(quantus, network, response):
    # theirs deletes block after block, ours squares at random: the one case that both have is a single block
    white = np.ones((1, 8, 8))
    metric = quantus.Infidelity(perturb_baseline=0.0, perturb_patch_sizes=[8], n_perturb_samples=1,
                                disable_warnings=True)  # fmt: skip
    (theirs,) = called(metric, network, white, response.target, SALIENCY)
    ours = ls.metrics.infidelity(response, white, SALIENCY, baseline="black", side=8, draws=3, rescale=False)
    assert ours == pytest.approx(theirs, rel=1e-5)  # as above, squared


def test_road_fills_in_the_same_numbers(quantus):
    image = RNG.random((3, 9, 7))
    gone = RNG.random((9, 7)) < 0.6
    gone[0, 0] = gone[-1, -1] = True  # corners too
    with global_state_kept():
        theirs = quantus.functions.perturb_func.noisy_linear_imputation(image, np.flatnonzero(gone), noise=0.0)
    ours = filled_in(image, gone, 0.0, np.random.default_rng(0))
    # two factorisations of one sparse system with a condition below 1e3
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-13)


def test_max_sensitivity_of_the_same_draws(quantus, network, response):
    weights = RNG.standard_normal((8, 8))

    def explain(picture):
        return weights * picture[0] ** 2

    generator = np.random.default_rng(9)

    def drawn(arr, indices, **kwargs):
        return np.clip(arr + generator.uniform(-0.05, 0.05, IMAGE.shape).reshape(1, -1), 0.0, 1.0)

    def explain_batch(model, inputs, targets, **kwargs):
        return np.array([explain(np.asarray(x, dtype=np.float64))[None] for x in inputs])

    metric = quantus.MaxSensitivity(nr_samples=6, perturb_func=drawn, disable_warnings=True)
    (theirs,) = called(metric, network, IMAGE, response.target, explain(IMAGE), explain_func=explain_batch)
    ours = ls.metrics.max_sensitivity(explain, IMAGE, radius=0.05, draws=6, rng=9)
    assert ours == pytest.approx(theirs, rel=1e-5)  # their pictures are float32
