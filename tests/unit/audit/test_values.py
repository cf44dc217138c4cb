"""The values of an audit: a picture and a run, from and to files."""

import json

import numpy as np
import pytest
import scipy

from legstat._core.errors import InferenceUnavailableError
from legstat.audit import AuditedPicture, AuditRun


def a_picture(name="a.png", **changes):
    rng = np.random.default_rng(0)
    leg = rng.standard_normal((3, 4))
    given = {
        "name": name,
        "facts": {
            "target": 3,
            "label": 3,
            "group": "x",
            "ledger": {"spent": 200, "cached": 1},
            "seconds": {"query": 0.5, "path": 0.25},
            "fdr_thresholds": {"0.05": None, "0.1": 0.03, "0.2": 0.2},
            "r2_heldout": {"leg": 0.5, "legtv": 0.4},
            "certificate": {"passed": True, "gap": 1e-12},
        },
        "picture": rng.integers(0, 255, (6, 8, 3)).astype(np.uint8),
        "leg": leg,
        "std_errors": np.full((3, 4), 0.5),
        "df": np.full((3, 4), 30.0),
        "legtv": np.round(leg),
        "path_Ls": np.array([2.0, 1.0]),
        "path": np.stack([0 * leg, leg]).astype(np.float32),
        "path_r2": np.array([0.0, 0.4]),
        "responses": rng.standard_normal(50),
        "regions": np.zeros((3, 4), dtype=np.int64),
        "regions_table": ({"sign": 1, "cells": 12, "sum": 0.1},),
        "curves": {"deletion": {"fractions": [0.0, 1.0], "scores": [1.0, 0.0], "area": 0.5}},
        "checks": ({"name": "certificate", "status": "failed"},),
    }
    return AuditedPicture(**{**given, **changes})


def test_a_picture_comes_back_whole(tmp_path):
    one = a_picture()
    one.save(tmp_path / "one.npz")
    again = AuditedPicture.load(tmp_path / "one.npz")
    for name in one._arrays:
        np.testing.assert_array_equal(getattr(again, name), getattr(one, name))
        assert getattr(again, name).dtype == getattr(one, name).dtype
        assert not getattr(again, name).flags.writeable
    for name in ("name", "facts", "curves", "regions_table", "checks", "numbers_sha256"):
        assert getattr(again, name) == getattr(one, name)
    header = AuditedPicture.load_header(tmp_path / "one.npz")
    assert header["numbers_sha256"] == one.numbers_sha256
    assert header["facts"] == one.facts


def test_time_and_cache_are_no_numbers_but_all_else_is():
    one = a_picture()
    later = a_picture(facts={**one.facts, "seconds": {"query": 9.0}, "ledger": {"spent": 0, "cached": 201}})
    assert later.numbers_sha256 == one.numbers_sha256
    others = [
        a_picture(facts={**one.facts, "target": 4}),
        a_picture(legtv=one.legtv + 1e-12),
        a_picture(responses=np.flip(one.responses)),
        a_picture(curves=None),
        a_picture(checks=()),
        a_picture(name="b.png"),
    ]
    assert len({one.numbers_sha256, *(other.numbers_sha256 for other in others)}) == len(others) + 1


def test_pvalues_and_intervals_are_students():
    one = a_picture()
    expected = 2 * scipy.stats.t.sf(np.abs(one.leg) / 0.5, 30)
    np.testing.assert_allclose(one.pvalues, expected, rtol=1e-12)  # the same function of the same numbers
    half = scipy.stats.t.ppf(0.95, 30) * 0.5
    np.testing.assert_allclose(one.conf_int(level=0.9)[..., 1] - one.leg, half, rtol=1e-10)
    np.testing.assert_array_equal(one.significant(0.1), one.pvalues <= 0.03)
    assert not one.significant(0.05).any()
    with pytest.raises(ValueError, match=r"`fdr` must be one of 0\.05, 0\.1, 0\.2"):
        one.significant(0.3)


def test_without_standard_errors_nothing_is_significant():
    nothing = np.full((3, 4), np.nan)
    one = a_picture(std_errors=nothing, df=nothing, facts={"fdr_thresholds": None})
    assert not one.has_intervals
    assert np.isnan(one.pvalues).all()
    assert not one.significant(0.2).any()
    with pytest.raises(InferenceUnavailableError, match="too few queries"):
        one.conf_int()


def a_run(home, done=(0, 2)):
    """Three pictures, of which some are finished and number 1 failed."""
    chosen = [{"name": f"{i}.png", "file": f"{i}.png", "unit": f"{i:06}-{i}-abcd"} for i in range(3)]
    for folder in ("units", "failures"):
        (home / folder).mkdir(parents=True)
    (home / "plan.toml").write_text("[query]\nn_queries = 200\n")
    (home / "run.json").write_text(json.dumps({"schema": 1}))
    (home / "pictures.json").write_text(json.dumps(chosen))
    for i in done:
        a_picture(name=f"{i}.png").save(home / "units" / f"{chosen[i]['unit']}.npz")
    failure = {"name": "1.png", "file": "1.png", "reason": "broken", "where": "", "attempts": 1}
    (home / "failures" / f"{chosen[1]['unit']}.json").write_text(json.dumps(failure))
    return home


def test_a_run_knows_what_is_finished_failed_and_waiting(tmp_path):
    run = AuditRun.open(a_run(tmp_path / "run"))
    assert run.names == ("0.png", "2.png")
    assert [one["name"] for one in run.failures] == ["1.png"]
    assert run.complete
    assert [one.name for one in run] == ["0.png", "2.png"]
    assert run.plan == {"query": {"n_queries": 200}}
    waiting = AuditRun.open(a_run(tmp_path / "other", done=(2,)))
    assert (waiting.waiting, waiting.complete) == (("0.png",), False)
    with pytest.raises(ValueError, match="`name` must be of a finished picture"):
        waiting.picture("0.png")


def test_a_run_as_a_table(tmp_path):
    run = AuditRun.open(a_run(tmp_path))
    frame = run.to_frame()
    assert run._repr_html_().count("<tr") == 1 + len(frame)
    assert frame["name"].tolist() == ["0.png", "2.png"]
    row = frame.iloc[0].to_dict()
    assert (row["n_queries"], row["seconds"], row["area_deletion"], row["checks_failed"]) == (201, 0.75, 0.5, 1)
    assert (row["r2_heldout_leg"], bool(row["certificate_passed"]), row["group"]) == (0.5, True, "x")


def test_another_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"`folder` must be the folder of an audit"):
        AuditRun.open(tmp_path)
    a_run(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(ValueError, match=r"Reading it failed"):
        AuditRun.open(tmp_path)
