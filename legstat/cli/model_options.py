"""Options that say which model is meant, and how it is reached."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

_HERE, _THERE = "Models run here", "Models behind an address"

MODEL = typer.Option("--model", "-m", help="ONNX file of a classifier; with --url the model's name there.")
CONSTANT = typer.Option("--constant", help="Value of another input: name=number or name=file.npy. May be repeated.")
HEADERS = typer.Option(
    "--headers", help="Text file of lines 'Name: value', sent with every request; kept nowhere.", rich_help_panel=_THERE
)
CA_CERTS = typer.Option("--ca-certs", help="Certificates to trust.", rich_help_panel=_THERE)


class OneScore(StrEnum):
    """Scores of one class."""

    log_odds = "log_odds"
    logit = "logit"
    probability = "probability"


@dataclass(frozen=True)
class ModelOptions:
    """All of a model but its name, its target and score, and the batch: by the names that `response_from` takes."""

    url: Annotated[
        str | None,
        typer.Option(
            "--url", help="Address of a server that speaks the Open Inference Protocol (Triton, KServe, ...)."
        ),
    ] = None
    preprocessing: Annotated[
        str | None,
        typer.Option(
            "--preprocessing", help="imagenet, caffe, tf, unit, raw, or a TOML file; RGB in [0, 1] if left out."
        ),
    ] = None
    labels: Annotated[Path | None, typer.Option("--labels", help="Class names: text, one a line, or JSON.")] = None
    input: Annotated[
        str | None, typer.Option("--input", help="Name of the input that takes the picture, where several could.")
    ] = None
    output: Annotated[
        str | None, typer.Option("--output", help="Name of the class output; the logits if left out.")
    ] = None
    output_kind: Annotated[
        str | None,
        typer.Option(
            "--output-kind",
            help="logits, probabilities, log_probabilities, sigmoid_logits, sigmoid_probabilities; found out if left "
            "out.",
        ),
    ] = None
    constants: Annotated[list[str] | None, CONSTANT] = None
    threads: Annotated[
        int | None, typer.Option("--threads", help="Threads of ONNX Runtime.", rich_help_panel=_HERE)
    ] = None
    provider: Annotated[
        str | None, typer.Option("--provider", help="cpu, cuda, ..., auto; cpu if left out.", rich_help_panel=_HERE)
    ] = None
    allow_fallback: Annotated[
        bool,
        typer.Option(
            "--allow-fallback", help="Whether another provider than the one asked for may run.", rich_help_panel=_HERE
        ),
    ] = False
    version: Annotated[
        str | None, typer.Option("--model-version", help="The model's version.", rich_help_panel=_THERE)
    ] = None
    headers: Annotated[Path | None, HEADERS] = None
    in_flight: Annotated[
        int | None,
        typer.Option("--in-flight", help="Requests under way at a time; 4 if left out.", rich_help_panel=_THERE),
    ] = None
    rate: Annotated[
        float | None, typer.Option("--rate", help="Attempts in a second, at most.", rich_help_panel=_THERE)
    ] = None
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", help="Seconds of silence in one attempt; 30 if left out.", rich_help_panel=_THERE),
    ] = None
    deadline: Annotated[
        float | None,
        typer.Option(
            "--deadline", help="Seconds for one request with all its attempts; 300 if left out.", rich_help_panel=_THERE
        ),
    ] = None
    ca_certs: Annotated[Path | None, CA_CERTS] = None
