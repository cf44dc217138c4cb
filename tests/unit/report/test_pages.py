"""What pages draw, against the arrays it came from; and that whatever comes from outside stays text."""

from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

import legstat as ls
from legstat.report.colours import palette
from legstat.report.pages.drawing import Edges, outline, packed, picture_uri, polyline, quantised
from legstat.report.pages.explanation import ExplainedPicture, save_page
from legstat.report.pages.picture import PicturePage
from legstat.report.pages.rendering import told
from legstat.report.plots import SIGNED, UNSIGNED
from tests.unit.report.test_plots import LABELS, Labelled, explained


@pytest.mark.parametrize(("signed", "name"), [(True, SIGNED), (False, UNSIGNED)])
def test_the_palette_is_that_of_the_figures(signed, name):
    figures = mpl.colormaps[name](np.linspace(0.0, 1.0, 256))[:, :3] * 255.0
    # both interpolate between the same stops; matplotlib rounds the places of 256 colours, by less than one level
    np.testing.assert_allclose(palette(signed), figures, rtol=0.0, atol=1.0)


def test_arrays_come_back_from_their_text(rng):
    values = rng.standard_normal((5, 4, 3))
    found = np.frombuffer(base64.b64decode(packed(values, "<f4")), "<f4").reshape(values.shape)
    np.testing.assert_array_equal(found, values.astype(np.float32))
    text, steps = quantised(values)
    whole = np.frombuffer(base64.b64decode(text), "<i2").reshape(values.shape)
    half = np.abs(values).max(axis=(1, 2)) / 32767 / 2
    # rounding to the nearest step, and the rounding of the product
    assert (np.abs(whole * np.array(steps)[:, None, None] - values) <= half[:, None, None] * (1 + 1e-9)).all()
    flat = quantised(np.zeros((2, 3, 3)))
    assert flat[1] == [0.0, 0.0]


def drawn(path: str, shape: tuple[int, int]) -> set[tuple[str, int, int]]:
    """The unit lines of a path: ("h", row line, column) and ("v", column line, row)."""
    lines = set()
    for x, y, way, length in re.findall(r"M(\d+) (\d+)([hv])(\d+)", path):
        for step in range(int(length)):
            lines.add(("h", int(y), int(x) + step) if way == "h" else ("v", int(x), int(y) + step))
    assert path == "" or re.fullmatch(r"(M\d+ \d+[hv]\d+)+", path)
    return lines


def test_outlines_are_all_lines_between_regions_and_no_others(rng):
    for _ in range(20):
        regions = rng.integers(0, 4, (5, 7))
        wanted = set()
        for i in range(-1, 5):
            for j in range(-1, 7):
                here = regions[i, j] if i >= 0 and j >= 0 else 0
                below = regions[i + 1, j] if i + 1 < 5 and j >= 0 else 0
                right = regions[i, j + 1] if j + 1 < 7 and i >= 0 else 0
                if j >= 0 and here != below:
                    wanted.add(("h", i + 1, j))
                if i >= 0 and here != right:
                    wanted.add(("v", j + 1, i))
        assert drawn(outline(regions), regions.shape) == wanted
    assert outline(np.zeros((3, 3), dtype=np.int64)) == ""


@pytest.mark.parametrize(
    ("shape", "size"), [((28, 28), (227, 331)), ((3, 4), (9, 8)), ((2, 3), (5, 6)), ((4, 4), (4, 4))]
)
def test_cells_begin_and_end_where_the_grid_lifts_them(shape, size):
    edges, numbers = Edges.of(shape, *size), np.arange(shape[0] * shape[1]).reshape(shape)
    lifted = ls.Grid(shape).lift(numbers, *size)
    for axis, at in enumerate((edges.rows, edges.columns)):
        unit = size[axis] / at[-1]  # pixels
        assert unit == (size[axis] // shape[axis] if size[axis] % shape[axis] == 0 else 1)
        line = np.moveaxis(lifted, axis, 0)[:, 0]
        np.testing.assert_array_equal(unit * np.array(at[1:-1]), np.flatnonzero(np.diff(line)) + 1)
    # a line between the cells of column 1 and 2, in the same unit
    inside = np.zeros(shape, dtype=bool)
    inside[:, :2] = True
    assert f"M{edges.columns[2]} 0v{edges.rows[-1]}" in outline(inside, edges)


def test_small_pictures_keep_every_pixel(rng):
    pixels = rng.integers(0, 256, (8, 9, 3), dtype=np.uint8)
    kind, text = picture_uri(pixels).split(";base64,")
    with Image.open(io.BytesIO(base64.b64decode(text))) as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)
    assert kind == "data:image/png"
    large = rng.integers(0, 256, (80, 90, 1), dtype=np.uint8)
    with Image.open(io.BytesIO(base64.b64decode(picture_uri(large).split(",")[1]))) as image:
        assert image.size == (90, 80)


def test_a_curve_lies_where_its_scores_are():
    assert polyline([0.0, 0.5, 1.0], [4.0, 2.0, 0.0], (0.0, 4.0)) == "0,0 50,50 100,100"
    assert polyline([0.0, 1.0], [3.0, 3.0], (3.0, 3.0)) == "0,0 100,0"


def test_facts_are_told_without_what_is_empty():
    facts = {"a": None, "b": [], "c": [{"x": 1}, {"x": 2.5}], "d_e": {"f": True}, "nan": float("nan")}
    assert list(told(facts)) == [("c 1: x", "1"), ("c 2: x", "2.5"), ("d e: f", "yes"), ("nan", "n/a")]


class Page(HTMLParser):
    """Elements, texts and addresses of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)

    def addresses(self) -> list[str]:
        return [
            value for _, given in self.elements for name, value in given.items() if name in ("src", "href") and value
        ]


def page_of(found: ls.Explanation, folder: Path) -> str:
    """The page of an explanation."""
    picture = ExplainedPicture("picture.png", found.leg, found.tv, found.path)
    save_page(folder / "page.html", picture, found.record(), found.summary(), digests={"leg.npz": "12ab"})
    return (folder / "page.html").read_text(encoding="utf-8")


def maps_of(text: str) -> dict:
    return json.loads(re.search(r'<script type="application/json" class="maps">(.*?)</script>', text, re.S)[1])


@pytest.mark.parametrize("label", [*LABELS, '"><img src=x onerror=alert(1)>', "</script><script>alert(1)</script>"])
def test_pages_hold_labels_as_text(label, tmp_path):
    found = explained(f=Labelled(label), L_ratio=0.2)
    text = page_of(found, tmp_path)
    page = Page(text)
    tags = [tag for tag, _ in page.elements]
    assert tags.count("script") == 2
    assert tags.count("img") == 3
    assert all(address.startswith(("#", "data:image/")) for address in page.addresses())
    assert not any(name.startswith("on") or name == "style" for _, given in page.elements for name in given)
    assert "\x1b" not in text


def test_a_page_stands_alone_and_holds_the_numbers(tmp_path):
    found = explained(f=ls.simulate.logistic(np.kron(np.eye(6), np.ones((2, 2)))), n_queries=601, L_ratio=0.1)
    text = page_of(found, tmp_path)
    assert "://" not in text  # nothing to fetch
    assert 'content="default-src &#39;none&#39;; img-src data:; ' in text
    assert "Query noise is not robustness of the model to its input" in text
    maps = maps_of(text)

    def unpacked(name, dtype="<f4"):
        return np.frombuffer(base64.b64decode(maps[name]), dtype).reshape(-1)

    frame = found.leg.to_frame()
    for name, column in {"leg": "estimate", "low": "conf_low", "high": "conf_high", "pvalues": "pvalue"}.items():
        np.testing.assert_array_equal(unpacked(name), frame[column].to_numpy(np.float32))
    for needed, rate in ((3, 0.05), (2, 0.1), (1, 0.2)):
        np.testing.assert_array_equal(unpacked("rates", "u1") >= needed, found.leg.test(fdr=rate).reject)
    at, shape = maps["chosen"], (-1, len(maps["rows"]) - 1, len(maps["columns"]) - 1)
    assert maps["Ls"][at] == found.tv.L
    whole = unpacked("path", "<i2").reshape(shape)[at]
    # half a step of 16 bits of the map's largest value
    np.testing.assert_allclose(whole * maps["steps"][at], found.tv.saliency, rtol=0.0, atol=maps["steps"][at] * 0.501)
    assert "12ab" in text


def test_an_L_between_the_points_of_the_path_has_its_place(tmp_path):
    found = explained(L_ratio=0.0123)
    maps = maps_of(page_of(found, tmp_path))
    assert len(maps["Ls"]) == len(found.path) + 1
    assert maps["Ls"] == sorted(maps["Ls"], reverse=True)
    assert maps["Ls"][maps["chosen"]] == found.tv.L
    picture = ExplainedPicture("p", found.leg, found.tv, found.path, np.arange(len(found.path)) / 100)
    maps = PicturePage.of(picture).maps
    assert maps["r2"][maps["chosen"]] == found.tv.r2_heldout


def test_several_maps_have_no_intervals_and_say_so(tmp_path):
    image = np.random.default_rng(0).random((3, 8, 8))
    design = ls.StructuredGaussian((4, 4), 0.1, channels="joint")
    found = ls.explain(lambda x: x.mean(axis=(1, 2, 3)), image, design=design, n_queries=301, rng=0, L_ratio=0.5)
    text = page_of(found, tmp_path)
    assert "Intervals are not offered here" in text
    maps = maps_of(text)
    assert "low" not in maps
    assert not maps["signed"]


def test_whatever_offers_a_picture_has_a_page():
    """A value of another make, with intervals, tested regions, curves and a failed check."""

    class Other:
        name = "x.png"
        facts = {"L": 0.5, "target": 3}  # noqa: RUF012 - a stand-in
        picture = np.zeros((4, 4, 1), np.uint8)
        leg = legtv = np.arange(4.0).reshape(2, 2)
        path, path_Ls, path_r2 = leg[None], np.array([0.5]), np.array([0.25])
        has_intervals = False
        regions = np.array([[0, 0], [1, -1]])
        regions_table = ({"sign": "+", "cells": 2}, {"sign": "-", "cells": 1})
        curves = {"deletion": {"fractions": [0, 1], "scores": [1.0, 0.0], "area": 0.5}}  # noqa: RUF012
        checks = ({"name": "placebo", "status": "failed", "value": 0.4, "valid": "below 0.1", "meaning": "no"},)

    page = PicturePage.of(Other())
    assert page.failed == list(Other.checks)
    assert drawn(page.region_paths[1], (2, 2)) == {("h", 1, 0), ("h", 2, 0), ("v", 0, 1), ("v", 1, 1)}
    assert page.entry["areas"] == {"deletion": 0.5}
    assert page.curves["lines"]["deletion"]["points"] == "0,0 100,100"
    assert page.entry["found"]["significant"] is None


def test_templates_are_in_the_package():
    from legstat.report.pages.rendering import FILES

    assert {"base.html", "parts.html", "explanation.html", "report.css", "report.js"} <= {
        f.name for f in FILES.iterdir()
    }
    assert Path(ls.__file__).parent in FILES.parents
