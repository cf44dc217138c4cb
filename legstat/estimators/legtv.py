"""LEG-TV: the total-variation penalised LEG, a linear program along L (LEG paper, eq. 5)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from tqdm import tqdm

from legstat._core.checks import check_within
from legstat._core.conventions import MomentKind
from legstat._core.errors import InferenceUnavailableError, invalid
from legstat._core.typing import JSON, FloatArray
from legstat.designs.design import Design
from legstat.designs.structured import StructuredGaussian
from legstat.estimators.heldout import HeldOut, heldout_r2
from legstat.estimators.leg import FOLDS, check_data
from legstat.estimators.path import LEGTVPath, Solving
from legstat.estimators.results import LEGTVResults
from legstat.inference.confidence_set import bootstrap_L
from legstat.inference.covariance import SEED, Covariance, no_variance
from legstat.inference.intervals import N_DRAWS, check_units
from legstat.inference.theory import structured_L, theorem_L
from legstat.moments.estimate import COV_TYPES, Moments
from legstat.samples.sample import QuerySample
from legstat.solvers import ExactPath, FlowProgram, GeneralProgram, PathInterrupted, Solution, exact_path, solve_path

Program = FlowProgram | GeneralProgram
_FACE_LIMIT = 4096  # cells up to which the width of the optimal face is worth its shortest paths (seconds beyond)


class LEGTV:
    r"""LEG with a total-variation penalty.

    .. math:: \min_g \|D g\|_1 \quad\text{s.t.}\quad \|D^{+T}(b - \Sigma g)\|_\infty \le L

    (LEG paper, eq. 5). Each channel that was perturbed by itself is a program of its own. Under the structured design
    :math:`D^{+T}\Sigma = \sigma^2 D` makes it a sparse program on the grid's edges; it does not determine the mean of
    g, which is set to its own estimate 1^T b / (p sigma^2), so that LEG-TV at L = 0 is LEG.

    Parameters
    ----------
    data : QuerySample or Moments
        A sample, or the moment vector alone.
    moments : {"printed", "centred", "regression", "adaptive", "crossfit", "least_squares"}, optional
        How b is estimated from a sample: "adaptive" ("regression" beyond 2,500 unknowns, "crossfit" beyond 4,096,
        where no p x p matrix is formed), unless the sample's conventions say otherwise.

    Raises
    ------
    TypeError
        If `data` is neither.
    ValueError
        If `moments` is given with a `Moments`, or contradicts the sample's conventions.

    Examples
    --------
    >>> import numpy as np, legstat as ls
    >>> gamma = np.zeros((6, 6)); gamma[2:4, 2:4] = 1.0
    >>> design = ls.StructuredGaussian(grid=(6, 6), scale=0.05)
    >>> sample = ls.query(ls.simulate.linear(gamma), np.full((1, 6, 6), 0.5), design, n_queries=400, rng=0)
    >>> result = ls.LEGTV(sample).fit(L_ratio=0.2)
    >>> result.certificate.passed, result.strongest(1)[0][:2] in [(2, 2), (2, 3), (3, 2), (3, 3)]
    (True, True)
    """

    def __init__(self, data: QuerySample | Moments, *, moments: MomentKind | None = None) -> None:
        self._data, self._kind = check_data("LEGTV", data, moments, "legtv_moments")
        # results need not keep how each unit moved the moments, which is a p x p matrix
        self._moments = (
            data if isinstance(data, Moments) else dataclasses.replace(data.moments(self._kind), influence=None)
        )
        self._per_channel = isinstance(data, QuerySample) and data.convention_set.L_ratio_per_channel

    @cached_property
    def _programs(self) -> list[tuple[Program, float]]:
        return [program_for(self._moments.design, row) for row in self._moments.b]

    @cached_property
    def L_max_per_row(self) -> FloatArray:
        """Smallest L with a constant solution, for each row of b."""
        return np.array([program.L_max * unit for program, unit in self._programs])

    @property
    def L_max(self) -> float:
        """Smallest L at which every channel's solution is constant (LEG 5.3, with the infinity norm)."""
        return float(self.L_max_per_row.max())

    def L_theory(self, probability: float = 0.95) -> float:
        """L of Theorem 1 as printed (see `legstat.inference.theory.theorem_L`).

        Parameters
        ----------
        probability : float, default 0.95
            1 - eps.

        Returns
        -------
        float
            L. "Often too conservative" (LEG 5.3): above `L_max` the estimate is constant.

        Raises
        ------
        ValueError
            If the score is known to be unbounded, as logits and log-odds are (that a function of your own stays within
            [-1, 1] is for you to vouch for), or the structured design's scale so large that the noise outgrows this L.
        """
        score = self._moments.source.get("response", {}).get("score", "unknown")
        if score not in ("probability", "difference", "custom", "unknown"):
            remedy = "Use score='probability' or 'difference', or choose L by 'heldout'."
            raise ValueError(invalid("LEGTV.L_theory", "score", score, "bounded by 1, as Theorem 1 assumes", remedy))
        if self._moments.source.get("response", {}).get("bounded") is False:
            remedy = "Choose L by 'bootstrap' or 'heldout'."
            raise ValueError(invalid("LEGTV.L_theory", "response.bounded", False, "a score within [-1, 1]", remedy))
        design, n = self._moments.design, self._moments.n
        L = theorem_L(design.grid, n, probability)
        if isinstance(design, StructuredGaussian) and structured_L(design.grid, design.scale, n, probability) > L:
            # L has no sigma in it and the noise of the constraint has: from here on the set misses gamma more often
            remedy = "Choose L by 'bootstrap', or give pictures and scale in [0, 1]."
            raise ValueError(invalid("LEGTV.L_theory", "design.scale", design.scale, "small enough for that L", remedy))
        return L

    def L_bootstrap(self, level: float = 0.95, *, n_draws: int = N_DRAWS, rng: Any = SEED) -> float:
        r"""The L with which eq. 5's set holds gamma with probability `level`, by the Gaussian multiplier bootstrap.

        For unbiased moments ("printed", "centred", "crossfit", "least_squares") it is the quantile of
        :math:`\|D^{+T}(b - E b)\|_\infty`, which is what the paper's theory asks of L, without its bounds. Shrunken
        moments ("regression", "adaptive") are away from gamma by their bias too: their L is the quantile for "crossfit"
        moments plus the known distance :math:`\|D^{+T}(b - b_{crossfit})\|_\infty`, so that by the triangle
        inequality their set holds gamma whenever that of the crossfit moments does.

        Parameters
        ----------
        level : float, default 0.95
            Probability.
        n_draws : int, default 2000
            Multiplier draws.
        rng : None, int, Generator or anything `numpy.random.default_rng` takes
            Source of the multipliers; the same by default.

        Returns
        -------
        float
            L, in the units of D^{+T} b; one for all channels.

        Raises
        ------
        ValueError
            If the level is not inside (0, 1).
        InferenceUnavailableError
            If the estimator was made from moments alone, or from too few units.
        """
        sample = self._data
        if isinstance(sample, Moments):
            raise InferenceUnavailableError(
                "legstat.LEGTV.L_bootstrap: needs the responses; moments alone do not tell their noise. Make LEGTV "
                "from the sample, or pass L=."
            )
        check_units("LEGTV.L_bootstrap", min(sample.n_units))
        shrunken = COV_TYPES[self._kind] == ("none",)
        unbiased = sample.moments("crossfit" if shrunken else self._kind)
        if unbiased.influence is None:
            raise no_variance(self._kind, "LEGTV.L_bootstrap")
        L = bootstrap_L(Covariance(sample.units, unbiased.influence), sample.design, level, n_draws, rng)
        away = sample.design.grid.pinv_transpose(self._moments.b - unbiased.b)
        return L + float(np.abs(away).max(initial=0.0))

    def fit(
        self,
        L: float | None = None,
        *,
        L_ratio: float | None = None,
        engine: str = "auto",
        selection: str = "closest",
        options: JSON | None = None,
        time_limit: float | None = None,
    ) -> LEGTVResults:
        """Solve at one L.

        Parameters
        ----------
        L : float, optional
            Radius of the constraint, in the units of D^{+T} b (score times pixel value).
        L_ratio : float, optional
            The same as a fraction of `L_max` in [0, 1]; of each channel's own under the paper's and the authors'
            conventions. Exactly one of the two.
        engine : {"auto", "network", "highs", "cvxpy"}, default "auto"
            What solves; every answer is certified, whichever it is. See `legstat.solvers.solve`.
        selection : {"closest", "vertex", "interior"}, default "closest"
            Which point of the optimal face: the one nearest to the data, which no engine has a say in, or what the
            engine meets.
        options : dict, optional
            Passed to the engine.
        time_limit : float, optional
            Seconds for each program.

        Returns
        -------
        LEGTVResults
            With our certificate of optimality, and the out-of-sample R^2 where there is a sample.

        Raises
        ------
        ValueError
            If not exactly one of L and L_ratio is given, or it is out of range.
        SolverError
            If no certified solution was found.

        Notes
        -----
        Milliseconds at 28 x 28, seconds at 224 x 224 (benchmarks/README.md); as much again for each fold of R^2.
        """
        solving = Solving(engine, selection, options, time_limit)
        radii = self._radii(L, L_ratio)
        solutions = [self._solve_row(row, [radii[row]], solving, None)[0] for row in range(len(radii))]
        found = self._result(radii, solutions, selection)
        found = found.replace(face_width=self._width(solutions))
        if isinstance(self._data, Moments) or min(self._data.n_units) < 4 * FOLDS:
            return found
        return found.replace(r2_heldout=float(self.heldout([found], solving).r2[0]))

    def fit_path(
        self,
        Ls: Iterable[float] | None = None,
        *,
        n_Ls: int = 20,
        L_ratio_min: float = 0.005,
        exact: bool = False,
        max_solves: int = 20_000,
        tol: float = 1e-9,
        engine: str = "auto",
        selection: str = "closest",
        options: JSON | None = None,
        time_limit: float | None = None,
        progress: bool = True,
    ) -> LEGTVPath:
        """Solve along a descending sequence of L, each solve starting from the one before.

        Parameters
        ----------
        Ls : iterable of float, optional
            Values of L; by default `n_Ls` of them, geometric from L_max down to ``L_ratio_min * L_max``.
        n_Ls : int, default 20
            Length of the default sequence.
        L_ratio_min : float, default 0.005
            Its last value, as a fraction of L_max; with ``exact=True`` where the path ends.
        exact : bool, default False
            All breakpoints of the optimal value instead: between them solutions interpolate optimally, so that
            ``path.at(L)`` is optimal at every L. `Ls` and `n_Ls` are then left out.
        max_solves : int, default 20000
            With ``exact=True``: stop after so many solves of each program; ``path.error`` bounds what is left.
        tol : float, default 1e-9
            With ``exact=True``: relative error of the optimal value at which to stop; 1e-3 suits pixel resolution.
        engine, selection, options, time_limit : optional
            As for `fit`.
        progress : bool, default True
            Show a progress bar if the output is a terminal.

        Returns
        -------
        LEGTVPath
            A sequence of `LEGTVResults`, L descending. Ctrl-C returns what is solved.

        Raises
        ------
        ValueError
            If the sequence is empty or an argument is out of range.
        SolverError
            If no certified solution was found at some L.
        """
        where = "LEGTV.fit_path"
        solving = Solving(engine, selection, options, time_limit)
        if n_Ls < 1 or not 0.0 < L_ratio_min <= 1.0:
            raise ValueError(invalid(where, "n_Ls, L_ratio_min", (n_Ls, L_ratio_min), ">= 1 and within (0, 1]"))
        if exact:
            if Ls is not None:
                remedy = "Its knots are found; `L_ratio_min` says where it ends."
                raise ValueError(invalid(where, "Ls", Ls, "left out with exact=True", remedy))
            return self._exact(L_ratio_min * self.L_max, max_solves, tol, solving, progress)
        if Ls is None:
            ratios = np.geomspace(1.0, L_ratio_min, n_Ls) if n_Ls > 1 else np.array([L_ratio_min])
            radii = [self._radii(None, float(r)) for r in ratios]
        else:
            radii = [self._radii(L, None) for L in sorted(Ls, reverse=True)]
            if not radii:
                remedy = "Leave it out for the default sequence."
                raise ValueError(invalid(where, "Ls", [], "at least one L", remedy))
        return LEGTVPath(self, self._solve(radii, solving, progress), solving)

    def heldout(self, results: Sequence[LEGTVResults], solving: Solving | None = None) -> HeldOut:
        """K-fold R^2 of the estimator at the results' L: refitted without each fold, measured on it.

        Parameters
        ----------
        results : sequence of LEGTVResults
            Which L to measure.
        solving : Solving, optional
            Engine and selection; the defaults of `fit` unless given.

        Returns
        -------
        HeldOut
            One R^2 for each result.

        Raises
        ------
        ValueError
            If the estimator was made from moments alone, or the sample is too small.
        """
        sample = self._data
        if isinstance(sample, Moments):
            remedy = "Held-out units need the responses."
            raise ValueError(invalid("LEGTV.heldout", "data", "a Moments", "a QuerySample", remedy))

        def fit(fold: tuple[int, int]) -> FloatArray:
            part = LEGTV(sample.moments(self._kind, leave_out=fold))
            fitted = part._solve([r.L_per_row for r in results], solving or Solving(), progress=False)
            return np.stack([r.params.reshape(-1, sample.design.grid.n_cells) for r in fitted])

        return heldout_r2(sample, fit, FOLDS)

    def with_width(self, result: LEGTVResults, solving: Solving) -> LEGTVResults:
        """The result with the width of its optimal face filled in; solves its programs once more.

        Parameters
        ----------
        result : LEGTVResults
            A solution of this estimator's programs.
        solving : Solving
            What it was solved with.

        Returns
        -------
        LEGTVResults
            With `face_width`, unless the grid is so large that it would take seconds.
        """
        rows = range(len(self._programs))
        solutions = [self._solve_row(row, [result.L_per_row[row]], solving, None)[0] for row in rows]
        return result.replace(face_width=self._width(solutions))

    def __repr__(self) -> str:
        return f"<LEGTV on {self._kind} moments of {self._data!r}>"

    def _width(self, solutions: Sequence[Solution]) -> float | None:
        if self._moments.design.grid.n_cells > _FACE_LIMIT:
            return None
        widths = [s.face_width for s in solutions]
        return float(np.max(widths)) if np.isfinite(widths).all() else None

    def _radii(self, L: float | None, ratio: float | None) -> FloatArray:
        """L of each row."""
        if (L is None) == (ratio is None):
            remedy = "Or choose it on the path: LEGTV(sample).fit_path().select('heldout')."
            raise ValueError(invalid("LEGTV.fit", "L, L_ratio", (L, ratio), "exactly one of the two", remedy))
        if L is not None:
            remedy = "For a fraction of L_max pass `L_ratio=`."
            return np.full(len(self._moments.b), check_within("LEGTV.fit", "L", L, remedy=remedy))
        ratio = check_within("LEGTV.fit", "L_ratio", ratio, 0.0, 1.0, remedy="For an absolute value pass `L=`.")
        base = self.L_max_per_row if self._per_channel else np.full(len(self._moments.b), self.L_max)
        return ratio * base

    def _solve(self, radii: Sequence[FloatArray], solving: Solving, progress: bool) -> list[LEGTVResults]:
        """Results at each vector of L (one for each row), which descend together; fewer after Ctrl-C."""
        rows: list[list[Solution]] = []
        total = len(radii) * len(self._programs)
        bar: tqdm[Any]
        with tqdm(total=total, unit="L", desc="path", disable=None if progress else True) as bar:
            for row in range(len(self._programs)):
                try:
                    rows.append(self._solve_row(row, [float(r[row]) for r in radii], solving, bar))
                except PathInterrupted as stopped:
                    if row or not stopped.solutions:  # a map needs every channel
                        raise
                    rows += [stopped.solutions] + [[]] * (len(self._programs) - 1)
                    break
        solved = zip(radii, zip(*rows, strict=False), strict=False)
        return [self._result(L, solutions, solving.selection) for L, solutions in solved]

    def _solve_row(self, row: int, Ls: Sequence[float], solving: Solving, bar: tqdm[Any] | None) -> list[Solution]:
        program, unit = self._programs[row]

        def tick(done: int, total: int) -> None:
            if bar is not None:
                bar.update(1)

        return solve_path(
            program,
            [L / unit for L in Ls],
            engine=solving.engine,
            selection=solving.selection,
            options=solving.options,
            time_limit=solving.time_limit,
            progress=tick,
        )

    def _exact(self, L_min: float, max_solves: int, tol: float, solving: Solving, progress: bool) -> LEGTVPath:
        paths: list[ExactPath | None] = []
        with tqdm(unit="solve", desc="exact path", disable=None if progress else True) as bar:

            def tick(done: int, error: float) -> None:
                bar.update(1)
                bar.set_postfix_str(f"error {error:.1e}")

            for program, unit in self._programs:
                if program.L_max * unit <= L_min:
                    paths.append(None)  # this channel is constant all along the path
                    continue
                path = exact_path(
                    program,
                    L_min / unit,
                    engine=solving.engine,
                    selection=solving.selection,
                    max_solves=max_solves,
                    tol=tol,
                    time_limit=solving.time_limit,
                    options=solving.options,
                    progress=tick,
                )
                paths.append(path)

        def at(L: float) -> LEGTVResults:
            solutions = [
                self._solve_row(row, [L], solving, None)[0] if path is None else path.at(L / self._programs[row][1])
                for row, path in enumerate(paths)
            ]
            return self._result(np.full(len(paths), L), solutions, solving.selection)

        found = [(path, unit) for path, (_, unit) in zip(paths, self._programs, strict=True) if path is not None]
        knots = sorted({float(L) * unit for path, unit in found for L in path.knots} | {L_min}, reverse=True)
        error = max((path.error for path, _ in found), default=0.0)
        return LEGTVPath(self, [at(L) for L in knots], solving, exact_at=at, error=error)

    def _result(self, L: FloatArray, solutions: Sequence[Solution], selection: str) -> LEGTVResults:
        design, b = self._moments.design, self._moments.b
        g = np.stack([restore_mean(design, s.g, row) for s, row in zip(solutions, b, strict=True)])
        engines = sorted({s.engine for s in solutions})
        return LEGTVResults(
            moments=self._moments,
            params=g.ravel(),
            image=None if isinstance(self._data, Moments) else self._data.image,
            L_per_row=L,
            L_max_per_row=self.L_max_per_row,
            certificates=tuple(s.certificate for s in solutions),
            engine=" and ".join(engines),
            selection=selection,
        )


def program_for(design: Design, b: FloatArray) -> tuple[Program, float]:
    """Eq. 5 in the sparse form that the design allows, and the unit of the program's L: L of eq. 5 = unit times it."""
    grid = design.grid
    if isinstance(design, StructuredGaussian):
        variance = design.scale**2
        if grid.boundary == "free":
            return FlowProgram.from_potential(grid.shape, grid.laplacian_pinv(b) / variance), variance
        column = grid.pinv_transpose(np.ones(grid.n_cells))
        return GeneralProgram.zero_boundary(grid.D, grid.pinv_transpose(b) / variance, column), variance
    parts = design.sparse_parts
    if parts is not None and not parts[1].any():
        return GeneralProgram.lifted(grid.D.T @ grid.D, grid.D, parts[0], b), 1.0
    dense: Callable[[FloatArray], FloatArray] = lambda v: grid.pinv_transpose(design.covariance(v)).T  # noqa: E731
    return GeneralProgram.dense(grid.D, dense(np.eye(grid.n_cells)), grid.pinv_transpose(b)), 1.0


def restore_mean(design: Design, g: FloatArray, b: FloatArray) -> FloatArray:
    """g with the mean that eq. 5 leaves open, 1^T b / (p lambda_1), where Sigma 1 = lambda_1 1; else g as it is."""
    eigenvalue = design.constant_eigenvalue
    return g if eigenvalue is None else g - g.mean() + b.mean() / eigenvalue
