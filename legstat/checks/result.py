"""What a check found."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self, get_args

from legstat._core.checks import check_choice, is_number
from legstat._core.errors import invalid
from legstat._core.frozen import Portable
from legstat._core.typing import JSON

Status = Literal["passed", "failed", "not_applicable"]


@dataclass(frozen=True)
class CheckResult(Portable):
    """What a check found: whether it passed, by which number, and what that means.

    Parameters
    ----------
    name : str
        Which check: the name of its function, e.g. ``"placebo"``.
    status : {"passed", "failed", "not_applicable"}
        The last where what the check needs is not there; `meaning` says what that is.
    value : float or None
        The number that was judged; None where there is none, or none that is finite.
    valid : str
        What that number has to be, completing "must be ...".
    meaning : str
        One sentence: what this outcome says about the map.
    details : dict, optional
        What else was found, as plain JSON values; ``"evaluations"`` is what the check spent of its own.

    Raises
    ------
    ValueError
        An unknown status, or a value that is no number.

    Examples
    --------
    >>> found = CheckResult("score_moves", "passed", 0.21, "above 0.001", "The score moves under these perturbations.")
    >>> found.ok, CheckResult.from_dict(found.to_dict()) == found
    (True, True)
    >>> print(found)
    score_moves: passed, 0.21 (must be above 0.001). The score moves under these perturbations.
    """

    name: str
    status: Status
    value: float | None
    valid: str
    meaning: str
    details: JSON = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_choice("CheckResult", "status", self.status, get_args(Status))
        if self.value is not None and not is_number(self.value):
            raise ValueError(invalid("CheckResult", "value", self.value, "a number or None"))
        value = None if self.value is None or not math.isfinite(self.value) else float(self.value)
        object.__setattr__(self, "value", value)  # JSON has no infinity

    @property
    def ok(self) -> bool:
        """Whether nothing speaks against the map: it passed, or could not be asked."""
        return self.status != "failed"

    @property
    def evaluations(self) -> int:
        """Model evaluations that the check spent beyond those of the run."""
        return int(self.details.get("evaluations", 0))

    def to_dict(self) -> JSON:
        """All of it as plain JSON values, keys as the arguments."""
        return {
            "name": self.name,
            "status": self.status,
            "value": self.value,
            "valid": self.valid,
            "meaning": self.meaning,
            "details": self.details,
        }

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Self:
        """The result that `to_dict` wrote."""
        return cls(**told)

    def __str__(self) -> str:
        """One line for a terminal."""
        number = "" if self.value is None else f", {self.value:.3g} (must be {self.valid})"
        return f"{self.name}: {self.status.replace('_', ' ')}{number}. {self.meaning}"

    def __repr__(self) -> str:
        return f"<CheckResult {self.name}: {self.status}>"
