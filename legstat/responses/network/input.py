"""Pictures to a network's input: the numbers of a preprocessing, the network's layout and type."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

from legstat.responses.network.preprocessing import Preprocessing


class InputLayout:
    """Puts a network's input, computed with its channels first, into the network's layout and type.

    Parameters
    ----------
    preprocessing : Preprocessing
        With the layout settled.
    dtype : numpy.dtype
        Type of the network's input; integers are rounded to the nearest.
    """

    def __init__(self, preprocessing: Preprocessing, dtype: np.dtype[np.generic]) -> None:
        self._last, self._dtype = preprocessing.layout == "NHWC", dtype
        self._out: NDArray[np.generic] | None = None

    @np.errstate(under="ignore")
    def __call__(self, inputs: NDArray[np.floating]) -> NDArray[np.generic]:
        """The input of a batch of shape (n, C, H, W).

        Parameters
        ----------
        inputs : ndarray of shape (n, C, H, W)
            In the network's order of channels; overwritten where the network takes whole numbers.

        Returns
        -------
        ndarray
            A view of a kept buffer, valid until the next call, or `inputs` itself where nothing is to do.
        """
        if not self._last and self._dtype == inputs.dtype:
            return inputs
        shaped = inputs.transpose(0, 2, 3, 1) if self._last else inputs
        if self._dtype.kind in "iu":
            limits = np.iinfo(cast("np.dtype[np.integer]", self._dtype))
            np.rint(inputs, out=inputs)
            np.clip(inputs, limits.min, limits.max, out=inputs)
        if self._out is None or len(self._out) < len(shaped) or self._out.shape[1:] != shaped.shape[1:]:
            self._out = np.empty(shaped.shape, dtype=self._dtype)
        out = self._out[: len(shaped)]
        np.copyto(out, shaped, casting="unsafe")
        return out


class InputWriter:
    """Writes images into the network's input: one multiply and one add each, into a buffer that is kept.

    Parameters
    ----------
    preprocessing : Preprocessing
        With the layout settled.
    channels : int
        Channels of the network's input.
    dtype : numpy.dtype
        Type of the network's input; integers are rounded to the nearest.
    """

    def __init__(self, preprocessing: Preprocessing, channels: int, dtype: np.dtype[np.generic]) -> None:
        factor, offset = preprocessing.affine(channels)
        self._reverse = preprocessing.reverses(channels)
        # float32 arithmetic for float32 and narrower inputs; a network in float64 gets float64.
        self._work = np.dtype(np.float64 if dtype == np.float64 else np.float32)
        self._factor, self._offset = (v.astype(self._work)[:, None, None] for v in (factor, offset))
        still = bool(np.all(factor == 1.0) and np.all(offset == 0.0))
        self._nothing = still and not self._reverse and preprocessing.layout == "NCHW" and dtype == self._work
        self._layout = InputLayout(preprocessing, dtype)
        self._buffer: NDArray[np.floating] | None = None

    @np.errstate(under="ignore")
    def __call__(self, images: NDArray[np.floating]) -> NDArray[np.generic]:
        """The network's input for a batch; valid until the next call.

        Parameters
        ----------
        images : ndarray of shape (n, C, H, W)
            RGB in [0, 1].

        Returns
        -------
        ndarray
            In the network's layout and dtype; a view of the kept buffer, or `images` itself where nothing is to do.
        """
        n = len(images)
        if self._nothing and images.dtype == self._work:
            return np.ascontiguousarray(images)
        if self._buffer is None or len(self._buffer) < n or self._buffer.shape[1:] != images.shape[1:]:
            self._buffer = np.empty(images.shape, dtype=self._work)
        work = self._buffer[:n]
        # one image after the other, so that the second pass finds the first one's result in the cache
        for image, out in zip(images[:, ::-1] if self._reverse else images, work, strict=True):
            np.multiply(image, self._factor, out=out, casting="same_kind")
            out += self._offset
        return self._layout(work)
