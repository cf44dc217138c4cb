"""A run's files are replaced together, a figure is no reason to lose numbers, and `verify` sees what was mixed."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import legstat as ls
from legstat.data import digits_model_path, load_digit
from legstat.record import FILES, SavedPath, keep_sample, prepare, read_record
from legstat.record.folder import FIGURES, NUMBERS


def f(images):
    return np.tanh(images[:, 0].mean(axis=(1, 2)) * 3.0) + images[:, 1, :4].max(axis=(1, 2))


def explained(rng, **more):
    image = np.random.default_rng(3).random((3, 12, 12))
    return ls.explain(f, image, **{"grid": (3, 3), "n_queries": 60, "rng": rng, "L_ratio": 0.3, **more})


@pytest.fixture(scope="module")
def found():
    return explained(2)


@pytest.fixture(scope="module")
def other():
    return explained(3)


@pytest.fixture(scope="module")
def homes(found, other, tmp_path_factory):
    """Folders of both."""
    folders = tmp_path_factory.mktemp("found"), tmp_path_factory.mktemp("other")
    for run, folder in zip((found, other), folders, strict=True):
        run.save(folder)
    return folders


def contents(home: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in home.iterdir()}


@pytest.mark.parametrize("where", ["legstat.record.folder.write_text", "legstat.record.folder.write_record"])
def test_a_run_that_cannot_be_written_leaves_the_old_one(found, other, tmp_path, monkeypatch, where):
    found.save(tmp_path)
    before = contents(tmp_path)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(where, full)
    with pytest.raises(OSError, match="No space left"):
        other.save(tmp_path)
    assert contents(tmp_path) == before
    assert ls.verify(tmp_path / "record.json", f=f).passed


@pytest.mark.parametrize("after", [0, 1, 7, 10, 13])
def test_a_fault_while_files_change_places_brings_the_old_ones_back(homes, other, tmp_path, monkeypatch, after):
    shutil.copytree(homes[0], tmp_path, dirs_exist_ok=True)
    before, rename, done = contents(tmp_path), Path.rename, []

    def failing(path, target):
        done.append(target)
        if len(done) == after + 1:
            raise KeyboardInterrupt
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", failing)
        with pytest.raises(KeyboardInterrupt):
            other.save(tmp_path)
    assert contents(tmp_path) == before


def test_a_new_run_replaces_all_files_of_the_old_one_and_no_others(found, other, tmp_path, monkeypatch):
    found.save(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    monkeypatch.setattr("legstat.report.plots.save_overlay", lambda *_: (_ for _ in ()).throw(RuntimeError("no font")))
    with pytest.warns(ls.LegstatWarning, match=r"leg\w*\.png could not be made \(RuntimeError: no font\)"):
        written = other.save(tmp_path)
    # the overlays of the old run must not stand beside the numbers of the new one
    assert set(contents(tmp_path)) == {*FILES, "notes.txt"} - {"leg.png", "legtv.png"}
    assert {file.name for file in written} == set(FILES) - {"leg.png", "legtv.png"}
    assert ls.verify(tmp_path / "record.json", f=f).passed


def test_numbers_and_record_do_not_wait_for_figures(found, tmp_path, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("legstat.report.plots.save_overlay", stopped)
    with pytest.raises(KeyboardInterrupt):
        found.save(tmp_path)
    assert set(contents(tmp_path)) == {*NUMBERS, "record.json"}
    assert ls.verify(tmp_path / "record.json", f=f).passed


def test_the_page_does_without_a_panel(found, tmp_path, monkeypatch):
    monkeypatch.setattr("legstat.report.plots.save_figure", lambda *_: 1 / 0)
    with pytest.warns(ls.LegstatWarning, match=r"explanation\.png could not be made"):
        found.save(tmp_path)
    page = (tmp_path / "summary.html").read_text(encoding="utf-8")
    assert "LEG-TV, strongest cells" in page


@pytest.mark.parametrize("name", [*NUMBERS, *FIGURES])
def test_verify_sees_a_file_of_another_run(homes, tmp_path, name):
    shutil.copytree(homes[0], tmp_path / "a")
    shutil.copy(homes[1] / name, tmp_path / "a" / name)
    outcome = ls.verify(tmp_path / "a" / "record.json", f=f)
    assert not outcome.passed
    assert [check.name for check in outcome.checks if not check.same] == [f"file {name}"]
    assert f"DIFFERS file {name}" in outcome.as_text()
    assert outcome.to_dict()["files"]


def test_verify_sees_other_arrays_beside_an_old_record(tmp_path):
    v1 = Path(__file__).parents[2] / "golden" / "v1"
    shutil.copytree(v1 / "record_default", tmp_path / "run")
    shutil.copy(v1 / "record_paper" / "leg.npz", tmp_path / "run")
    outcome = ls.verify(
        tmp_path / "run" / "record.json", model=digits_model_path(), picture=v1 / "digit.png", progress=False
    )
    wrong = [check.name for check in outcome.files if not check.same]
    assert "leg.params in leg.npz" in wrong
    assert all(name.endswith("in leg.npz") for name in wrong)
    assert not outcome.passed


def test_the_path_is_read_again(tmp_path):
    found = explained(2, L_ratio=None)
    found.save(tmp_path)
    path = SavedPath.load(tmp_path / "path.npz")
    np.testing.assert_array_equal(path.Ls, found.path.Ls)
    np.testing.assert_array_equal(path.params, found.path.params)
    np.testing.assert_array_equal(path.heldout_r2, found.path.heldout.r2)
    np.testing.assert_array_equal(path.heldout_std_errors, found.path.heldout.std_errors)
    assert path.choice == found.choice
    v1 = Path(__file__).parents[2] / "golden" / "v1"
    assert SavedPath.load(v1 / "record_paper" / "path.npz").params.shape[0] == 64


def test_a_folder_is_tried_before_anything_is_spent(tmp_path):
    prepare(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []
    (tmp_path / "file").write_text("")
    (tmp_path / "c" / "leg.npz").mkdir(parents=True)
    for place, text in (("file", "FileExistsError"), ("file/below", "NotADirectoryError"), ("c", "leg.npz is to go")):
        with pytest.raises(ValueError, match=rf"`folder` must be a folder to write to.*{text}"):
            prepare(tmp_path / place)


def test_a_sample_is_kept_somewhere_and_over_no_other(found, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    first, second = (keep_sample(found.sample, tmp_path / "out") for _ in range(2))
    assert [kept.name for kept in (first, second)] == ["partial.npz", "partial-2.npz"]
    assert keep_sample(found.sample, tmp_path / "out", over=first) == first
    (tmp_path / "file").write_text("")
    assert keep_sample(found.sample, tmp_path / "file") == tmp_path / "here" / "partial.npz"
    monkeypatch.setattr(ls.QuerySample, "save", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(OSError, match="No space left"):
        keep_sample(found.sample, tmp_path / "out")


def test_a_record_without_its_parts_is_named(homes, tmp_path):
    shutil.copytree(homes[0], tmp_path, dirs_exist_ok=True)
    for section in ("inputs", "response", "experiment", "results"):
        record = read_record(tmp_path / "record.json")
        del record[section]
        path = tmp_path / "changed.json"
        path.write_text(json.dumps(record))
        with pytest.raises(ValueError, match=f"a whole record; .*{section}"):
            ls.verify(path, f=f)


def test_a_picture_whose_name_is_no_utf8_is_recorded_and_verified(tmp_path):
    picture = tmp_path / os.fsdecode(b"caf\xe9.png")
    Image.fromarray(np.round(load_digit(3)[0][0] * 255).astype(np.uint8)).save(picture)
    found = ls.explain(ls.onnx_response(digits_model_path()), picture, perturbation=ls.Blend("mean"), n_queries=100)
    found.save(tmp_path / "out")
    assert ls.verify(tmp_path / "out" / "record.json").passed
