"""Coverage of intervals at the n that `query(..., until=)` chose, and why they take a third of their df.

    python -m tests.statistical.sequential --replicates 1000 --out docs/studies/sequential
    python -m tests.statistical.sequential --model

The first writes the tables of docs/studies (JSON and markdown) from runs of `query` itself; `--resume` keeps the rows
that are there. The second computes the calibration: a model of contributions, no estimator.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.stats

import legstat as ls
from legstat.estimators.results import LEGResults
from legstat.inference.sequential import first_look, look_sizes, rule_contrasts
from legstat.stopping import HalfWidth

SHAPE = (4, 4)
IMAGE = np.full((1, *SHAPE), 0.5)
DESIGN = ls.StructuredGaussian(grid=SHAPE, scale=0.25)
REGION = (1, 3, 1, 3)
CEILING = 4000
"""Units; far beyond where the rules stop, so that the ceiling decides next to nothing."""
REFERENCE_UNITS = 200_000


def _gamma() -> np.ndarray:
    gamma = np.zeros(SHAPE)
    gamma[1:3, 1:3] = 3.0
    return gamma


RESPONSES: dict[str, Callable[[], ls.simulate.SimulatedResponse]] = {
    "linear": lambda: ls.simulate.linear(_gamma()),
    "logistic": lambda: ls.simulate.logistic(_gamma(), offset=-5.0),
    "quadratic": lambda: ls.simulate.quadratic(_gamma() / 3.0, 1.0, offset=-6.0),
}
NOISE: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "none": lambda rng, n: np.zeros(n),
    "light": lambda rng, n: 0.1 * rng.standard_normal(n),
    "heavy": lambda rng, n: rng.standard_t(3, n) / np.sqrt(3.0),  # standard deviation 1, no fourth moment
}


@dataclass(frozen=True)
class Case:
    """One experiment under one rule.

    `rule` is "cells" (each by itself), "region" (one contrast, which decides by its own width alone) or "bands" (all
    cells at once); `look` the number of units at which the target is the half-width that a look sees on average: where
    selection is worst.
    """

    response: str
    perturbation: str
    noise: str
    antithetic: bool
    rule: str = "cells"
    level: float = 0.95
    look: int = 160

    def query(self, units: int, seed: int, until: HalfWidth | None = None) -> ls.QuerySample:
        f, noise, rng = RESPONSES[self.response](), NOISE[self.noise], np.random.default_rng(10**6 + seed)
        perturbation = ls.Additive(clip=False) if self.perturbation == "additive" else ls.Blend("black", at=0.5)
        return ls.query(
            lambda x: f(x) + noise(rng, len(x)),
            IMAGE,
            DESIGN,
            1 + int(perturbation.needs_base) + (2 if self.antithetic else 1) * units,
            perturbation=perturbation,
            antithetic=self.antithetic,
            until=until,
            rng=seed,
            progress=False,
        )

    def truth(self) -> np.ndarray:
        """The estimand: in closed form without clipping, else by least squares on a sample of its own."""
        f = RESPONSES[self.response]()
        if self.perturbation == "additive":
            return f.leg(IMAGE, DESIGN).ravel()
        if self.response == "linear":
            return f.gamma.ravel() / 2.0  # Blend towards black moves a pixel of 0.5 by half of the mask's change
        still = Case(self.response, self.perturbation, "none", self.antithetic)
        return still.query(REFERENCE_UNITS, 10**6).moments("least_squares").gamma.ravel()

    def until(self, target: float) -> HalfWidth:
        region = REGION if self.rule == "region" else None
        return HalfWidth(target, self.level, simultaneous=self.rule == "bands", region=region)

    def target(self, pilots: int = 40) -> float:
        """What a look at `look` units sees on average."""
        rule = self.until(1e-9)
        sizes = look_sizes(first_look(rule, ls.conventions.get_conventions("default")), CEILING)
        assert self.look in sizes
        seen = []
        for pilot in range(pilots):
            sample = self.query(self.look, 10**5 + pilot)
            seen.append(np.diff(self.intervals(fit(sample, sample.moments(), stopped=True))).max() / 2.0)
        return float(np.mean(seen))

    def intervals(self, fitted: LEGResults) -> np.ndarray:
        if self.rule == "region":
            return fitted.region(REGION).conf_int(self.level)
        return fitted.conf_int(self.level, self.rule == "bands")


def fit(sample: ls.QuerySample, moments: ls.Moments, *, stopped: bool) -> LEGResults:
    """LEG without its out-of-sample R^2; as if it had been stopped by widths, or at a size given in advance."""
    source = {**moments.source, "stopping": {} if stopped else None}
    moments = dataclasses.replace(moments, source=source)
    return LEGResults(moments=moments, params=moments.gamma.ravel(), sample=sample)


def run(case: Case, replicates: int, *, seed: int = 0) -> dict[str, object]:
    """Coverage at the n that the rule chose, of its own intervals and of those that ignore the choice."""
    truth, target = case.truth(), case.target()
    matrix = rule_contrasts(case.until(target), SHAPE, truth.size)
    truth = truth if matrix is None else matrix @ truth
    covered, naive, units = [], [], []
    for replicate in range(replicates):
        with warnings.catch_warnings():
            # a giant among heavy-tailed noise: the ceiling ends the run, and its intervals count like all others
            warnings.simplefilter("ignore", ls.TargetNotReachedWarning)
            sample = case.query(CEILING, seed + replicate, case.until(target))
        units.append(sample.n_units[0])
        moments = sample.moments()
        for stopped, into in ((True, covered), (False, naive)):
            if case.rule == "bands" and not stopped:
                continue  # would cost the bootstrap once more
            low, high = case.intervals(fit(sample, moments, stopped=stopped)).T
            inside = (low <= truth) & (truth <= high)
            into.append(float(inside.all() if case.rule == "bands" else inside.mean()))
    return {
        **vars(case),
        "replicates": replicates,
        "target": round(target, 5),
        "coverage": round(float(np.mean(covered)), 4),
        "se": round(max(float(np.std(covered, ddof=1)), 1e-9) / float(np.sqrt(replicates)), 4),
        "naive": round(float(np.mean(naive)), 4) if naive else None,
        "mean_units": round(float(np.mean(units)), 1),
        "least_units": min(units),
        "most_units": max(units),
    }


EXPERIMENTS = (
    ("linear", "additive", "light", True),
    ("linear", "additive", "heavy", True),
    ("linear", "blend", "heavy", True),
    ("logistic", "additive", "none", True),
    ("logistic", "additive", "none", False),
    ("quadratic", "additive", "light", False),
    ("quadratic", "blend", "light", True),
    ("quadratic", "blend", "none", False),
)


def cases() -> list[Case]:
    """All of the study."""
    found = [Case(*experiment, "cells", 0.95, look) for experiment in EXPERIMENTS for look in (160, 608)]
    found += [
        Case(*experiment, "cells", level, 160)
        for experiment in (EXPERIMENTS[0], EXPERIMENTS[3])
        for level in (0.9, 0.99)
    ]
    found += [Case(*experiment, "bands", 0.95, 416) for experiment in EXPERIMENTS]
    return found + [Case(*experiment, "region", 0.95, 160) for experiment in EXPERIMENTS]


# ---------------------------------------------------------------- the calibration


def worst_misses(
    level: float, divisors: tuple[float, ...], *, most: int = 3000, replicates: int = 4000, seed: int = 0
) -> dict[float, float]:
    """Largest miss rate over all targets, in units of 1 - level, for each divisor of the degrees of freedom.

    The model: a unit contributes z r with z and r independent standard normals, the estimate is independent of what
    the widths see (so each run's miss probability is known without drawing it), and one width decides alone.
    """
    rng, looks = np.random.default_rng(seed), np.array(look_sizes(128, most))
    variances, df = np.empty((2, replicates, len(looks)))
    for start in range(0, replicates, 500):
        rows = min(500, replicates - start)
        square = (rng.standard_normal((rows, most)) * rng.standard_normal((rows, most))) ** 2
        second, fourth = np.cumsum(square, axis=1)[:, looks - 1], np.cumsum(square**2, axis=1)[:, looks - 1]
        variances[start : start + rows] = second / looks
        df[start : start + rows] = 2.0 * second**2 / (fourth - second**2 / looks)
    tail = (1.0 - level) / 2.0
    found = {}
    for divisor in divisors:
        quantile = scipy.stats.t.isf(tail, df / divisor)
        half = quantile * np.sqrt(variances / looks)
        worst = 0.0
        for target in np.geomspace(1.15 * half[:, 0].mean(), half[:, -3].mean(), 60):
            reached = half <= target
            reached[:, -1] = True
            stop = (np.arange(replicates), reached.argmax(axis=1))
            worst = max(worst, float(2.0 * scipy.stats.norm.sf(quantile[stop] * np.sqrt(variances[stop])).mean()))
        found[divisor] = worst / (1.0 - level)
    return found


# ---------------------------------------------------------------- the page


def markdown(rows: list[dict[str, object]]) -> str:
    """The table of the study."""
    lines = [
        "| response | perturbation | noise | units | rule | level | expected at | coverage | MC error "
        "| with all df | mean n | n |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        unit = "pairs" if row["antithetic"] else "draws"
        lines.append(
            f"| {row['response']} | {row['perturbation']} | {row['noise']} | {unit} | {row['rule']} "
            f"| {row['level']:g} | {row['look']} | {row['coverage']:.4f} | {row['se']:.4f} "
            f"| {row['naive'] or '-'} | {row['mean_units']:.0f} | {row['least_units']} to {row['most_units']} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the study and write its table, or compute the calibration."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--replicates", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path("docs/studies/sequential"))
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--model", action="store_true")
    arguments = parser.parse_args()
    if arguments.model:
        for level in (0.9, 0.95, 0.99, 0.9999):
            print(level, {d: round(v, 3) for d, v in worst_misses(level, (1.0, 2.0, 3.0, 4.0)).items()})  # noqa: T201
        return
    path = arguments.out.with_suffix(".json")
    rows = json.loads(path.read_text())["rows"] if arguments.resume and path.exists() else []
    done = {tuple(row[name] for name in vars(Case("", "", "", True))) for row in rows}
    for case in cases():
        if tuple(vars(case).values()) in done:
            continue
        start = time.perf_counter()
        rows.append(run(case, arguments.replicates))
        path.write_text(json.dumps({"replicates": arguments.replicates, "rows": rows}, indent=1) + "\n")
        print(round(time.perf_counter() - start), rows[-1], flush=True)  # noqa: T201
    print(markdown(rows))  # noqa: T201


if __name__ == "__main__":
    main()
