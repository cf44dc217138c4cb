"""Maps over pictures: colours against a formula written out here, sizes, and no trace in pyplot."""

from __future__ import annotations

import re
import subprocess
import sys
from html import unescape

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

import legstat as ls
from legstat.report.plots import SIGNED, UNSIGNED, plot_explanation, plot_map, save_figure, save_overlay
from legstat.report.saliency import plot_terms
from legstat.report.summary import printable


def explained(shape=(3, 12, 12), grid=(6, 6), gamma=None, f=None, **more):
    values = np.zeros(grid) if gamma is None else gamma
    if gamma is None:
        values[1, 2], values[3, 4] = 1.0, -0.5
    picture = np.random.default_rng(8).random(shape)
    f = f or ls.simulate.linear(np.kron(values, np.ones((shape[1] // grid[0], shape[2] // grid[1]))))
    return ls.explain(f, picture, **{"grid": grid, "perturbation": ls.Additive(), "n_queries": 120, "rng": 0, **more})


def pixels_of(path):
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.fixture(scope="module")
def found():
    return explained()


def test_overlay_pixels_are_colour_times_shade(found, tmp_path):
    save_overlay(found.leg, tmp_path / "map.png", alpha=0.4)
    pixels = pixels_of(tmp_path / "map.png")[::19, ::19] / 255.0  # 12 pixels scaled up by ceil(224 / 12)
    values, image = found.leg.saliency.repeat(2, axis=0).repeat(2, axis=1), found.leg.image
    luma = 0.299 * image[0] + 0.587 * image[1] + 0.114 * image[2]
    position = 0.5 + 0.5 * values / np.abs(values).max()
    expected = mpl.colormaps[SIGNED](position)[..., :3] * (0.4 + 0.6 * luma)[..., None]
    # 8 bits a channel
    assert np.allclose(pixels, expected, rtol=0.0, atol=0.5 / 255 + 1e-12)


def test_sign_has_its_colour(found, tmp_path):
    save_overlay(found.leg, tmp_path / "map.png", alpha=1.0)
    pixels = pixels_of(tmp_path / "map.png").astype(int)
    red, _, blue = pixels[1 * 38 + 5, 2 * 38 + 5]
    assert red > blue + 50
    red, _, blue = pixels[3 * 38 + 5, 4 * 38 + 5]
    assert blue > red + 30
    assert pixels[5, 5].min() > 235  # nothing there: white, the picture's shade at alpha=1


def test_unsigned_maps_are_sequential():
    # white at 0, no other light end: a sum of absolute values has no sign to show
    found = explained(conventions="paper", perturbation=None, n_queries=301)
    ax = plot_map(found.leg, Figure())
    bar = ax.figure.axes[-1]
    assert bar.get_ylim()[0] == 0.0
    assert mpl.colormaps[UNSIGNED](0.0)[0] > 0.9


def test_signed_maps_are_centred_and_labelled(found):
    ax = plot_map(found.leg, Figure())
    low, high = ax.figure.axes[-1].get_ylim()
    assert low == -high
    assert ax.figure.axes[-1].get_ylabel() == "score per unit of pixel value"
    assert ax.get_title().startswith("LEG")


def test_units_name_the_score_and_the_perturbation():
    from legstat.data import digits_model_path, load_digit

    f = ls.onnx_response(digits_model_path())
    found = ls.explain(f, load_digit(0)[0], perturbation=ls.Blend("mean"), n_queries=100, rng=0)
    assert plot_map(found.tv, Figure()).figure.axes[-1].get_ylabel() == "log-odds per unit of mask level"


def test_plot_draws_where_it_is_told(found):
    figure = Figure()
    ax = figure.add_subplot()
    assert found.leg.plot(ax, colorbar=False, title="mine") is ax
    assert ax.get_title() == "mine"
    assert len(figure.axes) == 1


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((1, 8, 8), (224, 224)),
        ((3, 12, 12), (228, 228)),
        ((3, 30, 60), (240, 480)),
        ((3, 224, 224), (224, 224)),
        ((3, 256, 320), (256, 320)),
    ],
)
def test_overlay_has_the_pictures_size(tmp_path, shape, size):
    image = np.random.default_rng(8).random(shape)
    design = ls.StructuredGaussian(grid=(2, 2), scale=0.1)
    moments = ls.Moments(b=np.array([1.0, 0.0, 0.0, -1.0]), design=design, n=100)
    save_overlay(ls.LEGResults(moments=moments, params=moments.gamma.ravel(), image=image), tmp_path / "map.png")
    assert pixels_of(tmp_path / "map.png").shape == (*size, 3)


def test_map_of_moments_alone_is_drawn_on_its_grid():
    design = ls.StructuredGaussian(grid=(4, 4), scale=0.1)
    result = ls.LEG(ls.Moments(b=np.arange(16.0), design=design, n=100)).fit()
    ax = plot_map(result, Figure())
    assert ax.images[0].get_array().shape == (4, 4, 3)


def test_zero_map_is_white(tmp_path):
    design = ls.StructuredGaussian(grid=(4, 4), scale=0.1)
    result = ls.LEG(ls.Moments(b=np.zeros(16), design=design, n=100)).fit()
    save_overlay(result, tmp_path / "map.png")
    assert pixels_of(tmp_path / "map.png").min() > 240


def test_panel_shows_the_chosen_point_on_the_path(found):
    figure = plot_explanation(found.leg, found.tv, found.path, None, Figure(), path_points=3)[0].figure
    titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
    assert len(titles) == 5  # picture, LEG, three points
    assert sum(ax.get_xlabel() == "chosen" for ax in figure.axes) == 1
    ratios = [float(title.split("L = ")[1].split(" ")[0]) for title in titles[2:]]
    assert ratios == sorted(ratios, reverse=True)


def test_panel_without_path(found):
    figure = plot_explanation(found.leg, found.tv, axes=Figure())[0].figure
    titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
    assert len(titles) == 3


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan")])
def test_alpha_out_of_range_is_refused(found, alpha):
    with pytest.raises(ValueError, match="`alpha` must be in"):
        plot_map(found.leg, alpha=alpha)


class Labelled(ls.Response):
    """A response whose label is whatever somebody wrote into a file."""

    def __init__(self, label):
        self.label = label

    def __call__(self, images):
        return images[:, 0].mean(axis=(1, 2))

    @property
    def fingerprint(self):
        return "labelled"

    def describe(self):
        return {"kind": "onnx", "file": self.label, "target": 3, "target_label": self.label, "fingerprint": "labelled"}


LABELS = [r"$\frac{7}$", r"$\nonsense{$ costs $5", r"\textbf{", "two\nlines", "\x1b[2J", "零一二", "<script>", "_^{"]


@pytest.mark.parametrize("label", LABELS)
def test_labels_are_drawn_as_they_are(label, tmp_path):
    found = explained(f=Labelled(label), L_ratio=0.2)
    with mpl.rc_context({"font.family": "No Such Font"}):
        save_figure(found.plot, tmp_path / "panel.png")
        found.plot(figure := Figure())
    title = figure.axes[0].title
    assert title.get_text().startswith(printable(label) + "\n")
    assert not title.get_parse_math()
    assert not any(text.get_usetex() for text in figure.findobj(Text))
    assert pixels_of(tmp_path / "panel.png").std() > 1


def test_a_dollar_is_drawn_as_a_dollar(tmp_path):
    # between two dollars mathtext would set the digits in another font and drop the dollars
    figure = Figure()
    images = []
    for parse in (False, True):
        ax = figure.add_subplot()
        ls.LEG(explained().sample).fit().plot(ax, colorbar=False, title="$ab$")
        ax.title.set_parse_math(parse)
        figure.savefig(tmp_path / "a.png")
        images.append(pixels_of(tmp_path / "a.png"))
        figure.clear()
    assert (images[0] != images[1]).any()


def test_settings_of_the_user_are_neither_used_nor_changed(found, tmp_path):
    save_figure(found.plot, tmp_path / "usual.png")
    mine = {"text.usetex": True, "axes.facecolor": "red", "savefig.dpi": 30, "figure.facecolor": "red",
            "savefig.bbox": "tight", "image.cmap": "gray", "axes.titlesize": 40}  # fmt: skip
    with mpl.rc_context(mine):
        before = dict(mpl.rcParams)
        save_figure(found.plot, tmp_path / "mine.png")
        assert dict(mpl.rcParams) == before
    assert np.array_equal(pixels_of(tmp_path / "usual.png"), pixels_of(tmp_path / "mine.png"))


@pytest.mark.parametrize("label", LABELS)
def test_pages_and_tables_hold_labels_as_text(label, tmp_path):
    found = explained(f=Labelled(label), L_ratio=0.2)
    for summary in (found.summary(), found.leg.summary(), found.tv.summary()):
        html, shown = summary.as_html(), printable(label)
        assert "<script" not in html
        assert unescape(html).count(shown) == 2  # the model's name and the target's
        assert set(re.findall(r"<(/?\w+)", html)) <= {"table", "/table", "caption", "/caption", "tr", "/tr", "td",
                                                       "/td", "th", "/th", "br"}  # fmt: skip
        assert shown in summary.as_text()
        # no command, no group and no formula is opened: what is left of the braces is ours, in pairs
        latex = re.sub(r"\\[\\{}$_^#&%]", "", summary.as_latex())
        assert latex.count("{") == latex.count("}")
        assert not {r"\frac", r"\nonsense"} & set(re.findall(r"\\[a-z]+", latex))


def test_files_are_not_drawn_through_pyplot(tmp_path):
    code = (
        f"folder = {str(tmp_path)!r}\n"
        "import sys, numpy as np, legstat as ls; assert 'matplotlib' not in sys.modules\n"
        "f = ls.simulate.linear(np.eye(4))\n"
        "e = ls.explain(f, np.full((1, 8, 8), 0.5), grid=(4, 4), perturbation=ls.Additive(), n_queries=60, rng=0)\n"
        "e.save(folder); assert 'matplotlib.pyplot' not in sys.modules\n"
        "ax = e.leg.plot(); from matplotlib import pyplot; assert pyplot.get_fignums() == [ax.figure.number]\n"
        "axes = e.plot(); assert pyplot.get_fignums() == [ax.figure.number, axes[0].figure.number]"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_terms_that_were_not_always_asked_for_are_drawn_where_they_are_known():
    """Estimated gradients know the score every few iterations: single points make no line by themselves."""
    whole, gaps = np.arange(4.0), np.array([np.nan, 3.0, np.nan, 1.0])
    lines = plot_terms({"l1": whole, "score": gaps}, Figure()).get_lines()
    assert [line.get_xydata().tolist() for line in lines] == [
        [[1.0, 0.0], [2.0, 1.0], [3.0, 2.0], [4.0, 3.0]],
        [[2.0, 3.0], [4.0, 1.0]],
    ]
    assert [line.get_marker() for line in lines] == ["None", "."]
