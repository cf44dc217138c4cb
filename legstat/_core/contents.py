"""What a Python value is made of, followed by content: data, functions with what they read, classes, objects.

Never an address, so that the digest is the same in another process of the same Python. Of installed packages names
alone count: what they do goes with their versions, which whoever asks gets to know.
"""

from __future__ import annotations

import builtins
import copyreg
import functools
import hashlib
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from legstat._core.names import Installed, found_under, globals_read, imported_by

Reader = Callable[[object], object | None]
"""Puts a value of a package's own in terms of others; None where it is for the ordinary rules."""

_MAX_DEPTH = 100
"""Containers inside containers that are followed."""
_MOST_OBJECTS = 20_000
"""Functions, classes and objects that are followed."""
_PLAIN = (bool, int, float, complex, str)
_OF_A_CLASS = frozenset(
    {
        "__abstractmethods__",
        "__annotations__",
        "__annotate_func__",
        "__annotations_cache__",
        "__dataclass_fields__",
        "__dataclass_params__",
        "__dict__",
        "__doc__",
        "__firstlineno__",
        "__match_args__",
        "__module__",
        "__orig_bases__",
        "__parameters__",
        "__qualname__",
        "__static_attributes__",
        "__weakref__",
        "_abc_impl",
    }
)
"""What a class holds that says nothing of what its objects do."""


@dataclass(frozen=True)
class Contents:
    """What `contents` found.

    Attributes
    ----------
    sha256 : str
        Hexadecimal digest.
    gaps : tuple of str
        Where something could be hashed by its type's name only: two values may differ there and have one digest.
    packages : tuple of str
        Installed packages that are read, of which names alone count.
    """

    sha256: str
    gaps: tuple[str, ...]
    packages: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether all of it was hashed by content."""
        return not self.gaps

    @property
    def versions(self) -> dict[str, str | None]:
        """Versions of the packages, where they say them."""
        known = ((name, getattr(sys.modules.get(name), "__version__", None)) for name in self.packages)
        return {name: None if version is None else str(version) for name, version in known}


def contents(*values: object, reader: Reader | None = None, name: str = "value") -> Contents:
    """Digest of values by content.

    Parameters
    ----------
    *values : object
        What to hash. Numbers, strings, bytes, arrays and containers by content; functions with their code, constants,
        defaults, closure, attributes and the global variables that they read; classes with their bases, methods and
        attributes; objects with their class and their state. Circles end.
    reader : callable, optional
        Puts values of a package's own, such as tensors, in terms of others.
    name : str
        What to call the values where a gap is told.

    Returns
    -------
    Contents
        Digest, gaps, packages.

    Examples
    --------
    >>> scale = 2.0
    >>> one = contents(lambda x: scale * x)
    >>> one.complete, one.sha256 == contents(lambda x: scale + x).sha256
    (True, False)
    """
    return _Walk(reader).through(values, name)


class _Walk:
    """One way through a value and all that it refers to.

    Containers are followed where they stand. Functions, classes and objects get a number when they are met first, and
    their turn when all before them are done: so there is no depth to speak of, and a circle is a number said twice.
    """

    def __init__(self, reader: Reader | None, inside: int = 0) -> None:
        self._state, self._reader, self._inside = hashlib.sha256(), reader, inside
        self._numbers: dict[int, int] = {}
        self._met: list[tuple[object, str]] = []  # holds them, so that no address is given out again
        self._gaps: dict[str, None] = {}
        self._installed = Installed()

    def through(self, values: Iterable[object], name: str) -> Contents:
        for value in values:
            self._feed(value, name)
        done = 0
        while done < len(self._met):
            if done == _MOST_OBJECTS:
                self._gap(f"more than {_MOST_OBJECTS} objects")
                break
            self._token("turn", str(done).encode())
            self._follow(*self._met[done])
            done += 1
        return Contents(self._state.hexdigest(), tuple(self._gaps), tuple(sorted(self._installed.packages)))

    def _token(self, tag: str, body: bytes = b"") -> None:
        """One tagged, length-prefixed item, so that no two sequences of items read alike."""
        self._state.update(f"{tag}:{len(body)}:".encode())
        self._state.update(body)

    def _gap(self, where: str) -> None:
        self._gaps.setdefault(where)

    # -- data --------------------------------------------------------------------------------------------------------

    def _feed(self, value: object, at: str, depth: int = 0) -> None:
        kind = type(value)
        if depth > _MAX_DEPTH:
            self._token("deep", kind.__qualname__.encode())
            self._gap(f"{at}: too deep")
        elif value is None or kind in _PLAIN or isinstance(value, np.float64 | np.complex128):
            self._token(kind.__name__, repr(value).encode())
        elif isinstance(value, bytes | bytearray) and kind in (bytes, bytearray):
            self._token("bytes", bytes(value))
        elif isinstance(value, np.ndarray) and kind in (np.ndarray, np.memmap) and value.dtype != object:
            self._token("array", f"{value.dtype.str}{value.shape}".encode())
            self._token("data", np.ascontiguousarray(value).tobytes())
        elif isinstance(value, np.generic):
            self._token("scalar", value.dtype.str.encode() + value.tobytes())
        elif isinstance(value, list | tuple) and kind in (list, tuple):
            self._token(kind.__name__, str(len(value)).encode())
            for i, one in enumerate(value):
                self._feed(one, f"{at}[{i}]", depth + 1)
        elif isinstance(value, set | frozenset) and kind in (set, frozenset):
            self._token("set")
            for one in sorted(value, key=self._order):
                self._feed(one, f"{at}{{}}", depth + 1)
        elif isinstance(value, dict | types.MappingProxyType) and kind in (dict, types.MappingProxyType):
            self._token("mapping", str(len(value)).encode())
            for key in sorted(value, key=self._order):
                self._feed(key, f"{at}: a key", depth + 1)
                self._feed(value[key], f"{at}[{key!r}]" if isinstance(key, str | int) else f"{at}[...]", depth + 1)
        else:
            self._feed_object(value, at, depth)

    def _order(self, value: object) -> str:
        """What to sort by: the same in every process."""
        if _is_plain(value):
            return repr(value)
        if self._inside > 2:
            self._gap(f"sets of {type(value).__qualname__}s that hold sets")
            return type(value).__qualname__
        return _Walk(self._reader, self._inside + 1).through([value], "").sha256

    # -- what is met first -------------------------------------------------------------------------------------------

    def _feed_object(self, value: object, at: str, depth: int) -> None:
        """Name a value, or number it and let it wait for its turn."""
        if isinstance(value, types.MethodType):
            self._token("method")
            self._feed(value.__func__, at, depth + 1)
            self._feed(value.__self__, f"{at}.__self__", depth + 1)
        elif isinstance(value, staticmethod | classmethod):
            self._token(type(value).__name__)
            self._feed(value.__func__, at, depth + 1)
        elif isinstance(value, property):
            self._token("property")
            self._feed((value.fget, value.fset, value.fdel), at, depth + 1)
        elif isinstance(value, functools.cached_property):
            self._token("cached_property")
            self._feed(value.func, at, depth + 1)
        elif isinstance(value, types.ModuleType):
            self._token("named", value.__name__.encode())
            if not self._installed.has(value.__name__):
                self._gap(f"{at}: the module {value.__name__}")
        elif self._installed.names(value):
            known = getattr(value, "__qualname__", None) or getattr(value, "__name__", "")
            self._token("named", f"{getattr(value, '__module__', '')}.{known}".encode())
        else:
            number = self._numbers.setdefault(id(value), len(self._met))
            if number == len(self._met):
                self._met.append((value, at))
            self._token("object", str(number).encode())

    # -- whose turn it is --------------------------------------------------------------------------------------------

    def _follow(self, value: object, at: str) -> None:
        parts = None if self._reader is None else self._reader(value)
        if parts is not None:
            self._feed(parts, at)
        elif isinstance(value, types.CodeType):
            self._follow_code(value, at)
        elif isinstance(value, types.FunctionType):
            self._follow_function(value, at)
        elif isinstance(value, type):
            self._follow_class(value, at)
        elif isinstance(value, types.BuiltinFunctionType):  # of an object, such as {}.get
            self._token("builtin", value.__qualname__.encode())
            self._feed(value.__self__, f"{at}.__self__")
        elif isinstance(value, np.ndarray) and type(value) is np.ndarray:  # of objects
            self._token("array", str(value.shape).encode())
            self._feed(value.ravel().tolist(), at)
        else:
            self._follow_object(value, at)

    def _follow_code(self, code: types.CodeType, at: str) -> None:
        self._token("code", code.co_code)
        self._token("table", code.co_exceptiontable)
        counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
        names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        self._feed((counts, names, code.co_consts), at)

    def _follow_function(self, function: types.FunctionType, at: str) -> None:
        self._token("function", function.__qualname__.encode())
        self._follow_code(function.__code__, at)
        self._feed((function.__defaults__, function.__kwdefaults__), f"{at}'s defaults")
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                inside = cell.cell_contents
            except ValueError:  # it is defined further down
                self._token("missing", name.encode())
                self._gap(f"{at}: {name}, which is not defined yet")
                continue
            self._feed(inside, f"{at}: {name}")
        self._feed(vars(function), at)
        if self._installed.wrote(function):  # what it reads there goes with the version
            return
        for name, attributes in sorted(set(globals_read(function.__code__))):
            self._feed_global(function.__globals__, name, attributes, at)
        for name in sorted(set(imported_by(function.__code__))):
            if not self._installed.has(name):
                self._gap(f"{at}: the module {name}, which is imported inside")

    def _feed_global(self, known: dict[str, object], name: str, attributes: tuple[str, ...], at: str) -> None:
        """A global variable that a function reads; of a module of the user's what is read of it."""
        self._token("global", name.encode())
        if name not in known:
            if not hasattr(builtins, name):
                self._gap(f"{at}: {name}, which is not defined yet")
            return
        value, path = known[name], f"{at}: {name}"
        for attribute in attributes:
            if not isinstance(value, types.ModuleType) or self._installed.has(value.__name__):
                break
            path = f"{path}.{attribute}"
            value = getattr(value, attribute, None)
        self._feed(value, path)

    def _follow_class(self, kind: type, at: str) -> None:
        self._token("class", kind.__qualname__.encode())
        self._feed((type(kind), kind.__bases__), f"{at}'s bases")
        for name, value in sorted(vars(kind).items()):
            if name not in _OF_A_CLASS:
                self._token("attribute", name.encode())
                self._feed(value, f"{at}.{name}")

    def _follow_object(self, value: object, at: str) -> None:
        kind = type(value)
        self._feed(kind, kind.__qualname__)
        wrapped = getattr(value, "__wrapped__", None)
        if self._installed.has(kind.__module__) and callable(
            wrapped
        ):  # a function that a package has compiled, or caches
            self._feed(wrapped, at)
        elif self._installed.has(kind.__module__):
            self._follow_reduced(value, at)
        else:
            self._feed_state(value, at)

    def _follow_reduced(self, value: object, at: str) -> None:
        """An object of an installed package: what pickle would keep of it."""
        try:
            reducer = copyreg.dispatch_table.get(type(value))
            made = value.__reduce_ex__(4) if reducer is None else reducer(value)
            if isinstance(made, str) and found_under(str(getattr(value, "__module__", "")), made) is not value:
                raise TypeError("found under no name")
            parts = made if isinstance(made, str) else [list(part) if _is_iterator(part) else part for part in made]
        except Exception:  # whatever its own code raises: locks, files and connections cannot be kept
            self._token("unknown", type(value).__qualname__.encode())
            self._gap(f"{at}: {type(value).__module__}.{type(value).__qualname__}")
            return
        self._feed(parts, at)

    def _feed_state(self, value: object, at: str) -> None:
        """An object of the user's: its attributes, its slots, and what it holds as a container or a number."""
        kind = type(value)
        state = dict(getattr(value, "__dict__", None) or {})
        for one in kind.__mro__:
            if isinstance(slots := vars(one).get("__slots__", ()), str):
                slots = (slots,)
            for slot in slots:
                name = f"_{one.__name__.lstrip('_')}{slot}" if slot.startswith("__") and slot[-2:] != "__" else slot
                if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                    state[name] = getattr(value, name)
        for name in sorted(state):
            self._token("attribute", name.encode())
            self._feed(state[name], f"{at}.{name}")
        self._feed_native(value, at)

    def _feed_native(self, value: object, at: str) -> None:
        """What an object of the user's holds as one of Python's own kinds."""
        if isinstance(value, list | tuple):
            self._feed(list(value), at)
        elif isinstance(value, dict):
            self._feed(list(value.items()), at)
        elif isinstance(value, set | frozenset):
            self._feed(frozenset(value), at)
        elif isinstance(value, np.ndarray):
            self._feed(np.asarray(value), at)
        elif numbers := [one for one in (int, float, complex, str, bytes) if isinstance(value, one)]:
            self._feed(numbers[0].__repr__(value), at)
        elif compiled := [one for one in type(value).__mro__[:-1] if _keeps_more(one)]:
            self._gap(f"{at}: what {compiled[0].__module__}.{compiled[0].__qualname__} keeps")


def _keeps_more(kind: type) -> bool:
    """Whether objects of a class have room for more than attributes and slots: what compiled code keeps there."""
    base, slots = kind.__base__, vars(kind).get("__slots__", ())
    seen = 2 + (1 if isinstance(slots, str) else len(slots))  # pointers: to __dict__, to weak references, slots
    return base is not None and kind.__basicsize__ > base.__basicsize__ + seen * tuple.__itemsize__


def _is_iterator(value: object) -> bool:
    return isinstance(value, Iterator)


def _is_plain(value: object) -> bool:
    """Whether the text of a value says which it is."""
    if isinstance(value, tuple) and type(value) is tuple:
        return all(map(_is_plain, value))
    return value is None or type(value) in (*_PLAIN, bytes) or isinstance(value, np.generic)
