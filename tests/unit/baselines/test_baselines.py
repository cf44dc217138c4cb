"""mask, igos and l1q as calls: what must hold of every result, and what conventions and ablations change."""

from __future__ import annotations

import numpy as np
import pytest

import legstat as ls
from legstat.baselines import BaselineResult, igos, l1q, mask
from legstat.baselines.games import SETTINGS as MASK_SETTINGS
from legstat.baselines.integrated import SETTINGS as IGOS_SETTINGS

CAUSE = np.zeros((4, 4))
CAUSE[1:3, 2] = 4.0
"""Evidence in two of sixteen cells."""
IMAGE = np.full((1, 16, 16), 0.9)


def logistic(images: np.ndarray) -> np.ndarray:
    """A probability that depends on those two cells; each picture by itself, so that no batch rounds otherwise."""
    cells = images.reshape(len(images), 1, 4, 4, 4, 4).mean(axis=(1, 3, 5))
    return 1.0 / (1.0 + np.exp(3.0 - (cells * CAUSE).sum(axis=(1, 2))))


def torch_twin():
    """The same as a torch module of one sigmoid."""
    torch = pytest.importorskip("torch", reason="exact gradients are torch's")

    class Twin(torch.nn.Module):
        def forward(self, pictures):
            cells = torch.nn.functional.avg_pool2d(pictures, 4)
            return (cells[:, 0] * torch.from_numpy(CAUSE).to(pictures.dtype)).sum(dim=(1, 2))[:, None] - 3.0

    return ls.torch_response(Twin(), target=0, score="probability", output_kind="sigmoid_logits")


HOW = {"gradient": "queries", "n_queries": 700, "shape": (4, 4), "baseline": "black", "rng": 0}
METHODS = {"mask": mask, "igos": igos}


@pytest.mark.parametrize("name", METHODS)
def test_queries_alone_find_the_cause_within_the_budget(name):
    result = METHODS[name](logistic, IMAGE, **HOW)
    assert set(np.argsort(-result.saliency.ravel())[:2]) == {6, 10}
    assert result.n_queries <= 700
    assert (result.gradient, result.n_backward) == ("queries", 0)
    assert result.mask.min() >= 0.0
    assert result.mask.max() <= 1.0
    assert result.mask[1, 2] < result.mask[3, 0]


@pytest.mark.parametrize("name", METHODS)
def test_exact_gradients_find_the_cause_and_every_pass_is_counted(name):
    response = torch_twin()
    result = METHODS[name](response, IMAGE, shape=(4, 4), baseline="black", rng=0, iterations=10)
    assert set(np.argsort(-result.saliency.ravel())[:2]) == {6, 10}
    passes = {"igos": 10 * 10, "mask": 10}[name]
    assert 0 < result.n_backward <= passes
    assert result.n_queries > result.n_backward
    assert len(result.trace["score"]) <= 10
    assert result.trace["score"][-1] < result.trace["score"][0] or name == "igos"


@pytest.mark.parametrize("name", METHODS)
def test_the_same_seed_gives_the_same_bits_whatever_the_batch(name):
    found = [METHODS[name](ls.as_response(logistic).with_batch_size(n), IMAGE, **HOW) for n in (1, 5, 64)]
    for other in found[1:]:
        np.testing.assert_array_equal(found[0].mask, other.mask)
        np.testing.assert_array_equal(found[0].saliency, other.saliency)
    assert not np.array_equal(found[0].mask, METHODS[name](logistic, IMAGE, **{**HOW, "rng": 1}).mask)


def test_every_step_of_igos_satisfies_the_condition_or_is_the_least():
    result = igos(torch_twin(), IMAGE, shape=(4, 4), baseline="black", rng=0, conventions="paper", iterations=8)
    least = IGOS_SETTINGS["paper"].search.lower
    assert np.all((result.trace["satisfied"] == 1.0) | (result.trace["alpha"] == least))
    total = sum(result.trace[name] for name in ("score", "l1", "tv"))
    assert np.all(np.diff(total)[result.trace["satisfied"][1:] == 1.0] <= 1e-12)  # eq. 8's right-hand side is below 0


def test_the_preservation_game_keeps_the_cause():
    result = mask(logistic, IMAGE, **HOW, game="preservation", l1=0.05)
    assert set(np.argsort(-result.saliency.ravel())[:2]) == {6, 10}
    assert result.settings["game"] == "preservation"
    assert result.mask[1, 2] > result.mask[0, 0]


def test_the_first_mask_is_the_smallest_disc_that_is_enough():
    """Evidence in the middle: 99 % of its drop needs a disc that covers it, and no larger one is taken."""
    size = 64
    rows, columns = (np.arange(size) - (size - 1) / 2.0 for _ in range(2))
    distance = np.hypot(rows[:, None], columns[None, :]) * 224.0 / size
    inside = distance <= 40.0

    def score(images):
        return (images[:, 0] * inside).sum(axis=(1, 2)) / inside.sum()

    result = mask(
        score, np.ones((1, size, size)), gradient="queries", n_queries=100, baseline="black", shape=(64, 64),
        iterations=1, rate=1e-9, rng=0, directions=ls.IsotropicGaussian((64, 64), 0.1),
    )  # fmt: skip
    import scipy

    disc = (distance > 40.0).astype(float)
    reference = scipy.ndimage.gaussian_filter(disc, 10.0 * size / 224.0, mode="nearest")
    np.testing.assert_allclose(result.mask, reference, rtol=0.0, atol=1e-8, err_msg="one step of 1e-9")


@pytest.mark.parametrize("conventions", [*IGOS_SETTINGS])
def test_igos_by_every_convention(conventions):
    result = igos(torch_twin(), IMAGE, shape=(4, 4), baseline="black", rng=0, conventions=conventions, iterations=3)
    assert result.settings["noise_on"] == IGOS_SETTINGS[conventions].noise_on
    assert 0.0 <= result.mask.min() <= result.mask.max() <= 1.0


@pytest.mark.parametrize("conventions", [*MASK_SETTINGS])
def test_mask_by_every_convention(conventions):
    result = mask(torch_twin(), IMAGE, shape=(4, 4), baseline="black", rng=0, conventions=conventions, iterations=3)
    assert 0.0 <= result.mask.min() <= result.mask.max() <= 1.0
    assert len(result.trace["tv"]) == 3


@pytest.mark.parametrize("baseline", ["blur", "blur_radius", "noise", "black"])
def test_mask_with_every_perturbation(baseline, rng):
    image = rng.random((1, 16, 16))
    result = mask(torch_twin(), image, shape=(4, 4), baseline=baseline, rng=0, iterations=2, start="ones")
    assert result.mask.shape == (4, 4)


def test_a_ceiling_lowers_the_iterations_and_is_kept():
    result = igos(torch_twin(), IMAGE, shape=(4, 4), baseline="black", rng=0, n_queries=100)
    assert result.n_queries <= 100
    assert len(result.trace["score"]) == 4  # 10 points and at most 12 of the search each, beside x0 and the baseline


def test_results_travel(tmp_path):
    result = mask(logistic, IMAGE, **HOW)
    result.save(tmp_path / "mask.npz")
    again = BaselineResult.load(tmp_path / "mask.npz")
    for name in ("solution", "saliency", "image"):
        np.testing.assert_array_equal(getattr(again, name), getattr(result, name))
    assert again.trace.keys() == result.trace.keys()
    assert (again.settings, again.n_queries, again.gradient) == (result.settings, result.n_queries, "queries")
    assert repr(again) == repr(result) == f"<BaselineResult mask 4x4: queries, {result.n_queries} evaluations>"
    assert again.heatmap.shape == (16, 16)
    assert result.plot().get_title().startswith("mask, queries")
    assert [line.get_label() for line in result.plot_trace().get_lines()] == ["score", "l1", "tv"]
    with pytest.raises(ValueError, match=r"See \.mask"):
        _ = result.picture
    with pytest.raises(ValueError, match="read-only"):
        result.saliency[0, 0] = 1.0


# -- l1-q -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ball", ["l1", "l2"])
def test_iterates_stay_in_the_ball_and_move_the_target(ball):
    response = torch_twin()
    for raising in (True, False):
        found = l1q(response, IMAGE, epsilon=3.0, q=0.9, ball=ball, raising=raising, iterations=12)
        assert found.trace[f"norm_{ball}"].max() <= 3.0 * (1.0 + 1e-12)
        change = found.source["score"] - found.source["f_x0"]
        assert change > 0.0 if raising else change < 0.0
        assert found.n_queries == 1 + 12 + 1


def test_each_step_moves_as_many_entries_as_q_says():
    found = l1q(torch_twin(), IMAGE, epsilon=1.0, q=0.9, iterations=1)
    assert found.trace["moved"][0] == round(0.1 * 256)
    assert found.picture.max() <= 1.0


def test_queries_alone_raise_the_target_too():
    design = ls.IsotropicGaussian((4, 4), 0.05)
    how = {"epsilon": 3.0, "q": 0.9, "gradient": "queries", "n_queries": 600, "rng": 0, "directions": design}
    image = 0.5 * IMAGE
    found = l1q(logistic, image, **how, iterations=10)
    assert found.source["score"] > found.source["f_x0"] + 0.1
    assert found.n_queries <= 600
    assert found.trace["norm_l1"].max() <= 3.0 * (1.0 + 1e-12)
    again = l1q(ls.as_response(logistic).with_batch_size(3), image, **how, iterations=10)
    np.testing.assert_array_equal(found.solution, again.solution)


def test_it_is_the_authors_optimiser_step_by_step():
    """`rai-toolbox`, whose q, signs and ball are those of the paper's experiments."""
    torch = pytest.importorskip("torch", reason="the reference is written with torch")
    optimisers = pytest.importorskip("rai_toolbox.optim", reason="the reference: rai-toolbox, by the paper's authors")
    response = torch_twin()
    image = np.random.default_rng(0).random((1, 16, 16)).astype(np.float32)
    found = l1q(response, image.astype(np.float64), epsilon=2.0, q=0.9, iterations=6, c=1.0)
    bound, _ = response.bind(image.astype(np.float64))
    delta = torch.zeros((1, 1, 16, 16), requires_grad=True)
    optimiser = optimisers.L1qFrankWolfe([delta], lr=1.0, epsilon=2.0, q=0.9, dq=0.0, use_default_lr_schedule=True)
    for _ in range(6):
        optimiser.zero_grad()
        loss = -bound.scores_with_history(torch.from_numpy(image)[None] + delta).sum()
        loss.backward()
        optimiser.step()
    np.testing.assert_allclose(found.solution, delta.detach().numpy()[0], rtol=0.0, atol=1e-6, err_msg="float32")


# -- what cannot be right -------------------------------------------------------------------------------------------


def counted():
    seen = []

    def f(images):
        seen.append(len(images))
        return logistic(images)

    return f, seen


@pytest.mark.parametrize(
    ("method", "options", "fault", "text"),
    [
        (mask, {"gradient": "exact"}, TypeError, 'gradient="queries"'),
        (igos, {"gradient": "exact"}, TypeError, "torch_response"),
        (igos, {"gradient": "none"}, ValueError, "`gradient` must be one of 'exact', 'queries', 'auto'"),
        (igos, {"shape": (17, 4)}, ValueError, "at most a cell a pixel"),
        (mask, {"baseline": IMAGE}, ValueError, "equal to the picture"),
        (mask, {"baseline": "mist"}, ValueError, "`baseline` must be one of"),
        (mask, {"l1": -1.0}, ValueError, "`l1`"),
        (mask, {"beta": 0.5}, ValueError, "`beta`"),
        (mask, {"start": "square"}, ValueError, "`start` must be one of 'circle'"),
        (mask, {"game": "chess"}, ValueError, "`game` must be one of 'deletion', 'preservation'"),
        (mask, {"conventions": "code"}, ValueError, "`conventions` must be one of"),
        (igos, {"fixed_step": 0.0}, ValueError, "`fixed_step`"),
        (igos, {"score": "odds"}, ValueError, "`score` must be one of 'probability', 'given'"),
        (igos, {"n_queries": 2}, ValueError, "`n_queries` must be a whole number >= 3"),
        (igos, {"directions": (4, 4)}, TypeError, "MultiscaleBlocks"),
        (igos, {"directions": ls.IsotropicGaussian((5, 5))}, ValueError, "on the mask's cells"),
        (l1q, {"epsilon": 0.0}, ValueError, "`epsilon` must be a finite number > 0"),
        (l1q, {"q": 1.0}, ValueError, "`q` must be strictly between 0 and 1"),
        (l1q, {"q": 0.9999}, ValueError, "at least one of 256 entries is moved"),
        (l1q, {"c": 0.5}, ValueError, "`c` must be >= 1"),
        (l1q, {"ball": "linf"}, ValueError, "`ball` must be one of 'l1', 'l2'"),
    ],
)
def test_bad_input_before_anything_is_evaluated(method, options, fault, text):
    f, seen = counted()
    start = {"gradient": "queries", **({"epsilon": 1.0} if method is l1q else {"shape": (4, 4), "baseline": "black"})}
    with pytest.raises(fault, match=text):
        method(f, IMAGE, **{**start, **options})
    assert not seen


def test_a_score_that_is_no_number_stops_the_run():
    def broken(images):
        return np.where(images[:, 0, 0, 0] < 0.5, np.nan, logistic(images))

    with pytest.raises(ls.NonFiniteResponseError, match=r"legstat\.igos: evaluation \d+ gave nan"):
        igos(broken, IMAGE, **HOW)


def test_a_score_below_a_hundredth_is_told():
    torch = pytest.importorskip("torch", reason="a network's probability")
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(2))
    with torch.random.fork_rng():
        net(torch.zeros(1, 1, 16, 16))
    with torch.no_grad():
        net[1].weight.zero_()
        net[1].bias.copy_(torch.tensor([0.0, 10.0]))
    response = ls.torch_response(net, target=0, output_kind="logits")
    with pytest.warns(ls.LegstatWarning, match="below 0.01"):
        igos(response, IMAGE, shape=(4, 4), baseline="black", rng=0, iterations=1)
