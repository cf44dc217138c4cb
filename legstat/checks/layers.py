"""What a weight may be replaced by, and the layers that weights are replaced in: alike for files and modules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from legstat._core.checks import check_count
from legstat._core.errors import invalid
from legstat._core.frozen import Portable

WeightLaw = Literal["uniform", "normal", "permuted"]

HALF_WIDTH = 0.05
"""Of the LEG authors' law, for weights and biases alike (their sanity check draws them from U(-0.05, 0.05))."""


@dataclass(frozen=True)
class WeightLayer(Portable):
    """One layer of a network: a linear operation with the biases, scales and shifts that follow it.

    Parameters
    ----------
    name : str
        Of the linear operation: its node in the file, or its module.
    operation : str
        What it is: "Conv", "Gemm", "Linear", ...
    tensors : tuple of str
        The weights that are replaced with it. One that several layers share stands in the one nearest to the output.
    n_parameters : int
        Numbers in them.

    Examples
    --------
    >>> from legstat.checks import weight_layers
    >>> from legstat.data import digits_model_path
    >>> [(layer.operation, layer.n_parameters) for layer in weight_layers(digits_model_path())]
    [('Gemm', 5130), ('Conv', 4640), ('Conv', 160)]
    """

    name: str
    operation: str
    tensors: tuple[str, ...]
    n_parameters: int


def drawn(values: NDArray[Any], law: WeightLaw, rng: np.random.Generator) -> NDArray[np.float64]:
    """Numbers in the place of some weights, of their shape; the caller rounds them to the weights' type.

    "uniform": U(-0.05, 0.05). "normal": of mean 0 and of the weights' own mean square. "permuted": the same numbers in
    another order.
    """
    real = values.astype(np.float64)
    if law == "permuted":
        return rng.permutation(real.ravel()).reshape(real.shape)
    if law == "uniform":
        return rng.uniform(-HALF_WIDTH, HALF_WIDTH, real.shape)
    return rng.normal(0.0, np.sqrt(np.mean(np.square(real))), real.shape)


def chosen(where: str, layers: int | Sequence[str] | None, there: Sequence[WeightLayer]) -> list[int]:
    """Places of the layers meant: all, so many from the output, or those of these names."""
    if layers is None:
        return list(range(len(there)))
    if isinstance(layers, Sequence) and not isinstance(layers, str):
        places = {layer.name: i for i, layer in enumerate(there)}
        unknown = [name for name in layers if name not in places]
        if unknown:
            some = ", ".join(map(repr, list(places)[:8])) + (", ..." if len(places) > 8 else "")
            raise ValueError(invalid(where, "layers", unknown, f"among the network's layers: {some}"))
        return sorted(places[name] for name in layers)
    remedy = "`legstat.checks.weight_layers` lists them."
    return list(range(check_count(where, "layers", layers, 0, len(there), what=" layers", remedy=remedy)))
