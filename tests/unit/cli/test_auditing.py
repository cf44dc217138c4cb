"""``legstat audit`` and ``legstat audit plan``: what is written, told, and refused."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from legstat.audit import AuditRun, Plan
from legstat.cli import app
from legstat.data import digits_model_path, load_digit
from tests.unit.audit.world import digests

QUICK = (
    "--preprocessing",
    "unit",
    "--n-queries",
    250,
    "--law",
    "structured",
    "--L-ratio",
    0.1,
    "--steps",
    0,
    "--no-checks",
)


def said(*words):
    return CliRunner().invoke(app, ["audit", *map(str, words)])


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    home = tmp_path_factory.mktemp("pictures")
    for i in range(3):
        image, _ = load_digit(i)
        Image.fromarray(np.round(255 * image[0]).astype(np.uint8)).save(home / f"digit{i}.png")
    return home


def test_a_plan_then_a_run_is_a_run(pictures, tmp_path):
    plan = said("plan", digits_model_path(), pictures, *QUICK, "--every", 2, "--out", tmp_path / "plan.toml")
    assert plan.exit_code == 0, plan.output
    assert "2 pictures: 500 evaluations" in plan.output
    written = Plan.load(tmp_path / "plan.toml")
    assert (written.grid, written.choice, written.every, written.L_ratio) == ((8, 8), "every", 2, 0.1)
    assert "pilot = 250" in (tmp_path / "plan.toml").read_text()
    planned = said("--plan", tmp_path / "plan.toml", "--out", tmp_path / "planned")
    assert planned.exit_code == 0, planned.output
    assert "2 of 2 pictures are audited, 0 failed" in planned.output
    direct = said(digits_model_path(), pictures, *QUICK, "--every", 2, "--out", tmp_path / "direct", "--json")
    told = json.loads(direct.stdout)
    assert [row["name"] for row in told["pictures"]] == ["digit0.png", "digit2.png"]
    run = AuditRun.open(tmp_path / "direct")
    assert digests(run) == digests(AuditRun.open(tmp_path / "planned"))
    assert len(pd.read_parquet(tmp_path / "direct" / "pictures.parquet")) == 2
    again = said("run", digits_model_path(), pictures, *QUICK, "--every", 2, "--out", tmp_path / "direct")
    assert again.exit_code == 0, again.output
    other = said("--plan", tmp_path / "plan.toml", digits_model_path(), "--out", tmp_path / "x")
    assert other.exit_code == 2
    assert "exactly one of the three" in other.output
    changed = said(digits_model_path(), pictures, *QUICK, "--every", 2, "--seed", 1, "--out", tmp_path / "direct")
    assert changed.exit_code == 2
    assert "a plan that differs in query.seed" in changed.output


def test_failures_are_told_and_have_an_exit_code_of_their_own(pictures, tmp_path):
    shutil.copytree(pictures, tmp_path / "p")
    (tmp_path / "p" / "digit1.png").write_bytes(b"no picture")
    found = said(digits_model_path(), tmp_path / "p", *QUICK, "--out", tmp_path / "run")
    assert found.exit_code == 3, found.output
    assert "failed: digit1.png: ValueError" in found.output
    stopped = said(digits_model_path(), tmp_path / "p", *QUICK, "--out", tmp_path / "other", "--max-failures", 0)
    assert stopped.exit_code == 2
    assert "more than max_failures = 0" in stopped.output


def test_all_that_is_wrong_is_told_line_by_line(pictures, tmp_path):
    found = said(digits_model_path(), pictures, "--preprocessing", "unit", "--n-queries", 0, "--at", 2, "--workers", 0)
    assert found.exit_code == 2
    lines = [line for line in found.output.splitlines() if line.startswith("error: -")]
    assert len(lines) == 3
    for key in ("query.n_queries", "query.at", "work.workers"):
        assert any(f"`{key}`" in line for line in lines)
    found = said(digits_model_path(), pictures / "none*", "--preprocessing", "unit", "--out", tmp_path / "run")
    assert "a pattern that finds some" in found.output
    assert not (tmp_path / "run").exists()


def test_help_says_both_ways():
    found = said("--help")
    assert "legstat audit MODEL PICTURES" in " ".join(found.output.split())
    assert "plan" in found.output
    assert found.exit_code == 0


def test_the_report_is_written_again_from_the_folder(pictures, tmp_path):
    assert said(digits_model_path(), pictures, *QUICK, "--every", 2, "--out", tmp_path / "run").exit_code == 0
    (tmp_path / "run" / "report.html").unlink()
    for option in ("--quiet", "--json", "--debug"):
        done = CliRunner().invoke(app, ["report", str(tmp_path / "run"), option])
        assert done.exit_code == 0, done.output
        assert (tmp_path / "run" / "report.html").is_file()
        assert (done.stdout == "") == (option == "--quiet")
        if option == "--json":
            assert "report.html" in json.dumps(json.loads(done.stdout))
