"""`query`: the only place that spends model evaluations for LEG."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any, get_args

import numpy as np
from tqdm import tqdm

from legstat._typing import AnyArray, FloatArray, IntArray
from legstat.conventions import Conventions, ConventionsName, clash, get_conventions
from legstat.designs import BLOCK, Design, Key
from legstat.errors import ConstantScoreWarning, NonFiniteResponseError, QueryError, QueryInterrupted, invalid
from legstat.perturbations import Additive, Composer, Perturbation
from legstat.responses.base import Response, as_response, check_whole
from legstat.responses.cache import Answers, Experiment, QueryCache, as_cache
from legstat.samples import QuerySample
from legstat.segments import Ledger, Segment


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
    batch_size: int | None = None,
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
    batch_size : int, optional
        Pictures handed over at once; the response's own unless given.
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

    Examples
    --------
    >>> import legstat as ls
    >>> f, design = ls.simulate.linear(np.ones((4, 4))), ls.StructuredGaussian(grid=(4, 4), scale=0.02)
    >>> sample = ls.query(f, np.full((1, 8, 8), 0.5), design, n_queries=101, rng=0)
    >>> sample.ledger.spent, sample.n_units
    (101, (50,))
    """
    response = as_response(f)
    picture = _check_image(image)
    _check_type("design", design, Design, "such as StructuredGaussian(grid=(28, 28))")
    _check_type("perturbation", perturbation, Perturbation | None, "such as Additive() or Blend()")
    _check_type("resume", resume, QuerySample | None, "an earlier result, or `error.sample`")
    if conventions is not None and resume is not None and conventions != resume.conventions:
        raise clash("query", "conventions", conventions, resume.convention_set, resume.conventions)
    rules = get_conventions(conventions or (resume.conventions if resume is not None else "default"))
    law = design.under(rules)
    operator = _operator(perturbation, rules, resume)
    operator.check(picture, law.grid, law.channels)
    paired = _antithetic(antithetic, rules, resume)
    plan = _Plan(law, operator, picture, paired, rules, n_queries, first_block, resume)
    size = check_whole("query", "batch_size", batch_size) if batch_size is not None else response.batch_size
    if resume is not None:
        plan.check_resumable(resume, rng if key is None else key, first_block)
    else:
        response.check_image(picture)
    composer = operator.composer(picture, law.grid, response.dtype, reuse=not response.keeps_images)
    with ExitStack() as stack:
        answers = None if cache is None else stack.enter_context(as_cache(cache).opened())
        if resume is not None:
            settled, start = response.resolved(resume.response), resume
        else:
            settled, start = _open(response, plan, composer, _key_from(rng, key), answers)
        shelf = None if answers is None else plan.shelf(answers, settled, start.segments[0].key)
        return _run(settled, plan, composer, start, size, shelf, progress)


@dataclass(frozen=True, eq=False)
class _Plan:
    """A checked experiment: everything about it but the responses."""

    design: Design
    perturbation: Perturbation
    image: FloatArray
    antithetic: bool
    rules: Conventions
    n_queries: int
    first_block: int
    resume: QuerySample | None = None

    def __post_init__(self) -> None:
        for name in ("n_queries", "first_block"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer):
                raise TypeError(invalid("query", name, value, "a whole number"))
            object.__setattr__(self, name, int(value))
        if not 0 <= self.first_block < 2**63:
            raise ValueError(invalid("query", "first_block", self.first_block, "a block number from 0 to 2**63 - 1"))
        if self.units < 1:
            unit = "pair" if self.antithetic else "draw"
            base = " and the base point" if self.perturbation.needs_base else ""
            remedy = f"That pays for f(x0){base} and one {unit} for each channel."
            if self.resume is not None:
                remedy = "It is the ceiling over all runs: what the resumed sample has cost, and what it still misses."
            fewest = self.overhead + self.failed + sum(max(k, self.per_unit) for k in self.known)
            raise ValueError(invalid("query", "n_queries", self.n_queries, f"at least {fewest}", remedy))

    @property
    def overhead(self) -> int:
        return 1 + int(self.perturbation.needs_base)

    @property
    def per_unit(self) -> int:
        return 2 if self.antithetic else 1

    @property
    def streams(self) -> int:
        return len(self.image) if self.design.channels == "separate" else 1

    @property
    def failed(self) -> int:
        """Evaluations of the resumed sample that gave no number."""
        return 0 if self.resume is None else self.resume.ledger.failed

    @property
    def known(self) -> tuple[int, ...]:
        """Evaluations that each stream of the resumed sample already spans."""
        if self.resume is None:
            return (0,) * self.streams
        return tuple(s.responses.size + s.pending.size for s in self.resume.segments)

    @property
    def units(self) -> int:
        """Units of each stream that the budget allows."""
        budget = self.n_queries - self.overhead - self.failed
        units = budget // (self.per_unit * self.streams)
        # a run that was stopped may be a block ahead in its first streams
        while units > 0 and sum(max(k, units * self.per_unit) for k in self.known) > budget:
            units -= 1
        return units

    def shelf(self, answers: Answers, response: Response, key: Key) -> Experiment:
        """Where the cache keeps the answers of this experiment: all that determines them, but not how many."""
        design, operator = self.design, self.perturbation
        laws = [(type(law).__name__, law.parameters()) for law in (design, operator)]
        return answers.experiment(response, self.image, *laws, self.antithetic, key)

    def check_resumable(self, sample: QuerySample, rng: Any, first_block: int) -> None:
        if rng is not None or first_block:
            raise ValueError(
                invalid(
                    "query",
                    "rng, first_block",
                    (rng, first_block),
                    "left out with `resume`",
                    "The sample's key goes on.",
                )
            )
        mine = {"design": self.design, "perturbation": self.perturbation}
        for name, value in mine.items():
            if getattr(sample, name) != value:
                raise ValueError(invalid("query", name, value, f"{getattr(sample, name)!r}, as in the resumed sample"))
        if not np.array_equal(sample.image, self.image):
            raise ValueError(
                invalid("query", "image", "another picture", "the resumed sample's picture", "Pass `resume.image`.")
            )
        if sample.external_z is not None or len({s.channel for s in sample.segments}) != len(sample.segments):
            remedy = "Extend each run before merging, or make a new run and merge it."
            raise ValueError(
                invalid("query", "resume", "a merged sample or one from arrays", "the sample of one run", remedy)
            )


def _run(
    response: Response,
    plan: _Plan,
    composer: Composer,
    start: QuerySample,
    batch_size: int,
    shelf: Experiment | None,
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
    if shelf is not None:
        wanted = scores[:, : plan.units * per]
        cached += sum(shelf.fill(row, channel, first.first_block, size) for channel, row in enumerate(wanted))

    def sample() -> QuerySample:
        segments = tuple(
            Segment.of_run(first.key, channel, first.first_block, row, per) for channel, row in enumerate(scores)
        )
        paid = Ledger(plan.n_queries, start.ledger.x0, start.ledger.base, answered, failed, cached)
        return _with(start, segments, paid)

    bar = tqdm(
        total=scores.size,
        initial=int(np.isfinite(scores).sum()),
        unit="query",
        desc="queries",
        disable=None if progress else True,
    )
    with bar:
        try:
            for channel, rows, pictures in _batches(plan, composer, scores, first.key, first.first_block, batch_size):
                values = response(pictures)
                finite = np.isfinite(values)
                scores[channel, rows] = np.where(finite, values, np.nan)
                before = answered + failed
                answered += int(finite.sum())
                failed += int((~finite).sum())
                if shelf is not None:
                    block = int(rows[0]) // size
                    shelf.keep(channel, first.first_block + block, size, rows - block * size, values)
                if not finite.all():
                    bad = int(np.argmin(finite))
                    raise NonFiniteResponseError(
                        f"legstat.query: f returned {values[bad]} for evaluation {before + bad} of the perturbed "
                        "pictures. Mend f and call query(..., resume=error.sample): both functions must carry the same "
                        "attribute `fingerprint` to count as one. A score that overflows calls for log_odds.",
                        sample(),
                        before + bad,
                    )
                bar.update(len(values))
        except QueryError:
            raise
        except KeyboardInterrupt as error:
            raise QueryInterrupted(sample()) from error
        except Exception as error:
            raise QueryError(
                f"legstat.query: f failed after {answered} perturbed pictures: {type(error).__name__}: {error} "
                "What was paid for is in `.sample`: query(..., resume=error.sample).",
                sample(),
            ) from error
    done = sample()
    _warn_if_constant(done, response)
    return done


def _batches(
    plan: _Plan, composer: Composer, scores: FloatArray, key: Key, block0: int, batch_size: int
) -> Iterator[tuple[int, IntArray, AnyArray]]:
    """(channel, rows, perturbed pictures) still to be evaluated: the entries of `scores` that are NaN."""
    per = plan.per_unit
    planes = len(plan.image) if plan.design.channels == "joint" else 1
    for j in range(-(-plan.units // BLOCK)):
        begin, end = j * BLOCK * per, min(plan.units, (j + 1) * BLOCK) * per
        for channel in range(plan.streams):
            missing = begin + np.flatnonzero(np.isnan(scores[channel, begin:end]))
            if not missing.size:
                continue
            z = plan.design.draw(key, channel, block0 + j, planes)
            signed = np.stack([z, -z], axis=1).reshape(-1, *z.shape[1:]) if plan.antithetic else z
            for at in range(0, len(missing), batch_size):
                rows = missing[at : at + batch_size]
                alone = channel if plan.design.channels == "separate" else None
                yield channel, rows, composer(signed[rows - begin], alone)


def _open(
    response: Response, plan: _Plan, composer: Composer, key: Key, answers: Answers | None
) -> tuple[Response, QuerySample]:
    """Pay for f(x0) and the base point: the settled response and a sample without units."""
    paid = {"x0": 0, "base": 0, "cached": 0}
    try:
        anchored = None if answers is None else answers.anchor(response, plan.image)
        settled, f_x0 = anchored or response.anchor(plan.image)
        paid["cached" if anchored else "x0"] += 1
        if answers is not None and not anchored:
            answers.keep_anchor(response, plan.image, settled, f_x0)
        f_base = f_x0
        if plan.perturbation.needs_base:
            shelf = None if answers is None else plan.shelf(answers, settled, key)
            known = None if shelf is None else shelf.base()
            z0 = np.zeros((1, 1, *plan.design.grid.shape))
            f_base = float(settled(composer(z0))[0]) if known is None else known
            paid["base" if known is None else "cached"] += 1
            if shelf is not None and known is None:
                shelf.keep_base(f_base)
    except (ValueError, TypeError, ImportError):
        raise
    except KeyboardInterrupt as error:
        raise QueryInterrupted(None) from error
    except Exception as error:
        raise QueryError(
            f"legstat.query: f failed on the unperturbed picture: {type(error).__name__}: {error}"
        ) from error
    if not np.isfinite([f_x0, f_base]).all():
        text = f"legstat.query: f(x0) = {f_x0}, f(base point) = {f_base}. The score must be finite at both."
        raise NonFiniteResponseError(text, index=0)
    empty = np.empty((0, plan.per_unit))
    sample = QuerySample(
        design=plan.design,
        perturbation=plan.perturbation,
        image=plan.image,
        antithetic=plan.antithetic,
        conventions=plan.rules.name,
        f_x0=f_x0,
        f_base=f_base,
        segments=tuple(Segment(key, c, plan.first_block, empty) for c in range(plan.streams)),
        response=settled.describe(),
        ledger=Ledger(plan.n_queries, perturbed=0, **paid),
    )
    return settled, sample


def _with(sample: QuerySample, segments: tuple[Segment, ...], ledger: Ledger) -> QuerySample:
    names = ("design", "perturbation", "image", "antithetic", "conventions", "f_x0", "f_base", "response")
    return QuerySample(segments=segments, ledger=ledger, **{name: getattr(sample, name) for name in names})


def _check_type(name: str, value: object, kind: Any, valid: str) -> None:
    if not isinstance(value, kind):
        wanted = "a " + " or ".join(t.__name__ for t in get_args(kind) or (kind,) if t is not NoneType)
        raise TypeError(invalid("query", name, value, f"{wanted}, {valid}"))


def _check_image(image: AnyArray) -> FloatArray:
    remedy = "`response.load_image(path)` reads a picture file in this form."
    if np.asarray(image).dtype.kind not in "fiub":
        raise TypeError(invalid("query", "image", image, "an array of real numbers of shape (C, H, W)", remedy))
    picture = np.array(image, dtype=np.float64)
    if picture.ndim != 3 or not picture.size:
        raise ValueError(invalid("query", "image", picture.shape, "an array of shape (C, H, W)", remedy))
    if not np.isfinite(picture).all():
        raise ValueError(invalid("query", "image", "NaN or infinity", "finite", remedy))
    if picture.min() < 0 or picture.max() > 1:
        got = f"values from {picture.min():g} to {picture.max():g}"
        raise ValueError(
            invalid("query", "image", got, "RGB or grey within [0, 1]", "Divide 0..255 pictures by 255. " + remedy)
        )
    picture.flags.writeable = False
    return picture


def _operator(given: Perturbation | None, rules: Conventions, resume: QuerySample | None) -> Perturbation:
    if given is not None:
        return given.under(rules)
    return resume.perturbation if resume is not None else Additive(clip=rules.clip, quantise=rules.quantise)


def _antithetic(given: bool | None, rules: Conventions, resume: QuerySample | None) -> bool:
    implied = rules.antithetic if resume is None else resume.antithetic
    if given is None:
        return implied
    if rules.name != "default" and given != implied:
        raise clash("query", "antithetic", given, rules, implied)
    if resume is not None and given != implied:
        raise ValueError(invalid("query", "antithetic", given, f"{implied}, as in the resumed sample"))
    return bool(given)


def key_of(rng: Any) -> Key:
    """The generator's key that `rng` (anything `numpy.random.default_rng` takes) stands for."""
    words = np.random.default_rng(rng).integers(0, 2**64, size=2, dtype=np.uint64)
    return int(words[0]), int(words[1])


def _key_from(rng: Any, key: Key | None) -> Key:
    if key is None:
        return key_of(rng)
    if rng is not None:
        raise ValueError(invalid("query", "rng, key", (rng, key), "not given together"))
    if not all(0 <= word < 2**64 for word in key):
        raise ValueError(invalid("query", "key", key, "two integers of 64 bits", "Or give a seed as `rng`."))
    return key[0], key[1]


def _warn_if_constant(sample: QuerySample, response: Response) -> None:
    y = sample.responses
    # a score that only moves by its own rounding: float32 networks resolve some 1e-7 of the score's size
    resolution = np.finfo(response.dtype).eps * max(abs(sample.f_base), float(np.abs(y).max(initial=0.0)))
    if y.size > 1 and np.ptp(y) <= 4.0 * resolution:
        advice = (
            "ask for score='log_odds'" if sample.response.get("score") in ("probability", "difference") else "check f"
        )
        warnings.warn(
            f"legstat.query: the score does not move: f(x0) = {sample.f_x0:.6g} and all {y.size} responses lie within "
            f"{np.ptp(y):.3g} of each other. A map of this is zero or rounding noise. Raise the design's scale (now "
            f"{sample.design.scale:g}), or {advice}: a saturated softmax hides every change.",
            ConstantScoreWarning,
            stacklevel=3,
        )
