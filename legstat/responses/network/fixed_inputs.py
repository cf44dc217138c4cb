"""Inputs of a model other than the picture: fed the same values at every evaluation, and written into records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from legstat._core.digests import value_sha256
from legstat._core.errors import invalid
from legstat._core.typing import JSON, AnyArray
from legstat.responses.network.tensors import TensorInfo

KEPT_NUMBERS = 4096
"""Constants of up to that many numbers stand in records with their values, larger ones by their SHA-256."""


class Constants(dict[str, NDArray[np.generic]]):
    """Values by name of the input; `files` says which of them came from .npy files.

    Parameters
    ----------
    where : str
        Call to name in errors.
    given : mapping of str to array, number or path, or None
        What the user passed; a path is that of a .npy file.
    inputs : sequence of TensorInfo
        The model's inputs.
    """

    def __init__(
        self, where: str, given: Mapping[str, AnyArray | float | str | Path] | None, inputs: tuple[TensorInfo, ...]
    ) -> None:
        super().__init__()
        self.files: dict[str, Path] = {}
        there = {info.name: info for info in inputs}
        for name, value in (given or {}).items():
            if name not in there:
                raise ValueError(invalid(where, "constants", name, f"one of the graph's inputs {list(there)}"))
            if isinstance(value, str | Path):
                self.files[name] = Path(value)
                value = _loaded(where, name, Path(value))
            self[name] = _fitted(where, there[name], np.asarray(value))

    def describe(self) -> JSON:
        """For a record: type, shape and SHA-256 of each, and the values themselves where they are few."""
        return {
            name: {
                "dtype": str(value.dtype),
                "shape": list(value.shape),
                "sha256": constant_sha256(value),
                "values": value.tolist() if value.size <= KEPT_NUMBERS else None,
            }
            for name, value in self.items()
        }


def constant_sha256(value: NDArray[np.generic]) -> str:
    """SHA-256 of one constant, type and shape included."""
    return value_sha256(value)[0]


def recorded_constants(
    where: str, described: JSON, given: Mapping[str, AnyArray | float | str | Path] | None, found: Mapping[str, Path]
) -> dict[str, AnyArray | float | str | Path]:
    """Constants of a recorded response: as given, else from the record, else from the files they came from.

    Parameters
    ----------
    where : str
        Call to name in errors.
    described : dict
        What `Constants.describe` returned.
    given : mapping, optional
        By the user; those that the record holds may be left out.
    found : mapping of str to Path
        Files that the record names.

    Returns
    -------
    dict
        As the ``constants`` of a response.

    Raises
    ------
    ValueError
        One is not in the record, and its file is gone; or one that was given is not the recorded one.
    """
    return dict(_recorded(where, described, given or {}, found))


def _recorded(
    where: str, described: JSON, given: Mapping[str, AnyArray | float | str | Path], found: Mapping[str, Path]
) -> Iterator[tuple[str, AnyArray | float | str | Path]]:
    for name, about in described.items():
        dtype = np.dtype(about["dtype"])
        if name in given:
            value = given[name]
            array = np.asarray(_loaded(where, name, Path(value)) if isinstance(value, str | Path) else value)
        elif about["values"] is not None:
            array = np.asarray(about["values"], dtype=dtype).reshape(about["shape"])
        elif name in found and found[name].is_file():
            array = _loaded(where, name, found[name])
        else:
            raise ValueError(
                invalid(
                    where,
                    "constants",
                    None,
                    f"given for the input {name!r} ({about['dtype']} {about['shape']})",
                    f"Of its values, too many for a record, only the SHA-256 is kept ({about['sha256'][:16]}...). Pass "
                    f"constants={{{name!r}: array or path of a .npy file}}.",
                )
            )
        array = array.astype(dtype)
        if constant_sha256(array) != about["sha256"]:
            raise ValueError(invalid(where, "constants", f"another array for {name!r}", "the recorded one"))
        yield name, array


def _loaded(where: str, name: str, path: Path) -> NDArray[np.generic]:
    """An array from a .npy file; nothing in it is executed."""
    try:
        array: NDArray[np.generic] = np.load(path, allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise ValueError("it holds several arrays")
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(
            invalid(where, "constants", str(path), f"a .npy file with the values of {name!r}", f"{error}.")
        ) from error
    return array


def _fitted(where: str, info: TensorInfo, value: NDArray[np.generic]) -> NDArray[np.generic]:
    """A value in the type that the model states for the input, if nothing is lost by it, and of its shape."""
    try:
        wanted = np.dtype(info.dtype)
    except TypeError:  # a type that numpy does not know, strings for one: the backend judges it
        return value
    with np.errstate(over="ignore", invalid="ignore"):
        fitted = value.astype(wanted) if value.dtype.kind in "biuf" else None
    exact = value.dtype.kind == "f" == wanted.kind  # rounding a float is what every preprocessing does
    if fitted is None or not (exact or np.array_equal(fitted.astype(value.dtype), value)):
        raise ValueError(
            invalid(where, "constants", f"{value.dtype} {list(value.shape)} for {info.name!r}", f"of type {wanted}")
        )
    if fitted.dtype.kind == "f" and (np.isnan(fitted).any() or (np.isinf(fitted) & ~np.isinf(value)).any()):
        # infinities that were given stay: masks of attention hold them
        got = f"{value.ravel()[~np.isfinite(fitted.ravel())][0]} for {info.name!r}"
        raise ValueError(invalid(where, "constants", got, f"numbers that {wanted} can hold"))
    sizes = info.shape
    if sizes is not None and (
        len(sizes) != fitted.ndim
        or any(isinstance(size, int) and size != mine for size, mine in zip(sizes, fitted.shape, strict=True))
    ):
        if fitted.ndim == 0:  # one number fills whatever shape there is; free sizes are 1
            return np.full([size if isinstance(size, int) else 1 for size in sizes], fitted)
        raise ValueError(
            invalid(where, "constants", f"of shape {list(fitted.shape)} for {info.name!r}", f"of the shape of {info}")
        )
    return fitted
