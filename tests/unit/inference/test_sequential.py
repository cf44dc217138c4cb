"""`query(..., until=)`: where it stops, what it costs, what it says (coverage: tests/statistical)."""

from __future__ import annotations

import dataclasses
import json
import re
import warnings
from typing import Any

import numpy as np
import pytest
import scipy.stats

import legstat as ls
from legstat.inference.sequential import analysis_sizes, first_analysis
from legstat.samples.stopping import HalfWidth, Stopping
from tests.helpers import Counting

SHAPE = (2, 3)
DESIGN = ls.StructuredGaussian(SHAPE, scale=0.3)
GAMMA = np.array([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
IMAGE = np.full((2, 2, 3), 0.5)
STILL = ls.Additive(clip=False)
TARGET = 0.21
"""Reached by `bent` at 384 pairs, the fifth look."""


def bent(images: np.ndarray) -> np.ndarray:
    """Odd in z, and curved: a residual that no linear map takes away. Cell by cell, so that batches change no bit."""
    x = images.mean(axis=1).reshape(len(images), -1).T - 0.5
    linear = sum(g * one for g, one in zip(GAMMA.ravel(), x, strict=True))
    crooked = sum(k * one for k, one in enumerate(x))
    return np.asarray(linear + np.sin(4.0 * linear + crooked) + 0.3 * np.cos(9.0 * x[0]))


def run(until: Any = None, n_queries: int = 4001, f: Any = bent, **more: Any) -> ls.QuerySample:
    design = more.pop("design", DESIGN)
    arguments = {"perturbation": STILL, "rng": 3, "progress": False, **more}
    if more.get("resume") is not None:
        arguments.pop("rng")
    return ls.query(f, IMAGE, design, n_queries, until=until, **arguments)


def same(a: ls.QuerySample, b: ls.QuerySample) -> None:
    np.testing.assert_array_equal(a.responses, b.responses)
    assert a.stopping == b.stopping
    assert a.n_units == b.n_units


# ---------------------------------------------------------------- where it stops


def test_looks_are_fixed_whole_blocks_growing_by_a_quarter() -> None:
    sizes = analysis_sizes(128, 100_000)
    assert sizes[0] == 128
    assert sizes[-1] == 100_000
    inner = np.array(sizes[:-1])
    assert (inner % 32 == 0).all()
    assert (inner[1:] >= 1.25 * inner[:-1]).all()
    assert (inner[1:] < 1.25 * inner[:-1] + 32).all()
    for ceiling in (128, 129, 160, 500, 5000):  # a larger ceiling only adds looks
        some = analysis_sizes(128, ceiling)
        assert some[-1] == ceiling
        assert some[:-1] == tuple(size for size in sizes if size < ceiling)


@pytest.mark.parametrize("simultaneous", [False, True])
@pytest.mark.parametrize("arrangement", [{}, {"antithetic": False}, {"conventions": "paper"},
                                         {"design": ls.StructuredGaussian(SHAPE, 0.3, channels="joint")},
                                         {"perturbation": ls.Blend("black")}])  # fmt: skip
def test_stops_at_the_first_look_whose_intervals_are_narrow(arrangement: dict[str, Any], simultaneous: bool) -> None:
    """Against samples of fixed size, their standard errors, and Student's t with a third of the df by scipy."""
    given = {k: v for k, v in arrangement.items() if k != "design"}
    design = arrangement.get("design", DESIGN)
    probe = run(None, 8001, design=design, **given)
    # between two looks, so that rounding decides nothing
    middle = sorted(widest(prefix(probe, n), simultaneous) for n in (480, 608))
    rule = HalfWidth(float(np.mean(middle)), simultaneous=simultaneous)
    sample = run(rule, 8001, design=design, **given)
    expected = []
    for units in analysis_sizes(first_analysis(rule, sample.convention_set), max(probe.n_units)):
        expected.append((units, widest(prefix(probe, units), simultaneous)))
        if expected[-1][1] <= rule.target:
            break
    assert sample.stopping is not None
    assert sample.stopping.units == tuple(units for units, _ in expected)
    # two ways to the same numbers: the sums run over other chunks
    np.testing.assert_allclose(sample.stopping.half_widths, [w for _, w in expected], rtol=1e-9)
    assert sample.stopping.reached
    assert min(sample.n_units) == max(sample.n_units) == expected[-1][0]


def prefix(sample: ls.QuerySample, units: int) -> ls.QuerySample:
    segments = tuple(dataclasses.replace(s, responses=s.responses[:units]) for s in sample.segments)
    return dataclasses.replace(sample, segments=segments)


def widest(sample: ls.QuerySample, simultaneous: bool) -> float:
    fitted = ls.LEG(sample).fit()
    quantile = float(scipy.stats.norm.isf(0.025))
    if simultaneous:
        draws = np.concatenate(list(fitted.covariance.draws(2000, 0)))
        quantile = max(quantile, float(np.quantile(np.abs(draws / fitted.std_errors).max(axis=1), 0.95)))
    t = scipy.stats.t.isf(scipy.stats.norm.sf(quantile), fitted.df / 3.0)
    return float((t * fitted.std_errors).max())


@pytest.mark.parametrize(("more", "intervals"), [
    ({}, lambda r: r.conf_int()),
    ({"level": 0.8}, lambda r: r.conf_int(level=0.8)),
    ({"simultaneous": True}, lambda r: r.conf_int(simultaneous=True)),
    ({"region": (0, 1, 0, 2)}, lambda r: r.region((0, 1, 0, 2)).conf_int()),
    ({"region": GAMMA > 0}, lambda r: r.region(GAMMA > 0).conf_int()),
    ({"region": np.arange(6).reshape(SHAPE) // 2, "simultaneous": True},
     lambda r: r.region(np.arange(6).reshape(SHAPE) // 2).conf_int(simultaneous=True)),
    ({"contrasts": np.array([1.0, -1.0, 0, 0, 0, 0])}, lambda r: r.contrasts([1.0, -1.0, 0, 0, 0, 0]).conf_int()),
])  # fmt: skip
def test_results_give_the_interval_that_was_watched(more: dict[str, Any], intervals: Any) -> None:
    sample = run(HalfWidth(0.35, **more), 8001)
    assert sample.stopping is not None
    assert sample.stopping.reached
    fitted = ls.LEG(sample).fit()
    half = np.diff(intervals(fitted)).max() / 2
    np.testing.assert_allclose(half, sample.stopping.half_widths[-1], rtol=1e-9)  # through ends, not widths
    fixed = ls.LEG(dataclasses.replace(sample, stopping=None)).fit()
    np.testing.assert_array_equal(fitted.df, fixed.df / 3)
    assert (np.diff(intervals(fitted)) > np.diff(intervals(fixed))).all()  # the price of the looks
    assert (fitted.pvalues >= fixed.pvalues).all()
    assert np.isinf(ls.LEG(sample).fit(use_t=False).df).all()


def test_several_channels_are_watched_together() -> None:
    """Each channel's region, whatever the streams; the ceiling leaves them equally many units."""
    for channels in ("joint", "separate"):
        design = ls.StructuredGaussian(SHAPE, 0.3, channels=channels)  # type: ignore[arg-type]
        sample = run(HalfWidth(0.5, region=(0, 1, 0, 2)), 16_001, design=design)
        found = ls.LEG(sample).fit().region((0, 1, 0, 2))
        assert len(found.estimates) == 2
        assert sample.stopping is not None
        np.testing.assert_allclose(np.diff(found.conf_int()).max() / 2, sample.stopping.half_widths[-1], rtol=1e-9)


# ---------------------------------------------------------------- the same place, whatever happens on the way


@pytest.mark.parametrize("channels", ["shared", "separate"])
def test_batches_decide_nothing(channels: Any) -> None:
    design = ls.StructuredGaussian(SHAPE, 0.3, channels=channels)
    whole = run(TARGET, 8001, design=design)
    assert whole.stopping is not None
    assert whole.stopping.reached
    for batch_size in (7, 33, 5000):
        same(run(TARGET, 8001, design=design, batch_size=batch_size), whole)
    longer = run(TARGET, 30_001, design=design)  # nor does the ceiling
    np.testing.assert_array_equal(longer.responses, whole.responses)


@pytest.mark.parametrize("channels", ["shared", "separate"])
@pytest.mark.parametrize("at", [0, 1, 2, 100, 256, 257, 300, 511, 700])
def test_a_fault_changes_neither_the_stop_nor_the_price(at: int, channels: Any) -> None:
    design = ls.StructuredGaussian(SHAPE, 0.3, channels=channels)
    whole = run(TARGET, 8001, design=design)
    assert whole.ledger.spent > at
    f = Counting(bent, raise_at=at)
    with pytest.raises(ls.QueryError) as caught:
        run(TARGET, 8001, f=f, design=design, batch_size=16)
    partial = caught.value.sample
    if partial is None:  # f(x0) itself: nothing was paid
        return
    done = run(TARGET, 8001, f=f, design=design, resume=partial)
    same(done, whole)
    assert f.count == done.ledger.spent == whole.ledger.spent


def test_a_fault_in_the_look_itself_keeps_what_was_paid(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> float:
        raise np.linalg.LinAlgError("no convergence")

    whole = run(TARGET)
    with monkeypatch.context() as patched:
        patched.setattr("legstat.sampling.watch.widest_half_width", broken)
        with pytest.raises(ls.QueryError, match="widths could not be judged: LinAlgError") as caught:
            run(TARGET)
    assert caught.value.sample is not None
    assert caught.value.sample.n_units == (128,)
    same(run(TARGET, resume=caught.value.sample), whole)


def test_a_finished_run_is_not_paid_again() -> None:
    counting = Counting(bent)
    sample = run(TARGET, f=counting)
    spent = counting.count
    again = run(TARGET, f=counting, resume=sample)
    assert counting.count == spent == again.ledger.spent
    same(again, sample)


def test_a_run_that_was_narrow_enough_at_its_ceiling_stays_there() -> None:
    """500 units are no scheduled look; a larger ceiling does not make it go on."""
    with pytest.warns(ls.TargetNotReachedWarning):
        seen = run(1e-9, 1001).stopping
    assert seen is not None
    assert seen.units[-2:] == (480, 500)
    target = float(np.mean(seen.half_widths[-2:]))
    counting = Counting(bent)
    sample = run(target, 1001, f=counting)
    assert sample.stopping is not None
    assert sample.stopping.reached
    same(run(target, 4001, f=counting, resume=sample), sample)
    assert counting.count == 1001


def test_the_cache_serves_the_same_run(tmp_path: Any) -> None:
    fresh = run(TARGET)
    f = Counting(bent)
    for _ in range(2):
        served = run(TARGET, f=f, cache=tmp_path)
        same(served, fresh)
    assert f.count == fresh.ledger.spent
    assert served.ledger.cached == fresh.ledger.spent
    run(None, 3001, f=f, cache=tmp_path)  # a longer run of fixed size leaves more than the rule asks for
    spent = f.count
    served = run(TARGET, f=f, cache=tmp_path)
    same(served, fresh)
    assert f.count == spent
    assert served.ledger.cached == fresh.ledger.spent


def test_a_run_of_fixed_size_can_go_on_by_the_rule() -> None:
    fixed = run(None, 1 + 2 * 200)
    sample = run(0.2, 40_001, resume=fixed)
    assert sample.stopping is not None
    assert sample.stopping.start == 200
    assert sample.stopping.units[0] == 224  # the first scheduled look at no fewer
    plenty = run(None, 1 + 2 * 1000)
    at_once = run(10.0, 40_001, resume=plenty)  # reached long ago: the next look says so
    assert at_once.n_units == (1216,)


# ---------------------------------------------------------------- the ceiling


def test_the_ceiling_is_never_overrun_and_says_what_would_be_needed() -> None:
    counting = Counting(bent)
    with pytest.warns(ls.TargetNotReachedWarning, match="n_queries=") as caught:
        sample = run(0.2, 700, f=counting)
    assert counting.count == sample.ledger.spent == 699
    assert sample.stopping is not None
    assert not sample.stopping.reached
    assert sample.stopping.units[-1] == 349
    predicted = int(re.search(r"n_queries=(\d+)", str(caught[0].message))[1])  # type: ignore[index]
    # the power functions, which take normal quantiles, say nearly the same
    close = ls.solve_half_width(sample, half_width=0.2, level=0.95)
    assert 0.95 * close <= predicted <= 1.2 * close
    reached = run(0.2, 2 * predicted, f=counting, resume=sample)
    assert reached.stopping is not None
    assert reached.stopping.reached
    assert reached.stopping.half_widths[: len(sample.stopping.units)] == sample.stopping.half_widths


def test_too_low_a_ceiling_is_refused_before_any_evaluation() -> None:
    counting = Counting(bent)
    with pytest.raises(ValueError, match="`n_queries` must be at least 257 with `until`"):
        run(0.5, 256, f=counting)
    with pytest.raises(ValueError, match="at least 641 with `until`"):
        run(HalfWidth(0.5, simultaneous=True), 640, f=counting)
    assert counting.count == 0
    run(100.0, 257)


@pytest.mark.parametrize("until", [0, -1.0, float("nan"), float("inf"), "0.1", True, None])
def test_targets_that_cannot_be_right(until: Any) -> None:
    with pytest.raises(ValueError, match="half-width > 0"):
        HalfWidth(until)
    if until is not None:
        with pytest.raises(ValueError, match="half-width > 0"):
            run(until)


@pytest.mark.parametrize("more", [
    {"level": 1.0}, {"level": 95}, {"region": (0, 1, 0, 1), "contrasts": np.ones(6)}, {"region": (0, 9, 0, 1)},
    {"region": np.zeros(SHAPE, dtype=bool)}, {"region": np.ones((3, 3), dtype=bool)}, {"contrasts": np.ones(5)},
    {"contrasts": np.zeros(6)}, {"contrasts": np.full(6, np.nan)},
])  # fmt: skip
def test_rules_that_cannot_be_right_cost_nothing(more: dict[str, Any]) -> None:
    counting = Counting(bent)
    with pytest.raises(ValueError, match="must be"):
        run(HalfWidth(0.5, **more), f=counting)
    assert counting.count == 0


# ---------------------------------------------------------------- what is kept of it


@pytest.mark.parametrize("more", [
    {}, {"region": (0, 1, 0, 2), "level": 0.9}, {"region": GAMMA > 0}, {"contrasts": np.eye(6)[:2]},
    {"region": np.arange(6).reshape(SHAPE) - 3, "simultaneous": True},
])  # fmt: skip
def test_saved_and_loaded(more: dict[str, Any], tmp_path: Any) -> None:
    sample = run(HalfWidth(0.8, **more), 8001)
    sample.save(tmp_path / "s.npz")
    loaded = ls.QuerySample.load(tmp_path / "s.npz")
    same(loaded, sample)
    assert sample.stopping is not None
    assert Stopping.from_dict(json.loads(json.dumps(sample.stopping.to_dict()))) == sample.stopping
    assert HalfWidth(0.8, **more) == sample.stopping.rule != HalfWidth(0.7, **more)
    assert hash(HalfWidth(0.8, **more)) == hash(sample.stopping.rule)
    fitted = ls.LEG(sample).fit()
    fitted.save(tmp_path / "r.npz")
    np.testing.assert_array_equal(ls.LEGResults.load(tmp_path / "r.npz").conf_int(), fitted.conf_int())


def test_merging_would_hide_the_rule() -> None:
    with pytest.raises(ValueError, match="until"):
        run(TARGET).merge(run(None, rng=4))


def test_parts_of_a_stopped_run_keep_its_intervals_and_share_its_ledger() -> None:
    sample = run(TARGET, beforehand=7)
    first, second = ls.split_sample(sample)
    assert first.stopping == second.stopping == sample.stopping
    assert first.ledger.spent + second.ledger.spent == sample.ledger.spent == 776
    assert (first.ledger.beforehand, second.ledger.beforehand) == (7, 0)


def test_a_run_without_the_rule_forgets_it() -> None:
    """Its size is given again, not chosen by widths."""
    assert run(None, 4001, resume=run(TARGET)).stopping is None


@pytest.mark.parametrize("before", [0, 1001])  # the latter beyond where the rule would have stopped
def test_record_repeats_it(before: int, tmp_path: Any) -> None:
    earlier = run(None, before) if before else None
    with warnings.catch_warnings(record=True):
        sample = run(TARGET, 4001, resume=earlier, beforehand=11)
    found = ls.Explanation.of(sample, L_ratio=0.3, progress=False)
    files = found.save(tmp_path)
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["experiment"]["until"]["target"] == TARGET
    assert record["experiment"]["until_from"] == (500 if before else 0)
    assert record["ledger"]["beforehand"] == 11
    assert record["results"]["stopping.units"]["value"] == sample.n_units[0]
    checked = ls.verify(files[-1], f=bent, progress=False)
    assert checked.passed, checked.as_text()


def test_explain_stops_too() -> None:
    found = ls.explain(bent, IMAGE, grid=SHAPE, scale=0.3, perturbation=STILL, until=TARGET, n_queries=4001, rng=3,
                       L_ratio=0.3, progress=False)  # fmt: skip
    same(found.sample, run(TARGET))


# ---------------------------------------------------------------- the bar


def test_the_bar_counts_towards_the_target(monkeypatch: pytest.MonkeyPatch) -> None:
    totals: list[tuple[int, int]] = []
    texts: list[str] = []

    class Bar:
        def __init__(self, *, total: int, initial: int, **_: object) -> None:
            self.total, self.n = total, initial

        def __enter__(self) -> Bar:
            return self

        def __exit__(self, *_: object) -> None:
            totals.append((self.n, self.total))

        def update(self, n: int) -> None:
            self.n += n

        def set_postfix_str(self, text: str) -> None:
            totals.append((self.n, self.total))
            texts.append(text)

    monkeypatch.setattr("legstat.sampling.loop.tqdm", Bar)
    sample = run(0.3, 20_001)
    assert sample.stopping is not None
    assert [n for n, _ in totals] == [2 * units for units in sample.stopping.units]
    assert all(n < total for n, total in totals[:-1])
    # what a look expects is the scheduled look at or after root-n extrapolation
    for units, width, (_, total) in zip(sample.stopping.units, sample.stopping.half_widths, totals[:-1], strict=False):
        wanted = units * (width / 0.3) ** 2
        assert total == 2 * min(size for size in analysis_sizes(128, 10_000) if size > units and size >= wanted - 1e-6)
    assert totals[-1][0] <= totals[-1][1]
    assert texts[0] == f"half-width {sample.stopping.half_widths[0]:.3g}, wanted 0.3"


def test_the_summary_says_so() -> None:
    text = ls.LEG(run(TARGET, beforehand=7)).fit().summary().as_text()
    assert "Half-width:" in text
    assert "0.21 reached" in text
    assert "776 of 4001, 7 beforehand" in text
    with pytest.warns(ls.TargetNotReachedWarning):
        short = run(TARGET, 301)
    assert "0.21 NOT reached" in ls.LEG(short).fit().summary().as_text()
    assert "Half-width:" not in ls.LEG(run(None, 301)).fit().summary().as_text()


def test_texts() -> None:
    rule = HalfWidth(0.1, 0.9, True, region=(0, 1, 0, 2))
    assert repr(rule) == "<HalfWidth 0.1 at 0.9, simultaneous, (0, 1, 0, 2)>"
    assert repr(HalfWidth(0.1, contrasts=np.ones(6))) == "<HalfWidth 0.1 at 0.95, contrasts=...>"
    assert repr(HalfWidth(0.1, region=GAMMA > 0)) == "<HalfWidth 0.1 at 0.95, region=...>"
    assert "no analysis yet" in repr(Stopping(rule=rule))
    assert Stopping(rule=rule).predicted_units == 0
    seen = Stopping(rule=rule).after(128, 0.3).after(160, 0.2).after(160, 0.15)
    assert (seen.units, seen.half_widths) == ((128, 160), (0.3, 0.15))
    assert "not reached: half-width 0.15 > 0.1 at 160 observations, 2 interim analyses" in repr(seen)


def test_command_line_stops_and_its_record_repeats(tmp_path: Any) -> None:
    pytest.importorskip("onnxruntime", reason="the command explains an ONNX file")
    from PIL import Image
    from typer.testing import CliRunner

    from legstat.cli import app
    from legstat.data import digits_model_path, load_digit

    picture = tmp_path / "digit.png"
    Image.fromarray(np.round(load_digit(5)[0][0] * 255).astype(np.uint8)).save(picture)
    fixed = [
        "--model",
        str(digits_model_path()),
        "--perturb",
        "black",
        "--n-queries",
        "3000",
        "--preprocessing",
        "unit",
    ]

    def call(*arguments: object) -> Any:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    done = call("explain", picture, *fixed, "--until", 0.5, "--L-ratio", 0.1, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.stderr
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    assert 256 < record["ledger"]["spent"] < 1000
    assert record["results"]["stopping.half_width"]["value"] <= 0.5
    assert "0.5 reached" in done.stdout
    checked = call("verify", tmp_path / "out" / "record.json")
    assert (checked.exit_code, "VERIFIED" in checked.stdout) == (0, True)
    short = call("explain", picture, *fixed, "--until", 0.001, "--L-ratio", 0.1, "--out", tmp_path / "short")
    assert short.exit_code == 0
    assert "warning: legstat.query: the ceiling of 3000" in short.stderr
    refused = call("explain", picture, *fixed, "--until", -1, "--out", tmp_path / "no")
    assert refused.exit_code == 2
    assert "half-width > 0" in refused.stderr
