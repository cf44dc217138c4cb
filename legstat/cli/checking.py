"""``legstat inspect`` and ``legstat verify``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from legstat.cli.common import DEBUG, DIFFERENT, JSON_OUT, NO_PROGRESS, QUIET, Voice, app, speaking
from legstat.record import verify as verify_record
from legstat.responses.inspection import inspect_model


@app.command()
def inspect(
    model: Annotated[Path, typer.Argument(help="ONNX file.")],
    picture: Annotated[
        Path | None, typer.Option(help="A picture whose class is known, to compare presets; random pixels if left out.")
    ] = None,
    preprocessing: Annotated[str | None, typer.Option(help="A preset or a TOML file.")] = None,
    labels: Annotated[Path | None, typer.Option(help="Class names: text, one a line, or JSON.")] = None,
    output: Annotated[str | None, typer.Option(help="Name of the class output.")] = None,
    threads: Annotated[int | None, typer.Option(help="Threads of ONNX Runtime.")] = None,
    as_json: Annotated[bool, JSON_OUT] = False,
    debug: Annotated[bool, DEBUG] = False,
) -> None:
    """Say what an ONNX file is: inputs, outputs, logits or probabilities, speed, repeatability."""
    voice = Voice(as_json=as_json)
    with speaking(voice, debug):
        report = inspect_model(
            model, image=picture, preprocessing=preprocessing, labels=labels, output=output, threads=threads
        )
        voice.say(str(report))
        voice.data(report.to_dict())


@app.command()
def verify(
    record: Annotated[Path, typer.Argument(help="record.json of an explanation.")],
    model: Annotated[Path | None, typer.Option("--model", "-m", help="The ONNX file, where it has moved.")] = None,
    picture: Annotated[Path | None, typer.Option(help="The picture file, where it has moved.")] = None,
    quiet: Annotated[bool, QUIET] = False,
    as_json: Annotated[bool, JSON_OUT] = False,
    no_progress: Annotated[bool, NO_PROGRESS] = False,
    debug: Annotated[bool, DEBUG] = False,
) -> None:
    """Repeat an explanation from its record and compare every number; exit code 1 on any difference."""
    voice = Voice(quiet, as_json, not no_progress)
    with speaking(voice, debug):
        outcome = verify_record(record, model=model, picture=picture, progress=voice.progress)
        voice.say(outcome.as_text())
        voice.data(outcome.to_dict())
    if not outcome.passed:
        raise typer.Exit(DIFFERENT)
