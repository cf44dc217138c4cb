"""Pages of docs/studies that compare methods: at equal evaluations, where the cause is known, on games, by key sizes."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from statistics import mean
from typing import Any

import numpy as np

import legstat as ls
from legstat.comparison.statistics import paired_differences
from tools.page_numbers import results, row, short, states, table_of

METHODS = {
    "leg_adaptive": 'LEG, shrunken ("adaptive")',
    "legtv_penalised": 'LEG-TV, "simplest", penalised',
    "legtv_simplest": 'LEG-TV, "simplest"',
    "legtv": "**LEG-TV**, default",
    "lime_cells": "LIME, cells",
    "rise": "RISE",
    "sobol": "Sobol'",
    "hsic": "HSIC",
    "lime_superpixels": "LIME, superpixels",
    "kernelshap": "KernelSHAP",
    "occlusion": "occlusion",
    "leg": "LEG, default (unbiased)",
    "edges": "edges",
    "centre": "centre",
    "c_shapley": "C-Shapley",
    "random": "random",
}
GAIN = "insertion_minus_deletion"


def _rows(stored: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of a comparison, from values by metric, method and picture."""
    return [
        {"metric": metric, "method": key.split()[0], "n_queries": int(key.split()[1]), "spent": int(key.split()[1]),
         "picture": stored["pictures"][i], "value": value, "censored": i in one["censored"]}
        for metric, found in stored["values"].items()
        for key, one in found.items()
        for i, value in enumerate(one["values"])
    ]  # fmt: skip


def _interval(one: Any, sign: int = 1) -> str:
    low, high = sorted((sign * one.low, sign * one.high))
    return f"{sign * one.difference:+.3f} [{low:+.3f}, {high:+.3f}]"


@states("docs/studies/methods.md", "benchmarks/study_comparison.py")
def at_equal_evaluations() -> Iterator[str]:
    """A table a network, by `benchmarks/tables_comparison.py`'s own means and differences."""
    for stored in results("comparison_methods").values():
        rows = _rows(stored)
        found = ls.Comparison([one for one in rows if one["n_queries"] in (500, 2000)])
        means = found.summary().set_index(["metric", "n_queries", "method"])
        less = {
            (one.method, one.n_queries): one for one in found.differences("legtv").itertuples() if one.metric == GAIN
        }
        for method in means.loc[GAIN, 2000].index:
            columns = (GAIN, 500), (GAIN, 2000), ("insertion", 2000), ("deletion", 2000), ("key_size", 2000)
            cells = [
                f"{one['mean']:.3f} ({one['std_error']:.3f})" for one in (means.loc[m, n, method] for m, n in columns)
            ]
            differ = [_interval(less[method, n], -1) if method != "legtv" else "" for n in (500, 2000)]
            yield row(METHODS[method], *cells[:2], *differ, *cells[2:])
        far = [one for one in rows if (one["method"], one["n_queries"]) == ("rise", 4000) or one["method"] == "legtv"]
        two = [one for one in ls.Comparison(far).differences("rise", at=4000).itertuples() if one.metric == GAIN]
        for one in two:
            yield f"LEG-TV at {one.n_queries:,} minus RISE at 4,000: {_interval(one)}"
    stored = results("comparison_methods")["mobilenet_v2_1.0_224"]["values"][GAIN]
    ahead = [
        mean(stored[f"legtv_penalised {n}"]["values"]) - mean(stored[f"legtv_simplest {n}"]["values"])
        for n in (500, 2000)
    ]
    yield f"is ahead of it by {short(ahead[0], 3)} at 500, for certain, and by {short(ahead[1], 3)} at 2,000"

    def gains(method: str, budget: int) -> list[float]:
        """Of the default over a method, a network each."""
        areas = [one["values"][GAIN] for one in results("comparison_methods").values()]
        return [mean(one[f"legtv {budget}"]["values"]) - mean(one[f"{method} {budget}"]["values"]) for one in areas]

    cells, rise = gains("lime_cells", 2000), gains("rise", 500)
    yield f"of LIME on cells in the mean only ({cells[0]:+.3f} and {cells[1]:+.3f})"
    yield f"of RISE ({rise[0]:+.3f} and {rise[1]:+.3f}), LIME and the rest in the mean"
    few, many = ([short(gain, 3) for gain in gains("legtv_simplest", n)] for n in (500, 2000))
    yield f"by {few[0]} and {few[1]} at 500, by {many[0]} and {many[1]} at 2,000"


@states("docs/studies/methods.md", "benchmarks/study_baselines.py")
def by_estimated_gradients() -> Iterator[str]:
    """Mask and I-GOS on the pictures that both studies have, the methods of the table beside them."""
    stored = results("comparison_methods")["mobilenet_v2_1.0_224"]
    of = {
        (name, metric): dict(zip(stored["pictures"], stored["values"][metric][f"{name} 2000"]["values"], strict=True))
        for name in ("legtv", "rise", "centre", "random")
        for metric in (GAIN, "insertion", "deletion")
    }
    for one in results("baselines")["rows"]:
        method, kind = one["map"].split()[0], one["map"].split()[-1]
        if kind in ("2000", "exact") and "," not in one["map"]:
            name = {"igos": "I-GOS", "mask": "mask"}.get(method)
            if name:
                areas = {"insertion": one["insertion"], "deletion": one["deletion"]}
                for metric, value in (areas | {GAIN: areas["insertion"] - areas["deletion"]}).items():
                    label = f"{name}, {'2,000 evaluations' if kind == '2000' else 'exact gradients'}"
                    of.setdefault((label, metric), {})[one["picture"]] = value
    common = [one for one in stored["pictures"] if one in of["I-GOS, 2,000 evaluations", GAIN]]
    yield f"{len(common)} pictures"
    labels = list(dict.fromkeys(name for name, _ in of if name not in ("centre", "random")))
    values = {key: np.array([own[one] for one in common]) for key, own in of.items()}
    others = [name for name in labels if name != "legtv"]
    less = paired_differences(np.array([values["legtv", GAIN] - values[name, GAIN] for name in others]), 0.95)
    for name in labels:
        means = [values[name, metric].mean() for metric in (GAIN, "insertion", "deletion")]
        cell = ""
        if name in others:
            i = others.index(name)
            cell = f"{less.means[i]:+.3f} [{less.low[i]:+.3f}, {less.high[i]:+.3f}]"
        yield row({"legtv": "LEG-TV, default", "rise": "RISE"}.get(name, name), *(f"{one:.3f}" for one in means), cell)


def _bold(text: str) -> str:
    """`0.1328 (0.0838, 0.1818), 5e-05`, as the pages write it: bold where the interval holds no 0."""
    value, low, high = map(float, re.findall(r"[-+]?\d+\.\d+(?:e-?\d+)?", text)[:3])
    shown = f"{short(value, 3, '+')} ({short(low, 3, '+')}, {short(high, 3, '+')})"
    return f"**{shown}**" if low > 0.0 or high < 0.0 else shown


@states("docs/studies/ground_truth.md", "benchmarks/study_ground_truth.py")
def ground_truth() -> Iterator[str]:
    """Both tables, and the numbers of the perceptrons."""
    found = {
        (one["network"], one["n_queries"], one["pictures of"], one["measure"], one["method"]): one
        for one in results("ground_truth")["rows"]
    }

    def shown(*key: object) -> str:
        return short(found[key]["mean"], 3) if key in found else "-"

    def minus(reference: str, *key: object) -> str:
        return _bold(found[key][f"minus {reference}"]) if key in found and f"minus {reference}" in found[key] else "-"

    convolutional = [key[-1] for key in found if key[:4] == ("cnn", 500, "all", "precision")]
    for method in convolutional:
        key = ("cnn", 500, "all", "precision", method)
        parts = (shown("cnn", 500, part, "precision", method)
                 for part in ("linear", "multiplicative", "rigid", "xor", "white", "correlated"))  # fmt: skip
        others = (minus("rise", *key), minus("legtv", *key), shown("cnn", 500, "all", "emd", method),
                  shown("cnn", 500, "all", "mass", method))  # fmt: skip
        yield row(f"`{method}`", f"{shown(*key)} ± {short(found[key]['std_error'], 3)}", *parts, *others)
        three = [
            (network, n, "all", "precision", method) for network, n in (("cnn", 100), ("cnn", 500), ("linear", 500))
        ]
        means = (shown(*key) for key in three)
        yield row(f"`{method}`", *means, minus("legtv", *three[0]), minus("legtv", *three[2]))
    for method in (
        "kernelshap",
        "legtv",
        "occlusion",
        "lime_cells",
        "leg",
        "lime_superpixels",
        "hsic",
        "sobol",
        "igos",
        "rise",
    ):
        precision = short(found["mlp", 500, "all", "precision", method]["mean"], 2)
        yield f"`{method}` {precision} and {shown('mlp', 500, 'all', 'emd', method)}"
    mask, chance = (
        [found["mlp", 500, "all", what, name]["mean"] for what in ("precision", "emd")] for name in ("mask", "random")
    )
    yield f"`mask` {short(mask[0], 2)} and {short(mask[1], 3)}, random {short(chance[0], 2)} and {short(chance[1], 3)}"
    yield f"stayed at chance ({short(results('ground_truth')['accuracies']['mlp rigid correlated'], 2)})"

    def less(network: str, n: int, method: str) -> float:
        return abs(float(found[network, n, "all", "precision", method]["minus legtv"].split()[0]))

    level = ("lime_cells", "lime_superpixels", "leg", "hsic", "sobol")
    yield f"differ from LEG-TV by at most {short(max(less('cnn', 500, name) for name in level), 3)}, and"
    behind = [found["cnn", 500, "all", "precision", name]["minus rise"].split()[0] for name in level]
    yield f"**RISE is behind them** by {short(min(map(float, behind)), 2)}"
    yield f"KernelSHAP's {short(less('cnn', 500, 'kernelshap'), 3)} is not certain"
    lost = {name: found["cnn", 500, "white", "precision", name]["mean"] - found["cnn", 500, "correlated", "precision", name]["mean"]
            for name in level}  # fmt: skip
    sobol, others = lost.pop("sobol"), lost.values()
    yield f"{short(min(others), 2)} to {short(max(others), 2)} lower than on white ones"
    yield f"(Sobol' indices: {short(sobol, 2)})"
    yield f"by {short(less('cnn', 100, 'lime_cells'), 3)} (LIME) to {short(less('cnn', 100, 'rise'), 2)} (RISE, LEG)"


@states("docs/studies/masking.md", "benchmarks/study_masking.py")
def masking() -> Iterator[str]:
    """The table of key sizes and areas; that of log-odds ratios."""
    rows = results("masking")["rows"]
    measures = [*(f"key size, {one}" for one in ("distance", "black", "mean", "noise")), "deletion", "insertion"]
    for network, method in dict.fromkeys((one["network"], one["method"]) for one in rows):
        mine = {one["measure"]: one for one in rows if (one["network"], one["method"]) == (network, method)}
        cells = (f"{short(mine[m]['mean'], 3)} ± {short(mine[m]['std_error'], 3)}" for m in measures)
        yield row(network, f"`{method}`", *cells)
        ratios = []
        for way in ("distance", "black", "mean", "noise"):
            one = results("masking")["curves"][network][method][way]
            for share in (0.02, 0.1):
                at = results("masking")["fractions"].index(share)
                ratios.append(_ratio(one, at))
        yield row(network, f"`{method}`", *ratios)
    yield f"its insertion of {_insertion('squeezenet1.1', 'leg')} is half of what RISE, LIME, mask and I-GOS have"
    four = [_insertion("mobilenet_v2_1.0_224", name) for name in ("leg", "legtv", "lime_superpixels", "mask")]
    yield f"insertion of LEG and LEG-TV is {four[0]} and {four[1]}, of LIME {four[2]}, of mask {four[3]}"


def _insertion(network: str, method: str) -> str:
    one = next(one for one in results("masking")["rows"]
               if (one["network"], one["method"], one["measure"]) == (network, method, "insertion"))  # fmt: skip
    return short(one["mean"], 2)


def _ratio(curve: dict[str, Any], at: int) -> str:
    value, error, upstream = (curve[name][at] for name in ("mean", "std_error", "upstream"))
    return f"{value:.1f} ± {error:.1f} ({upstream:.1f})"


@states("docs/studies/games.md", "benchmarks/study_games.py")
def games() -> Iterator[str]:
    """The table; how the truths differ."""
    titles = {
        "LEG as printed": ("LEG, moments as printed", "Banzhaf"),
        "LEG on pairs": ("LEG, complementary pairs", "Banzhaf"),
        "least squares on pairs": ("least squares on complementary pairs", "Banzhaf"),
        "LIME": ("LIME", "its limit"),
        "KernelSHAP": ("KernelSHAP, as the package shap has it", "Shapley"),
        "KernelSHAP, all players": ("KernelSHAP, all players kept", "Shapley"),
        "permutations": ("permutations and their reverses", "Shapley"),
    }
    pictures = {"n02099601_golden_retriever": "retriever", "0": "CIFAR 0", "1": "CIFAR 1"}
    rows = {(one["estimator"], one["picture"], one["n_queries"]): one for one in results("games")["rows"]}
    for key, title in titles.items():
        for picture, name in pictures.items():
            cells = []
            for n in (100, 500, 2000):
                one = rows[key, picture, n]
                truth = one["estimates"]
                cells.append(f"{one[f'error {truth}']:.3f} ({one[f'rank {truth}']:.2f})")
            first = f"| {title[0]} | {title[1]} | " if name == "retriever" else "|  |  | "
            yield first + row(name, *cells)[2:]

    def three(estimator: str, value: str, n: int = 2000) -> list[float]:
        return [rows[estimator, picture, n][value] for picture in pictures]

    def said(values: list[float]) -> str:
        a, b, c = (short(value, 2) for value in values)
        return f"{a}, {b} and {c}"

    yield f"At 2,000 evaluations least squares is {said(three('least squares on pairs', 'error shapley'))} away"
    yield f"KernelSHAP of all players {said(three('KernelSHAP, all players', 'error banzhaf'))} from the Banzhaf values"
    yield f"superpixels with correlations of {said(three('exact', 'rank shapley', 16384))}."
    linear = [f"{100 * value:.0f}" for value in three("exact", "linear share", 16384)]
    yield f"explains {linear[0]}, {linear[1]} and {linear[2]} % of the games' variance"
    yield f"its error is {said(three('KernelSHAP', 'error shapley'))} where the estimate of all players has"
    yield f"all players has {said(three('KernelSHAP, all players', 'error shapley'))}."


@states("docs/studies/key_sizes.md", "paper_figures/tab01_key_sizes.py")
def key_sizes() -> Iterator[str]:
    """The table of differences; the censored pictures."""
    data = results("paper_figures/results/tab01.json")
    yield from table_of(importlib.import_module("tab01_key_sizes").table(data).splitlines()[2:])
    numbers = data["numbers"]
    methods = ("LEG", "LEG-TV", "LIME", "KernelSHAP", "GradCam", "C-Shapley")
    counts = [f"{500 * numbers[f'Distance-100, {name}: censored']:.0f} ({name})" for name in methods]
    yield (
        "Under Distance-100 the first choice never changes on "
        + ", ".join(counts[:-1])
        + f" and {counts[-1]} of the 500"
    )
    differences = data["differences"]
    two = [differences[f"up to 1; Black-out: {ours} - KernelSHAP"][0] for ours in ("LEG", "LEG-TV")]
    yield f"the lead over KernelSHAP ({short(two[0], 3)} and {short(two[1], 3)}) is noise"
