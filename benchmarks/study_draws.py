"""Other draws of the same law, and other scales: what they change in the maps' out-of-sample R^2.

Draws: independent (what `query` does); orthogonal, groups of p - 16 directions at right angles in coordinates where
Sigma is the identity, their lengths chi-distributed as of independent ones; scrambled Sobol points through the normal
quantile function. R^2 is that of LEG on each kind of moments, on 1,500 fresh independent pairs.

Scales: R^2 of the odd part by the sample's own held-out queries at 2,000 evaluations (LEG-TV, default), and the share
of the odd part in the response's variance. Each scale has an estimand of its own, so these R^2 do not rank scales.

Run: LEGSTAT_DATA=... python benchmarks/study_draws.py
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import scipy.special
import scipy.stats.qmc
from pictures import DATA, network
from study_query_efficiency import FRESH, KINDS, SETTINGS
from timing import save

import legstat as ls
from legstat._core.typing import FloatArray
from legstat.designs.blocks import BLOCK, Key
from legstat.estimators.heldout import r2_on

CASES = (
    ("squeezenet1.1", "n02099601_golden_retriever", "blend"),
    ("mobilenet_v2_1.0_224", "n01580077_jay", "additive"),
    ("squeezenet1.1", "n01484850_great_white_shark", "additive"),
)
GROUP = 24
"""Blocks that are orthogonal together: 768 directions of the 784."""
SCALES = {"additive": (0.01, 0.02, 0.04, 0.08), "blend": (0.1, 0.25, 0.4)}


class Colouring(ls.StructuredGaussian):
    """The structured law from normals in the cells' own coordinates, Sigma^{1/2} u."""

    __hash__ = object.__hash__  # for the caches below

    def colour(self, u: FloatArray) -> FloatArray:
        """Sigma^{1/2} u; the constant's eigenvalue is scale^2."""
        return self.scale * self.grid.apply_spectrum(lambda e: np.sqrt(np.where(e > 1e-12, e, 1.0)), u)

    def draw(self, key: Key, stream: int, block: int, planes: int = 1) -> FloatArray:
        """One block, as `Design.draw`."""
        group, at = divmod(block, GROUP)
        return self.group(key, group)[at * BLOCK : (at + 1) * BLOCK].reshape(BLOCK, 1, *self.grid.shape)

    def group(self, key: Key, group: int) -> FloatArray:
        """The draws of one group of blocks."""
        raise NotImplementedError


class Orthogonal(Colouring):
    """Directions at right angles within a group."""

    @functools.lru_cache(4)  # noqa: B019 - a handful of designs in one process
    def group(self, key: Key, group: int) -> FloatArray:
        """Rows of a random rotation, stretched to the lengths of normal vectors."""
        rng, p = np.random.default_rng([*key, group]), self.grid.n_cells
        q, r = np.linalg.qr(rng.standard_normal((p, p)))
        rows = GROUP * BLOCK
        return self.colour((q * np.sign(np.diag(r)))[:rows] * np.sqrt(rng.chisquare(p, size=(rows, 1))))


class Sobol(Colouring):
    """Scrambled Sobol points, one sequence for all groups."""

    @functools.lru_cache(4)  # noqa: B019 - as above
    def points(self, key: Key) -> FloatArray:
        """4,096 draws."""
        points = scipy.stats.qmc.Sobol(self.grid.n_cells, rng=np.random.default_rng(key)).random(4096)
        return self.colour(scipy.special.ndtri(np.clip(points, 1e-12, 1.0 - 1e-12)))

    def group(self, key: Key, group: int) -> FloatArray:
        """A stretch of the sequence."""
        return self.points(key)[group * GROUP * BLOCK : (group + 1) * GROUP * BLOCK]


def draws() -> list[dict[str, Any]]:
    """R^2 by draws, budget and moments."""
    rows = []
    for name, stem, label in CASES:
        f = network(name, threads=1)
        image = f.load_image(DATA / "images" / "samples" / f"{stem}.JPEG")
        perturbation, scale = SETTINGS[label]
        how: dict[str, Any] = {"perturbation": perturbation, "progress": False}
        design = ls.StructuredGaussian((28, 28), scale)
        fresh = ls.query(f, image, design, 2 * FRESH + 1 + perturbation.needs_base, rng=1000, **how)
        for n, seeds in ((2000, (1, 11)), (6000, (1,))):
            for law in (ls.StructuredGaussian, Orthogonal, Sobol):
                samples = [ls.query(f, image, law((28, 28), scale), n, rng=seed, **how) for seed in seeds]
                for kind in KINDS:
                    r2 = float(np.mean([r2_on(fresh, s.moments(kind).gamma) for s in samples]))
                    row = {"network": name, "picture": stem, "perturbation": label, "n": n}
                    rows.append(row | {"draws": law.__name__, "moments": kind, "r2": r2})
        print(rows[-1], flush=True)
    return rows


def scales() -> list[dict[str, Any]]:
    """R^2 and the odd part's share by scale."""
    rows = []
    for name, stem, _ in CASES:
        f = network(name, threads=1)
        image = f.load_image(DATA / "images" / "samples" / f"{stem}.JPEG")
        for label, sizes in SCALES.items():
            for scale in sizes:
                design = ls.StructuredGaussian((28, 28), scale)
                sample = ls.query(f, image, design, 2000, perturbation=SETTINGS[label][0], rng=1, progress=False)
                y = sample.responses.reshape(-1, 2)
                odd = float(np.var((y[:, 0] - y[:, 1]) / 2.0) / np.var(y))
                chosen = ls.LEGTV(sample).fit_path(progress=False).select("heldout")
                row = {"network": name, "picture": stem, "perturbation": label, "scale": scale}
                rows.append(row | {"odd share": odd, "own r2": chosen.r2_heldout})
                print(rows[-1], flush=True)
    return rows


if __name__ == "__main__":
    save("draws", draws())
    save("scales", scales())
