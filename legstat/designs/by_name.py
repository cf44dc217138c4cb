"""Designs by name, as samples and records write them down."""

from __future__ import annotations

from collections.abc import Callable

from legstat._core.typing import JSON
from legstat.designs.bernoulli import BernoulliCells
from legstat.designs.design import Design
from legstat.designs.general import GaussianDesign
from legstat.designs.isotropic import IsotropicGaussian
from legstat.designs.multiscale import MultiscaleBlocks
from legstat.designs.spectral import SpectralBinary, SpectralGaussian
from legstat.designs.structured import StructuredGaussian

DESIGNS: dict[str, type[Design]] = {
    c.__name__: c
    for c in (
        StructuredGaussian,
        IsotropicGaussian,
        GaussianDesign,
        MultiscaleBlocks,
        BernoulliCells,
        SpectralGaussian,
        SpectralBinary,
    )
}
"""Designs by class name, as saved samples name them."""


LAWS: dict[str, Callable[..., Design]] = {
    "structured": StructuredGaussian,
    "isotropic": IsotropicGaussian,
    "blocks": MultiscaleBlocks,
    "cells": BernoulliCells,
    "smooth": SpectralGaussian,
    "smooth_binary": SpectralBinary,
}
"""Laws by the name that a user gives, each with what it takes where nothing but grid and scale is said."""


def law_named(name: str, grid: tuple[int, int], scale: float | None = None) -> Design:
    """The law of that name on a grid, of its own scale unless one is given."""
    return LAWS[name](grid, **({} if scale is None else {"scale": scale}))


def design_from_parameters(name: str, parameters: JSON) -> Design:
    """The design that `Design.parameters` described."""
    parameters = {**parameters, "grid": tuple(parameters["grid"])}
    return DESIGNS[name](**parameters)
