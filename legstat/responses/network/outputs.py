"""What a network's outputs are: one row of classes per image; logits or probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from legstat._core.errors import invalid
from legstat.responses.network.scores import OUTPUT_KINDS, OutputKind, log_sum_exp

_SUM_TOLERANCE = {2: 5e-3, 4: 1e-4, 8: 1e-6}
"""How far probabilities of 2, 4, 8 bytes may be from summing to 1: rounding of the softmax, with room."""


@dataclass(frozen=True)
class Decision:
    """What the outputs are, who said so, and on what ground.

    Parameters
    ----------
    kind : str
        See `OutputKind`.
    source : {"stated", "graph", "values"}
        The user's `output_kind`, the graph's last nodes, or the values at x0.
    ground : str
        The ground in words, for the record.
    """

    kind: OutputKind
    source: Literal["stated", "graph", "values"]
    ground: str


@dataclass(frozen=True)
class Doubt:
    """A network's last nodes leave open what its outputs are, and values outside [0, 1] do not make them logits.

    Parameters
    ----------
    ground : str
        In words.
    remedy : str
        What can be named instead.
    """

    ground: str
    remedy: str


def class_rows(raw: object, n: int, where: str) -> NDArray[np.generic]:
    """Class outputs as (n, K), whatever axes of length 1 the network adds.

    Parameters
    ----------
    raw : ndarray
        The network's output for n images, of floats: (n, K), (n,), (n, K, 1, 1), ...; for n = 1 also (K,),
        and a single number.
    n : int
        Images handed over.
    where : str
        Call to name in an error.

    Returns
    -------
    ndarray of shape (n, K)
        A view of `raw`.

    Raises
    ------
    ValueError
        No array of floats, another number of rows than images, or more than one axis of length above 1 beside the
        batch.
    """
    if not isinstance(raw, np.ndarray) or raw.dtype.kind != "f":
        found = raw.dtype if isinstance(raw, np.ndarray) else type(raw).__name__
        remedy = "Whole numbers, text and lists are decisions, not scores: name the tensor that they are made from."
        raise ValueError(invalid(where, "output", found, "of real numbers, one per class", remedy))
    if raw.ndim == 2 and raw.shape[0] == n:
        return raw
    if raw.ndim == 1 and n == 1:
        return raw[None, :]
    if raw.ndim == 0 and n == 1:
        return raw.reshape(1, 1)
    if raw.ndim == 0 or raw.shape[0] != n:
        raise ValueError(
            invalid(
                where,
                "output",
                raw.shape,
                f"of {n} rows, one per image of the batch",
                "The network did not process each image of the batch: pass batch_size=1, or mend its batch axis.",
            )
        )
    if sum(size > 1 for size in raw.shape[1:]) > 1:
        raise ValueError(
            invalid(
                where,
                "output",
                raw.shape,
                "one number per class and image, beside axes of length 1",
                "A map of classes is no classification: name another output, or wrap the network in a function.",
            )
        )
    return raw.reshape(n, -1)


def joined(parts: Sequence[NDArray[np.generic]]) -> NDArray[np.generic]:
    """Class outputs of several batches as those of one; of a single batch without a copy."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def looks_like(outputs: NDArray[np.generic]) -> tuple[OutputKind | None, str]:
    """What class outputs are, judged by their values alone.

    Parameters
    ----------
    outputs : ndarray of shape (n, K)
        Class outputs of real pictures.

    Returns
    -------
    kind : str or None
        "probabilities", "log_probabilities" or "logits" ("sigmoid_logits" for one class); None where the values do not
        tell (NaN, one output within [0, 1], or several that do not sum to 1 there).
    ground : str
        The observation, as a sentence.
    """
    values = outputs.astype(np.float64)
    if not np.all(np.isfinite(values)):
        return None, "the outputs are not finite"
    low, high = float(values.min()), float(values.max())
    if values.shape[1] == 1:
        if low < 0.0 or high > 1.0:
            return "sigmoid_logits", f"the single output ({low:.6g}) lies outside [0, 1]"
        return None, f"the single output ({low:.6g}) lies within [0, 1], as a probability or a logit may"
    tolerance = _SUM_TOLERANCE.get(outputs.dtype.itemsize, 1e-4)
    sums = values.sum(axis=1)
    if low >= 0.0 and np.all(np.abs(sums - 1.0) <= tolerance):
        return "probabilities", f"the outputs are non-negative and sum to {sums[0]:.6f}"
    if high <= 0.0 and np.all(np.abs(log_sum_exp(values)) <= tolerance):
        return "log_probabilities", "the outputs are non-positive and their exponentials sum to 1"
    if low >= 0.0 and high <= 1.0:
        return None, f"the outputs lie within [0, 1] and sum to {sums[0]:.4g}, as sigmoids, averages or logits may"
    return "logits", f"the outputs range over [{low:.4g}, {high:.4g}] and sum to {sums[0]:.4g}"


def looks_softmaxed_twice(outputs: NDArray[np.generic]) -> bool:
    """Whether probabilities lie in the narrow band that a softmax of probabilities cannot leave.

    Softmax of numbers in [0, 1] gives probabilities within a factor e of each other; a network with more than a few
    classes whose largest and smallest probability are that close is either undecided or has its softmax twice.

    Parameters
    ----------
    outputs : ndarray of shape (n, K)
        Class probabilities.

    Returns
    -------
    bool
        True where every row is within a factor e, and not all equal.
    """
    values = outputs.astype(np.float64)
    low, high = values.min(axis=1), values.max(axis=1)
    return bool(values.shape[1] >= 3 and np.all(low > 0) and np.all(high <= np.e * low * 1.001) and np.all(high > low))


def check_output_kind(where: str, kind: object) -> OutputKind | None:
    """A stated kind of output, or an error naming the kinds there are."""
    if kind is not None and kind not in OUTPUT_KINDS:
        raise ValueError(invalid(where, "output_kind", kind, f"one of {list(OUTPUT_KINDS)}, or None to detect it"))
    return cast("OutputKind | None", kind)


def for_one_class(kind: OutputKind, n_classes: int) -> OutputKind:
    """The sigmoid kind in place of the softmax kind where there is a single output."""
    if n_classes > 1:
        return kind
    singles: dict[OutputKind, OutputKind] = {"logits": "sigmoid_logits", "probabilities": "sigmoid_probabilities"}
    return singles.get(kind, kind)


def decide(where: str, prior: Decision | Doubt | None, outputs: NDArray[np.generic]) -> Decision:
    """Settle what the outputs are from what is known beforehand and from the values at x0.

    Parameters
    ----------
    where : str
        Call to name in an error.
    prior : Decision, Doubt or None
        What the user stated or the graph shows.
    outputs : ndarray of shape (n, K)
        Class outputs at x0.

    Returns
    -------
    Decision
        The kind, with its ground completed by what the values show.

    Raises
    ------
    ValueError
        Graph and values disagree; stated probabilities are none; or the values do not tell.
    """
    seen, observed = looks_like(outputs)
    if not isinstance(prior, Decision):
        return _by_values(where, prior, outputs, seen, observed)
    kind = for_one_class(prior.kind, outputs.shape[1])
    ground = f"{prior.ground}; at x0 {observed}"
    values = outputs.astype(np.float64)
    in_unit = bool(np.all((values >= 0.0) & (values <= 1.0)))
    if not np.all(np.isfinite(values)):
        return Decision(kind, prior.source, ground)
    impossible = (kind == "probabilities" and seen != "probabilities") or (
        kind == "sigmoid_probabilities" and not in_unit
    )
    impossible = impossible or (kind == "log_probabilities" and seen != "log_probabilities")
    # A stated "logits" stands even where the values could be probabilities: softmax inputs may be anything.
    doubtful = kind == "logits" and seen in ("probabilities", "log_probabilities") and prior.source == "graph"
    if impossible or doubtful:
        raise ValueError(
            invalid(
                where,
                "output_kind",
                kind if prior.source == "stated" else None,
                "what the outputs at x0 are",
                f"They disagree: {ground}. Pass the right output_kind= (and check the export: a softmax over the "
                "wrong axis looks like this).",
            )
        )
    return Decision(kind, prior.source, ground)


def _by_values(
    where: str, doubt: Doubt | None, outputs: NDArray[np.generic], seen: OutputKind | None, observed: str
) -> Decision:
    """What the values alone settle, or an error that says what has to be given."""
    if not np.all(np.isfinite(outputs.astype(np.float64))):
        remedy = "Its outputs there are NaN or infinite: check the preprocessing and the model itself."
        raise ValueError(invalid(where, "image", observed, "a picture that the network can classify", remedy))
    unproven = doubt is not None and seen in ("logits", "sigmoid_logits")
    if seen is not None and not unproven:
        ground = f"at x0 {observed}" if doubt is None else f"{doubt.ground}; at x0 {observed}"
        return Decision(seen, "values", ground)
    kinds = (
        "'sigmoid_logits' or 'sigmoid_probabilities'"
        if outputs.shape[1] == 1
        else "'logits' or 'probabilities' (one of several classes), 'sigmoid_logits' or 'sigmoid_probabilities' (each "
        "class by itself)"
    )
    told = "" if doubt is None else f"{doubt.ground}; "
    raise ValueError(
        invalid(
            where,
            "output_kind",
            None,
            "given for this network",
            f"What it returns cannot be told from x0: {told}{observed}. Pass output_kind={kinds}."
            + ("" if doubt is None else f" {doubt.remedy}"),
        )
    )
