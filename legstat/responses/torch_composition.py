"""Perturbed pictures made on a device: only z crosses, the network's input comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from legstat._typing import AnyArray
from legstat.composition import Recipe
from legstat.responses.preprocessing import Preprocessing
from legstat.responses.torch_device import to_device

if TYPE_CHECKING:
    import torch


class DeviceComposer:
    """Follows a recipe, and the preprocessing behind it, with torch on one device.

    Operation by operation as `Composer` and `InputWriter` do it with numpy, in the same order and the same type, each
    rounded by itself: the pictures are equal to the bit, on any device that rounds as IEEE 754 says. Only the order of
    the channels is settled first, on the recipe's arrays, in place of on every picture.

    Parameters
    ----------
    recipe : Recipe
        How the pictures are made; float32 or float64.
    preprocessing : Preprocessing
        With layout NCHW or NHWC.
    device : torch.device
        Where.
    dtype : torch.dtype
        Type of the network's input.
    channels_last : bool
        Lay the channels side by side in memory.
    """

    def __init__(
        self,
        recipe: Recipe,
        preprocessing: Preprocessing,
        device: torch.device,
        dtype: torch.dtype,
        channels_last: bool,
    ) -> None:
        import torch

        self._device, self._dtype = device, dtype
        self._format = torch.channels_last if channels_last else torch.contiguous_format
        self._shape = recipe.base.shape
        channels, height, width = self._shape
        h, self._width = recipe.grid.cell_size(height, width)
        self._split = (channels, recipe.grid.shape[0], h, width)
        self._reverse = preprocessing.channel_order == "BGR" and channels == 3
        self._nhwc = preprocessing.layout == "NHWC"
        self._clip, self._quantise = recipe.clip, recipe.quantise
        self._base = self._kept(recipe.base)
        self._gain = None if recipe.gain is None else self._kept(recipe.gain)
        factor, offset = (v.astype(recipe.dtype)[:, None, None] for v in preprocessing.affine(channels))
        self._affine = None
        if not (np.all(factor == 1.0) and np.all(offset == 0.0)):
            self._affine = to_device(factor, device), to_device(offset, device)
        # a tensor on the device: by a Python number CUDA multiplies with its reciprocal, which rounds otherwise
        self._levels = torch.tensor(255.0, dtype=self._base.dtype, device=device)
        self._pictures = torch.empty(0, device=device)

    def _kept(self, picture: AnyArray) -> torch.Tensor:
        """A (C, H, W) array on the device as (C, p1, h, W), in the network's order of channels."""
        ordered = np.ascontiguousarray(picture[::-1] if self._reverse else picture)
        placed = to_device(ordered, self._device)[None].contiguous(memory_format=self._format)[0]
        return placed.view(self._split)

    def __call__(self, values: AnyArray, channel: int | None) -> torch.Tensor:
        """The network's input for some pictures.

        Parameters
        ----------
        values : ndarray of shape (n, planes, p1, p2)
            What the recipe's `values` makes of z.
        channel : int or None
            The only channel that one plane acts on.

        Returns
        -------
        torch.Tensor
            On the device; on the CPU it is overwritten by the next call.
        """
        import torch

        n = len(values)
        pictures = self._pictures
        if len(pictures) < n:
            shape = (n, *self._shape)
            pictures = torch.empty(shape, dtype=self._base.dtype, device=self._device, memory_format=self._format)
            if self._device.type == "cpu":  # elsewhere torch keeps freed memory itself, and can be told to let it go
                self._pictures = pictures
        pictures = pictures[:n]
        if self._reverse and values.shape[1] > 1:
            values = np.ascontiguousarray(values[:, ::-1])
        # along a row of pixels each cell's number is repeated; down its rows broadcasting does it
        rows = to_device(values, self._device).repeat_interleave(self._width, dim=-1)[:, :, :, None, :]
        self._compose(rows, pictures.view(n, *self._split), channel)
        if self._clip:
            pictures.clamp_(0.0, 1.0)
        if self._quantise:
            pictures.mul_(self._levels).trunc_().div_(self._levels)
        if self._affine is not None:
            pictures.mul_(self._affine[0]).add_(self._affine[1])
        made = pictures.permute(0, 2, 3, 1).contiguous() if self._nhwc else pictures
        return made.to(self._dtype)

    def _compose(self, rows: torch.Tensor, split: torch.Tensor, channel: int | None) -> None:
        import torch

        if channel is not None:
            own = self._shape[0] - 1 - channel if self._reverse else channel
            split.copy_(self._base)
            moved = rows[:, 0] if self._gain is None else rows[:, 0] * self._gain[own]
            split[:, own] += moved
        elif self._gain is None:
            torch.add(rows, self._base, out=split)
        else:
            torch.mul(rows, self._gain, out=split)
            split += self._base
