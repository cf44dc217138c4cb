"""``legstat audit`` and ``legstat audit plan``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from legstat._core.errors import invalid
from legstat._core.typing import JSON
from legstat.audit import Plan, PlanError, audit, findings
from legstat.audit.auditing import prepared
from legstat.audit.cost import pilot
from legstat.audit.demo import demo_plan
from legstat.audit.pictures import first_readable
from legstat.audit.run import FAILURES, PLAN, AuditRun
from legstat.cli.common import FAULT, Voice, app, one_line, rows_of, speaking
from legstat.cli.groups import grouped
from legstat.cli.map_options import MAPS, MapOptions, PerturbChoice, shape_from
from legstat.cli.model_flags import response_from
from legstat.cli.model_options import ModelOptions, OneScore
from legstat.report.pages import write_report
from legstat.responses.base import Response

FAILED = 3
"""Exit code where all was done and some pictures failed."""


class AuditGroup(TyperGroup):
    """``legstat audit MODEL PICTURES`` is ``legstat audit run MODEL PICTURES``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the command's name in where it was left out."""
        if args and args[0] not in self.commands and args[0] != "--help":
            args = ["run", *args]
        return super().parse_args(ctx, args)


group = typer.Typer(
    cls=AuditGroup,
    no_args_is_help=True,
    help="Audit many pictures: legstat audit MODEL PICTURES... --out RUN. The same command goes on where it stopped.",
)
app.add_typer(group, name="audit")

MODEL = typer.Argument(help="ONNX file of a classifier; with --url the model's name there.", show_default=False)
PICTURES = typer.Argument(
    help="Picture files, folders, quoted patterns; tables .csv or .parquet with a column file (and label, group, "
    "boxes); stores .npz or .npy.",
    show_default=False,
)
_SHOWN = 10
"""Failures that are told; all are in the folder."""
_CHOICE, _WORK, _ABOUT = "Pictures", "Work", "For the report"


@group.command("plan", help="Write the plan of an audit, with what it will cost, and carry nothing out but a pilot.")
@group.command("run", help="Audit the pictures, as `legstat audit` does without this word.")
@grouped
def audit_command(
    ctx: typer.Context,
    reached: ModelOptions,
    maps: MapOptions,
    voice: Voice,
    model: Annotated[str | None, MODEL] = None,
    pictures: Annotated[list[str] | None, PICTURES] = None,
    plan: Annotated[Path | None, typer.Option(help="A plan's TOML file, in place of everything but --out.")] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Digits and the network that comes along.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Folder of the run (audit); of `plan` its file (plan.toml).", show_default=False
        ),
    ] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try pictures again that failed.")] = False,
    target: Annotated[
        str, typer.Option(help="top (each picture's own), label (each one's true class), a class index or a label.")
    ] = "top",
    score: Annotated[OneScore, typer.Option(help="What is explained.")] = OneScore.log_odds,
    every: Annotated[
        int | None, typer.Option(help="Every so-manyth picture.", rich_help_panel=_CHOICE, show_default=False)
    ] = None,
    sample: Annotated[
        int | None, typer.Option(help="So many pictures at random.", rich_help_panel=_CHOICE, show_default=False)
    ] = None,
    sample_seed: Annotated[int, typer.Option(help="Seed of --sample.", rich_help_panel=_CHOICE)] = 0,
    truth: Annotated[Path | None, typer.Option(help="CSV of lines picture,class.", rich_help_panel=_CHOICE)] = None,
    perturb: Annotated[PerturbChoice, typer.Option(help="How z acts.", rich_help_panel=MAPS)] = PerturbChoice.blur,
    at: Annotated[float, typer.Option(help="Mask level of blends.", rich_help_panel=MAPS)] = 0.5,
    seed: Annotated[int, typer.Option(help="Seed of all draws.", rich_help_panel=MAPS)] = 0,
    relaxed: Annotated[
        bool,
        typer.Option(
            "--relaxed/--penalised", help="Refit LEG-TV's levels on its regions, or not.", rich_help_panel=MAPS
        ),
    ] = True,
    steps: Annotated[
        int, typer.Option(help="Steps of the curves of deletion and insertion; 0: none.", rich_help_panel=MAPS)
    ] = 56,
    checks: Annotated[bool, typer.Option("--checks/--no-checks", help="Make checks.", rich_help_panel=MAPS)] = True,
    placebos: Annotated[
        int, typer.Option(help="Samples of each picture with signs at random; 0: none.", rich_help_panel=MAPS)
    ] = 5,
    randomised: Annotated[
        int, typer.Option(help="Pictures on which weights are randomised at the end.", rich_help_panel=MAPS)
    ] = 1,
    batch_size: Annotated[int | None, typer.Option(help="Pictures per call.", rich_help_panel=_WORK)] = None,
    workers: Annotated[int, typer.Option("--workers", "-j", help="Pictures at a time.", rich_help_panel=_WORK)] = 1,
    scheduler: Annotated[
        str | None,
        typer.Option(
            help="Address of a Dask scheduler (tcp://host:8786), whose workers work in place of --workers.",
            rich_help_panel=_WORK,
            show_default=False,
        ),
    ] = None,
    max_failures: Annotated[
        int, typer.Option(help="Failed pictures after which the run stops.", rich_help_panel=_WORK)
    ] = 10,
    question: Annotated[str, typer.Option(help="What is asked.", rich_help_panel=_ABOUT)] = "",
    purpose: Annotated[str, typer.Option(help="What the answer is for.", rich_help_panel=_ABOUT)] = "",
    author: Annotated[str, typer.Option(help="Who audits.", rich_help_panel=_ABOUT)] = "",
) -> None:
    """Audit many pictures, or write the plan of that."""
    only_plan = ctx.info_name == "plan"
    place = out or Path("plan.toml" if only_plan else "audit")
    with speaking(voice), _told_one_by_one():
        if sum([model is not None, plan is not None, demo]) != 1:
            got = {"MODEL": model, "--plan": plan, "--demo": demo}
            raise ValueError(invalid("audit", "MODEL, --plan, --demo", got, "exactly one of the three"))
        if plan is not None:
            wanted = Plan.load(plan)
        elif demo:
            wanted = demo_plan(place.parent if only_plan else place)
        else:
            of_the_model: JSON = {
                **{name: value for name, value in vars(reached).items() if name not in ("headers", "ca_certs")},
                "model": model,
                "target": target,
                "score": score.value,
                "labels": None if reached.labels is None else str(reached.labels),
                "constants": reached.constants or None,
                "allow_fallback": reached.allow_fallback or None,
            }
            wanted = Plan(
                places=tuple(pictures or ()),
                model=of_the_model,
                question=question,
                purpose=purpose,
                author=author,
                **_choice(every, sample),
                sample_seed=sample_seed,
                truth=None if truth is None else str(truth),
                law=None if maps.law is None else maps.law.value,
                grid=shape_from(maps.grid, "audit"),
                scale=maps.scale,
                operator=perturb.value,
                at=at,
                n_queries=maps.n_queries,
                seed=seed,
                batch_size=batch_size,
                L=maps.rule,
                L_ratio=maps.L_ratio,
                n_regions=maps.n_regions,
                relaxed=relaxed,
                steps=steps,
                checks=checks,
                placebos=placebos,
                randomised=randomised,
                workers=workers,
                scheduler=scheduler,
                max_failures=max_failures,
            )
        response = response_of("audit", wanted, reached.headers, reached.ca_certs)
        if "preprocessing" not in wanted.model:
            voice.note("no --preprocessing: `legstat inspect` compares the presets on a picture of known class.")
        if only_plan:
            _write_plan(response, wanted, place, voice)
            return
        run = audit(
            response,
            wanted,
            place,
            retry_failed=retry_failed,
            command=["legstat", *sys.argv[1:]],
            progress=voice.progress,
        )
        files = write_report(run, findings(run))
        _say(run, files, voice)
    if run.failures:
        raise typer.Exit(FAILED)


def _choice(every: int | None, sample: int | None) -> JSON:
    if every is not None and sample is not None:
        raise ValueError(invalid("audit", "--every", every, "left out with --sample"))
    if sample is not None:
        return {"choice": "sample", "sample": sample}
    return {} if every is None else {"choice": "every", "every": every}


def response_of(where: str, plan: Plan, headers: Path | None, ca_certs: Path | None) -> Response:
    """The black box that a plan speaks of; with target "label" each picture says which class is explained."""
    flags = {name: value for name, value in plan.model.items() if name != "sha256"}
    if flags.get("target") == "label":
        flags["target"] = "top"
    model, labels = flags.pop("model"), flags.pop("labels", None)
    names = None if labels is None else Path(labels)
    return response_from(where, model, labels=names, headers=headers, ca_certs=ca_certs, **flags)


def plan_of(run: Path, model: Path | None, url: str | None, headers: Path | None) -> Plan:
    """The plan of a run, with the model's file where it has moved; headers go to no other address than is named."""
    plan = Plan.load(run / PLAN)
    planned = plan.model.get("url")
    if url != planned and (url is not None or (planned is not None and headers is not None)):
        remedy = "Say it, if that is whom the headers are for. Nothing was sent."
        raise ValueError(invalid("verify", "--url", url, f"the plan's address, {planned}", remedy))
    return plan if model is None else replace(plan, model={**plan.model, "model": str(model)})


def _write_plan(response: Response, plan: Plan, file: Path, voice: Voice) -> None:
    whole, items = prepared(response, plan)
    cost = pilot(response, whole, first_readable(response, items)[0], len(items))
    whole.save(file, cost.to_dict())
    voice.say(f"{cost}\nWritten to {file}: `legstat audit --plan {file} --out RUN` carries it out.")
    voice.data({"plan": whole.to_dict(), "cost": cost.to_dict()})


def _say(run: AuditRun, files: list[Path], voice: Voice) -> None:
    voice.say(f"{len(run)} of {len(run.chosen)} pictures are audited, {len(run.failures)} failed.")
    for one in run.failures[:_SHOWN]:
        voice.say(f"failed: {one['name']}: {one['reason']}")
    if len(run.failures) > _SHOWN:
        voice.say(f"... all {len(run.failures)} in {run.folder / FAILURES}")
    ledger = run.facts["ledger"] or run.ledger
    voice.say(f"{ledger['total']} model evaluations: " + ", ".join(f"{n} {kind}" for kind, n in ledger.items() if n))
    voice.say(f"Written to {run.folder}. Open {files[0]}.")
    voice.data(
        {
            "folder": str(run.folder),
            "pictures": rows_of(run.to_frame()),
            "failures": list(run.failures),
            "ledger": ledger,
        }
    )


@contextmanager
def _told_one_by_one() -> Iterator[None]:
    """Everything that is wrong with a plan, one a line."""
    try:
        yield
    except PlanError as error:
        for line in str(error).splitlines():
            typer.echo(f"error: {one_line(line)}", err=True)
        raise typer.Exit(FAULT) from error
