"""Coverage of intervals at the n that `query(..., until=)` chose, and why they take a third of their df.

    python -m tests.statistical.sequential --replicates 1000 --out docs/studies/sequential
    python -m tests.statistical.sequential --model

The first writes the rows of docs/studies as JSON and the page with their table; `--resume` keeps the rows that are
there. A run is drawn once to its ceiling and every rule follows its looks; that `query` itself stops where the rules
say is a test. The second computes the calibration: a model of contributions, no estimator.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.stats

import legstat as ls
from legstat.inference.contrasts import region_weights
from legstat.inference.covariance import covariance_of
from legstat.inference.intervals import joint_df, max_t_draws, normal_quantile, sequential_df, t_quantiles
from legstat.inference.sequential import analysis_sizes
from legstat.samples.stopping import HalfWidth

CEILING = 1216
"""Units; beyond where the rules stop, so that the ceiling ends few runs (whose intervals count like all others)."""
REFERENCE_UNITS = 200_000


def _gamma(side: int) -> np.ndarray:
    """The inner quarter of the cells; over them the responses move as much on any grid."""
    gamma, inner = np.zeros((side, side)), slice(side // 4, side // 4 + side // 2)
    gamma[inner, inner] = 12.0 / (side // 2) ** 2
    return gamma


RESPONSES: dict[str, Callable[[int], ls.simulate.SimulatedResponse]] = {
    "linear": lambda side: ls.simulate.linear(_gamma(side)),
    "logistic": lambda side: ls.simulate.logistic(_gamma(side), offset=-5.0),
    "quadratic": lambda side: ls.simulate.quadratic(_gamma(side) / 3.0, 1.0, offset=-6.0),
}
NOISE: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "none": lambda rng, n: np.zeros(n),
    "light": lambda rng, n: 0.1 * rng.standard_normal(n),
    "heavy": lambda rng, n: rng.standard_t(3, n) / np.sqrt(3.0),  # standard deviation 1, no fourth moment
}


@dataclass(frozen=True)
class Experiment:
    """What is queried: response, perturbation, noise, pairs or draws, cells along a side."""

    response: str
    perturbation: str
    noise: str
    antithetic: bool
    side: int = 4

    @property
    def f(self) -> ls.simulate.SimulatedResponse:
        return RESPONSES[self.response](self.side)

    @property
    def image(self) -> np.ndarray:
        return np.full((1, self.side, self.side), 0.5)

    @property
    def design(self) -> ls.StructuredGaussian:
        return ls.StructuredGaussian(grid=(self.side, self.side), scale=0.25)

    @property
    def region(self) -> tuple[int, int, int, int]:
        """The cells that the response follows."""
        low, high = self.side // 4, self.side // 4 + self.side // 2
        return low, high, low, high

    @property
    def matrix(self) -> np.ndarray:
        """Cells, then the region's mean."""
        mean = region_weights("study", self.region, (self.side, self.side), "mean")[1]
        return np.vstack([np.eye(self.side**2), mean])

    def query(self, units: int, seed: int, until: HalfWidth | None = None) -> ls.QuerySample:
        f, noise, rng = self.f, NOISE[self.noise], np.random.default_rng(10**6 + seed)
        perturbation = ls.Additive(clip=False) if self.perturbation == "additive" else ls.Blend("black", at=0.5)
        return ls.query(
            lambda x: f(x) + noise(rng, len(x)),
            self.image,
            self.design,
            1 + int(perturbation.needs_base) + (2 if self.antithetic else 1) * units,
            perturbation=perturbation,
            antithetic=self.antithetic,
            until=until,
            rng=seed,
            progress=False,
        )

    def truth(self) -> np.ndarray:
        """The estimand: in closed form without clipping, else by least squares on a sample of its own."""
        f = self.f
        if self.perturbation == "additive":
            return f.leg(self.image, self.design).ravel()
        if self.response == "linear":
            return f.gamma.ravel() / 2.0  # Blend towards black moves a pixel of 0.5 by half of the mask's change
        still = dataclasses.replace(self, noise="none")
        return still.query(REFERENCE_UNITS, 10**6).moments("least_squares").gamma.ravel()


@dataclass(frozen=True)
class Rule:
    """When to stop.

    `rule` is "cells" (each by itself), "region" (one contrast, which decides by its own width alone) or "bands" (all
    cells at once); `look` the number of units at which half of the looks see the target: where selection is worst.
    """

    rule: str = "cells"
    level: float = 0.95
    look: int = 160

    def until(self, target: float, experiment: Experiment) -> HalfWidth:
        region = experiment.region if self.rule == "region" else None
        return HalfWidth(target, self.level, simultaneous=self.rule == "bands", region=region)


@dataclass(frozen=True)
class Paths:
    """What every look of every run sees, whatever the rule: shape (runs, looks, cells, then the region)."""

    looks: np.ndarray
    estimates: np.ndarray
    variances: np.ndarray
    df: np.ndarray
    maxima: np.ndarray
    """Draws of the largest |t| at each look, shape (runs, looks, draws); no draws unless bands are asked for."""

    @classmethod
    def of(cls, experiment: Experiment, runs: range, *, bands: bool) -> Paths:
        looks = np.array(analysis_sizes(320 if bands else 128, CEILING))
        matrix = experiment.matrix
        found: list[list[np.ndarray]] = [[], [], [], []]
        for seed in runs:
            sample = experiment.query(CEILING, seed)
            for units in looks:
                (whole,) = sample.segments
                part = dataclasses.replace(whole, responses=whole.responses[:units])
                shorter = dataclasses.replace(sample, segments=(part,))
                moments = shorter.moments()
                covariance = covariance_of(moments, shorter.units, "study")
                variances, df = covariance.of(matrix)
                maxima = max_t_draws(covariance, np.sqrt(covariance.variances)) if bands else np.empty(0)
                for into, value in zip(
                    found, (matrix @ moments.gamma.ravel(), np.diag(variances), df, maxima), strict=True
                ):
                    into.append(value)
        return cls(looks, *(np.array(values).reshape(len(runs), len(looks), -1) for values in found))

    def half_widths(self, rule: Rule, *, stopped: bool = True) -> np.ndarray:
        """Of each interval that the rule is about, shape (runs, looks, intervals)."""
        quantile = np.full(self.df.shape[:2], normal_quantile(rule.level))
        if rule.rule == "bands":
            quantile = np.maximum(quantile, np.quantile(self.maxima, rule.level, axis=2))
        df = joint_df(self.df) if rule.rule == "region" else self.df  # a mean over cells, as `LEGResults.region`
        df = sequential_df(df) if stopped else df
        return (t_quantiles(quantile[..., None], df) * np.sqrt(self.variances))[..., self.about(rule)]

    @staticmethod
    def about(rule: Rule) -> slice:
        return slice(-1, None) if rule.rule == "region" else slice(0, -1)

    def target(self, rule: Rule) -> float:
        """What half of the looks at `look` units see."""
        (at,) = np.flatnonzero(self.looks == rule.look)
        return float(np.median(self.half_widths(rule)[:, at].max(axis=1)))

    def stops(self, rule: Rule, target: float) -> np.ndarray:
        """The look at which each run stops: the first that is narrow enough, or the ceiling."""
        reached = self.half_widths(rule).max(axis=2) <= target
        reached[:, -1] = True
        return reached.argmax(axis=1)

    def at_stop(self, rule: Rule) -> tuple[np.ndarray, np.ndarray]:
        """Run and look at which each run ends, by the rule's own target: indices."""
        return np.arange(len(self.df)), self.stops(rule, self.target(rule))

    def if_normal(self, rule: Rule) -> float:
        """What the rule's intervals would cover at the stop if errors were normal and of the estimated size.

        The price of the choice, written out: a third of the degrees of freedom, a sixth for a mean over cells. With the
        30 or 60 df of the first looks that widens intervals of a high level far, by design.
        """
        stop = self.at_stop(rule)
        df = self.df[stop][:, self.about(rule)] / (6.0 if rule.rule == "region" else 3.0)
        if rule.rule != "bands":
            return float(1.0 - 2.0 * scipy.stats.norm.sf(scipy.stats.t.isf((1.0 - rule.level) / 2.0, df)).mean())
        maxima = self.maxima[stop]
        quantile = np.maximum(np.quantile(maxima, rule.level, axis=1), scipy.stats.norm.isf((1.0 - rule.level) / 2.0))
        usual = np.median(scipy.stats.t.isf(scipy.stats.norm.sf(quantile)[:, None], df), axis=1)  # over the cells
        return float((maxima <= usual[:, None]).mean())


def rows(experiment: Experiment, rules: list[Rule], paths: Paths) -> list[dict[str, object]]:
    """Coverage at the n that each rule chose, of its own intervals and of those that ignore the choice."""
    truth, replicates = experiment.matrix @ experiment.truth(), len(paths.df)
    table: list[dict[str, object]] = []
    for rule in rules:
        target, stop = paths.target(rule), paths.at_stop(rule)
        errors = np.abs(paths.estimates - truth)[..., Paths.about(rule)][stop]
        found = {}
        for name, stopped in (("coverage", True), ("with_all_df", False)):
            inside = errors <= paths.half_widths(rule, stopped=stopped)[stop]
            found[name] = inside.all(axis=1) if rule.rule == "bands" else inside.mean(axis=1)
        units = paths.looks[stop[1]]
        table.append(
            {
                **vars(experiment),
                **vars(rule),
                "replicates": replicates,
                "target": round(target, 5),
                "coverage": round(float(found["coverage"].mean()), 4),
                "se": round(float(found["coverage"].std(ddof=1) / np.sqrt(replicates)), 4),
                "with_all_df": round(float(found["with_all_df"].mean()), 4),
                "mean_units": round(float(units.mean()), 1),
                "least_units": int(units.min()),
                "most_units": int(units.max()),
            }
        )
    return table


EXPERIMENTS = (
    Experiment("linear", "additive", "light", True),
    Experiment("linear", "additive", "heavy", True),
    Experiment("linear", "blend", "heavy", True),
    Experiment("logistic", "additive", "none", True),
    Experiment("logistic", "additive", "none", False),
    Experiment("quadratic", "additive", "light", False),
    Experiment("quadratic", "blend", "light", True),
    Experiment("quadratic", "blend", "none", False),
)
LEVELS = (0.9, 0.95, 0.99)
MANY = (
    Experiment("linear", "additive", "heavy", True, 10),
    Experiment("logistic", "additive", "none", True, 10),
    Experiment("quadratic", "blend", "light", True, 10),
)
"""100 unknowns: the first looks are at 1.28 and 1.6 units for each."""
POINTWISE = [Rule(rule, level, look) for rule in ("cells", "region") for level in LEVELS for look in (160, 480)]
BANDS = [Rule("bands", level, 416) for level in LEVELS]


# ---------------------------------------------------------------- the calibration


def worst_misses(
    level: float, divisors: tuple[float, ...], *, most: int = 3000, replicates: int = 4000, seed: int = 0
) -> dict[float, float]:
    """Largest miss rate over all targets, in units of 1 - level, for each divisor of the degrees of freedom.

    The model: a unit contributes z r with z and r independent standard normals, the estimate is independent of what
    the widths see (so each run's miss probability is known without drawing it), and one width decides alone.
    """
    rng, looks = np.random.default_rng(seed), np.array(analysis_sizes(128, most))
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


def at_fixed_n(replicates: int) -> dict[int, tuple[float, float, float]]:
    """By units: 95 % coverage of the hardest region's mean with a half and with all of the df, and of single cells.

    No run stops here: a noise-free logistic score along one block of 100 cells, and that block's own mean.
    """
    (experiment,) = (one for one in MANY if one.response == "logistic")
    paths = Paths.of(experiment, range(replicates), bands=False)
    errors = np.abs(paths.estimates - experiment.matrix @ experiment.truth())

    def inside(df: np.ndarray) -> np.ndarray:
        return np.asarray(errors <= t_quantiles(normal_quantile(0.95), df) * np.sqrt(paths.variances))

    half, whole = inside(joint_df(paths.df)), inside(paths.df)
    shares = np.stack([half[..., -1].mean(axis=0), whole[..., -1].mean(axis=0), whole[..., :-1].mean(axis=(0, 2))])
    return {int(n): (float(a), float(b), float(c)) for n, (a, b, c) in zip(paths.looks, shares.T, strict=True)}


# ---------------------------------------------------------------- the page


HEADER = """# Coverage at the n that the run chose

What `query(..., until=)` promises ([how and why](../theory.md#sequential)): intervals keep their level at the n at
which the run stopped by itself. 4 x 4 cells, or 10 x 10, structured design of scale 0.25, cross-fitted moments;
interim analyses at 128, 160, 224, ... 1216 observations (bands: from 320). A run that the rule has not stopped by
then ends there, and its intervals count like all others.

- Rules: `cells` stops when every cell's own interval is narrow enough, `bands` when the simultaneous ones are,
  `region` when the interval of one contrast is (the mean of the inner cells, those that the response follows), which
  decides by its own width alone.
- The target is what half of the analyses at `expected n` see. The runs that stop there do so because their standard
  errors came out small, and no target between two analyses makes more of that.
- Noise `light` is normal with standard deviation 0.1, `heavy` has Student's t with 3 degrees of freedom and
  standard deviation 1 (no fourth moment). The responses move by some 1 to 2. `blend` clips a sixth to a third of
  the mask levels.
- A column of levels gives the coverage at the stop, in brackets its Monte Carlo error; of cells the mean over them,
  of bands the share of runs in which all cells were inside. `95 %, all df`: what the 95 % intervals would cover at
  the same stop if they ignored it. `mean n`: observations at the stop under the 95 % rule.

"""


def markdown(table: list[dict[str, object]]) -> str:
    """The table of the study: one line an experiment and rule, the levels side by side."""
    lines = [
        "| response | perturbation | noise | observation | cells | rule | expected n "
        "| 90 % | 95 % | 99 % | 95 %, all df | mean n |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    groups: dict[tuple[object, ...], dict[object, dict[str, object]]] = {}
    for row in table:
        unit = "pair" if row["antithetic"] else "draw"
        cells = f"{row['side']} x {row['side']}"
        name = (row["response"], row["perturbation"], row["noise"], unit, cells, row["rule"], row["look"])
        groups.setdefault(name, {})[row["level"]] = row
    for name, by_level in groups.items():
        shown = [f"{by_level[level]['coverage']:.3f} ({by_level[level]['se']:.3f})" for level in LEVELS]
        shown += [f"{by_level[0.95]['with_all_df']:.3f}", f"{by_level[0.95]['mean_units']:.0f}"]
        lines.append("| " + " | ".join([*map(str, name), *shown]) + " |")
    replicates = " or ".join(str(n) for n in sorted({int(str(row["replicates"])) for row in table}))
    short = [
        (float(str(row["level"])) - float(str(row["coverage"]))) / max(float(str(row["se"])), 1e-9) for row in table
    ]
    verdict = [
        f"{replicates} runs a line. Of {len(table)} coverages, {sum(one > 3 for one in short)} fall more than three",
        f"Monte Carlo errors short of their level; the largest shortfall is {max(short):.1f} of them.",
        "",
        "    python -m tests.statistical.sequential --replicates 1000 --out docs/studies/sequential",
        "",
    ]
    return HEADER + "\n".join([*verdict, *lines]) + "\n"


def main() -> None:
    """Run the study and write its table, or compute the calibration."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--replicates", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path("docs/studies/sequential"))
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--model", action="store_true")
    parser.add_argument("--fixed", action="store_true")
    arguments = parser.parse_args()
    if arguments.model:
        for level in (0.9, 0.95, 0.99, 0.9999):
            print(level, {d: round(v, 3) for d, v in worst_misses(level, (1.0, 2.0, 3.0, 4.0)).items()})  # noqa: T201
        return
    if arguments.fixed:
        for units, shares in at_fixed_n(arguments.replicates).items():
            print(units, *(round(share, 3) for share in shares))  # noqa: T201
        return
    path = arguments.out.with_suffix(".json")
    table = json.loads(path.read_text())["rows"] if arguments.resume and path.exists() else []
    for rules, experiments in ((POINTWISE, EXPERIMENTS), (BANDS, EXPERIMENTS), (POINTWISE, MANY)):
        for experiment in experiments:
            names = {**vars(experiment), "rule": rules[0].rule}
            if any(all(row[k] == v for k, v in names.items()) for row in table):
                continue
            start = time.process_time()
            paths = Paths.of(experiment, range(arguments.replicates), bands=rules[0].rule == "bands")
            table += rows(experiment, rules, paths)
            path.write_text(json.dumps({"rows": table}, indent=1) + "\n")
            arguments.out.with_suffix(".md").write_text(markdown(table))
            print(round(time.process_time() - start), "s", experiment, rules[0].rule, flush=True)  # noqa: T201
    arguments.out.with_suffix(".md").write_text(markdown(table))


if __name__ == "__main__":
    main()
