"""Workers of a Dask cluster in place of processes of this machine, and what tells that workers are gone."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from legstat._core.errors import LegstatWarning, invalid
from legstat._core.optional import optional_module
from legstat._core.typing import JSON
from legstat.record.verification import differing_environment

_WHERE = "audit"
_PATIENCE = 10.0
"""Seconds to wait for a scheduler, and for its first worker."""


@contextmanager
def cluster_at(address: str | None, paths: Sequence[Path], environment: JSON) -> Iterator[None]:
    """Work by all workers of a Dask cluster while this lasts; by whatever joblib is set to where no address is given.

    Parameters
    ----------
    address : str or None
        Of the scheduler.
    paths : sequence of Path
        What every worker must see under the same path.
    environment : dict
        Versions and machine of the run: workers with others are warned of.

    Raises
    ------
    BackendUnavailableError
        distributed is not installed.
    ValueError
        No scheduler answers there, it has no workers, or a worker lacks legstat or one of the paths.
    """
    if address is None:
        yield
        return
    distributed = optional_module("distributed", "distributed", "cluster", "A Dask cluster")
    import joblib

    log = logging.getLogger("distributed.client")
    level = log.level
    log.setLevel(logging.CRITICAL)  # what it logs of a lost connection is told by an error
    try:
        with _client(distributed, address) as client:
            _check_workers(client, address, paths, environment)
            with joblib.parallel_config(backend="dask", client=client):
                yield
    finally:
        log.setLevel(level)


def dead_workers() -> tuple[type[BaseException], ...]:
    """What tells that workers were killed, by whichever backend is loaded."""
    from joblib.externals.loky.process_executor import BrokenProcessPool

    of_dask = getattr(sys.modules.get("distributed.scheduler"), "KilledWorker", BrokenProcessPool)
    return BrokenProcessPool, of_dask


def _client(distributed: Any, address: str) -> Any:
    try:
        return distributed.Client(address, timeout=_PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        valid = "the address of a Dask scheduler that is running, such as tcp://host:8786"
        text = f"{type(error).__name__}: {error}."
        raise ValueError(invalid(_WHERE, "work.scheduler", address, valid, text)) from error


def _check_workers(client: Any, address: str, paths: Sequence[Path], environment: JSON) -> None:
    """Before anything is evaluated: there are workers, they have legstat, and they see what they need."""
    try:
        client.wait_for_workers(1, timeout=_PATIENCE)
    except TimeoutError as error:
        valid = "the address of a scheduler with workers"
        remedy = f"Start some: dask worker {address}"
        raise ValueError(invalid(_WHERE, "work.scheduler", address, valid, remedy)) from error
    try:
        told = client.run(_seen, [str(one) for one in paths], environment)
    except ImportError as error:
        valid = "the address of a scheduler whose workers have legstat"
        raise ValueError(invalid(_WHERE, "work.scheduler", address, valid, f"{error}.")) from error
    for worker, (missing, others) in told.items():
        if missing:
            valid = f"what all workers of {address} see under the same path"
            remedy = f"{worker} does not. Give whole paths, in a folder that all machines share."
            raise ValueError(invalid(_WHERE, "places, model and out", missing[0], valid, remedy))
        if others:
            text = f"{worker} differs from the run, which may change last digits: {'; '.join(others)}"
            warnings.warn(f"legstat.{_WHERE}: {text}.", LegstatWarning, stacklevel=2)


def _seen(paths: Sequence[str], environment: JSON) -> tuple[list[str], list[str]]:
    """On a worker: which of the paths are missing, and in what it differs."""
    return [one for one in paths if not Path(one).exists()], list(differing_environment(environment))
