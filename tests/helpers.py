"""Naive, dense, obvious re-implementations: the independent truth that the core is tested against.

Everything here is written from the papers' formulas with loops and dense matrices; nothing is taken from legstat.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import scipy.stats
from scipy.optimize import linprog

# ------------------------------------------------------------------------------------------------ grid and design


def naive_D(p1: int, p2: int, boundary: str = "free") -> np.ndarray:
    """D by loops: horizontal edges, vertical edges, then one-ended ones left, right, top, bottom."""
    rows = []

    def edge(tail: int | None, head: int | None) -> None:
        row = np.zeros(p1 * p2)
        if tail is not None:
            row[tail] = -1.0
        if head is not None:
            row[head] = 1.0
        rows.append(row)

    for i in range(p1):
        for j in range(p2 - 1):
            edge(i * p2 + j, i * p2 + j + 1)
    for i in range(p1 - 1):
        for j in range(p2):
            edge(i * p2 + j, (i + 1) * p2 + j)
    if boundary == "zero":
        for i in range(p1):
            edge(None, i * p2)
        for i in range(p1):
            edge(i * p2 + p2 - 1, None)
        for j in range(p2):
            edge(None, j)
        for j in range(p2):
            edge((p1 - 1) * p2 + j, None)
    return np.array(rows).reshape(-1, p1 * p2)


def naive_sigma(D: np.ndarray, scale: float) -> np.ndarray:
    """The paper's Sigma = sigma^2 (V Theta^2 V^T + 11^T / p) from the SVD D = U Theta V^T."""
    p = D.shape[1]
    if len(D):
        _, theta, vt = np.linalg.svd(D, full_matrices=True)
        square = np.zeros(p)
        square[: len(theta)] = theta**2
        laplacian = vt.T @ np.diag(square) @ vt
    else:
        laplacian = np.zeros((p, p))
    return scale**2 * (laplacian + np.ones((p, p)) / p)


def pinv(D: np.ndarray) -> np.ndarray:
    """Moore-Penrose inverse by SVD, also of a matrix without rows."""
    return np.linalg.pinv(D) if len(D) else np.zeros(D.shape[::-1])


def cholesky_draws(rng: np.random.Generator, sigma: np.ndarray, n: int) -> np.ndarray:
    """n draws of N(0, Sigma) by a Cholesky factor."""
    return rng.standard_normal((n, len(sigma))) @ np.linalg.cholesky(sigma).T


# ------------------------------------------------------------------------------------------------ pictures


def naive_pictures(
    image: np.ndarray,
    z: np.ndarray,
    *,
    channel: int | None = None,
    clip: bool = False,
    quantise: bool = False,
    baseline: np.ndarray | None = None,
    at: float = 0.5,
    smooth: bool = False,
) -> np.ndarray:
    """Phi(x0; z) pixel by pixel; z of shape (n, planes, p1, p2). With a baseline it is the blend, else additive."""
    n, planes, p1, p2 = z.shape
    moved = z if baseline is None else np.clip(at + z, 0.0, 1.0)
    channels, height, width = image.shape
    pictures = np.empty((n, *image.shape))
    for k in range(n):
        for c in range(channels):
            for i in range(height):
                for j in range(width):
                    numbers = moved[k, c if planes > 1 else 0]
                    cell = numbers[i * p1 // height, j * p2 // width]
                    if smooth:
                        cell = between_centres(numbers, (i + 0.5) / height, (j + 0.5) / width)
                    x = image[c, i, j]
                    if baseline is not None:
                        pictures[k, c, i, j] = x * cell + baseline[c, i, j] * (1.0 - cell)
                        continue
                    value = x + (cell if channel is None or channel == c else 0.0)
                    if clip:
                        value = min(max(value, 0.0), 1.0)
                    if quantise:
                        value = int(value * 255.0) / 255.0  # int() truncates towards zero, as astype(int) does
                    pictures[k, c, i, j] = value
    return pictures


def between_centres(numbers: np.ndarray, down: float, across: float) -> float:
    """Bilinear interpolation of cells' numbers at a place given as shares of the picture's height and width."""
    rows, columns = ((np.arange(n) + 0.5) / n for n in numbers.shape)
    along = [np.interp(across, columns, row) for row in numbers]
    return float(np.interp(down, rows, along))


def naive_realised(
    image: np.ndarray, pictures: np.ndarray, shape: tuple[int, int], *, channels: str, channel: int = 0
) -> np.ndarray:
    """Mean over each cell's pixels (and channels, if shared) of what was really added; (n, planes, p1, p2)."""
    n, (p1, p2) = len(pictures), shape
    count, height, width = image.shape
    groups = {"shared": [list(range(count))], "joint": [[c] for c in range(count)], "separate": [[channel]]}[channels]
    z = np.zeros((n, len(groups), p1, p2))
    for k in range(n):
        for plane, group in enumerate(groups):
            for i in range(p1):
                for j in range(p2):
                    total, pixels = 0.0, 0
                    for c in group:
                        for r in range(i * height // p1, (i + 1) * height // p1):
                            for s in range(j * width // p2, (j + 1) * width // p2):
                                total += pictures[k, c, r, s] - image[c, r, s]
                                pixels += 1
                    z[k, plane, i, j] = total / pixels
    return z


def naive_bilinear(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """What `cv2.resize(..., interpolation=INTER_LINEAR)` computes when it enlarges: half-pixel centres, edges held."""
    rows, columns = values.shape

    def taps(size: int, new: int) -> Iterator[tuple[int, int, float]]:
        for k in range(new):
            source = (k + 0.5) * size / new - 0.5
            low = int(np.floor(source))
            weight = source - low
            yield min(max(low, 0), size - 1), min(max(low + 1, 0), size - 1), weight

    out = np.empty((height, width))
    for i, (top, bottom, v) in enumerate(taps(rows, height)):
        for j, (left, right, h) in enumerate(taps(columns, width)):
            above = values[top, left] * (1 - h) + values[top, right] * h
            below = values[bottom, left] * (1 - h) + values[bottom, right] * h
            out[i, j] = above * (1 - v) + below * v
    return out


# ------------------------------------------------------------------------------------------------ estimators


def naive_leg(z: np.ndarray, y: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Eq. 4 as printed: Sigma^{-1} (1/n) sum y_i z_i, y_i = f(x0 + z_i) - f(x0)."""
    total = np.zeros(len(sigma))
    for row, value in zip(z, y, strict=True):
        total += value * row
    return np.linalg.inv(sigma) @ (total / len(y))


def naive_legtv(D: np.ndarray, sigma: np.ndarray, b: np.ndarray, L: float) -> tuple[float, np.ndarray]:
    """Eq. 5 as printed, as a dense LP: min ||D g||_1 s.t. ||D^{+T}(b - Sigma g)||_inf <= L. Objective and a solution.

    Data are scaled to size 1 first, because the solver's tolerances are absolute.
    """
    m, p = D.shape
    if m == 0:
        return 0.0, np.zeros(p)
    dpt = pinv(D).T
    A, a = dpt @ sigma, dpt @ b
    size, unit = float(np.abs(a).max()) or 1.0, float(np.abs(A).max())
    A, a, L = A / unit, a / size, L / size
    eye, none = np.eye(m), np.zeros((m, m))
    rows = np.block([[D, -eye], [-D, -eye], [-A, none], [A, none]])
    limits = np.concatenate([np.zeros(2 * m), L - a, L + a])
    cost = np.concatenate([np.zeros(p), np.ones(m)])
    bounds = [(None, None)] * p + [(0, None)] * m
    found = linprog(cost, A_ub=rows, b_ub=limits, bounds=bounds, method="highs-ds")
    if found.status != 0:  # the dense form is badly conditioned: now and then the simplex method gives up on it
        found = linprog(cost, A_ub=rows, b_ub=limits, bounds=bounds, method="highs-ipm")
    assert found.status == 0, found.message
    return float(found.fun) * size / unit, found.x[:p] * size / unit


def tv_residual(D: np.ndarray, sigma: np.ndarray, b: np.ndarray, g: np.ndarray) -> float:
    """||D^{+T}(b - Sigma g)||_inf."""
    return float(np.abs(pinv(D).T @ (b - sigma @ g)).max(initial=0.0))


def naive_penalty(z: np.ndarray, y: np.ndarray, S: np.ndarray, paired: bool) -> float | None:
    """Penalty a of the ridge (Z^T Z / n + a S) g = b by generalised cross-validation; None if nothing is gained."""
    n = len(y)
    if not paired:
        z, y = z - z.mean(axis=0), y - y.mean()
    best, least = None, float(np.mean(y**2))
    for penalty in np.geomspace(1e-3, 1e3, 25):
        hat = z @ np.linalg.inv(z.T @ z / n + penalty * S) @ z.T / n
        leverage = np.trace(hat) / n
        score = float(np.mean((y - hat @ y) ** 2)) / (1 - leverage) ** 2 if leverage < 1 else np.inf
        if score < least:
            least, best = score, float(penalty)
    return best


def naive_leave_one_out(z: np.ndarray, y: np.ndarray, S: np.ndarray, paired: bool) -> tuple[np.ndarray, np.ndarray]:
    """For each unit i the ridge map g_{-i} fitted anew without it, and S^{-1} z_i (y_i - a_{-i} - g_{-i}^T z_i)."""
    n, penalty = len(y), naive_penalty(z, y, S, paired)
    maps, steps = np.zeros_like(z), np.zeros_like(z)
    for i in range(n):
        others, scores = np.delete(z, i, axis=0), np.delete(y, i)
        centre, level = (0.0, 0.0) if paired else (others.mean(axis=0), scores.mean())
        spread = others - centre
        if penalty is not None:
            maps[i] = np.linalg.solve(spread.T @ spread + n * penalty * S, spread.T @ (scores - level))
        residual = y[i] - level - (z[i] - centre) @ maps[i]
        steps[i] = np.linalg.solve(S, z[i]) * residual
    return maps, steps


def naive_contributions(kind: str, z: np.ndarray, y: np.ndarray, S: np.ndarray, paired: bool) -> np.ndarray:
    """What each unit contributes to the mean that the estimate is, shape (n, q); z about its known mean."""
    if kind == "crossfit":
        _, steps = naive_leave_one_out(z, y, S, paired)
        penalty = naive_penalty(z, y, S, paired)
        if penalty is not None:
            # along the drawn z's own covariance, with the level that S^{-1} z has over all cells
            residuals = np.einsum("ij,ij->i", steps @ S, z) / np.einsum("ij,ij->i", z, z)
            spread = z if paired else z - z.mean(axis=0)
            moved = np.linalg.solve(spread.T @ spread / len(y) + penalty * S, spread.T).T * residuals[:, None]
            return moved * np.sqrt(steps.var(axis=0, ddof=1).sum() / moved.var(axis=0, ddof=1).sum())
        return steps
    level = y.mean() if kind == "centred" and not paired else 0.0
    return np.linalg.solve(S, z.T).T * (y - level)[:, None]


def naive_variances(contributions: np.ndarray) -> np.ndarray:
    """Variance of the mean of the units' contributions."""
    return contributions.var(axis=0, ddof=1) / len(contributions)


def naive_df(contributions: np.ndarray) -> np.ndarray:
    """Degrees of freedom of a chi-squared variable as variable as that variance: 2 n / (kurtosis - 1)."""
    n = len(contributions)
    return np.clip(2 * n / (scipy.stats.kurtosis(contributions, axis=0, fisher=False) - 1), 1, n - 1)


def naive_halves(z: np.ndarray, y: np.ndarray, S: np.ndarray, paired: bool) -> tuple[np.ndarray, np.ndarray]:
    """Crossfit without a matrix: the pilot S^{-1} b of the other half, times the share of its squared length in units
    of S that is not noise; and by how much each unit moves it, whose squares add up to its variance."""
    n, gamma, moved = len(y), np.zeros(z.shape[1]), []
    for half in range(2):
        mine, other = np.arange(n) % 2 == half, np.arange(n) % 2 != half
        rows, scores = z[other], y[other]
        if not paired:
            rows, scores = rows - rows.mean(axis=0), scores - scores.mean()
        b = rows.T @ scores / len(scores)
        g0 = np.linalg.solve(S, b)
        g0 *= max(0.0, 1 - len(g0) * np.mean(scores**2) / len(scores) / (b @ g0))
        r = y[mine] - z[mine] @ g0
        r = r if paired else r - r.mean()
        # one degree of freedom went into the mean of the residuals
        step = np.linalg.solve(S, z[mine].T @ r) / (mine.sum() - (0 if paired else 1))
        gamma += mine.sum() / n * (g0 + step)
        psi = np.linalg.solve(S, z[mine].T).T * r[:, None]
        # the variance of a half's mean, by the square of its share in the whole
        moved.append(mine.sum() / n * (psi - psi.mean(axis=0)) / np.sqrt(len(psi) * (len(psi) - 1)))
    return gamma, np.concatenate(moved)


def naive_adaptive(z: np.ndarray, y: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Ridge with the prior W^{1/2} (D^T D + 0.05)^{-1/2} W^{1/2}, by its n x n hat matrices."""
    n, q = z.shape
    p1, p2 = grid
    path = [np.diff(np.eye(side), axis=0) for side in grid]
    laplacian = np.kron(path[0].T @ path[0], np.eye(p2)) + np.kron(np.eye(p1), path[1].T @ path[1])
    smooth = np.linalg.inv(scipy.linalg.sqrtm(laplacian + 0.05 * np.eye(p1 * p2))).real
    prior = scipy.linalg.block_diag(*[smooth] * (q // (p1 * p2)))

    def fit(K: np.ndarray) -> np.ndarray:
        ZKZ = z @ K @ z.T / n
        unit, best, gamma = np.trace(ZKZ) / q, np.inf, np.zeros(q)
        for penalty in np.geomspace(1e-4, 30, 45) * unit:
            H = ZKZ @ np.linalg.inv(ZKZ + penalty * np.eye(n))
            score = np.mean((y - H @ y) ** 2) / (1 - np.trace(H) / n) ** 2
            if score < best:
                best, gamma = score, K @ z.T @ np.linalg.solve(ZKZ + penalty * np.eye(n), y) / n
        return gamma

    gamma = fit(prior)
    for _ in range(2):
        energy = np.concatenate([window(plane) for plane in (gamma**2).reshape(-1, p1, p2)]) if gamma.any() else None
        if energy is None:
            return gamma
        w = np.sqrt(energy + 0.05 * energy.mean())
        gamma = fit(w[:, None] * prior * w)
    return gamma


def window(plane: np.ndarray, width: float = 1.5) -> np.ndarray:
    """Gaussian-weighted mean over the cells within four standard deviations, the rim's cells repeated outwards."""
    reach = round(4 * width)
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (offsets / width) ** 2)
    weights /= weights.sum()
    rows, columns = (np.clip(np.arange(n)[:, None] + offsets, 0, n - 1) for n in plane.shape)
    return np.einsum("ijab,a,b->ij", plane[rows[:, None, :, None], columns[None, :, None, :]], weights, weights).ravel()


def naive_gamma(
    kind: str,
    z: np.ndarray,
    y: np.ndarray,
    S: np.ndarray,
    *,
    mean: np.ndarray | float = 0.0,
    paired: bool = False,
    shrinkage: float = 1.0,
    grid: tuple[int, int] = (2, 3),
) -> np.ndarray:
    """S^{-1} b for the moment vectors, straight from their definitions; rows of z and y are the units."""
    z, n = z - mean, len(y)
    if kind == "printed":
        return np.linalg.solve(S, z.T @ y / n)
    if kind == "centred":
        return np.linalg.solve(S, z.T @ (y if paired else y - y.mean()) / n)
    if kind == "crossfit":
        return np.add(*naive_leave_one_out(z, y, S, paired)).mean(axis=0)
    if not paired:
        z, y = z - z.mean(axis=0), y - y.mean()
    if kind == "adaptive":
        return naive_adaptive(z, y, grid)
    a = {"regression": shrinkage, "least_squares": 0.0}[kind]
    return np.linalg.solve(z.T @ z / n + a * S, (1 + a) * (z.T @ y / n))


# ------------------------------------------------------------------------------------------------ responses, statistics


class Counting:
    """A response that counts every evaluation, and misbehaves at chosen ones (numbers from 0, f(x0) included).

    It names its own fingerprint: its state changes with every call, and it stays the same function all the same.
    """

    def __init__(self, f: Callable[[np.ndarray], np.ndarray], **faults: Callable[[], BaseException] | int) -> None:
        self.f, self.calls, self.count, self.largest = f, 0, 0, 0
        self.raise_at = int(faults.get("raise_at", -1))  # type: ignore[arg-type]
        self.error = faults.get("error", RuntimeError)
        self.nan_at = int(faults.get("nan_at", -1))  # type: ignore[arg-type]
        self.fingerprint = "counting"

    def __call__(self, images: np.ndarray) -> np.ndarray:
        begin, n = self.count, len(images)
        if begin <= self.raise_at < begin + n:
            self.raise_at = -1
            raise self.error("lost the device")  # type: ignore[operator]
        self.calls, self.count, self.largest = self.calls + 1, begin + n, max(self.largest, n)
        values = np.asarray(self.f(images), dtype=np.float64).copy()
        if begin <= self.nan_at < begin + n:
            values[self.nan_at - begin] = np.nan
            self.nan_at = -1
        return values


def smooth(images: np.ndarray) -> np.ndarray:
    """A fixed nonlinear response on pictures of any size, different in every pixel and channel."""
    flat = images.reshape(len(images), -1).astype(np.float64)
    w = np.cos(1.7 * np.arange(flat.shape[1])) / np.sqrt(flat.shape[1])
    # row by row: a matrix product may round differently for another batch size
    linear = np.array([float(np.dot(row, w)) for row in flat])
    return np.tanh(linear) + 0.3 * np.array([float(np.dot(row - 0.4, row - 0.4)) for row in flat]) / flat.shape[1]


def z_limit(false_alarm: float, comparisons: int = 1) -> float:
    """Two-sided normal limit that `comparisons` z-scores all keep with probability at least 1 - false_alarm."""
    return float(scipy.stats.norm.isf(false_alarm / (2 * comparisons)))
