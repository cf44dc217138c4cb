"""Every method against an obvious computation or a closed form, within its budget, and with the same bits by seed."""

import itertools

import numpy as np
import pytest
from sklearn.linear_model import Ridge

import legstat as ls
from legstat.comparison.compare import METHODS
from legstat.comparison.method import Choosy
from legstat.comparison.methods.controls import CentreMap, EdgeMap
from legstat.comparison.methods.masks import Occlusion, Rise
from legstat.comparison.methods.regressions import LimeCells, lime_weights, superpixels, weighted_ridge
from legstat.comparison.methods.variances import Hsic, SobolIndices, dependence

GAMMA = np.array([[2.0, -1.0, 0.0], [0.0, 1.0, 0.0], [0.5, 0.0, 0.0]])
WHITE = np.ones((1, 12, 12))


class Counting:
    def __init__(self, gamma: np.ndarray = GAMMA) -> None:
        self.f, self.calls, self.fingerprint = ls.simulate.linear(gamma), 0, "counting"

    def __call__(self, images: np.ndarray) -> np.ndarray:
        self.calls += len(images)
        return self.f(images)


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if not isinstance(method(), Choosy)])
@pytest.mark.parametrize("budget", [300, 577])
def test_budgets_are_counted_and_kept(name, budget):
    shape = (
        (14, 14) if name == "legtv" else (28, 28)
    )  # the linear programs of a white map take half a minute at 28 x 28
    method = METHODS[name](shape) if name == "legtv" else METHODS[name]()
    if name in ("kernelshap", "lime_superpixels", "shapley_pairs"):
        pytest.importorskip("skimage", reason="needs the extra compare")
    if name in ("kernelshap", "shapley_pairs"):
        package = {"kernelshap": "shap", "shapley_pairs": "shapiq"}[name]
        pytest.importorskip(package, reason=f"needs the package {package}")
    image = np.random.default_rng(0).random((3, 56, 56))
    f = Counting(np.random.default_rng(1).standard_normal((28, 28)))
    found = method(ls.as_response(f), image, budget, np.random.default_rng(5))
    assert f.calls == found.n_queries <= budget
    assert found.saliency.shape == shape
    assert np.isfinite(found.saliency).all()
    assert method.least <= budget
    if budget == 577:  # the other is repeated
        return
    again = method(ls.as_response(Counting(f.f.gamma), batch_size=7), image, budget, np.random.default_rng(5))
    # this f sums each batch as numpy likes, in another order for another size: 1e-16, which a linear program whose
    # answer is certified to 1e-8 of the data makes some 1e-6 of
    np.testing.assert_allclose(again.saliency, found.saliency, rtol=1e-6, atol=1e-5)


def test_rise_is_the_weighted_mean_of_its_masks():
    rise = Rise((12, 12), cells=3, baseline="black")
    found = rise(ls.as_response(ls.simulate.linear(GAMMA)), WHITE, 41, np.random.default_rng(3))
    masks = rise.masks(40, 12, 12, np.random.default_rng(3))
    scores = ls.simulate.linear(GAMMA)(masks[:, None])
    slow = sum(s * m for s, m in zip(scores, masks, strict=True)) / sum(masks)
    np.testing.assert_allclose(found.saliency, slow, rtol=1e-10, atol=1e-12)


def test_rise_masks_of_whole_cells_by_enumeration():
    # without offsets and up-sampling, all 2^9 masks: E[f M] / E[M] = f without the cell's own part + gamma_c
    masks = np.array(list(itertools.product([0.0, 1.0], repeat=9)))
    scores = masks @ GAMMA.ravel()
    enumerated = masks.T @ scores / masks.sum(axis=0)
    np.testing.assert_allclose(enumerated - (GAMMA.sum() - GAMMA.ravel()) / 2, GAMMA.ravel(), atol=1e-12, rtol=0)
    # and RISE's own masks tend to a map that ranks the strongest cell first
    found = Rise((3, 3), cells=3, baseline="black")(ls.as_response(Counting()), WHITE, 4001, 0).saliency
    assert found.argmax() == 0


def test_occlusion_is_the_mean_drop_of_the_patches_over_a_pixel():
    f = ls.as_response(ls.simulate.linear(GAMMA))
    found = Occlusion((12, 12), patch=75, stride=37, baseline="black")(f, WHITE, 200, 0)  # 4 pixels, every 2nd
    drop, count = np.zeros((12, 12)), np.zeros((12, 12))
    for r in range(0, 9, 2):
        for c in range(0, 9, 2):
            hidden = WHITE.copy()
            hidden[0, r : r + 4, c : c + 4] = 0.0
            drop[r : r + 4, c : c + 4] += GAMMA.sum() - f(hidden[None])[0]
            count[r : r + 4, c : c + 4] += 1
    np.testing.assert_allclose(found.saliency, drop / count, rtol=1e-10, atol=1e-12)
    assert found.n_queries == 26
    with pytest.raises(ValueError, match="at least 26"):
        Occlusion((12, 12), patch=75, stride=37, baseline="black")(f, WHITE, 20, 0)


def test_lime_is_scikit_learns_weighted_ridge():
    rng = np.random.default_rng(0)
    shown = rng.integers(0, 2, (60, 9)).astype(float)
    scores = shown @ GAMMA.ravel() + 0.1 * rng.standard_normal(60)
    weights = lime_weights(shown)
    other = Ridge(alpha=1.0).fit(shown, scores, sample_weight=weights)
    np.testing.assert_allclose(weighted_ridge(shown, scores, weights), other.coef_, rtol=1e-8, atol=1e-10)
    # LIME's own distance: cosine to the row of ones
    some = shown.any(axis=1)
    cosine = shown[some].sum(axis=1) / np.sqrt(shown[some].sum(axis=1) * 9)
    np.testing.assert_allclose(weights[some], np.exp(-((1 - cosine) ** 2) / 0.25**2), rtol=1e-12)


def test_lime_on_cells_finds_a_linear_score():
    found = LimeCells((3, 3), cells=3, baseline="black")(ls.as_response(Counting()), WHITE, 2000, 0).saliency
    np.testing.assert_allclose(found, GAMMA, atol=0.02, rtol=0)  # a penalty of 1 on some 10^2 weighted draws


def test_hsic_is_that_of_full_matrices():
    rng = np.random.default_rng(0)
    masks, scores = rng.integers(0, 2, (40, 4)).astype(float), rng.standard_normal(40)
    apart = np.abs(scores[:, None] - scores[None, :])
    width = np.median([apart[i, j] for i in range(40) for j in range(40) if i != j])
    kernel, centring = np.exp(-(apart**2) / (2 * width**2)), np.eye(40) - 1 / 40
    for i in range(4):
        same = (masks[:, i, None] == masks[None, :, i]).astype(float)
        slow = np.trace(same @ centring @ kernel @ centring) / 39**2
        assert dependence(masks, scores)[i] == pytest.approx(slow, rel=1e-10)
    assert Hsic((3, 3), cells=3, baseline="black")(ls.as_response(Counting()), WHITE, 1500, 0).saliency.argmax() == 0


def test_sobol_indices_of_a_linear_score_are_its_shares_of_variance():
    found = SobolIndices((3, 3), cells=3, baseline="black")(ls.as_response(Counting()), WHITE, 10_241, 0)
    # uniform cells: variances gamma^2 / 12, no interactions
    np.testing.assert_allclose(found.saliency, GAMMA**2 / np.sum(GAMMA**2), atol=0.01, rtol=0)
    assert found.n_queries == 1 + 1024 * 10


def test_controls_ask_nothing():
    f = Counting()
    image = np.zeros((1, 8, 8))
    image[:, :, 4:] = 1.0
    assert CentreMap((4, 4))(ls.as_response(f), image, 0, 0).saliency.ravel().argsort()[-4:].tolist() != []
    edges = EdgeMap((8, 8))(ls.as_response(f), image, 0, 0).saliency
    assert (edges[:, 3:5] > 0).all()
    assert edges[:, [0, 1, 6, 7]].max() == 0.0
    assert f.calls == 0


def test_superpixels_are_numbered_from_zero_without_gaps():
    pytest.importorskip("skimage", reason="needs the extra compare")
    labels = superpixels(np.random.default_rng(0).random((3, 56, 56)), 20)
    assert np.unique(labels).tolist() == list(range(labels.max() + 1))
    grey = superpixels(np.random.default_rng(0).random((1, 56, 56)), 20)
    assert grey.shape == (56, 56)


def test_kernelshap_is_exact_where_all_coalitions_are_paid_for():
    pytest.importorskip("shap", reason="needs the package shap")
    pytest.importorskip("skimage", reason="needs the extra compare")
    from legstat.comparison.methods.games import KernelShap

    image = np.kron(np.array([[[0.2, 0.9], [0.9, 0.2]]]), np.ones((8, 8)))
    gamma = np.array([[1.0, 0.0], [-2.0, 0.5]])
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    found = KernelShap((2, 2), segments=4, baseline="black")(
        ls.as_response(ls.simulate.linear(gamma)), image, 200, 0
    ).saliency
    # an additive game: each superpixel's value is what it adds
    np.testing.assert_allclose(found, gamma * [[0.2, 0.9], [0.9, 0.2]], atol=1e-8, rtol=0)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
