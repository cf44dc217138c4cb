"""How many images per call are fastest: measured, chosen, remembered."""

from __future__ import annotations

import json
import os
import platform
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from legstat._typing import AnyArray
from legstat.errors import LegstatWarning
from legstat.responses.base import Response, check_batch_size
from legstat.responses.digests import value_sha256

CANDIDATES = (1, 2, 4, 8, 16, 32, 64, 128)
_HOPELESS = 1.5
"""A size this many times slower per image than the best one is not tried again, and no larger one is tried."""
_AS_GOOD = 1.03
"""Sizes this close to the best count as equal; the smallest of them is chosen, it needs the least memory."""


@dataclass(frozen=True)
class BatchTimings:
    """Measured time per image by batch size.

    Parameters
    ----------
    seconds : dict of int to float
        Least time per image that was seen, by batch size.
    evaluations : int
        Model evaluations that the measurement took. They are no queries: their scores are thrown away.
    """

    seconds: dict[int, float]
    evaluations: int

    @property
    def best(self) -> int:
        """The smallest batch size within 3 % of the fastest."""
        least = min(self.seconds.values())
        return min(size for size, time_per_image in self.seconds.items() if time_per_image <= _AS_GOOD * least)

    def __str__(self) -> str:
        """As ``1: 2.20 ms, 2: 2.03 ms``: time per image."""
        return ", ".join(f"{size}: {1e3 * spent:.3g} ms" for size, spent in sorted(self.seconds.items()))


def measure_batch_sizes(
    response: Response,
    image: AnyArray,
    *,
    candidates: Sequence[int] = CANDIDATES,
    seconds: float = 2.0,
) -> BatchTimings:
    """Time a response at several batch sizes.

    Parameters
    ----------
    response : Response
        Settled (after `Response.anchor`).
    image : ndarray of shape (C, H, W)
        Picture to fill batches with.
    candidates : sequence of int
        Batch sizes, ascending.
    seconds : float
        Time to spend, about. Sizes are taken in turn, so that a busy moment hits all alike, and the least time counts.

    Returns
    -------
    BatchTimings
        Sizes that do not fit the memory, and those above a size that is far too slow, are left out.
    """
    start = time.perf_counter()
    sizes: list[int] = []
    evaluations = 0
    # a first call each to warm up: buffers, threads, the runtime's own plans
    for size in sorted({check_batch_size("measure_batch_sizes", size) for size in candidates}):
        spent = _seconds_per_image(response, image, size)
        evaluations += 2 * size
        if spent is None:
            break
        sizes.append(size)
        if time.perf_counter() - start > seconds:
            break
    least: dict[int, float] = {}
    rounds = 0
    while sizes and (rounds == 0 or time.perf_counter() - start < seconds):
        for size in sizes:
            spent = _seconds_per_image(response, image, size)
            evaluations += 2 * size
            if spent is None:
                least.pop(size, None)
                sizes = [other for other in sizes if other < size]
                break
            least[size] = min(spent, least.get(size, np.inf))
            # not before the third look: on a busy machine one call says little
            if rounds >= 2 and least[size] > _HOPELESS * min(least.values()):
                sizes = [other for other in sizes if other < size]
                break
        rounds += 1
    if not least:
        raise MemoryError("legstat.measure_batch_sizes: not even the smallest batch size fits the memory.")
    return BatchTimings(least, evaluations)


def _seconds_per_image(response: Response, image: AnyArray, size: int) -> float | None:
    """Time per image of the second of two calls; None where the batch did not fit the memory and was halved."""
    trial = response.with_batch_size(size)
    images = np.repeat(np.asarray(image, dtype=response.dtype)[None], size, axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LegstatWarning)
        trial(images)  # a copy has buffers of its own, which have to be there
        began = time.perf_counter()
        trial(images)
        spent = (time.perf_counter() - began) / size
    return spent if trial.batch_size == size else None


def tune_batch_size(
    response: Response,
    image: AnyArray,
    *,
    candidates: Sequence[int] = CANDIDATES,
    seconds: float = 2.0,
    memory: str | Path | None = None,
) -> Response:
    """The response at the batch size that is fastest here.

    Parameters
    ----------
    response : Response
        Settled (after `Response.anchor`).
    image : ndarray of shape (C, H, W)
        Picture to measure with.
    candidates : sequence of int
        Batch sizes to try.
    seconds : float
        Time to spend, about.
    memory : str or Path, optional
        JSON file in which the choice is kept, by model, input, provider, threads and machine; where it is found
        there, nothing is measured. A file that cannot be read is replaced.

    Returns
    -------
    Response
        With its `batch_size` set. Scores do not change beyond the rounding of the backend.

    Notes
    -----
    The measurement spends model evaluations whose scores are thrown away; `measure_batch_sizes` counts them.

    Examples
    --------
    >>> import numpy as np
    >>> from legstat.responses import as_response, tune_batch_size
    >>> f = as_response(lambda images: images.mean(axis=(1, 2, 3)))
    >>> tune_batch_size(f, np.zeros((1, 8, 8)), candidates=(4, 8), seconds=0.01).batch_size in (4, 8)
    True
    """
    key = _machine_key(response, np.asarray(image).shape)
    known = {} if memory is None else _read(Path(memory))
    if key in known:
        return response.with_batch_size(known[key])
    best = measure_batch_sizes(response, image, candidates=candidates, seconds=seconds).best
    if memory is not None:
        _write(Path(memory), {**_read(Path(memory)), key: best})
    return response.with_batch_size(best)


def _machine_key(response: Response, shape: tuple[int, ...]) -> str:
    """What the fastest batch size depends on: model, picture size, provider, threads, versions, machine."""
    about = response.describe()
    parts = [about.get(name) for name in ("kind", "model_sha256", "provider", "threads", "versions", "output")]
    model = about.get("model_sha256") or response.fingerprint
    return value_sha256(model, *parts, list(shape), platform.machine(), platform.node(), os.cpu_count())[0]


def _read(path: Path) -> dict[str, int]:
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        return {str(key): int(value) for key, value in table.items() if int(value) >= 1}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _write(path: Path, table: dict[str, int]) -> None:
    """Replace the file in one step, so that no process ever reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as stream:
        json.dump(table, stream, indent=1)
    Path(stream.name).replace(path)
