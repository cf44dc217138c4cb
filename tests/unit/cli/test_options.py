"""Every command is driven with every one of its options, on the shipped network."""

from __future__ import annotations

import json

import numpy as np
import pytest
import typer.main
from PIL import Image
from typer.testing import CliRunner

import legstat as ls
from legstat.cli import app
from legstat.data import digits_model_path, load_digit
from legstat.record import FILES
from tests.helpers_http import serving

COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]

# {placeholders} are the files of the fixture below, {url} a server
BRIEF = ("--n-queries", "60", "--grid", "4x4")
EXPLAIN = {
    "what": ("--preprocessing", "{unit}", "--target", "seven", "--score", "logit", "--labels", "{labels}", "--seed",
             "3", "--L-ratio", "0.3"),
    "difference": ("--target", "seven,2", "--score", "difference", "--labels", "{labels}", "--L-ratio", "0.3"),
    "graph": ("--input", "input", "--output", "logits", "--output-kind", "logits", "--L-ratio", "0.3"),
    "how": ("--perturb", "black", "--at", "0.4", "--scale", "0.2", "--L", "0.001"),
    "law": ("--law", "cells", "--perturb", "black", "--at", "0.4", "--L-ratio", "0.3", "--relaxed"),
    "rule": ("--perturb", "additive", "--L", "heldout"),
    "theory": ("--perturb", "additive", "--L", "theory", "--score", "probability"),
    "bootstrap": ("--perturb", "additive", "--L", "bootstrap", "--n-queries", "260"),
    "regions": ("--perturb", "additive", "--n-regions", "6"),
    "conventions": ("--conventions", "paper"),
    "until": ("--until", "5", "--n-queries", "260", "--L-ratio", "0.3"),
    "here": ("--threads", "1", "--provider", "cpu", "--allow-fallback", "--batch-size", "7", "--L-ratio", "0.3"),
    "kept": ("--cache", "{folder}/cache", "--batch-size", "auto", "--L-ratio", "0.3"),
    "resumed": ("--resume", "{sample}", "--perturb", "mean", "--L-ratio", "0.3"),
    "said": ("--quiet", "--no-progress", "--debug", "--L-ratio", "0.3"),
    "json": ("--json", "--L-ratio", "0.3"),
    "there": ("--url", "{url}", "--model-version", "3", "--headers", "{headers}", "--in-flight", "2", "--rate", "1000",
              "--timeout", "20", "--deadline", "60", "--L-ratio", "0.3", "--constant", "shift={shift}"),
}  # fmt: skip
OTHERS = [
    ("demo", "--quiet", "--no-progress", "--debug"),
    ("demo", "--json"),
    ("inspect", "{model}", "--picture", "{picture}", "--preprocessing", "unit", "--labels", "{labels}", "--debug"),
    ("inspect", "{model}", "--input", "input", "--output", "logits", "--output-kind", "logits", "--threads", "1",
     "--provider", "cpu", "--allow-fallback", "--batch-size", "2", "--no-progress", "--json"),
    ("inspect", "digits", "--url", "{url}", "--model-version", "3", "--headers", "{headers}", "--constant",
     "shift={shift}", "--batch-size", "2", "--in-flight", "2", "--rate", "1000", "--timeout", "20", "--deadline", "60",
     "--quiet"),
    ("verify", "{record}", "--model", "{model}", "--picture", "{picture}", "--no-progress", "--debug"),
    ("verify", "{record}", "--quiet"),
    ("verify", "{record}", "--json"),
    ("compare", "{picture}", "{pictures}", "--model", "{model}", "--methods", "centre,random", "--metrics", "deletion",
     "--n-queries", "9", "--against", "random", "--preprocessing", "{unit}", "--target", "seven", "--score", "logit",
     "--labels", "{labels}", "--truth", "{truth}", "--wrong", "drop", "--least-score", "0", "--input", "input",
     "--output", "logits", "--output-kind", "logits", "--seed", "3", "--jobs", "1", "--store", "{folder}/store",
     "--cache", "{folder}/answers", "--batch-size", "7", "--threads", "1", "--provider", "cpu", "--allow-fallback",
     "--no-progress", "--debug"),
    ("compare", "{picture}", "--model", "digits", "--url", "{url}", "--model-version", "3", "--headers", "{headers}",
     "--in-flight", "2", "--rate", "1000", "--timeout", "20", "--deadline", "60", "--constant", "shift={shift}",
     "--methods", "centre", "--metrics", "infidelity", "--n-queries", "9", "--json"),
    ("compare", "{picture}", "--model", "{model}", "--methods", "edges", "--metrics", "deletion", "--n-queries", "9",
     "--quiet"),
    ("study", "{study}", "--n-queries", "400", "--grid", "4x4", "--sparsity", "12", "--design", "structured",
     "--scale", "0.3", "--estimators", "leg/crossfit", "--response", "linear", "--replicates", "2", "--seed", "1",
     "--jobs", "1", "--no-progress", "--debug"),
    ("study", "{study}", "--quiet"),
    ("study", "{study}", "--json"),
]  # fmt: skip
ELSEWHERE = {
    # a server with a certificate: tests/unit/responses/http; the baselines: test_methods
    "explain": {"--ca-certs", "--method", "--epsilon", "--q"},
    "inspect": {"--ca-certs"},
    "compare": {"--ca-certs"},
    # test_cli, beside the servers that they are for; of a run: test_auditing
    "verify": {"--ca-certs", "--url", "--headers", "--constant", "--pictures", "--seed"},
    "report": {"--quiet", "--json", "--no-progress", "--debug"},  # test_auditing, where there is a run
}


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("options")
    picture = folder / "digit.png"
    Image.fromarray(np.round(load_digit(5)[0][0] * 255).astype(np.uint8)).save(picture)
    names = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    # files as editors on Windows save them begin with a byte-order mark
    (folder / "labels.txt").write_text("\n".join(names), encoding="utf-8-sig")
    (folder / "unit.toml").write_text("scale = 1.0\n", encoding="utf-8-sig")
    (folder / "study.toml").write_text(
        'n_queries = [300]\ngrid = ["4x4"]\nsparsity = [12]\nestimators = ["leg/crossfit"]\nreplicates = 2\n',
        encoding="utf-8-sig",
    )
    (folder / "headers.txt").write_text("Authorization: Bearer secret\n", encoding="utf-8-sig")
    (folder / "more").mkdir()
    Image.fromarray(np.round(load_digit(1)[0][0] * 255).astype(np.uint8)).save(folder / "more" / "one.png")
    (folder / "truth.csv").write_text(
        "Picture,Class\none.png,one\ndigit.png,seven\nother.png,3\n", encoding="utf-8-sig"
    )
    np.save(folder / "shift.npy", np.arange(10.0, dtype=np.float32)[None] / 8.0)
    f = ls.onnx_response(digits_model_path(), preprocessing="unit")
    found = ls.explain(f, picture, grid=(4, 4), n_queries=60, rng=0, perturbation=ls.Blend("mean"), L_ratio=0.3)
    found.save(folder / "run")
    with serving(shifted=True) as server:
        yield {
            "folder": folder, "picture": picture, "model": digits_model_path(), "labels": folder / "labels.txt",
            "unit": folder / "unit.toml", "study": folder / "study.toml", "headers": folder / "headers.txt",
            "shift": folder / "shift.npy", "record": folder / "run" / "record.json",
            "sample": folder / "run" / "sample.npz", "url": server.url, "truth": folder / "truth.csv",
            "pictures": folder / "m*" / "?ne.png",
        }  # fmt: skip


def run(places, arguments):
    done = CliRunner().invoke(app, [argument.format(**places) for argument in arguments])
    assert done.exit_code == 0, done.output
    return done


@pytest.mark.parametrize("group", EXPLAIN)
def test_explain(group, places, tmp_path):
    options = EXPLAIN[group]
    model = "digits" if "--url" in options else "{model}"
    usual = () if "--preprocessing" in options else ("--preprocessing", "unit")
    done = run(places, ("explain", "{picture}", "--model", model, *usual, *BRIEF, *options, "--out", str(tmp_path)))
    assert {file.name for file in tmp_path.iterdir()} == set(FILES)
    if group == "json":
        assert json.loads(done.stdout) == json.loads((tmp_path / "record.json").read_text())["results"]
    assert (done.stdout == "") == (group == "said")


@pytest.mark.parametrize("arguments", OTHERS, ids=" ".join)
def test_other_commands(arguments, places, tmp_path):
    out = ("--out", str(tmp_path / "out")) if arguments[0] in ("demo", "study", "compare") else ()
    done = run(places, (*arguments, *out))
    assert (done.stdout == "") == ("--quiet" in arguments)
    if "--json" in arguments:
        json.loads(done.stdout)


@pytest.mark.parametrize("command", COMMANDS)
def test_no_option_is_left_out(command):
    there = {max(p.opts, key=len) for p in COMMANDS[command].params if p.param_type_name == "option"} - {"--help"}
    driven = [one for one in OTHERS if one[0] == command]
    driven += [(*BRIEF, *one, "--model", "--out") for one in EXPLAIN.values()] if command == "explain" else []
    used = {word for one in driven for word in one if word.startswith("--")} | ELSEWHERE.get(command, set())
    used |= {"--out"} if command in ("demo", "study", "compare") else set()
    assert there == used


def test_help_says_what_there_is():
    for name, command in COMMANDS.items():
        for option in command.params:
            assert option.param_type_name != "option" or (option.help or "").endswith("."), (name, option.name)
    said = {option.name: option.help for option in COMMANDS["explain"].params if option.param_type_name == "option"}
    for word in ("heldout", "bootstrap", "theory", "number"):
        assert word in said["L"]
