"""Batches that are started before the scores of the last one are there: the same sample, nothing paid for is lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import legstat as ls
from legstat.perturbations.recipe import AheadScorer, Recipe
from legstat.samples.faults import NonFiniteResponseError, QueryError, QueryInterrupted

IMAGE = np.linspace(0.2, 0.8, 64).reshape(1, 8, 8)
DESIGN = ls.StructuredGaussian(grid=(4, 4), scale=0.1)


class Scores(AheadScorer):
    """Evaluates when it is asked for the scores, and keeps a log of what was started and asked for."""

    def __init__(self, response: Ahead, recipe: Recipe, ahead: int) -> None:
        self.ahead, self._response, self._compose = ahead, response, recipe.composer()

    def start(self, z: np.ndarray, channel: int | None) -> Callable[[], np.ndarray]:
        log, number = self._response.log, sum(kind == "start" for kind, _ in self._response.log)
        log.append(("start", number))
        if number == self._response.no_start:
            raise RuntimeError("does not start")
        pictures = self._compose(z, channel)

        def finish() -> np.ndarray:
            log.append(("take", number))
            return self._response.answer(pictures, number)

        return finish


class Ahead(ls.Response):
    """Half the mean of squares, by a device of its own."""

    batch_size = 10
    fingerprint = "ahead"

    def __init__(self, ahead: int, faults: dict[int, object] | None = None, no_start: int = -1) -> None:
        self.ahead, self.faults, self.no_start = ahead, faults or {}, no_start
        self.log: list[tuple[str, int]] = []

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return (images**2).mean(axis=(1, 2, 3)) / 2

    def answer(self, images: np.ndarray, number: int) -> np.ndarray:
        fault = self.faults.get(number)
        if isinstance(fault, BaseException):
            raise fault
        scores = self(images)
        if fault is not None:
            scores[fault] = np.nan
        return scores

    def describe(self) -> dict[str, object]:
        return {"fingerprint": self.fingerprint, "score": "custom"}

    def scorer(self, recipe: Recipe) -> Scores:
        return Scores(self, recipe, self.ahead)


def run(f: Ahead, **more: object) -> ls.QuerySample:
    return ls.query(f, IMAGE, DESIGN, **{"n_queries": 129, "rng": 0, "progress": False, **more})


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_the_sample_is_the_same_however_far_ahead(tmp_path: Path, ahead: int) -> None:
    expected = run(Ahead(0)).responses
    f = Ahead(ahead)
    assert np.array_equal(run(f).responses, expected)
    assert len(f.log) == 2 * 13
    most = started = 0
    for kind, _ in f.log:
        started += 1 if kind == "start" else -1
        most = max(most, started)
    assert most == ahead + 1
    # a look of a rule that stops the run sees all that was asked before
    kept = run(Ahead(ahead), n_queries=3001, until=1e-2, cache=tmp_path)
    assert kept.stopping.reached
    plain = run(Ahead(0), n_queries=3001, until=1e-2)
    assert np.array_equal(kept.responses, plain.responses)
    again = run(Ahead(ahead), n_queries=3001, until=1e-2, cache=tmp_path)
    assert again.ledger.perturbed == 0
    assert np.array_equal(again.responses, plain.responses)


@pytest.mark.parametrize("ahead", [1, 3])
@pytest.mark.parametrize("fault", [RuntimeError("gone"), KeyboardInterrupt(), "nan"])
def test_what_was_begun_when_something_went_wrong_is_kept(ahead: int, fault: object) -> None:
    whole = run(Ahead(0)).responses
    f = Ahead(ahead, {4: 3 if fault == "nan" else fault})
    kind = {"nan": NonFiniteResponseError}.get(str(fault), QueryError)
    with pytest.raises(QueryInterrupted if isinstance(fault, KeyboardInterrupt) else kind) as caught:
        run(f)
    sample = caught.value.sample
    # four batches before, those begun after it, and of the one with NaN nine answers
    expected = 40 + 10 * ahead + (9 if fault == "nan" else 0)
    assert sample.ledger.perturbed == expected
    assert sample.ledger.failed == (1 if fault == "nan" else 0)
    known = np.concatenate([sample.segments[0].responses.ravel(), sample.segments[0].pending])
    assert np.isfinite(known).sum() == expected
    if fault == "nan":
        assert caught.value.index == 43
    there = np.isfinite(known)
    assert np.array_equal(known[there], whole[: len(known)][there])
    resumed = ls.query(Ahead(ahead), IMAGE, DESIGN, n_queries=131, resume=sample, progress=False)
    assert np.array_equal(resumed.responses[:128], whole)


def test_a_batch_that_does_not_start_loses_none_before_it() -> None:
    with pytest.raises(
        QueryError, match="f failed after 50 perturbed pictures: RuntimeError: does not start"
    ) as caught:
        run(Ahead(2, no_start=5))
    assert caught.value.sample.ledger.perturbed == 50
    # two batches with faults: the first is told, the others' answers are kept
    with pytest.raises(NonFiniteResponseError) as caught:
        run(Ahead(2, {4: 3, 5: 2, 6: RuntimeError("gone")}))
    assert (caught.value.sample.ledger.perturbed, caught.value.sample.ledger.failed) == (58, 2)
    assert caught.value.index == 43
