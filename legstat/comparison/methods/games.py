"""Shapley values of a picture's superpixels: KernelSHAP by the package shap."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

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
                found = explainer.shap_values(np.ones((1, players)), nsamples=asking.left - 1, silent=True)
        finally:
            np.random.set_state(before)  # noqa: NPY002
        return MethodMap(resized(np.asarray(found).reshape(-1)[labels], map_shape(self.shape, image)), asking.spent)
