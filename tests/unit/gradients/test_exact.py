"""Exact gradients against finite differences, of every score and family."""

from __future__ import annotations

import numpy as np
import pytest

import legstat as ls
from legstat.gradients.families import BlurredByRadius, Masked, Shifted
from legstat.gradients.gradient import Asked
from legstat.perturbations.lifts import Lift

torch = pytest.importorskip("torch", reason="exact gradients are torch's")
from legstat.gradients.exact import ExactGradients  # noqa: E402 - it needs torch

LIFT = Lift.bilinear((3, 4), (6, 8))


def network(last: torch.nn.Module | None = None, seed: int = 0) -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        parts = [torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.Tanh(), torch.nn.AdaptiveAvgPool2d(2)]
        parts += [torch.nn.Flatten(), torch.nn.Linear(16, 4)]
        # weights large enough that scores move by tenths
        net = torch.nn.Sequential(*parts, *([last] if last else []))
        with torch.no_grad():
            for weight in net.parameters():
                weight.mul_(5.0)
        return net.double()


def asked(rng, *, last=None, kind="logits", **options) -> Asked:
    response = ls.torch_response(network(last), output_kind=kind, **options)
    # finite differences need more digits than the float32 in which networks take their pictures
    response.dtype = np.dtype(np.float64)
    return Asked("mask", response, rng.random((3, 6, 8)))


def differences(source, family, points, weights, step=1e-5):
    """Central differences of the weighted sum, entry by entry."""
    found = np.zeros(points.shape[1:])
    for place in np.ndindex(found.shape):
        moved = np.zeros(points.shape[1:])
        moved[place] = step
        up, down = (source.mean_gradient(family, points + s * moved, np.zeros(len(points))).values for s in (1.0, -1.0))
        found[place] = weights @ (up - down) / (2.0 * step)
    return found


@pytest.mark.parametrize(
    ("score", "target", "kind", "last"),
    [
        ("probability", 1, "logits", None),
        ("log_odds", 1, "logits", None),
        ("logit", 1, "logits", None),
        ("difference", (1, 2), "logits", None),
        ("probability", (1, 2, 0), "logits", None),
        ("log_odds", 1, "probabilities", torch.nn.Softmax(dim=1)),
        ("probability", 1, "probabilities", torch.nn.Softmax(dim=1)),
        ("log_odds", 1, "log_probabilities", torch.nn.LogSoftmax(dim=1)),
        ("probability", 1, "log_probabilities", torch.nn.LogSoftmax(dim=1)),
        ("log_odds", 1, "sigmoid_logits", None),
        ("probability", 1, "sigmoid_logits", None),
        ("log_odds", 1, "sigmoid_probabilities", torch.nn.Sigmoid()),
    ],
)
def test_every_score_with_its_history_is_the_score_and_has_its_gradient(score, target, kind, last, rng):
    black_box = asked(rng, last=last, kind=kind, score=score, target=target, preprocessing="imagenet")
    source = ExactGradients(black_box)
    family = Masked(rng.random((1, 3, 6, 8)), rng.random((1, 3, 6, 8)), LIFT)
    points, weights = rng.random((1, 3, 4)), np.ones(1)
    found = source.mean_gradient(family, points, weights)
    # by numpy's formula, from pictures in float32
    np.testing.assert_allclose(found.values, black_box.scores(family, points), rtol=1e-4, atol=1e-5)
    reference = differences(source, family, points, weights)
    scale = np.abs(reference).max()
    np.testing.assert_allclose(found.gradient, reference, rtol=0.0, atol=1e-6 * scale, err_msg="O(step^2) and rounding")


def families(rng):
    images, baselines = rng.random((3, 3, 6, 8)), rng.random((1, 3, 6, 8))
    return {
        "masked": Masked(images, baselines, LIFT),
        "masked, gaussian lift": Masked(images, baselines, Lift.gaussian((3, 4), (6, 8), 30.0)),
        "blurred by radius": BlurredByRadius(images, 2.0, LIFT),
        "shifted": Shifted(images[0]),
    }


@pytest.mark.parametrize("name", ["masked", "masked, gaussian lift", "blurred by radius", "shifted"])
def test_weighted_gradients_of_every_family(name, rng):
    source = ExactGradients(asked(rng, score="logit", target=2))
    family = families(rng)[name]
    points, weights = rng.random((3, *family.shape)), np.array([0.2, 0.5, 1.0])
    found = source.mean_gradient(family, points, weights)
    reference = differences(source, family, points, weights)
    scale = np.abs(reference).max()
    np.testing.assert_allclose(found.gradient, reference, rtol=0.0, atol=1e-6 * scale, err_msg="O(step^2) and rounding")
    assert found.std_errors is None


def test_the_bgr_order_of_a_network_comes_back_in_the_pictures_order(rng):
    with torch.random.fork_rng():
        net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3, 2, bias=False))
    with torch.no_grad():
        net[1].weight.copy_(torch.tensor([[1.0, 10.0, 100.0], [0.0, 0.0, 0.0]]))
    rule = ls.Preprocessing(channel_order="BGR", scale=2.0)
    response = ls.torch_response(net, preprocessing=rule, score="logit", target=0, output_kind="logits")
    source = ExactGradients(Asked("mask", response, np.full((3, 1, 1), 0.5)))
    found = source.mean_gradient(Shifted(np.full((3, 1, 1), 0.5)), np.zeros((1, 3, 1, 1)), np.ones(1))
    np.testing.assert_allclose(found.gradient.ravel(), [200.0, 20.0, 2.0], rtol=1e-6)  # float32


def test_each_point_is_counted_once_and_the_batch_changes_no_bit(rng):
    image = rng.random((3, 6, 8))
    family = Masked(rng.random((7, 3, 6, 8)), rng.random((1, 3, 6, 8)), LIFT)
    points, weights, found = rng.random((7, 3, 4)), rng.random(7), []
    for size in (1, 3, 7):
        response = ls.torch_response(network(), output_kind="logits", batch_size=size)
        source = ExactGradients(Asked("mask", response, image, 8))
        found.append(source.mean_gradient(family, points, weights).gradient)
        assert (source.asked.spent, source.asked.n_backward, source.asked.left) == (8, 7, 0)
        with pytest.raises(ValueError, match=r"`n_queries` must be kept\. Got '1 evaluations with 0 left of 8'"):
            source.mean_gradient(family, points[:1], weights[:1])
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_the_users_module_is_left_as_it_was(rng):
    net = network().train()
    response = ls.torch_response(net, output_kind="logits")
    source = ExactGradients(Asked("mask", response, rng.random((3, 6, 8))))
    source.mean_gradient(Shifted(rng.random((3, 6, 8))), np.zeros((1, 3, 6, 8)), np.ones(1))
    assert net.training
    assert all(weight.grad is None for weight in net.parameters())


def test_a_function_has_no_exact_gradient(rng):
    with pytest.raises(TypeError, match='gradient="queries"'):
        ExactGradients(Asked("mask", ls.as_response(lambda x: x.mean(axis=(1, 2, 3))), rng.random((1, 4, 4))))
