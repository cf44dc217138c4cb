r"""Deletion and insertion: how fast the score falls, or rises, as cells go, or come, in the order of the map.

With :math:`S_k` the k cells of largest value, m their indicator lifted to pixels, and x~ the baseline,

.. math:: d_k = f(x_0 (1 - m_k) + \tilde x m_k), \qquad i_k = f(\tilde x (1 - m_k) + x_0 m_k),

and the areas are those under the curves over k / p by the trapezoid rule (Petsiuk, Das and Saenko, RISE, 2018; Qi,
Khorram and Li, I-GOS, 2020).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np

from legstat._core.checks import check_count, check_within
from legstat._core.errors import invalid
from legstat._core.typing import JSON, AnyArray, FloatArray
from legstat.metrics.masked import Answering, MaskedPicture, check_map, ranked, removed_shares
from legstat.metrics.references import ReferenceName, reference_picture


@dataclass(frozen=True, eq=False)
class Curve:
    """Scores along an order of cells.

    Attributes
    ----------
    kind : {"deletion", "insertion", "road"}
        Which curve.
    fractions : ndarray of shape (k,)
        Shares of cells that have changed, from 0.
    scores : ndarray of shape (k,)
        The score there: of a network the probability of its target.
    baseline : str
        What cells are replaced by: the name, or "array".
    tied : int
        Cells that share their value with another one; these were ranked at random.
    n_queries : int
        Evaluations spent.

    Examples
    --------
    >>> curve = Curve("deletion", np.array([0.0, 0.5, 1.0]), np.array([0.8, 0.4, 0.0]), "blur", 0, 4)
    >>> round(curve.area, 3)
    0.4
    """

    kind: str
    fractions: FloatArray = field(repr=False)
    scores: FloatArray = field(repr=False)
    baseline: str
    tied: int
    n_queries: int

    @property
    def area(self) -> float:
        """Area under the curve by the trapezoid rule, over the share of cells that it covers."""
        covered = self.fractions[-1] - self.fractions[0]
        return float(np.trapezoid(self.scores, self.fractions) / covered)

    def to_dict(self) -> JSON:
        """All of it in lists and numbers, without loss."""
        arrays = {"fractions": self.fractions.tolist(), "scores": self.scores.tolist()}
        return {"kind": self.kind, **arrays, "baseline": self.baseline, "tied": self.tied, "n_queries": self.n_queries}

    @classmethod
    def from_dict(cls, about: JSON) -> Self:
        """What `to_dict` wrote."""
        arrays = np.array(about["fractions"], dtype=np.float64), np.array(about["scores"], dtype=np.float64)
        return cls(about["kind"], *arrays, about["baseline"], about["tied"], about["n_queries"])

    def __repr__(self) -> str:
        return f"<Curve of {self.kind}, {self.baseline}: area {self.area:.4g} over {len(self.scores)} points>"


def deletion(
    response: Answering,
    image: AnyArray,
    saliency: AnyArray,
    *,
    baseline: ReferenceName | FloatArray = "blur",
    steps: int = 56,
    until: float = 1.0,
    rng: object = 0,
) -> Curve:
    """Deletion curve: cells are replaced by the baseline, the most important ones first. Low areas are good.

    Parameters
    ----------
    response : Response or callable
        The black box. A network's score is the probability of its target, whatever score it was opened with; a
        function's is what it returns.
    image : ndarray of shape (C, H, W)
        x0 in [0, 1].
    saliency : ndarray of shape (p1, p2)
        The map, high where important, at its own resolution: cells are deleted as wholes.
    baseline : str or ndarray of shape (C, H, W), default "blur"
        "blur" (Gaussian, 10 pixels of 224), "igos" (50 pixels, cut off at 25), "zeros" (RISE: zeros in the network's
        input), "rise" (11 x 11 blur), "mean", "black", "white", "noise", or a picture.
    steps : int, default 56
        Steps of (nearly) as many cells each; one a cell where there are fewer cells.
    until : float, default 1.0
        Share of the cells at which the curve ends (the I-GOS authors' code ends at 1 / 3.5).
    rng : int or anything `numpy.random.default_rng` takes, default 0
        Decides the order of cells of equal value.

    Returns
    -------
    Curve
        steps + 1 points, f(x0) first.

    Raises
    ------
    ValueError
        Map, baseline or steps do not fit the picture; nothing is evaluated before that is known.

    Warns
    -----
    LegstatWarning
        The map is constant.

    Notes
    -----
    Costs steps + 1 evaluations; x0 is one of them.

    Examples
    --------
    >>> import legstat as ls
    >>> f = ls.simulate.linear(np.array([[1.0, 0.0], [0.0, 0.0]]))
    >>> image = np.ones((1, 4, 4))
    >>> ls.metrics.deletion(f, image, [[1, 0], [0, 0]], baseline="black", steps=4).scores
    array([1., 0., 0., 0., 0.])
    """
    return _curve("deletion", response, image, saliency, baseline, steps, until, rng)


def insertion(
    response: Answering,
    image: AnyArray,
    saliency: AnyArray,
    *,
    baseline: ReferenceName | FloatArray = "blur",
    steps: int = 56,
    until: float = 1.0,
    rng: object = 0,
) -> Curve:
    """Insertion curve: cells of x0 come into the baseline, the most important ones first. High areas are good.

    Parameters
    ----------
    response, image, saliency, baseline, steps, until, rng : as for `deletion`
        RISE's protocol is ``baseline="rise"``.

    Returns
    -------
    Curve
        steps + 1 points, the baseline first.

    Raises
    ------
    ValueError
        As `deletion`.

    Notes
    -----
    Costs steps + 1 evaluations, and one more where `until` is below 1: x0 is asked for all the same.

    Examples
    --------
    >>> import legstat as ls
    >>> f = ls.simulate.linear(np.array([[1.0, 0.0], [0.0, 0.0]]))
    >>> ls.metrics.insertion(f, np.ones((1, 4, 4)), [[1, 0], [0, 0]], baseline="black", steps=4).area
    0.875
    """
    return _curve("insertion", response, image, saliency, baseline, steps, until, rng)


def _curve(
    kind: str,
    response: Answering,
    image: AnyArray,
    saliency: AnyArray,
    baseline: ReferenceName | FloatArray,
    steps: int,
    until: float,
    rng: object,
) -> Curve:
    values = check_map(kind, saliency)
    most = check_within(kind, "until", until, 0.0, 1.0)
    last = round(most * values.size)
    points = min(check_count(kind, "steps", steps), last) + 1
    if last < 1:
        raise ValueError(invalid(kind, "until", until, f"a share of at least one of {values.size} cells"))
    order, tied = ranked(kind, values, rng)
    subject = MaskedPicture(kind, response, image, (values.shape[0], values.shape[1]))
    reference = reference_picture(kind, baseline, subject.image, subject.opened)
    counts = np.round(np.linspace(0, last, points)).astype(np.int64)
    changed = removed_shares(order, counts, subject.grid.shape)
    if kind == "deletion":
        scores = np.concatenate([[subject.f_x0], subject.scores(reference, 1.0 - changed[1:])])
    else:
        whole = last == values.size  # then the last point is x0
        scores = subject.scores(reference, changed[:-1] if whole else changed)
        scores = np.append(scores, subject.f_x0) if whole else scores
    name = baseline if isinstance(baseline, str) else "array"
    return Curve(kind, counts / values.size, scores, name, tied, subject.n_queries)
