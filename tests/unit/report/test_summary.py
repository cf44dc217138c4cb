"""Summaries: what they say, that they say it the same way every time, and "n/a" with its reason."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import legstat as ls
from legstat.report.summary import joint_summary
from tests.helpers import smooth

IMAGE = np.random.default_rng(1).uniform(0.05, 0.95, (3, 4, 6))
GRID = (2, 3)


def take(f: Any = smooth, n_queries: int = 302, **given: Any) -> ls.QuerySample:
    design = ls.StructuredGaussian(GRID, 0.3, channels=given.pop("channels", None))
    return ls.query(f, IMAGE, design, n_queries, progress=False, **{"rng": 3, **given})


def facts(text: str) -> dict[str, str]:
    """Names and values of the first table."""
    return {k.strip(): v.strip() for k, v in re.findall(r"((?:\S ?)+):   +?((?:\S ?)+)", text)}


def test_leg_says_what_was_done() -> None:
    sample = take()
    result = ls.LEG(sample).fit()
    text = result.summary().as_text()
    said = facts(text)
    assert said["Model"] == "smooth"
    assert said["Target"] == "-"
    assert said["Score"] == "custom"
    assert said["f(x0)"] == f"{sample.f_x0:.4g}"
    assert said["Mean shift"] == f"{sample.mean_shift:.4g}"
    assert said["Std. dev. of f"] == f"{sample.responses.std():.4g}"
    assert said["Grid"] == "2 x 3, free boundary"
    assert said["Design"] == "StructuredGaussian"
    assert said["Scale (sigma)"] == "0.3"
    assert said["Channels"] == "shared"
    assert said["Queries"] == "301 of 302"
    assert said["Observations (n)"] == "150 pairs"
    assert said["Conventions"] == "default"
    assert said["Moments"] == "crossfit"
    assert said["Out-of-sample R2"] == f"{result.r2_heldout:.3f}"
    for row, column, value in result.strongest():
        i = 3 * row + column
        line = next(line for line in text.splitlines() if f"({row}, {column})" in line)
        low, high = result.conf_int()[i]
        for number in (f"{value:.4g}", f"{result.std_errors[i]:.4g}", f"{low:.4g}", f"{high:.4g}"):
            assert number in line
    assert "chosen for their size" in text


def test_legtv_says_how_it_was_solved() -> None:
    result = ls.LEGTV(take()).fit(L_ratio=0.2)
    text = result.summary().as_text()
    said = facts(text)
    assert said["L"] == f"{result.L:.4g}"
    assert said["L_max"] == f"{result.L_max:.4g}"
    assert said["L / L_max"] == "0.200"
    assert said["Regions"] == str(result.n_regions)
    assert said["Certificate"].startswith("passed, gap ")
    assert said["Moments"] == "adaptive"
    assert "std err" not in text
    assert "LEG(sample).fit()" in text


@pytest.mark.parametrize("n_queries", [20, 302])
def test_the_same_text_every_time(n_queries: int) -> None:
    """No clock, no address, no order of a set: two runs from one seed have one text."""

    def texts() -> list[str]:
        sample = take(n_queries=n_queries)
        results = [ls.LEG(sample).fit(), ls.LEGTV(sample).fit(L_ratio=0.2)]
        summaries = [r.summary() for r in results] + [joint_summary(results[0], results[1])]  # type: ignore[arg-type]
        return [getattr(s, form)() for s in summaries for form in ("as_text", "as_html", "as_latex")]

    one, two = texts(), texts()
    assert one == two
    for text in one:
        assert not re.search(r"\d\d:\d\d|20[23]\d|0x[0-9a-f]{6}|nan", text)


def test_other_forms() -> None:
    summary = ls.LEG(take()).fit().summary()
    assert summary.as_html().count("<table") >= 2
    for result in (ls.LEG(take()).fit(), ls.LEG(take(n_queries=60)).fit(), ls.LEGTV(take()).fit(L_ratio=0.2)):
        # the facts have four columns, the cells two or seven: all of them are there in LaTeX
        latex = result.summary().as_latex()
        assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") >= 1
        assert "Moments:" in latex
        assert result.moments.kind in latex
        assert f"{result.params[0]:.4g}" in latex


def test_not_available_with_a_reason() -> None:
    few = take(n_queries=30)
    assert facts(ls.LEG(few).fit().summary().as_text())["Out-of-sample R2"] == "n/a (too few observations)"
    text = ls.LEG(few).fit().summary().as_text()
    assert "Intervals: n/a (14 observations; they are offered from 100)." in text
    assert "std err" not in text
    shrunken = ls.LEG(take(), moments="regression").fit().summary().as_text()
    assert "Standard errors: n/a (regression moments carry none; see LEG(sample, moments='crossfit'))." in shrunken
    assert "std err" not in shrunken


def test_moments_alone() -> None:
    moments = ls.Moments(b=np.arange(6.0), design=ls.StructuredGaussian(GRID), n=77)
    for result in (ls.LEG(moments).fit(), ls.LEGTV(moments).fit(L_ratio=0.2)):
        said = facts(result.summary().as_text())
        assert said["Observations (n)"] == "77"
        assert said["Moments"] == "given"
        assert "Queries" not in said


def test_channels_are_said_to_be_combined() -> None:
    for channels in ("separate", "joint"):
        text = ls.LEG(take(channels=channels, n_queries=903)).fit().summary().as_text()
        assert "Saliency is the absolute value combined over 3 channels." in text
        assert "std err" not in text  # one interval a cell would be of no known combination


def test_base_point_of_blend_is_named() -> None:
    sample = take(perturbation=ls.Blend("mean"))
    said = facts(ls.LEG(sample).fit().summary().as_text())
    assert said["f(base point)"] == f"{sample.f_base:.4g}"
    assert "Blend" in said["Perturbation"]
    assert "f(base point)" not in facts(ls.LEG(take()).fit().summary().as_text())


def test_map_that_predicts_nothing_is_flagged() -> None:
    calls = np.random.default_rng(0)
    sample = take(lambda x: calls.standard_normal(len(x)), 101)
    result = ls.LEG(sample, moments="printed").fit()
    assert result.r2_heldout is not None
    assert result.r2_heldout < 0
    assert "WARNING: out of sample the map predicts the response no better than its mean" in str(result.summary())


def test_score_that_hardly_moves_is_flagged() -> None:
    with pytest.warns(ls.ConstantScoreWarning):
        sample = take(lambda x: np.ones(len(x)))
    for result in (ls.LEG(sample).fit(), ls.LEGTV(sample).fit(L_ratio=0.2)):
        assert "WARNING: the score hardly moved" in str(result.summary())


def test_target_and_label() -> None:
    class Labelled(ls.Response):
        score_name = "log_odds"

        def __call__(self, images: np.ndarray) -> np.ndarray:
            return smooth(images)

        @property
        def fingerprint(self) -> str:
            return "labelled"

        def describe(self) -> dict[str, Any]:
            return {"kind": "onnx", "file": "net.onnx", "score": "log_odds", "target": 207, "fingerprint": "labelled",
                    "target_label": "golden retriever"}  # fmt: skip

    said = facts(ls.LEG(take(Labelled())).fit().summary().as_text())
    assert said["Model"] == "net.onnx"
    assert said["Target"] == "207 (golden retriever)"
    assert said["Score"] == "log_odds"
    assert said["Observations (n)"] == "150 pairs"


def test_joint_summary_holds_both() -> None:
    sample = take()
    leg, tv = ls.LEG(sample).fit(), ls.LEGTV(sample).fit(L_ratio=0.2)
    said = facts(joint_summary(leg, tv).as_text())
    assert said["LEG o.o.s. R2"] == f"{leg.r2_heldout:.3f}"
    assert said["LEG-TV o.o.s. R2"] == f"{tv.r2_heldout:.3f}"
    assert (said["LEG moments"], said["LEG-TV moments"]) == ("crossfit", "adaptive")
