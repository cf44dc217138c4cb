"""The command line where things go wrong: folders, terminals, signals, texts from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import legstat as ls
from legstat.cli import FAULT, TERMINATED, app
from legstat.data import digits_model_path, load_digit
from legstat.record import FILES
from legstat.responses.onnx.response import OnnxResponse

LEGSTAT = [sys.executable, "-c", "import sys; from legstat.cli import main; sys.argv[0] = 'legstat'; main()"]
BRIEFLY = ("--model", digits_model_path(), "--perturb", "mean", "--n-queries", 60, "--preprocessing", "unit",
           "--grid", "4x4", "--L-ratio", 0.3)  # fmt: skip


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "digit.png"
    Image.fromarray(np.round(load_digit(5)[0][0] * 255).astype(np.uint8)).save(path)
    return path


def explain(picture, out, *more):
    return CliRunner().invoke(app, [str(one) for one in ("explain", picture, *BRIEFLY, "--out", out, *more)])


def process(*arguments, **environment):
    command = [*LEGSTAT, *(str(one) for one in arguments)]
    return subprocess.run(command, capture_output=True, check=False, env={**os.environ, **environment})


# ---------------------------------------------------------------- where it is written


def test_a_folder_that_cannot_be_written_to_is_found_before_any_evaluation(picture, tmp_path, monkeypatch):
    monkeypatch.setattr(OnnxResponse, "_forward", lambda *a: pytest.fail("evaluated"))
    (tmp_path / "file").write_text("")
    (tmp_path / "out" / "record.json").mkdir(parents=True)
    for place, text in (("file/out", "NotADirectoryError"), ("out", "record.json is to go")):
        done = explain(picture, tmp_path / place)
        assert (done.exit_code, text in done.stderr) == (FAULT, True), done.stderr
    for command in (["demo"], ["study", "--n-queries", "400"]):
        done = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "file" / "out")])
        assert (done.exit_code, "`folder` must be a folder to write to" in done.stderr) == (FAULT, True), done.stderr


def test_writing_that_fails_later_keeps_the_evaluations_elsewhere(picture, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    out, save = tmp_path / "out", ls.QuerySample.save

    def full(sample, path):
        if out in Path(path).parents:
            raise OSError(28, "No space left on device")
        save(sample, path)

    with monkeypatch.context() as patch:
        patch.setattr(ls.QuerySample, "save", full)
        done = explain(picture, out)
    kept = tmp_path / "here" / "partial.npz"
    assert (done.exit_code, f"--resume {kept}" in done.stderr, "No space left" in done.stderr) == (FAULT, True, True)
    monkeypatch.setattr(OnnxResponse, "_forward", lambda *a: pytest.fail("evaluated"))
    done = explain(picture, out, "--resume", kept)
    assert done.exit_code == 0, done.stderr
    assert {file.name for file in out.iterdir()} == set(FILES)


def test_a_run_that_fails_midway_leaves_the_run_before_it(picture, tmp_path, monkeypatch):
    out = tmp_path / "out"
    assert explain(picture, out).exit_code == 0
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr("legstat.estimators.leg.LEG.fit", lambda self: (_ for _ in ()).throw(ls.SolverError("no")))
        assert explain(picture, out, "--seed", 9).exit_code == FAULT
    after = {file.name: file.read_bytes() for file in out.iterdir()}
    assert after.keys() - before.keys() == {"partial.npz"}
    assert {name: after[name] for name in before} == before


# ---------------------------------------------------------------- where it is shown


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_labels_that_the_terminal_lacks_are_no_fault(picture, tmp_path, encoding):
    (tmp_path / "labels.txt").write_text("\n".join("零一二三四五六七八九"), encoding="utf-8")
    done = process("explain", picture, *BRIEFLY, "--labels", tmp_path / "labels.txt", "--out", tmp_path / "out",
                   PYTHONIOENCODING=encoding, PYTHONWARNINGS="error")  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"Target:" in done.stdout
    assert "七" in (tmp_path / "out" / "summary.txt").read_text(encoding="utf-8")
    assert {file.name for file in (tmp_path / "out").iterdir()} == set(FILES)


def test_settings_of_matplotlib_are_not_ours(picture, tmp_path):
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nfont.family: No Such Font\n")
    (tmp_path / "labels.txt").write_text("\n".join(rf"$\frac{{{k}}}$ \unknown {{" for k in range(10)))
    done = process("explain", picture, *BRIEFLY, "--labels", tmp_path / "labels.txt", "--out", tmp_path / "out",
                   MPLBACKEND="module://no_such_backend", MATPLOTLIBRC=tmp_path / "matplotlibrc")  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert {file.name for file in (tmp_path / "out").iterdir()} == set(FILES)
    done = process("explain", picture, *BRIEFLY, "--out", tmp_path / "plain", MPLBACKEND="nonsense")
    assert (done.returncode, done.stderr) == (0, b"")
    # apart from the title the pictures are those of matplotlib as it is delivered
    pixels = [np.asarray(Image.open(tmp_path / name / "explanation.png")) for name in ("out", "plain")]
    assert pixels[0].shape == pixels[1].shape
    np.testing.assert_array_equal(*(one[:, one.shape[1] // 2 :] for one in pixels))


def test_labels_are_neither_markup_nor_commands(picture, tmp_path):
    labels = [f"<script>alert({k})</script> & \x1b[2J \\input{{x}}" for k in range(10)]
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    done = explain(picture, tmp_path / "out", "--labels", tmp_path / "labels.json")
    assert done.exit_code == 0, done.stderr
    page = (tmp_path / "out" / "summary.html").read_text(encoding="utf-8")
    assert page.count("<script") == page.count("</script") == 2  # the page's data and its own code
    assert "&lt;script&gt;alert(7)&lt;/script&gt; &amp; " in page
    assert "\x1b" not in page + done.stdout + (tmp_path / "out" / "summary.txt").read_text(encoding="utf-8")


def test_faults_of_a_library_are_one_line(picture, tmp_path, monkeypatch):
    class Fail(Exception):  # what ONNX Runtime raises is an Exception and nothing more
        pass

    def failing(*_, **__):
        raise Fail("[ONNXRuntimeError] : 1 : FAIL\nmatmul_helper.h:59")

    monkeypatch.setattr("legstat.cli.checking.inspect_model", failing)
    done = CliRunner().invoke(app, ["inspect", "x.onnx"])
    said = "error: Fail: [ONNXRuntimeError] : 1 : FAIL matmul_helper.h:59 (--debug shows where)\n"
    assert (done.exit_code, done.stderr) == (FAULT, said)
    assert isinstance(CliRunner().invoke(app, ["inspect", "x.onnx", "--debug"]).exception, Fail)


# ---------------------------------------------------------------- how it is stopped


@pytest.mark.parametrize("stage", ["query", "estimates"])
def test_sigterm_keeps_what_was_paid_for(picture, tmp_path, stage):
    where = {"query": "legstat.responses.onnx.response.OnnxResponse._forward", "estimates": "legstat.LEG.fit"}[stage]
    owner, method = where.rpartition(".")[::2]
    script = (
        "import pathlib, pkgutil, sys, time; from legstat.cli import main\n"
        f"owner = pkgutil.resolve_name({owner!r}); inner, calls = owner.{method}, []\n"
        "def slow(*given):\n"
        "    calls.append(0)\n"
        f"    if len(calls) > {10 if stage == 'query' else 0}:\n"
        f"        pathlib.Path({str(tmp_path / 'now')!r}).touch(); time.sleep(60)\n"
        "    return inner(*given)\n"
        f"owner.{method} = slow; sys.argv[0] = 'legstat'; main()"
    )
    arguments = [str(one) for one in ("explain", picture, *BRIEFLY, "--batch-size", 8, "--out", tmp_path / "out")]
    run = subprocess.Popen([sys.executable, "-c", script, *arguments], stderr=subprocess.PIPE)
    end = time.monotonic() + 120.0
    while not (tmp_path / "now").exists():
        assert time.monotonic() < end
        assert run.poll() is None, run.stderr
        time.sleep(0.05)
    run.send_signal(signal.SIGTERM)
    _, said = run.communicate(timeout=120.0)
    assert run.returncode == TERMINATED, said
    assert b"terminated" in said
    kept = tmp_path / "out" / "partial.npz"
    assert f"--resume {kept}".encode() in said
    done = explain(picture, tmp_path / "out", "--batch-size", 8, "--resume", kept)
    assert done.exit_code == 0, done.stderr
    assert explain(picture, tmp_path / "whole", "--batch-size", 8).exit_code == 0
    one, two = (json.loads((tmp_path / name / "record.json").read_text())["results"] for name in ("out", "whole"))
    assert one == two


# ---------------------------------------------------------------- what is meant


def test_a_difference_of_labels_with_commas(picture, tmp_path):
    names = ["tabby, tabby cat", "tiger cat", "lynx, catamount", "a", "b", "a, b", "c", "b, c", "e", "f"]
    (tmp_path / "labels.txt").write_text("\n".join(names))

    def target(text):
        done = explain(picture, tmp_path / "out", "--score", "difference", "--labels", tmp_path / "labels.txt",
                       "--target", text)  # fmt: skip
        if done.exit_code:
            return done.stderr
        return json.loads((tmp_path / "out" / "record.json").read_text())["response"]["target"]

    assert target("tabby, tabby cat,lynx, catamount") == [0, 2]
    assert target("tiger cat, 2") == [1, 2]
    assert "It can be read as [('a', 'b, c'), ('a, b', 'c')]" in target("a, b, c")
    assert "two classes, such as 207,208" in target("x, y, z")
    assert "one of the 10 labels" in target("tabby, dog")
