"""The one check of a picture: what every later stage takes for granted."""

from __future__ import annotations

from typing import Any

import numpy as np

from legstat._core.errors import invalid
from legstat._core.typing import AnyArray, FloatArray
from legstat._core.values import read_only

_USUAL_CHANNELS = (1, 3, 4)
"""Of pictures: grey, RGB, RGB with a mask. More than that come last, not first, where the last axis is one of these."""


def check_picture(where: str, image: object) -> FloatArray:
    """A picture as the package takes it, or an error.

    Part of `Response.check_image`, which also says whether the response takes pictures of this shape.

    Parameters
    ----------
    where : str
        Call to name in the error.
    image : array_like
        What was passed.

    Returns
    -------
    ndarray of shape (C, H, W)
        A read-only copy in float64: finite, within [0, 1], channels first.

    Raises
    ------
    TypeError
        If it is no array of real numbers.
    ValueError
        If it has another number of axes, no pixel, NaN or infinity, values outside [0, 1], or its channels last.

    Examples
    --------
    >>> check_picture("query", np.zeros((1, 8, 8))).shape
    (1, 8, 8)
    """
    first = "Channels come first; `response.load_image(path)` reads a picture file in this form."
    try:
        kind = np.asarray(image).dtype.kind
    except ValueError:  # nested lists of unequal lengths
        kind = "O"
    if kind not in "fiub":
        raise TypeError(invalid(where, "image", image, "an array of real numbers of shape (C, H, W)", first))
    picture = np.array(image, dtype=np.float64)
    if picture.ndim != 3 or not picture.size:
        raise ValueError(invalid(where, "image", picture.shape, "an array of shape (C, H, W)", first))
    if picture.shape[2] in _USUAL_CHANNELS and picture.shape[0] > max(_USUAL_CHANNELS):
        remedy = "The channels are last here: pass image.transpose(2, 0, 1)."
        raise ValueError(invalid(where, "image", picture.shape, "of shape (C, H, W), channels first", remedy))
    if not np.isfinite(picture).all():
        remedy = "Mend the picture: NaN explains nothing."
        raise ValueError(invalid(where, "image", "NaN or infinity", "finite", remedy))
    if picture.min() < 0 or picture.max() > 1:
        got = f"values from {picture.min():g} to {picture.max():g}"
        remedy = "Divide 0..255 pictures by 255; preprocessing is the response's part."
        raise ValueError(invalid(where, "image", got, "RGB or grey within [0, 1]", remedy))
    return read_only(picture)


def rounded(pictures: AnyArray, dtype: np.dtype[Any]) -> AnyArray:
    """Pictures in another type; grey values below its least are 0, and no error whatever `numpy.seterr` says.

    Examples
    --------
    >>> with np.errstate(all="raise"):
    ...     rounded(np.array([1e-60, 1.0]), np.dtype("float32"))
    array([0., 1.], dtype=float32)
    """
    with np.errstate(under="ignore"):
        return pictures.astype(dtype)
