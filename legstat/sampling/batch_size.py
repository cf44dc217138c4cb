"""How many images per call are fastest: measured, chosen, remembered."""

from __future__ import annotations

import json
import os
import platform
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from legstat._core.checks import check_count
from legstat._core.digests import value_sha256
from legstat._core.errors import LegstatWarning, invalid
from legstat._core.files import json_text, write_text
from legstat._core.typing import AnyArray
from legstat.designs.grid import Grid
from legstat.perturbations.operators import Additive
from legstat.perturbations.recipe import Recipe
from legstat.responses.base import Response

CANDIDATES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
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

    Examples
    --------
    >>> times = BatchTimings(seconds={1: 2.2e-3, 2: 1.51e-3, 4: 1.5e-3}, evaluations=14)
    >>> print(times)
    1: 2.2 ms, 2: 1.51 ms, 4: 1.5 ms
    >>> times.best
    2
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
        Settled (after `Response.bind`).
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

    Examples
    --------
    >>> import numpy as np
    >>> from legstat.responses.function import as_response
    >>> f = as_response(lambda images: images.mean(axis=(1, 2, 3)))
    >>> times = measure_batch_sizes(f, np.zeros((1, 8, 8)), candidates=(4, 8), seconds=0.01)
    >>> set(times.seconds) <= {4, 8}, times.best in times.seconds
    (True, True)
    """
    return _measure(response, _whole(response, image), 1, candidates, seconds)


def _whole(response: Response, image: AnyArray) -> Recipe:
    """A perturbation of one cell, where no other is known."""
    return Additive().recipe(image, Grid((1, 1)), response.dtype)


def _measure(
    response: Response, recipe: Recipe, planes: int, candidates: Sequence[int], seconds: float
) -> BatchTimings:
    """Time the way from z to scores at several batch sizes."""
    if not len(candidates):
        raise ValueError(invalid("measure_batch_sizes", "candidates", candidates, "at least one batch size"))
    start = time.perf_counter()
    sizes: list[int] = []
    evaluations = 0
    # a first call each to warm up: buffers, threads, the runtime's own plans
    for size in sorted({check_count("measure_batch_sizes", "batch_size", size) for size in candidates}):
        spent = _seconds_per_image(response, recipe, planes, size)
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
            spent = _seconds_per_image(response, recipe, planes, size)
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


def _seconds_per_image(response: Response, recipe: Recipe, planes: int, size: int) -> float | None:
    """Time per image of the second of two calls; None where the batch did not fit the memory and was halved."""
    trial = response.with_batch_size(size)
    z = np.zeros((size, planes, *recipe.grid.shape))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LegstatWarning)
        score = trial.scorer(recipe)
        score(z, None)  # a copy has buffers of its own, which have to be there
        began = time.perf_counter()
        score(z, None)
        spent = (time.perf_counter() - began) / size
    return spent if trial.batch_size == size else None


@dataclass(frozen=True)
class Tuned:
    """A response at the batch size, and in the variant, that measured fastest.

    Parameters
    ----------
    response : Response
        With its batch size set.
    evaluations : int
        Model evaluations that the measurement took; 0 where it was remembered.
    """

    response: Response
    evaluations: int


def tuned(
    response: Response,
    recipe: Recipe,
    planes: int,
    *,
    candidates: Sequence[int] = CANDIDATES,
    seconds: float = 2.0,
    memory: str | Path | None = None,
    variants: bool = True,
) -> Tuned:
    """The fastest batch size for a recipe's pictures, among all of `Response.variants`.

    Parameters
    ----------
    response : Response
        Settled.
    recipe : Recipe
        How the pictures are made.
    planes : int
        Planes of z.
    candidates : sequence of int
        Batch sizes to try.
    seconds : float
        Time to spend on each variant, about.
    memory : str or Path, optional
        As for `tune_batch_size`.
    variants : bool
        False keeps to the response as it is, for one that some scores have already come from.

    Returns
    -------
    Tuned
        A variant is taken over the first one only if it is 3 % faster.
    """
    open_to = response.variants() if variants else (response,)
    key = _machine_key(response, (*recipe.base.shape, planes), len(open_to))
    known = {} if memory is None else _read(Path(memory))
    if key in known and known[key][1] < len(open_to):
        size, which = known[key]
        return Tuned(open_to[which].with_batch_size(size), 0)
    found: list[tuple[float, int, int]] = []
    evaluations = 0
    for which, variant in enumerate(open_to):
        try:
            timings = _measure(variant, recipe, planes, candidates, seconds)
        except ValueError:
            if which == 0:
                raise
            continue  # this variant is not to be had here; the response notes why
        evaluations += timings.evaluations
        found.append((timings.seconds[timings.best] * (1.0 if which == 0 else _AS_GOOD), timings.best, which))
    _, best, which = min(found)
    if memory is not None:
        _write(Path(memory), {**_read(Path(memory)), key: (best, which)})
    return Tuned(open_to[which].with_batch_size(best), evaluations)


def tune_batch_size(
    response: Response,
    image: AnyArray,
    *,
    candidates: Sequence[int] = CANDIDATES,
    seconds: float = 2.0,
    memory: str | Path | None = None,
) -> Response:
    """The response at the batch size that is fastest here, and where that is open, with pictures made where it is.

    Parameters
    ----------
    response : Response
        Settled (after `Response.bind`).
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
    The measurement spends model evaluations whose scores are thrown away; `measure_batch_sizes` counts them, and
    ``query(..., batch_size="auto")``, which measures with its own perturbation, has them in the ledger. Where an ONNX
    response left open where its pictures are made (``compose="auto"``), both ways are measured, ``seconds`` each.

    Examples
    --------
    >>> import numpy as np
    >>> from legstat.responses.function import as_response
    >>> from legstat.sampling.batch_size import tune_batch_size
    >>> f = as_response(lambda images: images.mean(axis=(1, 2, 3)))
    >>> tune_batch_size(f, np.zeros((1, 8, 8)), candidates=(4, 8), seconds=0.01).batch_size in (4, 8)
    True
    """
    return tuned(response, _whole(response, image), 1, candidates=candidates, seconds=seconds, memory=memory).response


def _machine_key(response: Response, shape: tuple[int, ...], variants: int) -> str:
    """What the fastest batch size depends on: model, picture size, provider, threads, versions, machine."""
    about = response.describe()
    parts = [about.get(name) for name in _DEPENDS]
    model = about.get("model_sha256") or response.fingerprint
    return value_sha256(model, *parts, list(shape), variants, platform.machine(), platform.node(), os.cpu_count())[0]


_DEPENDS = (
    *("kind", "model_sha256", "output", "provider", "device_id", "device_names", "threads", "versions"),
    *("io_binding", "compose", "channels_last", "autocast", "compile_mode", "tf32"),
)


def _read(path: Path) -> dict[str, tuple[int, int]]:
    """Batch size and variant by key; nothing where the file cannot be read."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        known = {str(key): (int(size), int(which)) for key, (size, which) in table.items()}
        return {key: (size, which) for key, (size, which) in known.items() if size >= 1 and which >= 0}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _write(path: Path, table: dict[str, tuple[int, int]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json_text(table, indent=1))  # in one step: no process ever reads half of it
