"""``legstat compare``: a captured run on the shipped network, what it writes, that it goes on, what it refuses."""

from __future__ import annotations

import csv
import json
import re

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import legstat as ls
from legstat._core.picture_files import read_truth
from legstat.cli import FAULT, app
from legstat.comparison.methods.controls import CentreMap
from legstat.data import digits_model_path, load_digit

QUICK = ("--methods", "rise,centre", "--n-queries", "40,80", "--preprocessing", "unit")
SAID = """\
    Comparison at equal numbers of evaluations   
=================================================
Methods               2   Pictures              3
Budgets          40, 80    Dropped              1
                                   insertion: high is good                                   
=============================================================================================
    method  n_queries       mean  std error         low        high       rank rank std error
"""  # noqa: W291  # as it is printed


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    lines = []
    for i in range(4):
        image, label = load_digit(i)
        Image.fromarray(np.round(image[0] * 255).astype(np.uint8)).save(folder / f"digit{i}.png")
        lines.append(f"digit{i}.png,{label if i != 2 else (label + 1) % 10}")  # one label is wrong
    (folder / "truth.csv").write_text("picture,class\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize("header", ["", "picture,class\n"])
def test_a_byte_order_mark_is_no_part_of_the_truth(tmp_path, header):
    (tmp_path / "truth.csv").write_text(f"{header}digit0.png,0\n", encoding="utf-8-sig")
    assert read_truth("compare", tmp_path / "truth.csv") == {"digit0.png": "0"}


def run(*arguments):
    return CliRunner().invoke(app, ["compare", *map(str, arguments)])


def test_a_run_on_the_shipped_network(pictures, tmp_path):
    truth = ("--truth", pictures / "truth.csv", "--wrong", "drop")
    done = run(pictures, "--model", digits_model_path(), *QUICK, *truth, "--metrics", "insertion", "--out", tmp_path)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(SAID)
    assert re.search(
        r"note: dropped: digit2\.png: the network's first choice is class \d, its label is \d", done.stderr
    )
    files = {"rows.csv", "summary.csv", "ranks.csv", "evaluations.csv", "differences.csv", "comparison.json"}
    files |= {"pictures.json", "summary.txt", "insertion.png", "differences_insertion.png", "maps.png", "store"}
    assert {file.name for file in tmp_path.iterdir()} == files
    assert (tmp_path / "summary.txt").read_text(encoding="utf-8").strip() in done.stdout
    with Image.open(tmp_path / "maps.png") as drawn:
        assert drawn.size[0] > 100
    # the same through Python, on the pictures as they are in the files
    f = ls.onnx_response(digits_model_path(), preprocessing="unit")
    images = {f"digit{i}.png": f.load_image(pictures / f"digit{i}.png") for i in range(4)}
    del images["digit2.png"]
    with (tmp_path / "rows.csv").open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["method"] == "centre" and row["n_queries"] == "40"]
    for number, (name, image), row in zip((0, 1, 3), images.items(), rows, strict=True):
        rng = np.random.default_rng([0, number])
        area = ls.metrics.insertion(f, image, CentreMap()(f, image, 0, 0).saliency, rng=rng).area
        assert (row["picture"], float(row["value"])) == (name, area)
    found = ls.Comparison.load(tmp_path / "comparison.json")
    assert found.pictures["digit2.png"]["right"] is False
    assert found.to_frame().groupby("picture").size().tolist() == [4, 4, 4]
    assert len(found.outcomes) == 12


def test_it_goes_on_and_adds_metrics(pictures, tmp_path, monkeypatch):
    from legstat.comparison.methods import masks

    place = ("--model", digits_model_path(), *QUICK, "--out", tmp_path)
    assert run(pictures / "digit*.png", *place, "--metrics", "deletion", "--quiet").exit_code == 0
    monkeypatch.setattr(masks.Rise, "__call__", lambda *a: pytest.fail("made again"))
    done = run(pictures / "digit*.png", *place, "--metrics", "patch_correlation,deletion", "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert {row["metric"] for row in said["summary"]} == {"patch_correlation", "deletion"}
    assert {row["method"] for row in said["differences"]} == {"centre"}
    spent = {(row["method"], row["n_queries"]): row["spent"] for row in said["evaluations"]}
    assert spent["rise", 80] == 4 * 80
    # what an earlier run drew of metrics that this one has not is gone
    done = run(pictures / "digit0.png", *place, "--metrics", "patch_correlation", "--quiet")
    assert done.exit_code == 0, done.output
    assert {file.name for file in tmp_path.glob("*.png")} == {"maps.png"}
    assert not (tmp_path / "differences.csv").exists()


def test_what_the_network_gets_wrong_is_told_where_it_is_kept(pictures, tmp_path):
    truth = ("--truth", pictures / "truth.csv", "--metrics", "deletion", "--methods", "centre", "--n-queries", "9")
    done = run(pictures, "--model", digits_model_path(), "--preprocessing", "unit", *truth, "--out", tmp_path)
    assert done.exit_code == 0, done.output
    assert "kept, though the network gets them wrong: 1 of the pictures, such as digit2.png" in done.stderr


def test_all_dropped_is_a_fault(pictures, tmp_path):
    place = ("--model", digits_model_path(), *QUICK, "--out", tmp_path, "--least-score", "1")
    done = run(pictures, *place)
    assert done.exit_code == FAULT
    assert "4, all dropped" in done.stderr
