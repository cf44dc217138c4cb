"""When a query run may stop by itself: the rule and what came of it, as plain values.

`legstat.inference.sequential` judges.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from legstat._core.checks import is_number
from legstat._core.errors import invalid
from legstat._core.typing import JSON, AnyArray
from legstat._core.values import read_only

Box = tuple[int, int, int, int]
"""(first row, row after the last, first column, column after the last)."""


@dataclass(frozen=True, eq=False)
class HalfWidth:
    """Stop a query run when the widest of LEG's intervals is narrow enough.

    ``query(..., until=0.05)`` means ``until=HalfWidth(0.05)``: every cell's own 95 % interval, that of
    ``LEG(sample).fit().conf_int()``, shall reach at most 0.05 to either side.

    Parameters
    ----------
    target : float
        Half-width to be reached, > 0, in units of gamma (score per unit of z).
    level : float, default 0.95
        Coverage of each interval by itself, or (simultaneous) of all together.
    simultaneous : bool, default False
        Whether the intervals meant are the bands that hold for all cells (regions, contrasts) at once.
    region : ndarray of shape (p1, p2) or tuple of four int, optional
        Instead of cells: the mean of gamma over a region, or over each of several, as `LEGResults.region` takes them;
        in each channel.
    contrasts : ndarray of shape (k, P p), optional
        Instead of cells: linear contrasts of gamma, one row each.

    Raises
    ------
    ValueError
        If the target is no positive number, the level not inside (0, 1), or both region and contrasts are given.

    Notes
    -----
    Interim analyses are made at fixed numbers of draws, or pairs: 128 (320 for bands of cross-fitted estimates), then a
    quarter more each time, in whole blocks of 32, and at the ceiling. They see widths, never estimates. Choosing n
    by widths selects standard errors that came out small. Intervals after it are therefore Student's with a third of
    the degrees of freedom that they would have otherwise, in the rule and in the results alike: so they keep their
    level (the page on the sequential rule has the reasons, the measured coverage, and where it falls short). That
    holds as long as nobody stops the run for what the map shows.

    Examples
    --------
    >>> import legstat as ls
    >>> f = ls.simulate.logistic(3.0 * np.eye(4), offset=-3.0)
    >>> design = ls.StructuredGaussian(grid=(4, 4), scale=0.25)
    >>> rule = HalfWidth(0.01, level=0.95, region=(0, 2, 0, 4))
    >>> sample = ls.query(f, np.full((1, 4, 4), 0.5), design, n_queries=6000, until=rule, rng=0)
    >>> sample.stopping
    <Stopping reached: half-width 0.00923 <= 0.01 at 160 observations, 2 interim analyses>
    >>> low, high = ls.LEG(sample).fit().region((0, 2, 0, 4)).conf_int(level=0.95)[0]
    >>> bool(np.isclose((high - low) / 2, sample.stopping.half_widths[-1], rtol=1e-9, atol=0))
    True
    """

    target: float
    level: float = 0.95
    simultaneous: bool = False
    region: AnyArray | Box | None = None
    contrasts: AnyArray | None = None

    def __post_init__(self) -> None:
        if not is_number(self.target) or not (np.isfinite(self.target) and self.target > 0):
            valid = "a finite half-width > 0 in units of gamma, or a HalfWidth"
            raise ValueError(invalid("query", "until", self.target, valid))
        if not is_number(self.level) or not 0.0 < self.level < 1.0:
            raise ValueError(invalid("HalfWidth", "level", self.level, "strictly between 0 and 1", "0.95 is usual."))
        if self.region is not None and self.contrasts is not None:
            raise ValueError(invalid("HalfWidth", "region, contrasts", "both", "given one at a time"))
        for name, kind in (("target", float), ("level", float), ("simultaneous", bool)):
            object.__setattr__(self, name, kind(getattr(self, name)))
        if self.region is not None and not isinstance(self.region, tuple):
            object.__setattr__(self, "region", read_only(np.array(self.region)))
        if self.contrasts is not None:
            object.__setattr__(self, "contrasts", read_only(np.atleast_2d(np.array(self.contrasts, dtype=np.float64))))

    @classmethod
    def of(cls, until: HalfWidth | float) -> HalfWidth:
        """What `query` was given, as a rule."""
        return until if isinstance(until, HalfWidth) else cls(until)

    def parameters(self) -> JSON:
        """The arguments that make this rule again, as JSON takes them."""
        region: Any = self.region
        if isinstance(region, tuple):
            region = {"box": [int(end) for end in region]}
        elif region is not None:
            region = {"mask" if region.dtype == np.bool_ else "labels": region.astype(np.int64).tolist()}
        return {
            "target": self.target,
            "level": self.level,
            "simultaneous": self.simultaneous,
            "region": region,
            "contrasts": None if self.contrasts is None else self.contrasts.tolist(),
        }

    @classmethod
    def from_parameters(cls, parameters: JSON) -> Self:
        """The rule that has these `parameters`."""
        region: Any = parameters["region"]
        if region is not None:
            ((kind, values),) = region.items()
            whole = np.array(values, dtype=np.bool_ if kind == "mask" else np.int64)
            region = tuple(values) if kind == "box" else whole
        return cls(**{**parameters, "region": region})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HalfWidth) and self.parameters() == other.parameters()

    def __hash__(self) -> int:
        return hash((self.target, self.level, self.simultaneous))

    def __repr__(self) -> str:
        of = "" if self.region is None else ", region=..." if not isinstance(self.region, tuple) else f", {self.region}"
        of = ", contrasts=..." if self.contrasts is not None else of
        bands = ", simultaneous" if self.simultaneous else ""
        return f"<HalfWidth {self.target:g} at {self.level:g}{bands}{of}>"


@dataclass(frozen=True, kw_only=True)
class Stopping:
    """What a query run with `until` saw at its interim analyses.

    Attributes
    ----------
    rule : HalfWidth
        What was to be reached.
    units : tuple of int
        Observations (draws, or pairs) of each stream at each of them.
    half_widths : tuple of float
        Of the widest interval at each of them, in units of gamma.
    start : int
        Observations that were there when the rule set in, from a resumed run without it: none was made at fewer.

    Examples
    --------
    >>> seen = Stopping(rule=HalfWidth(0.1), units=(128, 160), half_widths=(0.16, 0.14))
    >>> seen.reached, seen.predicted_units
    (False, 314)
    """

    rule: HalfWidth
    units: tuple[int, ...] = ()
    half_widths: tuple[float, ...] = ()
    start: int = 0

    @property
    def reached(self) -> bool:
        """Whether the last analysis found the target reached; else the ceiling came first, or a fault."""
        return bool(self.half_widths) and self.half_widths[-1] <= self.rule.target

    @property
    def predicted_units(self) -> int:
        """Observations of each stream at which the last half-width, shrinking as 1 / root n, meets the target."""
        if not self.units:
            return 0
        return int(np.ceil(self.units[-1] * (self.half_widths[-1] / self.rule.target) ** 2 * (1.0 - 1e-12)))

    def after(self, units: int, half_width: float) -> Stopping:
        """The same with one more analysis; those of so many observations or more, seen before, are replaced."""
        kept = sum(u < units for u in self.units)
        widths = (*self.half_widths[:kept], half_width)
        return replace(self, units=(*self.units[:kept], units), half_widths=widths)

    def to_dict(self) -> JSON:
        """As JSON takes it."""
        seen = {"units": list(self.units), "half_widths": list(self.half_widths)}
        return {"rule": self.rule.parameters(), **seen, "start": self.start, "reached": self.reached}

    @classmethod
    def from_dict(cls, values: JSON) -> Self:
        """What `to_dict` gave."""
        rule = HalfWidth.from_parameters(values["rule"])
        seen = {name: tuple(values[name]) for name in ("units", "half_widths")}
        return cls(rule=rule, start=values["start"], **seen)

    def __repr__(self) -> str:
        if not self.units:
            return f"<Stopping no analysis yet, {self.rule!r}>"
        sign, state = ("<=", "reached") if self.reached else (">", "not reached")
        seen = f"half-width {self.half_widths[-1]:.3g} {sign} {self.rule.target:g} at {self.units[-1]} observations"
        return f"<Stopping {state}: {seen}, {len(self.units)} interim analyses>"
