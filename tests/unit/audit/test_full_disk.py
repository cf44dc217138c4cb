"""A disk of its own that fills up while an audit writes to it: nothing is lost, and the same call goes on."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

# whoever shares the disk fills it, but for some bytes, when so many pictures were evaluated
CHILD = """
import json, shutil, sys, warnings
from pathlib import Path
import numpy as np
import legstat as ls
from legstat.audit import AuditRun, Plan, audit

disk, store, moments = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
weights = np.random.default_rng(1).normal(size=(1, 8, 8))
warnings.simplefilter("ignore", ls.LegstatWarning)  # of a cache that it goes on without

class F:
    fingerprint = "f"
    left, asked = None, 0

    def __call__(self, images):
        self.asked += len(images)
        if self.left is not None and self.asked >= self.at:
            fill(self.left)
            self.left = None
        return np.tanh((images * weights).sum(axis=(1, 2, 3)) / 10)

def fill(left):
    with (disk / "ballast").open("wb", buffering=0) as stream:
        for size in (65536, 4096):
            try:
                while True:
                    stream.write(bytes(size))
            except OSError:
                pass
        stream.truncate(max(0, stream.tell() - left))

def go(f, out):
    plan = Plan(places=(store,), model={"model": "f"}, n_queries=250, grid=(4, 4), law="structured", operator="black",
                L_ratio=0.1, steps=0, checks=False, batch_size=8)
    return audit(ls.as_response(f), plan, out, progress=False)

told = []
for number, (at, left) in enumerate(moments):
    f, out = F(), disk / f"run{number}"
    f.at, f.left, error = at, left, None
    try:
        go(f, out)
    except Exception as caught:
        error = [type(caught).__name__, str(caught)]
    (disk / "ballast").unlink(missing_ok=True)
    kept = [file.name for file in (out / "units").glob("*.npz")]
    run = go(f, out)
    told.append({
        "error": error, "kept": len(kept), "asked": f.asked, "failures": list(run.failures),
        "left": [str(one) for one in out.rglob("*.part")],
        "digests": {one["name"]: one["numbers_sha256"] for one in run.headers()},
    })
    shutil.rmtree(out)
print(json.dumps(told))
"""
PICTURES = 4
COST = 250 * PICTURES


def told(moments: list[list[int]], store: Path, disk: Path, *, of_its_own: bool) -> list[dict[str, Any]]:
    script = store.with_name("filling.py")
    script.write_text(CHILD)
    command = [sys.executable, str(script), str(disk), str(store), json.dumps(moments)]
    if of_its_own:
        mount = f'mount -t tmpfs -o size=2m tmpfs "{disk}" && exec "$@"'
        command = ["unshare", "--map-root-user", "--mount", "sh", "-c", mount, "sh", *command]
    root = Path(__file__).parents[3]
    env = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def can_mount(folder: Path) -> bool:
    if shutil.which("unshare") is None:
        return False
    command = ["unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(("times", "seed"), [(4, 0), pytest.param(60, 1, marks=pytest.mark.slow)])
def test_a_disk_that_fills_up(tmp_path, times, seed):
    disk = tmp_path / "disk"
    disk.mkdir()
    if not can_mount(disk):
        pytest.skip("a file system cannot be mounted here")
    store = tmp_path / "pictures.npy"
    np.save(store, np.random.default_rng(3).integers(1, 256, (PICTURES, 8, 8)).astype(np.uint8))
    (whole,) = told([[10**9, 0]], store, tmp_path, of_its_own=False)
    assert (whole["error"], whole["failures"]) == (None, [])
    rng = np.random.default_rng(seed)
    moments = [[int(rng.integers(1, COST)), int(rng.integers(0, 12)) * 4096] for _ in range(times)]
    stopped = 0
    for moment, one in zip(moments, told(moments, store, disk, of_its_own=True), strict=True):
        if one["error"] is not None:  # else what was left was enough for the rest
            assert re.search("No space left on device|MB to spare", one["error"][1]), moment
            stopped += 1
        assert one["digests"] == whole["digests"], moment
        assert (one["failures"], one["left"]) == ([], []), moment
        # lost are the answers of the picture under way, at most, which the full cache could not keep
        assert one["asked"] <= whole["asked"] + 250, moment
    assert stopped >= times / 2
