"""Coverage of intervals, error rates and power of tests on responses whose estimand is known.

    python -m tests.statistical.coverage --replicates 200 --out docs/studies/coverage

writes the tables of docs/studies (JSON and markdown). One row is an experiment (response, design, perturbation, pairs
or draws, units) and an estimate of variance; every row rests on `replicates` independent samples, seeds 0, 1, ....
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import legstat as ls
from legstat.inference.contrasts import Contrasts
from legstat.inference.covariance import Covariance
from legstat.inference.intervals import contrast_df, joint_df, normal_quantile, studentised, t_quantiles

LEVELS = (0.90, 0.95, 0.99)
KINDS = ("printed", "centred", "crossfit", "HC1", "HC2", "HC3")
"""Estimates of variance by their name in the tables; HC0 to HC3 belong to least squares."""
N_DRAWS = 2000
REFERENCE_UNITS = 200_000
WALD_TARGETS = (1, 4, 12)
RATES = (("fwer", 0.05, "step-down"), ("fdr", 0.1, "BH"), ("fdr", 0.1, "BY"))
METRICS = [f"{kind}_{c:g}" for kind in ("pointwise", "simultaneous") for c in LEVELS]
METRICS += ["fwer_step_down", "power_step_down", "fdr_bh", "power_bh", "fdr_by", "power_by"]
METRICS += [f"wald_{k}" for k in WALD_TARGETS] + ["region", "difference"]


def _gamma(shape: tuple[int, int]) -> np.ndarray:
    """A block of a quarter of the cells, at least one."""
    gamma = np.zeros(shape)
    rows, columns = (slice(n // 4, n // 4 + max(1, n // 2)) for n in shape)
    gamma[rows, columns] = 3.0
    return gamma * 2.0 / np.sqrt(np.count_nonzero(gamma))


def _general(shape: tuple[int, int]) -> np.ndarray:
    """Squared-exponential correlations, as a blurred perturbation has them."""
    index = np.indices(shape).reshape(2, -1).T
    squared = ((index[:, None] - index[None]) ** 2).sum(axis=-1)
    return np.exp(-squared / 2.0) + 0.2 * np.eye(len(index))


class Cubic:
    """f = l^3 with l = <gamma, x - 1/2>: odd, without a linear part at x0; far from linear wherever it is looked at.

    For unclipped perturbations the estimand is E[3 l^2] gamma = 3 gamma^T Sigma gamma gamma, by Stein's identity.
    """

    def __init__(self, gamma: np.ndarray) -> None:
        self.gamma = gamma
        self._linear = ls.simulate.linear(gamma, offset=-0.5 * float(gamma.sum()))

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return self._linear(images) ** 3

    def leg(self, image: np.ndarray, design: Any) -> np.ndarray:
        flat = self.gamma.ravel()
        return 3.0 * float(flat @ design.covariance(flat)) * flat[None]


RESPONSES: dict[str, Callable[[np.ndarray], Any]] = {
    "linear": ls.simulate.linear,
    "logistic": lambda gamma: ls.simulate.logistic(gamma, offset=1.0 - 0.5 * float(gamma.sum())),
    "quadratic": lambda gamma: ls.simulate.quadratic(gamma / 3.0, 1.0, offset=-6.0),
    "null": lambda gamma: ls.simulate.linear(np.zeros(gamma.shape)),
    # steepest where Blend's base point is: half of a picture of 0.5
    "logistic at half": lambda gamma: ls.simulate.logistic(gamma, offset=1.0 - 0.25 * float(gamma.sum())),
    "cubic": Cubic,
}
DESIGNS: dict[str, Callable[..., Any]] = {
    "structured": lambda shape, channels: ls.StructuredGaussian(grid=shape, scale=0.25, channels=channels),
    "zero boundary": lambda shape, channels: ls.StructuredGaussian(
        grid=shape, scale=0.25, channels=channels, boundary="zero"
    ),
    "isotropic": lambda shape, channels: ls.IsotropicGaussian(grid=shape, scale=0.45, channels=channels),
    "general": lambda shape, channels: ls.GaussianDesign(_general(shape), grid=shape, scale=0.4, channels=channels),
    "blocks": lambda shape, channels: ls.MultiscaleBlocks(grid=shape, scales=(1, 2, 4), channels=channels),
    "blocks, levels": lambda shape, channels: ls.MultiscaleBlocks(
        grid=shape, scales=(1, 2, 4), weights=(0.2, 0.4, 0.4), levels=(0.2, 0.8), channels=channels
    ),
    "cells": lambda shape, channels: ls.BernoulliCells(grid=shape, channels=channels),
    "smooth": lambda shape, channels: ls.SpectralGaussian(grid=shape, channels=channels),
    "smooth, on/off": lambda shape, channels: ls.SpectralBinary(grid=shape, channels=channels),
}
PERTURBATIONS: dict[str, Callable[[], ls.Additive | ls.Blend]] = {
    "additive": lambda: ls.Additive(clip=False),
    "clipped": lambda: ls.Additive(clip=True),
    "blend": lambda: ls.Blend("black", at=0.5),
}


@dataclass(frozen=True)
class Experiment:
    """One row's experiment."""

    response: str
    design: str
    perturbation: str
    antithetic: bool
    units: int
    shape: tuple[int, int] = (4, 4)
    channels: str = "shared"
    kinds: tuple[str, ...] = KINDS

    @property
    def image(self) -> np.ndarray:
        """A grey picture of one pixel a cell; two channels where channels have unknowns of their own."""
        return np.full((1 if self.channels == "shared" else 2, *self.shape), 0.5)

    @property
    def f(self) -> Any:
        """The response, without noise."""
        return RESPONSES[self.response](_gamma(self.shape))

    @property
    def law(self) -> Any:
        """The design."""
        return DESIGNS[self.design](self.shape, self.channels)

    @property
    def noise(self) -> float:
        """Of the evaluations: a linear response without any has no error to cover."""
        return 0.5 if self.response in ("linear", "null") else 0.0

    @property
    def name(self) -> str:
        """What tells it from the others."""
        how = "pairs" if self.antithetic else "draws"
        grid = "x".join(map(str, self.shape))
        channels = "" if self.channels == "shared" else f", {self.channels}"
        return f"{self.response}, {self.design} {grid}{channels}, {self.perturbation}, {self.units} {how}"

    def query(self, f: Callable[[np.ndarray], np.ndarray], units: int, seed: int) -> ls.QuerySample:
        per = (2 if self.antithetic else 1) * (2 if self.channels == "separate" else 1)
        perturbation = PERTURBATIONS[self.perturbation]()
        return ls.query(
            f,
            self.image,
            self.law,
            n_queries=1 + int(perturbation.needs_base) + per * units,
            perturbation=perturbation,
            antithetic=self.antithetic,
            rng=seed,
            progress=False,
        )

    def truth(self) -> np.ndarray:
        """The estimand: in closed form without clipping, else by least squares on a sample of its own."""
        f = self.f
        if self.perturbation == "additive":
            return f.leg(self.image, self.law).ravel()
        if self.response in ("linear", "null") and self.channels == "shared":
            # Blend towards black moves a pixel of 0.5 by half of the mask's change
            return f.gamma.ravel() * (0.5 if self.perturbation == "blend" else 1.0)
        return reference(replace(self, units=REFERENCE_UNITS, kinds=()))


@cache
def reference(experiment: Experiment) -> np.ndarray:
    """Least squares on a large sample: its own error is a fortieth of one at 100 units, and widens nothing visibly."""
    moments = experiment.query(experiment.f, experiment.units, seed=10**6).moments("least_squares")
    return np.asarray(moments.gamma.ravel())


def measure(sample: ls.QuerySample, kind: str, truth: np.ndarray, seed: int) -> np.ndarray:
    """The numbers of METRICS for LEG of one sample, past the refusals, whose reasons are measured here."""
    hc = kind.startswith("HC")
    moments = sample.moments("least_squares" if hc else kind, cov_type=kind if hc else None)
    size, shape, null = truth.size, moments.design.grid.shape, truth == 0.0
    block = np.zeros((size // (shape[0] * shape[1]), *shape))
    block[0, : (shape[0] + 1) // 2, : (shape[1] + 1) // 2] = 1.0
    rest = np.zeros_like(block)
    rest[0] = 1.0 - block[0]
    inside, outside = block.ravel() / block.sum(), rest.ravel() / rest.sum()
    # one pass over the units for all of it: `LEGResults` would draw them anew for each call
    C = np.vstack([np.eye(size), inside, inside - outside])
    V, df = Covariance(sample.units, moments.influence).of(C)
    estimates = C @ moments.gamma.ravel()

    def contrasts(which: slice) -> Contrasts:
        labels = tuple(map(str, range(len(C))[which]))
        return Contrasts(
            labels=labels,
            estimates=estimates[which],
            covariance=V[which, which],
            df=contrast_df(C[which], df[which]),
            joint_df=joint_df(df[which]),
            n=10**9,
        )

    cells = contrasts(slice(size))
    t = np.abs(cells.estimates - truth) / cells.std_errors
    draws = cells.draws(N_DRAWS, seed)
    maxima = np.concatenate([studentised(batch, cells.std_errors).max(axis=1) for batch in draws])
    row = [float((t <= t_quantiles(normal_quantile(c), cells.df)).mean()) for c in LEVELS]
    # as `conf_int`: never below the pointwise quantile, which matters where least squares leaves no residual
    bands = [max(normal_quantile(c), float(np.quantile(maxima, c))) for c in LEVELS]
    row += [float((t <= t_quantiles(c, joint_df(cells.df))).all()) for c in bands]
    for rate, q, method in RATES:
        reject = cells.test(**{rate: q}, method=method, n_draws=N_DRAWS, rng=seed).reject
        false = int((reject & null).sum())
        row.append(float(false > 0) if rate == "fwer" else false / max(1, int(reject.sum())))
        row.append(float(reject[~null].mean()) if (~null).any() else float("nan"))
    for k in WALD_TARGETS:
        few = contrasts(slice(k))
        allowed = k <= size and float(few.df.min()) > k  # as `wald_test` asks
        row.append(float(few.wald_test(truth[:k]).pvalue <= 0.05) if allowed else float("nan"))
    low, high = contrasts(slice(size, size + 2)).conf_int(level=0.95).T
    row += ((low <= C[size:] @ truth) & (C[size:] @ truth <= high)).astype(float).tolist()
    return np.array(row)


def run(experiment: Experiment, replicates: int, *, seed: int = 0) -> list[dict[str, Any]]:
    """Coverage, error rates and power of every estimate of variance in one experiment."""
    truth, f = experiment.truth(), experiment.f
    noise = np.random.default_rng(seed + 77)
    level = experiment.noise
    noisy = (lambda x: f(x) + level * noise.standard_normal(len(x))) if level else f
    # pairs are never centred, so that both names mean one estimate
    kinds = [k for k in experiment.kinds if not (experiment.antithetic and k == "printed")]
    unknowns = truth.size // (2 if experiment.channels == "separate" else 1)
    # pairs of a quadratic response are exactly linear in z: least squares makes no error there (a unit test has that)
    exact = experiment.antithetic and experiment.response == "quadratic"
    kinds = [k for k in kinds if not k.startswith("HC") or (experiment.units > unknowns + 1 and not exact)]
    found: dict[str, list[np.ndarray]] = {kind: [] for kind in kinds}
    for replicate in range(replicates):
        sample = experiment.query(noisy, experiment.units, seed=seed + replicate)
        for kind in kinds:
            found[kind].append(measure(sample, kind, truth, replicate))
    rows = []
    for kind, values in found.items():
        table = np.stack(values)
        # a Wald test that was refused counts neither way; without signal there is no power
        known = np.isfinite(table).sum(axis=0)
        means = np.where(known, np.nansum(table, axis=0) / np.maximum(known, 1), np.nan)
        errors = np.where(
            known, np.sqrt(np.nansum((table - means) ** 2, axis=0) / np.maximum(known - 1, 1)), np.nan
        ) / np.sqrt(np.maximum(known, 1))
        names = {k: v for k, v in vars(experiment).items() if k != "kinds"}
        rows.append(
            {
                **names,
                "variance": kind,
                "unknowns": unknowns,
                "replicates": replicates,
                **{name: round(float(v), 4) for name, v in zip(METRICS, means, strict=True)},
                **{f"se_{name}": round(float(v), 4) for name, v in zip(METRICS, errors, strict=True)},
                **{
                    f"refused_{k}": round(1.0 - float(known[METRICS.index(k)]) / replicates, 4)
                    for k in METRICS
                    if "wald" in k
                },
                "exact_zeros": int((truth == 0.0).sum()),
            }
        )
    return rows


def experiments(units: tuple[int, ...] = (100, 320)) -> list[Experiment]:
    """The crossed part: responses x designs x perturbations x pairs or draws x units (320 = 20 p)."""
    responses, designs = ("linear", "logistic", "quadratic", "null"), ("structured", "isotropic", "general")
    return [Experiment(*parts) for parts in itertools.product(responses, designs, PERTURBATIONS, (True, False), units)]


def further() -> list[Experiment]:
    """Other grids, boundaries, channels and sizes, one or two at a time."""
    found = []
    for channels, antithetic, units in itertools.product(("separate", "joint"), (True, False), (100, 320)):
        for response, perturbation in (("logistic", "clipped"), ("quadratic", "additive")):
            found.append(
                Experiment(response, "structured", perturbation, antithetic, units, (4, 4), channels, KINDS[1:])
            )
    for shape, response in itertools.product(((3, 7), (1, 12)), ("logistic", "quadratic")):
        found.append(Experiment(response, "structured", "clipped", True, 320, shape))
    for perturbation, antithetic, units in itertools.product(("additive", "blend"), (True, False), (100, 320)):
        found.append(Experiment("logistic", "zero boundary", perturbation, antithetic, units))
    responses, three = ("linear", "logistic", "quadratic"), ("structured", "isotropic", "general")
    # where HC0 is offered
    found += [Experiment(r, "structured", "clipped", True, 640, kinds=("HC0", "HC1")) for r in responses]
    # heavy tails
    some = ("centred", "crossfit", "HC3")
    found += [Experiment("cubic", "structured", "additive", True, n, kinds=some) for n in (100, 320, 1280)]
    for units, design in itertools.product((100, 300, 2000), three):
        found += [Experiment("logistic", design, "clipped", True, units, (10, 10), kinds=KINDS[1:])]
    # about as many units as unknowns, where a map fitted to them may interpolate
    for units, response, design in itertools.product((120, 150), ("linear", "logistic", "quadratic"), three):
        found.append(Experiment(response, design, "clipped", True, units, (10, 10), kinds=KINDS[1:3]))
    for response in ("quadratic", "null"):
        found += [Experiment(response, "structured", "additive", False, 500, (10, 10), kinds=KINDS[1:])]
    return found


def photograph() -> list[Experiment]:
    """The size of a photograph's grid: 784 unknowns, at the fewest units for bands and at those of 2,000 queries."""
    return [
        Experiment("logistic", "structured", "additive", True, units, (28, 28), kinds=("centred", "crossfit"))
        for units in (300, 1000)
    ]


def laws() -> list[Experiment]:
    """Laws that move smooth directions most, and on/off cells, in deletion coordinates at 8 x 8 cells."""
    listed = ("blocks", "blocks, levels", "cells", "smooth", "smooth, on/off")
    cases = itertools.product(listed, ("linear", "logistic at half"), (150, 400, 1000))
    crossed = [Experiment(f, law, "blend", True, n, (8, 8), kinds=("crossfit",)) for law, f, n in cases]
    return [*crossed, Experiment("logistic at half", "blocks", "blend", False, 400, (8, 8), kinds=("crossfit",))]


def refused(row: dict[str, Any], joint: bool) -> bool:
    """Whether the package refuses this row's intervals, or (joint) its bands and familywise tests."""
    from legstat._core.errors import InferenceUnavailableError
    from legstat.inference.intervals import check_kind

    try:
        check_kind("study", str(row["variance"]), int(row["units"]), int(row["unknowns"]), joint)
    except InferenceUnavailableError:
        return True
    return False


Parts = dict[str, list[dict[str, Any]]]


def save(parts: Parts, path: Path) -> None:
    """One line a row; JSON has no NaN, which is null there."""
    texts = []
    for name, rows in parts.items():
        plain = ({k: None if v != v else v for k, v in row.items()} for row in rows)
        texts.append(f'"{name}": [\n' + ",\n".join(map(json.dumps, plain)) + "\n]")
    path.write_text("{\n" + ",\n".join(texts) + "\n}\n", encoding="utf-8")


def load(path: Path) -> Parts:
    """What `save` wrote."""
    parts = json.loads(path.read_text(encoding="utf-8"))
    return {
        name: [{k: float("nan") if v is None else v for k, v in row.items()} for row in rows]
        for name, rows in parts.items()
    }


def main() -> None:
    """Run the study and write its tables."""
    from tests.statistical.coverage_table import write

    parser = argparse.ArgumentParser()
    parser.add_argument("--replicates", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("docs/studies/coverage"))
    parser.add_argument(
        "--only", choices=["crossed", "further", "laws", "photograph", "tables"], help="one part, or tables"
    )
    options = parser.parse_args()
    path = options.out.with_suffix(".json")
    kept = load(path) if options.only and path.is_file() else {}
    parts = {"crossed": experiments, "further": further, "laws": laws, "photograph": photograph}
    started = time.process_time()
    for part, listed in parts.items():
        if options.only in (None, part):
            kept[part] = []
            for experiment in listed():
                kept[part] += run(experiment, options.replicates)
                print(f"{time.process_time() - started:.0f} s: {experiment.name}", flush=True)  # noqa: T201
                save(kept, path)
    write(kept, options.out.with_suffix(".md"))


if __name__ == "__main__":
    main()
