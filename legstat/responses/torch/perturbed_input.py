"""Network inputs made on a device: only the cells' numbers cross."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from legstat._core.typing import AnyArray
from legstat.perturbations.recipe import Recipe
from legstat.responses.torch.replicas import to_device

if TYPE_CHECKING:
    import torch


class DeviceComposer:
    """Follows a recipe with torch on one device.

    Operation by operation as `Composer` does it with numpy, in the same order and the same type, each rounded by
    itself: the inputs are equal to the bit, on any device that rounds as IEEE 754 says.

    Parameters
    ----------
    recipe : Recipe
        Of the network's input; float32 or float64.
    layout : {"NCHW", "NHWC"}
        Of the network's input.
    device : torch.device
        Where.
    dtype : torch.dtype
        Type of the network's input.
    channels_last : bool
        Lay the channels side by side in memory.
    """

    def __init__(
        self, recipe: Recipe, layout: str, device: torch.device, dtype: torch.dtype, channels_last: bool
    ) -> None:
        import torch

        self._device, self._dtype, self._nhwc = device, dtype, layout == "NHWC"
        self._format = torch.channels_last if channels_last else torch.contiguous_format
        self._shape = recipe.base.shape
        channels, height, width = self._shape
        tiling = recipe.grid.tiling(height, width)
        self._width = tiling.size[1]
        # where cells differ in size, the cell of each row and column of pixels
        self._places = None if tiling.even else tuple(to_device(a, device) for a in (tiling.row_of, tiling.column_of))
        self._between = None
        if recipe.smooth:
            self._between = tuple(
                (
                    to_device(b.first, device),
                    to_device(b.second, device),
                    to_device(b.share.astype(recipe.dtype), device),
                )
                for b in recipe.between
            )
        self._split = (channels, recipe.grid.shape[0], tiling.size[0], width)
        if recipe.smooth or self._places is not None:
            self._split = (channels, 1, height, width)
        self._base = self._kept(recipe.base)
        self._gain = None if recipe.gain is None else self._kept(recipe.gain)
        self._limits, self._affine = self._pair(recipe.limits), self._pair(recipe.affine)
        self._quantise = recipe.quantise
        # a tensor on the device: by a Python number CUDA multiplies with its reciprocal, which rounds otherwise
        self._levels = torch.tensor(255.0, dtype=self._base.dtype, device=device)
        self._pictures = torch.empty(0, device=device)

    def _kept(self, picture: AnyArray) -> torch.Tensor:
        """A (C, H, W) array on the device as (C, p1, h, W), or (C, 1, H, W) where cells differ in size."""
        placed = to_device(picture, self._device)[None].contiguous(memory_format=self._format)[0]
        return placed.view(self._split)

    def _pair(self, numbers: tuple[AnyArray, AnyArray] | None) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Two arrays of one number a channel, on the device, ready to act on pictures."""
        if numbers is None:
            return None
        first, second = (to_device(np.ascontiguousarray(n[:, None, None]), self._device) for n in numbers)
        return first, second

    def __call__(self, cells: AnyArray) -> torch.Tensor:
        """The network's input for some pictures.

        Parameters
        ----------
        cells : ndarray of shape (n, 1 or C, p1, p2)
            What the recipe's `cells` makes of z.

        Returns
        -------
        torch.Tensor
            On the device; on the CPU it is overwritten by the next call.
        """
        import torch

        n = len(cells)
        pictures = self._pictures
        if len(pictures) < n:
            shape = (n, *self._shape)
            pictures = torch.empty(shape, dtype=self._base.dtype, device=self._device, memory_format=self._format)
            if self._device.type == "cpu":  # elsewhere torch keeps freed memory itself, and can be told to let it go
                self._pictures = pictures
        pictures = pictures[:n]
        split = pictures.view(n, *self._split)
        placed = to_device(np.ascontiguousarray(cells), self._device)
        if self._between is not None:
            down, across = self._between
            rows = _interpolated(_interpolated(placed, across, -1), down, -2)[:, :, None]
        elif self._places is None:
            # along a row of pixels each cell's number is repeated; down its rows broadcasting does it
            rows = placed.repeat_interleave(self._width, dim=-1)[:, :, :, None, :]
        else:
            row_of, column_of = self._places
            rows = placed.index_select(-1, column_of).index_select(-2, row_of)[:, :, None]
        if self._gain is None:
            torch.add(rows, self._base, out=split)
        else:
            torch.mul(rows, self._gain, out=split)
            split += self._base
        if self._limits is not None:
            pictures.clamp_(*self._limits)
        if self._quantise:
            pictures.mul_(self._levels).trunc_().div_(self._levels)
        if self._affine is not None:
            pictures.mul_(self._affine[0]).add_(self._affine[1])
        made = pictures.permute(0, 2, 3, 1).contiguous() if self._nhwc else pictures
        return made.to(self._dtype)


def _interpolated(
    numbers: torch.Tensor, between: tuple[torch.Tensor, torch.Tensor, torch.Tensor], dim: int
) -> torch.Tensor:
    """Along one of the last two axes from cells to pixels."""
    first, second = (numbers.index_select(dim, of) for of in between[:2])
    return second.sub_(first).mul_(between[2] if dim == -1 else between[2][:, None]).add_(first)
