"""The command line: ``legstat explain | demo | inspect | verify | study``."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TextIO, cast

import typer

from legstat.conventions import ConventionsName
from legstat.data import digits_info, digits_model_path, load_digit
from legstat.errors import LegstatWarning, QueryError, QueryInterrupted, invalid
from legstat.explanation import Explanation, choose_rule, query_for
from legstat.explanation import explain as explain_picture
from legstat.perturbations import Additive, Baseline, Blend, Perturbation
from legstat.plan import key_of
from legstat.record import verify as verify_record
from legstat.responses.inspection import inspect_model
from legstat.responses.labels import Target
from legstat.responses.onnx import onnx_response
from legstat.samples import QuerySample

app = typer.Typer(
    help="Which parts of a picture does a model respond to: estimates, standard errors, certificates.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

FAULT, DIFFERENT, INTERRUPTED = 2, 1, 130
_EXPECTED = (ValueError, TypeError, RuntimeError, ImportError, OSError, MemoryError)
DEMO_DIGIT, DEMO_QUERIES = 5, 300


class ScoreChoice(StrEnum):
    """Scores of a network."""

    log_odds = "log_odds"
    logit = "logit"
    probability = "probability"
    difference = "difference"


class PerturbChoice(StrEnum):
    """How z acts on the picture."""

    additive = "additive"
    blur = "blur"
    mean = "mean"
    black = "black"
    noise = "noise"


class ConventionsChoice(StrEnum):
    """Sets of conventions."""

    default = "default"
    paper = "paper"
    upstream = "upstream"


@dataclass(frozen=True)
class Voice:
    """What is said, and where: results to stdout, everything else to stderr."""

    quiet: bool = False
    as_json: bool = False
    bars: bool = True

    def say(self, text: str) -> None:
        """Print for a person."""
        if not (self.quiet or self.as_json):
            typer.echo(text)

    def data(self, value: object) -> None:
        """Print for a program."""
        if self.as_json:
            typer.echo(json.dumps(value, indent=1))

    @property
    def progress(self) -> bool:
        """Whether bars are wanted; they are off anyway where stderr is no terminal."""
        return self.bars and not self.quiet


@contextmanager
def _speaking(voice: Voice, debug: bool) -> Iterator[None]:
    """One line for every warning and every fault, no traceback; exit code 2 (130 for Ctrl-C)."""

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if not voice.quiet:
            typer.echo(f"warning: {_one_line(message)}", err=True)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("always", LegstatWarning)
        warnings.showwarning = show
        try:
            yield
        except BrokenPipeError:  # the reader has seen enough (`legstat demo | head`)
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except _EXPECTED as error:
            if debug:
                raise
            typer.echo(f"error: {_one_line(error)}", err=True)
            raise typer.Exit(FAULT) from error
        except KeyboardInterrupt as error:
            typer.echo("interrupted", err=True)
            raise typer.Exit(INTERRUPTED) from error


def _one_line(message: object) -> str:
    return " ".join(str(message).split())


def _shape(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.strip().isdigit() for part in parts):
        raise ValueError(invalid("explain", "--grid", text, "rows x columns, such as 28x28"))
    return int(parts[0]), int(parts[1])


def _target(text: str, score: ScoreChoice) -> Target:
    def one(part: str) -> int | str:
        return int(part) if part.strip().lstrip("-").isdigit() else part.strip()

    if score is not ScoreChoice.difference:
        return one(text)
    first, comma, second = text.partition(",")
    if not comma:
        raise ValueError(invalid("explain", "--target", text, "two classes, such as 207,208, for --score difference"))
    return one(first), one(second)


def _rule(text: str | None) -> float | str | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return text


def _perturbation(choice: PerturbChoice | None, at: float | None, conventions: str) -> Perturbation | None:
    """The operator that was asked for; None where the default is to be taken."""
    if choice is None and at is None:
        return None
    if choice is PerturbChoice.additive:
        if at is not None:
            raise ValueError(
                invalid("explain", "--at", at, "left out with --perturb additive", "It has no mask level.")
            )
        return None if conventions != "default" else Additive()
    return Blend(cast("Baseline", (choice or PerturbChoice.blur).value), at=0.5 if at is None else at)


def _list(name: str, text: str, kind: Callable[[str], object]) -> list[object]:
    try:
        return [kind(part.strip()) for part in text.split(",")]
    except ValueError:
        flag = "--" + name.replace("_", "-")
        raise ValueError(invalid("study", flag, text, "numbers with commas between them")) from None


@contextmanager
def _keeping(folder: Path) -> Iterator[None]:
    """Saves what was paid for when a query run stops midway, and says how to go on."""
    try:
        yield
    except (QueryError, QueryInterrupted) as error:
        if error.sample is not None and error.sample.ledger.perturbed:
            folder.mkdir(parents=True, exist_ok=True)
            kept = folder / "partial.npz"
            error.sample.save(kept)
            spent = error.sample.ledger.spent
            typer.echo(f"{spent} evaluations are kept: go on with the same command and --resume {kept}", err=True)
        raise


def _finish(found: Explanation, out: Path, voice: Voice, path_points: int = 0) -> None:
    """Write everything, then say what was found."""
    command = ["legstat", *sys.argv[1:]]
    files = found.save(out, command=command, path_points=path_points)
    voice.say(found.summary().as_text())
    voice.say("Written to " + str(out) + ": " + ", ".join(file.name for file in files))
    voice.data(found.record()["results"])


_QUIET = typer.Option("--quiet", "-q", help="Say nothing but errors.")
_JSON = typer.Option("--json", help="Print the results as JSON on stdout, and nothing else there.")
_NO_PROGRESS = typer.Option("--no-progress", help="No progress bars.")
_DEBUG = typer.Option("--debug", help="Show the traceback of an error.")
_OUT = typer.Option("--out", "-o", help="Folder to write to.", file_okay=False)


@app.command()
def explain(
    picture: Annotated[Path, typer.Argument(help="Picture file.")],
    model: Annotated[Path, typer.Option("--model", "-m", help="ONNX file of a classifier.")],
    preprocessing: Annotated[
        str | None, typer.Option(help="imagenet, caffe, tf, unit, raw, or a TOML file; RGB in [0, 1] if left out.")
    ] = None,
    target: Annotated[
        str, typer.Option(help="top, a class index or a label; two of them, A,B, for --score difference.")
    ] = "top",
    score: Annotated[ScoreChoice, typer.Option(help="What is explained.")] = ScoreChoice.log_odds,
    labels: Annotated[Path | None, typer.Option(help="Class names: text, one a line, or JSON.")] = None,
    output: Annotated[str | None, typer.Option(help="Name of the class output; the logits if left out.")] = None,
    grid: Annotated[str | None, typer.Option(help="Rows x columns; at most 28 a side if left out.")] = None,
    n_queries: Annotated[int, typer.Option(help="Ceiling on model evaluations.")] = 6000,
    until: Annotated[
        float | None, typer.Option(help="Stop when every cell's 95 % interval has this half-width.", show_default=False)
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the draws; 0 if left out.", show_default=False)] = None,
    perturb: Annotated[PerturbChoice | None, typer.Option(help="How z acts; blur if left out.")] = None,
    at: Annotated[float | None, typer.Option(help="Mask level of blends, in (0, 1); 0.5 if left out.")] = None,
    scale: Annotated[
        float | None, typer.Option(help="sigma; 0.25 (mask level) for blends, 0.02 (pixel value) for additive.")
    ] = None,
    conventions: Annotated[ConventionsChoice | None, typer.Option(help="All conventions at once.")] = None,
    L: Annotated[str | None, typer.Option("--L", help="heldout, theory, or a number.")] = None,
    L_ratio: Annotated[float | None, typer.Option("--L-ratio", help="L as a fraction of L_max.")] = None,
    threads: Annotated[int | None, typer.Option(help="Threads of ONNX Runtime.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Pictures per call.")] = None,
    out: Annotated[Path, _OUT] = Path("out"),
    cache: Annotated[Path | None, typer.Option(help="Folder of answers kept from run to run.", file_okay=False)] = None,
    resume: Annotated[Path | None, typer.Option(help="partial.npz of a run that stopped, to go on from.")] = None,
    quiet: Annotated[bool, _QUIET] = False,
    as_json: Annotated[bool, _JSON] = False,
    no_progress: Annotated[bool, _NO_PROGRESS] = False,
    debug: Annotated[bool, _DEBUG] = False,
) -> None:
    """Explain one picture behind an ONNX file by LEG and LEG-TV."""
    voice = Voice(quiet, as_json, not no_progress)
    with _speaking(voice, debug):
        earlier = None if resume is None else QuerySample.load(resume)
        named: ConventionsName | None = None if conventions is None else conventions.value
        rules = named or (earlier.conventions if earlier is not None else "default")
        choice = choose_rule(_rule(L), L_ratio, rules)
        operator, cells = _perturbation(perturb, at, rules), _shape(grid)
        if earlier is not None and seed is not None and key_of(seed) != earlier.segments[0].key:
            remedy = "Leave it out: the sample's own draws go on."
            raise ValueError(invalid("explain", "--seed", seed, "the seed that the resumed run had", remedy))
        response = onnx_response(
            model,
            target=_target(target, score),
            score=score.value,
            preprocessing=preprocessing,
            output=output,
            labels=labels,
            threads=threads,
            batch_size=batch_size,
        )
        with _keeping(out):
            sample, facts = query_for(
                response,
                picture,
                choice,
                grid=cells,
                scale=scale,
                n_queries=n_queries,
                perturbation=operator,
                conventions=named,
                until=until,
                rng=None if earlier is not None else seed or 0,
                resume=earlier,
                cache=cache,
                progress=voice.progress,
            )
        out.mkdir(parents=True, exist_ok=True)
        sample.save(out / "sample.npz")  # before the estimates: whatever happens to them, the queries are paid for
        try:
            found = Explanation.of(sample, L=_rule(L), L_ratio=L_ratio, progress=voice.progress, **facts)
        except BaseException:
            kept = out / "sample.npz"
            typer.echo(f"the evaluations are kept: --resume {kept} estimates without spending more", err=True)
            raise
        _finish(found, out, voice)


@app.command()
def demo(
    out: Annotated[Path, _OUT] = Path("legstat-demo"),
    quiet: Annotated[bool, _QUIET] = False,
    as_json: Annotated[bool, _JSON] = False,
    debug: Annotated[bool, _DEBUG] = False,
) -> None:
    """Explain a held-out digit with the network that comes along; nothing is downloaded."""
    voice = Voice(quiet, as_json)
    with _speaking(voice, debug):
        info, (image, label) = digits_info(), load_digit(DEMO_DIGIT)
        voice.say(
            f"The network: {digits_model_path().name}, trained on {info['n_train']} digits of 8 x 8 pixels; "
            f"{100 * info['accuracy_heldout']:.1f} % of {info['n_heldout']} held-out digits are classified correctly.\n"
            f"The picture: held-out digit number {DEMO_DIGIT}, a written {label}.\n"
            f"The question: which pixels move the log-odds of the network's first choice, as each goes from "
            f"blank paper to what was written? At most {DEMO_QUERIES} evaluations.\n"
        )
        response = onnx_response(digits_model_path(), labels=[str(digit) for digit in range(10)])
        found = explain_picture(
            response,
            image,
            perturbation=Blend("black", at=0.5),
            n_queries=DEMO_QUERIES,
            rng=0,
            progress=voice.progress,
        )
        _finish(found, out, voice, path_points=3)
        voice.say(f"Look at {out / 'explanation.png'}: picture, LEG, three points of the LEG-TV path.")


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
    as_json: Annotated[bool, _JSON] = False,
    debug: Annotated[bool, _DEBUG] = False,
) -> None:
    """Say what an ONNX file is: inputs, outputs, logits or probabilities, speed, repeatability."""
    voice = Voice(as_json=as_json)
    with _speaking(voice, debug):
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
    quiet: Annotated[bool, _QUIET] = False,
    as_json: Annotated[bool, _JSON] = False,
    no_progress: Annotated[bool, _NO_PROGRESS] = False,
    debug: Annotated[bool, _DEBUG] = False,
) -> None:
    """Repeat an explanation from its record and compare every number; exit code 1 on any difference."""
    voice = Voice(quiet, as_json, not no_progress)
    with _speaking(voice, debug):
        outcome = verify_record(record, model=model, picture=picture, progress=voice.progress)
        voice.say(outcome.as_text())
        voice.data(outcome.to_dict())
    if not outcome.passed:
        raise typer.Exit(DIFFERENT)


@app.command()
def study(
    settings: Annotated[
        Path | None, typer.Argument(help="TOML file with the study's arguments; options go before it.")
    ] = None,
    n_queries: Annotated[str | None, typer.Option(help="Model evaluations, such as 500,2000,8000.")] = None,
    grid: Annotated[str | None, typer.Option(help="Rows x columns, such as 8x8,12x12.")] = None,
    sparsity: Annotated[str | None, typer.Option(help="Differing neighbours of the truths, such as 12,24.")] = None,
    design: Annotated[str | None, typer.Option(help="structured,isotropic")] = None,
    scale: Annotated[str | None, typer.Option(help="sigma, one or several.")] = None,
    estimators: Annotated[str | None, typer.Option(help="Such as leg/crossfit,legtv/regression/heldout.")] = None,
    response: Annotated[str | None, typer.Option(help="linear, probit, logistic, quadratic.")] = None,
    replicates: Annotated[int | None, typer.Option(help="Samples of each cell.")] = None,
    seed: Annotated[int | None, typer.Option(help="Where the random numbers come from.")] = None,
    jobs: Annotated[int | None, typer.Option(help="Replicates at a time.")] = None,
    out: Annotated[Path, _OUT] = Path("study"),
    quiet: Annotated[bool, _QUIET] = False,
    as_json: Annotated[bool, _JSON] = False,
    no_progress: Annotated[bool, _NO_PROGRESS] = False,
    debug: Annotated[bool, _DEBUG] = False,
) -> None:
    """Measure how the error falls with the number of queries; the same command goes on where it was stopped."""
    voice = Voice(quiet, as_json, not no_progress)
    with _speaking(voice, debug):
        from legstat.studies.settings import read_settings, study_from

        values = {} if settings is None else read_settings(settings)
        several: dict[str, tuple[str | None, Callable[[str], object]]] = {
            "n_queries": (n_queries, int),
            "grid": (grid, str),
            "sparsity": (sparsity, int),
            "design": (design, str),
            "scale": (scale, float),
            "estimators": (estimators, str),
            "response": (response, str),
        }
        for name, (text, kind) in several.items():
            if text is not None:
                values[name] = _list(name, text, kind)
        one = {"replicates": replicates, "seed": seed}
        plan = study_from({**values, **{name: value for name, value in one.items() if value is not None}})
        out.mkdir(parents=True, exist_ok=True)
        results = plan.run(out / "replicates.sqlite3", n_jobs=jobs, progress=voice.progress)
        results.save(out / "replicates.csv")
        text_summary = results.summary().as_text()
        (out / "summary.txt").write_text(text_summary + "\n", encoding="utf-8")
        voice.say(text_summary)
        voice.say(f"Written to {out}: replicates.csv, summary.txt; replicates.sqlite3, from which the command goes on")
        voice.data(json.loads(results.cells().to_json(orient="records", double_precision=15)))


def main() -> None:
    """Entry point of the command ``legstat``."""
    app()
