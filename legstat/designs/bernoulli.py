"""Cells switched on or off independently of each other."""

from __future__ import annotations

import numpy as np

from legstat._core.conventions import Boundary, Channels
from legstat._core.typing import FloatArray
from legstat.designs.independent import IndependentCells


class BernoulliCells(IndependentCells):
    r"""Each cell on or off with probability 1/2: LIME's law, on the grid's cells in place of superpixels.

    :math:`z_i = \pm\sigma`, independent, so :math:`\Sigma = \sigma^2 I`. With ``Blend(at=0.5)`` and the default scale
    a cell shows the picture or the baseline, nothing between; z is bounded and never clipped there.

    Parameters
    ----------
    grid : tuple of int
        (p1, p2) cells.
    scale : float, default 0.5
        sigma, which is half the distance between on and off.
    channels, boundary : optional
        See `StructuredGaussian`; the boundary matters to LEG-TV's differencing operator only.

    Raises
    ------
    ValueError
        If an argument is out of range.

    Notes
    -----
    Every direction has variance sigma^2, the smooth ones too, to which networks respond most: at 28 x 28 cells a
    multiscale law moves them 16 times as far (`MultiscaleBlocks`).

    References
    ----------
    M. T. Ribeiro, S. Singh, C. Guestrin, "Why should I trust you?", KDD 2016, section 3.3.

    Examples
    --------
    >>> design = BernoulliCells(grid=(2, 3))
    >>> np.unique(design.draw((1, 2), 0, 0))
    array([-0.5,  0.5])
    >>> design.covariance_matrix()[0, :2]
    array([0.25, 0.  ])
    """

    two_valued = True

    def __init__(
        self,
        grid: tuple[int, int],
        scale: float = 0.5,
        *,
        channels: Channels | None = None,
        boundary: Boundary | None = None,
    ) -> None:
        super().__init__(grid, scale, channels, boundary)

    @property
    def bound(self) -> float:
        """sigma."""
        return self.scale

    def sample(self, generator: np.random.Generator, n: int) -> FloatArray:
        """So many draws, shape (n, p), one uniform number a cell."""
        return np.where(generator.random((n, self.grid.n_cells)) < 0.5, self.scale, -self.scale)
