"""Real black boxes in a study: a response and a picture, and a reference in place of a known truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from legstat._core.checks import check_count
from legstat._core.digests import value_sha256
from legstat._core.errors import invalid
from legstat._core.typing import JSON, AnyArray, FloatArray
from legstat._core.values import read_only
from legstat.designs.dense import DENSE_LIMIT
from legstat.designs.grid import Grid
from legstat.estimators.leg import LEG
from legstat.perturbations.operators import Additive, Perturbation
from legstat.responses.base import Response
from legstat.responses.function import as_response
from legstat.sampling.query import query
from legstat.studies.cells import Cell, digest, stream

FEWEST_FOR_LEAST_SQUARES = 3
"""Observations for each unknown from which the reference is a least-squares fit."""


class Function(Protocol):
    """A plain function of pictures."""

    def __call__(self, images: AnyArray, /) -> AnyArray:
        """Scores of pictures (n, C, H, W)."""


@dataclass(frozen=True, eq=False)
class Subject:
    """A black box at a picture, to be studied in place of a simulated response.

    Parameters
    ----------
    f : Response or callable
        The black box.
    image : ndarray of shape (C, H, W)
        x0.
    gamma : ndarray of shape (p1, p2), optional
        The truth where it is known. Left out, a reference takes its place: LEG from one sample of `reference_queries`
        evaluations, least squares where it has 3 observations for each unknown, cross-fitted else.
    perturbation : Perturbation, optional
        How z acts; ``Additive()``, which clips, unless given.
    reference_queries : int, default 100000
        Model evaluations of the reference.
    name : str, default "subject"
        Name in the tables.

    Raises
    ------
    ValueError
        If an argument cannot be right.

    Notes
    -----
    A reference is unbiased with a known covariance, and independent of the replicates. So the mean squared distance
    from it is the mean squared error plus the reference's own: `StudyResults.cells` subtracts that and reports both.

    Examples
    --------
    >>> import legstat as ls
    >>> subject = Subject(ls.simulate.linear(np.eye(4)), np.full((1, 4, 4), 0.5), name="eye")
    >>> subject
    Subject('eye', 1x4x4, reference of 100000 evaluations)
    """

    f: Response | Function
    image: AnyArray
    gamma: AnyArray | None = None
    perturbation: Perturbation | None = None
    reference_queries: int = 100_000
    name: str = "subject"

    def __post_init__(self) -> None:
        where, image = "studies.Subject", np.array(self.image, dtype=np.float64)
        if image.ndim != 3 or not np.isfinite(image).all():
            raise ValueError(invalid(where, "image", image.shape, "a finite array of shape (C, H, W)"))
        set_ = object.__setattr__
        set_(self, "image", read_only(image))
        set_(self, "f", as_response(self.f))
        set_(self, "reference_queries", check_count(where, "reference_queries", self.reference_queries))
        if self.gamma is not None:
            gamma = np.array(self.gamma, dtype=np.float64)
            if gamma.ndim != 2 or not np.isfinite(gamma).all():
                raise ValueError(invalid(where, "gamma", gamma.shape, "a finite array of shape (p1, p2)"))
            set_(self, "gamma", gamma)

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.image.shape))
        truth = "gamma known" if self.gamma is not None else f"reference of {self.reference_queries} evaluations"
        return f"Subject({self.name!r}, {shape}, {truth})"

    @property
    def response(self) -> Response:
        """The black box as a response."""
        return as_response(self.f)

    @property
    def operator(self) -> Perturbation:
        """How z acts."""
        return Additive() if self.perturbation is None else self.perturbation

    @property
    def digest(self) -> str:
        """What determines its scores, its picture and its truth, as one SHA-256."""
        law = (type(self.operator).__name__, self.operator.parameters())
        known = self.reference_queries if self.gamma is None else np.asarray(self.gamma)
        return value_sha256(self.response.fingerprint, np.asarray(self.image), *law, known)[0]

    def check(self, grid: Grid) -> None:
        """ValueError where the grid has more cells than the picture has pixels, or gamma lies on another one."""
        if self.gamma is not None and np.shape(self.gamma) != grid.shape:
            raise ValueError(
                invalid("studies.Subject", "gamma", np.shape(self.gamma), f"of the grid's shape {grid.shape}")
            )
        grid.tiling(*self.image.shape[-2:])

    def reference_key(self, cell: Cell, seed: int) -> str:
        """Name of the reference that a cell is measured against: cells that differ in n alone share it."""
        return digest({"reference": self._experiment(cell), "seed": seed})

    def _experiment(self, cell: Cell) -> JSON:
        content = cell.content()
        return {name: content[name] for name in ("response", "grid", "design", "sigma", "antithetic")}


@dataclass(frozen=True, eq=False)
class Reference:
    """What replicates are compared with, and how far it may itself be from the truth.

    Attributes
    ----------
    gamma : ndarray of shape (p,)
        The reference.
    mse, mse_up_to_mean : float
        Its own mean squared error, estimated; 0 for a truth that is known.
    queries : int
        Model evaluations behind it.
    """

    gamma: FloatArray
    mse: float = 0.0
    mse_up_to_mean: float = 0.0
    queries: int = 0

    def payload(self) -> JSON:
        """Plain values, from which `Reference.read` makes it again, to the bit."""
        return {**vars(self), "gamma": self.gamma.tolist()}

    @classmethod
    def read(cls, payload: JSON) -> Reference:
        """What `payload` wrote."""
        return cls(**{**payload, "gamma": np.array(payload["gamma"])})


def make_reference(subject: Subject, cell: Cell, seed: int, cache: Path | None = None) -> Reference:
    """The truth of a subject where it is known, else one large sample's LEG.

    Parameters
    ----------
    subject : Subject
        Response and picture.
    cell : Cell
        Gives design, scale and pairing.
    seed : int
        The study's.
    cache : Path, optional
        Folder in which answers are kept, so that a reference that was interrupted goes on.

    Returns
    -------
    Reference
        With its own error.
    """
    if subject.gamma is not None:
        return Reference(np.asarray(subject.gamma).ravel())
    sample = query(
        subject.response,
        subject.image,
        cell.law,
        subject.reference_queries,
        perturbation=subject.operator,
        antithetic=cell.antithetic,
        rng=stream({"reference": subject._experiment(cell)}, seed),
        cache=cache,
        progress=False,
    )
    p = cell.grid[0] * cell.grid[1]
    dense = p <= DENSE_LIMIT and min(sample.n_units) >= FEWEST_FOR_LEAST_SQUARES * p
    result = LEG(sample, moments="least_squares" if dense else "crossfit").fit()
    covariance = result.cov_params()
    total = float(np.trace(covariance))
    return Reference(result.params.copy(), total, total - float(covariance.sum()) / p, sample.ledger.spent)
