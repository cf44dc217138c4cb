"""How large the numbers of a program are: exact units, and the range in which their products are numbers too."""

from __future__ import annotations

import math

from legstat._core.errors import invalid

_DIGITS = 280  # sums over edges and residuals of rounding then stay clear of overflow and of subnormal numbers


def power_of_two(value: float) -> float:
    """Largest power of two not above `value` (1 for 0): dividing by it rounds nothing."""
    return math.ldexp(1.0, math.frexp(value)[1] - 1) if value > 0 else 1.0


def check_range(where: str, name: str, *factors: float) -> None:
    """Refuse data, not 0, so large or small that sums over them, or their digits, would be lost in float64.

    Parameters
    ----------
    where, name : str
        As for `invalid`.
    *factors : float
        Largest entries, >= 0; their product is what is judged.

    Raises
    ------
    ValueError
        Where the product is outside [1e-280, 1e280].
    """
    if min(factors) > 0:
        exponent = sum(math.log10(factor) for factor in factors)
        if abs(exponent) > _DIGITS:
            valid = f"0 or between 1e-{_DIGITS} and 1e{_DIGITS} in its largest entry"
            raise ValueError(invalid(where, name, f"1e{exponent:.0f}", valid, "Multiply the data by a power of two."))
