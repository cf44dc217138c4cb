"""The measured batch size: on responses whose times and limits are known."""

from __future__ import annotations

import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from legstat._core.checks import check_count
from legstat._core.errors import LegstatWarning
from legstat.responses.base import Response
from legstat.responses.function import as_response
from legstat.sampling.batch_size import BatchTimings, measure_batch_sizes, tune_batch_size


def timed(cost: dict[int, float]) -> tuple[Response, list[int]]:
    """A response that takes `cost[n]` seconds for n images, and the batch sizes that it saw."""
    seen: list[int] = []

    def f(images: np.ndarray) -> np.ndarray:
        seen.append(len(images))
        time.sleep(cost[len(images)])
        return np.zeros(len(images))

    f.fingerprint = f"sleeps {cost}"
    return as_response(f), seen


IMAGE = np.zeros((1, 2, 2))


def test_the_fastest_size_per_image_is_found() -> None:
    f, seen = timed({1: 0.02, 2: 0.02, 4: 0.02, 8: 0.08})
    timings = measure_batch_sizes(f, IMAGE, candidates=(4, 1, 2, 8), seconds=0.4)
    assert timings.best == 4
    assert timings.evaluations == sum(seen)
    # sleep never returns early
    assert all(timings.seconds[size] >= spent for size, spent in ((1, 0.02), (2, 0.01), (4, 0.005)))


def test_among_equals_the_smallest_is_taken() -> None:
    assert BatchTimings({1: 2.2, 2: 2.05, 4: 2.0, 8: 2.01}, 0).best == 2


def test_hopeless_sizes_are_dropped() -> None:
    f, seen = timed({1: 0.002, 2: 0.02, 4: 0.04})
    timings = measure_batch_sizes(f, IMAGE, candidates=(1, 2, 4), seconds=1.5)
    assert timings.best == 1
    assert seen.count(4) == 2 * 3  # the warm-up and two rounds of two calls


class Small(Response):
    """A response whose memory holds four images; it halves larger batches as networks do."""

    fingerprint = "small"
    input_shape = (1, 2, 2)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        if len(images) > 4:
            self.batch_size = 4
            warnings.warn("halved", LegstatWarning, stacklevel=2)
        return np.zeros(len(images))

    def describe(self) -> dict[str, object]:
        return {"fingerprint": self.fingerprint}


def test_sizes_that_do_not_fit_are_left_out() -> None:
    timings = measure_batch_sizes(Small(), IMAGE, candidates=(1, 4, 8, 16), seconds=0.01)
    assert set(timings.seconds) <= {1, 4}


def test_the_choice_is_remembered(tmp_path: Path) -> None:
    memory = tmp_path / "folder" / "sizes.json"
    f, seen = timed({1: 0.01, 2: 0.01})
    tuned = tune_batch_size(f, IMAGE, candidates=(1, 2), seconds=0.05, memory=memory)
    assert tuned.batch_size == 2
    assert f.batch_size == 64  # the one passed in is left alone
    count = len(seen)
    assert tune_batch_size(f, IMAGE, candidates=(1, 2), memory=memory).batch_size == 2
    assert len(seen) == count
    tune_batch_size(f, np.zeros((1, 4, 4)), candidates=(1, 2), seconds=0.01, memory=memory)  # another size of picture
    assert len(seen) > count
    memory.write_text("{broken")
    assert tune_batch_size(f, IMAGE, candidates=(1, 2), seconds=0.05, memory=memory).batch_size == 2
    assert list(memory.parent.iterdir()) == [memory]


def test_bad_sizes_are_named() -> None:
    with pytest.raises(ValueError, match=r"`batch_size` must be a whole number >= 1"):
        measure_batch_sizes(Small(), IMAGE, candidates=(0, 1))
    assert check_count("f", "batch_size", 3) == 3


class Several(Response):
    """A response with variants of known speed, of which the last cannot be had."""

    fingerprint = "several"

    def __init__(self, seconds: float, others: tuple[float, ...] = ()) -> None:
        self.seconds, self.others = seconds, others

    def __call__(self, images: np.ndarray) -> np.ndarray:
        if self.seconds < 0:
            raise ValueError("not to be had")
        time.sleep(self.seconds)
        return np.zeros(len(images))

    def variants(self) -> tuple[Response, ...]:
        return (self, *map(Several, self.others))

    def describe(self) -> dict[str, object]:
        return {"fingerprint": self.fingerprint}


@pytest.mark.parametrize(
    ("speeds", "fastest"),
    [((0.02, 0.01), 0.01), ((0.01, 0.02), 0.01), ((0.02, -1.0, 0.01), 0.01), ((0.01, -1.0), 0.01)],
)
def test_the_fastest_variant_that_can_be_had_is_taken(
    speeds: tuple[float, ...], fastest: float, tmp_path: Path
) -> None:
    memory = tmp_path / "sizes.json"
    for known in (False, True):
        f = tune_batch_size(Several(speeds[0], speeds[1:]), IMAGE, candidates=(1,), seconds=0.05, memory=memory)
        assert isinstance(f, Several)
        assert f.seconds == fastest
        assert memory.is_file() or known


def test_what_cannot_be_had_at_all_is_an_error() -> None:
    with pytest.raises(ValueError, match="not to be had"):
        tune_batch_size(Several(-1.0), IMAGE, candidates=(1,), seconds=0.05)
