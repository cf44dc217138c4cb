"""``legstat study``: what it writes, that it goes on, what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import legstat.studies.replicates as replicates
from legstat.cli import FAULT, app
from legstat.data import digits_model_path, load_digit
from legstat.studies import SampleSizeStudy, StudyResults
from legstat.studies.settings import read_settings, study_from

SMALL = (
    "--grid",
    "4x4",
    "--sparsity",
    "6",
    "--replicates",
    "2",
    "--estimators",
    "leg/printed,legtv/printed/L_ratio=0.2",
)


def run(*arguments):
    return CliRunner().invoke(app, ["study", *map(str, arguments)])


def test_writes_frame_and_summary_and_goes_on(tmp_path, monkeypatch):
    done = run("--n-queries", "101,201", *SMALL, "--out", tmp_path)
    assert done.exit_code == 0, done.stderr
    assert sorted(file.name for file in tmp_path.iterdir()) == ["replicates.csv", "replicates.sqlite3", "summary.txt"]
    assert (tmp_path / "summary.txt").read_text(encoding="utf-8").strip() in done.stdout
    assert "log n" in done.stdout
    study = SampleSizeStudy(
        (101, 201), grid=(4, 4), sparsity=6, replicates=2, estimators=("leg/printed", "legtv/printed/L_ratio=0.2")
    )
    first = StudyResults.load(tmp_path / "replicates.csv").frame
    assert first.equals(study.run(progress=False).frame)
    ran, run_task = [], replicates.run_task
    monkeypatch.setattr(replicates, "run_task", lambda task: (ran.append(task), run_task(task))[1])
    assert run("--n-queries", "101,201,401", *SMALL, "--out", tmp_path, "--quiet").exit_code == 0
    assert len(ran) == 2  # the replicates of the n that is new
    assert len(StudyResults.load(tmp_path / "replicates.csv").frame) == 12


def test_settings_come_from_a_file_and_options_overrule_it(tmp_path):
    file = tmp_path / "study.toml"
    file.write_text(
        'n_queries = [101, 201]\ngrid = "4x4"\nsparsity = 6\nestimators = ["leg/centred"]\nreplicates = 3\n'
    )
    done = run(file, "--out", tmp_path / "out", "--replicates", 2, "--json")
    assert done.exit_code == 0, done.stderr
    cells = json.loads(done.stdout)
    assert [(cell["n"], cell["replicates"]) for cell in cells] == [(50, 2), (100, 2)]
    assert cells[0]["mse"] > 0


def test_a_byte_order_mark_is_no_part_of_the_settings(tmp_path):
    (tmp_path / "study.toml").write_text("replicates = 3\n", encoding="utf-8-sig")
    assert read_settings(tmp_path / "study.toml") == {"replicates": 3}


def test_a_network_by_settings(tmp_path):
    pytest.importorskip("onnxruntime", reason="the digits' network is an ONNX file")
    image, _ = load_digit(5)
    Image.fromarray(np.round(image[0] * 255).astype(np.uint8)).save(tmp_path / "digit.png")
    (tmp_path / "study.toml").write_text(
        f'n_queries = 102\nreplicates = 2\nestimators = "leg/centred"\n[subject]\nmodel = "{digits_model_path()}"\n'
        'picture = "digit.png"\nperturb = "black"\nreference_queries = 402\n'
    )
    study = study_from(read_settings(tmp_path / "study.toml"))
    frame = study.run(progress=False).frame
    assert list(frame["response"]) == ["digit", "digit"]
    assert (frame["reference_mse"] > 0).all()
    assert study.subject.operator.needs_base


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "`n_queries` must be given"),
        (("--n-queries", "many"), "`--n-queries` must be numbers"),
        (("--n-queries", "101", "--grid", "4"), "`grid` must be rows x columns"),
        (("--n-queries", "101", "--design", "haar"), "`design` must be one of"),
        (("--n-queries", "101", "--estimators", "leg"), "`moments` must be one of"),
        (("no_such_file.toml",), "no_such_file.toml"),
    ],
)
def test_bad_arguments_are_one_line_and_exit_code_2(tmp_path, arguments, text):
    done = run(*arguments, "--out", tmp_path / "out")
    assert done.exit_code == FAULT
    (line,) = [line for line in done.stderr.splitlines() if line]
    assert text in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("toml", "text"),
    [
        ("n_queries = ", "is not TOML"),
        ("n_queries = 101\nreplicas = 3", r"`settings` must be of these names"),
        ("n_queries = 101\n[subject]\nmodel = 'a.onnx'", r"`subject\.picture` must be"),
        ("n_queries = 101\n[subject]\nmodels = 'a.onnx'", r"`subject` must be of these names"),
        ("n_queries = 101\nresponse = 'linear'\n[subject]\nmodel = 'a.onnx'", "left out with a subject"),
    ],
)
def test_bad_settings_are_named(tmp_path, toml, text):
    (tmp_path / "study.toml").write_text(toml)
    with pytest.raises(ValueError, match=text):
        study_from(read_settings(tmp_path / "study.toml"))
