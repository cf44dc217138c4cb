"""Inference after LEG-TV: regions tested on draws of their own, and what happens on the draws that chose them.

    python -m tests.statistical.regions --replicates 300 --out docs/studies/regions

writes the table of docs/studies (JSON and markdown).
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import legstat as ls
from legstat.inference.contrasts import Contrasts
from tests.statistical.coverage import DESIGNS

SHAPE = (6, 6)
IMAGE = np.full((1, *SHAPE), 0.5)
LEVELS = (0.90, 0.95, 0.99)
LAWS = ("structured", "blocks", "blocks, levels", "cells", "smooth", "smooth, on/off")
"""Laws of deletion coordinates that regions are tested under."""
TITLE = """# Regions found by LEG-TV, several channels, runs that go on from a pilot

Regions of LEG-TV tested on draws of their own (what `region_inference` does) and on the draws that chose them (what it
refuses); intervals of sums over channels; runs that go on from a pilot to the n that its standard errors ask for.

    python -m tests.statistical.regions --out docs/studies/regions
"""


def judge(found: Contrasts, weights: np.ndarray, truth: np.ndarray) -> list[float]:
    """Shares of regions covered, all covered at once, any false one of regions whose mean is 0, power."""
    means = weights @ truth
    null = np.abs(means) < 1e-12
    row = []
    for simultaneous in (False, True):
        for level in LEVELS:
            low, high = found.conf_int(level=level, simultaneous=simultaneous).T
            inside = (low <= means) & (means <= high)
            row.append(float(inside.all() if simultaneous else inside.mean()))
    reject = found.test(fwer=0.05).reject
    row.append(float((reject & null).any()))
    bh = found.test(fdr=0.1).reject
    row.append(float((bh & null).sum() / max(1, bh.sum())))
    row.append(float(reject[~null].mean()) if (~null).any() else float("nan"))
    return row


NAMES = [f"{kind}_{c:g}" for kind in ("region", "all") for c in LEVELS] + ["fwer", "fdr", "power"]


def run(
    response: str, units: int, replicates: int, *, law: str | None = None, L_ratio: float = 0.15, seed: int = 0
) -> list[dict[str, Any]]:
    """Both ways, split and not, on the same samples: additive, or a law of `coverage.DESIGNS` with `Blend`."""
    gamma = np.zeros(SHAPE)
    if response != "null":
        gamma[1:3, 1:4] = 1.0
    # few levels and a flat ground, so that regions of mean exactly 0 are found; steepest at the base point
    steepest = ls.simulate.logistic(2.0 * gamma, offset=-6.0 if law is None else -3.0)
    f = steepest if response == "logistic" else ls.simulate.linear(gamma)
    design = ls.StructuredGaussian(grid=SHAPE, scale=0.25) if law is None else DESIGNS[law](SHAPE, "shared")
    perturbation = ls.Additive(clip=False) if law is None else ls.Blend("black", at=0.5)
    if law is None:
        truth = f.leg(IMAGE, design)[0]
    else:  # cells of 0.5 lose half of what their level loses
        truth = _reference(law, f) if response == "logistic" else 0.5 * gamma.ravel()
    noise = np.random.default_rng(seed + 3)
    rows: dict[str, list[list[float]]] = {"other draws": [], "the same draws": []}
    for replicate in range(replicates):
        sample = ls.query(
            lambda x: f(x) + 0.1 * noise.standard_normal(len(x)), IMAGE, design, 1 + (law is not None) + 2 * units,
            perturbation=perturbation, rng=seed + replicate, progress=False,
        )  # fmt: skip
        try:
            split = ls.region_inference(sample, L_ratio=L_ratio)
        except ValueError:  # no region of two cells
            continue
        weights = _weights(split.labels)
        rows["other draws"].append(judge(split.contrasts, weights, truth))
        # the same regions as if they had been named in advance, tested on the half that chose them
        first, _ = ls.split_sample(sample)
        rows["the same draws"].append(judge(ls.LEG(first).fit().contrasts(weights), weights, truth))
    return [
        {
            "response": response, "law": law or "additive", "units": units, "tested_on": name, "samples": len(found),
            **dict(zip(NAMES, _means(np.array(found)).round(4).tolist(), strict=True)),
        }
        for name, found in rows.items()
    ]  # fmt: skip


@cache
def _reference(law: str, f: Any) -> np.ndarray:
    """The estimand by least squares; under laws that are not normal it is not in proportion to gamma."""
    design = DESIGNS[law](SHAPE, "shared")
    sample = ls.query(f, IMAGE, design, 400_002, perturbation=ls.Blend("black", at=0.5), rng=10**6, progress=False)
    return np.asarray(sample.moments("least_squares").gamma.ravel())


def _means(table: np.ndarray) -> np.ndarray:
    """Column means over what is known; NaN where nothing is (no signal, no power)."""
    known = np.isfinite(table).sum(axis=0)
    return np.where(known, np.nansum(table, axis=0) / np.maximum(known, 1), np.nan)


def _weights(labels: np.ndarray) -> np.ndarray:
    flat = labels.ravel()
    masks = flat == np.arange(flat.max() + 1)[:, None]
    return masks / masks.sum(axis=1, keepdims=True)


def several_channels(replicates: int, *, seed: int = 0) -> list[dict[str, Any]]:
    """Intervals of the sum over channels of absolute values: conservative, and never below nominal."""
    gamma = np.zeros((4, 4))
    gamma[1:3, 1:3] = 3.0
    f, image = ls.simulate.logistic(gamma, offset=-5.0), np.full((2, 4, 4), 0.5)
    rows = []
    for channels in ("separate", "joint"):
        design = ls.StructuredGaussian(grid=(4, 4), scale=0.25, channels=channels)
        truth = np.abs(f.leg(image, design)).sum(axis=0)
        hits = []
        for replicate in range(replicates):
            n = 1 + 2 * 320 * (2 if channels == "separate" else 1)
            sample = ls.query(
                f, image, design, n, perturbation=ls.Additive(clip=False), rng=seed + replicate, progress=False
            )
            result = ls.LEG(sample).fit()
            low, high = result.saliency_conf_int(level=0.95).T
            below, above = result.saliency_conf_int(level=0.95, simultaneous=True, n_draws=500).T
            inside = (low <= truth) & (truth <= high)
            hits.append(
                [*(inside[truth > 0].mean(), inside[truth == 0].mean()), ((below <= truth) & (truth <= above)).all()]
            )
        signal, none, every = np.mean(np.array(hits, dtype=float), axis=0).round(4)
        rows.append({"channels": channels, "samples": replicates, "signal": signal, "no_signal": none, "all": every})
    return rows


def pilots(half_width: float, replicates: int, *, seed: int = 0) -> dict[str, Any]:
    """Runs that go on from a pilot to the n that its standard errors ask for: what their intervals cover and reach."""
    gamma = np.zeros((4, 4))
    gamma[1:3, 1:3] = 3.0
    f, image = ls.simulate.logistic(gamma, offset=-5.0), np.full((1, 4, 4), 0.5)
    design = ls.StructuredGaussian(grid=(4, 4), scale=0.25)
    truth, still, found = f.leg(image, design)[0], ls.Additive(clip=False), []
    for replicate in range(replicates):
        pilot = ls.query(f, image, design, 201, perturbation=still, rng=seed + replicate, progress=False)
        n = max(201, int(ls.solve_half_width(pilot, half_width=half_width, level=0.95)))
        sample = ls.query(f, image, design, n, perturbation=still, resume=pilot, progress=False)
        low, high = ls.LEG(sample).fit().conf_int(level=0.95).T
        widest = float((high - low).max()) / 2.0
        found.append([float(((low <= truth) & (truth <= high)).mean()), n, widest, float(widest <= half_width)])
    covered, queries, widest, reached = np.mean(found, axis=0).tolist()
    error = float(np.std([row[0] for row in found], ddof=1) / np.sqrt(replicates))
    return {
        "half_width": half_width, "runs": replicates, "covered": round(covered, 4), "error": round(error, 4),
        "queries": round(queries), "widest": round(widest, 4), "reached": round(reached, 3),
    }  # fmt: skip


def write(document: dict[str, list[dict[str, Any]]], out: Path) -> None:
    """JSON, and the tables below the page's own text."""
    rows, sums, two = (document[part] for part in ("regions", "sums", "pilots"))
    out.with_suffix(".json").write_text(json.dumps(document, indent=1) + "\n")
    head = ["response", "law", "pairs", "tested on", "samples", *(n.replace("_", " ") for n in NAMES)]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        start = [row["response"], row["law"], str(row["units"]), row["tested_on"], str(row["samples"])]
        # no region's mean is exactly 0 where the estimand is not in proportion to gamma
        never = {"fwer", "fdr"} if row["law"] != "additive" and row["response"] == "logistic" else set()
        lines.append("| " + " | ".join([*start, *("-" if n in never else f"{row[n]:.3f}" for n in NAMES)]) + " |")
    lines += [
        "",
        "| channels | samples | cells with signal | cells without | all cells at once |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['channels']} | {r['samples']} | {r['signal']:.3f} | {r['no_signal']:.3f} | {r['all']:.3f} |"
        for r in sums
    ]
    names = list(two[0])
    lines += ["", "| " + " | ".join(n.replace("_", " ") for n in names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(str(r[n]) for n in names) + " |" for r in two]
    mark = "<!-- written by tests/statistical/regions.py from here on -->"
    path = out.with_suffix(".md")
    text = path.read_text(encoding="utf-8").split(mark)[0] if path.is_file() else TITLE
    path.write_text("\n".join([text.rstrip(), "", mark, "", *lines, ""]), encoding="utf-8")


def main() -> None:
    """Run the study and write its table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--replicates", type=int, default=300)
    parser.add_argument("--out", type=Path, default=Path("docs/studies/regions"))
    parser.add_argument("--only", choices=["laws"], help="those under the laws; the others stay as they are")
    options = parser.parse_args()
    kept = json.loads(options.out.with_suffix(".json").read_text()) if options.only else {}
    started = time.process_time()
    under_laws: list[dict[str, Any]] = []
    for law, response in itertools.product(LAWS, ("linear", "logistic", "null")):
        under_laws += run(response, 640, options.replicates // 5, law=law)
        print(f"{time.process_time() - started:.0f} s: {under_laws[-2:]}", flush=True)  # noqa: T201
    rows = [{"law": "additive", **row} for row in kept.get("regions", ()) if row.get("law", "additive") == "additive"]
    for response, units in itertools.product(("logistic", "null"), (640, 1280)) if not options.only else ():
        rows += run(response, units, options.replicates)
        print(f"{time.process_time() - started:.0f} s: {rows[-2:]}", flush=True)  # noqa: T201
    rows += under_laws
    sums = kept.get("sums") or several_channels(options.replicates)
    two = kept.get("pilots") or [pilots(half_width, 400) for half_width in (0.04, 0.08)]
    print(sums, two)  # noqa: T201
    write({"regions": rows, "sums": sums, "pilots": two}, options.out)


if __name__ == "__main__":
    main()
