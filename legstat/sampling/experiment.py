"""The experiment: everything about a query run but the responses, checked once and passed on as one value."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from legstat._core.checks import check_count, check_rng, check_type, is_number
from legstat._core.conventions import Conventions, ConventionsName, clash, get_conventions
from legstat._core.errors import invalid
from legstat._core.typing import FloatArray
from legstat.designs.blocks import Key
from legstat.designs.design import Design
from legstat.inference.sequential import analysis_sizes, first_analysis, rule_contrasts
from legstat.perturbations.clipped_law import clips
from legstat.perturbations.operators import Perturbation
from legstat.responses.base import Response
from legstat.samples.budget import Budget, planes_of
from legstat.samples.sample import QuerySample
from legstat.samples.segments import Ledger, Segment
from legstat.samples.stopping import HalfWidth, Stopping
from legstat.sampling.answers import Answers, Shelf
from legstat.sampling.defaults import N_QUERIES, default_operator


@dataclass(frozen=True, kw_only=True, eq=False)
class Experiment:
    """A checked experiment: with a response it determines a sample, to the bit.

    Made by `Experiment.of`.

    Attributes
    ----------
    image : ndarray of shape (C, H, W)
        The picture, as `Response.check_image` gives it.
    design : Design
        Law of z, nothing left open.
    perturbation : Perturbation
        How z acts.
    rules : Conventions
        The conventions.
    antithetic : bool
        Whether an observation is a pair.
    n_queries : int
        Ceiling on evaluations.
    key : pair of int
        The generator's key.
    first_block : int
        Number of the first block of draws.
    until : HalfWidth or None
        When the run may stop by itself.
    beforehand : int
        Evaluations made before on this budget.
    resume : QuerySample or None
        An earlier part of this experiment, to go on from.
    """

    image: FloatArray
    design: Design
    perturbation: Perturbation
    rules: Conventions
    antithetic: bool
    n_queries: int
    key: Key
    first_block: int = 0
    until: HalfWidth | None = None
    beforehand: int = 0
    resume: QuerySample | None = None

    @classmethod
    def of(
        cls,
        picture: FloatArray,
        design: Design,
        n_queries: int = N_QUERIES,
        *,
        perturbation: Perturbation | None = None,
        antithetic: bool | None = None,
        conventions: ConventionsName | None = None,
        rng: Any = None,
        key: Key | None = None,
        resume: QuerySample | None = None,
        first_block: int = 0,
        until: HalfWidth | float | None = None,
        beforehand: int = 0,
    ) -> Self:
        """The arguments of `query` as an experiment; the picture is one that `Response.check_image` gave.

        Raises
        ------
        ValueError, TypeError
            Where an argument cannot be right.
        """
        check_type("query", "design", design, Design, "such as StructuredGaussian(grid=(28, 28))")
        check_type("query", "perturbation", perturbation, Perturbation | None, "such as Additive() or Blend()")
        check_type("query", "resume", resume, QuerySample | None, "an earlier result, or `error.sample`")
        check_type("query", "antithetic", antithetic, bool | np.bool_ | None, "True or False")
        if not is_number(n_queries) or not float(n_queries).is_integer():
            raise TypeError(invalid("query", "n_queries", n_queries, "a whole number"))
        first_block = check_count("query", "first_block", first_block, 0, 2**63 - 1)
        beforehand = check_count("query", "beforehand", beforehand, 0)
        if conventions is not None and resume is not None and conventions != resume.conventions:
            raise clash("query", "conventions", conventions, resume.convention_set, resume.conventions)
        rules = get_conventions(conventions or (resume.conventions if resume is not None else "default"))
        law = design.with_conventions(rules)
        if perturbation is not None:
            operator = perturbation.with_conventions(rules)
        else:
            operator = default_operator(rules, design_given=True) if resume is None else resume.perturbation
        if resume is not None:
            _check_resumable(resume, picture, law, operator, (rng, key, first_block))
            key, first_block = resume.segments[0].key, resume.segments[0].first_block
            beforehand = max(beforehand, resume.ledger.beforehand)
        else:
            operator.check(picture, law.grid, law.channels)
            if not (law.gaussian or law.two_valued):  # of the others all is known, clipped or not
                cell_map = operator.cell_map(picture, law.grid, law.channels, 0)
                if cell_map is not None:
                    clips(law, cell_map)
            key = _key(rng, key)
        experiment = cls(
            image=picture,
            design=law,
            perturbation=operator,
            rules=rules,
            antithetic=_pairing(antithetic, rules, resume),
            n_queries=int(n_queries),
            key=key,
            first_block=first_block,
            until=None if until is None else HalfWidth.of(until),
            beforehand=beforehand,
            resume=resume,
        )
        experiment._check_budget()
        return experiment

    # ---------------------------------------------------------------- sizes

    @property
    def planes(self) -> int:
        """Independent planes of z in one draw."""
        return planes_of(self.design, self.image)

    @cached_property
    def budget(self) -> Budget:
        """How queries become observations; what failed or was spent beforehand gives none."""
        failed = 0 if self.resume is None else self.resume.ledger.failed
        spent = failed + self.beforehand
        return Budget.of(self.design, self.perturbation, self.image, self.antithetic, more=spent)

    @cached_property
    def known(self) -> tuple[int, ...]:
        """Answers that each stream of the resumed sample spans, gaps included."""
        if self.resume is None:
            return (0,) * self.budget.streams
        return tuple(s.responses.size + s.pending.size for s in self.resume.segments)

    @cached_property
    def units(self) -> int:
        """Observations of each stream that the ceiling allows."""
        units = self.budget.units(self.n_queries)
        # a run that was stopped may be a block ahead in its first streams
        while units > 0 and self._span(units) > self.n_queries - self.budget.overhead:
            units -= 1
        return units

    def _span(self, units: int) -> int:
        """Answers of all streams with so many observations in each, or more where more are known."""
        return sum(max(known, units * self.budget.per_unit) for known in self.known)

    @cached_property
    def analyses(self) -> tuple[int, ...]:
        """Observations of each stream at the interim analyses, the last one at what the ceiling allows."""
        if self.until is None:
            return (self.units,)
        sizes = set(analysis_sizes(first_analysis(self.until, self.rules), self.units))
        if self.resume is None:
            return tuple(sorted(sizes))
        # analyses of fewer than are there were made by the run that is resumed, or missed by one without a rule
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

    # ---------------------------------------------------------------- what it is handed on as

    def shelf(self, answers: Answers, response: Response) -> Shelf:
        """Where the cache keeps the answers of this experiment: all that determines them, but not how many."""
        laws = [(type(law).__name__, law.parameters()) for law in (self.design, self.perturbation)]
        return answers.shelf(response, self.image, *laws, self.antithetic, self.key)

    def begun(self, response: Response, f_x0: float, *, served: bool) -> QuerySample:
        """Its sample before the first draw, with f(x0) evaluated, or `served` from a cache."""
        empty = np.empty((0, self.budget.per_unit))
        return QuerySample(
            design=self.design,
            perturbation=self.perturbation,
            image=self.image,
            antithetic=self.antithetic,
            conventions=self.rules.name,
            f_x0=f_x0,
            f_base=float("nan") if self.perturbation.needs_base else f_x0,
            segments=tuple(Segment(self.key, c, self.first_block, empty) for c in range(self.budget.streams)),
            response=response.describe(),
            ledger=Ledger(
                self.n_queries,
                x0=int(not served),
                base=0,
                perturbed=0,
                cached=int(served),
                trials=0 if served else response.trials,
            ),
        )

    # ---------------------------------------------------------------- checks

    def _check_budget(self) -> None:
        if self.units < 1:
            base = " and the base point" if self.perturbation.needs_base else ""
            remedy = f"That pays for f(x0){base} and one {self.budget.unit} for each channel."
            if self.resume is not None:
                remedy = "It is the ceiling over all runs: what the resumed sample has cost, and what it still misses."
            fewest = self.budget.overhead + self._span(1)
            raise ValueError(invalid("query", "n_queries", self.n_queries, f"at least {fewest}", remedy))
        if self.until is not None:
            streams = max(self.budget.streams, self.planes)
            rule_contrasts(self.until, self.design.grid.shape, streams * self.design.grid.n_cells)
            first = first_analysis(self.until, self.rules)
            if self.units < first:
                valid = f"at least {self.budget.queries(first)} with `until`"
                remedy = f"Intervals are offered, and analysed, from {first} {self.budget.unit}s a channel."
                raise ValueError(invalid("query", "n_queries", self.n_queries, valid, remedy))


def key_of(rng: Any) -> Key:
    """The generator's key that `rng` (anything `numpy.random.default_rng` takes) stands for."""
    words = check_rng("query", rng).integers(0, 2**64, size=2, dtype=np.uint64)
    return int(words[0]), int(words[1])


def _key(rng: Any, key: Key | None) -> Key:
    """The key that is given, or that `rng` stands for; ValueError where both are."""
    if key is None:
        return key_of(rng)
    if rng is not None:
        raise ValueError(invalid("query", "rng, key", (rng, key), "not given together"))
    words: tuple[object, ...] = tuple(key)
    if len(words) != 2 or not all(isinstance(word, int) and 0 <= word < 2**64 for word in words):
        raise ValueError(invalid("query", "key", key, "two integers of 64 bits", "Or give a seed as `rng`."))
    return key[0], key[1]


def _check_resumable(
    sample: QuerySample, picture: FloatArray, design: Design, perturbation: Perturbation, draws: tuple[Any, ...]
) -> None:
    """ValueError where that sample is no earlier part of the experiment."""
    rng, key, first_block = draws
    if rng is not None or key is not None or first_block:
        got = (rng if key is None else key, first_block)
        remedy = "The sample's key goes on."
        raise ValueError(invalid("query", "rng, first_block", got, "left out with `resume`", remedy))
    for name, value in {"design": design, "perturbation": perturbation}.items():
        if getattr(sample, name) != value:
            raise ValueError(invalid("query", name, value, f"{getattr(sample, name)!r}, as in the resumed sample"))
    if not np.array_equal(sample.image, picture):
        remedy = "Pass `resume.image`."
        raise ValueError(invalid("query", "image", "another picture", "the resumed sample's picture", remedy))
    channels, keys = ({getattr(s, name) for s in sample.segments} for name in ("channel", "key"))
    if sample.external_z is not None or len(channels) != len(sample.segments) or len(keys) != 1:
        given, remedy = "a merged sample or one from arrays", "Extend each run first, or make a new run and merge it."
        raise ValueError(invalid("query", "resume", given, "the sample of one run", remedy))


def _pairing(given: bool | None, rules: Conventions, resume: QuerySample | None) -> bool:
    implied = rules.antithetic if resume is None else resume.antithetic
    if given is None:
        return implied
    if rules.name != "default" and given != implied:
        raise clash("query", "antithetic", given, rules, implied)
    if resume is not None and given != implied:
        raise ValueError(invalid("query", "antithetic", given, f"{implied}, as in the resumed sample"))
    return bool(given)
