"""LEG-TV's programs, one for each channel that was perturbed by itself, solved together along L."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from tqdm import tqdm

from legstat._core.checks import check_within
from legstat._core.errors import invalid
from legstat._core.frozen import Portable
from legstat._core.typing import JSON, FloatArray
from legstat.estimators.legtv_results import LEGTVResults
from legstat.estimators.programs import Program, program_for, restore_mean
from legstat.moments.moments import Moments
from legstat.solvers import ExactPath, Solution, exact_path, solutions_along


@dataclass(frozen=True)
class Solving:
    """How programs are solved: the arguments that `LEGTV.fit` hands to `legstat.solvers.solve`.

    Attributes
    ----------
    engine, selection : str
        See `LEGTV.fit`.
    options : dict or None
        Passed to the engine.
    time_limit : float or None
        Seconds for each program.
    """

    engine: str = "auto"
    selection: str = "closest"
    options: JSON | None = None
    time_limit: float | None = None

    def along(self, program: Program, Ls: Sequence[float]) -> Iterator[Solution]:
        """Solutions of one program, L descending (see `legstat.solvers.solve_path`)."""
        return solutions_along(
            program,
            Ls,
            engine=self.engine,
            selection=self.selection,
            options=self.options,
            time_limit=self.time_limit,
        )


@dataclass(frozen=True, eq=False)
class Channels(Portable):
    """The programs of one moment vector.

    Attributes
    ----------
    moments : Moments
        b, one row for each channel.
    image : ndarray of shape (C, H, W) or None
        The picture, which results carry.
    own_ratio : bool
        Whether a ratio of L_max is taken in each channel by itself.
    relaxed : bool
        Whether results have their levels refitted on the regions that the program found.
    like : Channels or None
        Of another moment vector under the same law, with which programs share what does not depend on it.
    """

    moments: Moments
    image: FloatArray | None
    own_ratio: bool
    relaxed: bool = False
    like: Channels | None = None

    def __len__(self) -> int:
        """Number of programs."""
        return len(self.moments.b)

    def __repr__(self) -> str:
        return f"<Channels {len(self)} of {self.moments.design.grid.n_cells} cells>"

    @cached_property
    def programs(self) -> list[tuple[Program, float]]:
        """Each program, with the L of eq. 5 that its L = 1 stands for."""
        found: list[tuple[Program, float]] = []
        for row in self.moments.b:
            first = self.like.programs[0] if self.like is not None else found[0] if found else None
            found.append(program_for(self.moments.design, row, None if first is None else first[0]))
        return found

    @cached_property
    def L_max(self) -> FloatArray:
        """Smallest L with a constant solution, for each program."""
        return np.array([program.L_max * unit for program, unit in self.programs])

    def at_L(self, where: str, L: object) -> FloatArray:
        """That L for each program; TypeError or ValueError where it cannot be one."""
        return np.full(len(self), check_within(where, "L", L, remedy="For a fraction of L_max pass `L_ratio=`."))

    def at_ratio(self, where: str, ratio: object) -> FloatArray:
        """That fraction of L_max for each program; TypeError or ValueError where it cannot be one."""
        share = check_within(where, "L_ratio", ratio, 0.0, 1.0, remedy="For an absolute value pass `L=`.")
        return share * (self.L_max if self.own_ratio else np.full(len(self), self.L_max.max()))

    def along(
        self, radii: Sequence[FloatArray], solving: Solving, tick: Callable[[], object] = lambda: None
    ) -> Iterator[LEGTVResults]:
        """Results at each of `radii` (an L for each program), which descend together, one by one.

        All channels at one L before the next L: an interrupted path is whole as far as it goes.

        Parameters
        ----------
        radii : sequence of ndarray
            L of each program, descending.
        solving : Solving
            Engine, selection, options.
        tick : callable, optional
            Called after each solve.

        Yields
        ------
        LEGTVResults
            At each of them.
        """
        rows = [
            solving.along(program, [float(L[row]) / unit for L in radii])
            for row, (program, unit) in enumerate(self.programs)
        ]
        for L in radii:
            solutions = []
            for row in rows:
                solutions.append(next(row))
                tick()
            yield self.result(L, solutions, solving.selection)

    def result(self, L: FloatArray, solutions: Sequence[Solution], selection: str) -> LEGTVResults:
        """What solutions of all programs amount to, at L of each."""
        rows = zip(solutions, self.moments.b, strict=True)
        g = np.stack([restore_mean(self.moments.design, s.g, row) for s, row in rows])
        found = LEGTVResults(
            moments=self.moments,
            params=g.ravel(),
            image=self.image,
            L_per_row=L,
            L_max_per_row=self.L_max,
            certificates=tuple(s.certificate for s in solutions),
            engine=" and ".join(sorted({s.engine for s in solutions})),
            selection=selection,
            duals=tuple(s.dual for s in solutions),
        )
        return found.relax() if self.relaxed else found


@dataclass(frozen=True, eq=False)
class ExactMaps(Portable):
    """LEG-TV at any L from L_min on, by interpolation between the breakpoints of every channel's optimal value.

    Attributes
    ----------
    channels : Channels
        The programs.
    L_min : float
        Where the breakpoints end.
    max_solves, tol, solving, progress
        As for `LEGTV.fit_path`.
    """

    channels: Channels
    L_min: float
    max_solves: int
    tol: float
    solving: Solving
    progress: bool

    def __repr__(self) -> str:
        return f"<ExactMaps of {self.channels!r} from L = {self.L_min:.4g}>"

    @cached_property
    def paths(self) -> list[ExactPath | None]:
        """The exact path of each program; None where it is constant all along."""
        found: list[ExactPath | None] = []
        with tqdm(unit="solve", desc="exact path", disable=None if self.progress else True) as bar:

            def tick(done: int, error: float) -> None:
                bar.update(1)
                bar.set_postfix_str(f"error {error:.1e}")

            for program, unit in self.channels.programs:
                if program.L_max * unit <= self.L_min:
                    found.append(None)
                    continue
                path = exact_path(
                    program,
                    self.L_min / unit,
                    engine=self.solving.engine,
                    selection=self.solving.selection,
                    max_solves=self.max_solves,
                    tol=self.tol,
                    time_limit=self.solving.time_limit,
                    options=self.solving.options,
                    progress=tick,
                )
                found.append(path)
        return found

    @property
    def knots(self) -> list[float]:
        """L at the breakpoints of any program, descending, L_min the last."""
        pairs = zip(self.paths, self.channels.programs, strict=True)
        return sorted({float(L) * unit for path, (_, unit) in pairs if path for L in path.knots} | {self.L_min})[::-1]

    @property
    def error(self) -> float:
        """Certified bound on the relative error of the optimal value between them."""
        return max((path.error for path in self.paths if path is not None), default=0.0)

    def at(self, L: float) -> LEGTVResults:
        """The optimal maps at L; ValueError below L_min."""
        radii = self.channels.at_L("LEGTVPath.at", L)
        if L < self.L_min:
            remedy = "Compute the path with a smaller `L_ratio_min`."
            raise ValueError(invalid("LEGTVPath.at", "L", L, f"at least L_min = {self.L_min:.6g}", remedy))
        solutions: list[Solution] = []
        for path, (program, unit) in zip(self.paths, self.channels.programs, strict=True):
            if path is None:
                solutions += self.solving.along(program, [L / unit])
            else:
                solutions.append(path.at(L / unit))
        return self.channels.result(radii, solutions, self.solving.selection)
