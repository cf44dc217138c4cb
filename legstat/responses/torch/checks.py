"""What autocast and compilation change, measured on x0 and a few perturbed pictures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from legstat._core.errors import invalid
from legstat._core.typing import JSON, AnyArray, FloatArray
from legstat.responses.network.scores import Score

TRIALS = 8
"""Pictures that are compared: x0 and seven others."""
COMPILED_TOLERANCE = {"exact": 1e-4, "autocast": 5e-2}
"""Largest difference of a compiled network, relative to the outputs' size: float32 sums in another order; 8 bits."""
_CELLS, _SCALE = 8, 0.1


def trial_pictures(image: AnyArray) -> AnyArray:
    """x0, and x0 with noise in 8 x 8 cells (standard deviation 0.1, clipped), the same for everybody.

    Parameters
    ----------
    image : ndarray of shape (C, H, W)
        x0.

    Returns
    -------
    ndarray of shape (8, C, H, W)
        In [0, 1], of the image's dtype.
    """
    noise = np.random.Generator(np.random.Philox(key=0)).standard_normal((TRIALS, 1, _CELLS, _CELLS))
    noise[0] = 0.0
    rows, columns = (np.arange(size) * _CELLS // size for size in image.shape[-2:])
    lifted = noise[:, :, rows][:, :, :, columns]
    pictures: AnyArray = np.clip(image + _SCALE * lifted, 0.0, 1.0).astype(image.dtype)
    pictures[0] = image
    return pictures


def measure_autocast(score: Score, narrow: NDArray[np.generic], exact: NDArray[np.generic]) -> JSON:
    """Error of the scores in autocast's precision.

    Parameters
    ----------
    score : Score
        What is explained.
    narrow, exact : ndarray of shape (8, K)
        Class outputs of the trial pictures, in autocast and in the weights' precision.

    Returns
    -------
    dict
        ``error_x0``, ``error_rms``, ``error_max`` in units of the score, ``spread`` (standard deviation of the exact
        score over the perturbed pictures, for comparison), ``evaluations`` (outside the ledger: their scores serve
        this comparison only) and ``pictures``.
    """
    scores: list[FloatArray] = [score(outputs)[0] for outputs in (narrow, exact)]
    error = scores[0] - scores[1]
    return {
        "error_x0": _finite(error[0]),
        "error_rms": _finite(np.sqrt(np.mean(error**2))),
        "error_max": _finite(np.abs(error).max()),
        "spread": _finite(np.std(scores[1][1:])),
        "evaluations": 2 * TRIALS,
        "pictures": _PICTURES,
    }


def check_compiled(where: str, compiled: NDArray[np.generic], eager: NDArray[np.generic], tolerance: float) -> JSON:
    """Refuse a compiled network that computes something else.

    Parameters
    ----------
    where : str
        Call to name in an error.
    compiled, eager : ndarray of shape (8, K)
        Class outputs of the trial pictures, in the same precision.
    tolerance : float
        Largest difference, relative to the largest output.

    Returns
    -------
    dict
        ``difference`` (None where outputs are not finite), ``tolerance``, ``evaluations``, ``pictures``.

    Raises
    ------
    ValueError
        The difference is above the tolerance.
    """
    size = max(float(np.abs(eager.astype(np.float64)).max()), 1e-30)
    difference = _finite(np.abs(compiled.astype(np.float64) - eager.astype(np.float64)).max() / size)
    if difference is not None and difference > tolerance:
        raise ValueError(
            invalid(
                where,
                "compile_mode",
                difference,
                f"one that changes the outputs by at most {tolerance:g} of their size (got: its difference)",
                "torch.compile computes something else than the module: leave it out.",
            )
        )
    return {"difference": difference, "tolerance": tolerance, "evaluations": 2 * TRIALS, "pictures": _PICTURES}


_PICTURES = f"x0 and {TRIALS - 1} with noise of standard deviation {_SCALE} in {_CELLS} x {_CELLS} cells"


def _finite(value: np.floating | float) -> float | None:
    return float(value) if np.isfinite(value) else None
