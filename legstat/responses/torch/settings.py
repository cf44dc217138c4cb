"""How a torch module is run beside its devices: precision, memory layout, compilation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from legstat._core.checks import check_flag
from legstat._core.errors import invalid

Autocast = Literal["bfloat16", "float16"]
CompileMode = Literal["default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"]


@dataclass(frozen=True, kw_only=True)
class TorchSettings:
    """How a torch module is run beside its devices. Records hold all of it, fingerprints what changes precision.

    Parameters
    ----------
    channels_last : bool, default False
        Lay out filters and pictures with the channels side by side, which convolutions on many devices are faster with.
    autocast : {"bfloat16", "float16"}, optional
        Let torch compute in that precision what it holds to be safe. The error is measured at x0 and seven perturbed
        pictures by 16 evaluations outside the ledger, and stands under ``checks`` in `describe` and in records.
    compile_mode : {"default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"}, optional
        Compile the network with ``torch.compile`` in that mode. Partial batches are filled up to a compiled size. The
        compiled network may differ from the module by 1e-4 of the outputs' size (5e-2 with autocast), which is measured
        likewise; more is an error.
    tf32 : bool, default False
        Allow TF32, 10 bits of mantissa, in float32 products on CUDA. Without it torch's own switches are turned off
        while the network runs (for convolutions torch has them on), and turned back afterwards.

    Raises
    ------
    TypeError
        A switch that is no bool.
    ValueError
        An unknown precision or mode.

    Examples
    --------
    >>> TorchSettings(channels_last=True, autocast="bfloat16")
    TorchSettings(channels_last=True, autocast='bfloat16', compile_mode=None, tf32=False)
    """

    channels_last: bool = False
    autocast: Autocast | None = None
    compile_mode: CompileMode | None = None
    tf32: bool = False

    def __post_init__(self) -> None:
        for name in ("channels_last", "tf32"):
            object.__setattr__(self, name, check_flag("TorchSettings", name, getattr(self, name)))
        for name, known in (("autocast", get_args(Autocast)), ("compile_mode", get_args(CompileMode))):
            value, allowed = getattr(self, name), [*known, None]
            if value not in allowed:
                raise ValueError(invalid("TorchSettings", name, value, f"one of {allowed}"))
