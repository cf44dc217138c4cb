"""What a query experiment leaves behind: the key of the generator and the responses, never z itself.

A `QuerySample` of 6,000 queries is some 50 kB beside its picture. It can be saved, merged with samples of other blocks
or keys, extended, replayed and audited; z is drawn again from the key whenever something needs it.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np

from legstat._core.conventions import Conventions, ConventionsName, MomentKind, get_conventions
from legstat._core.errors import invalid
from legstat._core.npz import loading_arrays, save_arrays
from legstat._core.typing import JSON, FloatArray
from legstat.designs.blocks import BLOCK
from legstat.designs.by_name import design_from_parameters
from legstat.designs.design import Design
from legstat.moments.estimate import Moments, estimate_moments
from legstat.moments.units import Units
from legstat.perturbations.clipped_law import ClippedLaw
from legstat.perturbations.operators import PERTURBATIONS, Additive, CellMap, Perturbation
from legstat.samples.segments import Ledger, Segment
from legstat.samples.stopping import Stopping

_SMALLEST = 1e-60  # response whose fourth power, which variances need, is clear of subnormal numbers
_CHUNK_BLOCKS = 32  # blocks drawn at once: the order of summation, hence part of the bits of every moment


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
        What a run with `until` saw at its looks; None where the number of units was fixed in advance. Estimators go by
        it: their intervals hold at the n that the rule chose.

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

    # ---------------------------------------------------------------- what was drawn

    @property
    def planes(self) -> int:
        """Independent planes of z in one unit: C for a "joint" design, else 1."""
        return len(self.image) if self.design.channels == "joint" else 1

    @property
    def n_channels(self) -> int:
        """Streams with a budget of their own: C for a "separate" design, else 1."""
        return len(self.image) if self.design.channels == "separate" else 1

    @property
    def n_units(self) -> tuple[int, ...]:
        """Units (pairs, if antithetic) in each stream."""
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
            cell_map = self.cell_map(channel)
            for z, y in self._drawn(channel):
                realised = [z, -z] if self.antithetic else [z]
                if cell_map is not None:
                    realised = [cell_map(one) for one in realised]
                pairs = np.stack(realised, axis=1).reshape(y.size, self.planes, p1, p2)
                if self.n_channels > 1:
                    full = np.zeros((len(pairs), self.n_channels, p1, p2))
                    full[:, channel] = pairs[:, 0]
                    pairs = full
                rows.append(pairs)
        return np.concatenate(rows)

    def _drawn(self, channel: int) -> Iterator[tuple[FloatArray, FloatArray]]:
        """Chunks of one stream: z before it was realised (k, planes, p) and responses (k, r), segment by segment."""
        for segment in self.segments:
            if segment.channel != channel:
                continue
            units = len(segment.responses)
            for start in range(0, units, _CHUNK_BLOCKS * BLOCK):
                stop = min(start + _CHUNK_BLOCKS * BLOCK, units)
                first = segment.first_block + start // BLOCK
                blocks = range(first, first + -(-(stop - start) // BLOCK))
                z = np.concatenate([self.design.draw(segment.key, channel, b, self.planes) for b in blocks])
                yield z[: stop - start].reshape(stop - start, self.planes, -1), segment.responses[start:stop]

    # ---------------------------------------------------------------- what the estimators take

    @cached_property
    def units(self) -> tuple[Units, ...]:
        """The statistical units of each stream: realised z and response, one row a draw or a pair."""
        size = float(np.abs(self.responses).max(initial=0.0))
        if size != 0.0 and not _SMALLEST <= size <= 1.0 / _SMALLEST:
            remedy = "Multiply the score by a power of ten; for a tiny probability take score='log_odds'."
            raise ValueError(invalid("QuerySample.moments", "responses", size, "0 or of size 1e-60 to 1e60", remedy))
        return tuple(self._units_of(channel) for channel in range(self.n_channels))

    def _units_of(self, channel: int) -> Units:
        cell_map = self.cell_map(channel)
        if cell_map is not None and self.antithetic:
            cell_map = cell_map.odd_part()
        law = ClippedLaw(self.design, cell_map, self.planes)
        chunks = partial(self._realised, channel, cell_map)
        return Units(law=law, chunks=chunks, n=self.n_units[channel], paired=self.antithetic)

    def _realised(self, channel: int, cell_map: CellMap | None) -> Iterator[tuple[FloatArray, FloatArray]]:
        """Chunks of one stream's units: realised z (k, planes, p) and y (k,)."""
        for z, y in self._drawn(channel) if self.external_z is None else self._given():
            realised = z if cell_map is None else cell_map(z)
            yield realised, (y[:, 0] - y[:, 1]) / 2.0 if self.antithetic else y[:, 0] - self.f_base

    def _given(self) -> Iterator[tuple[FloatArray, FloatArray]]:
        (segment,) = self.segments
        z = np.asarray(self.external_z).reshape(len(self.responses), self.planes, -1)
        if self.antithetic:
            z = (z[0::2] - z[1::2]) / 2.0
        for start in range(0, len(z), _CHUNK_BLOCKS * BLOCK):
            rows = slice(start, start + _CHUNK_BLOCKS * BLOCK)
            yield z[rows], segment.responses[rows]

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
            (fold, folds): leave out the units whose number is `fold` modulo `folds`.
        cov_type : {"HC0", "HC1", "HC2", "HC3"}, optional
            Variance of "least_squares"; the other kinds have one each.

        Returns
        -------
        Moments
            b, and the variance of LEG where the kind has one.

        Raises
        ------
        ValueError
            If the kind is unknown or the units are too few for it.
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
            "image_sha256": hashlib.sha256(np.ascontiguousarray(self.image).tobytes()).hexdigest(),
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
        where, (p1, p2) = "QuerySample.from_arrays", design.grid.shape
        z, y = np.array(z, dtype=np.float64), np.array(y, dtype=np.float64)
        if z.ndim == 3:
            z = z[:, None]
        planes = z.shape[1] if z.ndim == 4 and design.channels == "joint" else 1
        if z.ndim != 4 or z.shape[1:] != (planes, p1, p2):
            raise ValueError(
                invalid(where, "z", z.shape, f"of shape (n, {p1}, {p2}), or (n, C, {p1}, {p2}) for a joint design")
            )
        if design.channels == "separate":
            raise ValueError(
                invalid(where, "design.channels", "separate", '"shared" or "joint"', "Make one sample a channel.")
            )
        if y.shape != (len(z),) or len(y) < 2:
            raise ValueError(invalid(where, "y", y.shape, f"of shape ({len(z)},), one score for each z, at least two"))
        if not (np.isfinite(z).all() and np.isfinite(y).all()):
            raise ValueError(
                invalid(where, "z, y", "NaN or infinity", "finite", "Drop the failed evaluations, pairs as a whole.")
            )
        if antithetic and (len(y) % 2 or not np.allclose(z[0::2], -z[1::2], rtol=0.0, atol=1e-9 * np.abs(z).max())):
            raise ValueError(
                invalid(where, "antithetic", antithetic, "False for these z", "Row 2i + 1 must be minus row 2i.")
            )
        flat = z.reshape(len(z), planes, -1)
        # E z^T Sigma^{-1} z = p for every law; the mean over the rows has this standard deviation (pairs repeat one z):
        # for normal z from the chi-squared law, for others from the rows themselves
        lengths = np.sum(flat * design.solve(flat), axis=-1)
        spread = float(np.mean(lengths)) / design.grid.n_cells
        variance = 2.0 if design.gaussian else float(np.var(lengths)) / design.grid.n_cells
        error = np.sqrt(variance * (2 if antithetic else 1) / z.size)
        if abs(spread - 1.0) > 0.05 + 6.0 * error:
            got = f"rows with z^T Sigma^-1 z = {spread:.3g} p on average"
            remedy = "Check the units (pixels in [0, 1]) and the scale; clipped z have another law than the design's."
            raise ValueError(invalid(where, "z", got, "drawn from `design`, where it is p", remedy))
        picture = np.zeros((planes, p1, p2)) if image is None else np.array(image, dtype=np.float64)
        z.flags.writeable = False
        return cls(
            design=design,
            perturbation=Additive(clip=False),
            image=picture,
            antithetic=antithetic,
            conventions=get_conventions(conventions, where).name,
            f_x0=float(f_x0),
            f_base=float(f_x0),
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
        if others and any(one.stopping is not None for one in (self, *others)):
            remedy = "Extend one run instead: query(..., resume=sample); or merge runs of a fixed n_queries."
            raise ValueError(invalid("QuerySample.merge", "others", "a run with `until`", "runs of fixed size", remedy))
        for other in others:
            for name in ("design", "perturbation", "antithetic", "conventions", "f_x0", "f_base", "response"):
                mine, theirs = getattr(self, name), getattr(other, name)
                if name == "response":
                    # the fingerprint is all that determines the scores; batch sizes and threads do not
                    mine, theirs = mine.get("fingerprint", mine), theirs.get("fingerprint", theirs)
                if mine != theirs:
                    got = f"{mine!r} and {theirs!r}"
                    raise ValueError(invalid("QuerySample.merge", f"others.{name}", got, "the same in every sample"))
            if not np.array_equal(other.image, self.image):
                raise ValueError(
                    invalid("QuerySample.merge", "others.image", "another picture", "the same in every sample")
                )
            if self.external_z is not None or other.external_z is not None:
                raise ValueError(
                    invalid(
                        "QuerySample.merge",
                        "others",
                        "samples from arrays",
                        "samples with a key",
                        "Concatenate the arrays.",
                    )
                )
        samples: Sequence[QuerySample] = (self, *others)
        segments = sorted((s for one in samples for s in one.segments), key=lambda s: (s.key, s.channel, s.first_block))
        for a, b in pairwise(segments):
            if (a.key, a.channel) == (b.key, b.channel) and a.blocks.stop > b.first_block:
                raise ValueError(
                    invalid(
                        "QuerySample.merge",
                        "others",
                        f"{a.blocks} and {b.blocks} of one key",
                        "samples of disjoint blocks of one key, or of different keys",
                        "Give each run its own `first_block` or `rng`.",
                    )
                )
        totals = {f.name: sum(getattr(s.ledger, f.name) for s in samples) for f in dataclasses.fields(Ledger)}
        # descriptions of the response may differ in what does not matter: that of the first segment stays
        first = next(one for one in samples if segments[0] in one.segments)
        return dataclasses.replace(first, segments=tuple(segments), ledger=Ledger(**totals))

    def save(self, path: str | Path) -> None:
        """Write an .npz file without pickle: a JSON header and plain arrays."""
        parameters = self.design.parameters()
        arrays: dict[str, FloatArray] = {"image": self.image}
        header: JSON = {
            "design": type(self.design).__name__,
            "perturbation": type(self.perturbation).__name__,
            "draw_check": self._draw_check(),
            "segments": [
                {"key": [str(k) for k in s.key], "channel": s.channel, "first_block": s.first_block}
                for s in self.segments
            ],
            "ledger": dataclasses.asdict(self.ledger),
            "stopping": None if self.stopping is None else self.stopping.to_dict(),
        }
        for name in ("antithetic", "conventions", "f_x0", "f_base", "response"):
            header[name] = getattr(self, name)
        for prefix, values in (("design", parameters), ("perturbation", self.perturbation.parameters())):
            header[f"{prefix}_parameters"] = {k: v for k, v in values.items() if not isinstance(v, np.ndarray)}
            arrays |= {f"{prefix}.{k}": v for k, v in values.items() if isinstance(v, np.ndarray)}
        for i, segment in enumerate(self.segments):
            arrays[f"responses.{i}"] = segment.responses
            arrays[f"pending.{i}"] = segment.pending
        if self.external_z is not None:
            arrays["external_z"] = self.external_z
        save_arrays(path, "QuerySample", header, arrays)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        ValueError
            If the file is not a saved sample, or this machine's numpy draws other numbers from the stored key.
        """
        with loading_arrays(path, "QuerySample") as (header, arrays):

            def parameters(prefix: str) -> dict[str, Any]:
                given = {k.removeprefix(f"{prefix}."): v for k, v in arrays.items() if k.startswith(f"{prefix}.")}
                return {**header[f"{prefix}_parameters"], **given}

            segments = tuple(
                Segment(
                    (int(s["key"][0]), int(s["key"][1])),
                    s["channel"],
                    s["first_block"],
                    arrays[f"responses.{i}"],
                    arrays[f"pending.{i}"],
                )
                for i, s in enumerate(header["segments"])
            )
            sample = cls(
                design=design_from_parameters(header["design"], parameters("design")),
                perturbation=PERTURBATIONS[header["perturbation"]](**parameters("perturbation")),
                image=arrays["image"],
                segments=segments,
                ledger=Ledger(**header["ledger"]),
                external_z=arrays.get("external_z"),
                stopping=None if header.get("stopping") is None else Stopping.from_dict(header["stopping"]),
                **{name: header[name] for name in ("antithetic", "conventions", "f_x0", "f_base", "response")},
            )
            drawn = header["draw_check"]
        if sample._draw_check() != drawn:
            raise ValueError(
                f"legstat.QuerySample.load: numpy {np.__version__} draws other numbers from the key in {str(path)!r} "
                "than the numpy that wrote it; its responses belong to perturbations that cannot be drawn again "
                "here. Load it with the version named in its record."
            )
        return sample

    def _draw_check(self) -> str:
        """Digest of the first block's first normals: tells whether this numpy draws what was drawn."""
        if self.external_z is not None or not self.segments:
            return ""
        first = self.segments[0]
        # the raw normals, not z: the latter may differ in the last bit with the linear algebra library
        bits = np.random.Philox(key=np.array(first.key, dtype=np.uint64), counter=np.zeros(4, dtype=np.uint64))
        return hashlib.sha256(np.random.Generator(bits).standard_normal(1024).tobytes()).hexdigest()
