"""What pictures say together: shares inside objects, groups, mean maps, and intervals that cover."""

import numpy as np
import pandas as pd
import pytest
import scipy
import statsmodels.api as sm
from matplotlib.figure import Figure
from PIL import Image

import legstat as ls
from legstat.audit import AuditedPicture, AuditRun, Findings, Plan, audit
from legstat.audit.across import findings
from legstat.audit.mean_maps import MeanMap, mean_maps
from legstat.audit.shares import compare_groups, mean_shares, object_tests, shares_inside
from legstat.metrics import mass_inside
from tests.unit.audit.test_values import a_picture
from tests.unit.audit.world import QUICK, a_plan, a_store, network


def a_table(n=60, clusters=20, shift=0.0, seed=0, within=0.0):
    rng = np.random.default_rng(seed)
    cluster = np.arange(n) % clusters
    group = np.where(cluster % 2 == 0, "a", "b")
    y = rng.normal(size=n) + within * rng.normal(size=clusters)[cluster] + shift * (group == "a")
    return pd.DataFrame({"name": [f"{i}" for i in range(n)], "group": group, "patient": cluster, "share": y,
                         "area": 0.25, "excess": y - 0.25})  # fmt: skip


def test_the_mean_share_is_a_mean_with_its_cluster_robust_error():
    """By the formula of the sandwich for a mean: sums within clusters, squared."""
    table = a_table(within=1.0)
    row = mean_shares(table, cluster="patient", level=0.9).iloc[0]
    y, code = table["share"].to_numpy(), table["patient"].to_numpy()
    sums = np.array([(y - y.mean())[code == c].sum() for c in range(20)])
    error = np.sqrt(20 / 19 * np.sum(sums**2)) / 60
    half = scipy.stats.t.ppf(0.95, 19) * error
    np.testing.assert_allclose([row["share"], row["share_low"]], [y.mean(), y.mean() - half], rtol=1e-10)
    np.testing.assert_allclose(row["pvalue"], 2 * scipy.stats.t.sf(abs((y.mean() - 0.25) / error), 19), rtol=1e-8)
    assert (row["group"], row["pictures"], row["clusters"]) == ("all", 60, 20)
    # each picture by itself: the usual standard error of a mean
    alone = mean_shares(table).iloc[0]
    half = scipy.stats.t.ppf(0.975, 59) * y.std(ddof=1) / np.sqrt(60)
    np.testing.assert_allclose(alone["share_high"] - alone["share"], half, rtol=1e-10)


def test_two_groups_are_compared_as_statsmodels_does():
    table = a_table(n=80, clusters=40, shift=1.0, within=0.5)
    row = compare_groups(table, cluster="patient").iloc[0]
    x = sm.add_constant((table["group"] == "a").astype(float))
    fitted = sm.OLS(table["excess"], x).fit(cov_type="cluster", cov_kwds={"groups": table["patient"]}, use_t=True)
    assert (row["a"], row["b"]) == ("a", "b")
    np.testing.assert_allclose([row["difference"], row["pvalue"]], [fitted.params.iloc[1], fitted.pvalues.iloc[1]],
                               rtol=1e-8)  # fmt: skip
    np.testing.assert_allclose([row["low"], row["high"]], fitted.conf_int().iloc[1], rtol=1e-8)


def test_pairs_of_groups_are_corrected_together():
    table = a_table(n=120, clusters=120, shift=0.4)
    table.loc[::3, "group"] = "c"
    frame = compare_groups(table)
    assert list(zip(frame["a"], frame["b"], strict=True)) == [("a", "b"), ("a", "c"), ("b", "c")]
    order = np.argsort(frame["pvalue"])
    holm = np.maximum.accumulate(frame["pvalue"].to_numpy()[order] * [3, 2, 1]).clip(max=1)
    np.testing.assert_allclose(frame["pvalue_adjusted"].to_numpy()[order], holm, rtol=1e-12)


def test_too_few_clusters_have_no_intervals():
    few = a_table(n=40, clusters=19)
    row = mean_shares(few, cluster="patient").iloc[0]
    assert np.isfinite(row["share"])
    assert np.isnan([row["share_low"], row["pvalue"]]).all()
    pair = compare_groups(a_table(n=60, clusters=30), cluster="patient").iloc[0]
    assert np.isfinite(pair["difference"])
    assert np.isnan([pair["pvalue"], pair["pvalue_adjusted"]]).all()
    for frame, wrong in ((few.assign(group="a"), "two groups"), (few.drop(columns="patient"), "a column of the table")):
        with pytest.raises(ValueError, match=wrong):
            compare_groups(frame, cluster="patient")


def test_a_mean_map_is_a_mean_in_each_cell():
    rng = np.random.default_rng(1)
    maps, cluster = rng.normal(size=(60, 3, 2)), np.arange(60) % 20
    one = MeanMap.of("g", maps, cluster)
    for cell in ((0, 0), (2, 1)):
        table = pd.DataFrame({"name": np.arange(60), "group": "g", "share": maps[:, *cell], "area": 0.0, "c": cluster,
                              "excess": maps[:, *cell]})  # fmt: skip
        row = mean_shares(table, cluster="c").iloc[0]
        np.testing.assert_allclose(one.conf_int()[cell], [row["share_low"], row["share_high"]], rtol=1e-9)
        np.testing.assert_allclose(one.pvalues[cell], row["pvalue"], rtol=1e-8)
    with pytest.raises(ls.InferenceUnavailableError, match="19 clusters"):
        MeanMap.of("g", np.concatenate([maps] * 2)[:19], np.arange(19)).conf_int()


def test_cells_that_differ_from_0_are_those_of_all_signs():
    """The test by hand: with 20 clusters of unequal size, every t from a fit of its own, the largest of each draw."""
    rng = np.random.default_rng(4)
    cluster = np.concatenate([np.arange(20), np.arange(7), [0, 1]])
    maps = rng.normal(size=(29, 3, 3)) + np.linspace(0.0, 2.5, 9).reshape(3, 3)
    one = MeanMap.of("g", maps, cluster)

    def abs_t(values):
        fitted = sm.OLS(values, np.ones(29)).fit(
            cov_type="cluster", cov_kwds={"groups": cluster, "df_correction": False}
        )
        return abs(fitted.tvalues[0]) * np.sqrt(19 / 20)

    signs = np.random.default_rng(7).choice([-1.0, 1.0], size=(200, 20))
    flat = maps.reshape(29, -1)
    largest = [max(abs_t(sign[cluster] * flat[:, c]) for c in range(9)) for sign in signs]
    observed = np.array([abs_t(flat[:, c]) for c in range(9)])
    expected = observed > np.quantile(largest, 0.8, method="higher")
    assert 0 < expected.sum() < 9
    np.testing.assert_array_equal(one.significant(alpha=0.2, n_draws=200, rng=7).ravel(), expected)
    few = MeanMap.of("g", np.full((19, 2, 2), 5.0), np.arange(19))
    assert not few.has_intervals
    assert not few.significant().any()


@pytest.mark.parametrize("law", ["normal", "heavy", "together", "sparse"])
@pytest.mark.parametrize("replicates", [100, pytest.param(2000, marks=pytest.mark.slow)])
def test_cells_whose_mean_is_0_are_rarely_named(law, replicates):
    """784 cells, 20 pictures: a multiplier bootstrap with fixed standard errors names some in 13 of 100 cases."""
    rng, named = np.random.default_rng(6), 0
    for _ in range(replicates):
        if law == "normal":
            maps = rng.normal(size=(20, 28, 28))
        elif law == "heavy":
            maps = rng.standard_t(3, size=(20, 28, 28))
        else:
            maps = np.kron(rng.normal(size=(20, 7, 7)), np.ones((1, 4, 4)))
            maps = maps + 0.3 * rng.normal(size=(20, 28, 28)) if law == "together" else maps * (np.abs(maps) > 1.5)
        named += MeanMap.of("g", maps, np.arange(20)).significant(n_draws=300, rng=rng).any()
    # 5 %, less where many draws are equal; 4 Monte Carlo errors
    assert named / replicates < 0.05 + 4 * np.sqrt(0.05 * 0.95 / replicates)
    if law == "normal":
        assert named / replicates > 0.05 - 4 * np.sqrt(0.05 * 0.95 / replicates)


@pytest.mark.parametrize("replicates", [400, pytest.param(4000, marks=pytest.mark.slow)])
def test_intervals_over_pictures_cover(replicates):
    """Skewed cells, dependent within clusters: 30 clusters of two pictures, 36 cells."""
    rng = np.random.default_rng(5)
    cells = 0.0
    for _ in range(replicates):
        common = rng.exponential(size=(30, 1, 6, 6)) + rng.normal(size=(30, 1, 1, 1))
        common = common + rng.exponential(size=(30, 2, 6, 6))
        one = MeanMap.of("g", common.reshape(60, 6, 6), np.repeat(np.arange(30), 2))
        low, high = np.moveaxis(one.conf_int(), -1, 0)
        cells += float(((low <= 2.0) & (high >= 2.0)).mean())
    # 95 % within 4 Monte Carlo errors, and a skewed mean of 30 clusters costs its t interval some 1 %
    error = 4 * np.sqrt(0.95 * 0.05 / replicates)
    assert cells / replicates > 0.935 - error / 2


# ---------------------------------------------------------------- from pictures on


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A score that sees a corner: in group "seen" it is the object's, in group "beside" it is not."""
    home = tmp_path_factory.mktemp("across")
    rng = np.random.default_rng(0)
    rows = []
    for i in range(48):
        Image.fromarray(rng.integers(60, 200, (8, 8)).astype(np.uint8)).save(home / f"p{i}.png")
        group = "seen" if i % 2 == 0 else "beside"
        rows.append({"file": f"p{i}.png", "group": group, "boxes": "0 0 4 4" if group == "seen" else "4 4 8 8"})
    rows[0] = {**rows[0], "boxes": None, "mask": "mask.png"}
    mask = np.zeros((8, 8), dtype=np.uint8)
    mask[:4, :4] = 255
    Image.fromarray(mask).save(home / "mask.png")
    pd.DataFrame(rows).to_csv(home / "t.csv", index=False)
    plan = Plan(places=(str(home / "t.csv"),), model={"model": "f"}, operator="black", **{**QUICK, "grid": (4, 4)})
    return audit(ls.as_response(_corner), plan, home / "run", progress=False)


def _corner(images):
    return np.tanh(images[:, :, :4, :4].mean(axis=(1, 2, 3)))


def test_the_share_inside_is_the_metric_s(run):
    shares = shares_inside(run)
    assert len(shares) == 48
    one = run.picture("p3.png")
    box = np.zeros((4, 4), dtype=bool)
    box[2:, 2:] = True
    np.testing.assert_allclose(shares["share"][3], mass_inside(one.legtv, box), rtol=1e-12)
    np.testing.assert_array_equal(run.picture("p0.png").inside, np.flip(box))  # by its mask
    assert (shares["area"] == 0.25).all()
    found = mean_shares(shares).set_index("group")
    assert found.loc["seen", "excess_low"] > 0.5  # of at most .75
    assert found.loc["beside", "excess_high"] < -0.15  # of at least -.25
    differ = compare_groups(shares).iloc[0]
    assert differ["difference"] < -0.7
    assert differ["pvalue"] < 1e-6


def test_the_object_is_tested_in_each_picture(run):
    tests = object_tests(run)
    one = run.picture("p3.png")
    weights = np.where(one.inside > 0.5, 1 / 4, -1 / 12)
    np.testing.assert_allclose(tests["estimate"][3], (weights * one.leg).sum(), rtol=1e-10)
    assert (tests["pvalue_adjusted"] >= tests["pvalue"]).all()
    assert (np.sign(tests["estimate"]) == np.where(tests["group"] == "seen", 1, -1)).all()
    assert (tests["pvalue_adjusted"] < 0.05).all()


def test_mean_maps_by_group(run):
    found = {one.group: one for one in mean_maps(run)}
    assert list(found) == ["all", "beside", "seen"]
    expected = np.mean([p.legtv / np.abs(p.legtv).sum() for p in run if p.facts["group"] == "seen"], axis=0)
    np.testing.assert_allclose(found["seen"].mean, expected, rtol=1e-12)
    assert found["all"].significant()[:2, :2].all()
    assert not found["all"].significant()[2:, 2:].any()
    with pytest.raises(ValueError, match="`cluster` must be one of"):
        mean_maps(run, cluster="patient")


def test_findings_in_one_table(run):
    frame = pd.read_csv(run.folder / "findings.csv")
    assert frame["finding"].tolist() == ["share inside"] * 3 + ["groups differ", "object matters"]
    assert frame["group"].tolist() == ["all", "beside", "seen", "beside - seen", "all"]
    assert frame["estimate"].iloc[-1] == frame["pictures"].iloc[-1] == 48
    shares = mean_shares(shares_inside(run)).set_index("group")
    np.testing.assert_allclose(frame["low"][:3], shares["share_low"], rtol=1e-12)
    found = findings(run)
    pd.testing.assert_frame_equal(found.to_frame(), frame, check_dtype=False)  # rtol of a text file: 1e-5
    assert [one.group for one in found.mean_maps] == ["all", "beside", "seen"]


def test_what_is_drawn_is_what_was_found(run):
    found = findings(run)
    given = Figure().subplots(1, 5)
    assert list(found.plot(given)) == list(given)
    with pytest.raises(ValueError, match="`axes` must be 5 axes"):
        found.plot(given[:4])
    shares, differences, *maps = found.plot(Figure())
    points = [line for line in shares.lines if line.get_marker() == "o"]
    rows = [row for row in found.rows if row["finding"] == "share inside"]
    assert [line.get_xdata()[0] for line in points] == [row["estimate"] for row in rows]
    assert [tuple(line.get_xdata()) for line in shares.lines[0:6:2]] == [(row["low"], row["high"]) for row in rows]
    assert [text.get_text() for text in shares.get_yticklabels()] == ["all (48)", "beside (24)", "seen (24)"]
    assert differences.lines[1].get_xdata()[0] == found.rows[3]["estimate"]
    for ax, one in zip(maps, found.mean_maps, strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), one.mean)
        # one scale for all
        assert ax.images[0].get_clim()[1] == max(np.abs(other.mean).max() for other in found.mean_maps)
        assert len(ax.collections[0].get_paths()) > 0
    with pytest.raises(ValueError, match="of two pictures"):
        Findings(rows=(), mean_maps=()).plot()


def test_without_objects_there_is_no_share(tmp_path):
    for folder in ("units", "failures"):
        (tmp_path / folder).mkdir()
    a_picture().save(tmp_path / "units" / "a.npz")
    for name, text in (("plan.toml", ""), ("run.json", "{}"), ("pictures.json", '[{"name": "a.png", "unit": "a"}]')):
        (tmp_path / name).write_text(text)
    run = AuditRun.open(tmp_path)
    assert isinstance(run.picture("a.png"), AuditedPicture)
    with pytest.raises(ValueError, match="of pictures with boxes or masks"):
        shares_inside(run)
    assert object_tests(run).empty
    assert findings(run).to_frame().empty
    assert findings(run).mean_maps == ()


def test_boxes_around_whole_pictures_say_nothing_of_shares(tmp_path):
    np.savez(tmp_path / "s.npz", images=np.random.default_rng(0).random((2, 8, 8)), boxes=[[0, 0, 8, 8]] * 2)
    plan = Plan(places=(str(tmp_path / "s.npz"),), model={"model": "f"}, operator="black", **{**QUICK, "grid": (4, 4)})
    found = findings(audit(ls.as_response(_corner), plan, tmp_path / "run", progress=False))
    assert (found.rows, len(found.mean_maps)) == ((), 1)


@pytest.mark.slow
@pytest.mark.parametrize(("map_", "least"), [("leg", 0.93), ("legtv", 0.90)])
def test_intervals_and_signs_of_mean_maps_of_digits(tmp_path, map_, least):
    """Samples of 24 from 48 maps, whose mean is then known: what the docstring of `conf_int` says of real maps."""
    run = audit(network(), a_plan(a_store(tmp_path, 48)), tmp_path / "run", progress=False)
    maps = np.stack([getattr(one, map_) / np.abs(getattr(one, map_)).sum() for one in run])
    truth, rng = maps.mean(axis=0), np.random.default_rng(8)
    covered, wrong, replicates = 0.0, 0, 300
    for _ in range(replicates):
        one = MeanMap.of("g", maps[rng.integers(0, 48, 24)], np.arange(24))
        low, high = np.moveaxis(one.conf_int(), -1, 0)
        covered += float(((low <= truth + 1e-15) & (high >= truth - 1e-15)).mean())
        wrong += (one.significant(n_draws=500, rng=rng) & (np.sign(one.mean) != np.sign(truth))).any()
    assert covered / replicates > least
    assert wrong / replicates < 0.05  # cells with a sign that is not theirs
