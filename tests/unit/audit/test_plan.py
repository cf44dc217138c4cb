"""A plan is one value: to a file and back, and wrong as a whole."""

import tomllib

import pytest

from legstat.audit import Plan, PlanError
from legstat.perturbations.operators import Additive, Blend

GIVEN = {"places": ("folder", "*.png"), "model": {"model": "net.onnx", "preprocessing": "tf", "constants": ["a=1"]}}


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"grid": (7, 9), "scale": 0.1, "L_ratio": 0.2, "operator": "additive", "law": "smooth"},
        {"choice": "sample", "sample": 7, "sample_seed": 3, "truth": "truth.csv", "checks": False, "n_regions": 9},
        {"question": 'What "is" seen?\nReally: # no comment', "author": "\u00c5 \u2713", "L": 0.01, "batch_size": 3},
    ],
)
def test_a_plan_comes_back_from_its_file(tmp_path, changed):
    plan = Plan(**GIVEN, **changed)
    plan.save(tmp_path / "plan.toml", {"hours": 1.5})
    assert Plan.load(tmp_path / "plan.toml") == plan
    # any reader of TOML sees the same
    told = tomllib.loads((tmp_path / "plan.toml").read_text(encoding="utf-8"))
    assert told.pop("cost") == {"hours": 1.5}
    assert told == plan.to_dict()


def test_all_that_is_wrong_is_told_at_once(tmp_path):
    text = """
        schema = 1
        [model]
        preprocessing = "tf"
        modle = "a.onnx"
        [pictures]
        places = []
        choice = "some"
        [query]
        n_queries = 0
        grid = [1]
        at = 1.0
        law = "gauss"
        n_querys = 5
        [estimate]
        L = "best"
        [curves]
        steps = -1
        [checks]
        checks = "yes"
        placebos = -1
        [work]
        workers = 0
        [extra]
        a = 1
    """
    (tmp_path / "plan.toml").write_text(text)
    with pytest.raises(PlanError) as caught:
        Plan.load(tmp_path / "plan.toml")
    told = "\n".join(caught.value.problems)
    keys = (
        "extra", "model.modle", "model.model", "pictures.places", "pictures.choice", "query.n_queries", "query.grid",
        "query.at", "query.law", "query.n_querys", "L", "curves.steps", "checks.checks", "checks.placebos",
        "work.workers",
    )  # fmt: skip
    missing = [key for key in keys if f"`{key}` must be" not in told]
    assert not missing, f"{missing} in\n{told}"
    assert len(caught.value.problems) == len(keys)
    assert f"{len(keys)} things to mend" in str(caught.value)


def test_at_most_one_way_to_L():
    with pytest.raises(PlanError, match="L_ratio"):
        Plan(**GIVEN, L="heldout", L_ratio=0.1)


def test_what_is_resolved_is_what_explain_takes():
    plan = Plan(**GIVEN).resolved((224, 224))
    assert (plan.grid, plan.scale, plan.perturbation) == ((28, 28), 0.5, Blend("blur", at=0.5))
    assert (plan.law, plan.n_queries) == ("blocks", 2000)
    added = Plan(**GIVEN, operator="additive", grid=(14, 14)).resolved((224, 224))
    assert (added.grid, added.scale, added.perturbation) == ((14, 14), 0.02, Additive())
    assert (added.law, added.n_queries) == ("structured", 6000)
    assert plan.resolved((112, 112)) == plan


def test_differences_are_named_but_for_the_work():
    plan = Plan(**GIVEN)
    other = Plan(**{**GIVEN, "model": {"model": "b.onnx"}}, seed=1, workers=4, max_failures=0, scale=0.1)
    assert plan.differences(other) == ["model.model", "model.preprocessing", "model.constants", "query.seed",
                                       "query.scale"]  # fmt: skip
    assert plan.differences(Plan(**GIVEN, workers=3)) == []


def test_a_missing_file_is_no_plan(tmp_path):
    with pytest.raises(PlanError, match="the TOML file of a plan"):
        Plan.load(tmp_path / "none.toml")
    (tmp_path / "broken.toml").write_text("[query")
    with pytest.raises(PlanError, match="TOMLDecodeError"):
        Plan.load(tmp_path / "broken.toml")
