"""`query`: the only place that spends model evaluations for LEG."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from legstat._core.checks import check_count
from legstat._core.conventions import ConventionsName
from legstat._core.typing import AnyArray
from legstat.designs.blocks import Key
from legstat.designs.design import Design
from legstat.perturbations.operators import Perturbation
from legstat.perturbations.recipe import Recipe, Scorer
from legstat.responses.base import Response
from legstat.responses.function import CallableResponse, as_response
from legstat.samples.faults import NonFiniteResponseError, QueryError, QueryInterrupted
from legstat.samples.sample import QuerySample
from legstat.samples.stopping import HalfWidth
from legstat.sampling.answers import Answers, Shelf
from legstat.sampling.batch_size import tuned
from legstat.sampling.cache import QueryCache, as_cache
from legstat.sampling.defaults import N_QUERIES
from legstat.sampling.experiment import Experiment
from legstat.sampling.loop import Loop, terminating_as_interrupt
from legstat.sampling.watch import warn_if_constant, warn_if_not_reached


def query(
    f: Response | Callable[[AnyArray], AnyArray],
    image: AnyArray,
    design: Design,
    n_queries: int = N_QUERIES,
    *,
    perturbation: Perturbation | None = None,
    antithetic: bool | None = None,
    conventions: ConventionsName | None = None,
    rng: Any = None,
    key: Key | None = None,
    resume: QuerySample | None = None,
    first_block: int = 0,
    until: HalfWidth | float | None = None,
    beforehand: int = 0,
    batch_size: int | Literal["auto"] | None = None,
    cache: QueryCache | str | Path | None = None,
    progress: bool = True,
) -> QuerySample:
    """Evaluate f at drawn perturbations of a picture.

    Draws z in numbered blocks, makes the perturbed pictures Phi(x0; z), evaluates them in batches and keeps the
    scores. The result does not depend on batch sizes; memory does not depend on `n_queries` beyond 8 bytes a query.

    Parameters
    ----------
    f : Response or callable
        The black box, ``(n, C, H, W) -> (n,)`` on RGB pictures in [0, 1].
    image : ndarray of shape (C, H, W)
        The picture x0, values in [0, 1].
    design : Design
        Law of z; where its grid does not divide the picture, cells differ in size by a pixel.
    n_queries : int, default 6000
        Ceiling on model evaluations, f(x0) and the base point of `Blend` included. Then whole draws (pairs, if
        antithetic), equally many for each channel of a "separate" design; the ledger shows what is left over.
    perturbation : Perturbation, optional
        How z acts on the picture; ``Additive()`` unless conventions say otherwise. (`explain`, which also takes this
        where it is given a design, blends towards a blurred picture where design and operator are left to it.)
    antithetic : bool, optional
        Draw pairs z, -z, which cancel the even part of f: the default, unless conventions say otherwise.
    conventions : {"default", "paper", "upstream"}, optional
        Set all conventions at once and hand them on to the estimators; "default" unless a resumed sample has others.
    rng : None, int, Generator or anything `numpy.random.default_rng` takes
        Source of the generator's key. The same seed gives the same bits for any batch size.
    key : pair of int, optional
        The generator's key itself, in place of `rng`: that of an earlier run (`Segment.key`, records) repeats it.
    resume : QuerySample, optional
        An earlier sample of this experiment to extend up to `n_queries` evaluations in all; f(x0) is not paid again.
    first_block : int, default 0
        Number of the first block: runs with one seed and disjoint blocks can be merged.
    until : float or HalfWidth, optional
        Stop as soon as LEG's intervals are narrow enough: 0.05 means that the 95 % interval of every cell, that of
        ``LEG(sample).fit().conf_int()``, reaches at most 0.05 to either side; `HalfWidth` sets level, bands, regions.
        `n_queries` stays the ceiling. Interim analyses after fixed numbers of draws (or pairs) see the widths, never
        the estimates; ``sample.stopping`` tells what they saw, and intervals after them allow for it.
    beforehand : int, default 0
        Evaluations already made on this budget, such as ``probe.ledger.spent`` of a `noise_probe`: they count towards
        `n_queries`, and the ledger shows them. A resumed sample brings its own along.
    batch_size : int or "auto", optional
        Pictures handed over at once; the response's own unless given. "auto" measures which is fastest here, for some
        seconds (and, where an ONNX response left that open, whether its pictures are made faster inside the graph).
        The measurement comes on top of `n_queries`, ``ledger.tuning`` counts it; with `cache` it is remembered there.
    cache : QueryCache or str or Path, optional
        Answers on disk (or the folder for them): what an earlier run of this experiment was answered is served from
        there, what is new is kept. `n_queries` is then the size of the sample; `ledger.spent` says what was evaluated
        and `ledger.cached` what was served.
    progress : bool, default True
        Show a progress bar if the output is a terminal.

    Returns
    -------
    QuerySample
        The responses and all that is needed to draw z again.

    Raises
    ------
    ValueError
        For an argument that cannot be right, before any evaluation.
    QueryError
        If f raises or returns the wrong shape midway; ``.sample`` holds what was paid for.
    NonFiniteResponseError
        If f returns NaN or infinity; likewise.
    QueryInterrupted
        On Ctrl-C or SIGTERM; likewise.

    Warns
    -----
    ConstantScoreWarning
        If the score does not move, or only within its rounding: the map would be zero, or noise.
    TargetNotReachedWarning
        If `n_queries` came before the half-width; the text predicts how many would reach it.

    Examples
    --------
    >>> import legstat as ls
    >>> f, design = ls.simulate.linear(np.ones((4, 4))), ls.StructuredGaussian(grid=(4, 4), scale=0.02)
    >>> sample = ls.query(f, np.full((1, 8, 8), 0.5), design, n_queries=101, rng=0)
    >>> sample.ledger.spent, sample.n_units
    (101, (50,))
    """
    response = as_response(f)
    experiment = Experiment.of(
        response.check_image(image, "query"),
        design,
        n_queries,
        perturbation=perturbation,
        antithetic=antithetic,
        conventions=conventions,
        rng=rng,
        key=key,
        resume=resume,
        first_block=first_block,
        until=until,
        beforehand=beforehand,
    )
    return evaluate(response, experiment, batch_size=batch_size, cache=cache, progress=progress)


def evaluate(
    response: Response,
    experiment: Experiment,
    *,
    batch_size: int | Literal["auto"] | None = None,
    cache: QueryCache | str | Path | None = None,
    progress: bool = True,
) -> QuerySample:
    """Carry out an experiment; the other arguments, errors and warnings are those of `query`."""
    if batch_size is not None and batch_size != "auto":
        response = response.with_batch_size(check_count("query", "batch_size", batch_size))
    recipe = experiment.perturbation.recipe(experiment.image, experiment.design.grid, response.dtype)
    with ExitStack() as stack:
        stack.enter_context(terminating_as_interrupt())
        answers = None if cache is None else stack.enter_context(as_cache(cache).opened())
        if experiment.resume is not None:
            settled, start = response.resolved(experiment.resume.response), experiment.resume
        else:
            settled, start = _open(response, experiment, answers)
        if batch_size == "auto":
            settled, start = _tuned(settled, start, recipe, experiment, cache)
        shelf = None if answers is None else experiment.shelf(answers, settled)
        scorer = settled.scorer(recipe)
        if np.isnan(start.f_base):
            start = _with_base(start, scorer, shelf)
        sample = Loop(experiment, settled, scorer, start, shelf, progress).run()
    warn_if_constant(sample, settled)
    warn_if_not_reached(sample, experiment)
    return sample


def _open(response: Response, experiment: Experiment, answers: Answers | None) -> tuple[Response, QuerySample]:
    """Pay for f(x0): the settled response, and a sample of no observations (and no base point, if it is another)."""
    bound = None if answers is None else answers.bind(response, experiment.image)
    try:
        settled, f_x0 = bound or response.bind(experiment.image)
    except KeyboardInterrupt as error:
        raise QueryInterrupted(None) from error
    except Exception as error:
        # what a network refuses there is an argument; a plain function has none to be settled, and failed
        if isinstance(error, ValueError | TypeError | ImportError) and not isinstance(response, CallableResponse):
            raise
        text = f"legstat.query: f failed on the unperturbed picture: {type(error).__name__}: {error}"
        raise QueryError(text) from error
    if answers is not None and not bound:
        answers.keep_bound(response, experiment.image, settled, f_x0)
    if not np.isfinite(f_x0):
        text = f"legstat.query: f(x0) = {f_x0}. The score must be finite there."
        raise NonFiniteResponseError(text, index=0)
    return settled, experiment.begun(settled, f_x0, served=bool(bound))


def _tuned(
    response: Response,
    start: QuerySample,
    recipe: Recipe,
    experiment: Experiment,
    cache: QueryCache | str | Path | None,
) -> tuple[Response, QuerySample]:
    """Measure the batch size; where it was remembered nothing is evaluated."""
    memory = None if cache is None else as_cache(cache).folder / "batch_sizes.json"
    try:
        found = tuned(response, recipe, experiment.planes, memory=memory, variants=experiment.resume is None)
    except KeyboardInterrupt as error:
        raise QueryInterrupted(start) from error
    except Exception as error:
        text = (
            f"legstat.query: f failed while its batch size was measured: {type(error).__name__}: {error} f(x0) is paid "
            "for and in `.sample`: query(..., resume=error.sample)."
        )
        raise QueryError(text, start) from error
    ledger = replace(start.ledger, tuning=start.ledger.tuning + found.evaluations)
    about = found.response.describe() if experiment.resume is None else start.response
    return found.response, replace(start, response=about, ledger=ledger)


def _with_base(start: QuerySample, scorer: Scorer, shelf: Shelf | None) -> QuerySample:
    """Pay for the base point Phi(x0; 0) of a sample that lacks it."""
    known = None if shelf is None else shelf.base()
    kept = "f(x0) is paid for and in `.sample`: query(..., resume=error.sample)."
    try:
        f_base = float(scorer(np.zeros((1, 1, *start.design.grid.shape)), None)[0]) if known is None else known
    except KeyboardInterrupt as error:
        raise QueryInterrupted(start) from error
    except Exception as error:
        text = f"legstat.query: f failed on the base point: {type(error).__name__}: {error} {kept}"
        raise QueryError(text, start) from error
    if not np.isfinite(f_base):
        text = (
            f"legstat.query: f(x0) = {start.f_x0}, f(base point) = {f_base}. The score must be finite at both. {kept}"
        )
        raise NonFiniteResponseError(text, start, index=1)
    if shelf is not None and known is None:
        shelf.keep_base(f_base)
    paid = start.ledger
    new = {"base": paid.base + 1} if known is None else {"cached": paid.cached + 1}
    return replace(start, f_base=f_base, ledger=replace(paid, **new))
