"""Reading a picture file, and the one rule by which it is resized and cropped."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from legstat._core.errors import LegstatWarning, invalid
from legstat._core.typing import FloatArray

INTERPOLATIONS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "nearest": Image.Resampling.NEAREST,
}


def open_picture(path: str | Path, channels: int) -> Image.Image:
    """Open, decode and convert a picture file.

    Parameters
    ----------
    path : str or Path
        Picture file of any format that Pillow reads.
    channels : int
        3 for RGB, 1 for grey (ITU-R 601 luma of a colour picture).

    Returns
    -------
    PIL.Image.Image
        Mode "RGB" or "L", or "F" in [0, 255] for a 16-bit grey file; upright by its EXIF orientation. Of an
        animation or of several pages the first, with a warning.

    Raises
    ------
    ValueError
        Missing, corrupt or truncated file, no picture, transparent pixels, levels of unknown range, colours that Pillow
        cannot convert, a number of channels other than 1 or 3.
    """
    if channels not in (1, 3):
        raise ValueError(
            invalid("load_image", "channels", channels, "1 or 3 for a picture file", "Pass an array for other inputs.")
        )
    path = Path(path)
    if not path.is_file():
        raise ValueError(invalid("load_image", "path", str(path), "an existing picture file", "Check the path."))
    try:
        with Image.open(path) as opened:
            frames, kind = getattr(opened, "n_frames", 1), opened.format
            picture = ImageOps.exif_transpose(opened)
            picture.load()
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(
            invalid(
                "load_image",
                "path",
                str(path),
                "a picture that Pillow can decode",
                f"Reading it failed: {type(error).__name__}: {error}. Save it again as PNG or JPEG.",
            )
        ) from error
    if picture.has_transparency_data:
        alpha = picture.convert("RGBA").getchannel("A").getextrema()
        if alpha[0] != 255:
            raise ValueError(
                invalid(
                    "load_image",
                    "path",
                    str(path),
                    "a picture without transparent pixels",
                    "Flatten it onto a background of your choice first: which one is up to you, not to us.",
                )
            )
    if frames > 1 and kind != "MPO":  # the further pictures of a camera's MPO file are previews of the first
        _warn(path, f"holds {frames} pictures; the first is taken")
    if picture.mode == "F" or (picture.mode == "I" and kind != "PNG"):
        remedy = "Its range is unknown: save it with 8 or 16 bits per channel, or pass an array in [0, 1]."
        raise ValueError(invalid("load_image", "path", str(path), "a picture of 8 or 16 bits per channel", remedy))
    if picture.mode.startswith("I"):
        levels = np.asarray(picture, dtype=np.float64)
        if levels.max() < _TWELVE_BITS:
            _warn(path, f"has levels up to {levels.max():.0f} of 65535; if they mean full brightness, scale them first")
        return Image.fromarray((levels * (255.0 / 65535.0)).astype(np.float32))
    try:
        colours = picture.convert("RGB") if picture.mode in ("LAB", "HSV") else picture  # to grey by way of RGB only
        return colours.convert("L" if channels == 1 else "RGB")
    except (ValueError, ImportError) as error:  # of a Pillow without colour profiles the latter
        raise ValueError(
            invalid("load_image", "path", str(path), "a picture in grey, RGB or CMYK", f"Pillow says: {error}.")
        ) from error


_TWELVE_BITS = 4096
"""Levels below that in a file of 16 bits are those of a camera of 12, or of a scanner of 8."""


def _warn(path: Path, text: str) -> None:
    warnings.warn(f"load_image: {path.name} {text}.", LegstatWarning, stacklevel=4)


def to_array(picture: Image.Image, channels: int) -> FloatArray:
    """A decoded picture as an array of shape (channels, H, W) in [0, 1]; grey is repeated for three channels."""
    array = np.asarray(picture, dtype=np.float64) / 255.0
    array = np.clip(array, 0.0, 1.0)
    if array.ndim == 2:
        return np.repeat(array[None], channels, axis=0)
    return np.ascontiguousarray(array.transpose(2, 0, 1))


def read_picture(path: str | Path, channels: int = 3) -> FloatArray:
    """A picture file as it is, without resizing.

    Parameters
    ----------
    path : str or Path
        Picture file.
    channels : int
        3 for RGB, 1 for grey.

    Returns
    -------
    ndarray of shape (channels, H, W)
        float64 in [0, 1].
    """
    return to_array(open_picture(path, channels), channels)


def fit_picture(picture: Image.Image, size: tuple[int, int], short_side: int | None, interpolation: str) -> Image.Image:
    """Resize the short side and crop the centre to (rows, columns).

    Parameters
    ----------
    picture : PIL.Image.Image
        Decoded picture.
    size : tuple of int
        Rows and columns wanted.
    short_side : int or None
        Pixels of the short side before the crop; None means 256/224 of the wanted size's (256 at 224). For a wanted
        size that is not square, the factor is taken per side and the larger one rules, so that the crop always fits.
    interpolation : str
        "bilinear", "bicubic" (both with Pillow's antialiasing when shrinking) or "nearest".

    Returns
    -------
    PIL.Image.Image
        Of the wanted size. A picture that has it already is returned as it is.
    """
    width, height = picture.size
    tall, wide, top, left = fitted_place((height, width), size, short_side)
    if (tall, wide) != (height, width):
        picture = picture.resize((wide, tall), INTERPOLATIONS[interpolation])
    if (tall, wide) == size:
        return picture
    return picture.crop((left, top, left + size[1], top + size[0]))


def fitted_place(picture: tuple[int, int], size: tuple[int, int], short_side: int | None) -> tuple[int, int, int, int]:
    """Where `fit_picture` puts a picture of (rows, columns).

    Parameters
    ----------
    picture : tuple of int
        Its rows and columns.
    size, short_side : optional
        As for `fit_picture`.

    Returns
    -------
    tall, wide : int
        Rows and columns after the resize.
    top, left : int
        Corner of the crop in it.

    Examples
    --------
    >>> fitted_place((375, 500), (224, 224), None)
    (256, 341, 16, 58)
    """
    (height, width), (rows, columns) = picture, size
    if picture == size:
        return rows, columns, 0, 0
    short = round(min(rows, columns) * 256 / 224) if short_side is None else short_side
    if short < min(rows, columns):
        raise ValueError(
            invalid(
                "Preprocessing",
                "short_side",
                short,
                f">= {min(rows, columns)}, the short side of the network's input",
                "Leave it out for 256/224 of the input.",
            )
        )
    factor = short / min(rows, columns)
    # int() truncates the long side as torchvision does; the side that rules is exact, so the crop never exceeds it.
    if height * columns <= width * rows:
        ruling = round(factor * rows)
        tall, wide = ruling, max(int(ruling * width / height), columns)
    else:
        ruling = round(factor * columns)
        tall, wide = max(int(ruling * height / width), rows), ruling
    return tall, wide, round((tall - rows) / 2), round((wide - columns) / 2)


def fit_boxes(
    boxes: Sequence[Sequence[float]], picture: tuple[int, int], size: tuple[int, int], short_side: int | None
) -> list[list[float]]:
    """Boxes of a picture where they lie after `fit_picture`, cut off at the crop; those outside it are left out.

    Parameters
    ----------
    boxes : sequence of (x0, y0, x1, y1)
        In pixels of the picture, right and lower edges outside.
    picture : tuple of int
        Its rows and columns, upright.
    size, short_side : optional
        As for `fit_picture`.

    Returns
    -------
    list of list of float
        x0, y0, x1, y1 in pixels of the crop.

    Examples
    --------
    >>> fit_boxes([(0, 0, 250, 375), (0, 0, 30, 30)], (375, 500), (224, 224), None)
    [[0.0, 0.0, 112.5, 224.0]]
    """
    tall, wide, top, left = fitted_place(picture, size, short_side)
    down, across = tall / picture[0], wide / picture[1]
    found = []
    for x0, y0, x1, y1 in boxes:
        xs = [min(max(x * across - left, 0.0), float(size[1])) for x in (x0, x1)]
        ys = [min(max(y * down - top, 0.0), float(size[0])) for y in (y0, y1)]
        if xs[0] < xs[1] and ys[0] < ys[1]:
            found.append([xs[0], ys[0], xs[1], ys[1]])
    return found
