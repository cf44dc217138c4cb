"""A hundred and more kinds of bad input: each is told in a sentence of ours before anything is evaluated."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bad_input import arguments, files, models
from tests.bad_input.world import Finished, Row, World

onnxruntime = pytest.importorskip("onnxruntime", reason="many rows are about ONNX files")

ROWS = [*arguments.ROWS, *models.ROWS, *files.ROWS]
UNTOLD = {
    *("ragged picture", "channels last", "rng a word", "rng below 0", "rng a fraction", "--seed below 0"),
    *("key of one word", "L True", "mask level a word", "fit at L True", "fit at L a word", "merge with a path"),
    *("probe of 0..255", "probe without a law", "probe by a word", "no candidates", "shape of two"),
    *("no certificates", "headers of a list", "line break in a header", "sample without its parts"),
    *("header is no mapping", "record without its results", "record without its experiment"),
}
"""Known faults: an error of somebody else's, or none."""


@pytest.fixture(scope="module")
def finished() -> Finished:
    return Finished()


def _param(row: Row) -> object:
    marks = [pytest.mark.xfail(reason="known fault", strict=False)] if row.name in UNTOLD else []
    return pytest.param(row, id=row.name, marks=marks)


@pytest.mark.parametrize("row", [_param(row) for row in ROWS])
def test_told_before_anything_is_evaluated(
    row: Row, finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, finished)
    for name in ("run", "run_with_iobinding", "run_with_ort_values"):
        monkeypatch.setattr(onnxruntime.InferenceSession, name, _counted(name, world))
    with pytest.raises(row.error) as caught:
        row.call(world)
    # a subclass would be another kind of fault: a UnicodeDecodeError is a ValueError, and no sentence of ours
    assert type(caught.value) is row.error, f"{type(caught.value).__name__}: {caught.value}"
    text = str(caught.value)
    missing = [word for word in row.words if word not in text]
    assert not missing, f"{missing} not in: {text}"
    assert "Traceback" not in text
    assert world.evaluations == 0


def test_there_are_a_hundred_kinds_under_different_names() -> None:
    names = [row.name for row in ROWS]
    assert len(set(names)) == len(names) >= 100


def _counted(name: str, world: World) -> object:
    """A method of the session that counts, and then does what it did."""
    original = getattr(onnxruntime.InferenceSession, name)

    def method(*arguments: object, **named: object) -> object:
        world.session_runs += 1
        return original(*arguments, **named)

    return method
