r"""The exact path along L: piece by piece, and by tangent intersection.

Of a lifted program every vertex tells the whole piece of the path that it lies on, and the next solve is just below it:
a parametric dual simplex, whose steps are certified. What that leaves, and all other programs, goes by tangents.

The value function V(L) is convex and piecewise linear, and every certified solve gives V(L) and a subgradient. Where
the tangents of two solved radii meet, V is solved again: either it lies on them, and the meeting point is a breakpoint,
or it lies above, and two smaller intervals remain (Eisner and Severance, 1976). Between neighbouring knots the chord
bounds V from above and is attained by interpolating the two solutions, since objective and constraint are jointly
convex in (g, L); the tangents bound it from below. So the largest distance of chord and tangents is a certified error
of the whole path at any moment, and 0 up to rounding at the end. With unit weights the slopes are whole numbers.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from legstat._core.errors import invalid
from legstat._core.typing import JSON, FloatArray
from legstat._core.values import read_only
from legstat.solvers.optimum.piece import piece_of
from legstat.solvers.programs.general import GeneralProgram
from legstat.solvers.session import Session
from legstat.solvers.solution import Program, Solution
from legstat.solvers.solve import check_arguments, check_L

_STEP = 1e-6  # of L_max, below the end of a piece: what changes there is far beyond the tolerance of engines
_BLIND = 1e-3  # of L_max, where a vertex does not tell its piece
_FLOOR = 1e-3  # the error is relative to max(V, 1e-3 of the unit of the objective), as the gap of a certificate is


@dataclass(frozen=True, eq=False)
class ExactPath:
    """All breakpoints of the value function between L_min and L_max, with solutions that interpolate optimally.

    Attributes
    ----------
    solutions : tuple of Solution
        One per knot, L descending from L_max to L_min.
    error : float
        Certified: at every L the interpolated objective exceeds the optimum by at most this, relative to
        max(optimum, 1e-3 times the unit of the objective).
    complete : bool
        Whether `error` reached the tolerance; False where `max_solves` or Ctrl-C came first.
    n_solves : int
    """

    solutions: tuple[Solution, ...]
    error: float
    complete: bool
    n_solves: int
    _session: Session

    @cached_property
    def knots(self) -> FloatArray:
        """L at the knots, descending."""
        return read_only(np.array([s.L for s in self.solutions]))

    @cached_property
    def values(self) -> FloatArray:
        """V at the knots, ascending."""
        return read_only(np.array([s.objective for s in self.solutions]))

    @cached_property
    def slopes(self) -> FloatArray:
        """Slope of V between neighbouring knots, shape (knots - 1,); whole numbers where the weights are 1."""
        slopes = np.diff(self.values) / np.diff(self.knots)
        program = self.solutions[0].program
        whole = self.complete and not isinstance(program, GeneralProgram) and program.weights is None
        return read_only(np.rint(slopes) if whole else slopes)

    def value(self, L: float) -> float:
        """Objective of the interpolated solution at L."""
        L = self._within("value", L)
        return float(np.interp(L, self.knots[::-1], self.values[::-1]))

    def at(self, L: float) -> Solution:
        """The interpolated solution at any L >= L_min, with its own certificate.

        Its flow is that of a neighbouring knot where that certifies it, else comes from one more solve.
        """
        L = self._within("at", L)
        after = bisect_left(-self.knots, -L)
        if after < len(self.solutions) and self.solutions[after].L == L:
            return self.solutions[after]
        if after == 0:
            return self._session.solve(L, None, "raise")
        left, right = self.solutions[after], self.solutions[after - 1]
        share = (L - left.L) / (right.L - left.L)
        g = (1 - share) * left.g + share * right.g
        best = min((self._session.checked(g, L, s) for s in (left, right)), key=lambda s: s.certificate.gap)
        if best.ok or not self.complete:
            return best
        return self._session.checked(g, L, self._session.solve(L, None, "raise"))

    def _within(self, where: str, L: float) -> float:
        L, lowest = check_L(f"ExactPath.{where}", L), float(self.knots[-1])
        if lowest > L:
            raise ValueError(invalid(f"ExactPath.{where}", "L", L, f"at least L_min = {lowest:.6g}",
                                     "Compute the path with a smaller L_min."))  # fmt: skip
        return L

    def __len__(self) -> int:
        return len(self.solutions)


def exact_path(
    program: Program,
    L_min: float,
    *,
    engine: str = "auto",
    selection: str = "vertex",
    max_solves: int = 20_000,
    tol: float = 1e-9,
    time_limit: float | None = None,
    options: JSON | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> ExactPath:
    """All breakpoints of the value function from L_max down to L_min.

    Parameters
    ----------
    program : FlowProgram or GeneralProgram
    L_min : float
        Smallest L; the number of breakpoints grows fast as it falls (about 0.13 m down to 0.1 L_max).
    engine, options
        As for `solve`.
    selection : {"vertex", "closest", "interior"}
        Of the solutions at the knots. Between knots solutions are interpolated, which is optimal, but is not the point
        that the selection would name there.
    max_solves : int
        Stop after so many solves; what is left is bounded by `ExactPath.error`.
    tol : float
        Relative error at which to stop. 1e-9 finds every breakpoint; 1e-3 gives a certified approximation with far
        fewer solves, the right choice at pixel resolution.
    time_limit : float, optional
        Seconds per solve.
    progress : callable, optional
        Called as ``progress(n_solves, error)`` after each solve.

    Returns
    -------
    ExactPath
        Ctrl-C ends the search and returns what is solved, with its certified error.

    Raises
    ------
    ValueError, BackendUnavailableError, SolverError
        As for `solve`.

    Examples
    --------
    >>> import numpy as np
    >>> from legstat.solvers import FlowProgram, exact_path
    >>> path = exact_path(FlowProgram.from_potential((1, 3), np.array([0.0, 1.0, 4.0])), L_min=0.0)
    >>> path.slopes.tolist()
    [-1.0, -2.0]
    >>> round(path.at(2.0).objective, 9)
    1.0
    """
    check_arguments("exact_path", engine, selection, "raise", time_limit)
    L_min = check_L("exact_path", L_min, "L_min")
    for name, value, least in (("max_solves", max_solves, 2), ("tol", tol, 0)):
        if not value >= least:
            raise ValueError(invalid("exact_path", name, value, f"at least {least}"))
    if program.L_max <= L_min:
        raise ValueError(invalid("exact_path", "L_min", L_min, f"below L_max = {program.L_max:.6g}",
                                 "From L_max on the solution is 0."))  # fmt: skip
    search = _Search(Session(program, engine, "vertex", options, keep=True), time_limit)
    search.run(L_min, max_solves, tol, progress)
    session = Session(program, engine, selection, options, keep=True)
    solutions = tuple(session.selected(s) for s in search.knots())
    return ExactPath(solutions, search.error, search.error <= tol, search.n_solves, session)


class _Search:
    """The intervals that are left, the one with the largest error first."""

    def __init__(self, session: Session, time_limit: float | None) -> None:
        self.session, self.time_limit, self.program = session, time_limit, session.program
        self.unit = session.program.objective_unit
        self.solved: dict[float, Solution] = {}
        self.n_solves = 0
        self._open: list[tuple[float, float, float]] = []

    @property
    def error(self) -> float:
        """Relative error of the path as it stands."""
        return -self._open[0][0] if self._open else 0.0

    def run(self, L_min: float, max_solves: int, tol: float, progress: Callable[[int, float], None] | None) -> None:
        self._solve(self.program.L_max)
        self._solve(L_min)
        try:
            if isinstance(self.program, GeneralProgram) and self.program.lift is not None:
                self._march(self.program, L_min, max_solves, progress)
        except KeyboardInterrupt:
            max_solves = 0
        known = sorted(self.solved)
        for low, high in pairwise(known):
            self._push(low, high)
        try:
            while self.error > tol and self.n_solves < max_solves:
                _, low, high = heapq.heappop(self._open)
                middle = self._meeting(low, high)
                try:
                    self._solve(middle)
                except BaseException:
                    self._push(low, high)
                    raise
                self._push(low, middle)
                self._push(middle, high)
                if progress is not None:
                    progress(self.n_solves, self.error)
        except KeyboardInterrupt:
            return

    def _march(
        self, program: GeneralProgram, L_min: float, most: int, progress: Callable[[int, float], None] | None
    ) -> None:
        """Down from L_max, one solve for each piece; where a vertex tells none, a larger step."""
        L = program.L_max
        while self.n_solves < most and L - _STEP * program.L_max > L_min:
            L -= _STEP * program.L_max
            found = self._solve(L)
            piece = piece_of(program, found.g, found.multipliers, L)
            if piece is None or piece.low >= L:  # a tie
                L -= _BLIND * program.L_max
            else:
                for end in (max(piece.low, L_min), min(piece.high, program.L_max)):
                    ended = self.session.checked(found.g + (end - L) * piece.slope, end, found)
                    if end not in self.solved and ended.ok:
                        self.solved[end] = ended
                L = piece.low
            if progress is not None:
                progress(self.n_solves, float("nan"))  # of what is left nothing is known yet

    def _solve(self, L: float) -> Solution:
        found = self.solved[L] = self.session.solve(L, self.time_limit, "raise")
        self.n_solves += 1
        return found

    def _meeting(self, low: float, high: float) -> float:
        """Where the tangents of the two ends meet, kept off the ends."""
        a, b = self.solved[low], self.solved[high]
        width = high - low
        if a.slope >= b.slope:
            return 0.5 * (low + high)
        meeting = (b.objective - a.objective + a.slope * low - b.slope * high) / (a.slope - b.slope)
        return min(max(meeting, low + 1e-6 * width), high - 1e-6 * width)

    def _push(self, low: float, high: float) -> None:
        a, b = self.solved[low], self.solved[high]
        if high - low <= 1e-13 * self.program.L_max:  # neighbouring numbers: nothing fits between them
            return
        L = self._meeting(low, high)
        chord = a.objective + (b.objective - a.objective) * ((L - low) / (high - low))
        tangents = max(a.objective + a.slope * (L - low), b.objective + b.slope * (L - high), 0.0)
        error = max(chord - tangents, 0.0) / max(tangents, _FLOOR * self.unit)
        heapq.heappush(self._open, (-error, low, high))

    def knots(self) -> list[Solution]:
        """Solutions at the breakpoints and both ends, L descending; points inside a linear piece are dropped."""
        points = [self.solved[L] for L in sorted(self.solved, reverse=True)]
        kept = points[:1]
        for here, following in zip(points[1:], [*points[2:], None], strict=True):
            if following is not None:
                before = (here.objective - kept[-1].objective) / (here.L - kept[-1].L)
                after = (following.objective - here.objective) / (following.L - here.L)
                # what dropping the point would change; whole numbers of 40 bits give V to some 1e-12 of its unit
                bend = abs(after - before) * min(kept[-1].L - here.L, here.L - following.L)
                if bend <= 1e-10 * max(here.objective, self.unit):
                    continue
            kept.append(here)
        return kept
