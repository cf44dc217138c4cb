"""Gaussian laws: every draw is a linear map of standard normals."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from legstat._core.typing import FloatArray
from legstat.designs.design import Design


class GaussianLaw(Design):
    """A design whose z are jointly normal: z = R e, e standard normal, R R^T = Sigma."""

    gaussian = True

    @property
    @abstractmethod
    def n_normals(self) -> int:
        """Standard normals that one draw of p cells takes."""

    @abstractmethod
    def from_normals(self, normals: FloatArray) -> FloatArray:
        """Turn standard normals of shape (k, n_normals) into draws of shape (k, p)."""

    @abstractmethod
    def root(self, v: FloatArray) -> FloatArray:
        """R v for cell vectors of shape (..., p), where R R^T = Sigma; symmetric where the class says so."""

    def sample(self, generator: np.random.Generator, n: int) -> FloatArray:
        """So many draws, shape (n, p), each from `n_normals` standard normals."""
        return self.from_normals(generator.standard_normal((n, self.n_normals)))
