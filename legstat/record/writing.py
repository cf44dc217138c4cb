"""The record of an explanation: everything from which it can be repeated bit for bit.

A record holds the resolved experiment (never "the default"), the hashes of everything that went in, and every number
that came out: scalars with their exact hexadecimal form, arrays by the SHA-256 of their bytes. Date, duration, paths
and the command line stand apart under ``provenance``: they are not part of what is compared.
"""

from __future__ import annotations

import datetime
import platform
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import scipy

from legstat._core.digests import array_sha256, file_sha256
from legstat._core.errors import invalid
from legstat._core.files import json_text, json_value, write_text
from legstat._core.typing import JSON
from legstat.estimators.found_regions import SHARE, Regions
from legstat.estimators.leg_results import LEGResults
from legstat.estimators.legtv_results import LEGTVResults
from legstat.estimators.path import LEGTVPath
from legstat.record.experiment import experiment_of
from legstat.record.numbers import numbers
from legstat.samples.sample import QuerySample

FORMAT = 3
"""Version of the record's form. 3 has refitted levels and tested regions."""
_RENAMED = {"leg.fidelity": "leg.r2_heldout", "legtv.fidelity": "legtv.r2_heldout"}  # in form 1

_SECTIONS = ("inputs", "response", "experiment", "estimators", "results", "environment", "provenance")
_PACKAGES = ("legstat", "numpy", "scipy", "onnxruntime", "onnx", "torch", "highspy", "cvxpy", "pillow")


def make_record(
    sample: QuerySample,
    leg: LEGResults,
    path: LEGTVPath,
    tv: LEGTVResults,
    regions: Regions | None = None,
    *,
    choice: Mapping[str, Any],
    seed: int | None = None,
    picture: str | Path | None = None,
    model: str | Path | None = None,
    constants: Mapping[str, str | Path] | None = None,
    seconds: Mapping[str, float] | None = None,
    command: Sequence[str] | None = None,
) -> JSON:
    """The record of an explanation.

    Parameters
    ----------
    sample, leg, path, tv : QuerySample, LEGResults, LEGTVPath, LEGTVResults
        The explanation.
    regions : Regions, optional
        Where they were tested.
    choice : mapping
        How L was chosen: the arguments of `LEGTVPath.select`.
    seed : int, optional
        What the generator's key came from, where it was a number.
    picture, model : str or Path, optional
        Files that picture and model were read from.
    constants : mapping of str to path, optional
        Files that the model's other inputs were read from.
    seconds : mapping, optional
        Durations by stage.
    command : sequence of str, optional
        The command line.

    Returns
    -------
    dict
        What `json.dumps` takes.

    Raises
    ------
    ValueError
        If the sample was made from arrays or merged: such an experiment cannot be repeated from one key.
    """
    return {
        "legstat_record": FORMAT,
        "inputs": {
            "picture": _file(picture) | {"array_sha256": array_sha256(sample.image), "shape": list(sample.image.shape)},
            "model": _file(model) | {"sha256": sample.response.get("model_sha256")},
        },
        "response": sample.response,
        "experiment": experiment_of(sample, seed),
        "estimators": {
            "leg": {"moments": leg.moments.kind},
            "legtv": {
                "moments": tv.moments.kind,
                "engine": tv.engine,
                "selection": tv.selection,
                "relaxed": tv.relaxed,
            },
            "choice": dict(choice),
            "regions": None if regions is None else {"share": SHARE, "fwer": regions.level},
        },
        "ledger": {**vars(sample.ledger), "spent": sample.ledger.spent, "unused": sample.ledger.unused},
        "results": numbers(sample, leg, path, tv, regions),
        "environment": environment(),
        "provenance": {
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "seconds": {name: round(value, 3) for name, value in (seconds or {}).items()},
            "command": None if command is None else list(command),
            "picture_path": None if picture is None else str(Path(picture).resolve()),
            "model_path": None if model is None else str(Path(model).resolve()),
            "constant_paths": {name: str(Path(place).resolve()) for name, place in (constants or {}).items()},
        },
    }


def environment() -> JSON:
    """Versions and platform that numbers may depend on."""
    versions: JSON = {}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return {
        "versions": versions,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        # last digits of sums depend on the kernels that BLAS picks for the processor, or by OPENBLAS_CORETYPE
        "blas": ", ".join(sorted({f"{one['internal_api']} {one.get('architecture')}" for one in _blas()})),
    }


def _blas() -> list[dict[str, Any]]:
    from threadpoolctl import threadpool_info  # here: nothing needs it before a record is made

    _ = scipy.linalg.lapack  # SciPy's own is seen once it is loaded
    loaded = [one for one in threadpool_info() if one["user_api"] == "blas"]
    # those of NumPy and SciPy, whatever other packages were loaded before; a system's own is one for all
    return [one for one in loaded if re.search("numpy|scipy", one["filepath"])] or loaded


def _file(path: str | Path | None) -> JSON:
    return (
        {"file": None, "sha256": None} if path is None else {"file": Path(path).name, "sha256": file_sha256(Path(path))}
    )


def write_record(record: JSON, path: str | Path) -> None:
    """Write a record as JSON, one entry a line; lists of numbers on one."""
    text = json_text(record, indent=1)
    # JSON strings hold no line breaks, so none is touched
    flat = re.sub(r"\[\n[^\[\]{}]*\]", lambda found: re.sub(r"\n\s*", " ", found[0]), text)
    write_text(path, flat + "\n")


def read_record(path: str | Path) -> JSON:
    """Read what `write_record` wrote.

    Raises
    ------
    ValueError
        If there is no such file, or it is no record that this version reads.
    """
    try:
        record = json_value(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        text = f"Reading it failed: {type(error).__name__}: {error}."
        raise ValueError(invalid("record", "path", str(path), "the record.json of an explanation", text)) from error
    if not isinstance(record, dict) or record.get("legstat_record") not in range(1, FORMAT + 1):
        got = record.get("legstat_record") if isinstance(record, dict) else type(record).__name__
        remedy = "Use the legstat that wrote it." if isinstance(got, int) else "Pass the record.json of an explanation."
        valid = f"from 1 to {FORMAT}, the forms that are read here"
        raise ValueError(invalid("record", "legstat_record", got, valid, remedy))
    lacking = [name for name in _SECTIONS if not isinstance(record.get(name), dict)]
    if lacking:
        raise ValueError(invalid("record", "path", str(path), f"a whole record; {lacking} are missing in it"))
    if record["legstat_record"] == 1:
        record["results"] = {_RENAMED.get(name, name): value for name, value in record["results"].items()}
        choice = record["estimators"].get("choice", {})
        record["estimators"]["choice"] = {"L" if name == "rule" else name: value for name, value in choice.items()}
    return record
