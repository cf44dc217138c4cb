"""Boxes within boxes: the tree, the adjustment against a plain reading of the rule, and its error rates."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats

import legstat as ls
from legstat.inference.nested import BoxTree

SHAPE = (8, 8)
DESIGN = ls.StructuredGaussian(grid=SHAPE, scale=0.2)
X0 = np.full((1, *SHAPE), 0.5)


def fitted(f: Callable[[np.ndarray], np.ndarray], rng: int, n_queries: int = 801) -> ls.LEGResults:
    return ls.LEG(ls.query(f, X0, DESIGN, n_queries=n_queries, rng=rng, progress=False)).fit()


@pytest.mark.parametrize("shape", [(8, 8), (7, 5), (1, 6), (28, 28)])
@pytest.mark.parametrize("smallest", [1, 2, 3])
def test_children_are_disjoint_and_fill_their_parent(shape: tuple[int, int], smallest: int) -> None:
    tree = BoxTree.of(shape, smallest)
    cells = tree.indicators(shape)
    np.testing.assert_array_equal(cells.sum(axis=1), tree.sizes)
    for number in range(len(tree.boxes)):
        children = cells[tree.parents == number]
        if len(children):
            np.testing.assert_array_equal(children.sum(axis=0), cells[number])
        else:
            a, b, c, d = tree.boxes[number]
            assert max(b - a, d - c) <= smallest
    assert tree.parents[0] == -1
    assert (tree.parents[1:] < np.arange(1, len(tree.boxes))).all()


def test_the_adjustment_is_the_rule_read_plainly() -> None:
    gamma = np.zeros(SHAPE)
    gamma[1:3, 1:3], gamma[5, 6] = 1.0, -2.0
    leg = fitted(ls.simulate.logistic(gamma), rng=1)
    found = leg.test_boxes(fwer=0.1)
    frame = found.to_frame(every=True)
    sums = found.sums
    assert sums.joint_df is not None
    # half the degrees of freedom, as familywise p-values have
    single = np.asarray(2.0 * scipy.stats.t.sf(np.abs(sums.tstats), sums.joint_df))
    boxes = [tuple(int(edge) for edge in box[1:]) for box in found.boxes]
    for number, (a, b, c, d) in enumerate(boxes):
        above = [i for i, (e, f, g, h) in enumerate(boxes) if e <= a and b <= f and g <= c and d <= h]
        naive = max(
            min(1.0, single[i] * 64 / ((boxes[i][1] - boxes[i][0]) * (boxes[i][3] - boxes[i][2]))) for i in above
        )
        np.testing.assert_allclose(found.pvalues_adjusted[number], naive, rtol=1e-9)  # the same tails by another call
        box = leg.region((a, b, c, d), aggregate="sum")
        np.testing.assert_allclose(sums.estimates[number], box.estimates[0], rtol=1e-10)  # a sum in another order
        np.testing.assert_allclose(sums.std_errors[number], box.std_errors[0], rtol=1e-8)
    inside = frame[frame.finest]
    assert frame.reject[frame.finest].all()
    assert (inside.cells <= 16).all()
    assert found.labels[0, 1, 1] >= 0
    assert found.labels[0, 5, 6] >= 0
    strongest = found.to_frame().iloc[0]
    assert found.labels[0, int(strongest["row"]), int(strongest["column"])] == 0


def test_each_channel_has_its_share_of_the_level() -> None:
    design = ls.StructuredGaussian(grid=(4, 4), scale=0.2, channels="joint")
    picture = np.full((3, 4, 4), 0.5)

    def f(images: np.ndarray) -> np.ndarray:
        return np.asarray(images[:, 1, :2].sum(axis=(1, 2)))

    leg = ls.LEG(ls.query(f, picture, design, n_queries=1001, rng=0, progress=False)).fit()
    found = leg.test_boxes()
    frame = found.to_frame(every=True)
    whole = frame[frame.cells == 16]
    assert list(whole.channel) == [0, 1, 2]
    assert set(frame[frame.reject].channel) == {1}
    assert (found.labels[1, :2] >= 0).all()
    assert (found.labels[1, 2:] == -1).all()


@pytest.mark.slow
def test_any_false_box_is_as_rare_as_promised() -> None:
    gamma = np.zeros(SHAPE)
    gamma[0:2, 0:2] = 1.5
    empty = BoxTree.of(SHAPE, 1).indicators(SHAPE) @ np.abs(gamma).ravel() == 0
    signal, false, hits, runs = ls.simulate.logistic(gamma), 0, 0, 400
    for number in range(runs):
        found = fitted(signal, rng=number, n_queries=601).test_boxes(fwer=0.1)
        false += bool(found.reject[empty].any())
        hits += bool(found.reject[~empty].any())
    # nominal 10 %, three standard errors of 400 runs
    assert false / runs <= 0.1 + 3 * np.sqrt(0.1 * 0.9 / runs)
    assert hits / runs > 0.9

    def noise(images: np.ndarray) -> np.ndarray:
        """A score that has nothing to do with the cells' means."""
        return np.asarray(np.sin(1e5 * images.sum(axis=(1, 2, 3))))

    false = sum(fitted(noise, rng=number).test_boxes(fwer=0.1).n_rejected > 0 for number in range(runs))
    assert false / runs <= 0.1 + 3 * np.sqrt(0.1 * 0.9 / runs)
