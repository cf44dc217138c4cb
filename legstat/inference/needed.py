"""How many queries by Theorem 1; and what the functions that solve for one of their arguments share.

Each takes exactly one of its arguments as None and returns that one, as statsmodels' power functions do.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import scipy

from legstat._core.checks import check_choice, check_count, check_flag, check_level, check_positive
from legstat._core.conventions import Channels
from legstat._core.errors import invalid
from legstat.designs.by_name import LAWS, LawName, law_named
from legstat.inference.bounds import BoundForm, error_bound
from legstat.samples.budget import Budget


def solve_queries(
    *,
    error: float | None = None,
    n_queries: int | None = None,
    sparsity: int | None = None,
    probability: float | None = None,
    grid: tuple[int, int],
    scale: float,
    design: LawName = "structured",
    L: Literal["theorem", "structured"] = "theorem",
    form: BoundForm = "proof",
    antithetic: bool = False,
    channels: Channels = "shared",
    n_channels: int = 3,
) -> float:
    """Queries, error, sparsity or probability by Theorem 1, exactly one of the four being None.

    Parameters
    ----------
    error : float, optional
        Bound on the Frobenius norm of gamma-tilde - gamma up to its mean, in units of gamma (score per unit of z).
    n_queries : int, optional
        Model evaluations, f(x0) included.
    sparsity : int, optional
        s, pairs of neighbours whose gamma differs.
    probability : float, optional
        1 - eps with which the bound holds.
    grid : tuple of int
        (p1, p2).
    scale : float
        sigma of the design.
    design : {"structured", "isotropic", "blocks", "cells", "smooth", "smooth_binary"}, default "structured"
        Which law, by its kappa. Theorem 1 prefers the rough ones: a bound on the noise of the worst direction, it does
        not know which directions a score responds to.
    L : {"theorem", "structured"}, default "theorem"
        See `error_bound`; both need a score within [-1, 1].
    form : {"proof", "printed"}, default "proof"
        What the right-hand side bounds; see `error_bound`.
    antithetic, channels, n_channels : optional
        How queries become independent draws: the theorem counts observations.

    Returns
    -------
    float
        The argument that was None: a whole number of queries, the largest sparsity that meets the error, the error, or
        the probability.

    Raises
    ------
    ValueError
        If not exactly one is None, one is out of range, or no value can reach the target.

    Notes
    -----
    A worst-case bound: usually far above what `solve_half_width` says from a pilot sample.

    Examples
    --------
    >>> n = solve_queries(error=0.5, sparsity=12, probability=0.95, grid=(6, 6), scale=0.5, L="structured")
    >>> n
    178469.0
    >>> solve_queries(n_queries=178469, sparsity=12, probability=0.95, grid=(6, 6), scale=0.5, L="structured") <= 0.5
    True
    """
    where, antithetic = "solve_queries", check_flag("solve_queries", "antithetic", antithetic)
    given = {"error": error, "n_queries": n_queries, "sparsity": sparsity, "probability": probability}
    missing = missing_one(where, given)
    check_choice(where, "design", design, LAWS)
    check_choice(where, "channels", channels, get_args(Channels))
    law = law_named(design, grid, scale)
    budget = Budget(antithetic, check_count(where, "n_channels", n_channels, 1) if channels == "separate" else 1)

    def bound(s: float, units: float, p: float) -> float:
        # the bound is a power of s / n times a logarithm: evaluate at one draw and scale, so that s and n may be real
        exponent = 0.5 if form == "proof" else 0.25
        at_one = error_bound(law, 1, 1, probability=p, form=form, L=L)
        return float(at_one * (s / units) ** exponent)

    if missing != "error":
        check_positive(where, "error", error)
    if missing != "probability":
        check_level(where, "probability", probability)
    if missing != "sparsity":
        check_count(where, "sparsity", sparsity, 1, law.grid.n_edges, what=" edges")
    units = 1 if n_queries is None else units_of(where, budget, n_queries)
    s, p, target = float(sparsity or 1), probability or 0.5, error or 1.0
    power = 2.0 if form == "proof" else 4.0
    if missing == "error":
        return bound(s, units, p)
    if missing == "n_queries":
        return float(budget.queries((bound(s, 1.0, p) / target) ** power))
    if missing == "sparsity":
        most = np.floor((target / bound(1.0, units, p)) ** power)
        if most < 1:
            raise ValueError(invalid(where, "n_queries", n_queries, "large enough for s = 1 at this error"))
        return float(min(most, law.grid.n_edges))
    low, high = 1e-12, 1.0 - 1e-12
    if bound(s, units, low) > target:
        raise ValueError(invalid(where, "n_queries", n_queries, "large enough for some probability at this error"))
    if bound(s, units, high) <= target:
        return high
    return float(scipy.optimize.brentq(lambda x: bound(s, units, x) - target, low, high, xtol=1e-14))


def missing_one(where: str, given: dict[str, float | int | None]) -> str:
    """The one argument that is None; ValueError where not exactly one is."""
    absent = [name for name, value in given.items() if value is None]
    if len(absent) != 1:
        raise ValueError(invalid(where, ", ".join(given), given, "all given but one, which is solved for"))
    return absent[0]


def units_of(where: str, budget: Budget, n_queries: int, least: int = 1) -> int:
    """Observations a channel that the queries pay for; ValueError where these are fewer than `least`."""
    fewest = budget.queries(least)
    return budget.units(check_count(where, "n_queries", n_queries, fewest, what=f" ({least} observations a channel)"))
