"""Bank of programs that every engine must solve: degenerate, tied, thin, tiny, huge, masked, weighted, padded."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy import sparse

from legstat.solvers import FlowProgram, GeneralProgram
from legstat.solvers.engines.engine import Engine
from legstat.solvers.optimum.general_selection import general_face
from legstat.solvers.programs.graph import grid_edges, incidence

Program = FlowProgram | GeneralProgram


def regions(shape: tuple[int, int], noise: float = 0.15, seed: int = 0) -> np.ndarray:
    """u = (piecewise constant map on 12 Voronoi cells) + (D^T D)^+ D^T (white noise on the edges)."""
    rng = np.random.default_rng(seed)
    p1, p2 = shape
    seeds = rng.uniform(0, 1, (12, 2)) * shape
    rows, columns = np.meshgrid(np.arange(p1), np.arange(p2), indexing="ij")
    distance = (rows.ravel()[:, None] - seeds[:, 0]) ** 2 + (columns.ravel()[:, None] - seeds[:, 1]) ** 2
    truth = 0.5 * rng.integers(0, 4, 12)[distance.argmin(axis=1)]
    tail, _ = grid_edges(shape)
    white = FlowProgram.from_potential(shape, np.zeros(p1 * p2))
    return truth + noise * white.integrate(rng.standard_normal(tail.size))


def padded_difference(shape: tuple[int, int]) -> np.ndarray:
    """D of a grid padded with zeros: the inner edges, then one-ended ones left, right, top, bottom."""
    p = shape[0] * shape[1]
    cells = np.arange(p).reshape(shape)
    ends = []
    for border, sign in ((cells[:, 0], 1.0), (cells[:, -1], -1.0), (cells[0], 1.0), (cells[-1], -1.0)):
        for cell in border:
            row = np.zeros(p)
            row[cell] = sign
            ends.append(row)
    return np.vstack([incidence(*grid_edges(shape), p).toarray(), *ends])


def _mask() -> np.ndarray:
    mask = np.ones((9, 9), dtype=bool)
    mask[3:5, 4:6] = False  # a hole
    mask[0, :] = False
    mask[:3, 0] = False
    mask[7, 7:] = False
    mask[8, 6] = False  # cuts off two cells
    return mask


def _gauss(shape: tuple[int, int], seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape[0] * shape[1])


def _weighted() -> FlowProgram:
    shape = (6, 7)
    weights = np.random.default_rng(5).uniform(0.2, 3.0, grid_edges(shape)[0].size)
    return FlowProgram.from_potential(shape, _gauss(shape), weights)


def _without_faces(program: FlowProgram) -> FlowProgram:
    return FlowProgram(program.tail, program.head, program.n_nodes, program.centre, program.weights)


def _space() -> FlowProgram:
    cells = np.arange(27).reshape(3, 3, 3)
    tail = np.concatenate([cells[:-1].ravel(), cells[:, :-1].ravel(), cells[:, :, :-1].ravel()])
    head = np.concatenate([cells[1:].ravel(), cells[:, 1:].ravel(), cells[:, :, 1:].ravel()])
    u = _gauss((3, 9))
    return FlowProgram(tail, head, 27, u[head] - u[tail])


FLOWS: dict[str, Callable[[], FlowProgram]] = {
    "one cell": lambda: FlowProgram.from_potential((1, 1), np.zeros(1)),
    "1 x 6": lambda: FlowProgram.from_potential((1, 6), _gauss((1, 6))),
    "6 x 1": lambda: FlowProgram.from_potential((6, 1), _gauss((6, 1))),
    "2 x 2": lambda: FlowProgram.from_potential((2, 2), _gauss((2, 2))),
    "5 x 7": lambda: FlowProgram.from_potential((5, 7), _gauss((5, 7))),
    "regions 12 x 12": lambda: FlowProgram.from_potential((12, 12), regions((12, 12))),
    "no noise (degenerate)": lambda: FlowProgram.from_potential((10, 9), regions((10, 9), noise=0.0)),
    "whole numbers (ties)": lambda: FlowProgram.from_potential((8, 8), np.rint(2 * _gauss((8, 8)))),
    "checkerboard (ties)": lambda: FlowProgram.from_potential((6, 6), np.indices((6, 6)).sum(axis=0) % 2),
    "one peak": lambda: FlowProgram.from_potential((7, 7), np.eye(49)[24]),
    "plane": lambda: FlowProgram.from_potential((5, 5), np.indices((5, 5)).sum(axis=0)),
    "constant": lambda: FlowProgram.from_potential((4, 4), np.full(16, 3.0)),
    "tiny 1e-12": lambda: FlowProgram.from_potential((8, 8), 1e-12 * _gauss((8, 8))),
    "huge 1e12": lambda: FlowProgram.from_potential((8, 8), 1e12 * _gauss((8, 8))),
    "mixed scales": lambda: FlowProgram.from_potential((6, 6), _gauss((6, 6)) * 10.0 ** np.linspace(-5, 2, 36)),
    "weighted": _weighted,
    "mask": lambda: FlowProgram.from_mask(_mask(), _gauss((9, 9))),
    "mask, node form": lambda: _without_faces(FlowProgram.from_mask(_mask(), _gauss((9, 9)))),
    "weighted, node form": lambda: _without_faces(_weighted()),
    "3 x 3 x 3": _space,
}


def _dense_parts(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    difference = incidence(*grid_edges(shape), shape[0] * shape[1]).toarray()
    return difference, np.linalg.pinv(difference).T


def empirical(shape: tuple[int, int] = (4, 5), scale: float = 1.0) -> tuple[GeneralProgram, np.ndarray, np.ndarray]:
    """A dense Sigma (a sample covariance); the program, A and a."""
    difference, pinv_t = _dense_parts(shape)
    draws = np.random.default_rng(3).standard_normal((3 * difference.shape[1], difference.shape[1]))
    A, a = pinv_t @ (draws.T @ draws / draws.shape[0]), scale * (pinv_t @ _gauss(shape))
    return GeneralProgram.dense(difference, A, a), A, a


def isotropic(shape: tuple[int, int] = (5, 6), variance: float = 4e-4) -> tuple[GeneralProgram, np.ndarray, np.ndarray]:
    """Sigma = variance I in the lifted form; the program, A and a."""
    difference, pinv_t = _dense_parts(shape)
    b = variance * _gauss(shape)
    identity = variance * sparse.eye_array(b.size)
    program = GeneralProgram.lifted(difference.T @ difference, difference, identity, b)
    return program, variance * pinv_t, pinv_t @ b


def banded(shape: tuple[int, int] = (5, 6)) -> tuple[GeneralProgram, np.ndarray, np.ndarray]:
    """A sparse Sigma for which constants matter; the program, A and a."""
    difference, pinv_t = _dense_parts(shape)
    p = difference.shape[1]
    sigma = np.diag(np.linspace(1.0, 2.0, p)) + 0.3 * np.eye(p, k=1) + 0.3 * np.eye(p, k=-1)
    b = _gauss(shape)
    program = GeneralProgram.lifted(difference.T @ difference, difference, sparse.csr_array(sigma), b)
    return program, pinv_t @ sigma, pinv_t @ b


def blocks(
    shape: tuple[int, int] = (6, 6), common: float = 0.0, seed: int = 1
) -> tuple[GeneralProgram, np.ndarray, np.ndarray]:
    """Sigma of blocks of 1, 2 and 4 cells, on or off, and a part that all cells share; the program, A and a."""
    difference, pinv_t = _dense_parts(shape)
    down, across = (np.abs(np.subtract.outer(np.arange(n), np.arange(n))) for n in shape)
    sigma = sum(np.kron(np.clip(1 - down / s, 0, None), np.clip(1 - across / s, 0, None)) for s in (1, 2, 4)) / 12
    v = np.full(sigma.shape[0], common) if common else None
    b = sigma @ regions(shape, seed=seed) + 0.02 * _gauss(shape, seed)
    sparse_sigma = sparse.csr_array(sigma)
    program = GeneralProgram.lifted(difference.T @ difference, difference, sparse_sigma, b, common=v)
    return program, pinv_t @ (sigma + common**2), pinv_t @ b


def zero_boundary(shape: tuple[int, int] = (5, 4)) -> tuple[GeneralProgram, np.ndarray, np.ndarray]:
    """The structured design on a padded grid, sigma = 1; the program, A and a."""
    difference = padded_difference(shape)
    p = difference.shape[1]
    pinv_t = np.linalg.pinv(difference).T
    a = pinv_t @ _gauss(shape)
    program = GeneralProgram.zero_boundary(difference, a, pinv_t @ np.ones(p))
    return program, pinv_t @ (difference.T @ difference + np.ones((p, p)) / p), a


GENERALS: dict[str, Callable[[], tuple[GeneralProgram, np.ndarray, np.ndarray]]] = {
    "empirical": empirical,
    "empirical, tiny": lambda: empirical(scale=1e-12),
    "empirical, huge": lambda: empirical(scale=1e12),
    "isotropic": isotropic,
    "banded": banded,
    "blocks": blocks,
    "blocks, common part": lambda: blocks(common=0.3),
    "zero boundary": zero_boundary,
}

RATIOS = (0.0, 0.02, 0.1, 0.3, 0.7, 0.999, 1.0, 1.5)
"""L over L_max at which the bank is solved."""


def node_form_value(D: np.ndarray, A: np.ndarray, a: np.ndarray, L: float, weights: np.ndarray | None = None) -> float:
    """Independent truth: min w^T t, |D g| <= t, |a - A g| <= L written out densely and given to scipy's HiGHS."""
    from scipy.optimize import linprog

    m, p = D.shape
    size, unit = float(np.abs(a).max()) or 1.0, float(np.abs(A).max()) or 1.0
    eye, none = np.eye(m), np.zeros((A.shape[0], m))
    blocks = ((D, -eye), (-D, -eye), (-A / unit, none), (A / unit, none))
    rows = np.vstack([np.hstack(pair) for pair in blocks])
    limits = np.concatenate([np.zeros(2 * m), (L - a) / size, (L + a) / size])
    cost = np.concatenate([np.zeros(p), np.ones(m) if weights is None else weights])
    found = linprog(cost, A_ub=rows, b_ub=limits, bounds=[(None, None)] * p + [(0, None)] * m, method="highs-ds")
    assert found.status == 0, found.message
    return float(found.fun) * size / unit


def check_uniqueness(engine: Engine, program: GeneralProgram, ratios: Sequence[float]) -> None:
    """Where an engine calls an optimum unique its face has no direction, and it does so somewhere along the ratios."""
    seen = 0
    for ratio in ratios:
        L = ratio * program.L_max
        raw = engine.run(L / program.scale, time_limit=None, cold=False)
        if raw.unique:
            seen += 1
            y = raw.multipliers * (program.weight_scale * program.g_scale / program.scale)
            assert general_face(program, raw.flow * program.weight_scale, y, L).directions.shape[1] == 0
    assert seen  # the data are in general position
