"""The pictures of a comparison before the black box: which class is explained, and is it the right one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from legstat._core.checks import check_choice, check_within
from legstat._core.errors import invalid
from legstat._core.typing import JSON, AnyArray, FloatArray
from legstat.comparison.measure import Measure
from legstat.comparison.measures import primitive
from legstat.comparison.method import Method, SizeBound
from legstat.metrics.references import reference_picture
from legstat.responses.base import Response
from legstat.responses.network.labels import find_class
from legstat.responses.network.response import NetworkResponse
from legstat.sampling.answers import Answers

Wrong = Literal["keep", "drop"]
Label = int | str


@dataclass(frozen=True, eq=False)
class Shown:
    """A picture, and what the black box says of it.

    Attributes
    ----------
    name : str
        Of the picture.
    number : int
        Its place among all pictures of the comparison, dropped ones included.
    image : ndarray of shape (C, H, W)
        In [0, 1].
    description : dict
        Of the response as it was settled at the picture.
    facts : dict
        ``target`` (index, or a pair), ``target_label``, ``probability`` (of the target at x0), ``first_choice``,
        ``label`` (the true class, where given), ``right`` (whether these two agree); None where there is none.
    """

    name: str
    number: int
    image: FloatArray
    description: JSON
    facts: JSON

    @classmethod
    def of(
        cls, response: Response, name: str, number: int, image: FloatArray, label: int | None, answers: Answers | None
    ) -> tuple[Shown, Response]:
        """A picture for one evaluation, or none where the cache has it; and the response as it was settled there."""
        known = None if answers is None else answers.bind(response, image)
        settled, value = known or response.bind(image)
        if answers is not None and known is None:
            answers.keep_bound(response, image, settled, value)
        about = settled.describe()
        chance = about.get("probability_x0")
        top = about.get("top_x0")
        first = None if not top else int(top[0][0])
        facts: JSON = {
            "target": about.get("target"),
            "target_label": about.get("target_label"),
            "probability": chance[0] if isinstance(chance, list) else chance,
            "score": value,
            "first_choice": first,
            "label": label,
            "right": None if label is None or first is None else label == first,
        }
        return cls(name, number, image, about, facts), settled


@dataclass(frozen=True)
class Rule:
    """Which pictures stay.

    Parameters
    ----------
    wrong : {"keep", "drop"}
        What becomes of pictures whose first choice is not their label.
    least_score : float or None
        Least probability of the class that is explained (of a function: least score).
    """

    wrong: Wrong = "keep"
    least_score: float | None = None

    @classmethod
    def check(cls, where: str, wrong: Wrong, least_score: float | None, *, labelled: bool) -> Rule:
        """The rule, or an error about what it is made of."""
        check_choice(where, "wrong", wrong, ("keep", "drop"))
        if wrong == "drop" and not labelled:
            raise ValueError(
                invalid(
                    where,
                    "wrong",
                    wrong,
                    "'keep' without `labels`",
                    "Nothing says what is right: pass labels= (--truth).",
                )
            )
        if least_score is not None:
            check_within(where, "least_score", least_score, 0.0, 1.0)
        return cls(wrong, least_score)

    def reason(self, facts: JSON) -> str | None:
        """Why a picture is dropped; None where it stays."""
        if self.wrong == "drop" and facts["right"] is False:
            return f"the network's first choice is class {facts['first_choice']}, its label is {facts['label']}"
        p, what = facts["probability"], "the probability of its target"
        if p is None:
            p, what = facts["score"], "its score"
        if self.least_score is not None and not p >= self.least_score:
            return f"{what} is {p:.3g}, below {self.least_score:g}"
        return None


def named_pictures(
    where: str, images: Mapping[str, AnyArray] | Sequence[AnyArray], response: Response
) -> dict[str, FloatArray]:
    """The pictures by name, checked; ValueError where one does not fit, or there are none."""
    named = dict(images) if isinstance(images, Mapping) else {f"{i}": image for i, image in enumerate(images)}
    if not named:
        raise ValueError(invalid(where, "images", images, "at least one picture"))
    return {str(name): response.check_image(image, where) for name, image in named.items()}


def check_sizes(
    where: str, pictures: Mapping[str, FloatArray], methods: Sequence[Method], budgets: Sequence[int]
) -> None:
    """ValueError where a budget is below what a method needs for pictures of that size."""
    sizes = {picture.shape[-2:]: name for name, picture in pictures.items()}
    for (height, width), name in sizes.items():
        for method in methods:
            least = method.least_for(height, width) if isinstance(method, SizeBound) else 0
            if min(budgets) < least:
                got = f"{min(budgets)} for {method.name!r}"
                valid = f"at least {least} for that method on {height} x {width} pixels, as of {name!r}"
                raise ValueError(invalid(where, "n_queries", got, valid))


def check_baselines(
    where: str,
    response: Response,
    pictures: Mapping[str, FloatArray],
    methods: Sequence[Method],
    measures: Sequence[Measure],
) -> None:
    """ValueError where a picture equals a baseline by which a method or a measure would take something from it."""
    users: dict[str, str] = {}
    parts = [part for measure in measures for part in primitive(measure)]
    everything: list[Method | Measure] = [*methods, *parts]
    for one in everything:
        baseline = getattr(one, "baseline", None)
        if isinstance(baseline, str):
            users.setdefault(baseline, one.name)
    for name, picture in pictures.items():
        for baseline, user in users.items():
            try:
                reference_picture(where, baseline, picture, response)  # type: ignore[arg-type]  # checked by it
            except ValueError as error:
                raise ValueError(f"{error} (The picture is {name!r}, the baseline that of {user!r}.)") from error


def classes_of(
    where: str,
    labels: Mapping[str, Label] | Sequence[Label] | None,
    pictures: Mapping[str, FloatArray],
    response: Response,
) -> dict[str, int]:
    """Index of the true class of each picture that has a label.

    Raises
    ------
    ValueError
        Labels of pictures that are not there, or of no class; of a function, which has no classes.
    """
    if labels is None:
        return {}
    if not isinstance(response, NetworkResponse):
        raise ValueError(invalid(where, "labels", labels, "left out for a response that has no classes"))
    if isinstance(labels, str) or not isinstance(labels, Mapping | Sequence | np.ndarray):
        raise TypeError(invalid(where, "labels", labels, "a mapping of names to classes, or a class for each picture"))
    if not isinstance(labels, Mapping):
        if len(labels) != len(pictures):
            raise ValueError(invalid(where, "labels", f"{len(labels)} of them", f"one for each of {len(pictures)}"))
        labels = dict(zip(pictures, labels, strict=True))
    known, count = response.labels, response.describe()["n_classes"]
    found = {}
    for name, label in labels.items():
        if name not in pictures:
            valid = "of pictures that are compared"
            raise ValueError(invalid(where, "labels", name, valid, f"There are {list(pictures)[:5]}."))
        try:
            found[name] = find_class(where, label, known, count)
        except (TypeError, ValueError) as error:
            text = str(error).replace("`target`", f"`labels[{name!r}]`").replace(" or 'top'", "")
            raise type(error)(text) from error
    return found
