"""The LEG paper's key sizes and masking curves (Table 1, Fig. 4), and I-GOS' deletion and insertion, run by us.

Pictures that the network classifies correctly with p > 0.3; maps of 28 x 28 cells by the methods of the papers' tables
that `compare` knows, 500 counted evaluations each. Masked by the paper's four ways: Distance-100, black, mean
and noise (three draws); key sizes in 56 steps; deletion and insertion against I-GOS' blurred picture.

Run: LEGSTAT_DATA=... python benchmarks/study_masking.py FOLDER [--pictures 12] [--summary]; a run that is stopped goes
on, and whatever is finished on all pictures of a network is summarised.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
from pictures import NETWORKS, classified, network
from timing import save

import legstat as ls
from legstat._core.digests import value_sha256
from legstat.comparison.compare import METHODS
from legstat.comparison.statistics import paired_differences, pseudo_values
from legstat.metrics.masking import Masking, MaskingCurve

QUERIES, REPEATS, SEED = 500, 3, 0
LEAST = 3
"""Pictures without which a network is not summarised."""
WANTED = ("leg", "legtv", "rise", "lime_superpixels", "kernelshap", "c_shapley", "random", "mask", "igos")
"""In the papers' tables and here; those that `compare` does not know yet are left out."""
MASKINGS = tuple(one for one in get_args(Masking) if one != "white")
FRACTIONS = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4)


def measured(response: ls.Response, image: Any, method: str, number: int) -> dict[str, Any]:
    """One map, and what it is worth."""
    rng = np.random.default_rng([SEED, number, int(value_sha256(method)[0][:8], 16)])
    made = METHODS[method]()(response, image, QUERIES, rng)
    row: dict[str, Any] = {"method": method, "spent": made.n_queries, "keys": {}, "curves": {}}
    for masking in MASKINGS:
        size = ls.metrics.key_size(response, image, made.saliency, masking=masking)
        row["keys"][masking] = [size.size, size.censored]
        curve = ls.metrics.masking_curve(
            response, image, made.saliency, masking=masking, fractions=FRACTIONS, repeats=REPEATS
        )
        row["curves"][masking] = [curve.log_odds_ratios.tolist(), curve.probabilities.tolist()]
    for name in ("deletion", "insertion"):
        found = getattr(ls.metrics, name)(response, image, made.saliency, baseline="igos")
        row[name], row[f"{name} curve"] = found.area, found.scores.tolist()
    return row


def run(folder: Path, pictures: int) -> None:
    """Every picture of every network that is not in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in reversed(NETWORKS):
        for number, (stem, image) in enumerate(classified(name, pictures)):
            bound, _ = network(name, threads=1).bind(image)
            for method in (one for one in WANTED if one in METHODS):
                place = folder / f"{name}-{number:02}-{method}.json"
                if not place.is_file():
                    row = {"network": name, "picture": stem, **measured(bound, image, method, number)}
                    place.write_text(json.dumps(row))
            print(name, number, stem, flush=True)


def finished(folder: Path, name: str) -> tuple[list[str], list[list[dict[str, Any]]]]:
    """Methods, and the rows of every picture that all of them have finished."""
    found = [json.loads(path.read_text()) for path in sorted(folder.glob(f"{name}-*.json"))]
    methods = [one for one in WANTED if any(row["method"] == one for row in found)]
    pictures: dict[str, dict[str, dict[str, Any]]] = {}
    for row in found:
        pictures.setdefault(row["picture"], {})[row["method"]] = row
    return methods, [[rows[one] for one in methods] for rows in pictures.values() if len(rows) == len(methods)]


def summarised(folder: Path) -> Iterator[dict[str, Any]]:
    """Restricted means of key sizes, mean curves by both conventions, areas; with paired differences to LEG-TV."""
    for name in NETWORKS:
        methods, pictures = finished(folder, name)
        if len(pictures) < LEAST:
            continue
        measures: dict[str, Any] = {}
        for masking in MASKINGS:
            sizes = np.array([[row["keys"][masking] for row in rows] for rows in pictures]).transpose(1, 0, 2)
            hidden = sizes[:, :, 1].astype(bool)
            measures[f"key size, {masking}"] = np.array(
                [pseudo_values(one, gone, 1.0) for one, gone in zip(sizes[:, :, 0], hidden, strict=True)]
            )
        for area in ("deletion", "insertion"):
            measures[area] = np.array([[row[area] for row in rows] for rows in pictures]).T
        for measure, values in measures.items():
            others = [i for i, one in enumerate(methods) if one != "legtv"]
            paired = paired_differences(values[others] - values[methods.index("legtv")], 0.95)
            for i, method in enumerate(methods):
                row = {"network": name, "measure": measure, "method": method, "pictures": len(pictures)}
                row |= {"mean": values[i].mean(), "std_error": values[i].std(ddof=1) / np.sqrt(len(pictures))}
                if i in others:
                    j = others.index(i)
                    row["minus legtv: mean, low, high, p"] = [
                        round(float(x[j]), 4) for x in (paired.means, paired.low, paired.high, paired.pvalues)
                    ]
                yield row


def curves(folder: Path) -> dict[str, Any]:
    """Mean curves of each network, masking and method: log-odds ratios averaged both ways, and the areas' curves."""
    found: dict[str, Any] = {}
    for name in NETWORKS:
        methods, pictures = finished(folder, name)
        for i, method in enumerate(methods if len(pictures) >= LEAST else []):
            mine = [rows[i] for rows in pictures]
            part = found.setdefault(name, {}).setdefault(method, {})
            for masking in MASKINGS:
                every = [
                    MaskingCurve(masking, np.array(FRACTIONS), *map(np.array, row["curves"][masking]), 0, 0)
                    for row in mine
                ]
                mean, errors = ls.metrics.mean_log_odds_ratio(every)
                upstream, _ = ls.metrics.mean_log_odds_ratio(every, convention="upstream")
                part[masking] = {
                    "mean": mean.tolist(),
                    "std_error": None if errors is None else errors.tolist(),
                    "upstream": upstream.tolist(),
                }
            for area in ("deletion", "insertion"):
                part[area] = np.mean([row[f"{area} curve"] for row in mine], axis=0).tolist()
    return found


def main() -> None:
    """Run and summarise."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where finished maps' numbers are kept")
    parser.add_argument("--pictures", type=int, default=12, help="of each network")
    parser.add_argument("--summary", action="store_true", help="only summarise what is there")
    options = parser.parse_args()
    if not options.summary:
        run(options.folder, options.pictures)
    rows = list(summarised(options.folder))
    save("masking", rows, n_queries=QUERIES, fractions=list(FRACTIONS), curves=curves(options.folder))


if __name__ == "__main__":
    main()
