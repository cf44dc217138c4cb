"""How an ONNX file is run beside its provider and threads: device, precision, buffers, the provider's own options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from legstat._core.checks import check_count, check_flag
from legstat._core.errors import invalid


@dataclass(frozen=True, kw_only=True)
class SessionSettings:
    """How ONNX Runtime's session is opened beside its provider and threads. Records hold all of it.

    Parameters
    ----------
    allow_fallback : bool, default False
        Whether another provider than the one asked for may run; else that is an error.
    tf32 : bool, default False
        Whether CUDA may round products to 10 bits; the differences that are explained are of that size.
    device_id : int, default 0
        Which of several CUDA devices; one response runs on one.
    provider_options : mapping of str to object, optional
        Further options of the provider, by ONNX Runtime's names; kept as texts, as it takes them.
    io_binding : bool, optional
        Whether batches are written into buffers on the device that are kept from batch to batch; by default where the
        device has a memory of its own (CUDA, TensorRT).

    Raises
    ------
    TypeError
        A switch that is no bool, a device that is no number, options that are no mapping.
    ValueError
        A device below 0.

    Examples
    --------
    >>> SessionSettings(device_id=1, provider_options={"gpu_mem_limit": 2 << 30}).provider_options
    {'gpu_mem_limit': '2147483648'}
    """

    allow_fallback: bool = False
    tf32: bool = False
    device_id: int = 0
    provider_options: Mapping[str, object] | None = field(default=None, hash=False)
    io_binding: bool | None = None

    def __post_init__(self) -> None:
        for name in ("allow_fallback", "tf32"):
            object.__setattr__(self, name, check_flag("SessionSettings", name, getattr(self, name)))
        if self.io_binding is not None:
            object.__setattr__(self, "io_binding", check_flag("SessionSettings", "io_binding", self.io_binding))
        object.__setattr__(self, "device_id", check_count("SessionSettings", "device_id", self.device_id, least=0))
        given: object = {} if self.provider_options is None else self.provider_options
        if not isinstance(given, Mapping):
            raise TypeError(invalid("SessionSettings", "provider_options", given, "a mapping of names to values"))
        object.__setattr__(self, "provider_options", {str(name): str(value) for name, value in given.items()})
