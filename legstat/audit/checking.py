"""The checks of a whole run, when all its pictures are done: of the model, its preprocessing, and a few of its maps."""

from __future__ import annotations

from collections.abc import Sequence

from legstat._core.typing import FloatArray
from legstat.audit.folder import RunFolder
from legstat.audit.picture import AuditedPicture
from legstat.audit.pictures import Item
from legstat.audit.plan import Plan
from legstat.audit.unit import class_of, sample_again
from legstat.checks import CheckResult, check_run
from legstat.responses.base import Response
from legstat.samples.sample import QuerySample

_SHOWN = 32
"""Pictures, at most, on which presets of preprocessing are compared."""
_QUERIES = 1000
"""Evaluations, at most, of a map with randomised weights."""


def check_whole(
    response: Response, plan: Plan, folder: RunFolder, items: Sequence[Item], *, progress: bool = True
) -> None:
    """Make the checks of a run that has none yet, and write them.

    A check that cannot be made is written down as not applicable, with the reason: the run is there without it.

    Parameters
    ----------
    response : Response
        The black box.
    plan : Plan
        What is to be checked.
    folder : RunFolder
        The run.
    items : sequence of Item
        Its pictures.
    progress : bool, default True
        Show progress bars if the output is a terminal.
    """
    done = [item for item in items if folder.unit(item).exists()]
    if not plan.checks or not done or folder.checked(len(done)):
        return
    pictures, labels = _labelled(response, done)
    try:
        samples = [_sample(response, plan, folder, item) for item in done[: plan.randomised]]
        found = check_run(
            response,
            pictures,
            labels,
            samples,
            n_queries=min(plan.budget, _QUERIES),
            rng=plan.seed,
            progress=progress,
        )
    except Exception as error:  # of any package behind a check; what is finished stands
        text = f"The checks of the run could not be made: {type(error).__name__}: {error}"
        found = (CheckResult("check_run", "not_applicable", None, "", text),)
    folder.write_checks(len(done), [one.to_dict() for one in found])


def _labelled(response: Response, done: Sequence[Item]) -> tuple[list[FloatArray], list[int] | None]:
    """Some pictures, those with labels where there are any, and their classes."""
    classes = {item.name: class_of(response, item) for item in done}
    known = [item for item in done if classes[item.name] is not None]
    shown = (known or list(done))[:: max(1, len(known or done) // _SHOWN)][:_SHOWN]
    pictures = [item.read(response)[0] for item in shown]
    return pictures, [index for item in shown if (index := classes[item.name]) is not None] if known else None


def _sample(response: Response, plan: Plan, folder: RunFolder, item: Item) -> QuerySample:
    return sample_again(response, item, plan, AuditedPicture.load(folder.unit(item)))
