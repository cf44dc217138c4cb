"""Small audits for the tests: digits in a store, and the network that comes along."""

from pathlib import Path
from typing import Any

import numpy as np

import legstat as ls
from legstat.audit import AuditRun, Plan
from legstat.data import digits_model_path, load_digit

QUICK: dict[str, Any] = {"n_queries": 250, "law": "structured", "steps": 0, "L_ratio": 0.1, "checks": False}
"""What makes a picture quick: no folds, no curves, no checks."""


def a_store(folder: Path, count: int = 4, **more: Any) -> Path:
    digits = [load_digit(i) for i in range(count)]
    file = folder / "digits.npz"
    np.savez(file, images=np.stack([one for one, _ in digits]), labels=[label for _, label in digits], **more)
    return file


def a_plan(store: Path, **changed: Any) -> Plan:
    model = {"model": str(digits_model_path()), "preprocessing": "unit"}
    return Plan(**{"places": (str(store),), "model": model, **QUICK, **changed})


def network() -> ls.Response:
    return ls.onnx_response(digits_model_path(), preprocessing="unit", threads=1)


def digests(run: AuditRun) -> dict[str, str]:
    """What must be the same however a run came about."""
    return {header["name"]: header["numbers_sha256"] for header in run.headers()}
