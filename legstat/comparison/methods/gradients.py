r"""Gradient methods on torch modules, by the package captum: what the network's weights make of a picture.

All differentiate the response's own score with respect to the picture in [0, 1], through the response's preprocessing.
A pass forward and back is one evaluation, as is the forward pass at x0; it takes some three times as long as that.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from legstat._core.checks import check_type
from legstat._core.errors import invalid
from legstat._core.optional import optional_module
from legstat._core.pictures import rounded
from legstat._core.typing import FloatArray
from legstat.comparison.asking import map_shape, resized
from legstat.comparison.method import MethodMap
from legstat.gradients.gradient import Asked
from legstat.metrics.references import ReferenceName, reference_picture
from legstat.responses.base import Response
from legstat.responses.torch.response import TorchResponse

if TYPE_CHECKING:
    import torch


class _Differentiating:
    """What the gradient methods share: they take modules, and are refused everything else before anything is asked."""

    name: str

    def check_response(self, response: Response) -> None:
        """TypeError unless it is a module; ImportError without captum; asks nothing."""
        remedy = "Methods that only ask work on any black box: 'rise', 'leg', 'occlusion', ..."
        check_type(self.name, "response", response, TorchResponse, f"of `legstat.torch_response`. {remedy}")
        self._captum()

    def _captum(self) -> Any:
        return optional_module("captum.attr", "captum", "gradients", f"The method {self.name!r}")

    def _opened(self, response: Response, image: FloatArray, n_queries: int) -> _Opened:
        self.check_response(response)
        return _Opened(Asked(self.name, response, image, n_queries), image)


class _Opened:
    """A picture and the score as a module whose passes are counted."""

    def __init__(self, asked: Asked, image: FloatArray) -> None:
        import torch

        response = asked.response
        if not isinstance(response, TorchResponse):  # bound, it is what it was
            raise TypeError(type(response))
        self.asked, self.size = asked, (image.shape[-2], image.shape[-1])
        self.batch_size = response.batch_size
        self.module = response.score_module()
        self.module.register_forward_pre_hook(lambda _, handed: asked.count(len(handed[0]), backward=True))
        self.picture = torch.from_numpy(rounded(image[None], response.dtype)).requires_grad_()

    def tensor(self, image: FloatArray) -> torch.Tensor:
        """Another picture, as the module takes it."""
        import torch

        return torch.from_numpy(rounded(image[None], self.asked.response.dtype))

    def found(self, pixels: FloatArray, shape: tuple[int, int] | None, image: FloatArray) -> MethodMap:
        """Values of pixels (H, W), averaged over the cells of a map."""
        return MethodMap(resized(pixels, map_shape(shape, image)), self.asked.spent)


def _strongest(gradients: torch.Tensor) -> FloatArray:
    """The largest absolute value of a pixel's channels."""
    return np.asarray(np.abs(_array(gradients)).max(axis=0), dtype=np.float64)


def _array(attributions: torch.Tensor) -> FloatArray:
    return np.asarray(attributions[0].detach().cpu().numpy(), dtype=np.float64)


@dataclass(frozen=True)
class GradientMap(_Differentiating):
    r"""The gradient: :math:`\max_c |\partial f / \partial x_c|` (Simonyan, Vedaldi and Zisserman, 2014, section 3.1).

    Parameters
    ----------
    shape : tuple of int, optional
        Cells of the map, means over its pixels.
        By default as many as `legstat.explain` takes.

    Raises
    ------
    TypeError
        The response is no module.
    BackendUnavailableError
        captum is missing (extra ``gradients``).

    Examples
    --------
    >>> GradientMap((7, 7)).least
    2
    """

    shape: tuple[int, int] | None = None
    name: str = "gradient"
    least: int = 2

    def __call__(self, response: Response, image: FloatArray, n_queries: int, rng: Any) -> MethodMap:
        """The map, of two evaluations whatever the budget."""
        opened = self._opened(response, image, n_queries)
        gradients = self._captum().Saliency(opened.module).attribute(opened.picture, abs=False)
        return opened.found(_strongest(gradients), self.shape, image)


@dataclass(frozen=True)
class GuidedBackpropMap(_Differentiating):
    """Guided backpropagation: ReLUs let only positive gradients back (Springenberg et al., 2015).

    Parameters
    ----------
    shape : tuple of int, optional
        Cells of the map, means over its pixels of the largest absolute value of a channel.
        By default as many as `legstat.explain` takes.

    Raises
    ------
    TypeError
        The response is no module.
    ValueError
        The module has no part of class ``torch.nn.ReLU``: those that it calls as functions cannot be changed.
    BackendUnavailableError
        captum is missing (extra ``gradients``).

    Examples
    --------
    >>> GuidedBackpropMap().name
    'guided_backprop'
    """

    shape: tuple[int, int] | None = None
    name: str = "guided_backprop"
    least: int = 2

    def check_response(self, response: Response) -> None:
        """As for all gradient methods; ValueError without a ReLU that is a part of the module."""
        import torch

        super().check_response(response)
        if isinstance(response, TorchResponse):
            parts = response.module.modules()
            if not any(isinstance(part, torch.nn.ReLU) for part in parts):
                valid = "a module with parts of class torch.nn.ReLU"
                remedy = "Where it calls relu as a function, make it a part; of other activations take 'gradient'."
                raise ValueError(invalid(self.name, "response", response, valid, remedy))

    def __call__(self, response: Response, image: FloatArray, n_queries: int, rng: Any) -> MethodMap:
        """The map, of two evaluations whatever the budget."""
        opened = self._opened(response, image, n_queries)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it hangs hooks on the module, which is a copy
            gradients = self._captum().GuidedBackprop(opened.module).attribute(opened.picture)
        return opened.found(_strongest(gradients), self.shape, image)


@dataclass(frozen=True)
class IntegratedGradientsMap(_Differentiating):
    r"""Integrated gradients (Sundararajan, Taly and Yan, 2017, eq. 1), summed over channels.

    .. math:: s = \sum_c (x_c - \tilde x_c) \int_0^1 \partial_c f(\tilde x + \alpha (x - \tilde x)) \, d\alpha

    by Gauss and Legendre's rule. The pixels sum to :math:`f(x_0) - f(\tilde x)`.

    Parameters
    ----------
    shape : tuple of int, optional
        Cells of the map, means over its pixels.
        By default as many as `legstat.explain` takes.
    steps : int, optional
        Points of the rule. By default all that the budget pays.
    baseline : str, default "black"
        x~; see `legstat.metrics.deletion`.

    Raises
    ------
    TypeError
        The response is no module.
    BackendUnavailableError
        captum is missing (extra ``gradients``).

    Examples
    --------
    >>> IntegratedGradientsMap(steps=50).least
    51
    """

    shape: tuple[int, int] | None = None
    steps: int | None = None
    baseline: ReferenceName = "black"
    name: str = "integrated_gradients"

    @property
    def least(self) -> int:
        """f(x0), and the steps."""
        return 2 if self.steps is None else self.steps + 1

    def __call__(self, response: Response, image: FloatArray, n_queries: int, rng: Any) -> MethodMap:
        """The map, signed."""
        reference = reference_picture(self.name, self.baseline, image, response)
        opened = self._opened(response, image, n_queries)
        steps = n_queries - 1 if self.steps is None else self.steps
        attributions = self._captum().IntegratedGradients(opened.module).attribute(
            opened.picture,
            baselines=opened.tensor(reference),
            n_steps=steps,
            internal_batch_size=opened.batch_size,
        )  # fmt: skip
        return opened.found(_array(attributions).sum(axis=0), self.shape, image)


@dataclass(frozen=True)
class SmoothGradMap(_Differentiating):
    r"""SmoothGrad: the mean gradient about the picture (Smilkov, Thorat, Kim, Viégas and Wattenberg, 2017).

    .. math:: s = \max_c \Big| \frac{1}{N} \sum_i \partial_c f(x + \sigma z_i) \Big|, \qquad z_i \sim N(0, I)

    Parameters
    ----------
    shape : tuple of int, optional
        Cells of the map, means over its pixels.
        By default as many as `legstat.explain` takes.
    noise : float, default 0.15
        sigma, as a share of the picture's range (the paper: 0.1 to 0.2).
    samples : int, optional
        N. By default all that the budget pays (the paper: 50).

    Raises
    ------
    TypeError
        The response is no module.
    BackendUnavailableError
        captum is missing (extra ``gradients``).

    Notes
    -----
    captum draws from torch's global generator, which is seeded for the call and put back. Draws are made batch by
    batch: the bits are those of a seed and a batch size.

    Examples
    --------
    >>> SmoothGradMap(samples=50).least
    51
    """

    shape: tuple[int, int] | None = None
    noise: float = 0.15
    samples: int | None = None
    name: str = "smoothgrad"

    @property
    def least(self) -> int:
        """f(x0), and the samples."""
        return 2 if self.samples is None else self.samples + 1

    def __call__(self, response: Response, image: FloatArray, n_queries: int, rng: Any) -> MethodMap:
        """The map."""
        captum = self._captum()
        opened = self._opened(response, image, n_queries)
        tunnel = captum.NoiseTunnel(captum.Saliency(opened.module))
        with _seeded(int(np.random.default_rng(rng).integers(2**63))):
            gradients = tunnel.attribute(
                opened.picture,
                nt_type="smoothgrad",
                nt_samples=n_queries - 1 if self.samples is None else self.samples,
                nt_samples_batch_size=opened.batch_size,
                stdevs=float(self.noise * np.ptp(image)),
                abs=False,
            )
        return opened.found(_strongest(gradients), self.shape, image)


@dataclass(frozen=True)
class GradCamMap(_Differentiating):
    r"""Grad-CAM (Selvaraju et al., 2017, eq. 1 and 2): channels of a layer, weighted by their mean gradients.

    .. math:: s = \max\Big(\sum_k \Big(\frac{1}{Z} \sum_{ij} \frac{\partial f}{\partial A^k_{ij}}\Big) A^k, 0\Big)

    scaled up to the picture bilinearly.

    Parameters
    ----------
    shape : tuple of int, optional
        Cells of the map, means over its pixels.
        By default as many as `legstat.explain` takes.
    layer : str, optional
        Name of the part whose output is A, as ``module.named_modules()`` has it. By default the last 2-d convolution.

    Raises
    ------
    TypeError
        The response is no module.
    ValueError
        No such part, or no convolution.
    BackendUnavailableError
        captum is missing (extra ``gradients``).

    Examples
    --------
    >>> GradCamMap(layer="features.12").name
    'gradcam'
    """

    shape: tuple[int, int] | None = None
    layer: str | None = None
    name: str = "gradcam"
    least: int = 2

    def check_response(self, response: Response) -> None:
        """As for all gradient methods; ValueError without the layer."""
        super().check_response(response)
        if isinstance(response, TorchResponse):
            self._layer(response.module)

    def _layer(self, module: torch.nn.Module) -> str:
        import torch

        parts = dict(module.named_modules())
        convolutions = [name for name, part in parts.items() if isinstance(part, torch.nn.Conv2d)]
        if self.layer in parts and self.layer:
            return self.layer
        if self.layer is not None or not convolutions:
            known = ", ".join(map(repr, convolutions[-5:])) or "none"
            valid = f"the name of a part of the module (2-d convolutions, from the end: {known})"
            raise ValueError(invalid(self.name, "layer", self.layer, valid))
        return str(convolutions[-1])

    def __call__(self, response: Response, image: FloatArray, n_queries: int, rng: Any) -> MethodMap:
        """The map, of two evaluations whatever the budget; 0 where the layer speaks against the target."""
        captum = self._captum()
        opened = self._opened(response, image, n_queries)
        network = opened.module.get_submodule("network")
        layer = network.get_submodule(self._layer(network))
        found = captum.LayerGradCam(opened.module, layer).attribute(opened.picture, relu_attributions=True)
        if found.ndim != 4:
            got = f"{self.layer!r}, which gives {tuple(found.shape)}"
            raise ValueError(invalid(self.name, "layer", got, "a layer that gives (n, K, rows, columns)"))
        pixels = captum.LayerAttribution.interpolate(found, opened.size, "bilinear")
        return opened.found(_array(pixels)[0], self.shape, image)


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """torch's global generator with a seed of ours, as it was afterwards."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
