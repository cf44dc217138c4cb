"""What the user asked of a network, checked as far as it can be before a picture is seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from legstat._core.errors import invalid
from legstat._core.typing import FloatArray
from legstat.responses.network.labels import Target, check_labels, check_top, find_class, first_choices, read_labels
from legstat.responses.network.scores import ScoreName, check_score


@dataclass(frozen=True)
class Choices:
    """What the user asked for, before a picture was seen.

    Parameters
    ----------
    where : str
        The public call, for errors.
    score : str
        Name of the score.
    target : int or str or tuple
        Index, label, "top", "top:5", or several classes; "index:" and "label:" in front say which one is meant.
    labels : tuple of str or None
        Class names.
    n_classes : int or None
        Classes of the network where known.
    """

    where: str
    score: ScoreName
    target: Target
    labels: tuple[str, ...] | None
    n_classes: int | None

    @classmethod
    def check(
        cls,
        where: str,
        score: object,
        target: Target,
        labels: str | Path | Sequence[str] | None,
        n_classes: int | None,
    ) -> Choices:
        """Refuse what cannot be right, as far as it can be told without an evaluation."""
        name = check_score(where, score, target)
        names = read_labels(where, labels)
        if n_classes is not None:
            check_labels(where, names, n_classes)
        choices = cls(where, name, target, names, n_classes)
        choices.classes(None)
        return choices

    def classes(self, outputs: FloatArray | None) -> int | tuple[int, ...] | None:
        """The target as index or indices; None for first choices where x0's class outputs (K,) are not known yet."""
        if self.target == "top":
            check_top(self.where, self.labels)
        if self.target in ("top", "index:top"):
            return None if outputs is None else int(np.argmax(outputs))
        if (count := first_choices(self.target)) is not None:
            return self._first(count, outputs)
        if self.score == "probability" and isinstance(self.target, tuple | list):
            found = tuple(find_class(self.where, one, self.labels, self.n_classes) for one in self.target)
            if not found or len(set(found)) < len(found):
                raise ValueError(invalid(self.where, "target", self.target, "one class or several different ones"))
            return found
        if isinstance(self.target, tuple | list):
            if self.n_classes == 1:
                remedy = "Of one output p the other class has 1 - p, and p - (1 - p) moves as p does."
                valid = "'probability', 'log_odds' or 'logit' for a network of one output"
                raise ValueError(invalid(self.where, "score", self.score, valid, remedy))
            first, second = (find_class(self.where, one, self.labels, self.n_classes) for one in self.target)
            if first == second:
                raise ValueError(invalid(self.where, "target", self.target, "a pair of two different classes"))
            return first, second
        return find_class(self.where, self.target, self.labels, self.n_classes)

    def _first(self, count: int, outputs: FloatArray | None) -> tuple[int, ...] | None:
        classes = self.n_classes if outputs is None else len(outputs)
        if count < 1 or (classes is not None and count >= classes):
            valid = "'top:1' and more" if classes is None else f"'top:1' to 'top:{classes - 1}' of {classes} classes"
            remedy = "All classes together always have probability 1."
            raise ValueError(invalid(self.where, "target", self.target, valid, remedy))
        return None if outputs is None else tuple(int(k) for k in np.argsort(-outputs, kind="stable")[:count])

    def label(self, target: int | tuple[int, ...]) -> str | None:
        """Name of the target; "a - b" for a difference, "a + b" for a sum."""
        if self.labels is None:
            return None
        if isinstance(target, tuple):
            return (" - " if self.score == "difference" else " + ").join(self.labels[k] for k in target)
        return self.labels[target]
