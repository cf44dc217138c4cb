"""Names of a network's classes, and the class that a user means."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from legstat._core.errors import invalid

Target = int | str | tuple[int | str, ...]
"""A class index, a label, "top", "top:5" (the first five choices), or several of the first two; "index:7" and "label:7"
where a label is a number."""


def read_labels(where: str, labels: str | Path | Sequence[str] | None) -> tuple[str, ...] | None:
    """Class names in the network's order.

    Parameters
    ----------
    where : str
        Call to name in an error.
    labels : sequence of str or str or Path or None
        The names; or a text file with one per line; or a JSON file: a list, or ``{"0": name}``, or
        ``{"0": ["n01440764", "tench"]}`` as imagenet_class_index.json is.

    Returns
    -------
    tuple of str or None
        The names.

    Raises
    ------
    ValueError
        Missing or unreadable file, gaps in the indices.
    """
    if labels is None:
        return None
    if not isinstance(labels, str | Path):
        names = tuple(labels)
        if not all(isinstance(name, str) for name in names):
            raise TypeError(invalid(where, "labels", labels, "a sequence of str, or the path of a file"))
        return names
    path = Path(labels)
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix != ".json":
            return tuple(line.strip() for line in text.splitlines() if line.strip())
        table = json.loads(text)
        if isinstance(table, dict):
            table = [table[str(index)] for index in range(len(table))]
        return tuple(str(item[-1]) if isinstance(item, list) else str(item) for item in table)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, KeyError, IndexError, TypeError) as error:
        raise ValueError(
            invalid(
                where,
                "labels",
                str(path),
                "a text file with one name per line, or a JSON list or mapping '0', '1', ... to names",
                f"Reading it failed: {type(error).__name__}: {error}.",
            )
        ) from error


def check_labels(where: str, labels: tuple[str, ...] | None, n_classes: int) -> None:
    """Refuse a list of labels that does not have one name per class."""
    if labels is not None and len(labels) != n_classes:
        raise ValueError(
            invalid(
                where,
                "labels",
                f"{len(labels)} names",
                f"{n_classes} names, one per class of the network",
                "A single-output network has one class, the positive one." if n_classes == 1 else "",
            )
        )


def find_class(where: str, target: int | str, labels: tuple[str, ...] | None, n_classes: int | None) -> int:
    """Index of the class that a user named by index or label.

    Parameters
    ----------
    where : str
        Call to name in an error.
    target : int or str
        Index, label (case and underscores do not matter), or an index in digits. "index:7" and "label:7" say which one
        is meant.
    labels : tuple of str or None
        Class names.
    n_classes : int or None
        Number of classes; None where it is not known yet.

    Returns
    -------
    int
        The index.

    Raises
    ------
    TypeError
        Neither a whole number nor a string.
    ValueError
        Out of range, unknown or ambiguous label, or digits that are the index of one class and the label of another.
    """
    if isinstance(target, bool) or not isinstance(target, int | str | np.integer):
        raise TypeError(invalid(where, "target", target, "a class index, a label or 'top'"))
    count = n_classes if n_classes is not None else None if labels is None else len(labels)
    if not isinstance(target, str):
        return _check_index(where, int(target), count)
    kind, _, rest = target.partition(":")
    if kind == "label" and rest:
        return _find_label(where, rest, labels)
    digits = rest if kind == "index" else target
    if not digits.strip().isdecimal():
        return _find_label(where, target, labels)
    index, named = int(digits), [] if kind == "index" else _named(target, labels)
    if named and named != [index]:
        if count is None or index < count:
            raise ValueError(_ambiguous(where, target, f"the class of index {index}", f"index:{index}", named))
        return _find_label(where, target, labels)
    return _check_index(where, index, count)


def first_choices(target: object) -> int | None:
    """How many first choices a target such as "top:5" names; None for any other target."""
    kind, _, count = target.partition(":") if isinstance(target, str) else ("", "", "")
    return int(count) if kind == "top" and count.isdecimal() else None


def check_top(where: str, labels: tuple[str, ...] | None) -> None:
    """Refuse the target "top" where a class is called so."""
    if named := _named("top", labels):
        raise ValueError(_ambiguous(where, "top", "the network's first choice", "index:top", named))


def _ambiguous(where: str, target: str, other: str, spelt: str, named: list[int]) -> str:
    """What to say where a target is a label and something else as well."""
    classes = "class" if len(named) == 1 else "classes"
    remedy = (
        f"It may be {other} (target={spelt!r}) or the label of {classes} {', '.join(map(str, named))} "
        f"(target='label:{target.strip()}')."
    )
    return invalid(where, "target", target, "unambiguous", remedy)


def _check_index(where: str, target: int, count: int | None) -> int:
    if target < 0 or (count is not None and target >= count):
        if count == 1:
            remedy = "A single-output network has one class, the positive one; the other's log-odds are the negative."
        else:
            remedy = "Class indices start at 0; 'top' takes the network's first choice."
        valid = "a class index >= 0" if count is None else f"a class index in 0..{count - 1}"
        raise ValueError(invalid(where, "target", target, valid, remedy))
    return target


def _named(target: str, labels: tuple[str, ...] | None) -> list[int]:
    """Indices of the classes of that name."""
    return [index for index, name in enumerate(labels or ()) if _plain(name) == _plain(target)]


def _find_label(where: str, target: str, labels: tuple[str, ...] | None) -> int:
    if labels is None:
        raise ValueError(
            invalid(where, "target", target, "a class index or 'top' where no labels are given", "Pass `labels=` too.")
        )
    plain = [_plain(name) for name in labels]
    hits = _named(target, labels)
    if len(hits) > 1:
        raise ValueError(
            invalid(where, "target", target, "a label of one class", f"It names classes {hits}: pass the index.")
        )
    if not hits:
        close = difflib.get_close_matches(_plain(target), plain, n=5, cutoff=0.5)
        close += [name for name in plain if _plain(target) in name and name not in close][:5]
        shown = ", ".join(f"{labels[plain.index(name)]!r} ({plain.index(name)})" for name in close[:6])
        raise ValueError(
            invalid(
                where,
                "target",
                target,
                f"one of the {len(labels)} labels, a class index or 'top'",
                f"Did you mean {shown}?" if shown else f"The labels begin with {list(labels[:3])}.",
            )
        )
    return hits[0]


def _plain(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").split())
