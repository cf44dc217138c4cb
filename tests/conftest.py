"""Fixtures and guards that every test gets."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "Agg")  # before anything loads matplotlib: no test may need a display

import numpy as np
import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]

# Deterministic by default, so that a failure is there again in the next run and in CI; HYPOTHESIS_PROFILE=explore
# searches with fresh random examples. No deadline: the first example pays for imports and caches.
settings.register_profile("repeatable", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("explore", deadline=None, max_examples=1000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator of its own for each test, always from the same seed."""
    return np.random.default_rng(20210607)


@pytest.fixture
def bare_bind(monkeypatch: pytest.MonkeyPatch) -> None:
    """`bind` evaluates x0 and nothing else, for tests that count evaluations or let a certain one fail."""
    monkeypatch.setattr("legstat.responses.network.response.NetworkResponse._runs_here", False)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of real models and pictures; the test skips where there is none."""
    named = os.environ.get("LEGSTAT_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not (folder / "models").is_dir():
        source = f"LEGSTAT_DATA={named}" if named else "LEGSTAT_DATA is not set and ../shared/data"
        pytest.skip(f"no real models and pictures: {source} has no folder models/")
    return folder


def _numpy_state() -> tuple[bytes, int]:
    state = np.random.get_state(legacy=True)  # noqa: NPY002 - the guard has to look at the state that nobody may use
    return state[1].tobytes(), int(state[2])


def _close_figures() -> int:
    """Closes all figures of pyplot, if anything loaded it, and says how many there were."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is None:
        return 0
    count = len(pyplot.get_fignums())
    pyplot.close("all")
    return count


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Fails a test that draws from a global generator or leaves a figure open.

    Around the call of the test function, not a fixture: pytest-randomly seeds the global generators again between
    the set-up of fixtures and the call.
    """
    torch = sys.modules.get("torch")
    numpy_before = _numpy_state()
    torch_before = None if torch is None else torch.random.get_rng_state()
    _close_figures()  # of examples in docstrings, which show figures as users do
    try:
        outcome = yield
    finally:  # a failing test must not leave its figures to the next one
        left_open = _close_figures()
    if _numpy_state() != numpy_before:
        pytest.fail("the test used numpy's global random state: hand in a generator (fixture `rng`)", pytrace=False)
    if torch_before is not None and not torch.equal(torch.random.get_rng_state(), torch_before):
        pytest.fail("the test used torch's global random state: wrap it in torch.random.fork_rng()", pytrace=False)
    if left_open:
        pytest.fail("the test left a figure open: close it, or draw on a Figure()", pytrace=False)
    return outcome
