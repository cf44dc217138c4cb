"""LEG-TV: the total-variation penalised LEG, a linear program along L (LEG paper, eq. 5)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from legstat._core.checks import check_count, check_flag, check_within
from legstat._core.conventions import Conventions, MomentKind, get_conventions
from legstat._core.errors import invalid
from legstat._core.typing import JSON, FloatArray
from legstat.estimators.channels import Channels, ExactMaps, Solving
from legstat.estimators.folds import Folds
from legstat.estimators.heldout import HeldOut, heldout_r2
from legstat.estimators.leg import FOLDS, check_data
from legstat.estimators.legtv_results import LEGTVResults
from legstat.estimators.path import LEGTVPath
from legstat.estimators.radius import MEASURED, bootstrap_radius, check_rule, theory_radius
from legstat.estimators.relaxed import check_relaxed
from legstat.inference.covariance import SEED
from legstat.inference.intervals import N_DRAWS
from legstat.moments.moments import Moments
from legstat.samples.sample import QuerySample


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
    relaxed : bool, default False
        Refit the levels on the regions that eq. 5 finds, :math:`R (R^T \Sigma R)^{-1} R^T b` with R their indicators:
        the penalty then chooses regions and shrinks nothing, so that out-of-sample R^2 chooses a larger L and fewer
        regions (relaxed lasso: Meinshausen, *Computational Statistics & Data Analysis* 52, 2007, with phi = 0).

    Raises
    ------
    TypeError
        If `data` is neither.
    ValueError
        If `moments` is given with a `Moments`, or contradicts the sample's conventions; so do relaxed levels, other
        conventions than ours have none.

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

    def __init__(
        self, data: QuerySample | Moments, *, moments: MomentKind | None = None, relaxed: bool = False
    ) -> None:
        self._data, self._kind = check_data("LEGTV", data, moments, "legtv_moments")
        self._relaxed = check_relaxed("LEGTV", relaxed, _conventions(data))
        if isinstance(data, Moments):
            self._channels = Channels(data, None, False, self._relaxed)
            return
        # results need not keep how each observation moved the moments, which is a p x p matrix
        light = dataclasses.replace(data.moments(self._kind), influence=None)
        self._channels = Channels(light, data.image, data.convention_set.L_ratio_per_channel, self._relaxed)
        self._folds = Folds(data, self._kind, self._channels)

    def __repr__(self) -> str:
        return f"<{'Relaxed ' * self._relaxed}LEGTV on {self._kind} moments of {self._data!r}>"

    @property
    def _moments(self) -> Moments:
        return self._channels.moments

    @property
    def L_max_per_row(self) -> FloatArray:
        """Smallest L with a constant solution, for each row of b."""
        return self._channels.L_max

    @property
    def L_max(self) -> float:
        """Smallest L at which every channel's solution is constant (LEG 5.3, with the infinity norm)."""
        return float(self.L_max_per_row.max())

    def L_theory(self, *, probability: float = 0.95) -> float:
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
        return theory_radius(self._moments, probability)

    def L_bootstrap(self, *, level: float = 0.95, n_draws: int = N_DRAWS, rng: Any = SEED) -> float:
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
            If the estimator was made from moments alone, or from too few observations.
        """
        return bootstrap_radius(self._data, self._moments, self._kind, level, n_draws, rng)

    def fit(
        self,
        L: float | str | None = None,
        *,
        L_ratio: float | None = None,
        n_regions: int | None = None,
        engine: str = "auto",
        selection: str = "closest",
        options: JSON | None = None,
        time_limit: float | None = None,
    ) -> LEGTVResults:
        """Solve at one L.

        Parameters
        ----------
        L : float or {"readable", "simplest", "heldout", "bootstrap", "theory"}, optional
            Radius of the constraint, in the units of D^{+T} b (score times pixel value), or how to choose it, as
            `LEGTVPath.select` does on the path of `fit_path`.
        L_ratio : float, optional
            The same as a fraction of `L_max` in [0, 1]; of each channel's own under the paper's and the authors'
            conventions.
        n_regions : int, optional
            The most detailed map of that path with at most so many regions. Exactly one of the three.
        engine : {"auto", "network", "cuts", "highs", "cvxpy"}, default "auto"
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
        TypeError, ValueError
            If not exactly one of the three is given, or it is out of range.
        SolverError
            If no certified solution was found.

        Notes
        -----
        Milliseconds at 28 x 28, seconds at 224 x 224 (docs/benchmarks.md); as much again for each fold of R^2.
        """
        check_rule("LEGTV.fit", L, L_ratio, n_regions)
        solving = Solving(engine, selection, options, time_limit)
        if L in MEASURED or n_regions is not None:
            path = self.fit_path(progress=False, **dataclasses.asdict(solving))
            return path.select(L, n_regions=n_regions)
        if L == "bootstrap":
            L = self.L_bootstrap()
        elif L == "theory":
            L = self.L_theory()
        channels = self._channels
        radii = channels.at_L("LEGTV.fit", L) if L_ratio is None else channels.at_ratio("LEGTV.fit", L_ratio)
        (found,) = channels.along([radii], solving)
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
            A sequence of `LEGTVResults`, L descending. Ctrl-C returns what is solved in every channel, and goes
            on to the caller where nothing is.

        Raises
        ------
        ValueError
            If the sequence is empty or an argument is out of range.
        SolverError
            If no certified solution was found at some L.
        """
        where, channels = "LEGTV.fit_path", self._channels
        solving = Solving(engine, selection, options, time_limit)
        n_Ls = check_count(where, "n_Ls", n_Ls)
        end = check_within(where, "L_ratio_min", L_ratio_min, 0.0, 1.0)
        if end == 0.0:
            raise ValueError(invalid(where, "L_ratio_min", L_ratio_min, "> 0", "LEG itself is the map at L = 0."))
        if check_flag(where, "exact", exact):
            if Ls is not None:
                remedy = "Its knots are found; `L_ratio_min` says where it ends."
                raise ValueError(invalid(where, "Ls", Ls, "left out with exact=True", remedy))
            check_count(where, "max_solves", max_solves, 2)
            check_within(where, "tol", tol)
            maps = ExactMaps(channels, end * self.L_max, max_solves, tol, solving, progress)
            return LEGTVPath(self, [maps.at(L) for L in maps.knots], solving, exact=maps)
        if Ls is None:
            ratios = np.geomspace(1.0, end, n_Ls) if n_Ls > 1 else np.array([end])
            radii = [channels.at_ratio(where, float(r)) for r in ratios]
        else:
            radii = sorted((channels.at_L(where, L) for L in Ls), key=lambda L: -L[0])
            if not radii:
                raise ValueError(invalid(where, "Ls", [], "at least one L", "Leave it out for the default sequence."))
        results: list[LEGTVResults] = []
        bar: tqdm[Any]
        with tqdm(total=len(radii) * len(channels), unit="L", desc="path", disable=None if progress else True) as bar:
            try:
                for result in channels.along(radii, solving, lambda: bar.update(1)):
                    results.append(result)  # noqa: PERF402 - what is solved is kept where the next one is stopped
            except KeyboardInterrupt:
                if not results:
                    raise
        return LEGTVPath(self, results, solving)

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
        return self._heldout("LEGTV.heldout", results, solving, lambda fitted: np.stack([r.params for r in fitted]))

    def heldout_merged(self, result: LEGTVResults, counts: list[int], solving: Solving | None = None) -> HeldOut:
        """K-fold R^2 of the result with its regions merged to so many.

        Parameters
        ----------
        result : LEGTVResults
            Which L to solve at without each fold.
        counts : list of int
            Numbers of regions; of a fold that has fewer, the map that it has.
        solving : Solving, optional
            As for `heldout`.

        Returns
        -------
        HeldOut
            One R^2 for each number of regions.

        Raises
        ------
        ValueError
            As for `heldout`.
        """
        return self._heldout("LEGTV.heldout_merged", [result], solving, lambda one: one[0].merging.maps(counts))

    def _heldout(
        self,
        where: str,
        results: Sequence[LEGTVResults],
        solving: Solving | None,
        maps: Callable[[list[LEGTVResults]], FloatArray],
    ) -> HeldOut:
        """K-fold R^2 of what `maps` makes, shape (models, P p), of the solutions without each fold."""
        sample = self._data
        if isinstance(sample, Moments):
            remedy = "Held-out observations need the responses."
            raise ValueError(invalid(where, "data", "a Moments", "a QuerySample", remedy))

        def fit(fold: tuple[int, int]) -> FloatArray:
            found = maps(self._folds.results(fold, [r.L_per_row for r in results], solving or Solving()))
            return found.reshape(len(found), -1, sample.design.grid.n_cells)

        return heldout_r2(sample, fit, FOLDS)


def _conventions(data: QuerySample | Moments) -> Conventions:
    if isinstance(data, Moments):
        return get_conventions(data.source.get("conventions", "default"), "LEGTV")
    return data.convention_set
