"""Checks of a network before its maps: is it fed rightly, does it answer alike alone and in company, and again."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import scipy

from legstat._core.checks import check_count, check_level
from legstat._core.errors import LegstatWarning, invalid
from legstat._core.pictures import rounded
from legstat._core.typing import AnyArray, FloatArray, IntArray
from legstat.checks.result import CheckResult
from legstat.inspection.trials import run_alone
from legstat.responses.base import Response
from legstat.responses.function import as_response
from legstat.responses.network.company import compare_company
from legstat.responses.network.preprocessing import PRESETS, Preprocessing
from legstat.responses.network.response import NetworkResponse

_FEWEST = 8
"""Labelled pictures from which another preprocessing can be called better: the signed-rank test of fewer cannot be
significant after Bonferroni over six of them."""
_REMEDY = (
    f"Give the classes of {_FEWEST} pictures or more (a column label in a table of pictures, or --truth), or try one "
    "of known class: `legstat inspect MODEL --picture FILE`."
)
_TOGETHER = 16


def preprocessing(
    f: Response, pictures: Sequence[AnyArray | str | Path], labels: Sequence[int | str] | None, *, alpha: float = 0.05
) -> CheckResult:
    """Whether the network is fed rightly: given labels are met, and no other preprocessing meets them better.

    The rule that is given is compared with every preset, with its own channels in the other order, and with its own
    scale 1 for 255 or the other way round. Another rule is better where its first choices meet more labels, and the
    label stands out more over the pictures: its log-probability less the classes' mean, over their standard deviation,
    which a network that is merely surer does not change (Wilcoxon's signed-rank test, one-sided, at `alpha` over the
    number of rules).

    Parameters
    ----------
    f : NetworkResponse
        The network, with target and score that play no part here.
    pictures : sequence of ndarray of shape (C, H, W), or of str or Path
        A sample of pictures; files are read by the response's rule.
    labels : sequence of int or str, or None
        The class of each, by index or by name; None where they are not known: the check does not apply, and the
        details show the probabilities of the first choices.
    alpha : float, default 0.05
        Level.

    Returns
    -------
    CheckResult
        Value: the share of pictures whose first choice is their label. Fails where another rule is better, or where
        the share is no better than guessing (exact binomial test). Not applicable below 8 labelled pictures, and for
        what has no classes.

    Raises
    ------
    ValueError
        As many labels as pictures are needed; an unknown label.

    Notes
    -----
    Costs an evaluation for each picture and rule, and a few to settle the network.

    Examples
    --------
    >>> import numpy as np, legstat as ls
    >>> from legstat.data import digits_model_path, load_digit
    >>> digits = [load_digit(i) for i in range(12)]
    >>> f = ls.onnx_response(digits_model_path(), preprocessing="unit")
    >>> ls.checks.preprocessing(f, [x for x, _ in digits], [label for _, label in digits]).status
    'passed'
    """
    where, name = "checks.preprocessing", "preprocessing"
    check_level(where, "alpha", alpha)
    valid = "better than guessing, and not worse than under another preprocessing"
    if not isinstance(f, NetworkResponse):
        meaning = "The black box takes pictures as they are: what it does with them is not seen from here."
        return CheckResult(name, "not_applicable", None, valid, meaning)
    if labels is not None and len(labels) != len(pictures):
        raise ValueError(invalid(where, "labels", f"{len(labels)} labels", f"one for each of {len(pictures)} pictures"))
    if labels is not None:
        _indices(where, f, labels, f.describe()["n_classes"])
    if not len(pictures):
        return CheckResult(name, "not_applicable", None, valid, "There are no pictures.")
    images = [f.load_image(x) if isinstance(x, str | Path) else f.check_image(x, where) for x in pictures]
    settled, _ = f.with_batch_size(1).bind(images[0])
    rules = meant_rules(settled)
    chances = {rule: probabilities(settled.with_preprocessing(how), images) for rule, how in rules.items()}
    details: dict[str, object] = {"pictures": len(images), "evaluations": 1 + len(rules) * len(images)}
    if labels is None:
        details["top_probability"] = {rule: float(p.max(axis=1).mean()) for rule, p in chances.items()}
        meaning = (
            "Without labels it cannot be told whether the network is fed rightly: networks can be surer of pictures "
            f"that are wrongly scaled (the details show how sure this one is). {_REMEDY}"
        )
        return CheckResult(name, "not_applicable", None, valid, meaning, details)
    classes = _indices(where, settled, labels, chances["as given"].shape[1])
    right = {rule: (p.argmax(axis=1) == classes) for rule, p in chances.items()}
    stands = {rule: _standing(p, classes) for rule, p in chances.items()}
    better = {rule: _better(stands[rule], stands["as given"]) for rule in rules if rule != "as given"}
    details |= {
        "top_1": {rule: float(hits.mean()) for rule, hits in right.items()},
        "standing": {rule: float(values.mean()) for rule, values in stands.items()},
        "pvalues": better,
    }
    share = float(right["as given"].mean())
    if len(images) < _FEWEST:
        meaning = f"{len(images)} labelled pictures are too few to compare preprocessings. {_REMEDY}"
        return CheckResult(name, "not_applicable", share, valid, meaning, details)
    guessing = float(
        scipy.stats.binom.sf(right["as given"].sum() - 1, len(classes), 1.0 / chances["as given"].shape[1])
    )
    details["pvalue_guessing"] = guessing
    ahead = max(better, key=lambda rule: right[rule].mean() if better[rule] <= alpha / len(better) else -1.0)
    best = float(right[ahead].mean())
    if better[ahead] <= alpha / len(better) and best > share:
        meaning = f"Under {ahead!r} the network meets the labels better ({best:.0%}) than as it is fed ({share:.0%})."
        return CheckResult(name, "failed", share, valid, meaning, details)
    if guessing > alpha:
        meaning = (
            f"The first choice is the label for {share:.0%}, no better than guessing: wrong labels, or wrongly fed."
        )
        return CheckResult(name, "failed", share, valid, meaning, details)
    meaning = f"The first choice is the label for {share:.0%}, and no other preprocessing does better."
    return CheckResult(name, "passed", share, valid, meaning, details)


def batch_independence(f: Response | Callable[[AnyArray], AnyArray], image: AnyArray) -> CheckResult:
    """Whether the answer for a picture depends on what else is in its batch.

    Parameters
    ----------
    f : Response or callable
        The black box, with the batch size of the run.
    image : ndarray of shape (C, H, W)
        A picture; three others are made of it.

    Returns
    -------
    CheckResult
        Value: the largest difference, relative to the outputs' size. Not applicable at a batch size of 1.

    Notes
    -----
    Costs at most 26 evaluations.

    Examples
    --------
    >>> import numpy as np, legstat as ls
    >>> ls.checks.batch_independence(lambda x: x.mean(axis=(1, 2, 3)), np.eye(4)[None]).status
    'passed'
    >>> ls.checks.batch_independence(lambda x: x.mean(axis=(1, 2, 3)) - x.mean(), np.eye(4)[None]).status
    'failed'
    """
    where, name = "checks.batch_independence", "batch_independence"
    response, valid = as_response(f), "no more than rounding explains"
    picture = rounded(response.check_image(image, where), response.dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LegstatWarning)  # of just this
        settled, _ = response.bind(picture)
    spent = 1 + settled.trials
    if response.batch_size == 1:
        meaning = "Pictures are handed over one by one."
        return CheckResult(name, "not_applicable", None, valid, meaning, {"evaluations": spent})
    found = settled.describe().get("company")  # a network that runs here is tried when it is bound
    if found is None:
        outputs = _outputs(settled)
        try:
            found = compare_company(where, outputs, picture, outputs(picture[None], 1), response.batch_size)
        except ValueError as error:
            return CheckResult(name, "failed", None, valid, str(error), {"evaluations": spent})
        spent += 1 + int(found["evaluations"])
    passed = bool(found["alike"])
    meaning = (
        "Pictures are answered alike alone and in company."
        if passed
        else "A picture is answered otherwise in company than alone: run pictures one by one, or mend the network."
    )
    details = {"evaluations": spent, "batch_size": response.batch_size}
    difference = float(found["relative_difference"])
    return CheckResult(name, "passed" if passed else "failed", difference, valid, meaning, details)


def determinism(f: Response | Callable[[AnyArray], AnyArray], image: AnyArray, *, repeats: int = 5) -> CheckResult:
    """Whether the same picture is answered with the same bits.

    Parameters
    ----------
    f : Response or callable
        The black box.
    image : ndarray of shape (C, H, W)
        A picture.
    repeats : int, default 5
        Runs, at least 2.

    Returns
    -------
    CheckResult
        Value: the largest difference between runs, of class outputs where there are classes. What is not repeated
        to the bit stays in standard errors and makes a run that cannot be repeated to the bit.

    Notes
    -----
    Costs `repeats` + 1 evaluations and those of settling the network.

    Examples
    --------
    >>> import numpy as np, legstat as ls
    >>> ls.checks.determinism(lambda x: x.mean(axis=(1, 2, 3)), np.eye(4)[None]).status
    'passed'
    """
    where, name = "checks.determinism", "determinism"
    check_count(where, "repeats", repeats, 2)
    response = as_response(f)
    picture = rounded(response.check_image(image, where), response.dtype)
    settled, _ = response.bind(picture)
    if isinstance(settled, NetworkResponse):
        difference = run_alone(settled, picture[None], repeats).repeat_difference or 0.0
    else:
        difference = float(np.ptp(np.concatenate([settled(picture[None]) for _ in range(repeats)])))
    passed = difference == 0.0
    meaning = (
        "The same picture is answered with the same bits."
        if passed
        else "The same picture is answered otherwise each time: no run can be repeated to the bit, and the noise is "
        "part of every standard error."
    )
    details = {"evaluations": 1 + settled.trials + repeats, "repeats": repeats}
    return CheckResult(name, "passed" if passed else "failed", difference, "exactly 0", meaning, details)


def _outputs(settled: Response) -> Callable[[AnyArray, int], AnyArray]:
    """Class outputs, or scores as one column, of pictures in batches of a size."""
    if isinstance(settled, NetworkResponse):
        return lambda images, size: settled.with_batch_size(size).class_outputs(images)

    def scores(images: AnyArray, size: int) -> AnyArray:
        parts = [settled(images[at : at + size]) for at in range(0, len(images), size)]
        return np.concatenate(parts)[:, None]

    return scores


def meant_rules(f: NetworkResponse) -> dict[str, Preprocessing]:
    """The rule that is given, and all that may have been meant instead, each once."""
    mine = f.preprocessing
    channels = f.input_shape[0] if f.input_shape is not None and f.input_shape[0] else 3
    meant = {"as given": mine}
    if channels == 3:
        meant["channels reversed"] = replace(mine, channel_order="RGB" if mine.channel_order == "BGR" else "BGR")
    meant["other scale"] = replace(mine, scale=1.0 if mine.scale == 255.0 else 255.0)
    rules: dict[str, Preprocessing] = {}
    seen = set()
    for name, rule in (meant | PRESETS).items():
        with contextlib.suppress(ValueError):  # a preset for colours, before a grey network
            a, b = rule.affine(channels)
            key = (a.tobytes(), (b + 0.0).tobytes(), rule.reverses(channels))
            if key not in seen:
                rules[name] = rule
            seen.add(key)
    return rules


def probabilities(f: NetworkResponse, images: Sequence[FloatArray]) -> FloatArray:
    """Of all classes, shape (pictures, classes), in batches that do not grow with the pictures."""
    parts = [
        f.class_probabilities(rounded(np.stack(images[at : at + _TOGETHER]), f.dtype))
        for at in range(0, len(images), _TOGETHER)
    ]
    return np.concatenate(parts)


def _indices(where: str, f: NetworkResponse, labels: Sequence[int | str], n_classes: int | None) -> IntArray:
    """Classes by index; the number of classes may not be known before the network has run."""
    known = {} if f.labels is None else {label: i for i, label in enumerate(f.labels)}
    found = [known.get(label, -1) if isinstance(label, str) else int(label) for label in labels]
    for label, index in zip(labels, found, strict=True):
        if not 0 <= index < (np.inf if n_classes is None else n_classes):
            valid = "indices >= 0" if n_classes is None else f"indices from 0 to {n_classes - 1}"
            remedy = "" if known else "Names need `labels=` of the model."
            raise ValueError(
                invalid(where, "labels", label, valid + (", or names of the classes" * bool(known)), remedy)
            )
    return np.array(found, dtype=np.int64)


def _standing(chances: FloatArray, classes: IntArray) -> FloatArray:
    """How far each label's log-probability stands out of those of all classes, in their standard deviations."""
    log = np.log(np.maximum(chances, 1e-300))
    of_label = log[np.arange(len(classes)), classes]
    return np.asarray((of_label - log.mean(axis=1)) / np.maximum(log.std(axis=1), 1e-300))


def _better(other: FloatArray, given: FloatArray) -> float:
    """One-sided p-value of the signed-rank test that `other` is larger."""
    if not (other - given).any():
        return 1.0
    return float(scipy.stats.wilcoxon(other, given, alternative="greater").pvalue)
