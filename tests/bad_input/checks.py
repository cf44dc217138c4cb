"""Arguments that cannot be right: of the checks and of the weight randomiser."""

from __future__ import annotations

from typing import Any

import numpy as np

import legstat as ls
from legstat import checks
from tests.bad_input.world import Row, World

V, T = ValueError, TypeError


def _random(w: World, **changed: Any) -> object:
    return checks.randomize(w.digits, w.folder / "random.onnx", **{"rng": 0, **changed})


def _cascade(w: World, **changed: Any) -> object:
    return checks.cascading_randomisation(changed.pop("f", w.onnx()), changed.pop("sample", w.sample), **changed)


def _fed(w: World, labels: Any, pictures: int = 8) -> object:
    return checks.preprocessing(w.onnx(), [w.digit] * pictures, labels)


ROWS = [
    Row("randomised onto itself", lambda w: checks.randomize(w.digits, w.digits, rng=0), V, ("`to`", "another file")),
    Row("randomised to nowhere", lambda w: checks.randomize(w.digits, rng=0), T, ("`to`", "the file to write")),
    Row("a law of weights", lambda w: _random(w, law="laplace"), V, ("`law`", "'permuted'", "laplace")),
    Row("more layers than there are", lambda w: _random(w, layers=4), V, ("`layers`", "from 0 to 3", "weight_layers")),
    Row("a layer's name", lambda w: _random(w, layers=["conv9"]), V, ("`layers`", "conv9", "conv2")),
    Row("layers that are no number", lambda w: _random(w, layers=1.5), T, ("`layers`", "a whole number")),
    Row("no network to randomise", lambda w: checks.randomize(np.eye(3), rng=0), T, ("`model`", "torch.nn.Module")),
    Row("no file to randomise", lambda w: checks.randomize(w.folder / "no.onnx", w.folder / "r.onnx"), V, ("`path`",)),
    Row("an output to count from", lambda w: checks.weight_layers(w.digits, output="top"), V, ("`output`", "'top'")),
    Row("a cascade of a function", lambda w: _cascade(w, f=ls.as_response(w.f)), T, ("`f`", "runs here")),
    Row("a cascade of moments", lambda w: _cascade(w, sample=w.done.moments), T, ("`sample`", "a QuerySample")),
    Row("no layers in a cascade", lambda w: _cascade(w, layers=[0]), V, ("`layers`", "from 1 to 3")),
    Row("a cascade at L = 0", lambda w: _cascade(w, L_ratio=0.0), V, ("`L_ratio`", "> 0")),
    Row("a cascade by another law", lambda w: _cascade(w, law="zeros"), V, ("`law`", "'uniform'")),
    Row("too few surrogates", lambda w: _cascade(w, n_surrogates=19), V, ("`n_surrogates`", ">= 99", "0.01")),
    Row(
        "too few networks",
        lambda w: checks.learnt_weights(w.onnx(), w.sample, n_networks=9),
        V,
        ("`n_networks`", ">= 19"),
    ),
    Row(
        "another class by name", lambda w: checks.other_target(w.onnx(), w.sample, target="cat"), V, ("`target`", "cat")
    ),
    Row("a placebo of one", lambda w: checks.placebo(w.sample, n_placebos=1), V, ("`n_placebos`", ">= 2")),
    Row("a placebo at no level", lambda w: checks.placebo(w.sample, alpha=0.0), V, ("`alpha`", "between 0 and 1")),
    Row("a contrast of nothing", lambda w: checks.enough_queries(w.done.leg, contrast=0.0), V, ("`contrast`", "> 0")),
    Row("one repetition", lambda w: checks.determinism(w.onnx(), w.digit, repeats=1), V, ("`repeats`", ">= 2")),
    Row("labels for other pictures", lambda w: _fed(w, [1]), V, ("`labels`", "each of 8 pictures")),
    Row("a label that is no class", lambda w: _fed(w, [10] * 8), V, ("`labels`", "0 to 9", "10")),
    Row("likeness on two grids", lambda w: checks.resemblance(np.eye(4), np.eye(5)), V, ("`b`", "(5, 5)", "(4, 4)")),
    Row("no surrogates", lambda w: checks.surrogates(np.eye(4), 0), V, ("`n`", ">= 1")),
    Row("an outcome that is none", lambda w: checks.CheckResult("a", "ok", 1.0, "", ""), V, ("`status`", "'ok'")),  # type: ignore[arg-type]
]
