"""An audit killed at any moment, itself or its workers, and started again: the same bits, nothing paid for twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from legstat.audit import AuditRun
from tests.unit.audit.world import digests

BATCH, LINE, PICTURES = 8, 33, 5

# a picture counts as paid for when its line is in the file: that is before the answers are handed over
CHILD = """
import hashlib, os, sys
import numpy as np
import legstat as ls
from legstat.audit import Plan, audit

store, out, log, workers = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
weights = np.random.default_rng(1).normal(size=(1, 8, 8))

class F:
    fingerprint = "f"
    def __call__(self, images):
        scores = np.tanh((images * weights).sum(axis=(1, 2, 3)) / 10)
        line = b"".join(hashlib.md5(np.ascontiguousarray(p)).hexdigest().encode() + b"\\n" for p in images)
        stream = os.open(log, os.O_WRONLY | os.O_APPEND)
        os.write(stream, line)
        os.close(stream)
        return scores

if __name__ == "__main__":
    plan = Plan(places=(store,), model={"model": "f"}, n_queries=250, grid=(4, 4), law="structured", operator="black",
                L_ratio=0.1, steps=0, checks=False, batch_size=8, workers=workers)
    audit(ls.as_response(F()), plan, out, progress=False)
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("store") / "random.npy"
    np.save(file, np.random.default_rng(3).integers(1, 256, (PICTURES, 8, 8)).astype(np.uint8))
    return file


def child(store: Path, out: Path, log: Path, workers: int = 1) -> subprocess.Popen[str]:
    log.touch()
    root = Path(__file__).parents[3]
    script = log.with_suffix(".py")
    script.write_text(CHILD)
    return subprocess.Popen(
        [sys.executable, str(script), str(store), str(out), str(log), str(workers)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finished(process: subprocess.Popen[str]) -> None:
    _, err = process.communicate()
    assert process.returncode == 0, err


def paid(log: Path) -> int:
    return log.stat().st_size // LINE


@pytest.fixture(scope="module")
def undisturbed(store, tmp_path_factory) -> tuple[dict[str, str], int]:
    home = tmp_path_factory.mktemp("undisturbed")
    finished(child(store, home / "run", home / "log"))
    return digests(AuditRun.open(home / "run")), paid(home / "log")


def killed(store: Path, home: Path, rng: np.random.Generator, most: int) -> tuple[AuditRun, int, int]:
    """A run killed after at most so many evaluations, until it gets to its end; those paid for, and the kills."""
    run, log, struck = home / "run", home / "log", 0
    while True:
        began, more = paid(log) if log.exists() else 0, int(rng.integers(0, most))
        process = child(store, run, log)
        while paid(log) < began + more and process.poll() is None:
            time.sleep(1e-3)
        time.sleep(rng.uniform(0.0, 0.05))
        process.send_signal((signal.SIGKILL, signal.SIGTERM)[struck % 2])
        process.communicate()
        for file in (run / "units").glob("*.npz"):
            with np.load(file, allow_pickle=False) as archive:  # whole, whenever it is there
                assert archive.zip.testzip() is None
        if process.returncode == 0:
            return AuditRun.open(run), paid(log), struck
        struck += 1


@pytest.mark.parametrize(("kills", "most"), [(2, 900), pytest.param(50, 400, marks=pytest.mark.slow)])
def test_the_audit_killed(store, tmp_path, undisturbed, kills, most):
    (expected, cost), rng, all_struck = undisturbed, np.random.default_rng(kills), 0
    while all_struck < kills:
        home = tmp_path / str(all_struck)
        home.mkdir(exist_ok=True)
        run, evaluations, struck = killed(store, home, rng, most)
        assert run.complete
        assert not run.failures
        assert digests(run) == expected
        assert cost <= evaluations <= cost + struck * BATCH  # a kill costs the batch under way
        assert not list((run.folder / "cache").iterdir())
        all_struck += struck


@pytest.mark.parametrize("seed", [0, *(pytest.param(i, marks=pytest.mark.slow) for i in range(1, 20))])
def test_a_worker_killed(store, tmp_path, undisturbed, seed):
    """The run itself lives on: what the dead worker had under way is done again."""
    (expected, cost), rng = undisturbed, np.random.default_rng(seed)
    process, log = child(store, tmp_path / "run", tmp_path / "log", 2), tmp_path / "log"
    wanted = int(rng.integers(260, 252 * PICTURES - 100))  # the pilot's are the parent's own
    while paid(log) < wanted and process.poll() is None:
        time.sleep(1e-3)
    below = psutil.Process(process.pid).children(recursive=True)
    working = [one for one in below if "popen_loky" in " ".join(one.cmdline())]
    working[int(rng.integers(len(working)))].kill()
    finished(process)
    run = AuditRun.open(tmp_path / "run")
    assert digests(run) == expected
    assert not run.failures
    # both workers go with one: each loses the batch under way
    assert cost <= paid(log) <= cost + 2 * BATCH
