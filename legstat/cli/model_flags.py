"""What a command line says about a model, as a response: a file, or a name behind an address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from legstat._core.errors import invalid
from legstat._core.typing import JSON
from legstat.responses.http.opening import http_response
from legstat.responses.http.response import HttpResponse
from legstat.responses.network.labels import Target
from legstat.responses.onnx.opening import onnx_response
from legstat.responses.onnx.response import OnnxResponse
from legstat.responses.onnx.settings import SessionSettings
from legstat.responses.transport import Transport

FILE_ONLY = ("threads", "provider", "allow_fallback")
"""Settings of a model that is run here."""
ADDRESS_ONLY = ("version", "in_flight", "rate", "timeout", "deadline", "headers", "ca_certs")
"""Settings of a model behind an address."""


def response_from(
    where: str,
    model: str,
    *,
    url: str | None = None,
    target: Target = "top",
    score: str = "log_odds",
    preprocessing: str | None = None,
    input: str | None = None,
    output: str | None = None,
    output_kind: str | None = None,
    constants: Sequence[str] | None = None,
    labels: Path | None = None,
    batch_size: int | None = None,
    **settings: object,
) -> OnnxResponse | HttpResponse:
    """The response that flags ask for.

    Parameters
    ----------
    where : str
        The command, for errors.
    model : str
        Path of an ONNX file; with `url` the model's name there.
    url : str, optional
        Address of a server.
    target, score, preprocessing, input, output, output_kind, labels, batch_size : optional
        As for `onnx_response` and `http_response`.
    constants : sequence of str, optional
        ``name=number`` or ``name=file.npy``.
    **settings
        Of `FILE_ONLY` and `ADDRESS_ONLY`; None where a flag was left out.

    Returns
    -------
    OnnxResponse or HttpResponse
        The response.

    Raises
    ------
    ValueError
        A flag of the other kind of model; anything that `onnx_response` or `http_response` refuses.
    """
    given = check_flags(where, url, settings)
    common: JSON = {
        "target": target,
        "score": score,
        "preprocessing": preprocessing,
        "input": input,
        "output": output,
        "output_kind": output_kind,
        "constants": constants_from(where, constants),
        "labels": labels,
        "batch_size": batch_size,
    }
    if url is None:
        return onnx_response(model, session=session_from(given), **common, **given)
    version = given.pop("version", None)
    common |= {"version": version, "transport": transport_from(where, given)}
    return http_response(url, model, **common)


def check_flags(where: str, url: str | None, flags: Mapping[str, object]) -> JSON:
    """The flags that were given, by name of the setting; ValueError where one is for the other kind of model."""
    given = {name: value for name, value in flags.items() if value is not None and value is not False}
    foreign = FILE_ONLY if url is not None else ADDRESS_ONLY
    for name in given:
        if name in foreign:
            flag = "--" + ("model-version" if name == "version" else name.replace("_", "-"))
            kind = "left out with --url" if url is not None else "left out without --url"
            raise ValueError(invalid(where, flag, str(given[name]), f"{kind}: it is for models of the other kind"))
    return given


def session_from(given: JSON) -> SessionSettings:
    """How a file is run, by flags; those that it holds are taken out of `given`."""
    return SessionSettings(allow_fallback=bool(given.pop("allow_fallback", False)))


def constants_from(where: str, texts: Sequence[str] | None) -> dict[str, float | Path]:
    """Values of a model's other inputs from ``name=number`` and ``name=file.npy``."""
    found: dict[str, float | Path] = {}
    for text in texts or ():
        name, sign, value = text.rpartition("=")
        if not (sign and name and value):
            raise ValueError(invalid(where, "--constant", text, "name=number or name=file.npy"))
        try:
            found[name] = float(value)
        except ValueError:
            found[name] = Path(value)
    return found


def transport_from(where: str, settings: Mapping[str, Any]) -> Transport:
    """How an endpoint is reached, by flags, "headers" a file of them; None where one was left out."""
    given = {name: value for name, value in settings.items() if value is not None}
    if "headers" in given:
        given["headers"] = headers_from(where, given["headers"])
    return Transport(**given)


def headers_from(where: str, file: Path) -> Mapping[str, str]:
    """Headers from a text file of lines ``Name: value``.

    They are read from a file because a command line is seen by other users of the machine, and stands in the record.
    """
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(invalid(where, "--headers", str(file), "a readable text file", f"{error}.")) from error
    headers = {}
    for number, line in enumerate(lines, 1):
        if not line or line.startswith("#"):
            continue
        name, colon, value = line.partition(":")
        if not (colon and name.strip() and value.strip()):
            text = f"line {number} of {file}"  # not the line itself: it may hold a secret
            raise ValueError(invalid(where, "--headers", text, "of the form Name: value"))
        headers[name.strip()] = value.strip()
    return headers
