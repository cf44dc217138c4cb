"""Arguments that cannot be right: of `compare` and of what maps are measured by."""

from __future__ import annotations

from typing import Any

import numpy as np

import legstat as ls
from legstat import metrics
from legstat.comparison.measures import DeletionArea
from legstat.comparison.methods.connected import CShapley
from legstat.comparison.methods.games import ShapleyPairs
from legstat.comparison.methods.masks import Occlusion
from legstat.comparison.outcome import Outcome
from tests.bad_input.world import Row, ToldError, World

V, T = ValueError, TypeError
MAP = np.arange(16.0).reshape(4, 4)
NAN = np.full((1, 8, 8), np.nan)
FINE = np.arange(81.0).reshape(9, 9)
BOXES = [(1, 1, 3, 3)]


def _compare(w: World, methods: Any = ("random",), **changed: Any) -> object:
    given = {"response": w.onnx(), "images": [w.digit], "n_queries": [0], "progress": False, **changed}
    return ls.compare(methods, given.pop("response"), given.pop("images"), **given)


def _drawn(name: str, *given: Any, **more: Any) -> object:
    curve = metrics.Curve("deletion", np.array([0.0, 1.0]), np.array([1.0, 0.0]), "blur", 0, 2)
    outcomes = [Outcome(method, 0, "0", MAP, {"deletion": curve}) for method in ("random", "centre")]
    rows = [{"method": one.method, "n_queries": 0, "spent": 0, "picture": "0", "metric": "deletion", "value": 0.5,
             "censored": False} for one in outcomes]  # fmt: skip
    return getattr(ls.Comparison(rows, {}, outcomes), name)(*given, **more)


def _said(w: World, *words: object) -> None:
    usual = () if "--methods" in words else ("--methods", "random")
    w.command("compare", w.picture, "--model", w.digits, *usual, "--out", w.folder / "out", *words)


class Nameless:
    """A method whose repr is Python's own."""

    name, least = "nameless", 0

    def __call__(self, *arguments: Any) -> ls.MethodMap:
        raise AssertionError("called")


def _measured(w: World, name: str, **changed: Any) -> object:
    given = {"response": w.onnx(), "image": w.digit, "saliency": MAP, **changed}
    return getattr(metrics, name)(**given)


COMPARE = [
    Row("unknown method", lambda w: _compare(w, ["deeplift"]), V, ("`methods`", "'legtv'", "deeplift")),
    Row(
        "gradients of an ONNX file",
        lambda w: _compare(w, ["smoothgrad"], n_queries=[9]),
        T,
        ("smoothgrad", "torch_response"),
    ),
    Row("curve of a budget not run", lambda _: _drawn("plot_curves", n_queries=7), V, ("`n_queries`", "[0]")),
    Row("curve of another metric", lambda _: _drawn("plot_curves", "key_size"), V, ("`metric`", "'deletion'")),
    Row("curve not measured", lambda _: _drawn("plot_curves", "insertion"), V, ("`metric`", "curves")),
    Row("band in percent", lambda _: _drawn("plot_curves", "deletion", level=95), V, ("`level`", "95")),
    Row("curves of nobody", lambda _: _drawn("plot_curves", "deletion", methods=[]), V, ("`methods`", "random")),
    Row("forest of another metric", lambda _: _drawn("plot_differences", "random", "road"), V, ("`metric`",)),
    Row("forest of one picture", lambda _: _drawn("plot_differences", "random", "deletion"), V, ("at least",)),
    Row("maps of other pictures", lambda _: _drawn("plot_maps", {"a": NAN}), V, ("`images`", "'0'")),
    Row("maps on too few axes", lambda _: _drawn("plot_maps", [NAN], [None]), V, ("`axes`", "3 axes", "subplots")),
    Row("maps in unknown colours", lambda _: _drawn("plot_maps", [NAN], colours="jet"), V, ("`colours`",)),
    Row("method is a number", lambda w: _compare(w, [7]), T, ("`methods`", "`name` and `least`")),
    Row("method is a class", lambda w: _compare(w, [dict]), T, ("`methods`", "`name` and `least`")),
    Row("no method", lambda w: _compare(w, []), V, ("`methods`", "one or more")),
    Row("one name for methods", lambda w: _compare(w, "random"), T, ("`methods`", "'random'")),
    Row("a method twice", lambda w: _compare(w, ["random", "random"]), V, ("`methods`", "different")),
    Row("unknown metric", lambda w: _compare(w, metrics=["auc"]), V, ("`metrics`", "'key_size'")),
    Row("no metric", lambda w: _compare(w, metrics=[]), V, ("`metrics`", "one or more")),
    Row("one name for metrics", lambda w: _compare(w, metrics="deletion"), T, ("`metrics`", "'deletion'")),
    Row("key sizes of a function", lambda w: _compare(w, response=ls.as_response(w.f)), V, ("`metrics`", "classes")),
    Row("compared function", lambda w: _compare(w, response=w.f), T, ("`response`", "as_response")),
    Row("budget of a fraction", lambda w: _compare(w, n_queries=[1.5]), T, ("`n_queries`", "whole number")),
    Row("budget below 0", lambda w: _compare(w, n_queries=[-1]), V, ("`n_queries`", ">= 0")),
    Row("budget of no list", lambda w: _compare(w, n_queries=500), T, ("`n_queries`", "[500]")),
    Row("no budget", lambda w: _compare(w, n_queries=[]), V, ("`n_queries`", "one or more")),
    Row("a budget twice", lambda w: _compare(w, n_queries=[9, 9]), V, ("`n_queries`", "different")),
    Row("budget below a method's", lambda w: _compare(w, ["leg"], n_queries=[2]), V, ("`n_queries`", "'leg'")),
    Row("compared without pictures", lambda w: _compare(w, images=[]), V, ("`images`", "at least one")),
    Row("compared at one of 0..255", lambda w: _compare(w, images=[w.digit, 255 * w.digit]), V, ("within [0, 1]",)),
    Row("compared at another size", lambda w: _compare(w, images={"a": np.zeros((1, 9, 9))}), V, ("(1, 8, 8)",)),
    Row("compared by a word", lambda w: _compare(w, rng="seed"), T, ("`rng`", "seed")),
    Row("least score in percent", lambda w: _compare(w, least_score=30), V, ("`least_score`", "within [0, 1]")),
    Row("labels of pictures not there", lambda w: _compare(w, labels={"b": 1}), V, ("`labels`", "['0']")),
    Row("labels of no class", lambda w: _compare(w, labels=[10]), V, ("labels['0']", "0..9")),
    Row("labels by name without names", lambda w: _compare(w, labels=["two"]), V, ("labels['0']", "class index")),
    Row("fewer labels than pictures", lambda w: _compare(w, labels=[]), V, ("`labels`", "one for each of 1")),
    Row("labels of pictures a number", lambda w: _compare(w, labels=3), T, ("`labels`", "mapping")),
    Row("wrong without labels", lambda w: _compare(w, wrong="drop"), V, ("`wrong`", "`labels`")),
    Row("another wrong", lambda w: _compare(w, labels=[1], wrong="skip"), V, ("`wrong`", "'drop'")),
    Row(
        "labels of a function",
        lambda w: _compare(w, response=ls.as_response(w.f), metrics=["deletion"], labels=[1]),
        V,
        ("`labels`", "no classes"),
    ),
    Row("a black picture in black", lambda w: _compare(w, images={"night": np.zeros((1, 8, 8))}), V, ("'night'",)),
    Row(
        "a grey picture's mean",
        lambda w: _compare(w, ["occlusion"], n_queries=[50], metrics=["road"], images=[np.full((1, 8, 8), 0.5)]),
        V,
        ("`baseline`", "'occlusion'", "equal to the picture"),
    ),
    Row("metric is a number", lambda w: _compare(w, metrics=[7]), T, ("`metrics`", "`high_is_good`")),
    Row("metric is a class", lambda w: _compare(w, metrics=[DeletionArea]), T, ("`metrics`", "`high_is_good`")),
    Row("a metric twice", lambda w: _compare(w, metrics=["road", "road"]), V, ("`metrics`", "different")),
    Row(
        "opened with arguments", lambda w: _compare(w, response=lambda path: w.onnx()), T, ("`response`", "no argument")
    ),
    Row("opens something else", lambda w: _compare(w, response=lambda: w.f), T, ("`response`", "gives")),
    Row("compared by a path", lambda w: _compare(w, response="model.onnx"), T, ("`response`", "model.onnx")),
    Row(
        "store and a method without repr",
        lambda w: _compare(w, [Nameless()], store=w.folder / "s"),
        V,
        ("`methods`", "__repr__"),
    ),
    Row(
        "few queries for a stride",
        lambda w: _compare(w, [Occlusion(stride=8)], n_queries=[60]),
        V,
        ("`n_queries`", "60 for 'occlusion'", "at least 65", "8 x 8 pixels, as of '0'"),
    ),
    Row(
        "few queries for that many cells",
        lambda w: _compare(w, [CShapley(cells=4)], n_queries=[183]),
        V,
        ("183 for 'c_shapley'", "at least 184"),
    ),
    Row("C-Shapley of order 3", lambda w: CShapley(k=3), V, ("`k`", "from 0 to 2")),
    Row("pairs by another estimator", lambda w: ShapleyPairs(estimator="ols"), V, ("`estimator`", "'kernel'")),
    Row("pairs of few queries", lambda w: _compare(w, ["shapley_pairs"], n_queries=[211]), V, ("at least 212",)),
    Row("--methods of other words", lambda w: _said(w, "--methods", "leg,grad"), ToldError, ("`methods`", "grad")),
    Row("--n-queries without commas", lambda w: _said(w, "--n-queries", "9;5"), ToldError, ("--n-queries", "commas")),
    Row("--against another method", lambda w: _said(w, "--against", "leg"), ToldError, ("--against", "'random'")),
    Row("--wrong without --truth", lambda w: _said(w, "--wrong", "drop"), ToldError, ("`wrong`", "labels")),
    Row("--truth is missing", lambda w: _said(w, "--truth", w.folder / "no.csv"), ToldError, ("`truth`", "no.csv")),
    Row(
        "--truth of three columns",
        lambda w: _said(w, "--truth", w.file("truth.csv", "digit.png,3,yes\n")),
        ToldError,
        ("`truth`", "line 1", "picture,class"),
    ),
    Row(
        "--truth of other pictures",
        lambda w: _said(w, "--truth", w.file("truth.csv", "cat.png,3\n")),
        ToldError,
        ("--truth", "cat.png", "digit.png"),
    ),
    Row(
        "compared at an empty folder",
        lambda w: w.command("compare", w.folder, "--model", w.digits, "--out", w.folder / "out"),
        ToldError,
        ("`pictures`", "a folder with pictures"),
    ),
    Row("store is a file", lambda w: _compare(w, store=w.file("taken", "x")), V, ("`store`", "taken")),
]

CURVES = [
    Row("map of three axes", lambda w: _measured(w, "deletion", saliency=MAP[None]), V, ("`saliency`", "(p1, p2)")),
    Row("map with NaN", lambda w: _measured(w, "insertion", saliency=MAP * np.nan), V, ("`saliency`", "finite")),
    Row("map of words", lambda w: _measured(w, "deletion", saliency=[["a"]]), V, ("`saliency`", "(p1, p2)")),
    Row(
        "map finer than pixels",
        lambda w: _measured(w, "deletion", saliency=FINE),
        V,
        ("grid", "8"),
    ),
    Row("measured function", lambda w: _measured(w, "deletion", response=7), T, ("`f`", "callable")),
    Row("measured at 0..255", lambda w: _measured(w, "deletion", image=255 * w.digit), V, ("`image`", "[0, 1]")),
    Row("measured of another size", lambda w: _measured(w, "road", image=np.zeros((1, 9, 9))), V, ("(1, 8, 8)",)),
    Row("unknown reference", lambda w: _measured(w, "deletion", baseline="grey"), V, ("`baseline`", "'blur'")),
    Row("reference of another shape", lambda w: _measured(w, "insertion", baseline=np.zeros(3)), V, ("`baseline`",)),
    Row("steps of 0", lambda w: _measured(w, "deletion", steps=0), V, ("`steps`", ">= 1")),
    Row("steps a fraction", lambda w: _measured(w, "key_size", steps=2.5), T, ("`steps`", "whole number")),
    Row("until of 2", lambda w: _measured(w, "deletion", until=2.0), V, ("`until`", "within [0, 1]")),
    Row("until of no cell", lambda w: _measured(w, "key_size", until=0.01), V, ("`until`", "at least one of 16")),
    Row("ties by a word", lambda w: _measured(w, "deletion", rng="seed"), T, ("`rng`", "seed")),
    Row("unknown masking", lambda w: _measured(w, "masking_curve", masking="grey"), V, ("`masking`", "'distance'")),
    Row("distance in grey levels", lambda w: _measured(w, "masking_curve", distance=100), V, ("`distance`", "[0, 1]")),
    Row("shares in percent", lambda w: _measured(w, "masking_curve", fractions=[0, 5]), V, ("`fractions`", "[0, 1]")),
    Row("shares of 0 and 1", lambda w: _measured(w, "road", fractions=[0.0, 1.0]), V, ("`fractions`", "strictly")),
    Row("noise of 2", lambda w: _measured(w, "road", noise=2.0), V, ("`noise`", "within [0, 1]")),
    Row("patches that do not divide", lambda w: _measured(w, "patch_deletions", patches=(3, 3)), V, ("`patches`",)),
    Row("patches of one number", lambda w: _measured(w, "patch_deletions", patches=2), V, ("`patches`", "(rows, col")),
    Row("patches of no rows", lambda w: _measured(w, "patch_deletions", patches=(0, 2)), V, ("`patches`",)),
    Row("one deletion drawn", lambda w: _measured(w, "infidelity", draws=1), V, ("`draws`", ">= 2")),
    Row("square beyond the map", lambda w: _measured(w, "infidelity", side=5), V, ("`side`", "4")),
    Row("suppression of all", lambda w: _measured(w, "smallest_box", suppression=1.0), V, ("`suppression`",)),
    Row("no thresholds", lambda w: _measured(w, "smallest_box", thresholds=0), V, ("`thresholds`", ">= 1")),
    Row("box of a constant map", lambda w: _measured(w, "smallest_box", saliency=0 * MAP), V, ("a map that varies",)),
    Row("no boxes", lambda w: metrics.localisation(MAP, []), V, ("`boxes`", "at least one")),
    Row("box inside out", lambda w: metrics.pointing(MAP, [(3, 1, 1, 3)]), V, ("`boxes`", "x0 < x1")),
    Row("unknown rule of boxes", lambda w: metrics.localisation(MAP, BOXES, rule="top"), V, ("`rule`", "'energy'")),
    Row("energy of 2", lambda w: metrics.localisation(MAP, BOXES, alpha=2.0), V, ("`alpha`", "within [0, 1]")),
    Row("tolerance below 0", lambda w: metrics.pointing(MAP, BOXES, tolerance=-1), V, ("`tolerance`", ">= 0")),
    Row("keypoint outside", lambda w: metrics.saliency_share(MAP, {"eye": [(9, 9)]}), V, ("groups['eye']", "within")),
    Row("group of no keypoint", lambda w: metrics.saliency_share(MAP, {"eye": []}), V, ("groups['eye']",)),
    Row("maps of two grids", lambda w: metrics.agreement(np.ones((8, 8)), np.ones((9, 9))), V, ("`b`", "(8, 8)")),
    Row("maps of few cells", lambda w: metrics.agreement(MAP, MAP), V, ("`a, b`", "7 x 7")),
    Row("radius of 0", lambda w: metrics.max_sensitivity(lambda x: MAP, w.digit, radius=0), V, ("`radius`", "> 0")),
    Row("no draws", lambda w: metrics.max_sensitivity(lambda x: MAP, w.digit, draws=0), V, ("`draws`", ">= 1")),
    Row("truth of numbers", lambda w: metrics.precision(MAP, MAP), V, ("`truth`", "bool")),
    Row("truth of no cell", lambda w: metrics.mass_inside(MAP, MAP < 0), V, ("`truth`", "some cells")),
    Row("distance of no mass", lambda w: metrics.earth_mover(-MAP, MAP > 3), V, ("`saliency`", "not 0")),
    Row("sign of two", lambda w: metrics.earth_mover(MAP, MAP > 3, sign="both"), V, ("`sign`", "'absolute'")),
    Row("no curves", lambda w: metrics.mean_log_odds_ratio([]), V, ("`curves`", "at least one")),
]


def _optimised(w: World, method: Any = ls.baselines.mask, **changed: Any) -> object:
    return method(w.f, w.image, **{"gradient": "queries", "shape": (4, 4), **changed})


def _l1q(w: World, **changed: Any) -> object:
    return ls.baselines.l1q(w.f, w.image, **{"gradient": "queries", "epsilon": 1.0, **changed})


def _attacked(w: World, **changed: Any) -> object:
    return ls.baselines.adversarial(w.f, w.image, **{"gradient": "queries", "epsilon": 0.1, **changed})


def _of_digits(w: World, **changed: Any) -> object:
    return ls.baselines.mask(w.onnx(), w.digit, **{"gradient": "queries", "shape": (4, 4), **changed})


IGOS = ls.baselines.igos
BASELINES = [
    Row("exact gradient of a function", lambda w: _optimised(w, gradient="exact"), T, ("`gradient`", "queries")),
    Row(
        "exact gradient of an ONNX file",
        lambda w: ls.baselines.igos(w.onnx(), w.digit),
        T,
        ("`gradient`", "OnnxResponse", 'gradient="queries"'),
    ),
    Row("gradient a word", lambda w: _optimised(w, IGOS, gradient="torch"), V, ("`gradient`", "'auto'")),
    Row("mask of a picture with NaN", lambda w: ls.baselines.mask(w.f, NAN, gradient="queries"), V, ("`image`",)),
    Row("mask finer than the picture", lambda w: _optimised(w, shape=(9, 8)), V, ("`shape`", "a cell a pixel")),
    Row("mask of three sides", lambda w: _optimised(w, shape=(4, 4, 1)), V, ("two integers",)),
    Row("baseline is the picture", lambda w: _optimised(w, IGOS, baseline=w.image), V, ("`baseline`", "equal")),
    Row("budget for no start", lambda w: _optimised(w, IGOS, n_queries=2), V, ("`n_queries`", ">= 3")),
    Row("weight below 0", lambda w: _optimised(w, tv=-1.0), V, ("`tv`", ">= 0")),
    Row("weight a word", lambda w: _optimised(w, IGOS, l1="small"), T, ("`l1`", "finite number")),
    Row("unknown game", lambda w: _optimised(w, game="both"), V, ("`game`", "'preservation'")),
    Row("unknown conventions of igos", lambda w: _optimised(w, IGOS, conventions="code"), V, ("'optimised'",)),
    Row("negative seed of igos", lambda w: _optimised(w, IGOS, rng=-1), V, ("`rng`", ">= 0")),
    Row("directions are a grid", lambda w: _optimised(w, directions=(4, 4)), T, ("`directions`", "MultiscaleBlocks")),
    Row("epsilon 0", lambda w: _l1q(w, epsilon=0.0), V, ("`epsilon`", "> 0")),
    Row("epsilon a word", lambda w: _l1q(w, epsilon="12"), T, ("`epsilon`", "finite number")),
    Row("q that moves nothing", lambda w: _l1q(w, q=0.999), V, ("`q`", "at least one of 64 entries")),
    Row("q of 1", lambda w: _l1q(w, q=1.0), V, ("`q`", "strictly between 0 and 1")),
    Row("no step", lambda w: _l1q(w, iterations=0), V, ("`iterations`", ">= 1")),
    Row("first choices of a function", lambda w: _optimised(w, first=5), T, ("`first`", "no classes")),
    Row("all classes at once", lambda w: _of_digits(w, first=10), V, ("`target`", "'top:9' of 10 classes")),
    Row("layer of an ONNX file", lambda w: ls.baselines.layer_mask(w.onnx(), w.digit, "conv1"), T, ("torch_response",)),
    Row("epsilon in levels", lambda w: _attacked(w, epsilon=8), V, ("`epsilon`", "epsilon / 255")),
    Row("attack by another name", lambda w: _attacked(w, attack="fgsm"), V, ("`attack`", "'ifgsm'")),
    Row("attack without a step", lambda w: _attacked(w, step=0.0), V, ("`step`", "> 0")),
    Row(
        "an ONNX file in company", lambda w: ls.baselines.batched(ls.baselines.mask, w.onnx(), [w.digit]), T, ("torch",)
    ),
    Row("areas of other lengths", lambda w: ls.baselines.detection([0.1, 0.2], [0.3]), V, ("`attacked`", "(2,)")),
    Row(
        "directions finer than the picture",
        lambda w: _l1q(w, directions=ls.IsotropicGaussian((9, 9))),
        V,
        ("at most 8",),
    ),
]
ROWS = [*COMPARE, *CURVES, *BASELINES]
