"""``legstat explain --method``: what it writes, counts and refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from legstat.baselines import BaselineResult, igos
from legstat.cli import FAULT, app
from legstat.data import digits_model_path, load_digit
from legstat.responses.onnx.opening import onnx_response

pytest.importorskip("onnxruntime", reason="the digits' network is an ONNX file")


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "digit.png"
    Image.fromarray(np.round(load_digit(5)[0][0] * 255).astype(np.uint8)).save(path)
    return path


def run(picture, *more):
    fixed = ("--model", digits_model_path(), "--n-queries", 300, "--preprocessing", "unit")
    return CliRunner().invoke(app, [str(one) for one in ("explain", picture, *fixed, *more)])


@pytest.mark.parametrize("more", [("mask",), ("igos",), ("l1q", "--epsilon", 3, "--q", 0.8)], ids=lambda m: m[0])
def test_it_writes_result_and_figure_within_the_budget(picture, tmp_path, more):
    out = tmp_path / "out"
    told = run(picture, "--method", *more, "--out", out, "--json")
    assert told.exit_code == 0, told.output
    assert sorted(file.name for file in out.iterdir()) == [f"{more[0]}.npz", f"{more[0]}.png"]
    facts, found = json.loads(told.stdout), BaselineResult.load(out / f"{more[0]}.npz")
    assert facts["n_queries"] == found.n_queries <= 300
    np.testing.assert_array_equal(facts["saliency"], found.saliency)


def test_it_is_the_call_from_python(picture, tmp_path):
    run(picture, "--method", "igos", "--out", tmp_path / "out", "--seed", 3, "--grid", "4x4")
    response = onnx_response(digits_model_path(), preprocessing="unit")
    image = response.load_image(picture)
    found = igos(response, image, gradient="queries", n_queries=300, rng=3, shape=(4, 4))
    np.testing.assert_array_equal(BaselineResult.load(tmp_path / "out" / "igos.npz").saliency, found.saliency)


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (("--method", "mask", "--L", "heldout"), "`--L` must be left out with --method mask"),
        (("--method", "igos", "--at", 0.5), "`--at` must be left out with --method igos"),
        (("--method", "l1q"), "`--epsilon` must be given with --method l1q"),
        (("--method", "mask", "--q", 0.5), "`--q` must be left out but with --method l1q"),
        (("--epsilon", 2), "`--epsilon` must be left out but with --method l1q"),
    ],
)
def test_flags_of_another_method_are_refused(picture, tmp_path, more, text):
    told = run(picture, *more, "--out", tmp_path / "out")
    assert told.exit_code == FAULT
    assert text in " ".join(told.stderr.split())
    assert not (tmp_path / "out").exists()
