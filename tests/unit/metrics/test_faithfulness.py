"""Patch deletions, infidelity, ROAD, agreement and localisation against exact cases and obvious computations."""

import numpy as np
import pytest
import scipy.stats

import legstat as ls
from legstat.metrics.faithfulness import filled_in

GAMMA = np.arange(64.0).reshape(8, 8) - 20.0


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).random((1, 16, 16))


def test_patches_of_a_linear_score_rank_as_they_act(image):
    f = ls.simulate.linear(GAMMA)
    found = ls.metrics.patch_deletions(f, image, GAMMA, baseline="black")
    cells = image[0].reshape(8, 2, 8, 2).mean(axis=(1, 3))
    slow = (GAMMA * cells).reshape(4, 2, 4, 2).sum(axis=(1, 3))  # what a patch contributes to f
    np.testing.assert_allclose(found.effects, slow, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(found.sums, GAMMA.reshape(4, 2, 4, 2).sum(axis=(1, 3)), rtol=1e-12)
    assert found.correlation == pytest.approx(scipy.stats.spearmanr(slow.ravel(), found.sums.ravel()).statistic)
    assert found.n_queries == 17
    flat = ls.metrics.patch_deletions(f, image, np.ones((8, 8)), baseline="black")
    assert np.isnan(flat.correlation)


def test_infidelity_is_that_of_a_loop_and_zero_for_the_truth():
    f, white = ls.simulate.linear(GAMMA), np.ones((1, 16, 16))
    assert ls.metrics.infidelity(f, white, GAMMA, baseline="black", rescale=False) < 1e-18
    assert ls.metrics.infidelity(f, white, 7.0 * GAMMA, baseline="black") < 1e-18
    other = np.random.default_rng(1).standard_normal((8, 8))
    found = ls.metrics.infidelity(f, white, other, baseline="black", side=3, draws=50, rescale=False, rng=4)
    corners = np.random.default_rng(4).integers(0, [6, 6], size=(50, 2))
    slow = [
        (other[r : r + 3, c : c + 3].sum() - GAMMA[r : r + 3, c : c + 3].sum()) ** 2  # f loses what the square had
        for r, c in corners
    ]
    assert found == pytest.approx(np.mean(slow), rel=1e-10)
    beta = ls.metrics.infidelity(f, white, other, baseline="black", side=3, draws=50, rng=4)
    assert beta < found


def test_filled_in_pixels_are_the_weighted_means_of_their_neighbours(image):
    gone = np.zeros((16, 16), dtype=bool)
    gone[3:9, 4:10] = True
    gone[0, 0] = gone[15, 7] = True
    picture = filled_in(image, gone, 0.0, np.random.default_rng(0))
    np.testing.assert_array_equal(picture[:, ~gone], image[:, ~gone])
    for r, c in zip(*np.nonzero(gone), strict=True):
        total = weight = 0.0
        for dr in (-1, 0, 1):
            for dc in (-1, 0, 1):
                if (dr or dc) and 0 <= r + dr < 16 and 0 <= c + dc < 16:
                    w = 1 / 12 if dr and dc else 1 / 6
                    total, weight = total + w * picture[0, r + dr, c + dc], weight + w
        assert picture[0, r, c] == pytest.approx(total / weight, abs=1e-12)


def test_road_removes_the_most_important_first(image):
    f = ls.simulate.linear(np.eye(8))
    first = ls.metrics.road(f, image, np.eye(8), fractions=[0.125, 0.5], noise=0.0)
    last = ls.metrics.road(f, image, np.eye(8), fractions=[0.125, 0.5], noise=0.0, most_first=False)
    assert first.fractions.tolist() == [0.0, 0.125, 0.5]
    gone = np.kron(np.eye(8), np.ones((2, 2))) > 0
    filled = filled_in(image, gone, 0.0, np.random.default_rng(0))
    assert first.scores[1] == pytest.approx(f(filled[None])[0], abs=1e-12)
    assert last.scores[1] == pytest.approx(f(image[None])[0], abs=1e-12)  # the diagonal is still there


def test_agreement_of_maps():
    pytest.importorskip("skimage", reason="needs the extra compare")
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((28, 28)), rng.standard_normal((28, 28))
    same, opposite, other = (ls.metrics.agreement(a, m) for m in (3.0 * a + 1.0, -a, b))
    assert (same.spearman, same.ssim, same.hog) == pytest.approx((1.0, 1.0, 1.0))
    assert opposite.spearman == pytest.approx(-1.0)
    assert opposite.spearman_abs == pytest.approx(1.0)
    assert abs(other.spearman) < 4 / 28  # standard deviation 1/28 under independence
    assert np.isnan(ls.metrics.agreement(a, np.ones((28, 28))).spearman)


def test_max_sensitivity_of_a_known_map(image):
    # s(x) = x: the change is that of the picture, at most r each pixel
    found = ls.metrics.max_sensitivity(lambda x: x[0], image, radius=0.01, draws=200)
    bound = 0.01 * np.sqrt(256) / np.linalg.norm(image)
    assert 0.5 * bound < found <= bound
    with pytest.raises(ValueError, match="zeros"):
        ls.metrics.max_sensitivity(lambda x: 0.0 * x[0], image)


def test_localisation_rules():
    heat = np.zeros((20, 20))
    heat[5:9, 4:12] = 1.0
    heat[15, 15] = 0.4
    truth = (4.0, 5.0, 12.0, 9.0)
    for rule, alpha in (("value", 0.5), ("energy", 0.9), ("mean", 9.0)):
        found = ls.metrics.localisation(heat, [(0, 0, 2, 2), truth], rule=rule, alpha=alpha)
        assert (found.box, found.overlap, found.hit) == (truth, 1.0, True)
    # a box half as wide: intersection 16 of 32 + 16 - 16
    assert ls.metrics.localisation(heat, [(8, 5, 12, 9)], rule="value").overlap == pytest.approx(0.5)
    low = ls.metrics.localisation(heat, [truth], rule="value", alpha=0.3)
    assert low.box == (4.0, 5.0, 16.0, 16.0)
    assert not low.hit
    assert ls.metrics.localisation(-heat, [truth]).box is None
    assert ls.metrics.pointing(heat, [(7, 6, 9, 8)])  # the centre of the plateau
    assert not ls.metrics.pointing(heat, [(0, 0, 4, 4)])
    assert ls.metrics.pointing(heat, [(0, 0, 4, 4)], tolerance=5)
    for boxes in ([], [(3, 3, 3, 5)]):
        with pytest.raises(ValueError, match="boxes"):
            ls.metrics.localisation(heat, boxes)


def test_the_smallest_box_that_suppresses():
    gamma = np.zeros((8, 8))
    gamma[2:4, 3:6] = 1.0
    f, white = ls.simulate.linear(gamma), np.ones((1, 16, 16))
    noisy = gamma + 0.3 * (np.add.outer(np.arange(8), np.arange(8)) == 0)
    found = ls.metrics.smallest_box(f, white, noisy, baseline="black")
    assert found.box == (3.0, 2.0, 6.0, 4.0)
    assert found.area == pytest.approx(6 / 64)
    nowhere = ls.metrics.smallest_box(f, white, np.eye(8) * (np.arange(8) > 6), baseline="black", thresholds=3)
    assert nowhere.censored
    assert nowhere.area == 1.0
    with pytest.warns(ls.LegstatWarning, match=r"baseline scores 0, x0 itself -.*another baseline"):
        hopeless = ls.metrics.smallest_box(ls.simulate.linear(-gamma), white, gamma, baseline="black")
    assert (hopeless.box, hopeless.area, hopeless.censored) == (None, 1.0, True)
    assert hopeless.n_queries > 2  # paid for, and said


def test_saliency_share():
    heat = np.zeros((40, 40))
    heat[:, :20] = 2.0
    shares = ls.metrics.saliency_share(heat, {"eyes": [(10, 10), (10, 30)], "feet": [(30, 20)]})
    assert shares == {"eyes": 2.0, "feet": 0.0}
    for groups in ({"eyes": []}, {"eyes": [(50, 1)]}):
        with pytest.raises(ValueError, match="eyes"):
            ls.metrics.saliency_share(heat, groups)
