"""``legstat study``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from legstat._core.errors import invalid
from legstat._core.files import write_text
from legstat.cli.common import OUT, Voice, app, rows_of, speaking
from legstat.cli.groups import grouped
from legstat.record import prepare


def _list(name: str, text: str, kind: Callable[[str], object]) -> list[object]:
    try:
        return [kind(part.strip()) for part in text.split(",")]
    except ValueError:
        flag = "--" + name.replace("_", "-")
        raise ValueError(invalid("study", flag, text, "numbers with commas between them")) from None


@app.command()
@grouped
def study(
    voice: Voice,
    settings: Annotated[
        Path | None, typer.Argument(help="TOML file with the study's arguments; options overrule it.")
    ] = None,
    n_queries: Annotated[str | None, typer.Option(help="Model evaluations, such as 500,2000,8000.")] = None,
    grid: Annotated[str | None, typer.Option(help="Rows x columns, such as 8x8,12x12.")] = None,
    sparsity: Annotated[str | None, typer.Option(help="Differing neighbours of the truths, such as 12,24.")] = None,
    design: Annotated[
        str | None,
        typer.Option(help="structured, isotropic, blocks, cells, smooth, smooth_binary, or several with commas."),
    ] = None,
    scale: Annotated[str | None, typer.Option(help="sigma, one or several.")] = None,
    estimators: Annotated[str | None, typer.Option(help="Such as leg/crossfit,legtv/regression/heldout.")] = None,
    response: Annotated[str | None, typer.Option(help="linear, probit, logistic, quadratic.")] = None,
    replicates: Annotated[int | None, typer.Option(help="Samples of each cell.")] = None,
    seed: Annotated[int | None, typer.Option(help="Where the random numbers come from.")] = None,
    jobs: Annotated[int | None, typer.Option(help="Replicates at a time.")] = None,
    out: Annotated[Path, OUT] = Path("study"),
) -> None:
    """Measure how the error falls with the number of queries; the same command goes on where it was stopped."""
    with speaking(voice):
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
        prepare(out)
        results = plan.run(out / "replicates.sqlite3", n_jobs=jobs, progress=voice.progress)
        results.save(out / "replicates.csv")
        text_summary = results.summary().as_text()
        write_text(out / "summary.txt", text_summary + "\n")
        voice.say(text_summary)
        voice.say(f"Written to {out}: replicates.csv, summary.txt; replicates.sqlite3, from which the command goes on")
        voice.data(rows_of(results.cells()))
