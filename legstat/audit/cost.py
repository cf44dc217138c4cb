"""What an audit will cost, from one of its pictures and a part of its queries."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from legstat._core.typing import JSON
from legstat.audit.pictures import Item
from legstat.audit.plan import Plan
from legstat.audit.unit import audit_picture
from legstat.responses.base import Response

_LEAST = 400
"""Queries of a pilot, at most, where a tenth of the plan's are fewer."""
_BY_QUERIES = ("query", "leg")
"""Stages whose time grows with the number of queries; that of the others hardly does."""


@dataclass(frozen=True)
class Cost:
    """What a plan will cost.

    Attributes
    ----------
    pictures : int
        How many.
    evaluations : int
        Model evaluations of all pictures; what the checks of the whole run ask for comes on top.
    hours : float
        On this machine as it was during the pilot, with the plan's workers.
    megabytes : float
        On disk.
    pilot : int
        Evaluations that the pilot made.
    seconds_a_picture : float
        Of one worker.

    Examples
    --------
    >>> print(Cost(100, 611400, 2.5, 20.0, 600, 90.0))
    100 pictures: 611400 evaluations, about 2.5 hours (90 s a picture) and 20 MB. The pilot made 600 evaluations.
    """

    pictures: int
    evaluations: int
    hours: float
    megabytes: float
    pilot: int
    seconds_a_picture: float

    def to_dict(self) -> JSON:
        """All of it, rounded as it can be known."""
        return {
            name: float(f"{value:.3g}") if isinstance(value, float) else value for name, value in vars(self).items()
        }

    def __str__(self) -> str:
        """A sentence for a terminal."""
        return (
            f"{self.pictures} pictures: {self.evaluations} evaluations, about {self.hours:.2g} hours "
            f"({self.seconds_a_picture:.2g} s a picture) and {self.megabytes:.2g} MB. "
            f"The pilot made {self.pilot} evaluations."
        )


def pilot(response: Response, plan: Plan, item: Item, count: int, cache: Path | None = None) -> Cost:
    """Audit a picture with a part of its queries, and reckon.

    Parameters
    ----------
    response : Response
        The black box.
    plan : Plan
        Resolved.
    item : Item
        The picture.
    count : int
        Pictures that are to be audited.
    cache : Path, optional
        Where its answers are kept: the audit of that picture begins with them.

    Returns
    -------
    Cost
        Of the whole audit.

    Raises
    ------
    ValueError, QueryError
        The picture cannot be audited.
    """
    n = min(plan.budget, max(_LEAST, plan.budget // 10))
    found = audit_picture(response, item, replace(plan, n_queries=n, steps=0), cache)
    with tempfile.TemporaryDirectory() as folder:
        found.save(Path(folder) / "one.npz")
        size = (Path(folder) / "one.npz").stat().st_size
    seconds, answers = found.facts["seconds"], len(found.responses)
    a_query = seconds["query"] / max(answers, 1)
    curves = 2 * (plan.steps + 1) if plan.steps else 0
    a_picture = (
        sum(value * (plan.budget / n if name in _BY_QUERIES else 1.0) for name, value in seconds.items())
        + curves * a_query
    )
    return Cost(
        pictures=count,
        evaluations=count * (plan.budget + curves),
        hours=count * a_picture / (3600.0 * min(plan.workers, count)),
        megabytes=count * (size + 8 * (plan.budget - n)) / 1e6,
        pilot=int(found.facts["ledger"]["spent"]),
        seconds_a_picture=a_picture,
    )
