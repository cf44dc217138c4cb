"""How well maps predict fresh responses, against the number of model evaluations: 20 pictures, two networks.

For each picture, network and perturbation (additive at scale 0.02, blend at 0.25; 28 x 28 cells, log-odds):

- LEG-TV on each kind of moments at 2,000 and 6,000 evaluations, L chosen by held-out queries of its own sample, and
  LEG on the same moments (no penalty);
- the printed estimator at 6,000: draws one by one, y not centred, given the L of its path that does best on the fresh
  pairs, which nobody could choose: the comparison favours it;
- R^2 of the odd part (y(z) - y(-z)) / 2 on 1,500 fresh pairs, and the attainable R^2, that of the best linear map:
  gamma^T S gamma / Var(odd part), estimated without bias by the product of two independent unbiased maps (crossfit on
  the 6,000 and on the fresh pairs).

Run: LEGSTAT_DATA=... python benchmarks/study_query_efficiency.py FOLDER [pictures]

FOLDER keeps the answers of the networks (15,000 a picture, network and perturbation; some 45 minutes on two idle
cores for 20 pictures): a run that was stopped pays only for what is missing.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from pictures import NETWORKS, classified, network
from timing import save

import legstat as ls
from legstat._core.typing import FloatArray
from legstat.estimators.heldout import r2_on

SETTINGS: dict[str, tuple[ls.Additive | ls.Blend, float]] = {
    "additive": (ls.Additive(), 0.02),
    "blend": (ls.Blend(), 0.25),
}
BUDGETS = (2000, 6000)
KINDS = ("regression", "adaptive", "crossfit")
FRESH = 1500


def measure(name: str, stem: str, image: FloatArray, label: str, folder: Path) -> list[dict[str, Any]]:
    """The rows of one picture, network and perturbation."""
    perturbation, scale = SETTINGS[label]
    design = ls.StructuredGaussian(grid=(28, 28), scale=scale)
    f = network(name, threads=1)

    def take(n: int, rng: int, antithetic: bool = True) -> ls.QuerySample:
        given = {"perturbation": perturbation, "antithetic": antithetic, "rng": rng, "cache": folder, "progress": False}
        return ls.query(f, image, design, n, **given)  # type: ignore[arg-type]

    samples = {n: take(n, 1) for n in BUDGETS}
    fresh = take(2 * FRESH + 1 + perturbation.needs_base, 1000)
    rows: list[dict[str, Any]] = []

    def r2(params: FloatArray) -> float:
        return r2_on(fresh, params.reshape(1, -1))

    for n, sample in samples.items():
        for kind in KINDS:
            moments = sample.moments(kind)
            rows.append({"n": n, "estimator": "LEG", "moments": kind, "r2": r2(moments.gamma)})
            path = ls.LEGTV(sample, moments=kind).fit_path(progress=False)
            chosen = path.select("heldout")
            more = {"own r2": chosen.r2_heldout, "L ratio": chosen.L / chosen.L_max, "regions": chosen.n_regions}
            best = max(r2(r.params) for r in path)
            rows.append(
                {"n": n, "estimator": "LEG-TV", "moments": kind, "r2": r2(chosen.params), "best L": best} | more
            )
    printed = ls.LEGTV(take(6000, 2, antithetic=False), moments="printed").fit_path(L_ratio_min=0.02, progress=False)
    rows.append({"n": 6000, "estimator": "LEG-TV", "moments": "printed", "r2": max(r2(r.params) for r in printed)})
    attainable = attainable_r2(samples[6000], fresh)
    print(name, stem, label, f"attainable {attainable:.3f}", flush=True)
    return [{"network": name, "picture": stem, "perturbation": label, "attainable": attainable} | row for row in rows]


def attainable_r2(one: ls.QuerySample, other: ls.QuerySample) -> float:
    """gamma^T S gamma / Var(odd part) by two independent unbiased estimates of gamma."""
    maps = [sample.moments("crossfit").gamma.ravel() for sample in (one, other)]
    law = one.units[0].law.matrix()
    y = np.concatenate([y for sample in (one, other) for _, y in sample.units[0].rows()])
    return float(maps[0] @ law @ maps[1] / np.mean(y**2))


def report(rows: list[dict[str, Any]]) -> None:
    """Print what the rows say."""
    frame = pd.DataFrame(rows)
    frame["share"] = frame["r2"] / frame["attainable"]
    keys = ["perturbation", "network", "n", "estimator", "moments"]
    table = frame.groupby(keys)[["r2", "share"]].agg(["median", "min"])
    print(table.round(3).to_string())
    units = ["network", "picture", "perturbation"]
    printed = frame[frame["moments"] == "printed"].set_index(units)["r2"]
    for kind in KINDS:
        ours = frame[(frame["moments"] == kind) & (frame["estimator"] == "LEG-TV") & (frame["n"] == 2000)]
        ahead = (ours.set_index(units)["r2"] - printed).groupby("perturbation")
        print(
            f"{kind} at 2,000 less printed at 6,000:", ahead.agg(["count", lambda d: (d >= 0).sum(), "min", "median"])
        )
    for label in SETTINGS:
        final = frame[(frame["moments"] == "adaptive") & (frame["estimator"] == "LEG-TV") & (frame["n"] == 6000)]
        share = final[final["perturbation"] == label]["share"]
        print(f"{label}: share of the attainable R^2 at 6,000: median {share.median():.3f}, least {share.min():.3f}")


def main(folder: Path, pictures: int = 20) -> None:
    """Run the study and save the table."""
    jobs = [
        delayed(measure)(name, stem, image, label, folder)
        for name in NETWORKS
        for stem, image in classified(name, pictures)
        for label in SETTINGS
    ]
    rows = [row for part in Parallel(n_jobs=2, batch_size=1)(jobs) for row in part]
    save("query_efficiency", rows, fresh_pairs=FRESH)
    report(rows)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 20)
