"""LEG paper, section 5.1: error against the number of evaluations, structured and isotropic design at equal trace.

Draws without pairs, as the theorem has them, of a logistic score along random piecewise-constant maps with s = 12 on
8 x 8 cells. Left: moments and L as the paper's implementation takes them (L = 0.1 L_max), and Theorem 1's own L.
Right: what legstat takes by default, and L by the multiplier bootstrap. The error is ||gamma-hat - gamma|| up to the
mean, over ||gamma|| up to its mean: root of the mean square over replicates.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from paper_style import BLUE, GREY, ORANGE, figure, save
from stored import results_of

from legstat.studies import SampleSizeStudy

CLAIM = (
    "LEG's error falls as n^{-1/2}, on its closed form; so does LEG-TV's where the data choose L (bootstrap), but not "
    "where L is a fixed share of L_max, nor with Theorem 1's own L, which is near or above L_max: its map says little. "
    "The bound of Theorem 1 holds, from tens to a thousand times above the errors."
)
COLOURS = {"structured": BLUE, "isotropic": ORANGE}
PRINTED, DEFAULT = "leg/printed", "leg/crossfit"
RATIO, THEOREM = "legtv/printed/L_ratio", "legtv/printed/theory"
BOOTSTRAP, HELDOUT = "legtv/crossfit/bootstrap", "legtv/regression/heldout=0.005"


def studies(
    seed: int = 0, n_units: tuple[int, ...] = (250, 500, 1000, 2000, 4000, 8000, 16000), replicates: int = 16
) -> dict[str, SampleSizeStudy]:
    """The study behind this figure."""
    study = SampleSizeStudy(
        tuple(n + 1 for n in n_units),
        grid=(8, 8),
        sparsity=12,
        design=("structured", "isotropic"),
        scale=0.5,
        estimators=(PRINTED, RATIO, THEOREM, DEFAULT, BOOTSTRAP, HELDOUT),
        antithetic=False,
        replicates=replicates,
        seed=seed,
    )
    return {"fig05": study}


def compute(seed: int = 0, **size: Any) -> dict[str, Any]:
    """Relative errors, closed form and bound against n for each design and estimator; slopes."""
    (study,) = studies(seed, **size).values()
    results = results_of("fig05", study)
    cells, slopes, frame = results.cells(), results.slopes(), results.frame
    size_of_gamma = frame.groupby("design")["truth_norm_up_to_mean"].apply(lambda x: float(np.sqrt(np.mean(x**2))))
    data: dict[str, Any] = {"replicates": study.replicates, "lines": {}}
    numbers = {}
    for (design, estimator), line in cells.groupby(["design", "estimator"], sort=False):
        size_here = size_of_gamma[design]
        slope = slopes[(slopes["design"] == design) & (slopes["estimator"] == estimator)].iloc[0]
        data["lines"][f"{design} {estimator}"] = {
            "n": line["n"].to_numpy(),
            "error": line["rmse"].to_numpy() / size_here,
            "exact": np.sqrt(line["exact_mse"].to_numpy()) / size_here,
            "bound": line["bound"].to_numpy() / size_here,
            "L_ratio": line["L_ratio"].to_numpy(),
            "slope": float(slope["exponent"]),
            "low": float(slope["low"]),
            "high": float(slope["high"]),
        }
        numbers[f"{design} {estimator} slope"] = float(slope["exponent"])
        numbers[f"{design} {estimator} at largest n"] = float(line["rmse"].iloc[-1]) / size_here
    tv = frame[frame["estimator"].str.startswith("legtv")]
    data["feasible"] = tv.groupby("estimator")["feasible"].mean().to_dict()
    lines = data["lines"]
    numbers["smallest bound over error"] = min(
        float((line["bound"] / line["error"]).min()) for name, line in lines.items() if "/theory" in name
    )
    data["numbers"] = numbers
    return data


def check(data: dict[str, Any]) -> None:
    """Raise AssertionError unless the claim holds."""
    for design in COLOURS:
        lines = {
            name: data["lines"][f"{design} {name}"] for name in (PRINTED, RATIO, THEOREM, DEFAULT, BOOTSTRAP, HELDOUT)
        }
        printed, span = lines[PRINTED], lines[PRINTED]["n"][-1] / lines[PRINTED]["n"][0]
        # relative Monte Carlo error of a root mean square of some 60 terms over the replicates, four times
        tolerance = 4.0 / np.sqrt(2.0 * 20.0 * data["replicates"])
        _require(
            bool(np.all(np.abs(printed["error"] / printed["exact"] - 1.0) < tolerance)),
            f"{design}: LEG's error is its closed form",
        )
        _require(-0.6 < printed["slope"] < -0.4, f"{design}: LEG falls as n^(-1/2)")
        _require(-0.75 < lines[BOOTSTRAP]["slope"] < -0.35, f"{design}: LEG-TV with a bootstrap L falls as n^(-1/2)")
        _require(
            bool(np.all(lines[THEOREM]["error"] > 0.75)), f"{design}: Theorem 1's own L leaves a map that says little"
        )
        _require(
            bool(np.all(lines[THEOREM]["bound"] > 20.0 * lines[THEOREM]["error"])), f"{design}: the bound is far off"
        )
        for name in (DEFAULT, HELDOUT):
            _require(
                lines[name]["error"][-1] < 0.6 * printed["error"][-1], f"{design}: {name} is well below printed LEG"
            )
        if span >= 16:  # the bias of a fixed share of L_max shows where the noise has gone
            _require(lines[RATIO]["slope"] > -0.35, f"{design}: a fixed share of L_max is slower than n^(-1/2)")
    _require(data["feasible"][THEOREM] == 1.0, "gamma is feasible at Theorem 1's L")


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise AssertionError(f"fig05: not so: {what}")


def plot(data: dict[str, Any], path: Path) -> None:
    """The theorem on its own scale, then the errors of both kinds of moments on one scale."""
    drawn = figure(11.0, 3.9)
    theory, printed, ours = drawn.subplots(1, 3)
    lines = data["lines"]
    for design, colour in COLOURS.items():
        line = lines[f"{design} {THEOREM}"]
        theory.plot(line["n"], line["bound"], color=colour, lw=1.4)
        theory.plot(line["n"], line["error"], "x:", color=colour, ms=5, lw=1.2)
        theory.plot(line["n"], lines[f"{design} {BOOTSTRAP}"]["error"], "^-", color=colour, ms=5, lw=1.2)
    for ax, shown in (
        (printed, [(PRINTED, "LEG", "o--"), (RATIO, r"LEG-TV, $L = 0.1\,L_{max}$", "s-")]),
        (
            ours,
            [
                (DEFAULT, "LEG, crossfit", "o--"),
                (BOOTSTRAP, "LEG-TV, crossfit, bootstrap L", "^-"),
                (HELDOUT, r"LEG-TV, regression, held-out $R^2$", "s-"),
            ],
        ),
    ):
        for estimator, label, style in shown:
            open_marker = style.startswith("o")
            for design, colour in COLOURS.items():
                line = lines[f"{design} {estimator}"]
                face = "white" if open_marker else colour
                ax.plot(line["n"], line["error"], style, color=colour, ms=5, mfc=face, lw=1.2)
            ax.plot([], [], style, color=GREY, ms=5, mfc="white" if open_marker else GREY, label=label)
        ax.set(ylim=(0.013, 1.0))
    for design, colour in COLOURS.items():
        printed.plot(lines[f"{design} {PRINTED}"]["n"], lines[f"{design} {PRINTED}"]["exact"], color=colour, lw=0.8)
        ours.plot([], [], color=colour, lw=4, label=f"{design} design")
    printed.plot([], [], color=GREY, lw=0.8, label="LEG, closed form")
    theory.plot([], [], color=GREY, lw=1.4, label="bound (as its proof gives it)")
    theory.plot([], [], "x:", color=GREY, ms=5, label="LEG-TV with the theorem's L")
    theory.plot([], [], "^-", color=GREY, ms=5, label="LEG-TV with a bootstrap L")
    n = lines[f"structured {PRINTED}"]["n"]
    for ax, start in ((theory, 0.05), (printed, 0.12), (ours, 0.08)):
        guide = start * np.sqrt(n[0] / n)
        ax.plot(n, guide, color="black", lw=0.8)
        ax.annotate(r"$n^{-1/2}$", (n[1], guide[1]), (-14, -14), textcoords="offset points", fontsize=8)
    theory.set(title="(a) Theorem 1", ylabel=r"error $\|\hat\gamma - \gamma\| \,/\, \|\gamma\|$, up to the mean")
    printed.set(title="(b) printed moments")
    ours.set(title="(c) legstat's moments")
    theory.set(ylim=(0.005, 2e4))
    for ax in (theory, printed, ours):
        ax.title.set_fontsize(10)
        ax.set(xlabel="draws n", xscale="log", yscale="log")
        ax.grid(True, which="major", lw=0.3, color="#cccccc")
        ax.legend(frameon=False, fontsize=7.5, loc="upper right")
    save(drawn, path)
