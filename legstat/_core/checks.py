"""Checks of single arguments, one of each kind: `TypeError` for what is no such thing, `ValueError` beyond the range.

A boolean is no number: ``L=True`` is a slip, and would be 1. A whole float is a whole number: the answers of the power
functions are floats.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from types import NoneType, UnionType
from typing import TypeGuard, TypeVar, get_args

import numpy as np

from legstat._core.errors import invalid

Choice = TypeVar("Choice")
_USUAL = {"fdr": 0.1, "fwer": 0.05, "alpha": 0.05, "power": 0.8, "share": 0.5, "at": 0.5}


def is_number(value: object) -> TypeGuard[float]:
    """Whether it is one real number, Python's or numpy's, and no boolean."""
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def check_count(
    where: str, name: str, value: object, least: int = 1, most: float = math.inf, *, what: str = "", remedy: str = ""
) -> int:
    """A whole number from `least` to `most`.

    Parameters
    ----------
    where : str
        Call to name in the error.
    name : str
        Name of the argument.
    value : object
        What was passed.
    least, most : int
        The range, ends included.
    what : str, optional
        Of what, after the range: " edges".
    remedy : str, optional
        What to do instead.

    Returns
    -------
    int
        The same number.

    Raises
    ------
    TypeError
        If it is no whole number.
    ValueError
        If it is out of range.

    Examples
    --------
    >>> check_count("query", "batch_size", 64.0)
    64
    """
    valid = f"a whole number >= {least}" if math.isinf(most) else f"a whole number from {least} to {most:.0f}"
    if not is_number(value) or not float(value).is_integer():
        raise TypeError(invalid(where, name, value, valid + what, remedy))
    if not least <= value <= most:
        raise ValueError(invalid(where, name, value, valid + what, remedy))
    return int(value)


def check_within(
    where: str, name: str, value: object, low: float = 0.0, high: float = math.inf, *, remedy: str = ""
) -> float:
    """A finite number from `low` to `high`, ends included, as a float; errors as `check_count`."""
    valid = f"a number within [{low:g}, {high:g}]"
    if math.isinf(high):
        valid = "a finite number" if math.isinf(low) else f"a finite number >= {low:g}"
    if not is_number(value):
        raise TypeError(invalid(where, name, value, valid, remedy))
    if not (math.isfinite(value) and low <= value <= high):
        raise ValueError(invalid(where, name, value, valid, remedy))
    return float(value)


def check_positive(where: str, name: str, value: object, *, remedy: str = "") -> float:
    """A finite number > 0 as a float; errors as `check_count`."""
    if not is_number(value):
        raise TypeError(invalid(where, name, value, "a finite number > 0", remedy))
    if not (math.isfinite(value) and value > 0):
        raise ValueError(invalid(where, name, value, "a finite number > 0", remedy))
    return float(value)


def check_level(where: str, name: str, value: object) -> float:
    """A number strictly between 0 and 1 as a float; errors as `check_count`."""
    valid, remedy = "strictly between 0 and 1", f"{_USUAL.get(name, 0.95):g} is usual."
    if not is_number(value):
        raise TypeError(invalid(where, name, value, valid, remedy))
    if not 0.0 < value < 1.0:
        raise ValueError(invalid(where, name, value, valid, remedy))
    return float(value)


def check_flag(where: str, name: str, value: object) -> bool:
    """True or False; TypeError for anything else, 0 and 1 and texts included."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(invalid(where, name, value, "True or False"))
    return bool(value)


def check_choice(where: str, name: str, value: object, known: Iterable[Choice], *, remedy: str = "") -> Choice:
    """One of the values that are known, and ValueError for any other."""
    choices = tuple(known)
    for one in choices:
        if isinstance(value, type(one)) and one == value:
            return one
    raise ValueError(invalid(where, name, value, "one of " + ", ".join(map(repr, choices)), remedy))


def check_type(where: str, name: str, value: object, kind: type | UnionType, valid: str) -> None:
    """TypeError where it is none of those classes; `valid` says what is one, after their names."""
    if not isinstance(value, kind):
        wanted = "a " + " or ".join(one.__name__ for one in get_args(kind) or (kind,) if one is not NoneType)
        raise TypeError(invalid(where, name, value, f"{wanted}, {valid}"))


def check_rng(where: str, rng: object) -> np.random.Generator:
    """The generator that `rng` stands for; TypeError or ValueError where numpy makes none of it.

    Examples
    --------
    >>> check_rng("query", -1)
    Traceback (most recent call last):
    ValueError: legstat.query: `rng` must be None, a whole number >= 0, a Generator or the like. Got -1.
    """
    try:
        return np.random.default_rng(rng)  # type: ignore[arg-type]  # what it takes, it says itself
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(invalid(where, "rng", rng, "None, a whole number >= 0, a Generator or the like")) from error
