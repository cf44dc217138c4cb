"""The mask of Fong and Vedaldi (ICCV 2017): deletion and preservation games, by Adam."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np

from legstat._core.checks import check_choice, check_count, check_positive, check_within
from legstat._core.typing import AnyArray, FloatArray
from legstat.baselines.penalties import Penalty
from legstat.baselines.problem import Problem, ScoreChoice, affordable_steps, changed, shown, total_terms
from legstat.baselines.ranking import ranked_saliency
from legstat.baselines.result import BaselineResult
from legstat.baselines.starting import LiftName, Start, first_mask, lift_by_name
from legstat.designs.design import Design
from legstat.gradients.families import BlurredByRadius, Family, Masked
from legstat.gradients.opening import GradientChoice
from legstat.metrics.references import ReferenceName
from legstat.responses.base import Response

Game = Literal["deletion", "preservation"]


@dataclass(frozen=True)
class MaskSettings:
    """Everything about the mask that paper and codes choose.

    Attributes
    ----------
    l1, tv, beta : float
        Weights of the penalty, and the power of its differences.
    isotropic, mean : bool
        As of `Penalty`.
    iterations, rate : int, float
        Of Adam.
    jitter : int
        Pixels of 224: the picture is moved by 0 .. jitter - 1 to each side in each iteration.
    lift : str
        From cells to pixels, as of `lift_by_name`.
    sigma : float
        Of the kernel, in pixels of 224.
    start : {"circle", "ones", "half", "random"}
        First mask.
    score : {"probability", "given"}
        What is explained.
    in_contrasts : bool
        Scores in units of the difference between picture and baseline.
    first : int or None
        As many first choices together are explained; None: the target.
    """

    l1: float = 1e-4
    tv: float = 1e-2
    beta: float = 3.0
    isotropic: bool = True
    mean: bool = False
    iterations: int = 300
    rate: float = 0.1
    jitter: int = 4
    lift: LiftName = "gaussian"
    sigma: float = 5.0
    start: Start = "circle"
    score: ScoreChoice = "probability"
    in_contrasts: bool = False
    first: int | None = None


SETTINGS: dict[str, MaskSettings] = {
    "default": MaskSettings(in_contrasts=True),
    "paper": MaskSettings(),
    # the paper's localisation: the supplement's section 6.2
    "localisation": MaskSettings(l1=1e-3, beta=2.0, first=5),
    # its authors' code, whose command line starts from uniform numbers
    "authors": MaskSettings(lift="repeat_blur", start="random"),
    # the code that most people run: means, no jitter, no blur of the mask
    "torch": MaskSettings(
        l1=0.01, tv=0.2, isotropic=False, mean=True, iterations=500, jitter=1, lift="corners", start="ones"
    ),
}
"""Settings by conventions; "default" is the paper's, with scores in units of what hiding the picture changes."""
PER_ESTIMATE = 100
"""Evaluations of an estimated gradient, at least: it is kept for some iterations, the penalty's own is not."""


def mask(
    response: Response | Callable[[AnyArray], AnyArray],
    image: AnyArray,
    *,
    gradient: GradientChoice = "exact",
    n_queries: int | None = None,
    rng: Any = None,
    shape: tuple[int, int] | None = None,
    game: Game = "deletion",
    baseline: ReferenceName | Literal["blur_radius"] | FloatArray = "blur",
    conventions: Literal["default", "paper", "localisation", "authors", "torch"] = "default",
    l1: float | None = None,
    tv: float | None = None,
    beta: float | None = None,
    iterations: int | None = None,
    rate: float | None = None,
    jitter: int | None = None,
    start: Start | None = None,
    score: ScoreChoice | None = None,
    first: int | None = None,
    directions: Design | None = None,
) -> BaselineResult:
    r"""Meaningful perturbations: the smallest and smoothest mask whose deletion makes the score fall.

    Minimises (mask paper, eq. 4; the supplement's eq. 1 for the preservation game) over :math:`m \in [0, 1]^p`

    .. math:: \lambda_1 \|1 - m\|_1 + \lambda_2 \sum_u \|\nabla m(u)\|_\beta^\beta
              + E_\tau f(\Phi(x_0(\cdot - \tau), \mathrm{up}(m)))

    or :math:`\lambda_1 \|m\|_1 + \ldots - E_\tau f`, by Adam with projection onto [0, 1], one jitter tau an iteration.

    Parameters
    ----------
    response : Response or callable
        The black box; of a network the probability of its target is explained unless `score` says otherwise.
    image : ndarray of shape (C, H, W)
        x0 in [0, 1].
    gradient : {"exact", "queries", "auto"}, default "exact"
        Torch's gradients, or gradients estimated from evaluations alone. "auto": exact where there are any.
    n_queries : int, optional
        Ceiling on evaluations, f(x0) included. By default 2,000 for estimated gradients and none for exact ones; a
        ceiling that does not pay for all iterations lowers their number.
    rng : None, int, Generator or anything `numpy.random.default_rng` takes
        Jitter, random start and directions; the same seed gives the same bits.
    shape : tuple of int, optional
        Cells of the mask; 28 x 28 for 224 x 224 pixels, as in the paper.
    game : {"deletion", "preservation"}, default "deletion"
        Delete as little as makes the score fall, or keep as little as preserves it.
    baseline : str or ndarray, default "blur"
        What is shown where m = 0: as for `legstat.metrics.deletion`, or "blur_radius", each pixel blurred by a radius
        of its own (the paper's formula; both codes blend two pictures).
    conventions : {"default", "paper", "localisation", "authors", "torch"}
        All settings at once: ours, the paper's, those of its localisation experiment, its authors' code, the code that
        most people run. The arguments below overrule it.
    l1, tv, beta : float, optional
        lambda_1, lambda_2 and the power of the differences.
    iterations : int, optional
        Iterations of Adam.
    rate : float, optional
        Its learning rate.
    jitter : int, optional
        tau is uniform on 0 .. jitter - 1 pixels of 224 in each direction; 1 is none.
    start : {"circle", "ones", "half", "random"}, optional
        First mask. "circle": the smallest centred disc whose deletion leaves 1 % of the score's drop (preservation:
        whose keeping preserves 99 %), softened.
    score : {"probability", "given"}, optional
        The probability of a network's target, or the score that it was opened with.
    first : int, optional
        Explain as many first choices together, by the sum of their probabilities (supplement, eq. 2; 5 for the
        paper's localisation), in place of the target.
    directions : Design, optional
        Law of the directions of estimated gradients; `MultiscaleBlocks` unless given.

    Returns
    -------
    BaselineResult
        ``.saliency`` is 1 - m, of the preservation game m. ``.trace``: score, l1, tv.

    Raises
    ------
    TypeError
        Exact gradients of a black box that has none; several first choices of a plain function.
    ValueError
        An argument out of range, a baseline that equals the picture; before anything is evaluated. A budget that does
        not pay for a single estimate.

    Notes
    -----
    With exact gradients an iteration costs one evaluation and one backward pass; the circle costs 37 before.
    Gradients are estimated anew for every 100 evaluations of the budget, and kept for some iterations.

    Examples
    --------
    >>> import legstat as ls
    >>> f = ls.simulate.logistic(np.array([[6.0, 0.0], [0.0, 0.0]]), offset=-3.0)
    >>> result = ls.baselines.mask(
    ...     f, np.ones((1, 8, 8)), gradient="queries", n_queries=800, shape=(2, 2), baseline="black", rng=0
    ... )
    >>> int(result.saliency.argmax()), result.n_queries <= 800
    (0, True)
    """
    where = "mask"
    check_choice(where, "conventions", conventions, tuple(SETTINGS))
    check_choice(where, "game", game, get_args(Game))
    settings = changed(
        SETTINGS[conventions],
        {
            "l1": l1 if l1 is None else check_within(where, "l1", l1),
            "tv": tv if tv is None else check_within(where, "tv", tv),
            "beta": beta if beta is None else check_within(where, "beta", beta, 1.0),
            "iterations": iterations if iterations is None else check_count(where, "iterations", iterations),
            "rate": rate if rate is None else check_positive(where, "rate", rate),
            "jitter": jitter if jitter is None else check_count(where, "jitter", jitter),
            "start": start if start is None else check_choice(where, "start", start, get_args(Start)),
            "score": score,
            "first": first if first is None else check_count(where, "first", first),
        },
    )
    by_radius = isinstance(baseline, str) and baseline == "blur_radius"
    problem = Problem(
        where,
        response,
        image,
        gradient,
        n_queries,
        rng,
        shape=shape,
        baseline="blur" if by_radius else baseline,  # type: ignore[arg-type]  # the other names are references
        score=settings.score,
        in_contrasts=settings.in_contrasts,
        first=settings.first,
        directions=directions,
    )
    return MaskGame(problem, settings, game, by_radius).run()


class MaskGame:
    """The iterations.

    Parameters
    ----------
    problem : Problem
        Picture, black box, gradients.
    settings : MaskSettings
        How.
    game : {"deletion", "preservation"}
        Which game.
    by_radius : bool
        Blur by a radius of each pixel's own, in place of the problem's baseline.
    """

    def __init__(
        self, problem: Problem, settings: MaskSettings, game: Game = "deletion", by_radius: bool = False
    ) -> None:
        self._problem, self._settings, self._game, self._by_radius = problem, settings, game, by_radius
        self._sign = 1.0 if game == "deletion" else -1.0
        self._penalty = Penalty(
            settings.l1, settings.tv, settings.beta, settings.isotropic, settings.mean, kept=game == "preservation"
        )
        self._lift = lift_by_name(settings.lift, problem.shape, problem.size, settings.sigma)
        # in pixels of this picture
        self._jitter = max(round(settings.jitter * min(problem.size) / 224.0), 1)

    def run(self) -> BaselineResult:
        """Play it to the end."""
        problem, settings = self._problem, self._settings
        exact = problem.source.name == "exact"
        mask = first_mask(problem, settings.start, deleting=self._game == "deletion")
        iterations = affordable_steps(problem.asked, settings.iterations, 1) if exact else settings.iterations
        refits = iterations if exact else affordable_steps(problem.asked, iterations, PER_ESTIMATE)
        # the iterations in which the gradient is asked for
        asked = {k * iterations // refits: refits - k for k in range(refits)}
        adam = _Adam(settings.rate, mask.shape)
        slopes, found, score, rows = np.zeros(mask.shape), np.zeros(mask.shape), np.nan, []
        for k in range(iterations):
            if k in asked:
                problem.source.spread_over(asked[k])
                moved = (int(n) for n in problem.rng.integers(0, self._jitter, 2))
                estimate = problem.source.mean_gradient(self._family(*moved), mask[None], np.ones(1))
                found = estimate.gradient / problem.unit
                score = np.nan if estimate.values is None else float(estimate.values[0]) / problem.unit
            slopes += found
            _, terms = total_terms(score, self._penalty, mask)
            rows.append(terms)
            mask = np.clip(mask - adam.step(self._sign * found + self._penalty.gradient(mask)), 0.0, 1.0)
        saliency, tied = ranked_saliency(1.0 - mask if self._game == "deletion" else mask, slopes)
        return BaselineResult(
            method="mask",
            solution=mask,
            saliency=saliency,
            image=problem.image,
            picture=shown(self._family(0, 0), mask),
            trace={name: np.array([row[name] for row in rows]) for name in rows[0]},
            n_queries=problem.asked.spent,
            n_backward=problem.asked.n_backward,
            gradient=problem.source.name,
            tied=tied,
            settings=asdict(settings) | {"game": self._game, "by_radius": self._by_radius},
            source=problem.facts(),
        )

    def _family(self, down: int, across: int) -> Family:
        """The picture, moved by an iteration's jitter."""
        image, baseline = (_moved(one, down, across) for one in (self._problem.image, self._problem.baseline))
        if self._by_radius:
            return BlurredByRadius(image[None], 10.0 * min(self._problem.size) / 224.0, self._lift)
        return Masked(image[None], baseline[None], self._lift)


class _Adam:
    """Adam (Kingma and Ba, 2015, Algorithm 1)."""

    def __init__(self, rate: float, shape: tuple[int, ...]) -> None:
        self._rate, self._t = rate, 0
        self._first, self._second = np.zeros(shape), np.zeros(shape)

    def step(self, gradient: FloatArray) -> FloatArray:
        """What to subtract."""
        self._t += 1
        self._first = 0.9 * self._first + 0.1 * gradient
        self._second = 0.999 * self._second + 0.001 * gradient**2
        first = self._first / (1.0 - 0.9**self._t)
        second = self._second / (1.0 - 0.999**self._t)
        return np.asarray(self._rate * first / (np.sqrt(second) + 1e-8), dtype=np.float64)


def _moved(picture: FloatArray, down: int, across: int) -> FloatArray:
    """The picture moved by whole pixels, its edge repeated where nothing comes in."""
    height, width = picture.shape[1:]
    padded = np.pad(picture, ((0, 0), (down, 0), (across, 0)), mode="edge")
    return padded[:, :height, :width]
