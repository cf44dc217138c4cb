"""A sample on disk: its parts written to an .npz file of plain arrays with a JSON header, and read again."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from legstat._core.npz import loading_arrays, save_arrays
from legstat._core.typing import JSON, AnyArray
from legstat.designs.by_name import design_from_parameters
from legstat.perturbations.operators import PERTURBATIONS
from legstat.samples.segments import Ledger, Segment
from legstat.samples.stopping import Stopping

_PLAIN = ("antithetic", "conventions", "f_x0", "f_base", "response")


def write_parts(path: str | Path, parts: Mapping[str, Any]) -> None:
    """Write the parts of a sample, the arguments of `QuerySample` by name."""
    arrays: dict[str, AnyArray] = {"image": parts["image"]}
    segments: tuple[Segment, ...] = parts["segments"]
    header: JSON = {
        "design": type(parts["design"]).__name__,
        "perturbation": type(parts["perturbation"]).__name__,
        "draw_check": _draw_check(parts),
        "segments": [
            {"key": [str(k) for k in s.key], "channel": s.channel, "first_block": s.first_block} for s in segments
        ],
        "ledger": dataclasses.asdict(parts["ledger"]),
        "stopping": None if parts["stopping"] is None else parts["stopping"].to_dict(),
    }
    header |= {name: parts[name] for name in _PLAIN}
    for prefix in ("design", "perturbation"):
        values = parts[prefix].parameters()
        header[f"{prefix}_parameters"] = {k: v for k, v in values.items() if not isinstance(v, np.ndarray)}
        arrays |= {f"{prefix}.{k}": v for k, v in values.items() if isinstance(v, np.ndarray)}
    for i, segment in enumerate(segments):
        arrays[f"responses.{i}"] = segment.responses
        arrays[f"pending.{i}"] = segment.pending
    if parts["external_z"] is not None:
        arrays["external_z"] = parts["external_z"]
    save_arrays(path, "QuerySample", header, arrays)


def read_parts(path: str | Path) -> dict[str, Any]:
    """What `write_parts` wrote.

    Raises
    ------
    ValueError
        If it is no such file, or was changed; or this machine's numpy draws other numbers from the stored key.
    """
    with loading_arrays(path, "QuerySample") as (header, arrays):
        parts, check = _parts(header, arrays), header["draw_check"]
    if _draw_check(parts) != check:
        raise ValueError(
            f"legstat.QuerySample.load: numpy {np.__version__} draws other numbers from the key in {str(path)!r} "
            "than the numpy that wrote it; its responses belong to perturbations that cannot be drawn again "
            "here. Load it with the version named in its record."
        )
    return parts


def _parts(header: JSON, arrays: Mapping[str, AnyArray]) -> dict[str, Any]:
    def parameters(prefix: str) -> JSON:
        given = {k.removeprefix(f"{prefix}."): v for k, v in arrays.items() if k.startswith(f"{prefix}.")}
        return {**header[f"{prefix}_parameters"], **given}

    segments = tuple(
        Segment(
            (int(s["key"][0]), int(s["key"][1])),
            s["channel"],
            s["first_block"],
            arrays[f"responses.{i}"],
            arrays[f"pending.{i}"],
        )
        for i, s in enumerate(header["segments"])
    )
    width = 2 if header["antithetic"] else 1
    if not segments or any(s.responses.shape[1:] != (width,) or s.pending.ndim != 1 for s in segments):
        raise TypeError("responses of another shape than the pairing says")
    return {
        "design": design_from_parameters(header["design"], parameters("design")),
        "perturbation": PERTURBATIONS[header["perturbation"]](**parameters("perturbation")),
        "image": arrays["image"],
        "segments": segments,
        "ledger": Ledger(**header["ledger"]),
        "external_z": arrays.get("external_z"),
        "stopping": None if header.get("stopping") is None else Stopping.from_dict(header["stopping"]),
        **{name: header[name] for name in _PLAIN},
    }


def _draw_check(parts: Mapping[str, Any]) -> str:
    """Digest of the first block's first normals: tells whether this numpy draws what was drawn."""
    if parts["external_z"] is not None or not parts["segments"]:
        return ""
    # the raw normals, not z: the latter may differ in the last bit with the linear algebra library
    key = np.array(parts["segments"][0].key, dtype=np.uint64)
    bits = np.random.Philox(key=key, counter=np.zeros(4, dtype=np.uint64))
    return hashlib.sha256(np.random.Generator(bits).standard_normal(1024).tobytes()).hexdigest()
