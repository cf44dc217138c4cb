"""Records: what they hold, that they repeat bit for bit, and that any change shows."""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import legstat as ls
from legstat.data import digits_model_path, load_digit
from legstat.record import array_sha256, read_record
from legstat.record.verification import differing_environment
from legstat.record.writing import environment


def digit_file(folder, index=3):
    image, _ = load_digit(index)
    path = folder / f"digit{index}.png"
    Image.fromarray(np.round(image[0] * 255).astype(np.uint8)).save(path)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Folder of an explanation of a digit by the shipped network, model and picture beside it."""
    folder = tmp_path_factory.mktemp("record")
    model = folder / "model.onnx"
    model.write_bytes(digits_model_path().read_bytes())
    found = ls.explain(ls.onnx_response(model), digit_file(folder), perturbation=ls.Blend("mean"), n_queries=120,
                       rng=5, progress=False)  # fmt: skip
    found.save(folder / "out", command=["legstat", "explain"])
    return folder


@pytest.fixture
def saved(made, tmp_path):
    """As if it had been written there: a copy, whose record names the files beside it."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    record = tmp_path / "out" / "record.json"
    record.write_text(record.read_text(encoding="utf-8").replace(str(made), str(tmp_path)), encoding="utf-8")
    return tmp_path / "out"


def edited(folder, change):
    record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    change(record)
    (folder / "record.json").write_text(json.dumps(record), encoding="utf-8")
    return folder / "record.json"


def test_array_hash_is_that_of_the_plain_bytes():
    expected = hashlib.sha256(struct.pack("<3d", 1.0, -0.0, 2.5)).hexdigest()
    assert array_sha256(np.array([1.0, -0.0, 2.5])) == expected
    assert array_sha256(np.array([[1.0, -0.0, 2.5]], order="F")) == expected
    assert array_sha256(np.array([1.0, 0.0, 2.5])) != expected  # the sign of zero is a bit


def test_record_holds_what_a_repetition_needs(saved):
    record = read_record(saved / "record.json")
    assert record["inputs"]["model"]["sha256"] == hashlib.sha256(digits_model_path().read_bytes()).hexdigest()
    picture = (saved.parent / "digit3.png").read_bytes()
    assert record["inputs"]["picture"]["sha256"] == hashlib.sha256(picture).hexdigest()
    assert record["experiment"]["seed"] == 5
    assert record["experiment"]["design"]["grid"] == [8, 8]
    assert record["experiment"]["perturbation"] == {"class": "Blend", "baseline": "mean", "at": 0.5, "blur_sigma": None}
    assert record["ledger"]["spent"] == 120
    assert record["response"]["preprocessing"]["scale"] == 1.0
    assert {"numpy", "scipy", "onnxruntime", "legstat"} <= set(record["environment"]["versions"])
    assert record["provenance"]["command"] == ["legstat", "explain"]
    assert set(record["provenance"]["seconds"]) == {"query", "leg", "path", "choice"}


def test_scalars_are_exact_and_arrays_are_those_beside(saved):
    record = read_record(saved / "record.json")
    for entry in record["results"].values():
        if "sha256" in entry:
            with np.load(saved / entry["file"]) as archive:
                array = archive[entry["array"]]
            assert list(array.shape) == entry["shape"]
            assert hashlib.sha256(array.astype("<f8").tobytes()).hexdigest() == entry["sha256"]
        elif entry["value"] is not None:
            assert float.fromhex(entry["hex"]) == entry["value"]


def test_clock_and_paths_stand_apart(saved):
    record = read_record(saved / "record.json")
    del record["provenance"]
    text = json.dumps(record)
    assert str(saved.parent) not in text


def test_verify_repeats_every_bit(saved):
    outcome = ls.verify(saved / "record.json")
    assert outcome.passed
    assert len(outcome.results) >= 15
    assert outcome.as_text().endswith("bit for bit.")
    assert outcome.to_dict()["passed"] is True


def test_verify_shows_a_number_that_was_changed(saved):
    def change(record):
        record["results"]["legtv.L"]["hex"] = float.hex(1.0)
        record["results"]["legtv.L"]["value"] = 1.0

    outcome = ls.verify(edited(saved, change))
    assert not outcome.passed
    assert [check.name for check in outcome.results if not check.same] == ["legtv.L"]
    assert "DIFFERS legtv.L: 1.0 in the record" in outcome.as_text()


def test_verify_shows_another_key(saved):
    outcome = ls.verify(edited(saved, lambda record: record["experiment"].update(key=["1", "2"])))
    different = {check.name for check in outcome.results if not check.same}
    assert {"sample.responses.0", "leg.params", "legtv.params"} <= different
    assert "f_x0" not in different  # the picture and the network are the same


def test_another_model_is_seen_before_any_evaluation(saved, monkeypatch):
    model = saved.parent / "model.onnx"
    model.write_bytes(model.read_bytes() + b"\x00")  # still readable to a lenient reader, another file all the same
    changed = hashlib.sha256(model.read_bytes()).hexdigest()
    monkeypatch.setattr("legstat.record.verification.carry_out", lambda *a, **k: pytest.fail("evaluated"))
    monkeypatch.setattr("legstat.record.reopening.reopen_onnx", lambda *a, **k: pytest.fail("opened"))
    with monkeypatch.context() as patch:
        facts = type("Facts", (), {"sha256": changed})
        patch.setattr("legstat.record.reopening.read_model", lambda *a, **k: facts)
        outcome = ls.verify(saved / "record.json")
    assert not outcome.passed
    assert outcome.results == ()
    assert "DIFFERS model" in outcome.as_text()
    assert "nothing was evaluated" in outcome.as_text()


def test_another_picture_is_seen_before_any_evaluation(saved, monkeypatch):
    other = digit_file(saved.parent, 9)
    monkeypatch.setattr("legstat.record.verification.carry_out", lambda *a, **k: pytest.fail("evaluated"))
    outcome = ls.verify(saved / "record.json", picture=other)
    assert not outcome.passed
    assert [check.name for check in outcome.inputs if not check.same] == ["picture file", "picture"]


@pytest.mark.parametrize(("name", "what"), [("model.onnx", "model"), ("digit3.png", "picture")])
def test_missing_file_is_named(saved, name, what):
    (saved.parent / name).unlink()
    with pytest.raises(ValueError, match=rf"`{what}` must be an existing file.*{name}"):
        ls.verify(saved / "record.json")


def test_files_that_moved_are_found_beside_the_record_or_as_told(saved):
    (saved.parent / "model.onnx").rename(saved / "model.onnx")
    (saved.parent / "digit3.png").rename(saved.parent / "elsewhere.png")
    assert ls.verify(saved / "record.json", picture=saved.parent / "elsewhere.png").passed


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"legstat_record": 99}', "{nonsense"])
def test_what_is_no_record_is_refused(tmp_path, text):
    path = tmp_path / "record.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"legstat\.record: "):
        ls.verify(path)


def test_missing_record_is_named(tmp_path):
    with pytest.raises(ValueError, match="nowhere"):
        ls.verify(tmp_path / "nowhere.json")


def explained(f, folder, **more):
    image = np.random.default_rng(3).random((3, 12, 12))
    found = ls.explain(f, image, **{"grid": (6, 6), "n_queries": 90, "rng": 2, **more})
    found.save(folder)
    return folder / "record.json"


def nonlinear(images):
    return np.tanh(images[:, 0].mean(axis=(1, 2)) * 3.0) + images[:, 1, :4].max(axis=(1, 2))


def test_callable_is_verified_with_the_function(tmp_path):
    record = explained(nonlinear, tmp_path)
    assert ls.verify(record, f=nonlinear).passed
    with pytest.raises(ValueError, match=r"A Python function is not in its record.* f=the_function"):
        ls.verify(record)
    with pytest.raises(ValueError, match="the very function"):
        ls.verify(record, f=lambda images: images.mean(axis=(1, 2, 3)))


@pytest.mark.parametrize("conventions", ["paper", "upstream"])
def test_other_conventions_are_verified(tmp_path, conventions):
    assert ls.verify(explained(nonlinear, tmp_path, conventions=conventions), f=nonlinear).passed


def test_array_baseline_comes_from_the_saved_sample(tmp_path):
    baseline = np.random.default_rng(4).random((3, 12, 12))
    record = explained(nonlinear, tmp_path, perturbation=ls.Blend(baseline))
    assert "sha256" in read_record(record)["experiment"]["perturbation"]["baseline"]
    assert ls.verify(record, f=nonlinear).passed


def test_generator_as_rng_is_verified_by_its_key(tmp_path):
    record = explained(nonlinear, tmp_path, rng=np.random.default_rng(11))
    assert read_record(record)["experiment"]["seed"] is None
    assert ls.verify(record, f=nonlinear).passed


def test_given_L_is_verified(tmp_path):
    record = explained(nonlinear, tmp_path, L_ratio=0.3)
    assert read_record(record)["estimators"]["choice"] == {"L_ratio": 0.3}
    assert ls.verify(record, f=nonlinear).passed


def test_sample_from_arrays_has_no_record(rng):
    design = ls.IsotropicGaussian(grid=(4, 4), scale=1.0)
    z = rng.normal(size=(60, 4, 4))
    sample = ls.QuerySample.from_arrays(z, z.sum(axis=(1, 2)), design)
    with pytest.raises(ValueError, match="sample of one run"):
        ls.Explanation.of(sample, L_ratio=0.1).record()


@pytest.fixture(scope="module")
def of_regions(tmp_path_factory):
    """An explanation with tested regions, and its folder."""
    folder = tmp_path_factory.mktemp("regions")
    picture = digit_file(folder, 5)
    f = ls.onnx_response(digits_model_path(), preprocessing="unit")
    found = ls.explain(f, picture, perturbation=ls.Blend("black"), n_queries=1301, rng=5, progress=False)
    return found, found.save(folder / "out")[0].parent


def test_regions_are_recorded_saved_and_verified(of_regions, tmp_path):
    found, folder = of_regions
    assert found.regions.n_found >= 2
    record = read_record(folder / "record.json")
    assert record["estimators"]["regions"] == {"share": 0.5, "fwer": 0.05}
    assert record["estimators"]["legtv"]["relaxed"] is True
    assert record["results"]["regions.n_found"]["value"] == found.regions.n_found
    saved = ls.Regions.load(folder / "regions.npz")
    assert record["results"]["regions.sums"]["sha256"] == array_sha256(saved.sums.estimates)
    assert "regions.npz" in record["files"]
    verified = ls.verify(folder / "record.json")
    assert verified.passed
    assert any(check.name == "regions.labels" for check in verified.results)
    shutil.copytree(folder, tmp_path / "changed")
    changed = edited(tmp_path / "changed", lambda r: r["results"]["regions.sums"].update(sha256="0" * 64))
    assert [check.name for check in ls.verify(changed).results if not check.same] == ["regions.sums"]


def test_an_earlier_run_leaves_no_regions_behind(of_regions, tmp_path):
    found, _ = of_regions
    assert "regions.npz" in {file.name for file in found.save(tmp_path)}
    picture = np.linspace(0.1, 0.9, 16).reshape(1, 4, 4)
    few = ls.explain(ls.simulate.linear(np.eye(4)), picture, n_queries=100, rng=0, progress=False)
    assert few.regions is None
    few.save(tmp_path)
    assert not (tmp_path / "regions.npz").exists()
    assert "regions.npz" not in read_record(tmp_path / "record.json")["files"]


def test_regions_are_told_and_drawn(of_regions):
    found, folder = of_regions
    text = (folder / "summary.txt").read_text(encoding="utf-8")
    assert f"{found.regions.n_found} of {found.regions.n_regions} regions differ from 0" in text
    assert "all intervals hold at once" in " ".join(text.split())
    assert "strongest cells" not in text
    drawn = found.plot(Figure())[0]
    numbers = {one.get_text() for one in drawn.texts}
    assert numbers == {str(i) for i in range(found.regions.n_found)}
    assert len(drawn.collections) == 2 * found.regions.n_found
    page = (folder / "summary.html").read_text(encoding="utf-8")
    assert page.count("<tr data-region=") == found.regions.n_found


def test_verification_tells_of_other_kernels() -> None:
    now = environment()
    assert now["blas"] != ""
    assert list(differing_environment(now)) == []
    assert list(differing_environment({**now, "blas": "openblas Other"})) == [
        f"blas openblas Other then, {now['blas']} now"
    ]
    assert list(differing_environment({k: v for k, v in now.items() if k != "blas"})) == []


def test_kernels_are_told_alike_whatever_was_loaded_before() -> None:
    """Solvers bring a BLAS of their own, with other kernels."""
    code = (
        "from legstat.record.writing import environment; first = environment()['blas']; import cvxpy, scipy.linalg; "
        "assert first == environment()['blas'] != '', (first, environment()['blas'])"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
