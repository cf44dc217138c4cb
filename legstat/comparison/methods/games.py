"""Shapley values of a picture's superpixels: KernelSHAP by the package shap, values by pairs by shapiq."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from legstat._core.checks import check_choice
from legstat._core.optional import optional_module
from legstat._core.typing import AnyArray, FloatArray
from legstat.comparison.asking import Asking, map_shape, resized
from legstat.comparison.method import MethodMap
from legstat.comparison.methods.regressions import scores_of_segments, superpixels
from legstat.metrics.references import ReferenceName
from legstat.responses.base import Response


@dataclass(frozen=True)
class KernelShap:
    """KernelSHAP on superpixels (Lundberg and Lee, 2017), by the package shap.

    Parameters
    ----------
    shape : tuple of int, optional
        Cells of the map, means over its pixels.
        By default as many as `legstat.explain` takes.
    segments : int, default 50
        Superpixels that SLIC is asked for.
    baseline : str, default "blur"
        What a superpixel that is no member shows (the LEG authors' comparison: white).

    Raises
    ------
    BackendUnavailableError
        shap or scikit-image is missing (extra ``compare``).

    Notes
    -----
    All superpixels are kept in the regression (``l1_reg=False``): by default shap keeps the ten of largest effect
    alone, which made errors 2 to 7 times as large in games whose values are known (docs/studies/games.md).
    shap spends two evaluations beside its samples, on none and on all of the superpixels; both are counted. Its
    samples come from numpy's global generator, which is seeded for the call and put back.

    Examples
    --------
    >>> import legstat as ls
    >>> KernelShap().name
    'kernelshap'
    """

    shape: tuple[int, int] | None = None
    segments: int = 50
    baseline: ReferenceName = "blur"
    name: str = "kernelshap"
    least: int = 10

    def __call__(self, response: Response, image: FloatArray, n_queries: int, rng: Any) -> MethodMap:
        """The map; f(x0) is asked for once more by shap, and counted."""
        shap = optional_module("shap", "shap", "compare", "KernelSHAP")
        labels = superpixels(image, self.segments)
        asking = Asking(self.name, response, image, n_queries, self.baseline)
        players = int(labels.max()) + 1

        def value(shown: AnyArray) -> FloatArray:
            return scores_of_segments(asking, np.asarray(shown, dtype=np.float64), labels)

        before = np.random.get_state()  # noqa: NPY002  # shap draws from the global generator
        np.random.seed(int(np.random.default_rng(rng).integers(2**32)))  # noqa: NPY002
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of its regression: that it has few samples, say
                explainer = shap.KernelExplainer(value, np.zeros((1, players)))
                found = explainer.shap_values(
                    np.ones((1, players)), nsamples=asking.left - 1, l1_reg=False, silent=True
                )
        finally:
            np.random.set_state(before)  # noqa: NPY002
        return MethodMap(resized(np.asarray(found).reshape(-1)[labels], map_shape(self.shape, image)), asking.spent)


Estimator = Literal["kernel", "permutation"]


@dataclass(frozen=True)
class ShapleyPairs:
    r"""Shapley interactions of order 2 on superpixels, by the package shapiq; the map adds each pair to its members.

    .. math:: s_i = \phi_i + \frac{1}{2} \sum_{j \ne i} \phi_{ij}

    with the k-Shapley interactions :math:`\phi` of order up to 2, which add up to f(all) - f(none), and so do the s.

    Parameters
    ----------
    shape : tuple of int, optional
        Cells of the map, means over its pixels.
        By default as many as `legstat.explain` takes.
    segments : int, default 20
        Superpixels that SLIC is asked for: of 20 there are 190 pairs.
    estimator : {"kernel", "permutation"}, default "kernel"
        KernelSHAP-IQ (Fumagalli et al., 2024), or the sampling of permutations.
    baseline : str, default "blur"
        What a superpixel that is no member shows.

    Raises
    ------
    BackendUnavailableError
        shapiq or scikit-image is missing (extra ``compare``).

    Examples
    --------
    >>> ShapleyPairs().least, ShapleyPairs(estimator="permutation").least
    (212, 118)
    """

    shape: tuple[int, int] | None = None
    segments: int = 20
    estimator: Estimator = "kernel"
    baseline: ReferenceName = "blur"
    name: str = "shapley_pairs"

    def __post_init__(self) -> None:
        check_choice("ShapleyPairs", "estimator", self.estimator, get_args(Estimator))

    @property
    def least(self) -> int:
        """f(x0), f of none, and as many more as there are unknowns; or those and one permutation."""
        n = self.segments
        return 2 + (n * (n + 1) // 2 if self.estimator == "kernel" else 2 * n + 4 * (n - 1))

    def __call__(self, response: Response, image: FloatArray, n_queries: int, rng: Any) -> MethodMap:
        """The map; what does not make a whole permutation is left over."""
        shapiq = optional_module("shapiq", "shapiq", "compare", "Shapley interactions")
        labels = superpixels(image, self.segments)
        asking = Asking(self.name, response, image, n_queries, self.baseline)
        players = int(labels.max()) + 1
        if players == 1:  # it has no pairs, and its value says nothing of where
            return MethodMap(np.zeros(map_shape(self.shape, image)), asking.spent)

        def value(shown: AnyArray) -> FloatArray:
            # shapiq asks for one coalition as a vector, for several as rows
            return scores_of_segments(asking, np.atleast_2d(np.asarray(shown, dtype=np.float64)), labels)

        kind = shapiq.KernelSHAPIQ if self.estimator == "kernel" else shapiq.PermutationSamplingSII
        seed = int(np.random.default_rng(rng).integers(2**31))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its regression: that it has few samples, say
            estimate = kind(n=players, max_order=2, index="k-SII", random_state=seed)
            found = estimate.approximate(asking.left, value)
        shares = np.zeros(players)
        for members, part in found.dict_values.items():
            for player in members:
                shares[player] += part / len(members)
        return MethodMap(resized(shares[labels], map_shape(self.shape, image)), asking.spent)
