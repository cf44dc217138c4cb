"""Options that say how a map is made: law, grid, budget, and the choice of L."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import typer

from legstat._core.errors import invalid

MAPS = "Maps"


class PerturbChoice(StrEnum):
    """How z acts on the picture."""

    additive = "additive"
    blur = "blur"
    mean = "mean"
    black = "black"
    noise = "noise"


class LawChoice(StrEnum):
    """Laws of z."""

    structured = "structured"
    isotropic = "isotropic"
    blocks = "blocks"
    cells = "cells"
    smooth = "smooth"
    smooth_binary = "smooth_binary"


@dataclass(frozen=True)
class MapOptions:
    """What is alike for one picture and for many."""

    n_queries: Annotated[
        int | None,
        typer.Option(
            "--n-queries",
            help="Ceiling on model evaluations of a picture; 2000 under blocks, 6000 else.",
            show_default=False,
            rich_help_panel=MAPS,
        ),
    ] = None
    grid: Annotated[
        str | None, typer.Option("--grid", help="Rows x columns; at most 28 a side if left out.", rich_help_panel=MAPS)
    ] = None
    law: Annotated[
        LawChoice | None,
        typer.Option(
            "--law",
            help="Law of z; blocks if left out, structured for additive.",
            show_default=False,
            rich_help_panel=MAPS,
        ),
    ] = None
    scale: Annotated[
        float | None,
        typer.Option(
            "--scale",
            help="sigma; 0.5 (mask level) for blocks, 0.25 for Gaussian blends, 0.02 (pixel value) for additive.",
            rich_help_panel=MAPS,
        ),
    ] = None
    L: Annotated[
        str | None,
        typer.Option("--L", help="readable, simplest, heldout, bootstrap, theory, or a number.", rich_help_panel=MAPS),
    ] = None
    L_ratio: Annotated[
        float | None, typer.Option("--L-ratio", help="L as a fraction of L_max.", rich_help_panel=MAPS)
    ] = None
    n_regions: Annotated[
        int | None,
        typer.Option(
            "--n-regions",
            help="The most detailed map with at most so many regions, in place of L.",
            rich_help_panel=MAPS,
        ),
    ] = None

    @property
    def rule(self) -> float | str | None:
        """``--L``: a number, or the name of a rule."""
        try:
            return None if self.L is None else float(self.L)
        except ValueError:
            return self.L


def shape_from(text: str | None, where: str) -> tuple[int, int] | None:
    """``--grid``: rows and columns, or None where it was left out."""
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.strip().isdigit() for part in parts):
        raise ValueError(invalid(where, "--grid", text, "rows x columns, such as 28x28"))
    return int(parts[0]), int(parts[1])
