"""`explain`: query, LEG, the path of LEG-TV and the choice of L in one call, and what comes out of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from legstat._core.conventions import ConventionsName, MomentKind
from legstat._core.notebooks import Rich
from legstat._core.typing import JSON, AnyArray, AxesArray, AxesLike
from legstat.designs.design import Design
from legstat.estimators.found_regions import Regions, can_be_tested, find_regions
from legstat.estimators.leg import LEG
from legstat.estimators.leg_results import LEGResults
from legstat.estimators.legtv import LEGTV
from legstat.estimators.legtv_results import LEGTVResults
from legstat.estimators.path import LEGTVPath
from legstat.explanation.defaults import check_estimates, choose_L, choose_relaxed
from legstat.explanation.inputs import experiment_for, origin
from legstat.perturbations.operators import Perturbation
from legstat.record import make_record, save_run
from legstat.report.summary import joint_summary
from legstat.responses.base import Response
from legstat.responses.function import as_response
from legstat.samples.sample import QuerySample
from legstat.samples.stopping import HalfWidth
from legstat.sampling.cache import QueryCache
from legstat.sampling.query import evaluate

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from statsmodels.iolib.summary import Summary


@dataclass(frozen=True, eq=False)
class Explanation(Rich):
    """What `explain` found: the sample, LEG, the path of LEG-TV, and the point of it that was chosen.

    Attributes
    ----------
    sample : QuerySample
        Design, key and responses.
    leg : LEGResults
        The closed-form estimate with its standard errors.
    path : LEGTVPath
        LEG-TV along L.
    tv : LEGTVResults
        LEG-TV at the chosen L.
    choice : dict
        How L was chosen: the arguments of `LEGTVPath.select`.
    seed : int or None
        What the generator's key came from, where it was a number.
    files : dict
        Paths of the "picture" and the "model", where they were read from files.
    constant_files : dict
        Paths of the .npy files that the model's other inputs were read from, by name of the input.
    seconds : dict
        Durations of "query", "leg", "path" and "choice".

    Examples
    --------
    >>> import legstat as ls
    >>> gamma = np.zeros((6, 6)); gamma[2:4, 2:4] = 1.0
    >>> found = ls.explain(ls.simulate.linear(gamma), np.full((1, 6, 6), 0.5), n_queries=200, rng=0,
    ...                    perturbation=ls.Additive())
    >>> found.tv.strongest(1)[0][:2] in [(2, 2), (2, 3), (3, 2), (3, 3)]
    True
    """

    sample: QuerySample
    leg: LEGResults
    path: LEGTVPath
    tv: LEGTVResults
    choice: JSON
    seed: int | None = None
    files: Mapping[str, str | Path] = field(default_factory=dict)
    constant_files: Mapping[str, str | Path] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        sample: QuerySample,
        *,
        moments: MomentKind | None = None,
        L: float | str | None = None,
        L_ratio: float | None = None,
        n_regions: int | None = None,
        relaxed: bool | None = None,
        progress: bool = True,
        **facts: Any,
    ) -> Self:
        """The explanation of a sample that is there already; no model evaluation is spent.

        Parameters
        ----------
        sample : QuerySample
            What was queried.
        moments, L, L_ratio, n_regions, relaxed : optional
            As for `explain`.
        progress : bool, default True
            Show a progress bar if the output is a terminal.
        **facts
            ``seed``, ``files``, ``constant_files`` and ``seconds``, which nothing is computed from.

        Returns
        -------
        Explanation
            LEG, path and chosen point.

        Raises
        ------
        ValueError
            If the rule for L is unknown, or the sample too small for it.
        SolverError
            If no certified solution of a linear program was found.
        """
        choice = choose_L(L, L_ratio, n_regions, sample.conventions)
        refit = choose_relaxed(relaxed, sample.conventions)
        clock = [time.perf_counter()]
        leg = LEG(sample, moments=moments).fit()
        clock.append(time.perf_counter())
        path = LEGTV(sample, moments=moments, relaxed=refit).fit_path(progress=progress)
        clock.append(time.perf_counter())
        tv = path.select(**choice)
        clock.append(time.perf_counter())
        stages = dict(zip(("leg", "path", "choice"), np.diff(clock).tolist(), strict=True))
        seconds = {**facts.pop("seconds", {}), **stages}
        return cls(sample, leg, path, tv, choice, seconds=seconds, **facts)

    @cached_property
    def regions(self) -> Regions | None:
        """Connected regions with sums, intervals and tests, strongest first; computed on first use.

        Found by LEG-TV on one half of the draws, with L chosen there by the same rule, and tested by LEG on the other,
        with control of the familywise error (`Regions`). No model evaluation is spent. None under other conventions
        than ours, and where that half has fewer than 300 observations a channel: some 1,300 evaluations have them.
        Boxes of all sizes, tested on all of the draws: ``leg.test_boxes()``.
        """
        if not can_be_tested(self.sample):
            return None
        return find_regions(self.sample, self.choice, relaxed=self.tv.relaxed)

    def record(self, command: Sequence[str] | None = None) -> JSON:
        """All from which this explanation can be repeated bit for bit, as JSON (see `legstat.record`)."""
        return make_record(
            self.sample,
            self.leg,
            self.path,
            self.tv,
            self.regions,
            choice=self.choice,
            seed=self.seed,
            seconds=self.seconds,
            command=command,
            picture=self.files.get("picture"),
            model=self.files.get("model"),
            constants=self.constant_files,
        )

    def summary(self) -> Summary:
        """Regions or cells of both estimates in one summary, with ``as_text``, ``as_html`` and ``as_latex``."""
        return joint_summary(self.leg, self.tv, self.regions)

    def plot(self, axes: AxesLike | Figure | None = None, *, path_points: int = 0) -> AxesArray:
        """Picture with its regions, LEG and LEG-TV side by side; with `path_points`, so many points of the path.

        Parameters
        ----------
        axes : ndarray or sequence of matplotlib Axes, or empty Figure, optional
            Where to draw, a panel each: three, or two and `path_points`; a new figure of pyplot's unless given.
        path_points : int, default 0
            Points of the LEG-TV path to show, the chosen one among them.

        Returns
        -------
        ndarray of Axes
            The axes drawn on; ``axes[0].figure.savefig`` writes them.

        Raises
        ------
        ValueError
            If `axes` are not as many.
        """
        from legstat.report.plots import plot_explanation

        return plot_explanation(self.leg, self.tv, self.path, self.regions, axes, path_points=path_points)

    def save(self, folder: str | Path, *, command: Sequence[str] | None = None, path_points: int = 0) -> list[Path]:
        """Write arrays, summary, record and maps into a folder, which is made where it is missing.

        An earlier run there is replaced as a whole, or stays as it was where the writing fails. A figure that cannot be
        drawn is a warning: numbers and record are written first.

        Parameters
        ----------
        folder : str or Path
            Where to.
        command : sequence of str, optional
            Command line for the record.
        path_points : int, default 0
            As for `plot`.

        Returns
        -------
        list of Path
            sample.npz, leg.npz, legtv.npz, path.npz and, where regions were tested, regions.npz (arrays); summary.txt;
            leg.png, legtv.png (overlays of the picture's size); explanation.png; summary.html; record.json.
        """
        return save_run(
            folder,
            self.record(command),
            self.sample,
            self.leg,
            self.path,
            self.tv,
            self.regions,
            path_points=path_points,
        )

    def __repr__(self) -> str:
        return f"<Explanation of {self.sample.ledger.spent} queries: {self.leg!r}, {self.tv!r}>"


def explain(
    f: Response | Callable[[AnyArray], AnyArray],
    image: AnyArray | str | Path,
    *,
    grid: tuple[int, int] | None = None,
    scale: float | None = None,
    design: Design | None = None,
    n_queries: int | None = None,
    perturbation: Perturbation | None = None,
    antithetic: bool | None = None,
    conventions: ConventionsName | None = None,
    moments: MomentKind | None = None,
    L: float | str | None = None,
    L_ratio: float | None = None,
    n_regions: int | None = None,
    relaxed: bool | None = None,
    until: HalfWidth | float | None = None,
    rng: Any = None,
    resume: QuerySample | None = None,
    batch_size: int | Literal["auto"] | None = None,
    cache: QueryCache | str | Path | None = None,
    progress: bool = True,
) -> Explanation:
    r"""Explain one picture: `query`, `LEG`, the path of `LEGTV` and the choice of L, nothing more.

    Estimates :math:`\gamma = \Sigma^{-1} E[(f(\Phi(x_0; z)) - f(\Phi(x_0; 0))) z]` (LEG paper, eq. 3) and its
    total-variation penalised form (eq. 5).

    Parameters
    ----------
    f : Response or callable
        The black box, ``(n, C, H, W) -> (n,)`` on RGB pictures in [0, 1].
    image : ndarray of shape (C, H, W), or str or Path
        The picture, values in [0, 1]; or a file, which the response reads by its own resize and crop rule.
    grid : tuple of int, optional
        (p1, p2) cells. By default the finest grid of at most 28 cells a side that divides the picture: 28 x 28 for
        224 x 224 pixels (the paper's), 8 x 8 for digits of 8 x 8. Where it divides none, or not the one given here,
        cells differ in size by a pixel.
    scale : float, optional
        sigma of the law: by default 0.5 (mask levels) of the blocks for `Blend`, from nothing to the whole; 0.02 (pixel
        values, the paper's) of the structured law for `Additive`.
    design : Design, optional
        The law of z itself, in place of `grid` and `scale`. As in `query`, its scale is in pixel values, and z is
        added, unless `perturbation` says otherwise. Where it is left out: `MultiscaleBlocks` for `Blend`,
        `StructuredGaussian` for `Additive`. Numbers belong to their law: see `docs/laws.md`.
    n_queries : int, optional
        Ceiling on model evaluations, f(x0) included: 2,000 under multi-scale blocks, 6,000 (the paper's) under other
        laws.
    perturbation : Perturbation, optional
        How z acts on the picture. Where neither it nor a design is given: ``Blend("blur", at=0.5)``, since maps in
        deletion coordinates measured better than additive ones (unless conventions say otherwise).
    antithetic : bool, optional
        See `query`.
    conventions : {"default", "paper", "upstream"}, optional
        Under the latter two: `Additive` as they have it, and L a tenth of L_max.
    moments : {"printed", "centred", "regression", "adaptive", "crossfit", "least_squares"}, optional
        Kind of moments for both estimates; by default each has its own, see `LEG` and `LEGTV`.
    L : float or {"readable", "simplest", "heldout", "bootstrap", "theory"}, optional
        L itself, or the rule it is chosen by: "heldout" takes the point of the path with the largest out-of-sample R^2,
        "readable" (the default) that among the maps of at most 60 regions, "simplest" the largest L within one standard
        error of the best; see `LEGTVPath.select`.
    L_ratio : float, optional
        L as a fraction of L_max.
    n_regions : int, optional
        The most detailed map of the path with at most so many regions. At most one of L, L_ratio, n_regions.
    relaxed : bool, optional
        Whether LEG-TV's levels are refitted on the regions that it finds, see `LEGTV`: yes, except under other
        conventions than ours.
    until : float or HalfWidth, optional
        Stop as soon as LEG's intervals are that narrow, see `query`; `n_queries` stays the ceiling.
    rng : None, int, Generator or anything `numpy.random.default_rng` takes
        Source of the generator's key.
    resume : QuerySample, optional
        An earlier sample of this experiment to go on from, see `query`; what is left out above is taken from it.
    batch_size : int or "auto", optional
        Pictures handed over at once; "auto" measures it, see `query`.
    cache : QueryCache or str or Path, optional
        Answers on disk, see `query`: what was asked before is not paid again.
    progress : bool, default True
        Show progress bars if the output is a terminal.

    Returns
    -------
    Explanation
        Sample, LEG, path and LEG-TV at the chosen L.

    Raises
    ------
    ValueError
        For an argument that cannot be right, before any evaluation.
    QueryError
        If f fails midway; ``.sample`` holds what was paid for (``explain(..., resume=error.sample)`` goes on, and
        ``Explanation.of`` makes the explanation of it).
    SolverError
        If no certified solution of a linear program was found.

    Notes
    -----
    Costs `n_queries` evaluations, then O(n p^2 + p^3) for the moments and six paths (one, and one for each fold).

    Examples
    --------
    >>> import legstat as ls
    >>> gamma = np.zeros((6, 6)); gamma[1, 4] = 1.0
    >>> found = ls.explain(ls.simulate.linear(gamma), np.full((1, 12, 12), 0.5), grid=(6, 6), n_queries=200, rng=0,
    ...                    perturbation=ls.Additive())
    >>> found.leg.strongest(1)[0][:2]
    (1, 4)
    """
    response = as_response(f)
    experiment = experiment_for(
        response,
        image,
        grid=grid,
        scale=scale,
        design=design,
        n_queries=n_queries,
        perturbation=perturbation,
        antithetic=antithetic,
        conventions=conventions,
        until=until,
        rng=rng,
        resume=resume,
    )
    how: JSON = {"moments": moments, "L": L, "L_ratio": L_ratio, "n_regions": n_regions, "relaxed": relaxed}
    choose_relaxed(relaxed, experiment.rules.name)
    check_estimates(response, experiment, choose_L(L, L_ratio, n_regions, experiment.rules.name), moments)
    start = time.perf_counter()
    sample = evaluate(response, experiment, batch_size=batch_size, cache=cache, progress=progress)
    spent = {"query": time.perf_counter() - start}
    return Explanation.of(sample, **how, progress=progress, seconds=spent, **origin(response, image, rng))
