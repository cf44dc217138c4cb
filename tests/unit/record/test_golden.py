"""Files written by earlier versions load, replay and verify."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

import legstat as ls
from legstat.data import digits_model_path

V1 = Path(__file__).parents[2] / "golden" / "v1"
SAMPLES = sorted(p.stem.removeprefix("sample_") for p in V1.glob("sample_*.npz"))


@pytest.fixture(scope="module")
def expected() -> dict[str, np.ndarray]:
    with np.load(V1 / "expected.npz") as file:
        return dict(file)


def test_the_files_are_those_of_the_time() -> None:
    for line in (V1 / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split()
        assert hashlib.sha256((V1 / name).read_bytes()).hexdigest() == digest, name


@pytest.mark.parametrize("name", SAMPLES)
def test_sample_replays(name: str, expected: dict[str, np.ndarray]) -> None:
    sample = ls.QuerySample.load(V1 / f"sample_{name}.npz")
    np.testing.assert_array_equal(sample.responses, expected[f"{name}.responses"])
    # the normals are the same bits; products with them may differ in the last one with the linear algebra library
    np.testing.assert_allclose(sample.draws()[:7], expected[f"{name}.draws"], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", [name for name in SAMPLES if name != "stopped"])
def test_estimates_are_those_of_the_time(name: str, expected: dict[str, np.ndarray]) -> None:
    sample = ls.QuerySample.load(V1 / f"sample_{name}.npz")
    leg = ls.LEG(sample).fit()
    # same formulas: what differs is rounding of the linear algebra library, some 1e3 operations deep
    np.testing.assert_allclose(leg.params, expected[f"{name}.leg"], rtol=1e-9, atol=1e-9)
    if leg.has_intervals:
        np.testing.assert_allclose(leg.conf_int(), expected[f"{name}.conf_int"], rtol=1e-8, atol=1e-9)
    tv = ls.LEGTV(sample).fit(L_ratio=0.1)
    # "closest" is unique, and certified to 1e-8 of its scale
    np.testing.assert_allclose(tv.params, expected[f"{name}.legtv"], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("kind", ["shared", "general"])
def test_results_load(kind: str, expected: dict[str, np.ndarray]) -> None:
    leg = ls.LEGResults.load(V1 / f"leg_{kind}.npz")
    np.testing.assert_array_equal(leg.params, expected[f"{kind}.leg"])
    np.testing.assert_allclose(leg.conf_int(), expected[f"{kind}.conf_int"], rtol=1e-12, atol=0.0)
    tv = ls.LEGTVResults.load(V1 / f"legtv_{kind}.npz")
    np.testing.assert_array_equal(tv.params, expected[f"{kind}.legtv"])


@pytest.mark.parametrize("name", ["default", "paper", "until"])
def test_records_verify(name: str) -> None:
    record = V1 / f"record_{name}" / "record.json"
    outcome = ls.verify(record, model=digits_model_path(), picture=V1 / "digit.png", progress=False)
    if outcome.passed:
        return
    # bits are those of one processor type: on another one the inputs must be the same, and scores to float32's rounding
    checks = {check.name: check for check in outcome.checks}
    assert all(checks[name].same for name in ("model", "picture file", "picture")), outcome.as_text()
    for score in ("f_x0", "f_base", "mean_shift", "sd"):
        np.testing.assert_allclose(float(checks[score].now), float(checks[score].then), rtol=1e-4, atol=1e-5)
