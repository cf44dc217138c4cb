"""What is taken where the user says nothing: how z acts, how large it is, how many queries."""

from __future__ import annotations

from legstat._core.conventions import Conventions
from legstat.perturbations.operators import Additive, Blend, Perturbation

N_QUERIES = 6000
"""Ceiling on model evaluations: the LEG paper's sample size at 28 x 28 cells."""
ADDITIVE_SCALE, BLEND_SCALE = 0.02, 0.25
"""sigma in pixel values (the paper's), and in mask levels."""


def default_operator(rules: Conventions, *, design_given: bool) -> Perturbation:
    """How z acts where nobody says so.

    A design that the user gives names its scale in pixel values, the paper's unit, unless an operator comes with it:
    then z is added. Where the design is left open too, operator and design are chosen together: towards a blurred
    picture, the coordinates whose maps measured best. Other conventions than ours always add.
    """
    if rules.name == "default" and not design_given:
        return Blend("blur", at=0.5)
    return Additive(clip=rules.clip, quantise=rules.quantise)


def default_scale(operator: Perturbation) -> float:
    """sigma in the unit in which an operator takes z."""
    return BLEND_SCALE if isinstance(operator, Blend) else ADDITIVE_SCALE
