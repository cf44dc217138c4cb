"""docs/studies/baselines.md: mask, I-GOS and adversarial pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from legstat.baselines import detection
from legstat.comparison.statistics import paired_differences
from tools.page_numbers import results, row, short, states

PAGE = "docs/studies/baselines.md"
Array = np.ndarray[Any, Any]
MEASURES: dict[str, Callable[[Any], float]] = {
    "insertion": lambda one: one["insertion"],
    "deletion": lambda one: one["deletion"],
    "difference": lambda one: one["insertion"] - one["deletion"],
}


def _values(rows: list[dict[str, Any]], names: Iterable[str]) -> dict[str, dict[str, Array]]:
    """By measure and map, of the pictures that all these maps have, in their order."""
    by_map = {name: {one["picture"]: one for one in rows if one["map"] == name} for name in names}
    pictures = [
        picture
        for picture in dict.fromkeys(one["picture"] for one in rows)
        if all(picture in own for own in by_map.values())
    ]
    return {
        measure: {name: np.array([of(own[picture]) for picture in pictures]) for name, own in by_map.items()}
        for measure, of in MEASURES.items()
    }


def _intervals(found: Iterable[Any], i: int) -> list[str]:
    """The i-th paired difference of each measure."""
    return [f"{one.means[i]:+.3f} [{one.low[i]:+.3f}, {one.high[i]:+.3f}]" for one in found]


@states(PAGE, "benchmarks/study_baselines.py")
def exact_gradients() -> Iterator[str]:
    """Means, and paired differences."""
    rows = results("baselines")["rows"]
    titles = {"random": "random", "centre": "centre", "igos exact": "I-GOS", "mask exact": "mask"}
    values = _values(rows, titles)
    for name, title in titles.items():
        spent = [np.mean([one[fact] for one in rows if one["map"] == name]) for fact in ("n_queries", "n_backward")]
        asked = f"{spent[0]:.0f}, {spent[1]:.0f}" if spent[1] else f"{spent[0]:.0f}"
        yield row(title, *(f"{values[measure][name].mean():.3f}" for measure in MEASURES), asked)
    for reference in ("mask exact", "centre", "random"):
        others = [name for name in titles if name != reference]
        found = {
            measure: paired_differences(np.array([own[name] - own[reference] for name in others]), 0.95)
            for measure, own in values.items()
        }
        for i, name in enumerate(others):
            if "exact" in name:
                yield row(f"{titles[name]} less {titles[reference]}", *_intervals(found.values(), i))


@states(PAGE, "benchmarks/study_baselines.py")
def favoured() -> Iterator[str]:
    """Settings that the search favoured, on the pictures that are reported; each pair of maps has intervals of its own."""
    titles = {
        "igos exact": "I-GOS",
        "mask exact": "mask",
        "igos, half, sigma 12 exact": "I-GOS, half, sigma 12",
        "igos, half, sigma 20, 8 x 16 exact": "I-GOS, half, sigma 20, 8 x 16",
        "mask, half exact": "mask, half",
    }
    values = _values(results("baselines")["rows"], [*titles, "centre", "random"])
    against = {
        "igos, half, sigma 12 exact": ("mask exact", "igos exact", "centre", "random"),
        "igos, half, sigma 20, 8 x 16 exact": ("mask exact", "igos exact", "mask, half exact", "centre", "random"),
        "mask, half exact": ("mask exact", "centre", "random"),
    }
    for name, references in against.items():
        yield row(titles[name], *(f"{own[name].mean():.3f}" for own in values.values()))
        for reference in references:
            found = [paired_differences((own[name] - own[reference])[None], 0.95) for own in values.values()]
            yield row(f"{titles[name]}, less {titles.get(reference, reference)}", *_intervals(found, 0))


@states(PAGE, "benchmarks/study_baselines.py")
def queries_alone() -> Iterator[str]:
    """Means, and paired differences from the centre map."""
    titles = {
        "igos exact": "I-GOS, exact",
        "mask exact": "mask, exact",
        "igos 2000": "I-GOS, 2,000 queries",
        "mask 2000": "mask, 2,000 queries",
    }
    values = _values(results("baselines")["rows"], ["centre", "random", *titles])
    others = ["random", *titles]
    found = [
        paired_differences(np.array([own[name] - own["centre"] for name in others]), 0.95) for own in values.values()
    ]
    for name, title in titles.items():
        means = (f"{own[name].mean():.3f}" for own in values.values())
        yield row(title, *means, *_intervals(found, others.index(name)))


@states(PAGE, "benchmarks/study_baselines.py")
def three_times_the_queries() -> Iterator[str]:
    """Means at 6,000 evaluations, and paired differences from other maps."""
    titles = {"igos 6000": "I-GOS, 6,000 queries", "mask 6000": "mask, 6,000 queries"}
    for name, title in titles.items():
        method = name.split()[0]
        others = ["random", "centre", f"{method} exact", f"{method} 2000"]
        values = _values(results("baselines")["rows"], [name, *others])
        yield row(title, *(f"{own[name].mean():.3f}" for own in values.values()))
        found = [
            paired_differences(np.array([own[name] - own[other] for other in others]), 0.95) for own in values.values()
        ]
        for i, other in enumerate(("random", "centre", "exact", "2,000 queries")):
            yield row(f"less {other}", *_intervals(found, i))


@states(PAGE, "benchmarks/search_baselines.py")
def searched() -> Iterator[str]:
    """Settings that were run in full, on the pictures that they were tried on; paired with the mask's default."""
    found: dict[str, dict[str, Any]] = {}
    for one in results("baselines_search")["rows"]:
        if "quick" not in one["setting"]:
            found.setdefault(one["setting"], {})[one["picture"]] = one
    for setting, mine in found.items():
        means = [np.mean([of(one) for one in mine.values()]) for of in MEASURES.values()]
        cells = [setting, len(mine), *(f"{mean:.3f}" for mean in means)]
        if setting != "mask":
            both = [picture for picture in mine if picture in found["mask"]]
            for of in list(MEASURES.values())[:2]:
                less = np.array([of(mine[one]) - of(found["mask"][one]) for one in both])
                cells.append(f"{less.mean():+.3f} ({less.std(ddof=1) / np.sqrt(len(less)):.3f})")
        yield row(*cells)
    wider, today = found["igos, half, sigma 12"], found["igos"]
    less = [np.array([of(wider[one]) - of(today[one]) for one in today]) for of in MEASURES.values()]
    gain, cost = (f"{one.mean():+.3f} ({one.std(ddof=1) / np.sqrt(len(one)):.3f})" for one in less[:2])
    yield f"sigma 12: {gain} and {cost}"


@states(PAGE, "benchmarks/bench_baselines.py")
def cost() -> Iterator[str]:
    """Over the passes; memory."""
    rows = results("bench_baselines")["rows"]
    over = {one["method"]: one["over its passes"] for one in rows if "over its passes" in one}
    yield f"{over['igos']:.2f} times the processor time of its forward and backward passes"
    yield f"the mask {over['mask']:.2f} times"
    peaks = {name: [f"{one['peak resident MiB']:.0f}" for one in rows if one["method"] == name and "peak resident MiB" in one]
             for name in over}  # fmt: skip
    igos, mask = peaks["igos"], peaks["mask"]
    yield f"I-GOS {igos[0]}, {igos[1]} and {igos[2]} MiB, mask {mask[0]}, {mask[1]} and {mask[2]}"


@states(PAGE, "benchmarks/study_adversarial.py")
def adversarial() -> Iterator[str]:
    """Told apart, undone, and what the attacks reach."""
    found = results("adversarial")
    rows = list(found["cifar10_resnet20, mask, igos, 100 iterations"].values())
    undone = []
    titles = {"one step": "one step", "ifgsm": "I-FGSM", "mifgsm": "MI-FGSM"}
    steps = {"one step": "", "ifgsm": ", ten steps", "mifgsm": ", ten steps"}
    for attack, title in titles.items():
        made = [one for one in rows if one[attack]["fooled"]]
        for method in ("mask", "igos"):
            if method not in made[0][attack]:
                continue
            areas = []
            for number in ("energy", "area", "variation"):
                two = ([one[kind][method][number] for one in made] for kind in ("clean", attack))
                told = detection(*two)
                areas.append(f"{short(told.auc, 2)} ({short(told.std_error, 2)})")
            first = (
                (title + steps[attack], f"{len(made)} of {len(rows)}", "mask")
                if method == "mask"
                else ("", "", "I-GOS")
            )
            yield row(*first, *areas).replace("|  |  |", "| | |")
            ranks = np.array([one[attack][method]["rank"] for one in made])
            gone = np.mean([one[attack][method]["dropped"] for one in made])
            shares = (gone, np.mean(ranks == 1), np.mean(ranks <= 5))
            told_first = (title, "mask") if method == "mask" else ("", "I-GOS")
            undone.append(row(*told_first, *(short(share, 2) for share in shares)).replace("|  |", "| |"))
    yield from undone
    alone = list(found["cifar10_resnet20, attacks alone, 300 iterations"].values())
    change = {name: np.mean([one[name]["change"] for one in alone]) for name in (*titles, "mifgsm, queries")}
    fooled = sum(one["mifgsm, queries"]["fooled"] for one in alone)
    yield f"one step {change['one step']:.1f}, I-FGSM {change['ifgsm']:.1f}, MI-FGSM {change['mifgsm']:.1f}"
    yield f"with 2,000 queries alone {change['mifgsm, queries']:.1f}, where {fooled} of {len(alone)} were fooled"


@states(PAGE, "benchmarks/study_adversarial.py")
def adversarial_photographs() -> Iterator[str]:
    """The same on a few photographs: means of the clean and of the adversarial version, and original labels."""
    rows = list(results("adversarial")["mobilenet_v2_1.0_224, mask, igos, 100 iterations"].values())
    titles = {"one step": "one step", "ifgsm": "I-FGSM", "mifgsm": "MI-FGSM"}
    for attack, title in titles.items():
        for method in ("mask", "igos"):
            made = [one for one in rows if one[attack]["fooled"] and method in one[attack]]
            if made:
                cells = [
                    f"{np.mean([one['clean'][method][number] for one in made]):.3f}, "
                    f"{np.mean([one[attack][method][number] for one in made]):.3f}"
                    for number in ("energy", "area", "variation", "insertion")
                ]
                first = sum(one[attack][method]["rank"] == 1 for one in made)
                name = {"mask": "mask", "igos": "I-GOS"}[method]
                yield row(title, f"{len(made)} of {len(rows)}", name, *cells, f"{first} of {len(made)}")
