"""The black box as the rest of the package sees it: images in, one number per image out."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np

from legstat._core.checks import check_count
from legstat._core.errors import invalid
from legstat._core.pictures import check_picture, rounded
from legstat._core.typing import JSON, AnyArray, FloatArray, IntArray
from legstat.perturbations.recipe import Recipe, Scorer
from legstat.responses.pictures import read_picture

ImageShape = tuple[int | None, int | None, int | None]
"""(channels, rows, columns) that a response takes; None where any number does."""


class Response(ABC):
    """A function f from pictures to scores, with what is needed to write down which function it was.

    Attributes
    ----------
    dtype : numpy.dtype
        Type in which images are handed over: float32 for networks, float64 for plain callables.
    batch_size : int
        Images per call that the evaluation loop should hand over at most.
    input_shape : tuple of (int or None) or None
        (C, H, W) that is taken; None inside where free, None altogether where unknown.
    score_name : str
        "probability", "logit", "log_odds", "difference" or "custom".
    bounded : bool or None
        Whether ``|score| <= 1`` holds for certain; None where unknown.
    together : int
        Pictures that a scorer is best handed at once where its batches are smaller; it then goes batch by batch itself,
        and hands on what was answered where one fails.
    """

    dtype: np.dtype[np.floating] = np.dtype(np.float64)
    batch_size: int = 64
    input_shape: ImageShape | None = None
    score_name: str = "custom"
    bounded: bool | None = None
    together: int = 1

    @abstractmethod
    def __call__(self, images: AnyArray) -> FloatArray:
        """Scores of a batch of images.

        Parameters
        ----------
        images : ndarray of shape (n, C, H, W)
            RGB (or grey) in [0, 1].

        Returns
        -------
        ndarray of shape (n,)
            float64 scores. NaN is handed on as it is.
        """

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """SHA-256 (hexadecimal) of all that determines the scores."""

    @abstractmethod
    def describe(self) -> JSON:
        """What a record needs to know about the response, as a mapping that JSON takes."""

    @property
    def files(self) -> Mapping[str, Path]:
        """Files that the scores depend on, by what they are: ``{"model": path}``; none unless overruled."""
        return {}

    @property
    def constant_files(self) -> Mapping[str, Path]:
        """Files that values of further inputs were read from, by name of the input; none unless overruled."""
        return {}

    def bind(self, image: AnyArray) -> tuple[Response, float]:
        """Evaluate f(x0) once and settle what depended on it.

        Parameters
        ----------
        image : ndarray of shape (C, H, W)
            The picture x0, as `check_image` gives it; it is not checked again.

        Returns
        -------
        response : Response
            The response with nothing left to choose (a target "top" is now an index).
        value : float
            f(x0). One evaluation was spent.
        """
        image = np.asarray(image)
        return self, float(self(rounded(image[None], self.dtype))[0])

    def scorer(self, recipe: Recipe) -> Scorer:
        """What scores perturbed pictures from their z, as the evaluation loop asks for them.

        The pictures are made here, with numpy, each batch in an array of its own, and handed to the response. A network
        may overrule this and make its input straight from z, where it runs.

        Parameters
        ----------
        recipe : Recipe
            How the pictures are made, in the response's `dtype`.

        Returns
        -------
        callable
            ``(z, channel) -> scores``: z of shape (n, planes, p1, p2), scores of shape (n,) as from a call of the
            response; `channel` is the only one that one plane acts on, or None.
        """
        compose = recipe.composer()

        def score(z: FloatArray, channel: int | None) -> FloatArray:
            return self(compose(z, channel))

        return score

    def variants(self) -> tuple[Self, ...]:
        """Ways to compute the same scores among which a measurement may choose: this one alone, unless overruled."""
        return (self,)

    trials: int = 0
    """Evaluations, beside that of x0, by which the last `bind` tried how the black box answers."""
    has_classes: bool = False
    """Whether the black box chooses among classes, so that `top_classes` has an answer."""

    def as_probability(self, first: int | None = None) -> Response:
        """The same black box with the probability of its target as score; a plain function has the one score only.

        With `first` the probability of as many first choices together: TypeError where there are no classes.
        """
        if first is not None:
            where = f"{type(self).__name__}.as_probability"
            raise TypeError(invalid(where, "first", first, "left out of a plain function, which has no classes"))
        return self

    def top_classes(self, images: AnyArray) -> IntArray:
        """The first choice for each picture (n, C, H, W), shape (n,); TypeError where there are no classes."""
        text = invalid(f"{type(self).__name__}.top_classes", "response", self, "a network, which has classes")
        raise TypeError(text)

    def top_classes_under(self, recipe: Recipe, z: FloatArray) -> IntArray:
        """The first choice for each picture that z (n, 1, p1, p2) makes, shape (n,); see `scorer`."""
        return self.top_classes(recipe.composer()(z, None))

    def zero_colour(self, channels: int) -> FloatArray:
        """The colour that the black box is handed as zeros, shape (channels,): black unless it preprocesses."""
        return np.zeros(channels)

    def with_batch_size(self, batch_size: int) -> Self:
        """The same response with another batch size.

        Parameters
        ----------
        batch_size : int
            Images per call at most.

        Returns
        -------
        Response
            A copy that shares everything else.
        """
        other = copy.copy(self)
        other.batch_size = check_count(f"{type(self).__name__}.with_batch_size", "batch_size", batch_size)
        return other

    def resolved(self, description: JSON) -> Response:
        """The response that `description` (from `describe`) speaks of, without an evaluation.

        Parameters
        ----------
        description : dict
            What `describe` returned after `bind`.

        Returns
        -------
        Response
            This response, with the same choices made.

        Raises
        ------
        ValueError
            If the description is of another response.
        """
        if description.get("fingerprint") != self.fingerprint:
            raise ValueError(
                invalid(
                    f"{type(self).__name__}.resolved",
                    "description",
                    description.get("fingerprint"),
                    f"the description of this response (fingerprint {self.fingerprint})",
                    "Pass the very function that the earlier run was made with. Where you know that it gives the same "
                    "scores (it only counts its calls; it was hashed by an earlier version), say so by its attribute: "
                    f"f.fingerprint = {description.get('fingerprint')!r}.",
                )
            )
        return self

    def load_image(self, path: str | Path) -> FloatArray:
        """Read a picture as RGB (grey if the response takes one channel) in [0, 1].

        Parameters
        ----------
        path : str or Path
            Picture file.

        Returns
        -------
        ndarray of shape (C, H, W)
            float64 in [0, 1]; resized and cropped by the response's own rule where it has one, else as it is.
        """
        grey = self.input_shape is not None and self.input_shape[0] == 1
        return self.check_image(read_picture(path, channels=1 if grey else 3), where="load_image")

    def load_boxes(self, path: str | Path, boxes: Sequence[Sequence[float]]) -> list[list[float]]:
        """Boxes of a picture file where they lie in what `load_image` makes of it.

        Parameters
        ----------
        path : str or Path
            Picture file.
        boxes : sequence of (x0, y0, x1, y1)
            In pixels of the file's picture, upright; right and lower edges outside.

        Returns
        -------
        list of list of float
            In pixels of the picture that the response takes; what a crop leaves out is left out.
        """
        return [[float(edge) for edge in box] for box in boxes]

    def check_image(self, image: AnyArray, where: str = "query") -> FloatArray:
        """A picture that this response takes, or an error before anything is evaluated: the one check of a picture.

        Parameters
        ----------
        image : ndarray
            Should be of shape (C, H, W), finite and within [0, 1].
        where : str
            Call to name in the error.

        Returns
        -------
        ndarray of shape (C, H, W)
            A read-only copy in float64, which later stages take as it is.

        Raises
        ------
        TypeError
            It is no array of real numbers.
        ValueError
            NaN or infinity; values outside [0, 1]; wrong number of axes, channels, rows or columns; channels last.
        """
        picture = check_picture(where, image)
        self._check_shape(picture.shape, where)
        return picture

    def _check_shape(self, shape: tuple[int, ...], where: str) -> None:
        """ValueError unless pictures of this shape are taken."""
        if len(shape) != 3:
            raise ValueError(
                invalid(where, "image", shape, "an array of shape (C, H, W)", "Pass one picture, channels first.")
            )
        if self.input_shape is None:
            return
        names = ("channels", "rows", "columns")
        wanted = tuple("any" if size is None else size for size in self.input_shape)
        for size, need, name in zip(shape, self.input_shape, names, strict=True):
            if need is not None and size != need:
                last = shape[-1] == self.input_shape[0] and name == "channels"
                hint = "The channels are last here: pass image.transpose(2, 0, 1)." if last else ""
                raise ValueError(
                    invalid(
                        where,
                        "image",
                        shape,
                        f"of shape (C, H, W) = ({', '.join(map(str, wanted))}), as the network's input (wrong: {name})",
                        hint or "`response.load_image(path)` reads, resizes and crops a picture file to that shape.",
                    )
                )
