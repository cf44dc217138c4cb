"""The package onnxruntime, what of it is used, and runs with inputs and outputs bound to kept buffers on the device."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping
from types import ModuleType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from legstat._core.optional import optional_module

_SHAPES = 4
"""Shapes of batches whose buffers are kept: the full batch, the last one of a run, and those of a check."""


def load_runtime() -> ModuleType:
    """The package onnxruntime, or an error that names the extra.

    Its names are re-exported from a compiled module, so type checkers see none of them: hence the import by name.
    """
    return optional_module("onnxruntime", "onnxruntime", "onnx", "Running an ONNX file")


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


class Binding:
    """One session's buffers.

    Every shape of a batch has buffers of its own: a last, smaller batch neither overwrites part of a larger one nor
    reads what that one left behind.

    Parameters
    ----------
    session : RuntimeSession
        The session.
    device : str
        "cpu" or "cuda".
    device_id : int
        Which device of that kind.
    """

    def __init__(self, session: RuntimeSession, device: str, device_id: int) -> None:
        self._session, self._place = session, (device, device_id)
        self._binding = session.io_binding()
        self._constants: dict[str, tuple[NDArray[np.generic], RuntimeValue]] = {}
        self._buffers: OrderedDict[object, tuple[dict[str, RuntimeValue], dict[str, RuntimeValue]]] = OrderedDict()

    def run(
        self, outputs: list[str], feed: Mapping[str, NDArray[np.generic]], constant: Collection[str]
    ) -> list[NDArray[np.generic]]:
        """Fetch outputs for a feed; inputs named in `constant` are sent only when they are another array than before.

        Parameters
        ----------
        outputs : list of str
            Names.
        feed : mapping of str to ndarray
            Inputs by name.
        constant : collection of str
            Inputs whose array never changes in place.

        Returns
        -------
        list of ndarray
            Copies: they stay as they are in the next run.
        """
        shape = (tuple(outputs), tuple((name, value.shape, value.dtype.str) for name, value in feed.items()))
        written, made = self._buffers.pop(shape, ({}, {}))
        try:
            self._binding.clear_binding_inputs()
            self._binding.clear_binding_outputs()
            for name, value in feed.items():
                sent = self._constant(name, value) if name in constant else self._write(written, name, value)
                self._binding.bind_ortvalue_input(name, sent)
            for name in outputs:
                if name in made:
                    self._binding.bind_ortvalue_output(name, made[name])
                else:
                    self._binding.bind_output(name, *self._place)
            self._binding.synchronize_inputs()
            self._session.run_with_iobinding(self._binding)
            values = self._binding.get_outputs()
            fetched = [np.array(value.numpy()) for value in values]
        except BaseException:
            self.release()
            raise
        made.update(zip(outputs, values, strict=True))
        self._buffers[shape] = written, made
        while len(self._buffers) > _SHAPES:
            self._buffers.popitem(last=False)
        return fetched

    def _write(self, written: dict[str, RuntimeValue], name: str, value: NDArray[np.generic]) -> RuntimeValue:
        """A batch in its own kept buffer."""
        if name not in written:
            written[name] = load_runtime().OrtValue.ortvalue_from_shape_and_type(value.shape, value.dtype, *self._place)
        written[name].update_inplace(np.ascontiguousarray(value))
        return written[name]

    def _constant(self, name: str, value: NDArray[np.generic]) -> RuntimeValue:
        """An input that stays on the device while it is the same array."""
        known = self._constants.get(name)
        if known is None or known[0] is not value:
            whole = np.ascontiguousarray(value)
            known = self._constants[name] = value, load_runtime().OrtValue.ortvalue_from_numpy(whole, *self._place)
        return known[1]

    def release(self) -> None:
        """Give all buffers back, after a fault: what did not fit should not stay."""
        self._binding.clear_binding_inputs()
        self._binding.clear_binding_outputs()
        self._buffers.clear()
        self._constants.clear()
