"""A torch module as a response."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from legstat._typing import JSON
from legstat.errors import BackendUnavailableError, invalid
from legstat.responses.base import ImageShape
from legstat.responses.choices import Choices
from legstat.responses.labels import Target
from legstat.responses.network import NetworkResponse
from legstat.responses.outputs import Decision, check_output_kind
from legstat.responses.preprocessing import Preprocessing, as_preprocessing

if TYPE_CHECKING:
    import torch


class TorchResponse(NetworkResponse):
    """A torch classifier in evaluation mode on one device.

    Built by `torch_response`. The module is used as it is, not copied: its weights must not change while it serves.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        choices: Choices,
        *,
        preprocessing: Preprocessing,
        preprocessing_given: bool,
        input_shape: ImageShape,
        prior: Decision | None,
        batch_size: int | None,
        device: torch.device,
        output: Callable[[object], torch.Tensor] | str | int | None,
    ) -> None:
        super().__init__(
            choices,
            preprocessing=preprocessing,
            preprocessing_given=preprocessing_given,
            input_shape=input_shape,
            prior=prior,
            batch_size=batch_size,
            input_dtype=np.dtype(np.float32),
        )
        self._module, self._device, self._output = module, device, output
        self._weight_dtype = next((p.dtype for p in module.parameters() if p.is_floating_point()), None)
        self._sha256 = module_sha256(module)

    def _forward(self, inputs: NDArray[np.generic]) -> NDArray[np.generic]:
        import torch

        # training mode is checked at each batch: a batch norm that learns from our pictures would change the network
        if self._module.training:
            self._module.eval()
        with torch.inference_mode():
            batch = torch.from_numpy(inputs).to(self._device, dtype=self._weight_dtype or torch.float32)
            return self._pick(self._module(batch)).cpu().numpy()

    def _pick(self, made: object) -> torch.Tensor:
        """The class output among what the module returns; bfloat16 becomes float32, which numpy knows."""
        import torch

        picked = made
        if callable(self._output):
            picked = self._output(made)
        elif isinstance(made, Mapping):
            key = self._output if self._output is not None else "logits" if "logits" in made else None
            picked = made.get(key)
        elif (
            isinstance(made, tuple | list) and isinstance(self._output, int) and -len(made) <= self._output < len(made)
        ):
            picked = made[self._output]
        elif isinstance(self._output, str):
            picked = getattr(made, self._output, None)
        elif not isinstance(made, torch.Tensor):
            picked = getattr(made, "logits", None)
        if not isinstance(picked, torch.Tensor):
            known = list(made) if isinstance(made, Mapping) else type(made).__name__
            raise ValueError(
                invalid(
                    self._choices.where,
                    "output",
                    self._output,
                    f"what picks one tensor out of what the module returns ({known})",
                    "Pass output=key, index or a function.",
                )
            )
        return picked.float() if picked.dtype == torch.bfloat16 else picked

    def _is_out_of_memory(self, error: Exception) -> bool:
        import torch

        small = isinstance(error, RuntimeError) and "not enough memory" in str(error)
        return small or isinstance(error, MemoryError | torch.OutOfMemoryError)

    @property
    def model_sha256(self) -> str:
        """SHA-256 of the module's class names and of all parameters and buffers when the response was made."""
        return self._sha256

    def _identity(self) -> tuple[object, ...]:
        return (self._output,)

    def _backend(self) -> JSON:
        import torch

        return {
            "kind": "torch",
            "module": type(self._module).__qualname__,
            "n_parameters": sum(p.numel() for p in self._module.parameters()),
            "output": self._output if isinstance(self._output, str | int | None) else repr(self._output),
            "weight_dtype": None if self._weight_dtype is None else str(self._weight_dtype),
            "provider": str(self._device),
            "threads": torch.get_num_threads(),
            "versions": {"torch": torch.__version__, "numpy": np.__version__},
        }


def module_sha256(module: torch.nn.Module) -> str:
    """SHA-256 of a module: class names of all parts, then names, types, shapes and bytes of parameters and buffers.

    Parameters
    ----------
    module : torch.nn.Module
        The module.

    Returns
    -------
    str
        Hexadecimal digest. The code of `forward` is not part of it, beyond the classes' names.
    """
    import torch

    state = hashlib.sha256()
    for name, part in module.named_modules():
        state.update(f"{name}:{type(part).__qualname__}:{part.extra_repr()};".encode())
    for name, tensor in module.state_dict().items():
        if not isinstance(tensor, torch.Tensor):
            continue
        state.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)};".encode())
        state.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return state.hexdigest()


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
    device: str | torch.device = "cpu",
) -> TorchResponse:
    """A torch classifier as a response; only its forward pass is used.

    Parameters
    ----------
    module : torch.nn.Module
        Takes a batch of pictures, returns class outputs. It is moved to `device` and put in evaluation mode.
    target : int or str or tuple, optional
        Class index, label, "top" (the first choice at x0), or a pair for ``score="difference"``.
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
        by the values at x0 (non-negative and summing to 1: probabilities).
    labels : sequence of str or str or Path, optional
        Class names, as for `onnx_response`.
    batch_size : int, optional
        Images per call.
    device : str or torch.device
        Where the module runs.

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
    >>> from legstat.responses import torch_response
    >>> f, value = torch_response(torch.nn.Flatten(), score="logit").anchor(np.array([[[0.25, 0.75, 0.5]]]))
    >>> f.target, value, f.describe()["output_kind_source"]
    (1, 0.75, 'values')
    """
    where = "torch_response"
    try:
        import torch
    except ImportError as error:
        raise BackendUnavailableError("torch", "torch", "torch_response") from error
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
    try:
        place = torch.device(device)
        module = module.to(place).eval()
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            invalid(where, "device", str(device), "a device that this torch can use", f"{str(error).splitlines()[0]}")
        ) from error
    rule = as_preprocessing(preprocessing)
    return TorchResponse(
        module,
        Choices.check(where, score, target, labels, None),
        preprocessing=rule.for_layout("NCHW"),
        preprocessing_given=preprocessing is not None,
        input_shape=input_shape,
        prior=prior,
        batch_size=batch_size,
        device=place,
        output=output,
    )
