"""Settings of I-GOS and the mask, searched on pictures that no study reports.

MobileNetV2, 28 x 28 cells, exact gradients, scores in units of the difference between picture and baseline; areas under
the curves of the first choice's probability along 28 steps, blurred picture for both. Pictures: even positions of the
sorted images/samples that the network gets right with a probability of .3 and more; settings are tried on the first of
the list below, quickly (8 iterations of 8 points; 100 of the mask's 300) and then in full.

The rows are saved after each map; a run that is stopped goes on where it was.

Run: LEGSTAT_DATA=... PYTHONPATH=. python benchmarks/search_baselines.py [SETTING ...] [--pictures 4] [--table]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from pictures import DATA, network, torch_network
from timing import RESULTS, write

import legstat as ls
from legstat._core.files import json_value
from legstat._core.typing import FloatArray
from legstat.baselines import BaselineResult
from legstat.baselines.games import MaskGame, MaskSettings
from legstat.baselines.integrated import Descent, IgosSettings
from legstat.baselines.problem import Problem

NAME, SHAPE, STEPS = "mobilenet_v2_1.0_224", (28, 28), 28
FILE = RESULTS / "baselines_search.json"
PICTURES = (
    "n01776313_tick",
    "n02110627_affenpinscher",
    "n02776631_bakery",
    "n04458633_totem_pole",
    "n01484850_great_white_shark",
)
Settings = IgosSettings | MaskSettings
IGOS = IgosSettings(baseline="blur", l1=0.1, tv=100.0, steps=10, noise=0.0, score="given", in_contrasts=True)
MASK = MaskSettings(in_contrasts=True)


def _settings() -> Iterator[tuple[str, Settings]]:
    quick_igos, quick_mask = replace(IGOS, iterations=8, steps=8), replace(MASK, iterations=100)
    changes: dict[str, dict[str, Any]] = {
        f"sigma {sigma}": {"lift": "gaussian", "sigma": float(sigma)} for sigma in (12, 16, 20, 30)
    }
    half: dict[str, Any] = {"start": "half"}
    yield "igos, quick", quick_igos
    yield "igos, quick, noise", replace(quick_igos, noise=0.045)
    for name, change in changes.items():
        if name != "sigma 16":
            yield f"igos, quick, {name}", replace(quick_igos, **change)
        yield f"igos, quick, half, {name}", replace(quick_igos, **change, **half)
    coarse = replace(quick_igos, **changes["sigma 20"])
    yield "igos, quick, sigma 20, l1 0", replace(coarse, l1=0.0)
    yield "igos, quick, sigma 20, probability", replace(coarse, score="probability")
    yield "igos, quick, half, sigma 20, noise", replace(coarse, noise=0.045, **half)
    yield "igos, quick, half, sigma 20, l1 0.5", replace(coarse, l1=0.5, **half)
    yield "igos, quick, half, sigma 20, tv 2000", replace(coarse, tv=2000.0, **half)
    yield "mask, quick", quick_mask
    yield "mask, quick, half", replace(quick_mask, **half)
    for name in ("sigma 20", "sigma 30"):
        yield f"mask, quick, {name}", replace(quick_mask, **changes[name])
    for name in ("sigma 12", "sigma 20"):
        yield f"mask, quick, half, {name}", replace(quick_mask, **changes[name], **half)
    for l1 in (3e-4, 1e-3):
        yield f"mask, quick, half, l1 {l1:g}", replace(quick_mask, l1=l1, **half)
    yield "igos", IGOS
    yield "igos, 30 iterations", replace(IGOS, iterations=30)
    yield "igos, half, sigma 12", replace(IGOS, **changes["sigma 12"], **half)
    yield "igos, half, sigma 20", replace(IGOS, **changes["sigma 20"], **half)
    yield "igos, half, sigma 20, 8 x 16", replace(IGOS, iterations=8, steps=16, **changes["sigma 20"], **half)
    yield "mask", MASK
    yield "mask, half", replace(MASK, **half)
    yield "mask, l1 0.0003", replace(MASK, l1=3e-4)
    yield "mask, half, l1 0.0003", replace(MASK, l1=3e-4, **half)
    yield "mask, half, sigma 12, l1 0.0003", replace(MASK, l1=3e-4, **changes["sigma 12"], **half)
    yield "mask, sigma 30", replace(MASK, **changes["sigma 30"])


SETTINGS: dict[str, Settings] = dict(_settings())


def with_settings(exact: ls.Response, image: FloatArray, settings: Settings, seed: int) -> BaselineResult:
    """The map by settings that the functions do not name."""
    how: dict[str, Any] = {"score": settings.score, "in_contrasts": settings.in_contrasts}
    problem = Problem("search", exact, image, "exact", None, seed, shape=SHAPE, baseline="blur", **how)
    if isinstance(settings, IgosSettings):
        return Descent(problem, settings).run()
    return MaskGame(problem, settings).run()


def main() -> None:
    """Run what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("settings", nargs="*", default=list(SETTINGS))
    parser.add_argument("--pictures", type=int, default=4)
    parser.add_argument("--table", action="store_true", help="print the table of the rows that there are, no more")
    asked = parser.parse_args()
    rows: list[dict[str, Any]] = json_value(FILE.read_text(encoding="utf-8"))["rows"] if FILE.is_file() else []
    if not asked.table:
        known = {(row["setting"], row["picture"]) for row in rows}
        curves, (_, exact) = network(NAME, "probability", threads=1), torch_network(NAME)
        for seed, picture in enumerate(PICTURES[: asked.pictures]):
            image = curves.load_image(DATA / "images" / "samples" / f"{picture}.JPEG")
            bound, _ = curves.bind(image)
            for setting in [one for one in asked.settings if (one, picture) not in known]:
                start = time.process_time()
                made = with_settings(exact, image, SETTINGS[setting], seed)
                row = {"setting": setting, "picture": picture, "seconds": time.process_time() - start}
                row["hidden"] = float(np.mean(1.0 - made.mask))
                for curve in (ls.metrics.insertion, ls.metrics.deletion):
                    row[curve.__name__] = curve(bound, image, made.saliency, steps=STEPS).area
                rows.append(row)
                write("baselines_search", {"network": NAME, "rows": rows})
                print(row, flush=True)
    print("\n| setting | pictures | hidden | insertion | deletion | difference |\n|---|---|---|---|---|---|")
    for setting in asked.settings:
        mine = [row for row in rows if row["setting"] == setting]
        if mine:
            hidden, insertion, deletion = (
                np.mean([row[key] for row in mine]) for key in ("hidden", "insertion", "deletion")
            )
            print(
                f"| {setting} | {len(mine)} | {hidden:.3f} | {insertion:.3f} | {deletion:.3f} "
                f"| {insertion - deletion:.3f} |"
            )


if __name__ == "__main__":
    main()
