"""How often eq. 5's set holds gamma, with L by the bootstrap and by the theorem.

    python -m tests.statistical.sets --replicates 400 --out docs/studies/confidence_set

writes the table of docs/studies (JSON and markdown). No program is solved: gamma is in the set where
||D^{+T}(b - Sigma gamma)||_inf <= L.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

import legstat as ls
from legstat.inference.theory import structured_L, theorem_L

SHAPE = (6, 6)
IMAGE = np.full((1, *SHAPE), 0.5)
LEVELS = (0.90, 0.95, 0.99)
TITLE = """# Does eq. 5's set hold gamma?

How often gamma satisfies the constraint of eq. 5, for L by the bootstrap (`path.select("bootstrap", level=)`), by
Theorem 1 (`select("theory")`) and by its form in the design's units (`structured_L`). 6 x 6 cells, logistic score,
seeds 0, 1, ...

    python -m tests.statistical.sets --out docs/studies/confidence_set
"""
KINDS = ("centred", "crossfit", "least_squares", "regression", "adaptive")


def law(design: str, scale: float) -> Any:
    """A design of that trace, whichever its law."""
    structured = ls.StructuredGaussian(grid=SHAPE, scale=scale)
    if design == "structured":
        return structured
    per_cell = float(np.sqrt(structured.variances.mean()))
    if design == "isotropic":
        return ls.IsotropicGaussian(grid=SHAPE, scale=per_cell)
    if design == "blocks":
        return ls.MultiscaleBlocks(grid=SHAPE, scales=(1, 2, 4), scale=per_cell)
    index = np.indices(SHAPE).reshape(2, -1).T
    squared = ((index[:, None] - index[None]) ** 2).sum(axis=-1)
    return ls.GaussianDesign(np.exp(-squared / 2.0) + 0.2 * np.eye(36), grid=SHAPE, scale=per_cell / np.sqrt(1.2))


def estimand(f: Any, design: Any) -> Any:
    """LEG around the picture: exact for Gaussian laws, else least squares on 400,000 draws."""
    if design.gaussian:
        return f.leg(IMAGE, design)[0]
    z = design.sample(np.random.default_rng(7), 200_000)
    both = [f(IMAGE + sign * z.reshape(-1, 1, *SHAPE)) for sign in (1, -1)]
    return np.linalg.lstsq(z, (both[0] - both[1]) / 2.0, rcond=None)[0]


def run(
    design: str, antithetic: bool, units: int, replicates: int, *, scale: float = 0.25, seed: int = 0
) -> list[dict[str, Any]]:
    """The share of samples whose set holds gamma, for each kind of moments and choice of L."""
    gamma = ls.simulate.piecewise_constant(SHAPE, 10, rng=1) * 3.0 * 0.25 / scale  # as steep at every scale
    f = ls.simulate.logistic(gamma, offset=1.0 - 0.5 * float(gamma.sum()))
    chosen = law(design, scale)
    target = chosen.grid.pinv_transpose(chosen.covariance(estimand(f, chosen)))
    held: dict[str, list[list[float]]] = {kind: [] for kind in KINDS}
    for replicate in range(replicates):
        sample = ls.query(
            f, IMAGE, chosen, 1 + units * (2 if antithetic else 1), antithetic=antithetic,
            perturbation=ls.Additive(clip=False), rng=seed + replicate, progress=False,
        )  # fmt: skip
        for kind in KINDS:
            moments = sample.moments(kind)
            distance = float(np.abs(chosen.grid.pinv_transpose(moments.b[0]) - target).max())
            estimator = ls.LEGTV(sample, moments=kind)
            radii = [estimator.L_bootstrap(level=c, n_draws=1000, rng=replicate) for c in LEVELS]
            radii += [theorem_L(chosen.grid, units, probability=c) for c in LEVELS]
            if design == "structured":
                radii += [structured_L(chosen.grid, scale, units, probability=c) for c in LEVELS]
            held[kind].append([float(distance <= L) for L in radii])
    names = [f"{rule}_{c:g}" for rule in ("bootstrap", "theorem", "structured") for c in LEVELS]
    return [
        {
            "design": design, "scale": scale, "antithetic": antithetic, "units": units, "moments": kind,
            "replicates": replicates, **dict(zip(names, np.mean(rows, axis=0).round(4).tolist(), strict=False)),
        }
        for kind, rows in held.items()
    ]  # fmt: skip


def markdown(rows: list[dict[str, Any]]) -> list[str]:
    """One line a row of the study."""
    rules = ("bootstrap", "theorem", "structured")
    head = ["design", "scale", "observations", "moments", *(f"{rule} {c:.0%}" for rule in rules for c in LEVELS)]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        what = [row["design"], f"{row['scale']:g}", f"{row['units']} {'pairs' if row['antithetic'] else 'draws'}"]
        shares = [row.get(f"{rule}_{c:g}") for rule in rules for c in LEVELS]
        lines.append(
            "| " + " | ".join([*what, row["moments"], *("-" if s is None else f"{s:.3f}" for s in shares)]) + " |"
        )
    return lines


def main() -> None:
    """Run the study and write its table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--replicates", type=int, default=400)
    parser.add_argument("--out", type=Path, default=Path("docs/studies/confidence_set"))
    options = parser.parse_args()
    listed = [
        *(
            (*three, 0.25)
            for three in itertools.product(("structured", "isotropic", "general"), (True, False), (100, 720))
        ),
        ("structured", True, 100, 20.0),
    ]
    rows: list[dict[str, Any]] = []
    started = time.process_time()
    for design, antithetic, units, scale in listed:
        rows += run(design, antithetic, units, options.replicates, scale=scale)
        print(f"{time.process_time() - started:.0f} s: {design} {units} {scale}", flush=True)  # noqa: T201
    options.out.with_suffix(".json").write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n")
    mark = "<!-- written by tests/statistical/sets.py from here on -->"
    path = options.out.with_suffix(".md")
    text = path.read_text(encoding="utf-8").split(mark)[0] if path.is_file() else TITLE
    path.write_text("\n".join([text.rstrip(), "", mark, "", *markdown(rows), ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
