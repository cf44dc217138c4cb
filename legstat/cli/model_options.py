"""Options that say which model is meant, and how it is reached."""

from __future__ import annotations

import typer

_HERE, _THERE = "Models run here", "Models behind an address"

MODEL = typer.Option("--model", "-m", help="ONNX file of a classifier; with --url the model's name there.")
URL = typer.Option("--url", help="Address of a server that speaks the Open Inference Protocol (Triton, KServe, ...).")
INPUT = typer.Option("--input", help="Name of the input that takes the picture, where several could.")
OUTPUT = typer.Option("--output", help="Name of the class output; the logits if left out.")
OUTPUT_KIND = typer.Option(
    "--output-kind",
    help="logits, probabilities, log_probabilities, sigmoid_logits, sigmoid_probabilities; found out if left out.",
)
CONSTANT = typer.Option("--constant", help="Value of another input: name=number or name=file.npy. May be repeated.")

THREADS = typer.Option("--threads", help="Threads of ONNX Runtime.", rich_help_panel=_HERE)
PROVIDER = typer.Option("--provider", help="cpu, cuda, ..., auto; cpu if left out.", rich_help_panel=_HERE)
FALLBACK = typer.Option(
    "--allow-fallback", help="Whether another provider than the one asked for may run.", rich_help_panel=_HERE
)

VERSION = typer.Option("--model-version", help="The model's version.", rich_help_panel=_THERE)
HEADERS = typer.Option(
    "--headers", help="Text file of lines 'Name: value', sent with every request; kept nowhere.", rich_help_panel=_THERE
)
IN_FLIGHT = typer.Option("--in-flight", help="Requests under way at a time; 4 if left out.", rich_help_panel=_THERE)
RATE = typer.Option("--rate", help="Attempts in a second, at most.", rich_help_panel=_THERE)
TIMEOUT = typer.Option("--timeout", help="Seconds of silence in one attempt; 30 if left out.", rich_help_panel=_THERE)
DEADLINE = typer.Option(
    "--deadline", help="Seconds for one request with all its attempts; 300 if left out.", rich_help_panel=_THERE
)
CA_CERTS = typer.Option("--ca-certs", help="Certificates to trust.", rich_help_panel=_THERE)
