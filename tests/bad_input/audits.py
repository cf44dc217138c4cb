"""Arguments and files that cannot be right: of audits."""

from __future__ import annotations

from typing import Any

import numpy as np

import legstat as ls
from legstat.audit import Plan, PlanError
from tests.bad_input.world import Row, ToldError, World

V, T = ValueError, TypeError


def _plan(**changed: Any) -> Plan:
    return Plan(**{"places": ("a",), "model": {"model": "m.onnx"}, **changed})


def _audit(w: World, **changed: Any) -> object:
    store = w.archive("digits.npz", images=np.stack([w.digit]))
    own = {name: changed.pop(name) for name in ("retry_failed", "command") if name in changed}
    out = changed.pop("out", w.folder / "run")
    plan = _plan(**{"places": (str(store),), "n_queries": 250, "steps": 0, **changed})
    return ls.audit.audit(w.onnx(), plan, out, **own, progress=False)


def _listed(w: World, table: str) -> object:
    """An audit of what a table lists; it lies beside digit.png."""
    assert w.picture.is_file()
    return _audit(w, places=(str(w.file("t.csv", table)),))


def _said(w: World, *words: object) -> None:
    w.command("audit", *words, "--out", w.folder / "run")


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
    Row("a purpose that is no text", lambda w: _plan(purpose=b"x"), PlanError, ("about.purpose",)),
    Row("an author that is no text", lambda w: _plan(author=None), PlanError, ("about.author",)),
    Row("a model that is no table", lambda w: _plan(model="m.onnx"), PlanError, ("model", "table")),
    Row("every 0th picture", lambda w: _plan(choice="every", every=0), PlanError, ("pictures.every", ">= 1")),
    Row("a sample of half a picture", lambda w: _plan(sample=0.5), PlanError, ("pictures.sample",)),
    Row("a sample's seed below 0", lambda w: _plan(sample_seed=-1), PlanError, ("pictures.sample_seed", ">= 0")),
    Row("labels in a number", lambda w: _plan(truth=3), PlanError, ("pictures.truth", "a text")),
    Row("a plan of an unknown law", lambda w: _plan(law="gauss"), PlanError, ("query.law", "'blocks'")),
    Row("a plan of an unknown operator", lambda w: _plan(operator="white"), PlanError, ("query.operator", "'blur'")),
    Row("a plan at mask level 1", lambda w: _plan(at=1.0), PlanError, ("query.at", "strictly between 0 and 1")),
    Row("a plan's seed below 0", lambda w: _plan(seed=-1), PlanError, ("query.seed", ">= 0")),
    Row("a plan's batches of 0", lambda w: _plan(batch_size=0), PlanError, ("query.batch_size", ">= 1")),
    Row("a plan's L of no rule", lambda w: _plan(L="best"), PlanError, ("L", "simplest")),
    Row("a plan's L_ratio above 1", lambda w: _plan(L_ratio=2.0), PlanError, ("L_ratio",)),
    Row("a plan of no regions", lambda w: _plan(n_regions=0), PlanError, ("estimate.n_regions", ">= 1")),
    Row("a plan relaxed a number", lambda w: _plan(relaxed=1), PlanError, ("estimate.relaxed", "True or False")),
    Row("curves of -1 steps", lambda w: _plan(steps=-1), PlanError, ("curves.steps", ">= 0")),
    Row("curves of an unknown baseline", lambda w: _plan(baseline="grey"), PlanError, ("curves.baseline", "'blur'")),
    Row("placebos below 0", lambda w: _plan(placebos=-1), PlanError, ("checks.placebos", ">= 0")),
    Row("a part of a picture randomised", lambda w: _plan(randomised=0.5), PlanError, ("checks.randomised",)),
    Row("no workers", lambda w: _plan(workers=0), PlanError, ("work.workers", ">= 1")),
    Row("a scheduler that is no text", lambda w: _plan(scheduler=8786), PlanError, ("work.scheduler", "a text")),
    Row(
        "a scheduler and workers",
        lambda w: _plan(scheduler="tcp://a:1", workers=2),
        PlanError,
        ("work.workers", "left"),
    ),
    Row("failures below 0", lambda w: _plan(max_failures=-1), PlanError, ("work.max_failures", ">= 0")),
    Row("a plan of another form", lambda w: Plan.from_dict({"schema": 9}), PlanError, ("schema", "9")),
    Row("an unknown table of a plan", lambda w: Plan.from_dict({"models": {}}), PlanError, ("models", "pictures")),
    Row("a plan in a folder", lambda w: Plan.load(w.folder), PlanError, ("path", "IsADirectoryError")),
    Row(
        "a box the wrong way round", lambda w: _listed(w, "file,boxes\ndigit.png,5 5 1 1\n"), PlanError, ("boxes", "x0")
    ),
    Row("a table without files", lambda w: _listed(w, "name\ndigit.png\n"), PlanError, ("column file", "name")),
    Row("a table of files that are gone", lambda w: _listed(w, "file\nno.png\n"), PlanError, ("no.png", "missing")),
    Row("a mask that is gone", lambda w: _listed(w, "file,mask\ndigit.png,m.png\n"), PlanError, ("m.png", "missing")),
    Row("a label of no class", lambda w: _listed(w, "file,label\ndigit.png,12\n"), PlanError, ("12",)),
    Row(
        "a store without images", lambda w: _audit(w, places=(str(w.archive("s.npz", a=[1])),)), PlanError, ("images",)
    ),
    Row("truth of no file", lambda w: _audit(w, truth=str(w.folder / "t.csv")), PlanError, ("t.csv",)),
    Row(
        "a sample beyond what is there",
        lambda w: _audit(w, choice="sample"),
        PlanError,
        ("pictures.sample", "at most 1"),
    ),
    Row("an audit of a number", lambda w: ls.audit.audit(3, _plan(), w.folder / "run"), T, ("`response`", "Response")),
    Row("an audit into a file", lambda w: _audit(w, out=w.file("run")), V, ("`out`", "a folder to write to")),
    Row("a retry that is a number", lambda w: _audit(w, retry_failed=1), T, ("`retry_failed`", "True or False")),
    Row("a command in one text", lambda w: _audit(w, command="legstat audit"), T, ("`command`", "list")),
    Row("no scheduler there", lambda w: _audit(w, scheduler="nonsense://x"), V, ("work.scheduler", "tcp://host:8786")),
    Row("an audit of no pictures", lambda w: _audit(w, places=(str(w.folder / "no"),)), PlanError, ("pattern",)),
    Row("a budget too small", lambda w: _audit(w, n_queries=9), PlanError, ("`n_queries`", "at least")),
    Row("more cells than pixels", lambda w: _audit(w, grid=(9, 9)), PlanError, ("grid",)),
    Row(
        "a target without labels", lambda w: _audit(w, model={"model": "m", "target": "label"}), PlanError, ("target",)
    ),
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
