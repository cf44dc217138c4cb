"""``legstat inspect`` and ``legstat verify``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from legstat._core.errors import invalid
from legstat._core.typing import JSON
from legstat.audit import verify as verify_audit
from legstat.cli.auditing import plan_of, response_of
from legstat.cli.common import DEBUG, DIFFERENT, FAULT, JSON_OUT, NO_PROGRESS, QUIET, Voice, app, speaking
from legstat.cli.model_flags import check_flags, constants_from, transport_from
from legstat.cli.model_options import (
    CA_CERTS,
    CONSTANT,
    HEADERS,
    INPUT,
    OUTPUT,
    OUTPUT_KIND,
    PROVIDER,
    THREADS,
    URL,
    VERSION,
)
from legstat.inspection.endpoint import inspect_endpoint
from legstat.inspection.onnx_file import inspect_model
from legstat.inspection.report import Inspection
from legstat.record import verify as verify_record


@app.command()
def inspect(
    model: Annotated[str, typer.Argument(help="ONNX file; with --url the model's name there.")],
    url: Annotated[str | None, URL] = None,
    picture: Annotated[
        Path | None, typer.Option(help="A picture whose class is known, to compare presets; random pixels if left out.")
    ] = None,
    preprocessing: Annotated[str | None, typer.Option(help="A preset or a TOML file.")] = None,
    labels: Annotated[Path | None, typer.Option(help="Class names: text, one a line, or JSON.")] = None,
    input: Annotated[str | None, INPUT] = None,
    output: Annotated[str | None, OUTPUT] = None,
    output_kind: Annotated[str | None, OUTPUT_KIND] = None,
    constant: Annotated[list[str] | None, CONSTANT] = None,
    batch_size: Annotated[int | None, typer.Option(help="Pictures per call, or per request, at most.")] = None,
    threads: Annotated[int | None, THREADS] = None,
    provider: Annotated[str | None, PROVIDER] = None,
    model_version: Annotated[str | None, VERSION] = None,
    headers: Annotated[Path | None, HEADERS] = None,
    ca_certs: Annotated[Path | None, CA_CERTS] = None,
    as_json: Annotated[bool, JSON_OUT] = False,
    debug: Annotated[bool, DEBUG] = False,
) -> None:
    """Say what a model is: inputs, outputs, logits or probabilities, speed, repeatability."""
    voice = Voice(as_json=as_json)
    with speaking(voice, debug):
        common: JSON = {
            "image": picture,
            "preprocessing": preprocessing,
            "labels": labels,
            "input": input,
            "output": output,
            "output_kind": output_kind,
            "constants": constants_from("inspect", constant or ()),
            "batch_size": batch_size,
        }
        check_flags(
            "inspect",
            url,
            {
                "threads": threads,
                "provider": provider,
                "version": model_version,
                "headers": headers,
                "ca_certs": ca_certs,
            },
        )
        report: Inspection
        if url is None:
            report = inspect_model(model, threads=threads, provider=provider or "cpu", **common)
        else:
            transport = transport_from("inspect", headers, {"ca_certs": ca_certs})
            report = inspect_endpoint(url, model, version=model_version, transport=transport, **common)
        voice.say(str(report))
        voice.data(report.to_dict())
    if not report.response:  # what stops it stands among the problems
        raise typer.Exit(FAULT)


@app.command()
def verify(
    record: Annotated[Path, typer.Argument(help="record.json of an explanation, or the folder of an audit.")],
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
    quiet: Annotated[bool, QUIET] = False,
    as_json: Annotated[bool, JSON_OUT] = False,
    no_progress: Annotated[bool, NO_PROGRESS] = False,
    debug: Annotated[bool, DEBUG] = False,
) -> None:
    """Repeat an explanation, or pictures of an audit, and compare every number; exit code 1 on any difference."""
    voice = Voice(quiet, as_json, not no_progress)
    with speaking(voice, debug):
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
                constants=constants_from("verify", constant or ()),
                url=url,
                transport=transport_from("verify", headers, {"ca_certs": ca_certs}),
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
