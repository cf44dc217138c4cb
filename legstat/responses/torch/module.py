"""A torch module as it was handed over: a copy to work with, what identifies it, and whether it is still the same."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import types
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from legstat._core.digests import value_sha256
from legstat._core.errors import invalid

if TYPE_CHECKING:
    import torch

_MACHINERY = frozenset(
    {"training", "_parameters", "_buffers", "_modules", "_non_persistent_buffers_set", "_compiled_call_impl"}
)
"""Attributes of every module that are hashed elsewhere, or have no part in the forward pass."""
_DEEPEST = 8
"""Containers inside containers that are followed."""
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
        Hexadecimal digest. What the parts compute with them is `code_sha256`'s business.
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


def code_sha256(module: torch.nn.Module) -> tuple[str, bool]:
    """SHA-256 of what a module does: functions of its own classes, plain attributes, forward hooks.

    torch's own classes count by name; their attributes count too.

    Parameters
    ----------
    module : torch.nn.Module
        The module.

    Returns
    -------
    digest : str
        Hexadecimal; the same in another process of the same Python.
    complete : bool
        False where an attribute could be hashed by its type's name only.
    """
    import torch

    complete = [True]
    found: list[object] = []
    kinds = {kind for part in module.modules() for kind in type(part).__mro__}
    for kind in sorted(kinds, key=lambda kind: (kind.__module__, kind.__qualname__)):
        if kind is not object and not kind.__module__.startswith("torch."):
            functions = {name: value for name, value in vars(kind).items() if callable(value)}
            found.append([kind.__qualname__, _plain(functions, complete)])
    for name, part in module.named_modules():
        if isinstance(part, torch.jit.ScriptModule | torch.fx.GraphModule):  # their attributes are the graph's nodes
            found.append([name, str(getattr(part, "code", ""))])
            continue
        attributes = vars(part)
        own = {key: value for key, value in attributes.items() if key not in _MACHINERY and "hook" not in key}
        hooks = [list(attributes.get(key, {}).values()) for key in _FORWARD_HOOKS]
        found.append([name, _plain(own, complete), _plain(hooks, complete)])
    digest, hashed = value_sha256(found)
    return digest, hashed and complete[0]


def _plain(value: object, complete: list[bool], depth: int = 0) -> object:
    """A value in terms that `value_sha256` takes; modules and unknown objects by their type's name.

    Modules refer to each other in circles, so their attributes are not followed as those of other values are.
    """
    import torch

    def digest(*parts: object) -> str:
        # one digest for each container, so that none is too deep for `value_sha256`
        return value_sha256(*parts)[0]

    def inside(values: Iterable[object]) -> list[object]:
        return [_plain(one, complete, depth + 1) for one in values]

    if value is None or isinstance(value, bool | int | float | complex | str | bytes | np.generic | type):
        return value
    if isinstance(value, torch.Tensor):
        return digest(str(value.dtype), list(value.shape), _bytes(value)) if value.is_leaf else "computed"
    if isinstance(value, torch.dtype | torch.device | torch.Size | Enum | Path):
        return repr(value)
    if isinstance(value, types.BuiltinFunctionType):
        return value.__qualname__
    if depth < _DEEPEST:
        if isinstance(value, np.ndarray) and value.dtype != object:
            return value
        if isinstance(value, list | tuple):
            return digest(type(value).__name__, *inside(value))
        if isinstance(value, set | frozenset):
            return digest("set", *inside(sorted(value, key=repr)))
        if isinstance(value, Mapping):
            return digest("mapping", [str(key) for key in value], *inside(value.values()))
        if isinstance(value, staticmethod | classmethod | types.MethodType):
            return _plain(value.__func__, complete, depth + 1)
        if isinstance(value, types.FunctionType):
            cells = [cell.cell_contents for cell in value.__closure__ or ()]
            return digest(
                value.__qualname__, value.__code__, *inside([value.__defaults__, value.__kwdefaults__, cells])
            )
        if dataclasses.is_dataclass(value):
            return digest(type(value).__qualname__, *inside([vars(value)]))
    complete[0] = False
    return type(value).__qualname__


def n_hooks(module: torch.nn.Module) -> int:
    """Forward hooks on all parts: they can change what is computed, so a record counts them."""
    return sum(len(vars(part).get(key, ())) for part in module.modules() for key in _FORWARD_HOOKS)


def weight_dtype(module: torch.nn.Module) -> torch.dtype | None:
    """Type of the first floating weight, which the input takes; None where there is none."""
    return next((tensor.dtype for tensor in module.parameters() if tensor.is_floating_point()), None)


class Watch:
    """Notices that weights are no longer those that were hashed.

    Parameters
    ----------
    module : torch.nn.Module
        With the weights to watch: parameters and saved buffers, which may be shared with the user's module.
    """

    def __init__(self, module: torch.nn.Module) -> None:
        import torch

        saved = module.state_dict(keep_vars=True)
        self._tensors = {name: tensor for name, tensor in saved.items() if isinstance(tensor, torch.Tensor)}
        self._seen = [_state(tensor) for tensor in self._tensors.values()]

    def check(self) -> None:
        """Raise RuntimeError where a weight was written to or moved since (some 0.1 ms for 300 tensors)."""
        for (name, tensor), seen in zip(self._tensors.items(), self._seen, strict=True):
            if _state(tensor) != seen:
                raise RuntimeError(
                    f"legstat.torch_response: {name!r} of the module has changed, or was moved, since the response "
                    "was made. Scores before and after are of different networks: make a new response of it."
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
