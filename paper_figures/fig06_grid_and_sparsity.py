"""LEG paper, section 5.1: error against p and s, and what they ask of n, at equal trace.

Logistic score along random piecewise-constant maps, draws without pairs. Left: s = 12 on square grids of 25 to 256
cells. Right: 100 cells, s from 6 to 48. Each at two n, from which follows how n has to grow with p or s for the same
error.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from paper_style import BLUE, GREY, ORANGE, figure, save
from stored import results_of

from legstat.studies import SampleSizeStudy

CLAIM = (
    "LEG's error grows with p and s as its closed form; LEG-TV's grows with s but hardly with p, where the bound of "
    "Theorem 1 has p^{3/4}: at s = 12 it is below LEG's from some 100 cells on."
)
COLOURS = {"structured": BLUE, "isotropic": ORANGE}
PRINTED, DEFAULT = "leg/printed", "leg/crossfit"
BOOTSTRAP = "legtv/crossfit/bootstrap"
FACTORS = {"fig06_p": "p", "fig06_s": "sparsity"}


def studies(
    seed: int = 0,
    sides: tuple[int, ...] = (5, 7, 10, 13, 16),
    sparsities: tuple[int, ...] = (6, 12, 24, 48),
    n_units: tuple[int, ...] = (1000, 4000),
    replicates: int = 10,
) -> dict[str, SampleSizeStudy]:
    """The studies behind this figure: one along p, one along s."""
    common: dict[str, Any] = {
        "design": ("structured", "isotropic"),
        "scale": 0.5,
        "estimators": (PRINTED, DEFAULT, BOOTSTRAP),
        "antithetic": False,
        "replicates": replicates,
        "seed": seed,
    }
    n = tuple(n + 1 for n in n_units)
    return {
        "fig06_p": SampleSizeStudy(n, grid=[(side, side) for side in sides], sparsity=12, **common),
        "fig06_s": SampleSizeStudy(n, grid=(10, 10), sparsity=sparsities, **common),
    }


def compute(seed: int = 0, **size: Any) -> dict[str, Any]:
    """Errors against p and s at each n, their closed forms and bounds, and the slopes."""
    data: dict[str, Any] = {"lines": {}, "slopes": {}}
    numbers: dict[str, float] = {}
    for name, study in studies(seed, **size).items():
        results, factor = results_of(name, study), FACTORS[name]
        cells, slopes = results.cells(), results.slopes()
        data["lines"][name] = {
            f"{design} {estimator} {n}": {
                "x": line[factor].to_numpy(dtype=float),
                "error": line["rmse"].to_numpy(),
                "exact": np.sqrt(line["exact_mse"].to_numpy()),
                "bound": line["bound"].to_numpy(),
            }
            for (design, estimator, n), line in cells.groupby(["design", "estimator", "n"], sort=False)
        }
        for row in slopes.itertuples():
            key = f"{name} {row.design} {row.estimator} {row.term}"
            data["slopes"][key] = [row.exponent, row.low, row.high, row.bound, row.closed_form]
            numbers[key] = float(row.exponent)
    data["numbers"] = numbers
    data["replicates"] = study.replicates
    data["n"] = sorted({int(key.rsplit(" ", 1)[1]) for key in data["lines"]["fig06_p"]})
    return data


def check(data: dict[str, Any]) -> None:
    """Raise AssertionError unless the claim holds."""
    slopes = data["slopes"]
    for design in COLOURS:
        for name, term in (("fig06_p", "log p"), ("fig06_s", "log s")):
            exponent, low, high, bound, closed = slopes[f"{name} {design} {PRINTED} {term}"]
            margin = high - low  # twice the half-width: about four standard errors
            _require(abs(exponent - closed) < margin, f"{name} {design}: LEG grows as its closed form")
            _require(np.isnan(bound), f"{name} {design}: the theorem is not on LEG")
        exponent, low, high, bound, _ = slopes[f"fig06_p {design} {BOOTSTRAP} log p"]
        _require(low < bound, f"{design}: LEG-TV's error grows no faster with p than the bound allows")
        if data["replicates"] >= 10:
            _require(high < 0.4, f"{design}: LEG-TV's error hardly grows with p")
            maps = {
                name: data["lines"]["fig06_p"][f"{design} {name} {max(data['n'])}"] for name in (DEFAULT, BOOTSTRAP)
            }
            large = maps[DEFAULT]["x"] >= 100
            below = maps[BOOTSTRAP]["error"] < maps[DEFAULT]["error"]
            _require(bool(below[large].all()), f"{design}: LEG-TV's error is below LEG's from 100 cells on")
        for n in data["n"]:
            line = data["lines"]["fig06_s"][f"{design} {BOOTSTRAP} {n}"]
            _require(line["error"][-1] > line["error"][0], f"{design}: LEG-TV's error grows with s")


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise AssertionError(f"fig06: not so: {what}")


def plot(data: dict[str, Any], path: Path) -> None:
    """Errors against p and against s, on logarithmic axes."""
    drawn = figure(10.0, 4.2)
    axes = drawn.subplots(1, 2)
    n = max(data["n"])
    shown = [
        (PRINTED, "LEG, printed (thin: closed form)", "o:"),
        (DEFAULT, "LEG, crossfit", "o--"),
        (BOOTSTRAP, "LEG-TV, crossfit, bootstrap L", "^-"),
    ]
    for ax, (name, factor), label in zip(axes, FACTORS.items(), ("cells p (s = 12)", "s (100 cells)"), strict=True):
        term = "log p" if factor == "p" else "log s"
        for estimator, text, style in shown:
            for design, colour in COLOURS.items():
                line = data["lines"][name][f"{design} {estimator} {n}"]
                face = "white" if style.startswith("o") else colour
                ax.plot(line["x"], line["error"], style, color=colour, ms=5, mfc=face, lw=1.2)
                if estimator == PRINTED:
                    ax.plot(line["x"], line["exact"], color=colour, lw=0.8)
            exponents = [data["slopes"][f"{name} {design} {estimator} {term}"][0] for design in COLOURS]
            text = f"{text}: {exponents[0]:.2f}, {exponents[1]:.2f}"
            ax.plot([], [], style, color=GREY, ms=5, mfc="white" if style.startswith("o") else GREY, label=text)
        bound = data["slopes"][f"{name} structured {BOOTSTRAP} {term}"][3]
        ax.plot([], [], color="none", label=f"bound of Theorem 1 (proof): {bound:.2f}")
        ax.set(xlabel=label, xscale="log", yscale="log", title=f"({'ab'[ax is axes[1]]}) n = {n}")
        x = data["lines"][name][f"structured {PRINTED} {n}"]["x"]
        ax.set_xticks(x, [f"{value:g}" for value in x])
        ax.minorticks_off()
        ax.grid(True, lw=0.3, color="#cccccc")
    axes[0].set_ylabel(r"error $\|\hat\gamma - \gamma\|$, up to the mean")
    for design, colour in COLOURS.items():
        axes[0].plot([], [], color=colour, lw=4, label=f"{design} design")
    for ax in axes:
        ax.set_ylim(top=1.2)  # room for the legends
        ax.title.set_fontsize(10)
        ax.legend(
            frameon=False, fontsize=7.5, loc="upper left", title="exponents: structured, isotropic", title_fontsize=7.5
        ).set_alignment("left")
    save(drawn, path)
