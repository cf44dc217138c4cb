"""What is done with p x p matrices, and up to which size."""

from __future__ import annotations

import numpy as np
import scipy

from legstat._core.typing import FloatArray

DENSE_LIMIT = 4096
"""Most unknowns for which p x p matrices are formed (128 MiB each)."""


def cholesky_solve(lower: FloatArray, v: FloatArray) -> FloatArray:
    """(R R^T)^{-1} v for vectors of shape (..., p) and the lower Cholesky factor R, in O(p^2) each."""
    flat = v.reshape(-1, v.shape[-1]).T
    return np.asarray(scipy.linalg.cho_solve((lower, True), flat).T.reshape(v.shape), dtype=np.float64)
