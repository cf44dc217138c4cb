"""What the estimators would refuse of a sample that is paid for, `explain` refuses before a query is spent."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import legstat as ls
from legstat._core.conventions import MomentKind
from legstat.cli import FAULT, app
from legstat.data import digits_model_path, load_digit
from tests.helpers import Counting, smooth

GREY, COLOUR = (np.random.default_rng(0).uniform(0.1, 0.9, (c, 6, 6)) for c in (1, 3))
LARGE = ls.StructuredGaussian(grid=(3, 3), scale=50.0)


def in_channels(channels: str) -> ls.StructuredGaussian:
    return ls.StructuredGaussian(grid=(3, 3), scale=0.05, channels=channels)


def asked(f: Counting, **arguments: Any) -> ls.Explanation:
    given = {"image": GREY, "n_queries": 300, "rng": 0, "progress": False, **arguments}
    return ls.explain(f, given.pop("image"), **given)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"L": "theory", "design": LARGE}, "`design.scale` must be small enough"),
        ({"moments": "best"}, "`moments` must be one of 'printed'"),
        ({"moments": "regression", "conventions": "paper"}, "`moments` must be 'printed' under conventions='paper'"),
        ({"moments": "adaptive", "conventions": "upstream"}, "`moments` must be 'printed' under"),
        ({"moments": "regression", "image": np.zeros((1, 65, 65)), "grid": (65, 65)}, "at most 4096 unknowns"),
        ({"n_regions": 2, "image": COLOUR, "design": in_channels("separate")}, "`n_regions` must be >= 3"),
        ({"n_regions": 2, "image": COLOUR, "design": in_channels("joint")}, "`n_regions` must be >= 3"),
    ],
)
def test_refused_before_a_query(arguments: dict[str, Any], words: str) -> None:
    f = Counting(smooth)
    with pytest.raises(ValueError, match=re.escape(words)) as caught:
        asked(f, **arguments)
    assert "legstat.explain" in str(caught.value)
    assert f.count == 0


@pytest.mark.parametrize("score", ["log_odds", "logit"])
def test_a_score_that_theorem_1_does_not_admit(score: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("a query was spent")

    onnxruntime = pytest.importorskip("onnxruntime")
    f = ls.onnx_response(digits_model_path(), score=score)
    picture = tmp_path / "digit.png"
    Image.fromarray(np.round(load_digit(5)[0][0] * 255).astype(np.uint8)).save(picture)
    for name in ("run", "run_with_iobinding", "run_with_ort_values"):
        monkeypatch.setattr(onnxruntime.InferenceSession, name, never)
    with pytest.raises(ValueError, match=f"legstat.explain: `score` must be bounded by 1.*Got '{score}'"):
        ls.explain(f, picture, L="theory", progress=False)
    words = ["explain", picture, "--model", digits_model_path(), "--score", score, "--L", "theory"]
    done = CliRunner().invoke(app, [*map(str, words), "--out", str(tmp_path / "out")])
    assert done.exit_code == FAULT
    assert "`score` must be bounded by 1" in done.output


@pytest.mark.parametrize("pairs", [True, False])
@pytest.mark.parametrize("rule", [{"L": "heldout"}, {"L_ratio": 0.3}])
@pytest.mark.parametrize("moments", [None, *get_args(MomentKind)])
def test_the_least_budget_is_enough_and_one_query_less_is_refused(
    moments: MomentKind | None, rule: dict[str, Any], pairs: bool
) -> None:
    given = {"moments": moments, **rule, "grid": (3, 3), "perturbation": ls.Additive(), "antithetic": pairs}
    f = Counting(smooth)
    with pytest.raises(ValueError, match="`n_queries` must be at least") as caught:
        asked(f, n_queries=3 if pairs else 2, **given)  # one observation
    least = int(re.findall(r"at least (\d+)", str(caught.value))[0])
    with pytest.raises(ValueError, match="`n_queries` must be at least"):
        asked(f, n_queries=least - 1, **given)
    assert f.count == 0
    assert asked(f, n_queries=least, **given).tv.certificate.passed
