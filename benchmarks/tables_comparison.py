"""Tables of `study_comparison.py`: rows of several runs on the same pictures put together, one table a network.

Rows of earlier runs are taken from results/comparison_methods.json; those of a method and budget that a file holds take
their place.

Every run's file is FOLDER/NETWORK.json. Differences are paired by picture; the intervals of a metric hold at once for
all methods at the two budgets of the table, those beside RISE at 4,000 evaluations for each budget of LEG-TV.

Run: python benchmarks/tables_comparison.py [FILE ...]
Writes results/comparison_methods.json: each method's values, picture by picture.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from timing import RESULTS

import legstat as ls
from legstat._core.files import json_text, json_value, write_text

METRICS = ("insertion_minus_deletion", "insertion", "deletion", "key_size")
BUDGETS = (500, 2000)
OURS, FAR = "legtv", ("rise", 4000)
EARLIER = RESULTS / "comparison_methods.json"
ABOUT = ("device", "machine")


def main(files: list[str]) -> None:
    """Read, print, save."""
    before = json_value(EARLIER.read_text(encoding="utf-8")) if EARLIER.is_file() else {}
    networks = {network: rows_of(known) for network, known in before.items()}
    about = {network: {name: known[name] for name in ABOUT} for network, known in before.items()}
    for file in files:
        known = json_value(Path(file).read_text(encoding="utf-8"))
        network, new = known["network"], {(row["method"], row["n_queries"]) for row in known["rows"]}
        kept = [row for row in networks.get(network, []) if (row["method"], row["n_queries"]) not in new]
        networks[network] = kept + known["rows"]
        about[network] = {name: known[name] for name in ABOUT}
    saved = {}
    for network, rows in networks.items():
        pictures = sorted({row["picture"] for row in rows})
        print(f"\n### {network}, {len(pictures)} pictures\n")
        at_budgets = ls.Comparison([row for row in rows if row["n_queries"] in BUDGETS])
        means(at_budgets)
        differences(at_budgets)
        far_rows = [row for row in rows if (row["method"], row["n_queries"]) == FAR or row["method"] == OURS]
        if any(row["n_queries"] == FAR[1] for row in far_rows):
            found = ls.Comparison(far_rows).differences(FAR[0], at=FAR[1])
            for one in found[found["metric"] == METRICS[0]].itertuples():
                print(f"{one.method} at {one.n_queries} minus {FAR[0]} at {FAR[1]}: {interval(one)}")
        saved[network] = {**about[network], "pictures": pictures, "values": by_method(rows, pictures)}
    write_text(EARLIER, json_text(saved) + "\n")


def rows_of(saved: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows that `by_method` put together."""
    rows = []
    for metric, methods in saved["values"].items():
        for name, one in methods.items():
            method, budget = name.rsplit(" ", 1)
            about = {"method": method, "n_queries": int(budget), "spent": int(budget), "metric": metric}
            rows += [
                {**about, "picture": picture, "value": value, "censored": i in one["censored"]}
                for i, (picture, value) in enumerate(zip(saved["pictures"], one["values"], strict=True))
                if value is not None
            ]
    return rows


def means(found: ls.Comparison) -> None:
    """A row a method: means and standard errors of the areas, restricted means of key sizes."""
    frame = found.summary()
    frame = frame.set_index(["metric", "n_queries", "method"])
    order = frame.loc[METRICS[0], BUDGETS[-1]]["mean"].sort_values(ascending=False).index
    print("| method | " + " | ".join(f"{metric.replace('_', ' ')}, {n}" for metric in METRICS for n in BUDGETS) + " |")
    print("|---|" + "---|" * len(METRICS) * len(BUDGETS))
    for method in order:
        cells = []
        for metric in METRICS:
            for budget in BUDGETS:
                one = frame.loc[metric, budget, method]
                cells.append(f"{one['mean']:.3f} ({one['std_error']:.3f})")
        print(f"| {method} | " + " | ".join(cells) + " |")


def differences(found: ls.Comparison) -> None:
    """LEG-TV minus each method at its own budget, in insertion minus deletion and in key size."""
    frame = found.differences(OURS)
    for metric in (METRICS[0], METRICS[3]):
        print(f"\n{OURS} minus the other, {metric.replace('_', ' ')}, simultaneous 95 % intervals:\n")
        print("| method | " + " | ".join(map(str, BUDGETS)) + " |\n|---|" + "---|" * len(BUDGETS))
        mine = frame[frame["metric"] == metric].set_index(["method", "n_queries"])
        for method in dict.fromkeys(name for name, _ in mine.index):
            cells = []
            for budget in BUDGETS:
                one = mine.loc[method, budget]
                cells.append(f"{-one['difference']:+.3f} [{-one['high']:+.3f}, {-one['low']:+.3f}]")
            print(f"| {method} | " + " | ".join(cells) + " |")


def interval(one: Any) -> str:
    """Difference and interval in one text."""
    return f"{one.difference:+.3f} [{one.low:+.3f}, {one.high:+.3f}]"


def by_method(rows: list[dict[str, Any]], pictures: list[str]) -> dict[str, Any]:
    """Values by metric, method and budget, in the order of the pictures; censored ones in a list beside them."""
    place = {picture: i for i, picture in enumerate(pictures)}
    found: dict[str, Any] = {}
    for row in rows:
        name = f"{row['method']} {row['n_queries']}"
        one = found.setdefault(row["metric"], {}).setdefault(name, {"values": [None] * len(pictures), "censored": []})
        one["values"][place[row["picture"]]] = round(row["value"], 6)
        if row["censored"]:
            one["censored"].append(place[row["picture"]])
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
