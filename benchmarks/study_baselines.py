"""mask and I-GOS, with exact gradients and with queries alone, against each other and two controls on a real network.

Protocol: MobileNetV2, 28 x 28 cells, areas under the curves of the first choice's probability along 56 steps, blurred
picture for both: those of `study_comparison.py`, on its pictures. Exact gradients are those of the ONNX graph followed
with torch; maps from queries and all curves are ONNX Runtime's. Settings were searched on three pictures that are left
out (triceratops, sorrel, bow), and on others (`search_baselines.py`).

The rows are saved after each map; a run that is stopped goes on where it was. Maps that are left out of `--maps` keep
their rows, and the tables take all pictures that every map in them has.

Run: LEGSTAT_DATA=... PYTHONPATH=. python benchmarks/study_baselines.py [--maps NAME ...] [--pictures 24]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from pictures import DATA, NETWORKS
from search_baselines import SETTINGS, with_settings
from study_comparison import OURS, chosen
from timing import RESULTS, write

import legstat as ls
from legstat._core.files import json_value
from legstat._core.typing import FloatArray
from legstat.baselines import igos, mask
from legstat.comparison.methods.controls import CentreMap, RandomMap
from legstat.comparison.statistics import paired_differences
from tests.helpers_torch import OnnxModule

NAME, SHAPE = "mobilenet_v2_1.0_224", (28, 28)
SEARCHED = ("n01704323", "n02389026", "n02879718")
FILE = RESULTS / "baselines.json"
MEASURES: dict[str, Callable[[dict[str, Any]], float]] = {
    "insertion": lambda row: row["insertion"],
    "deletion": lambda row: row["deletion"],
    "difference": lambda row: row["insertion"] - row["deletion"],
}


def maps() -> dict[str, Callable[[FloatArray, int], Any]]:
    """What is compared, by name: from a picture and a seed to something with a saliency."""
    path = DATA / "models" / f"{NAME}.onnx"
    module = OnnxModule(path, "logits")
    settings = ls.TorchSettings(channels_last=True)
    exact = ls.torch_response(
        module, preprocessing=NETWORKS[NAME], output_kind="logits", input_shape=(3, 224, 224), settings=settings
    )
    asked = ls.onnx_response(path, preprocessing=NETWORKS[NAME], score="log_odds", threads=1, batch_size=2)
    found: dict[str, Callable[[FloatArray, int], Any]] = {
        "random": lambda image, seed: RandomMap(SHAPE)(asked, image, 0, seed),
        "centre": lambda image, seed: CentreMap(SHAPE)(asked, image, 0, seed),
        "igos exact": lambda image, seed: igos(exact, image, rng=seed),
        "mask exact": lambda image, seed: mask(exact, image, rng=seed),
    }
    for setting in ("igos, half, sigma 12", "igos, half, sigma 20, 8 x 16", "mask, half", "mask, half, l1 0.0003"):
        found[f"{setting} exact"] = lambda image, seed, how=SETTINGS[setting]: with_settings(exact, image, how, seed)
    for n in (2000, 6000):
        how: dict[str, Any] = {"gradient": "queries", "n_queries": n}
        found[f"igos {n}"] = lambda image, seed, how=how: igos(asked, image, rng=seed, **how)
        found[f"mask {n}"] = lambda image, seed, how=how: mask(asked, image, rng=seed, **how)
    found["igos paper"] = lambda image, seed: igos(exact, image, rng=seed, conventions="paper")
    found["mask paper"] = lambda image, seed: mask(exact, image, rng=seed, conventions="paper")
    for name, method in OURS.items():
        found[f"{name} 2000"] = lambda image, seed, method=method: method(asked, image, 2000, seed)
    return found


def main() -> None:
    """Run what is missing, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maps", nargs="*", default=["random", "centre", "igos exact", "mask exact"])
    parser.add_argument("--pictures", type=int, default=24)
    parser.add_argument("--table", action="store_true", help="print the tables of the rows that there are, no more")
    parser.add_argument("--against", nargs="*", default=["centre", "random"])
    asked = parser.parse_args()
    rows: list[dict[str, Any]] = json_value(FILE.read_text(encoding="utf-8"))["rows"] if FILE.is_file() else []
    if not asked.table:
        _run(rows, asked.maps, asked.pictures)
    _print(rows, asked.maps, asked.against)


def _run(rows: list[dict[str, Any]], names: list[str], pictures: int) -> None:
    curves = ls.onnx_response(
        DATA / "models" / f"{NAME}.onnx", preprocessing=NETWORKS[NAME], score="probability", threads=1, batch_size=2
    )
    known, runs = {(row["picture"], row["map"]) for row in rows}, maps()
    found = chosen(NAME, "cpu", pictures + len(SEARCHED)).items()
    reported = [one for one in found if not one[0].startswith(SEARCHED)][:pictures]
    for seed, (picture, image) in enumerate(reported):
        bound, _ = curves.bind(image)
        for name in names:
            if (picture, name) in known:
                continue
            start = time.process_time()
            made = runs[name](image, seed)
            seconds = time.process_time() - start
            insertion, deletion = (
                curve(bound, image, made.saliency).area for curve in (ls.metrics.insertion, ls.metrics.deletion)
            )
            row = {"picture": picture, "map": name, "insertion": insertion, "deletion": deletion, "seconds": seconds}
            for fact in ("n_queries", "n_backward", "tied"):
                row[fact] = getattr(made, fact, 0)
            rows.append(row)
            write("baselines", {"network": NAME, "rows": rows})
            print(picture, name, f"{insertion:.3f} {deletion:.3f}, {seconds:.1f} s", flush=True)


def _print(rows: list[dict[str, Any]], names: list[str], references: list[str]) -> None:
    """Means, and paired differences with 95 % intervals that hold for all maps of a column at once."""
    by_map = {name: {row["picture"]: row for row in rows if row["map"] == name} for name in names}
    pictures = [one for one in by_map[names[0]] if all(one in own for own in by_map.values())]
    values = {
        measure: {name: np.array([of(own[one]) for one in pictures]) for name, own in by_map.items()}
        for measure, of in MEASURES.items()
    }
    print(
        f"\n{len(pictures)} pictures\n\n| map | insertion | deletion | difference | evaluations | backward | seconds |"
    )
    print("|---|---|---|---|---|---|---|")
    for name, own in by_map.items():
        means = [values[measure][name].mean() for measure in MEASURES]
        spent = [np.mean([own[one][fact] for one in pictures]) for fact in ("n_queries", "n_backward", "seconds")]
        print(f"| {name} | {' | '.join(f'{one:.3f}' for one in means)} | {' | '.join(f'{one:.0f}' for one in spent)} |")
    for reference in [one for one in references if one in names]:
        others = [name for name in names if name != reference]
        print(f"\n| less {reference} | {' | '.join(MEASURES)} |\n|---|---|---|---|")
        found = {
            measure: paired_differences(np.array([own[name] - own[reference] for name in others]), 0.95)
            for measure, own in values.items()
        }
        for i, name in enumerate(others):
            cells = [f"{one.means[i]:+.3f} [{one.low[i]:+.3f}, {one.high[i]:+.3f}]" for one in found.values()]
            print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
