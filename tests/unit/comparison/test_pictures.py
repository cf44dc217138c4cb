"""What is reported of pictures, which are dropped, what becomes of constant maps, and the tables."""

import numpy as np
import pytest

import legstat as ls
from legstat.comparison.measure import told_apart
from legstat.comparison.methods.controls import CentreMap, RandomMap
from legstat.data import digits_model_path, load_digit

NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
PICTURES = {f"digit {i}": load_digit(i) for i in range(4)}
IMAGES = {name: image for name, (image, _) in PICTURES.items()}


@pytest.fixture(scope="module")
def network() -> ls.Response:
    return ls.onnx_response(digits_model_path(), preprocessing="unit", labels=NAMES)


def run(network, **changed):
    given = {"methods": [CentreMap((8, 8))], "n_queries": [0], "metrics": ["deletion"], "progress": False, **changed}
    return ls.compare(given.pop("methods"), network, IMAGES, **given)


def test_facts_are_those_of_the_network(network):
    truth = {name: NAMES[label] for name, (_, label) in PICTURES.items()}
    truth["digit 1"] = (PICTURES["digit 1"][1] + 1) % 10
    del truth["digit 3"]
    found = run(network, labels=truth)
    logits = network.class_outputs(np.stack(list(IMAGES.values())).astype(np.float32)).astype(float)
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    for i, (name, facts) in enumerate(found.pictures.items()):
        first = int(np.argmax(logits[i]))
        assert (facts["target"], facts["first_choice"], facts["target_label"]) == (first, first, NAMES[first])
        assert facts["probability"] == pytest.approx(chances[i, first], rel=1e-5)
        rows = [row for row in found.rows if row["picture"] == name]
        assert {(row["target"], row["target_label"], row["probability"]) for row in rows} == {
            (first, NAMES[first], facts["probability"])
        }
    assert [one["right"] for one in found.pictures.values()] == [True, False, True, None]
    assert not found.dropped
    dropped = run(network, labels=truth, wrong="drop")
    assert list(dropped.dropped) == ["digit 1"]
    assert "label is" in dropped.dropped["digit 1"]
    # the others have the numbers that they had
    assert dropped.rows == [row for row in found.rows if row["picture"] != "digit 1"]
    # classes as a sequence, one for each picture
    again = run(network, labels=[label for _, label in PICTURES.values()])
    assert [one["right"] for one in again.pictures.values()] == [True] * 4


def test_the_least_probability_is_that_of_the_target(network):
    least = run(ls.onnx_response(digits_model_path(), preprocessing="unit", target=int(PICTURES["digit 0"][1])),
                least_score=0.5)  # fmt: skip
    assert len(least.dropped) == sum(label != PICTURES["digit 0"][1] for _, label in PICTURES.values())
    assert all("probability of its target" in reason for reason in least.dropped.values())
    f = ls.as_response(ls.simulate.linear(np.ones((2, 2)) / 4.0))
    some = ls.compare(["random"], f, [np.full((1, 8, 8), 0.2), np.random.default_rng(0).random((1, 8, 8))],
                      n_queries=[0], metrics=["road"], least_score=0.3, progress=False)  # fmt: skip
    assert list(some.dropped) == ["0"]
    assert "its score is" in some.dropped["0"]
    assert some.pictures["1"]["target"] is some.pictures["1"]["probability"] is None


class Flat:
    name, least = "flat", 0

    def __call__(self, response, image, n_queries, rng):
        return ls.MethodMap(np.full((8, 8), -1.0), 0)


def test_constant_maps_are_ranked_by_the_seed_and_told(network):
    with pytest.warns(ls.LegstatWarning, match="4 of 8 maps are constant.*'flat'.*at random by the seed"):
        found = run(network, methods=[Flat(), RandomMap((8, 8))])
    flat = [row for row in found.rows if row["method"] == "flat"]
    assert {row["tied"] for row in flat} == {64}
    assert {row["tied"] for row in found.rows if row["method"] == "random"} == {0}
    with pytest.warns(ls.LegstatWarning):
        again = run(network, methods=[Flat()])
    assert [row["value"] for row in again.rows] == [row["value"] for row in flat]
    with pytest.warns(ls.LegstatWarning):
        other = run(network, methods=[Flat()], rng=1)
    assert [row["value"] for row in other.rows] != [row["value"] for row in flat]


def test_told_apart_keeps_all_but_constant_maps():
    rng = np.random.default_rng(0)
    tied = np.array([[1.0, 1.0], [1.0, 0.0]])
    assert told_apart(tied, rng) is tied
    for level in (-2.0, 0.0, 3.0):
        made = told_apart(np.full((2, 2), level), rng)
        assert len(np.unique(made)) == 4
        assert (made < 0.0).all() == (level < 0.0)


def test_every_metric_by_name(network):
    names = ["deletion", "insertion", "insertion_minus_deletion", "key_size", "log_odds_ratio", "patch_correlation"]
    names += ["infidelity", "road", "smallest_box", "max_sensitivity"]
    found = run(network, methods=["centre", "random"], metrics=names)
    assert set(found.high_is_good) == set(names) == set(ls.Comparison([]).high_is_good)
    bound, _ = network.bind(IMAGES["digit 0"])
    centre = next(one for one in found.outcomes if one.method == "centre").saliency
    rng = [np.random.default_rng([0, 0]) for _ in range(4)]
    expected = {
        "road": ls.metrics.road(bound, IMAGES["digit 0"], centre, rng=rng[0]).area,
        "infidelity": ls.metrics.infidelity(bound, IMAGES["digit 0"], centre, rng=rng[1]),
        "log_odds_ratio": ls.metrics.masking_curve(
            bound, IMAGES["digit 0"], centre, rng=rng[2]
        ).log_odds_ratios[1:].mean(),
        "patch_correlation": ls.metrics.patch_deletions(bound, IMAGES["digit 0"], centre).correlation,
        "smallest_box": ls.metrics.smallest_box(bound, IMAGES["digit 0"], centre).area,
        "max_sensitivity": 0.0,  # the centre is where it was
    }  # fmt: skip
    rows = [row for row in found.rows if (row["method"], row["picture"]) == ("centre", "digit 0")]
    assert {row["metric"]: row["value"] for row in rows}.items() >= expected.items()


def test_summary_prints_as_tables_and_ranks_add_up(network):
    found = run(network, methods=["centre", "random", "edges"], metrics=["deletion", "key_size"])
    summary = found.summary(level=0.9)
    text = str(summary)
    assert "deletion: low is good" in text
    assert "90 % interval" in text
    for mean in summary[summary["metric"] == "deletion"]["mean"]:
        assert f"{mean:.4g}" in text
    assert "<table" in summary.tables().as_html()
    assert str(summary[summary["metric"] == "deletion"]["mean"].dtype) == "float64"
    ranks = found.ranks()
    assert (ranks.groupby("metric")["rank"].sum() == 6.0).all()
    merged = summary.merge(ranks, on=["metric", "n_queries", "method"])
    assert (merged["rank_x"] == merged["rank_y"]).all()
    # with ties several may be first
    assert (ranks.groupby("metric")["first"].sum() >= 1.0).all()
