"""The check of an audit: pictures of it done again from the plan, every number compared."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from legstat._core.checks import check_count, check_rng, check_type
from legstat._core.digests import array_sha256, file_sha256
from legstat._core.files import json_text
from legstat._core.typing import JSON
from legstat.audit.auditing import prepared
from legstat.audit.folder import RunFolder
from legstat.audit.picture import OF_THE_CLOCK, AuditedPicture
from legstat.audit.pictures import Item
from legstat.audit.plan import Plan
from legstat.audit.run import AuditRun
from legstat.audit.unit import audit_picture
from legstat.record.numbers import Check
from legstat.record.verification import Verification, differing_environment
from legstat.report.pages.sums import SUMS, read_sums
from legstat.responses.base import Response

_WHERE = "audit.verify"


def verify(
    folder: str | Path, response: Response, *, pictures: int | None = None, rng: Any = None, progress: bool = True
) -> Verification:
    """Repeat pictures of an audit from its plan and compare every number, bit for bit.

    Parameters
    ----------
    folder : str or Path
        Folder of the audit.
    response : Response
        The black box of its plan.
    pictures : int, optional
        How many finished pictures, taken at random; all unless given.
    rng : None, int, Generator or anything `numpy.random.default_rng` takes
        Source of that choice; by default nobody can know it before.
    progress : bool, default True
        Show a progress bar if the output is a terminal.

    Returns
    -------
    Verification
        What is the same and what is not: the model, the files that SHA256SUMS lists (where a report was written), the
        pictures that were repeated. With another model nothing is evaluated.

    Raises
    ------
    ValueError
        It is no folder of an audit, or `pictures` is no count.
    TypeError
        `response` is none.

    Notes
    -----
    Spends as many evaluations as the audit spent on these pictures; writes nothing. Bits are promised on one machine
    with one set of versions.

    Examples
    --------
    >>> import tempfile, numpy as np, legstat as ls
    >>> from legstat.data import digits_model_path, load_digit
    >>> f = ls.onnx_response(digits_model_path(), preprocessing="unit")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = f"{folder}/digits.npz"
    ...     np.savez(store, images=np.stack([load_digit(i)[0] for i in range(2)]))
    ...     plan = ls.audit.Plan(places=(store,), model={"model": str(digits_model_path())}, n_queries=250, steps=0)
    ...     run = ls.audit.audit(f, plan, f"{folder}/run", progress=False)
    ...     verify(run.folder, f, pictures=1, rng=0, progress=False).passed
    True
    """
    check_type(_WHERE, "response", response, Response, "the black box of the plan; as_response(f) makes one")
    run, home = AuditRun.open(folder), RunFolder(Path(folder))
    names = list(run.names)
    if pictures is not None:
        count = check_count(_WHERE, "pictures", pictures, 1)
        chosen = check_rng(_WHERE, rng).choice(len(names), size=min(count, len(names)), replace=False)
        names = [names[i] for i in sorted(chosen.tolist())]
    then, now = run.facts["response"], response.describe()
    inputs = tuple(
        Check(name, then.get(name) == now.get(name), str(then.get(name)), str(now.get(name)))
        for name in ("model_sha256", "fingerprint")
    )
    files, notes = tuple(_files(Path(folder))), tuple(differing_environment(run.facts["environment"]))
    if not all(check.same for check in inputs):
        return Verification(str(folder), inputs, (), notes, files)
    plan, items = prepared(response, home.plan(), home.items())
    of_names = {item.name: item for item in items}
    results: list[Check] = []
    for name in tqdm(names, unit="picture", disable=None if progress else True):
        results += _repeated(response, of_names[name], plan, run.picture(name))
    return Verification(str(folder), inputs, tuple(results), notes, files)


def _repeated(response: Response, item: Item, plan: Plan, then: AuditedPicture) -> Iterator[Check]:
    """Each array of a picture, its facts, regions, curves and checks beside their repetition."""
    try:
        now = audit_picture(response, item, plan)
    except (ValueError, RuntimeError, OSError) as error:
        yield Check(item.name, False, "finished", f"{type(error).__name__}: {error}")
        return
    for part in dataclasses.fields(then):
        a, b = getattr(then, part.name), getattr(now, part.name)
        if part.name == "name":
            continue
        if part.name == "facts":
            yield from _facts(item.name, a, b)
        elif hasattr(a, "dtype") or hasattr(b, "dtype"):
            told = ["none" if one is None else array_sha256(one) for one in (a, b)]
            yield Check(f"{item.name}: {part.name}", told[0] == told[1], *told)
        elif a or b:
            same = _plain(a) == _plain(b)
            yield Check(f"{item.name}: {part.name}", same, "as recorded", "the same" if same else "others")


def _facts(name: str, then: JSON, now: JSON) -> Iterator[Check]:
    """One check where all are the same, else one for each that is not."""
    keys = [key for key in dict.fromkeys([*then, *now]) if key not in OF_THE_CLOCK]
    wrong = [key for key in keys if _plain(then.get(key)) != _plain(now.get(key))]
    for key in wrong:
        yield Check(f"{name}: {key}", False, str(then.get(key)), str(now.get(key)))
    if not wrong:
        yield Check(f"{name}: facts", True, "as recorded", "the same")


def _plain(value: object) -> object:
    """As a file gives it back, a NaN equal to itself."""
    return json_text(value, sort_keys=True)


def _files(home: Path) -> Iterator[Check]:
    """The files that SHA256SUMS lists."""
    for name, digest in read_sums(home / SUMS).items():
        now = file_sha256(home / name) if (home / name).is_file() else "missing"
        yield Check(f"file {name}", now == digest, digest, now)
