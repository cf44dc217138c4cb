"""What `solve` returns, and how a solve can end."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property

import numpy as np

from legstat._core.errors import SolverError
from legstat._core.typing import JSON, FloatArray
from legstat._core.values import read_only
from legstat.solvers.optimum.certificate import Certificate
from legstat.solvers.optimum.face import regions_of_face, widest_range
from legstat.solvers.optimum.general_selection import general_face, widest_range_general
from legstat.solvers.programs.flow import FlowProgram
from legstat.solvers.programs.general import GeneralProgram
from legstat.solvers.programs.graph import times

Program = FlowProgram | GeneralProgram


class Status(Enum):
    """How a solve ended; the value is the message for people."""

    CERTIFIED = "optimal: our own certificate passes"
    UNCERTIFIED = "the engine's answer fails our certificate"
    TIME_LIMIT = "stopped at the time limit"
    INFEASIBLE = "no g satisfies the constraint at this L"
    FAILED = "the engine gave no answer"

    @property
    def ok(self) -> bool:
        """True only for a certified optimum."""
        return self is Status.CERTIFIED


@dataclass(frozen=True, eq=False)
class Dual:
    """The dual side of a solution.

    Attributes
    ----------
    flow : ndarray of float, shape (m,)
        Multipliers of D g, in units of the weights.
    multipliers : ndarray of float
        Of the constraint of a general program; empty for a flow program.
    precision : float
        To which they are known, relative to L_max.
    """

    flow: FloatArray
    multipliers: FloatArray
    precision: float


@dataclass(frozen=True, eq=False)
class Solution:
    """A solution of a program at one L, with its certificate.

    Attributes
    ----------
    program : FlowProgram or GeneralProgram
    g : ndarray of float, shape (p,)
        Mean 0 in every component whose mean the program leaves open (see `mean_determined`).
    L : float
    objective : float
        sum_e w_e |(D g)_e|.
    certificate : Certificate
    status : Status
    engine, selection : str
        What produced it; the engine is "closed form" where none was needed (L = 0, L >= L_max).
    flow : ndarray of float, shape (m,)
        Dual solution: multipliers of D g, a circulation for a flow program, in units of the weights.
    slope : float
        A subgradient of the optimal objective as a function of L (NaN without a certificate).
    selection_error : float
        Bound on the largest distance of an edge of h from the point that the selection names (0 for "vertex").
    precision : float
        To which the engine's answer is known, relative to L_max.
    multipliers : ndarray of float
        Multipliers of the constraint of a general program; empty for a flow program.
    stats : dict
        Seconds, iterations and the attempts made.
    """

    program: Program
    g: FloatArray
    L: float
    objective: float
    certificate: Certificate
    status: Status
    engine: str
    selection: str
    flow: FloatArray
    slope: float = float("nan")
    selection_error: float = 0.0
    precision: float = 0.0
    multipliers: FloatArray = field(default_factory=lambda: read_only(np.empty(0)))
    stats: JSON = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """True only where our own certificate passes (relative gap <= 1e-8)."""
        return self.status.ok

    @cached_property
    def differences(self) -> FloatArray:
        """h = D g, shape (m,)."""
        return read_only(differences_of(self.program, self.g))

    @property
    def mean_determined(self) -> bool:
        """False where the program leaves the mean of g open (it is then 0)."""
        return self.program.mean_determined

    @cached_property
    def face_width(self) -> float:
        """Largest range of one edge of h over all optimal points; 0 where the optimum is unique.

        Exact and computed on first use. For a flow program from shortest paths on the regions of the optimal face:
        milliseconds at 28 x 28, up to some ten seconds at 112 x 112. For a general program from small linear programs;
        its optimum is often unique. NaN without a certificate, or where a general program has too many regions.
        """
        return face_width(self.program, self.g, self.dual, self.L) if self.ok else float("nan")

    @property
    def dual(self) -> Dual:
        """Its dual side, as plain data."""
        return Dual(self.flow, self.multipliers, self.precision)

    def __repr__(self) -> str:
        return (f"Solution(L={self.L:.6g}, objective={self.objective:.6g}, {self.status.name.lower()}, "
                f"gap={self.certificate.gap:.1e}, engine={self.engine!r}, selection={self.selection!r})")  # fmt: skip


def face_width(program: Program, g: FloatArray, dual: Dual, L: float) -> float:
    """Largest range of one edge of h over all optimal points, from one of them and a dual solution.

    See `Solution.face_width`.
    """
    if isinstance(program, GeneralProgram):
        if L >= program.L_max:
            return 0.0
        try:
            return widest_range_general(program, general_face(program, dual.flow, dual.multipliers, L))
        except SolverError:
            return float("nan")
    if L == 0:
        return 0.0
    regions = regions_of_face(program, g / program.scale, dual.flow / program.weight_scale,
                              L / program.scale, max(dual.precision, 1e-10))  # fmt: skip
    return widest_range(regions) * program.scale


class PathInterrupted(KeyboardInterrupt):
    """Ctrl-C during a path; `solutions` holds what was solved before it."""

    def __init__(self, solutions: list[Solution]) -> None:
        super().__init__(f"interrupted after {len(solutions)} solutions; they are in `.solutions`")
        self.solutions = solutions


def differences_of(program: Program, g: FloatArray) -> FloatArray:
    """D g."""
    return program.differences(g) if isinstance(program, FlowProgram) else times(program.difference, g)


def objective_of(program: Program, g: FloatArray) -> float:
    """sum_e w_e |(D g)_e|."""
    return float((program.unit_weights * np.abs(differences_of(program, g))).sum() * program.weight_scale)
