"""The mask on a layer's activations in place of the picture's pixels (mask paper, supplement 6.4)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from legstat._core.checks import check_count, check_positive, check_within
from legstat._core.errors import invalid
from legstat._core.typing import AnyArray
from legstat.baselines.games import MaskGame, MaskSettings
from legstat.baselines.problem import Problem, ScoreChoice
from legstat.baselines.result import BaselineResult
from legstat.gradients.opening import GradientChoice
from legstat.responses.base import Response


def layer_mask(
    response: Response,
    image: AnyArray,
    layer: str,
    *,
    gradient: GradientChoice = "exact",
    n_queries: int | None = None,
    rng: Any = None,
    l1: float = 1e-4,
    tv: float = 1e-2,
    beta: float = 3.0,
    iterations: int = 300,
    rate: float = 0.1,
    score: ScoreChoice = "probability",
) -> BaselineResult:
    r"""The deletion mask of a layer: which places of its activations the score needs.

    All channels of the layer's activations at a place are multiplied by the mask there, which is drop-out of places:

    .. math:: \min_{0 \le m \le 1} \lambda_1 \|1 - m\|_1 + \lambda_2 \sum_u \|\nabla m(u)\|_\beta^\beta
              + f_{\mathrm{above}}(m \odot A(x_0)),

    by Adam from the circular first mask on, without up-sampling, blur or jitter (mask paper, supplement 6.4).

    Parameters
    ----------
    response : TorchResponse
        A torch module as response.
    image : ndarray of shape (C, H, W)
        x0 in [0, 1].
    layer : str
        Name of the part whose output is masked, as ``module.named_modules()`` has it. It runs once in a forward pass.
    gradient, n_queries, rng : optional
        As for `mask`.
    l1, tv, beta : float
        lambda_1, lambda_2 and beta. The smaller the activations, the larger l1 and the smaller tv: in the paper
        l1 is 1e-4 at 27 x 27 and 28 x 28, 5e-3 at 13 x 13, 1e-2 at 6 x 6 and 7 x 7, tv 1e-2 and, at the last two, 1e-3.
    iterations : int
        Iterations of Adam.
    rate : float
        Its learning rate.
    score : {"probability", "given"}
        The probability of the target, or the score that the response was opened with.

    Returns
    -------
    BaselineResult
        ``.saliency`` is 1 - m, of the layer's rows and columns; ``.picture`` is x0, which is left as it is.

    Raises
    ------
    TypeError
        The response has no layers.
    ValueError
        No such part, one without rows and columns, or an argument out of range.

    Notes
    -----
    Two evaluations more than `mask`: the target is settled on x0, and the activations' size is looked up.

    Examples
    --------
    >>> import torch
    >>> import legstat as ls
    >>> net = torch.nn.Sequential(torch.nn.AvgPool2d(4), torch.nn.Flatten())
    >>> f = ls.torch_response(net, output_kind="sigmoid_logits", target=2)
    >>> found = ls.baselines.layer_mask(f, np.ones((1, 8, 8)), "0", iterations=20, l1=0.01)
    >>> int(found.saliency.argmax())
    2
    """
    where = "layer_mask"
    settings = MaskSettings(
        l1=check_within(where, "l1", l1),
        tv=check_within(where, "tv", tv),
        beta=check_within(where, "beta", beta, 1.0),
        iterations=check_count(where, "iterations", iterations),
        rate=check_positive(where, "rate", rate),
        jitter=1,
        lift="repeat",
        score=score,
    )
    most = None if n_queries is None else check_count(where, "n_queries", n_queries, 5) - 2
    if not hasattr(response, "of_layer"):
        valid = "a torch module (torch_response): layers can be reached in no other"
        raise TypeError(invalid(where, "response", type(response).__name__, valid))
    x0 = response.check_image(image, where)
    masks, shape = response.of_layer(x0, layer, where)
    problem = Problem(
        where, masks, np.ones((1, *shape)), gradient, most, rng, shape=shape, baseline="black", score=score,
        in_contrasts=False,
    )  # fmt: skip
    found = MaskGame(problem, settings).run()
    about = {"layer": layer, **found.settings}
    return replace(found, method="layer_mask", image=x0, picture=x0, n_queries=found.n_queries + 2, settings=about)
