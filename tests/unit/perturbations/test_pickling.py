"""Operators are values, and everything that is made of a design and a picture pickles."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import legstat.perturbations.clipped_law
from legstat.designs.grid import Grid
from legstat.designs.structured import StructuredGaussian
from legstat.perturbations.clipped_law import ClippedLaw
from legstat.perturbations.operators import Additive, Blend, Perturbation
from legstat.perturbations.recipe import Room

IMAGE = np.random.default_rng(0).uniform(0, 1, (1, 6, 8))
OPERATORS = [Additive(), Additive(clip=False), Blend(), Blend("noise", at=0.3), Blend(IMAGE, at=0.7)]


@pytest.mark.parametrize("operator", OPERATORS, ids=repr)
def test_an_operator_never_changes_and_pickles(operator: Perturbation) -> None:
    for name in (*operator.parameters(), "anything"):
        with pytest.raises(AttributeError, match=f"`{name}` cannot be changed"):
            setattr(operator, name, 0.4)
    again = pickle.loads(pickle.dumps(operator))
    assert (again, hash(again), repr(again)) == (operator, hash(operator), repr(operator))
    assert len({operator, again}) == 1
    for one in (operator, again):
        array = one.parameters().get("baseline")
        assert not (isinstance(array, np.ndarray) and array.flags.writeable)


@pytest.mark.parametrize("operator", OPERATORS, ids=repr)
def test_recipe_composer_and_cell_map_pickle(operator: Perturbation) -> None:
    grid, z = Grid((3, 4)), np.random.default_rng(1).normal(0, 0.4, (5, 1, 3, 4))
    composer = operator.recipe(IMAGE, grid, np.dtype(np.float32)).composer(room=Room())
    expected = composer(z).copy()
    for made in (composer, operator.recipe(IMAGE, grid, np.dtype(np.float32)).composer()):
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(made))(z), expected)
    cell_map = operator.cell_map(IMAGE, grid, "shared", 0)
    flat = z.reshape(5, 1, 12)
    if cell_map is not None:
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(cell_map))(flat), cell_map(flat))


@pytest.mark.parametrize("limit", [4096, 2], ids=["dense", "sparse"])
@pytest.mark.parametrize("operator", OPERATORS, ids=repr)
def test_clipped_law_pickles(operator: Perturbation, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(legstat.perturbations.clipped_law, "DENSE_LIMIT", limit)
    design = StructuredGaussian((3, 4), 0.2)
    law = ClippedLaw(design, operator.cell_map(IMAGE, design.grid, "shared", 0), planes=1)
    v = np.random.default_rng(2).standard_normal((2, 1, 12))
    law.solve(v)
    again = pickle.loads(pickle.dumps(law))
    np.testing.assert_array_equal(again.mean, law.mean)
    np.testing.assert_array_equal(again.covariance(v), law.covariance(v))
    np.testing.assert_array_equal(again.solve(v), law.solve(v))
