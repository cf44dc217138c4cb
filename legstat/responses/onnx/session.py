"""One ONNX Runtime session: the provider asked for, verified; threads set; reopened in another process."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from legstat._core.errors import LegstatWarning, invalid
from legstat.responses.onnx.binding import Binding, RuntimeSession, load_runtime
from legstat.responses.onnx.settings import SessionSettings

CPU = "CPUExecutionProvider"
_SHORT = {
    "cpu": CPU,
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "rocm": "ROCMExecutionProvider",
    "migraphx": "MIGraphXExecutionProvider",
    "dml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}
_MEMORY = {"CUDAExecutionProvider": "cuda", "TensorrtExecutionProvider": "cuda"}
"""Providers whose devices have a memory of their own that buffers can be bound in, and ONNX Runtime's name of it."""
_AUTO = ("CUDAExecutionProvider", "MIGraphXExecutionProvider", "ROCMExecutionProvider", "DmlExecutionProvider", CPU)
"""What "auto" tries, in this order; providers that compute in reduced precision by default are left out."""


def default_threads() -> int:
    """Threads for one session: the processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def choose_providers(
    where: str, provider: str | Sequence[str], available: Sequence[str], allow_fallback: bool
) -> list[str]:
    """Providers to open a session with, in order; the first is the one that has to run.

    Parameters
    ----------
    where : str
        Call to name in an error.
    provider : str or sequence of str
        "cpu", "cuda", ..., an ONNX Runtime name, "auto", or several in order of preference.
    available : sequence of str
        What the installed ONNX Runtime was built with.
    allow_fallback : bool
        Whether another provider will do.

    Returns
    -------
    list of str
        ONNX Runtime names, ending with the CPU.

    Raises
    ------
    ValueError
        Unknown provider, or one that is not installed.
    """
    wanted = [provider] if isinstance(provider, str) else list(provider)
    if not wanted:
        raise ValueError(invalid(where, "provider", provider, "the name of a provider", "'cpu' always works."))
    if wanted == ["auto"]:
        return [name for name in _AUTO if name in available]
    names = [_SHORT.get(name.lower(), name) for name in wanted]
    known = {*_SHORT.values(), *available}
    for given, name in zip(wanted, names, strict=True):
        if name not in known:
            raise ValueError(invalid(where, "provider", given, f"'auto' or one of {sorted(_SHORT)}"))
    missing = [name for name in names if name not in available]
    if missing and not allow_fallback:
        remedy = (
            "pip install 'legstat[onnx-gpu]' in place of onnxruntime" if "CUDA" in missing[0] else "Install its build"
        )
        raise ValueError(
            invalid(
                where,
                "provider",
                missing[0],
                f"one of those that the installed ONNX Runtime has: {list(available)}",
                f"{remedy}, or pass provider='cpu', or session=SessionSettings(allow_fallback=True) "
                "(--allow-fallback).",
            )
        )
    chosen = [name for name in names if name in available]
    return [*chosen, CPU] if CPU not in chosen else chosen


def _options(settings: SessionSettings, name: str) -> dict[str, str]:
    """Options of a provider, by ONNX Runtime's name: the user's own are those of the one asked for."""
    chosen = {"device_id": str(settings.device_id)} if name in _MEMORY else {}
    if name == "CUDAExecutionProvider":
        chosen["use_tf32"] = str(int(settings.tf32))
    own = {} if name == CPU else settings.provider_options or {}
    return chosen | {key: str(value) for key, value in own.items()}


def first_choice(provider: str | Sequence[str]) -> str | None:
    """The provider that has to run, by ONNX Runtime's name; None where "auto" leaves it open."""
    first = provider if isinstance(provider, str) else provider[0]
    return None if first == "auto" else _SHORT.get(first.lower(), first)


class Session:
    """An ONNX Runtime session that knows what it runs on and can be sent to another process.

    Parameters
    ----------
    where : str
        Call to name in an error.
    model : Path or bytes
        A model file, or a serialised model (an edited graph).
    folder : Path
        Folder of the model file; external data of a serialised model are read from there.
    provider : str or sequence of str
        As for `choose_providers`.
    threads : int
        Threads within an operator.
    settings : SessionSettings
        The rest.
    profile : Path, optional
        Folder to write a profile of all runs to.

    Attributes
    ----------
    provider : str
        What runs, as the session itself reports it.
    version : str
        Of ONNX Runtime.
    memory : str
        Where the provider's buffers lie, "cpu" or "cuda".
    bound : bool
        Whether inputs and outputs are bound to kept buffers.
    """

    def __init__(
        self,
        where: str,
        model: Path | bytes,
        folder: Path,
        provider: str | Sequence[str],
        threads: int,
        settings: SessionSettings,
        *,
        profile: Path | None = None,
    ) -> None:
        self._where, self._model, self._folder, self._profile = where, model, folder, profile
        self._wanted, self._threads, self._settings = provider, threads, settings
        self._open()

    def _open(self) -> None:
        onnxruntime = load_runtime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3
        if self._profile is not None:
            options.enable_profiling = True
            options.profile_file_prefix = str(self._profile / "profile")
        source = str(self._model) if isinstance(self._model, Path) else self._model
        if isinstance(self._model, bytes):
            options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(self._folder))
        available = onnxruntime.get_available_providers()
        names = choose_providers(self._where, self._wanted, available, self._settings.allow_fallback)
        extra = [_options(self._settings, name) for name in names]
        try:
            self._session: RuntimeSession = onnxruntime.InferenceSession(
                source, options, providers=names, provider_options=extra
            )
        except Exception as error:  # the runtime's exceptions have no common base of its own
            shown = (
                str(self._model) if isinstance(self._model, Path) else f"a changed copy of a model in {self._folder}"
            )
            raise ValueError(
                invalid(
                    self._where,
                    "path",
                    shown,
                    f"a model that ONNX Runtime {onnxruntime.__version__} can open",
                    f"It says: {str(error).strip()[:400]}. A newer onnxruntime may know a newer opset; a truncated "
                    "file has to be fetched again.",
                )
            ) from error
        self.provider = str(self._session.get_providers()[0])
        self.version = str(onnxruntime.__version__)
        first = first_choice(self._wanted)
        if first is None or self.provider == first:
            # otherwise run() itself would go over to the CPU when the provider fails midway
            self._session.disable_fallback()
        elif self._settings.allow_fallback:
            warnings.warn(
                f"{self._where}: the provider {first!r} is not to be had; running on {self.provider!r}.",
                LegstatWarning,
                stacklevel=2,
            )
        else:
            raise RuntimeError(
                f"legstat.{self._where}: the provider {first!r} was asked for and did not come up; ONNX Runtime went "
                f"over to {self.provider!r} by itself. Check its driver and libraries (those that pip installed are "
                "found after onnxruntime.preload_dlls()), or pass provider='cpu', or "
                "session=SessionSettings(allow_fallback=True) (--allow-fallback)."
            )
        self.memory = _MEMORY.get(self.provider, "cpu")
        bound = self._settings.io_binding
        self.bound = self.memory != "cpu" if bound is None else bound
        self._lock = threading.Lock()
        self._binding: Binding | None = None

    def run(
        self, outputs: list[str], feed: dict[str, NDArray[np.generic]], constant: Collection[str] = ()
    ) -> list[NDArray[np.generic]]:
        """Fetch outputs for a feed; inputs named in `constant` are arrays that are never written to.

        Raises
        ------
        RuntimeError
            ONNX Runtime could not run it.
        """
        try:
            if not self.bound:
                return self._session.run(outputs, feed)
            with self._lock:  # the buffers are one batch's at a time
                if self._binding is None:
                    self._binding = Binding(self._session, self.memory, self._settings.device_id)
                return self._binding.run(outputs, feed, constant)
        except Exception as error:
            if not type(error).__module__.startswith("onnxruntime"):
                raise
            # the runtime's own exceptions have no common base
            raise RuntimeError(f"legstat.{self._where}: ONNX Runtime says: {str(error).strip()}") from error

    def end_profiling(self) -> str:
        """Close the profile that was asked for; returns its path."""
        return self._session.end_profiling()

    def __getstate__(self) -> dict[str, object]:
        """What it takes to open the session again; the session itself stays in its process."""
        return {key: value for key, value in self.__dict__.items() if key not in ("_session", "_binding", "_lock")}

    def __setstate__(self, state: dict[str, object]) -> None:
        """Open the session again in this process, with no more threads than the process was given."""
        self.__dict__.update(state)
        share = os.environ.get("OMP_NUM_THREADS", "")  # joblib's workers have their part of the processors there
        if share.isdecimal() and int(share):
            self._threads = min(self._threads, int(share))
        self._open()
