"""`explain` for torch modules by captum's and Quantus' calling conventions."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

import numpy as np

from legstat._core.checks import check_choice
from legstat._core.errors import invalid
from legstat._core.typing import AnyArray, FloatArray
from legstat.explanation.explanation import Explanation, explain
from legstat.responses.network.preprocessing import Preprocessing, as_preprocessing
from legstat.responses.torch.opening import torch_response

if TYPE_CHECKING:
    import torch

    Target: TypeAlias = int | Sequence[int] | torch.Tensor | None

Estimate = Literal["legtv", "leg"]
_ROUNDING = 1e-3
"""How far, in [0, 1], a picture that was normalised and is taken back may be outside: half of one grey value of 255."""
_OWN = ("f", "image", "rng")


class Attribution:
    r"""LEG and LEG-TV of a torch classifier, asked for as captum's methods are: ``attribute(inputs, target)``.

    `inputs` are what the module takes, normalised; legstat perturbs pictures in [0, 1]. `preprocessing` says how one
    becomes the other, :math:`\text{input} = (\text{scale} \cdot x - \text{mean}) / \text{std}`, and is undone here.

    Parameters
    ----------
    module : torch.nn.Module
        Takes a batch of pictures (N, C, H, W), returns class outputs. Its gradients are not used.
    preprocessing : Preprocessing or str or Path or mapping, optional
        How x in [0, 1] became the inputs, as for `torch_response`: "imagenet" for torchvision's normalisation. Without
        it the inputs are the pictures.
    estimate : {"legtv", "leg"}
        Which map is returned.
    network : mapping, optional
        Further arguments of `torch_response`, such as ``output_kind="logits"`` or ``device="cuda"``.
    **settings
        Further arguments of `explain`, such as ``n_queries=2000`` or ``grid=(14, 14)``.

    Raises
    ------
    TypeError
        For a setting that `explain` does not have.

    Examples
    --------
    A "network" whose logits are the pixels:

    >>> import torch
    >>> import legstat as ls
    >>> settings = {"perturbation": ls.Additive(), "n_queries": 402, "progress": False}
    >>> asked = Attribution(torch.nn.Flatten(), network={"output_kind": "logits"}, estimate="leg", **settings)
    >>> pictures = torch.linspace(0.2, 0.8, 16).reshape(1, 1, 4, 4)
    >>> int(asked.attribute(pictures, target=5, rng=0).argmax())
    5
    """

    def __init__(
        self,
        module: torch.nn.Module,
        *,
        preprocessing: Preprocessing | str | Path | Mapping[str, object] | None = None,
        estimate: Estimate = "legtv",
        network: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        known = [name for name in inspect.signature(explain).parameters if name not in _OWN]
        for name in settings:
            if name not in known:
                raise TypeError(invalid("Attribution", "settings", name, f"of `explain`: {', '.join(known)}"))
        self.module, self.preprocessing = module, as_preprocessing(preprocessing)
        self.estimate = check_choice("Attribution", "estimate", estimate, ("legtv", "leg"))
        self.network, self.settings = dict(network or {}), settings

    @overload
    def attribute(self, inputs: torch.Tensor, target: Target = None, *, rng: Any = None) -> torch.Tensor: ...
    @overload
    def attribute(
        self, inputs: tuple[torch.Tensor], target: Target = None, *, rng: Any = None
    ) -> tuple[torch.Tensor]: ...
    def attribute(
        self, inputs: torch.Tensor | tuple[torch.Tensor], target: Target = None, *, rng: Any = None
    ) -> torch.Tensor | tuple[torch.Tensor]:
        """The maps, in the shape, type and place of the inputs.

        Parameters
        ----------
        inputs : Tensor of shape (N, C, H, W)
            What the module takes; or a tuple of one such, as captum's metrics hand it over, for which one comes back.
        target : int or sequence of int or Tensor of shape (N,), optional
            The class that is explained, of all pictures or of each; the first choice of each unless given.
        rng : None, int, Generator or anything `numpy.random.default_rng` takes
            Source of all draws. Pictures have streams of their own: more of them change nothing for the first.

        Returns
        -------
        Tensor of shape (N, C, H, W)
            Signed: score per unit of the perturbation, `Results.heatmap`. All channels carry the same map, as captum
            repeats the attribution of a feature of a mask over its pixels: take one of them, do not add them up.

        Raises
        ------
        ValueError
            For inputs that `preprocessing` cannot have made of pictures in [0, 1], and whatever `explain` refuses.

        Notes
        -----
        Costs `n_queries` forward passes a picture.
        """
        if isinstance(inputs, tuple):
            if len(inputs) != 1:
                raise ValueError(invalid("Attribution", "inputs", f"{len(inputs)} tensors", "one, the pictures"))
            return (self.attribute(inputs[0], target, rng=rng),)
        maps = [self._map(found) for found in self.explanations(inputs, target, rng=rng)]
        shown = np.stack(maps)[:, None]
        # `new_tensor`: type and device of the inputs, without torch here
        return inputs.new_tensor(np.broadcast_to(shown, (*shown.shape[:1], inputs.shape[1], *shown.shape[2:])).copy())

    def explanations(
        self,
        inputs: torch.Tensor | AnyArray,
        target: int | Sequence[int] | torch.Tensor | AnyArray | None = None,
        *,
        rng: Any = None,
    ) -> list[Explanation]:
        """What `attribute` takes its maps from: intervals, tests, the path and the certificate of each picture.

        Parameters
        ----------
        inputs : Tensor or ndarray of shape (N, C, H, W)
            As for `attribute`.
        target : int or sequence of int or Tensor or ndarray of shape (N,), optional
            As for `attribute`.
        rng : None, int, Generator or anything `numpy.random.default_rng` takes
            As for `attribute`.

        Returns
        -------
        list of Explanation
            One a picture.

        Raises
        ------
        ValueError
            As for `attribute`.
        """
        pictures = self._pictures(_array(inputs))
        targets = _targets(target, len(pictures))
        streams = np.random.default_rng(rng).spawn(len(pictures))
        return [
            explain(self._response(one), picture, rng=stream, **self.settings)
            for picture, one, stream in zip(pictures, targets, streams, strict=True)
        ]

    def _response(self, target: int | str) -> Any:
        return torch_response(self.module, target=target, preprocessing=self.preprocessing, **self.network)

    def _map(self, found: Explanation) -> FloatArray:
        return found.tv.heatmap if self.estimate == "legtv" else found.leg.heatmap

    def _pictures(self, inputs: AnyArray) -> FloatArray:
        """The inputs as pictures in [0, 1]."""
        if inputs.ndim != 4 or not len(inputs):
            raise ValueError(invalid("Attribution", "inputs", f"of shape {inputs.shape}", "(N, C, H, W), N >= 1"))
        factor, offset = self.preprocessing.affine(inputs.shape[1])
        pictures = (inputs.astype(np.float64) - offset[:, None, None]) / factor[:, None, None]
        if self.preprocessing.reverses(inputs.shape[1]):
            pictures = pictures[:, ::-1]
        low, high = float(pictures.min()), float(pictures.max())
        if not (low >= -_ROUNDING and high <= 1.0 + _ROUNDING):
            remedy = "Say by `preprocessing` how the inputs were made of pictures in [0, 1]."
            got = f"pictures from {low:.4g} to {high:.4g} once the preprocessing is undone"
            raise ValueError(invalid("Attribution", "inputs", got, "within [0, 1]", remedy))
        return np.clip(pictures, 0.0, 1.0)

    def __repr__(self) -> str:
        told = "".join(f", {name}={value!r}" for name, value in self.settings.items())
        return f"<Attribution {self.estimate} of {type(self.module).__name__}{told}>"


def explain_func(
    model: torch.nn.Module, inputs: AnyArray, targets: AnyArray | Sequence[int], **kwargs: Any
) -> FloatArray:
    """The map of each picture, by the calling convention of Quantus' ``explain_func``.

    Parameters
    ----------
    model : torch.nn.Module
        The classifier.
    inputs : ndarray of shape (N, C, H, W)
        What it takes.
    targets : array_like of shape (N,)
        The class of each.
    **kwargs
        Arguments of `Attribution`, and `rng`. Quantus adds some of its own (``device``, ``batch_size`` and the like),
        which pass by.

    Returns
    -------
    ndarray of shape (N, 1, H, W)
        Signed maps.

    Raises
    ------
    ValueError
        As for `Attribution.attribute`.

    Notes
    -----
    Costs `n_queries` forward passes a picture, at every call: Quantus' robustness metrics call it many times.

    Examples
    --------
    >>> import torch
    >>> pictures = np.linspace(0.2, 0.8, 16).reshape(1, 1, 4, 4)
    >>> settings = {"n_queries": 402, "progress": False, "rng": 0, "network": {"output_kind": "logits"}}
    >>> explain_func(torch.nn.Flatten(), pictures, [5], estimate="leg", **settings).shape
    (1, 1, 4, 4)
    """
    given = {name: value for name, value in kwargs.items() if name not in ("rng", *_QUANTUS)}
    attribution = Attribution(model, **given)
    found = attribution.explanations(inputs, targets, rng=kwargs.get("rng"))
    return np.stack([attribution._map(one) for one in found])[:, None]


_QUANTUS = ("device", "batch_size", "normalise", "abs", "reduce_axes")
"""What Quantus' metrics hand to every function of explanation, whether it wants it or not."""


def _array(values: Any) -> AnyArray:
    """A tensor, wherever it is, or an array, as an array."""
    return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)


def _targets(target: Any, count: int) -> list[int | str]:
    if target is None:
        return ["top"] * count
    numbers = _array(target)
    if numbers.dtype.kind not in "iu" or numbers.shape not in ((), (1,), (count,)):
        valid = f"a class, or {count} of them: whole numbers, one a picture"
        raise ValueError(invalid("Attribution", "target", target, valid))
    return [int(one) for one in np.broadcast_to(numbers.ravel(), count)]
