r"""l1-q: counterfactual pictures whose sparsity is set (Roberts and Tsiligkaridis, EuroVis 2021), by Frank-Wolfe.

The printed Algorithm 1 cannot run as meant: its first step is 0, it has no epsilon, and it climbs the loss that eq. 1
minimises. What runs, in its authors' toolbox and here, is Frank-Wolfe's step

.. math:: \delta \leftarrow (1 - \alpha_k) \delta - \alpha_k \epsilon\, \hat g, \qquad \alpha_k = \frac{c}{c + k},
          \quad k = 0, 1, \ldots

with g-hat the point of the unit ball that the gradient g of the loss has the largest product with: in the l2 ball
g / |g|_2; for l1-q sign(g) / m on the m entries of largest |g|, 0 elsewhere. As the loss is a decreasing function of
the target's score, its gradient is a negative multiple of the score's, and the multiple cancels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from legstat._core.checks import check_choice, check_count, check_flag, check_level, check_positive
from legstat._core.errors import invalid
from legstat._core.typing import AnyArray, FloatArray
from legstat.baselines.result import BaselineResult
from legstat.baselines.shifting import Shifting
from legstat.designs.design import Design
from legstat.gradients.estimated import Earlier
from legstat.gradients.opening import GradientChoice
from legstat.responses.base import Response
from legstat.responses.function import as_response

Ball = Literal["l1", "l2"]


def l1q(
    response: Response | Callable[[AnyArray], AnyArray],
    image: AnyArray,
    *,
    epsilon: float,
    q: float = 0.975,
    ball: Ball = "l1",
    raising: bool = True,
    iterations: int = 30,
    c: float = 1.0,
    gradient: GradientChoice = "exact",
    n_queries: int | None = None,
    rng: Any = None,
    directions: Design | None = None,
    earlier: Earlier = "ignore",
) -> BaselineResult:
    r"""l1-q: the change of the picture, within a ball, that moves the target's score most.

    Solves, approximately, (l1-q paper, eq. 1)

    .. math:: \min_{\|\delta\|_p \le \epsilon} L(f(x_0 + \delta), y), \qquad p = 1 \text{ or } 2,

    by Frank-Wolfe's steps, each of which moves the share 1 - q of all entries (channels times pixels), or all of them
    in the l2 ball. A counterfactual of an error opens the response with the true label as target ("what could have
    corrected it?") or with the predicted one ("why was it made?"); a concept is probed from a picture of noise.

    Parameters
    ----------
    response : Response or callable
        The black box, whose target says which class is raised; of a network any score will do, as all increase with
        the target's probability (but "logit" and "difference", which other classes enter otherwise).
    image : ndarray of shape (C, H, W)
        x0 in [0, 1].
    epsilon : float
        Radius of the ball, in pixel values summed over all entries (l1) or of their Euclidean length (l2). The paper:
        12 and 35 in l2 at 224 x 224; in l1 224 sqrt(3) times the latter, so that the balls' corners meet.
    q : float, default 0.975
        Share of entries that a step leaves alone; round((1 - q) C H W) are moved. Ignored in the l2 ball.
    ball : {"l1", "l2"}, default "l1"
        Which ball.
    raising : bool, default True
        Raise the target's score; False lowers it.
    iterations : int, default 30
        Steps.
    c : float, default 1.0
        Of the steps' sizes; 1: delta is the plain average of the ball's points, 2: the classical Frank-Wolfe.
    gradient : {"exact", "queries", "auto"}, default "exact"
        Torch's gradients, or gradients estimated from evaluations alone. "auto": exact where there are any.
    n_queries : int, optional
        Ceiling on evaluations, f(x0) included. By default 2,000 for estimated gradients and none for exact ones; a
        ceiling that does not pay for all iterations lowers their number.
    rng : None, int, Generator or anything `numpy.random.default_rng` takes
        Directions; the same seed gives the same bits.
    directions : Design, optional
        Law of the directions of estimated gradients, on a grid over the picture, independent in each channel;
        `IsotropicGaussian` of scale 0.05 on the default grid unless given.
    earlier : {"ignore", "pilot", "pool"}, default "ignore"
        As for `legstat.gradients.estimated.EstimatedGradients`.

    Returns
    -------
    BaselineResult
        ``.solution`` is delta, ``.picture`` the counterfactual, cut off at [0, 1]; the iterates are not. ``.trace``:
        score (at the start of each step), l1 and l2 norms and the moved entries after it.

    Raises
    ------
    TypeError
        Exact gradients of a black box that has none.
    ValueError
        epsilon, q or c out of range; a q that moves no entry; before anything is evaluated.

    Notes
    -----
    A step costs one evaluation and one backward pass, and the last score one more evaluation. Gradients from queries
    are constant on the cells of the directions' grid, and equal entries are taken in the order of channel, row, column.

    Examples
    --------
    >>> import legstat as ls
    >>> f = ls.simulate.linear(np.array([[3.0, -1.0], [0.0, 0.0]]))
    >>> design = ls.IsotropicGaussian((2, 2), 0.1)
    >>> how = {"gradient": "queries", "n_queries": 400, "directions": design, "rng": 0, "iterations": 3}
    >>> found = ls.baselines.l1q(f, np.full((1, 4, 4), 0.5), epsilon=0.4, q=0.75, **how)
    >>> np.round(found.solution[0, :2], 9)
    array([[0.1, 0.1, 0. , 0. ],
           [0.1, 0.1, 0. , 0. ]])
    """
    where = "l1q"
    black_box = as_response(response)
    picture = black_box.check_image(image, where)
    radius = check_positive(where, "epsilon", epsilon)
    check_choice(where, "ball", ball, ("l1", "l2"))
    moved = round((1.0 - check_level(where, "q", q)) * picture.size)
    if ball == "l1" and moved < 1:
        valid = f"such that at least one of {picture.size} entries is moved"
        raise ValueError(invalid(where, "q", q, valid, f"At most {1.0 - 0.51 / picture.size:.6g}."))
    step_share = check_positive(where, "c", c)
    if step_share < 1.0:
        raise ValueError(invalid(where, "c", c, ">= 1", "1: the average of the ball's points; 2: the classical steps."))
    sign = 1.0 if check_flag(where, "raising", raising) else -1.0
    steps = check_count(where, "iterations", iterations)
    shifting = Shifting(where, black_box, picture, gradient, n_queries, rng, directions, earlier, steps)
    delta, rows = np.zeros(picture.shape), []
    for k in range(shifting.steps):
        slope, score = shifting.gradient(delta, k)
        alpha = step_share / (step_share + k)
        delta = (1.0 - alpha) * delta + alpha * radius * extreme_point(sign * slope, ball, moved)
        rows.append({"score": score, "norm_l1": np.abs(delta).sum(), "norm_l2": np.sqrt(np.sum(delta**2)),
                     "moved": np.count_nonzero(delta)})  # fmt: skip
    last, asked = shifting.score(delta), shifting.asked
    settings = {"epsilon": radius, "q": q, "ball": ball, "raising": raising, "c": step_share}
    return BaselineResult(
        method="l1q",
        solution=delta,
        saliency=np.abs(delta).sum(axis=0),
        image=picture,
        picture=np.clip(picture + delta, 0.0, 1.0),
        trace={one: np.array([row[one] for row in rows]) for one in rows[0]},
        n_queries=asked.spent,
        n_backward=asked.n_backward,
        gradient=shifting.source.name,
        tied=0,
        settings=settings | {"iterations": shifting.steps},
        source={"response": asked.response.describe(), "f_x0": asked.f_x0, "score": last},
    )


def extreme_point(gradient: FloatArray, ball: Ball, moved: int) -> FloatArray:
    """The point of the unit ball that the gradient has the largest product with; for l1 spread over `moved` entries.

    Examples
    --------
    >>> extreme_point(np.array([3.0, -5.0, 1.0]), "l1", 2)
    array([ 0.5, -0.5,  0. ])
    """
    point = np.zeros(gradient.size)
    flat = gradient.ravel()
    if ball == "l2":
        length = float(np.sqrt(np.sum(flat**2)))
        return gradient / length if length > 0.0 else point.reshape(gradient.shape)
    largest = np.argsort(-np.abs(flat), kind="stable")[:moved]
    point[largest] = np.sign(flat[largest])
    total = float(np.abs(point).sum())
    return (point / total if total > 0.0 else point).reshape(gradient.shape)
