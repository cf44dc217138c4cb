"""LEG-TV: the total-variation penalised LEG, a linear program along L (LEG paper, eq. 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, overload

import numpy as np
from tqdm import tqdm

from legstat._typing import FloatArray
from legstat.conventions import MomentKind
from legstat.designs import Design, StructuredGaussian
from legstat.errors import invalid
from legstat.estimators.heldout import HeldOut, heldout_r2
from legstat.estimators.leg import FOLDS, check_data
from legstat.estimators.results import LEGTVResults
from legstat.inference.theory import theorem_L
from legstat.moments import Moments
from legstat.samples import QuerySample
from legstat.solvers import FlowProgram, GeneralProgram, Solution, solve_path

Program = FlowProgram | GeneralProgram


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
    moments : {"printed", "centred", "regression", "crossfit"}, optional
        How b is estimated from a sample: "regression", unless the sample's conventions say otherwise.

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
    >>> result.n_regions, result.certificate.passed
    (2, True)
    """

    def __init__(self, data: QuerySample | Moments, *, moments: MomentKind | None = None) -> None:
        self._data, self._kind = check_data("LEGTV", data, moments, "legtv_moments")
        self._moments = data if isinstance(data, Moments) else data.moments(self._kind)
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
            If the score is not known to be bounded by 1: logits and log-odds have no such bound.
        """
        score = self._moments.source.get("response", {}).get("score", "unknown")
        if score not in ("probability", "difference", "custom", "unknown"):
            remedy = "Use score='probability' or 'difference', or choose L by 'heldout'."
            raise ValueError(invalid("LEGTV.L_theory", "score", score, "bounded by 1, as Theorem 1 assumes", remedy))
        return theorem_L(self._moments.design.grid, self._moments.n, probability)

    def fit(
        self,
        L: float | None = None,
        *,
        L_ratio: float | None = None,
        engine: str = "auto",
        selection: str = "closest",
        options: dict[str, Any] | None = None,
    ) -> LEGTVResults:
        """Solve at one L.

        Parameters
        ----------
        L : float, optional
            Radius of the constraint, in the units of D^{+T} b (score times pixel value).
        L_ratio : float, optional
            The same as a fraction of `L_max` in [0, 1]; of each channel's own under the paper's and the authors'
            conventions. Exactly one of the two.
        engine, selection, options : optional
            See `legstat.solvers.solve`.

        Returns
        -------
        LEGTVResults
            With our certificate of optimality.

        Raises
        ------
        ValueError
            If not exactly one of L and L_ratio is given, or it is out of range.
        SolverError
            If no certified solution was found.
        """
        (result,) = self._solve([self._radii(L, L_ratio)], engine, selection, options, progress=False)
        return self._with_fidelity(result, engine, selection)

    def fit_path(
        self,
        Ls: Iterable[float] | None = None,
        *,
        n_Ls: int = 20,
        L_ratio_min: float = 0.02,
        engine: str = "auto",
        selection: str = "closest",
        options: dict[str, Any] | None = None,
        progress: bool = True,
    ) -> LEGTVPath:
        """Solve along a descending sequence of L, each solve starting from the one before.

        Parameters
        ----------
        Ls : iterable of float, optional
            Values of L; by default `n_Ls` of them, geometric from L_max down to ``L_ratio_min * L_max``.
        n_Ls : int, default 20
            Length of the default sequence.
        L_ratio_min : float, default 0.02
            Its last value, as a fraction of L_max.
        engine, selection, options : optional
            See `legstat.solvers.solve_path`.
        progress : bool, default True
            Show a progress bar if the output is a terminal.

        Returns
        -------
        LEGTVPath
            A sequence of `LEGTVResults`, L descending.

        Raises
        ------
        ValueError
            If the sequence is empty or an argument is out of range.
        """
        if Ls is None:
            if n_Ls < 1 or not 0.0 < L_ratio_min <= 1.0:
                raise ValueError(
                    invalid("LEGTV.fit_path", "n_Ls, L_ratio_min", (n_Ls, L_ratio_min), ">= 1 and within (0, 1]")
                )
            ratios = np.geomspace(1.0, L_ratio_min, n_Ls) if n_Ls > 1 else np.array([L_ratio_min])
            radii = [self._radii(None, float(r)) for r in ratios]
        else:
            radii = [self._radii(L, None) for L in sorted(Ls, reverse=True)]
            if not radii:
                raise ValueError(
                    invalid("LEGTV.fit_path", "Ls", [], "at least one L", "Leave it out for the default sequence.")
                )
        return LEGTVPath(self, self._solve(radii, engine, selection, options, progress), engine, selection)

    def heldout(self, results: Sequence[LEGTVResults], engine: str = "auto", selection: str = "closest") -> HeldOut:
        """K-fold R^2 of the estimator at the results' L: refitted without each fold, measured on it.

        Parameters
        ----------
        results : sequence of LEGTVResults
            Which L to measure.
        engine, selection : optional
            As for `fit`.

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
            raise ValueError(
                invalid("LEGTV.heldout", "data", "a Moments", "a QuerySample", "Held-out units need the responses.")
            )

        def fit(fold: tuple[int, int]) -> FloatArray:
            part = LEGTV(sample.moments(self._kind, leave_out=fold))
            fitted = part._solve([r.L_per_row for r in results], engine, selection, None, progress=False)
            return np.stack([r.params.reshape(-1, sample.design.grid.n_cells) for r in fitted])

        return heldout_r2(sample, fit, FOLDS)

    def _with_fidelity(self, result: LEGTVResults, engine: str, selection: str) -> LEGTVResults:
        if isinstance(self._data, Moments) or min(self._data.n_units) < 4 * FOLDS:
            return result
        return result.with_fidelity(float(self.heldout([result], engine, selection).r2[0]))

    def _radii(self, L: float | None, ratio: float | None) -> FloatArray:
        """L of each row."""
        if (L is None) == (ratio is None):
            remedy = "Or choose it on the path: LEGTV(sample).fit_path().select('heldout')."
            raise ValueError(invalid("LEGTV.fit", "L, L_ratio", (L, ratio), "exactly one of the two", remedy))
        if L is not None:
            if not (np.isfinite(L) and L >= 0):
                remedy = "For a fraction of L_max pass `L_ratio=`."
                raise ValueError(invalid("LEGTV.fit", "L", L, "a finite number >= 0", remedy))
            return np.full(len(self._moments.b), float(L))
        if ratio is None or not 0.0 <= ratio <= 1.0:
            raise ValueError(
                invalid("LEGTV.fit", "L_ratio", ratio, "within [0, 1]", "For an absolute value pass `L=`.")
            )
        base = self.L_max_per_row if self._per_channel else np.full(len(self._moments.b), self.L_max)
        return ratio * base

    def _solve(
        self, radii: Sequence[FloatArray], engine: str, selection: str, options: dict[str, Any] | None, progress: bool
    ) -> list[LEGTVResults]:
        """Results at each vector of L (one for each row), which descend together."""
        by_row: list[list[Solution]] = []
        with tqdm(
            total=len(radii) * len(self._programs), unit="L", desc="path", disable=None if progress else True
        ) as bar:

            def tick(done: int, total: int) -> None:
                bar.update(1)

            for row, (program, unit) in enumerate(self._programs):
                Ls = [float(r[row]) / unit for r in radii]
                found = solve_path(program, Ls, engine=engine, selection=selection, options=options, progress=tick)
                by_row.append(found)
        design, b = self._moments.design, self._moments.b
        image = None if isinstance(self._data, Moments) else self._data.image
        results = []
        for i, L in enumerate(radii):
            solutions = tuple(rows[i] for rows in by_row)
            g = np.stack([restore_mean(design, s.g, row) for s, row in zip(solutions, b, strict=True)])
            results.append(
                LEGTVResults(
                    moments=self._moments,
                    params=g.ravel(),
                    image=image,
                    L_per_row=L,
                    L_max_per_row=self.L_max_per_row,
                    certificates=tuple(s.certificate for s in solutions),
                    engine=solutions[0].engine if len({s.engine for s in solutions}) == 1 else "several",
                    selection=selection,
                )
            )
        return results


class LEGTVPath(Sequence[LEGTVResults]):
    """LEG-TV along L: a sequence of results, L descending.

    Parameters
    ----------
    estimator : LEGTV
        What was fitted.
    results : list of LEGTVResults
        The solutions.
    engine, selection : str
        What they were solved with.
    """

    def __init__(self, estimator: LEGTV, results: list[LEGTVResults], engine: str, selection: str) -> None:
        self._estimator, self._results, self._engine, self._selection = estimator, results, engine, selection

    @overload
    def __getitem__(self, index: int) -> LEGTVResults: ...
    @overload
    def __getitem__(self, index: slice) -> list[LEGTVResults]: ...
    def __getitem__(self, index: int | slice) -> LEGTVResults | list[LEGTVResults]:
        return self._results[index]

    def __len__(self) -> int:
        return len(self._results)

    def __iter__(self) -> Iterator[LEGTVResults]:
        return iter(self._results)

    @property
    def Ls(self) -> FloatArray:
        """L of each result, descending."""
        return np.array([r.L for r in self])

    @property
    def params(self) -> FloatArray:
        """Estimates side by side, shape (P p, number of L)."""
        return np.stack([r.params for r in self], axis=1)

    @cached_property
    def heldout(self) -> HeldOut:
        """K-fold R^2 at each L (solves the path once for each fold)."""
        return self._estimator.heldout(self._results, self._engine, self._selection)

    def select(
        self,
        rule: str | None = None,
        *,
        L: float | None = None,
        L_ratio: float | None = None,
        probability: float = 0.95,
        one_std_error: bool = False,
    ) -> LEGTVResults:
        """The result at one L.

        Parameters
        ----------
        rule : {"heldout", "theory"}, optional
            "heldout": the L of the path with the largest K-fold R^2. "theory": the L of Theorem 1.
        L, L_ratio : float, optional
            A given L, solved exactly there. Exactly one of rule, L and L_ratio.
        probability : float, default 0.95
            1 - eps of "theory".
        one_std_error : bool, default False
            With "heldout": the largest L whose R^2 is within one standard error of the best, for fewer regions.

        Returns
        -------
        LEGTVResults
            With its out-of-sample R^2 where there is a sample.

        Raises
        ------
        ValueError
            If not exactly one of the three is given, or the rule is unknown.
        """
        if sum(x is not None for x in (rule, L, L_ratio)) != 1 or rule not in (None, "heldout", "theory"):
            got = {"rule": rule, "L": L, "L_ratio": L_ratio}
            raise ValueError(
                invalid("LEGTVPath.select", "rule, L, L_ratio", got, 'exactly one, rule being "heldout" or "theory"')
            )
        if rule == "heldout":
            measured = self.heldout
            best = int(np.argmax(measured.r2))
            if one_std_error:
                best = int(np.flatnonzero(measured.r2 >= measured.r2[best] - measured.std_errors[best])[0])
            return self[best].with_fidelity(float(measured.r2[best]))
        if rule == "theory":
            L = self._estimator.L_theory(probability)
        return self._estimator.fit(L, L_ratio=L_ratio, engine=self._engine, selection=self._selection)

    def __repr__(self) -> str:
        return f"<LEGTVPath {len(self)} solutions, L from {self.Ls[0]:.4g} to {self.Ls[-1]:.4g}>"


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
