"""A run's folder for tests of its report: pictures of known numbers, written as an audit writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import scipy.stats

from legstat.audit import AuditedPicture, AuditRun
from legstat.audit.picture import RATES

HOSTILE = (
    '"><img src=x onerror=alert(1)>.png',
    "</script><script>alert(2)</script>",
    "{{ 7 * 7 }} ${7 * 7} &amp; <b>bold</b>",
    "two\nlines \x1b[2J \u202egnp.exe",
    "七 ' \" \\ `",
)
"""Names that must stay text."""
PLAN = """schema = 1
[about]
question = "Does the model look at the digit?"
purpose = "Release of version 2."
author = "A. Author <a@b>"
[model]
model = "net.onnx"
score = "log_odds"
target = "top"
preprocessing = "unit"
[pictures]
places = ["pictures"]
choice = "all"
[query]
law = "structured"
grid = [4, 6]
scale = 0.25
operator = "blur"
at = 0.5
n_queries = 600
seed = 3
[estimate]
L = "simplest"
"""
FACTS = {
    "schema": 1,
    "model": {"file": "net.onnx", "sha256": "ab" * 32, "format": "onnx, opset 17", "provider": "CPUExecutionProvider"},
    "environment": {"versions": {"legstat": "0.1.0", "numpy": "2"}, "python": "3.12", "platform": "Linux"},
    "sessions": [{"command": ["legstat", "audit", "net.onnx", "my pictures"], "started": "2026-01-02T03:04:05+00:00"}],
    "response": {"kind": "onnx", "opset": 17, "preprocessing": {"scale": 1.0}},
    "started": "2026-01-02T03:04:05+00:00",
    "ended": "2026-01-02T03:14:05+00:00",
    "pilot": {"pilot": 40},
}


def outcome(name: str, status: str, value: float | None = 0.25, **details: Any) -> dict[str, Any]:
    """A check's outcome as JSON."""
    return {"name": name, "status": status, "value": value, "valid": "below 0.5", "meaning": f"{name}: what it means.",
            "details": details}  # fmt: skip


def adjusted_bh(pvalues: np.ndarray) -> np.ndarray:
    """Benjamini and Hochberg's adjusted p-values, by SciPy."""
    return np.asarray(scipy.stats.false_discovery_control(pvalues, method="bh"))


def picture(i: int, name: str, *, shape: tuple[int, int] = (4, 6), side: int = 24, **more: Any) -> AuditedPicture:
    """A picture of a run, every third of them wrong, every fourth with a failed check."""
    rng = np.random.default_rng(i)
    leg = rng.standard_normal(shape) * np.where(rng.random(shape) < 0.4, 1.0, 0.05)
    errors = np.full(shape, 0.1)
    df = np.full(shape, 40.0)
    pvalues = 2 * scipy.stats.t.sf(np.abs(leg / errors), df)
    adjusted = adjusted_bh(pvalues.ravel()).reshape(shape)
    thresholds = {f"{q:g}": float(pvalues[adjusted <= q].max()) if (adjusted <= q).any() else None for q in RATES}
    Ls = np.array([1.0, 0.5, 0.25, 0.1])
    path = np.stack([leg * (1 - L) for L in Ls]).astype(np.float32)
    regions = np.zeros(shape, dtype=np.int64)
    regions[1:3, 2:4], regions[0, 0] = 1, -1
    facts: dict[str, Any] = {
        "file": name, "sha256": "cd" * 32, "array_sha256": "ef" * 32, "label": i % 10, "label_name": f"digit {i % 10}",
        "group": ["indoor", "outdoor"][i % 2], "boxes": [[6, 6, 24, 18]], "target": i % 10,
        "target_label": f"<digit {i % 10}>",
        "probability": 1.0 / (i + 1), "right": i % 3 != 0, "f_x0": 2.0, "mean_shift": -0.5, "sd": 1.0,
        "ledger": {"spent": 600, "cached": 10, "tuning": 5, "trials": 20, "curves": 112},
        "L": float(Ls[2]), "L_max": 1.0, "L_ratio": 0.25, "n_regions": 2,
        "r2_heldout": {"leg": 0.5, "legtv": 0.6 - i / 10}, "certificate": {"passed": True, "gap": 1e-12},
        "fdr_thresholds": thresholds, "seconds": {"query": 1.5},
    }  # fmt: skip
    rows = [
        {"sign": s, "cells": 3, "mean": s / 3, "sum": float(s), "std_error": 0.1, "low": s - 0.2, "high": s + 0.2,
         "pvalue": 0.001, "pvalue_adjusted": 0.002} for s in (1, -1)
    ]  # fmt: skip
    inside = np.zeros(shape)
    inside[1:3, 1:4] = 1.0
    curve = {"fractions": [0.0, 0.5, 1.0], "scores": [2.0, 0.5, -1.0], "area": 0.5}
    given: dict[str, Any] = {
        "picture": rng.integers(0, 256, (side, side * shape[1] // shape[0], 3), dtype=np.uint8),
        "curves": {"deletion": curve, "insertion": {**curve, "scores": [-1.0, 1.5, 2.0], "area": 0.8}},
        "regions_table": rows,
        "inside": inside,
        "checks": [
            outcome("placebo", "failed" if i % 4 == 3 else "passed", evaluations=7),
            outcome("boxes", "not_applicable", None),
        ],
    }
    return AuditedPicture(name=name, facts=facts | more.pop("facts", {}), leg=leg, std_errors=errors, df=df,
                          legtv=path[2].astype(float), path_Ls=Ls, path=path, path_r2=np.array([0.0, 0.5, 0.6, 0.4]),
                          responses=rng.standard_normal(30), regions=regions, **(given | more))  # fmt: skip


def write_run(folder: Path, names: list[str], **more: Any) -> AuditRun:
    """The folder of a run with pictures of these names; one more failed."""
    for part in ("units", "failures"):
        (folder / part).mkdir(parents=True)
    chosen = [{"name": name, "file": name, "unit": f"{i:06}"} for i, name in enumerate([*names, "broken.png"])]
    (folder / "plan.toml").write_text(PLAN, encoding="utf-8")
    (folder / "run.json").write_text(json.dumps(FACTS), encoding="utf-8")
    (folder / "pictures.json").write_text(json.dumps(chosen), encoding="utf-8")
    run_checks = [outcome("determinism", "passed", 0.0), outcome("preprocessing", "failed", evaluations=11)]
    (folder / "checks.json").write_text(json.dumps({"checks": run_checks}), encoding="utf-8")
    failure = {"name": "broken.png", "file": "broken.png", "reason": "<i>truncated</i>", "attempts": 2, "spent": 3}
    (folder / "failures" / "000099.json").write_text(json.dumps(failure), encoding="utf-8")
    for i, name in enumerate(names):
        picture(i, name, **more).save(folder / "units" / f"{i:06}.npz")
    return AuditRun.open(folder)
