"""Designs by name, as samples and records write them down."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

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


LawName = Literal["structured", "isotropic", "blocks", "cells", "smooth", "smooth_binary"]
LAWS: dict[LawName, Callable[..., Design]] = {
    "structured": StructuredGaussian,
    "isotropic": IsotropicGaussian,
    "blocks": MultiscaleBlocks,
    "cells": BernoulliCells,
    "smooth": SpectralGaussian,
    "smooth_binary": SpectralBinary,
}
"""Laws by the name that a user gives, each with what it takes where nothing but grid and scale is said."""


def law_named(name: LawName, grid: tuple[int, int], scale: float | None = None) -> Design:
    """The law of that name on a grid, of its own scale unless one is given."""
    return LAWS[name](grid, **({} if scale is None else {"scale": scale}))


def name_of(design: Design) -> str:
    """The name of a design's law, or that of its class where it has none."""
    kind = type(design)
    return next((name for name, law in LAWS.items() if law is kind), kind.__name__)


def design_from_parameters(name: str, parameters: JSON) -> Design:
    """The design that `Design.parameters` described."""
    parameters = {**parameters, "grid": tuple(parameters["grid"])}
    return DESIGNS[name](**parameters)
