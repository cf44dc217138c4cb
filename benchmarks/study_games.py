"""How near LIME, KernelSHAP and LEG-like regressions come to exact values of games on 14 superpixels.

A picture's superpixels (SLIC, blurred where they are no members) are the players of a game; its value is the network's
log-odds of its first choice. All 2^14 coalitions are evaluated once and kept in a folder, so that exact Shapley and
Banzhaf values, and the exact limit of every regression, are known; each estimator is then run on draws of its own with
a given number of evaluations, answered from the table.

Run: LEGSTAT_DATA=... python benchmarks/study_games.py FOLDER --evaluate (minutes a game), then without the flag
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import scipy.ndimage
import scipy.stats
import shap
from pictures import DATA, classified, network
from timing import save

import legstat as ls
from legstat._core.typing import FloatArray, IntArray
from legstat.comparison.asking import Asking
from legstat.comparison.methods.regressions import lime_weights, scores_of_segments, superpixels, weighted_ridge

PLAYERS, BUDGETS, REPEATS = 14, (100, 500, 2000), 20
GAMES = {"squeezenet1.1": 2, "mobilenet_v2_1.0_224": 1}
"""Pictures of each ImageNet network."""
SMALL = 2
"""CIFAR-10 pictures: a game of theirs costs seconds."""


def subjects() -> Iterator[tuple[str, str, ls.Response, FloatArray]]:
    """Network, picture, response and picture of every game."""
    for name, count in GAMES.items():
        for stem, image in classified(name, count):
            yield name, stem, network(name, threads=1), image
    f = ls.onnx_response(DATA / "models" / "cifar10_resnet20.onnx", preprocessing="unit", score="log_odds", threads=1)
    with np.load(DATA / "images" / "cifar10_lossless_from_vnnlib.npz") as file:
        images, labels = file["images"].transpose(0, 3, 1, 2) / 255.0, file["labels"]
    right = np.flatnonzero(f.class_outputs(images).argmax(axis=1) == labels)
    for number in right[:SMALL]:
        yield "cifar10_resnet20", f"{number}", f, images[number]


def labels_of(image: FloatArray) -> IntArray:
    """Fourteen superpixels: SLIC's, the smallest joined to the one with which it shares most of its border."""
    labels = superpixels(image, 40)
    while labels.max() + 1 > PLAYERS:
        smallest = int(np.bincount(labels.ravel()).argmin())
        around = scipy.ndimage.binary_dilation(labels == smallest) & (labels != smallest)
        labels = np.where(labels == smallest, int(np.bincount(labels[around]).argmax()), labels)
        _, flat = np.unique(labels, return_inverse=True)
        labels = flat.reshape(labels.shape)
    if labels.max() + 1 < PLAYERS:
        raise ValueError(f"fewer than {PLAYERS} superpixels")
    return np.asarray(labels, dtype=np.int64)


def coalitions() -> FloatArray:
    """All of them, shape (2^14, 14): player i is bit i of the row's number, as `legstat.simulate.shapley` reads it."""
    return ((np.arange(2**PLAYERS)[:, None] >> np.arange(PLAYERS)) & 1).astype(np.float64)


def evaluate(folder: Path) -> None:
    """Every coalition of every game that is not in the folder yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, stem, response, image in subjects():
        place = folder / f"{name}-{stem}.npy"
        if place.is_file():
            continue
        labels = labels_of(image)
        asking = Asking("games", response, image, 2**PLAYERS + 1)
        np.save(place, scores_of_segments(asking, coalitions(), labels))
        print(place.name, flush=True)


def drawn(budget: int, rng: np.random.Generator, *, pairs: bool) -> FloatArray:
    """Coalitions whose members are drawn with probability 1/2; with their complements if in pairs."""
    if not pairs:
        return rng.integers(0, 2, (budget, PLAYERS)).astype(np.float64)
    half = rng.integers(0, 2, (budget // 2, PLAYERS)).astype(np.float64)
    return np.stack([half, 1.0 - half], axis=1).reshape(-1, PLAYERS)


Value = Callable[[FloatArray], FloatArray]


def leg(value: Value, budget: int, rng: np.random.Generator) -> FloatArray:
    """LEG's moments as printed, Sigma^-1 mean(z (y - f(x0))), for the law of independent halves."""
    x = drawn(budget - 1, rng, pairs=False)
    y = value(x) - value(np.ones((1, PLAYERS)))
    return np.asarray(4.0 * (x - 0.5).T @ y / len(x), dtype=np.float64)


def leg_pairs(value: Value, budget: int, rng: np.random.Generator) -> FloatArray:
    """The same moments of complementary pairs: y is half their difference."""
    x = drawn(budget, rng, pairs=True)
    y = value(x)
    return np.asarray(2.0 * (x[::2] - 0.5).T @ (y[::2] - y[1::2]) / (len(x) // 2), dtype=np.float64)


def regression(value: Value, budget: int, rng: np.random.Generator) -> FloatArray:
    """Least squares on complementary pairs."""
    x = drawn(budget, rng, pairs=True)
    y = value(x)
    return np.asarray(np.linalg.lstsq(x[::2] - 0.5, (y[::2] - y[1::2]) / 2.0, rcond=None)[0], dtype=np.float64)


def lime(value: Value, budget: int, rng: np.random.Generator) -> FloatArray:
    """LIME's weighted ridge regression, as `lime_superpixels` does it."""
    x = drawn(budget - 1, rng, pairs=False)
    return weighted_ridge(x, value(x), lime_weights(x))


def kernelshap(value: Value, budget: int, rng: np.random.Generator, **settings: object) -> FloatArray:
    """KernelSHAP by the package shap with its defaults, which keep ten players: as `kernelshap` does it."""
    before = np.random.get_state()  # noqa: NPY002  # shap draws from the global generator
    np.random.seed(int(rng.integers(2**32)))  # noqa: NPY002
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            explainer = shap.KernelExplainer(value, np.zeros((1, PLAYERS)))
            found = explainer.shap_values(np.ones((1, PLAYERS)), nsamples=budget - 2, silent=True, **settings)
    finally:
        np.random.set_state(before)  # noqa: NPY002
    return np.asarray(found, dtype=np.float64).reshape(-1)


def kernelshap_of_all(value: Value, budget: int, rng: np.random.Generator) -> FloatArray:
    """KernelSHAP by the package shap, every player kept."""
    return kernelshap(value, budget, rng, l1_reg=False)


def permutations(value: Value, budget: int, rng: np.random.Generator) -> FloatArray:
    """Mean marginal contributions along random orders and their reverses (Castro et al., 2009)."""
    orders: list[IntArray] = []
    while (len(orders) + 2) * (PLAYERS - 1) + 2 <= budget:
        order = rng.permutation(PLAYERS)
        orders += [order, order[::-1]]
    total = np.zeros(PLAYERS)
    for order in orders:
        x = np.zeros((PLAYERS + 1, PLAYERS))
        for i, player in enumerate(order):
            x[i + 1 :, player] = 1.0
        total[order] += np.diff(value(x))
    return total / len(orders)


ESTIMATORS = {
    "LEG as printed": (leg, "banzhaf"),
    "LEG on pairs": (leg_pairs, "banzhaf"),
    "least squares on pairs": (regression, "banzhaf"),
    "LIME": (lime, "lime"),
    "KernelSHAP": (kernelshap, "shapley"),
    "KernelSHAP, all players": (kernelshap_of_all, "shapley"),
    "permutations": (permutations, "shapley"),
}
"""Each with the truth that it estimates."""


def study(folder: Path) -> list[dict[str, object]]:
    """Errors of every estimator against every truth."""
    rows: list[dict[str, object]] = []
    for name, stem, _, _ in subjects():
        place = folder / f"{name}-{stem}.npy"
        if not place.is_file():
            continue
        table = np.load(place)
        every = coalitions()
        powers = 1 << np.arange(PLAYERS)

        def value(shown: FloatArray, table: FloatArray = table, powers: IntArray = powers) -> FloatArray:
            return table[(np.asarray(shown) > 0.5) @ powers]

        # ridge's penalty against so many rows is nothing: this is LIME's limit
        truths = {
            "shapley": ls.simulate.shapley(table),
            "banzhaf": ls.simulate.banzhaf(table),
            "lime": weighted_ridge(every, table, lime_weights(every), 0.0),
        }
        for label, (estimate, own) in ESTIMATORS.items():
            for budget in BUDGETS:
                found = np.array([estimate(value, budget, np.random.default_rng([i, budget])) for i in range(REPEATS)])
                row: dict[str, object] = {"network": name, "picture": stem, "estimator": label, "n_queries": budget}
                row["estimates"] = own
                for truth, exact in truths.items():
                    errors = np.linalg.norm(found - exact, axis=1) / np.linalg.norm(exact)
                    ranks = [scipy.stats.spearmanr(one, exact).statistic for one in found]
                    row[f"error {truth}"] = float(errors.mean())
                    row[f"rank {truth}"] = float(np.mean(ranks))
                rows.append(row)
        between = scipy.stats.spearmanr(truths["shapley"], truths["banzhaf"]).statistic
        linear = np.var(every @ truths["banzhaf"]) / np.var(table)
        print(f"{name} {stem}: Shapley and Banzhaf rank alike {between:.3f}; linear share {linear:.2f}", flush=True)
        facts = {"network": name, "picture": stem, "estimator": "exact", "n_queries": 2**PLAYERS}
        rows.append({**facts, "rank shapley": float(between), "linear share": float(linear)})
    return rows


def main() -> None:
    """Evaluate what is missing, or study what is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the tables of all coalitions are kept")
    parser.add_argument("--evaluate", action="store_true", help="fill the folder")
    options = parser.parse_args()
    if options.evaluate:
        evaluate(options.folder)
    else:
        save("games", study(options.folder), players=PLAYERS, repeats=REPEATS)


if __name__ == "__main__":
    main()
