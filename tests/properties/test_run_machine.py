"""Runs that stop, go on, are split, merged, saved and pickled in any order: no answer is lost, none changes its draw.

The response is a known linear function of the picture, so that an answer tells the draw it belongs to. The model of a
sample is the list of the answers that were paid for on the way to it.
"""

from __future__ import annotations

import pickle
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, multiple, rule

import legstat as ls
from legstat.designs.blocks import BLOCK

GRID = (2, 3)
IMAGE = np.random.default_rng(3).uniform(0.3, 0.7, (2, 2, 3))
SLOPES = np.random.default_rng(4).uniform(1.0, 2.0, IMAGE.shape)
SEEDS = (1, 2)
FAULTS = st.sampled_from(["nan", "raise", "ctrl-c", "none"])
# sizes of interest: within a block, just over some, whole ones; where a run stops, as a share of its evaluations
SIZES = st.sampled_from([5 * BLOCK + 7, 4 * BLOCK, 3 * BLOCK + 1, 70, 5])
STOPS = st.sampled_from([0.9, 0.8, 0.7, 0.5, 0.1])
BATCHES = st.sampled_from([7, 1, 10, 50])


class Paid:
    """f(x) = <SLOPES, x>, which writes down what it answered, and fails when it is told to."""

    fingerprint = "paid"

    def __init__(self, fault: str = "none", at: int = 0) -> None:
        self.fault, self.at, self.seen = fault, at, 0
        self.answers: list[float] = []

    def __call__(self, images: np.ndarray) -> np.ndarray:
        begin, n = self.seen, len(images)
        self.seen += n
        scores = np.array([float(np.sum(SLOPES * image)) for image in images])
        here = begin <= self.at < begin + n
        if here and self.fault in ("raise", "ctrl-c"):
            raise RuntimeError("lost the device") if self.fault == "raise" else KeyboardInterrupt
        if here and self.fault == "nan":
            scores[self.at - begin] = np.nan
        self.answers += scores[np.isfinite(scores)].tolist()
        return scores


@dataclass(frozen=True)
class Known:
    """A sample and the model of it."""

    sample: ls.QuerySample
    answers: tuple[float, ...]
    failed: int


def answers_of(sample: ls.QuerySample) -> list[float]:
    """Everything that a sample was answered, with or without its pair."""
    rows = [np.concatenate([s.responses.ravel(), s.pending]) for s in sample.segments]
    together = np.concatenate(rows)
    return sorted(together[np.isfinite(together)].tolist())


def expected(sample: ls.QuerySample, z: np.ndarray) -> np.ndarray:
    """What f answers to realised z of shape (n, 1 or 2, 2, 3): one pixel a cell, nothing is clipped."""
    planes = np.repeat(z, 2, axis=1) if z.shape[1] == 1 else z
    return sample.f_x0 + np.einsum("ncij,cij->n", planes, SLOPES)


def check(known: Known) -> Known:
    """The sample holds what was paid for, each answer where its draw is."""
    sample = known.sample
    assert answers_of(sample) == sorted(known.answers)
    assert sample.ledger.perturbed == len(known.answers)
    assert sample.ledger.failed == known.failed
    # sums of 12 products of order 1
    np.testing.assert_allclose(sample.responses, expected(sample, sample.draws()), rtol=0, atol=1e-12)
    per = 2 if sample.antithetic else 1
    for segment in sample.segments:
        blocks = -(-(len(segment.responses) + len(segment.pending)) // BLOCK) + 1
        z = np.concatenate(
            [sample.design.draw(segment.key, segment.channel, segment.first_block + j) for j in range(blocks)]
        )
        z = np.stack([z, -z], axis=1).reshape(-1, *z.shape[1:]) if sample.antithetic else z
        if sample.n_channels == 2:
            full = np.zeros((len(z), *IMAGE.shape))
            full[:, segment.channel] = z[:, 0]
            z = full
        here = expected(sample, z)[len(segment.responses) * per :][: len(segment.pending)]
        answered = np.isfinite(segment.pending)
        np.testing.assert_allclose(segment.pending[answered], here[answered], rtol=0, atol=1e-12)
    return known


class Runs(RuleBasedStateMachine):
    """Every way in which a sample comes from others."""

    samples: Any = Bundle("samples")

    @initialize(
        target=samples,
        antithetic=st.booleans(),
        channels=st.sampled_from(["shared", "separate"]),
        batch_size=BATCHES,
        fault=FAULTS,
        stop=STOPS,
    )
    def arrange(self, antithetic: bool, channels: Any, batch_size: int, fault: str, stop: float) -> Known:
        self.antithetic = antithetic
        self.design = ls.StructuredGaussian(GRID, 0.05, channels=channels)
        return self._query(SEEDS[0], 0, 5 * BLOCK + 7, batch_size, fault, stop)

    def _run(self, f: Paid, n_queries: int, batch_size: int, **more: Any) -> tuple[ls.QuerySample, bool]:
        """The sample that a run leaves, and whether it came to its end."""
        given = {"perturbation": ls.Additive(clip=False), "antithetic": self.antithetic, "progress": False, **more}
        try:
            return ls.query(f, IMAGE, self.design, n_queries, batch_size=batch_size, **given), True
        except (ls.QueryError, ls.QueryInterrupted) as error:
            return cast("ls.QuerySample", error.sample), False

    @rule(
        target=samples,
        seed=st.sampled_from(SEEDS),
        first_block=st.sampled_from([0, 2, 5]),
        units=SIZES,
        batch_size=BATCHES,
        fault=FAULTS,
        stop=STOPS,
    )
    def query(self, seed: int, first_block: int, units: int, batch_size: int, fault: str, stop: float) -> Known:
        return self._query(seed, first_block, units, batch_size, fault, stop)

    def _query(self, seed: int, first_block: int, units: int, batch_size: int, fault: str, stop: float) -> Known:
        step = (2 if self.antithetic else 1) * (2 if self.design.channels == "separate" else 1)
        f = Paid(fault, 1 + int(stop * step * units))
        sample, whole = self._run(f, 1 + step * units, batch_size, rng=seed, first_block=first_block)
        assert f.answers.pop(0) == sample.f_x0
        assert not whole or set(sample.n_units) == {units}
        return check(Known(sample, tuple(f.answers), sample.ledger.failed))

    @rule(
        target=samples,
        known=samples,
        more=st.sampled_from([0, 1, BLOCK, 2 * BLOCK + 3]),
        batch_size=BATCHES,
        fault=FAULTS,
        stop=STOPS,
    )
    def resume(self, known: Known, more: int, batch_size: int, fault: str, stop: float) -> Known:
        sample, f = known.sample, Paid(fault, int(stop * (1 + more)))
        budget = replace(sample.budget, overhead=sample.budget.overhead + sample.ledger.failed)
        if len({s.channel for s in sample.segments}) < len(sample.segments):
            with pytest.raises(ValueError, match="the sample of one run"):
                self._run(f, 10**6, batch_size, resume=sample)
            return known
        spans = [s.responses.size + s.pending.size for s in sample.segments]
        units = max(1, -(-max(spans) // budget.per_unit) + more)
        again, whole = self._run(f, budget.queries(units), batch_size, resume=sample)
        if whole:
            assert set(again.n_units) == {units}
            assert not any(segment.pending.size for segment in again.segments)
        assert not set(f.answers) & set(known.answers)  # nothing is paid for twice
        failed = again.ledger.failed
        assert failed - known.failed == (1 if not whole and fault == "nan" else 0)
        return check(Known(again, (*known.answers, *f.answers), failed))

    @rule(target=samples, known=samples, share=st.sampled_from([0.5, 0.3, 0.8]))
    def split(self, known: Known, share: float) -> Any:
        cuts = [BLOCK * round(share * n / BLOCK) for n in known.sample.n_units]
        if not all(0 < cut < n for cut, n in zip(cuts, known.sample.n_units, strict=True)):
            with pytest.raises(ValueError, match="enough for both parts"):
                ls.split_sample(known.sample, share)
            return multiple()
        first, second = ls.split_sample(known.sample, share)
        both = answers_of(first) + answers_of(second)
        assert sorted(both) == sorted(known.answers)
        assert first.ledger.spent + second.ledger.spent == known.sample.ledger.spent
        return multiple(
            check(Known(first, tuple(answers_of(first)), known.failed)),
            check(Known(second, tuple(answers_of(second)), 0)),
        )

    @rule(target=samples, one=samples, other=samples)
    def merge(self, one: Known, other: Known) -> Any:
        def blocks(known: Known) -> set[tuple[Any, ...]]:
            return {(s.key, s.channel, b) for s in known.sample.segments for b in s.blocks}

        if blocks(one) & blocks(other):
            with pytest.raises(ValueError, match="disjoint blocks"):
                one.sample.merge(other.sample)
            return multiple()
        together = one.sample.merge(other.sample)
        assert together.ledger.spent == one.sample.ledger.spent + other.sample.ledger.spent
        assert together.n_units == tuple(a + b for a, b in zip(one.sample.n_units, other.sample.n_units, strict=True))
        return check(Known(together, one.answers + other.answers, one.failed + other.failed))

    @rule(target=samples, known=samples)
    def save_and_load(self, known: Known) -> Known:
        with tempfile.TemporaryDirectory() as folder:
            known.sample.save(Path(folder) / "s.npz")
            return check(replace(known, sample=ls.QuerySample.load(Path(folder) / "s.npz")))

    @rule(target=samples, known=samples, used=st.booleans())
    def pickle(self, known: Known, used: bool) -> Known:
        if used and min(known.sample.n_units) > 1:
            known.sample.moments("printed")
        return check(replace(known, sample=pickle.loads(pickle.dumps(known.sample))))


class TestRuns(Runs.TestCase):  # type: ignore[misc, name-defined]
    settings = settings(max_examples=2 * settings.default.max_examples // 5, stateful_step_count=12)


@pytest.mark.slow
class TestManyRuns(Runs.TestCase):  # type: ignore[misc, name-defined]
    settings = settings(max_examples=5 * settings.default.max_examples, stateful_step_count=40)
