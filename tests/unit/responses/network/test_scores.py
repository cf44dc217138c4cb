"""Scores against the defining formulas in 60 digits."""

from __future__ import annotations

from decimal import Decimal, getcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legstat.responses.network.outputs import looks_like
from legstat.responses.network.scores import OUTPUT_KINDS, Score, check_score, probabilities, smallest_positive

getcontext().prec = 60


def exact_probabilities(z: np.ndarray) -> list[Decimal]:
    """Softmax of float64 logits in decimal arithmetic."""
    powers = [Decimal(float(v)).exp() for v in z]
    total = sum(powers)
    return [p / total for p in powers]


def exact_log_odds(z: np.ndarray, t: int) -> float:
    """Log-odds by the definition, no cancellation at 60 digits."""
    p = exact_probabilities(z)
    return float(p[t].ln() - sum(v for k, v in enumerate(p) if k != t).ln())


LOGITS = st.lists(st.floats(-80, 80, width=32), min_size=2, max_size=8)


@given(LOGITS)
def test_scores_from_logits_match_the_definitions(row: list[float]) -> None:
    z = np.array([row], dtype=np.float32)
    exact = exact_probabilities(z[0])
    for t in (0, len(row) - 1):
        # float64 arithmetic on the float32 logits: a few ulp, of the logits' size where they nearly cancel
        assert Score("log_odds", "logits", t)(z)[0][0] == pytest.approx(
            exact_log_odds(z[0], t), rel=1e-13, abs=1e-13 * 80
        )
        assert Score("probability", "logits", t)(z)[0][0] == pytest.approx(float(exact[t]), rel=1e-12)
        assert Score("logit", "logits", t)(z)[0][0] == z[0, t]
    difference = Score("difference", "logits", (0, len(row) - 1))(z)[0][0]
    assert difference == pytest.approx(float(exact[0] - exact[-1]), rel=1e-12, abs=1e-15)


def test_log_odds_stay_exact_where_float32_softmax_has_saturated() -> None:
    z = np.array([[60.0, 1.0, -3.0], [25.0, 1.0, 2.0]], dtype=np.float32)
    p32 = np.exp(z - z.max(1, keepdims=True))
    p32 /= p32.sum(1, keepdims=True)
    assert np.all(p32[:, 0] == 1.0)  # 1 - p is 0 here, so any formula with 1 - p gives infinity
    truth = [exact_log_odds(row, 0) for row in z]
    assert Score("log_odds", "logits", 0)(z)[0] == pytest.approx(truth, rel=1e-14)
    values, saturated = Score("log_odds", "probabilities", 0)(p32)
    assert saturated == 0
    # the others' sum is known to float32's relative rounding, so its logarithm is to 1e-7
    assert values == pytest.approx(truth, rel=1e-7)


def test_underflow_of_all_others_is_censored_and_counted() -> None:
    half = np.array([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 1.0, 0.0]], dtype=np.float16)
    values, saturated = Score("log_odds", "probabilities", 0)(half)
    bound = -np.log(2.0**-24)  # the smallest positive float16 is 2^-24
    assert saturated == 2
    assert values == pytest.approx([bound, 0.0, -bound], rel=1e-15)
    assert smallest_positive(np.dtype(np.float32)) == 2.0**-149


@pytest.mark.parametrize(
    "kind", ["logits", "log_probabilities", "probabilities", "sigmoid_logits", "sigmoid_probabilities"]
)
@pytest.mark.parametrize("name", ["probability", "log_odds"])
def test_nan_is_handed_on(kind: str, name: str) -> None:
    rows = np.array([[0.25, 0.75], [np.nan, 0.5]], dtype=np.float32)
    values, _ = Score(name, kind, 0)(rows)
    assert np.isfinite(values[0])
    assert np.isnan(values[1])


def test_the_same_network_gives_the_same_score_by_each_kind_of_output() -> None:
    z = np.random.default_rng(0).normal(size=(6, 4)) * 3
    p = probabilities(z, "logits")
    for name, target in (("probability", 2), ("log_odds", 2), ("difference", (0, 3))):
        by_logits = Score(name, "logits", target)(z)[0]
        # all in float64: only rounding of exp and log between them
        assert Score(name, "probabilities", target)(p)[0] == pytest.approx(by_logits, rel=1e-12)
        assert Score(name, "log_probabilities", target)(np.log(p))[0] == pytest.approx(by_logits, rel=1e-12)


def test_sigmoid_outputs_are_two_class_problems_of_their_own() -> None:
    z = np.array([[-3.0, 0.5], [40.0, -700.0]])
    p = probabilities(z, "sigmoid_logits")
    truth = [[float(1 / (1 + Decimal(float(-v)).exp())) for v in row] for row in z]
    assert p == pytest.approx(np.array(truth), rel=1e-15)
    assert np.array_equal(Score("log_odds", "sigmoid_logits", 1)(z)[0], z[:, 1])
    assert np.array_equal(Score("logit", "sigmoid_logits", 0)(z)[0], z[:, 0])
    values, saturated = Score("log_odds", "sigmoid_probabilities", 0)(p)
    assert saturated == 1  # sigmoid(40) is 1 in float64 too
    assert values[0] == pytest.approx(-3.0, rel=1e-14)


@pytest.mark.parametrize("kind", ["probabilities", "log_probabilities", "sigmoid_probabilities"])
def test_logits_cannot_be_had_from_probabilities(kind: str) -> None:
    with pytest.raises(ValueError, match=r"`score` must be .* Got 'logit'.*log_odds"):
        Score("logit", kind, 0)


def test_score_and_target_must_fit() -> None:
    with pytest.raises(ValueError, match=r"`score` must be one of .*log_odds"):
        check_score("f", "odds", 1)
    with pytest.raises(ValueError, match=r"`target` must be a pair .* Got 3"):
        check_score("f", "difference", 3)
    with pytest.raises(ValueError, match=r"one class for score='log_odds'.*score='difference'"):
        check_score("f", "log_odds", (1, 2))
    assert check_score("f", "probability", (1, 2, 5)) == "probability"


@pytest.mark.parametrize("kind", OUTPUT_KINDS)
@pytest.mark.parametrize("target", [0, 1])
@pytest.mark.parametrize("name", ["probability", "log_odds", "difference"])
def test_scores_do_not_hang_on_the_users_error_handling(kind: str, name: str, target: int) -> None:
    z = np.array([[800.0, -800.0, 0.0], [1e-300, 1.0, np.nan], [np.inf, 0.0, -np.inf]])
    score = Score(name, kind, (target, 1 - target) if name == "difference" else target)
    usual, chances = score(z)[0], probabilities(z, kind)
    with np.errstate(all="raise"):
        assert np.array_equal(score(z)[0], usual, equal_nan=True)
        assert np.array_equal(probabilities(z, kind), chances, equal_nan=True)
        looks_like(np.array([[-800.0, -1.0, -900.0]]))
