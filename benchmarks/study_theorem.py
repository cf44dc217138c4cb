"""Theorem 1's bound beside the error of LEG-TV: the shipped network, the probability of class 7, 3,086 queries.

The truth is LEG of 100,000 queries with another seed. Norms are those of maps less their means, as in the theorem. s is
the number of all edges, since no map is known to be flat.

Run: python benchmarks/study_theorem.py
"""

from __future__ import annotations

from typing import Any

import numpy as np
from timing import save

import legstat as ls
from legstat._core.typing import FloatArray
from legstat.data import digits_model_path, load_digit

GRID, SCALE, N, TRUTH, EDGES = (8, 8), 0.25, 3086, 100_000, 112


def norm(values: FloatArray) -> float:
    """Of what is left without the mean."""
    return float(np.linalg.norm(values - values.mean()))


def main() -> None:
    """Both runs, and the bounds."""
    image, label = load_digit(5)
    f = ls.onnx_response(digits_model_path(), target=label, score="probability")
    design = ls.StructuredGaussian(grid=GRID, scale=SCALE)
    how: dict[str, Any] = {"perturbation": ls.Blend("black"), "progress": False}
    true = ls.LEG(ls.query(f, image, design, TRUTH, rng=1, **how)).fit()
    sample = ls.query(f, image, design, N, rng=0, **how)
    path = ls.LEGTV(sample).fit_path(progress=False)
    found = {
        "LEG-TV, bootstrap": path.select("bootstrap").params,
        "LEG-TV, heldout": path.select("heldout").params,
        "LEG": ls.LEG(sample).fit().params,
    }
    rows = [{"what": "gamma", "norm": norm(true.params)}]
    rows += [{"what": name, "norm": norm(found[name] - true.params)} for name in found]
    law: dict[str, Any] = {"sparsity": EDGES, "probability": 0.95, "grid": GRID, "scale": SCALE, "antithetic": True}
    for name, more in (("bound, structured L", {"L": "structured"}), ("bound", {})):
        rows.append({"what": name, "norm": float(ls.solve_queries(n_queries=N, **law, **more))})
    save("theorem", rows, largest_std_error=float(true.std_errors.max()))


if __name__ == "__main__":
    main()
