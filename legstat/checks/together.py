"""All checks that apply: to one picture's explanation, and to a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from legstat._core.checks import check_rng
from legstat._core.typing import AnyArray
from legstat.checks.cascades import cascading_randomisation
from legstat.checks.classes import other_target
from legstat.checks.estimates import certified, enough_queries, mean_shift, predicts, score_moves
from legstat.checks.layers import WeightLaw
from legstat.checks.learnt import learnt_weights
from legstat.checks.networks import batch_independence, determinism, preprocessing
from legstat.checks.placebos import placebo
from legstat.checks.result import CheckResult
from legstat.estimators.leg_results import LEGResults
from legstat.estimators.legtv_results import LEGTVResults
from legstat.inference.contrasts import Box
from legstat.responses.base import Response
from legstat.responses.function import as_response
from legstat.responses.network.composing import ComposingResponse
from legstat.responses.network.response import NetworkResponse
from legstat.samples.sample import QuerySample


def check_picture(
    sample: QuerySample,
    leg: LEGResults,
    tv: LEGTVResults,
    *,
    contrast: float | None = None,
    region: AnyArray | Box | None = None,
    alpha: float = 0.05,
    n_placebos: int = 20,
    rng: Any = None,
) -> tuple[CheckResult, ...]:
    """The checks of one picture's estimates, none of which spends an evaluation.

    Parameters
    ----------
    sample, leg, tv : QuerySample, LEGResults, LEGTVResults
        What `explain` found: ``found.sample``, ``found.leg``, ``found.tv``.
    contrast, region : optional
        The question asked; see `enough_queries`.
    alpha : float, default 0.05
        Level of the placebo and of the detectable contrast.
    n_placebos : int, default 20
        See `placebo`; 0 leaves it out.
    rng : int or anything `numpy.random.default_rng` takes
        The placebo's coins.

    Returns
    -------
    tuple of CheckResult
        `score_moves`, `predicts`, `certified`, `mean_shift`, `enough_queries` and `placebo`.

    Notes
    -----
    Costs the moments of the sample once for each placebo, and once for the regions.

    Examples
    --------
    >>> import numpy as np, legstat as ls
    >>> design = ls.StructuredGaussian(grid=(4, 4), scale=0.2)
    >>> found = ls.explain(ls.simulate.logistic(np.eye(4)), np.full((1, 4, 4), 0.5), design=design, n_queries=401,
    ...                    perturbation=ls.Additive(), rng=0)
    >>> [check.name for check in ls.checks.check_picture(found.sample, found.leg, found.tv, rng=0) if not check.ok]
    []
    """
    found = [
        score_moves(sample),
        predicts(tv),
        certified(tv),
        mean_shift(leg),
        enough_queries(leg, contrast=contrast, region=region, alpha=alpha),
    ]
    if n_placebos:
        found.append(placebo(sample, n_placebos=n_placebos, alpha=alpha, rng=rng))
    return tuple(found)


def check_run(
    f: Response | Callable[[AnyArray], AnyArray],
    pictures: Sequence[AnyArray | str | Path],
    labels: Sequence[int | str] | None = None,
    samples: Sequence[QuerySample] = (),
    *,
    n_queries: int = 1000,
    layers: Sequence[int] | None = None,
    law: WeightLaw = "normal",
    alpha: float = 0.05,
    rng: Any = None,
    progress: bool = False,
) -> tuple[CheckResult, ...]:
    """The checks of a run: of the network and its preprocessing, and on a few pictures that are explained already.

    Parameters
    ----------
    f : Response or callable
        The black box as the run asks it.
    pictures : sequence of ndarray or str or Path
        Some pictures (8 with labels are needed, a few dozen are better); the first one also tries company and
        repetition.
    labels : sequence of int or str, optional
        Their classes.
    samples : sequence of QuerySample, optional
        Of the pictures that randomisation and the other target are tried on. Each costs `n_queries` evaluations for
        each number of layers and two more, 20 times 42, and those of its own sample once again. The results of each
        stand by themselves, with the number of its picture in ``details["picture"]``.
    n_queries, layers, law : optional
        As for `cascading_randomisation`.
    alpha : float, default 0.05
        Level of the tests but that of randomisation, which has its own.
    rng : int or anything `numpy.random.default_rng` takes
        Source of weights, draws and surrogates.
    progress : bool, default False
        Show the bars of the queries.

    Returns
    -------
    tuple of CheckResult
        `preprocessing`, `batch_independence`, `determinism`; then `other_target`, `learnt_weights` and
        `cascading_randomisation` of each sample, the last two for networks that run here. What each spent is in its
        ``evaluations``.

    Examples
    --------
    >>> import legstat as ls
    >>> from legstat.data import digits_model_path, load_digit
    >>> digits = [load_digit(i) for i in range(12)]
    >>> f = ls.onnx_response(digits_model_path(), preprocessing="unit")
    >>> found = ls.checks.check_run(f, [x for x, _ in digits], [label for _, label in digits])
    >>> [(check.name, check.status) for check in found]
    [('preprocessing', 'passed'), ('batch_independence', 'passed'), ('determinism', 'passed')]
    """
    response = as_response(f)
    generator = check_rng("checks.check_run", rng)
    found = [preprocessing(response, pictures, labels, alpha=alpha)]
    if len(pictures):
        first = pictures[0]
        image = response.load_image(first) if isinstance(first, str | Path) else first
        found += [batch_independence(response, image), determinism(response, image)]
    for i, sample in enumerate(samples):
        more: list[CheckResult] = []
        if isinstance(response, NetworkResponse):
            target = sample.response.get("target")
            asked = response.rescored(response.score_name, tuple(target) if isinstance(target, list) else target)
            more.append(other_target(asked, sample, alpha=alpha, rng=generator, progress=progress))
            if isinstance(asked, ComposingResponse):
                more.append(learnt_weights(asked, sample, rng=generator))
                more.append(
                    cascading_randomisation(
                        asked,
                        sample,
                        layers=layers,
                        law=law,
                        n_queries=n_queries,
                        rng=generator,
                        progress=progress,
                    )
                )
        found += [_of_picture(check, i) for check in more]
    return tuple(found)


def _of_picture(check: CheckResult, number: int) -> CheckResult:
    return CheckResult(**{**check.to_dict(), "details": {**check.details, "picture": number}})
