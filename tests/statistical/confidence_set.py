"""Whether eq. 5's set holds gamma: L by the bootstrap, by the theorem, by its sharper form, and what the map is worth.

    python -m tests.statistical.confidence_set --replicates 200 --out docs/studies/choice_of_L

writes the table of docs/studies (JSON).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

import legstat as ls
from legstat.estimators.heldout import r2_on
from legstat.inference.theory import structured_L, theorem_L

SHAPE = (6, 6)
IMAGE = np.full((1, *SHAPE), 0.5)


def run(kind: str, units: int, replicates: int, *, score: str = "logistic", seed: int = 0) -> dict[str, object]:
    """Coverage of the set and out-of-sample R^2 of the map at each choice of L, one kind of moments."""
    gamma = ls.simulate.piecewise_constant(SHAPE, 10, rng=1)
    make = ls.simulate.logistic if score == "logistic" else ls.simulate.probit
    f = make(3.0 * gamma, offset=-1.5 * float(gamma.sum()) + 1.0)
    design = ls.StructuredGaussian(grid=SHAPE, scale=0.25)
    truth = f.leg(IMAGE, design)[0]
    noise = np.random.default_rng(seed + 5)

    def noisy(images: np.ndarray) -> np.ndarray:
        return f(images) + 0.05 * noise.standard_normal(len(images))

    def draw(n: int, rng: int) -> ls.QuerySample:
        still = ls.Additive(clip=False)
        return ls.query(noisy, IMAGE, design, 1 + 2 * n, perturbation=still, rng=rng, progress=False)

    fresh = draw(5000, 10**6)
    attainable = r2_on(fresh, truth[None])
    rules: dict[str, list[list[float]]] = {"bootstrap": [], "theorem": [], "structured": [], "heldout": [], "ratio": []}
    for replicate in range(replicates):
        sample = draw(units, seed + replicate)
        estimator = ls.LEGTV(sample, moments=kind)
        path = estimator.fit_path(n_Ls=12, progress=False)
        chosen = {
            "bootstrap": estimator.L_bootstrap(level=0.95, n_draws=500, rng=replicate),
            "theorem": theorem_L(design.grid, units),
            "structured": structured_L(design.grid, design.scale, units),
            "heldout": path.select("heldout").L,
            "ratio": 0.1 * estimator.L_max,
        }
        distance = float(np.abs(design.grid.pinv_transpose(sample.moments(kind).b[0] - design.covariance(truth))).max())
        for rule, L in chosen.items():
            solved = estimator.fit(L=min(L, estimator.L_max))
            error = solved.params - truth
            rules[rule].append(
                [distance <= L, L, r2_on(fresh, solved.params[None]), float(np.linalg.norm(error - error.mean()))]
            )
    table = {}
    for rule, values in rules.items():
        mean, sd = np.mean(values, axis=0), np.std(values, axis=0, ddof=1)
        table[rule] = {
            "holds_gamma": round(float(mean[0]), 4),
            "se": round(float(sd[0] / np.sqrt(replicates)), 4),
            "L": round(float(mean[1]), 5),
            "r2_fresh": round(float(mean[2]), 4),
            "error": round(float(mean[3]), 4),
        }
    return {
        "moments": kind, "units": units, "score": score, "replicates": replicates,
        "attainable_r2": round(attainable, 4), "rules": table,
    }  # fmt: skip


def main() -> None:
    """Run the study and write its table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--replicates", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("docs/studies/choice_of_L"))
    arguments = parser.parse_args()
    rows = []
    for kind in ("printed", "centred", "crossfit", "least_squares", "regression", "adaptive"):
        for units in (150, 720):
            rows.append(run(kind, units, arguments.replicates))
            arguments.out.with_suffix(".json").write_text(json.dumps({"rows": rows}, indent=1) + "\n")
            print(kind, units, rows[-1]["rules"], flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
