"""Validates the docstrings of every public name by numpydoc's rules; prints what is wrong and exits non-zero.

Public are the names in ``__all__`` of `legstat` and of its public namespaces, with the public methods and properties
that a class defines itself. The rules are chosen in ``[tool.numpydoc_validation]`` of pyproject.toml.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import inspect
import re
import sys
import tomllib
from collections.abc import Iterator
from enum import Enum
from functools import cached_property
from pathlib import Path
from types import FunctionType

from numpydoc.docscrape import NumpyDocString
from numpydoc.validate import validate

ROOT = Path(__file__).resolve().parents[1]
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
MEMBERS = (FunctionType, staticmethod, classmethod, property, cached_property)


def public_modules() -> list[str]:
    """Those of the public namespaces that are there; one that is there and fails to import is an error."""
    return [name for name in NAMESPACES if importlib.util.find_spec(name) is not None]


def public_objects() -> Iterator[tuple[str, object, bool]]:
    """Dotted path and object of every public name, and whether it is a member of a class."""
    for module_name in public_modules():
        module = importlib.import_module(module_name)
        for name in getattr(module, "__all__", ()):
            value, path = getattr(module, name), f"{module_name}.{name}"
            if inspect.isclass(value) or inspect.isroutine(value):
                yield path, value, False
            if inspect.isclass(value):
                for member, inner in vars(value).items():
                    if not member.startswith("_") and isinstance(inner, MEMBERS):
                        yield f"{path}.{member}", inner, True


def faults(path: str, value: object, is_member: bool, checks: frozenset[str]) -> list[str]:
    """What numpydoc finds at one public name, narrowed to the checks that make sense for its kind."""
    wanted = set(checks)
    text = NumpyDocString(inspect.getdoc(value) or "")
    if is_member:
        wanted.discard("EX01")  # the class's example shows its members at work
        if inspect.isfunction(value) and inherits_text(path, value):
            return []  # an override of a documented method keeps that method's text
        if not (text["Parameters"] or text["Returns"]):
            # a short method may be told in prose, its types being in the signature; with sections, they are complete
            wanted -= {"PR01", "RT01"}
    if inspect.isclass(value):
        if issubclass(value, (BaseException, Enum)):
            wanted -= {"EX01", "PR01"}  # raised or listed by the package, not built by its users
        if maker(value):
            wanted -= {"EX01", "PR01"}  # only that function builds it: its text has the arguments and the example
        if getattr(value, "_is_protocol", False):
            wanted.discard("PR01")  # nobody calls its constructor
        if inspect.isabstract(value):
            wanted.discard("EX01")  # there is no instance to show: its subclasses do
        texts = [NumpyDocString(inspect.cleandoc(base.__doc__ or "")) for base in value.__mro__[:-1]]
        if dataclasses.is_dataclass(value) and any(inherited["Attributes"] for inherited in texts):
            wanted.discard("PR01")  # a result's fields are attributes, told where they are defined
    return [f"{code} {text}" for code, text in validate(path)["errors"] if code in wanted]


def maker(value: type) -> object | None:
    """The public function that alone builds this class, as the class's text says: "built by `onnx_response`"."""
    said = re.search(r"\bbuilt by `(\w+)`", inspect.cleandoc(value.__doc__ or ""), re.IGNORECASE)
    return getattr(importlib.import_module("legstat"), said[1]) if said else None


def inherits_text(path: str, member: FunctionType) -> bool:
    """Whether the method has no text of its own, and its class finds one in a base class."""
    if member.__doc__:
        return False
    owner, name = path.rsplit(".", 1)
    module, class_name = owner.rsplit(".", 1)
    return bool(inspect.getdoc(getattr(getattr(importlib.import_module(module), class_name), name)))


def main() -> int:
    """Checks everything, reports, returns the exit status."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    checks = frozenset(config["tool"]["numpydoc_validation"]["checks"])
    objects = list(public_objects())
    wrong = {path: found for path, value, member in objects if (found := faults(path, value, member, checks))}
    for path, found in wrong.items():
        for text in found:
            print(f"{path}: {text}")
    print(f"docstrings: {len(objects)} public names checked, {len(wrong)} with faults")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
