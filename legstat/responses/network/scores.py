r"""The number that is explained, computed in float64 from a network's class outputs.

With logits z (softmax network) or class probabilities p and the target class t:

=============  ===========================================  ======================================================
score          from logits                                  from probabilities
=============  ===========================================  ======================================================
probability    :math:`e^{z_t} / \sum_k e^{z_k}`             :math:`p_t`
logit          :math:`z_t`                                  refused: the softmax has removed it
log_odds       :math:`z_t - \log\sum_{k \ne t} e^{z_k}`     :math:`\log p_t - \log\sum_{k \ne t} p_k`
difference     :math:`p_a - p_b`, LEG paper eq. 1           :math:`p_a - p_b`
=============  ===========================================  ======================================================

The probability of several classes is the sum of theirs (mask paper, supplement, eq. 2).

The sum over the other classes is taken as it stands, never as 1 - p_t, so the log-odds stay exact where p_t has been
rounded to 1. Outputs with one sigmoid per class (a single-output network among them) make each class its own
two-class problem: log_odds is then the class's logit, or log p - log(1 - p).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from legstat._core.errors import invalid
from legstat._core.typing import FloatArray
from legstat.responses.network.labels import first_choices

ScoreName = Literal["probability", "logit", "log_odds", "difference"]
OutputKind = Literal["logits", "log_probabilities", "probabilities", "sigmoid_logits", "sigmoid_probabilities"]
SCORES: tuple[str, ...] = get_args(ScoreName)
OUTPUT_KINDS: tuple[str, ...] = get_args(OutputKind)


@dataclass(frozen=True)
class Score:
    """One score of one target, as a function of class outputs.

    Parameters
    ----------
    name : str
        "probability", "logit", "log_odds" or "difference".
    kind : str
        What the outputs are; see `OutputKind`.
    target : int or tuple of int
        Class index; a pair (a, b) for "difference"; several classes for the sum of their probabilities.
    """

    name: ScoreName
    kind: OutputKind
    target: int | tuple[int, ...]

    def __post_init__(self) -> None:
        if self.name != "logit" or self.kind in ("logits", "sigmoid_logits"):
            return
        raise ValueError(
            invalid(
                "Score",
                "score",
                self.name,
                "'probability', 'log_odds' or 'difference' for a network that gives probabilities only",
                "The softmax removed the logits' common level. Take score='log_odds', or name an output (of ONNX: any "
                "tensor of the graph) that carries logits.",
            )
        )

    def __call__(self, outputs: NDArray[np.generic]) -> tuple[FloatArray, int]:
        """Scores of a batch of class outputs.

        Parameters
        ----------
        outputs : ndarray of shape (n, K)
            Class outputs of any real type.

        Returns
        -------
        scores : ndarray of shape (n,)
            float64.
        saturated : int
            Rows in which a log-odds had to be formed from a probability that the network's precision had rounded to 0.
            There it was taken as the smallest positive number of that precision: the score is censored, not infinite.
        """
        # exp and log reach 0 and infinity by nature, whatever the user's np.seterr says of his own arithmetic
        with np.errstate(all="ignore"):
            return self._of(outputs)

    def _of(self, outputs: NDArray[np.generic]) -> tuple[FloatArray, int]:
        values = outputs.astype(np.float64)
        if isinstance(self.target, tuple):
            chances = probabilities(values, self.kind)[:, self.target]
            return chances[:, 0] - chances[:, 1] if self.name == "difference" else chances.sum(axis=1), 0
        chosen = values[:, self.target].copy()
        if self.name == "logit":
            return chosen, 0
        if self.name == "log_odds":
            return self._log_odds(values, chosen, outputs.dtype)
        if self.kind == "logits":
            return np.exp(chosen - log_sum_exp(values)), 0
        return probabilities(values[:, self.target : self.target + 1], self.kind)[:, 0], 0

    def _log_odds(self, values: FloatArray, chosen: FloatArray, dtype: np.dtype[np.generic]) -> tuple[FloatArray, int]:
        """Log-odds of the target against all others; `values` is overwritten."""
        if self.kind == "sigmoid_logits":
            return chosen, 0
        if self.kind in ("logits", "log_probabilities"):
            values[:, cast("int", self.target)] = -np.inf
            return chosen - log_sum_exp(values), 0
        if self.kind == "sigmoid_probabilities":
            others = 1.0 - chosen
        else:
            values[:, cast("int", self.target)] = 0.0
            others = values.sum(axis=1)
        floor = smallest_positive(dtype)
        saturated = int(np.count_nonzero((others <= 0.0) | (chosen <= 0.0)))
        if saturated:
            # written so that NaN is not lifted to the floor: the query loop has to see it
            others = np.where(others <= 0.0, floor, others)
            chosen = np.where(chosen <= 0.0, floor, chosen)
        return np.log(chosen) - np.log(others), saturated


def smallest_positive(dtype: np.dtype[np.generic]) -> float:
    """The smallest positive number of a floating type (subnormal), as a Python float."""
    return float(np.finfo(cast("np.dtype[np.floating]", dtype)).smallest_subnormal) if dtype.kind == "f" else 1e-300


def log_sum_exp(values: FloatArray) -> FloatArray:
    """Row-wise log(sum(exp)), with the largest entry taken out first.

    scipy's logsumexp gives the same and costs ten times as much on the few rows of a batch, which is the hot path.
    """
    top = values.max(axis=1)
    with np.errstate(all="ignore"):
        result: FloatArray = top + np.log(np.exp(values - top[:, None]).sum(axis=1))
    return result


def probabilities(values: FloatArray, kind: OutputKind) -> FloatArray:
    """Class probabilities from class outputs.

    Parameters
    ----------
    values : ndarray of shape (n, K)
        float64 class outputs.
    kind : str
        What they are.

    Returns
    -------
    ndarray of shape (n, K)
        Probabilities.
    """
    with np.errstate(all="ignore"):
        if kind == "logits":
            return np.exp(values - log_sum_exp(values)[:, None])
        if kind == "log_probabilities":
            return np.exp(values)
        if kind == "sigmoid_logits":
            # 1/(1 + exp(-z)) without overflow on either side
            small = np.exp(-np.abs(values))
            return np.where(values >= 0, 1.0 / (1.0 + small), small / (1.0 + small))
        return values


def check_score(where: str, score: object, target: object) -> ScoreName:
    """A score's name that fits the target's form, or an error.

    Parameters
    ----------
    where : str
        Call to name in the error.
    score : str
        Name of the score.
    target : int or str or tuple
        Target as the user gave it.

    Returns
    -------
    str
        The name.

    Raises
    ------
    ValueError
        Unknown score, several classes for another score than "difference" or "probability", one for "difference".
    """
    if score not in SCORES:
        raise ValueError(
            invalid(where, "score", score, f"one of {list(SCORES)}", "For anything else pass a function as response.")
        )
    several = isinstance(target, tuple | list) or first_choices(target) is not None
    if score == "difference" and not (isinstance(target, tuple | list) and len(target) == 2):
        raise ValueError(
            invalid(
                where, "target", target, "a pair of classes (a, b) for score='difference'", "E.g. target=(207, 208)."
            )
        )
    if score not in ("difference", "probability") and several:
        remedy = "For p_a - p_b pass score='difference', for p_a + p_b score='probability'."
        raise ValueError(invalid(where, "target", target, f"one class for score={score!r}", remedy))
    return cast("ScoreName", score)
