"""How often the checks are right: false alarms where there is nothing to find, and what they catch.

    LEGSTAT_DATA=... python benchmarks/study_checks.py [placebo learnt resemblance cascade spread preprocessing
                                                        confidence]

writes ``benchmarks/results/checks.json``, part by part. The first four use the network and the digits that come along,
the others the networks of ``LEGSTAT_DATA``, on pictures at odd positions of the sorted file names.
"""

from __future__ import annotations

import csv
import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.stats

import legstat as ls
from legstat import checks
from legstat.checks.cascades import judged
from legstat.checks.networks import meant_rules, probabilities
from legstat.data import digits_model_path, load_digit

STORE = Path(__file__).resolve().parent / "results" / "checks.json"
BLEND = ls.Blend("blur", at=0.5)
DIGITS_DESIGN = ls.MultiscaleBlocks(grid=(8, 8))
NETWORKS: dict[str, tuple[str | ls.Preprocessing, str]] = {
    "mobilenet_v2_1.0_224": ("tf", "imagenet"),
    "squeezenet1.1": ("caffe", "imagenet"),
    "cifar10_resnet20": ("unit", "cifar"),
    "cifar10_resnet_4b_robust": (
        ls.Preprocessing(mean=(0.4914, 0.4822, 0.4465), std=(0.2471, 0.2435, 0.2616)),
        "cifar",
    ),
}


def digits(path: str | Path | None = None, target: int | str = "top") -> ls.OnnxResponse:
    """The network that comes along, or one of its kind."""
    return ls.onnx_response(path or digits_model_path(), preprocessing="unit", target=target)


def queried(f: ls.Response, image: Any, n_queries: int, rng: int = 0) -> ls.QuerySample:
    """A sample under the block law, in deletion coordinates."""
    return ls.query(f, image, DIGITS_DESIGN, perturbation=BLEND, n_queries=n_queries, rng=rng, progress=False)


def rate(hits: Any) -> dict[str, float]:
    """A share with its standard error."""
    share = float(np.mean(hits))
    return {"share": share, "error": float(np.sqrt(share * (1 - share) / len(hits))), "of": len(hits)}


def placebo() -> dict[str, Any]:
    """Cells called significant where signs are flipped at random, by response, design and number of queries."""
    found: dict[str, Any] = {}
    gamma = np.zeros((8, 8))
    gamma[2:5, 3:6] = 1.0
    responses: dict[str, Callable[[int], tuple[Any, Any]]] = {
        "digits network": lambda i: (digits(), load_digit(i)[0]),
        "logistic": lambda i: (ls.simulate.logistic(5.0 * gamma), np.full((1, 8, 8), 0.5)),
    }
    designs = {"blocks": DIGITS_DESIGN, "structured": ls.StructuredGaussian(grid=(8, 8), scale=0.25)}
    for name, make in responses.items():
        for law, design in designs.items():
            for n_queries in (301, 801):
                results = []
                for i in range(20):
                    f, image = make(i)
                    sample = (
                        ls.query(f, image, design, perturbation=BLEND, n_queries=n_queries, rng=i, progress=False)
                        if name != "logistic"
                        else ls.query(
                            f,
                            image,
                            design,
                            perturbation=ls.Additive(clip=False),
                            n_queries=n_queries,
                            rng=i,
                            progress=False,
                        )
                    )
                    results.append(checks.placebo(sample, n_placebos=10, rng=i))
                shares = np.array([one.value for one in results])
                found[f"{name}, {law}, {n_queries} evaluations"] = {
                    "share": float(shares.mean()),
                    "error": float(shares.std(ddof=1) / np.sqrt(len(shares))),
                    "failed": sum(one.status == "failed" for one in results),
                    "of": len(results),
                }
    return found


def learnt() -> dict[str, Any]:
    """`learnt_weights` on the trained network and on untrained ones."""
    trained = []
    for i in range(20):
        sample = queried(digits(), load_digit(i)[0], 10)
        trained.append(checks.learnt_weights(digits(), sample, rng=i).value)
    found: dict[str, Any] = {"trained": rate(np.array(trained) <= 0.05)}
    with tempfile.TemporaryDirectory() as folder:
        for law in ("normal", "uniform"):
            untrained = []
            for i in range(100):
                f = digits(checks.randomize(digits_model_path(), Path(folder) / "u.onnx", law=law, rng=i))
                sample = queried(f, load_digit(i % 20)[0], 10)
                untrained.append(checks.learnt_weights(f, sample, n_queries=22, rng=i).value)
            found[f"untrained, {law}"] = {**rate(np.array(untrained) <= 0.05), "mean": float(np.mean(untrained))}
    return found


def resemblance() -> dict[str, Any]:
    """How often maps of networks with random weights resemble each other, on the same picture."""
    networks, pictures = 6, 12
    pvalues = []
    with tempfile.TemporaryDirectory() as folder:
        laws = [("normal", "permuted")[i % 2] for i in range(networks)]
        asked = [
            digits(checks.randomize(digits_model_path(), Path(folder) / f"{i}.onnx", law=law, rng=i), 3)
            for i, law in enumerate(laws)
        ]
        for j in range(pictures):
            image = load_digit(j)[0]
            maps = []
            for i, f in enumerate(asked):
                sample = queried(f, image, 300, rng=1000 * j + i)
                (tv,) = ls.LEGTV(sample).fit_path(n_Ls=1, L_ratio_min=0.1, progress=False)
                maps.append(tv.saliency)
            pvalues += [
                checks.resemblance(maps[a], maps[b], rng=len(pvalues)).pvalues
                for a in range(networks)
                for b in range(a)
            ]
    return {
        f"{measure} at {level:g}": rate(np.array([p[measure] for p in pvalues]) <= level)
        for measure in ("spearman", "ssim", "hog")
        for level in (0.05, 0.01)
    }


def cascade() -> dict[str, Any]:
    """`cascading_randomisation` on ten digits, trained network, by law."""
    found: dict[str, Any] = {}
    for law in ("normal", "uniform", "permuted"):
        results = []
        for i in range(10):
            sample = queried(digits(), load_digit(i)[0], 10)
            run = checks.cascade(digits(), sample, law=law, n_queries=600, rng=i)
            results.append(judged(run, n_surrogates=99, rng=i))
        repeated = [one.details["repeated"]["legtv"]["spearman"] for one in results]
        last = [one.details["cascade"][-1] for one in results]
        found[law] = {
            "passed": sum(one.status == "passed" for one in results),
            "failed": sum(one.status == "failed" for one in results),
            "of": len(results),
            "spearman_repeated": float(np.mean(repeated)),
            "spearman_last": float(np.mean([row["legtv"]["spearman"] or 0.0 for row in last])),
        }
    return found


def pictures_of(data: Path, source: str, most: int, first: int = 1) -> tuple[list[Any], list[int]]:
    """Pictures with labels: every second one; those from the second one on are pictures that nothing was tuned on."""
    if source == "cifar":
        with np.load(data / "images" / "cifar10_lossless_from_vnnlib.npz") as file:
            images, labels = file["images"][first::2], file["labels"][first::2]
        chosen = [image.transpose(2, 0, 1) / 255.0 for image in images[:most]]
        return chosen, [int(label) for label in labels[:most]]
    rows = csv.DictReader((data / "labels" / "imagenet_samples.csv").read_text(encoding="utf-8").splitlines())
    table = {row["file"]: int(row["label"]) for row in rows}
    files = sorted((data / "images" / "samples").iterdir())[first::2][:most]
    return files, [table[file.name] for file in files]


def spread(data: Path) -> dict[str, Any]:
    """How far the score varies, of networks as they are and with random weights."""
    found: dict[str, Any] = {}
    for name, (rule, source) in NETWORKS.items():
        f = ls.onnx_response(data / "models" / f"{name}.onnx", preprocessing=rule)
        one = pictures_of(data, source, 1)[0][0]
        image = f.load_image(one) if isinstance(one, Path) else one
        design = ls.MultiscaleBlocks(grid=(8, 8) if source == "cifar" else (14, 14))
        sample = ls.query(f, image, design, perturbation=BLEND, n_queries=10, rng=0, progress=False)
        for law in ("permuted", "normal"):
            told = checks.learnt_weights(f, sample, n_queries=22, law=law, rng=0)
            others = [value for value in told.details["sd_random"] if value is not None]
            found[f"{name}, {law}"] = {
                "status": told.status,
                "pvalue": told.value,
                "sd": told.details["sd"],
                "sd_random": [float(np.median(others)), float(np.max(others))],
            }
    return found


def fed(f: ls.OnnxResponse) -> dict[str, ls.Preprocessing]:
    """A network's own preprocessing, and two mistakes."""
    mine = f.preprocessing
    return {
        "as it should": mine,
        "channels reversed": replace(mine, channel_order="RGB" if mine.channel_order == "BGR" else "BGR"),
        "scale 1 for 255, or 255 for 1": replace(mine, scale=1.0 if mine.scale == 255 else 255.0),
    }


def preprocessing(data: Path) -> dict[str, Any]:
    """Networks rightly and wrongly fed."""
    found: dict[str, Any] = {}
    for name, (rule, source) in NETWORKS.items():
        pictures, labels = pictures_of(data, source, 24)
        f = ls.onnx_response(data / "models" / f"{name}.onnx", preprocessing=rule)
        for how, rule_fed in fed(f).items():
            told = checks.preprocessing(f.with_preprocessing(rule_fed), pictures, labels)
            found[f"{name}, {how}"] = {
                "status": told.status,
                "top_1": told.value,
                "best": max(told.details["top_1"].values()),
                "least_pvalue": min(told.details["pvalues"].values()),
                "of": len(labels),
            }
    return found


def sureness(chances: Any) -> dict[str, Any]:
    """How sure a network is of its first choice, whatever that is: three ways to say it of each picture."""
    log = np.log(np.maximum(chances, 1e-300))
    ordered = np.sort(log, axis=1)
    return {
        "probability": chances.max(axis=1),
        "margin": ordered[:, -1] - ordered[:, -2],
        "standing": (ordered[:, -1] - log.mean(axis=1)) / log.std(axis=1),
    }


def confidence(data: Path) -> dict[str, Any]:
    """Presets compared without labels: of which rule the network is surer than of the one it is fed by, if of any."""
    found: dict[str, Any] = {}
    for name, (rule, source) in NETWORKS.items():
        f = ls.onnx_response(data / "models" / f"{name}.onnx", preprocessing=rule, threads=1)
        for positions, first in (("even", 0), ("odd", 1)):
            pictures, _ = pictures_of(data, source, 30, first)
            images = [f.load_image(one) if isinstance(one, Path) else one for one in pictures]
            for how, rule_fed in fed(f).items():
                found[f"{name}, {positions} positions, {how}"] = surer(f.with_preprocessing(rule_fed), images)
    return found


def surer(f: ls.OnnxResponse, images: list[Any]) -> dict[str, Any]:
    """The rule of which a network is significantly surer, by each way to say how sure it is."""
    settled, _ = f.with_batch_size(1).bind(images[0])
    sure = {
        rule: sureness(probabilities(settled.with_preprocessing(how), images))
        for rule, how in meant_rules(settled).items()
    }
    mine, told = sure.pop("as given"), {"of": len(images)}
    for kind, values in mine.items():
        pvalues = {
            rule: float(scipy.stats.wilcoxon(other[kind], values, alternative="greater").pvalue)
            for rule, other in sure.items()
        }
        least = min(pvalues, key=lambda rule: pvalues[rule])
        told[kind] = least if pvalues[least] <= 0.05 / len(pvalues) else None
    return told


def main() -> None:
    """Run the parts named on the command line, or all, and store each."""
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "placebo": placebo,
        "learnt": learnt,
        "resemblance": resemblance,
        "cascade": cascade,
        "spread": lambda: spread(Path(os.environ["LEGSTAT_DATA"])),
        "preprocessing": lambda: preprocessing(Path(os.environ["LEGSTAT_DATA"])),
        "confidence": lambda: confidence(Path(os.environ["LEGSTAT_DATA"])),
    }
    for name in sys.argv[1:] or list(parts):
        found = parts[name]()
        stored = json.loads(STORE.read_text(encoding="utf-8")) if STORE.is_file() else {}
        stored[name] = found
        STORE.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
        print(name, json.dumps(found, indent=1), flush=True)


if __name__ == "__main__":
    main()
