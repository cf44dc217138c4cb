"""What masked cells are replaced by, under the names that the papers' protocols give it."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, get_args

import numpy as np
import scipy

from legstat._core.errors import invalid
from legstat._core.typing import FloatArray
from legstat._core.values import read_only
from legstat.perturbations.operators import Blend
from legstat.responses.base import Response

ReferenceName = Literal["blur", "mean", "black", "white", "noise", "zeros", "igos", "rise"]


def reference_picture(
    where: str, name: ReferenceName | FloatArray, image: FloatArray, response: Response
) -> FloatArray:
    """The picture that replaces x0, in [0, 1].

    Parameters
    ----------
    where : str
        The public call, for errors.
    name : str or ndarray of shape (C, H, W)
        "blur", "mean", "black", "noise": as of `Blend`. "white": ones. "zeros": the colour that the network's input
        has zeros for (RISE's deletion). "igos": I-GOS' blur, a Gaussian of 50 pixels cut off at 25. "rise": RISE's
        insertion, a Gaussian of 5 pixels on 11 x 11, on the network's input with zeros around. An array as it is.
    image : ndarray of shape (C, H, W)
        x0.
    response : Response
        The bound response.

    Returns
    -------
    ndarray of shape (C, H, W)
        Finite.

    Raises
    ------
    ValueError
        Unknown name; an array of another shape or out of range; a picture that equals x0.
    """
    if isinstance(name, str):
        if name not in get_args(ReferenceName):
            valid = "one of " + ", ".join(map(repr, get_args(ReferenceName))) + " or an array of the picture's shape"
            raise ValueError(invalid(where, "baseline", name, valid))
        reference = _named(name, image, response)
    else:
        reference = np.asarray(name, dtype=np.float64)
        if reference.shape != image.shape:
            raise ValueError(invalid(where, "baseline", reference.shape, f"of the picture's shape {image.shape}"))
        if not np.isfinite(reference).all() or reference.min() < 0.0 or reference.max() > 1.0:
            raise ValueError(invalid(where, "baseline", "values outside [0, 1] or NaN", "finite, within [0, 1]"))
    if np.array_equal(reference, image):
        remedy = "Nothing would be removed: take another baseline."
        raise ValueError(invalid(where, "baseline", "equal to the picture", "another picture", remedy))
    return reference


def _named(name: ReferenceName, image: FloatArray, response: Response) -> FloatArray:
    if name == "white":
        return np.ones_like(image)
    if name == "zeros":
        return np.broadcast_to(_zero_colour(image, response), image.shape).copy()
    zero = tuple(_zero_colour(image, response).ravel().tolist()) if name == "rise" else ()
    return _filtered(name, zero, image.shape, np.asarray(image, dtype=np.float64).tobytes())


@lru_cache(maxsize=4)
def _filtered(name: ReferenceName, zero: tuple[float, ...], shape: tuple[int, ...], pixels: bytes) -> FloatArray:
    """The picture through a filter, read-only; the last few are kept, by their pixels.

    One picture meets several metrics and methods in a row, and a blur takes as long as two passes of a small network.
    """
    image = np.frombuffer(pixels).reshape(shape)
    if name == "igos":
        # cv2.GaussianBlur((51, 51), 50) with its default border, which scipy calls "mirror"
        blurred = scipy.ndimage.gaussian_filter(image, sigma=(0.0, 50.0, 50.0), radius=(0, 25, 25), mode="mirror")
    elif name == "rise":
        # RISE's kernel is the filter's answer to a point on 11 x 11, whose borders scipy reflects at
        point = np.zeros((11, 11))
        point[5, 5] = 1.0
        kernel = scipy.ndimage.gaussian_filter(point, 5.0)
        colour = np.array(zero)[:, None, None]
        blurred = np.clip(scipy.ndimage.convolve(image - colour, kernel[None], mode="constant") + colour, 0.0, 1.0)
    elif name in ("blur", "mean", "black", "noise"):
        blurred = Blend(name).baseline_picture(image)
    else:
        raise ValueError(name)
    return read_only(np.asarray(blurred, dtype=np.float64))


def _zero_colour(image: FloatArray, response: Response) -> FloatArray:
    """The colour that becomes zeros in the network's input, within [0, 1]; black for plain functions."""
    return np.clip(response.zero_colour(len(image)), 0.0, 1.0)[:, None, None]
