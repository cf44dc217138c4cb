"""Pictures from folders, tables and stores: which, with what is known of them, and as the network takes them."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import legstat as ls
from legstat.audit.pictures import chosen_items, found_items
from legstat.audit.plan import Plan
from legstat.responses.network.preprocessing import Preprocessing
from tests.unit.audit.world import a_store


def a_folder(home, count=6, size=(8, 8)):
    home.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    for i in range(count):
        Image.fromarray(rng.integers(0, 256, size).astype(np.uint8)).save(home / f"p{i}.png")
    return home


def chosen(place, **changed):
    return chosen_items(Plan(places=(str(place),), model={"model": "x"}, **changed))


def test_all_every_and_a_sample(tmp_path):
    home = a_folder(tmp_path / "a")
    assert [one.name for one in chosen(home)] == [f"p{i}.png" for i in range(6)]
    assert [one.name for one in chosen(home, choice="every", every=4)] == ["p0.png", "p4.png"]
    first = chosen(home, choice="sample", sample=3, sample_seed=1)
    assert [one.name for one in first] == sorted(one.name for one in first)
    assert first == chosen(home, choice="sample", sample=3, sample_seed=1)
    assert {tuple(one.name for one in chosen(home, choice="sample", sample=3, sample_seed=s)) for s in range(9)} != {
        tuple(one.name for one in first)
    }
    with pytest.raises(ValueError, match="at most 6"):
        chosen(home, choice="sample", sample=7)


def test_units_are_named_by_number_stem_and_content(tmp_path):
    home = a_folder(tmp_path / "a", 2)
    Image.new("L", (8, 8)).save(home / "we ird\u00e4<b>.png")
    units = [one.unit for one in chosen(home)]
    assert [unit[:9] for unit in units] == ["000000-p0", "000001-p1", "000002-we"]
    assert units[2].startswith("000002-we_ird__b_-")
    before = units[1]
    Image.new("L", (8, 8), 9).save(home / "p1.png")
    assert chosen(home)[1].unit != before


def test_equal_names_become_paths(tmp_path):
    a, b = a_folder(tmp_path / "a", 1), a_folder(tmp_path / "b", 1)
    assert [one.name for one in found_items([str(a), str(b)])] == [str(a / "p0.png"), str(b / "p0.png")]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_says_label_group_and_boxes(tmp_path, kind):
    home = a_folder(tmp_path / "a", 4)
    rows = [
        {"file": "a/p0.png", "label": "7", "group": "x", "boxes": "[[0, 1, 4, 5]]"},
        {"file": "a/p1.png", "label": "cat", "group": None, "boxes": "0 1 4 5; 2 2 3 3"},
        {"file": "a/p2.png", "label": None, "group": "y", "boxes": None},
        {"file": "a/p2.png", "label": None, "group": "y", "boxes": "1 1 2 2"},
    ]
    table = home.parent / f"t.{kind}"
    frame = pd.DataFrame(rows)
    frame.to_csv(table, index=False) if kind == "csv" else frame.to_parquet(table)
    found = chosen(table)
    assert [(one.name, one.label, one.group, one.boxes) for one in found] == [
        ("a/p0.png", 7, "x", [[0, 1, 4, 5]]),
        ("a/p1.png", "cat", None, [[0, 1, 4, 5], [2, 2, 3, 3]]),
        ("a/p2.png", None, "y", [[1, 1, 2, 2]]),
    ]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("name,label\na,1\n", "the columns"),
        ("file\nnone.png\n", "1 are missing"),
        ("file,boxes\np0.png,1 2 3\n", "boxes in row 0"),
        ("file,boxes\np0.png,4 4 1 1\n", "x0 < x1"),
    ],
)
def test_a_table_that_is_wrong(tmp_path, text, wrong):
    a_folder(tmp_path, 1)
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ValueError, match=wrong):
        chosen(tmp_path / "t.csv")


def test_labels_from_a_truth_table(tmp_path):
    home = a_folder(tmp_path / "a", 2)
    (tmp_path / "truth.csv").write_text("picture,class\np1.png,3\n")
    assert [one.label for one in chosen(home, truth=str(tmp_path / "truth.csv"))] == [None, 3]
    (tmp_path / "truth.csv").write_text("p9.png,3\n")
    with pytest.raises(ValueError, match="of pictures that were found"):
        chosen(home, truth=str(tmp_path / "truth.csv"))


def test_a_store_of_floats_and_of_levels(tmp_path):
    f = ls.as_response(ls.simulate.linear(np.ones((8, 8))))
    file = a_store(tmp_path, 3, groups=["a", "b", "a"], names=["i", "j", "k"])
    found = chosen(file)
    assert [(one.name, one.label, one.group) for one in found] == [("i", 3, "a"), ("j", 7, "b"), ("k", 0, "a")]
    np.testing.assert_array_equal(found[1].read(f)[0], ls.data.load_digit(1)[0])
    levels = np.arange(128, dtype=np.uint8).reshape(2, 8, 8)
    np.save(tmp_path / "levels.npy", levels)
    image, _ = chosen(tmp_path / "levels.npy")[1].read(f)
    np.testing.assert_array_equal(image, levels[1][None] / 255.0)
    for arrays, wrong in (({"pictures": levels}, "no array images"), ({"images": levels, "labels": [1]}, "as many")):
        np.savez(tmp_path / "wrong.npz", **arrays)
        with pytest.raises(ValueError, match=wrong):
            chosen(tmp_path / "wrong.npz")


def test_a_picture_that_changed_is_refused(tmp_path):
    f = ls.as_response(ls.simulate.linear(np.ones((8, 8))))
    item = chosen(a_folder(tmp_path / "a", 1))[0]
    item.read(f)
    Image.new("L", (8, 8)).save(item.file)
    with pytest.raises(ValueError, match="the file that it was when the run began"):
        item.read(f)


def test_boxes_lie_where_the_pixels_go(tmp_path):
    """A white box in a picture file comes out white where `load_boxes` says, and nowhere else."""
    picture = np.zeros((300, 500, 3), dtype=np.uint8)
    picture[60:200, 180:330] = 255
    Image.fromarray(picture).save(tmp_path / "p.png")
    for rule in (Preprocessing(), Preprocessing(short_side=224), Preprocessing(size=(100, 180))):
        shape = (3, 224, 224) if rule.size is None else (3, None, None)
        white = rule.load(tmp_path / "p.png", shape).mean(axis=0)
        ((x0, y0, x1, y1),) = rule.load_boxes(tmp_path / "p.png", shape, [(180, 60, 330, 200)])
        rows, columns = np.nonzero(white > 0.5)
        # edges of the resize: half a pixel
        edges = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_allclose([x0, y0, x1, y1], edges, rtol=0, atol=0.5 + 1e-9)
    outside = Preprocessing().load_boxes(tmp_path / "p.png", (3, 224, 224), [(0, 0, 20, 20), (0, 0, 500, 300)])
    assert outside == [[0.0, 0.0, 224.0, 224.0]]
