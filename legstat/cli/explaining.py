"""``legstat explain`` and ``legstat demo``."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, cast

import typer

from legstat._core.conventions import ConventionsName
from legstat._core.errors import invalid
from legstat._core.typing import JSON
from legstat.cli.common import OUT, Voice, app, speaking
from legstat.cli.groups import grouped
from legstat.cli.map_options import MAPS, MapOptions, PerturbChoice, shape_from
from legstat.cli.model_flags import response_from
from legstat.cli.model_options import MODEL, ModelOptions
from legstat.cli.optimising import MethodChoice, check_flags, explain_by
from legstat.data import digits_info, digits_model_path, load_digit
from legstat.explanation.defaults import check_estimates, choose_L, choose_relaxed
from legstat.explanation.explanation import Explanation
from legstat.explanation.explanation import explain as explain_picture
from legstat.explanation.inputs import experiment_for, origin
from legstat.perturbations.operators import Additive, Baseline, Blend, Perturbation
from legstat.record import keep_sample, prepare
from legstat.report.summary import printable
from legstat.responses.network.labels import Target, find_class, read_labels
from legstat.responses.onnx.opening import onnx_response
from legstat.samples.faults import QueryError, QueryInterrupted
from legstat.samples.sample import QuerySample
from legstat.sampling.experiment import key_of
from legstat.sampling.query import evaluate

DEMO_DIGIT, DEMO_QUERIES = 5, 1500


class ScoreChoice(StrEnum):
    """Scores of a network."""

    log_odds = "log_odds"
    logit = "logit"
    probability = "probability"
    difference = "difference"


class ConventionsChoice(StrEnum):
    """Sets of conventions."""

    default = "default"
    paper = "paper"
    upstream = "upstream"


def _batch_size(text: str | None) -> int | None:
    """``--batch-size``: a whole number, where it is not auto."""
    if text is None:
        return None
    try:
        return int(text)
    except ValueError:
        raise ValueError(invalid("explain", "--batch-size", text, "a whole number >= 1, or auto")) from None


def _target(text: str, score: ScoreChoice, labels: tuple[str, ...] | None) -> Target:
    """The class that is meant; for a difference two of them, wherever a comma parts two classes."""
    if score is not ScoreChoice.difference:
        return text
    commas = [i for i, mark in enumerate(text) if mark == ","]
    pairs = [(text[:i].strip(), text[i + 1 :].strip()) for i in commas]
    found = pairs if labels is None else [pair for pair in pairs if all(_known(part, labels) for part in pair)]
    if len(found) != 1 and len(pairs) != 1:  # of one pair, what is wrong with it is said where classes are looked up
        valid = "two classes, such as 207,208, for --score difference"
        remedy = f"It can be read as {found}: pass class indices." if found else ""
        raise ValueError(invalid("explain", "--target", text, valid, remedy))
    return (found or pairs)[0]


def _known(part: str, labels: tuple[str, ...]) -> bool:
    try:
        find_class("explain", part, labels, len(labels))
    except ValueError:
        return False
    return True


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


@contextmanager
def _keeping(folder: Path, resumed: Path | None) -> Iterator[None]:
    """Saves what was paid for when a query run stops midway, and says how to go on."""
    try:
        yield
    except (QueryError, QueryInterrupted) as error:
        if error.sample is not None and error.sample.ledger.spent:
            kept = keep_sample(error.sample, folder, over=resumed)
            spent = error.sample.ledger.spent
            typer.echo(f"{spent} evaluations are kept: go on with the same command and --resume {kept}", err=True)
        raise


@contextmanager
def _kept_until_written(sample: QuerySample, folder: Path, resumed: Path | None) -> Iterator[None]:
    """The sample on the disk while estimates are made and written: whatever happens to them, it is paid for."""
    kept = keep_sample(sample, folder, over=resumed)
    try:
        yield
    except BaseException:
        typer.echo(f"the evaluations are kept: --resume {kept} estimates without spending more", err=True)
        raise
    if resumed is None or not kept.samefile(resumed):
        kept.unlink()


def _choices(top: list[list[object]]) -> str:
    """Classes and their probabilities, the likeliest first."""
    names = [(f"{k}" if label is None else printable(f"{k} ({label})"), chance) for k, label, chance in top[:3]]
    return ", ".join(f"{name}: {chance:.3g}" for name, chance in names)


def _save(found: Explanation, out: Path, path_points: int = 0) -> list[Path]:
    return found.save(out, command=["legstat", *sys.argv[1:]], path_points=path_points)


def _say(found: Explanation, files: list[Path], out: Path, voice: Voice) -> None:
    voice.say(found.summary().as_text())
    if "top_x0" in found.sample.response:
        voice.say("First choices at the picture: " + _choices(found.sample.response["top_x0"]))
    voice.say("Written to " + str(out) + ": " + ", ".join(file.name for file in files))
    voice.data(found.record()["results"])


@app.command()
@grouped
def explain(
    picture: Annotated[Path, typer.Argument(help="Picture file.")],
    model: Annotated[str, MODEL],
    reached: ModelOptions,
    maps: MapOptions,
    voice: Voice,
    method: Annotated[
        MethodChoice | None, typer.Option(help="A baseline, by queries alone, in place of LEG and LEG-TV.")
    ] = None,
    target: Annotated[
        str, typer.Option(help="top, a class index or a label; two of the latter, A,B, for --score difference.")
    ] = "top",
    score: Annotated[ScoreChoice, typer.Option(help="What is explained.")] = ScoreChoice.log_odds,
    until: Annotated[
        float | None,
        typer.Option(
            help="Stop when every cell's 95 % interval has this half-width.", show_default=False, rich_help_panel=MAPS
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of the draws; 0 if left out.", show_default=False, rich_help_panel=MAPS)
    ] = None,
    perturb: Annotated[
        PerturbChoice | None, typer.Option(help="How z acts; blur if left out.", rich_help_panel=MAPS)
    ] = None,
    at: Annotated[
        float | None, typer.Option(help="Mask level of blends, in (0, 1); 0.5 if left out.", rich_help_panel=MAPS)
    ] = None,
    conventions: Annotated[
        ConventionsChoice | None, typer.Option(help="All conventions at once.", rich_help_panel=MAPS)
    ] = None,
    relaxed: Annotated[
        bool | None,
        typer.Option(
            "--relaxed/--penalised",
            help="Refit LEG-TV's levels on its regions, the default; or not.",
            show_default=False,
            rich_help_panel=MAPS,
        ),
    ] = None,
    epsilon: Annotated[
        float | None, typer.Option(help="Radius of l1q's ball: absolute changes of pixel values, summed.")
    ] = None,
    q: Annotated[float | None, typer.Option(help="Share of entries that l1q leaves alone; 0.975 if left out.")] = None,
    batch_size: Annotated[
        str | None, typer.Option(help="Pictures per call, or per request; auto measures it (on top of --n-queries).")
    ] = None,
    out: Annotated[Path, OUT] = Path("out"),
    cache: Annotated[Path | None, typer.Option(help="Folder of answers kept from run to run.", file_okay=False)] = None,
    resume: Annotated[Path | None, typer.Option(help="partial.npz of a run that stopped, to go on from.")] = None,
) -> None:
    """Explain one picture before a classifier, in an ONNX file or behind an address, by LEG and LEG-TV."""
    with speaking(voice):
        of_leg: JSON = {
            "--until": until,
            "--perturb": perturb,
            "--at": at,
            "--law": maps.law,
            "--scale": maps.scale,
            "--conventions": conventions,
        }
        of_leg |= {"--L": maps.L, "--L-ratio": maps.L_ratio, "--n-regions": maps.n_regions}
        of_leg |= {"--resume": resume, "--cache": cache}
        of_leg |= {"--relaxed/--penalised": None if relaxed is None else str(relaxed)}
        check_flags(method, of_leg, epsilon, q)
        earlier = None if resume is None else QuerySample.load(resume)
        named: ConventionsName | None = None if conventions is None else conventions.value
        rules = named or (earlier.conventions if earlier is not None else "default")
        how: JSON = {"L": maps.rule, "L_ratio": maps.L_ratio, "n_regions": maps.n_regions}
        choice = choose_L(**how, conventions=rules)
        how["relaxed"] = choose_relaxed(relaxed, rules)
        operator, cells, measured = (
            _perturbation(perturb, at, rules),
            shape_from(maps.grid, "explain"),
            batch_size == "auto",
        )
        if earlier is not None and seed is not None and key_of(seed) != earlier.segments[0].key:
            remedy = "Leave it out: the sample's own draws go on."
            raise ValueError(invalid("explain", "--seed", seed, "the seed that the resumed run had", remedy))
        response = response_from(
            "explain",
            model,
            **vars(reached),
            target=_target(target, score, read_labels("explain", reached.labels)),
            score=score.value,
            batch_size=None if measured else _batch_size(batch_size),
        )
        if reached.preprocessing is None:
            assumed = "0..255" if response.preprocessing.scale == 255.0 else "[0, 1]"
            voice.note(
                f"no --preprocessing: the network is taken to want {assumed}, RGB. `legstat inspect` with --picture "
                "compares the presets on a picture whose class is known; to state what was assumed here, pass "
                f"--preprocessing {'raw' if assumed == '0..255' else 'unit'}."
            )
        prepare(out)
        if method is not None:
            explain_by(
                method, response, picture, shape=cells, n_queries=maps.n_queries, seed=seed or 0, epsilon=epsilon, q=q,
                out=out, voice=voice,
            )  # fmt: skip
            return
        rng = None if earlier is not None else seed or 0
        experiment = experiment_for(
            response,
            picture,
            grid=cells,
            law=None if maps.law is None else maps.law.value,
            scale=maps.scale,
            n_queries=maps.n_queries,
            perturbation=operator,
            conventions=named,
            until=until,
            rng=rng,
            resume=earlier,
        )
        check_estimates(response, experiment, choice, None)
        start = time.perf_counter()
        with _keeping(out, resume):
            sample = evaluate(
                response, experiment, batch_size="auto" if measured else None, cache=cache, progress=voice.progress
            )
        facts = {"seconds": {"query": time.perf_counter() - start}, **origin(response, picture, rng)}
        with _kept_until_written(sample, out, resume):
            found = Explanation.of(sample, **how, progress=voice.progress, **facts)
            files = _save(found, out)
        _say(found, files, out, voice)


@app.command()
@grouped
def demo(
    voice: Voice,
    out: Annotated[Path, OUT] = Path("legstat-demo"),
) -> None:
    """Explain a held-out digit with the network that comes along; nothing is downloaded."""
    with speaking(voice):
        prepare(out)
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
        _say(found, _save(found, out, path_points=3), out, voice)
        voice.say(f"Look at {out / 'explanation.png'}: picture, LEG, three points of the LEG-TV path.")
