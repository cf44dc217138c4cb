"""Normal cells that are drawn independently of each other."""

from __future__ import annotations

from legstat._core.conventions import Boundary, Channels
from legstat._core.typing import FloatArray
from legstat.designs.gaussian import GaussianLaw
from legstat.designs.independent import IndependentCells


class IsotropicGaussian(IndependentCells, GaussianLaw):
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

    smooth_pilot = False

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

    def from_normals(self, normals: FloatArray) -> FloatArray:
        """z = sigma e."""
        return self.scale * normals

    def root(self, v: FloatArray) -> FloatArray:
        """Sigma^{1/2} v = sigma v; symmetric."""
        return self.scale * v
