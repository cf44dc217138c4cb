"""A study that is killed goes on where it was: nothing that was kept is lost, nothing runs twice."""

from __future__ import annotations

import json
import math
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing

import numpy as np
import pandas as pd
import pytest

import legstat as ls
from legstat.studies import SampleSizeStudy, Subject
from legstat.studies.store import Store

STUDY = {
    "n_queries": (221, 441),
    "grid": (4, 4),
    "sparsity": 6,
    "scale": 0.5,
    "replicates": 15,
    "estimators": ("leg/printed", "legtv/crossfit/L_ratio"),
}
SCRIPT = """
import os, sys, time
import numpy as np
import legstat as ls
import legstat.studies.replicates as replicates
from legstat.studies import SampleSizeStudy

path, log, n_jobs, pause = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
gamma = np.diag([1.0, -1.0, 2.0, 0.5])

def note(text):
    with open(log, "ab", buffering=0) as file:
        file.write((text + "\\n").encode())
        os.fsync(file.fileno())

if n_jobs == 1:
    run_task = replicates.run_task

    def noted(task):
        note(f"{task.cell.n_queries} {task.replicate}")
        time.sleep(pause)
        return run_task(task)

    replicates.run_task = noted
STUDY = %r
frame = SampleSizeStudy(**STUDY).run(path, n_jobs=n_jobs, progress=False).frame
frame.to_pickle(path + ".frame")
"""


def start(tmp_path, n_jobs, pause):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT % STUDY)
    arguments = [str(tmp_path / "study.sqlite3"), str(tmp_path / "log"), str(n_jobs), str(pause)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    # a session of its own: the kill takes joblib's workers along, and no one else
    return subprocess.Popen(
        [sys.executable, script, *arguments], env=environment, start_new_session=True, stderr=subprocess.PIPE, text=True
    )


def finish(tmp_path, n_jobs):
    process = start(tmp_path, n_jobs, 0.0)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 0, error


def kept(tmp_path):
    with sqlite3.connect(tmp_path / "study.sqlite3") as connection:
        return connection.execute("SELECT cell, replicate, estimator, row FROM replicates").fetchall()


@pytest.fixture(scope="module")
def whole():
    return SampleSizeStudy(**STUDY).run(progress=False).frame


@pytest.mark.parametrize("after", [1, pytest.param(7, marks=pytest.mark.slow), 20])
def test_killed_and_resumed_is_as_if_never_killed(tmp_path, whole, after):
    process, log = start(tmp_path, 1, 0.03), tmp_path / "log"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and (not log.exists() or len(log.read_text().splitlines()) < after):
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    begun, before = log.read_text().splitlines(), kept(tmp_path)
    replicates = {(cell, replicate) for cell, replicate, _, _ in before}
    assert after - 1 <= len(replicates) < 30
    assert len(begun) - 1 <= len(replicates) <= len(begun)  # at most the one that was under way is lost
    assert len(before) == 2 * len(replicates)  # of each, all estimators
    finish(tmp_path, 1)
    runs = Counter(log.read_text().splitlines())
    assert len(runs) == 30
    assert sum(runs.values()) == len(begun) + 30 - len(replicates)  # nothing that was kept ran again
    assert max(runs.values()) <= 2
    found = pd.read_pickle(tmp_path / "study.sqlite3.frame")
    pd.testing.assert_frame_equal(found, whole, check_exact=True)
    assert not found.duplicated(["n_queries", "estimator", "replicate"]).any()
    assert set(before) <= set(kept(tmp_path))
    assert len(kept(tmp_path)) == 60


def test_killed_with_workers_loses_nothing_that_was_kept(tmp_path, whole):
    process = start(tmp_path, 2, 0.0)
    file = tmp_path / "study.sqlite3"
    deadline = time.monotonic() + 60
    while (
        time.monotonic() < deadline and process.poll() is None and (not file.exists() or file.stat().st_size < 20_000)
    ):
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    before = kept(tmp_path) if file.exists() else []
    finish(tmp_path, 2)
    assert set(before) <= set(kept(tmp_path))
    pd.testing.assert_frame_equal(pd.read_pickle(f"{file}.frame"), whole, check_exact=True)


def counted(monkeypatch):
    import legstat.studies.replicates as replicates

    ran, run_task = [], replicates.run_task

    def counting(task):
        ran.extend((task.cell.n_queries, task.replicate, e.name) for e in task.estimators)
        return run_task(task)

    monkeypatch.setattr(replicates, "run_task", counting)
    return ran


def test_what_is_added_to_a_study_is_all_that_runs(tmp_path, monkeypatch, whole):
    ran, file = counted(monkeypatch), tmp_path / "a.sqlite3"
    first = {**STUDY, "n_queries": 221, "replicates": 3, "estimators": "leg/printed"}
    SampleSizeStudy(**first).run(file, progress=False)
    assert len(ran) == 3
    ran.clear()
    found = SampleSizeStudy(**STUDY).run(file, progress=False).frame
    assert len(ran) == 60 - 3
    assert not {(221, r, "leg/printed") for r in range(3)} & set(ran)
    pd.testing.assert_frame_equal(found, whole, check_exact=True)
    ran.clear()
    SampleSizeStudy(**STUDY).run(file, progress=False)
    assert ran == []
    SampleSizeStudy(**{**first, "seed": 1}).run(file, progress=False)  # another seed shares nothing
    assert len(ran) == 3


def test_a_fault_keeps_what_was_finished(tmp_path, monkeypatch):
    import legstat.studies.replicates as replicates

    run_task = replicates.run_task

    def failing(task):
        if task.replicate == 2:
            raise RuntimeError("no")
        return run_task(task)

    monkeypatch.setattr(replicates, "run_task", failing)
    with pytest.raises(RuntimeError, match="no"):
        SampleSizeStudy(**STUDY).run(tmp_path / "a.sqlite3", progress=False)
    monkeypatch.setattr(replicates, "run_task", run_task)
    ran = counted(monkeypatch)
    SampleSizeStudy(**STUDY).run(tmp_path / "a.sqlite3", progress=False)
    assert min(replicate for _, replicate, _ in ran) == 2


def test_a_replicate_is_kept_whole_or_not_at_all(tmp_path):
    with Store(tmp_path / "a.sqlite3") as store:
        store.add("cell", 0, [("one", {"error": 1.0}), ("two", {"error": 2.0})])
        with pytest.raises(sqlite3.IntegrityError):
            store.add("cell", 0, [("three", {"error": 3.0}), ("two", {"error": 4.0})])
        assert store.done() == {("cell", 0, "one"), ("cell", 0, "two")}
        assert store.row("cell", 0, "two") == {"error": 2.0}


def test_what_is_kept_is_strict_json(tmp_path):
    """NaN and infinity are no JSON: another reader of the file would stop at them."""
    row = {"error": math.nan, "L": math.inf, "seconds": 0.5}
    with Store(tmp_path / "a.sqlite3") as store:
        store.add("cell", 0, [("one", row)])
        store.add_reference("key", row)
        for kept in (store.row("cell", 0, "one"), store.reference("key")):
            assert kept is not None
            assert math.isnan(kept["error"])
            assert (kept["L"], kept["seconds"]) == (math.inf, 0.5)
    with closing(sqlite3.connect(tmp_path / "a.sqlite3")) as connection:
        texts = [
            *connection.execute("SELECT row FROM replicates"),
            *connection.execute('SELECT payload FROM "references"'),
        ]
    assert len(texts) == 2
    for (text,) in texts:
        json.loads(text, parse_constant=pytest.fail)


def test_a_second_run_is_refused_while_the_first_one_writes(tmp_path):
    with (
        Store(tmp_path / "a.sqlite3"),
        pytest.raises(ValueError, match="Another run is writing"),
        Store(tmp_path / "a.sqlite3"),
    ):
        pass
    with Store(tmp_path / "a.sqlite3") as store:  # and is let in afterwards
        assert store.done() == set()


def test_other_files_are_refused(tmp_path):
    (tmp_path / "text").write_text("not a database, but long enough to be looked at" * 100)
    with pytest.raises(ValueError, match="cannot hold replicates"):
        Store(tmp_path / "text")
    with Store(tmp_path / "a.sqlite3"):
        pass
    with sqlite3.connect(tmp_path / "a.sqlite3") as connection:
        connection.execute("UPDATE made_by SET made_by = 'legstat 0.0.9, format 1'")
    connection.close()
    with pytest.raises(ValueError, match=r"begun by legstat 0\.0\.9"):
        Store(tmp_path / "a.sqlite3")


class Counting:
    """A response that counts what it is asked, under a fingerprint of its own."""

    fingerprint = "counting"

    def __init__(self):
        self.asked = 0
        self.limit = None

    def __call__(self, images):
        if self.limit is not None and self.asked >= self.limit:
            raise RuntimeError("power cut")
        self.asked += len(images)
        return images.mean(axis=(1, 2, 3)) ** 2


def test_a_reference_is_made_once_and_goes_on_where_it_stopped(tmp_path):
    f = Counting()
    subject = Subject(f, np.full((1, 4, 4), 0.5), reference_queries=3001)
    study = SampleSizeStudy((101, 201), grid=(4, 4), estimators="leg/centred", response=subject, replicates=2)
    f.limit = 1500
    with pytest.raises(ls.QueryError, match="power cut"):
        study.run(tmp_path / "a.sqlite3", progress=False)
    spent, f.limit = f.asked, None
    study.run(tmp_path / "a.sqlite3", progress=False)
    # the reference's 3001 once, what was under way when it stopped at most once more, and the replicates
    assert 3001 + 2 * (101 + 201) <= f.asked <= 3001 + 2 * (101 + 201) + 64
    assert spent >= 1500
    asked = f.asked
    study.run(tmp_path / "a.sqlite3", progress=False)
    assert f.asked == asked


@pytest.mark.slow
def test_a_dask_cluster_gives_the_same_replicates(tmp_path):
    """Two worker processes of a cluster on the loopback: needs the package `distributed`."""
    distributed = pytest.importorskip("distributed")
    import joblib

    small = {**STUDY, "replicates": 4}
    here = SampleSizeStudy(**small).run(tmp_path / "here.sqlite3", progress=False).frame
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1")
    with cluster, distributed.Client(cluster), joblib.parallel_config("dask"):
        there = SampleSizeStudy(**small).run(tmp_path / "there.sqlite3", progress=False).frame
    pd.testing.assert_frame_equal(here, there, check_exact=True)
