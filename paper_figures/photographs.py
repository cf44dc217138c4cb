"""Photographs for figures: read from the folder of real data where it is there, a grey field where it is not."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import legstat as ls

Array = NDArray[np.float64]
MODEL = "mobilenet_v2_1.0_224.onnx"


def data_folder() -> Path | None:
    """The folder of real models and pictures, if there is one."""
    named = os.environ.get("LEGSTAT_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    return folder if (folder / "models" / MODEL).is_file() else None


def photograph(stem: str) -> Array:
    """A picture of 224 x 224 by the name of its file, shape (3, 224, 224)."""
    folder = data_folder()
    files = [] if folder is None else list(folder.glob(f"images/*/{stem}.*"))
    if folder is None or not files:
        return np.full((3, 224, 224), 0.6)
    return ls.onnx_response(folder / "models" / MODEL, preprocessing="tf").load_image(files[0])


def cifar(number: int) -> Array:
    """A CIFAR picture by its number in the folder of real data, shape (3, 32, 32)."""
    folder = data_folder()
    if folder is None:
        return np.full((3, 32, 32), 0.6)
    with np.load(folder / "images" / "cifar10_lossless_from_vnnlib.npz") as file:
        return np.asarray(file["images"][number].transpose(2, 0, 1) / 255.0, dtype=np.float64)
