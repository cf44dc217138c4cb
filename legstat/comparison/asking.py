"""One picture before a black box, asked within a budget that is counted and never passed."""

from __future__ import annotations

import numpy as np

from legstat._core.errors import invalid
from legstat._core.typing import AnyArray, FloatArray
from legstat.designs.grid import Grid
from legstat.metrics.masked import Answering
from legstat.metrics.references import ReferenceName, reference_picture
from legstat.perturbations.operators import Blend
from legstat.responses.function import as_response
from legstat.sampling.defaults import default_grid


class Asking:
    """The scores of a picture whose parts are replaced by a baseline, counted against a budget.

    Parameters
    ----------
    where : str
        Name of the method, for errors.
    response : Response or callable
        The black box, with the score that is explained.
    image : ndarray of shape (C, H, W)
        x0 in [0, 1], as `Response.check_image` gives it.
    n_queries : int
        Ceiling on evaluations, f(x0) included.
    baseline : str or ndarray, default "blur"
        What parts are replaced by; see `legstat.metrics.deletion`.

    Attributes
    ----------
    spent : int
        Evaluations so far; f(x0) is the first.
    f_x0 : float
        The score of x0.
    """

    def __init__(
        self,
        where: str,
        response: Answering,
        image: FloatArray,
        n_queries: int,
        baseline: ReferenceName | FloatArray = "blur",
    ) -> None:
        black_box = as_response(response)
        self.reference = reference_picture(where, baseline, image, black_box)
        self.where, self.image, self.n_queries = where, image, n_queries
        self.response, self.f_x0 = black_box.bind(image)
        self.spent = 1

    @property
    def left(self) -> int:
        """Evaluations that are left."""
        return self.n_queries - self.spent

    def scores(self, keep: AnyArray) -> FloatArray:
        """Scores of ``reference + keep (x0 - reference)``, shape (n,).

        Parameters
        ----------
        keep : ndarray of shape (n, p1, p2)
            Share of the picture that each cell keeps, in [0, 1]; cells of one pixel are allowed.

        Raises
        ------
        ValueError
            More than is left of the budget.
        """
        if len(keep) > self.left:
            text = f"{len(keep)} evaluations with {self.left} left of {self.n_queries}"
            raise ValueError(invalid(self.where, "n_queries", text, "kept"))
        self.spent += len(keep)
        recipe = Blend(self.reference, at=0.5).recipe(self.image, Grid(keep.shape[1:]), self.response.dtype)
        score = self.response.scorer(recipe)
        step = max(self.response.batch_size, self.response.together)
        return np.concatenate([score(keep[at : at + step, None] - 0.5, None) for at in range(0, len(keep), step)])


def map_shape(shape: tuple[int, int] | None, image: FloatArray) -> tuple[int, int]:
    """Cells of a map: as asked, or the default grid of the picture."""
    return default_grid(*image.shape[-2:]) if shape is None else shape


def resized(values: AnyArray, shape: tuple[int, int], order: str = "bilinear") -> FloatArray:
    """A map on another grid: means over cells where that is coarser and divides, pillow's resampling else."""
    from PIL import Image

    array = np.asarray(values, dtype=np.float64)
    if array.shape == shape:
        return array
    if array.shape[0] % shape[0] == 0 and array.shape[1] % shape[1] == 0:
        return Grid(shape).cell_means(array)
    filters = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
    picture = Image.fromarray(array.astype(np.float32)).resize((shape[1], shape[0]), filters[order])
    return np.asarray(picture, dtype=np.float64)
