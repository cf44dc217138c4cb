"""Errors and warnings of the package, each with the remedy in its text.

Arguments that cannot be right raise `ValueError` or `TypeError` before any query is spent; their text is built by
`invalid`. The classes below exist where a caller wants to branch on what happened.
"""

from __future__ import annotations

from typing import Any

from legstat._core.typing import FloatArray


def invalid(where: str, name: str, value: object, valid: str, remedy: str = "") -> str:
    """Text of an error about one argument: where, which, what it was, what it may be, what to do.

    Parameters
    ----------
    where : str
        The public call that was made, e.g. ``"query"``.
    name : str
        Name of the argument.
    value : object
        What was passed; long representations are cut.
    valid : str
        The valid range, completing "must be ...".
    remedy : str, optional
        A sentence with the call or change that mends it.

    Returns
    -------
    str
        The message.

    Examples
    --------
    >>> invalid("LEGTV.fit", "L", -0.1, "a finite number >= 0", "For a fraction of L_max pass `L_ratio=`.")
    'legstat.LEGTV.fit: `L` must be a finite number >= 0. Got -0.1. For a fraction of L_max pass `L_ratio=`.'
    """
    shown = repr(value)
    if len(shown) > 120:
        shown = shown[:117] + "..."
    text = f"legstat.{where}: `{name}` must be {valid}. Got {shown}."
    return f"{text} {remedy}" if remedy else text


class BackendUnavailableError(ImportError):
    """An optional package is missing; the text names the extra that brings it."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the package {package!r}: pip install 'legstat[{extra}]'.")
        self.package, self.extra, self.purpose = package, extra, purpose

    def __reduce__(self) -> tuple[type[BackendUnavailableError], tuple[str, str, str]]:
        return type(self), (self.package, self.extra, self.purpose)


class PartialAnswerError(RuntimeError):
    """Some images of a batch were scored before a fault stopped the rest.

    A response may raise it from the fault, so that `query` keeps what was answered.

    Attributes
    ----------
    scores : ndarray of shape (n,)
        Scores of the batch, NaN where there is none.
    """

    def __init__(self, message: str, scores: FloatArray) -> None:
        super().__init__(message)
        self.scores = scores


class SolverError(RuntimeError):
    """No certified solution of the linear program; `solution` is the best one found, if any."""

    def __init__(self, message: str, solution: Any = None) -> None:
        super().__init__(message)
        self.solution = solution


class InferenceUnavailableError(RuntimeError):
    """The asked-for inference is not valid for this estimate; the text gives the reason and what is."""


class LegstatWarning(UserWarning):
    """Base class of the package's warnings."""


class ConstantScoreWarning(LegstatWarning):
    """The score did not move, or only within the rounding of its own arithmetic."""


class TargetNotReachedWarning(LegstatWarning):
    """The ceiling on queries came before the half-width that `query` was to go on until."""


class SmallSampleWarning(LegstatWarning):
    """Fewer queries than the requested result needs to be reliable."""
