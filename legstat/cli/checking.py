"""``legstat inspect`` and ``legstat verify``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from legstat._core.errors import invalid
from legstat._core.typing import JSON
from legstat.audit import verify as verify_audit
from legstat.cli.auditing import plan_of, response_of
from legstat.cli.common import DIFFERENT, FAULT, Voice, app, speaking
from legstat.cli.groups import grouped
from legstat.cli.model_flags import (
    ADDRESS_ONLY,
    FILE_ONLY,
    check_flags,
    constants_from,
    session_from,
    transport_from,
)
from legstat.cli.model_options import CA_CERTS, CONSTANT, HEADERS, ModelOptions
from legstat.inspection.endpoint import inspect_endpoint
from legstat.inspection.onnx_file import inspect_model
from legstat.inspection.report import Inspection
from legstat.record import verify as verify_record


@app.command()
@grouped
def inspect(
    model: Annotated[str, typer.Argument(help="ONNX file; with --url the model's name there.")],
    reached: ModelOptions,
    voice: Voice,
    picture: Annotated[
        Path | None, typer.Option(help="A picture whose class is known, to compare presets; random pixels if left out.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Pictures per call, or per request, at most.")] = None,
) -> None:
    """Say what a model is: inputs, outputs, logits or probabilities, speed, repeatability."""
    with speaking(voice):
        asked = vars(reached)
        settings = check_flags("inspect", reached.url, {name: asked[name] for name in (*FILE_ONLY, *ADDRESS_ONLY)})
        common: JSON = {name: asked[name] for name in ("preprocessing", "labels", "input", "output", "output_kind")}
        common |= {
            "constants": constants_from("inspect", reached.constants),
            "image": picture,
            "batch_size": batch_size,
        }
        report: Inspection
        if reached.url is None:
            report = inspect_model(model, session=session_from(settings), **common, **settings)
        else:
            version = settings.pop("version", None)
            transport = transport_from("inspect", settings)
            report = inspect_endpoint(reached.url, model, version=version, transport=transport, **common)
        voice.say(str(report))
        voice.data(report.to_dict())
    if not report.response:  # what stops it stands among the problems
        raise typer.Exit(FAULT)


@app.command()
@grouped
def verify(
    record: Annotated[Path, typer.Argument(help="record.json of an explanation, or the folder of an audit.")],
    voice: Voice,
    model: Annotated[Path | None, typer.Option("--model", "-m", help="The ONNX file, where it has moved.")] = None,
    picture: Annotated[Path | None, typer.Option(help="The picture file, where it has moved.")] = None,
    constant: Annotated[list[str] | None, CONSTANT] = None,
    url: Annotated[
        str | None,
        typer.Option(help="Address of the endpoint that may be asked: the recorded one. Needed with --headers."),
    ] = None,
    pictures: Annotated[
        int | None, typer.Option(help="Of an audit: so many pictures, taken at random; all if left out.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of that choice; nobody can know it if left out.")] = None,
    headers: Annotated[Path | None, HEADERS] = None,
    ca_certs: Annotated[Path | None, CA_CERTS] = None,
) -> None:
    """Repeat an explanation, or pictures of an audit, and compare every number; exit code 1 on any difference."""
    with speaking(voice):
        if record.is_dir():
            _check_of_an_audit({"--picture": picture, "--constant": constant})
            plan = plan_of(record, model, url, headers)
            response = response_of("verify", plan, headers, ca_certs)
            outcome = verify_audit(record, response, pictures=pictures, rng=seed, progress=voice.progress)
        else:
            outcome = verify_record(
                record,
                model=model,
                picture=picture,
                constants=constants_from("verify", constant),
                url=url,
                transport=transport_from("verify", {"headers": headers, "ca_certs": ca_certs}),
                progress=voice.progress,
            )
        voice.say(outcome.as_text())
        voice.data(outcome.to_dict())
    if not outcome.passed:
        raise typer.Exit(DIFFERENT)


def _check_of_an_audit(of_a_record: JSON) -> None:
    for flag, value in of_a_record.items():
        if value:
            raise ValueError(invalid("verify", flag, value, "left out for an audit", "Its plan says where they are."))
