"""Preprocessing against the formulas written out, files against Pillow by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from legstat.responses.network.input import InputWriter
from legstat.responses.network.preprocessing import PRESETS, Preprocessing, as_preprocessing
from legstat.responses.pictures import read_picture

FLOAT32 = np.dtype(np.float32)


def picture(path: Path, rows: int, columns: int, mode: str = "RGB") -> Path:
    """A file of random pixels (PNG: exact)."""
    rng = np.random.default_rng(1)
    shape = (rows, columns, 3) if mode == "RGB" else (rows, columns)
    Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(path)
    return path


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_are_what_their_frameworks_do(name: str, layout: str, rng: np.random.Generator) -> None:
    x = rng.random((3, 3, 5, 4))
    r, g, b = (x[:, c] for c in range(3))
    truth = {
        "imagenet": [(r - 0.485) / 0.229, (g - 0.456) / 0.224, (b - 0.406) / 0.225],
        "caffe": [255 * b - 103.939, 255 * g - 116.779, 255 * r - 123.68],
        "tf": [255 * r / 127.5 - 1, 255 * g / 127.5 - 1, 255 * b / 127.5 - 1],
        "unit": [r, g, b],
        "raw": [255 * r, 255 * g, 255 * b],
    }[name]
    expected = np.stack(truth, axis=1 if layout == "NCHW" else -1)
    write = InputWriter(replace(PRESETS[name], layout=layout), 3, FLOAT32)
    for images in (x.astype(np.float32), x.astype(np.float32)[:2]):  # the second is the last, partial batch
        got = write(images)
        assert got.dtype == np.float32
        assert got.flags.c_contiguous
        # float32 arithmetic on numbers of up to 255: a few ulp of 255
        assert got == pytest.approx(expected[: len(images)], rel=1e-6, abs=3e-5)


def test_identity_copies_nothing_and_no_call_changes_its_input(rng: np.random.Generator) -> None:
    x = rng.random((2, 3, 4, 4)).astype(np.float32)
    assert InputWriter(Preprocessing(layout="NCHW"), 3, FLOAT32)(x) is x
    before = x.copy()
    InputWriter(replace(PRESETS["caffe"], layout="NCHW"), 3, FLOAT32)(x)
    assert np.array_equal(x, before)


def test_the_buffer_is_reused(rng: np.random.Generator) -> None:
    write = InputWriter(replace(PRESETS["tf"], layout="NCHW"), 3, FLOAT32)
    x = rng.random((4, 3, 4, 4)).astype(np.float32)
    assert np.shares_memory(write(x), write(x[:1]))


def test_uint8_inputs_are_rounded_not_truncated() -> None:
    write = InputWriter(replace(PRESETS["raw"], layout="NHWC"), 1, np.dtype(np.uint8))
    x = np.array([0.0, 0.6 / 255, 0.4 / 255, 254.6 / 255, 1.0, 1.2, -0.1, 0.5], dtype=np.float32).reshape(1, 1, 2, 4)
    assert write(x).ravel().tolist() == [0, 1, 0, 255, 255, 255, 0, 128]


def test_grey_networks_take_scalar_presets_only() -> None:
    factor, offset = PRESETS["tf"].affine(1)
    assert (factor.tolist(), offset.tolist()) == ([2.0], [-1.0])
    with pytest.raises(ValueError, match=r"`mean` must be one number, or one per channel .*\(1\)"):
        PRESETS["imagenet"].affine(1)


def test_resize_rule_is_short_side_256_then_centre_crop(tmp_path: Path) -> None:
    file = picture(tmp_path / "a.png", 300, 500)
    got = Preprocessing().load(file, (3, 224, 224))
    with Image.open(file) as opened:
        by_hand = opened.resize((int(256 * 500 / 300), 256), Image.Resampling.BILINEAR)
    array = np.asarray(by_hand, dtype=np.float64) / 255
    top, left = 16, round((426 - 224) / 2)
    expected = array[top : top + 224, left : left + 224].transpose(2, 0, 1)
    assert np.array_equal(got, expected)
    tall = Preprocessing().load(picture(tmp_path / "b.png", 500, 300), (3, 224, 224))
    assert tall.shape == (3, 224, 224)


@pytest.mark.parametrize(("rows", "columns"), [(7, 300), (300, 7), (100, 101), (33, 32), (1, 1)])
@pytest.mark.parametrize("size", [(32, 32), (16, 48), (28, 20)])
def test_the_crop_always_fits(tmp_path: Path, rows: int, columns: int, size: tuple[int, int]) -> None:
    loaded = Preprocessing().load(picture(tmp_path / "a.png", rows, columns), (3, *size))
    assert loaded.shape == (3, *size)
    assert loaded.min() >= 0
    assert loaded.max() <= 1


def test_a_picture_of_the_network_s_size_is_taken_as_it_is(tmp_path: Path) -> None:
    file = picture(tmp_path / "a.png", 28, 28, mode="L")
    with Image.open(file) as opened:
        assert np.array_equal(Preprocessing().load(file, (1, 28, 28))[0], np.asarray(opened) / 255)


def test_resize_is_settable(tmp_path: Path) -> None:
    file = picture(tmp_path / "a.png", 64, 64)
    with Image.open(file) as opened:
        expected = np.asarray(opened.resize((32, 32), Image.Resampling.BICUBIC)) / 255
    rule = Preprocessing(short_side=32, interpolation="bicubic")
    assert np.array_equal(rule.load(file, (3, 32, 32)), expected.transpose(2, 0, 1))
    assert Preprocessing(size=(20, 30)).load(file, (None, None, None)).shape == (3, 20, 30)
    assert Preprocessing().load(file, (None, None, None)).shape == (3, 64, 64)


def test_exif_orientation_and_sixteen_bits_are_read(tmp_path: Path) -> None:
    plain = picture(tmp_path / "a.png", 20, 30)
    with Image.open(plain) as opened:
        exif = Image.Exif()
        exif[0x0112] = 6  # turn by 90 degrees to the right
        opened.save(tmp_path / "turned.png", exif=exif)
        expected = np.rot90(np.asarray(opened), k=-1) / 255
    assert np.array_equal(read_picture(tmp_path / "turned.png"), expected.transpose(2, 0, 1))
    deep = np.array([[0, 65535], [32768, 1]], dtype=np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    # through float32, so to its rounding
    assert read_picture(tmp_path / "deep.png", channels=1)[0] == pytest.approx(deep / 65535, rel=1e-6)


def test_bad_pictures_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"`path` must be an existing picture file. Got .*none\.png"):
        read_picture(tmp_path / "none.png")
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(ValueError, match=r"a picture that Pillow can decode.*Save it again"):
        read_picture(tmp_path / "text.png")
    whole = picture(tmp_path / "whole.png", 50, 50).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"a picture that Pillow can decode"):
        read_picture(tmp_path / "cut.png")
    seethrough = np.zeros((4, 4, 4), dtype=np.uint8)
    Image.fromarray(seethrough).save(tmp_path / "clear.png")
    with pytest.raises(ValueError, match=r"without transparent pixels"):
        read_picture(tmp_path / "clear.png")
    Image.fromarray(np.full((4, 4, 4), 255, dtype=np.uint8)).save(tmp_path / "opaque.png")
    assert read_picture(tmp_path / "opaque.png").shape == (3, 4, 4)


def test_round_trips(tmp_path: Path) -> None:
    rule = Preprocessing(
        layout="NHWC", channel_order="BGR", scale=255.0, mean=(1, 2, 3), std=2, short_side=40, size=(32, 30)
    )
    assert Preprocessing.from_dict(rule.to_dict()) == rule
    file = tmp_path / "rule.toml"
    file.write_text('preset = "caffe"\nshort_side = 240\nmean = [104, 117, 124]\n')
    assert as_preprocessing(str(file)) == replace(PRESETS["caffe"], short_side=240, mean=(104.0, 117.0, 124.0))
    assert as_preprocessing({"preset": "tf"}) == PRESETS["tf"]
    assert as_preprocessing(None) == PRESETS["unit"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: as_preprocessing("keras"), r"`preprocessing` must be one of the presets .*'caffe'.* Got 'keras'"),
        (lambda: Preprocessing(layout="CHWN"), r"`layout` must be one of"),
        (lambda: Preprocessing(channel_order="RBG"), r"`channel_order` must be one of"),
        (lambda: Preprocessing(interpolation="area"), r"`interpolation` must be one of"),
        (lambda: Preprocessing(scale=0), r"`scale` must be a finite number > 0"),
        (lambda: Preprocessing(std=(1, 0, 1)), r"`std` must be > 0"),
        (lambda: Preprocessing(mean=float("nan")), r"`mean` must be finite"),
        (lambda: Preprocessing(short_side=0), r"`short_side` must be a whole number >= 1"),
        (lambda: Preprocessing(size=(3,)), r"`size` must be \(rows, columns\)"),
        (lambda: Preprocessing.from_dict({"colour": 1}), r"`colour` must be one of"),
        (lambda: as_preprocessing("nowhere.toml"), r"`path` must be a readable TOML file"),
    ],
)
def test_bad_preprocessing_is_named(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_mean_that_is_no_number_is_a_type_error() -> None:
    with pytest.raises(TypeError, match=r"`mean` must be a number, or one number per channel"):
        Preprocessing(mean="grey")


def test_short_side_below_the_input_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"`short_side` must be >= 224"):
        Preprocessing(short_side=200).load(picture(tmp_path / "a.png", 300, 300), (3, 224, 224))
