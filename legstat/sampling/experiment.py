"""The checked plan of a query run: everything about an experiment but the responses."""

from __future__ import annotations

from dataclasses import dataclass
from types import NoneType
from typing import Any, get_args

import numpy as np

from legstat._core.conventions import Conventions, ConventionsName, clash, get_conventions
from legstat._core.errors import invalid
from legstat._core.typing import AnyArray, FloatArray
from legstat.designs.blocks import Key
from legstat.designs.design import Design
from legstat.inference.sequential import analysis_sizes, first_analysis, rule_contrasts
from legstat.perturbations.operators import Additive, Perturbation
from legstat.responses.base import Response
from legstat.samples.sample import QuerySample
from legstat.samples.stopping import HalfWidth, Stopping
from legstat.sampling.cache import Answers, Shelf


@dataclass(frozen=True, eq=False)
class Plan:
    """A checked experiment: everything about it but the responses."""

    design: Design
    perturbation: Perturbation
    image: FloatArray
    antithetic: bool
    rules: Conventions
    n_queries: int
    first_block: int
    resume: QuerySample | None = None
    until: HalfWidth | None = None
    beforehand: int = 0

    def __post_init__(self) -> None:
        for name in ("n_queries", "first_block", "beforehand"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer):
                raise TypeError(invalid("query", name, value, "a whole number"))
            object.__setattr__(self, name, int(value))
        if not 0 <= self.first_block < 2**63:
            raise ValueError(invalid("query", "first_block", self.first_block, "a block number from 0 to 2**63 - 1"))
        if self.beforehand < 0:
            raise ValueError(invalid("query", "beforehand", self.beforehand, "a number of evaluations >= 0"))
        if self.units < 1:
            unit = "pair" if self.antithetic else "draw"
            base = " and the base point" if self.perturbation.needs_base else ""
            remedy = f"That pays for f(x0){base} and one {unit} for each channel."
            if self.resume is not None:
                remedy = "It is the ceiling over all runs: what the resumed sample has cost, and what it still misses."
            fewest = self.fixed + sum(max(k, self.per_unit) for k in self.known)
            raise ValueError(invalid("query", "n_queries", self.n_queries, f"at least {fewest}", remedy))
        if self.until is not None:
            rule_contrasts(
                self.until, self.design.grid.shape, max(self.streams, self.planes) * self.design.grid.n_cells
            )
            first = first_analysis(self.until, self.rules)
            if self.units < first:
                valid = f"at least {self.queries(first)} with `until`"
                remedy = f"Intervals are offered, and looked at, from {first} units a channel."
                raise ValueError(invalid("query", "n_queries", self.n_queries, valid, remedy))

    @property
    def overhead(self) -> int:
        """Evaluations before the first unit: f(x0), and the base point where it differs."""
        return 1 + int(self.perturbation.needs_base)

    @property
    def fixed(self) -> int:
        """Evaluations of the budget that no unit gets: f(x0), the base point, failed ones, those made beforehand."""
        return self.overhead + self.failed + self.beforehand

    @property
    def per_unit(self) -> int:
        """Evaluations of one unit."""
        return 2 if self.antithetic else 1

    @property
    def streams(self) -> int:
        """Channels with a budget of their own."""
        return len(self.image) if self.design.channels == "separate" else 1

    @property
    def planes(self) -> int:
        """Independent planes of z in one unit."""
        return len(self.image) if self.design.channels == "joint" else 1

    @property
    def failed(self) -> int:
        """Evaluations of the resumed sample that gave no number."""
        return 0 if self.resume is None else self.resume.ledger.failed

    @property
    def known(self) -> tuple[int, ...]:
        """Evaluations that each stream of the resumed sample already spans."""
        if self.resume is None:
            return (0,) * self.streams
        return tuple(s.responses.size + s.pending.size for s in self.resume.segments)

    @property
    def units(self) -> int:
        """Units of each stream that the budget allows."""
        budget = self.n_queries - self.fixed
        units = budget // (self.per_unit * self.streams)
        # a run that was stopped may be a block ahead in its first streams
        while units > 0 and sum(max(k, units * self.per_unit) for k in self.known) > budget:
            units -= 1
        return units

    def queries(self, units: int) -> int:
        """The budget that pays for so many units of each stream."""
        return self.fixed + units * self.per_unit * self.streams

    @property
    def looks(self) -> tuple[int, ...]:
        """Units of each stream after which to look whether to stop, the last time at what the budget allows."""
        if self.until is None:
            return (self.units,)
        sizes = set(analysis_sizes(first_analysis(self.until, self.rules), self.units))
        if self.resume is None:
            return tuple(sorted(sizes))
        # looks at fewer units than are there were made by the run that is resumed, or missed by one without a rule
        there = min(min(self.resume.n_units), self.units)
        if self.resume.stopping is not None and there in self.resume.stopping.units:
            sizes.add(there)  # where it ended: at its ceiling, say
        return tuple(sorted(size for size in sizes if size >= there))

    @property
    def stopping(self) -> Stopping | None:
        """What a run by `until` has seen before its first evaluation: nothing, or what the resumed run saw."""
        if self.until is None:
            return None
        earlier = None if self.resume is None else self.resume.stopping
        if earlier is not None and earlier.rule == self.until:
            return earlier
        return Stopping(rule=self.until, start=0 if self.resume is None else min(self.resume.n_units))

    def shelf(self, answers: Answers, response: Response, key: Key) -> Shelf:
        """Where the cache keeps the answers of this experiment: all that determines them, but not how many."""
        design, operator = self.design, self.perturbation
        laws = [(type(law).__name__, law.parameters()) for law in (design, operator)]
        return answers.shelf(response, self.image, *laws, self.antithetic, key)

    def check_resumable(self, sample: QuerySample, rng: Any, first_block: int) -> None:
        """ValueError where that sample is no earlier part of this experiment."""
        if rng is not None or first_block:
            raise ValueError(
                invalid(
                    "query",
                    "rng, first_block",
                    (rng, first_block),
                    "left out with `resume`",
                    "The sample's key goes on.",
                )
            )
        mine = {"design": self.design, "perturbation": self.perturbation}
        for name, value in mine.items():
            if getattr(sample, name) != value:
                raise ValueError(invalid("query", name, value, f"{getattr(sample, name)!r}, as in the resumed sample"))
        if not np.array_equal(sample.image, self.image):
            raise ValueError(
                invalid("query", "image", "another picture", "the resumed sample's picture", "Pass `resume.image`.")
            )
        if sample.external_z is not None or len({s.channel for s in sample.segments}) != len(sample.segments):
            remedy = "Extend each run before merging, or make a new run and merge it."
            raise ValueError(
                invalid("query", "resume", "a merged sample or one from arrays", "the sample of one run", remedy)
            )


def make_plan(
    image: AnyArray,
    design: Design,
    n_queries: int,
    *,
    perturbation: Perturbation | None,
    antithetic: bool | None,
    conventions: ConventionsName | None,
    first_block: int,
    resume: QuerySample | None,
    until: HalfWidth | float | None,
    beforehand: int,
) -> Plan:
    """The arguments of `query` as a plan; an error where one cannot be right."""
    picture = _check_image(image)
    _check_type("design", design, Design, "such as StructuredGaussian(grid=(28, 28))")
    _check_type("perturbation", perturbation, Perturbation | None, "such as Additive() or Blend()")
    _check_type("resume", resume, QuerySample | None, "an earlier result, or `error.sample`")
    if conventions is not None and resume is not None and conventions != resume.conventions:
        raise clash("query", "conventions", conventions, resume.convention_set, resume.conventions)
    rules = get_conventions(conventions or (resume.conventions if resume is not None else "default"))
    law = design.with_conventions(rules)
    operator = _operator(perturbation, rules, resume)
    operator.check(picture, law.grid, law.channels)
    _check_type("antithetic", antithetic, bool | np.bool_ | None, "True or False")
    paired = _antithetic(antithetic, rules, resume)
    rule = None if until is None else HalfWidth.of(until)
    if resume is not None and isinstance(beforehand, int):
        beforehand = max(beforehand, resume.ledger.beforehand)
    return Plan(law, operator, picture, paired, rules, n_queries, first_block, resume, rule, beforehand)


def _check_type(name: str, value: object, kind: Any, valid: str) -> None:
    if not isinstance(value, kind):
        wanted = "a " + " or ".join(t.__name__ for t in get_args(kind) or (kind,) if t is not NoneType)
        raise TypeError(invalid("query", name, value, f"{wanted}, {valid}"))


def _check_image(image: AnyArray) -> FloatArray:
    remedy = "`response.load_image(path)` reads a picture file in this form."
    if np.asarray(image).dtype.kind not in "fiub":
        raise TypeError(invalid("query", "image", image, "an array of real numbers of shape (C, H, W)", remedy))
    picture = np.array(image, dtype=np.float64)
    if picture.ndim != 3 or not picture.size:
        raise ValueError(invalid("query", "image", picture.shape, "an array of shape (C, H, W)", remedy))
    if not np.isfinite(picture).all():
        raise ValueError(invalid("query", "image", "NaN or infinity", "finite", remedy))
    if picture.min() < 0 or picture.max() > 1:
        got = f"values from {picture.min():g} to {picture.max():g}"
        raise ValueError(
            invalid("query", "image", got, "RGB or grey within [0, 1]", "Divide 0..255 pictures by 255. " + remedy)
        )
    picture.flags.writeable = False
    return picture


def _operator(given: Perturbation | None, rules: Conventions, resume: QuerySample | None) -> Perturbation:
    if given is not None:
        return given.with_conventions(rules)
    return resume.perturbation if resume is not None else Additive(clip=rules.clip, quantise=rules.quantise)


def _antithetic(given: bool | None, rules: Conventions, resume: QuerySample | None) -> bool:
    implied = rules.antithetic if resume is None else resume.antithetic
    if given is None:
        return implied
    if rules.name != "default" and given != implied:
        raise clash("query", "antithetic", given, rules, implied)
    if resume is not None and given != implied:
        raise ValueError(invalid("query", "antithetic", given, f"{implied}, as in the resumed sample"))
    return bool(given)


def key_of(rng: Any) -> Key:
    """The generator's key that `rng` (anything `numpy.random.default_rng` takes) stands for."""
    words = np.random.default_rng(rng).integers(0, 2**64, size=2, dtype=np.uint64)
    return int(words[0]), int(words[1])


def key_from(rng: Any, key: Key | None) -> Key:
    """The key that is given, or that `rng` stands for; ValueError where both are."""
    if key is None:
        return key_of(rng)
    if rng is not None:
        raise ValueError(invalid("query", "rng, key", (rng, key), "not given together"))
    if not all(0 <= word < 2**64 for word in key):
        raise ValueError(invalid("query", "key", key, "two integers of 64 bits", "Or give a seed as `rng`."))
    return key[0], key[1]
