"""The public names, written down: a change of them is a decision, made by changing public_names.txt with it."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from pathlib import Path

SNAPSHOT = Path(__file__).with_name("public_names.txt")
NAMESPACES = (
    "legstat",
    "legstat.audit",
    "legstat.baselines",
    "legstat.checks",
    "legstat.interop",
    "legstat.metrics",
    "legstat.simulate",
    "legstat.studies",
    "legstat.data",
)


def public_names() -> list[str]:
    names: list[str] = []
    for module_name in NAMESPACES:
        if importlib.util.find_spec(module_name) is None:
            continue
        module = importlib.import_module(module_name)
        for name in module.__all__:
            value, path = getattr(module, name), f"{module_name}.{name}"
            names.append(path)
            if inspect.isclass(value):
                names += [f"{path}.{member}" for member in dir(value) if _is_ours(value, member)]
    return sorted(names)


def _is_ours(owner: type, member: str) -> bool:
    """Public, and defined by a class of the package (not by a base class from elsewhere)."""
    if member.startswith("_"):
        return False
    home = next(base for base in owner.__mro__ if member in vars(base))
    return home.__module__.startswith("legstat")


def test_public_names_are_those_written_down():
    found, written = public_names(), SNAPSHOT.read_text(encoding="utf-8").split()
    assert found == written, (
        f"\nnew: {sorted(set(found) - set(written))}\ngone: {sorted(set(written) - set(found))}\n"
        "If this is meant: python tests/api/test_public_names.py"
    )


def test_names_in_all_exist_and_stand_there_once():
    for module_name in NAMESPACES:
        if importlib.util.find_spec(module_name) is None:
            continue
        module = importlib.import_module(module_name)
        assert len(set(module.__all__)) == len(module.__all__)
        assert not [name for name in module.__all__ if not hasattr(module, name)]


if __name__ == "__main__":
    SNAPSHOT.write_text("\n".join(public_names()) + "\n", encoding="utf-8")
