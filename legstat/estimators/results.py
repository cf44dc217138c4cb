"""What the results of LEG and LEG-TV have in common: frozen values that show and save themselves."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import scipy

from legstat._core.checks import check_count
from legstat._core.conventions import Conventions, get_conventions
from legstat._core.errors import invalid
from legstat._core.frozen import Portable
from legstat._core.notebooks import Rich
from legstat._core.npz import loading_arrays, save_arrays
from legstat._core.typing import JSON, AnyArray, FloatArray
from legstat._core.values import read_only
from legstat.designs.by_name import design_from_parameters
from legstat.moments.moments import Moments

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True, eq=False)
class Results(Rich, Portable):
    """What LEG and LEG-TV results have in common.

    Attributes
    ----------
    params : ndarray of shape (P p,)
        gamma-hat, score per unit of z, channel by channel and in C order of the cells; read-only.
    moments : Moments
        The moment vector it was made of, with the facts about the experiment in ``moments.source``.
    r2_heldout : float or None
        K-fold out-of-sample R^2 of the linear map (odd part, if antithetic); None without responses.
    image : ndarray of shape (C, H, W) or None
        The picture, for maps.
    """

    params: FloatArray
    moments: Moments
    r2_heldout: float | None = None
    image: FloatArray | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", read_only(np.array(self.params, dtype=np.float64)))

    @property
    def grid_shape(self) -> tuple[int, int]:
        """(p1, p2)."""
        return self.moments.design.grid.shape

    @property
    def n(self) -> int:
        """Observations behind each channel: draws, or pairs."""
        return self.moments.n

    @property
    def channel_maps(self) -> FloatArray:
        """params as signed maps, shape (P, p1, p2)."""
        return self.params.reshape(-1, *self.grid_shape)

    @cached_property
    def saliency(self) -> FloatArray:
        """The map on the grid, shape (p1, p2).

        Signed where there is one map; else absolute values over the channels, summed (LEG section 4) or averaged (the
        authors' code, with conventions="upstream").
        """
        maps = self.channel_maps
        if len(maps) == 1:
            return read_only(maps[0])
        absolute = np.abs(maps)
        return read_only(absolute.mean(axis=0) if self._rules.aggregation == "mean" else absolute.sum(axis=0))

    @cached_property
    def heatmap(self) -> FloatArray:
        """The map on the picture, shape (H, W): cells as they are, or bilinear with conventions="upstream".

        Raises
        ------
        ValueError
            If the result was made from moments alone, without a picture.
        """
        if self.image is None:
            raise ValueError(
                invalid("Results.heatmap", "image", None, "a picture", "`saliency` holds the map on the grid.")
            )
        height, width = self.image.shape[-2:]
        if self._rules.resize == "nearest":
            return read_only(np.asarray(self.moments.design.grid.lift(self.saliency, height, width), dtype=np.float64))
        factors = (height / self.grid_shape[0], width / self.grid_shape[1])
        # pixel centres at half-integers and edges held, as cv2.resize does
        return read_only(
            np.asarray(scipy.ndimage.zoom(self.saliency, factors, order=1, mode="nearest", grid_mode=True))
        )

    @property
    def _rules(self) -> Conventions:
        return get_conventions(self.moments.source.get("conventions", "default"), "Results")

    def strongest(self, k: int = 5) -> list[tuple[int, int, float]]:
        """The k cells of largest absolute saliency.

        Parameters
        ----------
        k : int, default 5
            How many.

        Returns
        -------
        list of (row, column, saliency)
            Strongest first; ties in C order.
        """
        flat, k = self.saliency.ravel(), check_count(f"{type(self).__name__}.strongest", "k", k)
        order = np.argsort(-np.abs(flat), kind="stable")[:k]
        return [(int(i) // self.grid_shape[1], int(i) % self.grid_shape[1], float(flat[i])) for i in order]

    def to_frame(self) -> pd.DataFrame:
        """One row a parameter: channel, row, column, estimate, and what inference the result carries."""
        import pandas as pd

        planes = len(self.channel_maps)
        index = np.indices((planes, *self.grid_shape)).reshape(3, -1)
        columns: dict[str, Any] = {"channel": index[0], "row": index[1], "column": index[2], "estimate": self.params}
        return pd.DataFrame({**columns, **self._frame_columns()})

    def _frame_columns(self) -> dict[str, FloatArray]:
        return {}

    def to_xarray(self) -> xr.Dataset:
        """The columns of `to_frame` as maps with named axes; needs the extra xarray.

        Returns
        -------
        xarray.Dataset
            Dimensions ``channel``, ``row`` and ``column``, places in pixels; law, score and units as attributes.

        Raises
        ------
        BackendUnavailableError
            xarray is missing.
        """
        from legstat.report.labelled import facts_of, labelled

        columns = {"estimate": self.params, **self._frame_columns()}
        maps = {name: values.reshape(self.channel_maps.shape) for name, values in columns.items()}
        attrs = {"estimator": type(self).__name__, **facts_of(self.moments), "r2_heldout": self.r2_heldout}
        return labelled(f"{type(self).__name__}.to_xarray", maps, self.image, attrs={**attrs, **self._facts()})

    def _facts(self) -> JSON:
        """What a map's own attributes say of it."""
        return {}

    def plot(self, ax: Axes | Figure | None = None, **options: Any) -> Axes:
        """Draw the map over the picture.

        Parameters
        ----------
        ax : matplotlib Axes or empty Figure, optional
            Where to draw; a new figure of pyplot's unless given.
        **options
            Passed to `legstat.report.plot_map`.

        Returns
        -------
        Axes
            The axes drawn on.
        """
        from legstat.report.plots import plot_map

        drawn: Axes = plot_map(self, ax, **options)
        return drawn

    def save(self, path: str | Path) -> None:
        """Write an .npz file without pickle: a JSON header and plain arrays."""
        parameters = self.moments.design.parameters()
        arrays = {f"design.{k}": v for k, v in parameters.items() if isinstance(v, np.ndarray)}
        header: JSON = {
            "design": type(self.moments.design).__name__,
            "design_parameters": {k: v for k, v in parameters.items() if not isinstance(v, np.ndarray)},
            "moments": {name: getattr(self.moments, name) for name in ("n", "kind", "source", "cov_type")},
            "r2_heldout": self.r2_heldout,
        }
        arrays |= {"params": self.params, "b": self.moments.b}
        for name, array in (("variances", self.moments.variances), ("df", self.moments.df), ("image", self.image)):
            if array is not None:
                arrays[name] = array
        more_header, more_arrays = self._extra()
        save_arrays(path, type(self).__name__, {**header, **more_header}, {**arrays, **more_arrays})

    def _extra(self) -> tuple[JSON, dict[str, AnyArray]]:
        return {}, {}

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote; ValueError for any other file."""
        with loading_arrays(path, cls.__name__) as (header, arrays):
            given = {k.removeprefix("design."): v for k, v in arrays.items() if k.startswith("design.")}
            moments = Moments(
                b=arrays["b"],
                design=design_from_parameters(header["design"], {**header["design_parameters"], **given}),
                variances=arrays.get("variances"),
                df=arrays.get("df"),
                **header["moments"],
            )
            common = {
                "params": arrays["params"],
                "moments": moments,
                "r2_heldout": header["r2_heldout"],
                "image": arrays.get("image"),
            }
            return cls(**common, **cls._from_extra(header, arrays))

    @classmethod
    def _from_extra(cls, header: JSON, arrays: dict[str, FloatArray]) -> dict[str, Any]:
        return {}
