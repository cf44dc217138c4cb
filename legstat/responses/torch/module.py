"""A torch module as it was handed over: a copy to work with, what identifies it, and whether it is still the same."""

from __future__ import annotations

import copy
import hashlib
import sys
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from legstat._core.contents import Contents, contents
from legstat._core.errors import invalid

if TYPE_CHECKING:
    import torch

_MACHINERY = frozenset(
    {"training", "_parameters", "_buffers", "_modules", "_non_persistent_buffers_set", "_compiled_call_impl"}
)
"""Attributes of every module that are hashed elsewhere, or have no part in the forward pass."""
_FORWARD_HOOKS = ("_forward_hooks", "_forward_pre_hooks")


def own_copy(where: str, module: torch.nn.Module, *, weights: bool) -> torch.nn.Module:
    """The module in evaluation mode, in an object of its own, so that the user's keeps its mode and its device.

    Parameters
    ----------
    where : str
        Call to name in an error.
    module : torch.nn.Module
        As the user has it.
    weights : bool
        Copy parameters and buffers too. Without, they are the user's own: no memory is spent on them.

    Returns
    -------
    torch.nn.Module
        The copy.

    Raises
    ------
    ValueError
        The module holds something that cannot be copied.
    """
    import torch

    kept: dict[int, object] = {}
    if not weights:
        kept = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    for part in module.modules():
        # what a hook has computed (weight normalisation does) has a history, which deepcopy refuses
        for value in vars(part).values():
            if isinstance(value, torch.Tensor) and not value.is_leaf:
                kept[id(value)] = value.detach()
    try:
        return copy.deepcopy(module, kept).eval()
    except Exception as error:  # whatever an attribute's own copying raises
        remedy = (
            f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''} A function that calls the "
        )
        raise ValueError(
            invalid(
                where,
                "module",
                type(module).__qualname__,
                "a module that can be copied, so that yours is left as it is",
                remedy + "module is a response by itself: as_response(f).",
            )
        ) from error


def module_sha256(module: torch.nn.Module) -> str:
    """SHA-256 of a module: class names of all parts, then names, types, shapes and bytes of parameters and buffers.

    Parameters
    ----------
    module : torch.nn.Module
        The module.

    Returns
    -------
    str
        Hexadecimal digest. What the parts compute with them is `code_contents`' business.
    """
    import torch

    state = hashlib.sha256()
    for name, part in module.named_modules():
        state.update(f"{name}:{type(part).__qualname__}:{part.extra_repr()};".encode())
    # buffers that are not saved count as well: they may be the frequencies or the mean that everything is computed with
    saved = module.state_dict(keep_vars=True)
    rest = {f"unsaved {name}": tensor for name, tensor in module.named_buffers() if name not in saved}
    for name, tensor in {**saved, **rest}.items():
        if not isinstance(tensor, torch.Tensor):
            continue
        state.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)};".encode())
        state.update(_bytes(tensor))
    return state.hexdigest()


def _bytes(tensor: torch.Tensor) -> bytes:
    import torch

    values = tensor.detach().cpu()
    if values.is_quantized:
        values = values.dequantize()
    return values.to_dense().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def torch_parts(value: object, *, weights: bool = True) -> object | None:
    """torch's own objects in terms that `legstat._core.contents` follows; None for all others.

    Parameters
    ----------
    value : object
        Anything.
    weights : bool
        Whether parameters, buffers and the mode (training or not) of modules count.

    Returns
    -------
    object
        Of a tensor type, shape and bytes. Of a module its class, parts, plain attributes and forward hooks; of one that
        was traced or scripted its code.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        return None
    if isinstance(value, torch.Tensor):
        about = ("tensor", str(value.dtype), tuple(value.shape))
        return about if value.is_meta else (*about, _bytes(value))
    if not isinstance(value, torch.nn.Module):
        return None
    attributes = vars(value)
    held = [list(attributes.get(name, {}).items()) for name in ("_parameters", "_buffers")] if weights else []
    mode = value.training if weights else None
    if isinstance(value, torch.jit.ScriptModule | torch.fx.GraphModule):  # their attributes are the graph's nodes
        tensors = list(value.state_dict().items()) if weights else []
        return "script", str(getattr(value, "code", "")), mode, tensors
    own = {
        # what a hook has computed (weight normalisation does) follows from the rest
        name: "computed" if isinstance(one, torch.Tensor) and not one.is_leaf else one
        for name, one in attributes.items()
        if name not in _MACHINERY and "hook" not in name
    }
    hooks = [list(attributes.get(name, {}).values()) for name in _FORWARD_HOOKS]
    return "module", type(value), list(value.named_children()), own, hooks, mode, held


def code_contents(module: torch.nn.Module, output: object) -> Contents:
    """What a module does: functions of its classes, plain attributes, forward hooks; and what picks its output.

    Parameters
    ----------
    module : torch.nn.Module
        The module; its weights are `module_sha256`'s business.
    output : object
        As for `torch_response`.

    Returns
    -------
    Contents
        Digest, the same in another process of the same Python; what could be hashed by its type's name only; packages.
    """
    return contents(module, output, reader=partial(torch_parts, weights=False), name="module")


def n_hooks(module: torch.nn.Module) -> int:
    """Forward hooks on all parts: they can change what is computed, so a record counts them."""
    return sum(len(vars(part).get(key, ())) for part in module.modules() for key in _FORWARD_HOOKS)


def weight_dtype(module: torch.nn.Module) -> torch.dtype | None:
    """Type of the first floating weight, which the input takes; None where there is none."""
    return next((tensor.dtype for tensor in module.parameters() if tensor.is_floating_point()), None)


class Watch:
    """Notices that tensors of a module are no longer those that were hashed.

    Parameters
    ----------
    module : torch.nn.Module
        Its parameters, buffers (those that are not saved too) and plain tensors are watched; the first two may be
        shared with the user's module.
    """

    def __init__(self, module: torch.nn.Module) -> None:
        import torch

        self._seen: list[tuple[str, dict[str, torch.Tensor | None] | None, str, torch.Tensor, tuple[int, int]]] = []
        self._plain: list[tuple[str, torch.Tensor, tuple[int, int]]] = []
        for place, part in module.named_modules():
            prefix = f"{place}." if place else ""
            for holder in (part._parameters, part._buffers):
                known = None if isinstance(part, torch.jit.ScriptModule) else holder  # those are fixed to their names
                for name, tensor in holder.items():
                    if tensor is not None:
                        self._seen.append((prefix + name, known, name, tensor, _state(tensor)))
            for name, value in vars(part).items():
                if isinstance(value, torch.Tensor):  # may be made anew by a hook in every pass: so not where it lies
                    self._plain.append((prefix + name, value, _state(value)))

    def check(self) -> None:
        """Raise RuntimeError where a tensor was written to, replaced or moved since (some 0.1 ms for 300 tensors)."""
        for where, holder, name, tensor, seen in self._seen:
            if (holder is not None and holder.get(name) is not tensor) or _state(tensor) != seen:
                raise RuntimeError(_changed(where))
        for where, tensor, seen in self._plain:
            if _state(tensor) != seen:
                raise RuntimeError(_changed(where))


def _changed(where: str) -> str:
    return (
        f"legstat.torch_response: {where!r} of the module has changed, or was moved, since the response was made. "
        "Scores before and after are of different networks: make a new response of it. Where the module fills it "
        "itself at its first picture, run it once before you make the response."
    )


def _state(tensor: torch.Tensor) -> tuple[int, int]:
    # inference tensors cannot be written to outside inference mode and count no versions
    return tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version


def pick_output(where: str, output: object, made: object) -> torch.Tensor:
    """The class output among what a module returns; bfloat16 becomes float32, which numpy knows.

    Parameters
    ----------
    where : str
        Call to name in an error.
    output : str or int or callable or None
        Key, attribute, index or function that picks; None: the tensor itself, or what is called "logits".
    made : object
        What the module returned.

    Returns
    -------
    torch.Tensor
        On the module's device.

    Raises
    ------
    ValueError
        That picks no tensor.
    """
    import torch

    picked: object = made
    if callable(output):
        picked = output(made)
    elif isinstance(made, Mapping):
        picked = made.get(output if output is not None else "logits")
    elif isinstance(made, tuple | list) and isinstance(output, int) and -len(made) <= output < len(made):
        picked = made[output]
    elif isinstance(output, str):
        picked = getattr(made, output, None)
    elif not isinstance(made, torch.Tensor):
        picked = getattr(made, "logits", None)
    if not isinstance(picked, torch.Tensor):
        known = list(made) if isinstance(made, Mapping) else type(made).__name__
        raise ValueError(
            invalid(
                where,
                "output",
                output,
                f"what picks one tensor out of what the module returns ({known})",
                "Pass output=key, index or a function.",
            )
        )
    return picked.float() if picked.dtype == torch.bfloat16 else picked
