"""Adversarial pictures before the mask and I-GOS: told apart by the mask's energy, undone by its deletion.

Mask paper, 5.5 ("one-step iterative method", 8 of 255 levels: one step, and ten), I-GOS paper, supplement IV (MI-FGSM).
I-GOS is run on the attack of its own paper, the mask on all. Pictures that the
network gets right with a probability of .3 and more: of CIFAR-10 those from the ninth on (the first eight were searched
on), of ImageNet those of `study_comparison.py` without the three that weights were searched on. Each is attacked by
exact gradients, and with `--queries` by estimated ones; masks are exact, of the first choice of what they are shown.

The rows are saved after each picture; a run that is stopped goes on where it was.

Run: LEGSTAT_DATA=... PYTHONPATH=. python benchmarks/study_adversarial.py [--network cifar10_resnet20] [--pictures 32]
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

import numpy as np
from pictures import DATA, NETWORKS
from study_baselines import SEARCHED
from study_comparison import LEAST, chosen
from timing import RESULTS, machine

import legstat as ls
from legstat._core.files import json_text, json_value, write_text
from legstat._core.typing import FloatArray
from legstat.baselines import BaselineResult, adversarial, detection, igos, mask, recovery
from tests.helpers_torch import OnnxModule

FILE = RESULTS / "adversarial.json"
CIFAR = "cifar10_resnet20"
EPSILON = 8.0 / 255.0
NUMBERS = ("energy", "area", "variation", "insertion")


def opened(network: str) -> tuple[ls.TorchResponse, ls.OnnxResponse]:
    """The network with exact gradients, and the file for queries alone."""
    path, rule = DATA / "models" / f"{network}.onnx", NETWORKS.get(network, "unit")
    module = OnnxModule(path, "logits")
    return (
        ls.torch_response(module, preprocessing=rule, output_kind="logits"),
        ls.onnx_response(path, preprocessing=rule, threads=1),
    )


def pictures(network: str, count: int, f: ls.TorchResponse) -> dict[str, FloatArray]:
    """The pictures, by the rule above."""
    if network != CIFAR:
        found = chosen(network, "cpu", count + len(SEARCHED))
        return dict([one for one in found.items() if not one[0].startswith(SEARCHED)][:count])
    with np.load(DATA / "images" / "cifar10_lossless_from_vnnlib.npz") as file:
        images, labels = file["images"].transpose(0, 3, 1, 2) / 255.0, file["labels"]
    kept = {}
    for i in range(8, len(images)):
        about = f.bind(images[i])[0].describe()
        if about["target"] == labels[i] and about["probability_x0"] >= LEAST and len(kept) < count:
            kept[f"{i:02d}"] = images[i]
    return kept


def numbers(f: ls.Response, picture: FloatArray, found: BaselineResult) -> dict[str, float]:
    """What a mask is told apart by: means of (1 - m)^2, 1 - m, and absolute differences of neighbours; insertion.

    The last is the area under the first choice's probability along 28 steps: the I-GOS paper sees that of an
    adversarial picture almost everything has to be inserted.
    """
    m = found.mask
    steps = np.concatenate([np.abs(np.diff(m, axis=0)).ravel(), np.abs(np.diff(m, axis=1)).ravel()])
    chance = f.bind(picture)[0].as_probability()
    inserted = ls.metrics.insertion(chance, picture, found.saliency, steps=min(28, m.size)).area
    return {
        "energy": found.energy,
        "area": float(np.mean(1.0 - m)),
        "variation": float(steps.mean()),
        "insertion": float(inserted),
    }


def row_of(
    image: FloatArray, exact: ls.TorchResponse, file: ls.OnnxResponse, queries: int, methods: dict[str, Any], seed: int
) -> dict[str, Any]:
    """Everything that is measured on one picture."""
    attacks: dict[str, dict[str, Any]] = {
        "one step": {"attack": "ifgsm", "iterations": 1},
        "ifgsm": {"attack": "ifgsm"},
        "mifgsm": {"attack": "mifgsm"},
    }
    if queries:
        attacks["mifgsm, queries"] = {"attack": "mifgsm", "gradient": "queries", "n_queries": queries}
    row: dict[str, Any] = {}
    clean = {name: method(exact, image, rng=seed) for name, method in methods.items()}
    row["clean"] = {name: numbers(file, image, found) for name, found in clean.items()}
    for name, how in attacks.items():
        asked = file if "gradient" in how else exact
        attacked = adversarial(asked, image, epsilon=EPSILON, rng=seed, **how)
        bound, _ = exact.bind(attacked.picture)
        fooled = bound.target != exact.bind(image)[0].target
        row[name] = {"fooled": fooled, "change": attacked.source["score"] - attacked.source["f_x0"]}
        if not fooled:
            continue
        for method, run in methods.items():
            if method == "igos" and how["attack"] == "ifgsm":
                continue
            found = run(exact, attacked.picture, rng=seed)
            back = recovery(exact, attacked, found)
            told = numbers(file, attacked.picture, found)
            row[name][method] = {**told, "rank": back.rank, "dropped": back.after != back.adversarial}
    return row


def main() -> None:
    """Run what is missing, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default=CIFAR)
    parser.add_argument("--pictures", type=int, default=32)
    parser.add_argument("--queries", type=int, default=0)
    parser.add_argument("--methods", nargs="*", default=["mask", "igos"], help="none: what the attacks reach, no more")
    parser.add_argument("--iterations", type=int, default=300, help="of the mask")
    asked = parser.parse_args()
    exact, file = opened(asked.network)
    known_methods: dict[str, Any] = {"mask": partial(mask, iterations=asked.iterations), "igos": igos}
    methods = {name: known_methods[name] for name in asked.methods}
    study = ", ".join([asked.network, *(asked.methods or ["attacks alone"]), f"{asked.iterations} iterations"])
    known: dict[str, Any] = json_value(FILE.read_text(encoding="utf-8")) if FILE.is_file() else {}
    rows: dict[str, Any] = known.get(study, {})
    for seed, (name, image) in enumerate(pictures(asked.network, asked.pictures, exact).items()):
        if name not in rows:
            rows[name] = row_of(image, exact, file, asked.queries, methods, seed)
            write_text(FILE, json_text({**known, "machine": machine(), study: rows}) + "\n")
            print(name, rows[name], flush=True)
    _print(list(rows.values()))


def _print(rows: list[dict[str, Any]]) -> None:
    print(
        f"\n{len(rows)} pictures\n\n| attack | fooled | method | {' | '.join(f'AUC, {one}' for one in NUMBERS)} | ",
        end="",
    )
    print("adversarial label gone | original first | in the first five |\n|---|---|---|---|---|---|---|---|---|")
    for attack in dict.fromkeys(key for row in rows for key in row if key != "clean"):
        made = [row for row in rows if row.get(attack, {}).get("fooled")]
        change = np.mean([row[attack]["change"] for row in rows])
        print(f"| {attack}: log-odds {change:+.1f} | {len(made)} of {len(rows)} | | | | | | | |")
        for method in [one for one in ("mask", "igos") if len(made) > 1 and one in made[0][attack]]:
            areas = []
            for number in [one for one in NUMBERS if one in made[0]["clean"][method]]:
                before, after = ([row[kind][method][number] for row in made] for kind in ("clean", attack))
                found = detection(before, after)
                areas.append(f"{found.auc:.2f} ({found.std_error:.2f})")
            ranks = np.array([row[attack][method]["rank"] for row in made])
            dropped = np.mean([row[attack][method]["dropped"] for row in made])
            shares = f"{dropped:.2f} | {np.mean(ranks == 1):.2f} | {np.mean(ranks <= 5):.2f}"
            print(f"| | | {method} | {' | '.join(areas)} | {shares} |")


if __name__ == "__main__":
    main()
