"""What the pages say of the block law beside the search of study_laws.py: its pilot, its edges, refitted levels.

Pilot: standard errors of cross-fitted moments by the pilot's prior, smooth or Sigma^-1; R^2 of shrunken moments; the
structured law beside it. Edges: even part over odd part, and standard errors, under sharp and smooth ones. Levels: the
rule "simplest" on the penalised path, on the relaxed one, and with regions merged.

MobileNetV2 (edges: SqueezeNet 1.1 too), 28 x 28 cells, `Blend("blur")`, pairs, log-odds; pictures at even positions of
the sorted names, and those that the pages name.

Run: LEGSTAT_DATA=... OMP_NUM_THREADS=1 python benchmarks/study_blocks.py FOLDER
FOLDER keeps what is finished: a run that was stopped goes on where it was. Writes results/blocks.json
and results/levels.json.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pictures import DATA, NETWORKS
from study_comparison import opened
from study_laws import COUNT, GRID, boxes, errors, pictures
from timing import write

import legstat as ls
from legstat._core.typing import FloatArray
from legstat.estimators.heldout import heldout_r2
from legstat.inference.covariance import Covariance

SHOWN = ("golden_retriever", "zebra", "toucan")
FURTHER = ("jay", "gibbon", "jeep", "great_white_shark")
FEW, MANY = 500, 2000
CHAMELEON = "American_chameleon"
MOBILENET = "mobilenet_v2_1.0_224"


class OwnPrior(ls.MultiscaleBlocks):
    """The block law, with the pilot that Gaussian laws have: a ridge map whose prior has covariance Sigma^-1."""

    smooth_pilot = False


def named(f: ls.Response, name: str) -> FloatArray:
    """A picture of images/samples by its class."""
    (file,) = (DATA / "images" / "samples").glob(f"n*_{name}.JPEG")
    return f.load_image(file)


def asked(f: ls.Response, image: FloatArray, law: ls.Design, n: int, perturbation: ls.Blend | None = None) -> Any:
    """A sample, always of the same draws."""
    how = {"perturbation": perturbation or ls.Blend(), "batch_size": 2, "progress": False}
    return ls.query(f, image, law, n, rng=0, **how)


def shrunken_r2(sample: ls.QuerySample) -> float:
    """Five-fold R^2 of the shrunken moments."""
    found = heldout_r2(sample, lambda fold: sample.moments("adaptive", leave_out=fold).gamma[None])
    return float(found.r2[0])


def found_boxes(sample: ls.QuerySample) -> int:
    """Boxes of 7 x 7 whose sum is beyond 3.3 standard errors."""
    moments, sums = sample.moments("crossfit"), boxes(7)
    size = np.sqrt(np.diag(Covariance(sample.units, moments.influence).of(sums)[0]))
    return int(np.sum(np.abs(sums @ moments.gamma.ravel()) > 3.3 * size))


def leg(sample: ls.QuerySample) -> dict[str, Any]:
    """Median standard errors of boxes and cells, boxes that are found, R^2 of LEG."""
    of = errors(sample)
    r2 = ls.LEG(sample).fit().r2_heldout
    return {"box": of["7 x 7"][0], "cell": of["cells"][0], "boxes": found_boxes(sample), "r2": r2}


def pilot(name: str) -> dict[str, Any]:
    """Both priors of the pilot at both budgets; the structured law on the first picture; one picture's numbers."""
    f = opened(MOBILENET, "cpu")
    image, rows = named(f, name), []
    laws = {"smooth": ls.MultiscaleBlocks(GRID)}
    if name in SHOWN:
        laws["own"] = OwnPrior(GRID)
    if name == SHOWN[0]:
        laws["structured"] = ls.StructuredGaussian(GRID, scale=0.25)
    for label, law in laws.items():
        for n in (FEW, MANY) if label != "structured" and name in SHOWN else (MANY,):
            sample = asked(f, image, law, n)
            shrunken = {"shrunken r2": shrunken_r2(sample)} if n == MANY and label != "own" else {}
            rows.append({"prior": label, "n": n, **leg(sample), **shrunken})
    return {"picture": name, "rows": rows}


def edges(network: str) -> dict[str, Any]:
    """The chameleon under sharp and smooth edges."""
    f, found = opened(network, "cpu"), {}
    image = named(f, CHAMELEON)
    for lift in ("cells", "smooth"):
        sample = asked(f, image, ls.MultiscaleBlocks(GRID), 702, ls.Blend(lift=lift))
        plus, minus = sample.responses.reshape(-1, 2).T
        even, odd = (plus + minus) / 2.0, (plus - minus) / 2.0
        found[lift] = {"even over odd": float(even.std() / np.sqrt(np.mean(odd**2))), "box": errors(sample)["7 x 7"][0]}
    return {"network": network, **found}


def levels(stem: str, image: FloatArray) -> dict[str, Any]:
    """R^2, regions, areas of what "simplest" takes; of the penalised path what the best L has, too."""
    f, rows = opened(MOBILENET, "cpu"), {}
    sample = asked(f, image, ls.MultiscaleBlocks(GRID), MANY)
    penalised, relaxed = (ls.LEGTV(sample, relaxed=way).fit_path(progress=False) for way in (False, True))
    for label, path, at in (
        ("best", penalised, penalised.heldout.best),
        ("penalised", penalised, penalised.heldout.simplest),
        ("relaxed", relaxed, relaxed.heldout.simplest),
    ):
        rows[label] = {"result": path[at], "r2": float(path.heldout.r2[at])}
    merged = relaxed.select("simplest")
    rows["merged"] = {"result": merged, "r2": merged.r2_heldout}
    for row in rows.values():
        result = row.pop("result")
        row |= {"regions": int(result.n_regions), "L_ratio": float(result.L_ratio)}
        inserted = ls.metrics.insertion(f, image, result.saliency, steps=28).area
        row["areas"] = inserted - ls.metrics.deletion(f, image, result.saliency, steps=28).area
    return {"picture": stem, **rows}


def main() -> None:
    """Each part picture by picture, kept; then the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    warnings.filterwarnings("ignore", category=ls.LegstatWarning)

    def kept(name: str, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        file = folder / f"{name}.json"
        if not file.is_file():
            file.write_text(json.dumps(compute()))
            print(name, file.read_text(), flush=True)
        return json.loads(file.read_text())

    laws = {
        "pilot": [kept(f"pilot {name}", lambda name=name: pilot(name)) for name in SHOWN + FURTHER],
        "edges": [kept(f"edges {name}", lambda name=name: edges(name)) for name in NETWORKS],
    }
    write("blocks", laws)
    of = pictures(MOBILENET, COUNT)
    rows = [kept(f"levels {stem}", lambda stem=stem, image=image: levels(stem, image)) for stem, image in of]
    write("levels", {"rows": rows})


if __name__ == "__main__":
    main()
