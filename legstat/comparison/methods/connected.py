"""Shapley values of a grid's cells from coalitions that hang together: C-Shapley, and the regression on balls."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

from legstat._core.checks import check_count
from legstat._core.errors import invalid
from legstat._core.typing import FloatArray, IntArray
from legstat.comparison.asking import Asking, map_shape, resized
from legstat.comparison.method import MethodMap
from legstat.metrics.references import ReferenceName
from legstat.responses.base import Response

_MOST_ORDER = 2  # of order 3 a cell has millions of connected coalitions
_MOST_CELLS = 28
Coalition = frozenset[int]


@dataclass(frozen=True)
class CShapley:
    r"""C-Shapley on a grid of cells (Chen, Song, Wainwright and Jordan, 2019, definition 2).

    .. math:: \phi_i = \sum_{U} \frac{2}{(|U| + 2)(|U| + 1)|U|} (f(U) - f(U \setminus i))

    over all coalitions U of cells that contain i, are connected, and lie within k steps of i. All of them are
    evaluated: nothing is drawn.

    Parameters
    ----------
    shape : tuple of int, optional
        Cells of the map. By default as many as `legstat.explain` takes.
    cells : int, optional
        Cells along a side, at most one a pixel; by default the most, up to 28, that the budget pays.
    k : int, default 1
        Steps, 0 to 2. 1: the cell and its four neighbours.
    baseline : str, default "mean"
        What cells outside the coalition show; the LEG authors' comparison takes the mean colour.

    Notes
    -----
    The weights are those of a line, where they sum to almost 1. On a grid there are more connected coalitions of a
    size: far from the border they sum to 0.94 at k = 1 and to 6.0 at k = 2. k = 1 takes some 20 evaluations a cell,
    k = 2 some 800.

    Examples
    --------
    >>> import legstat as ls
    >>> f = ls.simulate.linear(np.array([[1.0, 0.0], [0.0, 0.0]]))
    >>> CShapley((2, 2), cells=2, baseline="black")(f, np.ones((1, 4, 4)), 20, 0).saliency
    array([[0.53333333, 0.        ],
           [0.        , 0.        ]])
    """

    shape: tuple[int, int] | None = None
    cells: int | None = None
    k: int = 1
    baseline: ReferenceName = "mean"
    name: str = "c_shapley"

    def __post_init__(self) -> None:
        check_count("CShapley", "k", self.k, 0, _MOST_ORDER)

    @property
    def least(self) -> int:
        """f(x0), and all coalitions of 2 x 2 cells; of more cells see `least_for`."""
        return 1 + len(_game(2, 2, self.k)[0])

    def least_for(self, height: int, width: int) -> int:
        """f(x0), and all coalitions of as many cells as are given, at most one a pixel."""
        side = 2 if self.cells is None else self.cells
        return 1 + len(_game(min(side, height), min(side, width), self.k)[0])

    def __call__(self, response: Response, image: FloatArray, n_queries: int, rng: Any) -> MethodMap:
        """The map; what does not make a finer grid is left over."""
        rows, columns = self._grid(image, n_queries - 1)
        coalitions, terms = _game(rows, columns, self.k)
        asking = Asking(self.name, response, image, n_queries, self.baseline)
        values = asking.scores(members(coalitions, rows * columns).reshape(-1, rows, columns))
        cell, weight, large, small = terms
        found = np.bincount(cell, weight * (values[large] - values[small]), minlength=rows * columns)
        return MethodMap(resized(found.reshape(rows, columns), map_shape(self.shape, image)), asking.spent)

    def _grid(self, image: FloatArray, most: int) -> tuple[int, int]:
        found, needed = (0, 0), 0
        for side in range(2, _MOST_CELLS + 1) if self.cells is None else [self.cells]:
            rows, columns = (min(side, size) for size in image.shape[-2:])
            needed = len(_game(rows, columns, self.k)[0])
            if needed > most:  # so would all that follow
                break
            found = rows, columns
        if found == (0, 0):
            got = f"{most + 1} with {rows} x {columns} cells"
            raise ValueError(invalid(self.name, "n_queries", got, f"at least {needed + 1}"))
        return found


@dataclass(frozen=True)
class CShapleyRegression:
    r"""Shapley values by weighted least squares on balls of cells, as in the code of the LEG paper's section 6.

    .. math:: \min_g \sum_S w_{|S|} \Big(f(S) - f(\emptyset) - \sum_{i \in S} g_i\Big)^2, \qquad
              w_s = \frac{D - 1}{\binom{D}{s} s D}

    over the balls S of the cells within 0, 1, ..., K - 1 steps of each of the D cells. (Shapley's kernel has D - s in
    place of the last D; the code's form is kept, which is finite at s = D. The code leaves f of nothing out.)

    Parameters
    ----------
    shape : tuple of int, optional
        Cells of the map. By default as many as `legstat.explain` takes.
    cells : int, optional
        Cells along a side, at most one a pixel; by default the most, up to 28, that the budget pays two balls each.
    baseline : str, default "mean"
        What cells outside a ball show.

    Notes
    -----
    A single cell weighs some 10^9 times what a ball of five weighs, so that the map is nearly that of showing one cell
    alone. K is as large as the budget allows, 8 at most.

    Examples
    --------
    >>> import legstat as ls
    >>> f = ls.simulate.linear(np.array([[1.0, 0.0], [0.0, 2.0]]))
    >>> CShapleyRegression((2, 2), cells=2, baseline="black")(f, np.ones((1, 4, 4)), 12, 0).saliency.round(6) + 0.0
    array([[1., 0.],
           [0., 2.]])
    """

    shape: tuple[int, int] | None = None
    cells: int | None = None
    baseline: ReferenceName = "mean"
    name: str = "c_shapley_regression"

    @property
    def least(self) -> int:
        """f(x0), f of nothing, and every one of 2 x 2 cells alone; of more cells see `least_for`."""
        return 6

    def least_for(self, height: int, width: int) -> int:
        """f(x0), f of nothing, and every cell alone, at most one a pixel."""
        side = 2 if self.cells is None else self.cells
        return 2 + min(side, height) * min(side, width)

    def __call__(self, response: Response, image: FloatArray, n_queries: int, rng: Any) -> MethodMap:
        """The map."""
        most = n_queries - 2
        side = max(min(int(np.sqrt(most / 2.0)), _MOST_CELLS), 2) if self.cells is None else self.cells
        rows, columns = (min(side, size) for size in image.shape[-2:])
        d = rows * columns
        if most < d:
            got = f"{n_queries} with {rows} x {columns} cells"
            raise ValueError(invalid(self.name, "n_queries", got, f"at least {d + 2}"))
        asking = Asking(self.name, response, image, n_queries, self.baseline)
        balls = self._balls(rows, columns, most)
        shown = np.concatenate([np.zeros((1, d)), members(balls, d)])
        values = asking.scores(shown.reshape(-1, rows, columns))
        x, y = shown[1:], values[1:] - values[0]
        s = x.sum(axis=1)
        # C(D, s) = Gamma(D + 1) / Gamma(s + 1) Gamma(D - s + 1) is too large for a float from some 10^3 cells on
        log_choose = scipy.special.gammaln(d + 1) - scipy.special.gammaln(s + 1) - scipy.special.gammaln(d - s + 1)
        root = np.exp(0.5 * (np.log(max(d - 1, 1)) - log_choose - np.log(s) - np.log(d)))
        found = scipy.linalg.lstsq(root[:, None] * x, root * y)[0]
        return MethodMap(resized(found.reshape(rows, columns), map_shape(self.shape, image)), asking.spent)

    def _balls(self, rows: int, columns: int, most: int) -> list[Coalition]:
        """Whole orders, as many as are paid for; balls that are the same are asked for once."""
        balls = dict.fromkeys(_ball(rows, columns, i, 0) for i in range(rows * columns))
        for order in range(1, 8):
            more = {**balls, **dict.fromkeys(_ball(rows, columns, i, order) for i in range(rows * columns))}
            if len(more) > most:
                break
            balls = more
        return list(balls)


def members(coalitions: Sequence[Coalition], n: int) -> FloatArray:
    """1 for the members of each coalition and 0 for the others, shape (len(coalitions), n)."""
    found = np.zeros((len(coalitions), n))
    for row, coalition in zip(found, coalitions, strict=True):
        row[list(coalition)] = 1.0
    return found


def _ball(rows: int, columns: int, cell: int, steps: int) -> Coalition:
    """Cells within so many steps, up, down and sideways."""
    row, column = divmod(cell, columns)
    return frozenset(
        r * columns + c
        for r in range(max(row - steps, 0), min(row + steps + 1, rows))
        for c in range(max(column - steps, 0), min(column + steps + 1, columns))
        if abs(r - row) + abs(c - column) <= steps
    )


def connected_coalitions(rows: int, columns: int, cell: int, k: int) -> list[Coalition]:
    """All connected sets of cells that contain `cell` and lie within `k` steps of it, small ones first."""
    near = _ball(rows, columns, cell, k)
    beside = {one: _ball(rows, columns, one, 1) & near for one in near}
    layer = [frozenset([cell])]
    found = list(layer)
    while layer:
        grown = (one | {other} for one in layer for member in sorted(one) for other in sorted(beside[member] - one))
        layer = list(dict.fromkeys(grown))
        found += layer
    return found


@functools.lru_cache(maxsize=32)
def _game(rows: int, columns: int, k: int) -> tuple[list[Coalition], tuple[IntArray, FloatArray, IntArray, IntArray]]:
    """The coalitions to evaluate, and the terms of the sums: cell, weight, place of U, place of U without the cell."""
    places: dict[Coalition, int] = {}
    terms: list[tuple[int, float, int, int]] = []
    for cell in range(rows * columns):
        for coalition in connected_coalitions(rows, columns, cell, k):
            u = len(coalition)
            large = places.setdefault(coalition, len(places))
            small = places.setdefault(coalition - {cell}, len(places))
            terms.append((cell, 2.0 / ((u + 2) * (u + 1) * u), large, small))
    cells, weights, larges, smalls = zip(*terms, strict=True)
    return list(places), (
        np.array(cells, dtype=np.int64),
        np.array(weights, dtype=np.float64),
        np.array(larges, dtype=np.int64),
        np.array(smalls, dtype=np.int64),
    )
