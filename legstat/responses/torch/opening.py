"""A torch module as a response: everything about it that can be found wrong without an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from legstat._core.checks import check_type, is_number
from legstat._core.errors import BackendUnavailableError, invalid
from legstat.responses.network.composing import Compose
from legstat.responses.network.labels import Target
from legstat.responses.network.outputs import Decision, check_output_kind
from legstat.responses.network.preprocessing import Preprocessing, as_preprocessing
from legstat.responses.network.target import Choices
from legstat.responses.torch.devices import usable_devices
from legstat.responses.torch.module import weight_dtype
from legstat.responses.torch.response import TorchResponse
from legstat.responses.torch.settings import TorchSettings

if TYPE_CHECKING:
    import torch


def torch_response(
    module: torch.nn.Module,
    *,
    target: Target = "top",
    score: str = "log_odds",
    preprocessing: Preprocessing | str | Path | Mapping[str, object] | None = None,
    input_shape: tuple[int | None, int | None, int | None] = (None, None, None),
    output: Callable[[object], torch.Tensor] | str | int | None = None,
    output_kind: str | None = None,
    labels: str | Path | Sequence[str] | None = None,
    batch_size: int | None = None,
    device: str | torch.device | Sequence[str | torch.device] = "cpu",
    settings: TorchSettings | None = None,
    compose: Compose = "auto",
) -> TorchResponse:
    """A torch classifier as a response; only its forward pass is used.

    The module's mode, device, type and layout stay as they are: what runs is a copy of it in evaluation mode, which
    shares the weights where these are on the device already. Weights that change while it serves are an error.

    Parameters
    ----------
    module : torch.nn.Module
        Takes a batch of pictures, returns class outputs.
    target : int or str or tuple, optional
        Class index, label, "top" (the first choice at x0), or a pair for ``score="difference"``. With
        ``score="probability"`` also several classes, or "top:5" (the first five choices): the sum of theirs.
    score : {"log_odds", "probability", "logit", "difference"}
        What is explained, in float64; as for `onnx_response`.
    preprocessing : Preprocessing or str or Path or mapping, optional
        As for `onnx_response`; without it the module is taken to want RGB in [0, 1].
    input_shape : tuple of (int or None)
        (C, H, W) that the module takes, None where any; `load_image` crops to it.
    output : str or int or callable, optional
        Where the module returns several tensors: key, attribute, index, or a function of what it returns.
    output_kind : str, optional
        "logits", "log_probabilities", "probabilities", "sigmoid_logits" or "sigmoid_probabilities"; by default judged
        by the values at x0 (non-negative and summing to 1: probabilities; within [0, 1] otherwise: asked for).
    labels : sequence of str or str or Path, optional
        Class names, as for `onnx_response`.
    batch_size : int, optional
        Images per call, over all devices. Unless given, 4 of 224 x 224 on the CPU and 64 a device elsewhere;
        `tune_batch_size` measures.
    device : str or torch.device or sequence of either
        Where the network runs. Of several devices (of one type) each gets a replica and an equal share of every batch.
    settings : TorchSettings, optional
        Memory layout, autocast, compilation, TF32; by default none of them.
    compose : {"auto", "outside", "inside"}
        Where perturbed pictures are made: with numpy, or on the device, so that only z crosses. The pictures are equal
        to the bit. "auto": on the device, unless that is the CPU, where `tune_batch_size` and
        ``query(batch_size="auto")`` measure both ways.

    Returns
    -------
    TorchResponse
        The response.

    Raises
    ------
    TypeError
        `module` is no torch module.
    ValueError
        Anything that can be found wrong without an evaluation.
    BackendUnavailableError
        torch is missing.

    Examples
    --------
    A "network" whose logits are the pixels:

    >>> import numpy as np
    >>> import torch
    >>> from legstat.responses.torch.opening import torch_response
    >>> f = torch_response(torch.nn.Flatten(), score="logit", output_kind="logits")
    >>> f, value = f.bind(np.array([[[0.25, 0.75, 0.5]]]))
    >>> f.target, value, f.describe()["output_kind_source"]
    (1, 0.75, 'stated')
    """
    where = "torch_response"
    try:
        import torch
    except ImportError as error:
        raise BackendUnavailableError("torch", "torch", "torch_response") from error
    sizes = tuple(input_shape)
    if len(sizes) != 3 or not all(size is None or (is_number(size) and size >= 1) for size in sizes):
        valid = "three sizes (C, H, W), None where any will do"
        raise ValueError(invalid(where, "input_shape", input_shape, valid))
    if not isinstance(module, torch.nn.Module):
        raise TypeError(
            invalid(
                where,
                "module",
                module,
                "a torch.nn.Module",
                "A plain function is a response by itself: as_response(f).",
            )
        )
    stated = check_output_kind(where, output_kind)
    prior = None if stated is None else Decision(stated, "stated", f"stated by the user as {stated!r}")
    if compose not in get_args(Compose):
        raise ValueError(invalid(where, "compose", compose, f"one of {list(get_args(Compose))}"))
    how = TorchSettings() if settings is None else settings
    check_type(where, "settings", how, TorchSettings, "such as TorchSettings(channels_last=True)")
    weights = weight_dtype(module)
    if how.autocast is not None and weights not in (torch.float32, None):
        remedy = "Autocast is for float32 weights: leave it out, or pass module.float()."
        raise ValueError(invalid(where, "settings.autocast", how.autocast, f"None for weights of {weights}", remedy))
    devices = usable_devices(where, device)
    rule = as_preprocessing(preprocessing)
    return TorchResponse(
        module,
        Choices.check(where, score, target, labels, None),
        preprocessing=rule.for_layout("NCHW"),
        preprocessing_given=preprocessing is not None,
        input_shape=input_shape,
        prior=prior,
        batch_size=batch_size,
        devices=devices,
        settings=how,
        compose="inside" if compose == "auto" and devices[0].type != "cpu" else compose,
        output=output,
    )
