"""Deletion and insertion of LEG-TV in deletion coordinates against a random and a centre map, on real networks.

Protocol: 6,000 queries, 28 x 28 cells, log-odds score; cells in descending order of the signed map, 56 steps of 14
cells, softmax probability of the top class, blurred picture (Gaussian, 10 pixels) as the substrate of both curves,
trapezoid. Key size: share of cells, in the same order and replaced by black, at which the top class first changes.

Run: LEGSTAT_DATA=... python benchmarks/study_deletion_insertion.py [pictures] [queries]
"""

from __future__ import annotations

import sys

import numpy as np
from pictures import NETWORKS, classified, network
from timing import save

import legstat as ls
from legstat._core.typing import FloatArray

GRID, STEP = (28, 28), 14


def curves(f: ls.Response, image: FloatArray, substrate: FloatArray, order: FloatArray) -> tuple[float, float]:
    """Areas under the deletion and the insertion curve."""
    grid = ls.Grid(GRID)
    deleted, inserted = [], []
    for k in range(0, grid.n_cells + 1, STEP):
        mask = np.zeros(grid.n_cells)
        mask[order[:k]] = 1.0
        m = grid.lift(mask.reshape(GRID), *image.shape[-2:])
        deleted.append(image * (1 - m) + substrate * m)
        inserted.append(image * m + substrate * (1 - m))
    y = f(np.asarray(deleted + inserted, dtype=np.float32))
    half = len(deleted)
    return tuple(float(np.trapezoid(part, dx=1.0 / (half - 1))) for part in (y[:half], y[half:]))  # type: ignore[return-value]


def key_size(f: ls.Response, image: FloatArray, order: FloatArray) -> float:
    """Share of cells blackened when the top class first changes; 1 if it never does."""
    grid = ls.Grid(GRID)
    pictures, shares = [], []
    for k in range(STEP, grid.n_cells + 1, STEP):
        keep = np.ones(grid.n_cells)
        keep[order[:k]] = 0.0
        pictures.append(image * grid.lift(keep.reshape(GRID), *image.shape[-2:]))
        shares.append(k / grid.n_cells)
    top = f.class_outputs(np.asarray([image, *pictures], dtype=np.float32)).argmax(axis=1)  # type: ignore[attr-defined]
    changed = np.flatnonzero(top[1:] != top[0])
    return shares[changed[0]] if changed.size else 1.0


def main(pictures: int = 10, queries: int = 6000) -> None:
    """Run the study and save the table."""
    row, column = np.indices(GRID)
    centre = -np.hypot(row - 13.5, column - 13.5).ravel()
    design = ls.StructuredGaussian(grid=GRID, scale=0.25)
    rows = []
    for name in NETWORKS:
        scores: dict[str, list[tuple[float, ...]]] = {}
        for i, (stem, image) in enumerate(classified(name, pictures)):
            f, _ = network(name).bind(image)
            p, _ = network(name, score="probability").bind(image)
            sample = ls.query(f, image, design, queries, perturbation=ls.Blend(), rng=i, progress=False)
            path = ls.LEGTV(sample).fit_path(progress=False)
            maps = {
                "random": np.random.default_rng(i).random(design.grid.n_cells),
                "centre": centre,
                "LEG (crossfit)": ls.LEG(sample).fit().params,
                "LEG-TV, L_ratio .05": path.select(L_ratio=0.05).params,
                "LEG-TV, L_ratio .2": path.select(L_ratio=0.2).params,
                "LEG-TV, held out": path.select("heldout").params,
            }
            substrate = ls.Blend().baseline_picture(image)
            for label, values in maps.items():
                order = np.argsort(-values, kind="stable")
                scores.setdefault(label, []).append((*curves(p, image, substrate, order), key_size(p, image, order)))
            print(name, stem, {k: tuple(round(v, 2) for v in s[-1]) for k, s in scores.items()}, flush=True)
        for label, values in scores.items():
            mean, sem = np.mean(values, axis=0), np.std(values, axis=0, ddof=1) / np.sqrt(len(values))
            rows.append(
                {
                    "network": name,
                    "map": label,
                    "deletion (low)": mean[0],
                    "insertion (high)": mean[1],
                    "key size (low)": mean[2],
                    "standard errors": "; ".join(f"{s:.3f}" for s in sem),
                }
            )
    save("deletion_insertion", rows, pictures=pictures, queries=queries)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
