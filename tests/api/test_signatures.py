"""Arguments that every call shares have one name, and go by name."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator

import legstat
from legstat.sampling.defaults import N_QUERIES, default_queries

BY_NAME = {"rng", "progress", "level", "n_draws", "cache", "antithetic", "batch_size", "until", "resume"}
SUBJECT = {"with_batch_size", "draws"}
"""What is said is the one argument; `draws` is called through a protocol without names."""
OTHER_WORDS = {"random_state", "verbose", "alpha_level", "n_samples", "confidence", "budget", "show_progress"}


def _calls() -> Iterator[tuple[str, inspect.Signature]]:
    for module in ("legstat", "legstat.checks", "legstat.metrics", "legstat.studies"):
        home = importlib.import_module(module)
        for name in home.__all__:
            value = getattr(home, name)
            if inspect.isfunction(value):
                yield f"{module}.{name}", inspect.signature(value)
            elif inspect.isclass(value):
                for member, inner in inspect.getmembers(value, inspect.isfunction):
                    if not member.startswith("_") and inner.__module__.startswith("legstat"):
                        yield f"{module}.{name}.{member}", inspect.signature(inner)


def test_what_every_call_shares_goes_by_name() -> None:
    wrong = {
        f"{path}({name})"
        for path, signature in _calls()
        for name, one in signature.parameters.items()
        if name in BY_NAME and one.kind is not inspect.Parameter.KEYWORD_ONLY and path.split(".")[-1] not in SUBJECT
    }
    assert not wrong, "\n".join(sorted(wrong))


def test_nothing_goes_by_another_word() -> None:
    wrong = {f"{path}({name})" for path, signature in _calls() for name in signature.parameters if name in OTHER_WORDS}
    assert not wrong


def test_whoever_draws_takes_rng_and_whoever_spends_says_how_much() -> None:
    for call in (legstat.query, legstat.explain, legstat.noise_probe):
        assert "rng" in inspect.signature(call).parameters
    assert inspect.signature(legstat.query).parameters["n_queries"].default == N_QUERIES == 6000
    assert inspect.signature(legstat.explain).parameters["n_queries"].default is None  # that of its law
    structured, blocks = legstat.StructuredGaussian((8, 8)), legstat.MultiscaleBlocks((8, 8))
    assert (default_queries(structured), default_queries(blocks)) == (6000, 2000)
