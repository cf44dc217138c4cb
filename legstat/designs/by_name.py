"""Designs by name, as samples and records write them down."""

from __future__ import annotations

from legstat._core.typing import JSON
from legstat.designs.bernoulli import BernoulliCells
from legstat.designs.design import Design
from legstat.designs.general import GaussianDesign
from legstat.designs.isotropic import IsotropicGaussian
from legstat.designs.multiscale import MultiscaleBlocks
from legstat.designs.structured import StructuredGaussian

DESIGNS: dict[str, type[Design]] = {
    c.__name__: c
    for c in (
        StructuredGaussian,
        IsotropicGaussian,
        GaussianDesign,
        MultiscaleBlocks,
        BernoulliCells,
    )
}
"""Designs by class name, as saved samples name them."""


def design_from_parameters(name: str, parameters: JSON) -> Design:
    """The design that `Design.parameters` described."""
    parameters = {**parameters, "grid": tuple(parameters["grid"])}
    return DESIGNS[name](**parameters)
