"""The file of a plan: its tables, what each entry means, and how they are read and written."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from legstat._core.errors import invalid
from legstat._core.typing import JSON

SCHEMA = 1
"""Form of a plan's file."""
MODEL = {
    "model": "ONNX file; with url the model's name there",
    "sha256": "of the model's file",
    "url": "of a server that speaks the Open Inference Protocol",
    "preprocessing": "imagenet, caffe, tf, unit, raw, or a TOML file",
    "target": "top (each picture's own first choice), label (each picture's own label), a class index or a label",
    "score": "log_odds, logit or probability",
    "input": "",
    "output": "",
    "output_kind": "",
    "constants": "name=number or name=file.npy",
    "labels": "file of class names",
    "threads": "",
    "provider": "",
    "allow_fallback": "",
    "version": "",
    "in_flight": "",
    "rate": "",
    "timeout": "",
    "deadline": "",
}
"""What a plan may say of its model, and what that is."""

SECTIONS: dict[str, dict[str, str]] = {
    "about": {
        "question": "what is asked",
        "purpose": "what the answer is for",
        "author": "who audits",
    },
    "model": MODEL,
    "pictures": {
        "places": "folders, files, patterns, tables (.csv, .parquet), stores (.npz)",
        "choice": "all, every (k-th) or sample (at random)",
        "every": "k of choice = every",
        "sample": "how many of choice = sample",
        "sample_seed": "seed of choice = sample",
        "truth": "CSV file of lines picture,class",
    },
    "query": {
        "law": "law of z",
        "grid": "rows, columns of cells",
        "scale": "sigma",
        "operator": "how z acts: additive, blur, mean, black, noise",
        "at": "mask level of all operators but additive",
        "n_queries": "evaluations of a picture, at most",
        "seed": "of all draws",
        "batch_size": "pictures per call",
    },
    "estimate": {
        "L": "a number, or readable, simplest, heldout, bootstrap, theory",
        "L_ratio": "L as a fraction of L_max",
        "n_regions": "regions of the map, at most",
        "relaxed": "whether LEG-TV's levels are refitted on its regions",
    },
    "curves": {
        "steps": "of deletion and insertion; 0: no curves",
        "baseline": "what deleted cells are replaced by",
    },
    "checks": {
        "checks": "whether checks are made",
        "placebos": "samples with signs at random, in each picture; 0: none",
        "randomised": "pictures on which weights are randomised and other classes tried, at the end",
    },
    "work": {
        "workers": "pictures at a time; changes no number",
        "scheduler": "address of a Dask scheduler, whose workers work in place of them; changes no number",
        "max_failures": "failed pictures after which a run stops",
    },
}
"""Tables of a plan's file: what each may hold, and what that is."""


def read_plan(path: str | Path) -> JSON:
    """The tables of a plan's file.

    Parameters
    ----------
    path : str or Path
        A TOML file.

    Returns
    -------
    dict
        As they stand there.

    Raises
    ------
    ValueError
        The file is missing, or no TOML.
    """
    try:
        told: JSON = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        text = f"{type(error).__name__}: {error}."
        raise ValueError(invalid("Plan.load", "path", str(path), "the TOML file of a plan", text)) from error
    return told


def fields_of(told: Mapping[str, Any]) -> tuple[JSON, list[str]]:
    """What tables say of a plan's fields, and what is wrong with their names.

    Parameters
    ----------
    told : mapping
        The tables; ``cost`` is no part of the plan.

    Returns
    -------
    fields : dict
        Arguments of `Plan`; ``model`` and ``places`` are always there.
    problems : list of str
        One for each unknown table and entry, and for another form of the file.
    """
    problems: list[str] = []
    fields: JSON = {"places": (), "model": {}}
    schema = told.get("schema", SCHEMA)
    if schema != SCHEMA:
        problems.append(invalid("Plan", "schema", schema, str(SCHEMA), "Use the legstat that wrote the plan."))
    for section, values in told.items():
        if section in ("schema", "cost"):
            continue
        if section not in SECTIONS or not isinstance(values, Mapping):
            problems.append(invalid("Plan", section, values, f"one of the tables {', '.join(SECTIONS)}"))
        elif section == "model":
            fields["model"] = dict(values)
        else:
            names = SECTIONS[section]
            fields |= {name: value for name, value in values.items() if name in names}
            valid = f"of these names: {', '.join(names)}"
            problems += [
                invalid("Plan", f"{section}.{name}", value, valid)
                for name, value in values.items()
                if name not in names
            ]
    return fields, problems


def toml_of(told: JSON, cost: JSON | None) -> str:
    """The text of a plan's file, with what each entry means beside it.

    Parameters
    ----------
    told : dict
        The plan by tables, as `Plan.to_dict` gives it.
    cost : dict or None
        What a pilot found; a table that is not read again.

    Returns
    -------
    str
        TOML.
    """
    import tomlkit  # slow to load

    document = tomlkit.document()
    document.add(tomlkit.comment("Plan of an audit by legstat: `legstat audit --plan THIS --out run`."))
    document.add("schema", tomlkit.item(told["schema"]))
    for section, names in SECTIONS.items():
        table = tomlkit.table()
        for name, value in told[section].items():
            entry = tomlkit.item(value)
            table.add(name, entry.comment(names[name]) if names[name] else entry)
        document.add(section, table)
    if cost is not None:
        table = tomlkit.table()
        table.add(tomlkit.comment("found by the pilot; not read again"))
        for name, value in cost.items():
            table.add(name, tomlkit.item(value))
        document.add("cost", table)
    return tomlkit.dumps(document)
