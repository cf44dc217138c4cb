"""The loop that evaluates what is missing from a sample, block by block, and loses nothing that was paid for."""

from __future__ import annotations

import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from types import FrameType
from typing import NamedTuple, NoReturn

import numpy as np
from tqdm import tqdm

from legstat._core.errors import PartialAnswerError
from legstat._core.typing import FloatArray, IntArray
from legstat.designs.blocks import BLOCK
from legstat.perturbations.recipe import AheadScorer, Scorer
from legstat.responses.base import Response
from legstat.samples.faults import NonFiniteResponseError, QueryError, QueryInterrupted
from legstat.samples.sample import QuerySample
from legstat.samples.segments import Segment
from legstat.sampling.answers import Shelf
from legstat.sampling.experiment import Experiment
from legstat.sampling.watch import analyse, count_towards


class Batch(NamedTuple):
    """Pictures that are evaluated together: their stream, their rows among its answers, their z."""

    stream: int
    rows: IntArray
    z: FloatArray


class Begun(NamedTuple):
    """A batch that was handed over: its stream and rows, and what gives its scores."""

    stream: int
    rows: IntArray
    answer: Callable[[], FloatArray]


class Loop:
    """One run: the answers so far, the batches under way, and what they cost.

    Parameters
    ----------
    experiment : Experiment
        What is evaluated.
    response : Response
        Settled.
    scorer : callable
        Scores of perturbed pictures from their z.
    start : QuerySample
        What is there already, f(x0) and the base point at least.
    shelf : Shelf or None
        The cache's answers.
    progress : bool
        Show a progress bar if the output is a terminal.
    """

    def __init__(
        self,
        experiment: Experiment,
        response: Response,
        scorer: Scorer,
        start: QuerySample,
        shelf: Shelf | None,
        progress: bool,
    ) -> None:
        self._experiment, self._scorer, self._start, self._shelf = experiment, scorer, start, shelf
        self._per = experiment.budget.per_unit
        # one row a stream, NaN where there is no answer yet: a stopped run may leave holes, and is ahead in one stream
        width = max(experiment.units * self._per, *experiment.known)
        self._scores = np.full((len(start.segments), width), np.nan)
        for row, segment in zip(self._scores, start.segments, strict=True):
            known = np.concatenate([segment.responses.ravel(), segment.pending])
            row[: len(known)] = known
        self._known = self._finite
        self._served = self._failed = 0
        self._stopping = experiment.stopping
        self._begun: deque[Begun] = deque()
        self._ahead, self._together = 0, response.batch_size
        if isinstance(scorer, AheadScorer):
            self._ahead = scorer.ahead
        elif shelf is None:  # what goes to disk goes there batch by batch
            self._together *= max(1, response.together // response.batch_size)
        self._bar = self._new_bar(progress)

    def run(self) -> QuerySample:
        """Evaluate what is missing, analysis by analysis; whatever stops it carries the sample so far."""
        with self._bar:
            try:
                for units in self._experiment.analyses:
                    self._serve(units)
                    for batch in self._missing(units):
                        self._begin(batch)
                    self._take_all()
                    if self._stopping is not None:
                        self._stopping = analyse(self.sample(), self._stopping)
                        if self._stopping.reached:
                            break
                        count_towards(self._bar, self._stopping, self._experiment)
            except QueryError:
                raise
            except KeyboardInterrupt as error:
                with suppress(KeyboardInterrupt):  # a second one means: do not wait for what is under way
                    self._salvage()
                raise QueryInterrupted(self.sample()) from error
            except Exception as error:
                self._salvage()
                sample = self.sample()
                raise QueryError(
                    f"legstat.query: f failed after {sample.ledger.perturbed} perturbed pictures: "
                    f"{type(error).__name__}: {error} "
                    "What was paid for is in `.sample`: query(..., resume=error.sample).",
                    sample,
                ) from error
        return self.sample()

    def sample(self) -> QuerySample:
        """All that has been answered, as a sample."""
        segments = tuple(
            Segment.of_run(s.key, s.channel, s.first_block, row, self._per)
            for s, row in zip(self._start.segments, self._scores, strict=True)
        )
        ledger = replace(
            self._start.ledger,
            n_queries=self._experiment.n_queries,
            perturbed=self._start.ledger.perturbed + self._evaluated,
            failed=self._start.ledger.failed + self._failed,
            cached=self._start.ledger.cached + self._served,
            beforehand=self._experiment.beforehand,
        )
        return replace(self._start, segments=segments, ledger=ledger, stopping=self._stopping)

    @property
    def _finite(self) -> int:
        return int(np.isfinite(self._scores).sum())

    @property
    def _evaluated(self) -> int:
        """Answers that were evaluated here, counted where they are kept: the two cannot part."""
        return self._finite - self._known - self._served

    # ---------------------------------------------------------------- what is missing

    def _serve(self, units: int) -> None:
        """Take from the cache what it knows of so many observations."""
        if self._shelf is None:
            return
        size = BLOCK * self._per
        for segment, row in zip(self._start.segments, self._scores[:, : units * self._per], strict=True):
            served = self._shelf.fill(row, segment.channel, segment.first_block, size)
            self._served += served
            self._bar.update(served)

    def _missing(self, units: int) -> Iterator[Batch]:
        """Batches of what has no answer yet among so many observations, the streams in turn.

        So many go together, whatever the block's size: what a block leaves over waits for the next one of its stream.
        """
        waiting: dict[int, Batch] = {}
        for block in range(-(-units // BLOCK)):
            begin, end = block * BLOCK * self._per, min(units, (block + 1) * BLOCK) * self._per
            for stream, row in enumerate(self._scores):
                rows = begin + np.flatnonzero(np.isnan(row[begin:end]))
                if not rows.size:
                    continue
                z = self._draw(stream, block)[rows - begin]
                if stream in waiting:
                    earlier = waiting.pop(stream)
                    rows, z = np.concatenate([earlier.rows, rows]), np.concatenate([earlier.z, z])
                full = len(rows) // self._together * self._together
                for at in range(0, full, self._together):
                    yield Batch(stream, rows[at : at + self._together], z[at : at + self._together])
                if full < len(rows):
                    waiting[stream] = Batch(stream, rows[full:], z[full:])
        yield from waiting.values()

    def _draw(self, stream: int, block: int) -> FloatArray:
        """z of every evaluation of a block, counted from the stream's first."""
        segment, experiment = self._start.segments[stream], self._experiment
        z = experiment.design.draw(segment.key, segment.channel, segment.first_block + block, experiment.planes)
        return np.stack([z, -z], axis=1).reshape(-1, *z.shape[1:]) if experiment.antithetic else z

    # ---------------------------------------------------------------- batches under way

    def _begin(self, batch: Batch) -> None:
        """Hand a batch over, then wait for the first ones where too many are under way."""
        only = self._start.segments[batch.stream].channel if self._experiment.design.channels == "separate" else None
        # a scorer that can begins with them at once
        start = self._scorer.start if isinstance(self._scorer, AheadScorer) else partial(partial, self._scorer)
        self._begun.append(Begun(batch.stream, batch.rows, start(batch.z, only)))
        while len(self._begun) > self._ahead:
            self._take()

    def _take_all(self) -> None:
        while self._begun:
            self._take()

    def _take(self) -> None:
        """Keep the answers of the batch that was begun first, and tell what is wrong with them."""
        stream, rows, answer = self._begun.popleft()
        fault: PartialAnswerError | None = None
        try:
            values = answer()
        except PartialAnswerError as error:  # what came is kept before the fault is told
            values, fault = error.scores, error
        finite = np.isfinite(values)
        before = self._start.ledger.perturbed + self._start.ledger.failed + self._evaluated + self._failed
        self._scores[stream, rows] = np.where(finite, values, np.nan)
        self._failed += 0 if fault else int((~finite).sum())
        self._keep(stream, rows, values)
        if fault is not None:
            raise fault.__cause__ or fault
        if not finite.all():
            number = before + int(np.argmin(finite))
            self._salvage()
            raise NonFiniteResponseError(
                f"legstat.query: f returned {values[np.argmin(finite)]} for evaluation {number} of the perturbed "
                "pictures. Mend f and call query(..., resume=error.sample): both functions must carry the same "
                "attribute `fingerprint` to count as one. A score that overflows calls for log_odds.",
                self.sample(),
                number,
            )
        self._bar.update(len(values))

    def _keep(self, stream: int, rows: IntArray, values: FloatArray) -> None:
        """Put answers into the cache."""
        if self._shelf is None:
            return
        segment, size = self._start.segments[stream], BLOCK * self._per
        for block in np.unique(rows // size):
            here = rows // size == block
            place = rows[here] - block * size
            self._shelf.keep(segment.channel, segment.first_block + int(block), size, place, values[here])

    def _salvage(self) -> None:
        """Keep what else was begun when something went wrong: it is paid for."""
        while self._begun:
            with suppress(Exception):
                self._take()

    def _new_bar(self, progress: bool) -> tqdm[NoReturn]:
        experiment = self._experiment
        first = experiment.budget.queries(experiment.analyses[0]) - experiment.budget.overhead
        return tqdm(
            total=self._scores.size if experiment.until is None else first,
            initial=self._known,
            unit="query",
            desc="queries",
            disable=None if progress else True,
        )


@contextmanager
def terminating_as_interrupt() -> Iterator[None]:
    """While it lasts, SIGTERM (a scheduler's way to end a job) stops the run as Ctrl-C does.

    Where the program has a handler of its own, or ignores the signal, that stands; so it does outside the main thread,
    where Python takes no signals.
    """
    alone = threading.current_thread() is threading.main_thread()
    if not alone or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the first one is enough: what is begun is being kept
        raise KeyboardInterrupt("SIGTERM")

    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
