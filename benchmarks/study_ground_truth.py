"""Pictures whose cause is known: precision and earth mover's distance of every method that `compare` knows by name.

Tetrominoes on 8 x 8 pixels in the manner of XAI-TRIS, four scenarios on two backgrounds; networks trained for each, to
ONNX. Explained are test pictures that the network gets right. Each method is called as `compare` calls it, at the same
number of counted evaluations, with draws of its own.

Signed maps are judged by their absolute values, as in XAI-TRIS: what is missing tells the class as well. Maps whose
zero means nothing (RISE, the centre, chance) are counted from their smallest value.

Run: python benchmarks/study_ground_truth.py FOLDER [--run mlp 500] [--pictures 20] (networks and finished pictures are
kept there; a run goes on). Stored numbers of networks and budgets that were not asked for stay as they are.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path
from typing import get_args

import numpy as np
from tetromino_networks import train, write
from timing import RESULTS, save

import legstat as ls
from legstat._core.digests import value_sha256
from legstat._core.typing import FloatArray
from legstat.comparison.compare import METHODS
from legstat.comparison.statistics import paired_differences
from legstat.simulate.tetrominoes import Background, Scenario

TRAINED, HELD_OUT, PICTURES, SEED = 8000, 400, 20, 0
SETTINGS = [(s, b) for s in get_args(Scenario) for b in get_args(Background)]
EPOCHS = {"linear": 10, "mlp": 30, "cnn": 12}
UNSIGNED = {"rise", "sobol", "hsic", "centre", "random", "edges"}
"""Maps whose sign means nothing; all others are signed."""
RUNS = [("cnn", 500), ("linear", 500), ("cnn", 100), ("cnn", 2000), ("mlp", 500)]
"""Networks and budgets, the most wanted first: a run may be stopped."""
LEAST = 0.8
"""Share of right answers without which a network has learnt nothing to explain, as in XAI-TRIS."""
MEASURES = ("precision", "mass", "emd")


def prepared(
    folder: Path, scenario: str, background: str, kind: str, pictures: int
) -> tuple[ls.Response, ls.simulate.Tetrominoes, float]:
    """The trained network, the held-out pictures that it gets right, and its share of right answers."""
    drawn = ls.simulate.tetrominoes(scenario, background, TRAINED + HELD_OUT, rng=SEED)  # type: ignore[arg-type]
    path = folder / f"{scenario}-{background}-{kind}.onnx"
    if not path.is_file():
        images, labels = drawn.images[:TRAINED], drawn.labels[:TRAINED]
        write(train(kind, images, labels, epochs=EPOCHS[kind], seed=SEED), path)
    f = ls.onnx_response(path, preprocessing="unit", score="log_odds", threads=1)
    held = slice(TRAINED, None)
    right = f.class_outputs(drawn.images[held]).argmax(axis=1) == drawn.labels[held]
    kept = np.flatnonzero(right)[:pictures] + TRAINED
    return f, ls.simulate.Tetrominoes(drawn.images[kept], drawn.labels[kept], drawn.truths[kept]), float(right.mean())


def measured(name: str, values: FloatArray, truth: FloatArray, seed: int) -> list[float]:
    """Precision, share of mass inside, and XAI-TRIS' score 1 - earth mover's distance."""
    judged = np.abs(values) if name not in UNSIGNED else values - values.min()
    if not judged.any():  # it says nothing: every cell alike
        judged = np.ones_like(judged)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ls.LegstatWarning)  # of constant maps
        precision = ls.metrics.precision(judged, truth, rng=seed)
    return [precision, ls.metrics.mass_inside(judged, truth), 1.0 - ls.metrics.earth_mover(judged, truth)]


def explained(
    folder: Path, scenario: str, background: str, kind: str, budget: int, pictures: int = PICTURES
) -> list[dict[str, object]]:
    """A row for each method and picture."""
    f, found, accuracy = prepared(folder, scenario, background, kind, pictures)
    facts = {"scenario": scenario, "background": background, "network": kind, "accuracy": accuracy, "n_queries": budget}
    rows: list[dict[str, object]] = []
    for number, (image, truth) in enumerate(zip(found.images, found.truths, strict=True)):
        place = folder / f"{scenario}-{background}-{kind}-{budget}-{number}.json"
        mine = json.loads(place.read_text()) if place.is_file() else []
        bound, _ = f.bind(image)
        for name, make in METHODS.items():
            method = make()
            # those that look at the response want a torch module: they take gradients
            if hasattr(method, "check_response") or method.least > budget or name in {row["method"] for row in mine}:
                continue
            rng = np.random.default_rng([SEED, number, int(value_sha256(name)[0][:8], 16)])
            made = method(bound, image, budget, rng)
            values = measured(name, made.saliency, truth, number)
            mine.append({"method": name, "spent": made.n_queries, **dict(zip(MEASURES, values, strict=True))})
            place.write_text(json.dumps(mine))
        rows += [{**facts, "picture": number, **row} for row in mine]
    return rows


def averages(rows: list[dict[str, object]], method: str, measure: str) -> FloatArray:
    """The measure of each picture's number, averaged over settings, shape (pictures,).

    The pictures of a number share their draws from setting to setting: their mean is what is independent.
    """
    values: dict[object, list[float]] = {}
    for row in rows:
        if row["method"] == method:
            values.setdefault(row["picture"], []).append(float(str(row[measure])))
    return np.array([np.mean(values[number]) for number in sorted(values, key=str)])


def summarised(rows: list[dict[str, object]], runs: list[tuple[str, int]]) -> list[dict[str, object]]:
    """Means with standard errors, and paired differences to RISE and to LEG-TV, over the settings of a network."""
    table: list[dict[str, object]] = []
    for kind, budget in runs:
        mine = [row for row in rows if row["network"] == kind and row["n_queries"] == budget]
        groups = [("all", None), *((s, s) for s in get_args(Scenario)), *((b, b) for b in get_args(Background))]
        for label, wanted in groups:
            part = [row for row in mine if wanted is None or wanted in (row["scenario"], row["background"])]
            methods = list(dict.fromkeys(str(row["method"]) for row in part))
            for measure in MEASURES if part else ():
                values = np.array([averages(part, one, measure) for one in methods])
                differences = {one: against(values, methods, one) for one in ("rise", "legtv")}
                for i, method in enumerate(methods):
                    row: dict[str, object] = {"network": kind, "n_queries": budget, "pictures of": label}
                    row |= {
                        "measure": measure,
                        "method": method,
                        "mean": round(float(values[i].mean()), 5),
                        "n": values.shape[1],
                    }
                    row["std_error"] = round(float(values[i].std(ddof=1) / np.sqrt(values.shape[1])), 5)
                    for reference, found in differences.items():
                        if method in found:
                            row[f"minus {reference}"] = found[method]
                    table.append(row)
    return table


def against(values: FloatArray, methods: list[str], reference: str) -> dict[str, str]:
    """Mean, simultaneous interval and adjusted p-value of every method's paired difference to one of them."""
    others = [i for i, one in enumerate(methods) if one != reference]
    found = paired_differences(values[others] - values[methods.index(reference)], 0.95)
    numbers = np.column_stack([found.means, found.low, found.high, found.pvalues])
    text = "{:.4f} ({:.4f}, {:.4f}), {:.2g}"
    return {methods[i]: text.format(*row) for i, row in zip(others, numbers, strict=True)}


def main() -> None:
    """Run what is not there yet, then summarise what is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where networks and finished pictures are kept")
    parser.add_argument("--summary", action="store_true", help="only the runs that are finished")
    parser.add_argument("--run", nargs=2, metavar=("NETWORK", "EVALUATIONS"), help="only that one")
    parser.add_argument("--pictures", type=int, default=PICTURES, help="of each setting")
    options = parser.parse_args()
    runs = RUNS if options.run is None else [(options.run[0], int(options.run[1]))]
    options.folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, object]] = []
    accuracies: dict[str, float] = {}
    for kind, budget in runs:
        settings = [one for one in SETTINGS if kind != "linear" or one[0] == "linear"]
        last = [options.folder / f"{s}-{b}-{kind}-{budget}-{options.pictures - 1}.json" for s, b in settings]
        if options.summary and not all(path.is_file() for path in last):
            continue
        for scenario, background in settings:
            found = explained(options.folder, scenario, background, kind, budget, options.pictures)
            accuracy = accuracies[f"{kind} {scenario} {background}"] = float(str(found[0]["accuracy"]))
            print(kind, budget, scenario, background, f"{accuracy:.3f}", flush=True)
            rows += found if accuracy >= LEAST else []
    file = RESULTS / "ground_truth.json"
    stored = json.loads(file.read_text()) if file.is_file() else {"rows": [], "accuracies": {}}
    others = [row for row in stored["rows"] if (row["network"], row["n_queries"]) not in runs]
    table = [*others, *summarised(rows, runs)]
    save("ground_truth", table, accuracies=stored["accuracies"] | accuracies, settings=SETTINGS)


if __name__ == "__main__":
    main()
