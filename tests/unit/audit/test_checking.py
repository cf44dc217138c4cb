"""Checks in an audit: of each picture in its file, of the whole run when all is done."""

import json

import numpy as np
import pytest

import legstat as ls
from legstat.audit import AuditRun, audit, checking
from legstat.audit.pictures import chosen_items
from legstat.audit.unit import audit_picture, sample_again
from legstat.data import load_digit
from tests.unit.audit.world import a_plan, a_store, network

PICTURE = ["score_moves", "predicts", "certified", "mean_shift", "enough_queries", "placebo"]


@pytest.fixture(scope="module")
def black_box():
    return network()


@pytest.fixture(scope="module")
def run(tmp_path_factory, black_box):
    home = tmp_path_factory.mktemp("checks")
    plan = a_plan(a_store(home, 9), checks=True, placebos=3)
    return audit(black_box, plan, home / "run", progress=False)


def test_each_picture_has_its_checks(run, black_box):
    one = run.picture("digits[4]")
    assert [check["name"] for check in one.checks] == PICTURE
    image, _ = load_digit(4)
    sample = ls.query(
        black_box, image, ls.StructuredGaussian((8, 8), 0.25), 250, perturbation=ls.Blend("blur", at=0.5),
        key=tuple(map(int, one.facts["key"])), progress=False,
    )  # fmt: skip
    found = ls.Explanation.of(sample, L_ratio=0.1, progress=False)
    made = ls.checks.check_picture(sample, found.leg, found.tv, n_placebos=3, rng=sample.segments[0].key)
    assert list(one.checks) == [check.to_dict() for check in made]


def test_the_sample_behind_a_picture_is_there_again(run, black_box, tmp_path):
    plan = a_plan(a_store(tmp_path, 2)).resolved((8, 8))
    item = chosen_items(plan)[1]
    again = sample_again(black_box, item, plan, audit_picture(black_box, item, plan))
    sample = ls.query(
        black_box, load_digit(1)[0], again.design, 250, perturbation=again.perturbation, key=again.segments[0].key,
        progress=False,
    )  # fmt: skip
    assert [s.responses.tobytes() for s in again.segments] == [s.responses.tobytes() for s in sample.segments]
    assert (again.f_x0, again.f_base, again.n_units) == (sample.f_x0, sample.f_base, sample.n_units)
    np.testing.assert_array_equal(ls.LEG(again).fit().params, ls.LEG(sample).fit().params)


def test_the_run_has_its_checks_and_their_cost(run):
    found = {check["name"]: check for check in run.checks}
    assert list(found) == ["preprocessing", "batch_independence", "determinism", "other_target", "learnt_weights",
                           "cascading_randomisation"]  # fmt: skip
    assert found["preprocessing"]["status"] == found["cascading_randomisation"]["status"] == "passed"
    cost = sum(check["details"].get("evaluations", 0) for check in run.checks)
    assert cost > 1000
    assert run.facts["ledger"]["checks"] == cost
    assert run.facts["ledger"]["total"] == 9 * 250 + cost + run.facts["ledger"]["trials"]


def test_they_are_made_once_for_as_many_pictures(run, black_box, monkeypatch):
    written = (run.folder / "checks.json").read_bytes()
    monkeypatch.setattr(checking, "check_run", None)
    audit(black_box, a_plan(run.folder.parent / "digits.npz", checks=True, placebos=3), run.folder, progress=False)
    assert (run.folder / "checks.json").read_bytes() == written
    assert json.loads(written)["pictures"] == 9


def test_a_check_that_breaks_is_told_and_the_run_stands(tmp_path, black_box, monkeypatch):
    def broken(*given, **more):
        raise ZeroDivisionError("no")

    monkeypatch.setattr(checking, "check_run", broken)
    found = audit(black_box, a_plan(a_store(tmp_path, 1), checks=True, placebos=0), tmp_path / "run", progress=False)
    assert AuditRun.open(tmp_path / "run").complete
    assert [(check["name"], check["status"]) for check in found.checks] == [("check_run", "not_applicable")]
    assert "ZeroDivisionError: no" in found.checks[0]["meaning"]
