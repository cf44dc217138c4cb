"""The comparison's rows, its statistics against simulation and other libraries, stopping and going on."""

import numpy as np
import pytest

import legstat as ls
from legstat.comparison.methods.controls import CentreMap, RandomMap
from legstat.comparison.methods.masks import Rise
from legstat.comparison.statistics import mean_ranks, paired_differences, pseudo_values, restricted_mean
from legstat.data import digits_model_path, load_digit

METHODS = (Rise((8, 8), cells=4), CentreMap((8, 8)), RandomMap((8, 8)))


@pytest.fixture(scope="module")
def network() -> ls.Response:
    return ls.onnx_response(digits_model_path(), preprocessing="unit", score="log_odds")


@pytest.fixture(scope="module")
def images() -> dict[str, np.ndarray]:
    return {f"digit {i}": load_digit(i)[0] for i in range(4)}


@pytest.fixture(scope="module")
def found(network, images) -> ls.Comparison:
    return ls.compare(METHODS, network, images, n_queries=(40, 80), rng=1, progress=False)


def test_rows_are_the_metrics_of_the_methods_maps(found, network, images):
    frame = found.to_frame()
    assert len(frame) == 3 * 2 * 4 * 4
    for number, (name, image) in enumerate(images.items()):
        bound, _ = network.bind(image)
        rows = frame[(frame.picture == name) & (frame.method == "centre") & (frame.n_queries == 40)]
        values = dict(zip(rows.metric, rows.value, strict=True))
        centre = CentreMap((8, 8))(bound, image, 0, 0).saliency
        ties = [np.random.default_rng([1, number]) for _ in range(3)]  # the seed's, for each picture
        assert values["deletion"] == ls.metrics.deletion(bound, image, centre, rng=ties[0]).area
        assert values["insertion"] == ls.metrics.insertion(bound, image, centre, rng=ties[1]).area
        assert values["insertion_minus_deletion"] == values["insertion"] - values["deletion"]
        assert values["key_size"] == ls.metrics.key_size(bound, image, centre, rng=ties[2]).size
        assert (rows.asked.tolist(), set(rows.tied)) == ([57, 57, 0, rows.asked.iloc[-1]], {64})
    assert (frame[frame.method == "rise"].spent == frame[frame.method == "rise"].n_queries).all()


def test_outcomes_are_the_maps_and_the_curves_behind_the_areas(found, network, images, tmp_path):
    assert len(found.outcomes) == 3 * 2 * 4
    areas = {(row["method"], row["n_queries"], row["picture"], row["metric"]): row["value"] for row in found.rows}
    for one in found.outcomes:
        assert list(one.curves) == ["deletion", "insertion"]
        for kind, curve in one.curves.items():
            assert curve.area == areas[one.method, one.n_queries, one.picture, kind]
    centre = next(one for one in found.outcomes if (one.method, one.picture) == ("centre", "digit 2"))
    np.testing.assert_array_equal(centre.saliency, CentreMap((8, 8))(network, images["digit 2"], 0, 0).saliency)
    found.save(tmp_path / "comparison.json")
    again = ls.Comparison.load(tmp_path / "comparison.json")
    # numbers are written without loss
    assert [one.to_dict() for one in again.outcomes] == [one.to_dict() for one in found.outcomes]
    stored = [
        ls.compare(METHODS[1:], network, images, n_queries=[0], store=tmp_path / "s", progress=False) for _ in range(2)
    ]
    assert [one.to_dict() for one in stored[0].outcomes] == [one.to_dict() for one in stored[1].outcomes]


def test_what_else_is_compared_changes_nothing(found, network, images):
    alone = ls.compare([METHODS[0]], network, images, n_queries=[80], rng=1, progress=False).to_frame()
    both = found.to_frame()
    both = both[(both.method == "rise") & (both.n_queries == 80)]
    assert alone.value.tolist() == both.value.tolist()


def test_a_comparison_that_stopped_goes_on(tmp_path, network, images):
    class Stopping:
        name, least = "stopping", 0
        calls = 0

        def __call__(self, response, image, n_queries, rng):
            Stopping.calls += 1
            if Stopping.calls == 3:
                raise KeyboardInterrupt
            return RandomMap((8, 8))(response, image, n_queries, rng)

        def __repr__(self) -> str:
            return "Stopping()"

    methods = (*METHODS[1:], Stopping())
    with pytest.raises(KeyboardInterrupt):
        ls.compare(methods, network, images, n_queries=[40], store=tmp_path, progress=False)
    kept = len(list(tmp_path.glob("*.json")))
    assert kept == 2 * 3 + 2  # two pictures whole, of the third what came before
    done = ls.compare(methods, network, images, n_queries=[40], store=tmp_path, progress=False)
    assert Stopping.calls == 5  # nothing made twice
    again = ls.compare(methods, network, images, n_queries=[40], store=tmp_path, progress=False)
    assert Stopping.calls == 5
    assert done.rows == again.rows
    assert done.rows == ls.compare(methods, network, images, n_queries=[40], progress=False).rows


def test_saved_and_loaded(found, tmp_path):
    found.save(tmp_path / "comparison.json")
    assert ls.Comparison.load(tmp_path / "comparison.json").rows == found.rows
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(ValueError, match=r"Comparison\.save"):
        ls.Comparison.load(tmp_path / "other.json")


def test_summary_and_differences(found):
    summary = found.summary()
    frame = found.to_frame()
    mine = frame[(frame.metric == "insertion") & (frame.method == "rise") & (frame.n_queries == 80)].value
    row = summary[(summary.metric == "insertion") & (summary.method == "rise") & (summary.n_queries == 80)].iloc[0]
    assert row["mean"] == pytest.approx(mine.mean())
    assert row["std_error"] == pytest.approx(mine.std(ddof=1) / 2)
    differences = found.differences("centre")
    assert set(differences.method) == {"rise", "random"}
    fixed = found.differences("rise", at=40)
    assert set(zip(fixed.method, fixed.n_queries, strict=True)) == {
        *(("centre", n) for n in (40, 80)),
        *(("random", n) for n in (40, 80)),
        ("rise", 80),
    }
    with pytest.raises(ValueError, match="against"):
        found.differences("mask")


def test_single_difference_is_students_paired_test():
    import scipy.stats

    d = np.random.default_rng(0).standard_normal(12) + 0.4
    found = paired_differences(d[None], 0.95)
    low, high = scipy.stats.ttest_1samp(d, 0.0).confidence_interval(0.95)
    # the quantile is drawn: 20,000 draws of |t| have a relative error of some 1 % at 95 %
    np.testing.assert_allclose([found.low[0], found.high[0]], [low, high], atol=0.03 * (high - low), rtol=0)
    assert found.pvalues[0] == pytest.approx(scipy.stats.ttest_1samp(d, 0.0).pvalue, abs=0.01)


def test_differences_that_never_vary_are_no_division_by_zero():
    with np.errstate(all="raise"):
        found = paired_differences(np.array([[0.0] * 4, [0.5] * 4, [1.0, -1.0, 2.0, -2.0]]), 0.95)
    assert found.std_errors[:2].tolist() == [0.0, 0.0]
    assert found.low[:2].tolist() == found.high[:2].tolist() == [0.0, 0.5]
    assert found.pvalues[0] == found.pvalues[2] == 1.0  # means of 0
    assert found.pvalues[1] < 1e-4  # of 20,000 draws none is infinite


@pytest.mark.slow
def test_simultaneous_intervals_cover_and_the_familywise_error_holds():
    rng = np.random.default_rng(0)
    k, n, runs = 6, 20, 600
    root = np.linalg.cholesky(0.6 * np.ones((k, k)) + 0.4 * np.eye(k))
    covered = rejected = 0
    for _ in range(runs):
        found = paired_differences(root @ rng.standard_normal((k, n)), 0.95)
        covered += bool(np.all((found.low <= 0) & (found.high >= 0)))
        rejected += bool((found.pvalues < 0.05).any())
    error = np.sqrt(0.05 * 0.95 / runs)
    assert abs(covered / runs - 0.95) < 3 * error
    assert rejected / runs < 0.05 + 3 * error


def test_restricted_means_are_unbiased_where_plain_means_are_not():
    rng = np.random.default_rng(0)
    truth = np.minimum(rng.exponential(0.3, 200_000), 0.5).mean()
    plain, kept = [], []
    for _ in range(200):
        size, horizon = rng.exponential(0.3, 80), rng.uniform(0.2, 1.0, 80)
        censored = size > horizon
        seen = np.minimum(size, horizon)
        plain.append(np.minimum(seen, 0.5).mean())
        kept.append(restricted_mean(seen, censored, 0.5))
    error = np.std(kept) / np.sqrt(200)
    assert abs(np.mean(kept) - truth) < 4 * error
    assert abs(np.mean(plain) - truth) > 6 * error


def test_pseudo_values_average_to_the_restricted_mean():
    rng = np.random.default_rng(1)
    size, censored = rng.random(15).round(2), rng.random(15) < 0.3
    values = pseudo_values(size, censored, 0.9)
    assert values.mean() == pytest.approx(restricted_mean(size, censored, 0.9), abs=0.05)
    plain = pseudo_values(size, np.zeros(15, dtype=bool), 0.9)
    np.testing.assert_allclose(plain, np.minimum(size, 0.9), rtol=0, atol=1e-12)
    assert restricted_mean(np.ones(3), np.ones(3, dtype=bool), 1.0) == 1.0


def test_ranks_of_a_known_order():
    values = np.array([[0.9, 0.8, 0.7], [0.5, 0.6, 0.7], [0.1, 0.1, 0.1]])
    ranks, errors = mean_ranks(values, high_is_good=True)
    np.testing.assert_allclose(ranks, [(1 + 1 + 1.5) / 3, (2 + 2 + 1.5) / 3, 3.0])
    assert errors[2] == 0.0


def test_every_method_by_name_on_a_small_picture(network, images):
    pytest.importorskip("shap", reason="needs the package shap")
    pytest.importorskip("shapiq", reason="needs the package shapiq")
    pytest.importorskip("skimage", reason="needs the extra compare")
    names = ["leg", "legtv", "rise", "lime_cells", "lime_superpixels", "kernelshap"]
    names += ["shapley_pairs", "c_shapley", "c_shapley_regression", "sobol", "hsic"]
    names += ["occlusion", "occlusion_blur", "occlusion_variable"]
    names += ["centre", "random", "edges"]
    one = {"digit": images["digit 1"]}
    found = ls.compare(names, network, one, n_queries=[320], metrics=["insertion"], progress=False).to_frame()
    assert found.method.tolist() == names
    assert (found.spent <= 320).all()


def test_unsure_pictures_are_dropped_and_listed(network, images):
    found = ls.compare([METHODS[1]], network, images, n_queries=[0], least_score=0.999999, progress=False)
    assert found.dropped
    assert all("below" in reason for reason in found.dropped.values())


BAD = [
    ("methods", lambda f, x: ls.compare(["grad"], f, x)),
    ("methods", lambda f, x: ls.compare([], f, x)),
    ("methods", lambda f, x: ls.compare([METHODS[0], METHODS[0]], f, x)),
    ("methods", lambda f, x: ls.compare([3], f, x)),
    ("n_queries", lambda f, x: ls.compare(["leg"], f, x, n_queries=[50])),
    ("n_queries", lambda f, x: ls.compare(["rise"], f, x, n_queries=[])),
    ("metrics", lambda f, x: ls.compare(["rise"], f, x, metrics=["auc"])),
    ("images", lambda f, x: ls.compare(["rise"], f, {})),
    ("image", lambda f, x: ls.compare(["rise"], f, [np.zeros((8, 8))])),
    ("least_score", lambda f, x: ls.compare(["rise"], f, x, least_score=2)),
    ("key_size", lambda f, x: ls.compare(["rise"], ls.as_response(len), x)),
]


@pytest.mark.parametrize(("argument", "call"), BAD)
def test_bad_input_is_refused_before_any_map(argument, call, network, images, monkeypatch):
    monkeypatch.setattr(type(network), "bind", lambda *a: pytest.fail("evaluated"))
    with pytest.raises((ValueError, TypeError), match=r"legstat\.") as caught:
        call(network, images)
    assert argument in str(caught.value)
