"""Workers of a Dask cluster, which are processes of their own: one of them killed while it works, and the scheduler."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import joblib
import pytest
from typer.testing import CliRunner

from legstat.audit import AuditRun, Plan, audit
from legstat.audit.cluster import cluster_at
from legstat.cli import app
from legstat.record.writing import environment
from legstat.responses.carried import _carried
from tests.unit.audit.world import a_plan, a_store, digests, network

distributed = pytest.importorskip("distributed", reason="the extra cluster is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # of distributed


def said(*words):
    return CliRunner().invoke(app, ["audit", *map(str, words), "--no-progress"])


def local_cluster():
    return distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None)


def test_a_cluster_with_a_worker_killed_finds_the_same_bits(tmp_path):
    response, plan = network(), a_plan(a_store(tmp_path, 8), n_queries=251)
    alone = audit(response, plan, tmp_path / "alone", progress=False)
    struck: list[int] = []
    with (
        local_cluster() as cluster,
        distributed.Client(cluster) as client,
    ):
        victim = next(iter(client.run(os.getpid).values()))

        def strike() -> None:
            units = tmp_path / "run" / "units"
            while not (units.is_dir() and list(units.glob("*.npz"))):
                time.sleep(0.01)
            os.kill(victim, signal.SIGKILL)
            struck.append(victim)

        thread = threading.Thread(target=strike)
        thread.start()
        with joblib.parallel_config(backend="dask", client=client):
            run = audit(response, type(plan)(**{**vars(plan), "workers": 2}), tmp_path / "run", progress=False)
        thread.join()
    assert struck
    assert digests(run) == digests(alone)
    assert not run.failures


def test_a_cluster_from_the_command_line(tmp_path):
    plan = a_plan(a_store(tmp_path, 4), model={"model": str(network().files["model"]), "preprocessing": "unit"})
    plan.save(tmp_path / "plan.toml")
    assert said("--plan", tmp_path / "plan.toml", "--out", tmp_path / "alone").exit_code == 0
    with local_cluster() as cluster:
        address = cluster.scheduler_address
        Plan(**{**vars(plan), "scheduler": address}).save(tmp_path / "there.toml")
        done = said("--plan", tmp_path / "there.toml", "--out", tmp_path / "run")
        assert done.exit_code == 0, done.output
        with distributed.Client(cluster) as client:  # the pictures were audited there, none of them here
            opened = client.run(lambda: _carried.cache_info().misses)
        assert any(opened.values())
        assert set(opened.values()) <= {0, 1}  # the network is opened once in each
        run = AuditRun.open(tmp_path / "run")
        assert digests(run) == digests(AuditRun.open(tmp_path / "alone"))
        assert run.plan["work"]["scheduler"] == address
        # what workers do not see is told before anything is evaluated
        with pytest.raises(ValueError, match=r"`places, model and out` must be what all workers of tcp.*none\.png"):
            cluster_at(address, [tmp_path, tmp_path / "none.png"], environment()).__enter__()
        other = {**environment(), "blas": "another"}
        with pytest.warns(match="differs from the run, .* blas another then"), cluster_at(address, [tmp_path], other):
            pass


def test_a_scheduler_without_workers_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("legstat.audit.cluster._PATIENCE", 0.5)
    with distributed.LocalCluster(n_workers=0, dashboard_address=None) as cluster:
        plan = a_plan(a_store(tmp_path, 1), scheduler=cluster.scheduler_address)
        with pytest.raises(ValueError, match=r"`work\.scheduler` must be .* with workers.*dask worker tcp"):
            audit(network(), plan, tmp_path / "run", progress=False)


@contextmanager
def processes(log: Path):
    """A scheduler and two workers as `dask scheduler` and `dask worker` start them: its address and its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    dask = [sys.executable, "-m", "dask"]
    place = address.removeprefix("tcp://").split(":")
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"}
    with log.open("w") as stream:
        how = {"stdout": stream, "stderr": stream, "env": env}
        started = [
            subprocess.Popen([*dask, "scheduler", "--host", place[0], "--port", place[1], "--no-dashboard"], **how)
        ]
        more = ["--nworkers", "2", "--nthreads", "1", "--no-dashboard", "--local-directory", str(log.parent)]
        started.append(subprocess.Popen([*dask, "worker", address, *more], **how))
        try:
            yield address, started[0]
        finally:
            for one in started:
                one.terminate()
            for one in started:
                one.wait()


@pytest.mark.slow  # 15 seconds: processes are started one after the other
def test_the_scheduler_killed(tmp_path):
    """It is named, nothing is lost, and the same command goes on with workers of this machine to the same bits."""
    store, model = a_store(tmp_path, 8), network().files["model"]
    how = (model, store, "--preprocessing", "unit", "--n-queries", 1001, "--law", "structured", "--L-ratio", 0.1,
           "--steps", 0, "--no-checks")  # fmt: skip
    assert said(*how, "--out", tmp_path / "alone").exit_code == 0
    with processes(tmp_path / "log") as (address, scheduler):
        units = tmp_path / "run" / "units"

        def strike() -> None:
            while not (units.is_dir() and len(list(units.glob("*.npz"))) >= 2):
                time.sleep(0.01)
            scheduler.kill()

        thread = threading.Thread(target=strike)
        thread.start()
        stopped = said(*how, "--out", tmp_path / "run", "--scheduler", address)
        thread.join()
        assert stopped.exit_code == 2, stopped.output
        assert re.search("error: .*the scheduler of the Dask cluster is gone.*The same command goes on", stopped.output)
        assert "Traceback" not in stopped.output
        run = AuditRun.open(tmp_path / "run")
        assert 2 <= len(run) < 8
        assert not run.failures
        kept = {file: file.stat().st_mtime_ns for file in units.glob("*.npz")}
        refused = said(*how, "--out", tmp_path / "run", "--scheduler", address)
        assert "a Dask scheduler that is running" in refused.output
        # workers of the lost scheduler may still be at it: they write the same bits
        assert said(*how, "--out", tmp_path / "run", "--workers", 2).exit_code == 0
    run = AuditRun.open(tmp_path / "run")
    assert digests(run) == digests(AuditRun.open(tmp_path / "alone"))
    assert not run.failures
    assert all(file.stat().st_mtime_ns == when for file, when in kept.items())
