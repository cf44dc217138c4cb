r"""Masking by importance: log-odds ratios and the key masking size (LEG paper, section 6.2, Table 1, Fig. 4 to 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import scipy

from legstat._core.checks import check_choice, check_count, check_rng, check_within
from legstat._core.errors import invalid
from legstat._core.typing import AnyArray, FloatArray
from legstat.metrics.masked import Answering, MaskedPicture, check_map, ranked, removed_shares

Masking = Literal["distance", "black", "white", "mean", "noise"]
_BATCHES = 4  # pictures that the search for the key size makes at once, in batches: few are made in vain


@dataclass(frozen=True, eq=False)
class MaskingCurve:
    r"""Log-odds ratios as more and more of a picture is masked.

    .. math:: LOR = \log\frac{P_c(x') / (1 - P_c(x'))}{P_c(x_0) / (1 - P_c(x_0))}

    Attributes
    ----------
    masking : str
        How cells are masked.
    fractions : ndarray of shape (k,)
        Shares of cells masked, 0 first.
    log_odds_ratios : ndarray of shape (k,)
        LOR at each, averaged over the repeats; 0 at 0.
    probabilities : ndarray of shape (k,)
        P_c at each, averaged over the repeats.
    tied : int
        Cells that share their value with another one; these were ranked at random.
    n_queries : int
        Evaluations spent.

    Examples
    --------
    >>> MaskingCurve("black", np.array([0.0, 0.5]), np.array([0.0, -1.5]), np.array([0.9, 0.6]), 0, 2)
    <MaskingCurve by black: log-odds ratio -1.5 at 50 % masked>
    """

    masking: str
    fractions: FloatArray = field(repr=False)
    log_odds_ratios: FloatArray = field(repr=False)
    probabilities: FloatArray = field(repr=False)
    tied: int
    n_queries: int

    def __repr__(self) -> str:
        last = f"{self.log_odds_ratios[-1]:.3g} at {100 * self.fractions[-1]:.3g} % masked"
        return f"<MaskingCurve by {self.masking}: log-odds ratio {last}>"


@dataclass(frozen=True)
class KeySize:
    """Smallest share of the cells whose masking changes the network's first choice.

    Attributes
    ----------
    size : float
        That share; where it is censored, the largest share that was tried.
    censored : bool
        The choice did not change up to there: the key size is larger than `size`, and not known.
    masking : str
        How cells are masked.
    tied : int
        Cells that share their value with another one; these were ranked at random.
    n_queries : int
        Evaluations spent.

    Examples
    --------
    >>> KeySize(0.25, False, "black", 0, 15)
    KeySize(size=0.25, censored=False, masking='black', tied=0, n_queries=15)
    """

    size: float
    censored: bool
    masking: str
    tied: int
    n_queries: int


def masking_curve(
    response: Answering,
    image: AnyArray,
    saliency: AnyArray,
    *,
    masking: Masking = "distance",
    distance: float = 100 / 255,
    fractions: Sequence[float] | FloatArray = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4),
    repeats: int = 10,
    rng: object = 0,
) -> MaskingCurve:
    """Log-odds ratio against the share of cells masked, in descending order of the map.

    Parameters
    ----------
    response : Response or callable
        The black box: a network, or a function whose score is a probability.
    image : ndarray of shape (C, H, W)
        x0 in [0, 1].
    saliency : ndarray of shape (p1, p2)
        The map.
    masking : {"distance", "black", "white", "mean", "noise"}, default "distance"
        "distance": pixels of a cell are darkened by `distance` where its value is positive or 0 and brightened where
        it is negative, within [0, 1]. "mean": the picture's mean colour. "noise": uniform in [0, 1].
    distance : float, default 100 / 255
        K of the paper's Distance-K in units of [0, 1].
    fractions : sequence of float
        Ascending shares of cells within [0, 1].
    repeats : int, default 10
        Draws of the noise that are averaged; 1 for the other maskings, whatever is asked.
    rng : int or anything `numpy.random.default_rng` takes, default 0
        Of ties and noise.

    Returns
    -------
    MaskingCurve
        One entry for each share.

    Raises
    ------
    ValueError
        Anything that does not fit, before the first evaluation; a function whose scores are no probabilities.

    Notes
    -----
    Costs one evaluation, and one for each positive share and repeat.

    Examples
    --------
    >>> import legstat as ls
    >>> f = ls.simulate.linear(np.array([[0.9, 0.0], [0.0, 0.0]]))
    >>> curve = ls.metrics.masking_curve(f, np.full((1, 4, 4), 0.8), [[1, 0], [0, 0]], fractions=[0, 0.25])
    >>> curve.probabilities.round(3)
    array([0.72 , 0.367])
    """
    where = "masking_curve"
    values = check_map(where, saliency)
    check_choice(where, "masking", masking, get_args(Masking))
    check_within(where, "distance", distance, 0.0, 1.0)
    draws = check_count(where, "repeats", repeats) if masking == "noise" else 1
    shares = np.asarray(fractions, dtype=np.float64)
    if shares.ndim != 1 or not shares.size or shares.min() < 0 or shares.max() > 1 or np.any(np.diff(shares) <= 0):
        raise ValueError(invalid(where, "fractions", fractions, "ascending, within [0, 1]"))
    generator = check_rng(where, rng)
    order, tied = ranked(where, values, generator)
    subject = MaskedPicture(where, response, image, (values.shape[0], values.shape[1]))
    counts = np.round(shares * values.size).astype(np.int64)
    keep = 1.0 - removed_shares(order, counts[counts > 0], subject.grid.shape)
    log_odds, chances = np.zeros((draws, len(shares))), np.zeros((draws, len(shares)))
    pictures = [_masked(masking, subject, values, distance, generator) for _ in range(draws)]
    for draw, picture in enumerate(pictures):
        p = np.full(len(shares), subject.f_x0)
        p[counts > 0] = subject.scores(picture, keep)
        if p.min() < 0.0 or p.max() > 1.0:
            remedy = "A log-odds ratio is one of probabilities."
            raise ValueError(
                invalid(where, "response", f"scores from {p.min():.3g} to {p.max():.3g}", "a probability", remedy)
            )
        chances[draw] = p
        log_odds[draw] = _logit(p)
    ratios = (log_odds - _logit(subject.f_x0)).mean(axis=0)
    return MaskingCurve(masking, counts / values.size, ratios, chances.mean(axis=0), tied, subject.n_queries)


def mean_log_odds_ratio(
    curves: Sequence[MaskingCurve], *, convention: Literal["mean", "upstream"] = "mean"
) -> tuple[FloatArray, FloatArray | None]:
    """Average of several pictures' curves.

    Parameters
    ----------
    curves : sequence of MaskingCurve
        Of the same masking and shares.
    convention : {"mean", "upstream"}, default "mean"
        "mean": of the pictures' log-odds ratios, as section 6.2 has it. "upstream": the log-odds ratio of the
        pictures' mean probability, as the authors' code computes Fig. 4: pictures of which the network is less sure
        weigh more, and no standard error belongs to it.

    Returns
    -------
    mean : ndarray of shape (k,)
        For each share.
    std_errors : ndarray of shape (k,) or None
        Over pictures; None for "upstream" or a single picture.

    Raises
    ------
    ValueError
        No curves, or curves of different shares or maskings.

    Examples
    --------
    >>> a = MaskingCurve("black", np.array([0.0, 0.5]), np.array([0.0, -1.0]), np.array([0.5, 0.27]), 0, 2)
    >>> b = MaskingCurve("black", np.array([0.0, 0.5]), np.array([0.0, -2.0]), np.array([0.5, 0.12]), 0, 2)
    >>> mean_log_odds_ratio([a, b])
    (array([ 0. , -1.5]), array([0. , 0.5]))
    """
    where = "mean_log_odds_ratio"
    check_choice(where, "convention", convention, ("mean", "upstream"))
    if not curves:
        raise ValueError(invalid(where, "curves", [], "at least one curve"))
    first = curves[0]
    for one in curves:
        if one.masking != first.masking or not np.array_equal(one.fractions, first.fractions):
            raise ValueError(invalid(where, "curves", repr(one), f"of the masking and shares of {first!r}"))
    if convention == "upstream":
        log_odds = _logit(np.mean([one.probabilities for one in curves], axis=0))
        return log_odds - log_odds[0], None
    ratios = np.array([one.log_odds_ratios for one in curves])
    std_errors = ratios.std(axis=0, ddof=1) / np.sqrt(len(curves)) if len(curves) > 1 else None
    return ratios.mean(axis=0), std_errors


def key_size(
    response: Answering,
    image: AnyArray,
    saliency: AnyArray,
    *,
    masking: Masking = "black",
    distance: float = 100 / 255,
    steps: int = 56,
    until: float = 1.0,
    rng: object = 0,
) -> KeySize:
    """Key masking size S_key: the smallest share of cells whose masking changes the network's first choice.

    Parameters
    ----------
    response : Response
        A network: it must have classes to choose among.
    image, saliency, masking, distance : as for `masking_curve`
        What is masked, and how.
    steps : int, default 56
        Shares that are tried, evenly spaced up to `until` (one a cell where there are fewer cells); the authors' code
        tries 1,000, at pixel resolution.
    until : float, default 1.0
        Largest share that is tried.
    rng : int or anything `numpy.random.default_rng` takes, default 0
        Of ties and noise.

    Returns
    -------
    KeySize
        With `censored` set where the choice never changed. The authors count such pictures as 1 (32 to 125 of their
        500 under Distance-100), which makes a lower bound of an average; see `legstat.comparison` for estimates that
        are not.

    Raises
    ------
    TypeError
        The response has no classes.
    ValueError
        Anything that does not fit, before the first evaluation.

    Notes
    -----
    The share need not be monotone: the first change counts, as in the authors' code. Costs one evaluation for each
    share up to that change, rounded up to whole batches, and one at x0.

    Examples
    --------
    >>> import legstat as ls
    >>> from legstat.data import digits_model_path, load_digit
    >>> f, (image, label) = ls.onnx_response(digits_model_path(), preprocessing="unit"), load_digit(5)
    >>> found = ls.metrics.key_size(f, image, image[0], steps=64)
    >>> found.censored
    False
    """
    where = "key_size"
    values = check_map(where, saliency)
    check_choice(where, "masking", masking, get_args(Masking))
    check_within(where, "distance", distance, 0.0, 1.0)
    last = round(check_within(where, "until", until, 0.0, 1.0) * values.size)
    if last < 1:
        raise ValueError(invalid(where, "until", until, f"a share of at least one of {values.size} cells"))
    points = min(check_count(where, "steps", steps), last) + 1
    generator = check_rng(where, rng)
    order, tied = ranked(where, values, generator)
    subject = MaskedPicture(where, response, image, (values.shape[0], values.shape[1]))
    if not subject.opened.has_classes:
        remedy = "A plain function has no classes: use an ONNX file, a torch module or an endpoint."
        raise TypeError(invalid(where, "response", subject.opened, "a network", remedy))
    masked = _masked(masking, subject, values, distance, generator)
    counts = np.round(np.linspace(0, last, points)).astype(np.int64)
    (before,) = subject.top_classes(masked, np.ones((1, *subject.grid.shape)))
    stride = subject.response.batch_size * (1 if subject.response.batch_size >= 16 else _BATCHES)
    for at in range(1, len(counts), stride):
        tried = counts[at : at + stride]
        top = subject.top_classes(masked, 1.0 - removed_shares(order, tried, subject.grid.shape))
        changed = np.flatnonzero(top != before)
        if changed.size:
            return KeySize(float(tried[changed[0]] / values.size), False, masking, tied, subject.n_queries)
    return KeySize(float(counts[-1] / values.size), True, masking, tied, subject.n_queries)


def _masked(
    masking: Masking, subject: MaskedPicture, values: FloatArray, distance: float, rng: np.random.Generator
) -> FloatArray:
    """The picture with every cell masked."""
    image = subject.image
    if masking == "distance":
        sign = subject.grid.lift(np.where(values >= 0.0, -1.0, 1.0), *image.shape[-2:])
        return np.asarray(np.clip(image + distance * sign, 0.0, 1.0), dtype=np.float64)
    if masking == "noise":
        return rng.random(image.shape)
    if masking == "mean":
        return np.broadcast_to(image.mean(axis=(1, 2), keepdims=True), image.shape).copy()
    return np.full(image.shape, 1.0 if masking == "white" else 0.0)


def _logit(p: FloatArray | float) -> FloatArray:
    # a probability that float64 rounds to 1 has log-odds of some 37; clipping there keeps them finite
    return np.asarray(scipy.special.logit(np.clip(p, 1e-16, 1.0 - 2.0**-53)), dtype=np.float64)
