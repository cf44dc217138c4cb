"""Files are written whole or not at all; JSON is strict and gives back what went in."""

from __future__ import annotations

import json
import math
import os
import stat
from pathlib import Path

import numpy as np
import pytest

from legstat._core.files import json_text, json_value, replacing, write_text
from legstat._core.npz import SCHEMA, loading_arrays, save_arrays


def strict(text: str | bytes) -> object:
    return json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


def test_a_fault_midway_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    for fault in (RuntimeError("the disk"), KeyboardInterrupt()):
        with pytest.raises(type(fault)), replacing(path) as stream:  # noqa: PT012
            stream.write(b"ne")
            raise fault
        assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a.txt", "old")]


def test_a_file_keeps_its_mode_and_a_new_one_has_the_usual_one(tmp_path: Path) -> None:
    usual, new, old = tmp_path / "usual", tmp_path / "new", tmp_path / "old"
    usual.write_text("")
    old.write_text("")
    old.chmod(0o640)
    for path in (new, old):
        write_text(path, "x")
    assert stat.S_IMODE(new.stat().st_mode) == stat.S_IMODE(usual.stat().st_mode)
    assert stat.S_IMODE(old.stat().st_mode) == 0o640


def test_a_link_is_followed_and_a_device_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    target, link = tmp_path / "elsewhere" / "a.txt", tmp_path / "link.txt"
    target.write_text("old")
    link.symlink_to(target)
    write_text(link, "new")
    assert (link.is_symlink(), target.read_text()) == (True, "new")
    write_text(os.devnull, "gone")
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


def test_the_error_names_the_file_that_was_asked_for(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere/a\.txt'$"):
        write_text(tmp_path / "nowhere" / "a.txt", "x")
    with pytest.raises(IsADirectoryError):
        write_text(tmp_path, "x")


def test_names_that_are_no_utf8_come_back(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    write_text(tmp_path / "a.json", json_text({"file": name, "label": "猫"}))
    data = (tmp_path / "a.json").read_bytes()
    assert "猫" in data.decode("utf-8")  # the file is UTF-8, and readable
    assert json_value(data)["file"] == strict(data)["file"] == name  # type: ignore[index]


def test_json_is_strict_and_numbers_that_are_none_come_back() -> None:
    value = {"a": [math.nan, {"b": math.inf}], "c": -math.inf, "d": np.float64("nan"), "e": {"float": 3.5}}
    text = json_text(value)
    strict(text)
    assert repr(json_value(text)) == "{'a': [nan, {'b': inf}], 'c': -inf, 'd': nan, 'e': {'float': 3.5}}"
    assert repr(json_value('{"old": [NaN, -Infinity]}')) == "{'old': [nan, -inf]}"


def saved(path: Path) -> Path:
    save_arrays(path, "Thing", {"n": 3, "f_base": math.nan}, {"a": np.arange(3.0)})
    return path


def test_arrays_come_back_with_a_strict_header(tmp_path: Path) -> None:
    path = saved(tmp_path / "t.npz")
    with loading_arrays(path, "Thing") as (header, arrays):
        assert (header["n"], math.isnan(header["f_base"]), header["schema"]) == (3, True, SCHEMA)
        np.testing.assert_array_equal(arrays["a"], np.arange(3.0))
    with np.load(path) as archive:
        strict(bytes(archive["header.json"]))


@pytest.mark.parametrize("kept", [0, 10, 200, -30])
def test_a_file_that_was_cut_is_named(tmp_path: Path, kept: int) -> None:
    path = saved(tmp_path / "t.npz")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"legstat.Thing.load: .*t\.npz' is not a file that Thing.save wrote"):
        loading_arrays(path, "Thing").__enter__()


def test_every_changed_byte_gives_the_same_arrays_or_a_named_error(tmp_path: Path) -> None:
    data = saved(tmp_path / "t.npz").read_bytes()
    path = tmp_path / "changed.npz"
    for position in range(0, len(data), 3):
        path.write_bytes(data[:position] + bytes([data[position] ^ 0x55]) + data[position + 1 :])
        try:
            with loading_arrays(path, "Thing") as (_, arrays):
                np.testing.assert_array_equal(arrays["a"], np.arange(3.0))
        except ValueError as error:
            assert str(error).startswith("legstat.Thing.load: ")  # noqa: PT017


def test_newer_files_and_missing_entries_are_named(tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    for schema in (SCHEMA + 1, "two", None):
        save_arrays(path, "Thing", {"schema": schema}, {})
        with pytest.raises(ValueError, match=rf"of schema {schema!r}, and {SCHEMA} is the newest"):
            loading_arrays(path, "Thing").__enter__()
    saved(path)
    with pytest.raises(ValueError, match=r"is broken, or was changed: .*KeyError: 'm'"):  # noqa: SIM117
        with loading_arrays(path, "Thing") as (header, _):
            header["m"]
    with pytest.raises(ValueError, match="holds a 'Thing'"):
        loading_arrays(path, "Other").__enter__()
