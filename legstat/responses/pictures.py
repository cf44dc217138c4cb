"""Reading a picture file, and the one rule by which it is resized and cropped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from legstat._core.errors import invalid
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
        Mode "RGB" or "L", or "F" in [0, 255] for a 16-bit grey file; upright by its EXIF orientation.

    Raises
    ------
    ValueError
        Missing, corrupt or truncated file, no picture, transparent pixels, a number of channels other than 1 or 3.
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
    if picture.mode.startswith("I"):
        levels = np.asarray(picture, dtype=np.float64)
        if levels.min() < 0 or levels.max() > 65535:
            raise ValueError(
                invalid("load_image", "path", str(path), "a picture of at most 16 bits per channel", "Save it as PNG.")
            )
        return Image.fromarray((levels * (255.0 / 65535.0)).astype(np.float32))
    if picture.mode == "F":
        raise ValueError(
            invalid(
                "load_image", "path", str(path), "a picture of integer levels", "Its range is unknown: pass an array."
            )
        )
    return picture.convert("L" if channels == 1 else "RGB")


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
    rows, columns = size
    width, height = picture.size
    if (height, width) == (rows, columns):
        return picture
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
    if (tall, wide) != (height, width):
        picture = picture.resize((wide, tall), INTERPOLATIONS[interpolation])
    top, left = round((tall - rows) / 2), round((wide - columns) / 2)
    return picture.crop((left, top, left + columns, top + rows))
