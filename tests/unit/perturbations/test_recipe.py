"""The recipe of perturbed pictures against its formula, and who follows it."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import legstat as ls
from legstat.designs.grid import Grid
from legstat.perturbations.operators import Perturbation
from legstat.perturbations.recipe import Recipe, Room, Scorer
from legstat.responses.function import CallableResponse
from legstat.responses.network.input import InputWriter
from legstat.responses.network.preprocessing import PRESETS

GRID = Grid((2, 4))
OPERATORS: list[Perturbation] = [
    ls.Additive(),
    ls.Additive(clip=False),
    ls.Additive(clip=False, quantise=True),
    ls.Blend("blur"),
    ls.Blend("noise", at=0.2),
]


def formula(recipe: Recipe, z: np.ndarray, channel: int | None) -> np.ndarray:
    """The docstring's formula, a pixel at a time, in the recipe's type."""
    count, height, width = recipe.base.shape
    (p1, p2), kind = recipe.grid.shape, recipe.dtype.type
    pictures = np.empty((len(z), count, height, width), dtype=kind)
    for n, c, i, j in np.ndindex(pictures.shape):
        plane = c if z.shape[1] > 1 else 0
        moved = channel is None or c == channel
        number = z[n, plane, i * p1 // height, j * p2 // width] if moved else 0.0
        v = kind(number if recipe.at is None else min(max(recipe.at + number, 0.0), 1.0))
        step = v if recipe.gain is None else kind(v * recipe.gain[c, i, j])
        value = kind(recipe.base[c, i, j] + step)
        if recipe.limits is not None:
            assert (recipe.limits[0][c], recipe.limits[1][c]) == (0, 1)
            value = min(max(value, kind(0)), kind(1))
        if recipe.quantise:
            value = kind(np.trunc(kind(value * kind(255)))) / kind(255)
        pictures[n, c, i, j] = value
    return pictures


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("channels", ["shared", "separate", "joint"])
@pytest.mark.parametrize("operator", OPERATORS, ids=repr)
def test_the_composer_follows_the_recipe_bit_for_bit(
    operator: Perturbation, channels: str, dtype: Any, rng: np.random.Generator
) -> None:
    if isinstance(operator, ls.Blend) and channels != "shared":
        return  # a mask level has no channels
    image = rng.random((3, 6, 8))
    recipe = operator.recipe(image, GRID, np.dtype(dtype))
    z = 0.4 * rng.standard_normal((5, 3 if channels == "joint" else 1, *GRID.shape))
    channel = 1 if channels == "separate" else None
    np.testing.assert_array_equal(recipe.composer()(z, channel), formula(recipe, z, channel))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("channels", ["shared", "separate", "joint"])
@pytest.mark.parametrize("name", ["caffe", "imagenet", "tf", "unit"])
@pytest.mark.parametrize("operator", OPERATORS, ids=repr)
def test_a_network_s_input_is_the_picture_s(
    operator: Perturbation, name: str, channels: str, dtype: Any, rng: np.random.Generator
) -> None:
    if isinstance(operator, ls.Blend) and channels != "shared":
        return
    rule, image = replace(PRESETS[name], layout="NCHW"), rng.random((3, 6, 8))
    image[:, 0, :3] = [[0.0], [1.0], [0.5]]
    recipe = operator.recipe(image, GRID, np.dtype(dtype))
    z = 0.4 * rng.standard_normal((5, 3 if channels == "joint" else 1, *GRID.shape))
    z[0] = 0.0
    channel = 1 if channels == "separate" else None
    (factor, offset), reverse = rule.affine(3), rule.reverses(3)
    found = recipe.then(factor, offset, reverse=reverse).composer()(z, channel)
    assert found.dtype == dtype
    pictures = recipe.composer()(z, channel)
    expected = pictures[:, ::-1] if reverse else pictures
    expected = factor[:, None, None] * expected.astype(np.float64) + offset[:, None, None]
    # a few roundings, of numbers of up to factor or offset
    size = np.finfo(dtype).eps * float(np.abs(factor).max() + np.abs(offset).max())
    np.testing.assert_allclose(found, expected, rtol=0, atol=3.0 * size)
    write = InputWriter(rule, 3, np.dtype(dtype))
    if isinstance(operator, ls.Additive):
        np.testing.assert_array_equal(found[0], write(pictures[:1])[0])  # z = 0 is x0, bit for bit
    if operator == ls.Additive() or isinstance(operator, ls.Blend):
        # black and white are the ends, bit for bit where they clip
        ends = [write(np.full((1, 3, 1, 1), end, dtype=dtype)).copy() for end in (0.0, 1.0)]
        slack = 0.0 if operator == ls.Additive() else size
        assert (found >= ends[0] - slack).all()
        assert (found <= ends[1] + slack).all()


def test_a_response_that_composes_itself_is_asked_for_everything_but_the_picture() -> None:
    image = np.random.default_rng(0).random((1, 8, 8))
    seen: list[tuple[tuple[int, ...], int | None]] = []

    class Own(CallableResponse):
        def __call__(self, images: np.ndarray) -> np.ndarray:
            assert len(images) == 1, "only f(x0) comes as a picture"
            np.testing.assert_array_equal(images[0], image)
            return super().__call__(images)

        def scorer(self, recipe: Recipe) -> Scorer:
            outside = ls.as_response(self._f).scorer(recipe)

            def score(z: np.ndarray, channel: int | None) -> np.ndarray:
                seen.append((z.shape, channel))
                return outside(z, channel)

            return score

    def f(images: np.ndarray) -> np.ndarray:
        return np.asarray((images**2).sum(axis=(1, 2, 3)))

    design = ls.StructuredGaussian(grid=(4, 4), scale=0.25)
    own = ls.query(Own(f), image, design, 40, perturbation=ls.Blend("mean"), rng=0, progress=False)
    usual = ls.query(f, image, design, 40, perturbation=ls.Blend("mean"), rng=0, progress=False)
    np.testing.assert_array_equal(own.responses, usual.responses)
    assert own.f_base == usual.f_base != own.f_x0
    assert seen[0] == ((1, 1, 4, 4), None)  # the base point of the blend
    assert sum(shape[0] for shape, _ in seen) == 1 + own.responses.size
    paper = ls.StructuredGaussian(grid=(4, 4), scale=0.02, channels="separate", boundary="zero")
    seen.clear()
    ls.query(Own(f), image, paper, 40, rng=0, progress=False)
    assert {channel for _, channel in seen} == {0}


def test_each_thread_has_a_room_of_its_own():
    room, shape, kind = Room(), (1, 2, 2), np.dtype(np.float32)
    mine = room.take(3, shape, kind)
    assert np.shares_memory(mine, room.take(2, shape, kind))
    with ThreadPoolExecutor(1) as pool:
        theirs = pool.submit(room.take, 3, shape, kind).result()
    assert not np.shares_memory(mine, theirs)
    assert room.take(5, shape, kind).shape == (5, *shape)
    assert room.take(3, (1, 2, 3), kind).shape == (3, 1, 2, 3)
    assert room.take(3, shape, np.dtype(np.float64)).dtype == np.float64
    assert pickle.loads(pickle.dumps(room)).take(1, shape, kind).shape == (1, *shape)


def test_two_scorers_that_share_a_room_do_not_mix():
    from legstat.data import digits_model_path, load_digit

    image = load_digit(0)[0]
    f, _ = ls.onnx_response(digits_model_path(), preprocessing="unit").bind(image)
    z = np.random.default_rng(0).uniform(-0.5, 0.5, (5, 1, 4, 4))
    recipes = [ls.Blend(name, at=0.5).recipe(image, Grid((4, 4)), f.dtype) for name in ("black", "mean")]
    alone = [f.scorer(recipe)(z, None) for recipe in recipes]
    first, second = (f.scorer(recipe) for recipe in recipes)
    for _ in range(2):
        np.testing.assert_array_equal(first(z, None), alone[0])
        np.testing.assert_array_equal(second(z, None), alone[1])


@pytest.mark.parametrize("n", [1, 40])
def test_classes_of_a_recipe_are_those_of_its_pictures(n):
    from legstat.data import digits_model_path, load_digit

    f, _ = ls.onnx_response(digits_model_path(), preprocessing="unit", batch_size=3).bind(load_digit(0)[0])
    recipe = ls.Blend("mean", at=0.5).recipe(load_digit(0)[0], Grid((4, 4)), f.dtype)
    z = np.random.default_rng(0).choice([-0.5, 0.5], (n, 1, 4, 4))
    found = f.top_classes_under(recipe, z)
    np.testing.assert_array_equal(found, f.top_classes(recipe.composer()(z, None)))
    assert found.shape == (n,)
    assert n == 1 or len(set(found)) > 1
