"""One picture under masks, scored: all that metrics ask a response, batched and counted."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cached_property

import numpy as np

from legstat._core.checks import check_rng
from legstat._core.errors import LegstatWarning, invalid
from legstat._core.pictures import rounded
from legstat._core.typing import AnyArray, FloatArray, IntArray
from legstat.designs.grid import Grid
from legstat.perturbations.operators import Blend
from legstat.responses.base import Response
from legstat.responses.function import as_response

Answering = Response | Callable[[AnyArray], AnyArray]
"""What a metric takes as the black box."""


class MaskedPicture:
    """A picture x0 that cells are taken from, or given back to, and the response's answers to that.

    Parameters
    ----------
    where : str
        The public call, for errors.
    response : Response or callable
        The black box. A network's score is the probability of its target; a function's is what it returns.
    image : ndarray of shape (C, H, W)
        x0 in [0, 1].
    shape : tuple of int
        Cells of the masks.

    Attributes
    ----------
    opened : Response
        The response as it was given; nothing is evaluated before `bound` is asked for.
    n_queries : int
        Evaluations so far.
    """

    def __init__(self, where: str, response: Answering, image: AnyArray, shape: tuple[int, int]) -> None:
        black_box = as_response(response)
        picture = black_box.check_image(image, where)
        self.where, self.image, self.grid = where, picture, Grid(shape)
        self.grid.tiling(*picture.shape[-2:])
        self.opened, self.n_queries = black_box.as_probability(), 0

    @cached_property
    def bound(self) -> tuple[Response, float]:
        """The response bound at x0, and its score there."""
        self.n_queries += 1
        return self.opened.bind(self.image)

    @property
    def f_x0(self) -> float:
        """The score of x0."""
        return self.bound[1]

    @property
    def response(self) -> Response:
        """The response, bound at x0."""
        return self.bound[0]

    def scores(self, reference: FloatArray, keep: FloatArray) -> FloatArray:
        """Scores of ``reference + keep (x0 - reference)`` for shares `keep` of shape (n, p1, p2); shape (n,)."""
        recipe = Blend(reference, at=0.5).recipe(self.image, self.grid, self.response.dtype)
        score = self.response.scorer(recipe)
        step = max(self.response.batch_size, self.response.together)
        z = keep[:, None] - 0.5  # the recipe adds its 0.5 again: shares 0 and 1 are met exactly
        self.n_queries += len(z)
        return np.concatenate([score(z[at : at + step], None) for at in range(0, len(z), step)])

    def picture_scores(self, pictures: FloatArray) -> FloatArray:
        """Scores of pictures of shape (n, C, H, W), batch by batch."""
        step, f = self.response.batch_size, self.response
        self.n_queries += len(pictures)
        return np.concatenate([f(rounded(pictures[at : at + step], f.dtype)) for at in range(0, len(pictures), step)])

    def top_classes(self, reference: FloatArray, keep: FloatArray) -> IntArray:
        """The network's first choice for the pictures that `scores` would score."""
        recipe = Blend(reference, at=0.5).recipe(self.image, self.grid, self.response.dtype)
        self.n_queries += len(keep)
        return self.response.top_classes_under(recipe, keep[:, None] - 0.5)


def check_map(where: str, saliency: AnyArray) -> FloatArray:
    """A map as finite float64 of shape (p1, p2), or an error."""
    values = np.asarray(saliency)
    remedy = "Pass one number a cell, `results.saliency`; sum or average maps of several channels first."
    if values.ndim != 2 or not values.size or values.dtype.kind not in "fiub":
        raise ValueError(
            invalid(where, "saliency", f"{values.dtype} of shape {values.shape}", "a map (p1, p2)", remedy)
        )
    if not np.isfinite(values).all():
        raise ValueError(invalid(where, "saliency", "NaN or infinity", "finite"))
    return values.astype(np.float64)


def ranked(where: str, saliency: FloatArray, rng: object) -> tuple[IntArray, int]:
    """Cells in descending order of their value, ties in an order that `rng` decides, and how many cells are tied.

    The place in memory says nothing of importance, yet a stable sort would rank tied cells by it.
    """
    flat = saliency.ravel()
    shuffle = check_rng(where, rng).permutation(flat.size)
    order = shuffle[np.argsort(-flat[shuffle], kind="stable")]
    _, counts = np.unique(flat, return_counts=True)
    if counts.size == 1 and flat.size > 1:
        warnings.warn(
            f"legstat.{where}: the map is constant: its cells are ranked at random, and what is measured is chance.",
            LegstatWarning,
            stacklevel=4,
        )
    return order.astype(np.int64), int(counts[counts > 1].sum())


def removed_shares(order: IntArray, counts: IntArray, shape: tuple[int, int]) -> FloatArray:
    """For each count k, 1 on the first k cells of the order and 0 elsewhere; shape (len(counts), p1, p2)."""
    rank = np.empty(order.size, dtype=np.int64)
    rank[order] = np.arange(order.size)
    return (rank < counts[:, None]).astype(np.float64).reshape(-1, *shape)
