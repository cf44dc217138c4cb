"""`query`: the only place that spends model evaluations for LEG."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from tqdm import tqdm

from legstat._core.checks import check_count
from legstat._core.conventions import ConventionsName
from legstat._core.errors import (
    NonFiniteResponseError,
    PartialAnswerError,
    QueryError,
    QueryInterrupted,
)
from legstat._core.typing import AnyArray, FloatArray, IntArray
from legstat.designs.blocks import BLOCK, Key
from legstat.designs.design import Design
from legstat.perturbations.operators import Perturbation
from legstat.perturbations.recipe import AheadScorer, Recipe, Scorer
from legstat.responses.base import CallableResponse, Response, as_response
from legstat.samples.sample import QuerySample
from legstat.samples.segments import Ledger, Segment
from legstat.samples.stopping import HalfWidth
from legstat.sampling.batch_size import tuned
from legstat.sampling.cache import Answers, QueryCache, Shelf, as_cache
from legstat.sampling.experiment import Plan, key_from, make_plan
from legstat.sampling.watch import count_towards, look, warn_if_constant, warn_if_not_reached


def query(
    f: Response | Callable[[AnyArray], AnyArray],
    image: AnyArray,
    design: Design,
    n_queries: int = 6000,
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
        Law of z; its grid must divide the picture.
    n_queries : int, default 6000
        Ceiling on model evaluations, f(x0) and the base point of `Blend` included. Then whole units (pairs, if
        antithetic), equally many for each channel of a "separate" design; the ledger shows what is left over.
    perturbation : Perturbation, optional
        How z acts on the picture; ``Additive()`` unless conventions say otherwise.
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
        `n_queries` stays the ceiling. The run looks at its widths after fixed numbers of units, never at the estimates;
        ``sample.stopping`` tells what it saw, and intervals after it allow for the looks.
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
        On Ctrl-C; likewise.

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
    plan = make_plan(
        image,
        design,
        n_queries,
        perturbation=perturbation,
        antithetic=antithetic,
        conventions=conventions,
        first_block=first_block,
        resume=resume,
        until=until,
        beforehand=beforehand,
    )
    if batch_size is not None and batch_size != "auto":
        response = response.with_batch_size(check_count("query", "batch_size", batch_size))
    if resume is not None:
        plan.check_resumable(resume, rng if key is None else key, first_block)
    else:
        response.check_image(plan.image)
    recipe = plan.perturbation.recipe(plan.image, plan.design.grid, response.dtype)
    with ExitStack() as stack:
        answers = None if cache is None else stack.enter_context(as_cache(cache).opened())
        if resume is not None:
            settled, start = response.resolved(resume.response), resume
        else:
            settled, start = _open(response, plan, key_from(rng, key), answers)
        if batch_size == "auto":
            settled, start = _tuned(settled, start, recipe, plan, cache)
        shelf = None if answers is None else plan.shelf(answers, settled, start.segments[0].key)
        scorer = settled.scorer(recipe)
        if np.isnan(start.f_base):
            start = _with_base(start, scorer, shelf)
        return _run(settled, plan, scorer, start, shelf, progress)


def _run(
    response: Response,
    plan: Plan,
    scorer: Scorer,
    start: QuerySample,
    shelf: Shelf | None,
    progress: bool,
) -> QuerySample:
    """Evaluate what is missing from `start`, block by block, the streams in turn."""
    per = plan.per_unit
    # one row a stream, NaN where there is no answer yet: a stopped run may leave holes, and is ahead in one stream
    scores = np.full((plan.streams, max(plan.units * per, *plan.known)), np.nan)
    for segment in start.segments:
        known = np.concatenate([segment.responses.ravel(), segment.pending])
        scores[segment.channel, : len(known)] = known
    first, size = start.segments[0], BLOCK * per
    answered, failed, cached = start.ledger.perturbed, start.ledger.failed, start.ledger.cached
    stopping = plan.stopping
    ahead, together = 0, response.batch_size
    if isinstance(scorer, AheadScorer):
        ahead = scorer.ahead
    elif shelf is None:  # what goes to disk goes there batch by batch
        together *= max(1, response.together // together)

    def sample() -> QuerySample:
        segments = tuple(
            Segment.of_run(first.key, channel, first.first_block, row, per) for channel, row in enumerate(scores)
        )
        known = {"perturbed": answered, "failed": failed, "cached": cached, "beforehand": plan.beforehand}
        paid = replace(start.ledger, n_queries=plan.n_queries, **known)
        return replace(start, segments=segments, ledger=paid, stopping=stopping)

    def wanted() -> Iterator[tuple[int, IntArray, FloatArray]]:
        """Look by look, what is still to be evaluated."""
        nonlocal cached, stopping
        for units in plan.looks:
            if shelf is not None:
                rows = scores[:, : units * per]
                served = sum(shelf.fill(row, channel, first.first_block, size) for channel, row in enumerate(rows))
                cached += served
                bar.update(served)
            yield from _batches(plan, units, scores, first.key, first.first_block, together)
            if stopping is not None:
                while begun:
                    take()
                stopping = look(sample(), stopping)
                if stopping.reached:
                    return
                count_towards(bar, stopping, plan)

    begun: deque[tuple[int, IntArray, Callable[[], FloatArray]]] = deque()

    def take() -> None:
        """Keep the answers of the batch that was begun first, and tell what is wrong with them."""
        nonlocal answered, failed
        channel, rows, answer = begun.popleft()
        fault: PartialAnswerError | None = None
        try:
            values = answer()
        except PartialAnswerError as error:  # what came is kept before the fault is told
            values, fault = error.scores, error
        finite = np.isfinite(values)
        scores[channel, rows] = np.where(finite, values, np.nan)
        before = answered + failed
        answered += int(finite.sum())
        failed += 0 if fault else int((~finite).sum())
        if shelf is not None:
            for block in np.unique(rows // size):
                here = rows // size == block
                place = rows[here] - block * size
                shelf.keep(channel, first.first_block + int(block), size, place, values[here])
        if fault is not None:
            raise fault.__cause__ or fault
        if not finite.all():
            bad = int(np.argmin(finite))
            salvage()
            raise NonFiniteResponseError(
                f"legstat.query: f returned {values[bad]} for evaluation {before + bad} of the perturbed "
                "pictures. Mend f and call query(..., resume=error.sample): both functions must carry the same "
                "attribute `fingerprint` to count as one. A score that overflows calls for log_odds.",
                sample(),
                before + bad,
            )
        bar.update(len(values))

    def salvage() -> None:
        """Keep what else was begun when something went wrong: it is paid for."""
        while begun:
            with suppress(Exception):
                take()

    bar = tqdm(
        total=scores.size if stopping is None else plan.queries(plan.looks[0]) - plan.fixed,
        initial=int(np.isfinite(scores).sum()),
        unit="query",
        desc="queries",
        disable=None if progress else True,
    )
    with bar:
        try:
            for channel, rows, z in wanted():
                only = channel if plan.design.channels == "separate" else None
                begun.append((channel, rows, _start(scorer, z, only)))
                while len(begun) > ahead:
                    take()
            while begun:
                take()
        except QueryError:
            raise
        except KeyboardInterrupt as error:
            salvage()
            raise QueryInterrupted(sample()) from error
        except Exception as error:
            salvage()
            raise QueryError(
                f"legstat.query: f failed after {answered} perturbed pictures: {type(error).__name__}: {error} "
                "What was paid for is in `.sample`: query(..., resume=error.sample).",
                sample(),
            ) from error
    done = sample()
    warn_if_constant(done, response)
    warn_if_not_reached(done, plan)
    return done


def _start(scorer: Scorer, z: FloatArray, channel: int | None) -> Callable[[], FloatArray]:
    """What gives the scores of z; a scorer that can begins with them at once."""
    return scorer.start(z, channel) if isinstance(scorer, AheadScorer) else partial(scorer, z, channel)


def _batches(
    plan: Plan, units: int, scores: FloatArray, key: Key, block0: int, together: int
) -> Iterator[tuple[int, IntArray, FloatArray]]:
    """(channel, rows, z) still to be evaluated: the entries of `scores` that are NaN, for so many units.

    So many go together, whatever the block's size: what a block leaves over waits for the next one of its stream.
    """
    per = plan.per_unit
    waiting: dict[int, tuple[IntArray, FloatArray]] = {}
    for j in range(-(-units // BLOCK)):
        begin, end = j * BLOCK * per, min(units, (j + 1) * BLOCK) * per
        for channel in range(plan.streams):
            rows = begin + np.flatnonzero(np.isnan(scores[channel, begin:end]))
            if not rows.size:
                continue
            z = plan.design.draw(key, channel, block0 + j, plan.planes)
            z = (np.stack([z, -z], axis=1).reshape(-1, *z.shape[1:]) if plan.antithetic else z)[rows - begin]
            if channel in waiting:
                earlier, before = waiting.pop(channel)
                rows, z = np.concatenate([earlier, rows]), np.concatenate([before, z])
            full = len(rows) // together * together
            for at in range(0, full, together):
                yield channel, rows[at : at + together], z[at : at + together]
            if full < len(rows):
                waiting[channel] = rows[full:], z[full:]
    for channel, (rows, z) in waiting.items():
        yield channel, rows, z


def _open(response: Response, plan: Plan, key: Key, answers: Answers | None) -> tuple[Response, QuerySample]:
    """Pay for f(x0): the settled response, and a sample without units (nor base point, where it is another one)."""
    bound = None if answers is None else answers.bind(response, plan.image)
    try:
        settled, f_x0 = bound or response.bind(plan.image)
    except KeyboardInterrupt as error:
        raise QueryInterrupted(None) from error
    except Exception as error:
        # what a network refuses there is an argument; a plain function has none to be settled, and failed
        if isinstance(error, ValueError | TypeError | ImportError) and not isinstance(response, CallableResponse):
            raise
        text = f"legstat.query: f failed on the unperturbed picture: {type(error).__name__}: {error}"
        raise QueryError(text) from error
    if answers is not None and not bound:
        answers.keep_bound(response, plan.image, settled, f_x0)
    if not np.isfinite(f_x0):
        text = f"legstat.query: f(x0) = {f_x0}. The score must be finite there."
        raise NonFiniteResponseError(text, index=0)
    empty = np.empty((0, plan.per_unit))
    return settled, QuerySample(
        design=plan.design,
        perturbation=plan.perturbation,
        image=plan.image,
        antithetic=plan.antithetic,
        conventions=plan.rules.name,
        f_x0=f_x0,
        f_base=float("nan") if plan.perturbation.needs_base else f_x0,
        segments=tuple(Segment(key, c, plan.first_block, empty) for c in range(plan.streams)),
        response=settled.describe(),
        ledger=Ledger(plan.n_queries, x0=int(not bound), base=0, perturbed=0, cached=int(bool(bound))),
    )


def _tuned(
    response: Response, start: QuerySample, recipe: Recipe, plan: Plan, cache: QueryCache | str | Path | None
) -> tuple[Response, QuerySample]:
    """Measure the batch size; where it was remembered nothing is evaluated."""
    memory = None if cache is None else as_cache(cache).folder / "batch_sizes.json"
    try:
        found = tuned(response, recipe, plan.planes, memory=memory, variants=plan.resume is None)
    except KeyboardInterrupt as error:
        raise QueryInterrupted(start) from error
    except Exception as error:
        text = (
            f"legstat.query: f failed while its batch size was measured: {type(error).__name__}: {error} f(x0) is paid "
            "for and in `.sample`: query(..., resume=error.sample)."
        )
        raise QueryError(text, start) from error
    ledger = replace(start.ledger, tuning=start.ledger.tuning + found.evaluations)
    about = found.response.describe() if plan.resume is None else start.response
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
