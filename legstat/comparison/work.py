"""One picture before methods that are seeded alike: the maps, then what they are measured by. Runs in any process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from legstat._core.digests import value_sha256
from legstat._core.errors import invalid
from legstat._core.typing import JSON, FloatArray
from legstat.comparison.measure import Explaining, Measure, Measured
from legstat.comparison.measures import DifferenceOf, primitive
from legstat.comparison.method import Caching, Method, MethodMap, draws_of
from legstat.comparison.outcome import Outcome
from legstat.comparison.pictures import Shown
from legstat.comparison.store import FinishedMap, MapStore
from legstat.responses.base import Response
from legstat.responses.carried import Carried
from legstat.sampling.cache import QueryCache


@dataclass(frozen=True)
class Plan:
    """What is done with every picture.

    Attributes
    ----------
    budgets : tuple of int
        Evaluations of a map.
    measures : tuple of Measure
        What maps are measured by.
    seed : int
        Where draws come from.
    store : MapStore or None
        Where finished maps are kept.
    cache : QueryCache or None
        Where answers are kept.
    """

    budgets: tuple[int, ...]
    measures: tuple[Measure, ...]
    seed: int
    store: MapStore | None = None
    cache: QueryCache | None = None


@dataclass(frozen=True, eq=False)
class Work:
    """One picture before a few methods, at every budget.

    Attributes
    ----------
    carried : Carried
        The black box.
    shown : Shown
        The picture.
    methods : tuple of Method
        All with the same draws.
    plan : Plan
        What is done.
    keys : dict
        (method's name, budget) to the key under which the store keeps that map; empty without a store.
    """

    carried: Carried
    shown: Shown
    methods: tuple[Method, ...]
    plan: Plan
    keys: dict[tuple[str, int], str]

    def __call__(self) -> list[Finished]:
        """The outcomes in the order of methods and budgets; what the store has is read from there."""
        response = self.carried.response.resolved(self.shown.description)
        return [self._outcome(response, method, budget) for method in self.methods for budget in self.plan.budgets]

    def _outcome(self, response: Response, method: Method, budget: int) -> Finished:
        try:
            return self._finished(response, method, budget)
        except Exception as error:
            error.add_note(f"(while {method.name!r} explained {self.shown.name!r} with {budget} evaluations)")
            raise

    def _finished(self, response: Response, method: Method, budget: int) -> Finished:
        image = np.asarray(self.shown.image)  # workers of joblib may see it through a file
        about: JSON = {"method": method.name, "n_queries": budget, "picture": self.shown.name}
        key, store = self.keys.get((method.name, budget), ""), self.plan.store
        found = None if store is None else store.find(key)
        if found is None:
            found = FinishedMap(self._made(response, method, budget, image))
            if store is not None:
                store.keep_map(key, {**about, "method_repr": repr(method)}, found.made)
        known = len(found.measured)
        for measure in self.plan.measures:
            for part in primitive(measure):
                if repr(part) not in found.measured:
                    asking = (
                        part.by(partial(self._made, response, method, budget)) if isinstance(part, Explaining) else part
                    )
                    found.measured[repr(part)] = self._measured(response, image, asking, found.made.saliency)
        if store is not None and len(found.measured) > known:
            store.keep_measured(key, about, found)
        return Finished(about, self.shown, found, self.plan.measures)

    def _made(self, response: Response, method: Method, budget: int, image: FloatArray) -> MethodMap:
        # draws depend on the picture and on the method, not on which others are compared with it
        rng = np.random.default_rng([self.plan.seed, self.shown.number, int(value_sha256(draws_of(method))[0][:8], 16)])
        cache = self.plan.cache
        asking = method.cached_in(cache) if cache is not None and isinstance(method, Caching) else method
        made = asking(response, image, budget, rng)
        if made.n_queries > budget:
            valid = f"within its budget of {budget}"
            raise ValueError(invalid("compare", "methods", f"{made.n_queries} evaluations by {method.name!r}", valid))
        saliency = np.asarray(made.saliency, dtype=np.float64)
        if saliency.ndim != 2 or not saliency.size or not np.isfinite(saliency).all():
            got = f"a map of shape {saliency.shape} by {method.name!r}"
            raise ValueError(invalid("compare", "methods", got, "methods that make finite maps (p1, p2)"))
        return MethodMap(saliency, made.n_queries, made.cached)

    def _measured(self, response: Response, image: FloatArray, measure: Measure, saliency: FloatArray) -> Measured:
        # all maps of a picture meet the same draws of a measure: of noise, of squares, of the order of tied cells
        rng = np.random.default_rng([self.plan.seed, self.shown.number])
        found = measure(response, image, saliency, rng)
        if not isinstance(found, Measured):
            raise TypeError(invalid("compare", "metrics", f"{found!r} by {measure.name!r}", "measures: see Measured"))
        return found


@dataclass(frozen=True, eq=False)
class Finished:
    """A finished map, as rows and for figures.

    Attributes
    ----------
    about : dict
        Method, budget, picture.
    shown : Shown
        The picture.
    found : FinishedMap
        The map, and what was measured on it.
    measures : tuple of Measure
        What rows are wanted of.
    """

    about: JSON
    shown: Shown
    found: FinishedMap
    measures: tuple[Measure, ...]

    @property
    def outcome(self) -> Outcome:
        """The map and the curves on it, by name of the measure."""
        parts = dict.fromkeys(part for measure in self.measures for part in primitive(measure))
        measured = {part.name: self.found.measured[repr(part)] for part in parts}
        curves = {name: one.curve for name, one in measured.items() if one.curve is not None}
        return Outcome(self.about["method"], self.about["n_queries"], self.shown.name, self.found.made.saliency, curves)

    @property
    def rows(self) -> list[JSON]:
        """A row for each measure. `asked`: what it asked for beyond the measures before it."""
        made, rows = self.found.made, []
        _, counts = np.unique(made.saliency, return_counts=True)
        common: JSON = {
            "method": self.about["method"],
            "n_queries": self.about["n_queries"],
            "spent": made.n_queries,
            "cached": made.cached,
            "picture": self.shown.name,
            **{name: self.shown.facts[name] for name in ("target", "target_label", "probability")},
            "grid": "x".join(map(str, made.saliency.shape)),
            "tied": int(counts[counts > 1].sum()),
        }
        paid: set[str] = set()
        for measure in self.measures:
            parts = primitive(measure)
            each = [self.found.measured[repr(part)] for part in parts]
            total = measure.of(*each) if isinstance(measure, DifferenceOf) else each[0]
            asked = sum(one.n_queries for one, part in zip(each, parts, strict=True) if repr(part) not in paid)
            paid.update(map(repr, parts))
            rows.append(
                {**common, "metric": measure.name, "value": total.value, "censored": total.censored, "asked": asked}
            )
        return rows


def grouped(methods: Sequence[Method]) -> list[tuple[Method, ...]]:
    """Methods that are seeded alike together, in the order of the first of them."""
    groups: dict[str, list[Method]] = {}
    for method in methods:
        groups.setdefault(draws_of(method), []).append(method)
    return [tuple(group) for group in groups.values()]
