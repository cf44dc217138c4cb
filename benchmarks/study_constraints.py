"""Two constraints that coincide under the structured law, under blocks: eq. 5, and the edge form |D(g_hat - g)| <= L.

Noise: spectra of the two covariances, what a square of s x s cells must have to stay in the answer, and what weights in
proportion to each edge's own standard deviation change. Maps: "adaptive" moments of 1,600 evaluations, R^2 on 200
further pairs, insertion minus deletion, regions. Pictures: the first at even positions of images/samples.

Run: LEGSTAT_DATA=... OMP_NUM_THREADS=1 python benchmarks/study_constraints.py
Writes results/constraints.json.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy
from study_comparison import opened
from study_laws import GRID, pictures
from timing import save

import legstat as ls
from legstat._core.typing import FloatArray
from legstat.designs.grid import Grid
from legstat.estimators.heldout import r2_on

PICTURES = {"mobilenet_v2_1.0_224": 3, "squeezenet1.1": 2}
N, FRESH = 1600, 402
SHARES = {"eq. 5": (0.05, 0.02, 0.01), "edge form": (0.3, 0.1, 0.02)}
DRAWS = 4000


def square(side: int) -> FloatArray:
    """Indicator of a square in the middle of the grid."""
    found = np.zeros(GRID)
    begin = (GRID[0] - side) // 2
    found[begin : begin + side, begin : begin + side] = 1.0
    return found.ravel()


def noise() -> dict[str, Any]:
    """Everything about the two noises, in units of tau / sqrt(n)."""
    d, sigma = Grid(GRID).D.toarray(), ls.MultiscaleBlocks(GRID).covariance_matrix()
    up = np.linalg.pinv(d).T  # D^{+T}
    white = np.random.default_rng(0).standard_normal((DRAWS, d.shape[1]))
    root = np.linalg.cholesky(sigma)
    found: dict[str, Any] = {}
    for name, make, seen in (
        ("eq. 5", up @ root, up @ sigma),
        ("edge form", scipy.linalg.solve_triangular(root, d.T, lower=True).T, d),
    ):
        values = np.linalg.svd(make, compute_uv=False)[: d.shape[1] - 1] ** 2
        sizes, entries = np.linalg.norm(make, axis=1), np.abs(white @ make.T)
        limit = float(np.quantile(entries.max(axis=1), 0.95))

        def residual(side: int, of: FloatArray = seen) -> float:
            """Largest entry that a square of level 1 leaves in the best constant map."""
            shown, flat = of @ square(side), of.sum(axis=1)
            return float(scipy.optimize.minimize_scalar(lambda c: np.abs(shown - c * flat).max(), bounds=(-1, 1)).fun)

        found[name] = {
            "largest over median": float(values[0] / np.median(values)),
            "share of the first ten": float(values[:10].sum() / values.sum()),
            "least, median, largest sd": [float(np.quantile(sizes, q)) for q in (0.0, 0.5, 1.0)],
            "quantile over median sd": limit / float(np.median(sizes)),
            "weighted": float(np.quantile((entries / sizes).max(axis=1), 0.95)),
            "seen": {side: limit / residual(side) for side in (1, 2, 4, 7, 14)},
        }
    return found


def edge_form(g_hat: FloatArray, share: float) -> tuple[FloatArray, int]:
    """The map of least total variation with |D(g_hat - g)| <= L, L a share of the largest, and its regions."""
    d = Grid(GRID).D
    jumps = d @ g_hat
    L = share * np.abs(jumps).max()
    m, p = d.shape
    # jumps of g as the difference of two parts, whose sum is what is minimised
    split = scipy.sparse.hstack([d, -scipy.sparse.eye_array(m), scipy.sparse.eye_array(m)])
    both = scipy.sparse.vstack([d, -d])
    away = scipy.sparse.hstack([both, scipy.sparse.csr_array((2 * m, 2 * m))])
    done = scipy.optimize.linprog(
        np.concatenate([np.zeros(p), np.ones(2 * m)]),
        A_ub=away,
        b_ub=np.concatenate([jumps + L, L - jumps]),
        A_eq=split,
        b_eq=np.zeros(m),
        bounds=[(None, None)] * p + [(0.0, None)] * (2 * m),
        method="highs-ds",
    )
    if done.status:
        raise RuntimeError(done.message)
    g = done.x[:p] - done.x[:p].mean() + g_hat.mean()  # the form leaves the level free
    flat = np.abs(d @ g) <= 1e-7 * np.abs(g).max()
    ends = d.indices.reshape(m, 2)[flat]
    joined = scipy.sparse.coo_array((np.ones(len(ends)), tuple(ends.T)), shape=(p, p))
    return g, scipy.sparse.csgraph.connected_components(joined, directed=False)[0]


def maps() -> Iterator[dict[str, Any]]:
    """A row for each map of each picture."""
    for network, count in PICTURES.items():
        f = opened(network, "cpu")
        for number, (stem, image) in enumerate(pictures(network, count)):
            how = {"perturbation": ls.Blend(), "batch_size": 2, "progress": False}
            sample = ls.query(f, image, ls.MultiscaleBlocks(GRID), N, rng=number, **how)
            fresh = ls.query(f, image, ls.MultiscaleBlocks(GRID), FRESH, rng=1000 + number, **how)
            moments = sample.moments("adaptive")
            g_hat = moments.gamma.ravel()
            found = [("LEG", 0.0, g_hat, g_hat.size)]
            for share in SHARES["eq. 5"]:
                one = ls.LEGTV(moments).fit(L_ratio=share)
                found.append(("eq. 5", share, one.params.ravel(), one.n_regions))
            found += [("edge form", share, *edge_form(g_hat, share)) for share in SHARES["edge form"]]
            for name, share, g, regions in found:
                saliency = g.reshape(GRID)
                inserted = ls.metrics.insertion(f, image, saliency, steps=28).area
                areas = inserted - ls.metrics.deletion(f, image, saliency, steps=28).area
                row = {"network": network, "picture": stem, "map": name, "L / L_max": share, "regions": int(regions)}
                yield row | {"areas": areas, "r2": float(r2_on(fresh, g[None]))}
                print(stem, name, share, regions, flush=True)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=ls.LegstatWarning)
    save("constraints", list(maps()), noise=noise())
