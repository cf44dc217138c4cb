"""Arguments and files that cannot be right: of what a finished audit is asked, its report and its repetition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from legstat.audit import (
    AuditedPicture,
    AuditRun,
    MeanMap,
    compare_groups,
    findings,
    mean_maps,
    mean_shares,
    object_tests,
    shares_inside,
    verify,
)
from tests.bad_input.world import Row, ToldError, World
from tests.helpers_report import write_run

V, T = ValueError, TypeError


def _run(w: World) -> AuditRun:
    return write_run(w.folder / "run", ["a.png", "b.png"])


def _told(ask: Callable[[AuditRun], object]) -> Callable[[World], object]:
    return lambda w: ask(_run(w))


def _broken(w: World, name: str, content: str = "{") -> AuditRun:
    """A run with a file of it broken."""
    run = _run(w)
    (run.folder / name).write_text(content)
    return run


def _verify(w: World, **changed: Any) -> object:
    given = {"folder": _run(w).folder, "response": w.onnx(), **changed}
    return verify(**given, progress=False)


def _said(w: World, command: str, *words: object) -> None:
    w.command(command, _run(w).folder, *words)


def _table(**columns: Any) -> Any:
    import pandas as pd

    return pd.DataFrame({"name": [1, 2], "group": ["a", "b"], "share": [0.5, 0.6], "area": 0.2, **columns})


def _mean_map() -> MeanMap:
    return MeanMap.of("all", np.random.default_rng(0).random((12, 2, 2)), np.arange(12))


ROWS = [
    # -- a run
    Row("no run there", lambda w: AuditRun.open(w.folder / "no"), V, ("`folder`", "folder of an audit")),
    Row("a run's facts broken", lambda w: AuditRun.open(_broken(w, "run.json").folder), V, ("`folder`", "JSON")),
    Row("a run's plan broken", lambda w: AuditRun.open(_broken(w, "plan.toml").folder), V, ("`folder`", "TOML")),
    Row("a run's failure broken", lambda w: AuditRun.open(_broken(w, "failures/x.json").folder), V, ("`folder`",)),
    Row("a picture of no run", _told(lambda run: run.picture("c.png")), V, ("`name`", "'c.png'", "'a.png'")),
    Row("a picture's file broken", lambda w: _broken(w, "units/000000.npz").picture("a.png"), V, ("000000.npz",)),
    Row("a picture that is another file", lambda w: AuditedPicture.load(w.archive("x.npz", a=[1])), V, ("x.npz",)),
    Row("a picture's level 1", _told(lambda run: run.picture("a.png").conf_int(level=1.0)), V, ("`level`",)),
    Row("a rate that was not measured", _told(lambda run: run.picture("a.png").significant(0.3)), V, ("`fdr`", "0.2")),
    # -- across pictures
    Row("findings of another map", _told(lambda run: findings(run, map="rise")), V, ("`map`", "'leg'")),
    Row("findings of level 95", _told(lambda run: findings(run, level=95)), V, ("`level`", "95")),
    Row("findings by no cluster", _told(lambda run: findings(run, cluster="patient")), V, ("`cluster`", "'patient'")),
    Row("shares of another map", _told(lambda run: shares_inside(run, map="rise")), V, ("`map`", "'leg'")),
    Row("mean maps by no cluster", _told(lambda run: mean_maps(run, cluster="x")), V, ("`cluster`", "'x'")),
    Row("mean maps of another map", _told(lambda run: mean_maps(run, map="rise")), V, ("`map`", "'leg'")),
    Row("tests of an unknown correction", _told(lambda run: object_tests(run, method="no")), V, ("`method`", "'BH'")),
    Row("shares without the cluster", lambda w: mean_shares(_table(excess=0.1), cluster="x"), V, ("`cluster`", "'x'")),
    Row("shares by no column", lambda w: mean_shares(_table(excess=0.1), by="x"), V, ("`by`", "'x'", "'group'")),
    Row("shares of level 0", lambda w: mean_shares(_table(excess=0.1), level=0.0), V, ("`level`",)),
    Row("one group", lambda w: compare_groups(_table(excess=0.1, group="a")), V, ("`by`", "two groups")),
    Row("unknown correction", lambda w: compare_groups(_table(excess=0.1), method="none"), V, ("`method`", "'Holm'")),
    Row("groups without the value", lambda w: compare_groups(_table()), V, ("`value`", "'excess'")),
    Row("a mean map's level", lambda w: _mean_map().conf_int(level=2), V, ("`level`",)),
    Row("a mean map of no draws", lambda w: _mean_map().significant(n_draws=0), V, ("`n_draws`",)),
    Row("a mean map of no source", lambda w: _mean_map().significant(rng="x"), T, ("`rng`",)),
    Row("a mean map's cells that differ", lambda w: _mean_map().significant(alpha=0), V, ("`alpha`",)),
    # -- the report
    Row("a report of nothing", lambda w: w.command("report", w.folder / "no"), ToldError, ("folder of an audit",)),
    Row("a report of a file", lambda w: w.command("report", w.file("run")), ToldError, ("'run'", "is a file")),
    Row(
        "a report of a broken run",
        lambda w: w.command("report", _broken(w, "checks.json").folder),
        ToldError,
        ("folder of an audit", "JSON"),
    ),
    Row(
        "a report of a broken picture",
        lambda w: w.command("report", _broken(w, "units/000001.npz").folder),
        ToldError,
        ("000001.npz",),
    ),
    # -- its repetition
    Row("verify no audit", lambda w: _verify(w, folder=w.folder), V, ("`folder`", "folder of an audit")),
    Row("verify no pictures", lambda w: _verify(w, pictures=0), V, ("`pictures`", "a whole number >= 1")),
    Row("verify half a picture", lambda w: _verify(w, pictures=0.5), T, ("`pictures`",)),
    Row("verify by no seed", lambda w: _verify(w, pictures=1, rng="x"), T, ("`rng`",)),
    Row("verify with a function", lambda w: _verify(w, response=w.f), T, ("`response`", "as_response")),
    Row("verify a folder that is no audit", lambda w: w.command("verify", w.folder), ToldError, ("plan.toml",)),
    Row(
        "verify pictures 0",
        lambda w: _said(w, "verify", "--model", w.digits, "--pictures", 0),
        ToldError,
        ("`pictures`",),
    ),
    Row(
        "verify a seed below 0",
        lambda w: _said(w, "verify", "--model", w.digits, "--pictures", 1, "--seed", -1),
        ToldError,
        ("`rng`", "-1"),
    ),
    Row("verify a run whose model is gone", lambda w: _said(w, "verify"), ToldError, ("net.onnx",)),
    Row(
        "verify with no model there",
        lambda w: _said(w, "verify", "--model", w.folder / "m.onnx"),
        ToldError,
        ("m.onnx",),
    ),
    Row(
        "verify a run with a picture",
        lambda w: _said(w, "verify", "--picture", w.picture),
        ToldError,
        ("--picture", "left out"),
    ),
    Row(
        "verify a run with a constant",
        lambda w: _said(w, "verify", "--constant", "a=1"),
        ToldError,
        ("--constant", "left out"),
    ),
    Row(
        "verify a run elsewhere",
        lambda w: _said(w, "verify", "--url", "http://localhost:1"),
        ToldError,
        ("--url", "the plan's address"),
    ),
    Row(
        "verify with headers that are not there",
        lambda w: _said(w, "verify", "--headers", w.folder / "h"),
        ToldError,
        ("verify", "--headers"),
    ),
    Row(
        "verify with certificates of a file",
        lambda w: _said(w, "verify", "--ca-certs", w.folder / "c"),
        ToldError,
        ("verify", "--ca-certs", "without --url"),
    ),
]
