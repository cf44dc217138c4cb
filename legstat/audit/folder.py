"""The folder of a run as it is written: files that are whole or not there, one writer at a time."""

from __future__ import annotations

import shutil
import sqlite3
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from legstat._core.database import open_database
from legstat._core.errors import invalid
from legstat._core.files import json_text, json_value, write_text
from legstat._core.typing import JSON
from legstat.audit.picture import AuditedPicture
from legstat.audit.pictures import Item
from legstat.audit.plan import Plan
from legstat.audit.run import CACHE, CHECKS, FACTS, FAILURES, LOCK, PICTURES, PLAN, UNITS


@dataclass(frozen=True)
class RunFolder:
    """Where a run is written.

    Parameters
    ----------
    home : Path
        The folder.
    """

    home: Path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """The folder, made where it is missing, for this process alone; a killed process leaves no lock behind.

        Raises
        ------
        ValueError
            It cannot be made or written to, or another process audits there.
        """
        try:
            for folder in (UNITS, FAILURES):
                (self.home / folder).mkdir(parents=True, exist_ok=True)
            lock = open_database(self.home / LOCK, (), shared=False, wait=0.5)
        except (OSError, sqlite3.Error) as error:
            locked = isinstance(error, sqlite3.OperationalError) and "locked" in str(error)
            valid = "a folder in which no other audit runs" if locked else "a folder to write to"
            raise ValueError(invalid("audit", "out", str(self.home), valid, f"{error}.")) from error
        try:
            yield
        finally:
            lock.close()

    # ---------------------------------------------------------------- the run as a whole

    @property
    def begun(self) -> bool:
        """Whether a run was begun here: its facts are written last."""
        return (self.home / FACTS).is_file()

    def begin(self, plan: Plan, items: list[Item], facts: JSON, cost: JSON) -> None:
        """Write what a run is begun with, its facts last."""
        plan.save(self.home / PLAN, cost)
        write_text(self.home / PICTURES, json_text([one.to_dict() for one in items], indent=1) + "\n")
        self.write_facts(facts)

    def plan(self) -> Plan:
        """The plan that the run was begun with."""
        return Plan.load(self.home / PLAN)

    def items(self) -> list[Item]:
        """The pictures that were chosen when the run was begun."""
        return [Item.from_dict(one) for one in json_value((self.home / PICTURES).read_bytes())]

    def facts(self) -> JSON:
        """What the run says of itself."""
        told: JSON = json_value((self.home / FACTS).read_bytes())
        return told

    def write_facts(self, facts: JSON) -> None:
        """Replace what the run says of itself."""
        write_text(self.home / FACTS, json_text(facts, indent=1) + "\n")

    def write_checks(self, pictures: int, checks: list[JSON]) -> None:
        """Write the checks of the whole run, made when so many pictures were finished."""
        write_text(self.home / CHECKS, json_text({"pictures": pictures, "checks": checks}, indent=1) + "\n")

    def checked(self, pictures: int) -> bool:
        """Whether there are checks of just so many pictures."""
        try:
            return bool(json_value((self.home / CHECKS).read_bytes())["pictures"] == pictures)
        except (OSError, ValueError, LookupError, TypeError):
            return False

    # ---------------------------------------------------------------- one picture

    def unit(self, item: Item) -> Path:
        """The file of a finished picture."""
        return self.home / UNITS / f"{item.unit}.npz"

    def failure(self, item: Item) -> Path:
        """The file of a picture that failed."""
        return self.home / FAILURES / f"{item.unit}.json"

    def cache(self, item: Item) -> Path:
        """Where the answers for a picture are kept until it is finished: a folder of its own, so that nobody waits."""
        return self.home / CACHE / item.unit

    def keep(self, item: Item, found: AuditedPicture) -> None:
        """Write a finished picture; its failures and its answers are then done with."""
        found.save(self.unit(item))
        self.failure(item).unlink(missing_ok=True)
        self.forget(item)

    def forget(self, item: Item) -> None:
        """Drop the answers that were kept for a picture."""
        shutil.rmtree(self.cache(item), ignore_errors=True)

    def fail(self, item: Item, error: BaseException) -> JSON:
        """Write down that, and why, a picture failed; its answers stay for another try."""
        attempts = 0
        with suppress(OSError, ValueError, LookupError):
            attempts = json_value(self.failure(item).read_bytes())["attempts"]
        last = traceback.extract_tb(error.__traceback__)[-1:]
        sample = getattr(error, "sample", None)
        told: JSON = {
            "name": item.name,
            "file": item.file,
            "reason": f"{type(error).__name__}: {error}",
            "where": "".join(f"{frame.name}, {Path(frame.filename).name}:{frame.lineno}" for frame in last),
            "spent": 0 if sample is None else sample.ledger.spent,
            "attempts": attempts + 1,
        }
        write_text(self.failure(item), json_text(told, indent=1) + "\n")
        return told
