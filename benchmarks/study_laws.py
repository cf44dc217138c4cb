"""Which law of z: weights of scales, levels, other laws, a smooth lift, probabilities, priors, two stages.

The search sees every second picture of images/samples (even positions of the sorted names): the first that the network
gets right with a probability of .3 and more. Grid 28 x 28, `Blend("blur")`, pairs, log-odds.

A multi-scale law is a mixture over its sides: a law with other weights is made of so many of the default law's pairs of
each side, so that it costs no evaluation. Other laws are evaluated on the two pictures whose maps are drawn.

Run: LEGSTAT_DATA=... python benchmarks/study_laws.py FOLDER [--minutes M]
FOLDER keeps all samples and areas: a run that was stopped, or whose minutes were over (exit status 3), goes on where it
was. Writes results/laws.json, and paper_figures/results/laws.npz with maps.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import itertools
import json
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy
from pictures import DATA, NETWORKS
from prior_maps import Pairs, Prior, r2, ridge_map, sides_of
from study_comparison import LEAST, opened
from timing import save

import legstat as ls
from legstat._core.typing import FloatArray
from legstat.designs.design import Design
from legstat.estimators.heldout import heldout_r2
from legstat.inference.covariance import Covariance
from legstat.perturbations.operators import Perturbation

GRID = (28, 28)


@dataclass(frozen=True)
class Setting:
    """What is evaluated: a law, pairs, a seed; on all pictures of the search or on those shown alone; an operator."""

    design: Design
    pairs: int
    seed: int | None = None
    everywhere: bool = False
    perturbation: Perturbation = field(default_factory=ls.Blend)


SEARCH = {
    "blocks": Setting(ls.MultiscaleBlocks(GRID), 999, everywhere=True),
    "side 14": Setting(ls.MultiscaleBlocks(GRID, scales=(14,)), 90, 3, everywhere=True),
    "smooth lift": Setting(ls.MultiscaleBlocks(GRID), 350, 5, everywhere=True, perturbation=ls.Blend(lift="smooth")),
    "gaussian -1": Setting(ls.SpectralGaussian(GRID, power=-1.0), 350, 6),
    "cells": Setting(ls.BernoulliCells(GRID), 350, 7),
    "binary -1": Setting(ls.SpectralBinary(GRID, power=-1.0), 350, 8, everywhere=True),
    "levels": Setting(ls.MultiscaleBlocks(GRID, levels=(0.2, 0.8)), 350, 9),
    "structured": Setting(ls.StructuredGaussian(GRID, scale=0.25), 999, 10),
}
"""The default law, whose pairs also tell of laws with other weights of its sides; the largest blocks; other laws."""
COUNT, TWICE, CONFIRMED = 6, 4, 8
"""Pictures of the search, of its two stages, of the confirmation, for each network."""


def pictures(network: str, count: int, parity: int = 0) -> Iterator[tuple[str, FloatArray]]:
    """The first pictures at even (0) or odd (1) positions that the network gets right."""
    with (DATA / "labels" / "imagenet_samples.csv").open() as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["file"])[parity::2]
    f = opened(network, "cpu", score="probability")
    for row in rows:
        image = f.load_image(DATA / "images" / "samples" / row["file"])
        settled, p = f.bind(image)
        if settled.describe()["target"] == int(row["label"]) and p >= LEAST:
            yield Path(row["file"]).stem, image
            count -= 1
            if not count:
                return


def sample_file(folder: Path, network: str, stem: str, label: str) -> Path:
    """Where a sample is kept."""
    return folder / network / f"{stem}_{label.replace(' ', '_').replace('/', '')}.npz"


def evaluate(folder: Path, end: float) -> None:
    """Sample what is missing; exit status 3 where the time is over."""
    spent = time.process_time()
    for label, setting in SEARCH.items():
        for network in NETWORKS:
            f = opened(network, "cpu")
            for number, (stem, image) in enumerate(pictures(network, COUNT)):
                file = sample_file(folder, network, stem, label)
                if file.is_file() or not (setting.everywhere or (network, stem) in SHOWN):
                    continue
                if time.monotonic() > end:
                    print("to be continued", round(time.process_time() - spent), "s", flush=True)
                    raise SystemExit(3)
                file.parent.mkdir(parents=True, exist_ok=True)
                given = {"perturbation": setting.perturbation, "batch_size": 2, "progress": False}
                rng = number if setting.seed is None else [setting.seed, number]
                ls.query(f, image, setting.design, 2 * setting.pairs + 2, rng=rng, **given).save(file)
                print(label, network, stem, round(time.process_time() - spent), "s", flush=True)


MIXTURES: dict[str, dict[int, float]] = {
    "1 2 4 7": {1: 0.25, 2: 0.25, 4: 0.25, 7: 0.25},
    "2 4 7": {2: 1 / 3, 4: 1 / 3, 7: 1 / 3},
    "4 7": {4: 0.5, 7: 0.5},
    "4 7 14": {4: 1 / 3, 7: 1 / 3, 14: 1 / 3},
    "1 2 4 7 14": dict.fromkeys((1, 2, 4, 7, 14), 0.2),
    "1 2 4 7 at .1 .3 .3 .3": {1: 0.1, 2: 0.3, 4: 0.3, 7: 0.3},
    "1 2 4 7 14 at .1 .2 .3 .3 .1": {1: 0.1, 2: 0.2, 4: 0.3, 7: 0.3, 14: 0.1},
    "1 4 7 at .1 .45 .45": {1: 0.1, 4: 0.45, 7: 0.45},
}
"""Weights of the sides of multi-scale laws; what is compared beside the other laws of `SEARCH`."""
PRIORS = {
    "prior: power 1": Prior(power=1.0),
    "prior: power 1.5": Prior(power=1.5),
    "prior: no energy": Prior(rounds=0),
    "prior: window 2.5": Prior(width=2.5),
}
SHOWN = (("mobilenet_v2_1.0_224", "n01770081_harvestman"), ("squeezenet1.1", "n01682714_American_chameleon"))
"""Whose maps are drawn."""
SHORT, MORE, LONG = 249, 700, 999
"""Pairs of 500, 1,402 and 2,000 evaluations, two of which are f(x0) and the base point's."""
FOCUS = {"two stages: half outside": False, "two stages: large blocks outside": True}
"""Whether the second stage moves cells outside the active area, in blocks of 14, or leaves them at 1/2."""


def first_pairs(sample: ls.QuerySample, pairs: int) -> ls.QuerySample:
    """The sample that a smaller budget had given."""
    (segment,) = sample.segments
    return dataclasses.replace(sample, segments=(dataclasses.replace(segment, responses=segment.responses[:pairs]),))


def pairs_of(sample: ls.QuerySample) -> Pairs:
    """What a pair realises, and its two scores."""
    z = np.concatenate([z for z, _ in sample.units[0].rows()])
    return Pairs(z, *sample.responses.reshape(-1, 2).T)


class Picture:
    """All samples of one picture before one network."""

    def __init__(self, folder: Path, network: str, stem: str) -> None:
        self.samples = {
            label: ls.QuerySample.load(file)
            for label in SEARCH
            if (file := sample_file(folder, network, stem, label)).is_file()
        }
        self.pairs = {label: pairs_of(sample) for label, sample in self.samples.items()}
        mixed = self.pairs["blocks"]
        sides = sides_of(mixed.z, GRID, (1, 2, 4, 7))
        self.by_side = {side: mixed[np.flatnonzero(sides == side)] for side in (1, 2, 4, 7)}
        if "side 14" in self.pairs:
            self.by_side[14] = self.pairs["side 14"]
        self.focused: dict[str, Pairs] = {}
        for label in FOCUS:
            file = sample_file(folder, network, stem, label)
            if file.is_file():
                with np.load(file) as kept:
                    self.focused[label] = Pairs(kept["z"], *kept["y"])

    def mixture(
        self, weights: Mapping[int, float], pairs: int, skip: int = 0
    ) -> tuple[Pairs, Pairs, FloatArray] | None:
        """So many pairs of a law with these weights, what is left of its sides, and the weights of what is left.

        None where there are not as many pairs of some side. `skip` passes over that many pairs of the law first.
        """
        taken, left, shares = [], [], []
        for side, weight in weights.items():
            here = self.by_side.get(side)
            first, last = round(skip * weight), round((skip + pairs) * weight)
            if here is None or last > len(here):
                return None
            rest = np.delete(np.arange(len(here)), slice(first, last))
            taken.append(here[first:last])
            left.append(here[rest])
            shares.append(np.full(len(rest), weight / max(len(rest), 1)))
        return Pairs.joined(taken), Pairs.joined(left), np.concatenate(shares)


def active(pairs: Pairs) -> FloatArray:
    """The three tenths of the cells where the map of these pairs has most energy."""
    energy = scipy.ndimage.gaussian_filter(ridge_map(pairs.z, pairs.odd, GRID).reshape(GRID) ** 2, 1.5, mode="nearest")
    return energy >= np.quantile(energy, 0.7)


def second_stage(folder: Path, end: float) -> None:
    """250 pairs of blocks of 1, 2, 4 and 7 in the active area that the first 249 pairs found."""
    for label, moves_outside in FOCUS.items():
        for network in NETWORKS:
            f = opened(network, "cpu")
            for number, (stem, image) in enumerate(pictures(network, TWICE)):
                file = sample_file(folder, network, stem, label)
                if file.is_file():
                    continue
                if time.monotonic() > end:
                    raise SystemExit(3)
                sample = ls.QuerySample.load(sample_file(folder, network, stem, "blocks"))
                inside = active(pairs_of(first_pairs(sample, SHORT)))
                draw = np.random.Generator(np.random.Philox(key=number))
                z = ls.MultiscaleBlocks(GRID).sample(draw, SHORT + 1).reshape(-1, *GRID)
                rest = ls.MultiscaleBlocks(GRID, scales=(14,)).sample(draw, SHORT + 1).reshape(-1, *GRID)
                z = np.where(inside, z, rest if moves_outside else 0.0)
                bound, _ = f.bind(image)
                score = bound.scorer(ls.Blend().recipe(bound.check_image(image, "query"), sample.design.grid, f.dtype))
                y = [
                    np.concatenate([score(part, None) for part in np.split(sign * z[:, None], 125)]) for sign in (1, -1)
                ]
                np.savez(file, z=z.reshape(len(z), -1), y=np.stack(y))
                print(label, network, stem, flush=True)


def candidates(picture: Picture) -> Iterator[tuple[str, int, int, FloatArray, float | None]]:
    """Name, pairs, number of the part of the sample, map and out-of-sample R^2 of everything that is compared."""
    blocks = picture.pairs["blocks"]
    for (name, weights), (n, skip) in itertools.product(MIXTURES.items(), ((SHORT, 0), (SHORT, SHORT), (MORE, 0))):
        found = picture.mixture(weights, n, skip)
        if name == "1 2 4 7":
            rest = np.delete(np.arange(len(blocks)), slice(skip, skip + n))
            found = blocks[skip : skip + n], blocks[rest], np.ones(len(rest))
        if found is not None:
            train, rest_of_it, shares = found
            gamma = ridge_map(train.z, train.odd, GRID)
            # of the largest blocks too few pairs are left
            yield name, n, skip, gamma, None if 14 in weights else r2(rest_of_it, gamma, shares)
    for label, pairs in picture.pairs.items():
        if label not in ("blocks", "side 14"):
            gamma = ridge_map(pairs.z[:SHORT], pairs.odd[:SHORT], GRID)
            yield label, SHORT, 0, gamma, r2(pairs[SHORT:], gamma)
    chances = Pairs(blocks.z, scipy.special.expit(blocks.plus), scipy.special.expit(blocks.minus))
    for n, skip in ((SHORT, 0), (SHORT, SHORT), (MORE, 0)):
        rest = np.delete(np.arange(len(blocks)), slice(skip, skip + n))
        for name, prior in PRIORS.items() if (n, skip) == (SHORT, 0) else [("prior: power 1.5", Prior(power=1.5))]:
            gamma = ridge_map(blocks.z[skip : skip + n], blocks.odd[skip : skip + n], GRID, prior)
            yield name, n, skip, gamma, r2(blocks[rest], gamma)
        gamma = ridge_map(chances.z[skip : skip + n], chances.odd[skip : skip + n], GRID)
        yield "probability", n, skip, gamma, r2(chances[rest], gamma)
    for name, extra in picture.focused.items():
        both = Pairs.joined([blocks[:SHORT], extra])
        gamma = ridge_map(both.z, both.odd, GRID)
        yield name, 2 * SHORT + 1, 0, gamma, r2(blocks[2 * SHORT + 1 :], gamma)
    if picture.focused:
        gamma = ridge_map(blocks.z[: 2 * SHORT + 1], blocks.odd[: 2 * SHORT + 1], GRID)
        yield "two stages: none", 2 * SHORT + 1, 0, gamma, r2(blocks[2 * SHORT + 1 :], gamma)


def default_law(folder: Path, end: float) -> list[dict[str, Any]]:
    """Of the default law at 2,000 evaluations, five-fold R^2 of the shrunken moments and of LEG-TV; kept by picture."""
    rows = []
    for network in NETWORKS:
        for stem, _ in pictures(network, COUNT):
            file = folder / network / f"{stem}_default.json"
            if not file.is_file():
                if time.monotonic() > end:
                    raise SystemExit(3)
                sample = ls.QuerySample.load(sample_file(folder, network, stem, "blocks"))
                chosen = ls.LEGTV(sample).fit_path(progress=False).select("simplest")
                adaptive = heldout_r2(
                    sample, lambda fold, of=sample: of.moments("adaptive", leave_out=fold).gamma[None]
                )
                found = {"adaptive": float(adaptive.r2[0]), "legtv": chosen.r2_heldout, "regions": chosen.n_regions}
                file.write_text(json.dumps(found))
                print(network, stem, found, flush=True)
            rows.append({"network": network, "picture": stem, **json.loads(file.read_text())})
    return rows


def smoother_prior(folder: Path, end: float) -> list[dict[str, Any]]:
    """Areas of the shrunken map and of LEG-TV made of it, with powers 1/2 and 3/2 of the prior: 2,000 evaluations."""
    rows = []
    for network in NETWORKS:
        f = opened(network, "cpu")
        for stem, image in pictures(network, COUNT):
            file = folder / network / f"{stem}_prior.json"
            if not file.is_file():
                if time.monotonic() > end:
                    raise SystemExit(3)
                sample = ls.QuerySample.load(sample_file(folder, network, stem, "blocks"))
                pairs, moments, found = pairs_of(sample), sample.moments("adaptive"), {}
                for power in (0.5, 1.5):
                    gamma = ridge_map(pairs.z, pairs.odd, GRID, Prior(power=power))
                    shrunken = dataclasses.replace(moments, b=sample.design.covariance(gamma[None]), influence=None)
                    smooth = ls.LEGTV(shrunken).fit(L_ratio=0.015)
                    found[f"regions {power}"] = float(smooth.n_regions)
                    for name, saliency in (("leg", gamma.reshape(GRID)), ("tv", np.array(smooth.saliency))):
                        inserted = ls.metrics.insertion(f, image, saliency, steps=28).area
                        found[f"{name} {power}"] = inserted - ls.metrics.deletion(f, image, saliency, steps=28).area
                file.write_text(json.dumps(found))
            rows.append({"network": network, "picture": stem, **json.loads(file.read_text())})
    return rows


def boxes(side: int) -> FloatArray:
    """Indicators of the boxes of side x side cells that the grid is cut into, shape (k, p)."""
    n = GRID[0] // side
    return np.kron(np.eye(n * n).reshape(-1, n, n), np.ones((side, side))).reshape(n * n, -1)


def errors(sample: ls.QuerySample) -> dict[str, list[float]]:
    """Of LEG's sums over 7 x 7 and 4 x 4 boxes and of cells: median standard error, root mean square of the sums."""
    moments, found = sample.moments("crossfit"), {}
    sums = np.vstack([boxes(7), boxes(4), np.eye(784)])
    variances = np.diag(Covariance(sample.units, moments.influence).of(sums)[0])
    values = sums @ moments.gamma.ravel()
    for name, part in (("7 x 7", slice(0, 16)), ("4 x 4", slice(16, 65)), ("cells", slice(65, None))):
        # what noise adds to the squares is taken off
        signal = float(np.mean(values[part] ** 2 - variances[part]))
        found[name] = [float(np.median(np.sqrt(variances[part]))), float(np.sqrt(max(signal, 0.0)))]
    return found


def mixed_sample(picture: Picture, weights: Mapping[int, float], pairs: int) -> ls.QuerySample:
    """The pairs of a mixture as a sample of its law."""
    found = picture.mixture(weights, pairs)
    assert found is not None
    taken = found[0]
    z = np.stack([taken.z, -taken.z], axis=1).reshape(-1, *GRID)
    y = np.stack([taken.plus, taken.minus], axis=1).ravel()
    design = ls.MultiscaleBlocks(GRID, scales=tuple(weights), weights=tuple(weights.values()))
    return ls.QuerySample.from_arrays(z, y, design, antithetic=True)


def standard_errors(folder: Path, end: float) -> list[dict[str, Any]]:
    """Rows of the standard errors of each law at several numbers of pairs, kept picture by picture."""
    rows = []
    for network in NETWORKS:
        for stem in (stem for of, stem in SHOWN if of == network):
            file = folder / network / f"{stem}_errors.json"
            if not file.is_file():
                if time.monotonic() > end:
                    raise SystemExit(3)
                picture, kept = Picture(folder, network, stem), []
                for label, sample in picture.samples.items():
                    if label == "side 14":
                        continue
                    few = [n for n in (125, 350, LONG) if n <= sample.n_units[0]]
                    kept += [{"law": label, "pairs": n, **errors(first_pairs(sample, n))} for n in few]
                for name in ("2 4 7", "4 7", "1 2 4 7 at .1 .3 .3 .3"):
                    kept.append({"law": name, "pairs": 350, **errors(mixed_sample(picture, MIXTURES[name], 350))})
                file.write_text(json.dumps(kept))
                print(network, stem, "errors", flush=True)
            rows += [{"network": network, "picture": stem, **row} for row in json.loads(file.read_text())]
    return rows


def maps_of_laws(folder: Path, target: Path) -> None:
    """Maps of two pictures under each law, from two disjoint halves of 350 pairs and from all: for a figure."""
    arrays = {}
    for network, stem in SHOWN:
        picture = Picture(folder, network, stem)
        for label, pairs in picture.pairs.items():
            if label != "side 14":
                parts = (pairs[:350], pairs[:175], pairs[175:350])
                maps = [ridge_map(part.z, part.odd, GRID).reshape(GRID) for part in parts]
                arrays[f"{network}|{stem}|{label}"] = np.stack(maps).astype(np.float32)
    np.savez_compressed(target, **arrays)


def scored(folder: Path, end: float) -> list[dict[str, Any]]:
    """Rows of all candidates: R^2, areas; kept picture by picture."""
    rows = []
    for network in NETWORKS:
        f = opened(network, "cpu")
        for stem, image in pictures(network, COUNT):
            file = folder / network / f"{stem}.json"
            kept = json.loads(file.read_text()) if file.is_file() else {}
            for name, n, skip, gamma, share in candidates(Picture(folder, network, stem)):
                key = f"{name} {2 * n + 2} {skip}"
                if key in kept:
                    continue
                if time.monotonic() > end:
                    raise SystemExit(3)
                saliency = gamma.reshape(GRID)
                areas = {
                    "deletion": ls.metrics.deletion(f, image, saliency, steps=28).area,
                    "insertion": ls.metrics.insertion(f, image, saliency, steps=28).area,
                }
                kept[key] = {"candidate": name, "n": 2 * n + 2, "part": skip, "r2": share, **areas}
                file.write_text(json.dumps(kept))
            rows += [{"network": network, "picture": stem, **row} for row in kept.values()]
            print(network, stem, len(kept), flush=True)
    return rows


def confirmed(folder: Path, end: float) -> list[dict[str, Any]]:
    """What the search found ahead, on pictures that it has not seen: the default law's 249 pairs, four maps of them."""
    rows = []
    for network in NETWORKS:
        f = opened(network, "cpu")
        for number, (stem, image) in enumerate(pictures(network, CONFIRMED, 1)):
            file = folder / network / "odd" / f"{stem}.json"
            if not file.is_file():
                if time.monotonic() > end:
                    raise SystemExit(3)
                file.parent.mkdir(parents=True, exist_ok=True)
                law = ls.MultiscaleBlocks(GRID)
                given = {"perturbation": ls.Blend(), "batch_size": 2, "progress": False}
                pairs = pairs_of(ls.query(f, image, law, 2 * SHORT + 2, rng=[100, number], **given))
                chances = Pairs(pairs.z, scipy.special.expit(pairs.plus), scipy.special.expit(pairs.minus))
                kept = []
                for name, of, prior in (
                    ("1 2 4 7", pairs, None),
                    ("probability", chances, None),
                    ("prior: power 1.5", pairs, Prior(power=1.5)),
                    ("probability, prior: power 1.5", chances, Prior(power=1.5)),
                ):
                    saliency = ridge_map(of.z, of.odd, GRID, prior).reshape(GRID)
                    areas = {
                        "deletion": ls.metrics.deletion(f, image, saliency, steps=28).area,
                        "insertion": ls.metrics.insertion(f, image, saliency, steps=28).area,
                    }
                    kept.append({"candidate": name, "n": 2 * SHORT + 2, "part": 0, "r2": None, **areas})
                file.write_text(json.dumps(kept))
                print(network, stem, "confirmation", flush=True)
            rows += [{"network": network, "picture": stem, **row} for row in json.loads(file.read_text())]
    return rows


def report(rows: list[dict[str, Any]]) -> str:
    """Markdown: each candidate beside the default law at the same budget, paired over pictures, 95 % intervals."""
    frame = pd.DataFrame(rows)
    frame["areas"] = frame["insertion"] - frame["deletion"]
    means = frame.groupby(["n", "candidate", "network", "picture"])[["r2", "areas"]].mean().reset_index()
    lines = [
        "| evaluations | what | pictures | R^2, median | insertion - deletion | less the default's |",
        "|---" * 6 + "|",
    ]
    for (n, name), group in means.groupby(["n", "candidate"], sort=False):
        beside = "two stages: none" if name.startswith("two stages") else "1 2 4 7"
        base = means[(means["n"] == n) & (means["candidate"] == beside)]
        both = group.merge(base, on=["network", "picture"], suffixes=("", "_base"))
        gap = (both["areas"] - both["areas_base"]).to_numpy()
        half = scipy.stats.t.ppf(0.975, len(gap) - 1) * gap.std(ddof=1) / np.sqrt(len(gap)) if len(gap) > 2 else np.nan
        interval = "-" if name == beside else f"{gap.mean():+.3f} +- {half:.3f}"
        shown = f"{group['r2'].median():.2f} | {group['areas'].mean():.3f} | {interval}"
        lines.append(f"| {n} | {name} | {len(group)} | {shown} |")
    return "\n".join(lines)


def main() -> None:
    """Evaluate for some minutes; once nothing is missing, estimate and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=1e9)
    asked = parser.parse_args()
    warnings.filterwarnings("ignore", category=ls.LegstatWarning)
    end = time.monotonic() + 60.0 * asked.minutes
    evaluate(asked.folder, end)
    second_stage(asked.folder, end)
    rows = scored(asked.folder, end)
    print(report(rows))
    others = confirmed(asked.folder, end)
    print(report(others))
    errors_of_laws = standard_errors(asked.folder, end)
    maps_of_laws(asked.folder, Path(__file__).parents[1] / "paper_figures" / "results" / "laws.npz")
    default, smoother = default_law(asked.folder, end), smoother_prior(asked.folder, end)
    save("laws", rows, confirmation=others, errors=errors_of_laws, default=default, leg_tv=smoother)


if __name__ == "__main__":
    main()
