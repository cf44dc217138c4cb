"""One replicate of one cell: a sample, and on it every estimator that is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from legstat._core.typing import JSON, AnyArray, FloatArray
from legstat.estimators.leg import LEG
from legstat.estimators.legtv import LEGTV
from legstat.estimators.legtv_results import LEGTVResults
from legstat.perturbations.operators import Additive
from legstat.samples.sample import QuerySample
from legstat.sampling.query import query
from legstat.simulate import SimulatedResponse
from legstat.studies.cells import Cell, Estimator, stream
from legstat.studies.closed_form import leg_mse
from legstat.studies.subjects import Reference, Subject, make_reference

PATH_LENGTH = 20
BOOTSTRAP_DRAWS = 500


@dataclass(frozen=True, eq=False)
class Task:
    """A replicate to be run, with what a worker needs for it.

    Attributes
    ----------
    cell : Cell
        The experiment.
    replicate, seed : int
        Its number, and the study's seed.
    estimators : tuple of Estimator
        What to measure on the sample.
    subject : Subject or None
        The black box of a cell that is not simulated.
    reference : Reference or None
        What it is compared with.
    """

    cell: Cell
    replicate: int
    seed: int
    estimators: tuple[Estimator, ...]
    subject: Subject | None = None
    reference: Reference | None = None


class Noisy:
    """A response with independent normal noise on every evaluation after the first, which is f(x0).

    Parameters
    ----------
    f : SimulatedResponse
        What the noise is added to.
    sd : float
        Its standard deviation.
    seed : SeedSequence
        Where it comes from; the evaluations' order is the draws' own, whatever the batches.
    """

    def __init__(self, f: SimulatedResponse, sd: float, seed: np.random.SeedSequence) -> None:
        self._f, self._sd, self._first = f, sd, True
        self._rng = np.random.default_rng(seed)

    def __call__(self, images: AnyArray) -> FloatArray:
        """Scores of pictures (n, C, H, W)."""
        scores = self._f(images)
        if self._first:
            self._first = False
            return scores
        return scores + self._sd * self._rng.standard_normal(len(scores))


def run_task(task: Task) -> list[JSON]:
    """The rows of a replicate, one for each estimator."""
    sample, truth, reference, f = _sample(task)
    return [_row(task, sample, truth, reference, f, estimator) for estimator in task.estimators]


def run_reference(order: tuple[Subject, Cell, int, Path | None]) -> Reference:
    """The reference of (subject, cell, seed, cache)."""
    return make_reference(*order)


def _sample(task: Task) -> tuple[QuerySample, FloatArray, Reference, SimulatedResponse | None]:
    """The sample, what to compare with, and the response where it is simulated."""
    cell, source = task.cell, stream({"sample": task.cell.content()}, task.seed, task.replicate)
    if task.subject is not None and task.reference is not None:
        sample = query(
            task.subject.response,
            task.subject.image,
            cell.law,
            cell.n_queries,
            perturbation=task.subject.operator,
            antithetic=cell.antithetic,
            rng=source,
            progress=False,
        )
        return sample, task.reference.gamma, task.reference, None
    f = cell.simulated(cell.truth(task.seed, task.replicate))
    draws, noise = source.spawn(2)
    sample = query(
        Noisy(f, cell.noise, noise) if cell.noise else f,
        cell.picture,
        cell.law,
        cell.n_queries,
        perturbation=Additive(clip=False),  # as the closed forms have it
        antithetic=cell.antithetic,
        rng=draws,
        progress=False,
    )
    truth = f.leg(cell.picture, cell.law).ravel()
    return sample, truth, Reference(truth), f


def _row(
    task: Task,
    sample: QuerySample,
    truth: FloatArray,
    reference: Reference,
    f: SimulatedResponse | None,
    estimator: Estimator,
) -> JSON:
    cell, moments = task.cell, sample.moments(estimator.moments)
    row: JSON = {}
    if estimator.rule is None:
        params = LEG(moments).fit().params  # as LEG(sample, moments=...).fit(), without its folds
    else:
        result = _legtv(sample, estimator)
        params = result.params
        slack = cell.law.grid.pinv_transpose(moments.b - cell.law.covariance(truth))
        row["L"], row["L_ratio"], row["regions"] = result.L, result.L_ratio, result.n_regions
        row["feasible"] = bool(np.abs(slack).max() <= result.L)
    error = params - truth
    row["error"] = float(np.linalg.norm(error))
    row["error_up_to_mean"] = float(np.linalg.norm(error - error.mean()))
    row["truth_norm"] = float(np.linalg.norm(truth))
    row["truth_norm_up_to_mean"] = float(np.linalg.norm(truth - truth.mean()))
    row["reference_mse"], row["reference_mse_up_to_mean"] = reference.mse, reference.mse_up_to_mean
    if f is not None and estimator.rule is None and estimator.moments in ("printed", "centred"):
        for name, up_to_mean in (("exact_mse", False), ("exact_mse_up_to_mean", True)):
            row[name] = leg_mse(
                f,
                cell.picture,
                cell.law,
                min(sample.n_units),
                moments="printed" if estimator.moments == "printed" else "centred",
                antithetic=cell.antithetic,
                noise=cell.noise,
                up_to_mean=up_to_mean,
            )
    return row


def _legtv(sample: QuerySample, estimator: Estimator) -> LEGTVResults:
    """LEG-TV at the L of the estimator's rule."""
    value = estimator.value or 0.0
    if estimator.rule == "heldout":
        path = LEGTV(sample, moments=estimator.moments).fit_path(n_Ls=PATH_LENGTH, L_ratio_min=value, progress=False)
        return path.select("heldout")
    light = LEGTV(sample.moments(estimator.moments))  # no folds: nothing but the map is measured
    if estimator.rule == "L_ratio":
        return light.fit(L_ratio=value)
    if estimator.rule == "theory":
        return light.fit(light.L_theory(probability=value))
    return light.fit(LEGTV(sample, moments=estimator.moments).L_bootstrap(level=value, n_draws=BOOTSTRAP_DRAWS))
