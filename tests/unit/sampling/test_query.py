"""`query`: every evaluation counted, the ceiling kept, the same bits whatever the batches, nothing paid twice."""

from __future__ import annotations

import os
import re
import signal
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import legstat as ls
from legstat._core.errors import ConstantScoreWarning, PartialAnswerError
from legstat.designs.blocks import BLOCK
from legstat.responses.function import CallableResponse
from legstat.samples.faults import NonFiniteResponseError, QueryError, QueryInterrupted
from tests.helpers import Counting, naive_pictures, smooth

IMAGE = np.random.default_rng(1).uniform(0.02, 0.98, (3, 4, 6))
GRID = (2, 3)
ARRANGEMENTS: dict[str, dict[str, Any]] = {
    "shared": {},
    "shared, one by one": {"antithetic": False},
    "separate": {"channels": "separate"},
    "separate, one by one": {"channels": "separate", "antithetic": False},
    "joint": {"channels": "joint"},
    "blend": {"perturbation": ls.Blend("mean", at=0.4)},
    "blend, one by one": {"perturbation": ls.Blend("black"), "antithetic": False},
    "paper": {"conventions": "paper"},
    "upstream": {"conventions": "upstream"},
}


def run(f: Any, n_queries: int, arrangement: str = "shared", **more: Any) -> ls.QuerySample:
    given = dict(ARRANGEMENTS[arrangement])
    design = ls.StructuredGaussian(GRID, 0.2, channels=given.pop("channels", None))
    arguments = {"rng": 5, "progress": False, **given, **more}
    if more.get("resume") is not None:
        arguments.pop("rng")
    return ls.query(f, arguments.pop("image", IMAGE), design, n_queries, **arguments)


def units_and_overhead(arrangement: str) -> tuple[int, int]:
    """Evaluations of one unit over all streams, and those of unperturbed pictures."""
    given = ARRANGEMENTS[arrangement]
    fixed = given.get("conventions") in ("paper", "upstream")
    per = 2 if given.get("antithetic", not fixed) else 1
    streams = 3 if fixed or given.get("channels") == "separate" else 1
    return per * streams, 2 if "blend" in arrangement else 1


# ---------------------------------------------------------------- the budget


@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
def test_every_evaluation_counted_and_the_ceiling_kept(arrangement: str) -> None:
    step, overhead = units_and_overhead(arrangement)
    for n_queries in range(overhead + 3 * step + 2):
        f = Counting(smooth)
        if n_queries < overhead + step:
            with pytest.raises(ValueError, match=rf"`n_queries` must be at least {overhead + step}. Got {n_queries}"):
                run(f, n_queries, arrangement)
            assert f.count == 0
            continue
        sample = run(f, n_queries, arrangement)
        units = (n_queries - overhead) // step  # whole units, as many as fit, equally many for each channel
        assert f.count == sample.ledger.spent == overhead + units * step <= n_queries
        assert sample.ledger.unused == n_queries - f.count < step
        assert set(sample.n_units) == {units}
        assert sample.responses.shape == (units * step,) == (len(sample.draws()),)
        assert sample.ledger.failed == 0
        assert sample.ledger.base == overhead - 1


@pytest.mark.parametrize("arrangement", ["shared", "separate", "upstream"])
def test_ceiling_over_several_blocks(arrangement: str) -> None:
    step, _ = units_and_overhead(arrangement)
    f = Counting(smooth)
    sample = run(f, 2 * BLOCK * step + 3 * step, arrangement)
    assert f.count == sample.ledger.spent == 1 + (2 * BLOCK + 2) * step


# ---------------------------------------------------------------- what is evaluated


@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
def test_responses_are_those_of_naively_perturbed_pictures(arrangement: str) -> None:
    sample = run(smooth, 60, arrangement)
    operator, channels = sample.perturbation, sample.design.channels
    expected = []
    for stream in range(sample.n_channels):
        for segment in sample.segments:
            if segment.channel != stream:
                continue
            units = len(segment.responses)
            blocks = [sample.design.draw(segment.key, stream, j, sample.planes) for j in range(-(-units // BLOCK))]
            z = np.concatenate(blocks)[:units]
            if sample.antithetic:
                z = np.stack([z, -z], axis=1).reshape(-1, *z.shape[1:])
            kept: dict[str, Any]
            if isinstance(operator, ls.Blend):
                kept = {"baseline": operator.baseline_picture(IMAGE), "at": operator.at}
            else:
                kept = {"clip": operator.clip, "quantise": operator.quantise}
            alone = stream if channels == "separate" else None
            expected.append(smooth(naive_pictures(IMAGE, z, channel=alone, **kept)))
    # pictures agree to rounding, and f has slope of order 1
    np.testing.assert_allclose(sample.responses, np.concatenate(expected), rtol=0, atol=1e-13)
    assert sample.f_x0 == smooth(IMAGE[None])[0]


def test_base_point_of_blend_is_the_picture_at_mask_level() -> None:
    sample = run(smooth, 20, "blend")
    base = 0.4 * IMAGE + 0.6 * IMAGE.mean(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(sample.f_base, smooth(base[None])[0], rtol=0, atol=1e-14)  # rounding of the blend
    assert sample.f_base != sample.f_x0


# ---------------------------------------------------------------- the same bits


@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
def test_same_bits_for_any_batch_size(arrangement: str) -> None:
    whole = run(smooth, 231, arrangement)
    for batch_size in (1, 3, 7, 64):
        f = Counting(smooth)
        sample = run(f, 231, arrangement, batch_size=batch_size)
        assert f.largest <= batch_size
        assert np.array_equal(sample.responses, whole.responses)
        assert np.array_equal(sample.draws(), whole.draws())
        for kind in ("printed", "regression"):
            assert np.array_equal(sample.moments(kind).b, whole.moments(kind).b)


@pytest.mark.parametrize("arrangement", ["shared", "separate, one by one", "joint"])
def test_batches_span_blocks_and_are_full(arrangement: str) -> None:
    # 64 or 32 pictures a block; the bits and the answers kept on disk are those of any other batch size
    per, overhead = units_and_overhead(arrangement)
    n_queries = overhead + per * 450
    whole = run(smooth, n_queries, arrangement)
    for batch_size in (1, 7, 64, 200, 1000):
        sizes: list[int] = []

        def f(images: np.ndarray, sizes: list[int] = sizes) -> np.ndarray:
            sizes.append(len(images))
            return smooth(images)

        sample = run(f, n_queries, arrangement, batch_size=batch_size)
        assert np.array_equal(sample.responses, whole.responses)
        assert sample.ledger == whole.ledger
        streams = len(sample.segments)
        answers = whole.responses.size // streams
        # f(x0), then full batches and one that is not for each stream
        assert sorted(sizes[1:]) == sorted(
            streams * ([batch_size] * (answers // batch_size) + [answers % batch_size] * (answers % batch_size > 0))
        )


@pytest.mark.parametrize("batch_size", [7, 200])
def test_answers_of_batches_that_span_blocks_are_kept_under_their_own(tmp_path: Any, batch_size: int) -> None:
    more = {"cache": tmp_path, "batch_size": batch_size}
    stopping = Counting(smooth, raise_at=410)
    with pytest.raises(QueryError):
        run(stopping, 601, **more)
    served = run(Counting(smooth), 601, **more)
    assert served.ledger.cached == stopping.count == 1 + 409 // batch_size * batch_size
    assert np.array_equal(served.responses, run(smooth, 601).responses)


def test_a_measured_batch_size_changes_nothing_but_the_ledger(tmp_path: Any) -> None:
    f, usual = Counting(smooth), run(smooth, 231)
    sample = run(f, 231, batch_size="auto", cache=tmp_path)
    assert np.array_equal(sample.responses, usual.responses)
    assert sample.ledger.tuning == f.count - 231 > 0
    assert (sample.ledger.spent, sample.ledger.unused) == (f.count, usual.ledger.unused)
    assert run(f, 231, rng=6, batch_size="auto", cache=tmp_path).ledger.tuning == 0  # remembered beside the answers
    again = run(f, 301, batch_size="auto", resume=sample)
    assert again.ledger.tuning > sample.ledger.tuning
    assert again.ledger.spent == sample.ledger.spent + again.ledger.tuning - sample.ledger.tuning + 70
    assert np.array_equal(again.responses, run(smooth, 301).responses)


def test_a_fault_while_the_batch_size_is_measured_keeps_what_was_paid() -> None:
    with pytest.raises(QueryError, match="while its batch size was measured: RuntimeError: lost the device") as caught:
        run(Counting(smooth, raise_at=5), 231, batch_size="auto")
    assert caught.value.sample.ledger.x0 == 1
    done = run(Counting(smooth), 231, resume=caught.value.sample)
    assert np.array_equal(done.responses, run(smooth, 231).responses)


def test_a_batch_size_that_is_given_is_the_response_s() -> None:
    class Halving(CallableResponse):
        """Runs at most its own batch size at once, as networks do."""

        def __call__(self, images: np.ndarray) -> np.ndarray:
            sizes.append(min(len(images), self.batch_size))
            return super().__call__(images)

    sizes: list[int] = []
    run(Halving(smooth, batch_size=4), 101, batch_size=50)
    assert sizes == [1, 50, 50]


def test_same_seed_same_bits_other_seed_other_draws() -> None:
    one, two, three = run(smooth, 41), run(smooth, 41, rng=np.random.default_rng(5)), run(smooth, 41, rng=6)
    assert np.array_equal(one.responses, two.responses)
    assert not np.isin(three.draws().ravel(), one.draws().ravel()).any()
    assert one.segments[0].key != three.segments[0].key


def test_a_generator_moves_on() -> None:
    rng = np.random.default_rng(0)
    assert run(smooth, 9, rng=rng).segments[0].key != run(smooth, 9, rng=rng).segments[0].key


def test_longer_run_begins_with_the_shorter_one() -> None:
    short, long = run(smooth, 3 + 2 * 20, "shared"), run(smooth, 3 + 2 * 90, "shared")
    assert np.array_equal(long.responses[: len(short.responses)], short.responses)


# ---------------------------------------------------------------- faults midway, and going on

FAULTS: dict[str, dict[str, Any]] = {
    "raises": {"raise_at": 0, "error": RuntimeError},
    "interrupted": {"raise_at": 0, "error": KeyboardInterrupt},
    "wrong value": {"raise_at": 0, "error": ValueError},
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("batch_size", [1, 3, 64])
@pytest.mark.parametrize("arrangement", ["shared", "separate", "blend", "paper"])
def test_resume_after_a_fault_anywhere_gives_the_same_bits_and_pays_nothing_twice(
    arrangement: str, batch_size: int, fault: str, tmp_path: Any
) -> None:
    step, overhead = units_and_overhead(arrangement)
    # two blocks and a bit for the quick case, one unit more than a few for the others
    n_queries = overhead + step * (7 if arrangement != "shared" else BLOCK + 3)
    whole = run(smooth, n_queries, arrangement)
    for position in range(overhead, n_queries):
        f = Counting(smooth, **{**FAULTS[fault], "raise_at": position})
        with pytest.raises((QueryError, QueryInterrupted)) as caught:
            run(f, n_queries, arrangement, batch_size=batch_size)
        stopped = caught.value.sample
        assert stopped.ledger.spent == f.count  # all that came back is in the ledger
        known = sum(s.responses.size + np.isfinite(s.pending).sum() for s in stopped.segments)
        assert known == f.count - overhead
        if position % 5 == 0:
            stopped.save(tmp_path / "stopped.npz")
            stopped = ls.QuerySample.load(tmp_path / "stopped.npz")
        done = run(f, n_queries, arrangement, batch_size=batch_size, resume=stopped)
        assert f.count == done.ledger.spent == n_queries
        assert np.array_equal(done.responses, whole.responses)
        assert all(np.array_equal(a.responses, b.responses) for a, b in zip(done.segments, whole.segments, strict=True))


@pytest.mark.parametrize("batch_size", [1, 3, 64])
@pytest.mark.parametrize("arrangement", ["shared", "separate", "blend", "paper"])
def test_resume_after_nan_pays_for_the_nan_alone(arrangement: str, batch_size: int) -> None:
    step, overhead = units_and_overhead(arrangement)
    n_queries = overhead + step * 7
    whole = run(smooth, n_queries, arrangement)
    for position in range(overhead, n_queries):
        f = Counting(smooth, nan_at=position)
        with pytest.raises(NonFiniteResponseError, match=r"f returned nan for evaluation \d+ .*resume=") as caught:
            run(f, n_queries, arrangement, batch_size=batch_size)
        error = caught.value
        assert error.index == position - overhead
        assert error.sample.ledger.failed == 1
        assert error.sample.ledger.spent == f.count
        # what is a sample already is a sample without holes, though the batch went on behind the NaN
        assert np.isfinite(error.sample.responses).all()
        assert len(error.sample.draws()) == len(error.sample.responses)
        done = run(f, n_queries + 1, arrangement, batch_size=batch_size, resume=error.sample)
        assert f.count == done.ledger.spent == n_queries + 1
        assert done.ledger.failed == 1
        assert np.array_equal(done.responses, whole.responses)


def test_two_faults_in_a_row() -> None:
    whole = run(smooth, 101)
    f = Counting(smooth, nan_at=11)
    with pytest.raises(NonFiniteResponseError) as first:
        run(f, 101, batch_size=7)
    f.raise_at = 23
    with pytest.raises(QueryError) as second:
        run(f, 120, batch_size=5, resume=first.value.sample)
    done = run(f, 102, resume=second.value.sample)
    assert f.count == done.ledger.spent == 102
    assert np.array_equal(done.responses, whole.responses)


@pytest.mark.parametrize("n_queries", range(4, 140))
def test_ceiling_kept_when_a_stopped_run_goes_on_with_another_budget(n_queries: int) -> None:
    # the first channel is a whole block ahead of the last one when the run stops
    f = Counting(smooth, raise_at=1 + BLOCK + 5)
    with pytest.raises(QueryError) as caught:
        run(f, 500, "paper", batch_size=4)
    spent = f.count
    try:
        done = run(f, n_queries, "paper", resume=caught.value.sample)
    except ValueError as error:
        least = int(re.search(r"at least (\d+)", str(error))[1])  # type: ignore[index]
        assert n_queries < least
        assert f.count == spent
        assert run(f, least, "paper", resume=caught.value.sample).ledger.spent <= least
    else:
        assert f.count == done.ledger.spent <= n_queries
        assert min(done.n_units) >= 1


def test_extending_a_finished_run() -> None:
    f = Counting(smooth)
    short = run(f, 41)
    long = run(f, 161, resume=short)
    assert f.count == long.ledger.spent == 161
    assert np.array_equal(long.responses, run(smooth, 161).responses)
    assert run(f, 161, resume=long).ledger == long.ledger
    assert f.count == 161


def test_wrong_shape_midway_keeps_what_was_paid() -> None:
    class Odd(Counting):
        def __call__(self, images: np.ndarray) -> np.ndarray:
            scores = super().__call__(images)
            return scores if self.count < 20 else np.stack([scores, scores], axis=1)

    with pytest.raises(QueryError, match=r"ValueError.*`scores` must be of shape .* Got \(4, 2\)") as caught:
        run(Odd(smooth), 101, batch_size=4)
    assert caught.value.sample.n_units == (8,)


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (RuntimeError, QueryError),
        (KeyboardInterrupt, QueryInterrupted),
        (ValueError, QueryError),
        (TypeError, QueryError),
    ],
)
def test_fault_at_the_picture_itself(error: type[BaseException], raised: type[BaseException]) -> None:
    with pytest.raises(raised) as caught:
        run(Counting(smooth, raise_at=0, error=error), 41)
    assert getattr(caught.value, "sample", None) is None


def test_nan_at_the_picture_or_the_base_point() -> None:
    for position in (0, 1):
        with pytest.raises(NonFiniteResponseError, match=r"f\(x0\) = .*must be finite") as caught:
            run(Counting(smooth, nan_at=position), 41, "blend")
        assert caught.value.index == position


@pytest.mark.parametrize(
    ("error", "raised"), [(ValueError, QueryError), (RuntimeError, QueryError), (KeyboardInterrupt, QueryInterrupted)]
)
def test_fault_at_the_base_point_keeps_f_x0(
    error: type[BaseException], raised: type[BaseException], tmp_path: Path
) -> None:
    f = Counting(smooth, raise_at=1, error=error)
    with pytest.raises(raised) as caught:
        run(f, 41, "blend")
    kept = caught.value.sample
    assert (kept.ledger.spent, kept.ledger.x0, kept.f_x0) == (1, 1, float(smooth(IMAGE[None])[0]))
    kept.save(tmp_path / "partial.npz")  # and the sample travels through a file
    done = run(f, 41, "blend", resume=ls.QuerySample.load(tmp_path / "partial.npz"))
    whole = run(smooth, 41, "blend")
    assert f.count == whole.ledger.spent == 40
    assert (done.f_base, done.ledger) == (whole.f_base, whole.ledger)
    assert np.array_equal(done.responses, whole.responses)


def test_scores_that_came_with_a_fault_are_kept() -> None:
    """A response that asks for its batch in several requests may get an answer to some of them."""

    class Parts(Counting):
        def __call__(self, images: np.ndarray) -> np.ndarray:
            if self.count < 8 or not faults:
                return super().__call__(images)
            scores = np.full(len(images), np.nan)
            scores[1::2] = super().__call__(images[1::2])
            raise PartialAnswerError("one of two", scores) from faults.pop()

    f, faults = Parts(smooth), [ConnectionError("gone")]
    with pytest.raises(QueryError, match="ConnectionError: gone") as caught:
        run(f, 101, batch_size=8)
    assert caught.value.sample.ledger.spent == f.count
    assert caught.value.sample.ledger.failed == 0
    done = run(f, 101, batch_size=8, resume=caught.value.sample)
    assert f.count == 101
    assert np.array_equal(done.responses, run(smooth, 101).responses)


# ---------------------------------------------------------------- a scheduler ends the job


@pytest.mark.parametrize("at", [1, 2, 40])
def test_sigterm_keeps_what_was_paid_for(at: int) -> None:
    f = Counting(smooth)

    def ended(images: np.ndarray) -> np.ndarray:
        if f.count > at:
            os.kill(os.getpid(), signal.SIGTERM)
        return smooth(images)

    f.f = ended
    with pytest.raises(QueryInterrupted) as caught:
        run(f, 101, batch_size=4)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    f.f, sample = smooth, caught.value.sample
    assert sample is not None
    assert sample.ledger.spent >= at - 4
    again = run(f, 101, resume=sample, batch_size=4)
    assert np.array_equal(again.responses, run(smooth, 101).responses)


def test_a_program_that_handles_sigterm_goes_on_doing_so() -> None:
    seen: list[int] = []
    earlier = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    try:
        handler = signal.getsignal(signal.SIGTERM)

        def f(images: np.ndarray) -> np.ndarray:
            os.kill(os.getpid(), signal.SIGTERM)
            return smooth(images)

        run(f, 11)
        assert seen
        assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, earlier)


def test_signals_are_left_alone_outside_the_main_thread() -> None:
    with ThreadPoolExecutor(1) as pool:
        assert len(pool.submit(run, smooth, 41).result().responses) == 40


# ---------------------------------------------------------------- resume refuses what is not the same experiment


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"rng": 3}, "rng, first_block"),
        ({"first_block": 2}, "rng, first_block"),
        ({"image": IMAGE / 2}, "image"),
        ({"perturbation": ls.Additive(clip=False)}, "perturbation"),
        ({"antithetic": False}, "antithetic"),
        ({"conventions": "paper"}, "conventions"),
        ({"n_queries": 40}, "n_queries"),
        ({"design": ls.StructuredGaussian(GRID, 0.1)}, "design"),
        ({"design": ls.IsotropicGaussian(GRID, 0.2)}, "design"),
        ({"f": Counting(smooth)}, "description"),
        ({"resume": "sample.npz"}, "resume"),
    ],
)
def test_resume_refuses_another_experiment(change: dict[str, Any], named: str) -> None:
    f = Counting(smooth)
    sample = run(f, 41)
    if "f" in change:
        change["f"].fingerprint = "another"
    given = {"f": f, "image": IMAGE, "design": ls.StructuredGaussian(GRID, 0.2), "n_queries": 81, "resume": sample}
    with pytest.raises((ValueError, TypeError), match=named):
        ls.query(**{**given, **change})
    assert f.count == 41


def test_resume_refuses_merged_samples_and_arrays() -> None:
    one, two = (run(smooth, 41, rng=seed, perturbation=ls.Additive(clip=False)) for seed in (5, 6))
    given = ls.QuerySample.from_arrays(
        one.draws(), one.responses, one.design, image=IMAGE, f_x0=one.f_x0, antithetic=True
    )
    for sample in (one.merge(two), given):
        with pytest.raises(ValueError, match="a merged sample or one from arrays"):
            run(smooth, 200, resume=sample)


# ---------------------------------------------------------------- bad input costs nothing

PICTURE = np.full((3, 4, 6), 0.5)
BAD: list[tuple[dict[str, Any], type[Exception], str, str, str]] = [
    # change, error, name of the argument, value in the text, remedy or range in the text
    ({"n_queries": 2}, ValueError, "n_queries", "2", "at least 3"),
    ({"n_queries": -7}, ValueError, "n_queries", "-7", "at least 3"),
    ({"n_queries": 100.5}, TypeError, "n_queries", "100.5", "a whole number"),
    ({"n_queries": True}, TypeError, "n_queries", "True", "a whole number"),
    ({"n_queries": None}, TypeError, "n_queries", "None", "a whole number"),
    ({"image": PICTURE[0]}, ValueError, "image", "(4, 6)", "(C, H, W)"),
    ({"image": np.zeros((0, 4, 6))}, ValueError, "image", "(0, 4, 6)", "(C, H, W)"),
    ({"image": np.zeros((3, 0, 6))}, ValueError, "image", "(3, 0, 6)", "(C, H, W)"),
    ({"image": "dog.jpg"}, TypeError, "image", "dog.jpg", "response.load_image(path)"),
    ({"image": None}, TypeError, "image", "None", "response.load_image(path)"),
    ({"image": PICTURE + 0j}, TypeError, "image", "0.5+0.j", "real numbers"),
    ({"image": np.where(PICTURE > 0, np.nan, 0)}, ValueError, "image", "NaN", "finite"),
    ({"image": PICTURE * np.inf}, ValueError, "image", "NaN or infinity", "finite"),
    ({"image": PICTURE * 255}, ValueError, "image", "127.5", "Divide 0..255 pictures by 255"),
    ({"image": np.full((28, 28, 3), 0.5)}, ValueError, "image", "(28, 28, 3)", "pass image.transpose(2, 0, 1)"),
    ({"image": np.full((28, 28, 1), 0.5)}, ValueError, "image", "(28, 28, 1)", "pass image.transpose(2, 0, 1)"),
    ({"image": PICTURE - 0.6}, ValueError, "image", "-0.1", "within [0, 1]"),
    ({"design": ls.StructuredGaussian((5, 3), 0.2)}, ValueError, "grid", "(5, 3)", "at most 4 x 6 cells"),
    ({"design": (2, 3)}, TypeError, "design", "(2, 3)", "StructuredGaussian(grid=(28, 28))"),
    ({"design": ls.StructuredGaussian}, TypeError, "design", "StructuredGaussian", "StructuredGaussian(grid=(28, 28))"),
    ({"perturbation": "blur"}, TypeError, "perturbation", "'blur'", "Blend()"),
    ({"perturbation": ls.Blend(np.zeros((3, 2, 2)))}, ValueError, "baseline", "(3, 2, 2)", "(3, 4, 6)"),
    ({"perturbation": ls.Blend(PICTURE * 3)}, ValueError, "baseline", "outside [0, 1]", "within [0, 1]"),
    ({"conventions": "authors"}, ValueError, "conventions", "'authors'", "'default', 'paper', 'upstream'"),
    ({"conventions": "paper", "antithetic": True}, ValueError, "antithetic", "True", 'conventions="default"'),
    ({"conventions": "upstream", "perturbation": ls.Additive()}, ValueError, "perturbation", "clip=True", "Leave"),
    ({"conventions": "paper", "perturbation": ls.Blend()}, ValueError, "perturbation", "Blend", "Leave"),
    ({"batch_size": 0}, ValueError, "batch_size", "0", ">= 1"),
    ({"batch_size": 2.5}, TypeError, "batch_size", "2.5", ">= 1"),
    ({"antithetic": "no"}, TypeError, "antithetic", "'no'", "True or False"),
    ({"antithetic": 1}, TypeError, "antithetic", "1", "True or False"),
    ({"first_block": -1}, ValueError, "first_block", "-1", "from 0"),
    ({"first_block": True}, TypeError, "first_block", "True", "a whole number"),
    ({"beforehand": -1}, ValueError, "beforehand", "-1", ">= 0"),
    ({"first_block": 2**64}, ValueError, "first_block", str(2**64), "from 0 to 9223372036854775808"),
    ({"first_block": 1.5}, TypeError, "first_block", "1.5", "a whole number"),
    ({"resume": "old.npz", "rng": None}, TypeError, "resume", "'old.npz'", "error.sample"),
]


@pytest.mark.parametrize(("change", "error", "name", "value", "remedy"), BAD, ids=lambda v: str(v)[:40])
def test_bad_input_costs_nothing(
    change: dict[str, Any], error: type[Exception], name: str, value: str, remedy: str
) -> None:
    f = Counting(smooth)
    given: dict[str, Any] = {"image": PICTURE, "design": ls.StructuredGaussian(GRID, 0.2), "n_queries": 50, "rng": 0}
    with pytest.raises(error) as caught:
        ls.query(f, **{**given, **change})
    assert f.count == 0
    text = str(caught.value)
    assert text.startswith("legstat.")
    assert f"`{name}` must be " in text
    assert value in text.split("Got")[1]
    assert remedy in text


@pytest.mark.parametrize("channels", ["separate", "joint"])
def test_blend_has_no_channels(channels: Any) -> None:
    f = Counting(smooth)
    design = ls.StructuredGaussian(GRID, 0.2, channels=channels)
    with pytest.raises(
        ValueError, match=f"`design.channels` must be \"shared\" with Blend. Got '{channels}'.*Additive"
    ):
        ls.query(f, PICTURE, design, 50, perturbation=ls.Blend())
    assert f.count == 0


@pytest.mark.parametrize(("n_queries", "conventions", "least"), [(3, "paper", 4), (6, "default", 7)])
def test_one_unit_for_each_channel_must_fit(n_queries: int, conventions: Any, least: int) -> None:
    f = Counting(smooth)
    design = ls.StructuredGaussian(GRID, 0.2, channels="separate")
    with pytest.raises(ValueError, match=rf"at least {least}\. Got {n_queries}\..*each channel"):
        ls.query(f, PICTURE, design, n_queries, conventions=conventions)
    assert f.count == 0


@pytest.mark.parametrize(("shape", "named"), [((1, 4, 6), "channels"), ((3, 8, 6), "rows"), ((3, 4, 12), "columns")])
def test_picture_that_the_response_cannot_take_costs_nothing(shape: tuple[int, int, int], named: str) -> None:
    class Network(ls.Response):
        input_shape = (3, 4, 6)
        calls = 0

        def __call__(self, images: np.ndarray) -> np.ndarray:
            self.calls += 1
            return smooth(images)

        fingerprint = "network"  # type: ignore[assignment]

        def describe(self) -> dict[str, Any]:
            return {"fingerprint": "network"}

    f = Network()
    with pytest.raises(ValueError, match=rf"`image` must be of shape .*wrong: {named}"):
        ls.query(f, np.full(shape, 0.5), ls.StructuredGaussian((1, 1), 0.2), 50)
    assert f.calls == 0


def test_what_is_no_function_is_refused() -> None:
    with pytest.raises(TypeError, match="`f` must be callable"):
        ls.query(3, PICTURE, ls.StructuredGaussian(GRID))  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", ["abc", -1, 1.5])
def test_bad_rng_costs_nothing(bad: Any) -> None:
    f = Counting(smooth)
    with pytest.raises((TypeError, ValueError)):  # numpy's own words
        ls.query(f, PICTURE, ls.StructuredGaussian(GRID), 50, rng=bad)
    assert f.count == 0


def test_numpy_whole_numbers_are_whole_numbers(tmp_path: Any) -> None:
    sample = run(smooth, np.int64(41), first_block=np.int32(2))  # type: ignore[arg-type]
    sample.save(tmp_path / "s.npz")
    again = ls.QuerySample.load(tmp_path / "s.npz")
    assert again.ledger == sample.ledger
    assert np.array_equal(again.responses, run(smooth, 41, first_block=2).responses)


def test_picture_is_not_touched_and_not_shared() -> None:
    picture = IMAGE.copy()
    sample = run(smooth, 41, image=picture)
    assert np.array_equal(picture, IMAGE)
    picture[:] = 0.0
    assert np.array_equal(sample.image, IMAGE)
    with pytest.raises(ValueError, match="read-only"):
        sample.image[0, 0, 0] = 1.0


# ---------------------------------------------------------------- a score that does not move


@pytest.mark.parametrize(
    "f", [lambda x: np.full(len(x), 0.7), lambda x: np.zeros(len(x)), lambda x: np.ones((len(x), 1))]
)
def test_constant_score_is_reported(f: Any) -> None:
    with pytest.warns(ConstantScoreWarning, match=r"does not move.*scale \(now 0\.2\)"):
        sample = run(f, 41)
    assert np.ptp(sample.responses) == 0


def test_score_that_moves_by_rounding_alone_is_reported() -> None:
    with pytest.warns(ConstantScoreWarning, match="rounding noise"):
        run(lambda x: 1.0 + 2e-17 * x.sum(axis=(1, 2, 3)), 41)


def test_float32_rounding_is_measured_in_float32() -> None:
    class Network(ls.Response):
        dtype = np.dtype(np.float32)
        score_name = "probability"

        def __call__(self, images: np.ndarray) -> np.ndarray:
            assert images.dtype == np.float32
            return (np.float32(1.0) - np.float32(1e-7) * (images[:, 0, 0, 0] > 0.5)).astype(np.float64)

        @property
        def fingerprint(self) -> str:
            return "network"

        def describe(self) -> dict[str, Any]:
            return {"kind": "test", "score": self.score_name, "fingerprint": self.fingerprint}

    with pytest.warns(ConstantScoreWarning, match="score='log_odds'"):
        run(Network(), 41)


def test_one_response_alone_says_nothing_about_moving() -> None:
    assert len(run(smooth, 2, antithetic=False).responses) == 1  # warnings are errors here


def test_score_that_moves_is_not_reported() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(lambda x: 1.0 + 1e-9 * x.sum(axis=(1, 2, 3)), 41)


# ---------------------------------------------------------------- conventions


def test_conventions_fill_what_was_left_open() -> None:
    paper, upstream, ours = (run(smooth, 41, conventions=c) for c in ("paper", "upstream", "default"))
    assert (paper.design.channels, paper.design.grid.boundary, paper.antithetic) == ("separate", "free", False)
    assert paper.perturbation == ls.Additive(clip=False)
    assert (upstream.design.channels, upstream.design.grid.boundary, upstream.antithetic) == ("separate", "zero", False)
    assert upstream.perturbation == ls.Additive(clip=False, quantise=True)
    assert (ours.design.channels, ours.design.grid.boundary, ours.antithetic) == ("shared", "free", True)
    assert ours.perturbation == ls.Additive(clip=True)


@pytest.mark.parametrize(
    ("conventions", "named"),
    [("paper", {"boundary": "zero"}), ("paper", {"channels": "shared"}), ("upstream", {"boundary": "free"}),
     ("upstream", {"channels": "joint"})],
)  # fmt: skip
def test_design_that_contradicts_the_conventions(conventions: Any, named: Any) -> None:
    f = Counting(smooth)
    (argument,) = named
    with pytest.raises(ValueError, match=rf'`{argument}` must be .*conventions="{conventions}" implies'):
        ls.query(f, IMAGE, ls.StructuredGaussian(GRID, 0.2, **named), 50, conventions=conventions)
    assert f.count == 0


def test_resumed_run_keeps_its_conventions() -> None:
    f = Counting(smooth)
    sample = run(f, 40, "upstream")
    assert ls.query(f, IMAGE, ls.StructuredGaussian(GRID, 0.2), 61, resume=sample).conventions == "upstream"
    with pytest.raises(ValueError, match="`conventions` must be 'upstream'"):
        ls.query(f, IMAGE, ls.StructuredGaussian(GRID, 0.2), 61, resume=sample, conventions="paper")
