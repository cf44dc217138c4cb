"""Compute, check and draw the figures: ``python paper_figures/make.py [fig01 fig03 ...]``.

Each script has ``compute()``, ``check(data)`` and ``plot(data, path)``. Data and picture go to ``paper_figures/out``;
what was computed from the same sources is drawn again without computing (``--fresh`` computes in any case), and it is
said which of the two happened. The numbers of `manifest.toml` are compared with ``expected/``, within its tolerances;
``--write-expected`` writes them anew.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import math
import sys
import time
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

HOME = Path(__file__).resolve().parent
OUT, EXPECTED = HOME / "out", HOME / "expected"


def manifest() -> dict[str, dict[str, Any]]:
    """The figures by name, as `manifest.toml` describes them."""
    entries = tomllib.loads((HOME / "manifest.toml").read_text(encoding="utf-8"))["figure"]
    return {entry["name"]: entry for entry in entries}


def rows() -> list[dict[str, Any]]:
    """Every figure and table of the papers: what it claims, and what draws it, makes it, or stands in the way."""
    found: list[dict[str, Any]] = tomllib.loads((HOME / "manifest.toml").read_text(encoding="utf-8"))["row"]
    return found


def table() -> str:
    """The rows as a table of markdown, which docs/figures.md shows."""
    lines = ["| of | here | the paper's claim | found here | what differs |", "|---|---|---|---|---|"]
    for row in rows():
        command = f"`{row['command']}`" if "command" in row else f"not here: {row.get('reason')}"
        here = f"`{row['by']}`" if "by" in row else command
        lines.append(f"| {row['of']} | {here} | {row['claim']} | {row['ours']} | {row['differs']} |")
    return "\n".join(lines) + "\n"


def load(name: str) -> ModuleType:
    """The module of one figure."""
    if str(HOME) not in sys.path:
        sys.path.insert(0, str(HOME))
    return importlib.import_module(Path(manifest()[name]["script"]).stem)


def fingerprint(name: str) -> str:
    """Digest of what the data of a figure depend on: its script, the package, and whatever results are stored."""
    import legstat

    stored = (HOME / "results", HOME.parent / "benchmarks" / "results", HOME.parent / "docs" / "studies")
    sources = [HOME / manifest()[name]["script"], *sorted(Path(legstat.__file__).parent.rglob("*.py"))]
    sources += sorted(
        path for folder in stored for path in folder.iterdir() if path.suffix in (".csv", ".json", ".npz")
    )
    digest = hashlib.sha256()
    for path in sources:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def write(path: Path, sources: str, data: dict[str, Any]) -> None:
    """Data as arrays beside a JSON text that says where in the data each belongs."""
    arrays: dict[str, Any] = {}

    def aside(value: object) -> object:
        """JSON cannot hold an array: keep it under a name."""
        if isinstance(value, np.ndarray):
            arrays[f"array{len(arrays)}"] = value
            return {"array": f"array{len(arrays) - 1}"}
        if isinstance(value, np.generic):
            return value.item()
        raise TypeError(f"{type(value).__name__} in the data of {path.stem}")

    text = json.dumps({"sources": sources, "data": data}, default=aside)
    np.savez_compressed(path, text=np.array(text), **arrays)


def read(path: Path) -> tuple[str, dict[str, Any]]:
    """What `write` wrote: the digest of its sources, and the data."""
    with np.load(path, allow_pickle=False) as file:

        def back(value: dict[str, Any]) -> Any:
            return file[value["array"]] if set(value) == {"array"} else value

        kept = json.loads(str(file["text"]), object_hook=back)
    return kept["sources"], kept["data"]


def compare(name: str, data: dict[str, Any]) -> list[str]:
    """What differs from the expected numbers by more than the manifest allows.

    Expected numbers belong to one source of data (figures on real data also run on what comes with the package); where
    none are stored for a source, that is not a difference.
    """
    path = EXPECTED / f"{name}.json"
    stored = json.loads(path.read_text(encoding="utf-8")).get(data.get("source", "always")) if path.is_file() else None
    if stored is None:
        return []
    rtol = manifest()[name]["rtol"]
    return [
        f"{key}: {data['numbers'].get(key)} instead of {value}"
        for key, value in stored.items()
        if key not in data["numbers"]
        or not math.isclose(data["numbers"][key], value, rel_tol=rtol, abs_tol=rtol * 1e-3)
    ]


def run(name: str, *, fresh: bool = False, write_expected: bool = False) -> list[str]:
    """Make one figure; returns what is wrong with it."""
    figure, entry = load(name), manifest()[name]
    OUT.mkdir(exist_ok=True)
    store, mark = OUT / f"{name}.npz", fingerprint(name)
    data = None
    if store.is_file() and not fresh:
        sources, kept = read(store)
        data = kept if sources == mark else None
        print(f"{name}: " + ("data kept from before" if data is not None else "its sources changed: computing again"))
    if data is None:
        start = time.perf_counter()
        data = figure.compute(seed=entry["seed"])
        write(store, mark, data)
        print(f"{name}: computed in {time.perf_counter() - start:.1f} s")
    path = OUT / f"{name}.png"
    figure.plot(data, path)
    source = data.get("source", "always")
    if write_expected:
        target = EXPECTED / f"{name}.json"
        stored = json.loads(target.read_text(encoding="utf-8")) if target.is_file() else {}
        stored[source] = {key: float(f"{value:.12g}") for key, value in data["numbers"].items()}
        target.write_text(json.dumps(stored, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    faults = compare(name, data)
    try:
        figure.check(data)
    except AssertionError as error:
        faults.append(str(error))
    verdict = "; ".join(faults) if faults else f"holds: {figure.CLAIM}"
    print(f"{name}: {path}\n  {verdict}")
    return faults


def main() -> int:
    """Make the figures named on the command line, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("figures", nargs="*", metavar="figNN", help="which; all if left out")
    parser.add_argument("--fresh", action="store_true", help="compute even where the data are there")
    parser.add_argument("--write-expected", action="store_true", help="store the numbers as the expected ones")
    parser.add_argument("--table", action="store_true", help="print every figure and table of the papers, draw nothing")
    options = parser.parse_args()
    if options.table:
        print(table(), end="")
        return 0
    unknown = sorted(set(options.figures) - set(manifest()))
    if unknown:
        parser.error(f"no figure {', '.join(unknown)}: there are {', '.join(manifest())}")
    names = options.figures or list(manifest())
    faults = [run(name, fresh=options.fresh, write_expected=options.write_expected) for name in names]
    return int(any(faults))  # all of them run, whatever the first ones find


if __name__ == "__main__":
    sys.exit(main())
