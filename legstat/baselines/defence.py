"""What a mask says of an adversarial picture: its energy tells it apart, its deletion may undo it (mask paper, 5.5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from legstat._core.errors import invalid
from legstat._core.typing import FloatArray
from legstat.baselines.result import BaselineResult
from legstat.responses.network.response import NetworkResponse


@dataclass(frozen=True)
class Detection:
    """How well one number of each mask tells adversarial pictures from clean ones.

    Attributes
    ----------
    auc : float
        Area under the ROC curve: the share of pairs (adversarial, clean) in which the adversarial one's number is
        larger, ties counting half. 1/2: chance. Below 1/2: adversarial masks have the smaller numbers.
    std_error : float
        Over the pictures.
    n : int
        Pictures of each kind.

    Examples
    --------
    >>> Detection(auc=0.9, std_error=0.05, n=24)
    Detection(auc=0.9, std_error=0.05, n=24)
    """

    auc: float
    std_error: float
    n: int


def detection(clean: Sequence[float] | FloatArray, attacked: Sequence[float] | FloatArray) -> Detection:
    r"""The area under the ROC curve of a number of masks, such as `BaselineResult.energy`, for paired pictures.

    With :math:`A_{ij} = 1[a_i > c_j] + \tfrac12 1[a_i = c_j]`, the area is the mean of A, and its standard error
    that of the mean over pictures i of :math:`\bar A_{i \cdot} + \bar A_{\cdot i}`, since picture i gives both numbers.

    Parameters
    ----------
    clean, attacked : sequence of float, length n
        The number of the clean and of the adversarial version of each picture.

    Returns
    -------
    Detection
        Area and standard error.

    Raises
    ------
    ValueError
        Other than two sequences of finite numbers of one length, at least 2.

    Examples
    --------
    >>> found = detection([0.1, 0.2, 0.3], [0.25, 0.4, 0.5])
    >>> round(found.auc, 3), round(found.std_error, 3)
    (0.889, 0.111)
    """
    where = "detection"
    c, a = (np.asarray(one, dtype=np.float64) for one in (clean, attacked))
    if c.ndim != 1 or c.shape != a.shape or len(c) < 2 or not (np.isfinite(c).all() and np.isfinite(a).all()):
        valid = f"as many finite numbers as `clean` has, {c.shape}, at least 2"
        raise ValueError(invalid(where, "attacked", a.shape, valid, "A number for each version of each picture."))
    above = np.greater.outer(a, c) + 0.5 * np.equal.outer(a, c)
    parts = above.mean(axis=1) + above.mean(axis=0)
    return Detection(float(above.mean()), float(scipy.stats.sem(parts)), len(c))


@dataclass(frozen=True)
class Recovery:
    """Which class a network chooses on a picture, on its adversarial version, and on what a mask leaves of that.

    Attributes
    ----------
    original, adversarial, after : int
        First choice on x0, on the adversarial picture, and after the deletion.
    rank : int
        Place of the original class after the deletion; 1: it was recovered.

    Examples
    --------
    >>> Recovery(original=3, adversarial=5, after=3, rank=1).recovered
    True
    """

    original: int
    adversarial: int
    after: int
    rank: int

    @property
    def recovered(self) -> bool:
        """Whether the original class is the first choice again."""
        return self.rank == 1


def recovery(response: NetworkResponse, attacked: BaselineResult, deleted: BaselineResult) -> Recovery:
    """What a mask that was learned on an adversarial picture brings back (mask paper, 5.5).

    Parameters
    ----------
    response : NetworkResponse
        The network, with any target.
    attacked : BaselineResult
        Of `adversarial`.
    deleted : BaselineResult
        Of `mask` or `igos` on ``attacked.picture``, with the adversarial label as target ("top").

    Returns
    -------
    Recovery
        The classes; four evaluations.

    Raises
    ------
    ValueError
        The mask is of another picture.

    Examples
    --------
    >>> import legstat as ls
    >>> from legstat.data import digits_model_path, load_digit
    >>> f = ls.onnx_response(digits_model_path(), preprocessing="unit")
    >>> how = {"gradient": "queries", "n_queries": 300, "rng": 0, "iterations": 2}
    >>> attacked = ls.baselines.adversarial(f, load_digit(0)[0], epsilon=0.3, **how)
    >>> deleted = ls.baselines.mask(f, attacked.picture, baseline="black", **how)
    >>> recovery(f, attacked, deleted).original == load_digit(0)[1]
    True
    """
    if not np.array_equal(deleted.image, attacked.picture):
        raise ValueError(invalid("recovery", "deleted", deleted, "the mask of the adversarial picture"))
    settled, _ = response.bind(attacked.image)
    pictures = np.stack([attacked.image, attacked.picture, deleted.picture])
    outputs = settled.class_outputs(pictures.astype(settled.dtype)).astype(np.float64)
    original, wrong, after = (int(one) for one in outputs.argmax(axis=1))
    return Recovery(original, wrong, after, int(np.sum(outputs[2] > outputs[2, original])) + 1)
