"""What an ONNX file and a torch module have in common as responses."""

from __future__ import annotations

import copy
import threading
import warnings
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self, cast

import numpy as np
from numpy.typing import NDArray

from legstat._core.checks import check_count
from legstat._core.digests import value_sha256
from legstat._core.errors import LegstatWarning, invalid
from legstat._core.pictures import rounded
from legstat._core.typing import JSON, AnyArray, FloatArray
from legstat.responses.base import ImageShape
from legstat.responses.network.at_x0 import FACTS, facts_at_x0
from legstat.responses.network.company import compare_company
from legstat.responses.network.evaluation import NetworkEvaluation
from legstat.responses.network.labels import Target, check_labels
from legstat.responses.network.outputs import (
    Decision,
    Doubt,
    check_output_kind,
    class_rows,
    decide,
    for_one_class,
)
from legstat.responses.network.preprocessing import Preprocessing, as_preprocessing
from legstat.responses.network.scores import OutputKind, Score, check_score
from legstat.responses.network.target import Choices


class NetworkResponse(NetworkEvaluation):
    """A classifier network, one score of it, and the preprocessing in front.

    Built by `onnx_response` or `torch_response`. With target "top", or where it takes a picture to tell logits from
    probabilities, `bind` must be called before images are scored; `legstat.query` does.
    """

    def __init__(
        self,
        choices: Choices,
        *,
        preprocessing: Preprocessing,
        preprocessing_given: bool,
        input_shape: ImageShape,
        prior: Decision | Doubt | None,
        batch_size: int | None,
        input_dtype: np.dtype[np.generic],
    ) -> None:
        super().__init__(choices, preprocessing, input_shape, input_dtype)
        self.score_name = choices.score
        self.bounded = choices.score in ("probability", "difference")
        self._preprocessing_given = preprocessing_given
        self._batch_open = batch_size is None and None in input_shape
        if batch_size is None:
            batch_size = self._usual_batch_size(input_shape)
        self.batch_size = check_count(choices.where, "batch_size", batch_size)
        self.together = self._usual_together(input_shape)
        self._prior = prior
        self._x0: JSON = {}
        self._company: JSON | None = None
        self._tried: dict[int, JSON] = {}
        settled = choices.classes(None)
        if isinstance(prior, Decision) and settled is not None and choices.n_classes is not None:
            decision = replace(prior, kind=for_one_class(prior.kind, choices.n_classes))
            self._score, self._decision = Score(choices.score, decision.kind, settled), decision

    # -- what a backend gives ------------------------------------------------------------------------------------

    @abstractmethod
    def _backend(self) -> JSON:
        """The backend's part of `describe`: kind, model_sha256, versions, provider, threads, ..."""

    @property
    @abstractmethod
    def model_sha256(self) -> str:
        """SHA-256 of the network's bytes."""

    def _identity(self) -> tuple[object, ...]:
        """What besides model, preprocessing, target and score determines the scores."""
        return ()

    def _first(self, inputs: NDArray[np.generic]) -> NDArray[np.generic]:
        """`_forward` for the one evaluation of f(x0); a backend may check more there."""
        return self._forward(inputs)

    _runs_here = True
    """Whether evaluations beyond the budget cost nothing but time, so that more than x0 may be tried at `bind`."""

    @property
    def _alike(self) -> float | None:
        """Relative difference that rounding alone may make in another batch; None: what the outputs' type rounds away.

        A network that computes in less than single precision says so here.
        """
        return None

    # -- settling ------------------------------------------------------------------------------------------------

    def bind(self, image: AnyArray) -> tuple[Self, float]:
        """Evaluate x0 once: settle target and kind of output; see `Response`.

        Where the network runs here and in batches, it is also tried whether its answers depend on the batch. If they
        do, pictures are run one by one from then on, with a warning.

        Raises
        ------
        ValueError
            Graph and values disagree about logits and probabilities, the target is out of
            range, or the log-odds cannot be formed because the network's own softmax has rounded it away.
        """
        where = self._choices.where
        image = np.asarray(image)
        outputs = class_rows(self._first(self._write(rounded(image[None], self.dtype))), 1, where).copy()
        n_classes = outputs.shape[1]
        check_labels(where, self._choices.labels, n_classes)
        choices = replace(self._choices, n_classes=n_classes)
        decision = decide(where, self._prior, outputs)
        target = choices.classes(outputs[0].astype(np.float64))
        score = Score(choices.score, decision.kind, cast("int | tuple[int, ...]", target))
        values, saturated = score(outputs)
        if saturated:
            raise ValueError(
                invalid(
                    where,
                    "score",
                    choices.score,
                    "a score that this network can express at x0",
                    f"Its {outputs.dtype} softmax is saturated: probabilities that the log-odds need are exactly 0. "
                    "Give an output that carries logits, or take score='probability' and a larger scale.",
                )
            )
        settled = copy.copy(self)
        settled._choices, settled._decision, settled._score = choices, decision, score
        settled._x0 = facts_at_x0(choices, decision, score, outputs, float(values[0]))
        settled.saturated = settled.trials = 0
        settled._local = threading.local()
        settled.together = self._usual_together(image.shape)
        if self._batch_open:
            settled.batch_size = self._usual_batch_size(image.shape)
        if self._runs_here and settled.batch_size > 1 and self._company is None:  # else it is known
            settled._judge_company(rounded(image, self.dtype), outputs)
        return settled, float(values[0])

    def _judge_company(self, image: AnyArray, first: NDArray[np.generic]) -> None:
        """Go over to one picture at a time, with a warning, where answers depend on the batch.

        That is the network's way, not the picture's: it is tried once for each size of a batch, and all copies of this
        response know what was found.
        """

        def outputs(images: AnyArray, size: int) -> NDArray[np.generic]:
            return self.with_batch_size(size).class_outputs(images)

        size = self.batch_size
        if size not in self._tried:
            self._tried[size] = compare_company(self._choices.where, outputs, image, first, size, self._alike)
            self.trials = self._tried[size]["evaluations"]
        self._company = self._tried[size]
        if self._company["alike"]:
            return
        self.batch_size = 1
        warnings.warn(
            f"{self._choices.where}: the network answers otherwise for a picture in company than for the picture alone "
            f"(by {self._company['relative_difference']:.3g} of its outputs' size at x0; dynamic quantisation and "
            "batch statistics do that). Pictures are run one by one, so that no answer depends on another's.",
            LegstatWarning,
            stacklevel=4,
        )

    _alone = False
    """Whether what was answered so far was answered in batches of one, in which company cannot be tried."""

    @property
    def _one_by_one(self) -> bool:
        return self._alone or (self._company is not None and not self._company["alike"])

    def resolved(self, description: JSON) -> Self:
        """The response that an earlier `describe` speaks of, without an evaluation; see `Response`.

        Raises
        ------
        ValueError
            If model, preprocessing, score or output are others than described.
        """
        target, kind = description.get("target"), description.get("output_kind")
        settled = copy.copy(self)
        settled._local, settled.trials = threading.local(), 0
        if kind is not None and target is not None:
            stated = cast("OutputKind", check_output_kind(self._choices.where, kind))
            settled._decision = Decision(
                stated, description.get("output_kind_source", "stated"), str(description.get("output_kind_ground"))
            )
            settled._score = Score(
                self._choices.score, stated, tuple(target) if isinstance(target, list) else int(target)
            )
            settled._choices = replace(self._choices, n_classes=description.get("n_classes"))
            settled._x0 = {key: description[key] for key in FACTS if key in description}
            settled._company = description.get("company")
            settled._alone = settled._company is None and description.get("batch_size") == 1
            if settled._one_by_one:
                settled.batch_size = 1
            if self._batch_open:  # it was the picture's size that settled it
                settled.batch_size = check_count(self._choices.where, "batch_size", description["batch_size"])
        if settled.fingerprint != description.get("fingerprint"):
            mine, theirs = self.describe(), description
            other = [key for key in _COMPARED if mine.get(key) != theirs.get(key)]
            raise ValueError(
                invalid(
                    f"{type(self).__name__}.resolved",
                    "description",
                    description.get("fingerprint"),
                    "the description of this response",
                    f"They differ in: {', '.join(other) or 'the fingerprint only'}. Build the response as the earlier "
                    "run did.",
                )
            )
        return settled

    def rescored(self, score: str, target: Target | None = None) -> Self:
        """The same network with another score or target; shares the session, spends nothing.

        Parameters
        ----------
        score : str
            "probability", "logit", "log_odds" or "difference".
        target : int or str or tuple, optional
            Index, label, "top", "top:5" or several classes; by default the present one.

        Returns
        -------
        NetworkResponse
            Settled if this one is and the target is not "top".
        """
        if target is None:
            target = self._choices.target if self._score is None else self._score.target
            if self.score_name == "difference" != score:
                where = f"{type(self).__name__}.rescored"
                raise ValueError(invalid(where, "target", target, f"given for score={score!r}", "It is a pair."))
        name = check_score(f"{type(self).__name__}.rescored", score, target)
        other = copy.copy(self)
        other._choices = replace(self._choices, score=name, target=target)
        other.score_name, other.bounded = name, name in ("probability", "difference")
        settled = other._choices.classes(None)
        other._score = None
        if self._decision is not None and settled is not None:
            other._score = Score(name, self._decision.kind, settled)
        other._x0, other.saturated, other._local = {}, 0, threading.local()
        return other

    def with_preprocessing(self, preprocessing: Preprocessing | str) -> Self:
        """The same network with another preprocessing in front; shares the session, spends nothing.

        Parameters
        ----------
        preprocessing : Preprocessing or str
            The thing itself, or a preset's name. How files become pictures stays as it was.

        Returns
        -------
        NetworkResponse
            Settled if this one is; nothing that was measured at a picture stays.

        Raises
        ------
        ValueError
            Means or deviations for another number of channels.
        """
        mine, rule = self.preprocessing, as_preprocessing(preprocessing)
        rule = replace(mine, channel_order=rule.channel_order, scale=rule.scale, mean=rule.mean, std=rule.std)
        if self.input_shape is not None:
            rule.affine(self.input_shape[0] or 3)
        other = self._before_x0()
        other.preprocessing, other._preprocessing_given = rule, True
        return other

    def _before_x0(self) -> Self:
        """A copy that asks the same and has seen no picture yet."""
        other = copy.copy(self)
        if self._score is not None:
            other._choices, other._prior = replace(self._choices, target=self._score.target), self._decision
        other._x0, other._company, other._tried, other.saturated = {}, None, {}, 0
        other._local = threading.local()
        return other

    has_classes = True

    def as_probability(self, first: int | None = None) -> Self:
        """The same network with the probability of the target as score; shares the session, spends nothing.

        With `first` that of as many first choices together.
        """
        if first is not None:
            return self.rescored("probability", f"top:{first}")
        return self if self.score_name == "probability" else self.rescored("probability")

    def with_batch_size(self, batch_size: int) -> Self:
        """The same response with another batch size; shares the session, not the buffers.

        Pictures stay one by one where answers were found to depend on the batch, and in a run that goes on after one in
        batches of one, where nobody has tried.
        """
        other = super().with_batch_size(batch_size)
        if self._one_by_one:
            other.batch_size = 1
        other._local, other._batch_open = threading.local(), False
        return other

    # -- pictures and provenance ---------------------------------------------------------------------------------

    def load_image(self, path: str | Path) -> FloatArray:
        """Read a picture by the preprocessing's resize rule; see `Response` and `Preprocessing`."""
        return self.check_image(self.preprocessing.load(path, self.input_shape or (None, None, None)), "load_image")

    def load_boxes(self, path: str | Path, boxes: Sequence[Sequence[float]]) -> list[list[float]]:
        """Boxes of a picture file on the crop that `load_image` makes of it; see `Response`."""
        return self.preprocessing.load_boxes(path, self.input_shape or (None, None, None), boxes)

    @property
    def labels(self) -> tuple[str, ...] | None:
        """Class names, where given."""
        return self._choices.labels

    @property
    def target(self) -> int | tuple[int, ...] | None:
        """The target as index or indices; None while it is open."""
        return self._choices.classes(None) if self._score is None else self._score.target

    @property
    def fingerprint(self) -> str:
        """SHA-256 of model bytes, preprocessing, kind of output, target and score."""
        rule = self.preprocessing
        transform = (rule.layout, rule.channel_order, rule.scale, rule.mean, rule.std, str(self._input_dtype))
        kind = None if self._decision is None else self._decision.kind
        target = self._choices.target if self._score is None else self._score.target
        parts = (self.model_sha256, *self._identity(), transform, kind, target, self._choices.score)
        return value_sha256("network", *parts)[0]

    def describe(self) -> JSON:
        """All that a record needs, flat.

        Returns
        -------
        dict
            ``kind``, ``model_sha256``, ``fingerprint``; ``target`` (index or pair; None while open), ``target_given``,
            ``target_label``, ``n_classes``; ``score``; ``output_kind``, ``output_kind_source`` ("stated", "graph" or
            "values"), ``output_kind_ground``; after `bind` ``score_x0``, ``probability_x0``, ``logit_x0`` (None where
            not known), ``top_x0`` (index, label, probability of the first five); ``preprocessing``,
            ``preprocessing_given``, ``input_shape``, ``input_dtype``, ``batch_size``, ``company`` (whether answers were
            alike alone and in a mixed batch; None where not tried), ``saturated`` (evaluations whose log-odds were
            censored); and the backend's entries (file, versions, provider, threads, ...).
        """
        target, given = self.target, self._choices.target
        known = isinstance(target, int | tuple)
        return {
            **self._backend(),
            "model_sha256": self.model_sha256,
            "fingerprint": self.fingerprint,
            "target": list(target) if isinstance(target, tuple) else target,
            "target_given": list(given) if isinstance(given, tuple | list) else given,
            "target_label": self._choices.label(cast("int | tuple[int, ...]", target)) if known else None,
            "n_classes": self._choices.n_classes,
            "score": self.score_name,
            "output_kind": None if self._decision is None else self._decision.kind,
            "output_kind_source": None if self._decision is None else self._decision.source,
            "output_kind_ground": None if self._decision is None else self._decision.ground,
            **self._x0,
            "preprocessing": self.preprocessing.to_dict(),
            "preprocessing_given": self._preprocessing_given,
            "input_shape": None if self.input_shape is None else list(self.input_shape),
            "input_dtype": str(self._input_dtype),
            "batch_size": self.batch_size,
            "company": self._company,
            "saturated": self.saturated,
        }

    def __getstate__(self) -> dict[str, object]:
        """All but the thread-local buffers, which a worker makes anew."""
        state = self.__dict__.copy()
        del state["_local"]
        return state

    def __setstate__(self, state: dict[str, object]) -> None:
        """Restore, with fresh buffers."""
        self.__dict__.update(state)
        self._local = threading.local()

    def __repr__(self) -> str:
        target = self.target if self.target is not None else self._choices.target
        return f"<{type(self).__name__} target={target!r} score={self.score_name!r}>"


_COMPARED = ("model_sha256", "output", "preprocessing", "score", "input_dtype", "compose")
