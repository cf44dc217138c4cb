"""docs/studies/laws.md and docs/laws.md: which law of z, from benchmarks/results/laws.json."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
import scipy

from tools.page_numbers import results, row, states

PAGE, COMMAND = "docs/studies/laws.md", "benchmarks/study_laws.py"
HARVESTMAN, CHAMELEON = "n01770081_harvestman", "n01682714_American_chameleon"
TWO = {HARVESTMAN: "mobilenet_v2_1.0_224", CHAMELEON: "squeezenet1.1"}
"""The two pictures that laws stand side by side on, and their networks."""


def _areas(rows: list[dict[str, object]]) -> pd.DataFrame:
    """Means over the parts of a sample: R^2, and insertion less deletion."""
    frame = pd.DataFrame(rows)
    frame["areas"] = frame["insertion"] - frame["deletion"]
    return frame.groupby(["n", "candidate", "network", "picture"], sort=False)[["r2", "areas"]].mean().reset_index()


def _interval(gap: pd.Series, digits: int = 3) -> str:
    half = scipy.stats.t.ppf(0.975, len(gap) - 1) * gap.std(ddof=1) / math.sqrt(len(gap))
    return f"{gap.mean():+.{digits}f} ± {half:.{digits}f}"


def _beside(means: pd.DataFrame, n: int, name: str, base: str) -> tuple[pd.DataFrame, str]:
    """A candidate's pictures, and its difference to another on the same ones."""
    both = [
        means[(means["n"] == n) & (means["candidate"] == one)].set_index(["network", "picture"]) for one in (name, base)
    ]
    gap = (both[0]["areas"] - both[1]["areas"]).dropna()
    return both[0], "-" if name == base else _interval(gap)


@states(PAGE, COMMAND)
def searched() -> Iterator[str]:
    """The candidates of the search, and of the two stages."""
    means = _areas(results("laws")["rows"])
    other = ("binary -1", "cells", "gaussian -1", "levels", "smooth lift", "structured")
    for n, name in means[["n", "candidate"]].drop_duplicates().itertuples(index=False):
        base = "two stages: none" if name.startswith("two stages") else "1 2 4 7"
        if name not in other:
            mine, difference = _beside(means, n, name, base)
            r2 = mine["r2"].median()
            shown = "-" if math.isnan(r2) else f"{r2:.2f}"
            yield row(f"{n:,}", name, len(mine), shown, f"{mine['areas'].mean():.3f}", difference)


@states(PAGE, COMMAND)
def confirmed() -> Iterator[str]:
    """The confirmation: both networks, and each alone."""
    rows = results("laws")["confirmation"]
    for network in (None, "mobilenet_v2_1.0_224", "squeezenet1.1"):
        means = _areas([one for one in rows if network in (None, one["network"])])
        for name in means["candidate"].unique():
            mine, difference = _beside(means, 500, name, "1 2 4 7")
            yield row(500, name, len(mine), f"{mine['areas'].mean():.3f}", difference)
    frame = pd.DataFrame(results("laws")["leg_tv"])

    def gap(one: str, other: str, digits: int) -> str:
        return _interval(frame[one] - frame[other], digits)

    yield f"rise by {gap('leg 1.5', 'leg 0.5', 3)} with power 1.5, those of LEG-TV by {gap('tv 1.5', 'tv 0.5', 3)}"
    yield f"is ahead of the shrunken map it is made of by {gap('tv 0.5', 'leg 0.5', 2)}"
    means = pd.DataFrame(results("laws")["rows"]).query("candidate == '1 2 4 7' and n == 500")
    parts = (means["insertion"] - means["deletion"]).groupby([means["network"], means["picture"], means["part"]]).sum()
    noise = parts.unstack("part").diff(axis=1).iloc[:, 1].abs().median()
    yield f"maps of one picture, from disjoint halves of one sample, differ by {noise:.2f} (median)"


@states(PAGE, COMMAND)
def other_laws() -> Iterator[str]:
    """Smooth lift picture by picture; the other laws on the two pictures."""
    means = _areas(results("laws")["rows"])
    means = means[means["n"] == 500].set_index(["candidate", "network", "picture"])
    lifted, cells = means.loc["smooth lift"], means.loc["1 2 4 7"]
    for (network, picture), one in lifted.iterrows():
        title = {"mobilenet_v2_1.0_224": "MobileNetV2", "squeezenet1.1": "SqueezeNet"}[network]
        beside = cells.loc[network, picture]
        values = (f"{value:.2f}" for value in (beside["r2"], one["r2"], beside["areas"], one["areas"]))
        yield row(title, picture.split("_", 1)[1].replace("_", " "), *values)
    r2, areas = (_interval((lifted[name] - cells[name]).dropna(), 2) for name in ("r2", "areas"))
    yield row("mean difference", "", "", r2, "", areas).replace("|  |", "| |").replace("|  |", "| |")
    titles = {"1 2 4 7": "1 2 4 7", "levels": "levels", "smooth lift": "smooth lift", "cells": "cells",
              "gaussian -1": "gaussian -1", "binary -1": "binary -1", "structured": "structured"}  # fmt: skip
    for name, title in titles.items():
        both = [means.loc[name, TWO[picture], picture] for picture in (HARVESTMAN, CHAMELEON)]
        yield row(title, *(f"{value:.2f}" for one in both for value in (one["r2"], one["areas"])))
    three = [("mobilenet_v2_1.0_224", "n01484850_great_white_shark"), ("squeezenet1.1", "n01484850_great_white_shark"),
             ("squeezenet1.1", "n01751748_sea_snake")]  # fmt: skip

    def said(name: str, value: str) -> str:
        a, b, c = (f"{means.loc[name, network, picture][value]:.2f}" for network, picture in three)
        return f"{a}, {b} and {c}"

    yield f"R² is {said('binary -1', 'r2')} against {said('1 2 4 7', 'r2')}, areas are {said('binary -1', 'areas')} against"
    yield f"{said('1 2 4 7', 'areas')}. Five pictures decide nothing"


@states(PAGE, COMMAND)
def explained() -> Iterator[str]:
    """R^2 of the default law at 2,000 evaluations."""
    frame = pd.DataFrame(results("laws")["default"])
    for network, title in {"mobilenet_v2_1.0_224": "MobileNetV2", "squeezenet1.1": "SqueezeNet", None: "both"}.items():
        r2 = frame[frame["network"] == network]["adaptive"] if network else frame["adaptive"]
        yield row(title, f"{r2.median():.2f}", f"{r2.min():.2f}", f"{r2.max():.2f}")
    tv = frame.dropna(subset=["legtv"])
    a, b, c = (f"{value:.2f}" for value in tv["legtv"])
    d, e, f = (f"{value:.0f}" for value in tv["regions"])
    yield f"LEG-TV at the default choice of L has {a}, {b} and {c} ({d}, {e} and {f} regions)"


@states(PAGE, COMMAND)
def errors_of_laws() -> Iterator[str]:
    """Standard errors at 702 evaluations on the two pictures."""
    frame = _errors()

    def two(law: str, size: str) -> str:
        a, b = (f"{frame.loc[law, 350, TWO[picture], picture][size]:.2f}" for picture in TWO)
        return f"{a} and {b}"

    yield f"their standard errors are {two('2 4 7', 'cells')} on the two pictures"
    yield f"against {two('blocks', 'cells')}, while boxes of 7 x 7 have {two('2 4 7', '7 x 7')} against {two('blocks', '7 x 7')}"
    yield f"changes neither map nor boxes ({two('1 2 4 7 at .1 .3 .3 .3', '7 x 7')})"


def _errors() -> pd.DataFrame:
    frame = pd.DataFrame(results("laws")["errors"])
    for size in ("7 x 7", "4 x 4", "cells"):
        frame[f"{size} signal"] = frame[size].str[1]
        frame[size] = frame[size].str[0]
    return frame.set_index(["law", "pairs", "network", "picture"])


@states("docs/laws.md", COMMAND)
def standard_errors() -> Iterator[str]:
    """The table of standard errors, and what is said of it."""
    frame = _errors()

    def mean(law: str, pairs: int, size: str) -> float:
        return float(np.exp(np.log([frame.loc[law, pairs, TWO[picture], picture][size] for picture in TWO]).mean()))

    titles = {
        "structured": "structured, scale 0.25 | 0.062",
        "cells": "cells on or off | 0.031",
        "gaussian -1": "smooth Gaussian, power -1, scale 0.25 | 0.0017",
        "binary -1": "smooth, on or off, power -1 | 0.014",
        "levels": "blocks 1, 2, 4, 7, levels 0.2 to 0.8 | 0.0070",
        "blocks": "blocks 1, 2, 4, 7 | 0.0080",
        "smooth lift": 'the same with `Blend(lift="smooth")` | 0.0080',
    }
    for law, title in titles.items():
        shown = [f"{mean(law, 350, size):.2f}" for size in ("7 x 7", "4 x 4", "cells")]
        further = [
            f"{mean(law, 999, size):.2f}" if (law, 999) in frame.index.droplevel([2, 3]) else "-"
            for size in ("7 x 7", "cells")
        ]
        yield row(title, *shown, *further)
    box = mean("structured", 999, "7 x 7") / mean("blocks", 999, "7 x 7")
    yield f"for the same width ({box:.1f} times the standard error, squared)"
    cell = (mean("blocks", 999, "cells") / mean("structured", 999, "cells")) ** 2
    yield f"single cell {cell:.1f} times as many"

    def against(law: str) -> str:
        ones = (frame.loc[law, 350, TWO[picture], picture] for picture in TWO)
        a, b = (f"{one['7 x 7'] / one['7 x 7 signal']:.2g}" for one in ones)
        return f"{a} and {b}"

    yield f"at 702 evaluations is {against('blocks')} under blocks, {against('binary -1')} under smooth on/off masks, "
    yield f"{against('gaussian -1')} under the smooth Gaussian law, which moves the score least, and {against('structured')}"


@states("docs/laws.md", "benchmarks/study_half_widths.py")
def half_widths() -> Iterator[str]:
    """Errors of boxes and cells under the structured law over those under blocks, and R^2, over the comparison's pictures."""
    frame = pd.DataFrame(results("half_widths")["rows"])
    ratios = {
        size: np.array([s[size][0] / b[size][0] for s, b in zip(frame["structured"], frame["blocks"], strict=True)])
        for size in ("7 x 7", "4 x 4", "cells")
    }
    r2 = {law: np.array([one["r2"] for one in frame[law]]) for law in ("blocks", "structured")}
    titles = {"mobilenet_v2_1.0_224": "MobileNetV2", "squeezenet1.1": "SqueezeNet 1.1"}
    for network, title in titles.items():
        mine = np.asarray(frame["network"] == network)
        kept = (ratios["7 x 7"], ratios["4 x 4"], ratios["cells"], r2["blocks"], r2["structured"])
        spans = [
            f"{np.median(x[mine]):.{digits}f} ({x[mine].min():.{digits}f} to {x[mine].max():.{digits}f})"
            for x, digits in zip(kept, (1, 1, 2, 2, 2), strict=True)
        ]
        yield row(title, int(mine.sum()), *spans)
    fifth, enough = int((ratios["7 x 7"] >= 5.0).sum()), int((r2["blocks"] >= 0.6).sum())
    yield f"on {fifth} of the {len(frame)} pictures, R² is .6 and more on {enough}"
    yield f"a box takes some {np.median(ratios['7 x 7']) ** 2:.0f} times fewer evaluations"
