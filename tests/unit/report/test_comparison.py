"""Figures of a comparison: the data that they draw, against the rows and curves they are drawn of."""

import matplotlib as mpl
import numpy as np
import pytest
import scipy.stats
from matplotlib.figure import Figure

import legstat as ls
from legstat.comparison.outcome import Outcome
from legstat.metrics import Curve
from legstat.report.comparison import DASHES, LINES, forest, maps
from legstat.report.plots import SIGNED, UNSIGNED

METHODS, PICTURES = ("strong", "weak$_{x$"), 5
IMAGES = {f"p{i}": np.random.default_rng(i).random((3, 8, 8)) for i in range(PICTURES)}


def outcome(method: str, number: int, n_queries: int) -> Outcome:
    rng = np.random.default_rng([number, n_queries, len(method)])
    curves = {}
    for kind in ("deletion", "insertion"):
        # the last picture has a coarser map, hence fewer points
        fractions = np.linspace(0.0, 1.0, 5 if number < PICTURES - 1 else 3)
        curves[kind] = Curve(kind, fractions, rng.random(len(fractions)), "blur", 0, 5)
    return Outcome(method, n_queries, f"p{number}", rng.standard_normal((4, 4)), curves)


@pytest.fixture(scope="module")
def found() -> ls.Comparison:
    outcomes = [outcome(m, i, n) for i in range(PICTURES) for m in METHODS for n in (100, 200)]
    rows = [
        {"method": one.method, "n_queries": one.n_queries, "spent": 100, "picture": one.picture, "metric": kind,
         "value": curve.area + (one.method == "strong") * (0.6 if kind == "insertion" else -0.6), "censored": False}
        for one in outcomes
        for kind, curve in one.curves.items()
    ]  # fmt: skip
    return ls.Comparison(rows, {}, outcomes)


@pytest.mark.parametrize("kind", ["deletion", "insertion"])
def test_curves_are_means_and_bands_are_students(found, kind):
    ax = found.plot_curves(kind, Figure(), n_queries=100, level=0.9)
    assert len(ax.lines) == len(ax.collections) == 2
    areas = []
    for line, band in zip(ax.lines, ax.collections, strict=True):
        name, shown = line.get_label().split("  ")
        curves = [one.curves[kind] for one in found.outcomes if (one.method, one.n_queries) == (name, 100)]
        areas.append(np.mean([curve.area for curve in curves]))
        assert shown == f"{areas[-1]:.3f}"
        at = np.array([np.interp(np.linspace(0, 1, 5), one.fractions, one.scores) for one in curves])
        np.testing.assert_array_equal(line.get_xdata(), np.linspace(0, 1, 5))
        # the same sums in another order
        np.testing.assert_allclose(line.get_ydata(), at.mean(axis=0), rtol=1e-14, atol=0)
        half = scipy.stats.t.ppf(0.95, PICTURES - 1) * scipy.stats.sem(at, axis=0)
        corners = band.get_paths()[0].vertices
        for x, y in zip(line.get_xdata(), range(5), strict=True):
            there = corners[corners[:, 0] == x, 1]
            np.testing.assert_allclose([there.min(), there.max()], at[:, y].mean() + half[y] * np.array([-1, 1]),
                                       rtol=1e-12, atol=1e-14)  # fmt: skip
    assert areas == sorted(areas, reverse=kind == "insertion")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [line.get_label() for line in ax.lines]
    assert not any(text.get_parse_math() for text in ax.get_legend().get_texts())
    assert "pictures: 5" in ax.get_title()
    assert "90%, pointwise" in ax.get_title()


def test_axis_shows_scores_and_not_how_far_a_band_reaches(found):
    ax = found.plot_curves("insertion", Figure(), level=0.9999)
    scores = np.concatenate([one.curves["insertion"].scores for one in found.outcomes if one.n_queries == 200])
    low, high = ax.get_ylim()
    margin = 0.04 * np.ptp(scores)
    np.testing.assert_allclose([low, high], [scores.min() - margin, scores.max() + margin], rtol=1e-12, atol=0)


def test_of_one_picture_there_is_no_band(found):
    alone = ls.Comparison(found.rows, {}, [one for one in found.outcomes if one.picture == "p1"])
    ax = alone.plot_curves(ax=Figure())
    assert len(ax.lines) == 2
    assert not ax.collections
    assert "band" not in ax.get_title()


def test_no_two_lines_look_alike():
    outcomes = [Outcome(f"{i}", 9, "p", np.zeros((1, 1)), {"insertion": Curve("insertion", np.array([0.0, 1.0]),
                np.array([0.0, float(i)]), "blur", 0, 2)}) for i in range(len(LINES) * len(DASHES))]  # fmt: skip
    ax = ls.Comparison([], {}, outcomes).plot_curves(ax=Figure())
    looks = {(line.get_color(), line.get_linestyle()) for line in ax.lines}
    assert len(looks) == len(outcomes)


@pytest.mark.parametrize(("metric", "better"), [("insertion", "right"), ("deletion", "left")])
def test_forest_draws_the_differences(found, metric, better):
    ax = found.plot_differences("weak$_{x$", metric, Figure())
    rows = found.differences("weak$_{x$")
    rows = rows[rows.metric == metric].sort_values("difference", ascending=metric == "deletion")
    bars, points = ax.lines[0:-1:2], ax.lines[1:-1:2]
    assert len(bars) == len(points) == 2
    for bar, point, (_, row) in zip(bars, points, rows.iterrows(), strict=True):
        assert list(bar.get_xdata()) == [row.low, row.high]
        assert list(point.get_xdata()) == [row.difference]
        assert bar.get_ydata()[0] == point.get_ydata()[0]
        assert (point.get_markerfacecolor() == "white") == (row.low <= 0 <= row.high)
    heights = [point.get_ydata()[0] for point in points]
    assert heights == sorted(heights, reverse=True)  # the best on top
    labels = {place: text.get_text() for place, text in zip(ax.get_yticks(), ax.get_yticklabels(), strict=True)}
    assert [labels[height] for height in heights] == [f"{row.method}, {row.n_queries}" for _, row in rows.iterrows()]
    texts = [text.get_text() for text in ax.texts]
    assert texts[0].startswith(f"{rows.difference.iloc[0]:+.3f} [".replace("-", "\N{MINUS SIGN}"))
    assert ax.get_xlabel().endswith(f"better to the {better}")


def test_forest_of_one_budget_names_methods_alone(found):
    rows = found.differences("weak$_{x$")
    rows = rows[(rows.metric == "insertion") & (rows.n_queries == 100)]
    ax = forest(rows, Figure().add_subplot(), high_is_good=True, xlabel="difference")
    assert [text.get_text() for text in ax.get_yticklabels()] == ["strong"]
    with pytest.raises(ValueError, match="no rows"):
        forest(rows[:0], high_is_good=True, xlabel="difference")


@pytest.mark.parametrize("colours", ["value", "rank"])
def test_maps_have_one_rule_for_all_colours(found, colours):
    drawn = found.plot_maps(IMAGES, Figure(), n_queries=100, colours=colours)
    figure = drawn[0, 0].figure
    panels = np.array([ax for ax in figure.axes if ax.images], dtype=object).reshape(PICTURES, 3)
    assert [ax.get_title() for ax in panels[0]] == ["picture", *METHODS]
    assert [ax.get_ylabel() for ax in panels[:, 0]] == list(IMAGES)
    np.testing.assert_array_equal(panels[2, 0].images[0].get_array(), IMAGES["p2"].transpose(1, 2, 0))
    saliency = next(o for o in found.outcomes if (o.method, o.picture, o.n_queries) == ("strong", "p2", 100)).saliency
    if colours == "value":
        away = saliency - np.median(saliency)
        position = 0.5 + 0.5 * away / np.abs(away).max()
        table = mpl.colormaps[SIGNED]
    else:
        position = np.array([np.sum(saliency < one) + 0.5 * np.sum(saliency == one) for one in saliency.flat]) / 16
        position, table = position.reshape(4, 4), mpl.colormaps[UNSIGNED]
    picture = IMAGES["p2"]
    luma = 0.299 * picture[0] + 0.587 * picture[1] + 0.114 * picture[2]
    expected = table(np.kron(position, np.ones((2, 2))))[..., :3] * (0.5 + 0.5 * luma)[..., None]
    # a position on the border of two of the 256 colours may fall to either
    np.testing.assert_allclose(panels[2, 1].images[0].get_array(), expected, rtol=0, atol=0.02)


@pytest.mark.parametrize("colours", ["value", "rank"])
def test_units_and_level_of_a_map_change_no_colour(colours):
    saliency = np.random.default_rng(0).random((4, 4))
    found = {"a": {"p1": saliency}, "b": {"p1": 7.0 * saliency - 3.0}, "flat": {"p1": np.ones((4, 4))}, "none": {}}
    figure = maps({"p1": IMAGES["p1"]}, found, Figure(), colours=colours)[0, 0].figure
    one, other, flat = (ax.images[0].get_array() for ax in figure.axes[1:4])
    np.testing.assert_allclose(one, other, rtol=0, atol=0.02)  # as above
    assert np.ptp(flat / (flat.sum(axis=-1, keepdims=True))) < 0.5  # one colour, shaded by the picture
    assert not figure.axes[4].images


def test_some_pictures_and_methods_by_name(found):
    figure = found.plot_maps({name: IMAGES[name] for name in ("p3", "p0")}, Figure(), methods=["strong"])[0, 0].figure
    assert [ax.get_ylabel() for ax in figure.axes if ax.get_ylabel()] == ["p3", "p0"]
    assert [ax.get_title() for ax in figure.axes if ax.get_title()] == ["picture", "strong"]


def test_what_cannot_be_drawn_is_said(found):
    with pytest.raises(ValueError, match=r"one of \[100, 200\]"):
        found.plot_curves(n_queries=300)
    with pytest.raises(ValueError, match="`metric`"):
        found.plot_curves("road")
    with pytest.raises(ValueError, match="`methods`"):
        found.plot_maps(IMAGES, methods=["other"])
    with pytest.raises(ValueError, match="`methods`"):
        found.plot_curves(methods="strong")
    with pytest.raises(ValueError, match="`colours`"):
        found.plot_maps(IMAGES, colours="jet")
    with pytest.raises(ValueError, match="`images`"):
        found.plot_maps({"other": IMAGES["p0"]})
    with pytest.raises(ValueError, match="`metric`"):
        found.plot_differences("strong", "road")
    with pytest.raises(ValueError, match="`outcomes`"):
        ls.Comparison(found.rows).plot_curves()
    bare = ls.Comparison(found.rows, {}, [Outcome("a", 1, "p0", np.zeros((2, 2)), {})])
    with pytest.raises(ValueError, match="`metric`"):
        bare.plot_curves()


@pytest.mark.parametrize(("first", "label"), [(3, "probability of the target"), (None, "score")])
def test_axes_say_what_was_measured(found, first, label):
    facts = {name: {"first_choice": first} for name in IMAGES}
    curve = Curve("road", np.array([0.0, 0.5]), np.array([0.2, 0.1]), "filled in", 0, 2)
    one = Outcome("a", 9, "p0", np.zeros((2, 2)), {"road, least first": curve})
    ax = ls.Comparison([], {}, [one], facts, {"road, least first": True}).plot_curves("road, least first", Figure())
    assert ax.get_ylabel() == label
    assert ax.get_xlabel() == "share of cells removed"
    assert found.plot_curves("deletion", Figure()).get_xlabel() == "share of cells deleted"
