"""The same bits for any number of workers, networks opened once in each, answers and maps that are not asked twice."""

import json
import os
import pickle
from dataclasses import dataclass

import joblib
import numpy as np
import pytest

import legstat as ls
from legstat.comparison.measure import Measured
from legstat.comparison.measures import DeletionArea, DifferenceOf, InsertionArea, MaxSensitivity
from legstat.comparison.methods.controls import CentreMap, EdgeMap, RandomMap
from legstat.comparison.methods.masks import Rise
from legstat.comparison.methods.own import LegMap, LegTvMap
from legstat.data import digits_model_path, load_digit
from legstat.responses.carried import Carried

METHODS = (Rise((8, 8), cells=4), RandomMap((8, 8)), LegMap((4, 4)))
METRICS = ("insertion_minus_deletion", "infidelity")


def opened() -> ls.Response:
    return ls.onnx_response(digits_model_path(), preprocessing="unit", threads=2)


@pytest.fixture(scope="module")
def network() -> ls.Response:
    return opened()


@pytest.fixture(scope="module")
def images() -> dict[str, np.ndarray]:
    return {f"digit {i}": load_digit(i)[0] for i in range(2)}


@pytest.fixture(scope="module")
def found(network, images) -> ls.Comparison:
    return ls.compare(METHODS, network, images, n_queries=[160, 200], metrics=METRICS, progress=False)


@pytest.mark.parametrize(
    ("backend", "factory"),
    [
        ("loky", False),
        ("threading", False),
        pytest.param("loky", True, marks=pytest.mark.slow),  # workers that read the package anew
    ],
)
def test_same_bits_however_many_work(found, network, images, backend, factory):
    given = opened if factory else network
    with joblib.parallel_config(backend=backend):
        again = ls.compare(METHODS, given, images, n_queries=[160, 200], metrics=METRICS, n_jobs=2, progress=False)
    assert again.rows == found.rows
    assert [one.to_dict() for one in again.outcomes] == [one.to_dict() for one in found.outcomes]
    assert again.pictures == found.pictures


class Telling:
    """A method whose map says which process made it, and which response object it was given there."""

    name, least = "telling", 0

    def __call__(self, response, image, n_queries, rng):
        return ls.MethodMap(np.array([[os.getpid(), id(response._runner)]], dtype=float), 0)


def test_a_network_is_opened_once_in_each_worker(network):
    pictures = [load_digit(i)[0] for i in range(8)]
    with joblib.parallel_config(backend="loky"):
        found = ls.compare([Telling()], network, pictures, n_queries=[0], n_jobs=2, metrics=["road"], progress=False)
    seen = {tuple(one.saliency.ravel()) for one in found.outcomes}
    assert os.getpid() not in {process for process, _ in seen}
    assert len(seen) == len({process for process, _ in seen}) <= 2


def test_what_cannot_be_sent_is_told_at_once(images, network, monkeypatch):
    class Held(ls.Response):
        fingerprint, input_shape = "held", (1, 8, 8)
        describe = network.describe

        def __call__(self, images):
            raise AssertionError("evaluated")

        def __reduce__(self):
            raise TypeError("it has a device")

    with (
        joblib.parallel_config(backend="loky"),
        pytest.raises(TypeError, match="what can be sent to workers") as caught,
    ):
        ls.compare(["random"], Held(), images, n_queries=[0], metrics=["deletion"], n_jobs=2, progress=False)
    assert "it has a device" in str(caught.value)


def test_a_session_takes_no_more_threads_than_its_process_has(network, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    payload = pickle.dumps(network)
    assert pickle.loads(payload)._runner.session._threads == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    assert pickle.loads(payload)._runner.session._threads == 2
    assert pickle.loads(pickle.dumps(Carried(opened, "compare"))).response.fingerprint == network.fingerprint


def test_errors_say_where_they_happened(network, images):
    class Failing:
        name, least = "failing", 0

        def __call__(self, response, image, n_queries, rng):
            raise ArithmeticError("no")

    with pytest.raises(ArithmeticError) as caught:
        ls.compare([Failing()], network, images, n_queries=[7], progress=False)
    assert caught.value.__notes__ == ["(while 'failing' explained 'digit 0' with 7 evaluations)"]


class CountingRandom:
    """Random maps that count how often they are made, here."""

    name, least = "counting", 0

    def __init__(self) -> None:
        self.made = 0

    def __call__(self, response, image, n_queries, rng):
        self.made += 1
        return ls.MethodMap(rng.random((8, 8)), 0)

    def __repr__(self) -> str:
        return "CountingRandom()"


def test_metrics_are_added_without_making_maps_again(tmp_path, network, images):
    method = CountingRandom()
    first = ls.compare([method], network, images, n_queries=[0], metrics=["deletion"], store=tmp_path, progress=False)
    assert method.made == 2
    names = ["insertion_minus_deletion", "key_size", "patch_correlation", "deletion"]
    more = ls.compare([method], network, images, n_queries=[0], metrics=names, store=tmp_path, progress=False)
    assert method.made == 2
    assert [row["value"] for row in more.rows if row["metric"] == "deletion"] == [row["value"] for row in first.rows]
    whole = ls.compare([CountingRandom()], network, images, n_queries=[0], metrics=names, progress=False)
    assert more.rows == whole.rows
    assert [one.to_dict() for one in more.outcomes] == [one.to_dict() for one in whole.outcomes]
    # another picture, seed, budget or setting is another map
    ls.compare([method], network, images, n_queries=[0], metrics=["road"], rng=1, store=tmp_path, progress=False)
    assert method.made == 4
    # what is half written is not there: a map without its numbers is measured again, not made again
    for file in tmp_path.glob("*.json"):
        file.unlink()
    again = ls.compare([method], network, images, n_queries=[0], metrics=names, store=tmp_path, progress=False)
    assert method.made == 4
    assert again.rows == more.rows
    assert not list(tmp_path.glob("*.part"))
    assert json.loads(next(tmp_path.glob("*.json")).read_text())["method"] == "counting"


class Once:
    """A measure that counts what it is asked."""

    name, high_is_good, asked = "once", True, 0

    def __call__(self, response, image, saliency, rng):
        Once.asked += 1
        return Measured(float(saliency.max()), 3, censored=True)

    def __repr__(self) -> str:
        return "Once()"


def test_what_was_measured_is_not_measured_again(tmp_path, network, images):
    runs = [
        ls.compare(["random"], network, images, n_queries=[0], metrics=[Once()], store=tmp_path, progress=False)
        for _ in range(2)
    ]
    assert Once.asked == 2
    assert runs[0].rows == runs[1].rows
    assert runs[1].rows[0]["censored"] is True


def test_workers_fill_the_store_that_others_read(tmp_path, network, images, found):
    with joblib.parallel_config(backend="loky"):
        kept = ls.compare(METHODS, network, images, n_queries=[160], n_jobs=2, store=tmp_path, progress=False)
    other = ls.onnx_response(digits_model_path(), preprocessing="unit", threads=1)  # the scores are the same
    again = ls.compare(METHODS, other, images, n_queries=[160], store=tmp_path, progress=False)
    assert again.rows == kept.rows
    assert len(list(tmp_path.glob("*.npz"))) == 6


def test_leg_and_legtv_ask_once_where_there_is_a_cache(tmp_path, network, images, found):
    kept = ls.compare(
        (*METHODS, LegTvMap((4, 4))),
        network,
        images,
        n_queries=[160, 200],
        metrics=METRICS,
        cache=tmp_path,
        progress=False,
    )
    others = [row for row in kept.rows if row["method"] != "legtv"]
    assert [(row["value"], row["spent"]) for row in others] == [(row["value"], row["spent"]) for row in found.rows]
    totals = kept.evaluations().set_index(["method", "n_queries"])
    spent = totals.spent - totals.cached
    assert spent["legtv", 160] == spent["legtv", 200] == 0  # LEG asked all of it
    assert 0 < spent["leg", 200] < spent["leg", 160]  # 200 go on where 160 ended; x0 is known beforehand
    assert spent["leg", 160] + spent["leg", 200] <= 2 * 200
    assert totals.cached["rise", 200] == 0
    assert set(found.to_frame().cached) == {0}


class Brightness:
    """A measure of a user's own."""

    name, high_is_good = "brightness", True

    def __call__(self, response, image, saliency, rng):
        return Measured(float((saliency / saliency.sum() * image[0]).sum()), 0)


def test_totals_are_what_was_asked(network, images):
    methods = (CentreMap((8, 8)), EdgeMap((8, 8)))
    metrics = ["insertion_minus_deletion", "deletion", DeletionArea("black", name="black"), Brightness(), "infidelity"]
    found = ls.compare(methods, network, images, n_queries=[0], metrics=metrics, progress=False)
    totals = found.evaluations()
    assert totals.maps.tolist() == [2, 2]
    assert totals.spent.tolist() == [0, 0]
    # both areas once, the deletion of its own not again, the black one, nothing, 200 squares and x0
    assert totals.metrics.tolist() == [2 * (2 * 57 + 0 + 57 + 0 + 201)] * 2
    assert found.high_is_good["brightness"] is True
    assert found.ranks().query("metric == 'brightness'")["first"].sum() >= 1.0
    assert set(found.outcomes[0].curves) == {"insertion", "deletion", "black"}
    alone = DifferenceOf(InsertionArea(), DeletionArea())(
        network.bind(images["digit 0"])[0], images["digit 0"], found.outcomes[0].saliency + np.eye(8),
        np.random.default_rng(0),
    )  # fmt: skip
    assert alone.n_queries == 114


@dataclass(frozen=True)
class Pixels:
    """A method whose map is the picture plus noise of its own, for as many evaluations as it may ask."""

    name, least = "pixels", 0

    def __call__(self, response, image, n_queries, rng):
        return ls.MethodMap(image[0] * n_queries + rng.random(image[0].shape), n_queries)


class Nothing(Pixels):
    name = "nothing"

    def __call__(self, response, image, n_queries, rng):
        return ls.MethodMap(np.zeros_like(image[0]), n_queries)


def test_sensitivity_is_that_of_the_method_with_its_budget_and_its_draws(network, images, tmp_path):
    measure = MaxSensitivity(radius=0.01, draws=4)
    found = ls.compare([Pixels()], network, images, n_queries=[7], metrics=[measure], store=tmp_path, progress=False)
    for number, row in enumerate(found.rows):
        image, made = images[row["picture"]], found.outcomes[number].saliency
        noise = made - 7.0 * image[0]
        expected = ls.metrics.max_sensitivity(
            lambda x, noise=noise: 7.0 * x[0] + noise, image, radius=0.01, draws=4,
            rng=np.random.default_rng([0, number]),
        )  # fmt: skip
        assert row["value"] == pytest.approx(expected, rel=1e-12)  # the noise is a difference here
        assert 0.0 < row["value"] < 0.1
        assert row["asked"] == 4 * 7
    again = ls.compare([Pixels()], network, images, n_queries=[7], metrics=[measure], store=tmp_path, progress=False)
    assert again.rows == found.rows
    with pytest.warns(ls.LegstatWarning, match="constant"):
        zeros = ls.compare([Nothing()], network, images, n_queries=[7], metrics=[measure], progress=False)
    assert {(row["value"], row["censored"], row["asked"]) for row in zeros.rows} == {(1.0, True, 0)}
    with pytest.raises(TypeError, match=r"MaxSensitivity\.by"):
        measure(network, images["digit 0"], np.eye(8), np.random.default_rng(0))


def test_measures_must_say_what_they_found(network, images):
    class Plain(Brightness):
        def __call__(self, response, image, saliency, rng):
            return 0.5

    with pytest.raises(TypeError, match="Measured"):
        ls.compare(["centre"], network, images, n_queries=[0], metrics=[Plain()], progress=False)
