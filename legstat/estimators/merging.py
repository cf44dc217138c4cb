"""Neighbouring regions merged one pair after the other: maps of any number of regions below those that were found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from legstat._core.frozen import Portable
from legstat._core.typing import FloatArray, IntArray
from legstat.designs.design import Design
from legstat.designs.grid import Grid

MOST_REGIONS = 1024
"""Regions that are merged, at most: the cost grows with their cube, a second for so many."""


@dataclass(frozen=True, eq=False)
class Merging(Portable):
    """A sequence of partitions, each of one region less than the one before, with refitted levels.

    Attributes
    ----------
    regions : ndarray of int, shape (P, p1, p2)
        Where it starts from: region of each cell, numbered from 0 over all channels.
    numbers : ndarray of int, shape (steps, k)
        Region that each of the first k belongs to after so many merges.
    levels : ndarray of shape (steps, k)
        Level of each of the first k after so many merges.

    Examples
    --------
    >>> from legstat import IsotropicGaussian
    >>> design = IsotropicGaussian(grid=(1, 4), scale=1.0)
    >>> found = Merging.of(design, np.array([[1.0, 3.0, 4.0, 9.0]]), np.array([[[0, 1, 2, 3]]]))
    >>> found.maps([3, 2, 1])
    array([[1.        , 3.5       , 3.5       , 9.        ],
           [2.66666667, 2.66666667, 2.66666667, 9.        ],
           [4.25      , 4.25      , 4.25      , 4.25      ]])
    """

    regions: IntArray
    numbers: IntArray
    levels: FloatArray

    @classmethod
    def of(cls, design: Design, b: FloatArray, regions: IntArray) -> Merging:
        r"""Merge the two neighbours whose merging raises the squared error least, again and again.

        With levels a = V R^T b, V = (R^T \Sigma R)^{-1}, making the levels of i and j one raises the squared error
        under the law of z by

        .. math:: \frac{(a_i - a_j)^2}{V_{ii} + V_{jj} - 2 V_{ij}},

        and moves a and V by a correction of rank one: weakest-link pruning (Breiman, Friedman, Olshen and Stone,
        *Classification and Regression Trees*, 1984) of regions in place of leaves, as regions are merged in images
        (Koepfler, Lopez and Morel, SIAM Journal on Numerical Analysis 31, 1994).

        Parameters
        ----------
        design : Design
            Law of z, hence Sigma.
        b : ndarray of shape (P, p)
            Moment vector of each channel.
        regions : ndarray of int, shape (P, p1, p2)
            Region of each cell, numbered from 0 over all channels.

        Returns
        -------
        Merging
            From as many regions as there are down to one a channel.

        Notes
        -----
        O(k^3) for k regions, and k products with Sigma.
        """
        k, grid = int(regions.max()) + 1, Grid(regions.shape[1:])
        inner, moment = np.zeros((k, k)), np.zeros(k)
        tail, head = grid.edges
        links = []
        for row, labels in zip(b, regions.reshape(len(regions), -1), strict=True):
            own = np.unique(labels)
            columns = (labels == own[:, None]).astype(np.float64)
            inner[np.ix_(own, own)] = columns @ design.covariance(columns).T
            moment[own] = columns @ row
            links.append(np.sort([labels[tail], labels[head]], axis=0))
        pairs = np.unique(np.concatenate(links, axis=1), axis=1)
        pairs = pairs[:, pairs[0] != pairs[1]]
        V = np.linalg.inv(inner)
        a = V @ moment
        number = np.arange(k)
        numbers, levels = [number], [a]
        while pairs.size:
            i, j = pairs
            raised = np.square(a[i] - a[j]) / (V[i, i] + V[j, j] - 2.0 * V[i, j])
            kept, gone = pairs[:, np.argmin(raised)]
            step = V[:, kept] - V[:, gone]
            length = step[kept] - step[gone]
            a = a - step * ((a[kept] - a[gone]) / length)
            V = V - np.outer(step, step) / length
            number = np.where(number == gone, kept, number)
            pairs = np.where(pairs == gone, kept, pairs)
            pairs = pairs[:, pairs[0] != pairs[1]]
            numbers.append(number)
            levels.append(a[number])
        return cls(regions, np.array(numbers), np.array(levels))

    def __repr__(self) -> str:
        return f"<Merging of {self.most} regions down to {self.fewest}>"

    @property
    def most(self) -> int:
        """Regions at the start."""
        return int(self.levels.shape[1])

    @property
    def fewest(self) -> int:
        """Regions at the end: one a channel."""
        return self.most - len(self.levels) + 1

    def maps(self, counts: list[int]) -> FloatArray:
        """Maps of so many regions each, or of as many as there are, shape (maps, P p)."""
        rows = [max(self.most - count, 0) for count in counts]
        return np.asarray(self.levels[rows][:, self.regions.ravel()], dtype=np.float64)

    def labels(self, count: int) -> IntArray:
        """The partition of so many regions, numbered from 0 in the order of the cells, shape (P, p1, p2)."""
        numbers = self.numbers[self.most - count][self.regions]
        _, first, number = np.unique(numbers, return_index=True, return_inverse=True)
        return np.asarray(np.argsort(np.argsort(first))[number].reshape(numbers.shape), dtype=np.int64)
