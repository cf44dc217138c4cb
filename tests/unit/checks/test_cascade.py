"""Cascading randomisation and the other class's map, on a trained network and on untrained ones."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest

import legstat as ls
from legstat import checks
from legstat.checks.cascades import judged
from legstat.checks.classes import _statistic
from legstat.data import digits_model_path, load_digit
from legstat.metrics.faithfulness import rank_correlation

IMAGE = load_digit(0)[0]


@pytest.fixture(autouse=True)
def ranks_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Structure and gradients take twenty times as long as ranks, and decide nothing."""
    monkeypatch.setattr("legstat.checks.likeness._measures", lambda a, b: {"spearman": rank_correlation(a, b)})


DESIGN = ls.MultiscaleBlocks(grid=(8, 8))


def queried(f: ls.Response, n_queries: int = 600, rng: int = 0) -> ls.QuerySample:
    return ls.query(f, IMAGE, DESIGN, perturbation=ls.Blend("blur", at=0.5), n_queries=n_queries, rng=rng)


@pytest.fixture(scope="module")
def trained() -> ls.OnnxResponse:
    return ls.onnx_response(digits_model_path(), preprocessing="unit")


@pytest.fixture(scope="module")
def run(trained: ls.OnnxResponse) -> checks.Cascade:
    return checks.cascade(trained, queried(trained), n_queries=600, rng=0)


def test_a_cascade_has_the_maps_that_calls_by_hand_give(
    trained: ls.OnnxResponse, run: checks.Cascade, tmp_path: Path
) -> None:
    assert run.layers == (0, 0, 1, 2, 3)
    np.testing.assert_allclose(run.shares, [0, 0, 5130 / 9930, 9770 / 9930, 1.0], rtol=1e-12)
    seed, first, *_ = np.random.default_rng(0).integers(2**63, size=6).tolist()
    sample = queried(trained, rng=first)
    tv = ls.LEGTV(sample).fit(L_ratio=0.1)
    np.testing.assert_array_equal(run.legtv[0], tv.saliency)
    np.testing.assert_array_equal(run.leg[0], ls.LEG(tv.moments).fit().saliency)
    assert run.facts[0]["f_x0"] == sample.f_x0
    # and the last one is that of the file with all weights replaced, asked for the same class
    fresh = checks.randomize(digits_model_path(), tmp_path / "r.onnx", rng=seed)
    again = ls.onnx_response(fresh, preprocessing="unit", target=sample.response["target"]).bind(IMAGE)
    assert run.facts[-1]["f_x0"] == again[1]


def test_the_same_seed_gives_the_same_maps(trained: ls.OnnxResponse, run: checks.Cascade) -> None:
    again = checks.cascade(trained.with_batch_size(3), queried(trained), n_queries=600, rng=0)
    np.testing.assert_array_equal(again.leg, run.leg)
    np.testing.assert_array_equal(again.legtv, run.legtv)


def test_evaluations_are_counted(run: checks.Cascade) -> None:
    assert run.evaluations >= 5 * 599 + 1
    assert run.evaluations - 5 * 600 < 5 * 30  # and what settling each network takes


def test_randomisation_is_noticed_on_a_trained_network(run: checks.Cascade) -> None:
    found = judged(run, rng=0)
    assert found.status == "passed", found.details
    assert found.details["repeated"]["legtv_pvalues"]["spearman"] <= 0.01
    assert found.value is not None
    assert found.value > 0.01
    assert [row["layers"] for row in found.details["cascade"]] == [1, 2, 3]


@pytest.mark.parametrize("law", ["normal", "uniform"])
def test_what_was_learnt_is_noticed_on_a_trained_network_and_not_on_an_untrained_one(
    trained: ls.OnnxResponse, tmp_path: Path, law: str
) -> None:
    sample = queried(trained, 42)
    found = checks.learnt_weights(trained, sample, rng=0)
    assert (found.status, found.value) == ("passed", 1 / 20)
    assert found.details["sd"] > 3 * max(found.details["sd_random"])
    assert found.evaluations >= 20 * 41
    untrained = ls.onnx_response(
        checks.randomize(digits_model_path(), tmp_path / "u.onnx", law=law, rng=1), preprocessing="unit"
    )
    assert checks.learnt_weights(untrained, sample, rng=0).status == "failed"


def test_each_network_is_asked_for_its_own_first_choice(trained: ls.OnnxResponse, tmp_path: Path) -> None:
    sample = queried(trained, 42)
    found = checks.learnt_weights(trained, sample, rng=3)
    seed, key = np.random.default_rng(3).integers(2**63, size=2).tolist()
    tops = set()
    for i in (1, 2, 3):
        fresh = checks.randomize(digits_model_path(), tmp_path / f"{i}.onnx", law="permuted", rng=[seed, i])
        again = queried(ls.onnx_response(fresh, preprocessing="unit"), 42, rng=key)
        assert found.details["sd_random"][i - 1] == again.responses.std()
        tops.add(again.response["target"])
    assert tops != {sample.response["target"]}


@pytest.mark.slow
def test_untrained_networks_are_called_trained_as_often_as_the_level_says(tmp_path: Path) -> None:
    pvalues = []
    for i in range(60):
        fresh = checks.randomize(digits_model_path(), tmp_path / f"{i}.onnx", law="normal", rng=i)
        f = ls.onnx_response(fresh, preprocessing="unit")
        found = checks.learnt_weights(f, queried(f, 42), n_queries=22, rng=i)
        pvalues.append(found.value)
    # exact ranks: uniform on 1/20, ..., 20/20, of mean 0.525 and standard deviation 0.288
    assert abs(np.mean(pvalues) - 0.525) < 3 * 0.288 / np.sqrt(60)
    assert np.mean(np.array(pvalues) <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 60)


def test_a_score_that_does_not_move_has_a_map_of_zeros(trained: ls.OnnxResponse, tmp_path: Path) -> None:
    still = checks.randomize(digits_model_path(), tmp_path / "s.onnx", law="uniform", layers=3, rng=0)
    # 0.05 for 1: each of three layers shrinks what moves by that factor or more
    import onnx

    model = onnx.load(still)
    for tensor in model.graph.initializer:
        if tensor.name.endswith("weight"):
            tensor.CopyFrom(onnx.numpy_helper.from_array(1e-4 * onnx.numpy_helper.to_array(tensor), tensor.name))
    onnx.save(model, still)
    f = ls.onnx_response(still, preprocessing="unit", target=0)
    run = checks.cascade(f, queried(trained), layers=[1], n_queries=100, rng=0)
    assert run.facts[0]["moves"] is False
    assert not run.legtv[0].any()
    assert judged(run, rng=0).status == "not_applicable"


def test_a_map_that_never_changes_fails(run: checks.Cascade) -> None:
    # what a method makes that looks at the picture alone
    rng = np.random.default_rng(0)
    stuck = run.legtv[0] + 0.1 * run.legtv[0].std() * rng.standard_normal(run.legtv.shape)
    found = judged(dataclasses.replace(run, legtv=stuck), rng=0)
    assert found.status == "failed"
    assert found.value is not None
    assert found.value <= 0.01


def test_a_map_of_noise_has_nothing_to_lose(run: checks.Cascade) -> None:
    noise = np.random.default_rng(1).standard_normal(run.legtv.shape)
    assert judged(dataclasses.replace(run, legtv=noise), rng=0).status == "not_applicable"


def test_answers_that_are_not_finite_are_told(trained: ls.OnnxResponse, monkeypatch: pytest.MonkeyPatch) -> None:
    import legstat.checks.layers as layers

    monkeypatch.setattr(layers, "HALF_WIDTH", 1e30)
    run = checks.cascade(trained, queried(trained), layers=[3], law="uniform", n_queries=200, rng=0)
    assert np.isnan(run.legtv[-1]).all()
    assert run.facts[-1]["reason"]
    assert judged(run, rng=0).status == "not_applicable"


def test_a_torch_module_is_randomised_too() -> None:
    torch = pytest.importorskip("torch", reason="modules are torch's")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = torch.nn.Sequential(
            torch.nn.Flatten(), torch.nn.Linear(64, 16), torch.nn.ReLU(), torch.nn.Linear(16, 10)
        )
    f = ls.torch_response(module, output_kind="logits", preprocessing="unit")
    run = checks.cascade(f, queried(f, 200), n_queries=200, rng=0)
    assert run.layers == (0, 0, 1, 2)
    assert np.isfinite(run.legtv).all()
    assert not np.allclose(run.legtv[0], run.legtv[-1])


def test_what_is_no_network_here_is_refused() -> None:
    f = ls.as_response(lambda x: x.mean(axis=(1, 2, 3)))
    sample = ls.query(f, IMAGE, DESIGN, perturbation=ls.Blend("blur"), n_queries=50, rng=0)
    with pytest.raises(TypeError, match="a network that runs here"):
        checks.cascade(f, sample)
    with pytest.raises(ValueError, match="`layers` must be a whole number from 1 to 3"):
        checks.cascade(ls.onnx_response(digits_model_path()), sample, layers=[4])


# ------------------------------------------------------------------------------------------------ the other target


def test_another_class_has_another_map(trained: ls.OnnxResponse) -> None:
    sample = queried(trained, 2000)
    found = checks.other_target(trained, sample, rng=0)
    assert found.status == "passed", found.details
    assert found.value == pytest.approx(1 / 35)
    assert found.details["within"] > found.details["between"]
    assert found.evaluations >= sample.ledger.spent


def test_a_class_with_the_same_map_is_noticed(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="modules are torch's")

    class Twins(torch.nn.Module):
        """Two classes with the same logit, against one that never moves."""

        def forward(self, x):  # torch's own convention
            one = x.flatten(1) @ torch.linspace(-1, 1, 64)
            return torch.stack([one, one, torch.zeros_like(one)], dim=1)

    f = ls.torch_response(Twins(), target=0, score="logit", output_kind="logits", preprocessing="unit")
    # a curved score, so that draws differ
    sample = queried(f, 600)
    found = checks.other_target(f, sample, target=1, rng=0)
    assert found.status == "failed"


def test_the_pvalue_is_that_of_all_ways_to_deal() -> None:
    # an exact permutation test: under exchangeability its p-value is at most a as often as a allows
    rng = np.random.default_rng(0)
    alike = rng.normal(size=(8, 8))
    alike = alike + alike.T
    pvalues = []
    for order in itertools.islice(itertools.permutations(range(8)), 0, 40320, 97):
        turned = alike[np.ix_(order, order)]
        dealt = [_statistic(turned, {0, *three}) for three in itertools.combinations(range(1, 8), 3)]
        pvalues.append(np.mean(np.array(dealt) >= _statistic(turned, {0, 1, 2, 3}) - 1e-12))
    assert np.mean(np.array(pvalues) <= 1 / 35 + 1e-9) == pytest.approx(1 / 35, abs=0.03)


def test_without_classes_there_is_no_other() -> None:
    f = ls.as_response(lambda x: x.mean(axis=(1, 2, 3)))
    sample = ls.query(f, IMAGE, DESIGN, perturbation=ls.Blend("blur"), n_queries=50, rng=0)
    assert checks.other_target(f, sample).status == "not_applicable"
    pair = ls.onnx_response(digits_model_path(), score="difference", target=(0, 1))
    assert checks.other_target(pair, queried(pair, 50)).status == "not_applicable"


# ----------------------------------------------------------------------------------------------------- all together


def test_all_checks_of_a_picture_and_of_a_run(trained: ls.OnnxResponse) -> None:
    found = ls.explain(
        trained, IMAGE, design=DESIGN, perturbation=ls.Blend("blur", at=0.5), n_queries=601, rng=0, progress=False
    )
    of_picture = checks.check_picture(found.sample, found.leg, found.tv, contrast=10.0, rng=0)
    names = ["score_moves", "predicts", "certified", "mean_shift", "enough_queries", "placebo"]
    assert [check.name for check in of_picture] == names
    assert all(check.evaluations == 0 for check in of_picture)
    digits = [load_digit(i) for i in range(12)]
    of_run = checks.check_run(
        trained, [x for x, _ in digits], [int(y) for _, y in digits], [found.sample], n_queries=600, rng=0
    )
    assert [check.name for check in of_run] == [
        "preprocessing",
        "batch_independence",
        "determinism",
        "other_target",
        "learnt_weights",
        "cascading_randomisation",
    ]
    assert all(check.ok for check in (*of_picture, *of_run)), [str(check) for check in of_run]
    assert [check.details["picture"] for check in of_run[3:]] == [0, 0, 0]
    import json

    json.dumps([check.to_dict() for check in (*of_picture, *of_run)], allow_nan=False)
