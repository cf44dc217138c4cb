"""A network as a function of a mask on one of its layers' activations (mask paper, supplement 6.4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from legstat._core.errors import invalid

if TYPE_CHECKING:
    import torch


def masked_layer(
    where: str,
    network: torch.nn.Module,
    inputs: torch.Tensor,
    layer: str,
    pick: Callable[[object], torch.Tensor],
) -> tuple[torch.nn.Module, tuple[int, int]]:
    """A module of masks: the class outputs at one input, all channels of a layer's activations times the mask.

    Parameters
    ----------
    where : str
        Call to name in an error.
    network : torch.nn.Module
        In evaluation mode; it is copied by whoever runs the module.
    inputs : torch.Tensor of shape (1, ...)
        The network's input.
    layer : str
        Name of the part whose output is masked, as ``network.named_modules()`` has it; it runs once in a pass.
    pick : callable
        The class outputs among what the network returns.

    Returns
    -------
    module : torch.nn.Module
        Takes masks (n, 1, rows, columns).
    shape : tuple of int
        (rows, columns) of the activations; one forward pass was made to see it.

    Raises
    ------
    ValueError
        No such part; or it gives something else than one (n, K, rows, columns) in a pass.
    """
    import torch

    names = [name for name, _ in network.named_modules() if name]
    if layer not in names:
        known = ", ".join(map(repr, names[-5:])) or "none"
        raise ValueError(invalid(where, "layer", layer, f"the name of a part of the module (from the end: {known})"))

    class MaskedLayer(torch.nn.Module):
        inputs: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.network = network
            self.register_buffer("inputs", inputs)

        def forward(self, masks: torch.Tensor) -> torch.Tensor:
            def hide(part: torch.nn.Module, args: object, made: torch.Tensor) -> torch.Tensor:
                return made * masks.to(made.dtype)

            with self.network.get_submodule(layer).register_forward_hook(hide):
                return pick(self.network(self.inputs.expand(len(masks), *self.inputs.shape[1:])))

    seen: list[object] = []
    with (
        network.get_submodule(layer).register_forward_hook(lambda part, args, made: seen.append(made)),
        torch.no_grad(),
    ):
        network(inputs)
    if len(seen) != 1 or not isinstance(seen[0], torch.Tensor) or seen[0].ndim != 4:
        got = ", ".join(str(tuple(one.shape)) if isinstance(one, torch.Tensor) else type(one).__name__ for one in seen)
        valid = "a part that gives (n, K, rows, columns) once in a pass"
        raise ValueError(invalid(where, "layer", f"{layer}, which gives {got or 'nothing'}", valid))
    return MaskedLayer(), (seen[0].shape[2], seen[0].shape[3])
