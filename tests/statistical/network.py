"""Coverage on a network: the shipped digits' one, against least squares on a sample of its own.

    python -m tests.statistical.network

prints coverage of cells, of regions (the nine strongest cells, a box of 4 x 4 in the middle) and of the map's own
direction, at 1.6 to 10 units an unknown, under several laws. The network is nearly linear under the structured law
(R^2 = .99), less so under on/off laws, and has no noise, so that what the pilot leaves over is all there is.
"""

from __future__ import annotations

from functools import cache

import numpy as np

import legstat as ls
from legstat.data import digits_model_path, load_digit
from legstat.designs.design import Design

SHAPE = (8, 8)
DESIGNS: dict[str, Design] = {
    "structured": ls.StructuredGaussian(SHAPE, 0.25),
    "blocks": ls.MultiscaleBlocks(SHAPE),
    "blocks, levels": ls.MultiscaleBlocks(SHAPE, levels=(0.2, 0.8)),
    "cells": ls.BernoulliCells(SHAPE),
    "smooth": ls.SpectralGaussian(SHAPE),
    "smooth, on/off": ls.SpectralBinary(SHAPE),
}
REFERENCE_UNITS = 50_000
LEVEL = 0.95


def sample(units: int, seed: int, law: str = "structured") -> ls.QuerySample:
    """Pairs around a held-out 7, cells blended with blank paper."""
    image, label = load_digit(5)
    f = ls.onnx_response(digits_model_path(), target=label, threads=1)
    return ls.query(f, image, DESIGNS[law], 2 + 2 * units, perturbation=ls.Blend("black"), rng=seed, progress=False)


@cache
def reference(law: str = "structured") -> np.ndarray:
    """The map by least squares; its own error is a twelfth of that of 320 pairs."""
    return np.asarray(sample(REFERENCE_UNITS, 10**6, law).moments("least_squares").gamma.ravel())


def contrasts(gamma: np.ndarray) -> np.ndarray:
    """Mean of the nine strongest cells with their signs, mean of the middle, and the map's own direction."""
    strongest = np.zeros(gamma.size)
    strongest[np.argsort(-np.abs(gamma))[:9]] = 1.0 / 9.0
    middle = np.zeros(SHAPE)
    middle[2:6, 2:6] = 1.0 / 16.0
    return np.stack([strongest * np.sign(gamma), middle.ravel(), gamma / np.abs(gamma).sum()])


def coverage(units: int, replicates: int, law: str = "structured") -> np.ndarray:
    """Shares covered: cells, then the contrasts."""
    gamma = reference(law)
    C = contrasts(gamma)
    inside = []
    for seed in range(replicates):
        result = ls.LEG(sample(units, seed, law)).fit()
        low, high = result.conf_int(level=LEVEL).T
        lows, highs = result.contrasts(C).conf_int(level=LEVEL).T
        cells = np.mean((low <= gamma) & (gamma <= high))
        inside.append([cells, *((lows <= C @ gamma) & (C @ gamma <= highs))])
    return np.mean(inside, axis=0)


if __name__ == "__main__":
    for law in DESIGNS:
        for units in (104, 160, 192, 320, 640) if law == "structured" else (160, 640):
            shares = " ".join(f"{share:.3f}" for share in coverage(units, 300, law))
            print(f"{law}, {units / 64:.1f} units an unknown: {shares}", flush=True)  # noqa: T201
