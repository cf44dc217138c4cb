"""Networks whose pictures no grid divides: made in the graph, on the device and by numpy, to the same bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import legstat as ls
from legstat.designs.grid import Grid
from legstat.perturbations.operators import Perturbation
from legstat.responses.network.preprocessing import Preprocessing
from legstat.responses.onnx.opening import onnx_response
from tests.helpers_onnx import linear_model

GRID = Grid((4, 3))
OPERATORS: list[Perturbation] = [
    ls.Additive(),
    ls.Additive(clip=False, quantise=True),
    ls.Blend("mean", at=0.4),
    ls.Blend("mean", at=0.4, lift="smooth"),
]
IMAGE = np.random.default_rng(0).random((3, 13, 11))


@pytest.mark.parametrize("opset", [7, 13, 18])
@pytest.mark.parametrize("operator", OPERATORS, ids=repr)
def test_inside_and_outside_give_the_same_bits(tmp_path: Path, operator: Perturbation, opset: int) -> None:
    made = linear_model(tmp_path / "odd.onnx", shape=(3, 13, 11), opset=opset, scale=0.1)
    samples = []
    for compose in ("outside", "inside"):
        f = onnx_response(
            made.path, target=1, score="logit", preprocessing=Preprocessing(mean=0.5, std=0.25), compose=compose
        )
        design = ls.StructuredGaussian(GRID.shape, 0.2)
        samples.append(ls.query(f, IMAGE, design, perturbation=operator, n_queries=82, rng=0, progress=False))
    np.testing.assert_array_equal(samples[0].responses, samples[1].responses)
    assert np.ptp(samples[0].responses) > 0


def test_a_network_of_odd_size_is_explained(tmp_path: Path) -> None:
    """The logit is linear: gamma of each cell is the sum of its weights, whatever its size."""
    made = linear_model(tmp_path / "odd.onnx", shape=(3, 13, 11), scale=0.1)
    f = onnx_response(made.path, target=2, score="logit", preprocessing=Preprocessing())
    found = ls.explain(
        f, IMAGE, grid=GRID.shape, scale=0.02, perturbation=ls.Additive(clip=False), n_queries=401, rng=0
    )
    weights = made.weights[:, 2].reshape(3, 13, 11).sum(axis=0)
    rows, columns = (np.array_split(np.arange(n), cells) for n, cells in ((13, 4), (11, 3)))
    gamma = np.array([[weights[np.ix_(r, c)].sum() for c in columns] for r in rows])
    # float32 arithmetic of the network: differences of 0.02 known to 1e-7
    np.testing.assert_allclose(found.leg.params.reshape(4, 3), gamma, rtol=0, atol=2e-3 * np.abs(gamma).max())
    assert found.leg.heatmap.shape == (13, 11)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("operator", OPERATORS, ids=repr)
def test_torch_makes_the_same_pictures(operator: Perturbation, channels_last: bool) -> None:
    torch = pytest.importorskip("torch")
    from legstat.responses.torch.perturbed_input import DeviceComposer

    z = 0.4 * np.random.default_rng(1).standard_normal((5, 1, *GRID.shape))
    recipe = operator.recipe(IMAGE, GRID, np.dtype(np.float32))
    composer = DeviceComposer(recipe, "NCHW", torch.device("cpu"), torch.float32, channels_last)
    for _ in range(2):
        np.testing.assert_array_equal(composer(recipe.cells(z)).numpy(), recipe.composer()(z))
