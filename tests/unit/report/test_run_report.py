"""The report of a run: its JSON against its schema and the run, the digests of everything, pages of many pictures."""

from __future__ import annotations

import copy
import hashlib
import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from statistics import median
from typing import Any

import jsonschema
import numpy as np
import pytest

from legstat._core.digests import array_sha256, file_sha256
from legstat._core.files import json_value
from legstat.audit import Findings, MeanMap
from legstat.report.pages import write_report
from legstat.report.pages.run import DATA, FOLDER, ONE_FILE, SCHEMA
from legstat.report.pages.sums import SUMS, write_sums
from legstat.report.pages.words import QUERY_NOISE
from legstat.report.summary import printable
from tests.helpers_report import FACTS, HOSTILE, write_run

NAMES = [*HOSTILE, "a.png", "b.png", "c.png"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run") / "run", NAMES)


NAN = float("nan")
MAPS = np.random.default_rng(2).normal(0.02, 0.01, (24, 4, 6))
FINDINGS = Findings(
    rows=[
        {"finding": "share inside", "group": "all", "pictures": 8, "estimate": 0.625, "low": 0.5, "high": 0.75,
         "area": 0.25, "pvalue": 0.03, "pvalue_adjusted": NAN},
        {"finding": "groups differ", "group": "<a> - b", "pictures": 8, "estimate": -0.25, "low": NAN, "high": NAN,
         "area": NAN, "pvalue": NAN, "pvalue_adjusted": NAN},
    ],
    mean_maps=[MeanMap.of("all", MAPS, range(24)), MeanMap.of("<a>", MAPS[:4], range(4))],
)  # fmt: skip


@pytest.fixture(scope="module")
def written(run):
    return write_report(run, FINDINGS)


@pytest.fixture(scope="module")
def told(run, written) -> dict[str, Any]:
    return json.loads((run.folder / DATA).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def schema(run, written) -> dict[str, Any]:
    return json.loads((run.folder / SCHEMA).read_text(encoding="utf-8"))


def test_the_json_is_what_its_schema_says(told, schema):
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(told, schema, cls=jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    "break_it",
    [
        lambda told: told.pop("budget"),
        lambda told: told.update(legstat_report=2),
        lambda told: told["pictures"][0].pop("arrays"),
        lambda told: told["pictures"][0]["checks"][0].update(status="fine"),
        lambda told: told["digests"].update({"plan.toml": "12"}),
        lambda told: told["overview"].update(more=1),
    ],
)
def test_the_schema_sees_what_is_wrong(told, schema, break_it):
    broken = copy.deepcopy(told)
    break_it(broken)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, schema, cls=jsonschema.Draft202012Validator)


def test_the_json_holds_what_the_run_holds(run, told):
    pictures = [run.picture(name) for name in run.names]
    assert [one["name"] for one in told["pictures"]] == NAMES
    for entry, one in zip(told["pictures"], pictures, strict=True):
        assert entry["facts"] == one.facts
        assert entry["found"]["significant"] == {f"{q:g}": int(one.significant(q).sum()) for q in (0.05, 0.1, 0.2)}
        assert entry["arrays"]["leg"] == array_sha256(one.leg)
        assert entry["arrays"]["responses"] == array_sha256(one.responses)
        assert entry["checks"] == list(one.checks)
        best = entry["found"]["strongest"][0]
        place = best["row"], best["column"]
        assert abs(one.leg[place]) == abs(one.leg).max()
        assert [best["low"], best["high"]] == one.conf_int()[place].tolist()
    n = len(pictures)
    # answers behind the maps (spent and served), trials, curves; what a failed picture spent; checks of the run
    assert told["budget"]["total"] == n * (600 + 10 + 20 + 112) + 3 + 11
    assert told["budget"]["evaluations"]["checks"] == 11
    assert told["budget"]["evaluations"]["pilot"] == 40
    assert (told["budget"]["tuning"], told["budget"]["cached"]) == (5 * n, 10 * n)
    overview = told["overview"]
    assert overview["right"] == sum(one.facts["right"] for one in pictures)
    assert overview["r2_median"] == median(one.facts["r2_heldout"]["legtv"] for one in pictures)
    assert overview["r2_not_above_0"] == sum(one.facts["r2_heldout"]["legtv"] <= 0 for one in pictures)
    assert overview["with_failed_checks"] == 2
    assert [one["name"] for one in told["checks"]["pictures"]["placebo"]["failing"]] == [NAMES[3], NAMES[7]]
    assert json_value(json.dumps(told["findings"]))[0]["estimate"] == 0.625
    assert told["findings"][1]["low"] == {"float": "nan"}
    whole, few = json_value(json.dumps(told["mean_maps"]))
    np.testing.assert_array_equal(whole["mean"], MAPS.mean(axis=0))
    np.testing.assert_array_equal(whole["significant"], FINDINGS.mean_maps[0].significant())
    np.testing.assert_allclose(whole["std_error"], MAPS.std(axis=0, ddof=1) / np.sqrt(24), rtol=1e-12)
    assert (few["group"], few["clusters"], few["significant"]) == ("<a>", 4, None)
    assert told["repeat"]["commands"] == ["legstat audit net.onnx 'my pictures'"]
    assert told["digests"] == {name: file_sha256(run.folder / name) for name in ("plan.toml", "run.json")}
    assert told["limits"][-6] == QUERY_NOISE
    assert any("1 pictures failed" in text for text in told["limits"])
    assert any("predicts the response no better" in text for text in told["limits"])


def test_the_page_says_what_a_report_must_say(run, written):
    page = unescape(written[0].read_text(encoding="utf-8"))
    wanted = [
        "Does the model look at the digit?", "Release of version 2.", "A. Author <a@b>",  # purpose, question, author
        "Sigma^-1 E[(f(Phi(x0; z))", "log_odds", "structured", "blur", "simplest",  # estimand, score, design, operator
        FACTS["model"]["sha256"], "onnx, opset 17", "CPUExecutionProvider", "unit",  # model, format, preprocessing
        "versions: numpy", "Linux",  # software, hardware
        "choice", "cd" * 32,  # pictures: how chosen, identity
        "evaluations: pilot", "tuning",  # budget
        "legstat audit net.onnx 'my pictures'", "legstat verify FOLDER", "seed",  # repeat
        "95 % interval", "Benjamini and Hochberg",  # level, multiplicity
        "✓ passed", "✗ failed", " not applicable</span>",  # checks
        QUERY_NOISE, "broken.png", "What this report does not say",
        "Signature", "Place and date", "report written",
        file_sha256(run.folder / DATA), array_sha256(run.picture(NAMES[0]).leg),  # digests of report and arrays
        "false discovery rate, FDR", "total variation", "certificate, gap",
    ]  # fmt: skip
    assert [text for text in wanted if text not in page] == []
    assert [name for name in NAMES if printable(name) not in page] == []
    assert "50 % to 75 %" in page
    assert "<a> - b" in page
    # a box of 18 x 12 pixels at (6, 6), on cells of 6 x 6 pixels
    assert 'class="box" x="1.0" y="1.0" width="3.0" height="2.0"' in page


def test_nothing_in_a_page_is_fetched(written):
    text = written[0].read_text(encoding="utf-8")
    assert set(re.findall(r'(?:src|href)="(#|data:image|[^"]{0,10})', text)) == {"#", "data:image"}
    assert "url(" not in text.replace("url(#", "")
    assert "@import" not in text


def test_sha256sum_agrees_with_all(run, written):
    if shutil.which("sha256sum") is None:
        pytest.skip("no sha256sum here")
    done = subprocess.run(["sha256sum", "-c", "--strict", SUMS], cwd=run.folder, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    listed = {line.split("  ", 1)[1] for line in (run.folder / SUMS).read_text().splitlines()}
    there = {file.relative_to(run.folder).as_posix() for file in run.folder.rglob("*") if file.is_file()}
    assert listed == there - {SUMS}
    with (run.folder / "units" / "000001.npz").open("r+b") as unit:
        unit.seek(40)
        byte = unit.read(1)
        unit.seek(40)
        unit.write(bytes([byte[0] ^ 1]))
    again = subprocess.run(["sha256sum", "-c", SUMS], cwd=run.folder, capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert "units/000001.npz: FAILED" in again.stdout
    with (run.folder / "units" / "000001.npz").open("r+b") as unit:
        unit.seek(40)
        unit.write(byte)


def test_odd_names_of_files_are_spelt_as_sha256sum_spells_them(tmp_path):
    names = ["plain", "two\nlines", "back\\slash", "七"]
    for name in names:
        (tmp_path / name).write_bytes(name.encode())
    lines = write_sums(tmp_path, tmp_path.iterdir()).read_bytes().split(b"\n")
    assert f"{hashlib.sha256(b'plain').hexdigest()}  plain".encode() in lines
    if shutil.which("sha256sum"):
        done = subprocess.run(["sha256sum", "-c", "--strict", SUMS], cwd=tmp_path, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count(b": OK") == len(names)


def test_many_pictures_have_pages_of_fifty_and_no_old_ones_stay(tmp_path):
    run = write_run(tmp_path / "run", [f"p{i}.png" for i in range(51)], shape=(2, 3), side=4)
    (run.folder / FOLDER).mkdir()
    (run.folder / FOLDER / "pictures-003.html").write_text("old")
    (run.folder / ONE_FILE).write_text("old")
    opened = write_report(run)[0]
    assert opened == run.folder / FOLDER / "index.html"
    pages = {file.name: file.read_text(encoding="utf-8") for file in (run.folder / FOLDER).iterdir()}
    assert set(pages) == {"index.html", "pictures-001.html", "pictures-002.html", "checks.html", "provenance.html",
                          "words.html"}  # fmt: skip
    assert not (run.folder / ONE_FILE).exists()
    assert [pages[f"pictures-00{i}.html"].count('<section class="picture"') for i in (1, 2)] == [50, 1]
    # every address leads to a page that is there, and to a place on it
    for page, text in pages.items():
        for name, place in re.findall(r'href="([\w.-]*)#([\w-]+)"', text):
            assert f'id="{place}"' in pages[name or page], f"{page}: {name}#{place}"
    assert len(json.loads((run.folder / DATA).read_text())["pictures"]) == 51
    assert len(re.findall(r'href="pictures-00\d.html#picture-\d+"', pages["index.html"])) >= 51


def test_an_unfinished_run_and_an_empty_one_say_so(tmp_path):
    run = write_run(tmp_path / "run", ["a.png", "b.png"])
    (run.folder / "units" / "000001.npz").unlink()
    (run.folder / "checks.json").unlink()
    run = type(run).open(run.folder)
    page = write_report(run)[0].read_text(encoding="utf-8")
    assert "The run is not finished: 1 pictures are still to be audited." in page
    (run.folder / "units" / "000000.npz").unlink()
    page = write_report(type(run).open(run.folder))[0].read_text(encoding="utf-8")
    assert "<strong>0</strong> pictures audited" in page
    assert "No checks were made." in page
    told = json.loads((run.folder / DATA).read_text())
    jsonschema.validate(told, json.loads((Path(run.folder) / SCHEMA).read_text()))
