"""Designs: the laws F from which the perturbations z of the grid's cells are drawn.

A design knows its covariance Sigma, how to multiply and solve with it, and how to draw. Draws come in numbered blocks
of `BLOCK` units from a counter-based generator: block j of a stream depends on the key, the stream and j alone, so a
draw is the same whatever the batch size, the order of evaluation or the process that makes it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, Self, SupportsFloat, get_args

import numpy as np
import scipy.linalg
import scipy.sparse

from legstat._core.conventions import Boundary, Channels, Conventions, clash
from legstat._core.errors import invalid
from legstat._core.typing import JSON, FloatArray
from legstat.designs.grid import Grid, parse_shape

BLOCK = 32
"""Units in one block of draws. Part of the sample format: changing it changes every draw."""

Key = tuple[int, int]
"""The two 64-bit words that key the generator."""


class Design(ABC):
    """A centred Gaussian law of the cell perturbations z, Cov(vec z) = Sigma.

    Parameters
    ----------
    grid : tuple of int
        Rows and columns of cells, (p1, p2).
    scale : float
        sigma; positive.
    channels : {"shared", "separate", "joint"}, optional
        "shared" unless conventions say otherwise.
    boundary : {"free", "zero"}, optional
        "free" (the paper) unless conventions say otherwise; "zero" is the authors' padded D.

    Attributes
    ----------
    grid : Grid
        The grid of cells, with the boundary of its differencing operator.
    scale : float
        sigma, in units of the perturbed quantity: pixel values in [0, 1] (or mask levels with `Blend`).
    channels : {"shared", "separate", "joint"}
        "shared": one z for all channels, p unknowns. "separate": one channel at a time, each with its own share of the
        budget (the paper). "joint": an independent z for each channel, C p unknowns.
    """

    def __init__(
        self, grid: tuple[int, int], scale: float, channels: Channels | None = None, boundary: Boundary | None = None
    ) -> None:
        name = type(self).__name__
        self.scale = _check_scale(name, scale)
        if channels is not None and channels not in get_args(Channels):
            raise ValueError(invalid(name, "channels", channels, '"shared", "separate" or "joint"'))
        self.grid = Grid(parse_shape(name, grid), "free" if boundary is None else boundary)
        self.channels: Channels = channels or "shared"
        # what the user named, as opposed to what is a default: conventions may fill the latter, not overrule the former
        self._named: dict[str, Any] = {"channels": channels, "boundary": boundary}

    @abstractmethod
    def covariance(self, v: FloatArray) -> FloatArray:
        """Sigma v for cell vectors of shape (..., p)."""

    @abstractmethod
    def solve(self, v: FloatArray) -> FloatArray:
        """Sigma^{-1} v for cell vectors of shape (..., p)."""

    @abstractmethod
    def root(self, v: FloatArray) -> FloatArray:
        """R v for cell vectors of shape (..., p), where R R^T = Sigma; symmetric where the class says so."""

    @property
    @abstractmethod
    def n_normals(self) -> int:
        """Standard normals that one draw of p cells takes."""

    @abstractmethod
    def from_normals(self, normals: FloatArray) -> FloatArray:
        """Turn standard normals of shape (k, n_normals) into draws of shape (k, p)."""

    @property
    def constant_eigenvalue(self) -> float | None:
        """lambda_1 where Sigma 1 = lambda_1 1, else None: LEG-TV then leaves the mean of g to the moment vector."""
        return None

    @property
    def sparse_parts(self) -> tuple[scipy.sparse.csr_array, FloatArray] | None:
        """(A, u) with Sigma = A + u u^T, A sparse of shape (p, p) and u of shape (p,); None where Sigma is dense."""
        return None

    def covariance_matrix(self) -> FloatArray:
        """Sigma as a dense p x p matrix; O(p^2) memory."""
        return self.covariance(np.eye(self.grid.n_cells))

    @cached_property
    def variances(self) -> FloatArray:
        """Diagonal of Sigma, shape (p,)."""
        return np.ascontiguousarray(np.diag(self.covariance_matrix()))

    def draw(self, key: Key, stream: int, block: int, planes: int = 1) -> FloatArray:
        """Block number `block` of the draws of one stream.

        Parameters
        ----------
        key : pair of int
            Key of the generator (Philox 4x64).
        stream : int
            Stream under that key; "separate" channels use their number.
        block : int
            Number of the block, from 0.
        planes : int, default 1
            Independent planes of one unit: the number of channels for a "joint" design.

        Returns
        -------
        ndarray of shape (BLOCK, planes, p1, p2)
            The draws; always the whole block.
        """
        bits = np.random.Philox(
            key=np.array(key, dtype=np.uint64), counter=np.array([0, 0, stream, block], dtype=np.uint64)
        )
        normals = np.random.Generator(bits).standard_normal((BLOCK * planes, self.n_normals))
        return self.from_normals(normals).reshape(BLOCK, planes, *self.grid.shape)

    def with_conventions(self, conventions: Conventions) -> Self:
        """This design with everything the user left open set as the conventions say.

        Raises
        ------
        ValueError
            If the user named a boundary or channels that contradict the conventions.
        """
        if conventions.name == "default":
            return self
        for name in ("boundary", "channels"):
            named, implied = self._named[name], getattr(conventions, name)
            if named is not None and named != implied:
                raise clash(type(self).__name__, name, named, conventions, implied)
        return self.replace(boundary=conventions.boundary, channels=conventions.channels)

    def parameters(self) -> JSON:
        """Constructor arguments, all but arrays as plain JSON values."""
        return {"grid": self.grid.shape, "scale": self.scale, "channels": self.channels, "boundary": self.grid.boundary}

    def replace(self, **changes: Any) -> Self:
        """The same design with some constructor arguments changed."""
        return type(self)(**{**self.parameters(), **changes})

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        mine, theirs = self.parameters(), other.parameters()
        return all(np.array_equal(mine[name], theirs[name]) for name in mine)

    __hash__ = None  # type: ignore[assignment]  # parameters may be arrays

    def __repr__(self) -> str:
        shown = ", ".join(f"{k}={v!r}" for k, v in self.parameters().items() if not isinstance(v, np.ndarray))
        return f"{type(self).__name__}({shown})"


class StructuredGaussian(Design):
    """The Haar-like Gaussian design of LEG 5.2: Sigma = sigma^2 (V Theta^2 V^T + 1 1^T / p), D = U Theta V^T.

    V Theta^2 V^T is D^T D, the grid's Laplacian: Sigma is sparse plus rank one, and z = sigma (D^T e + 1 xi / sqrt(p))
    with m + 1 standard normals (e, xi) has exactly this covariance. No decomposition is ever computed.

    Parameters
    ----------
    grid : tuple of int
        (p1, p2) cells.
    scale : float, default 0.02
        sigma. One cell's standard deviation is up to 2 sigma (between sqrt(2) sigma in a corner and 2 sigma inside).
    channels : {"shared", "separate", "joint"}, optional
        See `Design`; "shared" unless conventions say otherwise.
    boundary : {"free", "zero"}, optional
        "free" (the paper) unless conventions say otherwise; "zero" is the authors' padded D.

    Raises
    ------
    ValueError
        If the grid, the scale, the channels or the boundary is out of range.

    Notes
    -----
    A draw costs m + 1 normals and O(p) additions; `covariance` is O(p), `solve` and `root` O(p log p).
    kappa of Assumption 1 is sigma^2, for every sparsity set.

    Examples
    --------
    >>> design = StructuredGaussian(grid=(28, 28), scale=0.02)
    >>> design
    StructuredGaussian(grid=(28, 28), scale=0.02, channels='shared', boundary='free')
    >>> design.n_normals
    1513
    """

    def __init__(
        self,
        grid: tuple[int, int],
        scale: float = 0.02,
        *,
        channels: Channels | None = None,
        boundary: Boundary | None = None,
    ) -> None:
        super().__init__(grid, scale, channels, boundary)

    @property
    def n_normals(self) -> int:
        """Standard normals of one draw: m + 1."""
        return self.grid.n_edges + 1

    @property
    def constant_eigenvalue(self) -> float | None:
        """sigma^2 with the free boundary; the zero boundary couples the mean to the rest."""
        return self.scale**2 if self.grid.boundary == "free" else None

    def from_normals(self, normals: FloatArray) -> FloatArray:
        """z = sigma (D^T e + 1 xi / sqrt(p)) for normals (e, xi) of shape (k, m + 1)."""
        z = self.grid.divergence(normals[:, :-1])
        z += normals[:, -1:] / np.sqrt(self.grid.n_cells)
        z *= self.scale
        return z

    @property
    def sparse_parts(self) -> tuple[scipy.sparse.csr_array, FloatArray] | None:
        """sigma^2 D^T D and sigma 1 / sqrt(p)."""
        laplacian = scipy.sparse.csr_array(self.scale**2 * (self.grid.D.T @ self.grid.D))
        return laplacian, np.full(self.grid.n_cells, self.scale / np.sqrt(self.grid.n_cells))

    def covariance(self, v: FloatArray) -> FloatArray:
        """Sigma v in O(p)."""
        laplacian = self.grid.divergence(self.grid.difference(v))
        return np.asarray(self.scale**2 * (laplacian + v.mean(axis=-1, keepdims=True)), dtype=np.float64)

    def solve(self, v: FloatArray) -> FloatArray:
        """Sigma^{-1} v in O(p log p), by Sherman-Morrison with the zero boundary."""
        grid = self.grid
        if grid.boundary == "free":
            w = grid.laplacian_pinv(v) + v.mean(axis=-1, keepdims=True)
        else:
            q = self._laplacian_inverse_of_one
            w = grid.laplacian_pinv(v)
            w = w - q * (w.mean(axis=-1, keepdims=True) / (1.0 + q.mean()))
        return np.asarray(w / self.scale**2, dtype=np.float64)

    def root(self, v: FloatArray) -> FloatArray:
        """R v with R R^T = Sigma in O(p log p); symmetric with the free boundary.

        With the zero boundary R = sigma A^{1/2} (I + c w w^T), A = D^T D, where w is the unit vector along
        A^{-1/2} 1 and c makes the rank-one part come out as 1 1^T / p.
        """
        grid = self.grid
        if grid.boundary == "free":
            rooted = grid.apply_spectrum(np.sqrt, v) + v.mean(axis=-1, keepdims=True)
            return np.asarray(self.scale * rooted, dtype=np.float64)
        w = grid.apply_spectrum(lambda e: 1.0 / np.sqrt(e), np.full(grid.n_cells, 1.0 / np.sqrt(grid.n_cells)))
        norm2 = float(w @ w)
        w = w / np.sqrt(norm2)
        lifted = v + (np.sqrt(1.0 + norm2) - 1.0) * (v @ w)[..., None] * w
        return self.scale * grid.apply_spectrum(np.sqrt, lifted)

    @cached_property
    def variances(self) -> FloatArray:
        """Diagonal of Sigma in O(p): sigma^2 (degree + 1 / p)."""
        tail, head = self.grid.edges
        ends = np.concatenate([tail, head])
        degree = np.bincount(ends[ends >= 0], minlength=self.grid.n_cells)
        return np.asarray(self.scale**2 * (degree + 1.0 / self.grid.n_cells), dtype=np.float64)

    @cached_property
    def _laplacian_inverse_of_one(self) -> FloatArray:
        return self.grid.laplacian_pinv(np.ones(self.grid.n_cells))


class IsotropicGaussian(Design):
    """Independent cells: Sigma = sigma^2 I, the design that the LEG paper compares with.

    Parameters
    ----------
    grid : tuple of int
        (p1, p2) cells.
    scale : float, default 0.04
        sigma, each cell's standard deviation. At equal `scale` a structured design on a large grid spends 3.9 times
        this variance per cell; the default matches its trace at sigma = 0.02.
    channels, boundary : optional
        See `StructuredGaussian`; the boundary matters to LEG-TV's differencing operator only.

    Raises
    ------
    ValueError
        If an argument is out of range.

    Examples
    --------
    >>> IsotropicGaussian(grid=(4, 4), scale=0.1).covariance_matrix()[0, :2].round(4)
    array([0.01, 0.  ])
    """

    def __init__(
        self,
        grid: tuple[int, int],
        scale: float = 0.04,
        *,
        channels: Channels | None = None,
        boundary: Boundary | None = None,
    ) -> None:
        super().__init__(grid, scale, channels, boundary)

    @property
    def n_normals(self) -> int:
        """Standard normals of one draw: p."""
        return self.grid.n_cells

    @property
    def constant_eigenvalue(self) -> float | None:
        """sigma^2 with the free boundary."""
        return self.scale**2 if self.grid.boundary == "free" else None

    def from_normals(self, normals: FloatArray) -> FloatArray:
        """z = sigma e."""
        return self.scale * normals

    @property
    def sparse_parts(self) -> tuple[scipy.sparse.csr_array, FloatArray] | None:
        """sigma^2 I and 0."""
        p = self.grid.n_cells
        return scipy.sparse.csr_array(self.scale**2 * scipy.sparse.eye_array(p)), np.zeros(p)

    def covariance(self, v: FloatArray) -> FloatArray:
        """Sigma v = sigma^2 v."""
        return self.scale**2 * v

    def solve(self, v: FloatArray) -> FloatArray:
        """Sigma^{-1} v = v / sigma^2."""
        return v / self.scale**2

    def root(self, v: FloatArray) -> FloatArray:
        """Sigma^{1/2} v = sigma v; symmetric."""
        return self.scale * v

    @cached_property
    def variances(self) -> FloatArray:
        """Diagonal of Sigma: sigma^2 in every cell."""
        return np.full(self.grid.n_cells, self.scale**2)


class GaussianDesign(Design):
    """Any positive-definite covariance of the cells.

    Parameters
    ----------
    covariance : ndarray of shape (p, p)
        Symmetric positive definite, in squared units of the perturbed quantity; multiplied by ``scale**2``.
    grid : tuple of int
        (p1, p2) with p1 p2 = p.
    scale : float, default 1.0
        Multiplier of the standard deviations.
    channels, boundary : optional
        See `StructuredGaussian`.

    Raises
    ------
    ValueError
        If the matrix is not p x p, not finite, not symmetric or not positive definite.

    Notes
    -----
    Costs one Cholesky factorisation, O(p^3), and O(p^2) for each draw and product.

    Examples
    --------
    >>> covariance = 0.01 * (np.eye(4) + 0.5)
    >>> design = GaussianDesign(covariance, grid=(2, 2))
    >>> np.allclose(design.solve(design.covariance(np.arange(4.0))), np.arange(4.0))
    True
    """

    def __init__(
        self,
        covariance: FloatArray,
        grid: tuple[int, int],
        scale: float = 1.0,
        *,
        channels: Channels | None = None,
        boundary: Boundary | None = None,
    ) -> None:
        super().__init__(grid, scale, channels, boundary)
        p = self.grid.n_cells
        matrix = np.array(covariance, dtype=np.float64)
        if matrix.shape != (p, p) or not np.isfinite(matrix).all():
            got = f"shape {matrix.shape}, finite: {bool(np.isfinite(matrix).all())}"
            raise ValueError(invalid("GaussianDesign", "covariance", got, f"a finite matrix of shape ({p}, {p})"))
        asymmetry = float(np.abs(matrix - matrix.T).max())
        if asymmetry > 1e-10 * np.abs(matrix).max():
            raise ValueError(
                invalid(
                    "GaussianDesign", "covariance", f"asymmetry {asymmetry:.3g}", "symmetric", "Pass (S + S.T) / 2."
                )
            )
        self.matrix = (matrix + matrix.T) / 2.0
        self.matrix.flags.writeable = False
        try:
            self._cholesky = self.scale * np.linalg.cholesky(self.matrix)
        except np.linalg.LinAlgError:
            smallest = float(np.linalg.eigvalsh(self.matrix)[0])
            message = invalid(
                "GaussianDesign",
                "covariance",
                f"smallest eigenvalue {smallest:.3g}",
                "positive definite",
                "LEG divides by every direction's variance; add a ridge to directions that are never perturbed.",
            )
            raise ValueError(message) from None

    @property
    def n_normals(self) -> int:
        """Standard normals of one draw: p."""
        return self.grid.n_cells

    @cached_property
    def constant_eigenvalue(self) -> float | None:
        """lambda_1 where the matrix happens to have 1 as an eigenvector and the boundary is free."""
        rows = self.scale**2 * self.matrix.sum(axis=1)
        constant = np.ptp(rows) <= 1e-12 * np.abs(rows).max()
        return float(rows.mean()) if constant and self.grid.boundary == "free" else None

    def from_normals(self, normals: FloatArray) -> FloatArray:
        """z = R e with the Cholesky factor R of Sigma."""
        return np.asarray(normals @ self._cholesky.T, dtype=np.float64)

    def covariance(self, v: FloatArray) -> FloatArray:
        """Sigma v in O(p^2)."""
        return np.asarray(self.scale**2 * (v @ self.matrix), dtype=np.float64)

    def solve(self, v: FloatArray) -> FloatArray:
        """Sigma^{-1} v in O(p^2)."""
        flat = v.reshape(-1, v.shape[-1]).T
        return np.asarray(scipy.linalg.cho_solve((self._cholesky, True), flat).T.reshape(v.shape), dtype=np.float64)

    def root(self, v: FloatArray) -> FloatArray:
        """R v with the lower Cholesky factor R."""
        return np.asarray(v @ self._cholesky.T, dtype=np.float64)

    def parameters(self) -> JSON:
        """Constructor arguments; the covariance as an array."""
        return {"covariance": self.matrix, **super().parameters()}


def _check_scale(where: str, scale: object) -> float:
    number = float(scale) if isinstance(scale, SupportsFloat) and not isinstance(scale, bool | np.bool_) else math.nan
    if not (math.isfinite(number) and number > 0):
        remedy = "Pixels live in [0, 1]: 0.02 is the paper's value, 0.25 a usual one for Blend."
        raise ValueError(invalid(where, "scale", scale, "a finite number > 0", remedy))
    return number


DESIGNS: dict[str, type[Design]] = {c.__name__: c for c in (StructuredGaussian, IsotropicGaussian, GaussianDesign)}
"""Designs by class name, as saved samples name them."""


def design_from_parameters(name: str, parameters: JSON) -> Design:
    """The design that `Design.parameters` described."""
    parameters = {**parameters, "grid": tuple(parameters["grid"])}
    return DESIGNS[name](**parameters)
