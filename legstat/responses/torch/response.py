"""A torch module as a response."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Self, cast

import numpy as np
from numpy.typing import NDArray

from legstat._core.pictures import rounded
from legstat._core.typing import JSON, AnyArray, FloatArray
from legstat.perturbations.recipe import AheadScorer, Recipe, Scorer
from legstat.responses.base import ImageShape
from legstat.responses.network.company import ALIKE
from legstat.responses.network.composing import Compose, ComposingResponse
from legstat.responses.network.evaluation import usual_batch_size
from legstat.responses.network.outputs import Decision, joined
from legstat.responses.network.preprocessing import Preprocessing
from legstat.responses.network.scores import Score
from legstat.responses.network.target import Choices
from legstat.responses.torch.checks import COMPILED_TOLERANCE, check_compiled, measure_autocast, trial_pictures
from legstat.responses.torch.devices import describe_determinism, describe_devices
from legstat.responses.torch.history import preprocessed, score_module, scored, scored_by_row
from legstat.responses.torch.layers import masked_layer
from legstat.responses.torch.module import code_contents, module_sha256, n_hooks, pick_output, weight_dtype
from legstat.responses.torch.passes import Ask, Question, SharedPasses
from legstat.responses.torch.perturbed_input import DeviceComposer
from legstat.responses.torch.replicas import Pending, Replicas, to_device
from legstat.responses.torch.settings import TorchSettings

if TYPE_CHECKING:
    import torch

_MORE_ON_A_DEVICE = 16
"""Batch sizes that suit a processor leave an accelerator idle: 64 pictures of 224 x 224 where nothing was measured."""

_TOO_LARGE = ("not enough memory", "can't allocate memory", "CUDNN_STATUS_ALLOC_FAILED", "CUBLAS_STATUS_ALLOC_FAILED")
"""What torch's allocator on the CPU, and the libraries on CUDA, say in place of an error of their own class."""


class TorchResponse(ComposingResponse):
    """A torch classifier in evaluation mode, on one device or several.

    Built by `torch_response`. It works on a copy of the module's objects, so that mode, device and layout of the module
    handed over stay as they are. Where that is on the device already, the weights themselves are shared: they must not
    change while the response serves, and a change is an error.
    """

    _ask: Ask | None = None
    """How passes are asked for where they are shared; None: this response runs them itself."""

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
        devices: tuple[torch.device, ...],
        settings: TorchSettings,
        compose: Compose,
        output: Callable[[object], torch.Tensor] | str | int | None,
    ) -> None:
        self._devices, self._settings = devices, settings
        self.compose = compose
        super().__init__(
            choices,
            preprocessing=preprocessing,
            preprocessing_given=preprocessing_given,
            input_shape=input_shape,
            prior=prior,
            batch_size=batch_size,
            input_dtype=np.dtype(np.float32),
        )
        self._output = output
        self._keep(module)

    def _keep(self, module: torch.nn.Module) -> None:
        """The network, and what is known of it before it runs."""
        import torch

        self._weight_dtype = weight_dtype(module) or torch.float32
        self._replicas = Replicas(self._choices.where, module, self._devices, self._settings, self._output)
        self._sha256 = module_sha256(module)
        self._code = code_contents(module, self._output)
        self._hooks = n_hooks(module)
        self._checks: JSON = {}
        self._overwrites = True

    def _usual_batch_size(self, shape: Sequence[int | None]) -> int:
        on_cpu = self._devices[0].type == "cpu"
        return usual_batch_size(shape) * (1 if on_cpu else _MORE_ON_A_DEVICE * len(self._devices))

    @property
    def _alike(self) -> float | None:
        # bfloat16 keeps 8 bits, float16 and TF32 11; a batch of another size takes other kernels, which round otherwise
        if self._settings.autocast is not None or self._weight_dtype.itemsize == 2:
            return COMPILED_TOLERANCE["autocast"]
        return ALIKE[2] if self._settings.tf32 else None

    # -- evaluation ----------------------------------------------------------------------------------------------

    def _forward(self, inputs: NDArray[np.generic]) -> NDArray[np.generic]:
        return self._start(inputs)()

    def _start(self, inputs: NDArray[np.generic], *, autocast: bool = True, compiled: bool = True) -> Pending:
        """The network on a batch that was written on the host."""
        import torch

        if self._ask is not None:
            answer, _ = self._ask(Question(inputs, None, autocast, compiled))
            return lambda: answer
        if self._overwrites or not inputs.flags.writeable:
            inputs = inputs.copy()
        dtype, last = self._weight_dtype, self._settings.channels_last

        def feed(i: int, at: int, end: int) -> torch.Tensor:
            batch = to_device(inputs[at:end], self._devices[i], dtype)
            return batch.contiguous(memory_format=torch.channels_last) if last else batch

        return self._replicas.start(len(inputs), self.batch_size, feed, autocast=autocast, compiled=compiled)

    def _first(self, inputs: NDArray[np.generic]) -> NDArray[np.generic]:
        """f(x0), and whether the module writes into its input, which may be an array of the caller's."""
        handed = inputs.copy()
        self._overwrites = False
        raw = self._start(handed)()
        self._overwrites = not np.array_equal(handed, inputs)
        return raw

    def _inside_scorer(self, recipe: Recipe) -> Scorer:
        """What scores pictures that are made on the device."""
        return DeviceScorer(self, recipe)

    def scores_with_history(self, pictures: torch.Tensor) -> torch.Tensor:
        """Scores that `torch.autograd` can go back from: to the pictures, on the first device, without autocast.

        Parameters
        ----------
        pictures : torch.Tensor of shape (n, C, H, W)
            In [0, 1], on any device; float32 as a rule.

        Returns
        -------
        torch.Tensor of shape (n,)
            float64, on the first device. The response must be bound.
        """
        self._check_settled()
        return scored(cast("Score", self._score), self._rows_with_history(pictures))

    def _rows_with_history(self, pictures: torch.Tensor) -> torch.Tensor:
        """Class outputs (n, K) of pictures in [0, 1], with their history."""
        import torch

        inputs = preprocessed(pictures.to(self._devices[0]), self.preprocessing, self._weight_dtype)
        if self._settings.channels_last:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        outputs = self._replicas.with_history(inputs)
        return outputs.reshape(len(pictures), -1) if outputs.numel() else outputs

    def scores_and_gradients(self, pictures: AnyArray) -> tuple[FloatArray, FloatArray]:
        """Scores and their gradients at the pictures: one forward and one backward pass.

        Parameters
        ----------
        pictures : ndarray of shape (n, C, H, W)
            In [0, 1].

        Returns
        -------
        scores : ndarray of shape (n,)
            As `scores_with_history`.
        gradients : ndarray of shape (n, C, H, W)
            Of each score at its own picture; float64.
        """
        self._check_settled()
        score, handed = cast("Score", self._score), rounded(pictures, self.dtype)
        if self._ask is None:
            return self._differentiated(handed, [score] * len(handed))
        scores, gradients = self._ask(Question(handed, score))
        return np.asarray(scores, dtype=np.float64), cast("FloatArray", gradients)

    def _differentiated(self, pictures: AnyArray, scores: Sequence[Score]) -> tuple[FloatArray, FloatArray]:
        """As `scores_and_gradients`, with a score for each picture."""
        import torch

        handed = torch.from_numpy(pictures).requires_grad_()
        values = scored_by_row(scores, self._rows_with_history(handed))
        # pictures do not mix in a network in evaluation mode: the gradient of the sum has each one's in its place
        (gradients,) = torch.autograd.grad(values.sum(), handed)
        return values.detach().cpu().numpy(), gradients.cpu().numpy().astype(np.float64)

    def shared_among(self, members: int, image: AnyArray) -> SharedPasses[TorchResponse]:
        """Passes that several may ask for at a time, each for the network's answer to pictures of its own.

        Parameters
        ----------
        members : int
            How many there are.
        image : ndarray of shape (C, H, W)
            A picture that is evaluated once, and in company, to learn whether answers depend on the batch.

        Returns
        -------
        SharedPasses
            See there.
        """
        settled, _ = self.bind(image)

        def forward(inputs: NDArray[np.generic], autocast: bool, compiled: bool) -> NDArray[np.generic]:
            def run(at: int, end: int) -> NDArray[np.generic]:
                return settled._start(inputs[at:end], autocast=autocast, compiled=compiled)()

            return joined(settled._in_batches(len(inputs), run))

        def backward(pictures: NDArray[np.generic], scores: Sequence[Score]) -> tuple[FloatArray, FloatArray]:
            def run(at: int, end: int) -> tuple[FloatArray, FloatArray]:
                return settled._differentiated(pictures[at:end], scores[at:end])

            values, gradients = zip(*settled._in_batches(len(pictures), run), strict=True)
            return np.concatenate(values), np.concatenate(gradients)

        def asking(ask: Ask) -> TorchResponse:
            other = copy.copy(self)
            other._ask = ask
            return other

        return SharedPasses(forward, backward, asking, members)

    @property
    def module(self) -> torch.nn.Module:
        """The network that runs on the first device: a copy of the user's in evaluation mode, not to be changed."""
        return self._replicas.module

    def with_weights(self, network: torch.nn.Module) -> Self:
        """The same question to another module of the same inputs and outputs; see `ComposingResponse`."""
        other = self._before_x0()
        other._keep(network)
        return other

    @property
    def network(self) -> torch.nn.Module:
        """The module, as `module`."""
        return self.module

    def score_module(self) -> torch.nn.Module:
        """The score as a torch module: pictures (n, C, H, W) in [0, 1] to scores (n,), as `scores_with_history`.

        Returns
        -------
        torch.nn.Module
            Its part ``network`` is a copy of the network's objects that shares the weights: hooks that are hung on it
            meet nobody else. The response must be bound.
        """
        own = copy.copy(self)
        where = self._choices.where
        own._replicas = Replicas(where, self.module, self._devices[:1], self._settings, self._output)
        return score_module(own.scores_with_history, own.module)

    def of_layer(self, image: AnyArray, layer: str, where: str = "of_layer") -> tuple[TorchResponse, tuple[int, int]]:
        """The same score as a function of a mask on a layer's activations, in place of the picture.

        Parameters
        ----------
        image : ndarray of shape (C, H, W)
            x0, as `check_image` gives it; it is evaluated twice.
        layer : str
            Name of the part whose output is multiplied by the mask, in all channels; it runs once in a pass.
        where : str
            Call to name in errors.

        Returns
        -------
        response : TorchResponse
            Of masks (1, rows, columns) in [0, 1], with the target that was settled at x0.
        shape : tuple of int
            (rows, columns).

        Raises
        ------
        ValueError
            No such part, or one without rows and columns.
        """
        import torch

        settled, _ = self.bind(image)
        picture = torch.from_numpy(rounded(np.asarray(image)[None], self.dtype)).to(self._devices[0])
        inputs = preprocessed(picture, self.preprocessing, self._weight_dtype)
        if self._settings.channels_last:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        pick = partial(pick_output, where, self._output)
        module, shape = masked_layer(where, settled.module, inputs, layer, pick)
        choices = replace(settled._choices, where=where, target=cast("Score", settled._score).target)
        masks = TorchResponse(
            module,
            choices,
            preprocessing=Preprocessing(),
            preprocessing_given=True,
            input_shape=(1, *shape),
            prior=settled._decision,
            batch_size=self.batch_size,
            devices=self._devices[:1],
            settings=TorchSettings(tf32=self._settings.tf32),
            compose="outside",
            output=None,
        )
        return masks, shape

    def _is_out_of_memory(self, error: Exception) -> bool:
        import torch

        told = isinstance(error, RuntimeError) and any(words in str(error) for words in _TOO_LARGE)
        return told or isinstance(error, MemoryError | torch.OutOfMemoryError)

    def _free_memory(self) -> None:
        super()._free_memory()
        self._replicas.free_memory(self.batch_size)

    # -- settling ------------------------------------------------------------------------------------------------

    def bind(self, image: AnyArray) -> tuple[Self, float]:
        """Evaluate x0 once and measure what autocast and compilation change; see `NetworkResponse.bind`.

        Raises
        ------
        ValueError
            As there; or the compiled network computes something else than the module.
        """
        settled, value = super().bind(image)
        settled._checks = settled._measured(np.asarray(image)) if np.isfinite(value) else {}
        return settled, value

    def _measured(self, image: AnyArray) -> JSON:
        """Errors of autocast and compilation at x0 and around it."""
        settings = self._settings
        if settings.autocast is None and settings.compile_mode is None:
            return {}
        pictures = trial_pictures(rounded(image, self.dtype))

        def outputs(autocast: bool, compiled: bool) -> NDArray[np.generic]:
            def run(at: int, end: int) -> NDArray[np.generic]:
                inputs = self._write(pictures[at:end])
                return self._rows(self._start(inputs, autocast=autocast, compiled=compiled)(), end - at)

            return np.concatenate(self._in_batches(len(pictures), run))

        checks: JSON = {}
        eager = outputs(autocast=True, compiled=False)
        if settings.autocast is not None:
            exact = outputs(autocast=False, compiled=False)
            checks["autocast"] = measure_autocast(cast("Score", self._score), eager, exact)
        if settings.compile_mode is not None:
            tolerance = COMPILED_TOLERANCE["exact" if settings.autocast is None else "autocast"]
            compiled = outputs(autocast=True, compiled=True)
            checks["compile"] = check_compiled(self._choices.where, compiled, eager, tolerance)
        return checks

    def resolved(self, description: JSON) -> Self:
        """The response that an earlier `describe` speaks of, with what was measured then; see `Response`."""
        settled = super().resolved(description)
        settled._checks = dict(description.get("checks") or {})
        return settled

    # -- provenance ----------------------------------------------------------------------------------------------

    @property
    def model_sha256(self) -> str:
        """SHA-256 of the module's class names and of all parameters and buffers when the response was made."""
        return self._sha256

    def _identity(self) -> tuple[object, ...]:
        return (self._code.sha256, self._settings.autocast, self._settings.tf32, self._place)

    def _backend(self) -> JSON:
        import torch

        module = self._replicas.module
        return {
            "kind": "torch",
            "module": type(module).__qualname__,
            "n_parameters": sum(p.numel() for p in module.parameters()),
            "code_sha256": self._code.sha256,
            "fingerprint_complete": self._code.complete,
            **({"fingerprint_gaps": list(self._code.gaps)} if self._code.gaps else {}),
            "forward_hooks": self._hooks,
            "output": self._output if isinstance(self._output, str | int | None) else repr(self._output),
            "weight_dtype": str(self._weight_dtype),
            **describe_devices(self._devices),
            **asdict(self._settings),
            "deterministic": describe_determinism(),
            "compose": self._place,
            "checks": self._checks,
            "threads": torch.get_num_threads(),
            "versions": {**self._code.versions, "torch": torch.__version__, "numpy": np.__version__},
        }


class DeviceScorer(AheadScorer):
    """Scores perturbed pictures that are made where the network runs.

    Parameters
    ----------
    response : TorchResponse
        Settled.
    recipe : Recipe
        How the pictures are made.
    """

    def __init__(self, response: TorchResponse, recipe: Recipe) -> None:
        dtype, last = response._weight_dtype, response._settings.channels_last
        self._response, self._recipe = response, response._input_recipe(recipe)
        # on CUDA alone work goes on by itself: one batch is enough to keep it busy while z is drawn for the next
        self.ahead = 1 if response._devices[0].type == "cuda" else 0
        self._composers = [
            DeviceComposer(self._recipe, response.preprocessing.layout, device, dtype, last)
            for device in response._devices
        ]

    def start(self, z: FloatArray, channel: int | None) -> Callable[[], FloatArray]:
        """Hand z to the device; calling what is returned waits for the scores.

        On CUDA the device works meanwhile: the next batch may be drawn, and started, before these are asked for.
        """
        response, cells = self._response, self._recipe.cells(z, channel)
        response._check_settled()

        def begin(first: int, last: int) -> tuple[int, Pending]:
            def feed(i: int, at: int, end: int) -> torch.Tensor:
                return self._composers[i](cells[first + at : first + end])

            return last - first, response._replicas.start(last - first, response.batch_size, feed)

        parts = response._in_batches(len(z), begin)

        def finish() -> FloatArray:
            return response._scored(joined([response._rows(pending(), n) for n, pending in parts]))

        return finish
