"""Adversarial pictures by the sign of the gradient, iterated: what mask and I-GOS were shown on in their papers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np

from legstat._core.checks import check_choice, check_count, check_flag, check_positive, check_within
from legstat._core.errors import invalid
from legstat._core.typing import AnyArray
from legstat.baselines.result import BaselineResult
from legstat.baselines.shifting import Shifting
from legstat.designs.design import Design
from legstat.gradients.estimated import Earlier
from legstat.gradients.opening import GradientChoice
from legstat.responses.base import Response
from legstat.responses.function import as_response

Attack = Literal["ifgsm", "mifgsm"]


def adversarial(
    response: Response | Callable[[AnyArray], AnyArray],
    image: AnyArray,
    *,
    epsilon: float,
    attack: Attack = "mifgsm",
    raising: bool = False,
    iterations: int = 10,
    step: float | None = None,
    decay: float = 1.0,
    gradient: GradientChoice = "exact",
    n_queries: int | None = None,
    rng: Any = None,
    directions: Design | None = None,
    earlier: Earlier = "ignore",
) -> BaselineResult:
    r"""An adversarial picture: no pixel moved by more than epsilon, the target's score as low as signs bring it.

    The iterative method (Kurakin, Goodfellow and Bengio, 2017, eq. 2; mask paper, 5.5) takes

    .. math:: x_{t+1} = \mathrm{clip}_{\epsilon, [0, 1]}\big(x_t - \alpha\, \mathrm{sign}\, \nabla f(x_t)\big),

    with momentum (MI-FGSM: Dong et al., 2018, Algorithm 1; I-GOS paper, supplement IV) the sign of

    .. math:: g_{t+1} = \mu g_t + \nabla f(x_t) / \|\nabla f(x_t)\|_1.

    The papers climb the cross-entropy of the target; it falls as the target's probability or log-odds rise, so signs
    and normalised gradients are the same.

    Parameters
    ----------
    response : Response or callable
        The black box, whose target says which class loses; with ``raising=True`` which class is to be reached.
    image : ndarray of shape (C, H, W)
        x0 in [0, 1].
    epsilon : float
        Largest change of a pixel, in (0, 1]; the mask paper's 8 of 255 levels are ``8 / 255``.
    attack : {"mifgsm", "ifgsm"}
        With momentum, or without.
    raising : bool, default False
        Raise the target's score instead.
    iterations : int, default 10
        Steps; 1 is the fast gradient sign method (Goodfellow et al., 2015).
    step : float, optional
        alpha. By default epsilon / iterations with momentum (as in its paper), and 5/4 of that without (one level in
        5/4 epsilon steps in that paper).
    decay : float, default 1.0
        mu; without effect on "ifgsm".
    gradient : {"exact", "queries", "auto"}, default "exact"
        Torch's gradients, or gradients estimated from evaluations alone. "auto": exact where there are any.
    n_queries : int, optional
        Ceiling on evaluations, f(x0) included. By default 2,000 for estimated gradients and none for exact ones; a
        ceiling that does not pay for all steps lowers their number.
    rng, directions, earlier
        As for `l1q`.

    Returns
    -------
    BaselineResult
        ``.picture`` is the adversarial picture, within [0, 1], ``.solution`` its difference to x0. ``.trace``: score
        (at the start of each step) and largest change after it. ``.source["score"]`` is the score at the end.

    Raises
    ------
    TypeError
        Exact gradients of a black box that has none.
    ValueError
        An argument out of range, before anything is evaluated; after the evaluation of x0 that the class to be reached
        is its first choice already.

    Notes
    -----
    A step costs one evaluation and one backward pass, and the last score one more evaluation. Signs of gradients from
    queries are equal within the cells of the directions' grid.

    Examples
    --------
    >>> import legstat as ls
    >>> f = ls.simulate.linear(np.array([[3.0, -1.0], [0.0, 2.0]]))
    >>> design = ls.IsotropicGaussian((2, 2), 0.1)
    >>> how = {"gradient": "queries", "n_queries": 400, "directions": design, "rng": 0, "iterations": 2}
    >>> found = ls.baselines.adversarial(f, np.full((1, 2, 2), 0.5), epsilon=0.25, **how)
    >>> found.picture[0, 0]
    array([0.25, 0.75])
    """
    where = "adversarial"
    black_box = as_response(response)
    x0 = black_box.check_image(image, where)
    radius = check_positive(where, "epsilon", epsilon)
    if radius > 1.0:
        remedy = "Pixels are in [0, 1]: of levels in 0..255 pass epsilon / 255."
        raise ValueError(invalid(where, "epsilon", epsilon, "in (0, 1]", remedy))
    check_choice(where, "attack", attack, get_args(Attack))
    sign = 1.0 if check_flag(where, "raising", raising) else -1.0
    steps = check_count(where, "iterations", iterations)
    momentum = check_within(where, "decay", decay) if attack == "mifgsm" else 0.0
    size = None if step is None else check_positive(where, "step", step)
    shifting = Shifting(where, black_box, x0, gradient, n_queries, rng, directions, earlier, steps)
    about = shifting.asked.response.describe()
    if raising and about.get("top_x0") and about["top_x0"][0][0] == about["target"]:
        valid = "another class than the first choice at x0, where raising=True"
        remedy = "Open the response with the class that is to be reached."
        raise ValueError(invalid(where, "target", about["target"], valid, remedy))
    if size is None:
        # steps that the ceiling does not pay for are made up for by larger ones
        size = radius / shifting.steps * (1.0 if attack == "mifgsm" else min(1.25, shifting.steps))
    low, high = np.maximum(x0 - radius, 0.0), np.minimum(x0 + radius, 1.0)
    moved, velocity, rows = x0, np.zeros(x0.shape), []
    for k in range(shifting.steps):
        slope, score = shifting.gradient(moved - x0, k)
        length = float(np.abs(slope).sum())
        velocity = momentum * velocity + (slope / length if length > 0.0 else slope)
        moved = np.clip(moved + sign * size * np.sign(velocity), low, high)
        rows.append({"score": score, "norm_max": float(np.abs(moved - x0).max())})
    delta = moved - x0
    last, asked = shifting.score(delta), shifting.asked
    settings = {"epsilon": radius, "raising": raising, "iterations": shifting.steps, "step": size, "decay": momentum}
    return BaselineResult(
        method=attack,
        solution=delta,
        saliency=np.abs(delta).sum(axis=0),
        image=x0,
        picture=moved,
        trace={one: np.array([row[one] for row in rows]) for one in rows[0]},
        n_queries=asked.spent,
        n_backward=asked.n_backward,
        gradient=shifting.source.name,
        tied=0,
        settings=settings,
        source={"response": asked.response.describe(), "f_x0": asked.f_x0, "score": last},
    )
