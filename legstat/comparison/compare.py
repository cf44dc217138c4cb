"""`compare`: every method before the same pictures with the same number of counted evaluations."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

from tqdm import tqdm

from legstat._core.checks import check_count
from legstat._core.digests import array_sha256, value_sha256
from legstat._core.errors import LegstatWarning, invalid
from legstat._core.typing import AnyArray, FloatArray
from legstat.comparison.by_name import METHODS, chosen_measures, chosen_methods
from legstat.comparison.measure import Measure
from legstat.comparison.method import Choosy, Method
from legstat.comparison.outcome import Outcome
from legstat.comparison.pictures import (
    Label,
    Rule,
    Shown,
    Wrong,
    check_baselines,
    check_sizes,
    classes_of,
    named_pictures,
)
from legstat.comparison.results import Comparison
from legstat.comparison.store import FORMAT, MapStore
from legstat.comparison.work import Finished, Plan, Work, grouped
from legstat.responses.base import Response
from legstat.responses.carried import Carried, Source
from legstat.sampling.cache import QueryCache, as_cache
from legstat.sampling.cache_keys import settled_key

__all__ = ["METHODS", "compare"]
_WHERE = "compare"


def compare(
    methods: Sequence[str | Method],
    response: Source,
    images: Mapping[str, AnyArray] | Sequence[AnyArray],
    *,
    metrics: Sequence[str | Measure] = ("deletion", "insertion", "insertion_minus_deletion", "key_size"),
    n_queries: Sequence[int] = (500, 2000),
    rng: int = 0,
    labels: Mapping[str, Label] | Sequence[Label] | None = None,
    wrong: Wrong = "keep",
    least_score: float | None = None,
    store: str | Path | None = None,
    cache: QueryCache | str | Path | None = None,
    n_jobs: int | None = None,
    progress: bool = True,
) -> Comparison:
    """Compare methods on the same pictures, each with the same number of counted evaluations.

    Parameters
    ----------
    methods : sequence of str or Method
        Names ("leg", "legtv", "rise", "lime_cells", "lime_superpixels", "kernelshap", "shapley_pairs", "c_shapley",
        "c_shapley_regression", "sobol", "hsic", "occlusion", "occlusion_blur", "occlusion_variable", "centre",
        "random", "edges"; of a torch module also "gradient", "guided_backprop", "integrated_gradients", "smoothgrad",
        "gradcam"), or anything with `Method`'s protocol.
    response : Response or callable
        The black box, whose score is explained; with target "top" each picture is explained for its own first choice.
        Or a function of no argument that opens it: each worker calls it once, on its own device.
    images : mapping of str to ndarray, or sequence of ndarray of shape (C, H, W)
        The pictures, with names or numbered.
    metrics : sequence of str or Measure
        Of "deletion", "insertion", "insertion_minus_deletion" (areas against the blurred picture in 56 steps),
        "key_size" (the share of cells to blacken), "log_odds_ratio", "patch_correlation", "infidelity", "road",
        "smallest_box", "max_sensitivity" (ten maps more for each map); or anything with the protocol
        `legstat.comparison.measure.Measure`.
    n_queries : sequence of int, default (500, 2000)
        Budgets of a map; what metrics ask comes on top, and is the same for all.
    rng : int, default 0
        Seed: each picture and method has draws of its own, whatever else is compared. It also decides the order of
        tied cells, in the same way for all maps of a picture.
    labels : mapping of str to class, or sequence of classes, optional
        The true classes, as indices or labels: by name of the picture, or one for each. Whether the network's first
        choice is right is then reported.
    wrong : {"keep", "drop"}, default "keep"
        What becomes of pictures that it gets wrong. A map explains what the network does, right or wrong.
    least_score : float, optional
        Pictures whose target has a lower probability are dropped (of a function: a lower score).
    store : str or Path, optional
        Folder in which every finished map and its numbers are kept: a comparison that was stopped goes on from there,
        and metrics that are added later ask for no map again.
    cache : QueryCache or str or Path, optional
        Answers of LEG and LEG-TV, which ask the same: the second pays for nothing, nor does a larger budget for what
        a smaller one asked. They count in full all the same.
    n_jobs : int, optional
        Pictures and methods at a time, through joblib; by default what ``joblib.parallel_config`` says, else 1. The
        result has the same bits for any number.
    progress : bool, default True
        Show a progress bar if the output is a terminal.

    Returns
    -------
    Comparison
        Rows, maps, ``summary()``, ``differences(against=)``, ``evaluations()``.

    Raises
    ------
    ValueError
        Unknown names, doubled names, a budget below a method's least, pictures that do not fit or equal a baseline,
        labels of no class; before any evaluation.
    TypeError
        Arguments of another kind; a response that cannot be sent to workers.

    Warns
    -----
    LegstatWarning
        Some maps are constant; their cells were ranked at random.

    Notes
    -----
    Costs one evaluation a picture, and for each method the budgets and some 170 evaluations of metrics for each map.
    Networks are opened once in each worker. Workers in processes of their own share the processors.

    Examples
    --------
    >>> import legstat as ls
    >>> from legstat.comparison.methods.controls import CentreMap, RandomMap
    >>> from legstat.data import digits_model_path, load_digit
    >>> f = ls.onnx_response(digits_model_path(), preprocessing="unit")
    >>> digits = [load_digit(i)[0] for i in range(3)]
    >>> methods = [RandomMap((8, 8)), CentreMap((8, 8))]
    >>> found = ls.compare(methods, f, digits, n_queries=[0], progress=False)
    >>> found
    <Comparison: methods 2, budgets 1, pictures 3, metrics 4>
    """
    from legstat._core.parallel import side_by_side  # joblib takes long to load

    for name, given in {"methods": methods, "n_queries": n_queries, "metrics": metrics}.items():
        if isinstance(given, str) or not isinstance(given, Iterable):
            raise TypeError(invalid(_WHERE, name, given, f"a list, such as [{given!r}]"))
    carried = Carried(response, _WHERE)
    black_box = carried.response
    budgets = tuple(check_count(_WHERE, "n_queries", one, 0) for one in n_queries)
    if not budgets or len(set(budgets)) < len(budgets):
        raise ValueError(invalid(_WHERE, "n_queries", n_queries, "one or more different budgets"))
    chosen = chosen_methods(_WHERE, methods, budgets)
    for method in chosen:
        if isinstance(method, Choosy):
            method.check_response(black_box)
    measures = chosen_measures(_WHERE, metrics, black_box)
    seed = check_count(_WHERE, "rng", rng, 0)
    pictures = named_pictures(_WHERE, images, black_box)
    truth = classes_of(_WHERE, labels, pictures, black_box)
    rule = Rule.check(_WHERE, wrong, least_score, labelled=labels is not None)
    kept = None if store is None else MapStore.at(_WHERE, store)
    if kept is not None:
        _check_names(chosen, measures)
        settled_key(black_box, _WHERE, "store")
    answers = None if cache is None else as_cache(cache)
    if answers is not None:
        settled_key(black_box, _WHERE, "cache")
    check_sizes(_WHERE, pictures, chosen, budgets)
    check_baselines(_WHERE, black_box, pictures, chosen, measures)
    carried.check(n_jobs)

    plan = Plan(budgets, measures, seed, kept, answers)
    facts, dropped, works = {}, {}, []
    with nullcontext() if answers is None else answers.opened() as known:
        for number, (name, picture) in enumerate(pictures.items()):
            shown, settled = Shown.of(black_box, name, number, picture, truth.get(name), known)
            facts[name] = shown.facts
            reason = rule.reason(shown.facts)
            if reason is not None:
                dropped[name] = reason
                continue
            keys = {} if kept is None else _keys(settled, picture, number, chosen, plan)
            works += [Work(carried, shown, group, plan, keys) for group in grouped(chosen)]
    finished: dict[tuple[str, str, int], Finished] = {}
    total = sum(len(work.methods) for work in works) * len(budgets)
    with tqdm(total=total, desc="maps", disable=None if progress else True) as bar:
        for work, found in side_by_side(Work.__call__, works, n_jobs):
            finished.update({(work.shown.name, one.about["method"], one.about["n_queries"]): one for one in found})
            bar.update(len(found))
    order = [(name, one.name, n) for name in pictures if name not in dropped for one in chosen for n in budgets]
    rows = [row for key in order for row in finished[key].rows]
    outcomes = [finished[key].outcome for key in order]
    _tell_constant(outcomes)
    high_is_good = {measure.name: measure.high_is_good for measure in measures}
    return Comparison(rows, dropped, outcomes, facts, high_is_good)


def _keys(
    settled: Response, image: FloatArray, number: int, methods: Sequence[Method], plan: Plan
) -> dict[tuple[str, int], str]:
    """What determines a map, as the key under which the store has it."""
    common = (FORMAT, settled_key(settled, _WHERE, "store"), array_sha256(image), image.shape, plan.seed, number)
    return {
        (method.name, budget): value_sha256(*common, repr(method), budget)[0]
        for method in methods
        for budget in plan.budgets
    }


def _check_names(methods: Sequence[Method], measures: Sequence[Measure]) -> None:
    """A store finds things again by their `repr`, which Python's own does not give."""
    given: list[tuple[str, Method | Measure]] = [("methods", one) for one in methods]
    given += [("metrics", one) for one in measures]
    for argument, one in given:
        if " at 0x" in repr(one):
            valid = "of a class with a __repr__ that says its settings, where there is a store"
            raise ValueError(invalid(_WHERE, argument, one, valid, "A dataclass has one."))


def _tell_constant(outcomes: Sequence[Outcome]) -> None:
    constant = [one for one in outcomes if one.saliency.size > 1 and one.saliency.min() == one.saliency.max()]
    if constant:
        warnings.warn(
            f"legstat.compare: {len(constant)} of {len(outcomes)} maps are constant, first {constant[0]!r}: their "
            "cells are ranked at random by the seed, and what is measured by ranks is chance.",
            LegstatWarning,
            stacklevel=3,
        )
