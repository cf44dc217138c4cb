"""The page of the coverage study: its tables, and what falls short by more than Monte Carlo error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.statistical.coverage import refused

COLUMNS = {
    "pointwise_0.9": "90 %",
    "pointwise_0.95": "95 %",
    "pointwise_0.99": "99 %",
    "simultaneous_0.9": "all 90 %",
    "simultaneous_0.95": "all 95 %",
    "simultaneous_0.99": "all 99 %",
    "fwer_step_down": "FWER (5 %)",
    "fdr_bh": "FDR, BH (10 %)",
    "fdr_by": "FDR, BY (10 %)",
    "power_bh": "power, BH",
    "wald_1": "Wald, 1",
    "wald_4": "Wald, 4",
    "wald_12": "Wald, 12",
    "region": "region",
    "difference": "difference",
}
JOINT = ("simultaneous_0.9", "simultaneous_0.95", "simultaneous_0.99", "fwer_step_down")
RATES = {"fwer_step_down": 0.05, "fdr_bh": 0.1, "fdr_by": 0.1, "wald_1": 0.05, "wald_4": 0.05, "wald_12": 0.05}
CONSERVATIVE = ("HC2", "HC3")


def nominal(metric: str) -> float | None:
    """What a metric should be (coverage) or stay below (error rates); None for power."""
    if metric in RATES:
        return RATES[metric]
    if metric in ("region", "difference"):
        return 0.95
    return float(metric.split("_")[1]) if metric.split("_")[0] in ("pointwise", "simultaneous") else None


def counts(row: dict[str, Any], metric: str) -> bool:
    """Whether the number means something in that row and the package offers what it measures."""
    if metric in ("fwer_step_down", "fdr_bh", "fdr_by") and not row["exact_zeros"]:
        return False
    if "wald" in metric and row[f"refused_{metric}"] > 0.2:  # what is left is no fair selection
        return False
    return bool(np.isfinite(row[metric])) and not refused(row, metric in JOINT)


def monte_carlo(row: dict[str, Any], metric: str, target: float) -> float:
    """Standard error of a row's number; a pointwise one's is not below that of 16 independent cells."""
    cells = 16 if metric.startswith("pointwise") else 1
    return max(float(row[f"se_{metric}"]), float(np.sqrt(target * (1.0 - target) / (cells * row["replicates"]))))


def deviations(rows: list[dict[str, Any]]) -> list[tuple[float, str, dict[str, Any]]]:
    """For each offered number its shortfall in Monte Carlo standard errors: > 0 on the wrong side."""
    found = []
    for row in rows:
        for metric in COLUMNS:
            target = nominal(metric)
            if target is not None and counts(row, metric):
                gap = row[metric] - target if metric in RATES else target - row[metric]
                found.append((gap / monte_carlo(row, metric, target), metric, row))
    return found


def cells(rows: list[dict[str, Any]]) -> str:
    """One line of a table: the mean over the rows, in brackets where the package refuses it."""
    out = []
    for metric in COLUMNS:
        zeros = metric not in ("fwer_step_down", "fdr_bh", "fdr_by") or rows[0]["exact_zeros"]
        values = [float(r[metric]) for r in rows if zeros and np.isfinite(r[metric])]
        closed = nominal(metric) is not None and refused(rows[0], metric in JOINT)
        text = f"{np.mean(values):.3f}" if values else "-"
        out.append(f"({text})" if closed and values else text)
    return " | ".join(out)


def table(groups: dict[tuple[str, ...], list[dict[str, Any]]], names: tuple[str, ...]) -> list[str]:
    """Markdown: one line for each group of rows."""
    head = [*names, *COLUMNS.values(), "lowest 95 %"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for key, rows in groups.items():
        lowest = min(float(r["pointwise_0.95"]) for r in rows)
        lines.append("| " + " | ".join(key) + f" | {cells(rows)} | {lowest:.3f} |")
    return lines


def crossed(rows: list[dict[str, Any]]) -> list[str]:
    """By response, perturbation, observations and variance: means over designs and over pairs and draws."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        key = (row["response"], row["perturbation"], str(row["units"]), row["variance"])
        groups.setdefault(key, []).append(row)
    return table(groups, ("response", "perturbation", "observations", "variance"))


def single(rows: list[dict[str, Any]]) -> list[str]:
    """One line for each row."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        grid = "x".join(map(str, row["shape"]))
        channels = "" if row["channels"] == "shared" else f", {row['channels']}"
        what = f"{row['response']}, {row['perturbation']}"
        units = f"{row['units']} {'pairs' if row['antithetic'] else 'draws'}"
        groups[what, f"{row['design']} {grid}{channels}", units, row["variance"]] = [row]
    return table(groups, ("response", "design", "observations", "variance"))


def verdict(rows: list[dict[str, Any]]) -> list[str]:
    """How many of the offered numbers are off by more than three standard errors, and which."""
    found = deviations(rows)
    short = sorted((f for f in found if f[0] > 3.0), key=lambda f: -f[0])
    over = [f for f in found if f[0] < -3.0 and f[1] not in RATES]
    free = [f for f in over if f[2]["variance"] not in CONSERVATIVE]
    lines = [
        f"{len(found)} numbers are offered by the package in these rows. {len(short)} of them are on the wrong side of",
        f"nominal by more than three Monte Carlo standard errors (chance alone: {0.00135 * len(found):.0f});",
        f"{len(over)} coverages are above it by as much, {len(free)} of these other than HC2's and HC3's.",
        "",
    ]
    if short:
        lines += ["| falls short | nominal | measured | Monte Carlo error | where |", "|---|---|---|---|---|"]
    for _, metric, row in short:
        where = f"{row['response']}, {row['design']} {'x'.join(map(str, row['shape']))}, {row['channels']}, "
        where += f"{row['perturbation']}, {row['units']} {'pairs' if row['antithetic'] else 'draws'}, {row['variance']}"
        target = nominal(metric) or 0.0
        error = monte_carlo(row, metric, target)
        lines.append(f"| {COLUMNS[metric]} | {target:g} | {row[metric]:.3f} | {error:.3f} | {where} |")
    return [*lines, ""]


def write(parts: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """The tables, below the page's own text (everything up to the mark stays as it is)."""
    mark = "<!-- written by tests/statistical/coverage_table.py from here on -->"
    text = path.read_text(encoding="utf-8").split(mark)[0] if path.is_file() else ""
    lines = [text.rstrip(), "", mark, ""]
    titles = {
        "crossed": "Responses x designs x perturbations x pairs or draws x observations",
        "further": "Other grids, boundaries, channels, sizes",
        "laws": "Blocks, cells and smooth laws at 8 x 8 cells, in deletion coordinates",
        "photograph": "28 x 28 cells",
    }
    for part, rows in parts.items():
        n = rows[0]["replicates"]
        lines += [f"## {titles[part]}", "", f"{n} samples an experiment. {verdict(rows)[0]}", *verdict(rows)[1:]]
        lines += [*(crossed(rows) if part == "crossed" else single(rows)), ""]
    path.write_text("\n".join(lines), encoding="utf-8")
