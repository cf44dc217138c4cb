"""What all commands share: the application, how results and faults are told, common options."""

from __future__ import annotations

import json
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Annotated, NoReturn, TextIO

import typer

from legstat._core.errors import LegstatWarning
from legstat._core.files import json_text
from legstat._core.typing import JSON
from legstat.report.summary import printable

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer(
    help="Which parts of a picture does a model respond to: estimates, standard errors, certificates.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

FAULT, DIFFERENT, INTERRUPTED, TERMINATED = 2, 1, 130, 143
_EXPECTED = (ValueError, TypeError, RuntimeError, ImportError, OSError, MemoryError)

OUT = typer.Option("--out", "-o", help="Folder to write to.", file_okay=False)


class Terminated(KeyboardInterrupt):
    """SIGTERM, by which schedulers end a job: what is paid for is kept, as on Ctrl-C."""


def terminate(number: int, frame: FrameType | None) -> NoReturn:
    """Handler of SIGTERM; a second one changes nothing, what the first one began is being kept."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Terminated


@dataclass(frozen=True)
class Voice:
    """What is said, and where: results to stdout, everything else to stderr. Its fields are every command's options."""

    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the results as JSON on stdout, and nothing else there.")
    ] = False
    no_progress: Annotated[bool, typer.Option("--no-progress", help="No progress bars.")] = False
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False

    def say(self, text: str) -> None:
        """Print for a person."""
        if not (self.quiet or self.as_json):
            typer.echo(text)

    def note(self, text: str) -> None:
        """Tell a person what was assumed; on stderr, so that it stands in no output."""
        if not self.quiet:
            typer.echo(f"note: {one_line(text)}", err=True)

    def data(self, value: object) -> None:
        """Print for a program."""
        if self.as_json:
            typer.echo(json_text(value, indent=1))

    @property
    def progress(self) -> bool:
        """Whether bars are wanted; they are off anyway where stderr is no terminal."""
        return not (self.no_progress or self.quiet)


@contextmanager
def speaking(voice: Voice) -> Iterator[None]:
    """One line for every warning and every fault, no traceback; exit code 2 (130 for Ctrl-C, 143 for SIGTERM)."""

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if not voice.quiet:
            typer.echo(f"warning: {one_line(message)}", err=True)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("always", LegstatWarning)
        warnings.showwarning = show
        try:
            yield
        except BrokenPipeError:  # the reader has seen enough (`legstat demo | head`)
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except Exception as error:
            if voice.debug:
                raise
            ours = isinstance(error, _EXPECTED)  # else a library's own, or a mistake of ours: say what it is
            text = one_line(error) if ours else f"{type(error).__name__}: {one_line(error)} (--debug shows where)"
            typer.echo(f"error: {text}", err=True)
            raise typer.Exit(FAULT) from error
        except KeyboardInterrupt as error:
            terminated = any(isinstance(one, Terminated) for one in (error, error.__cause__, error.__context__))
            typer.echo("terminated" if terminated else "interrupted", err=True)
            raise typer.Exit(TERMINATED if terminated else INTERRUPTED) from error


def rows_of(frame: pd.DataFrame) -> list[JSON]:
    """A table as plain values, a dictionary a row."""
    rows: list[JSON] = json.loads(frame.to_json(orient="records", double_precision=15))
    return rows


def one_line(message: object) -> str:
    """A message without its line breaks, and without commands to the terminal that a label may hold."""
    return printable(" ".join(str(message).split()))
