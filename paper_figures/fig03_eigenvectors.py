"""LEG paper, Fig. 3: eigenvectors of the structured covariance, and how far they are Haar-like.

Sigma / sigma^2 = D^T D + 1 1^T / p is the grid's Laplacian with one eigenvalue moved, so its eigenvectors are products
of cosines (the 2-D DCT-II basis) with eigenvalues (2 - 2 cos(pi i / p1)) + (2 - 2 cos(pi j / p2)), and 1 for the
constant. The paper computes them by a singular value decomposition of D; here that is the reference only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from paper_style import figure, save, show_map

import legstat as ls

CLAIM = (
    "The eigenvectors of the proposed Sigma are products of cosines with closed-form eigenvalues. The three of lowest "
    "frequency resemble 2-D Haar wavelets (overlap 0.90, 0.90, 0.81); the others resemble the two-valued patterns of "
    "their signs, which spread over the whole grid where wavelets are local."
)
SELECTED = [(0, 1), (1, 0), (1, 1), (0, 3), (3, 3), (5, 9), (27, 27)]
Array = NDArray[np.float64]


def eigenvector(shape: tuple[int, int], i: int, j: int) -> Array:
    """Eigenvector number (i, j) of the grid's Laplacian, of norm 1: one coefficient of the inverse DCT-II."""
    spectrum = np.zeros(shape)
    spectrum[i, j] = 1.0
    return np.asarray(scipy.fft.idctn(spectrum, type=2, norm="ortho"))


def haar(shape: tuple[int, int], across: bool, down: bool) -> Array:
    """The 2-D Haar wavelet of the coarsest scale that changes its sign across and/or down."""
    p1, p2 = shape
    row = np.where(np.arange(p2) < p2 / 2, 1.0, -1.0) if across else np.ones(p2)
    column = np.where(np.arange(p1) < p1 / 2, 1.0, -1.0) if down else np.ones(p1)
    return np.outer(column, row) / np.sqrt(p1 * p2)


def compute(side: int = 28, seed: int = 0) -> dict[str, Any]:
    """Closed-form eigenvectors, their agreement with a dense SVD of D, and their overlaps with two-valued patterns.

    Nothing here is random: `seed` is taken so that all figures are called alike.
    """
    shape = (side, side)
    grid, design = ls.Grid(shape), ls.StructuredGaussian(grid=shape, scale=1.0)
    _, singular, v = grid.dense_svd()
    closed = np.sort(grid.eigenvalues.ravel())
    eigenvalue_error = float(np.abs(np.sort(singular**2) - closed).max())
    # eigenspaces, not vectors: (i, j) and (j, i) share an eigenvalue on a square grid
    span_error = 0.0
    order = np.argsort(grid.eigenvalues, axis=None)
    groups = np.split(order, np.flatnonzero(np.diff(closed) > 1e-9) + 1)
    by_size = v[:, np.argsort(singular)]
    start = 0
    for group in groups:
        stop = start + len(group)
        ours = np.stack([eigenvector(shape, *divmod(int(k), side)).ravel() for k in group], axis=1)
        theirs = by_size[:, start:stop]
        # singular values of ours^T theirs are the cosines of the angles between the two spaces
        cosines = np.linalg.svd(ours.T @ theirs, compute_uv=False)
        span_error = max(span_error, float(1.0 - cosines.min()))
        start = stop
    selected = [(min(i, side - 1), min(j, side - 1)) for i, j in SELECTED]
    vectors = np.stack([eigenvector(shape, i, j) for i, j in selected])
    images = design.covariance(vectors.reshape(len(vectors), -1)).reshape(vectors.shape)
    values = np.array([grid.eigenvalues[i, j] for i, j in selected])
    residual = float(np.abs(images - values[:, None, None] * vectors).max())
    signs = np.sign(np.where(np.abs(vectors) < 1e-12, 1.0, vectors)) / side
    wavelets = [haar(shape, True, False), haar(shape, False, True), haar(shape, True, True)]
    overlaps = [abs(float(np.sum(v * w))) for v, w in zip(vectors[:3], wavelets, strict=True)]
    numbers = {
        "largest_eigenvalue": float(closed[-1]),
        "smallest_nonzero_eigenvalue": float(closed[1]),
        "mean_eigenvalue_of_sigma": float((closed.sum() + 1.0) / closed.size),
        "overlap_across": overlaps[0],
        "overlap_down": overlaps[1],
        "overlap_both": overlaps[2],
    }
    return {
        "numbers": numbers,
        "errors": {"eigenvalues": eigenvalue_error, "spans": span_error, "residual": residual},
        "selected": selected,
        "eigenvalues": values,
        "vectors": vectors,
        "signs": signs,
        "sign_overlaps": np.sum(np.abs(vectors * signs), axis=(1, 2)),
        "first_signs_are_haar": all(
            min(float(np.abs(s + w).max()), float(np.abs(s - w).max())) < 1e-12
            for s, w in zip(signs[:3], wavelets, strict=True)
        ),
    }


def check(data: dict[str, Any]) -> None:
    """Raise AssertionError unless the claim holds."""
    for what, error in data["errors"].items():
        if error > 1e-10:
            raise AssertionError(f"fig03: closed form and dense SVD differ in {what} by {error:.2g}")
    numbers = data["numbers"]
    # the continuous limits are 2 sqrt(2) / pi = 0.900 and its square 0.811
    limits = {"overlap_across": 0.900, "overlap_down": 0.900, "overlap_both": 0.811}
    for name, limit in limits.items():
        if abs(numbers[name] - limit) > 0.02:
            raise AssertionError(f"fig03: {name} is {numbers[name]:.3f}, not about {limit}")
    if not data["first_signs_are_haar"]:
        raise AssertionError("fig03: the signs of the first three eigenvectors are not Haar wavelets")


def plot(data: dict[str, Any], path: Path) -> None:
    """Selected eigenvectors above, their signs below: for the first three a 2-D Haar wavelet."""
    count = len(data["selected"])
    drawn = figure(1.55 * count, 3.5)
    axes = drawn.subplots(2, count)
    for k, (i, j) in enumerate(data["selected"]):
        show_map(axes[0, k], data["vectors"][k], rf"({i}, {j}), $\lambda$ = {data['eigenvalues'][k]:.3g} $\sigma^2$")
        name = "Haar" if k < 3 else "signs"
        show_map(axes[1, k], data["signs"][k], f"{name}, overlap {data['sign_overlaps'][k]:.2f}")
    axes[0, 0].set_ylabel(r"eigenvector of $\Sigma$", fontsize=8)
    axes[1, 0].set_ylabel("two-valued pattern", fontsize=8)
    save(drawn, path)
