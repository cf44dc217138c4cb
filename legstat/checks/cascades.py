"""Cascading randomisation: whether the map changes with the network's weights, or any network would have this one."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from legstat._core.checks import check_choice, check_count, check_level, check_rng, check_type, check_within
from legstat._core.errors import invalid
from legstat._core.frozen import Portable
from legstat._core.typing import JSON, FloatArray
from legstat.checks.again import tried_again
from legstat.checks.layers import WeightLaw
from legstat.checks.likeness import resemblance
from legstat.checks.randomise import randomize, weight_layers
from legstat.checks.result import CheckResult
from legstat.estimators.leg import LEG
from legstat.estimators.legtv import LEGTV
from legstat.responses.base import Response
from legstat.responses.network.composing import ComposingResponse
from legstat.samples.sample import QuerySample
from legstat.sampling.watch import movement


@dataclass(frozen=True, eq=False)
class Cascade(Portable):
    """Maps of one picture while the network's weights are replaced layer by layer from the output.

    Attributes
    ----------
    layers : tuple of int
        Layers replaced, counted from the output. The network as it is comes first, twice: every map has draws of its
        own, so that the second shows what draws alone change.
    shares : tuple of float
        Of the network's weights that are replaced.
    leg, legtv : ndarray of shape (k, p1, p2)
        LEG on LEG-TV's moments, and LEG-TV at one fraction of L_max; 0 where the score does not move, NaN where the
        network's answers were not finite.
    facts : tuple of dict
        For each: ``f_x0``, ``sd`` of the scores, ``moves`` (whether by more than rounding), ``evaluations``, and the
        ``reason`` where there is no map.
    law : str
        What weights were replaced by.
    n_queries, evaluations : int
        For each map, and altogether.

    Examples
    --------
    >>> import numpy as np, legstat as ls
    >>> from legstat.data import digits_model_path, load_digit
    >>> f, design = ls.onnx_response(digits_model_path()), ls.MultiscaleBlocks(grid=(8, 8))
    >>> sample = ls.query(f, load_digit(0)[0], design, perturbation=ls.Blend("blur", at=0.5), n_queries=200, rng=0)
    >>> ls.checks.cascade(f, sample, n_queries=100, rng=0)
    <Cascade of 0, 0, 1, 2, 3 layers by 'normal': ... evaluations>
    """

    layers: tuple[int, ...]
    shares: tuple[float, ...]
    leg: FloatArray
    legtv: FloatArray
    facts: tuple[JSON, ...]
    law: str
    n_queries: int
    evaluations: int

    def __repr__(self) -> str:
        counts = ", ".join(map(str, self.layers))
        return f"<Cascade of {counts} layers by {self.law!r}: {self.evaluations:,} evaluations>"


def cascade(
    f: Response,
    sample: QuerySample,
    *,
    layers: Sequence[int] | None = None,
    law: WeightLaw = "normal",
    n_queries: int = 1000,
    L_ratio: float = 0.1,
    rng: Any = None,
    progress: bool = False,
) -> Cascade:
    """Explain one picture again while the network's weights are replaced (Adebayo et al., 2018; LEG paper, Fig. 7).

    Parameters
    ----------
    f : OnnxResponse or TorchResponse
        The network as it is. All others are asked for its target, also where their own first choice is another class.
    sample : QuerySample
        Of this picture: its design, operator and conventions are used again, its responses are not.
    layers : sequence of int, optional
        How many layers to replace; by default six numbers, evenly in their logarithm, the last one all.
    law : {"normal", "uniform", "permuted"}, default "normal"
        See `randomize`.
    n_queries : int, default 1000
        Ceiling on evaluations for each map.
    L_ratio : float, default 0.1
        L of LEG-TV as a fraction of each map's own L_max, as the authors have it.
    rng : int or anything `numpy.random.default_rng` takes
        Source of weights and draws; every map has draws of its own.
    progress : bool, default False
        Show the bars of the queries.

    Returns
    -------
    Cascade
        The maps.

    Raises
    ------
    TypeError
        What is no network that runs here, or no sample.
    ValueError
        Layers that the network does not have.

    Notes
    -----
    Costs `n_queries` evaluations and a linear program for each number of layers, and twice that for the network as it
    is. No cross-validation.

    Examples
    --------
    >>> import legstat as ls
    >>> from legstat.data import digits_model_path, load_digit
    >>> f, design = ls.onnx_response(digits_model_path()), ls.MultiscaleBlocks(grid=(8, 8))
    >>> sample = ls.query(f, load_digit(0)[0], design, perturbation=ls.Blend("blur", at=0.5), n_queries=50, rng=0)
    >>> cascade(f, sample, layers=[3], n_queries=100, rng=0).legtv.shape
    (3, 8, 8)
    """
    where = "checks.cascade"
    check_type(where, "f", f, ComposingResponse, "a network that runs here, from onnx_response or torch_response")
    check_type(where, "sample", sample, QuerySample, "of the picture, such as `explanation.sample`")
    assert isinstance(f, ComposingResponse)
    check_choice(where, "law", law, get_args(WeightLaw))
    model = f.network
    there = weight_layers(model)
    if layers is None:
        layers = np.unique(np.round(np.geomspace(1, len(there), min(6, len(there)))).astype(int)).tolist()
    counts = [check_count(where, "layers", k, 1, len(there), what=" layers") for k in layers]
    check_count(where, "n_queries", n_queries, 3)
    ratio = check_within(where, "L_ratio", L_ratio, 0.0, 1.0)
    if ratio == 0.0:
        raise ValueError(invalid(where, "L_ratio", L_ratio, "> 0", "LEG itself is the map at L = 0: see `.leg`."))
    seed, *keys = check_rng(where, rng).integers(2**63, size=3 + len(counts)).tolist()
    total = sum(layer.n_parameters for layer in there)
    settled, _ = f.bind(sample.image)
    maps, facts, evaluations = [], [], settled.trials + 1
    with tempfile.TemporaryDirectory() as folder:
        for k, key in zip([0, 0, *counts], keys, strict=True):
            asked = settled
            if k and isinstance(model, Path):
                asked = settled.with_weights(randomize(model, Path(folder) / f"{k}.onnx", layers=k, law=law, rng=seed))
            elif k:
                asked = settled.with_weights(randomize(model, layers=k, law=law, rng=seed))
            both, fact = _maps(asked, sample, n_queries, L_ratio, key, progress)
            maps.append(both)
            facts.append(fact)
            evaluations += fact["evaluations"]
    return Cascade(
        layers=(0, 0, *counts),
        shares=(0.0, 0.0, *(sum(layer.n_parameters for layer in there[:k]) / total for k in counts)),
        leg=np.stack([leg for leg, _ in maps]),
        legtv=np.stack([tv for _, tv in maps]),
        facts=tuple(facts),
        law=law,
        n_queries=n_queries,
        evaluations=evaluations,
    )


def cascading_randomisation(
    f: Response,
    sample: QuerySample,
    *,
    layers: Sequence[int] | None = None,
    law: WeightLaw = "normal",
    n_queries: int = 1000,
    L_ratio: float = 0.1,
    n_surrogates: int = 199,
    alpha: float = 0.01,
    rng: Any = None,
    progress: bool = False,
) -> CheckResult:
    """Whether the map comes from the weights: with all of them random nothing of it is left.

    Of the last map of a `cascade` it is asked whether it resembles the map of the network as it is more than random
    maps of the same smoothness do (`resemblance`, by ranks with their sign). That is only an answer where the network's
    own map, repeated with other draws, does resemble itself: else the check does not apply. An untrained network may
    well have a map that repeats itself, and loses it as a trained one does: whether what is lost was learnt,
    `learnt_weights` asks.

    Parameters
    ----------
    f, sample, layers, law, n_queries, L_ratio : optional
        As for `cascade`.
    n_surrogates : int, default 199
        See `resemblance`.
    alpha : float, default 0.01
        Level of both tests. Maps of networks with random weights resemble each other a little more often than that: the
        picture is one, and only some of its cells have anything to delete (docs/studies/checks has how often).
    rng : int or anything `numpy.random.default_rng` takes
        Source of weights, draws and surrogates.
    progress : bool, default False
        Show the bars of the queries.

    Returns
    -------
    CheckResult
        Value: the p-value of the last map. The details have all measures of all maps, of LEG and LEG-TV, with p-values.

    Raises
    ------
    TypeError, ValueError
        As `cascade`.

    Notes
    -----
    Costs `n_queries` evaluations for each number of layers and twice that for the network as it is.

    Examples
    --------
    >>> import legstat as ls
    >>> from legstat.data import digits_model_path, load_digit
    >>> f, design = ls.onnx_response(digits_model_path()), ls.MultiscaleBlocks(grid=(8, 8))
    >>> sample = ls.query(f, load_digit(0)[0], design, perturbation=ls.Blend("blur", at=0.5), n_queries=600, rng=0)
    >>> ls.checks.cascading_randomisation(f, sample, n_queries=600, rng=0).status
    'passed'
    """
    where = "checks.cascading_randomisation"
    level = check_level(where, "alpha", alpha)
    remedy = f"Fewer cannot be significant at {level:g}."
    check_count(where, "n_surrogates", n_surrogates, int(np.ceil(1.0 / level - 1e-9)) - 1, remedy=remedy)
    generator = check_rng(where, rng)
    run = cascade(
        f, sample, layers=layers, law=law, n_queries=n_queries, L_ratio=L_ratio, rng=generator, progress=progress
    )
    return judged(run, n_surrogates=n_surrogates, alpha=alpha, rng=generator)


def judged(run: Cascade, *, n_surrogates: int = 199, alpha: float = 0.01, rng: Any = None) -> CheckResult:
    """What a cascade says, see `cascading_randomisation`; spends nothing."""
    name, valid = "cascading_randomisation", f"above {alpha:g}"
    generator = check_rng("checks.judged", rng)
    rows: list[JSON] = []
    for i in range(1, len(run.layers)):
        row: JSON = {"layers": run.layers[i], "share": run.shares[i], **run.facts[i]}
        for kind, maps in (("leg", run.leg), ("legtv", run.legtv)):
            if np.isfinite(maps[[0, i]]).all():
                found = resemblance(maps[0], maps[i], n_surrogates=n_surrogates, rng=generator)
                row[kind] = {key: value if np.isfinite(value) else None for key, value in found.values.items()}
                row[f"{kind}_pvalues"] = found.pvalues
        rows.append(row)
    details: JSON = {
        "law": run.law,
        "n_queries": run.n_queries,
        "evaluations": run.evaluations,
        "f_x0": run.facts[0]["f_x0"],
        "repeated": rows[0],
        "cascade": rows[1:],
    }
    itself = rows[0].get("legtv_pvalues", {}).get("spearman", 1.0)
    if itself > alpha:
        meaning = (
            f"At {run.n_queries:,} evaluations the network's own map, repeated, is not recognised (p = {itself:.2g}): "
            "nothing that could be lost."
        )
        return CheckResult(name, "not_applicable", None, valid, meaning, details)
    last = rows[-1]
    if "legtv_pvalues" not in last:
        meaning = f"With all weights random the network's answers are not finite: take another law than {run.law!r}."
        return CheckResult(name, "not_applicable", None, valid, meaning, details)
    pvalue = float(last["legtv_pvalues"]["spearman"])
    if pvalue <= alpha:
        meaning = (
            f"With all weights random the map still resembles the network's own (p = {pvalue:.2g}): it comes from the "
            "picture or the method, not from what was learnt."
        )
        return CheckResult(name, "failed", pvalue, valid, meaning, details)
    kept = [row["layers"] for row in rows[1:] if row.get("legtv_pvalues", {}).get("spearman", 0.0) <= alpha]
    since = next(k for k in run.layers[2:] if k > max(kept, default=0))
    meaning = f"From {since} of {run.layers[-1]} layers on the map is lost: it comes from the weights."
    return CheckResult(name, "passed", pvalue, valid, meaning, details)


def _maps(
    f: ComposingResponse, sample: QuerySample, n_queries: int, L_ratio: float, key: int, progress: bool
) -> tuple[tuple[FloatArray, FloatArray], JSON]:
    """LEG on LEG-TV's moments and LEG-TV; NaN and the reason where the network gives no finite scores."""
    found, evaluations, reason = tried_again(f, sample, n_queries, key, progress=progress)
    if found is None:
        nothing = np.full(sample.design.grid.shape, np.nan)
        return (nothing, nothing), {"f_x0": None, "sd": None, "reason": reason, "evaluations": evaluations}
    fact: JSON = {
        "f_x0": found.f_x0,
        "sd": float(found.responses.std()),
        "moves": movement(found, f.dtype) > 4.0,
        "evaluations": evaluations,
    }
    if not fact["moves"]:  # what there is of a map is rounding, see `score_moves`
        flat = np.zeros(sample.design.grid.shape)
        return (flat, flat), fact
    (tv,) = LEGTV(found).fit_path(n_Ls=1, L_ratio_min=L_ratio, progress=False)
    leg = LEG(tv.moments).fit()
    return (leg.saliency, tv.saliency), fact
