"""What an experiment leaves behind: draws that come again, merging, saving, arrays from elsewhere."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import legstat as ls
from legstat._core.npz import loading_arrays, save_arrays
from legstat.designs.blocks import BLOCK
from legstat.samples.drawing import CHUNK
from legstat.samples.segments import Ledger, Segment
from tests.helpers import Counting, naive_pictures, naive_realised, smooth

IMAGE = np.random.default_rng(1).uniform(0.0, 1.0, (2, 4, 6))
GRID = (2, 3)
ARRANGEMENTS: dict[str, dict[str, Any]] = {
    "shared": {},
    "draws": {"antithetic": False},
    "separate": {"channels": "separate"},
    "joint": {"channels": "joint", "antithetic": False},
    "blend": {"perturbation": ls.Blend("mean", at=0.3)},
    "given baseline": {"perturbation": ls.Blend(IMAGE[::-1].copy(), blur_sigma=2.0)},
    "paper": {"conventions": "paper"},
    "upstream": {"conventions": "upstream"},
    "general": {"design": ls.GaussianDesign(np.diag(np.arange(1.0, 7.0)), GRID, 0.1)},
    "isotropic": {"design": ls.IsotropicGaussian(GRID, 0.2, boundary="zero")},
}


def take(arrangement: str = "shared", n_queries: int = 120, f: Any = smooth, **more: Any) -> ls.QuerySample:
    given = {**ARRANGEMENTS[arrangement], **more}
    channels = given.pop("channels", None)
    design = given.pop("design", None) or ls.StructuredGaussian(GRID, 0.3, channels=channels)
    return ls.query(f, IMAGE, design, n_queries, progress=False, **{"rng": 3, **given})


def assert_same(one: ls.QuerySample, two: ls.QuerySample) -> None:
    """All that a sample is, bit by bit."""
    for name in ("design", "perturbation", "antithetic", "conventions", "f_x0", "f_base", "response", "ledger"):
        assert getattr(one, name) == getattr(two, name), name
    assert np.array_equal(one.image, two.image)
    assert len(one.segments) == len(two.segments)
    for a, b in zip(one.segments, two.segments, strict=True):
        assert (a.key, a.channel, a.first_block) == (b.key, b.channel, b.first_block)
        assert np.array_equal(a.responses, b.responses)
        assert np.array_equal(a.pending, b.pending, equal_nan=True)
    assert np.array_equal(one.draws(), two.draws())
    assert one.summary_header() == two.summary_header()


# ---------------------------------------------------------------- draws


@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
def test_draws_are_what_the_pictures_realised(arrangement: str) -> None:
    sample = take(arrangement, 40)
    z, count = sample.draws(), len(IMAGE)
    planes = 1 if sample.design.channels == "shared" else count
    assert z.shape == (len(sample.responses), planes, *GRID)
    start = 0
    for stream in range(sample.n_channels):
        (segment,) = [s for s in sample.segments if s.channel == stream]
        units = len(segment.responses)
        drawn = np.concatenate([sample.design.draw(segment.key, stream, j, sample.planes) for j in (0, 1)])[:units]
        if sample.antithetic:
            drawn = np.stack([drawn, -drawn], axis=1).reshape(-1, *drawn.shape[1:])
        mine = z[start : start + len(drawn)]
        start += len(drawn)
        channels, operator = sample.design.channels, sample.perturbation
        if isinstance(operator, ls.Blend):
            expected = np.clip(operator.at + drawn, 0, 1) - operator.at
        else:
            alone = stream if channels == "separate" else None
            pictures = naive_pictures(IMAGE, drawn, channel=alone, clip=operator.clip)  # unrounded also "upstream"
            expected = naive_realised(IMAGE, pictures, GRID, channels=channels, channel=stream)
        if channels == "separate":
            others = [c for c in range(count) if c != stream]
            assert not mine[:, others].any()
            mine = mine[:, stream : stream + 1]
        np.testing.assert_allclose(mine, expected, rtol=0, atol=2e-15)  # sums over a cell's pixels
    assert start == len(z)


def test_pairs_are_side_by_side() -> None:
    sample = take("shared", 41, perturbation=ls.Additive(clip=False))
    z = sample.draws()
    np.testing.assert_array_equal(z[0::2], -z[1::2])


def test_draws_over_chunks_are_those_of_single_blocks() -> None:
    units = CHUNK + 2 * BLOCK + 5
    sample = take("draws", units + 1, perturbation=ls.Additive(clip=False), first_block=7)
    key = sample.segments[0].key
    blocks = [sample.design.draw(key, 0, 7 + j) for j in range(-(-units // BLOCK))]
    np.testing.assert_array_equal(sample.draws(), np.concatenate(blocks)[:units])
    chunks = [len(y) for _, y in sample.units[0].rows()]
    assert sum(chunks) == units
    assert len(chunks) == 2


def test_sizes_and_shift() -> None:
    sample = take("separate", 121)
    assert (sample.n_channels, sample.planes, sample.n_units) == (2, 1, (30, 30))
    assert sample.mean_shift == pytest.approx(sample.responses.mean() - sample.f_base, abs=1e-16)
    joint = take("joint", 121)
    assert (joint.n_channels, joint.planes, joint.n_units) == (1, 2, (120,))


def test_memory_does_not_grow_with_the_grid() -> None:
    sample = take("shared", 2001)
    kept = sum(s.responses.nbytes + s.pending.nbytes for s in sample.segments)
    assert kept == 8 * 2000  # eight bytes a query, and no z


# ---------------------------------------------------------------- save and load


@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
def test_saved_and_loaded_is_the_same_to_the_bit(arrangement: str, tmp_path: Path) -> None:
    sample = take(arrangement)
    path = tmp_path / "sample.bin"  # written under exactly this name
    sample.save(path)
    assert [p.name for p in tmp_path.iterdir()] == ["sample.bin"]
    loaded = ls.QuerySample.load(path)
    assert_same(loaded, sample)
    for kind in ("printed", "regression", "crossfit"):
        np.testing.assert_array_equal(loaded.moments(kind).b, sample.moments(kind).b)
    with pytest.raises(ValueError, match="read-only"):
        loaded.segments[0].responses[0] = 0


def test_a_small_file_without_pickle(tmp_path: Path) -> None:
    sample = take("shared", 6001)
    path = tmp_path / "sample.npz"
    sample.save(path)
    assert path.stat().st_size < 60_000
    with np.load(path, allow_pickle=False) as archive:  # refuses pickles
        header = json.loads(bytes(archive["header.json"]).decode())
    assert header["legstat"] == "QuerySample"
    assert header["ledger"]["n_queries"] == 6001


def test_saved_from_arrays(tmp_path: Path, rng: np.random.Generator) -> None:
    sample = ls.QuerySample.from_arrays(
        rng.standard_normal((9, *GRID)), rng.standard_normal(9), ls.IsotropicGaussian(GRID, 1.0)
    )
    sample.save(tmp_path / "s.npz")
    assert_same(ls.QuerySample.load(tmp_path / "s.npz"), sample)


def test_stopped_run_is_saved_with_what_it_paid_for(tmp_path: Path) -> None:
    with pytest.raises(ls.NonFiniteResponseError) as caught:
        take("shared", f=Counting(smooth, nan_at=31), batch_size=7)
    stopped = caught.value.sample
    assert stopped.segments[0].pending.size
    stopped.save(tmp_path / "s.npz")
    assert_same(ls.QuerySample.load(tmp_path / "s.npz"), stopped)


def test_loading_other_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ls.QuerySample.load(tmp_path / "none.npz")
    for name, content in (("text", b"no archive"), ("empty", b""), ("pickle", pickle.dumps({"a": 1}))):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"is not a file that QuerySample.save wrote"):
            ls.QuerySample.load(path)
    np.savez(tmp_path / "plain.npz", a=np.zeros(3))
    with pytest.raises(ValueError, match=r"is not a file that QuerySample.save wrote"):
        ls.QuerySample.load(tmp_path / "plain.npz")
    ls.LEG(take()).fit().save(tmp_path / "result.npz")
    with pytest.raises(ValueError, match=r"holds a 'LEGResults'. Load it with that class"):
        ls.QuerySample.load(tmp_path / "result.npz")
    cut = tmp_path / "cut.npz"
    take().save(cut)
    cut.write_bytes(cut.read_bytes()[:-200])
    with pytest.raises(ValueError, match=r"is not a file that QuerySample.save wrote"):
        ls.QuerySample.load(cut)


@pytest.mark.parametrize(
    "change",
    [
        {"ledger": None},
        {"segments": []},
        {"segments": [{"channel": 0, "first_block": 0}]},
        {"design": "DesignOfTomorrow"},
        {"perturbation_parameters": {"clip": True, "warp": 3}},
        {"antithetic": False},
        {"draw_check": None},
    ],
)
def test_a_header_that_was_changed_is_named(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "s.npz"
    take().save(path)
    with loading_arrays(path, "QuerySample") as (header, arrays):
        pass
    kind = header.pop("legstat")
    for name, value in change.items():
        header.pop(name) if value is None else header.update({name: value})
    save_arrays(path, kind, header, arrays)
    with pytest.raises(ValueError, match=r"QuerySample.load: '.*s.npz' is broken, or was changed"):
        ls.QuerySample.load(path)


def test_a_newer_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "s.npz"
    take().save(path)
    with loading_arrays(path, "QuerySample") as (header, arrays):
        pass
    save_arrays(path, header.pop("legstat"), header | {"schema": 1000}, arrays)
    with pytest.raises(ValueError, match=r"schema 1000"):
        ls.QuerySample.load(path)


def test_numpy_that_draws_other_numbers_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "s.npz"
    take().save(path)
    with loading_arrays(path, "QuerySample") as (header, arrays):
        header["draw_check"] = "0" * 64
    save_arrays(path, header.pop("legstat"), header, arrays)
    with pytest.raises(ValueError, match="draws other numbers from the key"):
        ls.QuerySample.load(path)


# ---------------------------------------------------------------- pickles


@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
def test_a_sample_can_be_pickled_at_any_time(arrangement: str) -> None:
    sample = take(arrangement)
    before = len(pickle.dumps(sample))
    moments = sample.moments("crossfit")
    again, units = pickle.loads(pickle.dumps(sample)), pickle.loads(pickle.dumps(sample.units))
    assert_same(again, sample)
    assert len(pickle.dumps(sample)) <= before + 1000  # what was drawn (some 3 to 6 kB) stays behind
    for one, other in zip(units, sample.units, strict=True):
        for (z, y), (z_too, y_too) in zip(one.rows(), other.rows(), strict=True):
            assert np.array_equal(z, z_too)
            assert np.array_equal(y, y_too)
    assert np.array_equal(again.moments("crossfit").b, moments.b)
    for array in (again.image, again.segments[0].responses, again.segments[0].pending):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    assert np.array_equal(pickle.loads(pickle.dumps(moments)).b, moments.b)


def test_faults_can_be_pickled() -> None:
    with pytest.raises(ls.NonFiniteResponseError) as caught:
        take(f=Counting(smooth, nan_at=31))
    for fault in (caught.value, ls.QueryInterrupted(caught.value.sample), ls.QueryError("gone", caught.value.sample)):
        again = pickle.loads(pickle.dumps(fault))
        assert type(again) is type(fault)
        assert str(again) == str(fault)
        assert_same(again.sample, caught.value.sample)
    assert pickle.loads(pickle.dumps(caught.value)).index == caught.value.index
    missing = pickle.loads(pickle.dumps(ls.BackendUnavailableError("torch", "torch", "It")))
    assert missing.extra == "torch"


# ---------------------------------------------------------------- merging


@pytest.mark.parametrize("arrangement", ["shared", "separate", "joint", "blend", "upstream"])
def test_disjoint_blocks_of_one_seed_merge_to_the_long_run(arrangement: str) -> None:
    per = len(take(arrangement, 60).segments) * (2 if take(arrangement, 60).antithetic else 1)
    overhead = 2 if arrangement == "blend" else 1
    whole = take(arrangement, overhead + per * 4 * BLOCK)
    parts = [take(arrangement, overhead + per * BLOCK * k, first_block=b) for b, k in ((0, 1), (1, 2), (3, 1))]
    merged = parts[2].merge(parts[0], parts[1])
    assert merged.n_units == whole.n_units
    assert np.array_equal(merged.responses, whole.responses)
    assert np.array_equal(merged.draws(), whole.draws())
    for kind in ("printed", "centred", "regression", "crossfit"):
        # the same sums, added up in the chunks of three runs instead of one
        np.testing.assert_allclose(merged.moments(kind).b, whole.moments(kind).b, rtol=0, atol=1e-14)
    # whichever way they are merged: the same to the bit
    other = parts[1].merge(parts[2]).merge(parts[0])
    assert_same(other, merged)
    assert merged.ledger.spent == sum(p.ledger.spent for p in parts)
    assert merged.ledger.x0 == 3


def test_partial_last_blocks_merge_too() -> None:
    one, two = take("draws", 1 + 40), take("draws", 1 + 10, first_block=2)
    merged = one.merge(two)
    assert merged.n_units == (50,)
    assert np.array_equal(merged.draws(), np.concatenate([one.draws(), two.draws()]))


def test_different_keys_merge() -> None:
    one, two = take("separate", 81), take("separate", 41, rng=4)
    merged = one.merge(two)
    assert merged.n_units == (30, 30)
    z, y = merged.draws(), merged.responses
    # stream by stream, and within a stream in the order of the keys
    first, second = sorted([one, two], key=lambda s: s.segments[0].key)
    channel = [np.concatenate([s.responses.reshape(2, -1)[c] for s in (first, second)]) for c in range(2)]
    assert np.array_equal(y, np.concatenate(channel))
    assert len(z) == len(y) == 120
    assert not z[:60, 1].any()
    assert not z[60:, 0].any()
    assert len(merged.summary_header()["keys"]) == 2


@pytest.mark.parametrize("blocks", [(0, 0), (0, 1), (1, 0)])
def test_overlapping_blocks_do_not_merge(blocks: tuple[int, int]) -> None:
    one, two = (take("draws", 1 + BLOCK + 5, first_block=b) for b in blocks)
    with pytest.raises(ValueError, match=r"samples of disjoint blocks of one key, or of different keys.*first_block"):
        one.merge(two)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"design": ls.StructuredGaussian(GRID, 0.2)}, "others.design"),
        ({"perturbation": ls.Additive(clip=False)}, "others.perturbation"),
        ({"antithetic": False}, "others.antithetic"),
        ({"f": lambda x: smooth(x) + 1}, "others.(f_x0|response)"),
    ],
)
def test_other_experiments_do_not_merge(change: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=f"`{named}` must be the same in every sample"):
        take().merge(take(rng=4, **change))


def test_batch_sizes_of_the_response_do_not_matter_to_merging() -> None:
    one, two = (take(f=ls.as_response(smooth, batch_size=size), rng=size) for size in (3, 64))
    assert one.response != two.response
    assert one.merge(two).n_units == (2 * one.n_units[0],)
    assert_same(two.merge(one), one.merge(two))


def test_other_pictures_do_not_merge() -> None:
    f = ls.as_response(lambda x: x.mean(axis=(1, 2, 3)))
    design = ls.StructuredGaussian(GRID, 0.3)
    one = ls.query(f, IMAGE, design, 21, rng=0, progress=False)
    two = ls.query(f, IMAGE[::-1], design, 21, rng=1, progress=False)  # the same mean, another picture
    if one.f_x0 == two.f_x0:
        with pytest.raises(ValueError, match=r"`others.image` must be the same"):
            one.merge(two)
    else:  # the last bit of the mean
        with pytest.raises(ValueError, match=r"`others\.f_x0`"):
            one.merge(two)


def test_arrays_do_not_merge(rng: np.random.Generator) -> None:
    sample = ls.QuerySample.from_arrays(
        rng.standard_normal((9, *GRID)), rng.standard_normal(9), ls.IsotropicGaussian(GRID, 1.0)
    )
    with pytest.raises(ValueError, match="Concatenate the arrays"):
        sample.merge(sample)


# ---------------------------------------------------------------- from arrays


@pytest.mark.parametrize("arrangement", ["shared", "draws", "joint"])
def test_from_arrays_is_the_sample_itself(arrangement: str) -> None:
    sample = take(arrangement, 401, perturbation=ls.Additive(clip=False))
    given = ls.QuerySample.from_arrays(
        sample.draws(), sample.responses, sample.design, image=IMAGE, f_x0=sample.f_x0, antithetic=sample.antithetic
    )
    assert given.n_units == sample.n_units
    assert np.array_equal(given.draws(), sample.draws())
    for kind in ("printed", "centred", "regression", "adaptive", "crossfit", "least_squares"):
        np.testing.assert_allclose(given.moments(kind).b, sample.moments(kind).b, rtol=0, atol=1e-15)
    np.testing.assert_allclose(ls.LEG(given).fit().params, ls.LEG(sample).fit().params, rtol=0, atol=1e-13)
    assert ls.LEG(given).fit().heatmap.shape == (4, 6)


def test_from_arrays_takes_differences_too(rng: np.random.Generator) -> None:
    z, y = rng.standard_normal((50, *GRID)), rng.standard_normal(50)
    design = ls.IsotropicGaussian(GRID, 1.0)
    one = ls.QuerySample.from_arrays(z, y, design)
    two = ls.QuerySample.from_arrays(z[:, None], y + 7, design, f_x0=7.0)
    np.testing.assert_allclose(two.moments("printed").b, one.moments("printed").b, rtol=0, atol=1e-14)
    np.testing.assert_allclose(one.moments("printed").b[0], z.reshape(50, -1).T @ y / 50, rtol=0, atol=1e-14)
    assert ls.LEG(one).fit().heatmap.shape == GRID  # one pixel a cell where there is no picture


Z, Y = np.random.default_rng(0).standard_normal((10, *GRID)), np.random.default_rng(0).standard_normal(10)
PAIRED = np.stack([Z[:5], -Z[:5]], axis=1).reshape(10, *GRID)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"z": Z[:, :1]}, r"`z` must be of shape \(n, 2, 3\)"),
        ({"z": Z[0]}, r"`z` must be of shape \(n, 2, 3\)"),
        ({"z": np.zeros((10, 2, *GRID))}, r"`z` must be of shape \(n, 2, 3\)"),
        ({"y": Y[:9]}, r"`y` must be of shape \(10,\).*Got \(9,\)"),
        ({"y": Y[:, None]}, "`y` must be of shape"),
        ({"z": Z[:1], "y": Y[:1]}, "at least two"),
        ({"z": np.where(Z > 1, np.nan, Z)}, "`z, y` must be finite"),
        ({"y": np.where(Y > 0.5, np.inf, Y)}, "`z, y` must be finite"),
        ({"antithetic": True}, r"`antithetic` must be False for these z.*Row 2i \+ 1"),
        ({"z": PAIRED[:9], "y": Y[:9], "antithetic": True}, "`antithetic` must be False"),
        ({"conventions": "authors"}, "`conventions` must be one of"),
        ({"f_x0": np.nan}, "`f_x0` must be a finite number"),
        ({"z": 255.0 * Z}, "`z` must be drawn from `design`.*units"),
        ({"z": np.clip(np.repeat(Z, 20, axis=0), -0.5, 0.5), "y": np.repeat(Y, 20)}, "drawn from `design`.*clipped"),
        (
            {"design": ls.StructuredGaussian(GRID, channels="separate")},
            "`design.channels` must be .*one sample a channel",
        ),
    ],
)
def test_bad_arrays(change: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        ls.QuerySample.from_arrays(**{"z": Z, "y": Y, "design": ls.IsotropicGaussian(GRID, 1.0), **change})


def test_arrays_are_copied_and_locked() -> None:
    z = Z.copy()
    sample = ls.QuerySample.from_arrays(z, Y, ls.IsotropicGaussian(GRID, 1.0))
    z[:] = 0
    np.testing.assert_array_equal(sample.draws()[:, 0], Z)
    with pytest.raises(ValueError, match="read-only"):
        sample.draws()[0, 0, 0, 0] = 1


# ---------------------------------------------------------------- the parts


def test_ledger_adds_up() -> None:
    ledger = Ledger(n_queries=100, x0=1, base=1, perturbed=90, failed=3)
    assert (ledger.spent, ledger.unused) == (95, 5)


@pytest.mark.parametrize(
    ("row", "per", "whole", "pending"),
    [
        ([], 2, [], []),
        ([1, 2, 3, 4], 2, [[1, 2], [3, 4]], []),
        ([1, 2, 3], 2, [[1, 2]], [3]),
        ([1, np.nan, 3, 4], 2, [], [1, np.nan, 3, 4]),
        ([1, 2, np.nan, 4, np.nan, np.nan], 2, [[1, 2]], [np.nan, 4]),
        ([1, np.nan, np.nan], 1, [[1]], []),
        ([np.nan, np.nan], 1, [], []),
    ],
)
def test_segment_of_a_run(row: list[float], per: int, whole: list[list[float]], pending: list[float]) -> None:
    segment = Segment.of_run((1, 2), 0, 3, np.array(row, dtype=float), per)
    np.testing.assert_array_equal(segment.responses, np.array(whole).reshape(-1, per))
    np.testing.assert_array_equal(segment.pending, pending)
    assert segment.blocks == range(3, 3 + (len(whole) > 0))


def test_repr_is_one_short_line() -> None:
    assert repr(take("blend", 41)).startswith("<QuerySample 2 x 3 cells: 19 pairs, 40 evaluations, f(x0) = ")
    assert "20 pairs in each of 2 channels" in repr(take("separate", 81))
    assert "40 draws," in repr(take("draws", 41))
    assert repr(take("draws", 41).segments) == "(<Segment 40 of stream 0 from block 0>,)"


def test_samples_are_frozen() -> None:
    sample = take()
    with pytest.raises(AttributeError):
        sample.f_x0 = 1.0  # type: ignore[misc]
    for array in (sample.image, sample.segments[0].responses):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
