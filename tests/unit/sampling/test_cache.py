"""The cache: nothing paid twice, the same bits, nothing corrupted served, several processes, SIGKILL and back."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import legstat as ls
from legstat._core.database import patiently
from legstat._core.errors import LegstatWarning
from legstat.cli import app
from legstat.data import digits_model_path, load_digit
from legstat.samples.faults import NonFiniteResponseError, QueryError
from tests.helpers import Counting, smooth

IMAGE = np.random.default_rng(3).uniform(0.02, 0.98, (3, 4, 6))
ARRANGEMENTS: dict[str, dict[str, Any]] = {
    "shared": {},
    "one by one": {"antithetic": False},
    "separate": {"channels": "separate"},
    "joint": {"channels": "joint"},
    "blend": {"perturbation": ls.Blend("mean", at=0.4)},
    "upstream": {"conventions": "upstream"},
}


def run(f: Any, n_queries: int, arrangement: str = "shared", **more: Any) -> ls.QuerySample:
    given = dict(ARRANGEMENTS[arrangement])
    design = ls.StructuredGaussian((2, 3), 0.2, channels=given.pop("channels", None))
    arguments = {"rng": 5, "progress": False, **given, **more}
    return ls.query(f, arguments.pop("image", IMAGE), arguments.pop("design", design), n_queries, **arguments)


def database(folder: Path) -> sqlite3.Connection:
    return sqlite3.connect(folder / "answers.sqlite3", isolation_level=None)


# ---------------------------------------------------------------- what is paid


@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
@pytest.mark.parametrize("batch_size", [3, 64])
def test_repeated_and_extended_runs_pay_for_what_is_new(arrangement: str, batch_size: int, tmp_path: Path) -> None:
    f = Counting(smooth)
    for n_queries in (60, 60, 40, 301, 300):
        before, expected = f.count, run(smooth, n_queries, arrangement)
        sample = run(f, n_queries, arrangement, cache=tmp_path, batch_size=batch_size)
        ledger = sample.ledger
        assert f.count - before == ledger.spent
        assert ledger.spent + ledger.cached == expected.ledger.spent  # the sample's size is what it is without a cache
        assert ledger.unused == expected.ledger.unused
        assert np.array_equal(sample.responses, expected.responses)
        assert (sample.f_x0, sample.f_base) == (expected.f_x0, expected.f_base)
    # in all, no more than the largest run alone
    assert f.count == run(smooth, 301, arrangement).ledger.spent


def test_other_batch_sizes_share_answers(tmp_path: Path) -> None:
    f = Counting(smooth)
    run(f, 100, cache=tmp_path, batch_size=7)
    assert run(f, 100, cache=ls.QueryCache(tmp_path), batch_size=64).ledger.spent == 0


def test_blocks_of_other_runs_are_found_by_their_number(tmp_path: Path) -> None:
    f = Counting(smooth)
    run(f, 1 + 64 * 4, cache=tmp_path)
    later = run(f, 1 + 64 * 2, cache=tmp_path, first_block=3)
    assert (later.ledger.spent, later.ledger.cached) == (64, 65)  # block 3 and f(x0) were known, block 4 was not
    assert np.array_equal(later.responses, run(smooth, 1 + 64 * 2, first_block=3).responses)


OTHERS: dict[str, dict[str, Any]] = {
    "key": {"rng": 6},
    "picture": {"image": IMAGE / 2},
    "scale": {"design": ls.StructuredGaussian((2, 3), 0.1)},
    "grid": {"design": ls.StructuredGaussian((4, 6), 0.2)},
    "law": {"design": ls.IsotropicGaussian((2, 3), 0.2)},
    "channels": {"design": ls.StructuredGaussian((2, 3), 0.2, channels="joint")},
    "pairing": {"antithetic": False},
    "clipping": {"perturbation": ls.Additive(clip=False)},
    "operator": {"perturbation": ls.Blend("mean")},
}


@pytest.mark.parametrize("change", OTHERS)
def test_another_experiment_is_served_nothing_but_f_x0(change: str, tmp_path: Path) -> None:
    run(smooth, 41, cache=tmp_path)
    sample, alone = (run(smooth, 41, cache=cache, **OTHERS[change]) for cache in (tmp_path, None))
    assert sample.ledger.perturbed == alone.ledger.perturbed > 30
    assert sample.ledger.cached == (0 if change == "picture" else 1)
    assert np.array_equal(sample.responses, alone.responses)


def test_another_function_is_served_nothing(tmp_path: Path) -> None:
    run(smooth, 41, cache=tmp_path)
    assert run(lambda x: smooth(x) + 1.0, 41, cache=tmp_path).ledger.cached == 0


def test_function_that_cannot_be_told_from_others_is_refused(tmp_path: Path) -> None:
    class Compiled:
        def __init__(self) -> None:
            self.inside = threading.Lock()  # says not what it holds

        def __call__(self, images: np.ndarray) -> np.ndarray:
            raise AssertionError("no evaluation may be made")

    with pytest.raises(ValueError, match=r"`cache` must be left out .*inside: _thread.lock.* attribute `fingerprint`"):
        run(Compiled(), 41, cache=tmp_path)


def test_a_function_that_now_does_something_else_is_served_nothing(tmp_path: Path) -> None:
    class Scaling:
        """Reads an attribute of its class."""

        scale = 1.0

        def __call__(self, images: np.ndarray) -> np.ndarray:
            return self.scale * smooth(images)

    f = ls.as_response(Scaling())
    first = run(f, 41, cache=tmp_path)
    assert run(f, 41, cache=tmp_path).ledger.cached == 41
    Scaling.scale = 3.0
    again = run(f, 41, cache=tmp_path)  # the response was made before the change
    assert again.ledger.cached == 0
    np.testing.assert_allclose(again.responses, 3.0 * first.responses, rtol=1e-14, atol=0)  # one rounding


@pytest.mark.parametrize(("cache", "error"), [(3, TypeError), ("file", ValueError)])
def test_bad_folder_costs_nothing(cache: Any, error: type[Exception], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    f = Counting(smooth)
    with pytest.raises(error, match="`folder`"):
        run(f, 41, cache=tmp_path / cache if isinstance(cache, str) else cache)
    assert f.count == 0


# ---------------------------------------------------------------- networks


def test_network_is_settled_from_the_cache(tmp_path: Path) -> None:
    image, _ = load_digit(0)
    design = ls.StructuredGaussian((4, 4), 0.1)
    first = ls.query(ls.onnx_response(digits_model_path()), image, design, 101, rng=0, cache=tmp_path)
    f = ls.onnx_response(digits_model_path())
    again = ls.query(f, image, design, 101, rng=0, cache=tmp_path)
    assert (again.ledger.spent, again.ledger.cached) == (0, 101)
    assert again.response == first.response  # target "top" resolved, probability at x0 and all
    assert np.array_equal(again.responses, first.responses)
    # the class named outright is the same experiment; another score of the network is not
    named = ls.onnx_response(digits_model_path(), target=first.response["target"])
    assert ls.query(named, image, design, 101, rng=0, cache=tmp_path).ledger.spent == 1
    logit = ls.onnx_response(digits_model_path(), score="logit")
    assert ls.query(logit, image, design, 101, rng=0, cache=tmp_path).ledger.spent == 101


def test_label_is_looked_up_before_the_cache_is(tmp_path: Path) -> None:
    image, _ = load_digit(0)
    design, names = ls.StructuredGaussian((4, 4), 0.1), [f"digit {k}" for k in range(10)]
    targets = []
    for labels in (names, names[::-1]):
        f = ls.onnx_response(digits_model_path(), target="digit 2", labels=labels)
        targets.append(ls.query(f, image, design, 21, rng=0, cache=tmp_path).response["target"])
    assert targets == [2, 7]


# ---------------------------------------------------------------- faults


@pytest.mark.parametrize("arrangement", ["shared", "blend", "separate"])
def test_a_run_that_stopped_goes_on_from_the_cache(arrangement: str, tmp_path: Path) -> None:
    f = Counting(smooth, raise_at=33)
    with pytest.raises(QueryError):
        run(f, 121, arrangement, cache=tmp_path, batch_size=4)
    done = run(f, 121, arrangement, cache=tmp_path)
    assert f.count == run(smooth, 121, arrangement).ledger.spent
    assert np.array_equal(done.responses, run(smooth, 121, arrangement).responses)


def test_nan_is_not_kept(tmp_path: Path) -> None:
    f = Counting(smooth, nan_at=20)
    with pytest.raises(NonFiniteResponseError):
        run(f, 121, cache=tmp_path, batch_size=8)
    done = run(f, 121, cache=tmp_path)
    assert f.count == 122  # the NaN is paid for twice, and nothing else
    assert np.array_equal(done.responses, run(smooth, 121).responses)


def test_resumed_sample_and_cache_together(tmp_path: Path) -> None:
    f = Counting(smooth)
    short = run(f, 41)
    run(f, 101, cache=tmp_path)
    before = f.count
    done = run(f, 141, resume=short, rng=None, cache=tmp_path)
    assert f.count - before == 40
    assert (done.ledger.spent, done.ledger.cached) == (41 + 40, 60)
    assert np.array_equal(done.responses, run(smooth, 141).responses)


CORRUPTIONS = {
    "other scores": "UPDATE blocks SET scores = zeroblob(512) WHERE block = 1",
    "scores cut short": "UPDATE blocks SET scores = substr(scores, 1, 40) WHERE block = 1",
    "scores of another block": "UPDATE blocks SET (scores, digest) = "
    "(SELECT scores, digest FROM blocks WHERE block = 0 AND stream = 0) WHERE block = 1",
    "no text": "UPDATE blocks SET digest = x'00' WHERE block = 1",
    "a number for scores": "UPDATE blocks SET scores = 3 WHERE block = 1",
}


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_corrupted_block_is_dropped_not_served(corruption: str, tmp_path: Path) -> None:
    whole = run(smooth, 1 + 64 * 3, cache=tmp_path)
    connection = database(tmp_path)
    assert connection.execute(CORRUPTIONS[corruption]).rowcount == 1
    connection.close()
    with pytest.warns(LegstatWarning, match="block 1 is corrupted and was dropped"):
        again = run(smooth, 1 + 64 * 3, cache=tmp_path)
    assert again.ledger.spent == 64
    assert np.array_equal(again.responses, whole.responses)
    assert run(smooth, 1 + 64 * 3, cache=tmp_path).ledger.spent == 0  # and it is mended


def test_corrupted_f_x0_is_dropped_not_served(tmp_path: Path) -> None:
    whole = run(smooth, 41, cache=tmp_path)
    connection = database(tmp_path)
    connection.execute("UPDATE anchors SET facts = replace(facts, '0x1', '0x2')")
    connection.close()
    with pytest.warns(LegstatWarning, match=r"f\(x0\) is corrupted"):
        again = run(smooth, 41, cache=tmp_path)
    assert (again.f_x0, again.ledger.spent) == (whole.f_x0, 1)


@pytest.mark.parametrize("damage", ["no database", "pages overwritten", "cut in half"])
def test_broken_file_is_set_aside(damage: str, tmp_path: Path) -> None:
    whole = run(smooth, 1 + 64 * 40, cache=tmp_path)
    connection = database(tmp_path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    file = tmp_path / "answers.sqlite3"
    content = bytearray(file.read_bytes())
    assert len(content) > 20_000
    if damage == "no database":
        content[:] = b"this is no database" * 100
    elif damage == "pages overwritten":
        content[4096:] = np.random.default_rng(0).bytes(len(content) - 4096)
    else:
        del content[len(content) // 2 :]
    file.write_bytes(bytes(content))
    with pytest.warns(LegstatWarning, match=r"QueryCache: .*(broken|corrupted)"):
        again = run(smooth, 1 + 64 * 40, cache=tmp_path)
    assert np.array_equal(again.responses, whole.responses)
    assert again.ledger.spent > 0
    assert run(smooth, 1 + 64 * 40, cache=tmp_path).ledger.spent == 0


def test_cache_that_cannot_be_written_stops_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(smooth, 41, cache=tmp_path)
    monkeypatch.setattr("legstat.sampling.answers._WAIT", 0.05)
    busy = database(tmp_path)
    f = Counting(smooth)

    def seizing(images: np.ndarray) -> np.ndarray:
        if f.count == 9:
            busy.execute("BEGIN EXCLUSIVE")  # another program holds the file and does not let go
        return f(images)

    seizing.fingerprint = "seizing"  # type: ignore[attr-defined]
    with pytest.warns(LegstatWarning, match="locked; going on without the cache"):
        sample = run(seizing, 101, cache=tmp_path, batch_size=8)
    busy.close()
    assert np.array_equal(sample.responses, run(smooth, 101).responses)


# ---------------------------------------------------------------- processes

CHILD = """
import os, signal, sys, time
import numpy as np
import legstat as ls
from tests.helpers import smooth

folder, log, kill_at, pause, n = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5])
image = np.random.default_rng(3).uniform(0.02, 0.98, (3, 4, 6))
count = 0

def f(images):
    global count
    if count <= kill_at < count + len(images):
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(pause)
    count += len(images)
    scores = smooth(images)
    with open(log, "a") as file:
        file.writelines(image.tobytes().hex() + "\\n" for image in images)
    return scores

f.fingerprint = "child"
design = ls.StructuredGaussian((2, 3), 0.2)
sample = ls.query(f, image, design, n, rng=5, cache=folder, batch_size=4, progress=False)
print(sample.ledger.spent, sample.ledger.cached, sample.responses.tobytes().hex())
"""


def child(folder: Path, log: Path, kill_at: int = -1, pause: float = 0.0, n: int = 201) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, str(folder), str(log), str(kill_at), str(pause), str(n)]
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=root, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_killed_and_resumed_gives_the_same_bits_and_pays_nothing_twice(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for kill_at in (0, 50, 60):  # counted anew in each process: at f(x0), and twice on the way
        killed = child(tmp_path / "cache", log, kill_at)
        killed.communicate()
        assert killed.returncode == -signal.SIGKILL
    last = child(tmp_path / "cache", log)
    out, err = last.communicate()
    assert last.returncode == 0, err
    spent, cached, bits = out.split()
    evaluated = log.read_text().split()
    assert len(evaluated) == len(set(evaluated)) == 201  # every picture once over all processes
    assert (int(spent), int(cached)) == (201 - 49 - 60, 49 + 60)  # whole batches of 4 before each kill
    assert bits == run(smooth, 201).responses.tobytes().hex()


def test_killed_from_outside_loses_one_batch_at_most(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    victim = child(tmp_path / "cache", log, pause=0.02)
    while len(log.read_text().splitlines()) < 60:
        assert victim.poll() is None
    victim.kill()
    victim.communicate()
    last = child(tmp_path / "cache", log)
    out, err = last.communicate()
    assert last.returncode == 0, err
    evaluated = log.read_text().split()
    # the answer of the batch in flight may have come without having been kept: nobody can do better from outside f
    assert len(evaluated) - len(set(evaluated)) <= 4
    assert out.split()[2] == run(smooth, 201).responses.tobytes().hex()


def test_many_writers_make_one_file_and_fill_one_block(tmp_path: Path) -> None:
    f, writers = ls.as_response(smooth), 6
    together = threading.Barrier(writers)

    def write(mine: int) -> None:
        together.wait()
        with ls.QueryCache(tmp_path).opened() as answers:  # all make the file at once, each by a connection of its own
            shelf = answers.shelf(f, "experiment")
            for place in range(mine, 60, writers):
                shelf.keep(0, 0, 60, np.array([place]), np.array([place / 8]))

    with ThreadPoolExecutor(writers) as pool:
        for done in [pool.submit(write, mine) for mine in range(writers)]:
            done.result()
    scores = np.full(60, np.nan)
    with ls.QueryCache(tmp_path).opened() as answers:
        assert answers.shelf(f, "experiment").fill(scores, 0, 0, 60) == 60
    assert np.array_equal(scores, np.arange(60) / 8)


def test_lock_that_sqlite_does_not_wait_for_is_waited_for() -> None:
    answers = iter([sqlite3.OperationalError("database is locked")] * 3 + [None, sqlite3.OperationalError("disk full")])

    def work() -> None:
        if (fault := next(answers)) is not None:
            raise fault

    patiently(work, 30.0)
    with pytest.raises(sqlite3.OperationalError, match="disk full"):
        patiently(work, 30.0)


def test_two_processes_on_one_cache(tmp_path: Path) -> None:
    log = tmp_path / "log"
    both = [child(tmp_path / "cache", log, pause=0.001, n=n) for n in (201, 301)]
    for process, n in zip(both, (201, 301), strict=True):
        out, err = process.communicate()
        assert process.returncode == 0, err
        assert "Warning" not in err
        assert out.split()[2] == run(smooth, n).responses.tobytes().hex()
    after = child(tmp_path / "cache", log, n=301)
    assert after.communicate()[0].split()[:2] == ["0", "301"]


# ---------------------------------------------------------------- explain and the command line


def test_explain_hands_the_cache_on(tmp_path: Path) -> None:
    f = Counting(smooth)
    image = np.random.default_rng(0).uniform(0.1, 0.9, (1, 8, 8))
    first, again = (ls.explain(f, image, n_queries=130, rng=0, cache=tmp_path, progress=False) for _ in range(2))
    assert f.count == first.sample.ledger.spent
    assert again.sample.ledger.spent == 0
    assert again.record()["ledger"]["cached"] == f.count
    assert f"0 of 130, {f.count} served" in again.summary().as_text()
    assert np.array_equal(first.tv.params, again.tv.params)


def test_command_line_keeps_answers(tmp_path: Path) -> None:
    picture = tmp_path / "digit.png"
    Image.fromarray((load_digit(5)[0][0] * 255).astype(np.uint8)).save(picture)
    ledgers = []
    for out in ("one", "two"):
        arguments = [str(picture), "--model", str(digits_model_path()), "--n-queries", "140", "--quiet"]
        arguments += ["--cache", str(tmp_path / "cache"), "--out", str(tmp_path / out)]
        done = CliRunner().invoke(app, ["explain", *arguments])
        assert done.exit_code == 0, done.output
        ledgers.append(json.loads((tmp_path / out / "record.json").read_text())["ledger"])
    assert [(ledger["spent"], ledger["cached"]) for ledger in ledgers] == [(140, 0), (0, 140)]
