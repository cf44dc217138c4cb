"""RISE, HSIC and LIME on 3 x 3 cells where their generator draws all 2^9 masks, once each; Sobol' in closed form."""

import itertools

import numpy as np
from sklearn.linear_model import Ridge

import legstat as ls
from legstat.comparison.methods.masks import Rise
from legstat.comparison.methods.regressions import LimeCells
from legstat.comparison.methods.variances import Hsic, SobolIndices

ALL = np.array(list(itertools.product([0, 1], repeat=9)), dtype=np.float64)
WHITE = np.ones((1, 12, 12))
GAMMA = np.array([[2.0, -1.0, 0.0], [0.0, 1.0, 0.0], [0.5, 0.0, 0.3]])


class EveryMask(np.random.Generator):
    """A generator whose cells are those of all masks in turn, and whose offsets are 0."""

    def __init__(self) -> None:
        super().__init__(np.random.PCG64(0))
        self.at = 0

    def _next(self, n: int) -> np.ndarray:
        self.at += n
        return ALL[self.at - n : self.at]

    def integers(self, low, high=None, size=None):
        return np.zeros(size, dtype=np.int64) if np.ndim(high) else self._next(size[0]).astype(np.int64)

    def random(self, size):
        return 1.0 - self._next(size[0]).reshape(size)  # kept where below p


def scored(shown: np.ndarray) -> np.ndarray:
    """Not linear, of 9 cells."""
    return np.tanh(shown @ GAMMA.ravel()) + 2.0 * shown[:, 1] * shown[:, 8]


def f(images: np.ndarray) -> np.ndarray:
    return scored(ls.Grid((3, 3)).cell_means(images[:, 0]).reshape(-1, 9))


def test_rise_over_all_masks_has_its_closed_form():
    found = Rise((12, 12), cells=3, baseline="black")(
        ls.as_response(ls.simulate.linear(GAMMA)), WHITE, 513, EveryMask()
    )
    # bilinear from 3 to 16 points, of which the first 12: hats around the cells' centres, clamped at the border
    source = np.clip((np.arange(12) + 0.5) * 3 / 16 - 0.5, 0.0, 2.0)
    hats = np.maximum(1.0 - np.abs(source[:, None] - np.arange(3)[None, :]), 0.0)
    lifted = np.einsum("ia,jb->ijab", hats, hats).reshape(144, 9)
    seen = GAMMA.ravel() @ ls.Grid((3, 3)).cell_means(lifted.T.reshape(9, 12, 12)).reshape(9, 9).T
    # E[f M] / E[M] of independent cells with chance 1/2, f and M linear in them; pillow computes in single precision
    expected = seen.sum() / 2.0 + lifted @ seen / 2.0
    np.testing.assert_allclose(found.saliency.ravel(), expected, rtol=2e-6, atol=2e-6)


def test_lime_over_all_masks_is_scikit_learns_ridge():
    found = LimeCells((3, 3), cells=3, baseline="black")(ls.as_response(f), WHITE, 513, EveryMask())
    cosine = np.sqrt(ALL.mean(axis=1))
    weights = np.exp(-((1.0 - cosine) ** 2) / 0.25**2)
    other = Ridge(alpha=1.0).fit(ALL, scored(ALL), sample_weight=weights)
    np.testing.assert_allclose(found.saliency.ravel(), other.coef_, rtol=1e-8, atol=1e-10)


def test_hsic_over_all_masks_is_its_definition():
    found = Hsic((3, 3), cells=3, baseline="black")(ls.as_response(f), WHITE, 513, EveryMask())
    apart = np.abs(scored(ALL)[:, None] - scored(ALL)[None, :])
    width = np.median(apart[~np.eye(512, dtype=bool)])
    kernel, centring = np.exp(-(apart**2) / (2 * width**2)), np.eye(512) - 1 / 512
    for cell in range(9):
        same = (ALL[:, cell, None] == ALL[None, :, cell]).astype(float)
        slow = np.sum((centring @ same @ centring) * kernel) / 511**2
        np.testing.assert_allclose(found.saliency.ravel()[cell], slow, rtol=1e-9, atol=1e-12)


def test_sobol_total_indices_of_an_interaction():
    def product(images):
        x = ls.Grid((3, 3)).cell_means(images[:, 0]).reshape(-1, 9)
        return x[:, 0] * (2.0 + 3.0 * x[:, 1])

    found = SobolIndices((3, 3), cells=3, baseline="black")(ls.as_response(product), WHITE, 20_481, 0)
    # uniform cells: E[(2 + 3 x)^2] = 13, Var f = 13 / 3 - (7 / 4)^2
    variance = 13 / 3 - 49 / 16
    expected = np.zeros(9)
    expected[:2] = 13 / 12 / variance, 9 / 36 / variance
    np.testing.assert_allclose(found.saliency.ravel(), expected, atol=0.01, rtol=0)  # 2,048 points
