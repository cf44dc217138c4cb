"""Workers of a Dask cluster, which are processes of their own, and one of them killed while it works."""

import os
import signal
import threading
import time

import joblib
import pytest

from legstat.audit import audit
from tests.unit.audit.world import a_plan, a_store, digests, network

distributed = pytest.importorskip("distributed", reason="the extra cluster is not installed")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # of distributed and tornado
def test_a_cluster_with_a_worker_killed_finds_the_same_bits(tmp_path):
    response, plan = network(), a_plan(a_store(tmp_path, 8), n_queries=251)
    alone = audit(response, plan, tmp_path / "alone", progress=False)
    struck: list[int] = []
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
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
