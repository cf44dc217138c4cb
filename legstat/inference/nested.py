"""Where is the evidence, at the finest scale at which it is certain: boxes within boxes, tested from the top down."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from legstat._core.checks import check_count, check_level
from legstat._core.frozen import Portable
from legstat._core.notebooks import Rich
from legstat._core.typing import BoolArray, FloatArray, IntArray
from legstat.inference.contrasts import Box, Contrasts

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class BoxTree:
    """The grid, its quarters, their quarters and so on, down to boxes that are not cut any more.

    Attributes
    ----------
    boxes : tuple of tuple of int
        (row, row after the last, column, column after the last) of each; a box comes after the one it lies in.
    parents : ndarray of shape (k,)
        Number of the box that each lies in; -1 for the grid.

    Examples
    --------
    >>> BoxTree.of((4, 2), smallest=1).boxes[:4]
    ((0, 4, 0, 2), (0, 2, 0, 1), (0, 1, 0, 1), (1, 2, 0, 1))
    >>> len(BoxTree.of((28, 28), smallest=1).boxes)
    1109
    """

    boxes: tuple[Box, ...]
    parents: IntArray

    @classmethod
    def of(cls, shape: tuple[int, int], smallest: int) -> BoxTree:
        """The tree of a grid; sides of `smallest` cells and fewer are not cut."""
        boxes: list[Box] = []
        parents: list[int] = []

        def add(box: Box, parent: int) -> None:
            number = len(boxes)
            boxes.append(box)
            parents.append(parent)
            for part in _quarters(box, smallest):
                add(part, number)

        add((0, shape[0], 0, shape[1]), -1)
        return cls(tuple(boxes), np.array(parents))

    @property
    def sizes(self) -> IntArray:
        """Cells of each box, shape (k,)."""
        return np.array([(b - a) * (d - c) for a, b, c, d in self.boxes])

    def downwards(self, values: FloatArray) -> FloatArray:
        """The largest of each box's value and those of all that it lies in."""
        found = np.array(values, dtype=np.float64)
        for number, parent in enumerate(self.parents):
            if parent >= 0:
                found[number] = max(found[number], found[parent])
        return found

    def indicators(self, shape: tuple[int, int]) -> FloatArray:
        """1 on each box's cells, shape (k, p1 p2)."""
        rows = np.zeros((len(self.boxes), *shape))
        for row, (a, b, c, d) in zip(rows, self.boxes, strict=True):
            row[a:b, c:d] = 1.0
        return rows.reshape(len(rows), -1)


def _quarters(box: Box, smallest: int) -> Iterator[Box]:
    """Its halves by halves; the first half has the odd row or column. Nothing where neither side is cut."""
    a, b, c, d = box
    rows = [(a, b)] if b - a <= smallest else [(a, a + (b - a + 1) // 2), (a + (b - a + 1) // 2, b)]
    columns = [(c, d)] if d - c <= smallest else [(c, c + (d - c + 1) // 2), (c + (d - c + 1) // 2, d)]
    if len(rows) * len(columns) > 1:
        for top, bottom in rows:
            for left, right in columns:
                yield top, bottom, left, right


@dataclass(frozen=True, kw_only=True, eq=False)
class NestedTest(Rich, Portable):
    """Boxes within boxes, tested from the top down with control over all of them together.

    Attributes
    ----------
    boxes : ndarray of shape (k, 5)
        Channel, row, row after the last, column, column after the last.
    sums : Contrasts
        Sum of gamma over each box, with standard errors.
    pvalues_adjusted : ndarray of shape (k,)
        A box is rejected at level q exactly where it is <= q.
    reject : ndarray of bool, shape (k,)
        Whether gamma is declared not to vanish in the box.
    finest : ndarray of bool, shape (k,)
        Rejected boxes in which no smaller one is rejected: as fine as the evidence goes.
    level : float
        Of the familywise error.
    shape : tuple of int
        (channels, p1, p2).

    Examples
    --------
    >>> import legstat as ls
    >>> gamma = np.zeros((8, 8)); gamma[1:3, 1:3] = 2.0
    >>> design = ls.StructuredGaussian(grid=(8, 8), scale=0.2)
    >>> sample = ls.query(ls.simulate.logistic(gamma), np.full((1, 8, 8), 0.5), design, n_queries=2001, rng=0)
    >>> found = ls.LEG(sample).fit().test_boxes(fwer=0.05)
    >>> bool(found.labels[0, 2, 2] >= 0), int(found.labels[0, 6, 6])
    (True, -1)
    """

    boxes: IntArray
    sums: Contrasts
    pvalues_adjusted: FloatArray
    reject: BoolArray
    finest: BoolArray
    level: float
    shape: tuple[int, int, int]

    @property
    def n_rejected(self) -> int:
        """Number of boxes in which gamma is declared not to vanish."""
        return int(self.reject.sum())

    @property
    def labels(self) -> IntArray:
        """Finest rejected box of each cell, 0 the strongest; -1 where there is none; shape (channels, p1, p2)."""
        labels = np.full(self.shape, -1, dtype=np.int64)
        for rank, number in enumerate(self._order):
            channel, a, b, c, d = self.boxes[number]
            labels[channel, a:b, c:d] = rank
        return labels

    @property
    def _order(self) -> IntArray:
        chosen = np.flatnonzero(self.finest)
        return chosen[np.argsort(-np.abs(self.sums.tstats[chosen]), kind="stable")]

    def to_frame(self, *, level: float = 0.95, every: bool = False) -> pd.DataFrame:
        """One row a finest box, strongest first: place, cells, sum, standard error, interval, p-values.

        Parameters
        ----------
        level : float, default 0.95
            Of each interval by itself.
        every : bool, default False
            All boxes that were tested instead, from the top down.

        Returns
        -------
        pandas.DataFrame
            ``channel``, ``row``, ``row_end``, ``column``, ``column_end``, ``cells``, ``sum``, ``std_error``,
            ``pvalue``, ``conf_low``, ``conf_high``, ``pvalue_adjusted``; with `every` ``reject`` and ``finest`` too.
        """
        frame = self.sums.to_frame(level=level).drop(columns="z").rename(columns={"estimate": "sum"})
        place = dict(zip(("channel", "row", "row_end", "column", "column_end"), self.boxes.T, strict=True))
        for at, (name, values) in enumerate(place.items()):
            frame.insert(at, name, values)
        frame.insert(5, "cells", (self.boxes[:, 2] - self.boxes[:, 1]) * (self.boxes[:, 4] - self.boxes[:, 3]))
        frame["pvalue_adjusted"], frame["reject"], frame["finest"] = self.pvalues_adjusted, self.reject, self.finest
        return frame if every else frame.iloc[self._order].drop(columns=["reject", "finest"])

    def __repr__(self) -> str:
        found = f"{self.n_rejected} of {len(self.boxes)} boxes, {int(self.finest.sum())} finest"
        return f"<NestedTest {found}, FWER <= {self.level:g}>"


def nested_test(
    contrasts: Callable[[FloatArray, tuple[str, ...]], Contrasts],
    shape: tuple[int, int, int],
    *,
    fwer: float = 0.05,
    smallest: int = 1,
) -> NestedTest:
    r"""Test whether gamma vanishes in the grid, in its quarters, in theirs, and so on.

    Of a box C of a grid of m cells (all channels together) the hypothesis is that gamma is 0 in every cell of C; what
    it is tested by is the sum of gamma-hat over C. With its p-value p_C

    .. math:: p_C^{adj} = \max_{C' \supseteq C} \min(1,\; p_{C'}\, m / |C'|)

    (Meinshausen, *Hierarchical testing of variable importance*, 2008, eq. 3): the largest true boxes are disjoint, so
    the probabilities that they are rejected add up to no more than the level. Rejecting those at most `fwer` controls
    the familywise error over all boxes of all sizes, under any dependence.

    Parameters
    ----------
    contrasts : callable
        ``(C, labels) -> Contrasts``, as `LEGResults.contrasts`.
    shape : tuple of int
        (channels, p1, p2).
    fwer : float, default 0.05
        Probability of any false box, at most.
    smallest : int, default 1
        Sides of so many cells and fewer are not cut any more.

    Returns
    -------
    NestedTest
        Boxes, sums, decisions.

    Raises
    ------
    ValueError
        A level outside (0, 1), a size below 1.
    InferenceUnavailableError
        The results carry no standard errors, or rest on too few observations.

    Notes
    -----
    Costs one pass over the draws for some 4/3 m contrasts. A box of which one half speaks for the class and the other
    against it may have a sum of 0: then the descent ends there, though the halves would be found by `region`.

    Examples
    --------
    >>> import legstat as ls
    >>> design = ls.StructuredGaussian(grid=(4, 4), scale=0.2)
    >>> sample = ls.query(ls.simulate.logistic(np.eye(4)), np.full((1, 4, 4), 0.5), design, n_queries=801, rng=0)
    >>> nested_test(ls.LEG(sample).fit().contrasts, (1, 4, 4), smallest=2).boxes.shape
    (5, 5)
    """
    where = "LEGResults.test_boxes"
    level = check_level(where, "fwer", fwer)
    channels, *sides = shape
    tree = BoxTree.of((sides[0], sides[1]), check_count(where, "smallest", smallest, what=" cells"))
    rows, k = tree.indicators((sides[0], sides[1])), len(tree.boxes)
    names = [f"rows {a}:{b}, columns {c}:{d}" for a, b, c, d in tree.boxes]
    labels = tuple(f"{name}, channel {c}" if channels > 1 else name for c in range(channels) for name in names)
    sums = contrasts(np.asarray(np.kron(np.eye(channels), rows), dtype=np.float64), labels)
    pvalues = sums.test(fwer=level, method="Bonferroni").pvalues.reshape(channels, k)
    share = tree.sizes / (channels * tree.sizes[0])
    adjusted = np.stack([tree.downwards(np.minimum(1.0, row / share)) for row in pvalues])
    reject = adjusted <= level
    # a box is finest where no box in it is rejected; of nested rejections the children come right below
    below = np.zeros_like(reject)
    for number, parent in enumerate(tree.parents):
        if parent >= 0:
            below[:, parent] |= reject[:, number]
    places = np.array([(c, *box) for c in range(channels) for box in tree.boxes])
    return NestedTest(
        boxes=places,
        sums=sums,
        pvalues_adjusted=adjusted.ravel(),
        reject=reject.ravel(),
        finest=(reject & ~below).ravel(),
        level=level,
        shape=shape,
    )
