"""Whether a network's answer for one picture depends on what else is in its batch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from legstat._core.errors import invalid
from legstat._core.typing import JSON, AnyArray

ALIKE = {2: 1e-2, 4: 1e-4, 8: 1e-9}
"""Largest difference, relative to the outputs' size, of two ways to compute one output, by bytes of its type."""

_TOGETHER = 16
"""Pictures in the mixed batch, at most: company shows in small batches too, and many pictures are to be explained."""


def compare_company(
    where: str,
    outputs: Callable[[AnyArray, int], NDArray[np.generic]],
    image: AnyArray,
    first: NDArray[np.generic],
    batch_size: int,
    allowed: float | None = None,
) -> JSON:
    """Class outputs of a picture and three that are made of it, each alone and all in one mixed batch.

    Parameters
    ----------
    where : str
        Call to name in an error.
    outputs : callable
        ``(images, batch_size) -> class outputs``.
    image : ndarray of shape (C, H, W)
        The picture x0.
    first : ndarray of shape (1, K)
        Its class outputs as they came before: what differs by chance, differs in any company.
    batch_size : int
        Of the run, at least 2; the mixed batch has that size, up to 16.
    allowed : float, optional
        Relative difference that still counts as alike; by default what the type of the outputs rounds away.

    Returns
    -------
    dict
        ``alike``, ``relative_difference`` (of the outputs' size) and ``evaluations``, for the record.

    Raises
    ------
    ValueError
        The network takes one picture and fails on several.
    """
    pictures = np.stack([image, 1 - image, 0.5 * image, image[:, :, ::-1]]).astype(image.dtype)
    size = min(batch_size, _TOGETHER)
    pictures = pictures[: min(size, len(pictures))]
    alone = outputs(pictures, 1)
    mixed = np.resize(np.arange(len(pictures)), size)
    try:
        together = outputs(pictures[mixed], size)
    except Exception as error:  # whatever the backend raises where the batch axis is no batch axis
        raise ValueError(
            invalid(
                where,
                "batch_size",
                batch_size,
                "1 for this network",
                f"It takes one picture and fails on {size} at once ({str(error).strip()[:300]}). Pass batch_size=1 "
                "(--batch-size 1), or mend its batch axis.",
            )
        ) from error
    truth = alone[mixed].astype(np.float64)
    limit = ALIKE.get(alone.dtype.itemsize, 1e-4) if allowed is None else allowed
    finite = bool(np.all(np.isfinite(truth)))  # the run itself reports numbers that are not
    difference = relative_difference(together, truth) if finite else 0.0
    noisy = relative_difference(alone[:1], first) > limit
    return {
        "alike": noisy or difference <= limit,
        "relative_difference": difference,
        "evaluations": len(pictures) + size,
    }


def relative_difference(got: NDArray[np.generic], expected: NDArray[np.generic]) -> float:
    """Largest difference of two ways to the same outputs, in units of the largest output; infinite if of other form."""
    truth = expected.astype(np.float64)
    if got.shape != truth.shape:
        return float("inf")
    return float(np.abs(got.astype(np.float64) - truth).max() / max(float(np.abs(truth).max()), 1e-30))
