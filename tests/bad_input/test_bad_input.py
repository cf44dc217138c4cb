"""A hundred and more kinds of bad input: each is told in a sentence of ours before anything is evaluated."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bad_input import arguments, audit_runs, audits, checks, files, measures, models
from tests.bad_input.world import Finished, Row, World

onnxruntime = pytest.importorskip("onnxruntime", reason="many rows are about ONNX files")

ROWS = [*arguments.ROWS, *models.ROWS, *measures.ROWS, *audits.ROWS, *audit_runs.ROWS, *checks.ROWS, *files.ROWS]


@pytest.fixture(scope="module")
def finished() -> Finished:
    return Finished()


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
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
