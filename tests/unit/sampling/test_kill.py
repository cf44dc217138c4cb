"""A cached run killed at any moment and run again: the same bits, and what was kept is never paid for twice."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

BATCH = 4
LINE = 33
"""Bytes that a child writes for each picture that was evaluated."""

# a picture counts as paid for when its line is in the file: that is before the answers are handed over
CHILD = """
import hashlib, os, sys
import numpy as np
import legstat as ls

kind, folder, log, n = sys.argv[1], sys.argv[2], os.open(sys.argv[3], os.O_WRONLY | os.O_APPEND), int(sys.argv[4])

def paid(pictures):
    os.write(log, b"".join(hashlib.md5(np.ascontiguousarray(p)).hexdigest().encode() + b"\\n" for p in pictures))

weights = np.random.default_rng(1).normal(size=(1, 8, 8))

def f(images):
    scores = np.tanh((images * weights).sum(axis=(1, 2, 3)) / 10)
    paid(images)
    return scores

f.fingerprint = "f"
if kind == "onnx":
    from legstat.data import digits_model_path
    from legstat.responses.onnx.runner import Runner
    f = ls.onnx_response(digits_model_path(), target=7, threads=1)
    fetch = Runner.fetch

    def counted(self, inputs, *more):
        made = fetch(self, inputs, *more)
        paid(inputs)
        return made

    Runner.fetch = counted
image = np.random.default_rng(3).uniform(0.02, 0.98, (1, 8, 8))
design = ls.StructuredGaussian((4, 4), 0.1)
sample = ls.query(f, image, design, n, rng=5, cache=folder or None, batch_size=4, progress=False)
print(sample.ledger.spent, sample.ledger.cached, sample.f_x0.hex(), sample.responses.tobytes().hex())
"""


def child(kind: str, folder: Path | str, log: Path, n: int) -> subprocess.Popen[str]:
    root = Path(__file__).parents[3]
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, kind, str(folder), str(log), str(n)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finished(process: subprocess.Popen[str]) -> list[str]:
    out, err = process.communicate()
    assert process.returncode == 0, err
    return out.split()


def paid(log: Path) -> int:
    return log.stat().st_size // LINE


def kept(folder: Path) -> int:
    """Answers in the file, f(x0) included."""
    file = folder / "answers.sqlite3"
    if not file.is_file():
        return 0
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not {"blocks", "anchors"} <= tables:
            return 0
        blocks = connection.execute("SELECT scores FROM blocks").fetchall()
        (anchors,) = connection.execute("SELECT count(*) FROM anchors").fetchone()
    return int(anchors) + sum(int(np.isfinite(np.frombuffer(scores)).sum()) for (scores,) in blocks)


def killed_again_and_again(kind: str, kills: int, n: int, home: Path) -> None:
    rng = np.random.default_rng(0)
    log, other, folder = home / "log", home / "other", home / "cache"
    log.touch()
    other.touch()
    undisturbed = finished(child(kind, "", other, n))
    struck = before = 0
    for i in range(kills):
        began, more, wait = paid(log), int(rng.integers(0, n // (kills + 1))), rng.uniform(0.0, 4e-3)
        process = child(kind, folder, log, n)
        while paid(log) < began + more and process.poll() is None:
            time.sleep(5e-4)
        time.sleep(wait)
        how = (signal.SIGKILL, signal.SIGTERM)[i % 2]
        process.send_signal(how)
        _, err = process.communicate()
        interrupted = how == signal.SIGTERM and process.returncode == 1 and "QueryInterrupted" in err
        assert process.returncode in (-how, 0) or interrupted, err
        struck += process.returncode != 0
        there = kept(folder)
        assert there >= before  # nothing that was kept is lost
        before = there
        if kind == "callable":
            assert paid(log) - there <= BATCH * struck  # a kill costs the batch under way
    spent, cached, *bits = finished(child(kind, folder, log, n))
    assert bits == undisturbed[2:]
    assert (int(spent), int(cached)) == (n - before, before)
    assert struck > 0
    if kind == "callable":
        pictures = log.read_text().split()
        assert set(pictures) == set(other.read_text().split())
        assert len(pictures) - len(set(pictures)) <= BATCH * struck


@pytest.mark.parametrize("kind", ["callable", "onnx"])
def test_killed_at_a_few_moments(kind: str, tmp_path: Path) -> None:
    killed_again_and_again(kind, 3, 1201, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["callable", "onnx"])
def test_killed_at_fifty_moments(kind: str, tmp_path: Path) -> None:
    killed_again_and_again(kind, 50, 6001, tmp_path)
