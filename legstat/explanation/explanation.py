"""`explain`: query, LEG, the path of LEG-TV and the choice of L in one call, and what comes out of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from legstat._core.checks import check_within
from legstat._core.conventions import Conventions, ConventionsName, get_conventions
from legstat._core.errors import invalid
from legstat._core.typing import JSON, AnyArray
from legstat.designs.design import Design
from legstat.designs.structured import StructuredGaussian
from legstat.estimators.leg import FOLDS, LEG
from legstat.estimators.leg_results import LEGResults
from legstat.estimators.legtv import LEGTV
from legstat.estimators.legtv_results import LEGTVResults
from legstat.estimators.path import LEGTVPath
from legstat.moments.estimate import CROSSFIT_MINIMUM
from legstat.perturbations.operators import Additive, Blend, Perturbation
from legstat.record import make_record, save_run
from legstat.report.summary import joint_summary
from legstat.responses.base import Response
from legstat.responses.function import as_response
from legstat.samples.sample import QuerySample
from legstat.samples.stopping import HalfWidth
from legstat.sampling.cache import QueryCache
from legstat.sampling.query import query

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from statsmodels.iolib.summary import Summary

MOST_CELLS = 28
"""Cells a side of the default grid, at most: that of the LEG paper."""
_FEWEST_CELLS = 4
ADDITIVE_SCALE, BLEND_SCALE = 0.02, 0.25
_PUBLISHED_L_RATIO = 0.1


@dataclass(frozen=True, eq=False)
class Explanation:
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
        L: float | str | None = None,
        L_ratio: float | None = None,
        progress: bool = True,
        **facts: Any,
    ) -> Self:
        """The explanation of a sample that is there already; no model evaluation is spent.

        Parameters
        ----------
        sample : QuerySample
            What was queried.
        L, L_ratio : optional
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
        choice = choose_rule(L, L_ratio, sample.conventions)
        clock = [time.perf_counter()]
        leg = LEG(sample).fit()
        clock.append(time.perf_counter())
        path = LEGTV(sample).fit_path(progress=progress)
        clock.append(time.perf_counter())
        tv = path.select(**choice)
        clock.append(time.perf_counter())
        stages = dict(zip(("leg", "path", "choice"), np.diff(clock).tolist(), strict=True))
        seconds = {**facts.pop("seconds", {}), **stages}
        return cls(sample, leg, path, tv, choice, seconds=seconds, **facts)

    def record(self, command: Sequence[str] | None = None) -> JSON:
        """All from which this explanation can be repeated bit for bit, as JSON (see `legstat.record`)."""
        return make_record(
            self.sample,
            self.leg,
            self.path,
            self.tv,
            choice=self.choice,
            seed=self.seed,
            seconds=self.seconds,
            command=command,
            picture=self.files.get("picture"),
            model=self.files.get("model"),
            constants=self.constant_files,
        )

    def summary(self) -> Summary:
        """Both estimates in one summary, with ``as_text``, ``as_html`` and ``as_latex``."""
        return joint_summary(self.leg, self.tv)

    def plot(self, *, path_points: int = 0) -> Figure:
        """Picture, LEG and LEG-TV side by side; with `path_points`, that many points of the path instead of one.

        Parameters
        ----------
        path_points : int, default 0
            Points of the LEG-TV path to show, the chosen one among them.

        Returns
        -------
        matplotlib.figure.Figure
            The figure; ``savefig`` writes it.
        """
        from legstat.report.plots import plot_explanation

        return plot_explanation(self.leg, self.tv, self.path, path_points=path_points)

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
            sample.npz, leg.npz, legtv.npz, path.npz (arrays); summary.txt; leg.png, legtv.png (overlays of the
            picture's size); explanation.png; summary.html; record.json.
        """
        return save_run(
            folder, self.record(command), self.sample, self.leg, self.path, self.tv, path_points=path_points
        )

    def __repr__(self) -> str:
        return f"<Explanation of {self.sample.ledger.spent} queries: {self.leg!r}, {self.tv!r}>"


def explain(
    f: Response | Callable[[AnyArray], AnyArray],
    image: AnyArray | str | Path,
    *,
    grid: tuple[int, int] | None = None,
    scale: float | None = None,
    n_queries: int = 6000,
    perturbation: Perturbation | None = None,
    antithetic: bool | None = None,
    conventions: ConventionsName | None = None,
    L: float | str | None = None,
    L_ratio: float | None = None,
    until: HalfWidth | float | None = None,
    rng: Any = None,
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
        sigma of the structured design: 0.25 (mask levels) for `Blend`, 0.02 (pixel values, the paper's) for `Additive`.
    n_queries : int, default 6000
        Ceiling on model evaluations, f(x0) included.
    perturbation : Perturbation, optional
        How z acts on the picture: ``Blend("blur", at=0.5)`` unless conventions say otherwise, since maps in deletion
        coordinates measured better than additive ones.
    antithetic : bool, optional
        See `query`.
    conventions : {"default", "paper", "upstream"}, optional
        Under the latter two: `Additive` as they have it, and L a tenth of L_max.
    L : float or {"heldout", "theory"}, optional
        L itself, or the rule it is chosen by: "heldout" (the default) takes the point of the path with the largest
        out-of-sample R^2, "theory" the L of Theorem 1.
    L_ratio : float, optional
        L as a fraction of L_max; not together with `L`.
    until : float or HalfWidth, optional
        Stop as soon as LEG's intervals are that narrow, see `query`; `n_queries` stays the ceiling.
    rng : None, int, Generator or anything `numpy.random.default_rng` takes
        Source of the generator's key.
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
        If f fails midway; ``.sample`` holds what was paid for (``query(..., resume=error.sample)`` goes on, and
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
    choice = choose_rule(L, L_ratio, conventions or "default")
    sample, facts = query_for(
        as_response(f),
        image,
        choice,
        grid=grid,
        scale=scale,
        n_queries=n_queries,
        perturbation=perturbation,
        antithetic=antithetic,
        conventions=conventions,
        until=until,
        rng=rng,
        batch_size=batch_size,
        cache=cache,
        progress=progress,
    )
    return Explanation.of(sample, L=L, L_ratio=L_ratio, progress=progress, **facts)


def query_for(
    response: Response,
    image: AnyArray | str | Path,
    choice: Mapping[str, Any],
    *,
    grid: tuple[int, int] | None = None,
    scale: float | None = None,
    n_queries: int = 6000,
    perturbation: Perturbation | None = None,
    antithetic: bool | None = None,
    conventions: ConventionsName | None = None,
    until: HalfWidth | float | None = None,
    rng: Any = None,
    resume: QuerySample | None = None,
    batch_size: int | Literal["auto"] | None = None,
    cache: QueryCache | str | Path | None = None,
    progress: bool = True,
) -> tuple[QuerySample, JSON]:
    """The first half of `explain`: everything checked, then the budget spent.

    Parameters
    ----------
    response, image : Response, and ndarray of shape (C, H, W) or path
        As for `explain`.
    choice : mapping
        How L will be chosen (`choose_rule`), so that a budget too small for it is refused here.
    grid, scale, n_queries, perturbation, antithetic, conventions, until, rng, batch_size, cache, progress : optional
        As for `explain`.
    resume : QuerySample, optional
        A partial sample of this experiment, to go on from; what is left out above is taken from it.

    Returns
    -------
    sample : QuerySample
        What was paid for.
    facts : dict
        Seed, files and duration, for `Explanation.of`.
    """
    files: dict[str, str | Path] = {}
    if isinstance(image, str | Path):
        files["picture"] = image
        picture = response.load_image(image)
    else:
        picture = np.asarray(image)
    files.update(response.files)
    if resume is None:
        rules = get_conventions(conventions or "default", "explain")
        operator = _operator(perturbation, rules)
        usual = BLEND_SCALE if isinstance(operator, Blend) else ADDITIVE_SCALE
        design: Design = StructuredGaussian(
            default_grid(*_size(picture)) if grid is None else grid, usual if scale is None else scale
        ).with_conventions(rules)
        paired = rules.antithetic if antithetic is None else antithetic
    else:
        design, operator, paired = resume.design, resume.perturbation, resume.antithetic
        rules = resume.convention_set
        asked = {"grid": (grid, design.grid.shape), "scale": (scale, design.scale)}
        for name, (mine, theirs) in asked.items():
            if mine is not None and mine != theirs:
                raise ValueError(invalid("explain", name, mine, f"{theirs}, as in the resumed sample"))
        if perturbation is not None and perturbation != operator:
            raise ValueError(invalid("explain", "perturbation", perturbation, f"{operator}, as in the resumed sample"))
    streams = len(picture) if design.channels == "separate" else 1
    _check_budget(n_queries, operator, paired, streams, _units_needed(choice, rules))
    start = time.perf_counter()
    sample = query(
        response,
        picture,
        design,
        n_queries,
        perturbation=operator,
        antithetic=antithetic,
        conventions=rules.name,
        rng=rng,
        resume=resume,
        until=until,
        batch_size=batch_size,
        cache=cache,
        progress=progress,
    )
    seed = int(rng) if isinstance(rng, int | np.integer) and not isinstance(rng, bool) else None
    return sample, {
        "seed": seed,
        "files": files,
        "constant_files": dict(response.constant_files),
        "seconds": {"query": time.perf_counter() - start},
    }


def choose_rule(L: float | str | None, L_ratio: float | None, conventions: ConventionsName) -> JSON:
    """How L will be chosen, as the arguments of `LEGTVPath.select`; ValueError where that is not clear."""
    if L is not None and L_ratio is not None:
        raise ValueError(invalid("explain", "L, L_ratio", (L, L_ratio), "not given together"))
    if isinstance(L, str):
        if L not in ("heldout", "theory"):
            raise ValueError(invalid("explain", "L", L, '"heldout", "theory" or a number >= 0'))
        return {"L": L}
    if L is not None:
        return {"L": check_within("explain", "L", L, remedy='Or the name of a rule: "heldout", "theory".')}
    if L_ratio is not None:
        return {"L_ratio": check_within("explain", "L_ratio", L_ratio, 0.0, 1.0, remedy="For L itself pass `L=`.")}
    return {"L": "heldout"} if conventions == "default" else {"L_ratio": _PUBLISHED_L_RATIO}


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


def _size(picture: AnyArray) -> tuple[int, int]:
    if picture.ndim != 3:
        remedy = "Channels come first; `response.load_image(path)` reads a picture file in this form."
        raise ValueError(invalid("explain", "image", picture.shape, "an array of shape (C, H, W)", remedy))
    return picture.shape[1], picture.shape[2]


def _operator(given: Perturbation | None, rules: Conventions) -> Perturbation:
    if given is not None:
        return given
    return Blend("blur", at=0.5) if rules.name == "default" else Additive(clip=rules.clip, quantise=rules.quantise)


def _units_needed(choice: Mapping[str, Any], rules: Conventions) -> int:
    """Draws (or pairs) of each channel without which the estimators would refuse the sample that was paid for."""
    if choice.get("L") == "heldout":
        return 2 * FOLDS
    return CROSSFIT_MINIMUM if rules.leg_moments == "crossfit" else 2


def _check_budget(n_queries: object, operator: Perturbation, paired: bool, streams: int, units: int) -> None:
    """Refuse a budget that pays for a sample but not for estimates from it."""
    least = 1 + int(operator.needs_base) + units * (2 if paired else 1) * streams
    if isinstance(n_queries, int | np.integer) and n_queries < least:
        valid = f"at least {least}: f(x0) and {units} {'pairs' if paired else 'draws'} for each of {streams} channel(s)"
        raise ValueError(invalid("explain", "n_queries", n_queries, valid, "6000 is usual at 28 x 28 cells."))
