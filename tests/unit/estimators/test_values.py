"""Everything public of estimators, inference and studies is a value: it pickles, and shows itself in one line."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import legstat as ls
from legstat.estimators.channels import Channels
from legstat.inference.bounds import kappa
from legstat.studies import Estimator, SampleSizeStudy, Subject

GRID = (4, 4)
GAMMA = np.pad(np.full((2, 2), 2.0), 1)
BANDED = np.eye(16) + 0.3 * (np.eye(16, k=1) + np.eye(16, k=-1))


def take(design: ls.Design | None = None, **more: Any) -> ls.QuerySample:
    law = design or ls.StructuredGaussian(GRID, 0.2)
    return ls.query(ls.simulate.logistic(GAMMA), np.full((1, *GRID), 0.5), law, 1001, rng=0, progress=False, **more)


def leg() -> ls.LEGResults:
    found = ls.LEG(take()).fit()
    found.contrasts(np.eye(16)[:3])
    assert found.covariance.size == 16
    return found


def of_moments() -> ls.LEGTV:
    return ls.LEGTV(take().moments("centred"))


def path(exact: bool = False, **more: Any) -> ls.LEGTVPath:
    found = ls.LEGTV(take(**more)).fit_path(n_Ls=4, L_ratio_min=0.1, exact=exact, progress=False)
    assert found.heldout.r2.size == len(found)
    assert found.at(0.5 * found.Ls[0]).certificate.passed
    return found


def exact_path() -> ls.LEGTVPath:
    return path(exact=True)


def general() -> ls.LEGTVResults:
    return ls.LEGTV(take(ls.GaussianDesign(BANDED, GRID, 0.2))).fit(L_ratio=0.3)


def study() -> SampleSizeStudy:
    return SampleSizeStudy((101, 201), grid=GRID, sparsity=6, replicates=2, estimators="leg/printed")


def study_results() -> Any:
    found = study().run(progress=False)
    assert len(found.cells()) == 2
    return found


VALUES: dict[str, Callable[[], Any]] = {
    "LEG": lambda: ls.LEG(take()),
    "LEG of moments": lambda: ls.LEG(take().moments("centred")),
    "LEGResults": leg,
    "Contrasts": lambda: leg().region((0, 2, 0, 2)),
    "MultipleTest": lambda: leg().test(fwer=0.1),
    "WaldTest": lambda: leg().wald_test(np.eye(16)[:2]),
    "LEGTV": lambda: ls.LEGTV(take()),
    "LEGTV of moments": of_moments,
    "LEGTVResults": lambda: ls.LEGTV(take()).fit(L_ratio=0.3),
    "general LEGTVResults": general,
    "LEGTVPath": path,
    "exact LEGTVPath": exact_path,
    "HeldOut": lambda: path().heldout,
    "Channels": lambda: ls.LEGTV(take())._channels,
    "Folds": lambda: ls.LEGTV(take())._folds,
    "RegionInference": lambda: ls.region_inference(take(), L_ratio=0.4),
    "Kappa": lambda: kappa(ls.IsotropicGaussian(GRID, 0.2), 3, n_tries=5),
    "Estimator": lambda: Estimator("legtv", "regression", "heldout"),
    "SampleSizeStudy": study,
    "StudyResults": study_results,
    "Subject": lambda: Subject(ls.simulate.linear(GAMMA), np.full((1, *GRID), 0.5)),
}


def touched(value: Any) -> Any:
    """The value, after every attribute that is computed on first use has been asked for."""
    for name in dir(type(value)):
        if not name.startswith("_") and not callable(getattr(type(value), name)):
            getattr(value, name)
    return value


def test_solved_folds_stay_behind() -> None:
    estimator = ls.LEGTV(take())
    before = len(pickle.dumps(estimator))
    estimator.fit(L_ratio=0.3)
    assert estimator._folds._solved
    assert len(pickle.dumps(estimator)) == before


@pytest.mark.parametrize("name", VALUES)
def test_pickles_at_any_time(name: str) -> None:
    value = touched(VALUES[name]())
    again = touched(pickle.loads(pickle.dumps(value)))
    assert repr(again) == repr(value)
    for attribute in ("params", "estimates", "std_errors", "r2", "labels", "reject", "L_max", "face_width", "Ls"):
        if hasattr(value, attribute):
            np.testing.assert_array_equal(getattr(again, attribute), getattr(value, attribute))
    if isinstance(value, ls.LEGResults):
        # what lies between cells comes from the sample, which travels along
        np.testing.assert_array_equal(again.cov_params(), value.cov_params())
        with pytest.raises(ValueError, match="read-only"):
            again.params[0] = 1.0
    if isinstance(value, ls.LEGTVPath):
        L = 0.6 * value.Ls[0]
        np.testing.assert_array_equal(again.at(L).params, value.at(L).params)
        assert again.select("heldout").L == value.select("heldout").L


@pytest.mark.parametrize("name", VALUES)
def test_shows_itself_in_one_line(name: str) -> None:
    text = repr(VALUES[name]())
    assert "\n" not in text
    assert len(text) <= 200
    assert "object at 0x" not in text


def test_errstate_of_the_caller_changes_nothing() -> None:
    """Underflow and division by zero of our own are nobody's business, and a user may have made them errors."""
    quiet = [VALUES[name]() for name in ("LEGResults", "LEGTVPath", "general LEGTVResults", "StudyResults")]
    with np.errstate(all="raise"):
        loud = [VALUES[name]() for name in ("LEGResults", "LEGTVPath", "general LEGTVResults", "StudyResults")]
        for results, found in ((quiet[0], loud[0]),):
            np.testing.assert_array_equal(found.params, results.params)
            for joint in (False, True):
                np.testing.assert_array_equal(found.conf_int(simultaneous=joint), results.conf_int(simultaneous=joint))
            for rate in ({"fdr": 0.1}, {"fwer": 0.1}, {"fwer": 0.1, "method": "Holm"}):
                assert found.test(**rate).n_rejected > 0
            assert found.wald_test(np.eye(16)[5:7]).pvalue < 1e-3
            str(found.summary())
        np.testing.assert_array_equal(loud[1].params, quiet[1].params)
        for rule in ("heldout", "bootstrap", "theory"):
            assert loud[1].select(rule).certificate.passed
        str(loud[1][1].summary())
        # an exactly linear response, and one that never moves
        for f in (ls.simulate.linear(GAMMA), lambda images: np.zeros(len(images))):
            with pytest.warns(ls.ConstantScoreWarning) if not isinstance(f, ls.simulate.SimulatedResponse) else _none():
                sample = ls.query(f, np.full((1, *GRID), 0.5), ls.StructuredGaussian(GRID, 0.2), 801, rng=0)
            fitted = ls.LEG(sample).fit()
            assert np.isfinite(fitted.pvalues).all()
            assert np.isfinite(ls.LEGTV(sample).fit(L_ratio=0.3).params).all()
        assert ls.solve_power(noise=0.1, design=ls.StructuredGaussian(GRID, 0.2), region=(0, 2, 0, 2), contrast=50.0,
                              alpha=0.05, power=0.8) > 0  # fmt: skip
        assert loud[3].slopes().shape == quiet[3].slopes().shape


def _none() -> Any:
    import contextlib

    return contextlib.nullcontext()


# ---------------------------------------------------------------- habits of statsmodels' users


@pytest.mark.parametrize("call", [
    lambda: leg().conf_int(0.05), lambda: leg().saliency_conf_int(0.05),
    lambda: leg().region((0, 2, 0, 2)).conf_int(0.05), lambda: leg().region((0, 2, 0, 2)).to_frame(0.05),
    lambda: ls.region_inference(take(), L_ratio=0.4).conf_int(0.05),
    lambda: ls.LEGTV(take()).L_bootstrap(0.05), lambda: ls.LEGTV(take()).L_theory(0.05),
])  # fmt: skip
def test_a_level_goes_by_name(call: Callable[[], object]) -> None:
    """statsmodels' conf_int(0.05) is 95 %: taken for a level it would be 5 %."""
    with pytest.raises(TypeError, match="positional argument"):
        call()


@pytest.mark.parametrize("given", [
    lambda: ls.LEGTV(take()).fit(L=True), lambda: ls.LEGTV(take()).fit(L_ratio=True),
    lambda: ls.LEGTV(take()).fit(n_regions=True), lambda: ls.LEGTV(take()).fit_path([True, 0.1]),
    lambda: ls.LEGTV(take()).fit_path(n_Ls=True), lambda: ls.LEGTV(take()).fit_path(L_ratio_min=True),
    lambda: ls.LEGTV(take()).fit_path(exact=1), lambda: ls.LEGTV(take()).fit_path(exact=True, tol=True),
    lambda: ls.LEGTV(take()).fit_path(exact=True, max_solves=True), lambda: ls.LEGTV(take()).fit(0.1, time_limit=True),
    lambda: path().at(True), lambda: path().select(True),
    lambda: path().select("bootstrap", level=True), lambda: path().select("theory", probability=True),
    lambda: leg().conf_int(level=True), lambda: leg().conf_int(simultaneous=0.95),
    lambda: leg().conf_int(simultaneous=True, n_draws=True), lambda: leg().strongest(True),
    lambda: leg().test(fdr=True), lambda: leg().region((True, 2, 0, 2)),
    lambda: leg().region((0, 2, 0, 2), channel=True),
    lambda: ls.LEG(take()).fit(use_t=1), lambda: ls.region_inference(take(), smallest=True),
    lambda: ls.LEGTV(take()).L_bootstrap(n_draws=True), lambda: kappa(ls.IsotropicGaussian(GRID, 0.2), True),
    lambda: ls.solve_queries(error=True, sparsity=3, probability=0.9, grid=GRID, scale=0.1),
    lambda: ls.solve_queries(error=1.0, sparsity=True, probability=0.9, grid=GRID, scale=0.1),
    lambda: ls.solve_queries(error=1.0, sparsity=3, probability=0.9, grid=GRID, scale=0.1, antithetic=2),
    lambda: ls.solve_half_width(half_width=True, level=0.9, noise=0.1, design=ls.StructuredGaussian(GRID, 0.2)),
    lambda: ls.solve_half_width(half_width=0.1, level=0.9, noise=True, design=ls.StructuredGaussian(GRID, 0.2)),
    lambda: ls.solve_half_width(take(), half_width=0.1, level=0.9, simultaneous=0.9),
    lambda: SampleSizeStudy(True), lambda: SampleSizeStudy(101, grid=(True, 4)), lambda: SampleSizeStudy(100.5),
    lambda: SampleSizeStudy(101, scale=True), lambda: SampleSizeStudy(101, sparsity=2.5),
    lambda: SampleSizeStudy(101, antithetic=1), lambda: SampleSizeStudy(101, noise=True),
    lambda: SampleSizeStudy(101, replicates=True), lambda: Estimator("legtv", "printed", "heldout", True),
    lambda: ls.studies.leg_mse(ls.simulate.linear(GAMMA), np.zeros((1, 4, 4)), ls.StructuredGaussian(GRID, 0.2), True),
    lambda: Subject(ls.simulate.linear(GAMMA), np.zeros((1, 4, 4)), reference_queries=True),
])  # fmt: skip
def test_a_boolean_is_no_number_and_a_number_no_boolean(given: Callable[[], object]) -> None:
    with pytest.raises((TypeError, ValueError), match=r"^legstat\..*Got"):
        given()


# ---------------------------------------------------------------- Ctrl-C


class Interrupted:
    """Solves as usual, and is interrupted at the given solve of all channels together."""

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self, program: Any, options: Any, keep: bool) -> Any:
        from legstat.solvers.engines.highs import HighsFlow

        engine, outer = HighsFlow(program, options, keep), self

        class Engine:
            def run(self, *given: Any, **named: Any) -> Any:
                outer.left -= 1
                if outer.left < 0:
                    raise KeyboardInterrupt
                return engine.run(*given, **named)

        return Engine()


@pytest.mark.parametrize(("solves", "whole"), [(0, 0), (2, 0), (3, 1), (7, 2), (9, 3)])
def test_an_interrupted_path_holds_what_is_solved_in_every_channel(
    solves: int, whole: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = ls.query(lambda x: np.tanh(x[:, :, :2].sum(axis=(1, 2, 3)) - x[:, 1, 1, 1]), np.full((3, *GRID), 0.3),
                      ls.StructuredGaussian(GRID, 0.2, channels="separate"), 901, rng=0, progress=False)  # fmt: skip
    estimator = ls.LEGTV(sample)
    Ls = np.array([0.9, 0.7, 0.5, 0.3]) * estimator.L_max_per_row.min()
    expected = estimator.fit_path(Ls, engine="highs", progress=False)
    monkeypatch.setitem(ls.solvers.session.REGISTRY, "highs", Interrupted(solves))
    if not whole:
        with pytest.raises(KeyboardInterrupt):
            estimator.fit_path(Ls, engine="highs", progress=False)
        return
    found = estimator.fit_path(Ls, engine="highs", progress=False)
    assert len(found) == whole
    assert "solutions, L from" in repr(found)
    np.testing.assert_array_equal(found.params, expected.params[:, :whole])


@pytest.mark.parametrize("rule", ["heldout", "L_ratio"])
def test_an_interrupted_choice_of_L_is_an_interrupt(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = ls.LEGTV(take()).fit_path(n_Ls=4, engine="highs", progress=False)
    monkeypatch.setitem(ls.solvers.session.REGISTRY, "highs", Interrupted(2))
    with pytest.raises(KeyboardInterrupt):
        _ = found.select("heldout") if rule == "heldout" else found.select(L_ratio=0.33).r2_heldout
    monkeypatch.undo()
    assert found.select("heldout").certificate.passed  # nothing half done was kept


def test_channels_show_themselves() -> None:
    assert repr(Channels(take().moments("centred"), None, False)) == "<Channels 1 of 16 cells>"
