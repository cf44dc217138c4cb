"""Studies: rows are what the public calls give, to the bit, however they are run; results, slopes and files."""

from __future__ import annotations

import subprocess
import sys

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.stats

import legstat as ls
from legstat.data import digits_model_path, load_digit
from legstat.inference.bounds import C_d, error_bound
from legstat.studies import Estimator, SampleSizeStudy, StudyResults, Subject, leg_mse
from legstat.studies.cells import stream
from legstat.studies.slopes import THEOREM
from legstat.studies.subjects import make_reference

ESTIMATORS = ("leg/printed", "leg/crossfit", "legtv/crossfit/bootstrap", "legtv/regression/heldout")


def small(n_queries=(221, 881), **changes):
    given = {"grid": (4, 4), "sparsity": 6, "scale": 0.5, "estimators": ESTIMATORS, "replicates": 3, "seed": 5}
    return SampleSizeStudy(n_queries, **{**given, **changes})


@pytest.fixture(scope="module")
def results():
    return small(design=("structured", "isotropic")).run(progress=False)


def same(a, b):
    pd.testing.assert_frame_equal(a.frame, b.frame, check_exact=True)


# --- estimators ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", [*ESTIMATORS, "legtv/printed/theory=0.9", "legtv/centred/L_ratio=0.3", "leg/least_squares"]
)
def test_names_are_read_back(text):
    assert Estimator.parse(text).name == text


def test_usual_values_are_left_out_of_names():
    assert Estimator.parse("legtv/printed/L_ratio=0.1").name == "legtv/printed/L_ratio"


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("lasso/printed", "method"),
        ("leg/mean", "moments"),
        ("leg/printed/L_ratio", "rule"),
        ("legtv/printed", "rule"),
        ("legtv/printed/cv", "rule"),
        ("legtv/printed/L_ratio=2", "value"),
        ("legtv/printed/bootstrap=1", "value"),
        ("legtv/printed/L_ratio=a", "value"),
    ],
)
def test_wrong_estimators_are_refused(text, wrong):
    with pytest.raises(ValueError, match=f"`{wrong}` must be"):
        Estimator.parse(text)


# --- rows ------------------------------------------------------------------------------------------------------------


def test_rows_are_what_the_public_calls_give(results):
    study = small(design=("structured", "isotropic"))
    rows = results.frame.set_index(["design", "n_queries", "estimator", "replicate"])
    for cell in (study.cells[0], study.cells[-1]):  # another design, another n
        draws, _ = stream({"sample": cell.content()}, 5, 2).spawn(2)
        gamma = ls.simulate.piecewise_constant((4, 4), 6, rng=stream({"truth": [4, 4, 6]}, 5, 2))
        f = ls.simulate.logistic(gamma, offset=1.0)
        sample = ls.query(
            f, np.zeros((1, 4, 4)), cell.law, cell.n_queries, perturbation=ls.Additive(clip=False), rng=draws
        )
        truth = f.leg(np.zeros((1, 4, 4)), cell.law).ravel()
        crossfit = ls.LEGTV(sample, moments="crossfit")
        by_hand = {
            "leg/printed": ls.LEG(sample, moments="printed").fit(),
            "leg/crossfit": ls.LEG(sample).fit(),
            "legtv/crossfit/bootstrap": crossfit.fit(L=crossfit.L_bootstrap(n_draws=500)),
            "legtv/regression/heldout": ls.LEGTV(sample, moments="regression")
            .fit_path(L_ratio_min=0.02, progress=False)
            .select("heldout"),
        }
        for name, result in by_hand.items():
            row, error = rows.loc[(cell.design, cell.n_queries, name, 2)], result.params - truth
            # the same sums on one BLAS thread there and as many as there are here: the last bits may differ
            assert np.isclose(row["error"], np.linalg.norm(error), rtol=1e-9, atol=0)
            assert np.isclose(row["error_up_to_mean"], np.linalg.norm(error - error.mean()), rtol=1e-9, atol=0)
            assert row["n"] == sample.n_units[0]
            if name.startswith("legtv"):
                assert np.isclose(row["L"], result.L, rtol=1e-9, atol=0)
                assert row["regions"] == result.n_regions


def test_designs_have_equal_trace_or_equal_scale():
    structured, isotropic = small(401, design=("structured", "isotropic")).cells
    traces = [np.trace(cell.law.covariance_matrix()) for cell in (structured, isotropic)]
    assert np.isclose(*traces, rtol=1e-12, atol=0)
    assert [cell.sigma for cell in small(401, design=("structured", "isotropic"), match="scale").cells] == [0.5, 0.5]


def test_truths_have_the_sparsity_and_are_shared_by_n_and_design(results):
    study = small(design=("structured", "isotropic"))
    grid = ls.Grid((4, 4))
    truths = {tuple(cell.truth(5, 1).ravel()) for cell in study.cells}
    assert len(truths) == 1
    assert np.count_nonzero(grid.difference(np.array(truths.pop()))) == 6
    assert not np.array_equal(study.cells[0].truth(5, 0), study.cells[0].truth(5, 1))
    assert not np.array_equal(study.cells[0].truth(6, 0), study.cells[0].truth(5, 0))


def test_replicates_differ_and_another_seed_gives_others(results):
    errors = results.frame["error"]
    assert errors.nunique() == len(errors)
    assert not np.isin(small(seed=6).run(progress=False).frame["error"], errors).any()


@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing"])
def test_same_bits_however_many_run_side_by_side(results, backend):
    study = small(design="structured")
    with joblib.parallel_config(backend=backend):
        found = study.run(n_jobs=2, progress=False)
    mine = results.frame[results.frame["design"] == "structured"].reset_index(drop=True)
    pd.testing.assert_frame_equal(found.frame, mine, check_exact=True)


def test_other_cells_estimators_and_orders_change_no_replicate(results):
    cheap = ["legtv/crossfit/bootstrap", "leg/centred", "leg/printed"]
    more = small((881, 321, 221), design=("isotropic", "structured"), scale=(0.25, 0.5), estimators=cheap, replicates=4)
    index = ["design", "scale", "n_queries", "estimator", "replicate"]
    mine = results.frame[results.frame["estimator"].isin(cheap)].set_index(index)
    theirs = more.run(progress=False).frame.set_index(index)
    assert len(mine) == 24
    pd.testing.assert_frame_equal(mine, theirs.loc[mine.index], check_exact=True)


def test_noise_is_on_every_evaluation_but_that_of_x0():
    noisy = small(4001, response="linear", noise=0.3, offset=0.0, estimators="leg/least_squares", antithetic=False)
    quiet = small(4001, response="linear", noise=0.0, offset=0.0, estimators="leg/least_squares", antithetic=False)
    assert (quiet.run(progress=False).frame["error"] < 1e-10).all()  # rounding
    cell = noisy.cells[0]
    # least squares under normal noise: tau^2 tr Sigma^{-1} / (n - p - 2), a Wishart's mean
    expected = 0.3**2 * np.trace(np.linalg.inv(cell.law.covariance_matrix())) / (4000 - 16 - 2)
    squares = noisy.run(progress=False).frame["error"] ** 2
    # 3 chi-squares of 16 or so unequal terms each: a standard deviation of about 0.4
    assert 0.3 < squares.mean() / expected < 2.5


# --- theory ----------------------------------------------------------------------------------------------------------


def test_feasible_truths_keep_the_theorems_bound(results):
    rows = results.frame[results.frame["feasible"] == 1.0]
    assert len(rows) > 8
    for row in rows.itertuples():
        kind = ls.StructuredGaussian if row.design == "structured" else ls.IsotropicGaussian
        law = kind(grid=(4, 4), scale=row.sigma)
        kappa = row.sigma**2 / (1.0 if row.design == "structured" else law.grid.eigenvalues.max())
        assert row.error_up_to_mean <= 4.0 * row.L * np.sqrt(6) / (kappa * C_d(law.grid))


def test_bounds_are_those_of_the_theorem(results):
    cells = results.cells().set_index(["design", "n", "estimator"])
    row = cells.loc[("isotropic", 440, "legtv/crossfit/bootstrap")]
    design = ls.IsotropicGaussian(grid=(4, 4), scale=row["sigma"])
    assert row["bound"] == error_bound(design, 6, 440)
    assert row["bound_printed"] == error_bound(design, 6, 440, form="printed")
    assert np.isnan(cells.loc[("isotropic", 440, "leg/printed")]["bound"])  # the theorem is on LEG-TV


def test_cells_are_means_over_replicates(results):
    cells = results.cells("error").set_index(["design", "n", "estimator"])
    frame = results.frame
    mine = frame[(frame.design == "structured") & (frame.n == 110) & (frame.estimator == "leg/printed")]
    squares = mine["error"].to_numpy() ** 2
    row = cells.loc[("structured", 110, "leg/printed")]
    assert np.isclose(row["mse"], squares.mean(), rtol=1e-12, atol=0)
    assert np.isclose(row["mse_std_error"], squares.std(ddof=1) / np.sqrt(3), rtol=1e-12, atol=0)
    assert np.isclose(row["exact_mse"], mine["exact_mse"].mean(), rtol=1e-12, atol=0)


# --- slopes ----------------------------------------------------------------------------------------------------------


def power_law(sd, rng):
    rows = []
    for n in (100, 200, 400):
        for side in (4, 6, 8):
            for s in (6, 12):
                for replicate in range(5):
                    error = 7.0 * n**-0.5 * side**1.5 * np.sqrt(s) * np.exp(sd * rng.standard_normal())
                    labels = {"response": "logistic", "design": "structured", "scale": 0.5, "sigma": 0.5}
                    sizes = {"grid": f"{side}x{side}", "p": side**2, "sparsity": s, "n": n, "n_queries": n + 1}
                    rest = {"antithetic": False, "estimator": "legtv/crossfit/bootstrap", "replicate": replicate}
                    norms = {"truth_norm": 1.0, "truth_norm_up_to_mean": 1.0}
                    rows.append({**labels, **sizes, **rest, **norms, "error": error, "error_up_to_mean": error})
    return StudyResults.of(rows, {"noise": 0.0})


def test_a_power_law_is_found(rng):
    found = power_law(0.0, rng).slopes().set_index("term")
    for term, (proof, printed) in THEOREM.items():
        assert np.isclose(found.loc[term, "exponent"], proof, rtol=0, atol=1e-10)  # the law above is the proof's
        assert (found.loc[term, "proof"], found.loc[term, "printed"]) == (proof, printed)
    # the bound itself falls as n^{-1/2} and rises as s^{1/2}, exactly; in p there are logarithms
    assert np.allclose(found.loc[["log n", "log s"], "bound"], [-0.5, 0.5], rtol=0, atol=1e-10)
    assert 0.75 < found.loc["log p", "bound"] < 0.9


@pytest.mark.parametrize("cov_type", ["cluster", "HC3", "HC1"])
def test_intervals_of_slopes_are_the_sandwich_by_hand(rng, cov_type):
    results = power_law(0.2, rng)
    found, frame = results.slopes(cov_type=cov_type, level=0.9).set_index("term"), results.frame
    x = np.column_stack([np.ones(len(frame)), *(np.log(frame[c].to_numpy(float)) for c in ("n", "p", "sparsity"))])
    y = np.log(frame["error"].to_numpy())
    bread = np.linalg.inv(x.T @ x)
    beta = bread @ x.T @ y
    residual = y - x @ beta
    count, k = x.shape
    if cov_type == "cluster":
        keys = list(zip(frame["grid"], frame["sparsity"], frame["replicate"], strict=True))
        clusters = sorted(set(keys))
        of = np.array([clusters.index(key) for key in keys])
        scores = np.stack([(x * residual[:, None])[of == c].sum(axis=0) for c in range(len(clusters))])
        factor = len(clusters) / (len(clusters) - 1) * (count - 1) / (count - k)
        df = len(clusters) - 1
    else:
        leverage = np.einsum("ij,jk,ik->i", x, bread, x)
        weight = 1.0 / (1.0 - leverage) if cov_type == "HC3" else np.ones(count)
        scores = x * (residual * weight)[:, None]
        factor = count / (count - k) if cov_type == "HC1" else 1.0
        df = count - k
    covariance = factor * bread @ (scores.T @ scores) @ bread
    quantile = scipy.stats.t.ppf(0.95, df)
    for term, i in (("log n", 1), ("log p", 2), ("log s", 3)):
        error = np.sqrt(covariance[i, i])
        row = found.loc[term, ["exponent", "std_error", "low", "high"]].to_numpy(float)
        assert np.allclose(
            row, [beta[i], error, beta[i] - quantile * error, beta[i] + quantile * error], rtol=1e-8, atol=0
        )
    ratio = -beta[2] / beta[1]
    gradient = np.array([0, beta[2] / beta[1] ** 2, -1 / beta[1], 0])
    row = found.loc["n by p", ["exponent", "std_error"]].to_numpy(float)
    assert np.allclose(row, [ratio, np.sqrt(gradient @ covariance @ gradient)], rtol=1e-8, atol=0)


def test_no_ratio_where_n_does_nothing():
    study = small((121, 481), grid=[(4, 4), (6, 6)], estimators="legtv/printed/theory", scale=0.1)
    terms = study.run(progress=False).slopes()["term"]
    assert list(terms) == ["log n", "log p"]  # L is above L_max: the map is constant


def test_slopes_that_cannot_be_are_refused(results):
    with pytest.raises(ValueError, match="`n, p, s` must be"):
        small(481).run(progress=False).slopes()
    with pytest.raises(ValueError, match="`level` must be"):
        results.slopes(level=1.0)
    with pytest.raises(ValueError, match="`cov_type` must be"):
        results.slopes(cov_type="nonrobust")
    with pytest.raises(ValueError, match="`measure` must be"):
        results.cells("errors")
    frame = results.frame.assign(error=0.0)
    with pytest.raises(ValueError, match="> 0 in every row"):
        StudyResults(frame, results.settings).slopes("error")
    together = results.frame.assign(p=lambda f: f["n"] ** 2)
    with pytest.raises(ValueError, match="vary together"):
        StudyResults(together, results.settings).slopes()


# --- results ---------------------------------------------------------------------------------------------------------


def test_file_reads_back_to_the_bit(results, tmp_path):
    results.save(tmp_path / "a.csv")
    again = StudyResults.load(tmp_path / "a.csv")
    same(again, results)
    assert again.settings == results.settings
    again.save(tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "a.csv", comment="#"), results.frame, check_exact=False)
    (tmp_path / "b.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="is not a file that"):
        StudyResults.load(tmp_path / "b.csv")


def test_results_do_not_change(results):
    before = results.frame
    copy = results.frame
    copy.loc[:, "error"] = 0.0
    pd.testing.assert_frame_equal(results.frame, before)
    with pytest.raises(AttributeError):
        results.table = before


def test_summary_shows_slopes_and_cells(results):
    text = results.summary().as_text()
    assert results._repr_html_() == results.summary().as_html()
    assert "Exponents of the error" in text
    assert "Cells: error_up_to_mean" in text
    found = results.slopes().iloc[0]
    assert f"{found['exponent']:.4g}" in text
    alone = small(481, estimators="leg/printed").run(progress=False).summary().as_text()
    assert "Exponents" not in alone  # nothing varies


# --- subjects --------------------------------------------------------------------------------------------------------


GAMMA = np.diag([1.0, -1.0, 2.0, 0.5])


def bent(images):
    """Linear in the cells, and a square that pairs cancel."""
    cells = images.mean(axis=1)
    return (cells * GAMMA).sum(axis=(1, 2)) + 3.0 * (cells - 0.5)[:, 0, 1] ** 2


def test_a_known_gamma_is_the_truth():
    subject = Subject(bent, np.full((1, 4, 4), 0.5), gamma=GAMMA, perturbation=ls.Additive(clip=False))
    study = SampleSizeStudy(4001, grid=(4, 4), scale=0.05, estimators="leg/crossfit", response=subject, replicates=2)
    frame = study.run(progress=False).frame
    assert (
        frame["error"] < 1e-3
    ).all()  # pairs leave a linear response: nothing but rounding and shrinkage of the pilot
    assert (frame["reference_mse"] == 0.0).all()
    assert np.isclose(frame["truth_norm"].iloc[0], np.linalg.norm(GAMMA), rtol=1e-12, atol=0)


def test_a_reference_knows_its_own_error():
    """Draws without pairs, so that the square is noise; gamma is known here, but not to the study."""
    image, errors, claimed = np.full((1, 4, 4), 0.5), [], []
    for seed in range(12):
        subject = Subject(bent, image, perturbation=ls.Additive(clip=False), reference_queries=2001)
        study = SampleSizeStudy(
            201,
            grid=(4, 4),
            scale=0.2,
            estimators="leg/centred",
            response=subject,
            replicates=1,
            antithetic=False,
            seed=seed,
        )
        reference = make_reference(subject, study.cells[0], seed)
        error = reference.gamma - GAMMA.ravel()
        errors.append([error @ error, (error - error.mean()) @ (error - error.mean())])
        claimed.append([reference.mse, reference.mse_up_to_mean])
        assert reference.queries == 2001
    # the mean of 12 sums of 16 squares: relative standard deviation about 0.15
    assert np.allclose(np.mean(errors, axis=0) / np.mean(claimed, axis=0), 1.0, rtol=0, atol=0.6)


def test_the_references_error_is_taken_off(results):
    frame = results.frame.assign(reference_mse=0.01, reference_mse_up_to_mean=0.02)
    for measure, own in (("error", 0.01), ("error_up_to_mean", 0.02)):
        with_it = StudyResults(frame, results.settings).cells(measure)
        without = results.cells(measure)
        assert np.allclose(without["mse"] - with_it["mse"], own, rtol=1e-9, atol=0)
        assert (with_it["reference_mse"] == own).all()


def test_network_is_a_subject(tmp_path):
    pytest.importorskip("onnxruntime", reason="the digits' network is an ONNX file")
    f = ls.onnx_response(digits_model_path(), threads=1)
    image, _ = load_digit(3)
    subject = Subject(f, image, perturbation=ls.Blend("black"), reference_queries=3002, name="digit")
    study = SampleSizeStudy(
        (202, 802), grid=(8, 8), scale=0.25, estimators=("leg/centred", "leg/crossfit"), response=subject, replicates=4
    )
    found = study.run(tmp_path / "a.sqlite3", n_jobs=2, progress=False)
    cells = found.cells().set_index(["n", "estimator"])
    assert (cells["reference_mse"] > 0).all()
    assert (cells.xs("leg/crossfit", level=1)["mse"] < cells.xs("leg/centred", level=1)["mse"]).all()
    assert cells.xs("leg/centred", level=1)["mse"].is_monotonic_decreasing
    assert set(found.frame["response"]) == {"digit"}
    same(study.run(progress=False), found)


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"design": "haar"}, "design"),
        ({"response": "cubic"}, "response"),
        ({"match": "sigma"}, "match"),
        ({"replicates": 0}, "replicates"),
        ({"seed": -1}, "seed"),
        ({"noise": -0.1}, "noise"),
        ({"estimators": ()}, "estimators"),
        ({"estimators": ("leg/printed", "leg/printed")}, "estimators"),
        ({"grid": ()}, "factors"),
        ({"grid": (4, 4, 4)}, "grid"),
        ({"sparsity": 1}, "sparsity"),
        ({"scale": (0.5, 0.5)}, "factors"),
        ({"curvature": 0.5}, "curvature"),
        ({"scale": -1.0}, "scale"),
        ({"n_queries": 31, "estimators": "leg/printed"}, "n_queries"),
        ({"n_queries": 121}, "n_queries"),
        ({"n_queries": 33, "estimators": "leg/least_squares", "antithetic": False, "grid": (6, 6)}, "n_queries"),
        ({"response": "linear", "estimators": "legtv/printed/theory"}, "response"),
        ({"noise": 0.1, "estimators": "legtv/printed/theory"}, "response"),
    ],
)
def test_bad_arguments_are_refused_before_anything_runs(changes, wrong, monkeypatch):
    monkeypatch.setattr("legstat.studies.replicates.query", lambda *a, **k: pytest.fail("ran"))
    with pytest.raises(ValueError, match=f"`{wrong}` must be"):
        small(**{"n_queries": 221, **changes})


def test_subject_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="at most 4 x 4 cells"):
        SampleSizeStudy(401, grid=(5, 5), response=Subject(bent, np.full((1, 4, 4), 0.5)))
    with pytest.raises(ValueError, match="`gamma` must be"):
        SampleSizeStudy(401, grid=(2, 2), response=Subject(bent, np.full((1, 4, 4), 0.5), gamma=GAMMA))
    with pytest.raises(ValueError, match="`image` must be"):
        Subject(bent, np.zeros((4, 4)))
    with pytest.raises(ValueError, match="`moments` must be"):
        leg_mse(ls.simulate.linear(GAMMA), np.zeros((1, 4, 4)), ls.StructuredGaussian((4, 4)), 10, moments="crossfit")


def test_every_law_by_name() -> None:
    laws = ("structured", "isotropic", "blocks", "cells", "smooth", "smooth_binary")
    found = SampleSizeStudy(
        801, grid=(4, 4), design=laws, scale=0.1, estimators="leg/crossfit", response="quadratic", replicates=2
    ).run(progress=False)
    frame = found.frame
    assert set(frame["design"]) == set(laws)
    # at equal trace, the structured law's
    spent = ls.StructuredGaussian((4, 4), 0.1).variances.mean()
    others = frame[frame["design"] != "structured"]
    np.testing.assert_allclose(others["sigma"] ** 2, spent, rtol=1e-12)
    assert np.isfinite(frame["error"]).all()
    with pytest.raises(ValueError, match=r"`response` must be .*normal.*under 'blocks'.*Got 'logistic'"):
        SampleSizeStudy(801, grid=(4, 4), design="blocks")


def test_importing_and_making_a_study_loads_no_heavy_package():
    code = (
        "import sys; from legstat.studies import SampleSizeStudy; SampleSizeStudy(401)\n"
        "print(sorted({'pandas', 'statsmodels', 'joblib', 'threadpoolctl', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
