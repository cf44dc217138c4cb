"""What a check found: JSON and back, and nothing that JSON cannot hold."""

from __future__ import annotations

import json

import numpy as np
import pytest

from legstat.checks import CheckResult


def test_a_result_survives_json() -> None:
    found = CheckResult("r2", "failed", np.float64(-0.5), "above 0", "No linear map.", {"evaluations": 3})
    again = CheckResult.from_dict(json.loads(json.dumps(found.to_dict())))
    assert again == found
    assert again.evaluations == 3
    assert not again.ok


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
def test_what_is_not_finite_is_no_number(value: float | None) -> None:
    found = CheckResult("r2", "not_applicable", value, "above 0", "Too few pairs.")
    assert found.value is None
    assert json.dumps(found.to_dict(), allow_nan=False)
    assert found.ok


def test_an_unknown_outcome_is_refused() -> None:
    with pytest.raises(ValueError, match="`status` must be one of 'passed', 'failed', 'not_applicable'"):
        CheckResult("r2", "ok", 0.0, "above 0", "-")  # type: ignore[arg-type]
