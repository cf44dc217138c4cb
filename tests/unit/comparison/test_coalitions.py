"""C-Shapley, its regression and values by pairs against slow sums over all coalitions; discs against formulas."""

import itertools
import math

import numpy as np
import pytest
import scipy.ndimage

import legstat as ls
from legstat.comparison.methods.connected import CShapley, CShapleyRegression, connected_coalitions
from legstat.comparison.methods.discs import BlurOcclusion, Discs, VariableOcclusion
from legstat.comparison.methods.games import ShapleyPairs
from legstat.comparison.methods.regressions import superpixels

PLUS = scipy.ndimage.generate_binary_structure(2, 1)
WHITE = np.ones((1, 12, 12))


class Game:
    """A score of 3 x 3 cells with interactions of every order."""

    fingerprint = "game"

    def __init__(self) -> None:
        rng = np.random.default_rng(7)
        self.gamma, self.pairs, self.calls = rng.standard_normal(9), rng.standard_normal((9, 9)), 0

    def value(self, shown: np.ndarray) -> np.ndarray:
        linear = shown @ self.gamma
        return np.tanh(linear) + np.einsum("ni,ij,nj->n", shown, self.pairs, shown) + linear

    def __call__(self, images: np.ndarray) -> np.ndarray:
        self.calls += len(images)
        return self.value(ls.Grid((3, 3)).cell_means(images[:, 0]).reshape(-1, 9))

    def of(self, members) -> float:
        return float(self.value(np.isin(np.arange(9), list(members)).astype(float)[None])[0])


@pytest.mark.parametrize("k", [0, 1, 2])
def test_c_shapley_is_its_definition_over_all_subsets(k):
    game = Game()
    found = CShapley((3, 3), cells=3, k=k, baseline="black")
    map_ = found(ls.as_response(game), WHITE, 600, 0)
    for cell in range(9):
        row, column = divmod(cell, 3)
        expected = 0.0
        for bits in itertools.product([0, 1], repeat=9):
            mask = np.array(bits, dtype=bool).reshape(3, 3)
            steps = np.abs(np.arange(3)[:, None] - row) + np.abs(np.arange(3)[None, :] - column)
            if not mask[row, column] or (mask & (steps > k)).any() or scipy.ndimage.label(mask, PLUS)[1] != 1:
                continue
            u = mask.sum()
            inside = np.flatnonzero(mask).tolist()
            gain = game.of(inside) - game.of([one for one in inside if one != cell])
            expected += 2.0 / ((u + 2) * (u + 1) * u) * gain
        # the same sum in another order, of up to 2^9 terms
        assert map_.saliency[row, column] == pytest.approx(expected, rel=1e-9, abs=1e-10)
    assert map_.n_queries == game.calls == found.least_for(12, 12)


def test_coalitions_grow_to_all_that_are_connected():
    # on a line of n cells those that contain cell i are (i + 1)(n - i) intervals
    assert len(connected_coalitions(1, 9, 4, 2)) == 9
    assert len(connected_coalitions(1, 9, 0, 2)) == 3
    assert len(connected_coalitions(5, 5, 12, 1)) == 16
    # sums over the intervals of up to 5 cells: there are u of u cells up to 3, then 2, then 1
    weights = [2.0 / ((len(u) + 2) * (len(u) + 1) * len(u)) for u in connected_coalitions(1, 99, 49, 2)]
    assert sum(weights) == pytest.approx(1 / 3 + 2 / 12 + 3 / 30 + 2 / 60 + 1 / 105)


def test_c_shapley_takes_the_finest_grid_that_is_paid_for():
    picture = np.random.default_rng(0).random((3, 56, 56))
    f = ls.as_response(ls.simulate.linear(np.ones((28, 28))))
    spent = {n: CShapley()(f, picture, n, 0).n_queries for n in (76 + 1, 183, 184, 1072)}
    assert spent == {77: 77, 183: 77, 184: 184, 1072: 1072}  # 3 x 3, 3 x 3, 4 x 4, 8 x 8 cells
    with pytest.raises(ValueError, match="at least 184"):
        CShapley(cells=4)(f, picture, 183, 0)
    with pytest.raises(ValueError, match="`k`"):
        CShapley(k=3)


def test_regression_on_balls_is_the_normal_equations():
    game = Game()
    found = CShapleyRegression((3, 3), cells=3, baseline="black")(ls.as_response(game), WHITE, 60, 0)
    rows, seen = [], set()
    for order in range(8):
        for row, column in itertools.product(range(3), repeat=2):
            steps = np.abs(np.arange(3)[:, None] - row) + np.abs(np.arange(3)[None, :] - column)
            ball = tuple((steps <= order).ravel().astype(int))
            if ball not in seen:
                seen.add(ball)
                rows.append(ball)
    x = np.array(rows, dtype=float)
    s = x.sum(axis=1)
    w = np.array([8.0 / (math.comb(9, int(one)) * one * 9) for one in s])
    y = game.value(x) - game.value(np.zeros((1, 9)))[0]
    slow = np.linalg.solve((x * w[:, None]).T @ x, x.T @ (w * y))
    np.testing.assert_allclose(found.saliency.ravel(), slow, rtol=1e-8, atol=1e-10)  # normal equations lose half
    assert found.n_queries == game.calls == len(rows) + 2
    # as many whole orders as are paid for: single cells only
    few = CShapleyRegression((3, 3), cells=3, baseline="black")(ls.as_response(Game()), WHITE, 12, 0)
    alone = [game.of([i]) - game.of([]) for i in range(9)]
    np.testing.assert_allclose(few.saliency.ravel(), alone, rtol=1e-10, atol=1e-12)
    with pytest.raises(ValueError, match="at least 11"):
        CShapleyRegression(cells=3)(ls.as_response(Game()), WHITE, 10, 0)


@pytest.mark.parametrize("estimator", ["kernel", "permutation"])
def test_pairs_add_up_to_shapley_values(estimator):
    pytest.importorskip("shapiq", reason="needs the package shapiq")
    pytest.importorskip("skimage", reason="needs the extra compare")
    image = np.kron(np.array([[[0.2, 0.9, 0.5], [0.9, 0.2, 0.7]]]), np.ones((8, 8)))
    labels = superpixels(image, 6)
    assert labels.max() == 5
    grid, gamma = ls.Grid((2, 3)), np.array([1.0, -2.0, 0.5, 0.0, 1.5, 0.3])

    def f(images):
        a = grid.cell_means(images[:, 0]).reshape(len(images), -1)
        return a @ gamma + 2.0 * a[:, 0] * a[:, 1] - a[:, 4] * a[:, 5]

    def of(members):
        return f((image * np.isin(labels, members))[None])[0]

    shapley = np.zeros(6)
    for i in range(6):
        others = [j for j in range(6) if j != i]
        for some in itertools.chain.from_iterable(itertools.combinations(others, r) for r in range(6)):
            weight = math.factorial(len(some)) * math.factorial(5 - len(some)) / math.factorial(6)
            shapley[i] += weight * (of([*some, i]) - of(list(some)))
    method = ShapleyPairs((16, 24), segments=6, estimator=estimator, baseline="black")
    found = method(ls.as_response(f), image, 3000, 0)
    shares = np.array([found.saliency[labels == i][0] for i in range(6)])
    # the regression takes all 64 coalitions, with a large weight in place of a constraint; the permutations are a
    # sample, whose order decides what a pair counts for
    np.testing.assert_allclose(shares, shapley, atol=1e-6 if estimator == "kernel" else 0.05, rtol=0)
    assert found.n_queries <= 3000


def test_one_superpixel_has_no_pairs():
    pytest.importorskip("shapiq", reason="needs the package shapiq")
    pytest.importorskip("skimage", reason="needs the extra compare")
    found = ShapleyPairs((2, 2), segments=1, baseline="black")(ls.as_response(Game()), WHITE, 20, 0)
    assert (found.n_queries, found.saliency.tolist()) == (1, [[0.0, 0.0], [0.0, 0.0]])


def test_discs_are_blurred_circles_where_they_are_put():
    discs = Discs(30, 40, 2.0)
    centres, radii = np.array([[15, 20], [2, 35], [0, 0]]), np.array([6, 3, 9])
    found = discs.masks(centres, radii)
    for mask, (row, column), radius in zip(found, centres, radii, strict=True):
        # the same on a canvas that is larger by far
        y, x = np.arange(-60, 90)[:, None], np.arange(-60, 100)[None, :]
        inside = ((y - row) ** 2 + (x - column) ** 2 <= radius**2).astype(float)
        slow = scipy.ndimage.gaussian_filter(inside, 2.0)[60:90, 60:100]
        np.testing.assert_allclose(mask, slow, atol=1e-12, rtol=0)


def test_blur_occlusion_is_the_mean_drop_under_its_discs():
    f = ls.as_response(Game())
    method = BlurOcclusion((12, 12), diameter=75, stride=56, softness=18.0, baseline="black")  # 4, 3 and 1 pixels
    found = method(f, WHITE, 40, 0)
    centres = np.array(list(itertools.product(range(1, 12, 3), repeat=2)))
    masks = Discs(12, 12, 18.0 * 12 / 224).masks(centres, np.full(16, 2))
    drops = f(WHITE[None])[0] - np.array([f((WHITE * (1 - mask))[None])[0] for mask in masks])
    np.testing.assert_allclose(found.saliency, np.tensordot(drops, masks, 1) / masks.sum(axis=0), rtol=1e-9)
    assert found.n_queries == 17
    with pytest.raises(ValueError, match="at least 17"):
        method(f, WHITE, 16, 0)


def test_the_supplements_discs_number_784_on_its_pictures():
    assert len(BlurOcclusion().centres(224, 224, 8)) == 784
    assert BlurOcclusion(stride=8).least_for(224, 224) == 785
    assert BlurOcclusion().least_for(224, 224) == 2  # one disc: `least` asks for more


def test_variable_discs_have_the_supplements_law_and_its_point():
    centres, radii = VariableOcclusion().draw(200_000, 224, 224, np.random.default_rng(0))
    # log pi r^2 is normal; whole pixels cost little at these radii. 4 standard errors
    area = np.log(np.pi * radii[radii > 3] ** 2.0)
    assert np.median(np.log(np.pi * radii**2.0)) == pytest.approx(7.5060, abs=0.05)
    assert area.std() == pytest.approx(1.2848, rel=0.05)
    assert centres[:, 0].min() == 0
    assert np.median(centres[:, 0]) == pytest.approx(116, abs=1)
    assert centres[:, 1].mean() == pytest.approx(111.5, abs=4 * 224 / np.sqrt(12 * 200_000))
    game = ls.as_response(ls.simulate.linear(np.diag([1.0, 0.0, 0.0])))
    point = VariableOcclusion((12, 12), rule="point", baseline="black")(game, WHITE, 300, 3)
    mean = VariableOcclusion((12, 12), baseline="black")(game, WHITE, 300, 3)
    assert np.unravel_index(mean.saliency.argmax(), (12, 12)) <= (3, 3)
    drawn, sizes = VariableOcclusion().draw(299, 12, 12, np.random.default_rng(3))
    masks = Discs(12, 12, 10 * 12 / 224).masks(drawn, sizes)
    drops = game(WHITE[None])[0] - np.array([game((WHITE * (1 - mask))[None])[0] for mask in masks])
    best = np.argsort(-drops, kind="stable")[:30]
    row, column = drawn[best[np.argmin(sizes[best])]]
    assert np.unravel_index(point.saliency.argmax(), (12, 12)) == (row, column)
    assert point.saliency.max() == 0.0
