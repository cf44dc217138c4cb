"""Noise of the network itself: what repeating an evaluation changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from legstat._core.checks import check_count, check_rng, check_type
from legstat._core.pictures import rounded
from legstat._core.typing import AnyArray, FloatArray
from legstat.designs.design import Design
from legstat.perturbations.operators import Additive, Perturbation
from legstat.responses.base import Response
from legstat.responses.function import as_response
from legstat.samples.budget import planes_of
from legstat.samples.sample import QuerySample
from legstat.samples.segments import Ledger


@dataclass(frozen=True, kw_only=True, eq=False)
class NoiseProbe:
    """How far repeated evaluations of the same picture differ.

    Attributes
    ----------
    scores : ndarray of shape (inputs, repeats)
        Scores of each probed picture, the unperturbed one first.
    ledger : Ledger
        The evaluations that the probe spent: ``query(..., beforehand=probe.ledger.spent)`` counts them in its budget
        and shows them in its own ledger.

    Examples
    --------
    >>> import legstat as ls
    >>> noise = np.random.default_rng(0)
    >>> f = lambda images: 1e-3 * noise.standard_normal(len(images))
    >>> probe = noise_probe(f, np.full((1, 4, 4), 0.5), ls.StructuredGaussian(grid=(4, 4)), repeats=50, rng=0)
    >>> probe.ledger.spent, bool(8e-4 < probe.variance**0.5 < 1.2e-3)
    (251, True)
    """

    scores: FloatArray
    ledger: Ledger

    @property
    def variances(self) -> FloatArray:
        """Sample variance of the repeats of each picture, shape (inputs,)."""
        return np.asarray((self.scores - self.scores[:, :1]).var(axis=1, ddof=1), dtype=np.float64)

    @property
    def variance(self) -> float:
        """Pooled variance of one evaluation around the mean of its picture, in squared units of the score."""
        return float(self.variances.mean())

    @property
    def deterministic(self) -> bool:
        """Whether every repeat gave the same bits."""
        return bool((self.scores == self.scores[:, :1]).all())

    def std_errors(self, sample: QuerySample) -> FloatArray:
        r"""The part of LEG's standard errors that the network's noise alone makes.

        With noise of variance :math:`\tau^2` in every evaluation, independent of z, an observation's response has
        :math:`\tau^2` (a pair's half difference :math:`\tau^2 / 2`) and the estimate
        :math:`\tau^2 (S^{-1})_{jj} / n`.

        Parameters
        ----------
        sample : QuerySample
            The experiment.

        Returns
        -------
        ndarray of shape (P p,)
            To be compared with `LEGResults.std_errors`, of which it is a part: residuals already hold this noise, so
            that adding it once more would count it twice. No number of pictures without more queries gets below it.
        """
        per_unit = self.variance / sample.budget.per_unit
        parts = []
        for units in sample.units:
            inverse = units.solve(np.eye(units.n_unknowns))
            parts.append(np.sqrt(per_unit * np.diagonal(inverse) / units.n))
        return np.concatenate(parts)

    def __repr__(self) -> str:
        inputs, repeats = self.scores.shape
        state = "deterministic" if self.deterministic else f"sd {np.sqrt(self.variance):.3g}"
        return f"<NoiseProbe {inputs} pictures x {repeats} repeats: {state}>"


def noise_probe(
    f: Response | Callable[[AnyArray], AnyArray],
    image: AnyArray,
    design: Design,
    *,
    perturbation: Perturbation | None = None,
    n_inputs: int = 5,
    repeats: int = 8,
    rng: Any = None,
) -> NoiseProbe:
    """Evaluate a picture and a few perturbed ones several times each.

    Repeats are spread over batches of different size and composition, the way a query run meets them: every repeat
    takes each picture once, in an order of its own, first one by one, then in twos, and so on up to the response's
    batches.

    Parameters
    ----------
    f : Response or callable
        The black box.
    image : ndarray of shape (C, H, W)
        The picture x0, in [0, 1].
    design : Design
        Law of the perturbations.
    perturbation : Perturbation, optional
        How they act; ``Additive()`` unless given.
    n_inputs : int, default 5
        Pictures, the unperturbed one included.
    repeats : int, default 8
        Evaluations of each.
    rng : None, int, Generator or anything `numpy.random.default_rng` takes
        Source of the perturbations.

    Returns
    -------
    NoiseProbe
        Variance and ledger; ``n_inputs * repeats + 1`` evaluations were spent, one to settle the response.

    Raises
    ------
    ValueError
        If there is no picture or no repeat to compare.

    Notes
    -----
    What the noise does to inference. z is drawn independently for each observation with mean 0, so noise that does not
    depend on z (scheduling, other pictures of the batch, lower precision) leaves the estimate unbiased and observations
    uncorrelated, even where it is common to a whole batch. It enlarges the residuals, and thereby every standard error,
    by just what it costs. Noise that does depend on z, such as a response with memory, is outside of this.

    Examples
    --------
    >>> import legstat as ls
    >>> f, design = lambda images: images.max(axis=(1, 2, 3)), ls.StructuredGaussian(grid=(4, 4))
    >>> noise_probe(f, np.full((1, 4, 4), 0.5), design, rng=0)
    <NoiseProbe 5 pictures x 8 repeats: deterministic>
    """
    n_inputs = check_count("noise_probe", "n_inputs", n_inputs, 1)
    repeats = check_count("noise_probe", "repeats", repeats, 2)
    check_type("noise_probe", "design", design, Design, "such as StructuredGaussian(grid=(28, 28))")
    check_type("noise_probe", "perturbation", perturbation, Perturbation | None, "such as Additive() or Blend()")
    generator = check_rng("noise_probe", rng)
    response = as_response(f)
    picture = response.check_image(image, "noise_probe")
    operator = Additive() if perturbation is None else perturbation
    operator.check(picture, design.grid, design.channels)
    settled, _ = response.bind(picture)
    planes = planes_of(design, picture)
    z = design.sample(generator, max(n_inputs - 1, 0) * planes)
    compose = operator.composer(picture, design.grid, settled.dtype)
    channel = 0 if design.channels == "separate" else None
    perturbed = compose(z.reshape(-1, planes, *design.grid.shape), channel)
    pictures = np.concatenate([rounded(picture[None], settled.dtype), np.asarray(perturbed, dtype=settled.dtype)])
    scores = np.empty((n_inputs, repeats))
    largest = min(settled.batch_size, n_inputs)
    for repeat in range(repeats):
        order, size = generator.permutation(n_inputs), 1 + repeat % largest
        for start in range(0, n_inputs, size):
            chosen = order[start : start + size]
            scores[chosen, repeat] = settled(pictures[chosen])
    spent = n_inputs * repeats
    ledger = Ledger(n_queries=spent + 1, x0=1 + repeats, base=0, perturbed=spent - repeats)
    return NoiseProbe(scores=scores, ledger=ledger)
