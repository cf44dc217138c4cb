"""What a notebook shows of a result: its summary as tables, in which no text from outside is markup."""

import numpy as np
import pytest

import legstat as ls
from legstat.comparison.methods.controls import RandomMap

IMAGE = np.linspace(0.2, 0.8, 16).reshape(1, 4, 4)


@pytest.fixture(scope="module")
def found():
    f = ls.simulate.linear(np.eye(4))
    return ls.explain(f, IMAGE, perturbation=ls.Additive(), n_queries=202, rng=0, progress=False)


@pytest.mark.parametrize("part", ["leg", "tv", ""])
def test_results_show_their_summary(found, part):
    shown = getattr(found, part) if part else found
    assert shown._repr_html_() == shown.summary().as_html()
    assert "<table" in shown._repr_html_()


def test_a_comparison_shows_its_table_and_names_are_no_markup():
    named = RandomMap((4, 4), name="<b>random</b>")
    f = ls.as_response(ls.simulate.linear(np.eye(4)))
    compared = ls.compare([named], f, [IMAGE], n_queries=[0], metrics=["deletion"], progress=False)
    assert "&lt;b&gt;random&lt;/b&gt;" in compared._repr_html_()
    assert "<b>" not in compared._repr_html_()
