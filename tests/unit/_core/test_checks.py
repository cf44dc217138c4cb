"""Checks of single arguments: what passes comes back as a plain value, what is no such thing is a TypeError."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from legstat._core import checks


@pytest.mark.parametrize("value", [True, False, np.True_, "1", None, 1j, np.complex128(1), [1], np.array([1.0])])
@pytest.mark.parametrize("check", [checks.check_count, checks.check_within, checks.check_positive, checks.check_level])
def test_what_is_no_number(check: Callable[[str, str, object], float], value: object) -> None:
    with pytest.raises(TypeError, match=r"legstat\.call: `x` must be .*Got"):
        check("call", "x", value)


@pytest.mark.parametrize(("check", "passes", "refused"), [
    (checks.check_count, [1, 7, np.int32(7), 2.0, np.float64(3)], [0, -1]),
    (checks.check_within, [0, 0.0, 3.5, np.float32(1)], [-1e-9, np.nan, np.inf]),
    (checks.check_positive, [1, 1e-300], [0, -1.0, np.nan, np.inf]),
    (checks.check_level, [0.5, np.float32(0.5), 1e-9], [0, 1, 0.0, 1.0, 95, np.nan]),
])  # fmt: skip
def test_ranges(check: Callable[[str, str, object], float], passes: list[Any], refused: list[Any]) -> None:
    for value in passes:
        found = check("call", "x", value)
        assert found == value
        assert type(found) in (int, float)
    for value in refused:
        with pytest.raises(ValueError, match=r"legstat\.call: `x` must be .*Got"):
            check("call", "x", value)


def test_ranges_that_are_given() -> None:
    assert checks.check_count("call", "x", 3, 2, 3) == 3
    with pytest.raises(ValueError, match=r"a whole number from 2 to 3 edges\. Got 4\. Take fewer."):
        checks.check_count("call", "x", 4, 2, 3, what=" edges", remedy="Take fewer.")
    with pytest.raises(TypeError, match=r"a whole number >= 1\. Got 2\.5"):
        checks.check_count("call", "x", 2.5)
    assert checks.check_within("call", "x", 1, 0, 1) == 1.0
    with pytest.raises(ValueError, match=r"a number within \[0, 1\]. Got 1.5"):
        checks.check_within("call", "x", 1.5, 0, 1)


def test_flags_and_choices() -> None:
    assert checks.check_flag("call", "x", np.True_) is True
    for value in (0, 1, "yes", None):
        with pytest.raises(TypeError, match="True or False"):
            checks.check_flag("call", "x", value)
    assert checks.check_choice("call", "x", "b", ("a", "b")) == "b"
    for value in ("c", None, 1, ["a"], np.array(["a"])):
        with pytest.raises(ValueError, match="one of 'a', 'b'"):
            checks.check_choice("call", "x", value, ("a", "b"))
