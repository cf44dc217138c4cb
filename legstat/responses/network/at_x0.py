"""What a network says of the picture itself, before anything is perturbed."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from legstat._core.errors import LegstatWarning
from legstat._core.typing import JSON, FloatArray
from legstat.responses.network.outputs import Decision, looks_softmaxed_twice
from legstat.responses.network.scores import Score, probabilities
from legstat.responses.network.target import Choices

FACTS = ("score_x0", "probability_x0", "logit_x0", "top_x0", "remark")
"""The entries of `facts_at_x0`."""


def facts_at_x0(choices: Choices, decision: Decision, score: Score, outputs: NDArray[np.generic], value: float) -> JSON:
    """Score, probability, logit (None where not known) and the first five classes at x0.

    Parameters
    ----------
    choices : Choices
        What is asked of the outputs.
    decision : Decision
        What they are.
    score : Score
        The score.
    outputs : ndarray of shape (1, K)
        Class outputs at x0.
    value : float
        Their score.

    Returns
    -------
    dict
        For the record; "remark" where a softmax seems to have been applied twice, which is warned of too.
    """
    raw = outputs.astype(np.float64)
    chances = probabilities(raw, decision.kind)[0]
    target, labels = score.target, choices.labels

    def at(row: FloatArray) -> float | list[float]:
        return [float(row[k]) for k in target] if isinstance(target, tuple) else float(row[target])

    logits = raw[0] if decision.kind in ("logits", "sigmoid_logits") else None
    order = np.argsort(-chances, kind="stable")[:5]
    facts: JSON = {
        "score_x0": value,
        "probability_x0": at(chances),
        "logit_x0": None if logits is None else at(logits),
        "top_x0": [[int(k), None if labels is None else labels[k], float(chances[k])] for k in order],
    }
    if decision.kind == "probabilities" and looks_softmaxed_twice(outputs):
        facts["remark"] = "all classes' probabilities lie within a factor e: the softmax may have been applied twice"
        warnings.warn(
            f"{choices.where}: {facts['remark']}. Check the export; an output with logits settles it.",
            LegstatWarning,
            stacklevel=4,
        )
    return facts
