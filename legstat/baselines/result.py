"""What every baseline returns: a frozen value that shows and saves itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from legstat._core.errors import invalid
from legstat._core.frozen import Portable
from legstat._core.notebooks import Rich
from legstat._core.npz import loading_arrays, save_arrays
from legstat._core.typing import JSON, FloatArray
from legstat._core.values import read_only
from legstat.gradients.gradient import GradientName
from legstat.perturbations.lifts import Lift

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ARRAYS = ("solution", "saliency", "image", "picture")
"""The fields that are arrays."""


@dataclass(frozen=True, kw_only=True, eq=False)
class BaselineResult(Rich, Portable):
    """The map of a baseline, what it was optimised to, and what that cost.

    Attributes
    ----------
    method : {"mask", "layer_mask", "igos", "l1q", "ifgsm", "mifgsm"}
        Which baseline.
    solution : ndarray of shape (p1, p2) or (C, H, W)
        The mask, 1 where the picture is kept; of l1-q and adversarial pictures the shift delta of the picture.
    saliency : ndarray of shape (p1, p2)
        High where important. Of masks 1 - mask (of the preservation game the mask); cells of equal mask in the order of
        the score's own slope, averaged over the iterations. Of delta the sum over the channels of ``|delta|``.
    image : ndarray of shape (C, H, W)
        The picture x0.
    picture : ndarray of shape (C, H, W)
        What became of it: what the mask leaves, or x0 + delta, cut off at [0, 1] (of a layer's mask x0 itself).
    trace : mapping of str to ndarray of shape (iterations,)
        What each iteration saw: "score", the terms of the penalty, and the method's own ("alpha", "satisfied", ...).
    n_queries : int
        Evaluations spent, f(x0) included; forward passes that a gradient goes back through among them.
    n_backward : int
        Backward passes; 0 where gradients were estimated.
    gradient : {"exact", "queries"}
        Where gradients came from.
    tied : int
        Cells whose mask equals that of another cell.
    settings : dict
        Every setting that it was made with.
    source : dict
        The response, as it describes itself, and f(x0).

    Examples
    --------
    >>> import legstat as ls
    >>> f = ls.simulate.linear(np.array([[1.0, 0.0], [0.0, 0.0]]))
    >>> how = {"gradient": "queries", "n_queries": 600, "shape": (2, 2), "baseline": "black", "rng": 0}
    >>> result = ls.baselines.mask(f, np.ones((1, 8, 8)), **how)
    >>> result
    <BaselineResult mask 2x2: queries, 599 evaluations>
    >>> int(result.saliency.argmax())
    0
    """

    method: str
    solution: FloatArray = field(repr=False)
    saliency: FloatArray = field(repr=False)
    image: FloatArray = field(repr=False)
    picture: FloatArray = field(repr=False)
    trace: Mapping[str, FloatArray] = field(repr=False)
    n_queries: int
    n_backward: int
    gradient: GradientName
    tied: int
    settings: JSON = field(repr=False)
    source: JSON = field(repr=False)

    def __post_init__(self) -> None:
        for name in ARRAYS:
            object.__setattr__(self, name, read_only(np.array(getattr(self, name), dtype=np.float64)))
        trace = {name: read_only(np.array(values, dtype=np.float64)) for name, values in self.trace.items()}
        object.__setattr__(self, "trace", trace)

    @property
    def mask(self) -> FloatArray:
        """The mask, shape (p1, p2); ValueError of what moves the picture itself, which has none."""
        if self.solution.ndim != 2:
            raise ValueError(invalid("BaselineResult.mask", "method", self.method, "'mask' or 'igos'", "See .picture."))
        return self.solution

    @property
    def energy(self) -> float:
        """Mean over the cells of (1 - mask)^2: how much is hidden, and how sharply; ValueError as for `mask`."""
        return float(np.mean((1.0 - self.mask) ** 2))

    @property
    def heatmap(self) -> FloatArray:
        """The saliency on the picture, shape (H, W), bilinear between the cells."""
        size = (self.image.shape[1], self.image.shape[2])
        return Lift.bilinear((self.saliency.shape[0], self.saliency.shape[1]), size).up(self.saliency)

    def to_frame(self) -> pd.DataFrame:
        """One row a cell: row, column, saliency, and of a mask its level."""
        import pandas as pd

        rows, columns = np.indices(self.saliency.shape).reshape(2, -1)
        return pd.DataFrame({"row": rows, "column": columns, **{k: v.ravel() for k, v in self._maps().items()}})

    def to_xarray(self) -> xr.Dataset:
        """The columns of `to_frame` as maps with named axes; needs the extra xarray.

        Returns
        -------
        xarray.Dataset
            Dimensions ``row`` and ``column``, places in pixels; method, evaluations and score as attributes.

        Raises
        ------
        BackendUnavailableError
            xarray is missing.
        """
        from legstat.report.labelled import labelled

        facts = {name: getattr(self, name) for name in ("method", "gradient", "n_queries", "n_backward", "tied")}
        response = self.source.get("response", {})
        facts |= {name: response.get(name) for name in ("score", "target", "target_label")}
        return labelled("BaselineResult.to_xarray", self._maps(), self.image, attrs=facts, even=True)

    def _maps(self) -> dict[str, FloatArray]:
        return {"saliency": self.saliency, **({"mask": self.solution} if self.solution.ndim == 2 else {})}

    def plot(self, ax: Axes | Figure | None = None, **options: Any) -> Axes:
        """Draw the map over the picture.

        Parameters
        ----------
        ax : matplotlib Axes or empty Figure, optional
            Where to draw; a new figure of pyplot's unless given.
        **options
            ``alpha``, ``cmap`` and ``title`` of `legstat.report.saliency.plot_saliency`.

        Returns
        -------
        Axes
            The axes drawn on.
        """
        from legstat.report.saliency import plot_saliency

        title = {"title": f"{self.method}, {self.gradient}, {self.n_queries} evaluations"} | options
        drawn: Axes = plot_saliency(self.heatmap, self.image, ax, **title)
        return drawn

    def plot_trace(self, ax: Axes | Figure | None = None) -> Axes:
        """Draw the score and the terms of the penalty over the iterations.

        Parameters
        ----------
        ax : matplotlib Axes or empty Figure, optional
            Where to draw; a new figure of pyplot's unless given.

        Returns
        -------
        Axes
            The axes drawn on.
        """
        from legstat.report.saliency import plot_terms

        terms = {name: self.trace[name] for name in ("score", "l1", "tv") if name in self.trace}
        drawn: Axes = plot_terms(terms, ax)
        return drawn

    def save(self, path: str | Path) -> None:
        """Write an .npz file without pickle: a JSON header and plain arrays."""
        names = ("method", "n_queries", "n_backward", "gradient", "tied", "settings", "source")
        arrays = {f"trace.{name}": values for name, values in self.trace.items()}
        arrays |= {name: getattr(self, name) for name in ARRAYS}
        header = {name: getattr(self, name) for name in names} | {"trace": list(self.trace)}
        save_arrays(path, type(self).__name__, header, arrays)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote; ValueError for any other file."""
        with loading_arrays(path, cls.__name__) as (header, arrays):
            trace = {name: arrays[f"trace.{name}"] for name in header["trace"]}
            names = ("method", "n_queries", "n_backward", "gradient", "tied", "settings", "source")
            parts: dict[str, Any] = {name: header[name] for name in names}
            parts |= {name: arrays[name] for name in ARRAYS}
            return cls(**parts, trace=trace)

    def __repr__(self) -> str:
        cells = "x".join(map(str, self.saliency.shape))
        return f"<BaselineResult {self.method} {cells}: {self.gradient}, {self.n_queries} evaluations>"
