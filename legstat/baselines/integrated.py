"""I-GOS: a deletion mask found along integrated gradients (Qi, Khorram and Li, AAAI 2020)."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from legstat._core.checks import check_choice, check_count, check_positive, check_within
from legstat._core.errors import LegstatWarning
from legstat._core.typing import AnyArray, FloatArray
from legstat.baselines.line_search import LineSearch, Step
from legstat.baselines.penalties import Penalty
from legstat.baselines.problem import WEAK, Problem, ScoreChoice, affordable_steps, changed, shown, total_terms
from legstat.baselines.ranking import ranked_saliency
from legstat.baselines.result import BaselineResult
from legstat.baselines.starting import LiftName, Start, first_mask, lift_by_name
from legstat.designs.design import Design
from legstat.gradients.families import Masked
from legstat.gradients.opening import GradientChoice
from legstat.metrics.references import ReferenceName
from legstat.responses.base import Response

NOISE = 0.2 * 0.2254
"""The codes' noise, 0.2 in units of ImageNet's standard deviations, in pixel values."""
PER_ITERATION = 2000
"""Evaluations of an iteration, at least, where gradients are estimated: one step that sees well measured better than
several that see badly (insertion minus deletion .72 and .63 for one and two of 600 on five CIFAR pictures)."""


@dataclass(frozen=True)
class IgosSettings:
    """Everything about I-GOS that papers and codes choose.

    Attributes
    ----------
    baseline : str
        As of `igos`.
    l1, tv, beta : float
        Weights of the penalty's means, and the power of its differences.
    iterations, steps : int
        Iterations at most, and S of eq. 4.
    noise : float
        Standard deviation of the noise of each step, in pixel values.
    noise_on : {"picture", "blend"}
        Added to x0 inside Phi (Algorithm 1), or to Phi (both codes).
    noise_channels : {"all", "first"}
        "first": the authors' code has noise in one channel alone.
    lift, sigma : str, float
        From cells to pixels, as of `lift_by_name`.
    start : {"circle", "ones", "half", "random"}
        First mask.
    search : LineSearch
        Eq. 8.
    fixed_step : float or None
        A step size in place of the search (the paper's ablation: 1).
    noisy_objective : bool
        The search looks at the noisy mean over the path, as the optimised code does, not at F.
    falling_l1 : bool
        The authors' undocumented rule: l1 falls to a tenth half-way if the score has fallen by at most .001, and to a
        fifth after four fifths if by at most .01.
    score : {"probability", "given"}
        What is explained.
    in_contrasts : bool
        Scores in units of the difference between picture and baseline.
    """

    baseline: ReferenceName = "igos"
    l1: float = 1.0
    tv: float = 20.0
    beta: float = 2.0
    iterations: int = 15
    steps: int = 20
    noise: float = NOISE
    noise_on: Literal["picture", "blend"] = "picture"
    noise_channels: Literal["all", "first"] = "all"
    lift: LiftName = "bilinear"
    sigma: float = 5.0
    start: Start = "ones"
    search: LineSearch = field(default_factory=LineSearch)
    fixed_step: float | None = None
    noisy_objective: bool = False
    falling_l1: bool = False
    score: ScoreChoice = "probability"
    in_contrasts: bool = False


SETTINGS: dict[str, IgosSettings] = {
    "default": IgosSettings(baseline="blur", l1=0.1, tv=100.0, steps=10, noise=0.0, score="given", in_contrasts=True),
    "paper": IgosSettings(),
    # the noise is added to itself, which doubles it, and OpenCV fills one channel of it only
    "authors": IgosSettings(
        noise=0.4 * 0.229, noise_on="blend", noise_channels="first", lift="corners", falling_l1=True
    ),
    # the two numbers of iterations are swapped on the way
    "optimised": IgosSettings(
        iterations=20, steps=15, noise_on="blend", lift="corners", noisy_objective=True, search=LineSearch(upper=1000.0)
    ),
}
"""Settings by conventions; "default" was searched on other pictures than those that its figures are measured on."""


def igos(
    response: Response | Callable[[AnyArray], AnyArray],
    image: AnyArray,
    *,
    gradient: GradientChoice = "exact",
    n_queries: int | None = None,
    rng: Any = None,
    shape: tuple[int, int] | None = None,
    baseline: ReferenceName | FloatArray | None = None,
    conventions: Literal["default", "paper", "authors", "optimised"] = "default",
    l1: float | None = None,
    tv: float | None = None,
    iterations: int | None = None,
    steps: int | None = None,
    noise: float | None = None,
    fixed_step: float | None = None,
    start: Start | None = None,
    score: ScoreChoice | None = None,
    directions: Design | None = None,
) -> BaselineResult:
    r"""I-GOS: the mask that hides the evidence, by integrated gradients and a line search.

    Minimises (I-GOS paper, eq. 9)

    .. math:: F(M) = f(\Phi(x_0, \mathrm{up}(M))) + \lambda_1 \overline{|1 - M|} + \lambda_2 \overline{TV}_\beta(M),
              \qquad 0 \le M \le 1,

    from M = 1 on, with steps against :math:`T = \nabla^{IG} f(M) + \nabla g(M)` (eq. 4 to 6), where

    .. math:: \nabla^{IG} f(M) = \frac{1}{S} \sum_{s=1}^S \frac{\partial}{\partial M}
              f\left(\Phi(x_0 + n_s, \tfrac{s}{S} \mathrm{up}(M))\right)

    and the size of each step satisfies the revised Armijo condition (eq. 8), or is the lower bound.

    Parameters
    ----------
    response : Response or callable
        The black box, with the score that is explained; by the other conventions than ours, and with
        ``score="probability"``, of a network the probability of its target.
    image : ndarray of shape (C, H, W)
        x0 in [0, 1].
    gradient : {"exact", "queries", "auto"}, default "exact"
        Torch's gradients, or gradients estimated from evaluations alone, for which any response will do. "auto": exact
        where there are any.
    n_queries : int, optional
        Ceiling on evaluations, f(x0) included. By default 2,000 for estimated gradients and none for exact ones; a
        ceiling that does not pay for all iterations lowers their number.
    rng : None, int, Generator or anything `numpy.random.default_rng` takes
        Noise and directions; the same seed gives the same bits.
    shape : tuple of int, optional
        Cells of the mask: (224, 224), (112, 112), (28, 28), (14, 14) and (7, 7) in the paper. By default the finest of
        at most 28 x 28.
    baseline : str or ndarray, optional
        What is shown where M = 0, as for `legstat.metrics.deletion`: "blur" by our conventions, "igos" by the others.
    conventions : {"default", "paper", "authors", "optimised"}
        All settings at once: ours, the paper's, its authors' code, the code that its authors published later, the
        last two with what is known to be wrong in them. The arguments below overrule it.
    l1, tv : float, optional
        lambda_1 and lambda_2; ``tv=0`` is the ablation without total variation.
    iterations, steps : int, optional
        Iterations at most, and S.
    noise : float, optional
        Standard deviation of n_s in pixel values; 0 is the ablation without noise.
    fixed_step : float, optional
        A step size in place of the line search: the paper's ablation.
    start : {"circle", "ones", "half", "random"}, optional
        First mask. "ones": the picture as it is (the paper's). "circle": as for `mask`.
    score : {"probability", "given"}, optional
        The probability of a network's target, or the score that it was opened with.
    directions : Design, optional
        Law of the directions of estimated gradients; `MultiscaleBlocks` unless given.

    Returns
    -------
    BaselineResult
        ``.saliency`` is 1 - M. ``.trace``: score, l1, tv, alpha, and whether eq. 8 was satisfied.

    Raises
    ------
    TypeError
        Exact gradients of a black box that has none.
    ValueError
        An argument out of range, a baseline that equals the picture; before anything is evaluated. A budget that does
        not pay for a single iteration.

    Warns
    -----
    LegstatWarning
        The probability of the target at x0 is below 0.01: the paper's own failure case.

    Notes
    -----
    An iteration costs S evaluations, with exact gradients as many backward passes, and at most 12 for the line search.
    Of estimated gradients there is an iteration for every 2,000 evaluations of the budget, at least one and 15 at most;
    they share what the line searches leave.

    Examples
    --------
    >>> import legstat as ls
    >>> f = ls.simulate.logistic(np.array([[6.0, 0.0], [0.0, 0.0]]), offset=-3.0)
    >>> result = ls.baselines.igos(
    ...     f, np.ones((1, 8, 8)), gradient="queries", n_queries=800, shape=(2, 2), baseline="black", rng=0
    ... )
    >>> int(result.saliency.argmax()), result.n_queries <= 800
    (0, True)
    """
    where = "igos"
    check_choice(where, "conventions", conventions, tuple(SETTINGS))
    settings = changed(
        SETTINGS[conventions],
        {
            "l1": l1 if l1 is None else check_within(where, "l1", l1),
            "tv": tv if tv is None else check_within(where, "tv", tv),
            "iterations": iterations if iterations is None else check_count(where, "iterations", iterations),
            "steps": steps if steps is None else check_count(where, "steps", steps),
            "noise": noise if noise is None else check_within(where, "noise", noise),
            "fixed_step": fixed_step if fixed_step is None else check_positive(where, "fixed_step", fixed_step),
            "start": start if start is None else check_choice(where, "start", start, get_args(Start)),
            "score": score,
        },
    )
    problem = Problem(
        where,
        response,
        image,
        gradient,
        n_queries,
        rng,
        shape=shape,
        baseline=settings.baseline if baseline is None else baseline,
        score=settings.score,
        in_contrasts=settings.in_contrasts,
        directions=directions,
    )
    chance = problem.asked.response.describe().get("probability_x0")
    if isinstance(chance, float) and chance < WEAK:
        warnings.warn(
            f"legstat.igos: the probability of the target at x0 is {chance:.2g}, below {WEAK}. There is little "
            "to delete, and the I-GOS paper reports that its masks are then adversarial. Explain the first choice.",
            LegstatWarning,
            stacklevel=2,
        )
    return Descent(problem, settings).run()


class Descent:
    """The iterations of Algorithm 1.

    Parameters
    ----------
    problem : Problem
        Picture, black box, gradients.
    settings : IgosSettings
        How.
    """

    def __init__(self, problem: Problem, settings: IgosSettings) -> None:
        self._problem, self._settings, self._l1 = problem, settings, settings.l1
        self._lift = lift_by_name(settings.lift, problem.shape, problem.size, settings.sigma)
        self._plain = Masked(problem.image[None], problem.baseline[None], self._lift)
        self._levels = np.arange(1, settings.steps + 1) / settings.steps

    def run(self) -> BaselineResult:
        """Descend to the end."""
        problem, settings = self._problem, self._settings
        exact = problem.source.name == "exact"
        mask = first_mask(problem, settings.start)
        score = problem.f_x0 / problem.unit if settings.start == "ones" else problem.value(self._plain, mask)
        searching = self._search_cost
        each = searching + settings.steps if exact else max(PER_ITERATION, searching + 4)
        iterations = affordable_steps(problem.asked, settings.iterations, each)
        slopes = np.zeros(problem.shape)
        first, rows = score, []
        for k in range(iterations):
            if settings.falling_l1:
                self._fall(k, first - score)
            penalty = self._penalty
            problem.source.spread_over(iterations - k, (iterations - k) * searching)
            noisy = self._noisy()
            points = self._levels[:, None, None] * mask
            found = problem.source.mean_gradient(noisy, points, self._levels / settings.steps)
            integrated = found.gradient / problem.unit
            slopes += integrated
            step = self._step(mask, integrated + penalty.gradient(mask), score, noisy)
            moved = float(np.abs(step.mask - mask).max())
            mask = step.mask
            score = step.value - sum(penalty.terms(mask).values())
            _, terms = total_terms(score, penalty, mask)
            rows.append({**terms, "alpha": step.alpha, "satisfied": float(step.satisfied), "moved": moved})
            if moved == 0.0 and exact and settings.noise == 0.0:
                break  # nothing will change any more
        saliency, tied = ranked_saliency(1.0 - mask, slopes)
        return BaselineResult(
            method="igos",
            solution=mask,
            saliency=saliency,
            image=problem.image,
            picture=shown(self._plain, mask),
            trace={name: np.array([row[name] for row in rows]) for name in rows[0]},
            n_queries=problem.asked.spent,
            n_backward=problem.asked.n_backward,
            gradient=problem.source.name,
            tied=tied,
            settings=asdict(settings),
            source=problem.facts(),
        )

    @property
    def _penalty(self) -> Penalty:
        settings = self._settings
        return Penalty(self._l1, settings.tv, settings.beta, isotropic=False, mean=True)

    @property
    def _search_cost(self) -> int:
        """Evaluations of a search at most."""
        settings = self._settings
        if settings.fixed_step is not None:
            return 1
        # the noisy mean over the path is also what the step starts from
        return (settings.search.most + 1) * settings.steps if settings.noisy_objective else settings.search.most

    def _fall(self, k: int, fallen: float) -> None:
        """The authors' rule for l1."""
        iterations = self._settings.iterations
        if k == iterations // 2 and fallen <= 0.001:
            self._l1 /= 10.0
        if k == int(iterations / 1.25) and fallen <= 0.01:
            self._l1 /= 5.0

    def _noisy(self) -> Masked:
        """The picture with noise of its own at each point of the path."""
        problem, settings = self._problem, self._settings
        if settings.noise == 0.0:
            return self._plain
        noise = settings.noise * problem.rng.standard_normal((settings.steps, *problem.image.shape))
        if settings.noise_channels == "first":
            noise[:, 1:] = 0.0
        # the same noise on both pictures is noise on their blend
        base = problem.baseline + noise if settings.noise_on == "blend" else problem.baseline[None]
        return Masked(problem.image + noise, base, self._lift)

    def _step(self, mask: FloatArray, total: FloatArray, score: float, noisy: Masked) -> Step:
        problem, settings, penalty = self._problem, self._settings, self._penalty

        def objective(moved: FloatArray) -> float:
            if settings.noisy_objective:
                points = self._levels[:, None, None] * moved
                scores = problem.asked.scores(noisy, points, np.arange(settings.steps) % noisy.members)
                seen = float(scores.mean()) / problem.unit
            else:
                seen = problem.value(self._plain, moved)
            return total_terms(seen, penalty, moved)[0]

        if settings.fixed_step is not None:
            moved = np.clip(mask - settings.fixed_step * total, 0.0, 1.0)
            return Step(moved, objective(moved), settings.fixed_step, False, 1)
        start = objective(mask) if settings.noisy_objective else total_terms(score, penalty, mask)[0]
        return settings.search(objective, mask, total, start)
