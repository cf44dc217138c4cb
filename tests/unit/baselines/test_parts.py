"""Penalty, line search, ranking, Frank-Wolfe's point: against definitions, finite differences and torch."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from legstat.baselines.games import _Adam
from legstat.baselines.line_search import LineSearch
from legstat.baselines.penalties import Penalty
from legstat.baselines.ranking import ranked_saliency
from legstat.baselines.sparse import extreme_point

KINDS = [
    dict(zip(("isotropic", "mean", "kept"), one, strict=True)) for one in itertools.product([False, True], repeat=3)
]


@pytest.mark.parametrize("beta", [2.0, 3.0])
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_penaltys_gradient_is_that_of_its_terms(kind, beta, rng):
    penalty, mask, step = Penalty(0.3, 0.7, beta, **kind), 0.1 + 0.8 * rng.random((4, 5)), 1e-6
    reference = np.zeros_like(mask)
    for place in np.ndindex(mask.shape):
        moved = np.zeros_like(mask)
        moved[place] = step
        up, down = (sum(penalty.terms(mask + s * moved).values()) for s in (1.0, -1.0))
        reference[place] = (up - down) / (2.0 * step)
    np.testing.assert_allclose(penalty.gradient(mask), reference, rtol=0.0, atol=1e-7, err_msg="rounding over the step")


def test_the_terms_are_the_papers_sums(rng):
    mask = rng.random((3, 4))
    lengths = 0.0
    for i, j in np.ndindex(3, 4):  # forward differences, none beyond the far border
        down = mask[i + 1, j] - mask[i, j] if i < 2 else 0.0
        across = mask[i, j + 1] - mask[i, j] if j < 3 else 0.0
        lengths += (down**2 + across**2) ** 1.5
    found = Penalty(2.0, 5.0, 3.0, isotropic=True, mean=False).terms(mask)
    np.testing.assert_allclose([found["l1"], found["tv"]], [2.0 * (1.0 - mask).sum(), 5.0 * lengths], rtol=1e-12)


def test_the_terms_are_the_torch_codes_means(rng):
    torch = pytest.importorskip("torch", reason="the reference is written as that code is")
    values = rng.random((6, 5))
    mask = torch.tensor(values, requires_grad=True)
    tv = ((mask[1:] - mask[:-1]).abs() ** 3).mean() + ((mask[:, 1:] - mask[:, :-1]).abs() ** 3).mean()
    total = 0.01 * (1 - mask).abs().mean() + 0.2 * tv
    (reference,) = torch.autograd.grad(total, mask)
    penalty = Penalty(0.01, 0.2, 3.0, isotropic=False, mean=True)
    np.testing.assert_allclose(sum(penalty.terms(values).values()), total.item(), rtol=1e-12)
    np.testing.assert_allclose(penalty.gradient(values), reference.numpy(), rtol=1e-9)


def test_adam_is_torchs(rng):
    torch = pytest.importorskip("torch", reason="the reference is torch's optimiser")
    start, gradients = rng.random((3, 4)), rng.standard_normal((20, 3, 4))
    theirs = torch.tensor(start, requires_grad=True)
    optimiser = torch.optim.Adam([theirs], lr=0.1)
    ours, adam = start.copy(), _Adam(0.1, start.shape)
    for gradient in gradients:
        theirs.grad = torch.from_numpy(gradient)
        optimiser.step()
        ours = ours - adam.step(gradient)
    np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-9)


def test_a_search_satisfies_the_condition_or_ends_at_the_lower_bound(rng):
    search, ended = LineSearch(upper=5.0, lower=1e-3, decay=0.3, beta=0.2), set()
    for _ in range(50):
        mask, curvature, slope = rng.random((2, 2)), 4.0 * rng.random((2, 2)), rng.standard_normal((2, 2))

        def objective(m, curvature=curvature, slope=slope):
            return float(np.sum(curvature * m**2 + slope * m))

        # not the objective's own gradient: a direction that may lead upwards
        total = rng.standard_normal((2, 2))
        step = search(objective, mask, total, objective(mask))
        assert step.mask.min() >= 0.0
        assert step.mask.max() <= 1.0
        np.testing.assert_array_equal(step.mask, np.clip(mask - step.alpha * total, 0.0, 1.0))
        assert step.value == objective(step.mask)
        holds = step.value - objective(mask) <= -step.alpha * 0.2 * np.sum(total**2)
        assert step.satisfied == holds
        assert step.satisfied or step.alpha == search.lower
        assert step.asked <= search.most
        ended.add(step.satisfied)
    assert ended == {True, False}


def test_it_is_the_largest_step_of_its_ladder_that_satisfies_it():
    search = LineSearch(upper=8.0, lower=1e-3, decay=0.5, beta=0.5)
    mask, total = np.full((1, 1), 0.5), np.full((1, 1), 0.25)
    # F(m) = m: the condition is alpha / 4 cut off at 1/2 >= alpha / 32, true from the first step that is not cut off
    step = search(lambda m: float(m[0, 0]), mask, total, 0.5)
    assert step.alpha == 8.0
    step = search(lambda m: float((m[0, 0] - 0.45) ** 2), mask, total, 0.05**2)
    tried = [8.0 * 0.5**k for k in range(20)]
    good = [a for a in tried if (max(0.5 - a / 4, 0) - 0.45) ** 2 - 0.0025 <= -a * 0.5 / 16]
    assert step.alpha == good[0] if good else not step.satisfied


def test_ties_are_ranked_by_the_slope_and_nothing_else_moves(rng):
    importance = np.round(rng.random((6, 6)), 1)  # many ties
    slope = rng.standard_normal((6, 6))
    saliency, tied = ranked_saliency(importance, slope)
    order = np.argsort(-saliency.ravel(), kind="stable")
    reference = np.lexsort((-slope.ravel(), -importance.ravel()))
    np.testing.assert_array_equal(order, reference)
    _, counts = np.unique(importance, return_counts=True)
    assert tied == counts[counts > 1].sum()
    assert len(np.unique(saliency)) == 36
    flat, all_tied = ranked_saliency(np.zeros((2, 2)), np.array([[1.0, 4.0], [3.0, 2.0]]))
    assert all_tied == 4
    np.testing.assert_array_equal(np.argsort(-flat.ravel()), [1, 2, 3, 0])


def test_the_extreme_point_has_the_largest_product_in_its_ball(rng):
    gradient = rng.standard_normal((3, 4, 4))
    one = extreme_point(gradient, "l1", 1)  # q above 1 - 1/n: the ball's own corner
    assert np.sum(one * gradient) == np.abs(gradient).max()
    many = extreme_point(gradient, "l1", 7)
    assert np.count_nonzero(many) == 7
    np.testing.assert_allclose(np.abs(many).sum(), 1.0, rtol=1e-12)
    assert set(np.round(np.abs(many[many != 0.0]) * 7, 12)) == {1.0}
    assert np.abs(gradient)[many != 0.0].min() >= np.abs(gradient)[many == 0.0].max()
    euclidean = extreme_point(gradient, "l2", 1)
    np.testing.assert_allclose(np.sum(euclidean * gradient), np.linalg.norm(gradient), rtol=1e-12)
    # the example of the authors' toolbox: q = .3 of three entries, a radius of 1.8, minimising
    np.testing.assert_allclose(-1.8 * extreme_point(np.array([0.0, 1.0, 2.0]), "l1", 2), [0.0, -0.9, -0.9], rtol=1e-12)
    assert not extreme_point(np.zeros((1, 2, 2)), "l1", 2).any()
    assert not extreme_point(np.zeros((1, 2, 2)), "l2", 2).any()
