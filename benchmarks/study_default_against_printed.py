"""Out-of-sample R^2 of the default's map and of the printed estimator's, at the same number of model evaluations.

R^2 is that of the odd part (y(z) - y(-z)) / 2 on fresh pairs. The default chooses its L by held-out queries of its own
sample; the printed estimator (draws one by one, y not centred) is given the L of its path that does best on the fresh
pairs, which nobody could choose: the comparison favours it.

Run: LEGSTAT_DATA=... python benchmarks/study_default_against_printed.py [pictures] [queries ...]
"""

from __future__ import annotations

import sys

import numpy as np
from pictures import NETWORKS, classified, network
from timing import save

import legstat as ls
from legstat.estimators.heldout import r2_on


def main(pictures: int = 4, budgets: tuple[int, ...] = (2000, 6000)) -> None:
    """Run the study and save the table."""
    rows = []
    for name in NETWORKS:
        for stem, image in classified(name, pictures):
            f = network(name)
            for label, perturbation, scale in (("additive", ls.Additive(), 0.02), ("blend", ls.Blend(), 0.25)):
                design = ls.StructuredGaussian(grid=(28, 28), scale=scale)
                p = design.grid.n_cells
                fresh = ls.query(f, image, design, 4002, perturbation=perturbation, rng=1000, progress=False)
                for n in budgets:
                    ours = ls.query(f, image, design, n, perturbation=perturbation, rng=n, progress=False)
                    chosen = ls.LEGTV(ours).fit_path(progress=False).select("heldout")
                    printed = ls.query(
                        f, image, design, n, perturbation=perturbation, antithetic=False, rng=n, progress=False
                    )
                    path = ls.LEGTV(printed, moments="printed").fit_path(progress=False)
                    best = max(r2_on(fresh, r.params.reshape(1, p)) for r in path)
                    rows.append(
                        {
                            "network": name,
                            "picture": stem,
                            "perturbation": label,
                            "queries": n,
                            "printed, best L": best,
                            "default": r2_on(fresh, chosen.params.reshape(1, p)),
                            "default, own estimate": chosen.fidelity,
                            "mean shift / sd": abs(ours.mean_shift) / float(ours.responses.std()),
                        }
                    )
                    print(rows[-1], flush=True)
    save("default_against_printed", rows)
    for label in ("additive", "blend"):
        for n in budgets:
            some = [r for r in rows if r["perturbation"] == label and r["queries"] == n]
            wins = sum(r["default"] > r["printed, best L"] for r in some)
            ours, theirs = (np.median([r[k] for r in some]) for k in ("default", "printed, best L"))
            print(f"{label} {n}: default above printed on {wins} of {len(some)}; medians {ours:.3f} and {theirs:.3f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4, tuple(map(int, sys.argv[2:])) or (2000, 6000))
