"""`legstat verify` of an audit: the same bits are the same, and whatever was changed is named."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

import legstat as ls
from legstat.audit import AuditedPicture, audit, verify
from legstat.cli import DIFFERENT, FAULT, app
from legstat.data import digits_model_path
from legstat.report.pages import write_report
from legstat.report.pages.sums import read_sums, write_sums
from tests.unit.audit.world import a_plan, a_store, network


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("verified")
    run = audit(network(), a_plan(a_store(folder, 3)), folder / "run", progress=False)
    write_report(run)
    return run


@pytest.fixture
def run(made, tmp_path):
    shutil.copytree(made.folder, tmp_path / "run")
    return type(made).open(tmp_path / "run")


def different(outcome):
    return [check.name for check in outcome.checks if not check.same]


def test_what_is_repeated_is_the_same(run):
    outcome = verify(run.folder, network(), progress=False)
    assert outcome.passed
    assert different(outcome) == []
    named = {check.name.split(":")[0] for check in outcome.results}
    assert named == set(run.names)
    assert {"responses", "leg", "std_errors", "path", "facts"} <= {c.name.split(": ")[1] for c in outcome.results}


def test_a_sample_of_pictures_follows_its_seed(run):
    taken = [{c.name.split(":")[0] for c in verify(run.folder, network(), pictures=1, rng=s, progress=False).results}
             for s in (0, 0, 1, 2, 3)]  # fmt: skip
    assert all(len(one) == 1 for one in taken)
    assert taken[0] == taken[1]
    assert len({*map(tuple, taken)}) > 1
    with pytest.raises(ValueError, match="`pictures` must be"):
        verify(run.folder, network(), pictures=0, progress=False)


def test_a_changed_number_is_named(run):
    name = run.names[1]
    kept = run.picture(name)
    leg = np.array(kept.leg)
    leg[0, 0] = np.nextafter(leg[0, 0], np.inf)  # by one bit
    dataclasses.replace(kept, leg=leg, facts={**kept.facts, "f_x0": 1.0}).save(run.file(name))
    outcome = verify(run.folder, network(), progress=False)
    assert different(outcome) == [f"file units/{run.file(name).name}", f"{name}: f_x0", f"{name}: leg"]
    assert "DIFFERENT: 3 of" in outcome.as_text()


def test_a_changed_file_and_a_missing_one_are_named(run):
    (run.folder / "report.html").write_text("forged")
    (run.folder / "report.json").unlink()
    assert different(verify(run.folder, network(), pictures=1, progress=False)) == ["file report.html",
                                                                                    "file report.json"]  # fmt: skip


def test_another_model_is_asked_nothing(run):
    other = ls.onnx_response(digits_model_path(), preprocessing="unit", score="logit")
    outcome = verify(run.folder, other, progress=False)
    assert not outcome.passed
    assert outcome.results == ()
    assert "fingerprint" in different(outcome)
    assert "NOT REPEATED" in outcome.as_text()


def test_the_command(run, made):
    done = CliRunner().invoke(app, ["verify", str(run.folder), "--pictures", "1", "--seed", "0"])
    assert done.exit_code == 0, done.output
    assert "VERIFIED" in done.output
    kept: AuditedPicture = run.picture(run.names[0])
    for name in run.names:
        dataclasses.replace(run.picture(name), legtv=kept.leg + 1.0).save(run.file(name))
    done = CliRunner().invoke(app, ["verify", str(run.folder), "--pictures", "1", "--seed", "0"])
    assert done.exit_code == DIFFERENT
    assert ": legtv" in done.output
    done = CliRunner().invoke(app, ["verify", str(run.folder), "--picture", "x.png"])
    assert done.exit_code == FAULT
    assert "--picture" in done.output
    done = CliRunner().invoke(app, ["verify", str(run.folder.parent)])
    assert done.exit_code == FAULT


def test_sums_are_read_as_they_are_written(tmp_path):
    names = ["plain", "two\nlines", "back\\slash", "back\\nslash", "七"]
    for name in names:
        (tmp_path / name).write_bytes(name.encode())
    file = write_sums(tmp_path, [tmp_path / name for name in names])
    assert sorted(read_sums(file)) == sorted(names)
    assert read_sums(tmp_path / "none") == {}
