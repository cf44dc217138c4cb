"""Table 1 of the LEG paper from the authors' own key sizes, and which of its differences survive a paired test.

The authors' repository holds the key masking size of 500 pictures for each method and masking; `LEGSTAT_DATA` names a
folder that has these files as ``leg_tables``. Where it is not set, the numbers stored in ``results/tab01.json`` are
shown; ``python paper_figures/tab01_key_sizes.py`` stores them.

A size of 1 says that the network's first choice never changed: the size is censored at 1. All are censored at the same
share, so the restricted mean by Kaplan and Meier is the mean of min(size, 1), its pseudo-values are these numbers, and
the paper's means, which count a censored size as 1, are restricted means: lower bounds of means. Three readings are
tested on the differences picture by picture, the 60 intervals of a reading together at 95 %: restricted means up to 1;
restricted means up to a quarter of the picture, where what never changes cannot outweigh the rest; and the share of
pictures on which the first method needs more than the second, minus the share on which it needs less, where a censored
size is larger than any other and two of them are tied.
"""

from __future__ import annotations

import csv
import itertools
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from paper_style import BLUE, GREY, ORANGE, figure, save

from legstat.comparison.statistics import paired_differences

CLAIM = (
    "The authors' key sizes give Table 1 to its three decimals. Paired and adjusted, LEG and LEG-TV need less than "
    "every rival in restricted means under Distance-100 only, and there not up to a quarter of the picture; KernelSHAP "
    "needs less than both under mean masking, however it is read; LEG and LEG-TV never differ."
)
MASKINGS = {"dist-100": "Distance-100", "black-out": "Black-out", "Mean": "Mean", "noise": "Noise"}
METHODS = {
    "LEG": "LEG",
    "LEG-TV": "LEG-TV",
    "KernelSHAP": "KernelSHAP",
    "LIME": "LIME",
    "CShap": "C-Shapley",
    "GradCam": "GradCam",
}
PRINTED = {
    "LEG": (0.163, 0.012, 0.062, 0.005, 0.118, 0.006, 0.069, 0.004),
    "LEG-TV": (0.170, 0.012, 0.056, 0.004, 0.116, 0.006, 0.068, 0.004),
    "KernelSHAP": (0.251, 0.017, 0.059, 0.004, 0.074, 0.004, 0.060, 0.003),
    "LIME": (0.269, 0.016, 0.111, 0.008, 0.161, 0.010, 0.084, 0.006),
    "C-Shapley": (0.380, 0.018, 0.101, 0.006, 0.131, 0.007, 0.105, 0.006),
    "GradCam": (0.318, 0.018, 0.086, 0.006, 0.115, 0.007, 0.089, 0.006),
}
"""As printed: mean and standard error under each masking."""
READINGS = {"up to 1": 1.0, "up to 1/4": 0.25, "needs more": None}
STORED = Path(__file__).resolve().parent / "results" / "tab01.json"
PAIRS = list(itertools.combinations(METHODS.values(), 2))
Array = NDArray[np.float64]


def key_sizes(folder: Path) -> Array:
    """The authors' sizes, shape (maskings, methods, pictures)."""
    tables = []
    for masking in MASKINGS:
        with (folder / f"keysize_{masking}.csv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        tables.append([[float(row[name]) for row in rows] for name in METHODS])
    return np.array(tables)


def read(sizes: Array, until: float | None) -> Array:
    """Paired differences, first method minus second, of each masking and pair: shape (maskings * pairs, pictures)."""
    names = list(METHODS.values())
    differences = []
    for table in sizes:
        values = table if until is None else np.minimum(table, until)
        for first, second in PAIRS:
            a, b = values[names.index(first)], values[names.index(second)]
            differences.append(a - b if until is not None else np.sign(a - b))
    return np.array(differences)


def compute(seed: int = 0, sizes: Array | None = None) -> dict[str, Any]:
    """Means as in the paper, and every paired difference under the three readings."""
    del seed  # nothing is drawn here: the quantiles of `paired_differences` have a seed of their own
    folder = Path(os.environ.get("LEGSTAT_DATA", "")) / "leg_tables"
    if sizes is None and not (os.environ.get("LEGSTAT_DATA") and folder.is_dir()):
        return dict(json.loads(STORED.read_text(encoding="utf-8")))
    table = key_sizes(folder) if sizes is None else sizes
    data: dict[str, Any] = {"numbers": {}, "pictures": table.shape[2], "differences": {}}
    for i, masking in enumerate(MASKINGS.values()):
        for j, method in enumerate(METHODS.values()):
            one = table[i, j]
            data["numbers"][f"{masking}, {method}: mean"] = float(one.mean())
            # sd over n, as the paper's three decimals have it; over n - 1 they are the same
            data["numbers"][f"{masking}, {method}: std_error"] = float(one.std() / np.sqrt(one.size))
            data["numbers"][f"{masking}, {method}: censored"] = float((one >= 1.0).mean())
    for reading, until in READINGS.items():
        found = paired_differences(read(table, until), 0.95)
        for k, (masking, (first, second)) in enumerate(itertools.product(MASKINGS.values(), PAIRS)):
            key = f"{reading}; {masking}: {first} - {second}"
            data["differences"][key] = [float(x[k]) for x in (found.means, found.low, found.high, found.pvalues)]
            data["numbers"][f"{key}"] = float(found.means[k])
    return data


def certain(data: dict[str, Any], reading: str, masking: str, first: str, second: str) -> int:
    """-1 if the first needs certainly less than the second, 1 if more, 0 if neither is certain."""
    sign = 1
    if (first, second) not in PAIRS:
        first, second, sign = second, first, -1
    _, low, high, _ = data["differences"][f"{reading}; {masking}: {first} - {second}"]
    return sign * (int(low > 0.0) - int(high < 0.0))


def check(data: dict[str, Any]) -> None:
    """Raise AssertionError unless the claim holds."""
    for method, printed in PRINTED.items():
        for i, masking in enumerate(MASKINGS.values()):
            for what, value in zip(("mean", "std_error"), printed[2 * i : 2 * i + 2], strict=True):
                found = data["numbers"][f"{masking}, {method}: {what}"]
                if f"{found:.3f}" != f"{value:.3f}":
                    raise AssertionError(f"tab01: {masking}, {method}: {what} is {found:.5f}, printed {value:.3f}")
    rivals = [name for name in METHODS.values() if not name.startswith("LEG")]
    for reading, masking in itertools.product(READINGS, MASKINGS.values()):
        if certain(data, reading, masking, "LEG", "LEG-TV"):
            raise AssertionError(f"tab01: {masking}, {reading}: LEG and LEG-TV differ")
    for reading, masking in itertools.product(("up to 1", "up to 1/4"), MASKINGS.values()):
        pairs = itertools.product(("LEG", "LEG-TV"), rivals)
        ahead = all(certain(data, reading, masking, ours, rival) == -1 for ours, rival in pairs)
        if ahead != (reading == "up to 1" and masking == "Distance-100"):
            raise AssertionError(f"tab01: {masking}, {reading}: LEG and LEG-TV ahead of all rivals: {ahead}")
    for reading, ours in itertools.product(READINGS, ("LEG", "LEG-TV")):
        if certain(data, reading, "Mean", "KernelSHAP", ours) != -1:
            raise AssertionError(f"tab01: Mean, {reading}: KernelSHAP is not certainly ahead of {ours}")


def table(data: dict[str, Any]) -> str:
    """The differences of LEG and LEG-TV as a table of markdown: difference, interval, bold where it holds no 0."""
    lines = ["| | " + " | ".join(MASKINGS.values()) + " |", "|---|" + "---|" * len(MASKINGS)]
    for reading in READINGS:
        for first, second in PAIRS:
            if not first.startswith("LEG"):
                continue
            cells = []
            for masking in MASKINGS.values():
                mean, low, high, _ = data["differences"][f"{reading}; {masking}: {first} - {second}"]
                text = f"{mean:+.3f} ({low:+.3f}, {high:+.3f})"
                cells.append(f"**{text}**" if low > 0.0 or high < 0.0 else text)
            lines.append(f"| {reading}: {first} - {second} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def plot(data: dict[str, Any], path: Path) -> None:
    """Each pair with LEG or LEG-TV a line: simultaneous interval, coloured where it holds no 0."""
    drawn = figure(11.0, 5.0)
    axes = drawn.subplots(1, len(MASKINGS), sharey=True)
    pairs = [pair for pair in PAIRS if pair[0].startswith("LEG")]
    shifts = dict(zip(READINGS, (-0.22, 0.0, 0.22), strict=True))
    markers = dict(zip(READINGS, "os^", strict=True))
    for ax, masking in zip(axes, MASKINGS.values(), strict=True):
        ax.axvline(0.0, color="black", lw=0.7)
        for y, (first, second) in enumerate(pairs):
            for reading in READINGS:
                mean, low, high, _ = data["differences"][f"{reading}; {masking}: {first} - {second}"]
                scale = 0.25 if READINGS[reading] is None else 1.0  # shares of pictures are larger than sizes
                colour = BLUE if high < 0.0 else ORANGE if low > 0.0 else GREY
                at = y + shifts[reading]
                ax.plot([scale * low, scale * high], [at, at], color=colour, lw=1.5)
                ax.plot([scale * mean], [at], markers[reading], color=colour, ms=4)
        ax.set_title(masking, fontsize=9)
        ax.tick_params(labelsize=7)
    axes[0].set_yticks(range(len(pairs)), [f"{first} - {second}" for first, second in pairs], fontsize=7)
    axes[0].invert_yaxis()
    for reading, marker in markers.items():
        label = reading + (" (share of pictures / 4)" if READINGS[reading] is None else "")
        axes[-1].plot([], [], marker, color="black", ms=4, label=label)
    drawn.legend(*axes[-1].get_legend_handles_labels(), frameon=False, fontsize=7, ncols=3, loc="outside lower center")
    drawn.suptitle("key size, first minus second; 95 % simultaneous; blue: the first needs less", fontsize=9)
    save(drawn, path)


def main() -> None:
    """Compute from the authors' files, store, and print the differences."""
    data = compute()
    rounded = json.loads(json.dumps(data), parse_float=lambda text: float(f"{float(text):.9g}"))
    STORED.write_text(json.dumps(rounded, indent=1) + "\n", encoding="utf-8")
    print(table(data))


if __name__ == "__main__":
    main()
