"""Whether what a network responds to was learnt: its response against that of networks with random weights."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from legstat._core.checks import check_choice, check_count, check_level, check_rng, check_type
from legstat.checks.again import tried_again
from legstat.checks.layers import WeightLaw
from legstat.checks.randomise import randomize
from legstat.checks.result import CheckResult
from legstat.responses.base import Response
from legstat.responses.network.composing import ComposingResponse
from legstat.samples.sample import QuerySample


def learnt_weights(
    f: Response,
    sample: QuerySample,
    *,
    n_networks: int = 19,
    n_queries: int = 42,
    law: WeightLaw = "permuted",
    alpha: float = 0.05,
    rng: Any = None,
) -> CheckResult:
    """Whether the network responds to the picture more strongly than networks with random weights do.

    The statistic is the standard deviation of the score of the network's own first choice over a few perturbations, the
    same for all networks. By the law "permuted" the test is exact: where the numbers of each weight tensor are
    exchangeable, as those of an untrained network are, the network as it is ranks evenly among those whose weights are
    in another order. What was learnt stands in the order alone.

    Parameters
    ----------
    f : OnnxResponse or TorchResponse
        The network.
    sample : QuerySample
        Of the picture: its design, operator and conventions are used again, its responses are not.
    n_networks : int, default 19
        With random weights; 19 are the fewest that can be significant at 0.05.
    n_queries : int, default 42
        Ceiling on evaluations of each network.
    law : {"permuted", "normal"}, default "permuted"
        See `randomize`.
    alpha : float, default 0.05
        Level.
    rng : int or anything `numpy.random.default_rng` takes
        Source of weights and draws.

    Returns
    -------
    CheckResult
        Value: the p-value, (1 + networks that respond at least as strongly) / (1 + networks). Fails where an untrained
        network would have responded as strongly.

    Raises
    ------
    TypeError
        What is no network that runs here, or no sample.
    ValueError
        Arguments out of range; fewer networks than `alpha` needs.

    Notes
    -----
    Costs `n_queries` evaluations for each network and those of settling it.

    Examples
    --------
    >>> import legstat as ls
    >>> from legstat.data import digits_model_path, load_digit
    >>> f, design = ls.onnx_response(digits_model_path()), ls.MultiscaleBlocks(grid=(8, 8))
    >>> sample = ls.query(f, load_digit(0)[0], design, perturbation=ls.Blend("blur", at=0.5), n_queries=50, rng=0)
    >>> ls.checks.learnt_weights(f, sample, rng=0).status
    'passed'
    """
    where, name = "checks.learnt_weights", "learnt_weights"
    check_type(where, "f", f, ComposingResponse, "a network that runs here, from onnx_response or torch_response")
    check_type(where, "sample", sample, QuerySample, "of the picture, such as `explanation.sample`")
    assert isinstance(f, ComposingResponse)
    check_choice(where, "law", law, ("permuted", "normal"))
    check_level(where, "alpha", alpha)
    remedy = f"Fewer cannot be significant at {alpha:g}."
    check_count(where, "n_networks", n_networks, int(np.ceil(1.0 / alpha - 1e-9)) - 1, remedy=remedy)
    check_count(where, "n_queries", n_queries, 6)
    score = "probability" if f.score_name == "difference" else f.score_name
    settled, _ = f.bind(sample.image)
    seed, key = check_rng(where, rng).integers(2**63, size=2).tolist()
    spreads, evaluations = [], 1 + settled.trials
    with tempfile.TemporaryDirectory() as folder:
        for i in range(n_networks + 1):
            network = settled.network
            if i and isinstance(network, Path):
                network = randomize(network, Path(folder) / "random.onnx", law=law, rng=[seed, i])
            elif i:
                network = randomize(network, law=law, rng=[seed, i])
            asked = settled.with_weights(network).rescored(score, "top")
            found, spent, _ = tried_again(asked, sample, n_queries, key)
            spreads.append(np.inf if found is None else float(found.responses.std()))
            evaluations += spent
    own, others = spreads[0], np.array(spreads[1:])
    pvalue = float((1 + np.sum(others >= own)) / (1 + n_networks))
    passed = pvalue <= alpha
    finite = others[np.isfinite(others)]
    typical = float(np.median(finite)) if finite.size else float("nan")
    meaning = (
        f"The score varies by {own:.3g}, with random weights by {typical:.2g}: what the network responds to was learnt."
        if passed
        else f"With random weights the score varies as much (by {typical:.2g}) as with its own (by {own:.3g}): a map "
        "of it need not show what was learnt."
    )
    details = {
        "sd": own if np.isfinite(own) else None,
        "sd_random": [value if np.isfinite(value) else None for value in others.tolist()],
        "law": law,
        "evaluations": evaluations,
    }
    return CheckResult(name, "passed" if passed else "failed", pvalue, f"at most {alpha:g}", meaning, details)
