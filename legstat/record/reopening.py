"""The response that a record speaks of, built anew: from the model's file, or from its endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from legstat._core.errors import invalid
from legstat._core.typing import JSON, AnyArray
from legstat.record.numbers import Check
from legstat.responses.base import Response
from legstat.responses.http.opening import reopen_http
from legstat.responses.onnx.graph import read_model
from legstat.responses.onnx.opening import reopen_onnx
from legstat.responses.transport import Transport

WHY_NOT = {
    "callable": "A Python function is not in its record, only its name and a SHA-256 of its code. In Python: "
    "legstat.verify(record, f=the_function).",
    "torch": "A torch module is not in its record, only a SHA-256 of its weights. In Python: "
    "legstat.verify(record, f=torch_response(module, ...)); or export the module to ONNX, and explain that.",
}
"""What cannot be built anew from a record, by kind of response, and what to do."""


def reopen(
    record: JSON,
    home: Path,
    *,
    model: str | Path | None,
    constants: Mapping[str, AnyArray | float | str | Path] | None,
    url: str | None,
    transport: Transport | None,
) -> tuple[Response | None, Check]:
    """The recorded response, nothing evaluated; None where the model is another one.

    Parameters
    ----------
    record : dict
        The record.
    home : Path
        Its folder, where files are looked for too.
    model, constants, url, transport : optional
        As for `verify`.

    Returns
    -------
    response : Response or None
        The response, settled as it was.
    check : Check
        The model's SHA-256, or that of what its endpoint says of it.

    Raises
    ------
    ValueError
        It cannot be built anew, and why; a file that it takes is missing.
    ConnectionError
        Its endpoint does not answer.
    """
    then, origin = record["response"], record["provenance"]
    files = {name: Path(place) for name, place in (origin.get("constant_paths") or {}).items()}
    files = {name: place if place.is_file() else home / place.name for name, place in files.items()}
    if then["kind"] == "onnx":
        file = find_file("model", model, origin["model_path"], home, then["file"])
        now = read_model("verify", file).sha256
        check = Check("model", now == then["model_sha256"], then["model_sha256"], now)
        if not check.same:
            return None, check
        return reopen_onnx(then, file, constants=constants, constant_files=files).resolved(then), check
    if then["kind"] == "http":
        _check_address(then["url"], url, transport)
        again = reopen_http(then, constants=constants, constant_files=files, transport=transport)
        now, name = again.model_sha256, "what the endpoint says of its model"
        check = Check(name, now == then["model_sha256"], then["model_sha256"], now)
        return (again.resolved(then) if check.same else None), check
    raise ValueError(
        invalid("verify", "f", None, f"given for a {then['kind']!r} response", WHY_NOT.get(then["kind"], "Pass f=."))
    )


def _check_address(recorded: str, url: str | None, transport: Transport | None) -> None:
    """Refuse to send secrets, or anything, to another place than the caller names: a record may be anybody's."""
    if url is None and transport is not None and transport.headers:
        remedy = f"The record's address is {recorded}. Say url={recorded!r} if that is whom the headers are for."
        raise ValueError(invalid("verify", "url", None, "given with headers, which may be a secret", remedy))
    if url is not None and url.rstrip("/") != recorded.rstrip("/"):
        remedy = "Nothing was sent to either. A model at another address is another one: explain it anew."
        raise ValueError(invalid("verify", "url", url, f"the record's address, {recorded}", remedy))


def find_file(what: str, given: str | Path | None, recorded: str | None, home: Path, name: str) -> Path:
    """A file that the record needs: as given, where it was, or beside the record."""
    if given is not None:
        places = [Path(given)]
    else:
        places = [Path(place) for place in (recorded, home / name) if place is not None]
    for place in places:
        if place.is_file():
            return place
    shown = " or ".join(str(place) for place in places)
    remedy = f"Looked at {shown}." + (f" Say where it is: {what}=." if what != "sample.npz" else "")
    raise ValueError(invalid("verify", what, name if given is None else str(given), "an existing file", remedy))
