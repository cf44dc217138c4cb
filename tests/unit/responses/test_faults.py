"""Faults of a network under a run: each ends in an error that holds what was paid for; the run goes on from there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import legstat as ls
from legstat.data import digits_model_path, load_digit
from legstat.responses.onnx.session import Session
from legstat.samples.faults import NonFiniteResponseError, QueryError
from tests.helpers_onnx import linear_model

pytestmark = pytest.mark.usefixtures("bare_bind")
IMAGE, _ = load_digit(5)
DESIGN = ls.StructuredGaussian((4, 4), 0.1)


def run(f: ls.Response, n: int = 101, **more: object) -> ls.QuerySample:
    return ls.query(f, IMAGE, DESIGN, n, progress=False, **({"rng": 0} | more))


def digits(**more: object) -> ls.Response:
    return ls.onnx_response(digits_model_path(), batch_size=8, **more)


def at_call(number: int, do: Callable[[list[np.ndarray]], list[np.ndarray]], patch: pytest.MonkeyPatch) -> list[int]:
    """Let `do` change what a session answers at one call; returns the list of batch sizes, filled as calls come."""
    original, sizes = Session.run, []

    def answer(self: Session, names: list[str], feed: dict[str, np.ndarray], *more: object) -> list[np.ndarray]:
        sizes.append(len(next(iter(feed.values()))))
        outputs = original(self, names, feed, *more)
        return do(outputs) if len(sizes) == number else outputs

    patch.setattr(Session, "run", answer)
    return sizes


def dies(_: list[np.ndarray]) -> list[np.ndarray]:
    raise RuntimeError("CUDA failure 700: an illegal memory access was encountered")


def test_session_that_dies_midway_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(digits())
    with monkeypatch.context() as patch:
        at_call(6, dies, patch)
        with pytest.raises(QueryError, match="illegal memory access") as caught:
            run(digits())
    kept = caught.value.sample
    assert kept.ledger.perturbed == 4 * 8
    with monkeypatch.context() as patch:
        sizes = at_call(0, dies, patch)
        done = run(digits(), resume=kept, rng=None)
        assert sum(sizes) == 100 - 32
    assert np.array_equal(done.responses, whole.responses)


def test_an_interrupt_midway_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: list[np.ndarray]) -> list[np.ndarray]:
        raise KeyboardInterrupt

    whole = run(digits())
    with monkeypatch.context() as patch:
        at_call(8, interrupted, patch)  # the first call is f(x0), then four batches are scored together
        with pytest.raises(ls.QueryInterrupted) as caught:
            run(digits())
    kept = caught.value.sample
    assert kept is not None
    assert kept.ledger.perturbed == 6 * 8
    done = run(digits(), resume=kept, rng=None)
    assert done.ledger.spent == whole.ledger.spent
    assert np.array_equal(done.responses, whole.responses)


def test_nan_in_one_row_is_named_and_the_others_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def poison(outputs: list[np.ndarray]) -> list[np.ndarray]:
        outputs[0][5] = np.nan
        return outputs

    whole = run(digits())
    with monkeypatch.context() as patch:
        at_call(3, poison, patch)
        with pytest.raises(NonFiniteResponseError, match="evaluation 13 of the perturbed") as caught:
            run(digits())
    assert caught.value.index == 13
    assert (caught.value.sample.ledger.perturbed, caught.value.sample.ledger.failed) == (31, 1)  # four batches together
    done = run(digits(), 102, resume=caught.value.sample, rng=None)
    assert np.array_equal(done.responses, whole.responses)  # the one that failed is asked for again, and only that


@pytest.mark.parametrize("classes", [5, 12])
def test_other_number_of_classes_midway_is_an_error(classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        at_call(3, lambda outputs: [np.resize(outputs[0], (len(outputs[0]), classes))], patch)
        with pytest.raises(QueryError, match=r"must be of 10 columns") as caught:
            run(digits())
    assert caught.value.sample.ledger.perturbed == 8


def test_fewer_rows_midway_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        at_call(3, lambda outputs: [outputs[0][:1]], patch)
        with pytest.raises(QueryError, match=r"must be of 8 rows") as caught:
            run(digits())
    assert caught.value.sample.ledger.perturbed == 8


@pytest.mark.parametrize("left", [0, 100, -4])
def test_external_data_cut_short_are_found_before_anything_runs(left: int, tmp_path: Path) -> None:
    model = linear_model(tmp_path / "m.onnx")
    proto = onnx.load(model.path)
    onnx.save(proto, model.path, save_as_external_data=True, location="m.data", size_threshold=0)
    assert ls.onnx_response(model.path, target=0).describe()["external_files"] == ["m.data"]
    data = (tmp_path / "m.data").read_bytes()
    (tmp_path / "m.data").write_bytes(data[:left])
    with pytest.raises(ValueError, match=r"a model that ONNX Runtime .* can open"):
        ls.onnx_response(model.path, target=0)


KILLED = """
import os, signal, sys
from legstat.cli import main
from legstat.responses.network.response import NetworkResponse
from legstat.responses.onnx.session import Session

NetworkResponse._runs_here = False
original, calls = Session.run, []
kill_at, log_file = int(sys.argv[1]), sys.argv[2]

def counting(self, names, feed, *more):
    if len(calls) == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)
    outputs = original(self, names, feed, *more)
    calls.append(0)
    with open(log_file, "a") as log:
        log.writelines(picture.tobytes().hex() + "\\n" for picture in next(iter(feed.values())))
    return outputs

Session.run = counting
sys.argv = ["legstat", *sys.argv[3:]]
main()
"""


def test_command_that_is_killed_goes_on_from_its_cache(tmp_path: Path) -> None:
    picture, log = tmp_path / "digit.png", tmp_path / "log"
    Image.fromarray(np.round(IMAGE[0] * 255).astype(np.uint8)).save(picture)
    root = Path(__file__).parents[3]

    def command(kill_at: int, out: str, *more: str) -> subprocess.CompletedProcess[str]:
        told = [
            "explain",
            str(picture),
            "-m",
            str(digits_model_path()),
            "--preprocessing",
            "unit",
            "--n-queries",
            "120",
            "--law",
            "structured",  # on/off blocks on 64 cells make a picture twice now and then
        ]
        told += ["--batch-size", "8", "--quiet", "--out", str(tmp_path / out), *more]
        return subprocess.run(
            [sys.executable, "-c", KILLED, str(kill_at), str(log), *told],
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
            text=True,
            capture_output=True,
            check=False,
        )

    def results(out: str) -> dict[str, object]:
        return json.loads((tmp_path / out / "record.json").read_text(encoding="utf-8"))["results"]

    cache = ("--cache", str(tmp_path / "cache"))
    assert command(6, "out", *cache).returncode == -signal.SIGKILL
    done = command(-1, "out", *cache)
    assert done.returncode == 0, done.stderr
    evaluated = log.read_text().split()
    assert len(evaluated) == len(set(evaluated)) == 120  # counted by the session itself, over both processes
    assert command(-1, "whole").returncode == 0
    assert results("out") == results("whole")


@pytest.mark.slow
def test_model_beyond_two_gigabytes_by_file(tmp_path: Path) -> None:
    """A table of 2.2 GB beside the graph (sparse on disk: zeros but for ten rows), of which one row is used."""
    rows, width = 55_000_000, 10
    table = np.memmap(tmp_path / "table.data", np.float32, "w+", shape=(rows, width))
    table[-10:] = np.random.default_rng(0).normal(size=(10, width))
    weights = np.array(table[-10:])
    table.flush()
    del table
    tensor = TensorProto(name="table", data_type=TensorProto.FLOAT, dims=[rows, width])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "table.data"), ("offset", "0"), ("length", str(4 * rows * width))):
        tensor.external_data.add(key=key, value=value)
    nodes = [
        helper.make_node("Gather", ["table", "last"], ["weights"], axis=0),
        helper.make_node("GlobalAveragePool", ["image"], ["mean"]),
        helper.make_node("Reshape", ["mean", "flat"], ["row"]),
        helper.make_node("MatMul", ["row", "weights"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "large",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", width])],
        [
            tensor,
            numpy_helper.from_array(np.array([rows - 1], dtype=np.int64), "last"),
            numpy_helper.from_array(np.array([-1, 1], dtype=np.int64), "flat"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path = tmp_path / "large.onnx"
    path.write_bytes(model.SerializeToString())
    f, value = ls.onnx_response(path, target=3, score="logit").bind(IMAGE)
    # float32 means of 64 pixels
    assert value == pytest.approx(float(IMAGE.mean() * weights[-1, 3]), rel=1e-5)
    assert f.describe()["n_parameters"] == rows * width + 3
