"""Seconds of estimation at 28 x 28 cells: LEG with errors, the path of LEG-TV, the choice of L, for two laws of z.

MobileNetV2's log-odds of the first picture of images/samples, `Blend("blur", at=0.5)`, 500 and 2,000 evaluations. Of
each sample everything is estimated twice: as it is, and with the linear algebra of few unknowns, which takes an
eigendecomposition for every fit and adds up every fold's Gram matrix anew (what was done for any number of unknowns
before). Differences are those of the two ways, relative to the largest entry; the chosen L must be the same.

Processor seconds, the best of the repeats; packages are loaded before, and no repeat has anything of the one before it.

Run: OMP_NUM_THREADS=1 LEGSTAT_DATA=... python benchmarks/bench_estimation.py [--repeats 3]
(--law LAW and --evaluations N measure some cases; the rows of the others stay as they were)
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from pictures import DATA, network
from timing import RESULTS, machine, save

import legstat as ls
from legstat._core.typing import FloatArray
from legstat.moments import crossfit, ridge, sums

LAWS: dict[str, Callable[[], ls.Design]] = {
    "structured": lambda: ls.StructuredGaussian(grid=(28, 28), scale=0.25),
    "blocks": lambda: ls.MultiscaleBlocks(grid=(28, 28)),
}

EVALUATIONS = (500, 2000)


@contextlib.contextmanager
def few_unknowns() -> Iterator[None]:
    """The way of few unknowns for any number of them."""
    places = ((crossfit, "SMALL"), (ridge, "SMALL"), (sums, "SUBTRACTED"))
    before = [getattr(module, name) for module, name in places]
    for module, name in places:
        setattr(module, name, 10**9)
    try:
        yield
    finally:
        for (module, name), value in zip(places, before, strict=True):
            setattr(module, name, value)


def estimated(sample: ls.QuerySample) -> tuple[dict[str, float], dict[str, FloatArray]]:
    """Processor seconds of each stage, and what came out."""
    sample = dataclasses.replace(sample)  # without what was kept with it
    clock = [time.process_time()]

    def done() -> None:
        clock.append(time.process_time())

    leg = ls.LEG(sample).fit()
    done()
    estimator = ls.LEGTV(sample)
    done()
    path = estimator.fit_path(progress=False)
    done()
    chosen = path.select("simplest")
    done()
    stages = ("leg", "moments of leg-tv", "path", "choice of L")
    seconds = dict(zip(stages, np.diff(clock).tolist(), strict=True))
    seconds["all"] = clock[-1] - clock[0]
    assert leg.r2_heldout is not None
    found = {
        "LEG": leg.params,
        "its errors": leg.std_errors,
        "LEG-TV": path.params,
        "R2": np.append(path.heldout.r2, leg.r2_heldout),
        "L": np.array([chosen.L]),
    }
    return seconds, found


def best(sample: ls.QuerySample, repeats: int) -> tuple[dict[str, float], dict[str, FloatArray]]:
    """The repeat that took least."""
    return min((estimated(sample) for _ in range(repeats)), key=lambda run: run[0]["all"])


def measured(law: str, n: int, repeats: int) -> list[dict[str, Any]]:
    """Both ways on one sample."""
    f = network("mobilenet_v2_1.0_224", threads=1)
    picture = min((DATA / "images" / "samples").iterdir())
    image = f.load_image(picture)
    sample = ls.query(f, image, LAWS[law](), n, perturbation=ls.Blend("blur", at=0.5), rng=0, progress=False)
    now, after = best(sample, repeats)
    with few_unknowns():
        then, before = best(sample, 1)
    apart = {name: float(np.abs(after[name] - before[name]).max() / np.abs(before[name]).max()) for name in after}
    rows: list[dict[str, Any]] = []
    for way, seconds in (("few unknowns'", then), ("many unknowns'", now)):
        load = machine()["load"]
        rows.append(
            {"law": law, "evaluations": n, "way": way, "load": load, **{f"{k}, cpu s": v for k, v in seconds.items()}}
        )
    rows[0] |= {f"{name}: difference": "" for name in apart}
    rows[1] |= {f"{name}: difference": value for name, value in apart.items()}
    return rows


def kept(law: str | None, n: int | None) -> list[dict[str, Any]]:
    """Rows of the last run whose case is not measured now."""
    file = RESULTS / "estimation.json"
    rows = json.loads(file.read_text())["rows"] if file.exists() else []
    return [row for row in rows if law not in (None, row["law"]) or n not in (None, row["evaluations"])]


def main() -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--law", choices=list(LAWS))
    parser.add_argument("--evaluations", type=int, choices=EVALUATIONS)
    asked = parser.parse_args()
    score, design = ls.simulate.linear(np.eye(6)), ls.StructuredGaussian(grid=(6, 6), scale=0.05)
    estimated(ls.query(score, np.full((1, 6, 6), 0.5), design, n_queries=100, rng=0, progress=False))  # loads packages
    rows = kept(asked.law, asked.evaluations)
    for law in LAWS if asked.law is None else [asked.law]:
        for n in EVALUATIONS if asked.evaluations is None else [asked.evaluations]:
            rows += measured(law, n, asked.repeats)
    save("estimation", sorted(rows, key=lambda row: (list(LAWS).index(row["law"]), row["evaluations"])))


if __name__ == "__main__":
    main()
