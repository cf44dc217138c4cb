"""legstat's own estimates in a comparison: what `explain` gives of the same seed, under any law."""

from __future__ import annotations

import numpy as np
import pytest

import legstat as ls
from legstat.comparison.methods.own import LegMap, LegTvMap
from legstat.data import digits_model_path, load_digit
from legstat.designs.by_name import LawName
from legstat.sampling.defaults import default_design


@pytest.mark.parametrize("law", ["structured", "blocks"])
def test_they_are_the_maps_of_explain(law: LawName) -> None:
    image, _ = load_digit(3)
    f = ls.onnx_response(digits_model_path())
    operator = ls.Blend("blur", at=0.5)
    design = default_design((8, 8), operator, None, None, law)
    found = ls.explain(f, image, design=design, perturbation=operator, n_queries=402, rng=5, progress=False)
    np.testing.assert_array_equal(LegMap(law=law)(f, image, 402, 5).saliency, found.leg.saliency)
    np.testing.assert_array_equal(LegTvMap(law=law)(f, image, 402, 5).saliency, found.tv.saliency)
    best = LegTvMap(law=law, L="heldout")(f, image, 402, 5)
    np.testing.assert_array_equal(best.saliency, found.path.select("heldout").saliency)
    assert best.n_queries == 402
    shrunken = ls.LEG(found.sample, moments="adaptive").fit()
    np.testing.assert_array_equal(LegMap(law=law, moments="adaptive")(f, image, 402, 5).saliency, shrunken.saliency)


def test_a_store_tells_laws_and_rules_apart() -> None:
    methods = [LegTvMap(), LegTvMap(law="structured"), LegTvMap(L="heldout"), LegTvMap(moments="regression")]
    assert len({repr(one) for one in methods}) == len(methods)


def test_two_laws_side_by_side() -> None:
    image, _ = load_digit(3)
    f = ls.onnx_response(digits_model_path())
    methods = [LegMap(), LegMap(name="leg, structured", law="structured", moments="adaptive")]
    found = ls.compare(methods, f, {"three": image}, n_queries=[202], progress=False)
    assert set(found.to_frame()["method"]) == {"leg", "leg, structured"}
