"""Devices that torch modules run on, and torch's switches of precision while they do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from legstat._core.errors import invalid
from legstat._core.typing import JSON

if TYPE_CHECKING:
    import torch


def usable_devices(where: str, device: str | torch.device | Sequence[str | torch.device]) -> tuple[torch.device, ...]:
    """The devices that were named, all of one type and each such that a tensor can be made there.

    Parameters
    ----------
    where : str
        Call to name in errors.
    device : str or torch.device or sequence of either
        As the user named them.

    Returns
    -------
    tuple of torch.device
        At least one.

    Raises
    ------
    ValueError
        A device that this torch cannot use, devices of several types, or none.
    """
    several = device if isinstance(device, list | tuple) else (device,)
    if not several:
        raise ValueError(invalid(where, "device", device, "a device, or a sequence of at least one"))
    devices = tuple(_usable(where, one) for one in several)
    if len({place.type for place in devices}) > 1:
        remedy = "The devices' rounding differs, so a score would depend on its place in the batch."
        raise ValueError(invalid(where, "device", [str(place) for place in devices], "devices of one type", remedy))
    return devices


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


@contextmanager
def precision(tf32: bool) -> Iterator[None]:
    """torch's process-wide switches of TF32 as a run wants them; afterwards as they were."""
    switches, off, on = _switches()
    before = [getattr(holder, name) for holder, name, _ in switches]
    try:
        for holder, name, is_cuda in switches:
            setattr(holder, name, on if tf32 and is_cuda else off)
        yield
    finally:
        for (holder, name, _), value in zip(switches, before, strict=True):
            setattr(holder, name, value)


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


def describe_devices(devices: Sequence[torch.device]) -> JSON:
    """The devices by name (None for the CPU, and where torch does not say)."""
    import torch

    names = [torch.cuda.get_device_name(device) if device.type == "cuda" else None for device in devices]
    return {"provider": ", ".join(map(str, devices)), "device_names": names}


def describe_determinism() -> JSON:
    """The switches of torch that make results repeatable or not."""
    import torch

    cudnn = torch.backends.cudnn
    return {
        "algorithms": torch.are_deterministic_algorithms_enabled(),
        "cudnn_deterministic": bool(cudnn.deterministic),
        "cudnn_benchmark": bool(cudnn.benchmark),
    }
