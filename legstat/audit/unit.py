"""One picture of an audit, from its file to what is kept of it: a unit of work, the same bits wherever it runs."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from legstat._core.digests import array_sha256
from legstat._core.errors import InferenceUnavailableError, invalid
from legstat._core.typing import JSON, FloatArray, IntArray
from legstat.audit.picture import RATES, AuditedPicture
from legstat.audit.pictures import Item, object_on
from legstat.audit.plan import Plan
from legstat.checks import check_picture
from legstat.designs.blocks import Key
from legstat.estimators.leg_results import LEGResults
from legstat.estimators.regions import region_inference
from legstat.explanation.defaults import check_estimates, choose_L
from legstat.explanation.explanation import Explanation
from legstat.explanation.inputs import experiment_for
from legstat.metrics import Curve, deletion, insertion
from legstat.responses.base import Response
from legstat.responses.network.labels import find_class
from legstat.responses.network.response import NetworkResponse
from legstat.samples.sample import QuerySample
from legstat.samples.segments import Segment
from legstat.sampling.experiment import Experiment, key_of
from legstat.sampling.query import evaluate

_WHERE = "audit"
REGIONS_L_RATIO = 0.1
"""L of the regions that are tested, as a fraction of L_max: the published one; what tests may not choose it."""


def audit_picture(response: Response, item: Item, plan: Plan, cache: Path | None = None) -> AuditedPicture:
    """Everything that an audit keeps of one picture.

    Parameters
    ----------
    response : Response
        The black box, as it is opened: nothing settled.
    item : Item
        The picture.
    plan : Plan
        What is done, resolved.
    cache : Path, optional
        Folder in which answers are kept while it lasts.

    Returns
    -------
    AuditedPicture
        The same bits for the same arguments, but for time and what the cache had.

    Raises
    ------
    ValueError
        The picture cannot be read, has changed, or does not fit.
    QueryError, SolverError
        As `explain`.
    """
    began = time.perf_counter()
    image, boxes = item.read(response)
    label = class_of(response, item)
    aimed = aimed_at(response, plan, label)
    experiment = experiment_of(aimed, image, plan)
    read = time.perf_counter()
    sample = evaluate(aimed, experiment, batch_size=plan.batch_size, cache=cache, progress=False)
    asked = time.perf_counter()
    found = Explanation.of(sample, **plan.rule, relaxed=plan.relaxed, progress=False)
    estimated = time.perf_counter()
    regions, table = _regions(found)
    inside = _inside(aimed, item, found, boxes)
    tested = time.perf_counter()
    curves = _curves(aimed.resolved(sample.response), image, found, plan)
    drawn = time.perf_counter()
    checks = _checks(found, plan, sample.segments[0].key)
    ledger = {**vars(sample.ledger), "spent": sample.ledger.spent, "curves": sum(c.n_queries for c in curves.values())}
    seconds = {
        "read": read - began,
        "query": asked - read,
        **found.seconds,
        "regions": tested - estimated,
        "curves": drawn - tested,
        "checks": time.perf_counter() - drawn,
    }
    about = sample.response
    top = about.get("top_x0")
    chance = about.get("probability_x0")
    tv, source = found.tv, found.leg.moments.source
    facts: JSON = {
        "file": item.file,
        "row": item.row,
        "sha256": item.sha256,
        "array_sha256": array_sha256(sample.image),
        "label": label if label is not None else item.label,
        "label_name": _name_of(response, label),
        "group": item.group,
        "boxes": boxes,
        "target": about.get("target"),
        "target_label": about.get("target_label"),
        "first_choice": int(top[0][0]) if top else None,
        "probability": chance[0] if isinstance(chance, list) else chance,
        "right": None if label is None or not top else int(top[0][0]) == label,
        "f_x0": sample.f_x0,
        "f_base": sample.f_base,
        "mean_shift": source["mean_shift"],
        "sd": source["sd"],
        "n": found.leg.n,
        "key": [str(word) for word in sample.segments[0].key],
        "L": tv.L,
        "L_max": tv.L_max,
        "L_ratio": tv.L_ratio,
        "n_regions": tv.n_regions,
        "r2_heldout": {"leg": found.leg.r2_heldout, "legtv": tv.r2_heldout},
        "certificate": {"passed": all(one.certificate.passed for one in found.path) and tv.certificate.passed,
                        "gap": tv.certificate.gap},
        "object": _object(found.leg, inside),
        "fdr_thresholds": _thresholds(found.leg),
        "ledger": ledger,
        "seconds": {name: round(value, 4) for name, value in seconds.items()},
    }  # fmt: skip
    shape = found.leg.grid_shape
    return AuditedPicture(
        name=item.name,
        facts=facts,
        picture=_levels(sample.image),
        leg=np.array(found.leg.saliency),
        std_errors=_per_cell(found.leg, found.leg.std_errors),
        df=_per_cell(found.leg, found.leg.df),
        legtv=np.array(tv.saliency),
        path_Ls=found.path.Ls,
        path=found.path.params.T.reshape(-1, *shape).astype(np.float32),
        path_r2=np.array(found.path.heldout.r2) if "heldout" in vars(found.path) else None,
        responses=sample.responses.copy(),
        regions=regions,
        inside=inside,
        regions_table=table,
        curves={name: _curve(one) for name, one in curves.items()} or None,
        checks=checks,
    )


def key_for(plan: Plan, image: FloatArray) -> Key:
    """The key of a picture's draws: from the plan's seed and the picture itself, whatever else is audited."""
    return key_of([plan.seed, int(array_sha256(image)[:16], 16)])


def experiment_of(response: Response, image: FloatArray, plan: Plan) -> Experiment:
    """The experiment on a picture; everything that `explain` refuses is refused here, before any evaluation."""
    experiment = experiment_for(
        response,
        image,
        grid=plan.grid,
        scale=plan.scale,
        law=plan.law,
        n_queries=plan.budget,
        perturbation=plan.perturbation,
        key=key_for(plan, image),
    )
    check_estimates(response, experiment, choose_L(**plan.rule, conventions="default"), None)
    return experiment


def class_of(response: Response, item: Item) -> int | None:
    """Index of the picture's true class; None where it has no label, or the black box no classes."""
    if item.label is None or not isinstance(response, NetworkResponse):
        return None
    return find_class(f"{_WHERE}: {item.name}", item.label, response.labels, response.describe()["n_classes"])


def aimed_at(response: Response, plan: Plan, label: int | None) -> Response:
    """The black box for the class that is explained: as it was opened, or with target "label" the picture's own."""
    if plan.model.get("target") != "label":
        return response
    if label is None or not isinstance(response, NetworkResponse):
        remedy = "Give a table with a column label, or take another target."
        raise ValueError(invalid(_WHERE, "model.target", "label", "another one for a picture without label", remedy))
    return response.rescored(response.score_name, label)


def _name_of(response: Response, label: int | None) -> str | None:
    known = response.labels if isinstance(response, NetworkResponse) else None
    return None if label is None or known is None else known[label]


def _regions(found: Explanation) -> tuple[IntArray, list[JSON]]:
    """Regions that half of the draws find, and what the other half says of them, strongest first.

    LEG-TV's own, without a table, where the halves are no use.
    """
    try:
        told = region_inference(found.sample, L_ratio=REGIONS_L_RATIO)
    except (InferenceUnavailableError, ValueError):  # halves are too small, or no region is large enough
        return np.array(found.tv.regions[0]), []
    if not told.contrasts.has_intervals:
        return np.array(told.labels[0]), []
    frame, test = told.to_frame(), told.test(fdr=0.1)
    rows = [
        {
            "sign": int(np.sign(row["estimate"])),
            "cells": int(row["cells"]),
            "mean": row["estimate"],
            "sum": row["estimate"] * row["cells"],
            "std_error": row["std_error"] * row["cells"],
            "low": row["conf_low"] * row["cells"],
            "high": row["conf_high"] * row["cells"],
            "pvalue": row["pvalue"],
            "pvalue_adjusted": float(adjusted),
        }
        for row, adjusted in zip(frame.to_dict("records"), test.pvalues_adjusted, strict=True)
    ]
    order = np.lexsort((-np.abs(told.contrasts.tstats), test.pvalues_adjusted))
    rank = np.full(len(order) + 1, -1, dtype=np.int64)  # the last, for the label -1
    rank[order] = np.arange(len(order))
    return rank[told.labels[0]], [rows[i] for i in order]


def _inside(response: Response, item: Item, found: Explanation, boxes: list[list[float]]) -> FloatArray | None:
    """Share of each cell that belongs to the object."""
    height, width = found.sample.image.shape[-2:]
    pixels = object_on(response, item, (height, width), boxes)
    return None if pixels is None else found.sample.design.grid.cell_means(pixels.astype(np.float64))


def _object(leg: LEGResults, inside: FloatArray | None) -> JSON | None:
    """LEG's mean over the object less that over what surrounds it, with its 95 % interval."""
    if inside is None or not leg.has_intervals:
        return None
    weights = inside / inside.sum() - (1.0 - inside) / (1.0 - inside).sum()
    told = leg.contrasts(weights.ravel(), ("object",))
    (low, high), (pvalue,) = told.conf_int()[0].tolist(), told.pvalues.tolist()
    estimate, error = float(told.estimates[0]), float(told.std_errors[0])
    return {"estimate": estimate, "std_error": error, "low": low, "high": high, "pvalue": pvalue}


def _curves(response: Response, image: FloatArray, found: Explanation, plan: Plan) -> dict[str, Curve]:
    if not plan.steps:
        return {}
    how = {"baseline": plan.baseline, "steps": plan.steps, "rng": plan.seed}
    return {one.__name__: one(response, image, found.tv.saliency, **how) for one in (deletion, insertion)}  # type: ignore[arg-type]


def _checks(found: Explanation, plan: Plan, key: Key) -> tuple[JSON, ...]:
    """What the picture's own checks say; none of them spends an evaluation."""
    if not plan.checks:
        return ()
    made = check_picture(found.sample, found.leg, found.tv, n_placebos=plan.placebos, rng=key)
    return tuple(one.to_dict() for one in made)


def sample_again(response: Response, item: Item, plan: Plan, kept: AuditedPicture) -> QuerySample:
    """The sample behind a finished picture, from the responses that it keeps: one evaluation, which settles the target.

    Parameters
    ----------
    response, item, plan : Response, Item, Plan
        As for `audit_picture`.
    kept : AuditedPicture
        What it found.

    Returns
    -------
    QuerySample
        To the bit that one.

    Raises
    ------
    ValueError
        The picture has changed.
    """
    image, _ = item.read(response)
    aimed = aimed_at(response, plan, class_of(response, item))
    experiment = experiment_of(aimed, image, plan)
    settled, f_x0 = aimed.bind(image)
    begun = experiment.begun(settled, f_x0, served=False)
    per = experiment.budget.per_unit
    answers = kept.responses.reshape(len(begun.segments), -1)
    segments = tuple(
        Segment.of_run(one.key, one.channel, one.first_block, row, per)
        for one, row in zip(begun.segments, answers, strict=True)
    )
    ledger = replace(begun.ledger, cached=kept.responses.size)
    return replace(begun, segments=segments, f_base=kept.facts["f_base"], ledger=ledger)


def _curve(curve: Curve) -> JSON:
    return {**curve.to_dict(), "area": curve.area}


def _thresholds(leg: LEGResults) -> JSON | None:
    """The largest p-value that is significant at each rate (Benjamini and Hochberg), None where none is."""
    if not leg.has_intervals:
        return None
    found = {rate: leg.test(fdr=rate) for rate in RATES}
    return {
        f"{rate:g}": float(one.pvalues[one.reject].max()) if one.n_rejected else None for rate, one in found.items()
    }


def _per_cell(leg: LEGResults, values: FloatArray) -> FloatArray:
    return np.array(values.reshape(leg.grid_shape)) if leg.has_intervals else np.full(leg.grid_shape, np.nan)


def _levels(image: FloatArray) -> NDArray[np.uint8]:
    return np.round(255.0 * image.transpose(1, 2, 0)).astype(np.uint8)
