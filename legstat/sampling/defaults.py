"""What is taken where the user says nothing: the cells, how z acts, how large it is, how many queries."""

from __future__ import annotations

from legstat._core.conventions import Conventions
from legstat.designs.by_name import LawName, law_named
from legstat.designs.design import Design
from legstat.designs.multiscale import MultiscaleBlocks
from legstat.perturbations.operators import Additive, Blend, Perturbation

N_QUERIES = 6000
"""Ceiling on model evaluations: the LEG paper's sample size at 28 x 28 cells."""
BLOCK_QUERIES = 2000
"""The same under multi-scale blocks, whose maps and intervals need fewer (docs/laws.md)."""
ADDITIVE_SCALE, BLEND_SCALE = 0.02, 0.25
"""sigma in pixel values (the paper's), and in mask levels."""
MOST_CELLS = 28
"""Cells a side of the default grid, at most: that of the LEG paper."""
_FEWEST_CELLS = 4


def default_operator(rules: Conventions, *, design_given: bool) -> Perturbation:
    """How z acts where nobody says so.

    A design that the user gives names its scale in pixel values, the paper's unit, unless an operator comes with it:
    then z is added. Where the design is left open too, operator and design are chosen together: towards a blurred
    picture, the coordinates whose maps measured best. Other conventions than ours always add.
    """
    if rules.name == "default" and not design_given:
        return Blend("blur", at=0.5)
    return Additive(clip=rules.clip, quantise=rules.quantise)


def default_queries(design: Design) -> int:
    """Ceiling on model evaluations under a law."""
    return BLOCK_QUERIES if isinstance(design, MultiscaleBlocks) else N_QUERIES


def default_scale(operator: Perturbation) -> float:
    """sigma in the unit in which an operator takes z."""
    return BLEND_SCALE if isinstance(operator, Blend) else ADDITIVE_SCALE


def default_grid(height: int, width: int) -> tuple[int, int]:
    """The finest grid of at most 28 cells a side that divides a picture, or nearly.

    Parameters
    ----------
    height, width : int
        Pixels.

    Returns
    -------
    tuple of int
        (p1, p2). A side without a divisor between 4 and 28 is cut into cells whose sizes differ by a pixel.

    Examples
    --------
    >>> default_grid(224, 224), default_grid(8, 8), default_grid(32, 48), default_grid(227, 331)
    ((28, 28), (8, 8), (16, 24), (26, 28))
    """

    def cells(side: int) -> int:
        divisor = max(d for d in range(1, MOST_CELLS + 1) if side % d == 0)
        pixels = -(-side // MOST_CELLS)  # of the largest cell, where cells differ
        return divisor if divisor >= min(_FEWEST_CELLS, side) else -(-side // pixels)

    return cells(height), cells(width)


def default_design(
    size: tuple[int, int],
    operator: Perturbation,
    grid: tuple[int, int] | None,
    scale: float | None,
    name: LawName | None = None,
) -> Design:
    """The law of that name on a picture of (height, width), of the default grid and scale unless these are given.

    Where no name is given, multi-scale blocks for `Blend`, whose maps and intervals measured best in deletion
    coordinates (docs/laws.md), and the paper's structured law for pixel values. An on/off law reaches from the one end
    of the mask to the other where `Blend` stands in the middle.
    """
    if name is None:
        name = "blocks" if isinstance(operator, Blend) else "structured"
    law = law_named(name, default_grid(*size) if grid is None else grid)
    if scale is None and isinstance(operator, Blend) and law.bound is not None:
        scale = min(operator.at, 1.0 - operator.at)
    return law.replace(scale=default_scale(operator) if scale is None else scale)
