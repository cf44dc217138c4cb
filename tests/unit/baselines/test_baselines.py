"""mask, igos and l1q as calls: what must hold of every result, and what conventions and ablations change."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

import legstat as ls
from legstat.baselines import BaselineResult, adversarial, igos, l1q, mask
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


@pytest.mark.parametrize("conventions", ["paper", "authors", "optimised"])
def test_exact_gradients_give_the_same_bits_whatever_the_batch(conventions, rng):
    """With a module that rounds each picture by itself: matrix products of torch round by the number of rows."""
    image, found = rng.random((1, 16, 16)), []
    for size in (1, 7):
        response = torch_twin().with_batch_size(size)
        how = {"shape": (4, 4), "baseline": "black", "rng": 5, "iterations": 3}
        found.append(igos(response, image, conventions=conventions, **how))
    np.testing.assert_array_equal(found[0].mask, found[1].mask)
    for name, values in found[0].trace.items():
        np.testing.assert_array_equal(values, found[1].trace[name], err_msg=name)


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


def six_classes():
    """Softmax of six linear scores, the evidence of class k in cell 2 k."""
    torch = pytest.importorskip("torch", reason="exact gradients are torch's")
    with torch.random.fork_rng():
        net = torch.nn.Sequential(torch.nn.AvgPool2d(4), torch.nn.Flatten(), torch.nn.Linear(16, 6))
    with torch.no_grad():
        net[2].weight.zero_()
        net[2].bias.zero_()
        for k in range(6):
            net[2].weight[k, 2 * k] = 4.0 - 0.5 * k
    return ls.torch_response(net, output_kind="logits")


@pytest.mark.parametrize("conventions", [*MASK_SETTINGS])
def test_mask_by_every_convention(conventions):
    result = mask(six_classes(), IMAGE, shape=(4, 4), baseline="black", rng=0, conventions=conventions, iterations=3)
    assert 0.0 <= result.mask.min() <= result.mask.max() <= 1.0
    assert len(result.trace["tv"]) == 3


def test_several_first_choices_are_deleted_together():
    """Deleting the first alone leaves the others' evidence; deleting both lets both go (supplement, eq. 2)."""
    how = {"shape": (4, 4), "baseline": "black", "rng": 0, "iterations": 40, "start": "ones", "tv": 0.0, "jitter": 1}
    one, two = (mask(six_classes(), IMAGE, **how, first=first) for first in (1, 2))
    assert two.source["response"]["target"] == [0, 1]
    assert set(np.argsort(-two.saliency.ravel())[:2]) == {0, 2}
    assert one.mask[0, 2] > 0.9 > 0.5 > two.mask[0, 2]
    with pytest.raises(TypeError, match="plain function, which has no classes"):
        mask(logistic, IMAGE, **HOW, first=2)
    with pytest.raises(ValueError, match="'top:1' to 'top:5' of 6 classes"):
        mask(six_classes(), IMAGE, **how, first=6)


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
    for name in ("solution", "saliency", "image", "picture"):
        np.testing.assert_array_equal(getattr(again, name), getattr(result, name))
    assert again.trace.keys() == result.trace.keys()
    assert (again.settings, again.n_queries, again.gradient) == (result.settings, result.n_queries, "queries")
    assert repr(again) == repr(result) == f"<BaselineResult mask 4x4: queries, {result.n_queries} evaluations>"
    assert again.heatmap.shape == (16, 16)
    assert result.plot(Figure()).get_title().startswith("mask, queries")
    assert [line.get_label() for line in result.plot_trace(Figure()).get_lines()] == ["score", "l1", "tv"]
    cells = np.repeat(np.repeat(1.0 - result.mask, 4, axis=0), 4, axis=1)
    assert np.corrcoef(cells.ravel(), (IMAGE - result.picture)[0].ravel())[0, 1] > 0.9  # black where it is hidden
    np.testing.assert_allclose(result.energy, np.mean((1.0 - result.mask) ** 2), rtol=1e-15)
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


@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")  # the reference's, with torch 2
@pytest.mark.parametrize("c", [1.0, 2.0])
@pytest.mark.parametrize("ball", ["l1", "l2"])
def test_it_is_the_authors_optimiser_step_by_step(ball, c):
    """`rai-toolbox`, whose q, signs and ball are those of the paper's experiments."""
    torch = pytest.importorskip("torch", reason="the reference is written with torch")
    optimisers = pytest.importorskip("rai_toolbox.optim", reason="the reference: rai-toolbox, by the paper's authors")
    image = np.random.default_rng(0).random((1, 16, 16)).astype(np.float32)
    response = ls.torch_response(layered(5), output_kind="logits", target=1)
    bound, _ = response.bind(image.astype(np.float64))
    delta = torch.zeros((1, 1, 16, 16), requires_grad=True)
    how = {"lr": c, "epsilon": 2.0, "use_default_lr_schedule": True}
    if ball == "l1":
        optimiser = optimisers.L1qFrankWolfe([delta], q=0.9, dq=0.0, **how)
    else:
        optimiser = optimisers.L2FrankWolfe([delta], **how)
    for steps in range(1, 7):
        optimiser.zero_grad()
        loss = -bound.scores_with_history(torch.from_numpy(image)[None] + delta).sum()
        loss.backward()
        optimiser.step()
        found = l1q(response, image.astype(np.float64), epsilon=2.0, q=0.9, ball=ball, iterations=steps, c=c)
        reference = delta.detach().numpy()[0]
        np.testing.assert_allclose(found.solution, reference, rtol=0.0, atol=1e-6, err_msg=f"float32, step {steps}")


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
        (adversarial, {"epsilon": 8.0}, ValueError, r"`epsilon` must be in \(0, 1\]. .* pass epsilon / 255"),
        (adversarial, {"epsilon": -0.1}, ValueError, "`epsilon` must be a finite number > 0"),
        (adversarial, {"attack": "pgd"}, ValueError, "`attack` must be one of 'ifgsm', 'mifgsm'"),
        (adversarial, {"iterations": 0}, ValueError, "`iterations`"),
        (adversarial, {"step": 0.0}, ValueError, "`step`"),
        (adversarial, {"decay": -1.0}, ValueError, "`decay`"),
        (adversarial, {"gradient": "exact"}, TypeError, 'gradient="queries"'),
        (mask, {"first": 0}, ValueError, "`first`"),
    ],
)
def test_bad_input_before_anything_is_evaluated(method, options, fault, text):
    f, seen = counted()
    start = {
        "gradient": "queries",
        **({"epsilon": 1.0} if method in (l1q, adversarial) else {"shape": (4, 4), "baseline": "black"}),
    }
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


# -- layers ---------------------------------------------------------------------------------------------------------


def layered(seed: int = 0):
    torch = pytest.importorskip("torch", reason="layers are a module's")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        parts = [torch.nn.Conv2d(1, 3, 3, padding=1), torch.nn.ReLU(), torch.nn.AvgPool2d(4)]
        net = torch.nn.Sequential(*parts, torch.nn.Flatten(), torch.nn.Linear(48, 4))
        for weight in net.parameters():
            torch.nn.init.normal_(weight)
    return net


@pytest.mark.parametrize("layer", ["1", "2"])
def test_a_layers_mask_multiplies_its_activations(layer, rng):
    """The score under a mask against the two halves of the network run by hand."""
    torch = pytest.importorskip("torch", reason="layers are a module's")
    net, image = layered(), rng.random((1, 16, 16))
    response = ls.torch_response(net, output_kind="logits", score="logit", target=2)
    masks, shape = response.of_layer(image, layer)
    assert shape == {"1": (16, 16), "2": (4, 4)}[layer]
    some = rng.random((3, 1, *shape))
    bound, value = masks.bind(np.ones((1, *shape)))
    with torch.no_grad():
        at = int(layer) + 1
        activations = net[:at](torch.from_numpy(image[None]).float())
        whole = net[at:](activations)[0, 2]
        reference = net[at:](activations * torch.from_numpy(some).float())[:, 2].numpy()
    np.testing.assert_allclose(value, whole, rtol=1e-5)
    np.testing.assert_allclose(bound(some.astype(np.float32)), reference, rtol=0.0, atol=1e-4, err_msg="float32")
    assert not any(part._forward_hooks for part in net.modules())


def test_a_layers_mask_is_the_papers_optimum_by_torch_alone(rng):
    """The supplement's program (6.4), written out with torch: the same mask after as many iterations."""
    torch = pytest.importorskip("torch", reason="layers are a module's")
    net, image = layered(), rng.random((1, 16, 16))
    response = ls.torch_response(net, output_kind="logits", target=2)
    found = ls.baselines.layer_mask(response, image, "2", l1=0.01, tv=0.02, iterations=25)
    assert (found.method, found.settings["layer"], found.mask.shape) == ("layer_mask", "2", (4, 4))
    np.testing.assert_array_equal(found.picture, image)
    start = ls.baselines.layer_mask(response, image, "2", l1=0.01, tv=0.02, iterations=1, rate=1e-12).mask
    mask = torch.from_numpy(start.copy()).requires_grad_()
    optimiser = torch.optim.Adam([mask], lr=0.1)
    activations = net[:3](torch.from_numpy(image[None]).float()).detach()
    for _ in range(25):
        optimiser.zero_grad()
        down, across = torch.zeros(4, 4, dtype=torch.double), torch.zeros(4, 4, dtype=torch.double)
        down[:-1], across[:, :-1] = mask[1:] - mask[:-1], mask[:, 1:] - mask[:, :-1]
        lengths = (down**2 + across**2 + 1e-24).sqrt()
        chance = net[3:](activations * mask.float()).double().softmax(dim=1)[0, 2]
        (0.01 * (1.0 - mask).sum() + 0.02 * (lengths**3).sum() + chance).backward()
        optimiser.step()
        with torch.no_grad():
            mask.clamp_(0.0, 1.0)
    np.testing.assert_allclose(found.mask, mask.detach().numpy(), rtol=0.0, atol=2e-3, err_msg="float32, 25 steps")
    queried = ls.baselines.layer_mask(response, image, "2", gradient="queries", n_queries=300, rng=0, iterations=25)
    assert queried.n_queries <= 300


def test_layers_that_are_none():
    response = ls.torch_response(layered(), output_kind="logits", target=2)
    with pytest.raises(ValueError, match=r"`layer` must be the name of a part of the module .*'4'.*Got 'conv'"):
        ls.baselines.layer_mask(response, IMAGE, "conv")
    with pytest.raises(ValueError, match=r"\(n, K, rows, columns\) once in a pass.*Got '4, which gives \(1, 4\)'"):
        ls.baselines.layer_mask(response, IMAGE, "4")
    with pytest.raises(TypeError, match="torch_response"):
        ls.baselines.layer_mask(ls.as_response(logistic), IMAGE, "1")


# -- adversarial pictures -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("raising", [False, True])
@pytest.mark.parametrize("attack", ["ifgsm", "mifgsm"])
def test_adversarial_pictures_are_the_papers_by_torch_alone(attack, raising, rng):
    """Dong et al.'s Algorithm 1 and Kurakin et al.'s eq. 2, with cross-entropy, step by step in torch."""
    torch = pytest.importorskip("torch", reason="the reference is written with torch")
    net, image, epsilon, steps = layered(3), rng.random((1, 16, 16)), 0.06, 7
    response = ls.torch_response(net, output_kind="logits", target=1)
    found = ls.baselines.adversarial(response, image, epsilon=epsilon, attack=attack, iterations=steps, raising=raising)
    x0 = torch.from_numpy(image[None]).float()
    x, g = x0.clone(), torch.zeros_like(x0)
    step = epsilon / steps * (1.0 if attack == "mifgsm" else 1.25)
    for _ in range(steps):
        x.requires_grad_()
        loss = torch.nn.functional.cross_entropy(net(x), torch.tensor([1]))
        (slope,) = torch.autograd.grad(-loss if raising else loss, x)
        g = slope if attack == "ifgsm" else g + slope / slope.abs().sum()
        x = (x.detach() + step * g.sign()).clamp(x0 - epsilon, x0 + epsilon).clamp(0.0, 1.0)
    np.testing.assert_allclose(found.picture, x.numpy()[0], rtol=0.0, atol=1e-6, err_msg="float32")
    assert np.abs(found.solution).max() <= epsilon * (1.0 + 1e-12)
    assert (found.source["score"] > found.source["f_x0"]) == raising
    assert found.n_queries == 1 + steps + 1
    assert found.method == attack


def test_a_class_that_is_the_first_choice_cannot_be_reached(rng):
    image = rng.random((1, 16, 16))
    response = ls.torch_response(layered(3), output_kind="logits")
    first = response.bind(image)[0].target
    for target in ("top", first):
        with pytest.raises(ValueError, match=rf"`target` must be another class than the first choice.*Got {first}"):
            ls.baselines.adversarial(response.rescored("log_odds", target), image, epsilon=0.1, raising=True)


def test_adversarial_pictures_by_queries_alone():
    design = ls.IsotropicGaussian((4, 4), 0.05)
    how = {"epsilon": 0.2, "gradient": "queries", "n_queries": 400, "rng": 0, "directions": design}
    found = ls.baselines.adversarial(logistic, 0.9 * IMAGE, **how)
    assert found.source["score"] < found.source["f_x0"] - 0.1
    assert found.n_queries <= 400
    again = ls.baselines.adversarial(ls.as_response(logistic).with_batch_size(3), 0.9 * IMAGE, **how)
    np.testing.assert_array_equal(found.solution, again.solution)
    few = ls.baselines.adversarial(logistic, 0.9 * IMAGE, **{**how, "n_queries": 10})
    assert few.settings["iterations"] == 2


def test_detection_is_the_area_under_the_roc_curve(rng):
    import scipy

    # picture by picture alike, as masks of a picture and of its adversarial version are
    clean = rng.random(40)
    clean, attacked = np.round(clean, 1), np.round(clean + 0.2 + 0.1 * rng.standard_normal(40), 1)
    found = ls.baselines.detection(clean, attacked)
    reference = scipy.stats.mannwhitneyu(attacked, clean).statistic / 1600
    np.testing.assert_allclose(found.auc, reference, rtol=1e-12)
    # bootstrap over pictures, whose two numbers stay together
    areas = []
    for _ in range(400):
        some = rng.integers(0, 40, 40)
        areas.append(scipy.stats.mannwhitneyu(attacked[some], clean[some]).statistic / 1600)
    np.testing.assert_allclose(found.std_error, np.std(areas), rtol=0.25, err_msg="400 draws, 40 pictures")
    for wrong in ([0.1], [[0.1, 0.2]], [0.1, np.nan, *clean[2:]]):
        with pytest.raises(ValueError, match="`attacked` must be as many finite numbers"):
            ls.baselines.detection(clean, wrong)


def test_what_a_mask_brings_back(rng):
    """The attack puts evidence for class 1 beside that of class 0; hiding it brings class 0 back."""
    response, image = six_classes(), np.full((1, 16, 16), 0.5)
    attacked = ls.baselines.adversarial(response, image, epsilon=0.3)
    how = {"shape": (4, 4), "baseline": 0.5 * np.ones((1, 16, 16)), "start": "ones", "iterations": 60, "jitter": 1}
    deleted = mask(response, attacked.picture, **how)
    found = ls.baselines.recovery(response, attacked, deleted)
    pictures = [attacked.image, attacked.picture, deleted.picture]
    bound, _ = response.bind(image)
    chosen = [int(bound.top_classes(one[None].astype(np.float32))[0]) for one in pictures]
    assert [found.original, found.adversarial, found.after] == chosen
    assert found.original != found.adversarial
    assert found.recovered == (found.after == found.original)
    with pytest.raises(ValueError, match="the mask of the adversarial picture"):
        ls.baselines.recovery(response, attacked, mask(response, image, **{**how, "baseline": "black"}))
