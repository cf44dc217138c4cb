"""The command line: what it writes, says and refuses; that a stopped run can be resumed to the same bits."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import legstat as ls
from legstat.cli import DIFFERENT, FAULT, INTERRUPTED, app
from legstat.data import digits_model_path, load_digit
from legstat.record import FILES
from legstat.record.folder import REGIONS
from legstat.responses.onnx.response import OnnxResponse
from tests.helpers_http import serving
from tests.helpers_onnx import one_picture_model, open_size_model

QUICKLY = ("--L-ratio", 0.3)
"""An L that needs no folds: half of the time, for tests of something else."""


@pytest.fixture
def picture(tmp_path):
    image, _ = load_digit(5)
    path = tmp_path / "digit.png"
    Image.fromarray(np.round(image[0] * 255).astype(np.uint8)).save(path)
    return path


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def explain(picture, out, *more):
    fixed = ("--model", digits_model_path(), "--perturb", "mean", "--n-queries", 120, "--preprocessing", "unit")
    return run("explain", picture, *fixed, "--out", out, *more)


def results(out):
    return json.loads((out / "record.json").read_text(encoding="utf-8"))["results"]


def test_explain_writes_everything_and_says_the_summary(picture, tmp_path):
    done = explain(picture, tmp_path / "out")
    assert done.exit_code == 0, done.stderr
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == sorted(FILES)
    assert (tmp_path / "out" / "summary.txt").read_text(encoding="utf-8").strip() in done.stdout
    assert done.stderr == ""  # no bars where stderr is no terminal


def test_same_seed_same_bits_and_another_seed_others(picture, tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        assert explain(picture, tmp_path / name, "--seed", seed, *QUICKLY).exit_code == 0
    assert results(tmp_path / "a") == results(tmp_path / "b")
    assert results(tmp_path / "a")["leg.params"] != results(tmp_path / "c")["leg.params"]


@pytest.mark.parametrize("more", [("--batch-size", 7), ("--threads", 1)])
def test_bits_do_not_depend_on_batches_and_threads(picture, tmp_path, more):
    assert explain(picture, tmp_path / "a", *QUICKLY).exit_code == 0
    assert explain(picture, tmp_path / "b", *QUICKLY, *more).exit_code == 0
    assert results(tmp_path / "a") == results(tmp_path / "b")


def test_command_is_the_python_call(picture, tmp_path):
    assert explain(picture, tmp_path / "out").exit_code == 0
    f = ls.onnx_response(digits_model_path(), preprocessing="unit")
    found = ls.explain(f, picture, perturbation=ls.Blend("mean"), n_queries=120, rng=0)
    assert found.record()["results"] == results(tmp_path / "out")


def test_json_is_all_there_is_on_stdout(picture, tmp_path):
    done = explain(picture, tmp_path / "out", "--json", *QUICKLY)
    assert json.loads(done.stdout) == results(tmp_path / "out")


def test_quiet_says_nothing(picture, tmp_path):
    done = explain(picture, tmp_path / "out", "--quiet", *QUICKLY)
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "")


def test_verify_says_same_and_fails_on_a_difference(picture, tmp_path):
    explain(picture, tmp_path / "out")
    record = tmp_path / "out" / "record.json"
    done = run("verify", record)
    assert done.exit_code == 0, done.stdout
    assert "VERIFIED" in done.stdout
    record.write_text(record.read_text(encoding="utf-8").replace('"0x1', '"0x2', 1), encoding="utf-8")
    done = run("verify", record)
    assert done.exit_code == DIFFERENT
    assert "DIFFERS" in done.stdout
    assert run("verify", record, "--quiet").exit_code == DIFFERENT
    assert json.loads(run("verify", record, "--json").stdout)["passed"] is False


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--grid", "28"), "`--grid` must be rows x columns"),
        (("--grid", "9x5"), "a grid of at most 8 x 8 cells"),
        (("--n-queries", "3"), "`n_queries` must be at least"),
        (("--scale", "-1"), "`scale` must be"),
        (("--target", "10"), "target"),
        (("--target", "seven"), "target"),
        (("--score", "difference"), "two classes, such as 207,208"),
        (("--preprocessing", "vgg"), "preprocessing"),
        (("--L", "bootstrap"), "`n_queries` must be at least 202"),  # intervals are offered from 100 pairs
        (("--L", "lasso"), "`L` must be"),
        (("--L", "theory"), "must be bounded by 1, as Theorem 1 assumes"),
        (("--L", "0.1", "--L-ratio", "0.1"), "must be exactly one"),
        (("--at", "1.5"), "`at` must be"),
        (("--conventions", "paper"), "perturbation"),
        (("--output", "nothing"), "output"),
        (("--labels", "no_such_file.txt"), "no_such_file.txt"),
        (("--resume", "no_such_file.npz"), "no_such_file.npz"),
        (("--threads", "0"), "threads"),
    ],
)
def test_bad_argument_is_one_line_and_exit_code_2(picture, tmp_path, arguments, text, monkeypatch):
    monkeypatch.setattr(OnnxResponse, "_forward", lambda *a: pytest.fail("evaluated"))
    done = explain(picture, tmp_path / "out", *arguments)
    assert done.exit_code == FAULT
    lines = [line for line in done.stderr.splitlines() if line]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    assert text in lines[0]
    assert done.stdout == ""


def test_missing_model_and_picture_are_named(picture, tmp_path):
    done = run("explain", picture, "--model", tmp_path / "no.onnx")
    assert (done.exit_code, "no.onnx" in done.stderr) == (FAULT, True)
    done = run("explain", tmp_path / "no.png", "--model", digits_model_path(), "--out", tmp_path / "out")
    assert (done.exit_code, "no.png" in done.stderr) == (FAULT, True)


def test_mask_level_makes_no_sense_for_additive(picture, tmp_path):
    done = run("explain", picture, "--model", digits_model_path(), "--perturb", "additive", "--at", 0.3)
    assert (done.exit_code, "`--at`" in done.stderr) == (FAULT, True)


def test_debug_shows_where(picture, tmp_path):
    done = explain(picture, tmp_path / "out", "--grid", "9x5", "--debug")
    assert isinstance(done.exception, ValueError)


@pytest.mark.parametrize("conventions", ["paper", "upstream"])
def test_conventions_go_all_the_way(picture, tmp_path, conventions):
    out = tmp_path / "out"
    more = ("--conventions", conventions, "--perturb", "additive", "--n-queries", 200)
    done = run("explain", picture, "--model", digits_model_path(), *more, "--out", out)
    assert done.exit_code == 0, done.stderr
    record = json.loads((out / "record.json").read_text(encoding="utf-8"))
    assert record["experiment"]["conventions"] == conventions
    assert record["experiment"]["perturbation"] == {
        "class": "Additive", "clip": False, "quantise": conventions == "upstream"
    }  # fmt: skip
    assert record["estimators"]["choice"] == {"L_ratio": 0.1}


class Stops:
    """Lets an ONNX response answer `after` calls, then raises."""

    def __init__(self, monkeypatch, after, error):
        self.left, inner = after, OnnxResponse._forward

        def forward(response, inputs):
            self.left -= 1
            if self.left < 0:
                raise error
            return inner(response, inputs)

        monkeypatch.setattr(OnnxResponse, "_forward", forward)


@pytest.mark.parametrize(("error", "code"), [(RuntimeError("the cable"), FAULT), (KeyboardInterrupt(), INTERRUPTED)])
def test_stopped_run_is_kept_and_resumed_to_the_same_bits(picture, tmp_path, monkeypatch, error, code):
    assert explain(picture, tmp_path / "whole", *QUICKLY, "--batch-size", 8, "--seed", 6).exit_code == 0
    with monkeypatch.context() as patch:
        Stops(patch, 20, error)
        done = explain(picture, tmp_path / "out", *QUICKLY, "--batch-size", 8, "--seed", 6)
    assert done.exit_code == code
    kept = tmp_path / "out" / "partial.npz"
    assert f"--resume {kept}" in done.stderr
    assert 20 < ls.QuerySample.load(kept).ledger.spent < 120
    # the same command, as the message says
    done = explain(picture, tmp_path / "out", *QUICKLY, "--batch-size", 8, "--seed", 6, "--resume", kept)
    assert done.exit_code == 0, done.stderr
    assert results(tmp_path / "out") == results(tmp_path / "whole")


def test_resuming_another_experiment_is_refused(picture, tmp_path, monkeypatch):
    assert explain(picture, tmp_path / "out", "--seed", 1, *QUICKLY).exit_code == 0
    kept = tmp_path / "out" / "sample.npz"
    for more, text in ((("--seed", 2), "`--seed`"), (("--scale", 0.1), "`scale`"), (("--grid", "4x4"), "`grid`")):
        done = explain(picture, tmp_path / "again", "--resume", kept, *more)
        assert (done.exit_code, text in done.stderr) == (FAULT, True), done.stderr


def test_fault_in_the_estimates_keeps_the_queries(picture, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("legstat.estimators.leg.LEG.fit", lambda self: (_ for _ in ()).throw(ls.SolverError("no")))
        done = explain(picture, tmp_path / "out")
    assert done.exit_code == FAULT
    assert "--resume" in done.stderr
    with monkeypatch.context() as patch:  # everything is paid for: nothing may be evaluated again
        patch.setattr(OnnxResponse, "_forward", lambda *a: pytest.fail("evaluated"))
        done = explain(picture, tmp_path / "out", "--resume", tmp_path / "out" / "partial.npz", *QUICKLY)
    assert done.exit_code == 0, done.stderr


def test_constant_score_is_one_line_of_warning(picture, tmp_path, monkeypatch):
    monkeypatch.setattr(OnnxResponse, "_scored", lambda self, outputs: np.full(len(outputs), 2.0))
    done = explain(picture, tmp_path / "out")
    assert done.exit_code == 0, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line]
    assert line.startswith("warning: ")
    assert "the score does not move" in line
    assert "WARNING" in done.stdout


def test_assumed_preprocessing_is_said_with_its_remedy(picture, tmp_path):
    arguments = ("--model", digits_model_path(), "--n-queries", 120, "--out", tmp_path / "out", *QUICKLY)
    done = run("explain", picture, *arguments)
    assert done.exit_code == 0, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line]
    assert line.startswith("note: no --preprocessing: the network is taken to want [0, 1], RGB.")
    assert "--preprocessing unit" in line
    assert "First choices at the picture: 7: 0.97" in done.stdout
    assert run("explain", picture, *arguments, "--quiet").stderr == ""


# ---------------------------------------------------------------- models behind an address, other inputs


def test_model_behind_an_address_is_explained_inspected_and_verified(picture, tmp_path):
    (tmp_path / "headers.txt").write_text("# who asks\nAuthorization: Bearer secret\n", encoding="utf-8")
    there = ("--model-version", "3", "--headers", tmp_path / "headers.txt")
    with serving() as server:
        where = ("--url", server.url, "--model", "digits", "--preprocessing", "unit", *there, "--in-flight", 2)
        done = run("explain", picture, *where, "--perturb", "mean", "--n-queries", 120, "--out", tmp_path / "out")
        assert done.exit_code == 0, done.stderr
        assert all(one["Authorization"] == "Bearer secret" for one in server.headers)
        record = (tmp_path / "out" / "record.json").read_text(encoding="utf-8")
        assert "secret" not in record
        about = json.loads(record)["response"]
        assert (about["url"], about["version_served"], about["in_flight"]) == (server.url, "3", 2)

        before, seen = sum(server.sizes), len(server.headers)
        secret = ("--headers", tmp_path / "headers.txt")
        for url in (
            (),
            ("--url", "http://localhost:9"),
        ):  # a record may be anybody's: its address gets no secret unasked
            done = run("verify", tmp_path / "out" / "record.json", *secret, *url)
            assert (done.exit_code, "`url` must be" in done.stderr, len(server.headers)) == (2, True, seen), done.stderr
        done = run("verify", tmp_path / "out" / "record.json", *secret, "--url", server.url)
        assert done.exit_code == 0, done.stdout + done.stderr
        assert "same    what the endpoint says of its model" in done.stdout
        assert "cannot be seen" in done.stdout
        assert sum(server.sizes) - before == 120

        server.faults = lambda _: "nan"
        done = run("verify", tmp_path / "out" / "record.json")
        assert (done.exit_code, "outputs there are NaN or infinite" in done.stderr) == (FAULT, True), done.stderr
        server.faults = []

        done = run("inspect", "digits", "--url", server.url, "--picture", picture, *there)
        assert done.exit_code == 0, done.stderr
        assert "10, read from 'logits' as logits" in done.stdout
        assert "preset       unit:     first choice 7" in done.stdout
        assert "no difference, bit for bit, between runs of one picture" in done.stdout
        as_json = json.loads(run("inspect", "digits", "--url", server.url, "--json").stdout)
        assert as_json["requests"] > 3
        assert any("no version was asked for" in text for text in as_json["problems"])

        server.batch = 16  # another description: another model, for all that can be seen
        before = sum(server.sizes)
        done = run("verify", tmp_path / "out" / "record.json")
        assert (done.exit_code, sum(server.sizes)) == (DIFFERENT, before)
        assert "NOT REPEATED" in done.stdout
    done = run("verify", tmp_path / "out" / "record.json")
    assert (done.exit_code, "no answer from" in done.stderr) == (FAULT, True)


def test_other_answers_of_an_endpoint_are_told_apart_in_size(picture, tmp_path):
    with serving(shifted=True) as server:
        shift = tmp_path / "shift.npy"
        np.save(shift, np.arange(10.0, dtype=np.float32)[None] / 8.0)
        where = ("--url", server.url, "--model", "digits", "--preprocessing", "unit", "--perturb", "mean", *QUICKLY)
        done = run("explain", picture, *where, "--n-queries", 120, "--out", tmp_path / "o")
        assert (done.exit_code, "other inputs ['shift']" in done.stderr) == (FAULT, True)
        done = run(
            "explain", picture, *where, "--constant", f"shift={shift}", "--n-queries", 120, "--out", tmp_path / "o"
        )
        assert done.exit_code == 0, done.stderr
        shift.unlink()  # few enough to stand in the record
        assert run("verify", tmp_path / "o" / "record.json").exit_code == 0
        server.drift = 1e-3
        done = run("verify", tmp_path / "o" / "record.json")
        assert done.exit_code == DIFFERENT
        assert re.search(r"the responses differ by up to 0\.00\d+; their standard deviation is", done.stdout)


def test_constants_too_large_for_a_record_are_looked_for(picture, tmp_path, monkeypatch):
    monkeypatch.setattr("legstat.responses.network.fixed_inputs.KEPT_NUMBERS", 5)
    with serving(shifted=True) as server:
        shift = tmp_path / "shift.npy"
        np.save(shift, np.arange(10.0)[None] / 8.0)
        where = ("--url", server.url, "--model", "digits", "--preprocessing", "unit", "--perturb", "mean", *QUICKLY)
        more = ("--constant", f"shift={shift}", "--n-queries", 120, "--out", tmp_path / "o")
        assert run("explain", picture, *where, *more).exit_code == 0
        record = tmp_path / "o" / "record.json"
        assert json.loads(record.read_text())["provenance"]["constant_paths"] == {"shift": str(shift)}
        assert run("verify", record).exit_code == 0
        moved = shift.rename(tmp_path / "elsewhere.npy")
        done = run("verify", record)
        assert (done.exit_code, "too many for a record" in done.stderr) == (FAULT, True)
        assert run("verify", record, "--constant", f"shift={moved}").exit_code == 0
        np.save(moved, np.zeros((1, 10)))
        done = run("verify", record, "--constant", f"shift={moved}")
        assert (done.exit_code, "another array for 'shift'" in done.stderr) == (FAULT, True)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--in-flight", 2), "`--in-flight` must be left out without --url"),
        (("--model-version", 2), "`--model-version` must be left out without --url"),
        (("--url", "http://localhost:9", "--threads", 2), "`--threads` must be left out with --url"),
        (("--url", "http://localhost:9", "--headers", "no.txt"), "`--headers` must be a readable text file"),
        (("--url", "localhost"), "`url` must be an address"),
        (("--constant", "shift"), "`--constant` must be name=number or name=file.npy"),
        (("--constant", "shift=2"), "`constants` must be one of the graph's inputs"),
        (("--provider", "gpu"), "`provider` must be"),
        (("--input", "image"), "`input` must be one of the graph's inputs"),
        (("--output-kind", "odds"), "`output_kind` must be one of"),
    ],
)
def test_flags_of_the_model_are_checked(picture, tmp_path, arguments, text):
    done = run("explain", picture, "--model", digits_model_path(), "--out", tmp_path / "out", *arguments)
    assert (done.exit_code, text in done.stderr) == (FAULT, True), done.stderr


def test_headers_file_is_not_quoted_in_errors(picture, tmp_path):
    (tmp_path / "headers.txt").write_text("Authorization Bearer secret\n", encoding="utf-8")
    done = run(
        "explain", picture, "--model", "digits", "--url", "http://localhost:9", "--headers", tmp_path / "headers.txt"
    )
    assert (done.exit_code, "line 1 of" in done.stderr, "secret" in done.stderr) == (FAULT, True, False)


def test_f_x0_is_kept_when_the_base_point_fails(picture, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        Stops(patch, 6, RuntimeError("the cable"))  # what is asked at x0 comes before: alone, and in company
        done = explain(picture, tmp_path / "out", "--seed", 6)
    kept = tmp_path / "out" / "partial.npz"
    assert (
        done.exit_code,
        f"1 evaluations are kept: go on with the same command and --resume {kept}" in done.stderr,
    ) == (
        FAULT,
        True,
    )
    assert explain(picture, tmp_path / "out", "--seed", 6, "--resume", kept, *QUICKLY).exit_code == 0
    assert results(tmp_path / "out")["f_x0"] != results(tmp_path / "out")["f_base"]


def test_demo_runs_without_any_download(tmp_path):
    done = run("demo", "--out", tmp_path / "demo")
    assert done.exit_code == 0, done.stderr
    assert "held-out digits are classified correctly" in done.stdout
    assert "regions differ from 0, strongest first" in done.stdout
    assert sorted(file.name for file in (tmp_path / "demo").iterdir()) == sorted([*FILES, REGIONS])
    with Image.open(tmp_path / "demo" / "explanation.png") as panel:
        assert panel.width > 1500


def test_inspect_tells_what_the_file_is():
    done = run("inspect", digits_model_path())
    assert done.exit_code == 0, done.stderr
    assert "logits" in done.stdout
    assert run("inspect", "no.onnx").exit_code == FAULT


@pytest.mark.parametrize(
    ("made", "cause", "remedy"),
    [
        (open_size_model, "224 x 224 pixels", "size = [rows, columns]"),
        (one_picture_model, "takes one picture", "(--batch-size 1)"),
    ],
)
def test_inspect_fails_where_the_model_cannot_be_run(tmp_path, made, cause, remedy):
    done = run("inspect", made(tmp_path / "m.onnx"))
    assert done.exit_code == FAULT
    [problem] = [line for line in done.stdout.splitlines() if line.startswith("problem")]
    assert cause in problem
    assert remedy in problem


def test_help_lists_the_commands():
    done = run("--help")
    for command in ("explain", "demo", "inspect", "verify"):
        assert command in done.stdout


def test_the_batch_size_is_measured_counted_and_remembered(tmp_path: Path) -> None:
    picture = tmp_path / "digit.png"
    Image.fromarray((load_digit(5)[0][0] * 255).astype(np.uint8)).save(picture)
    ledgers = []
    for out in ("one", "two"):
        arguments = [str(picture), "--model", str(digits_model_path()), "--n-queries", "140", "--quiet"]
        arguments += ["--batch-size", "auto", "--cache", str(tmp_path / "cache"), "--out", str(tmp_path / out)]
        done = CliRunner().invoke(app, ["explain", *arguments])
        assert done.exit_code == 0, done.output
        record = json.loads((tmp_path / out / "record.json").read_text())
        ledgers.append(record["ledger"])
    assert ledgers[0]["tuning"] > 0
    assert [ledger["spent"] - ledger["tuning"] for ledger in ledgers] == [140, 0]
    assert (ledgers[1]["tuning"], ledgers[1]["cached"]) == (0, 140)
    done = CliRunner().invoke(app, ["verify", str(tmp_path / "one" / "record.json")])
    assert done.exit_code == 0, done.output


def test_a_batch_size_that_is_none_is_named(tmp_path: Path) -> None:
    arguments = ["x.png", "--model", str(digits_model_path()), "--batch-size", "many", "--out", str(tmp_path)]
    done = CliRunner().invoke(app, ["explain", *arguments])
    assert done.exit_code != 0
    assert "--batch-size" in done.output
    assert "or auto" in done.output
