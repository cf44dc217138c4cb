"""Curves and key sizes against a slow, obvious computation, exact toy cases, and the networks at hand."""

import numpy as np
import pytest

import legstat as ls
from legstat.data import digits_model_path, load_digit
from legstat.metrics import references
from legstat.metrics.masked import ranked

SHAPE = (4, 4)


def f(images: np.ndarray) -> np.ndarray:
    """A bent function of all pixels, within (0, 1)."""
    weights = np.linspace(-1.0, 2.0, 64).reshape(8, 8)
    return 1.0 / (1.0 + np.exp(-(images.mean(axis=1) * weights).sum(axis=(1, 2)) / 8.0))


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).random((3, 8, 8))


@pytest.fixture
def saliency() -> np.ndarray:
    return np.random.default_rng(1).permutation(16).reshape(SHAPE).astype(float)


def slow_curve(image: np.ndarray, saliency: np.ndarray, baseline: np.ndarray, steps: int, deleting: bool) -> np.ndarray:
    order = sorted(np.ndindex(SHAPE), key=lambda cell: -saliency[cell])
    points = []
    for k in np.round(np.linspace(0, 16, steps + 1)).astype(int):
        picture = (image if deleting else baseline).copy()
        for row, column in order[:k]:
            here = (slice(None), slice(2 * row, 2 * row + 2), slice(2 * column, 2 * column + 2))
            picture[here] = (baseline if deleting else image)[here]
        points.append(f(picture[None])[0])
    return np.array(points)


@pytest.mark.parametrize("baseline", ["blur", "mean", "black", "white", "noise", "zeros", "igos", "rise"])
@pytest.mark.parametrize("steps", [16, 5])
def test_curves_are_those_of_the_obvious_computation(image, saliency, baseline, steps):
    reference = references.reference_picture("deletion", baseline, image, ls.as_response(f))
    for metric, deleting in ((ls.metrics.deletion, True), (ls.metrics.insertion, False)):
        curve = metric(f, image, saliency, baseline=baseline, steps=steps)
        slow = slow_curve(image, saliency, reference, steps, deleting)
        # baseline + 1 (x0 - baseline) is x0 but for the last bit
        np.testing.assert_allclose(curve.scores, slow, rtol=0.0, atol=1e-14)
        # trapezoids, summed one by one
        area = sum((curve.fractions[i + 1] - curve.fractions[i]) * (slow[i] + slow[i + 1]) / 2.0 for i in range(steps))
        assert curve.area == pytest.approx(area, abs=1e-12)
        assert curve.n_queries == steps + 1
        assert curve.tied == 0


def test_known_areas():
    gamma = np.array([[1.0, 0.0], [0.0, 0.0]])
    g, white = ls.simulate.linear(gamma), np.ones((1, 4, 4))
    best, worst = gamma, -gamma
    # deletion falls from 1 to 0 within the first quarter, insertion is its mirror
    assert ls.metrics.deletion(g, white, best, baseline="black", steps=4).area == pytest.approx(1 / 8, abs=1e-15)
    assert ls.metrics.deletion(g, white, worst, baseline="black", steps=4).area == pytest.approx(7 / 8, abs=1e-15)
    assert ls.metrics.insertion(g, white, best, baseline="black", steps=4).area == pytest.approx(7 / 8, abs=1e-15)


def test_a_curve_may_end_early(image, saliency):
    whole = ls.metrics.deletion(f, image, saliency, steps=16)
    part = ls.metrics.deletion(f, image, saliency, steps=4, until=0.25)
    np.testing.assert_array_equal(part.scores, whole.scores[:5])
    assert part.area == pytest.approx(np.trapezoid(whole.scores[:5]) / 4, abs=1e-15)
    inserted = ls.metrics.insertion(f, image, saliency, steps=4, until=0.25)
    assert inserted.n_queries == 6  # x0 is no point of it
    assert inserted.fractions[-1] == 0.25


def test_ties_are_ranked_by_the_seed_and_counted(image):
    flat = np.zeros(SHAPE)
    flat[0, 0] = 1.0
    orders = {tuple(ranked("deletion", flat, seed)[0]) for seed in range(20)}
    assert len(orders) > 10
    assert all(order[0] == 0 for order in orders)
    curve = ls.metrics.deletion(f, image, flat, steps=16)
    assert curve.tied == 15
    np.testing.assert_array_equal(curve.scores, ls.metrics.deletion(f, image, flat, steps=16).scores)
    with pytest.warns(ls.LegstatWarning, match="constant"):
        ls.metrics.deletion(f, image, np.ones(SHAPE))
    # chance: a constant map's area is, on average over seeds, that of random orders
    with pytest.warns(ls.LegstatWarning):
        areas = [ls.metrics.deletion(f, image, np.ones(SHAPE), steps=16, rng=s).area for s in range(200)]
    random = [ls.metrics.deletion(f, image, np.random.default_rng(s).random(SHAPE), steps=16).area for s in range(200)]
    error = np.hypot(np.std(areas), np.std(random)) / np.sqrt(200)
    assert abs(np.mean(areas) - np.mean(random)) < 4 * error


def test_rise_references_are_those_of_a_direct_convolution(image):
    # RISE's kernel: a point on 11 x 11 through a Gaussian of 5 whose borders reflect; zeros around the picture
    import scipy.ndimage

    point = np.zeros((11, 11))
    point[5, 5] = 1.0
    kernel = scipy.ndimage.gaussian_filter(point, 5.0)
    padded = np.pad(image, ((0, 0), (5, 5), (5, 5)))
    slow = np.array(
        [
            [[np.sum(padded[c, i : i + 11, j : j + 11] * kernel[::-1, ::-1]) for j in range(8)] for i in range(8)]
            for c in range(3)
        ]
    )
    np.testing.assert_allclose(
        references.reference_picture("deletion", "rise", image, ls.as_response(f)),
        np.clip(slow, 0, 1),
        atol=1e-14,
        rtol=0,
    )


def test_zero_colour_is_what_the_network_gets_as_zeros():
    for preset, colour in (("imagenet", [0.485, 0.456, 0.406]), ("tf", [0.5] * 3)):
        f = ls.onnx_response(digits_model_path(), preprocessing="unit")
        f.preprocessing = ls.Preprocessing(**{**f.preprocessing.to_dict(), **_affine(preset)})
        np.testing.assert_allclose(f.zero_colour(3), colour, rtol=1e-12)


def _affine(preset: str) -> dict[str, object]:
    from legstat.responses.network.preprocessing import PRESETS

    about = PRESETS[preset].to_dict()
    return {name: about[name] for name in ("scale", "mean", "std", "channel_order")}


def test_networks_are_scored_by_probability_whatever_they_were_opened_with():
    image, _ = load_digit(5)
    maps = np.random.default_rng(0).random((8, 8))
    curves = [
        ls.metrics.deletion(ls.onnx_response(digits_model_path(), score=s, preprocessing="unit"), image, maps)
        for s in ("probability", "log_odds")
    ]
    np.testing.assert_array_equal(curves[0].scores, curves[1].scores)
    assert 0 < curves[0].scores[0] < 1


def slow_key_size(network, image, saliency, masked, steps):
    order = np.argsort(-saliency.ravel(), kind="stable")
    before = network.class_outputs(image[None].astype(np.float32)).argmax()
    for k in np.unique(np.round(np.linspace(0, 64, steps + 1)).astype(int))[1:]:
        picture = image.copy()
        for cell in order[:k]:
            picture[:, cell // 8, cell % 8] = masked[:, cell // 8, cell % 8]
        if network.class_outputs(picture[None].astype(np.float32)).argmax() != before:
            return k / 64, False
    return 1.0, True


@pytest.mark.parametrize("masking", ["black", "white", "mean", "distance", "noise"])
@pytest.mark.parametrize("number", [0, 5, 9])
def test_key_sizes_are_those_of_the_obvious_computation(masking, number):
    image, _ = load_digit(number)
    f = ls.onnx_response(digits_model_path(), preprocessing="unit")
    network, _ = f.bind(image)
    saliency = np.random.default_rng(number).standard_normal((8, 8))
    rng = np.random.default_rng(3)
    ranked("key_size", saliency, rng)  # ties are settled first, from the same generator
    masked = {
        "black": np.zeros_like(image),
        "white": np.ones_like(image),
        "mean": np.full_like(image, image.mean()),
        "distance": np.clip(image - 100 / 255 * np.where(saliency >= 0, 1, -1), 0, 1),
    }.get(masking)
    found = ls.metrics.key_size(f, image, saliency, masking=masking, steps=32, rng=3)
    masked = rng.random(image.shape) if masked is None else masked
    assert (found.size, found.censored) == slow_key_size(network, image, saliency, masked, 32)


def test_a_choice_that_never_changes_is_censored_and_not_one():
    image, _ = load_digit(5)
    f = ls.onnx_response(digits_model_path(), preprocessing="unit")
    found = ls.metrics.key_size(f, image, np.random.default_rng(0).random((8, 8)), until=1 / 64, steps=1)
    assert found.censored
    assert found.size == 1 / 64


def test_masking_curve_and_its_two_averages(image, saliency):
    shares = [0.0, 0.25, 0.5]
    curves = []
    for seed in range(3):
        x = np.random.default_rng(seed).random((3, 8, 8))
        curve = ls.metrics.masking_curve(f, x, saliency, masking="black", fractions=shares)
        p = slow_curve(x, saliency, np.zeros_like(x), 4, True)[:3]
        odds = p / (1 - p)
        np.testing.assert_allclose(curve.probabilities, p, atol=1e-14, rtol=0)
        np.testing.assert_allclose(curve.log_odds_ratios, np.log(odds / odds[0]), atol=1e-12, rtol=0)
        curves.append(curve)
    mean, errors = ls.metrics.mean_log_odds_ratio(curves)
    each = np.array([c.log_odds_ratios for c in curves])
    np.testing.assert_allclose(mean, each.mean(axis=0), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(errors, each.std(axis=0, ddof=1) / np.sqrt(3), rtol=1e-12, atol=1e-15)
    upstream, none = ls.metrics.mean_log_odds_ratio(curves, convention="upstream")
    p = np.mean([c.probabilities for c in curves], axis=0)
    np.testing.assert_allclose(upstream, np.log(p / (1 - p)) - np.log(p[0] / (1 - p[0])), rtol=1e-10, atol=1e-12)
    assert none is None
    assert not np.allclose(upstream, mean)


def test_noise_is_averaged_over_its_repeats(image, saliency):
    few = ls.metrics.masking_curve(f, image, saliency, masking="noise", fractions=[0.0, 0.5], repeats=7, rng=2)
    assert few.n_queries == 1 + 7
    again = ls.metrics.masking_curve(f, image, saliency, masking="noise", fractions=[0.0, 0.5], repeats=7, rng=2)
    np.testing.assert_array_equal(few.log_odds_ratios, again.log_odds_ratios)


class Counting:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, images: np.ndarray) -> np.ndarray:
        self.calls += len(images)
        return images.mean(axis=(1, 2, 3))


BAD = [
    ("saliency", "a map", lambda g, x, s: ls.metrics.deletion(g, x, s[0])),
    ("saliency", "finite", lambda g, x, s: ls.metrics.insertion(g, x, s * np.nan)),
    ("grid", "", lambda g, x, s: ls.metrics.deletion(g, x, np.ones((9, 9)) * np.arange(9))),
    ("baseline", "one of", lambda g, x, s: ls.metrics.deletion(g, x, s, baseline="grey")),
    ("baseline", "shape", lambda g, x, s: ls.metrics.deletion(g, x, s, baseline=np.zeros((1, 8, 8)))),
    ("baseline", "equal", lambda g, x, s: ls.metrics.deletion(g, x, s, baseline=x)),
    ("steps", ">= 1", lambda g, x, s: ls.metrics.deletion(g, x, s, steps=0)),
    ("until", "within", lambda g, x, s: ls.metrics.insertion(g, x, s, until=1.5)),
    ("image", "within", lambda g, x, s: ls.metrics.deletion(g, x * 255, s)),
    ("image", "shape", lambda g, x, s: ls.metrics.deletion(g, x[0], s)),
    ("masking", "one of", lambda g, x, s: ls.metrics.masking_curve(g, x, s, masking="grey")),
    ("fractions", "ascending", lambda g, x, s: ls.metrics.masking_curve(g, x, s, fractions=[0.3, 0.1])),
    ("response", "network", lambda g, x, s: ls.metrics.key_size(g, x, s)),
    ("curves", "at least", lambda g, x, s: ls.metrics.mean_log_odds_ratio([])),
]


@pytest.mark.parametrize(("argument", "text", "call"), BAD)
def test_bad_input_is_refused_before_anything_is_evaluated(argument, text, call, image, saliency):
    g = Counting()
    with pytest.raises((ValueError, TypeError), match=rf"legstat.*{text}") as caught:
        call(g, image, saliency)
    assert argument in str(caught.value)
    assert g.calls == 0
