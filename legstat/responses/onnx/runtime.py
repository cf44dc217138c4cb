"""The package onnxruntime, and what of it is used."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from legstat._core.errors import BackendUnavailableError


def load_runtime() -> ModuleType:
    """The package onnxruntime, or an error that names the extra.

    Its names are re-exported from a compiled module, so type checkers see none of them: hence the import by name.
    """
    try:
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        raise BackendUnavailableError("onnxruntime", "onnx", "Running an ONNX file") from error


class RuntimeSession(Protocol):
    """What of ``onnxruntime.InferenceSession`` is used."""

    def run(self, output_names: list[str], input_feed: dict[str, NDArray[np.generic]]) -> list[NDArray[np.generic]]:
        """Fetch outputs."""

    def run_with_iobinding(self, iobinding: Any) -> None:
        """Run with what is bound."""

    def io_binding(self) -> Any:
        """What inputs and outputs are bound with."""

    def get_providers(self) -> list[str]:
        """Providers in use, first the one that is preferred."""

    def end_profiling(self) -> str:
        """Close the profile; returns its path."""

    def disable_fallback(self) -> None:
        """Do not go over to another provider when running fails."""


class RuntimeValue(Protocol):
    """What of ``onnxruntime.OrtValue`` is used."""

    def update_inplace(self, array: NDArray[np.generic]) -> None:
        """Copy an array of the same size into the buffer."""

    def numpy(self) -> NDArray[np.generic]:
        """The numbers, copied from a device; on the CPU a view of the buffer."""
