"""How a torch module is run: devices, precision, memory layout, compilation; all of it checked before a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from legstat._core.errors import invalid
from legstat._core.typing import JSON

if TYPE_CHECKING:
    import torch

CompileMode = Literal["default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"]
_AUTOCAST = ("bfloat16", "float16")


@dataclass(frozen=True)
class TorchSettings:
    """How a module is run.

    Parameters
    ----------
    devices : tuple of torch.device
        One replica of the network each.
    channels_last : bool
        Pictures and filters with the channels side by side in memory.
    autocast : {"bfloat16", "float16"}, optional
        Precision in which torch's autocast runs what it holds to be safe; None: the weights' own.
    compile_mode : str, optional
        Mode of ``torch.compile``; None: not compiled.
    tf32 : bool
        Whether float32 products may be formed with 10 bits of mantissa.
    """

    devices: tuple[torch.device, ...]
    channels_last: bool
    autocast: str | None
    compile_mode: CompileMode | None
    tf32: bool

    @property
    def autocast_dtype(self) -> torch.dtype | None:
        """`autocast` as torch names it."""
        import torch

        return {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(self.autocast or "")

    @property
    def identity(self) -> tuple[object, ...]:
        """What of it changes scores by more than the rounding of the precision that is run in."""
        return self.autocast, self.tf32

    @contextmanager
    def precision(self) -> Iterator[None]:
        """torch's process-wide switches as this run wants them; afterwards as they were."""
        switches, off, on = _switches()
        before = [getattr(holder, name) for holder, name, _ in switches]
        try:
            for holder, name, is_cuda in switches:
                setattr(holder, name, on if self.tf32 and is_cuda else off)
            yield
        finally:
            for (holder, name, _), value in zip(switches, before, strict=True):
                setattr(holder, name, value)

    def describe(self) -> JSON:
        """The settings, the devices by name, and the switches of torch that make results repeatable or not."""
        import torch

        cudnn = torch.backends.cudnn
        return {
            "provider": ", ".join(map(str, self.devices)),
            "device_names": [device_name(device) for device in self.devices],
            "channels_last": self.channels_last,
            "autocast": self.autocast,
            "compile_mode": self.compile_mode,
            "tf32": self.tf32,
            "deterministic": {
                "algorithms": torch.are_deterministic_algorithms_enabled(),
                "cudnn_deterministic": bool(cudnn.deterministic),
                "cudnn_benchmark": bool(cudnn.benchmark),
            },
        }


def _switches() -> tuple[list[tuple[object, str, bool]], object, object]:
    """Places of torch's switches (object, attribute, whether of CUDA) and their values for off and on.

    `torch.set_float32_matmul_precision` lowers products on the CPU too, where it has instructions for that.
    """
    from torch import backends

    cuda, cudnn, mkldnn = backends.cuda.matmul, backends.cudnn, backends.mkldnn
    if not hasattr(cudnn, "conv"):  # before torch 2.9
        return [(cuda, "allow_tf32", True), (cudnn, "allow_tf32", True)], False, True
    # from then on, where reading the old switches next to these may raise
    places = [(cuda, True), *((getattr(cudnn, name), True) for name in ("conv", "rnn"))]
    places += [(getattr(mkldnn, name), False) for name in ("matmul", "conv")]
    return [(place, "fp32_precision", is_cuda) for place, is_cuda in places], "ieee", "tf32"


def device_name(device: torch.device) -> str | None:
    """Name of an accelerator; None for the CPU and where torch does not say."""
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else None


def check_settings(
    where: str,
    *,
    device: str | torch.device | Sequence[str | torch.device],
    channels_last: object,
    autocast: object,
    compile_mode: object,
    tf32: object,
    weight_dtype: torch.dtype | None,
) -> TorchSettings:
    """Settings that this torch, on this machine, can follow.

    Parameters
    ----------
    where : str
        Call to name in errors.
    device : str or torch.device or sequence of either
        Where the network runs.
    channels_last, autocast, compile_mode, tf32 : object
        As the user gave them; see `torch_response`.
    weight_dtype : torch.dtype or None
        Of the module's first floating weight.

    Returns
    -------
    TorchSettings
        The settings.

    Raises
    ------
    ValueError
        A device that cannot be used, an unknown mode, autocast of weights that are narrow already.
    TypeError
        A switch that is no bool.
    """
    import torch

    for name, value in (("channels_last", channels_last), ("tf32", tf32)):
        if not isinstance(value, bool):
            raise TypeError(invalid(where, name, value, "True or False"))
    choices = {
        "autocast": (autocast, (*_AUTOCAST, None)),
        "compile_mode": (compile_mode, (*get_args(CompileMode), None)),
    }
    for name, (value, allowed) in choices.items():
        if value not in allowed:
            raise ValueError(invalid(where, name, value, f"one of {list(allowed)}"))
    if autocast is not None and weight_dtype not in (torch.float32, None):
        remedy = "Autocast is for float32 weights: leave it out, or pass module.float()."
        raise ValueError(invalid(where, "autocast", autocast, f"None for weights of {weight_dtype}", remedy))
    several = device if isinstance(device, list | tuple) else (device,)
    if not several:
        raise ValueError(invalid(where, "device", device, "a device, or a sequence of at least one"))
    devices = tuple(_usable(where, one) for one in several)
    if len({place.type for place in devices}) > 1:
        remedy = "The devices' rounding differs, so a score would depend on its place in the batch."
        raise ValueError(invalid(where, "device", [str(place) for place in devices], "devices of one type", remedy))
    return TorchSettings(devices, channels_last, autocast, compile_mode, tf32)  # type: ignore[arg-type]


def _usable(where: str, device: str | torch.device) -> torch.device:
    """A device on which a tensor can be made, or an error."""
    import torch

    try:
        place = torch.device(device)
        if place.type == "meta":
            raise RuntimeError("'meta' computes no numbers")
        torch.zeros(1, device=place)
    except Exception as error:  # RuntimeError, AssertionError, TypeError, NotImplementedError, as the backend likes
        raise ValueError(
            invalid(where, "device", str(device), "a device that this torch can use", f"{str(error).splitlines()[0]}.")
        ) from error
    return place
