"""Results of LEG-TV: the map with the certificate of its optimality, and its regions."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn, Self

import numpy as np
import scipy

from legstat._core.checks import check_count
from legstat._core.errors import InferenceUnavailableError, invalid
from legstat._core.typing import JSON, AnyArray, FloatArray, IntArray
from legstat._core.values import read_only
from legstat.designs.grid import Grid
from legstat.estimators.merging import MOST_REGIONS, Merging
from legstat.estimators.programs import program_for
from legstat.estimators.relaxed import refitted
from legstat.estimators.results import Results
from legstat.inference.cells import Cells
from legstat.report.summary import legtv_summary
from legstat.solvers import Certificate, Dual, face_width

if TYPE_CHECKING:
    from statsmodels.iolib.summary import Summary

_NO_INFERENCE = (
    "legstat.LEGTVResults: no intervals for LEG-TV itself: it is biased by its penalty and its regions are chosen by "
    "the data. Intervals of the cells: LEG(sample).fit().conf_int(). Regions found on one part of the sample and "
    "tested on the other: legstat.region_inference(sample)."
)
REGION_TOLERANCE = 1e-6  # neighbours whose estimates differ by less than this share of their range are one region
FACE_LIMIT = 4096  # cells up to which the width of the optimal face is worth its shortest paths (seconds beyond)


class _NotForLEGTV(InferenceUnavailableError, AttributeError):
    """An attribute that is missing for a reason; `hasattr` takes it as missing."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LEGTVResults(Results):
    """LEG-TV at one L, with the certificate of its optimality.

    Attributes
    ----------
    L_per_row, L_max_per_row : ndarray of shape (P,)
        L of each channel's program and the L beyond which its solution is constant.
    certificates : tuple of Certificate
        Our own proof of optimality of each program.
    engine, selection : str
        What solved it, and which point of the optimal face it is.
    duals : tuple of Dual
        The dual solution of each program, from which `face_width` follows; none in a result from a file.
    known_face_width : float or None
        What the file says of it.
    solution : ndarray of shape (P p,) or None
        Of a relaxed result the map that solves the program, with the regions on which `params` has its levels refitted;
        None where that is `params` itself.
    merged : ndarray of int, shape (P, p1, p2), or None
        Regions of a relaxed result of which some were merged (`merge`); None where they are those of the program.

    Examples
    --------
    >>> import legstat as ls
    >>> f, design = ls.simulate.linear(np.eye(4)), ls.StructuredGaussian(grid=(4, 4), scale=0.05)
    >>> result = ls.LEGTV(ls.query(f, np.full((1, 4, 4), 0.5), design, n_queries=201, rng=0)).fit(L_ratio=0.5)
    >>> result.certificate.passed, round(result.L_ratio, 6)
    (True, 0.5)
    """

    L_per_row: FloatArray
    L_max_per_row: FloatArray
    certificates: tuple[Certificate, ...]
    engine: str
    selection: str
    duals: tuple[Dual, ...] = ()
    known_face_width: float | None = None
    solution: FloatArray | None = None
    merged: IntArray | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.solution is not None:
            object.__setattr__(self, "solution", read_only(np.array(self.solution, dtype=np.float64)))
        if self.merged is not None:
            object.__setattr__(self, "merged", read_only(np.array(self.merged, dtype=np.int64)))

    @property
    def relaxed(self) -> bool:
        """Whether the levels were refitted on the regions: see `LEGTV`."""
        return self.solution is not None

    @property
    def _solved(self) -> FloatArray:
        """What solves the programs, one row each."""
        solved = self.params if self.solution is None else self.solution
        return solved.reshape(len(self.L_per_row), -1)

    @property
    def L(self) -> float:
        """Radius of the constraint (the largest over channels, where conventions scale each by itself)."""
        return float(self.L_per_row.max())

    @property
    def L_max(self) -> float:
        """Smallest L with a constant solution in every channel."""
        return float(self.L_max_per_row.max())

    @property
    def L_ratio(self) -> float:
        """L / L_max, the authors' lambda; 0 where L_max is 0."""
        return self.L / self.L_max if self.L_max > 0 else 0.0

    @property
    def certificate(self) -> Certificate:
        """The certificate with the largest gap over the channels."""
        return max(self.certificates, key=lambda c: c.gap)

    @cached_property
    def face_width(self) -> float | None:
        """Largest range that one difference between neighbours has over all optimal maps; 0 where the map is unique.

        Computed on first use: milliseconds at 28 x 28. None beyond 4,096 cells, where it would take long, without a
        certificate, and where a program of general form has too many regions.
        """
        design = self.moments.design
        if not self.duals or design.grid.n_cells > FACE_LIMIT or not self.certificate.passed:
            return self.known_face_width
        widths = []
        rows = zip(self.moments.b, self._solved, self.duals, self.L_per_row, strict=True)
        for b, g, dual, L in rows:
            program, unit = program_for(design, b)
            widths.append(face_width(program, g, dual, float(L) / unit))
        return float(np.max(widths)) if np.isfinite(widths).all() else None

    @cached_property
    def regions(self) -> IntArray:
        """Connected regions of constant estimate, shape (P, p1, p2): numbered from 0 over all channels.

        Those of the map that solves the program, whose levels a relaxed result has refitted, or what they were merged
        to.
        """
        if self.merged is not None:
            return self.merged
        from scipy.sparse.csgraph import connected_components  # slow to load

        grid = Grid(self.grid_shape)  # neighbours within the grid, whatever the design's boundary
        tail, head = grid.edges
        labels, total = np.empty((len(self.channel_maps), grid.n_cells), dtype=np.int64), 0
        for channel, row in enumerate(self._solved):
            same = np.abs(row[head] - row[tail]) <= REGION_TOLERANCE * float(np.ptp(row))
            ends = (tail[same], head[same])
            links = scipy.sparse.csr_array((np.ones(len(ends[0])), ends), shape=(grid.n_cells,) * 2)
            count, numbers = connected_components(links, directed=False)
            labels[channel] = total + np.asarray(numbers)
            total += int(count)
        return read_only(labels.reshape(self.channel_maps.shape))

    @property
    def n_regions(self) -> int:
        """Connected regions of constant estimate, added up over channels."""
        return int(self.regions.max()) + 1

    def relax(self) -> Self:
        r"""The same regions with refitted levels, :math:`R (R^T \Sigma R)^{-1} R^T b` with their indicators R.

        Returns
        -------
        LEGTVResults
            Among the maps that are constant on these regions the one of least squared error under the law of z, given
            the moment vector. Certificate, L and regions are those of `solution`; the out-of-sample R^2 was measured on
            other levels and is left out.
        """
        parts = zip(self.moments.b, self.regions.reshape(len(self.L_per_row), -1), strict=True)
        levels = np.concatenate([refitted(self.moments.design, b, labels) for b, labels in parts])
        return self.replace(params=levels, solution=self._solved.ravel(), r2_heldout=None)

    def merge(self, n_regions: int) -> Self:
        """Neighbouring regions merged to so many, with refitted levels.

        Those two first whose merging raises the squared error under the law of z least; see `Merging`.

        Parameters
        ----------
        n_regions : int
            How many are left, over all channels.

        Returns
        -------
        LEGTVResults
            A relaxed result, with `regions` that are unions of these. Certificate and L are those of `solution`.

        Raises
        ------
        TypeError, ValueError
            If there are fewer regions, or more channels, or more than 1,024 regions to begin with.
        """
        where = "LEGTVResults.merge"
        if self.n_regions > MOST_REGIONS:
            valid = f"of a map of at most {MOST_REGIONS} regions"
            raise ValueError(invalid(where, "n_regions", f"a map of {self.n_regions}", valid, "Take a larger L."))
        wanted = check_count(where, "n_regions", n_regions, len(self.moments.b), self.n_regions)
        merging = self.merging
        return self.replace(
            params=merging.maps([wanted])[0],
            solution=self._solved.ravel(),
            merged=merging.labels(wanted),
            r2_heldout=None,
        )

    @property
    def merging(self) -> Merging:
        """The sequence of partitions that merging neighbours leads through."""
        return Merging.of(self.moments.design, self.moments.b, self.regions)

    def replace(self, **changes: Any) -> Self:
        """The same result with some attributes changed."""
        return dataclasses.replace(self, **changes)

    if not TYPE_CHECKING:  # a type checker is to go on missing names that are not there

        def __getattr__(self, name: str) -> NoReturn:
            """Say why LEG-TV lacks what `LEGResults` has: intervals, tests, standard errors."""
            if hasattr(Cells, name) and not name.startswith("_"):
                raise _NotForLEGTV(f"{_NO_INFERENCE} So there is no `{name}`.")
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _extra(self) -> tuple[JSON, dict[str, AnyArray]]:
        certificates = [dataclasses.asdict(c) for c in self.certificates]
        header: JSON = {name: getattr(self, name) for name in ("engine", "selection", "face_width")}
        header["certificates"] = certificates
        arrays: dict[str, AnyArray] = {"L_per_row": self.L_per_row, "L_max_per_row": self.L_max_per_row}
        more = {"solution": self.solution, "merged": self.merged}
        arrays |= {name: array for name, array in more.items() if array is not None}
        return header, arrays

    @classmethod
    def _from_extra(cls, header: JSON, arrays: dict[str, FloatArray]) -> dict[str, Any]:
        extra: dict[str, Any] = {name: header[name] for name in ("engine", "selection")}
        extra["known_face_width"] = header["face_width"]
        extra["certificates"] = tuple(Certificate(**c) for c in header["certificates"])
        extra |= {"solution": arrays.get("solution"), "merged": arrays.get("merged")}
        return {**extra, "L_per_row": arrays["L_per_row"], "L_max_per_row": arrays["L_max_per_row"]}

    def _facts(self) -> JSON:
        facts = {name: getattr(self, name) for name in ("L", "L_ratio", "n_regions", "engine", "selection")}
        return {**facts, "relaxed": int(self.relaxed), "gap": self.certificate.gap}

    def summary(self) -> Summary:
        """Summary in the manner of statsmodels, with ``as_text``, ``as_html`` and ``as_latex``."""
        return legtv_summary(self)

    def __repr__(self) -> str:
        shape, certificate = "x".join(map(str, self.grid_shape)), self.certificate
        state = "optimal" if certificate.passed else "NOT certified"
        program = f"L={self.L:.3g} ({self.L_ratio:.2g} L_max) {state} gap={certificate.gap:.0e}"
        return f"<LEGTVResults {shape} {'relaxed ' * self.relaxed}{program} n={self.n}>"
