"""Arguments and files that cannot be right: of audits."""

from __future__ import annotations

from typing import Any

import numpy as np

import legstat as ls
from legstat.audit import AuditRun, Plan, PlanError, compare_groups, mean_shares
from tests.bad_input.world import Row, ToldError, World

V, T = ValueError, TypeError


def _plan(**changed: Any) -> Plan:
    return Plan(**{"places": ("a",), "model": {"model": "m.onnx"}, **changed})


def _audit(w: World, **changed: Any) -> object:
    store = w.archive("digits.npz", images=np.stack([w.digit]))
    plan = _plan(**{"places": (str(store),), "n_queries": 250, "steps": 0, **changed})
    return ls.audit.audit(w.onnx(), plan, w.folder / "run", progress=False)


def _said(w: World, *words: object) -> None:
    w.command("audit", *words, "--out", w.folder / "run")


def _table(**columns: Any) -> Any:
    import pandas as pd

    return pd.DataFrame({"name": [1, 2], "group": ["a", "a"], "share": [0.5, 0.6], "area": 0.2, **columns})


ROWS = [
    Row("no plan", lambda w: ls.audit.audit(w.onnx(), {"places": []}, "run"), T, ("`plan`", "Plan.load")),
    Row("no places", lambda w: _plan(places=()), PlanError, ("pictures.places", "at least one")),
    Row("places a number", lambda w: _plan(places=(3,)), PlanError, ("pictures.places",)),
    Row("a key of the model misspelt", lambda w: _plan(model={"model": "m", "targt": 3}), PlanError, ("model.targt",)),
    Row("no model", lambda w: _plan(model={}), PlanError, ("model.model", "ONNX file")),
    Row("unknown choice", lambda w: _plan(choice="half"), PlanError, ("pictures.choice", "'every'")),
    Row("queries a text", lambda w: _plan(n_queries="many"), PlanError, ("query.n_queries",)),
    Row("a grid of one number", lambda w: _plan(grid=(28,)), PlanError, ("query.grid", "rows, columns")),
    Row("a plan of scale 0", lambda w: _plan(scale=0.0), PlanError, ("query.scale", "> 0")),
    Row("two ways to L", lambda w: _plan(L="heldout", L_ratio=0.1), PlanError, ("L",)),
    Row("checks a number", lambda w: _plan(checks=1), PlanError, ("checks.checks", "True or False")),
    Row("a question that is no text", lambda w: _plan(question=3), PlanError, ("about.question",)),
    Row("an audit of no pictures", lambda w: _audit(w, places=(str(w.folder / "no"),)), PlanError, ("pattern",)),
    Row("a budget too small", lambda w: _audit(w, n_queries=9), PlanError, ("`n_queries`", "at least")),
    Row("more cells than pixels", lambda w: _audit(w, grid=(9, 9)), PlanError, ("grid",)),
    Row(
        "a target without labels", lambda w: _audit(w, model={"model": "m", "target": "label"}), PlanError, ("target",)
    ),
    Row("no run there", lambda w: AuditRun.open(w.folder / "no"), V, ("`folder`", "folder of an audit")),
    Row("shares without the cluster", lambda w: mean_shares(_table(excess=0.1), cluster="x"), V, ("`cluster`", "'x'")),
    Row("one group", lambda w: compare_groups(_table(excess=0.1)), V, ("`by`", "two groups")),
    Row("unknown correction", lambda w: compare_groups(_table(excess=0.1), method="none"), V, ("`method`", "'Holm'")),
    Row("neither model nor plan", lambda w: _said(w, "--quiet"), ToldError, ("exactly one of the three",)),
    Row("no such plan", lambda w: _said(w, "--plan", w.folder / "p.toml"), ToldError, ("p.toml", "TOML file")),
    Row(
        "a plan that is no TOML", lambda w: _said(w, "--plan", w.file("p.toml", "[a")), ToldError, ("TOMLDecodeError",)
    ),
    Row(
        "every and sample",
        lambda w: _said(w, w.digits, w.picture, "--every", 2, "--sample", 2),
        ToldError,
        ("--every",),
    ),
]
