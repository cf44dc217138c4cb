"""How a network's outputs become scores, batch by batch, whatever runs the network."""

from __future__ import annotations

import math
import threading
import warnings
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from legstat._core.errors import LegstatWarning, PartialAnswerError, invalid
from legstat._core.typing import AnyArray, FloatArray, IntArray
from legstat.perturbations.recipe import Recipe, Room, Scorer
from legstat.responses.base import ImageShape, Response
from legstat.responses.network.input import InputLayout, InputWriter
from legstat.responses.network.outputs import Decision, class_rows, joined
from legstat.responses.network.preprocessing import Preprocessing
from legstat.responses.network.scores import Score, probabilities
from legstat.responses.network.target import Choices

Part = TypeVar("Part")
"""What evaluating one batch gives."""

Writer = Callable[[int, int], NDArray[np.generic]]
"""The network's input for pictures `at` to `end` of a batch, in the network's layout; valid until the next call."""

_BATCH_NUMBERS = 610_000
"""Input numbers per batch where nothing was measured: 4 pictures of 224 x 224, the fastest on two cores; 64 digits."""


def usual_batch_size(shape: Sequence[int | None]) -> int:
    """Images per call where nothing was measured, for pictures of (C, H, W); 224 x 224 where free."""
    numbers = math.prod(size or free for size, free in zip(shape, (3, 224, 224), strict=True))
    return min(max(_BATCH_NUMBERS // numbers, 1), 64)


class NetworkEvaluation(Response):
    """Pictures, or z, to the network's input, its outputs to scores; a batch that does not fit is halved.

    Parameters
    ----------
    choices : Choices
        What is asked of the outputs.
    preprocessing : Preprocessing
        With the layout settled.
    input_shape : tuple of (int or None)
        (C, H, W) that the network takes.
    input_dtype : numpy.dtype
        Of its input.
    """

    dtype = np.dtype(np.float32)

    def __init__(
        self,
        choices: Choices,
        preprocessing: Preprocessing,
        input_shape: ImageShape,
        input_dtype: np.dtype[np.generic],
    ) -> None:
        self._choices, self.preprocessing, self.input_shape = choices, preprocessing, input_shape
        self._input_dtype = input_dtype
        # a float16 network is handed float32, and rounds it at its own door
        self._written_dtype = np.dtype(np.float32) if input_dtype == np.float16 else input_dtype
        if input_dtype == np.float64:
            self.dtype = np.dtype(np.float64)
        preprocessing.affine(input_shape[0] or 3)
        self._score: Score | None = None
        self._decision: Decision | None = None
        self.saturated = 0
        self._local, self._room = threading.local(), Room()

    @abstractmethod
    def _forward(self, inputs: NDArray[np.generic]) -> NDArray[np.generic]:
        """Raw class output for a batch in the network's own layout and dtype."""

    def _is_out_of_memory(self, error: Exception) -> bool:
        """Whether `error` says that the batch did not fit."""
        return isinstance(error, MemoryError)

    def _free_memory(self) -> None:
        """Give back what is kept for batches of a size that did not fit."""
        self._local, self._room = threading.local(), Room()

    def _usual_batch_size(self, shape: Sequence[int | None]) -> int:
        """Images per call where nothing was asked for, for pictures of (C, H, W)."""
        return usual_batch_size(shape)

    def _usual_together(self, shape: Sequence[int | None]) -> int:
        """Pictures of (C, H, W) to make at once where batches are smaller: 32 of 224 x 224 (20 MB), fewer if larger."""
        return min(8 * usual_batch_size(shape), 32)

    def __call__(self, images: AnyArray) -> FloatArray:
        """Scores of a batch; see `Response`."""
        self._check_settled()
        return self._scored(self.class_outputs(images))

    def scorer(self, recipe: Recipe) -> Scorer:
        """What scores perturbed pictures from their z: z goes straight to the network's input; see `Response`."""
        compose = self._composed_writer(recipe)

        def score(z: FloatArray, channel: int | None) -> FloatArray:
            # all that are handed over at once: one after the other costs half of one between two runs of the network
            inputs = compose(z, channel)
            return self._scores(len(z), lambda at, end: inputs[at:end])

        return score

    def _input_recipe(self, recipe: Recipe) -> Recipe:
        """The recipe of the network's input, but for layout and type."""
        channels = len(recipe.base)
        return recipe.then(*self.preprocessing.affine(channels), reverse=self.preprocessing.reverses(channels))

    def _composed_writer(self, recipe: Recipe) -> Callable[[FloatArray, int | None], NDArray[np.generic]]:
        """What makes the network's input from z with numpy; valid until the next batch is made in this thread."""
        compose = self._input_recipe(recipe).composer(room=self._room)
        layout = InputLayout(self.preprocessing, self._written_dtype)
        return lambda z, channel: layout(compose(z, channel))

    def _scores(self, n: int, write: Writer) -> FloatArray:
        """Scores of n pictures whose input ``write(at, end)`` gives.

        Raises
        ------
        PartialAnswerError
            A batch failed after others had been answered; it holds their scores.
        """
        self._check_settled()
        rows: list[NDArray[np.generic]] = []
        try:
            self._in_batches(n, lambda at, end: rows.append(self._rows(self._forward(write(at, end)), end - at)))
        except BaseException as error:  # an interrupt too: what is paid for is handed on
            if not rows:
                raise
            scores, known = np.full(n, np.nan), self._scored(np.concatenate(rows))
            scores[: len(known)] = known
            raise PartialAnswerError(f"{type(error).__name__}: {error}", scores) from error
        return self._scored(joined(rows))

    def _check_settled(self) -> None:
        """Refuse to evaluate anything while it is open what is asked of it."""
        if self._score is None:
            raise ValueError(
                invalid(
                    self._choices.where,
                    "target",
                    self._choices.target,
                    "settled before images are scored",
                    "Call `response, value = response.bind(image)` first, as legstat.query does.",
                )
            )

    def _scored(self, outputs: NDArray[np.generic]) -> FloatArray:
        """Scores of class outputs (n, K); counts those that had to be censored."""
        values, saturated = cast("Score", self._score)(outputs)
        self.saturated += saturated
        return values

    def class_outputs(self, images: AnyArray) -> NDArray[np.generic]:
        """The network's class outputs as they are, for a batch of any length.

        Where a batch does not fit the memory it is halved, with a warning, and the rest goes on in that size.

        Parameters
        ----------
        images : ndarray of shape (n, C, H, W)
            In [0, 1].

        Returns
        -------
        ndarray of shape (n, K)
            In the network's own type.
        """
        self._check_shape(images.shape[1:], self._choices.where)
        return self._outputs(len(images), lambda at, end: self._write(images[at:end]))

    def _outputs(self, n: int, write: Writer) -> NDArray[np.generic]:
        """Class outputs of n pictures whose input ``write(at, end)`` gives."""
        parts = self._in_batches(n, lambda at, end: self._rows(self._forward(write(at, end)), end - at))
        return joined(parts)

    def _in_batches(self, n: int, evaluate: Callable[[int, int], Part]) -> list[Part]:
        """``evaluate(at, end)`` for pictures 0 to n, batch by batch; halved, with a warning, where one does not fit."""
        parts: list[Part] = []
        at = 0
        while at < n or not parts:
            end = min(at + self.batch_size, n)
            try:
                parts.append(evaluate(at, end))
                at = end
                continue
            except Exception as error:
                if end - at <= 1 or not self._is_out_of_memory(error):
                    raise
                reason = str(error)
            # out here the error is gone, and with it the frames that held the batch
            self.batch_size = (end - at) // 2
            self._free_memory()
            warnings.warn(
                f"{self._choices.where}: a batch of {end - at} did not fit the memory ({reason}); going on with "
                f"{self.batch_size}.",
                LegstatWarning,
                stacklevel=4,
            )
        return parts

    def _rows(self, raw: NDArray[np.generic], n: int) -> NDArray[np.generic]:
        """Class outputs (n, K), or an error where K is another than it was."""
        rows = class_rows(raw, n, self._choices.where)
        known = self._choices.n_classes
        if known is not None and rows.shape[1] != known:
            remedy = "The network gives another number of classes for one batch than for another: mend it."
            raise ValueError(invalid(self._choices.where, "output", rows.shape, f"of {known} columns", remedy))
        return rows

    def class_probabilities(self, images: AnyArray) -> FloatArray:
        """Probabilities of all classes.

        Parameters
        ----------
        images : ndarray of shape (n, C, H, W)
            In [0, 1].

        Returns
        -------
        ndarray of shape (n, K)
            float64.
        """
        if self._decision is None:
            raise ValueError(
                invalid(self._choices.where, "output_kind", None, "settled", "Call `response.bind(image)` first.")
            )
        return probabilities(self.class_outputs(images).astype(np.float64), self._decision.kind)

    def top_classes(self, images: AnyArray) -> IntArray:
        """Index of the largest class output for each picture (n, C, H, W), shape (n,)."""
        return np.asarray(np.argmax(self.class_outputs(images), axis=1), dtype=np.int64)

    def top_classes_under(self, recipe: Recipe, z: FloatArray) -> IntArray:
        """The first choice for each picture that z makes; z goes straight to the network's input, as for scores."""
        compose = self._composed_writer(recipe)

        def classes(some: FloatArray) -> IntArray:
            inputs = compose(some, None)
            outputs = self._outputs(len(some), lambda at, end: inputs[at:end])
            return np.asarray(np.argmax(outputs, axis=1), dtype=np.int64)

        step = max(self.batch_size, self.together)
        return np.concatenate([classes(z[at : at + step]) for at in range(0, len(z), step)])

    def zero_colour(self, channels: int) -> FloatArray:
        """The colour whose input is zeros, shape (channels,); it may lie outside [0, 1]."""
        factor, offset = self.preprocessing.affine(channels)
        colour = -offset / factor
        return colour[::-1] if self.preprocessing.reverses(channels) else colour

    def _write(self, images: AnyArray) -> NDArray[np.generic]:
        """Images to network input, in this thread's own buffer."""
        writer: InputWriter | None = getattr(self._local, "writer", None)
        if writer is None:
            channels = self.input_shape[0] if self.input_shape and self.input_shape[0] else images.shape[1]
            writer = self._local.writer = InputWriter(self.preprocessing, channels, self._written_dtype)
        return writer(images)
