"""Work done side by side through joblib, results as they are finished."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import joblib
from threadpoolctl import threadpool_limits

Given = TypeVar("Given")
Result = TypeVar("Result")


def side_by_side(
    work: Callable[[Given], Result], given: Sequence[Given], n_jobs: int | None
) -> Iterator[tuple[Given, Result]]:
    """(argument, result) as they are finished, in whatever order.

    Every call computes on one BLAS thread: its sums then do not depend on how many calls run at a time, and these do
    not get into each other's way. Threads of other kinds are the calls' own: joblib's processes are started with their
    share of the processors in ``OMP_NUM_THREADS``.

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
    calls = [joblib.delayed(_numbered)(work, number, one) for number, one in enumerate(given)]
    # here for backends of threads, which share one limit; in `_numbered` for those of processes
    with threadpool_limits(limits=1, user_api="blas"):
        try:
            parallel = joblib.Parallel(n_jobs=n_jobs, return_as="generator_unordered")
        except ValueError:  # "multiprocessing" hands nothing over before all is done: a few at a time, then
            parallel, few = joblib.Parallel(n_jobs=n_jobs), 2 * joblib.effective_n_jobs(n_jobs)
            finished = (pair for at in range(0, len(calls), few) for pair in parallel(calls[at : at + few]))
        else:
            finished = parallel(iter(calls))
        for number, result in finished:
            yield given[number], result


def _numbered(work: Callable[[Given], Result], number: int, given: Given) -> tuple[int, Result]:
    with threadpool_limits(limits=1, user_api="blas"):
        return number, work(given)
