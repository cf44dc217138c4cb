"""`solve` and `solve_path`: an engine's answer, verified, or an error that carries the best answer there is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from legstat._core.checks import check_positive
from legstat._core.errors import invalid
from legstat._core.typing import JSON
from legstat.solvers.session import ENGINES, Session
from legstat.solvers.solution import PathInterrupted, Program, Solution

SELECTIONS = ("closest", "vertex", "interior")


def solve(
    program: Program,
    L: float,
    *,
    engine: str = "auto",
    selection: str = "closest",
    time_limit: float | None = None,
    options: JSON | None = None,
    on_failure: str = "raise",
) -> Solution:
    """Solve the program at one L and verify the answer.

    Parameters
    ----------
    program : FlowProgram or GeneralProgram
    L : float
        Radius of the constraint, >= 0, in the units of the program's centre.
    engine : {"auto", "network", "cuts", "highs", "cvxpy"}
        "network" (extra "fast") solves flow programs exactly on whole numbers; "cuts" solves lifted programs of 201 to
        4,096 cells with covariances on few regions; "highs" calls HiGHS directly; "cvxpy" is the readable reference.
        "auto" takes the first that is installed and applies, and the next one where an answer fails the certificate.
    selection : {"closest", "vertex", "interior"}
        The optimum is rarely unique. "closest": the optimal point whose edges are nearest to the data in least squares,
        unique, so the same for every engine; "vertex": what the engine returns, the fastest; "interior": the analytic
        centre of the optimal face, unique too, with as many jumps as the face allows.
    time_limit : float, optional
        Seconds for the engines together. "network" cannot be stopped inside a solve (0.3 s at 50,176 unknowns).
    options : dict, optional
        For "highs": HiGHS options by name. For "cvxpy": ``{"solver": name, ...}`` and that solver's own options.
    on_failure : {"raise", "return"}
        Without a certified solution: raise `SolverError` (it carries the best one), or return it with its status.

    Returns
    -------
    Solution

    Raises
    ------
    ValueError
        Where an argument is outside its range, or the engine does not apply.
    BackendUnavailableError
        Where ``engine="network"`` is asked for by name and pylmcf is missing.
    SolverError
        Where no attempt passes the certificate and ``on_failure="raise"``.

    Examples
    --------
    >>> import numpy as np
    >>> from legstat.solvers import FlowProgram, solve
    >>> solution = solve(FlowProgram.from_potential((1, 3), np.array([0.0, 0.0, 3.0])), L=1.0)
    >>> solution.ok, solution.objective
    (True, 2.0)
    """
    check_arguments("solve", engine, selection, on_failure, time_limit)
    session = Session(program, engine, selection, options, keep=False)
    return session.solve(check_L("solve", L), time_limit, on_failure)


def solve_path(
    program: Program,
    Ls: Iterable[float],
    *,
    engine: str = "auto",
    selection: str = "closest",
    time_limit: float | None = None,
    options: JSON | None = None,
    on_failure: str = "raise",
    progress: Callable[[int, int], None] | None = None,
) -> list[Solution]:
    """Solve at every L of a sequence, each solve starting from the one before.

    Parameters
    ----------
    program, engine, selection, options, on_failure
        As for `solve`.
    Ls : iterable of float
        Values of L; they are solved in descending order and returned in it.
    time_limit : float, optional
        Seconds per L.
    progress : callable, optional
        Called as ``progress(done, total)`` after each L.

    Returns
    -------
    list of Solution
        L descending.

    Raises
    ------
    PathInterrupted
        On Ctrl-C; its `solutions` are those solved so far.
    ValueError, BackendUnavailableError, SolverError
        As for `solve`.

    Examples
    --------
    >>> import numpy as np
    >>> from legstat.solvers import FlowProgram, solve_path
    >>> program = FlowProgram.from_potential((1, 3), np.array([0.0, 0.0, 3.0]))
    >>> [round(s.objective, 9) for s in solve_path(program, [0.0, 1.0, 2.0])]
    [1.0, 2.0, 3.0]
    """
    radii = list(Ls)
    solutions: list[Solution] = []
    try:
        for solution in solutions_along(
            program, radii, engine=engine, selection=selection, time_limit=time_limit, options=options,
            on_failure=on_failure,
        ):  # fmt: skip
            solutions.append(solution)
            if progress is not None:
                progress(len(solutions), len(radii))
    except KeyboardInterrupt:
        raise PathInterrupted(solutions) from None
    return solutions


def solutions_along(
    program: Program,
    Ls: Iterable[float],
    *,
    engine: str = "auto",
    selection: str = "closest",
    time_limit: float | None = None,
    options: JSON | None = None,
    on_failure: str = "raise",
) -> Iterator[Solution]:
    """The solutions of `solve_path` one by one, as they are asked for.

    Parameters
    ----------
    program, Ls, engine, selection, time_limit, options, on_failure
        As for `solve_path`.

    Yields
    ------
    Solution
        L descending.
    """
    check_arguments("solve_path", engine, selection, on_failure, time_limit)
    radii = sorted((check_L("solve_path", L, "Ls") for L in Ls), reverse=True)
    session = Session(program, engine, selection, options, keep=True, ahead=radii)
    for L in radii:
        yield session.solve(L, time_limit, on_failure)


def check_arguments(where: str, engine: str, selection: str, on_failure: str, time_limit: float | None) -> None:
    """Refuse unknown names and an impossible time limit before anything is solved."""
    for name, value, known in (("engine", engine, ENGINES), ("selection", selection, SELECTIONS),
                               ("on_failure", on_failure, ("raise", "return"))):  # fmt: skip
        if value not in known:
            raise ValueError(invalid(where, name, value, f"one of {list(known)}"))
    if time_limit is not None:
        check_positive(where, "time_limit", time_limit, remedy="In seconds; None for no limit.")


def check_L(where: str, L: float, name: str = "L") -> float:
    """L as a float, or an error."""
    if isinstance(L, bool) or not isinstance(L, int | float | np.number):
        raise TypeError(invalid(where, name, L, "a finite number >= 0"))
    if not (math.isfinite(L) and L >= 0):
        raise ValueError(invalid(where, name, L, "a finite number >= 0"))
    return float(L)
