"""A run from plan to table: what a picture's file holds, and a run that stops and goes on with the same bits."""

import shutil

import joblib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import legstat as ls
from legstat.audit import AuditedPicture, AuditRun, AuditStopped, Plan, PlanError, audit
from legstat.audit import auditing as module
from legstat.audit.pictures import chosen_items
from legstat.audit.run import FACTS, PLAN
from legstat.audit.unit import audit_picture, key_for
from legstat.data import digits_model_path, load_digit
from tests.unit.audit.world import QUICK, a_plan, a_store, digests, network


@pytest.fixture(scope="module")
def black_box():
    return network()


@pytest.fixture(scope="module")
def whole(tmp_path_factory, black_box):
    """An undisturbed run of four digits."""
    home = tmp_path_factory.mktemp("whole")
    plan = a_plan(a_store(home), question="why?", author="someone")
    return audit(black_box, plan, home / "run", command=["legstat", "audit"], progress=False)


def again(whole, out, response, **changed):
    """The same audit into another folder."""
    plan = Plan.from_dict(whole.plan)
    return audit(response, Plan(**{**vars(plan), **changed}), out, progress=False)


def test_a_picture_is_what_explain_finds(whole, black_box):
    """Same key, same estimates; the rest follows from them by public calls."""
    one = whole.picture("digits[1]")
    image, label = load_digit(1)
    found = ls.Explanation.of(
        ls.query(
            black_box, image, ls.StructuredGaussian((8, 8), 0.25), 250, perturbation=ls.Blend("blur", at=0.5),
            key=key_for(Plan.from_dict(whole.plan), image), progress=False,
        ), L_ratio=0.1, progress=False,
    )  # fmt: skip
    for ours, theirs in [
        (one.leg, found.leg.saliency),
        (one.std_errors, found.leg.std_errors.reshape(8, 8)),
        (one.legtv, found.tv.saliency),
        (one.responses, found.sample.responses),
        (one.path_Ls, found.path.Ls),
        (one.path, found.path.params.T.reshape(-1, 8, 8).astype(np.float32)),
    ]:
        np.testing.assert_array_equal(ours, theirs)
    # the same numbers through a file: only the formula may round differently
    np.testing.assert_allclose(one.pvalues.ravel(), found.leg.pvalues, rtol=1e-10)
    np.testing.assert_allclose(one.conf_int().reshape(-1, 2), found.leg.conf_int(), rtol=1e-10, atol=1e-12)
    for rate in (0.05, 0.1, 0.2):
        np.testing.assert_array_equal(one.significant(rate), found.leg.test(fdr=rate).significant[0])
    facts = one.facts
    assert (facts["label"], facts["target"], facts["right"]) == (label, 7, True)
    assert (facts["f_x0"], facts["L"], facts["n"]) == (found.sample.f_x0, found.tv.L, 124)
    assert facts["ledger"]["spent"] == 250
    np.testing.assert_array_equal(one.picture, np.round(255 * image.transpose(1, 2, 0)))


def test_regions_come_from_other_draws_than_their_tests(tmp_path, black_box):
    item = chosen_items(a_plan(a_store(tmp_path, 1), n_queries=1000))[0]
    one = audit_picture(black_box, item, a_plan(tmp_path / "digits.npz", n_queries=1000).resolved((8, 8)))
    image, _ = load_digit(0)
    sample = ls.query(
        black_box, image, ls.StructuredGaussian((8, 8), 0.25), 1000, perturbation=ls.Blend("blur", at=0.5),
        key=tuple(map(int, one.facts["key"])), progress=False,
    )  # fmt: skip
    told = ls.region_inference(sample, L_ratio=0.1)
    assert len(one.regions_table) == told.n_regions >= 1
    for number, row in enumerate(one.regions_table):
        own = one.regions == number
        (theirs,) = np.unique(told.labels[0][own])  # the same region, by another number
        np.testing.assert_array_equal(told.labels[0] == theirs, own)
        cells = int(own.sum())
        assert row["cells"] == cells
        estimate, (low, high) = told.contrasts.estimates[theirs], told.conf_int()[theirs]
        expected = [cells * estimate, cells * low, cells * high]
        np.testing.assert_allclose([row["sum"], row["low"], row["high"]], expected, rtol=1e-12)
        assert row["sign"] == np.sign(estimate)
    np.testing.assert_array_equal(one.regions < 0, told.labels[0] < 0)
    strength = [(row["pvalue_adjusted"], -abs(row["sum"] / row["std_error"])) for row in one.regions_table]
    assert strength == sorted(strength)


def test_curves_are_those_of_the_metrics(tmp_path, black_box):
    plan = a_plan(a_store(tmp_path, 1), steps=8).resolved((8, 8))
    one = audit_picture(black_box, chosen_items(plan)[0], plan)
    settled, _ = black_box.bind(load_digit(0)[0])
    curve = ls.metrics.deletion(settled, load_digit(0)[0], one.legtv, steps=8)
    assert one.curves["deletion"]["scores"] == curve.scores.tolist()
    assert one.curves["deletion"]["area"] == curve.area
    assert one.facts["ledger"]["curves"] == 18


def test_draws_depend_on_the_picture_and_the_seed_alone(whole, black_box, tmp_path):
    """Another choice of pictures gives a picture no other numbers; another seed does."""
    fewer = again(whole, tmp_path / "fewer", black_box, choice="every", every=3)
    assert digests(fewer) == {name: digests(whole)[name] for name in ("digits[0]", "digits[3]")}
    other = again(whole, tmp_path / "other", black_box, choice="every", every=3, seed=1)
    assert not set(digests(other).values()) & set(digests(fewer).values())


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_two_workers_find_the_same_bits(whole, black_box, tmp_path, backend):
    with joblib.parallel_config(backend=backend):
        assert digests(again(whole, tmp_path / "two", black_box, workers=2)) == digests(whole)


def test_a_run_says_what_it_is(whole):
    facts = whole.facts
    assert whole.complete
    assert (facts["question"], facts["author"]) == ("why?", "someone")
    assert facts["model"]["sha256"] == facts["response"]["model_sha256"] == whole.plan["model"]["sha256"]
    assert facts["sessions"][0]["command"] == ["legstat", "audit"]
    assert facts["ended"] >= facts["started"]
    # four times 250; the pilot's 250 are the first picture's
    assert facts["ledger"]["maps"] == facts["ledger"]["total"] - facts["ledger"]["trials"] == 1000
    assert (facts["ledger"]["pilot"], facts["pilot"]["pilot"]) == (250, 250)
    assert whole.picture("digits[0]").facts["ledger"]["cached"] == 250
    frame = pd.read_parquet(whole.folder / "pictures.parquet")
    pd.testing.assert_frame_equal(frame, whole.to_frame(), check_dtype=False)
    assert frame["n_queries"].sum() == 1000
    assert not list((whole.folder / "cache").iterdir())


def test_the_same_call_again_evaluates_nothing(whole, black_box, tmp_path, monkeypatch):
    shutil.copytree(whole.folder, tmp_path / "run")
    monkeypatch.setattr(module, "audit_picture", None)
    run = again(whole, tmp_path / "run", black_box)
    assert digests(run) == digests(whole)
    assert len(run.facts["sessions"]) == 2


def test_a_failed_picture_is_listed_and_tried_again(tmp_path, black_box):
    home = tmp_path / "pictures"
    home.mkdir()
    for i in range(3):
        Image.fromarray(np.round(255 * load_digit(i)[0][0]).astype(np.uint8)).save(home / f"p{i}.png")
    good = (home / "p1.png").read_bytes()
    (home / "p1.png").write_bytes(good[:40])
    plan = Plan(places=(str(home),), model={"model": str(digits_model_path())}, **QUICK)
    run = audit(black_box, plan, tmp_path / "run", progress=False)
    assert (run.names, run.complete) == (("p0.png", "p2.png"), True)
    assert [one["name"] for one in run.failures] == ["p1.png"]
    assert "a picture that Pillow can decode" in run.failures[0]["reason"]
    assert run.failures[0]["where"].startswith("open_picture, pictures.py:")
    run = audit(black_box, plan, tmp_path / "run", progress=False)
    assert run.failures[0]["attempts"] == 1
    run = audit(black_box, plan, tmp_path / "run", retry_failed=True, progress=False)
    assert run.failures[0]["attempts"] == 2
    # one that was mended is another picture than was chosen: the run says so
    (home / "p1.png").write_bytes(good)
    run = audit(black_box, plan, tmp_path / "run", retry_failed=True, progress=False)
    assert "the file that it was when the run began" in run.failures[0]["reason"]


def test_a_run_that_was_killed_before_it_was_begun(whole, black_box, tmp_path):
    """The facts are written last: without them the folder is begun anew."""
    shutil.copytree(whole.folder, tmp_path / "run")
    (tmp_path / "run" / FACTS).unlink()
    (tmp_path / "run" / PLAN).write_text("[que")
    assert digests(again(whole, tmp_path / "run", black_box)) == digests(whole)


class Flaky:
    """Fails at some pictures as long as it is told to."""

    fingerprint = "flaky"

    def __init__(self) -> None:
        self.fails: set[int] = set()

    def __call__(self, images):
        if len(images) == 1 and round(float(images[0, 0, 0, 0]) * 255) in self.fails:  # x0 itself
            raise ConnectionError("gone")
        return np.asarray(images).mean(axis=(1, 2, 3))


def test_too_many_failures_stop_a_run_that_goes_on_later(tmp_path):
    marks = [10, 33, 57, 91, 131, 201]  # none is half of another, as the base point is
    levels = np.repeat(np.array(marks, dtype=np.uint8), 64).reshape(6, 8, 8)
    levels[:, 3:5, 3:5] = 250
    np.save(tmp_path / "levels.npy", levels)
    f = Flaky()
    f.fails = set(marks[1:4])
    plan = Plan(places=(str(tmp_path / "levels.npy"),), model={"model": "f"}, max_failures=1, operator="black", **QUICK)
    with pytest.raises(AuditStopped, match=r"2 pictures failed, more than max_failures = 1; .*gone"):
        audit(ls.as_response(f), plan, tmp_path / "run", progress=False)
    run = AuditRun.open(tmp_path / "run")
    assert (run.names, len(run.failures), run.complete) == (("levels[0]",), 2, False)
    run = audit(ls.as_response(f), plan, tmp_path / "run", progress=False)
    assert ([one["name"][-2] for one in run.failures], len(run), run.complete) == (["1", "2", "3"], 3, True)
    f.fails = set()
    run = audit(ls.as_response(f), plan, tmp_path / "run", retry_failed=True, progress=False)
    assert (len(run), run.failures) == (6, ())


def test_another_plan_or_model_under_a_run_is_refused(whole, black_box, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(whole.folder, run)
    with pytest.raises(ValueError, match=r"a plan that differs in query.n_queries, query.seed"):
        again(whole, run, black_box, seed=3, n_queries=300)
    other = ls.onnx_response(digits_model_path(), preprocessing="unit", target=3)
    with pytest.raises(ValueError, match=r"`model` must be the model of the run.*fingerprint"):
        again(whole, run, other)
    assert digests(AuditRun.open(run)) == digests(whole)
    (run / "running.sqlite3").unlink()


def test_a_model_that_is_replaced_meanwhile(whole, tmp_path, black_box, monkeypatch):
    """What goes on without asking the file is noted; what would open it anew is refused, by name."""
    import onnx

    mine = tmp_path / "mine.onnx"
    shutil.copy(digits_model_path(), mine)
    response = ls.onnx_response(mine, preprocessing="unit", threads=1)
    plan = Plan(**{**vars(Plan.from_dict(whole.plan)), "model": {"model": str(mine)}})
    audited = module.audit_picture

    def replacing(*given):
        proto = onnx.load(digits_model_path())
        proto.doc_string = "another"
        onnx.save(proto, mine)
        return audited(*given)

    monkeypatch.setattr(module, "audit_picture", replacing)
    with pytest.warns(ls.LegstatWarning, match="the model's file was replaced meanwhile"):
        run = audit(response, plan, tmp_path / "run", progress=False)
    assert digests(run) == digests(whole)  # of the model that was opened
    assert "replaced during the run" in run.facts["notes"][0]
    monkeypatch.undo()
    (run.folder / "units" / f"{run.chosen[2]['unit']}.npz").unlink()
    with pytest.raises(ValueError, match=r"`model` must be the model of the run.*model_sha256"):
        audit(ls.onnx_response(mine, preprocessing="unit", threads=1), plan, run.folder, progress=False)
    shutil.copy(digits_model_path(), mine)
    held, pair = ls.onnx_response(mine, preprocessing="unit", threads=1), Plan(**{**vars(plan), "workers": 2})
    monkeypatch.setattr(module, "_side_by_side", _after(module._side_by_side, lambda: mine.write_bytes(b"x")))
    with joblib.parallel_config(backend="loky"), pytest.raises(ValueError, match="`model` must be the file that it"):
        audit(held, pair, run.folder, progress=False)


def _after(work, first):
    def both(*given):
        first()
        return work(*given)

    return both


def test_a_clock_that_is_set_back_is_noted_and_nothing_else(whole, black_box, tmp_path, monkeypatch):
    run = tmp_path / "run"
    shutil.copytree(whole.folder, run)
    lost = run / "units" / f"{whole.chosen[3]['unit']}.npz"
    lost.unlink()
    monkeypatch.setattr(module, "_now", lambda: "1999-01-01T00:00:00+00:00")
    found = again(whole, run, black_box)
    assert digests(found) == digests(whole)
    assert found.facts["notes"][0].startswith("the clock was set back: 1999")


def test_a_full_disk_stops_a_run_and_loses_nothing(whole, black_box, tmp_path, monkeypatch):
    """The third picture finds no room: two are there, whole, and the same call goes on."""
    saved = AuditedPicture.save

    def full(self, path):
        if self.name == "digits[2]" and not path.name.startswith("one"):
            raise OSError(28, "No space left on device", str(path))
        saved(self, path)

    monkeypatch.setattr(AuditedPicture, "save", full)
    with pytest.raises(OSError, match="No space left"):
        again(whole, tmp_path / "run", black_box)
    run = AuditRun.open(tmp_path / "run")
    assert (run.names, run.failures) == (("digits[0]", "digits[1]"), ())
    assert (run.folder / "cache" / run.chosen[2]["unit"] / "answers.sqlite3").is_file()
    monkeypatch.undo()
    run = again(whole, tmp_path / "run", black_box)
    assert digests(run) == digests(whole)
    assert run.picture("digits[2]").facts["ledger"]["spent"] == 0  # all was there
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1, 1, 0))
    with pytest.raises(ValueError, match="MB to spare"):
        again(whole, tmp_path / "other", black_box)


def test_everything_wrong_with_plan_and_pictures_at_once(tmp_path, black_box):
    store = a_store(tmp_path)
    with np.load(store) as file:
        np.savez(store, images=file["images"], labels=[3, 11, 0, 12])
    plan = a_plan(store, n_queries=20, L_ratio=None, L="simplest")
    with pytest.raises(PlanError) as caught:
        audit(black_box, plan, tmp_path / "run", progress=False)
    told = str(caught.value)
    assert "digits[1]" in told
    assert "digits[3]" in told
    assert "`n_queries`" in told
    assert not (tmp_path / "run").exists()
    for changed, wrong in (
        ({"places": ("none/*.png",)}, "a pattern that finds some"),
        ({"model": {"model": "x", "sha256": "0" * 64}}, "model.sha256"),
        ({"grid": (9, 9)}, "grid"),
    ):
        with pytest.raises(PlanError, match=wrong):
            audit(black_box, a_plan(a_store(tmp_path), **changed), tmp_path / "run", progress=False)


def test_two_audits_of_one_folder_do_not_run_at_once(whole, black_box, tmp_path):
    from legstat.audit.folder import RunFolder

    shutil.copytree(whole.folder, tmp_path / "run")
    with RunFolder(tmp_path / "run").locked(), pytest.raises(ValueError, match="no other audit runs"):
        again(whole, tmp_path / "run", black_box)


def test_the_label_as_target(tmp_path, black_box):
    store = a_store(tmp_path, 2)
    plan = a_plan(store, model={"model": "x", "target": "label"})
    with np.load(store) as file:
        np.savez(store, images=file["images"], labels=[5, 6])
    run = audit(black_box, plan, tmp_path / "run", progress=False)
    assert [one.facts["target"] for one in run] == [5, 6]
    assert [one.facts["right"] for one in run] == [False, False]
    np.savez(store, images=np.stack([load_digit(0)[0]]))
    with pytest.raises(PlanError, match=r"model\.target"):
        audit(black_box, plan, tmp_path / "other", progress=False)
