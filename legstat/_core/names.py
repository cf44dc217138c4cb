"""Names: whose they are, what is found under them, and which of them code reads."""

from __future__ import annotations

import dis
import importlib.util
import sys
import types
from collections.abc import Iterator

_NAMED = (
    types.MemberDescriptorType,
    types.GetSetDescriptorType,
    types.WrapperDescriptorType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
)
"""Parts of classes that Python makes itself."""


class Installed:
    """Python itself and installed packages, whose names say which value is meant: what they do goes with versions.

    Attributes
    ----------
    packages : set of str
        Those that were asked for so far; Python itself is not among them.
    """

    def __init__(self) -> None:
        self.packages: set[str] = set()

    def names(self, value: object) -> bool:
        """Whether its name says which it is: what is found under it in Python itself or an installed package."""
        if isinstance(value, _NAMED):
            return True
        if isinstance(value, types.BuiltinFunctionType):
            return value.__self__ is None or isinstance(value.__self__, types.ModuleType | type)
        home = getattr(value, "__module__", None)
        name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
        return isinstance(name, str) and self.has(home) and found_under(str(home), name) is value

    def wrote(self, function: types.FunctionType) -> bool:
        """Whether a function's code is a package's own."""
        # `functools.wraps` gives a wrapper the name and the module of what it wraps, but not its globals
        return self.has(function.__globals__.get("__name__"))

    def has(self, module: object) -> bool:
        """Whether a module is of Python itself or of an installed package, whose version says what it does."""
        top = module.partition(".")[0] if isinstance(module, str) else ""  # a class may give anything as its module
        if top in self.packages or top in sys.stdlib_module_names:
            return True
        if _lies_among_packages(top):
            self.packages.add(top)
            return True
        return False


def found_under(module: str, name: str) -> object:
    """What is found under a name; None where nothing is."""
    found: object = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """Code, and that of the functions inside it."""
    yield code
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _codes(inner)


def globals_read(code: types.CodeType) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Global names that code reads, each with the attributes that are taken of it at once."""
    for one in _codes(code):
        name: str = ""
        attributes: tuple[str, ...] = ()
        for step in dis.get_instructions(one):
            if name and step.opname in ("LOAD_ATTR", "LOAD_METHOD"):
                attributes = (*attributes, str(step.argval))
                continue
            if name:
                yield name, attributes
            name, attributes = (str(step.argval) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME") else ""), ()


def imported_by(code: types.CodeType) -> Iterator[str]:
    """Modules that code imports when it runs."""
    for one in _codes(code):
        yield from (str(step.argval) for step in dis.get_instructions(one) if step.opname == "IMPORT_NAME")


def _lies_among_packages(top: str) -> bool:
    """Whether the module or package of that name was installed (legstat itself counts as that)."""
    if top in ("legstat", "builtins"):
        return True
    if top == "__main__":
        return False
    module = sys.modules.get(top)
    try:
        spec = importlib.util.find_spec(top) if module is None else module.__spec__
    except (ImportError, ValueError, AttributeError):
        return False
    places = [] if spec is None else [spec.origin or "", *(spec.submodule_search_locations or ())]
    return any(folder in place for place in places for folder in ("site-packages", "dist-packages"))
