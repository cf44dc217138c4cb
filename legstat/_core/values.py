"""Values: what is made once, checked, and never changed; two of one class with equal arguments are the same."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import FrozenInstanceError
from typing import Any, NoReturn, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from legstat._core.typing import JSON

_Scalar = TypeVar("_Scalar", bound=np.generic)


class Value(ABC):
    """What is determined by its class and its arguments: it compares, hashes, pickles and copies by these.

    A subclass checks its arguments in `__init__`, stores everything with `_keep` and gives the arguments back in
    `parameters`. What can be computed from them may be cached (`functools.cached_property`); a pickle leaves that out.

    Examples
    --------
    >>> from legstat import Additive
    >>> Additive() == Additive(clip=True), len({Additive(), Additive(clip=True), Additive(clip=False)})
    (True, 2)
    """

    @abstractmethod
    def parameters(self) -> JSON:
        """Constructor arguments, all but arrays as plain JSON values.

        An argument that came later is left out where it has its default, so that what was saved before stays the same.
        """

    def replace(self, **changes: Any) -> Self:
        """The same with some constructor arguments changed."""
        return type(self)(**{**self._arguments(), **changes})

    def _arguments(self) -> Mapping[str, Any]:
        """What the constructor is called with for another one like this."""
        return self.parameters()

    def _keep(self, **attributes: Any) -> None:
        """Store attributes, arrays read-only: for `__init__` alone."""
        for name, value in attributes.items():
            object.__setattr__(self, name, read_only(value) if isinstance(value, np.ndarray) else value)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise FrozenInstanceError(self._refusal(name))

    def __delattr__(self, name: str) -> NoReturn:
        raise FrozenInstanceError(self._refusal(name))

    def _refusal(self, name: str) -> str:
        kind = type(self).__name__
        return (
            f"legstat.{kind}: `{name}` cannot be changed, draws depend on it. Make another one: .replace({name}=...)."
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _made, (type(self), dict(self._arguments()))

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        mine, theirs = self.parameters(), other.parameters()
        return mine.keys() == theirs.keys() and all(np.array_equal(mine[name], theirs[name]) for name in mine)

    def __hash__(self) -> int:
        return hash((type(self), *((name, _hashable(value)) for name, value in self.parameters().items())))

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{k}={'array' if isinstance(v, np.ndarray) else repr(v)}" for k, v in self.parameters().items()
        )
        return f"{type(self).__name__}({shown})"


def read_only(array: NDArray[_Scalar]) -> NDArray[_Scalar]:
    """That array, from now on read-only."""
    array.flags.writeable = False
    return array


def _made(kind: type[Value], arguments: JSON) -> Value:
    return kind(**arguments)


def _hashable(value: object) -> object:
    # 0.0 and -0.0 are equal, their bytes are not: adding 0.0 makes one of them
    return (value.shape, (value + 0.0).tobytes()) if isinstance(value, np.ndarray) else value
