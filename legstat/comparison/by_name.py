"""The methods and the measures that `compare` knows by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from legstat._core.errors import invalid
from legstat.comparison.measure import Measure
from legstat.comparison.measures import (
    DeletionArea,
    DifferenceOf,
    Infidelity,
    InsertionArea,
    KeySizeShare,
    LogOddsRatio,
    MaxSensitivity,
    PatchCorrelation,
    RoadArea,
    SuppressingArea,
)
from legstat.comparison.method import Method
from legstat.comparison.methods.connected import CShapley, CShapleyRegression
from legstat.comparison.methods.controls import CentreMap, EdgeMap, RandomMap
from legstat.comparison.methods.discs import BlurOcclusion, VariableOcclusion
from legstat.comparison.methods.games import KernelShap, ShapleyPairs
from legstat.comparison.methods.gradients import (
    GradCamMap,
    GradientMap,
    GuidedBackpropMap,
    IntegratedGradientsMap,
    SmoothGradMap,
)
from legstat.comparison.methods.masks import Occlusion, Rise
from legstat.comparison.methods.optimised import IgosMap, MaskMap
from legstat.comparison.methods.own import LegMap, LegTvMap
from legstat.comparison.methods.regressions import LimeCells, LimeSuperpixels
from legstat.comparison.methods.variances import Hsic, SobolIndices
from legstat.responses.base import Response

METHODS: dict[str, Callable[[], Method]] = {
    method().name: method
    for method in (
        *(LegMap, LegTvMap, Rise, LimeCells, LimeSuperpixels, KernelShap, ShapleyPairs, CShapley, CShapleyRegression),
        *(SobolIndices, Hsic, Occlusion, BlurOcclusion, VariableOcclusion, MaskMap, IgosMap),
        *(CentreMap, RandomMap, EdgeMap),
        *(GradientMap, GuidedBackpropMap, IntegratedGradientsMap, SmoothGradMap, GradCamMap),
    )
}
"""The methods that `compare` knows by name."""
MEASURES: dict[str, Callable[[], Measure]] = {
    measure().name: measure
    for measure in (
        *(DeletionArea, InsertionArea, DifferenceOf, KeySizeShare, LogOddsRatio),
        *(PatchCorrelation, Infidelity, RoadArea, SuppressingArea, MaxSensitivity),
    )
}
"""The measures that `compare` knows by name."""
NEED_CLASSES = KeySizeShare
"""What asks for the network's first choice, which plain functions lack."""
Chosen = TypeVar("Chosen", Method, Measure)


def chosen_methods(where: str, given: Sequence[object], budgets: Sequence[int]) -> tuple[Method, ...]:
    """The methods of names or methods, or an error about `methods`, or about a budget below a method's least."""
    valid, see = "names, or callables with `name` and `least`", "See legstat.comparison.method.Method."
    chosen = _chosen(where, "methods", given, METHODS, Method, valid, see)
    for method in chosen:
        if budgets and min(budgets) < method.least:
            got = f"{min(budgets)} for {method.name!r}"
            raise ValueError(invalid(where, "n_queries", got, f"at least {method.least} for that method"))
    return chosen


def chosen_measures(where: str, given: Sequence[object], response: Response) -> tuple[Measure, ...]:
    """The measures of names or measures, or an error about the argument `metrics`."""
    valid, see = "names, or callables with `name` and `high_is_good`", "See legstat.comparison.measure.Measure."
    chosen = _chosen(where, "metrics", given, MEASURES, Measure, valid, see)
    for measure in chosen:
        if isinstance(measure, NEED_CLASSES) and not response.has_classes:
            raise ValueError(invalid(where, "metrics", measure.name, "left out for a function, which has no classes"))
    return chosen


def _chosen(
    where: str,
    argument: str,
    given: Sequence[object],
    known: Mapping[str, Callable[[], Chosen]],
    kind: Any,  # a protocol, which is no `type[...]`
    valid: str,
    see: str,
) -> tuple[Chosen, ...]:
    """What is named, or given as it is; no two of one name."""
    chosen: list[Chosen] = []
    for one in given:
        if isinstance(one, str):
            if one not in known:
                raise ValueError(invalid(where, argument, one, "one of " + ", ".join(map(repr, known))))
            chosen.append(known[one]())
        elif isinstance(one, kind) and not isinstance(one, type):
            chosen.append(one)
        else:
            raise TypeError(invalid(where, argument, one, valid, see))
    names = [one.name for one in chosen]
    if not names or len(set(names)) < len(names):
        raise ValueError(invalid(where, argument, names, f"one or more different {argument}"))
    return tuple(chosen)
