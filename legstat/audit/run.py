"""An audit as it lies on disk: finished pictures, failed ones, and what the run says of itself."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from legstat._core.errors import invalid
from legstat._core.files import json_value
from legstat._core.frozen import Portable
from legstat._core.notebooks import Rich
from legstat._core.typing import JSON
from legstat.audit.picture import AuditedPicture

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 1
"""Form of a run's folder."""
PLAN, FACTS, PICTURES, UNITS, FAILURES, CHECKS = (
    "plan.toml", "run.json", "pictures.json", "units", "failures", "checks.json",
)  # fmt: skip
"""Names of what lies in the folder of a run."""
CACHE, LOCK = "cache", "running.sqlite3"
"""Names of what lies there while it goes on."""
_NO_ROW = ("ledger", "key", "certificate", "r2_heldout", "fdr_thresholds", "object", "seconds", "boxes", "curves")
"""Facts that are no single entry of a table; `_row` says what of them is one."""


@dataclass(frozen=True, kw_only=True, eq=False)
class AuditRun(Rich, Portable):
    r"""The folder of an audit, as it was when it was opened. Pictures are read one at a time.

    Made by `AuditRun.open`.

    Attributes
    ----------
    folder : Path
        The folder.
    plan : dict
        The plan as plan.toml has it, whole.
    facts : dict
        What the run says of itself: model, environment, command, times, pilot, cost (run.json).
    chosen : tuple of dict
        The pictures that are to be audited, in order: ``name``, ``file``, ``label``, ``group``, ``boxes``, ``unit``
        (the stem of its file).
    names : tuple of str
        Of the pictures that are finished, in the same order.
    failures : tuple of dict
        Pictures that failed: ``name``, ``file``, ``reason``, ``where`` (the traceback's last line), ``attempts``.
    checks : tuple of dict
        Outcomes of the checks of the whole run.

    Examples
    --------
    >>> import json, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name, text in {PLAN: "[query]\nn_queries = 300\n", FACTS: "{}", PICTURES: "[]"}.items():
    ...         _ = (Path(folder) / name).write_text(text)
    ...     run = AuditRun.open(folder)
    >>> run
    <AuditRun 0 of 0 pictures, 0 failed>
    >>> run.plan["query"]["n_queries"], run.complete
    (300, True)
    """

    folder: Path
    plan: JSON
    facts: JSON
    chosen: tuple[JSON, ...]
    names: tuple[str, ...]
    failures: tuple[JSON, ...]
    checks: tuple[JSON, ...]

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """Read what there is of a run.

        Parameters
        ----------
        folder : str or Path
            Where `legstat audit` wrote it.

        Returns
        -------
        AuditRun
            As it is now; a run that goes on has more later.

        Raises
        ------
        ValueError
            It is no such folder, or a file of it is broken.
        """
        home = Path(folder)
        try:
            plan: JSON = tomllib.loads((home / PLAN).read_text(encoding="utf-8"))
            facts, chosen = _read(home / FACTS), _read(home / PICTURES)
            checks = _read(home / CHECKS)["checks"] if (home / CHECKS).is_file() else []
            failures = [_read(file) for file in sorted((home / FAILURES).glob("*.json"))]
        except (OSError, ValueError) as error:
            text = f"Reading it failed: {type(error).__name__}: {error}."
            raise ValueError(invalid("AuditRun.open", "folder", str(folder), "the folder of an audit", text)) from error
        finished = {file.stem for file in (home / UNITS).glob("*.npz")}
        return cls(
            folder=home,
            plan=plan,
            facts=facts,
            chosen=tuple(chosen),
            names=tuple(one["name"] for one in chosen if one["unit"] in finished),
            failures=tuple(failures),
            checks=tuple(checks),
        )

    @property
    def complete(self) -> bool:
        """Whether every picture is finished or failed."""
        return len(self.waiting) == 0

    @property
    def waiting(self) -> tuple[str, ...]:
        """Names of the pictures that are neither finished nor failed."""
        known = {*self.names, *(one["name"] for one in self.failures)}
        return tuple(one["name"] for one in self.chosen if one["name"] not in known)

    def file(self, name: str) -> Path:
        """Where a finished picture lies; ValueError where it is not finished."""
        if name not in self.names:
            remedy = f"There are {list(self.names[:5])}."
            raise ValueError(invalid("AuditRun.picture", "name", name, "of a finished picture", remedy))
        unit = next(one["unit"] for one in self.chosen if one["name"] == name)
        return self.folder / UNITS / f"{unit}.npz"

    def picture(self, name: str) -> AuditedPicture:
        """A finished picture, read from its file.

        Parameters
        ----------
        name : str
            One of `names`.

        Returns
        -------
        AuditedPicture
            All of it.

        Raises
        ------
        ValueError
            It is not finished, or its file is broken.
        """
        return AuditedPicture.load(self.file(name))

    def __iter__(self) -> Iterator[AuditedPicture]:
        """Finished pictures, each read when it is its turn."""
        return (self.picture(name) for name in self.names)

    def __len__(self) -> int:
        """Finished pictures."""
        return len(self.names)

    def files(self) -> list[Path]:
        """What belongs to the run for good, a report included: neither kept answers nor locks."""

        def belongs(file: Path) -> bool:
            inside = file.relative_to(self.folder).parts
            return inside[0] != CACHE and not inside[0].startswith(LOCK) and not inside[-1].startswith(".")

        return [file for file in self.folder.rglob("*") if file.is_file() and belongs(file)]

    def headers(self) -> Iterator[JSON]:
        """What each finished picture's file says of it, without its arrays; see `AuditedPicture.load_header`."""
        return (AuditedPicture.load_header(self.file(name)) for name in self.names)

    @property
    def ledger(self) -> JSON:
        """Model evaluations by what they were for, over all pictures; every header is read for it.

        ``maps``: answers behind the maps, whether this call or an earlier one of the same run had asked for them; of
        them the pilot asked for ``pilot``. ``curves``, ``checks``, and ``trials`` (see `Ledger`) come on top, and so
        does ``failed``: what pictures had cost that failed. ``total`` is all but the pilot, which is part of ``maps``.
        """
        told = dict.fromkeys(("maps", "curves", "checks", "trials"), 0)
        for header in self.headers():
            ledger = header["facts"].get("ledger") or {}
            told["maps"] += ledger.get("spent", 0) + ledger.get("cached", 0)
            for kind in ("curves", "trials"):
                told[kind] += ledger.get(kind, 0)
        told["checks"] = sum(one["details"].get("evaluations", 0) for one in self.checks)
        told["failed"] = sum(one.get("spent", 0) for one in self.failures)
        return {**told, "total": sum(told.values()), "pilot": self.facts.get("pilot", {}).get("pilot", 0)}

    def to_frame(self) -> pd.DataFrame:
        """One row a finished picture: facts, L, R^2, areas of the curves, failed checks, evaluations, seconds."""
        import pandas as pd

        return pd.DataFrame([_row(header) for header in self.headers()])

    def __repr__(self) -> str:
        return f"<AuditRun {len(self)} of {len(self.chosen)} pictures, {len(self.failures)} failed>"


def _row(header: JSON) -> JSON:
    facts = header["facts"]
    ledger, curves = facts.get("ledger") or {}, header["curves"] or {}
    statuses = [one["status"] for one in header["checks"]]
    row = {"name": header["name"], **{key: value for key, value in facts.items() if key not in _NO_ROW}}
    return row | {
        **{f"r2_heldout_{kind}": value for kind, value in (facts.get("r2_heldout") or {}).items()},
        **{f"certificate_{kind}": value for kind, value in (facts.get("certificate") or {}).items()},
        **{f"object_{kind}": value for kind, value in (facts.get("object") or {}).items()},
        **{f"area_{kind}": curve["area"] for kind, curve in curves.items()},
        "checks_failed": statuses.count("failed"),
        "n_queries": sum(ledger.get(kind, 0) for kind in ("spent", "cached")),
        "seconds": sum((facts.get("seconds") or {}).values()),
    }


def _read(file: Path) -> Any:
    return json_value(file.read_bytes())
