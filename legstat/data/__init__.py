"""The digit classifier and the held-out digits that come with the package.

A convolutional network of 9,930 weights, trained by ``tools/train_digits.py`` on 1,400 of the 1,797 digits of 8 x 8
pixels that scikit-learn bundles. The other 397 digits come along as pictures to explain: the network never saw them.
They are from the test part of *Optical Recognition of Handwritten Digits* (Alpaydin and Kaynak, 1998, UCI Machine
Learning Repository, CC BY 4.0).
"""

from __future__ import annotations

import json
import operator
from pathlib import Path
from typing import cast

import numpy as np

from legstat._core.errors import invalid
from legstat._core.typing import JSON, FloatArray

__all__ = ["digits_info", "digits_model_path", "load_digit"]

_FOLDER = Path(__file__).resolve().parent


def digits_model_path() -> Path:
    """Path of the shipped digit classifier, an ONNX file.

    Returns
    -------
    pathlib.Path
        The file. Its input ``input`` is float32 of shape (N, 1, 8, 8), grey values in [0, 1] (no preprocessing), N
        free; its output ``logits`` is float32 of shape (N, 10), the digits 0 to 9 in order.

    See Also
    --------
    digits_info : What the network was trained on, and how accurate it is.
    load_digit : Pictures that the network has not seen.

    Examples
    --------
    >>> digits_model_path().name
    'digits_cnn.onnx'
    """
    return _FOLDER / "digits_cnn.onnx"


def load_digit(index: int) -> tuple[FloatArray, int]:
    """One of the held-out digits, with its label.

    Parameters
    ----------
    index : int
        Number of the picture, 0 to 396; negative numbers count from the end.

    Returns
    -------
    image : ndarray of shape (1, 8, 8)
        Grey values in [0, 1], float64: multiples of 1/16, 0 where there is no ink.
    label : int
        The digit that was written, 0 to 9.

    Raises
    ------
    ValueError
        If there is no picture of this number.
    TypeError
        If `index` is not a whole number.

    See Also
    --------
    digits_model_path : The network to explain.

    Examples
    --------
    >>> image, label = load_digit(0)
    >>> image.shape, float(image.min()), float(image.max()), label
    ((1, 8, 8), 0.0, 0.9375, 3)
    """
    with np.load(_FOLDER / "digits_heldout.npz", allow_pickle=False) as file:
        images, labels = file["images"], file["labels"]
    count = len(labels)
    try:
        number = operator.index(index)
    except TypeError:
        raise TypeError(invalid("data.load_digit", "index", index, f"a whole number from 0 to {count - 1}")) from None
    if not -count <= number < count:
        raise ValueError(invalid("data.load_digit", "index", index, f"a whole number from 0 to {count - 1}"))
    return images[number][None] / 16.0, int(labels[number])


def digits_info() -> JSON:
    """What is known about the shipped digit classifier.

    Returns
    -------
    dict
        As written by ``tools/train_digits.py``: ``data`` (the source), ``input`` and ``output`` of the network,
        ``n_train`` and ``n_heldout`` (pictures), ``accuracy_train`` and ``accuracy_heldout`` (shares of pictures
        whose largest logit is the label's, measured by ONNX Runtime), ``seed``, ``epochs``, ``sha256`` of the two
        shipped files, and ``versions`` of what trained it.

    Examples
    --------
    >>> info = digits_info()
    >>> info["n_train"], info["n_heldout"], info["accuracy_heldout"] > 0.98
    (1400, 397, True)
    """
    return cast("JSON", json.loads((_FOLDER / "digits.json").read_text(encoding="utf-8")))
