"""What a comparison's intervals, tests, censored means and ranks are worth, by simulation.

    python -m tests.statistical.comparisons --out docs/studies/comparison

writes the table (``.json``); the tests run a part of it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from legstat.comparison.statistics import mean_ranks, paired_differences, pseudo_values

METHODS, LEVEL, TAU = 6, 0.95, 0.5
Draw = Callable[[int, np.random.Generator], np.ndarray]


def normal(n: int, rng: np.random.Generator) -> np.ndarray:
    """Differences to one method: correlated by what it contributes to all."""
    return rng.standard_normal((METHODS, n)) + 1.2 * rng.standard_normal(n)


def areas(n: int, rng: np.random.Generator) -> np.ndarray:
    """Differences of numbers in [0, 1], high on easy pictures for all: as areas under curves are."""
    pictures = 1.5 * rng.standard_normal(n)
    values = 1.0 / (1.0 + np.exp(-pictures - rng.standard_normal((METHODS + 1, n))))
    return np.asarray(values[1:] - values[0])


def skewed(n: int, rng: np.random.Generator) -> np.ndarray:
    """Differences with a long tail to one side: a few pictures decide."""
    return rng.exponential(1.0, (METHODS, n)) - 1.0 + 0.3 * rng.standard_normal(n)


def signs(n: int, rng: np.random.Generator) -> np.ndarray:
    """Less, tied or more, as -1, 0, 1."""
    first = rng.standard_normal(n)
    return np.sign(np.round(0.7 * (rng.standard_normal((METHODS, n)) - first)))


LAWS: dict[str, Draw] = {"normal": normal, "areas": areas, "skewed": skewed, "signs": signs}
"""Mean differences are 0 under all of them."""


def rates(law: str, n: int, runs: int, seed: int = 0) -> dict[str, Any]:
    """Shares of samples whose intervals all cover, with a false rejection under no and under some differences."""
    rng = np.random.default_rng([seed, n, list(LAWS).index(law)])
    spread = LAWS[law](20_000, rng).std(axis=1)[:, None]
    covered = false = false_beside_true = 0
    for _ in range(runs):
        drawn = LAWS[law](n, rng)
        found = paired_differences(drawn, LEVEL)
        covered += bool(np.all((found.low <= 0.0) & (found.high >= 0.0)))
        false += bool((found.pvalues < 1.0 - LEVEL).any())
        # half of the methods do differ, by four standard errors: what is said of the others must stay right
        shifted = drawn + np.where(np.arange(METHODS)[:, None] % 2, 4.0 * spread / np.sqrt(n), 0.0)
        false_beside_true += bool((paired_differences(shifted, LEVEL).pvalues[::2] < 1.0 - LEVEL).any())
    row = {"law": law, "pictures": n, "methods": METHODS, "samples": runs}
    return row | {"cover": covered / runs, "fwer": false / runs, "fwer partial": false_beside_true / runs}


def sizes(n: int, rng: np.random.Generator) -> np.ndarray:
    """Key sizes of three methods on the same pictures, shape (3, n), mean 0.25, 0.3 and 0.3."""
    frailty = rng.gamma(4.0, 0.25, n)
    return np.array([0.25, 0.3, 0.3])[:, None] * frailty * rng.exponential(1.0, (3, n))


def censored(n: int, runs: int, seed: int = 0) -> dict[str, Any]:
    """Paired differences of key sizes that are censored at a share of each picture's own, below tau on some.

    Plain means take what was seen; the authors' count a censored size as 1.
    """
    rng = np.random.default_rng([seed, n])
    truth = np.minimum(sizes(1_000_000, rng), TAU).mean(axis=1)
    wanted = truth[1:] - truth[0]
    estimates: dict[str, list[np.ndarray]] = {"pseudo-values": [], "plain": [], "counted as 1": []}
    covered = dict.fromkeys(estimates, 0)
    gone = []
    for _ in range(runs):
        t, horizon = sizes(n, rng), rng.uniform(0.1, 1.0, (3, n))
        horizon[0] = 1.0  # the first method was tried to the end: what the others hide is not shared by it
        hidden = t > horizon
        seen = np.minimum(t, horizon)
        gone.append((hidden & (seen < TAU))[1:].mean())
        values = {
            "pseudo-values": np.array([pseudo_values(*one, TAU) for one in zip(seen, hidden, strict=True)]),
            "plain": np.minimum(seen, TAU),
            "counted as 1": np.where(hidden, 1.0, np.minimum(seen, TAU)),
        }
        for name, one in values.items():
            found = paired_differences(one[1:] - one[0], LEVEL)
            estimates[name].append(found.means)
            covered[name] += bool(np.all((found.low <= wanted) & (wanted <= found.high)))
    row: dict[str, Any] = {"pictures": n, "samples": runs, "censored below tau": float(np.mean(gone))}
    for name, means in estimates.items():
        row[f"{name}: bias"] = float(np.mean(means) - wanted.mean())
        row[f"{name}: error of that"] = float(np.mean(means, axis=1).std() / np.sqrt(runs))
        row[f"{name}: cover"] = covered[name] / runs
    return row


def ranks(n: int, runs: int, seed: int = 0) -> dict[str, Any]:
    """The bootstrap's standard error of mean ranks over that of repeated samples."""
    rng = np.random.default_rng([seed, n, 7])
    found = [mean_ranks(areas(n, rng), high_is_good=True, draws=200) for _ in range(runs)]
    spread = np.std([one for one, _ in found], axis=0, ddof=1)
    return {"pictures": n, "samples": runs, "ratio": float(np.mean([one for _, one in found]) / spread.mean())}


def main() -> None:
    """Run the whole table and store it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="without suffix")
    parser.add_argument("--runs", type=int, default=1000)
    options = parser.parse_args()
    table = {
        "paired": [rates(law, n, options.runs) for law in LAWS for n in (10, 20, 50)],
        "censored": [censored(n, options.runs // 5) for n in (20, 50)],
        "ranks": [ranks(n, options.runs // 2) for n in (10, 20, 50)],
    }
    options.out.with_suffix(".json").write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    for rows in table.values():
        print("| " + " | ".join(rows[0]) + " |")  # noqa: T201
        for row in rows:
            print("| " + " | ".join(f"{v:.4g}" if isinstance(v, float) else str(v) for v in row.values()) + " |")  # noqa: T201


if __name__ == "__main__":
    main()
