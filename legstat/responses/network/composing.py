"""Networks that run here, so that perturbed pictures may be made where the network runs."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Literal, Self

from legstat._core.typing import JSON
from legstat.perturbations.recipe import Recipe, Scorer
from legstat.responses.network.response import NetworkResponse

Compose = Literal["auto", "outside", "inside"]
"""Where perturbed pictures are made; "auto" is outside until a measurement settles it."""


class ComposingResponse(NetworkResponse):
    """A network in whose place perturbed pictures can be made from z; a backend sets `compose`."""

    compose: Compose

    @abstractmethod
    def _inside_scorer(self, recipe: Recipe) -> Scorer:
        """What scores pictures that are made where the network runs."""

    @property
    @abstractmethod
    def network(self) -> Any:
        """What `with_weights` takes the place of: the file, or the module."""

    @abstractmethod
    def with_weights(self, network: Any) -> Self:
        """The same question to a network of the same inputs and outputs: same target, score and preprocessing.

        Parameters
        ----------
        network : str or Path, or torch.nn.Module
            Another file for an ONNX response, another module for one of torch.

        Returns
        -------
        Response
            Settled if this one is; nothing that was measured at a picture stays.
        """

    @property
    def _place(self) -> Literal["outside", "inside"]:
        """Where pictures are made as long as nothing was measured."""
        return "inside" if self.compose == "inside" else "outside"

    def scorer(self, recipe: Recipe) -> Scorer:
        """What scores perturbed pictures from their z; see `Response`.

        With ``compose="inside"`` only z goes to where the network runs, and only its class outputs come back. Inside
        an ONNX graph on a CPU that gains 2 % at most and costs up to 14 % (``benchmarks/results/fused.json``); it stays
        because what it spares is the pictures' way to a device, which only a device can show.
        """
        return self._inside_scorer(recipe) if self.compose == "inside" else super().scorer(recipe)

    def with_compose(self, compose: Literal["outside", "inside"]) -> Self:
        """The same response with pictures made there; shares the network, not the buffers.

        Parameters
        ----------
        compose : {"outside", "inside"}
            As for `onnx_response` and `torch_response`.

        Returns
        -------
        Response
            A copy, with another fingerprint if it was the other way before, though the pictures are the same.
        """
        other = self.with_batch_size(self.batch_size)
        other.compose = compose
        return other

    def variants(self) -> tuple[Self, ...]:
        """Both places to make pictures, where that was left open; see `Response`."""
        return (self.with_compose("outside"), self.with_compose("inside")) if self.compose == "auto" else (self,)

    def resolved(self, description: JSON) -> Self:
        """The response that an earlier `describe` speaks of, pictures made where they were then; see `Response`."""
        inside = self.compose == "auto" and description.get("compose") == "inside"
        known = self.with_compose("inside") if inside else self
        return super(ComposingResponse, known).resolved(description)
