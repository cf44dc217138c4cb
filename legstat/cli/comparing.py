"""``legstat compare``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from legstat._core.checks import check_choice
from legstat._core.errors import invalid
from legstat._core.picture_files import picture_files, read_truth
from legstat._core.typing import JSON
from legstat.cli.common import OUT, Voice, app, rows_of, speaking
from legstat.cli.groups import grouped
from legstat.cli.model_flags import response_from
from legstat.cli.model_options import MODEL, ModelOptions, OneScore
from legstat.comparison.compare import compare as compare_methods
from legstat.comparison.folder import can_differ, save_folder
from legstat.record import prepare

METHODS, METRICS = "legtv,leg,rise,lime_cells,random", "deletion,insertion,insertion_minus_deletion,key_size"


class WrongChoice(StrEnum):
    """What becomes of pictures that the network gets wrong."""

    keep = "keep"
    drop = "drop"


def _words(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def _budgets(text: str) -> list[int]:
    try:
        return [int(part) for part in _words(text)]
    except ValueError:
        raise ValueError(invalid("compare", "--n-queries", text, "numbers with commas between them")) from None


@app.command()
@grouped
def compare(
    pictures: Annotated[list[str], typer.Argument(help="Picture files, folders of them, or quoted patterns.")],
    model: Annotated[str, MODEL],
    reached: ModelOptions,
    voice: Voice,
    methods: Annotated[str, typer.Option(help="Names with commas between them.")] = METHODS,
    n_queries: Annotated[str, typer.Option(help="Model evaluations of a map, one budget or several.")] = "500,2000",
    metrics: Annotated[str, typer.Option(help="Names with commas between them.")] = METRICS,
    against: Annotated[
        str | None, typer.Option(help="The method that others are compared with; the first if left out.")
    ] = None,
    target: Annotated[str, typer.Option(help="top (each picture's own), a class index or a label.")] = "top",
    score: Annotated[OneScore, typer.Option(help="What is explained.")] = OneScore.log_odds,
    truth: Annotated[
        Path | None, typer.Option(help="CSV of lines picture,class: which pictures does the network get right.")
    ] = None,
    wrong: Annotated[WrongChoice, typer.Option(help="What becomes of those that it gets wrong.")] = WrongChoice.keep,
    least_score: Annotated[
        float | None, typer.Option(help="Drop pictures whose class has a lower probability.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of all draws.")] = 0,
    jobs: Annotated[int | None, typer.Option(help="Pictures and methods at a time.")] = None,
    store: Annotated[
        Path | None, typer.Option(help="Folder of finished maps; in --out if left out.", file_okay=False)
    ] = None,
    cache: Annotated[Path | None, typer.Option(help="Folder of answers kept from run to run.", file_okay=False)] = None,
    batch_size: Annotated[int | None, typer.Option(help="Pictures per call, or per request.")] = None,
    out: Annotated[Path, OUT] = Path("comparison"),
) -> None:
    """Compare methods on pictures at equal numbers of evaluations; the same command goes on where it was stopped."""
    with speaking(voice):
        names, budgets = _words(methods), _budgets(n_queries)
        base = names[0] if against is None else check_choice("compare", "--against", against, names)
        files = picture_files("compare", pictures)
        known = None if truth is None else read_truth("compare", truth)
        response = response_from(
            "compare", model, **vars(reached), target=target, score=score.value, batch_size=batch_size
        )
        images = {name: response.load_image(file) for name, file in files.items()}
        if known is not None:
            unknown = [name for name in images if name not in known]
            if len(unknown) == len(images):
                raise ValueError(invalid("compare", "--truth", list(known)[:5], f"of pictures such as {unknown[:5]}"))
            if unknown:
                voice.note(f"{len(unknown)} of {len(images)} pictures have no class in {truth}, such as {unknown[0]}")
            known = {name: label for name, label in known.items() if name in images}
        prepare(out)
        found = compare_methods(
            names,
            response,
            images,
            metrics=_words(metrics),
            n_queries=budgets,
            rng=seed,
            labels=known,
            wrong=wrong.value,
            least_score=least_score,
            store=out / "store" if store is None else store,
            cache=cache,
            n_jobs=jobs,
            progress=voice.progress,
        )
        for name, reason in found.dropped.items():
            voice.note(f"dropped: {name}: {reason}")
        mistaken = [name for name, one in found.pictures.items() if one["right"] is False and name not in found.dropped]
        if mistaken:
            voice.note(
                f"kept, though the network gets them wrong: {len(mistaken)} of the pictures, such as {mistaken[0]}"
            )
        if not found.rows:
            raise ValueError(invalid("compare", "pictures", f"{len(images)}, all dropped", "some that are kept"))
        written = save_folder(found, out, images, against=base)
        voice.say(str(found.summary()))
        voice.say("Written to " + str(out) + ": " + ", ".join(file.name for file in written))
        results: JSON = {
            "summary": rows_of(found.summary()),
            "differences": rows_of(found.differences(base)) if can_differ(found) else [],
            "evaluations": rows_of(found.evaluations()),
            "pictures": found.pictures,
            "dropped": found.dropped,
        }
        voice.data(results)
