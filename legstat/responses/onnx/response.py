"""An ONNX graph as a network: scores of pictures that come from outside, or are made inside the graph."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from legstat._core.errors import invalid
from legstat._core.pictures import rounded
from legstat._core.typing import JSON, AnyArray, FloatArray
from legstat.perturbations.recipe import AheadScorer, Recipe, Scorer
from legstat.responses.base import ImageShape
from legstat.responses.network.company import ALIKE, relative_difference
from legstat.responses.network.composing import Compose, ComposingResponse
from legstat.responses.network.evaluation import usual_batch_size
from legstat.responses.network.fixed_inputs import Constants
from legstat.responses.network.outputs import Decision, Doubt, class_rows, joined
from legstat.responses.network.preprocessing import Preprocessing
from legstat.responses.network.scores import probabilities
from legstat.responses.network.target import Choices
from legstat.responses.onnx.graph import read_model
from legstat.responses.onnx.perturbed_input import Prefix
from legstat.responses.onnx.runner import Runner, is_out_of_memory
from legstat.responses.onnx.session import CPU

_SAME = 1e-6
"""Largest difference of class outputs on the CPU, relative to their size, of pictures made inside and outside."""


_MORE_ON_A_DEVICE = 16
"""64 pictures of 224 x 224 per call where a GPU runs them and nothing was measured."""


class OnnxResponse(ComposingResponse):
    """An ONNX classifier behind one ONNX Runtime session, which lives as long as the response.

    Built by `onnx_response`. Sending it to another process reopens the session there.
    """

    def __init__(
        self,
        runner: Runner,
        choices: Choices,
        constants: Constants,
        *,
        preprocessing: Preprocessing,
        preprocessing_given: bool,
        input_shape: ImageShape,
        prior: Decision | Doubt | None,
        batch_size: int | None,
        input_dtype: np.dtype[np.generic],
        compose: Compose,
        asked: JSON,
    ) -> None:
        self._runner, self._constants, self._asked = runner, constants, asked
        super().__init__(
            choices,
            preprocessing=preprocessing,
            preprocessing_given=preprocessing_given,
            input_shape=input_shape,
            prior=prior,
            batch_size=batch_size,
            input_dtype=input_dtype,
        )
        self._tensors = [runner.choice.fetched]
        self.compose: Compose = compose

    def _usual_batch_size(self, shape: Sequence[int | None]) -> int:
        on_cpu = self._runner.session.memory == "cpu"
        return usual_batch_size(shape) * (1 if on_cpu else _MORE_ON_A_DEVICE)

    @property
    def network(self) -> Path:
        """The model's file."""
        return self._runner.facts.path

    def with_weights(self, network: str | Path) -> Self:
        """The same question to another file of the same inputs and outputs; see `ComposingResponse`."""
        other, mine = self._before_x0(), self._runner
        facts = read_model("OnnxResponse.with_weights", network)
        other._runner = dataclasses.replace(mine, facts=facts)  # opens a session of its own
        if self._asked["free_batch_axis"]:
            other.free_batch_axis()
        return other

    def free_batch_axis(self) -> None:
        """Free a fixed batch axis if that changes nothing, tried on three random pictures."""
        if self._runner.fixed is not None:
            self._runner.free_batch_axis(self._write(self._random_pictures(3)))

    def verify_provider(self) -> None:
        """Make sure, by one profiled run, that the provider asked for executes something; the CPU always does.

        Raises
        ------
        RuntimeError
            The provider came up and left every node to another one.
        """
        if self._runner.session.provider != CPU:
            self._runner.verify_provider(self._write(self._random_pictures(1)))

    def _random_pictures(self, n: int) -> AnyArray:
        """Pictures for checks that need no particular one."""
        free = (3, *(self.preprocessing.size or (224, 224)))
        shape = [size or usual for size, usual in zip(self.input_shape or free, free, strict=True)]
        return np.random.default_rng(0).random((n, *shape)).astype(self.dtype)

    def _forward(self, inputs: NDArray[np.generic]) -> NDArray[np.generic]:
        return self._runner.fetch(inputs, self._tensors)[0]

    def bind(self, image: AnyArray) -> tuple[Self, float]:
        """Evaluate x0 once and settle what depended on it; see `NetworkResponse.bind`.

        Raises
        ------
        ValueError
            As there; or the graph takes pictures of any size and its layers do not.
        """
        try:
            return super().bind(image)
        except RuntimeError as error:
            if None not in (self.input_shape or ())[1:] or self._is_out_of_memory(error):
                raise
            rows, columns = np.asarray(image).shape[1:]
            raise ValueError(
                invalid(
                    self._choices.where,
                    "image",
                    f"{rows} x {columns} pixels",
                    "of the size that the network was made for",
                    "Its input leaves rows and columns open, and its layers fail on these: name the size, "
                    "Preprocessing(size=(rows, columns)), or size = [rows, columns] in its TOML file. "
                    f"({str(error).strip()[:300]})",
                )
            ) from error

    # -- the perturbation inside the graph -----------------------------------------------------------------------

    @property
    def spares_transfer(self) -> bool:
        """Whether pictures made inside the graph are made on a device with a memory of its own, and can be."""
        rounds = self._input_dtype.kind != "u" or self._runner.facts.opset >= 11  # see `prepend`
        return self._runner.session.memory != "cpu" and rounds

    def _inside_scorer(self, recipe: Recipe) -> Scorer:
        """What scores pictures that are made inside the graph.

        They are made by nodes in front of the graph: only the cells' numbers go into
        the session, only the class outputs come back. That it changes nothing is verified on three random pictures,
        once for each form of recipe.

        Raises
        ------
        ValueError
            The graph cannot take the perturbation, or the class outputs differ by more than 1e-6 of their size. On a
            device, where two sessions may choose different kernels: 1e-4, with TF32 or float16 1e-2.
        """
        self._check_settled()
        made = self._input_recipe(recipe)
        prefix = Prefix.of(made, self.preprocessing.layout, self._written_dtype)
        try:
            runner, fresh = self._runner.composed(prefix, prefix.arrays(made))
        except ValueError as error:
            self._runner.checks["inside"] = {"works": False, "reason": str(error).strip()[:300]}
            raise

        # a device works by itself meanwhile; on the CPU another thread would only share the processors
        inside = InsideScorer(self, runner, prefix, made, ahead=int(self._runner.session.memory != "cpu"))
        if fresh or not self._runner.checks["inside"]["works"]:
            planes = 1 if recipe.at is not None else len(recipe.base)
            z = 0.2 * np.random.default_rng(0).standard_normal((3, planes, *recipe.grid.shape))
            outputs, write = self._fetched(runner, prefix.feed(made, z, None)), self._composed_writer(recipe)
            self._verify_inside(outputs, self._outputs(len(z), lambda at, end: write(z[at:end], None)))
        return inside

    def _fetched(self, runner: Runner, cells: NDArray[np.generic]) -> NDArray[np.generic]:
        """Class outputs of the pictures that a composed graph makes of cells' numbers."""
        parts = self._in_batches(
            len(cells), lambda at, end: self._rows(runner.fetch(cells[at:end], self._tensors)[0], end - at)
        )
        return joined(parts)

    def _verify_inside(self, inside: NDArray[np.generic], outside: NDArray[np.generic]) -> None:
        """Note how far two ways to the same outputs differ; refuse the one inside if it is too far."""
        difference = relative_difference(inside, outside)
        allowed = _SAME if self._runner.session.provider == CPU else self._alike or ALIKE[4]
        self._runner.checks["inside"] = {
            "works": difference <= allowed,
            "evaluations": 2 * len(inside),
            "pictures": "random",
            "relative_difference": difference,
        }
        if not difference <= allowed:
            remedy = f"They differ by {difference:.3g} of their size. Pass compose='outside'."
            valid = "'outside' where pictures made inside the graph give other outputs"
            raise ValueError(invalid(self._choices.where, "compose", "inside", valid, remedy))

    # ------------------------------------------------------------------------------------------------------------

    @property
    def _alike(self) -> float | None:
        return ALIKE[2] if self._runner.settings.tf32 or self._input_dtype == np.float16 else None

    def _first(self, inputs: NDArray[np.generic]) -> NDArray[np.generic]:
        """At x0: where logits inside the graph are read, the declared probabilities must follow from them."""
        choice = self._runner.choice
        self._runner.verify_freed(inputs)
        if choice.declared is None or not isinstance(choice.prior, Decision):
            return self._forward(inputs)
        logits, declared = self._runner.fetch(inputs, [choice.fetched, choice.declared])
        rows = class_rows(logits, 1, self._choices.where).astype(np.float64)
        shown = class_rows(declared, 1, self._choices.where).astype(np.float64)
        expected = probabilities(rows, choice.prior.kind)
        for _ in range(choice.softmaxes - 1):
            expected = probabilities(expected, "logits")
        if choice.tail.kind == "log_probabilities":
            shown = np.exp(shown)
        # 8 bits of a quantised output are as coarse as float16
        allowed = ALIKE[2 if choice.tail.rounded else declared.dtype.itemsize]
        if shown.shape != expected.shape or not np.allclose(shown, expected, rtol=0, atol=allowed, equal_nan=True):
            raise ValueError(
                invalid(
                    self._choices.where,
                    "output",
                    choice.declared,
                    f"the softmax of {choice.tensor!r}, as the graph suggests",
                    "At x0 it is not (a softmax over another axis than the classes?). Pass output= and output_kind=.",
                )
            )
        return logits

    def node_placement(self, image: AnyArray) -> dict[str, int]:
        """Which provider executes how many nodes, by profiling one run of a picture.

        Parameters
        ----------
        image : ndarray of shape (C, H, W)
            In [0, 1].

        Returns
        -------
        dict of str to int
            Nodes executed by provider, after the runtime's own fusions.
        """
        picture = self.check_image(image, "node_placement")
        return self._runner.placement(self._write(rounded(picture[None], self.dtype)))

    def _is_out_of_memory(self, error: Exception) -> bool:
        return is_out_of_memory(error)

    @property
    def files(self) -> dict[str, Path]:
        """The model's file; see `Response`."""
        return {"model": self._runner.facts.path}

    @property
    def constant_files(self) -> dict[str, Path]:
        """Files that constants were read from, by name of the input."""
        return self._constants.files

    @property
    def model_sha256(self) -> str:
        """SHA-256 of the file (with its external data, where it has any)."""
        return self._runner.facts.sha256

    def _identity(self) -> tuple[object, ...]:
        return (*self._runner.identity, "inside") if self.compose == "inside" else self._runner.identity

    def _backend(self) -> JSON:
        about = self._runner.describe() | {"constants": self._constants.describe()}
        return {"kind": "onnx", **about, "compose": self._place, "asked": self._asked}


class InsideScorer(AheadScorer):
    """Scores of pictures that are made inside the graph.

    No twin of torch's `DeviceScorer`, though both run ahead: a session's run comes back with the outputs, so working
    ahead takes a thread, in which batches are halved too. torch's devices queue the work themselves, batches are halved
    as they are started, and each replica makes its own pictures. What is alike is in `AheadScorer` and `_in_batches`.

    Parameters
    ----------
    response : OnnxResponse
        What scores, in batches of its size.
    runner : Runner
        With the composed graph.
    prefix : Prefix
        What stands in front of it.
    recipe : Recipe
        Of the network's input.
    ahead : int
        1: a thread of its own runs the session, so that z is drawn and scores are formed while the device works.
    """

    def __init__(self, response: OnnxResponse, runner: Runner, prefix: Prefix, recipe: Recipe, *, ahead: int) -> None:
        self._response, self._runner, self._prefix, self._recipe = response, runner, prefix, recipe
        self.ahead = ahead
        self._thread = ThreadPoolExecutor(max_workers=1) if ahead else None

    def start(self, z: FloatArray, channel: int | None) -> Callable[[], FloatArray]:
        """Hand the cells' numbers to the session's thread, if it has one; see `AheadScorer`."""
        response, cells = self._response, self._prefix.feed(self._recipe, z, channel)
        if self._thread is None:
            return lambda: response._scored(response._fetched(self._runner, cells))
        under_way = self._thread.submit(response._fetched, self._runner, cells)
        return lambda: response._scored(under_way.result())
