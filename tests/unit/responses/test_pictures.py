"""Picture files that are not what they seem: other depths, other colours, several pictures in one."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from legstat._core.errors import LegstatWarning
from legstat.responses.pictures import read_picture

LEVELS = np.arange(64).reshape(8, 8) * 4


def test_integers_of_32_bits_have_no_known_range(tmp_path: Path) -> None:
    Image.fromarray(LEVELS.astype(np.int32)).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match=r"a picture of 8 or 16 bits per channel.*range is unknown"):
        read_picture(tmp_path / "a.tif", 1)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_12_bits_in_16_are_told(tmp_path: Path, name: str) -> None:
    Image.fromarray((16 * LEVELS).astype(np.uint16)).save(tmp_path / name)
    with pytest.warns(LegstatWarning, match=r"levels up to 4032 of 65535"):
        dark = read_picture(tmp_path / name, 1)
    np.testing.assert_allclose(dark[0], 16 * LEVELS / 65535, rtol=1e-6)  # float32 on the way
    Image.fromarray((256 * LEVELS).astype(np.uint16)).save(tmp_path / name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(read_picture(tmp_path / name, 1)[0], 256 * LEVELS / 65535, rtol=1e-6)


def test_lab_is_converted_to_colours_and_to_grey(tmp_path: Path) -> None:
    Image.new("LAB", (8, 8), (137, 128, 128)).save(tmp_path / "a.tif")  # L* = 53.6: the grey of level 128
    np.testing.assert_allclose(read_picture(tmp_path / "a.tif"), 128 / 255, atol=3 / 255)  # 8 bits on both sides
    np.testing.assert_allclose(read_picture(tmp_path / "a.tif", 1), 128 / 255, atol=3 / 255)


def test_colours_that_cannot_be_converted_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("LAB", (8, 8)).save(tmp_path / "a.tif")

    def refuses(self: Image.Image, mode: str) -> Image.Image:
        raise ValueError(f"conversion from {self.mode} to {mode} not supported")

    monkeypatch.setattr(Image.Image, "convert", refuses)
    with pytest.raises(ValueError, match=r"legstat.load_image: `path` must be a picture in grey, RGB or CMYK.*LAB"):
        read_picture(tmp_path / "a.tif")


@pytest.mark.parametrize("name", ["a.gif", "a.tif", "a.png"])
def test_the_first_of_several_pictures_is_taken_and_told(tmp_path: Path, name: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255))]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    with pytest.warns(LegstatWarning, match=r"holds 3 pictures; the first is taken"):
        picture = read_picture(tmp_path / name)
    assert picture[:, 0, 0].tolist() == [1.0, 0.0, 0.0]


def test_a_cameras_previews_are_no_further_pictures(tmp_path: Path) -> None:
    photo, preview = Image.new("RGB", (8, 8), (255, 0, 0)), Image.new("RGB", (4, 4), (255, 0, 0))
    photo.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[preview])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_picture(tmp_path / "a.jpg").shape == (3, 8, 8)
