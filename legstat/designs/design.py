"""What every law of z can do."""

from __future__ import annotations

import math
from abc import abstractmethod
from functools import cached_property
from typing import ClassVar, Self, SupportsFloat, get_args

import numpy as np
import scipy

from legstat._core.conventions import Boundary, Channels, Conventions, clash
from legstat._core.errors import invalid
from legstat._core.typing import JSON, FloatArray
from legstat._core.values import Value, read_only
from legstat.designs.blocks import BLOCK, Key, block_generator
from legstat.designs.dense import DENSE_LIMIT
from legstat.designs.grid import Grid, parse_shape


class Design(Value):
    """A centred law of the cell perturbations z, Cov(vec z) = Sigma: what queries draw from and estimates stand on.

    z and -z have one law, which antithetic pairs rest on. A design knows its covariance, how to multiply and solve with
    it, and how to draw. That is all that the moment vectors, LEG, LEG-TV and their errors need; whatever needs more of
    the law asks for `gaussian` or `bound`. A design is a value: it never changes, and one with other arguments is made
    by `replace`.

    Parameters
    ----------
    grid : tuple of int
        (p1, p2) cells; the attribute `grid` is the `Grid`, with the boundary of its differencing operator.
    scale : float
        sigma, in units of the perturbed quantity: pixel values in [0, 1] (or mask levels with `Blend`).
    channels : {"shared", "separate", "joint"}, optional
        "shared": one z for all channels, p unknowns. "separate": one channel at a time, each with its own share of the
        budget (the paper). "joint": an independent z for each channel, C p unknowns. "shared" unless conventions say
        otherwise.
    boundary : {"free", "zero"}, optional
        See `StructuredGaussian`.

    Examples
    --------
    >>> from legstat import StructuredGaussian
    >>> design = StructuredGaussian(grid=(4, 4), scale=0.02)
    >>> isinstance(design, Design), design.replace(scale=0.05).scale
    (True, 0.05)
    """

    gaussian: ClassVar[bool] = False
    """Whether z is jointly normal.

    What is known of normal z alone asks for it: the covariance of clipped z by Hermite sums (`ClippedLaw`), Stein's
    identity gamma = E[grad f] (`legstat.simulate`), and the spread 2 p of z^T Sigma^{-1} z that
    `QuerySample.from_arrays` checks given draws with.
    """

    two_valued: ClassVar[bool] = False
    """Whether each cell's z is `bound` or minus `bound`, nothing else: then any clipping of it is affine, and what it
    leaves has moments in closed form."""
    smooth_pilot: ClassVar[bool] = True
    """Whether "crossfit" moments take a pilot of smooth prior, covariance (D^T D + 0.05 I)^{-1}.

    Else the prior's covariance is Sigma^{-1}, which is as smooth for the structured law, and rough for laws that move
    smooth directions most. The three Gaussian laws that came first keep it, so that what was computed from them stays.
    """

    grid: Grid
    scale: float
    channels: Channels
    _open: tuple[str, ...]

    def __init__(
        self, grid: tuple[int, int], scale: float, channels: Channels | None = None, boundary: Boundary | None = None
    ) -> None:
        name = type(self).__name__
        if channels is not None and channels not in get_args(Channels):
            raise ValueError(invalid(name, "channels", channels, '"shared", "separate" or "joint"'))
        self._keep(
            scale=_check_scale(name, scale),
            grid=Grid(parse_shape(name, grid), "free" if boundary is None else boundary),
            channels=channels or "shared",
            # what the user left open: conventions may fill it, and may not overrule what was named
            _open=tuple(k for k, v in (("channels", channels), ("boundary", boundary)) if v is None),
        )

    @abstractmethod
    def covariance(self, v: FloatArray) -> FloatArray:
        """Sigma v for cell vectors of shape (..., p)."""

    @abstractmethod
    def solve(self, v: FloatArray) -> FloatArray:
        """Sigma^{-1} v for cell vectors of shape (..., p)."""

    @abstractmethod
    def sample(self, generator: np.random.Generator, n: int) -> FloatArray:
        """So many independent draws, shape (n, p), from what the generator gives."""

    @property
    def label(self) -> str:
        """What a summary calls it: the class, and what tells its laws apart."""
        return type(self).__name__

    @property
    def bound(self) -> float | None:
        """The largest that any cell's |z| can be; None where nothing bounds it, as with Gaussian laws."""
        return None

    @property
    def constant_eigenvalue(self) -> float | None:
        """lambda_1 where Sigma 1 = lambda_1 1, else None: LEG-TV then leaves the mean of g to the moment vector."""
        return None

    @property
    def sparse_parts(self) -> tuple[scipy.sparse.csr_array, FloatArray] | None:
        """(A, u) with Sigma = A + u u^T, A sparse of shape (p, p) and u of shape (p,); None where Sigma is dense."""
        return None

    @property
    def spectrum(self) -> FloatArray | None:
        """Eigenvalues of Sigma, shape (p1, p2), where its eigenvectors are those of `Grid.eigenvalues`; else None."""
        return None

    @cached_property
    def condition_number(self) -> float:
        """Largest over smallest eigenvalue of Sigma: how much more one direction is moved than another; O(p^3) at most.

        Raises
        ------
        ValueError
            Where Sigma has no known spectrum and more than 4,096 cells.
        """
        values = self.spectrum
        if values is None:
            if self.grid.n_cells > DENSE_LIMIT:
                valid = f"of at most {DENSE_LIMIT} cells"
                raise ValueError(invalid("Design.condition_number", "design", self, valid))
            values = np.asarray(scipy.linalg.eigvalsh(self.covariance_matrix()), dtype=np.float64)
        return float(values.max() / values.min())

    def covariance_matrix(self) -> FloatArray:
        """Sigma as a dense p x p matrix; O(p^2) memory."""
        return self.covariance(np.eye(self.grid.n_cells))

    @cached_property
    def variances(self) -> FloatArray:
        """Diagonal of Sigma, shape (p,)."""
        return read_only(np.diag(self.covariance_matrix()).copy())

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
            Independent planes of one draw: the number of channels for a "joint" design.

        Returns
        -------
        ndarray of shape (BLOCK, planes, p1, p2)
            The draws; always the whole block.
        """
        z = self.sample(block_generator(key, stream, block), BLOCK * planes)
        return z.reshape(BLOCK, planes, *self.grid.shape)

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
            mine, implied = self.parameters()[name], getattr(conventions, name)
            if name not in self._open and mine != implied:
                raise clash(type(self).__name__, name, mine, conventions, implied)
        return self.replace(boundary=conventions.boundary, channels=conventions.channels)

    def parameters(self) -> JSON:
        """Constructor arguments, all but arrays as plain JSON values."""
        return {"grid": self.grid.shape, "scale": self.scale, "channels": self.channels, "boundary": self.grid.boundary}

    def _arguments(self) -> JSON:
        return {name: value for name, value in self.parameters().items() if name not in self._open}


def _check_scale(where: str, scale: object) -> float:
    number = float(scale) if isinstance(scale, SupportsFloat) and not isinstance(scale, bool | np.bool_) else math.nan
    if not (math.isfinite(number) and number > 0):
        remedy = "Pixels live in [0, 1]: 0.02 is the paper's value, 0.25 a usual one for Blend."
        raise ValueError(invalid(where, "scale", scale, "a finite number > 0", remedy))
    return number
