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
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from legstat._core.digests import file_sha256
from legstat._core.errors import invalid
from legstat._core.files import json_text, json_value, write_text
from legstat._core.typing import JSON, AnyArray, FloatArray
from legstat.estimators.path import LEGTVPath
from legstat.estimators.results import LEGResults, LEGTVResults
from legstat.samples.sample import QuerySample

FORMAT = 2
"""Version of the record's form."""
_RENAMED = {"leg.fidelity": "leg.r2_heldout", "legtv.fidelity": "legtv.r2_heldout"}  # in form 1

_SECTIONS = ("inputs", "response", "experiment", "estimators", "results", "environment", "provenance")
_PACKAGES = ("legstat", "numpy", "scipy", "onnxruntime", "onnx", "torch", "highspy", "cvxpy", "pillow")


def array_sha256(array: AnyArray) -> str:
    """SHA-256 of an array's numbers, as anybody can compute it.

    Parameters
    ----------
    array : ndarray
        Numbers, of any shape.

    Returns
    -------
    str
        Hexadecimal digest of the little-endian float64 bytes in C order.

    Examples
    --------
    >>> array_sha256(np.array([1.0, 2.0]))[:16]
    'dc91ce9a50ddc828'
    """
    return sha256(np.ascontiguousarray(array, dtype="<f8").tobytes()).hexdigest()


def numbers(sample: QuerySample, leg: LEGResults, path: LEGTVPath, tv: LEGTVResults) -> JSON:
    """Every number of an explanation, by name.

    Parameters
    ----------
    sample : QuerySample
        What was queried.
    leg, path, tv : LEGResults, LEGTVPath, LEGTVResults
        What was estimated.

    Returns
    -------
    dict
        Name to ``{"value", "hex"}`` for scalars and ``{"sha256", "shape", "file", "array"}`` for arrays.
    """
    facts = leg.moments.source
    scalars: dict[str, float | int | None] = {
        "f_x0": sample.f_x0,
        "f_base": sample.f_base,
        "mean_shift": facts["mean_shift"],
        "sd": facts["sd"],
        "leg.r2_heldout": leg.r2_heldout,
        "legtv.L": tv.L,
        "legtv.L_max": tv.L_max,
        "legtv.L_ratio": tv.L_ratio,
        "legtv.r2_heldout": tv.r2_heldout,
        "legtv.n_regions": tv.n_regions,
        "legtv.gap": tv.certificate.gap,
    }
    if sample.stopping is not None and sample.stopping.units:
        scalars |= {"stopping.units": sample.stopping.units[-1], "stopping.half_width": sample.stopping.half_widths[-1]}
    arrays = {f"{file}.{name}": (file, name, array) for file, name, array in _arrays(sample, leg, path, tv)}
    return {
        **{name: _scalar(value) for name, value in scalars.items()},
        **{
            key: {"sha256": array_sha256(array), "shape": list(array.shape), "file": f"{file}.npz", "array": name}
            for key, (file, name, array) in arrays.items()
        },
    }


def _arrays(
    sample: QuerySample, leg: LEGResults, path: LEGTVPath, tv: LEGTVResults
) -> list[tuple[str, str, FloatArray]]:
    """(file, array in it, values) of every array that is saved."""
    found = [("sample", f"responses.{i}", s.responses) for i, s in enumerate(sample.segments)]
    found += [("leg", "params", leg.params), ("legtv", "params", tv.params)]
    if leg.moments.variances is not None:
        found.append(("leg", "variances", leg.moments.variances))
    return found + [("path", name, array) for name, array in path_arrays(path).items()]


def path_arrays(path: LEGTVPath) -> dict[str, FloatArray]:
    """What of a path is saved: L, estimates, and the out-of-sample R^2 where it was measured."""
    arrays = {"Ls": path.Ls, "params": path.params}
    if "heldout" in vars(path):  # only if something asked for it: it costs the path once for each fold
        arrays |= {"heldout_r2": path.heldout.r2, "heldout_std_errors": path.heldout.std_errors}
    return arrays


def _scalar(value: float | None) -> JSON:
    if value is None:
        return {"value": None, "hex": None}
    return {"value": value, "hex": float(value).hex()}


def make_record(
    sample: QuerySample,
    leg: LEGResults,
    path: LEGTVPath,
    tv: LEGTVResults,
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
    if sample.external_z is not None or len({s.channel for s in sample.segments}) != len(sample.segments):
        remedy = "Save the sample itself: QuerySample.save keeps all there is."
        raise ValueError(invalid("record", "sample", "from arrays, or merged", "the sample of one run", remedy))
    first = sample.segments[0]
    return {
        "legstat_record": FORMAT,
        "inputs": {
            "picture": _file(picture) | {"array_sha256": array_sha256(sample.image), "shape": list(sample.image.shape)},
            "model": _file(model) | {"sha256": sample.response.get("model_sha256")},
        },
        "response": sample.response,
        "experiment": {
            "design": _parameters(sample.design),
            "perturbation": _parameters(sample.perturbation),
            "antithetic": sample.antithetic,
            "conventions": sample.conventions,
            "n_queries": sample.ledger.n_queries,
            "until": None if sample.stopping is None else sample.stopping.rule.parameters(),
            "until_from": 0 if sample.stopping is None else sample.stopping.start,
            "beforehand": sample.ledger.beforehand,
            "seed": seed,
            "key": [str(word) for word in first.key],
            "first_block": first.first_block,
        },
        "estimators": {
            "leg": {"moments": leg.moments.kind},
            "legtv": {"moments": tv.moments.kind, "engine": tv.engine, "selection": tv.selection},
            "choice": dict(choice),
        },
        "ledger": {**vars(sample.ledger), "spent": sample.ledger.spent, "unused": sample.ledger.unused},
        "results": numbers(sample, leg, path, tv),
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
    }


def _file(path: str | Path | None) -> JSON:
    return (
        {"file": None, "sha256": None} if path is None else {"file": Path(path).name, "sha256": file_sha256(Path(path))}
    )


def _parameters(of: Any) -> JSON:
    """Class and constructor arguments; arrays by their hash, to be taken from sample.npz."""
    plain = {
        name: {"sha256": array_sha256(value), "file": "sample.npz"} if isinstance(value, np.ndarray) else value
        for name, value in of.parameters().items()
    }
    return {"class": type(of).__name__, **plain}


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
    return record
