"""Saliency of a robust network, its errors explained, concepts drawn from noise (l1-q paper, Fig. 1 to 3).

The paper has a robust ResNet50 and ImageNet; here is an adversarially trained network for CIFAR-10, beside one that is
not. Read from ``benchmarks/results/counterfactuals.json``, which

    LEGSTAT_DATA=... PYTHONPATH=. python benchmarks/study_counterfactuals.py

makes. CIFAR pictures are not in the repository: without LEGSTAT_DATA a grey field stands for each.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from paper_style import bare, figure, save, show_picture
from photographs import cifar
from stored import averages, maps_of, study

CLAIM = (
    "The robust network's gradient is correlated with the picture's edges, the other's is not; every label-targeted "
    "counterfactual corrects the error, every prediction-targeted one raises the wrong class; noise becomes each class "
    "in both balls; and l1-q changes fewer entries than l2."
)
NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def compute(seed: int = 0) -> dict[str, Any]:
    """The rows, and their means."""
    del seed  # read, not drawn
    rows = study("counterfactuals")["rows"]
    for row in rows:
        if row["figure"] > 1:
            row["reached"] = float(row["first choice"] == row["target"])
    by = {figure: [row for row in rows if row["figure"] == figure] for figure in (1, 2, 3)}
    numbers = averages(by[1], ("network",), ("rank correlation with edges",))
    values = ("before", "after", "reached", "held by a tenth")
    numbers |= averages(by[2], ("kind", "ball"), values) | averages(by[3], ("picture", "ball"), values)
    return {"numbers": numbers, "rows": rows}


def check(data: dict[str, Any]) -> None:
    """Raise AssertionError unless the claim holds."""
    found = data["numbers"]
    robust, plain = (
        found[f"{name}: rank correlation with edges"] for name in ("cifar10_resnet_4b_robust", "cifar10_resnet20")
    )
    if robust < plain + 0.1:
        raise AssertionError(f"fig13: rank correlation with edges {robust:.2f} (robust), {plain:.2f}")
    for kind in ("label", "prediction", "noise"):
        for ball in ("l1", "l2"):
            if (
                found[f"{kind}, {ball}: reached"] < 1.0
                or found[f"{kind}, {ball}: after"] <= found[f"{kind}, {ball}: before"]
            ):
                raise AssertionError(f"fig13: {kind}, {ball}: not every target is reached")
        if found[f"{kind}, l1: held by a tenth"] <= found[f"{kind}, l2: held by a tenth"]:
            raise AssertionError(f"fig13: {kind}: l1-q is no sparser than l2")


def plot(data: dict[str, Any], path: Path) -> None:
    """Gradients of both networks; errors with their counterfactual changes five times enlarged; concepts."""
    maps, rows = maps_of("counterfactuals"), data["rows"]
    drawn = figure(9.0, 7.6)
    top, middle, low = drawn.subfigures(3, 1, height_ratios=[1.9, 3.6, 2.2])
    pictures = list(dict.fromkeys(row["picture"] for row in rows if row["figure"] == 1))[:6]
    for (above, mid, below), name in zip(top.subplots(3, len(pictures)).T, pictures, strict=True):
        show_picture(above, cifar(int(name.split()[-1])))
        for ax, network in ((mid, "cifar10_resnet20"), (below, "cifar10_resnet_4b_robust")):
            ax.imshow(maps[f"1 {name} {network}"], cmap="inferno", interpolation="nearest")
            bare(ax, "")
    top.suptitle("CIFAR; gradient of the network trained as usual; of the robust one", fontsize=8)
    errors = [row for row in rows if row["figure"] == 2]
    names = list(dict.fromkeys(row["picture"] for row in errors))
    columns = [("prediction", "l2"), ("prediction", "l1"), ("label", "l2"), ("label", "l1")]
    for line, name in zip(middle.subplots(len(names), 1 + len(columns)), names, strict=True):
        mine = {(row["kind"], row["ball"]): row for row in errors if row["picture"] == name}
        first = mine["label", "l2"]
        show_picture(
            line[0], cifar(int(name.split()[-1])), f"{NAMES[first['label']]}, taken for {NAMES[first['chosen']]}"
        )
        for ax, (kind, ball) in zip(line[1:], columns, strict=True):
            row = mine[kind, ball]
            title = f"{NAMES[row['target']]}, {ball}: {row['before']:.2f} to {row['after']:.2f}"
            show_picture(ax, maps[f"2 {name} {kind} {ball}"] / 255.0, title)
    middle.suptitle(
        "errors: change towards the wrong class (2 columns) and the right one, enlarged 5 times", fontsize=8
    )
    concepts = [row for row in rows if row["figure"] == 3]
    classes = list(dict.fromkeys(row["target"] for row in concepts))
    for line, target in zip(low.subplots(2, len(classes)).T, classes, strict=True):
        for ax, ball in zip(line, ("l1", "l2"), strict=True):
            show_picture(ax, maps[f"3 {NAMES[target]} {ball}"] / 255.0, f"{NAMES[target]}, {ball}")
    low.suptitle("concepts drawn on noise", fontsize=8)
    save(drawn, path)
