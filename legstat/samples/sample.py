"""What a query experiment leaves behind: the key of the generator and the responses, never z itself.

A `QuerySample` of 6,000 queries is some 50 kB beside its picture. It can be saved, merged with samples of other blocks
or keys, extended, replayed and audited; z is drawn again from the key whenever something needs it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self

import numpy as np

from legstat._core.checks import check_type, check_within
from legstat._core.conventions import Conventions, ConventionsName, MomentKind, get_conventions
from legstat._core.digests import array_sha256
from legstat._core.errors import invalid
from legstat._core.typing import JSON, FloatArray
from legstat._core.values import read_only
from legstat.designs.design import Design
from legstat.moments.estimate import estimate_moments
from legstat.moments.moments import Moments
from legstat.moments.units import Units
from legstat.perturbations.cell_map import CellMap
from legstat.perturbations.operators import Additive, Perturbation
from legstat.samples.budget import Budget, planes_of
from legstat.samples.drawing import Stream
from legstat.samples.files import read_parts, write_parts
from legstat.samples.given import check_given
from legstat.samples.merging import check_mergeable, merge_ledgers, merge_segments
from legstat.samples.segments import Ledger, Segment
from legstat.samples.stopping import Stopping

_SMALLEST = 1e-60  # response whose fourth power, which variances need, is clear of subnormal numbers


@dataclass(frozen=True, kw_only=True, eq=False)
class QuerySample:
    """Responses to drawn perturbations of one picture, with all that is needed to draw these again.

    Made by `query`, `from_arrays` or `load`; not by hand.

    Attributes
    ----------
    design : Design
        Law of z.
    perturbation : Perturbation
        How z acted on the picture.
    image : ndarray of shape (C, H, W)
        The picture x0, RGB in [0, 1].
    antithetic : bool
        Whether rows 2i and 2i + 1 are a pair z, -z.
    conventions : {"default", "paper", "upstream"}
        Inherited by the estimators.
    f_x0, f_base : float
        Scores at the picture and at Phi(x0; 0), the same for `Additive`; the latter is NaN in the sample of a run that
        stopped before it.
    segments : tuple of Segment
        The responses.
    response : dict
        What the response said of itself (`Response.describe`).
    ledger : Ledger
        Every evaluation that was made.
    stopping : Stopping or None
        What a run with `until` saw at its interim analyses; None where the number of observations was fixed in advance.
        Estimators go by it: their intervals hold at the n that the rule chose.

    Examples
    --------
    >>> import legstat as ls
    >>> f, design = ls.simulate.linear(np.eye(4)), ls.StructuredGaussian(grid=(4, 4), scale=0.05)
    >>> sample = ls.query(f, np.full((1, 4, 4), 0.5), design, n_queries=201, rng=0)
    >>> sample.draws().shape, sample.responses.shape, sample.n_units
    ((200, 1, 4, 4), (200,), (100,))
    """

    design: Design
    perturbation: Perturbation
    image: FloatArray
    antithetic: bool
    conventions: ConventionsName
    f_x0: float
    f_base: float
    segments: tuple[Segment, ...]
    response: JSON
    ledger: Ledger
    external_z: FloatArray | None = field(default=None, repr=False)
    stopping: Stopping | None = None

    def __post_init__(self) -> None:
        for array in (self.image, self.external_z):
            if array is not None:
                read_only(array)

    # ---------------------------------------------------------------- what was drawn

    @property
    def planes(self) -> int:
        """Independent planes of z in one draw: C for a "joint" design, else 1."""
        return planes_of(self.design, self.image)

    @property
    def budget(self) -> Budget:
        """How queries of this experiment become observations."""
        return Budget.of(self.design, self.perturbation, self.image, self.antithetic)

    @property
    def n_channels(self) -> int:
        """Streams with a budget of their own: C for a "separate" design, else 1."""
        return self.budget.streams

    @property
    def n_units(self) -> tuple[int, ...]:
        """Observations (pairs, if antithetic, else draws) in each stream."""
        counts = [0] * self.n_channels
        for segment in self.segments:
            counts[segment.channel] += len(segment.responses)
        return tuple(counts)

    @property
    def responses(self) -> FloatArray:
        """f at the perturbed pictures, shape (n,): stream by stream, pairs side by side."""
        ordered = sorted(self.segments, key=lambda s: s.channel)
        return np.concatenate([s.responses.ravel() for s in ordered]) if ordered else np.empty(0)

    @property
    def mean_shift(self) -> float:
        """mean f(Phi(x0; z)) - f(Phi(x0; 0)): what the printed estimator pays for; NaN without responses."""
        responses = self.responses
        return float(responses.mean() - self.f_base) if responses.size else float("nan")

    def cell_map(self, channel: int = 0) -> CellMap | None:
        """The map from z to the realised z, None where they are equal."""
        if self.external_z is not None:
            return None
        return self.perturbation.cell_map(self.image, self.design.grid, self.design.channels, channel)

    def draws(self) -> FloatArray:
        """The realised z of every response, in the order of `responses`.

        Returns
        -------
        ndarray of shape (n, 1, p1, p2), or (n, C, p1, p2) unless the design shares channels
            With a "separate" design the channels that were not perturbed are 0. Costs n draws and no model
            evaluation; memory 8 n p bytes for each plane.
        """
        if self.external_z is not None:
            return self.external_z
        p1, p2 = self.design.grid.shape
        rows = [np.empty((0, max(self.planes, self.n_channels), p1, p2))]
        for channel in range(self.n_channels):
            for chunk in self._stream(channel).realised():
                z = chunk.reshape(len(chunk), self.planes, p1, p2)
                if self.n_channels > 1:
                    full = np.zeros((len(z), self.n_channels, p1, p2))
                    full[:, channel] = z[:, 0]
                    z = full
                rows.append(z)
        return np.concatenate(rows)

    def _stream(self, channel: int) -> Stream:
        z = self.external_z
        if z is not None:
            z = z.reshape(len(z), self.planes, -1)
            z = (z[0::2] - z[1::2]) / 2.0 if self.antithetic else z
        return Stream(
            design=self.design,
            cell_map=self.cell_map(channel),
            planes=self.planes,
            antithetic=self.antithetic,
            f_base=self.f_base,
            segments=tuple(s for s in self.segments if s.channel == channel),
            external_z=z,
        )

    # ---------------------------------------------------------------- what the estimators take

    @cached_property
    def units(self) -> tuple[Units, ...]:
        """The observations of each stream: realised z and response, one row a draw or a pair."""
        size = float(np.abs(self.responses).max(initial=0.0))
        if size != 0.0 and not _SMALLEST <= size <= 1.0 / _SMALLEST:
            remedy = "Multiply the score by a power of ten; for a tiny probability take score='log_odds'."
            raise ValueError(invalid("QuerySample.moments", "responses", size, "0 or of size 1e-60 to 1e60", remedy))
        return tuple(self._stream(channel).units for channel in range(self.n_channels))

    def moments(
        self,
        kind: MomentKind | None = None,
        *,
        shrinkage: float = 1.0,
        leave_out: tuple[int, int] | None = None,
        cov_type: str | None = None,
    ) -> Moments:
        """The moment vector b that LEG and LEG-TV take.

        Parameters
        ----------
        kind : {"printed", "centred", "regression", "adaptive", "crossfit", "least_squares"}, optional
            See `legstat.moments.estimate.estimate_moments`; the conventions' kind for LEG where it is left out.
        shrinkage : float, default 1.0
            The weight a of "regression".
        leave_out : pair of int, optional
            (fold, folds): leave out the observations whose number is `fold` modulo `folds`.
        cov_type : {"HC0", "HC1", "HC2", "HC3"}, optional
            Variance of "least_squares"; the other kinds have one each.

        Returns
        -------
        Moments
            b, and the variance of LEG where the kind has one.

        Raises
        ------
        ValueError
            If the kind is unknown or the observations are too few for it.
        """
        chosen = kind or self.convention_set.leg_moments
        return estimate_moments(
            self.units,
            self.design,
            chosen,
            shrinkage=shrinkage,
            leave_out=leave_out,
            source=self.summary_header(),
            cov_type=cov_type,
        )

    @property
    def convention_set(self) -> Conventions:
        """The conventions by value."""
        return get_conventions(self.conventions)

    def summary_header(self) -> JSON:
        """The facts about the experiment that results carry on: everything small, nothing from the clock."""
        return {
            "conventions": self.conventions,
            "design": repr(self.design),
            "perturbation": repr(self.perturbation),
            "antithetic": self.antithetic,
            "image_shape": list(self.image.shape),
            "image_sha256": array_sha256(self.image),
            "f_x0": self.f_x0,
            "f_base": self.f_base,
            "mean_shift": self.mean_shift,
            "sd": float(self.responses.std()) if self.responses.size else float("nan"),
            "response": self.response,
            "ledger": {**dataclasses.asdict(self.ledger), "spent": self.ledger.spent, "unused": self.ledger.unused},
            "stopping": None if self.stopping is None else self.stopping.to_dict(),
            "keys": sorted({f"{s.key[0]:016x}{s.key[1]:016x}" for s in self.segments})
            if self.external_z is None
            else [],
        }

    # ---------------------------------------------------------------- from elsewhere, together, to disk

    @classmethod
    def from_arrays(
        cls,
        z: FloatArray,
        y: FloatArray,
        design: Design,
        *,
        image: FloatArray | None = None,
        f_x0: float = 0.0,
        antithetic: bool = False,
        conventions: ConventionsName = "default",
    ) -> Self:
        """A sample evaluated elsewhere.

        Parameters
        ----------
        z : ndarray of shape (n, p1, p2) or (n, 1 or C, p1, p2)
            Realised perturbations, drawn from `design` (C planes for channels="joint").
        y : ndarray of shape (n,)
            The scores f, or already f - f(x0) with ``f_x0=0``.
        design : Design
            Law of z; channels "shared" or "joint".
        image : ndarray of shape (C, H, W), optional
            The picture, for maps; a black one of one pixel a cell where it is left out.
        f_x0 : float, default 0.0
            Score at z = 0, subtracted from y in the printed moments.
        antithetic : bool, default False
            Whether rows 2i and 2i + 1 are z and -z.
        conventions : {"default", "paper", "upstream"}
            Inherited by the estimators.

        Returns
        -------
        QuerySample
            With z kept, since there is no key to draw it again.

        Raises
        ------
        ValueError
            If shapes disagree, values are not finite, pairs are asked for and not there, or the z are far from what the
            design draws.
        """
        where = "QuerySample.from_arrays"
        z, y = check_given(where, z, y, design, antithetic)
        f_x0 = check_within(where, "f_x0", f_x0, -np.inf)
        black = np.zeros((z.shape[1], *design.grid.shape))
        return cls(
            design=design,
            perturbation=Additive(clip=False),
            image=black if image is None else np.array(image, dtype=np.float64),
            antithetic=antithetic,
            conventions=get_conventions(conventions, where).name,
            f_x0=f_x0,
            f_base=f_x0,
            segments=(Segment((0, 0), 0, 0, y.reshape(-1, 2 if antithetic else 1)),),
            response={"kind": "arrays", "score": "custom", "bounded": None},
            ledger=Ledger(n_queries=len(y), x0=0, base=0, perturbed=len(y)),
            external_z=z,
        )

    def merge(self, *others: QuerySample) -> QuerySample:
        """This sample and others of the same experiment as one.

        Parameters
        ----------
        *others : QuerySample
            Samples of disjoint blocks of one key, or of different keys.

        Returns
        -------
        QuerySample
            All segments in the order of key, stream and block, so that the result does not depend on the order of
            merging; ledgers add up.

        Raises
        ------
        ValueError
            If anything but the draws differs (design, perturbation, picture, response, ...), blocks overlap, or a run
            stopped by its widths.
        """
        for other in others:
            check_type("QuerySample.merge", "others", other, QuerySample, "which `QuerySample.load` reads from a file")
            check_mergeable(self._parts(), other._parts())
        samples = (self, *others)
        segments = merge_segments(segment for one in samples for segment in one.segments)
        # descriptions of the response may differ in what does not matter: that of the first segment stays
        first = next(one for one in samples if segments[0] in one.segments)
        ledger = merge_ledgers(one.ledger for one in samples)
        return dataclasses.replace(first, segments=segments, ledger=ledger)

    def _parts(self) -> dict[str, Any]:
        return {part.name: getattr(self, part.name) for part in dataclasses.fields(self)}

    def __reduce__(self) -> tuple[partial[Self], tuple[()]]:
        # what was computed from the parts stays behind: it may be as large as all draws, and is computed again
        return partial(type(self), **self._parts()), ()

    def save(self, path: str | Path) -> None:
        """Write an .npz file without pickle: a JSON header and plain arrays."""
        write_parts(path, self._parts())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        ValueError
            If the file is not a saved sample, was written by a newer version, or was changed since; or this machine's
            numpy draws other numbers from the stored key.
        """
        return cls(**read_parts(path))

    def __repr__(self) -> str:
        cells, counts = self.design.grid.shape, self.n_units
        each = f"{min(counts)}" if len(set(counts)) == 1 else f"{min(counts)} to {max(counts)}"
        observed = f"{each} {self.budget.unit}s" + (f" in each of {len(counts)} channels" if len(counts) > 1 else "")
        spent = f"{self.ledger.spent} evaluations, f(x0) = {self.f_x0:.4g}"
        return f"<QuerySample {cells[0]} x {cells[1]} cells: {observed}, {spent}>"
