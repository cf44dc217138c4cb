"""Trying a model on a few pictures: what it answers, whether it repeats itself, which preset suits it."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from legstat._core.errors import LegstatWarning
from legstat._core.typing import AnyArray, FloatArray
from legstat.responses.network.preprocessing import PRESETS
from legstat.responses.network.response import NetworkResponse

Preset = tuple[str, int, str | None, float]
"""Name, first choice, its label, its probability."""


@dataclass(frozen=True)
class Trial:
    """Class outputs of a few pictures in one row, and how they change.

    Parameters
    ----------
    one_by_one : ndarray of shape (n, K)
        Class outputs, each picture alone.
    repeat_difference : float or None
        Largest change when the first one is run again.
    evaluations : int
        That were spent.
    """

    one_by_one: FloatArray
    repeat_difference: float | None
    evaluations: int


def run_alone(response: NetworkResponse, pictures: AnyArray, repeats: int) -> Trial:
    """Run pictures one by one, the first of them `repeats` times."""
    alone = response.with_batch_size(1)
    one_by_one = np.concatenate([alone.class_outputs(one[None]) for one in pictures]).astype(np.float64)
    again = [alone.class_outputs(pictures[:1]).astype(np.float64) for _ in range(max(repeats - 1, 0))]
    changes = [float(np.abs(run - one_by_one[:1]).max()) for run in again]
    return Trial(one_by_one, max(changes, default=None), len(pictures) + len(again))


def picture_for(response: NetworkResponse, image: str | Path | AnyArray | None) -> FloatArray:
    """The picture that was given, or random pixels."""
    if isinstance(image, str | Path):
        return response.load_image(image)
    if image is not None:
        return np.asarray(image, dtype=np.float64)
    usual = (3, *(response.preprocessing.size or (224, 224)))
    channels, rows, columns = (
        size or free for size, free in zip(response.input_shape or (None, None, None), usual, strict=True)
    )
    return np.random.default_rng(0).random((channels, rows, columns))


def variants(picture: FloatArray) -> FloatArray:
    """A handful of different pictures made of one: as it is, mirrored, upside down, negative, dark."""
    return np.stack([picture, picture[:, :, ::-1], picture[:, ::-1], 1.0 - picture, 0.5 * picture])


def assumed(response: NetworkResponse, teller: str) -> str:
    """What was taken for granted where no preprocessing was given; `teller` does not tell."""
    taken = "0..255" if response.preprocessing.scale == 255 else "[0, 1]"
    return (
        f"no preprocessing was given: taken to want {taken} in RGB order; {teller}. Compare the presets on a picture "
        "whose class is known."
    )


def compare_presets(
    opened: Callable[[str], NetworkResponse], settled: NetworkResponse, picture: FloatArray, own: bool
) -> tuple[tuple[Preset, ...], int]:
    """First choice under every preset that fits the network's channels; with `own` also under the rule given.

    Returns
    -------
    presets : tuple
        In the order of `PRESETS`, the one that was given first where it is none of them.
    evaluations : int
        That were spent.
    """
    found: list[Preset] = []
    for name in PRESETS:
        with contextlib.suppress(ValueError), warnings.catch_warnings():
            warnings.simplefilter("ignore", LegstatWarning)
            response, _ = opened(name).with_batch_size(1).bind(picture)
            found.append(_first_choice(name, response))
    spent = len(found)
    if own and replace(settled.preprocessing, layout="auto") not in PRESETS.values():
        found.insert(0, _first_choice("as given", settled))
    return tuple(found), spent


def _first_choice(name: str, settled: NetworkResponse) -> Preset:
    top, label, chance = settled.describe()["top_x0"][0]
    return name, top, label, chance
