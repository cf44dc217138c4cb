"""`audit`: every picture of a plan, side by side, each kept as soon as it is done; the same call goes on."""

from __future__ import annotations

import datetime
import errno
import os
import shutil
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from legstat._core.checks import check_flag, check_type
from legstat._core.digests import file_sha256
from legstat._core.errors import LegstatWarning, invalid
from legstat._core.files import is_full
from legstat._core.typing import JSON
from legstat.audit.checking import check_whole
from legstat.audit.cluster import cluster_at, dead_workers
from legstat.audit.cost import Cost, pilot
from legstat.audit.folder import RunFolder
from legstat.audit.pictures import Item, chosen_items, first_readable
from legstat.audit.plan import Plan, PlanError
from legstat.audit.run import SCHEMA, AuditRun
from legstat.audit.table import write_table
from legstat.audit.unit import aimed_at, audit_picture, class_of, experiment_of
from legstat.record.verification import differing_environment
from legstat.record.writing import environment
from legstat.responses.base import Response
from legstat.responses.carried import Carried, Source

_WHERE = "audit"
_DEATHS = 3
"""Times that workers may die without a picture finished in between before that is an error."""


class AuditStopped(RuntimeError):
    """A run that cannot go on; what is finished is kept, and the same call goes on from there."""


@dataclass(frozen=True)
class Unit:
    """What a worker does with a picture.

    Attributes
    ----------
    carried : Carried
        The black box; opened once in each process.
    plan : Plan
        Resolved.
    folder : RunFolder
        Where the picture's file goes.
    """

    carried: Carried
    plan: Plan
    folder: RunFolder

    def __call__(self, item: Item) -> JSON | None:
        """None where the picture is finished and written, else why it failed."""
        try:
            found = audit_picture(self.carried.response, item, self.plan, self.folder.cache(item))
        except Exception as error:
            if is_full(error):  # no fault of the picture: the run stops, and begins with this one again
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.folder.home)) from error
            if self.folder.unit(item).exists():  # a worker that was given up, after another one finished the picture
                return None
            return self.folder.fail(item, error)
        self.folder.keep(item, found)
        return None


def prepared(response: Response, plan: Plan, items: Sequence[Item] | None = None) -> tuple[Plan, list[Item]]:
    """The plan with nothing left open, and its pictures; all that is wrong with either at once.

    Parameters
    ----------
    response : Response
        The black box. Nothing is evaluated.
    plan : Plan
        What is to be done.
    items : sequence of Item, optional
        The pictures, where they were chosen before.

    Returns
    -------
    plan : Plan
        Resolved.
    items : list of Item
        The pictures.

    Raises
    ------
    PlanError
        Places without pictures, labels of no class, a budget that is too small, a grid that does not fit.
    """
    problems: list[str] = []
    chosen: list[Item] = []
    given, model = plan.model.get("sha256"), response.describe().get("model_sha256")
    if given not in (None, model):
        valid = f"that of the model, {model}"
        problems.append(invalid("Plan", "model.sha256", given, valid, "It is another file than was planned with."))
    elif model is not None:
        plan = replace(plan, model={**plan.model, "sha256": model})
    try:
        chosen = chosen_items(plan) if items is None else list(items)
    except (OSError, ValueError) as error:
        problems.append(str(error))
    for item in chosen:
        try:
            aimed_at(response, plan, class_of(response, item))
        except (TypeError, ValueError) as error:
            problems.append(str(error))
            if len(problems) > 10:
                break
    if chosen:
        try:
            item, image = first_readable(response, chosen)
            plan = plan.resolved((image.shape[1], image.shape[2]))
            experiment_of(aimed_at(response, plan, class_of(response, item)), image, plan)
        except (TypeError, ValueError) as error:
            problems.append(str(error))
    if problems:
        raise PlanError(list(dict.fromkeys(problems)))
    return plan, chosen


def audit(
    response: Source,
    plan: Plan,
    out: str | Path,
    *,
    retry_failed: bool = False,
    command: Sequence[str] | None = None,
    progress: bool = True,
) -> AuditRun:
    """Audit the pictures of a plan; where that was begun in the folder before, go on.

    Parameters
    ----------
    response : Response or callable
        The black box, or a function of no argument that opens it, which each worker calls once.
    plan : Plan
        What is done.
    out : str or Path
        Folder of the run.
    retry_failed : bool, default False
        Whether pictures that failed in an earlier call are tried again.
    command : sequence of str, optional
        Command line, for the record.
    progress : bool, default True
        Show a progress bar if the output is a terminal.

    Returns
    -------
    AuditRun
        The run; ``complete`` unless it was stopped.

    Raises
    ------
    PlanError
        Everything that is wrong with the plan, before any evaluation.
    ValueError
        The folder holds a run of another plan or another model, and which keys differ; another process audits there;
        the disk has no room; no scheduler or no worker answers, or a worker does not see what it needs.
    AuditStopped
        More pictures failed than the plan allows, workers died again and again, or the scheduler of a cluster is gone.
    OSError
        A picture's file could not be written.

    Notes
    -----
    A picture is a unit of work: its file is there, whole, or not. Answers of the picture under way are kept in
    ``cache/`` until its file is there, so that a killed run pays for none of them again. Numbers do not depend on the
    workers, nor on where a run was stopped. Workers are joblib's: processes of this machine by default, or with
    ``Plan(scheduler=)`` or ``joblib.parallel_config(backend="dask")`` those of a Dask cluster, which must see pictures,
    model and folder under the same paths.

    Examples
    --------
    >>> import tempfile, numpy as np, legstat as ls
    >>> from legstat.data import digits_model_path, load_digit
    >>> f = ls.onnx_response(digits_model_path(), preprocessing="unit")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = f"{folder}/digits.npz"
    ...     np.savez(store, images=np.stack([load_digit(i)[0] for i in range(2)]))
    ...     plan = ls.audit.Plan(places=(store,), model={"model": str(digits_model_path())}, n_queries=250, steps=0)
    ...     ls.audit.audit(f, plan, f"{folder}/run", progress=False)
    <AuditRun 2 of 2 pictures, 0 failed>
    """
    check_type(_WHERE, "plan", plan, Plan, "such as Plan.load('plan.toml')")
    check_flag(_WHERE, "retry_failed", retry_failed)
    if isinstance(command, str):
        raise TypeError(invalid(_WHERE, "command", command, "a list of words, such as sys.argv"))
    carried, folder = Carried(response, _WHERE), RunFolder(Path(out))
    earlier = folder.items() if folder.begun else None
    plan, items = prepared(carried.response, plan, earlier)
    with folder.locked(), cluster_at(plan.scheduler, _needed(carried.response, folder, items), environment()):
        begin = _gone_on if folder.begun else _begun
        facts = begin(folder, plan, items, carried.response)
        session = _session(command)
        _note_clock(facts, session)
        facts["sessions"].append(session)
        folder.write_facts(facts)
        clock, model = time.monotonic(), model_now(carried.response)
        try:
            _carry_out(carried, plan, folder, _waiting(folder, items, retry_failed), len(items), progress)
        finally:
            session |= {"ended": _now(), "seconds": round(time.monotonic() - clock, 3)}
            _note_model(facts, carried.response, model)
            with suppress(OSError):  # on a full disk what stopped the run is told, not this
                folder.write_facts(facts)
        if model_now(carried.response) != model:
            text = "the model's file was replaced meanwhile; every answer is of the one that was opened"
            warnings.warn(f"legstat.{_WHERE}: {text}.", LegstatWarning, stacklevel=2)
        run = AuditRun.open(out)
        if run.complete:
            check_whole(carried.response, plan, folder, items, progress=progress)
            run = AuditRun.open(out)
            facts |= {"ended": session["ended"], "ledger": write_table(run)}
            folder.write_facts(facts)
    return AuditRun.open(out)


def _needed(response: Response, folder: RunFolder, items: Sequence[Item]) -> list[Path]:
    """What workers elsewhere must see: the folder, the model, and a picture."""
    return [folder.home, *(Path(file) for file in response.files.values()), *(Path(one.file) for one in items[:1])]


def _begun(folder: RunFolder, plan: Plan, items: list[Item], response: Response) -> JSON:
    """Begin a run: what it will cost is found out first, and whether there is room for it."""
    first, _ = first_readable(response, items)
    cost = pilot(response, plan, first, len(items), folder.cache(first))
    free = shutil.disk_usage(folder.home).free / 1e6
    if cost.megabytes > free:
        valid = f"a folder with {cost.megabytes:.2g} MB to spare"
        raise ValueError(invalid(_WHERE, "out", f"{folder.home} with {free:.2g} MB", valid))
    facts = _facts(plan, items, response, cost)
    folder.begin(plan, items, facts, cost.to_dict())
    return facts


def _gone_on(folder: RunFolder, plan: Plan, items: list[Item], response: Response) -> JSON:
    """What the run said of itself; ValueError where model or plan are others than it was begun with."""
    facts = folder.facts()
    then, now = facts["response"], response.describe()
    keys = ("model_sha256", "fingerprint", "provider")
    others = [f"{key} {then.get(key)} then, {now.get(key)} now" for key in keys if then.get(key) != now.get(key)]
    if others:
        valid = f"the model of the run in {folder.home}"
        raise ValueError(invalid(_WHERE, "model", "; ".join(others), valid, "Name another folder for another model."))
    changed = folder.plan().differences(plan)
    if changed:
        here = f"a plan that differs in {', '.join(changed)}"
        valid = f"that of the run in {folder.home}"
        raise ValueError(invalid(_WHERE, "plan", here, valid, "Name another folder, or take its plan.toml."))
    moved = list(differing_environment(facts["environment"]))
    if moved:
        facts["notes"] = list(dict.fromkeys([*facts["notes"], *moved]))
        text = f"the run goes on elsewhere, which may change last digits: {'; '.join(moved)}"
        warnings.warn(f"legstat.{_WHERE}: {text}.", LegstatWarning, 3)
    return facts


def _carry_out(
    carried: Carried, plan: Plan, folder: RunFolder, waiting: list[Item], total: int, progress: bool
) -> None:
    """All pictures that wait; what a dead worker had under way is done again."""
    work, model = Unit(carried, plan, folder), model_now(carried.response)
    finished: set[str] = set()
    failed = deaths = 0
    carried.check(plan.at_a_time)
    with tqdm(total=total, initial=total - len(waiting), unit="picture", disable=None if progress else True) as bar:
        while waiting:
            before = len(finished)
            try:
                for item, failure in _side_by_side(work, waiting, plan.at_a_time):
                    finished.add(item.unit)
                    bar.update()
                    if failure is not None:
                        failed += 1
                        bar.set_postfix(failed=failed)
                        if failed > plan.max_failures:
                            raise _too_many(failed, plan, folder, failure)
                return
            except CancelledError as error:
                text = f"legstat.{_WHERE}: the scheduler of the Dask cluster is gone, or gave the work up ({error})."
                remedy = "What is finished is kept. The same command goes on, with another scheduler or with --workers."
                raise AuditStopped(f"{text} {remedy}") from error
            except dead_workers() as error:
                if model_now(carried.response) != model:  # that is why they could not open it
                    valid = "the file that it was when this was begun"
                    remedy = "Put it back: the same command goes on."
                    raise ValueError(invalid(_WHERE, "model", "another file", valid, remedy)) from error
                deaths = 1 if len(finished) > before else deaths + 1
                if deaths > _DEATHS:
                    text = f"legstat.{_WHERE}: workers died {deaths} times without a picture finished ({error})."
                    remedy = "Memory may be short: try fewer workers. The same command goes on."
                    raise AuditStopped(f"{text} {remedy}") from error
                waiting = [one for one in waiting if one.unit not in finished and not folder.unit(one).exists()]


def _too_many(failed: int, plan: Plan, folder: RunFolder, last: JSON) -> AuditStopped:
    return AuditStopped(
        f"legstat.{_WHERE}: {failed} pictures failed, more than max_failures = {plan.max_failures}; the last one was "
        f"{last['name']}: {last['reason']} All are listed in {folder.home / 'failures'}. The same command goes on "
        "without them; with --retry-failed they are tried again."
    )


def _side_by_side(work: Unit, waiting: list[Item], workers: int | None) -> Iterator[tuple[Item, JSON | None]]:
    from legstat._core.parallel import side_by_side  # joblib takes long to load

    with closing(side_by_side(work, waiting, workers)) as pairs:  # type: ignore[type-var]  # a generator has close
        yield from pairs


def _waiting(folder: RunFolder, items: Sequence[Item], retry_failed: bool) -> list[Item]:
    open_ = [item for item in items if not folder.unit(item).exists()]
    return open_ if retry_failed else [item for item in open_ if not folder.failure(item).exists()]


# ---------------------------------------------------------------- what a run says of itself


def _facts(plan: Plan, items: Sequence[Item], response: Response, cost: Cost) -> JSON:
    model = response.files.get("model")
    return {
        "schema": SCHEMA,
        "question": plan.question,
        "purpose": plan.purpose,
        "author": plan.author,
        "model": {"file": None if model is None else model.name, "sha256": response.describe().get("model_sha256")},
        "response": response.describe(),
        "plan": plan.to_dict(),
        "pictures": {"chosen": len(items), "choice": plan.choice, "places": list(plan.places)},
        "environment": environment(),
        "pilot": cost.to_dict(),
        "started": _now(),
        "ended": None,
        "sessions": [],
        "ledger": None,
        "notes": [],
    }


def _session(command: Sequence[str] | None) -> JSON:
    return {"command": None if command is None else list(command), "started": _now(), "ended": None, "seconds": None}


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _note_clock(facts: JSON, session: JSON) -> None:
    """Times are told, nothing rests on them: a clock that was set back is noted."""
    known = [one[which] for one in facts["sessions"] for which in ("started", "ended") if one[which] is not None]
    if known and session["started"] < max(known):
        text = f"the clock was set back: {session['started']} comes after {max(known)}"
        facts["notes"] = list(dict.fromkeys([*facts["notes"], text]))


def model_now(response: Response) -> str | None:
    """SHA-256 of the model's file as it is now; None where there is none."""
    file = response.files.get("model")
    return None if file is None or not Path(file).is_file() else file_sha256(Path(file))


def _note_model(facts: JSON, response: Response, before: str | None) -> None:
    """A file that was replaced meanwhile: every answer is of the model that was opened, and that is noted."""
    now = model_now(response)
    if now != before:
        text = f"the model's file was replaced during the run (SHA-256 {now}); every answer is of the one before"
        facts["notes"] = list(dict.fromkeys([*facts["notes"], text]))
