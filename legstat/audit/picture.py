"""One audited picture: what an audit found of it, as a value and as a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from legstat._core.checks import check_choice, check_level
from legstat._core.digests import array_sha256, value_sha256
from legstat._core.errors import InferenceUnavailableError
from legstat._core.frozen import Portable
from legstat._core.npz import loading_arrays, loading_header, save_arrays
from legstat._core.typing import JSON, AnyArray, BoolArray, FloatArray, IntArray
from legstat._core.values import read_only
from legstat.inference.intervals import normal_quantile, symmetric, t_quantiles, two_sided_pvalues

_KIND = "AuditedPicture"
OF_THE_CLOCK = ("seconds", "ledger", "attempts")
"""Facts that may differ between two runs of the same picture: time, and what a cache had already."""
RATES = (0.05, 0.1, 0.2)
"""False discovery rates for which a header holds the threshold of the p-values."""


@dataclass(frozen=True, kw_only=True, eq=False)
class AuditedPicture(Portable):
    """What an audit found of one picture.

    Attributes
    ----------
    name : str
        Unique in the run.
    facts : dict
        ``file`` and its ``sha256``, ``array_sha256`` of x0, ``label``, ``label_name``, ``group``, ``boxes`` (lists
        [x0, y0, x1, y1] in pixels of `picture`), ``target``, ``target_label``, ``probability`` of the target,
        ``right`` (or None), ``f_x0``, ``mean_shift``, ``sd``, ``ledger``, ``key``, ``L``, ``L_max``, ``L_ratio``,
        ``n_regions`` of LEG-TV, ``r2_heldout`` of "leg" and "legtv", ``certificate`` ("passed", "gap"), ``object``
        (LEG's mean inside less that outside: ``estimate``, ``std_error``, ``low``, ``high``, ``pvalue``; or None),
        ``fdr_thresholds`` (rate to the largest p-value that is significant at it, None where none is), ``seconds``.
    picture : ndarray of uint8, shape (H, W, C)
        As the network saw it, for the eye.
    leg, std_errors, df : ndarray of shape (p1, p2)
        LEG (score per unit of z) and its standard errors with their degrees of freedom; NaN where none are offered.
    legtv : ndarray of shape (p1, p2)
        LEG-TV at the chosen L.
    path_Ls : ndarray of shape (k,)
        L of each point of the path, descending.
    path : ndarray of float32, shape (k, p1, p2)
        LEG-TV along L, for the eye.
    path_r2 : ndarray of shape (k,) or None
        Out-of-sample R^2 at each L, where the choice of L measured it.
    responses : ndarray of shape (n,)
        Scores of all perturbed pictures, stream by stream: with the key they repeat everything.
    regions : ndarray of int, shape (p1, p2)
        Regions that one part of the draws found, numbered from 0, the strongest; -1 where one was too small. Of a
        picture without a table: LEG-TV's own.
    inside : ndarray of shape (p1, p2) or None
        Share of each cell that belongs to the object, where boxes or a mask were given.
    regions_table : sequence of dict
        A row a region, from the other part of the draws: ``sign``, ``cells``, ``mean``, ``sum``, ``std_error`` (of the
        sum), ``low`` and ``high`` (95 %), ``pvalue``, ``pvalue_adjusted`` (Benjamini and Hochberg).
    curves : dict or None
        "deletion" and "insertion": ``fractions``, ``scores``, ``area``.
    checks : sequence of dict
        Outcomes of the picture's checks.

    Examples
    --------
    >>> cells = np.arange(4.0).reshape(2, 2)
    >>> one = AuditedPicture(
    ...     name="a.png", facts={"target": 3}, picture=np.zeros((4, 4, 1), np.uint8), leg=cells,
    ...     std_errors=np.ones((2, 2)), df=np.full((2, 2), 50.0), legtv=cells, path_Ls=np.array([1.0]),
    ...     path=cells[None], responses=np.zeros(10), regions=np.zeros((2, 2), np.int64))
    >>> one
    <AuditedPicture 'a.png' 2x2 target=3>
    >>> one.pvalues.round(3).tolist()
    [[1.0, 0.322], [0.051, 0.004]]
    """

    name: str
    facts: JSON
    picture: NDArray[np.uint8]
    leg: FloatArray
    std_errors: FloatArray
    df: FloatArray
    legtv: FloatArray
    path_Ls: FloatArray
    path: NDArray[np.float32]
    responses: FloatArray
    regions: IntArray
    path_r2: FloatArray | None = None
    inside: FloatArray | None = None
    regions_table: Sequence[JSON] = ()
    curves: JSON | None = None
    checks: Sequence[JSON] = ()

    def __post_init__(self) -> None:
        for name in self._arrays:
            read_only(getattr(self, name))

    @property
    def _arrays(self) -> list[str]:
        return [one.name for one in fields(self) if isinstance(getattr(self, one.name), np.ndarray)]

    @property
    def grid_shape(self) -> tuple[int, int]:
        """(p1, p2)."""
        return self.leg.shape[0], self.leg.shape[1]

    @property
    def has_intervals(self) -> bool:
        """Whether LEG's cells have standard errors and enough observations for intervals."""
        return bool(np.isfinite(self.std_errors).all())

    @cached_property
    def pvalues(self) -> FloatArray:
        """Two-sided p-values of LEG's cells, each by itself, shape (p1, p2); NaN without intervals."""
        if not self.has_intervals:
            return read_only(np.full(self.grid_shape, np.nan))
        t = np.divide(self.leg, self.std_errors, out=np.zeros(self.grid_shape), where=self.std_errors > 0)
        return read_only(two_sided_pvalues(t, self.df))

    def conf_int(self, *, level: float = 0.95) -> FloatArray:
        """Student intervals of LEG's cells, each by itself.

        Parameters
        ----------
        level : float, default 0.95
            Coverage.

        Returns
        -------
        ndarray of shape (p1, p2, 2)
            Lower and upper ends.

        Raises
        ------
        InferenceUnavailableError
            Where there are none.
        """
        where = "AuditedPicture.conf_int"
        quantile = normal_quantile(check_level(where, "level", level))
        if not self.has_intervals:
            raise InferenceUnavailableError(f"legstat.{where}: {self.name!r} had too few queries for intervals.")
        flat = symmetric(self.leg.ravel(), (t_quantiles(quantile, self.df) * self.std_errors).ravel())
        return flat.reshape(*self.grid_shape, 2)

    def significant(self, fdr: float) -> BoolArray:
        """Cells of LEG that differ from 0 at that false discovery rate (Benjamini and Hochberg), shape (p1, p2).

        Parameters
        ----------
        fdr : {0.05, 0.1, 0.2}
            The rate.

        Returns
        -------
        ndarray of bool
            All False where there are no intervals.
        """
        check_choice("AuditedPicture.significant", "fdr", fdr, RATES)
        threshold = (self.facts.get("fdr_thresholds") or {}).get(f"{fdr:g}")
        return self.pvalues <= (-1.0 if threshold is None else threshold)

    @cached_property
    def numbers_sha256(self) -> str:
        """SHA-256 over all numbers and facts but what the clock and a cache decide: equal for a repeated picture."""
        facts = {name: value for name, value in self.facts.items() if name not in OF_THE_CLOCK}
        arrays = {name: (getattr(self, name).shape, array_sha256(getattr(self, name))) for name in self._arrays}
        return value_sha256(self.name, facts, arrays, list(self.regions_table), self.curves, list(self.checks))[0]

    def save(self, path: str | Path) -> None:
        """Write an .npz file without pickle, whole or not at all: a JSON header and plain arrays."""
        header = {
            "name": self.name,
            "facts": self.facts,
            "regions_table": list(self.regions_table),
            "curves": self.curves,
            "checks": list(self.checks),
            "numbers_sha256": self.numbers_sha256,
        }
        arrays: dict[str, AnyArray] = {name: getattr(self, name) for name in self._arrays}
        save_arrays(path, _KIND, header, arrays)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote; ValueError for any other file."""
        with loading_arrays(path, _KIND) as (header, arrays):
            given: dict[str, Any] = dict(arrays)
            return cls(
                name=header["name"],
                facts=header["facts"],
                regions_table=tuple(header["regions_table"]),
                curves=header["curves"],
                checks=tuple(header["checks"]),
                **given,
            )

    @classmethod
    def load_header(cls, path: str | Path) -> JSON:
        """Name, facts, table of regions, curves and checks alone: no array is read."""
        return loading_header(path, _KIND)

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.grid_shape))
        return f"<AuditedPicture {self.name!r} {shape} target={self.facts.get('target')}>"
