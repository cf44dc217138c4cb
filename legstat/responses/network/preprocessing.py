"""What turns RGB in [0, 1] into a network's input, as data."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, Self, cast

import numpy as np

from legstat._core.checks import is_number
from legstat._core.errors import invalid
from legstat._core.typing import JSON, FloatArray
from legstat.responses.pictures import INTERPOLATIONS, fit_boxes, fit_picture, open_picture, to_array

Layout = Literal["auto", "NCHW", "NHWC"]
ChannelOrder = Literal["RGB", "BGR"]


def _one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(invalid("Preprocessing", name, value, f"one of {list(allowed)}"))


def _is_int(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _numbers(name: str, value: object) -> float | tuple[float, ...]:
    """One number, or one per channel, as plain Python floats."""
    if is_number(value):
        numbers: tuple[float, ...] = (float(value),)
        single = True
    else:
        try:
            sequence = list(cast("tuple[float, ...]", value))
        except TypeError:
            sequence = []
        if not sequence or not all(is_number(item) for item in sequence):
            raise TypeError(invalid("Preprocessing", name, value, "a number, or one number per channel"))
        numbers, single = tuple(float(item) for item in sequence), False
    if not np.all(np.isfinite(numbers)):
        raise ValueError(invalid("Preprocessing", name, value, "finite"))
    return numbers[0] if single else numbers


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    r"""How a picture x in RGB [0, 1] becomes the network's input, and how a file becomes x.

    .. math:: \text{input} = (\text{scale} \cdot x - \text{mean}) / \text{std}

    per channel, after the channels are put in `channel_order`. Perturbations live in x; nothing of what follows is
    visible to them.

    Parameters
    ----------
    layout : {"auto", "NCHW", "NHWC"}
        Axes of the network's input. "auto" reads it off the graph (NCHW for a torch module).
    channel_order : {"RGB", "BGR"}
        Order of the channels in the network's input; of no effect with one channel.
    scale : float
        1 for inputs in [0, 1], 255 for inputs in [0, 255].
    mean, std : float or sequence of float
        Per channel *in the network's channel order*, in units of ``scale * x``; one number serves all channels.
    short_side : int, optional
        Pixels of a picture file's short side before the centre crop; None: 256/224 of the network's (256 at 224). The
        crop is the network's input, and the heatmap lies on it. A file that already has exactly the network's size is
        taken as it is.
    size : tuple of int, optional
        (rows, columns) to crop to, for networks that take any size; None: the file is taken as it is.
    interpolation : {"bilinear", "bicubic", "nearest"}
        Of the resize; the first two with antialiasing when shrinking (Pillow).

    Examples
    --------
    >>> from legstat.responses.network.preprocessing import Preprocessing, preset
    >>> preset("tf").affine(3)
    (array([2., 2., 2.]), array([-1., -1., -1.]))
    >>> Preprocessing(mean=(0.4914, 0.4822, 0.4465), std=(0.2471, 0.2435, 0.2616)).channel_order
    'RGB'
    """

    layout: Layout = "auto"
    channel_order: ChannelOrder = "RGB"
    scale: float = 1.0
    mean: float | tuple[float, ...] = 0.0
    std: float | tuple[float, ...] = 1.0
    short_side: int | None = None
    size: tuple[int, int] | None = None
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        _one_of("layout", self.layout, ("auto", "NCHW", "NHWC"))
        _one_of("channel_order", self.channel_order, ("RGB", "BGR"))
        _one_of("interpolation", self.interpolation, tuple(INTERPOLATIONS))
        for name in ("mean", "std"):
            object.__setattr__(self, name, _numbers(name, getattr(self, name)))
        if not (is_number(self.scale) and np.isfinite(self.scale) and self.scale > 0):
            raise ValueError(invalid("Preprocessing", "scale", self.scale, "a finite number > 0"))
        if np.any(np.asarray(self.std) <= 0):
            raise ValueError(invalid("Preprocessing", "std", self.std, "> 0 in every channel"))
        for name, value, length in (("short_side", self.short_side, 1), ("size", self.size, 2)):
            numbers = () if value is None else (value,) if isinstance(value, int) else tuple(value)
            if value is not None and (len(numbers) != length or not all(_is_int(n) and n >= 1 for n in numbers)):
                valid = "a whole number >= 1" if length == 1 else "(rows, columns), both whole numbers >= 1"
                raise ValueError(invalid("Preprocessing", name, value, valid))
        if self.size is not None:
            object.__setattr__(self, "size", tuple(self.size))

    def affine(self, channels: int) -> tuple[FloatArray, FloatArray]:
        """Factor a and offset b per network channel: input = a x + b, x already in the network's channel order.

        Parameters
        ----------
        channels : int
            Channels of the network's input.

        Returns
        -------
        a, b : ndarray of shape (channels,)
            ``scale / std`` and ``-mean / std``.

        Raises
        ------
        ValueError
            If `mean` or `std` has another number of channels.
        """
        for name, value in (("mean", self.mean), ("std", self.std)):
            if isinstance(value, tuple) and len(value) != channels:
                raise ValueError(
                    invalid(
                        "Preprocessing",
                        name,
                        value,
                        f"one number, or one per channel of the network's input ({channels})",
                        "Presets 'imagenet' and 'caffe' are for colour networks; 'unit', 'raw' and 'tf' fit any.",
                    )
                )
        mean, std = np.broadcast_to(self.mean, channels), np.broadcast_to(self.std, channels)
        return self.scale / std, -mean / std

    def reverses(self, channels: int) -> bool:
        """Whether the network wants so many channels of RGB in reverse order."""
        return self.channel_order == "BGR" and channels == 3

    def load(self, path: str | Path, shape: tuple[int | None, int | None, int | None]) -> FloatArray:
        """Read a picture file by the resize rule.

        Parameters
        ----------
        path : str or Path
            Picture file.
        shape : tuple
            (C, H, W) of the network's input, None where free.

        Returns
        -------
        ndarray of shape (C, H, W)
            float64 RGB (grey for C = 1) in [0, 1].
        """
        channels, size = shape[0] or 3, self._size(shape)
        picture = open_picture(path, channels)
        if size is not None:
            picture = fit_picture(picture, size, self.short_side, self.interpolation)
        return to_array(picture, channels)

    def load_boxes(
        self,
        path: str | Path,
        shape: tuple[int | None, int | None, int | None],
        boxes: Sequence[Sequence[float]],
    ) -> list[list[float]]:
        """Boxes of a picture file on what `load` makes of it.

        Parameters
        ----------
        path, shape : optional
            As for `load`.
        boxes : sequence of (x0, y0, x1, y1)
            In pixels of the file's picture, upright; right and lower edges outside.

        Returns
        -------
        list of list of float
            In pixels of the crop, cut off at it; those outside it are left out.
        """
        width, height = open_picture(path, shape[0] or 3).size
        return fit_boxes(boxes, (height, width), self._size(shape) or (height, width), self.short_side)

    def _size(self, shape: tuple[int | None, int | None, int | None]) -> tuple[int, int] | None:
        """(rows, columns) that pictures are fitted to; None where they are taken as they are."""
        rows, columns = shape[1], shape[2]
        if rows is None or columns is None:
            return self.size
        if self.size is not None and self.size != (rows, columns):
            raise ValueError(
                invalid(
                    "Preprocessing", "size", self.size, f"({rows}, {columns}), the network's input", "Leave it out."
                )
            )
        return rows, columns

    def for_layout(self, layout: Literal["NCHW", "NHWC"]) -> Self:
        """The same with "auto" settled as `layout`."""
        return replace(self, layout=layout) if self.layout == "auto" else self

    def to_dict(self) -> JSON:
        """All fields as plain JSON values; `from_dict` takes them back."""
        return {
            field.name: list(value) if isinstance(value := getattr(self, field.name), tuple) else value
            for field in fields(self)
        }

    @classmethod
    def from_dict(cls, table: Mapping[str, object], where: str = "Preprocessing.from_dict") -> Preprocessing:
        """Build from a mapping; ``preset = "caffe"`` inside starts from that preset.

        Parameters
        ----------
        table : mapping
            Field names to values.
        where : str
            Call to name in an error.

        Returns
        -------
        Preprocessing
            The preprocessing.

        Raises
        ------
        ValueError
            Unknown field, unknown preset, value out of range.
        """
        values = dict(table)
        name = values.pop("preset", None)
        base = cls() if name is None else preset(name)
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ValueError(invalid(where, unknown[0], values[unknown[0]], f"one of {sorted(known)} or 'preset'"))
        cleaned: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
        return replace(base, **cleaned)

    @classmethod
    def from_toml(cls, path: str | Path) -> Preprocessing:
        """Read a TOML file of the field names, e.g. ``channel_order = "BGR"``, ``mean = [104, 117, 124]``.

        Parameters
        ----------
        path : str or Path
            The file.

        Returns
        -------
        Preprocessing
            The preprocessing.
        """
        try:
            table = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ValueError(
                invalid("Preprocessing.from_toml", "path", str(path), "a readable TOML file", f"{error}.")
            ) from error
        return cls.from_dict(table, where=f"Preprocessing.from_toml({Path(path).name!r})")


PRESETS: dict[str, Preprocessing] = {
    "imagenet": Preprocessing(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
    "caffe": Preprocessing(channel_order="BGR", scale=255.0, mean=(103.939, 116.779, 123.68)),
    "tf": Preprocessing(scale=255.0, mean=127.5, std=127.5),
    "unit": Preprocessing(),
    "raw": Preprocessing(scale=255.0),
}
"""The named presets: they differ in channel order, scale, mean and std only."""


def preset(name: object) -> Preprocessing:
    """A preset by name.

    Parameters
    ----------
    name : str
        "imagenet", "caffe", "tf", "unit" or "raw".

    Returns
    -------
    Preprocessing
        The preset.

    Raises
    ------
    ValueError
        Unknown name.
    """
    if not isinstance(name, str) or name not in PRESETS:
        raise ValueError(
            invalid(
                "Preprocessing",
                "preprocessing",
                name,
                f"one of the presets {sorted(PRESETS)}, a Preprocessing, or the path of a .toml file",
                "'imagenet': RGB (x - mean)/std; 'caffe': BGR 0..255 minus mean; 'tf': RGB in [-1, 1]; "
                "'unit': RGB in [0, 1]; 'raw': RGB in [0, 255].",
            )
        )
    return PRESETS[name]


def as_preprocessing(value: Preprocessing | str | Path | Mapping[str, object] | None) -> Preprocessing:
    """A preprocessing from whatever a user may pass: itself, a preset's name, a TOML file, a mapping, None ("unit").

    Parameters
    ----------
    value : Preprocessing or str or Path or mapping or None
        The specification.

    Returns
    -------
    Preprocessing
        The preprocessing.
    """
    if isinstance(value, Preprocessing):
        return value
    if value is None:
        return PRESETS["unit"]
    if isinstance(value, Mapping):
        return Preprocessing.from_dict(value)
    if str(value).endswith(".toml"):
        return Preprocessing.from_toml(value)
    return preset(value)
