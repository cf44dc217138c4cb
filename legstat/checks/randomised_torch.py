"""The weights of a torch module, replaced layer by layer in a copy."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from legstat._core.errors import invalid
from legstat.checks.layers import WeightLaw, WeightLayer, chosen, drawn

if TYPE_CHECKING:
    import torch


def module_layers(where: str, module: torch.nn.Module) -> tuple[WeightLayer, ...]:
    """Layers from the output back, by the order in which the modules were registered.

    A module with a weight of two axes or more begins a layer; the parameters of the others, of normalisations say, join
    the layer before.
    """
    layers: list[tuple[str, str, list[str], int]] = []
    for name, part in module.named_modules():
        own = [(f"{name}.{key}".lstrip("."), value) for key, value in part.named_parameters(recurse=False)]
        if any(value.ndim > 1 for _, value in own):
            layers.append((name, type(part).__name__, [], 0))
        if own and layers:
            first, kind, tensors, size = layers[-1]
            layers[-1] = (first, kind, [*tensors, *(key for key, _ in own)], size + sum(v.numel() for _, v in own))
    if not layers:
        remedy = "A layer begins with a parameter of two axes or more."
        raise ValueError(invalid(where, "model", type(module).__name__, "a module with weights", remedy))
    # named_modules yields a shared module once, where it is first registered
    return tuple(WeightLayer(name, kind, tuple(tensors), size) for name, kind, tensors, size in reversed(layers))


def randomised_module(
    where: str, module: torch.nn.Module, layers: int | Sequence[str] | None, law: WeightLaw, root: int
) -> torch.nn.Module:
    """A copy of a module with the weights of some layers replaced; layer i draws from a stream of its own."""
    import torch

    fresh = copy.deepcopy(module)
    there = module_layers(where, fresh)
    parameters = dict(fresh.named_parameters(remove_duplicate=False))
    met: set[int] = set()
    for i, layer in enumerate(there):
        tensors = [parameters[name] for name in layer.tensors if id(parameters[name]) not in met]
        met.update(map(id, tensors))
        if i not in chosen(where, layers, there):
            continue
        rng = np.random.default_rng([root, i])
        for tensor in tensors:
            values = drawn(tensor.detach().to("cpu", torch.float64).numpy(), law, rng)
            with torch.no_grad():
                tensor.copy_(torch.from_numpy(values))
    return fresh
