"""Work done side by side through joblib, results as they are finished."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import joblib

Given = TypeVar("Given")
Result = TypeVar("Result")


def side_by_side(
    work: Callable[[Given], Result], given: Sequence[Given], n_jobs: int | None
) -> Iterator[tuple[Given, Result]]:
    """(argument, result) as they are finished, in whatever order.

    Parameters
    ----------
    work : callable
        Takes one argument; both travel to wherever joblib's backend works.
    given : sequence
        The arguments.
    n_jobs : int or None
        At a time; None leaves it to ``joblib.parallel_config``.

    Yields
    ------
    tuple
        An argument, the very object that was given, and its result.
    """
    calls = (joblib.delayed(_numbered)(work, number, one) for number, one in enumerate(given))
    for number, result in joblib.Parallel(n_jobs=n_jobs, return_as="generator_unordered")(calls):
        yield given[number], result


def _numbered(work: Callable[[Given], Result], number: int, given: Given) -> tuple[int, Result]:
    return number, work(given)
