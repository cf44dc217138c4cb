"""Results of LEG and LEG-TV: frozen values that know how to report, show and save themselves."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self

import numpy as np
import scipy.ndimage
import scipy.sparse
from scipy.sparse.csgraph import connected_components

from legstat._core.conventions import Conventions, get_conventions
from legstat._core.errors import InferenceUnavailableError, invalid
from legstat._core.npz import loading_arrays, save_arrays
from legstat._core.typing import JSON, AnyArray, FloatArray, IntArray
from legstat.designs.by_name import design_from_parameters
from legstat.designs.grid import Grid
from legstat.inference.cells import Inferring
from legstat.moments.estimate import Moments
from legstat.report.summary import leg_summary, legtv_summary
from legstat.samples.sample import QuerySample
from legstat.solvers import Certificate

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from statsmodels.iolib.summary import Summary

_NO_INFERENCE = (
    "legstat.LEGTVResults: no intervals for LEG-TV itself: it is biased by its penalty and its regions are chosen by "
    "the data. Intervals of the cells: LEG(sample).fit().conf_int(). Regions found on one part of the sample and "
    "tested on the other: legstat.region_inference(sample)."
)
REGION_TOLERANCE = 1e-6  # neighbours whose estimates differ by less than this share of their range are one region


def _locked(array: AnyArray) -> FloatArray:
    """That array in float64, read-only."""
    locked = np.asarray(array, dtype=np.float64)
    locked.flags.writeable = False
    return locked


class _NotForLEGTV(InferenceUnavailableError, AttributeError):
    """An attribute that is missing for a reason; `hasattr` takes it as missing."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Results:
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
        object.__setattr__(self, "params", _locked(np.array(self.params)))

    @property
    def grid_shape(self) -> tuple[int, int]:
        """(p1, p2)."""
        return self.moments.design.grid.shape

    @property
    def n(self) -> int:
        """Statistical units behind each channel: draws, or pairs."""
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
            return _locked(maps[0])
        absolute = np.abs(maps)
        return _locked(absolute.mean(axis=0) if self._rules.aggregation == "mean" else absolute.sum(axis=0))

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
            return _locked(self.moments.design.grid.lift(self.saliency, height, width))
        factors = (height / self.grid_shape[0], width / self.grid_shape[1])
        # pixel centres at half-integers and edges held, as cv2.resize does
        return _locked(scipy.ndimage.zoom(self.saliency, factors, order=1, mode="nearest", grid_mode=True))

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
        flat = self.saliency.ravel()
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

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the map over the picture.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; a new figure unless given.
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

    def _extra(self) -> tuple[JSON, dict[str, FloatArray]]:
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


@dataclass(frozen=True, kw_only=True, eq=False)
class LEGResults(Inferring, Results):
    """LEG with its standard errors, intervals and tests.

    See `Results` for the common attributes and `Inferring` for what stands behind the inference.

    Attributes
    ----------
    sample : QuerySample or None
        What it was estimated from, for covariances between cells; None for a result from moments alone or from a file.
    use_t : bool
        Whether intervals and p-values are Student's, with the degrees of freedom of each standard error, or normal.

    Examples
    --------
    >>> import legstat as ls
    >>> f, design = ls.simulate.linear(np.eye(4)), ls.StructuredGaussian(grid=(4, 4), scale=0.05)
    >>> result = ls.LEG(ls.query(f, np.full((1, 4, 4), 0.5), design, n_queries=201, rng=0)).fit()
    >>> result
    <LEGResults 4x4 n=100 moments=crossfit>
    >>> result.saliency.shape, result.std_errors.shape, result.conf_int(level=0.9).shape
    ((4, 4), (16,), (16, 2))
    """

    sample: QuerySample | None = None
    use_t: bool = True

    def _extra(self) -> tuple[JSON, dict[str, FloatArray]]:
        return {"use_t": self.use_t}, {}

    @classmethod
    def _from_extra(cls, header: JSON, arrays: dict[str, FloatArray]) -> dict[str, Any]:
        return {"use_t": header["use_t"]}

    def _frame_columns(self) -> dict[str, FloatArray]:
        if not self.has_intervals:
            return {}
        low, high = self.conf_int().T
        inference = {"std_error": self.std_errors, "z": self.tstats, "pvalue": self.pvalues}
        return {**inference, "conf_low": low, "conf_high": high}

    def summary(self) -> Summary:
        """Summary in the manner of statsmodels, with ``as_text``, ``as_html`` and ``as_latex``."""
        return leg_summary(self)

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.grid_shape))
        return f"<LEGResults {shape} n={self.n} moments={self.moments.kind}>"


@dataclass(frozen=True, kw_only=True, eq=False)
class LEGTVResults(Results):
    """LEG-TV at one L, with the certificate of its optimality.

    Attributes
    ----------
    L_per_row, L_max_per_row : ndarray of shape (P,)
        L of each channel's program and the L beyond which its solution is constant.
    certificates : tuple of Certificate
        Our own proof of optimality of each program.
    engine, selection : str
        What solved it, and which point of the optimal face it is.
    face_width : float or None
        Largest range that one difference between neighbours has over all optimal maps; None where it was not computed.

    Examples
    --------
    >>> import legstat as ls
    >>> f, design = ls.simulate.linear(np.eye(4)), ls.StructuredGaussian(grid=(4, 4), scale=0.05)
    >>> result = ls.LEGTV(ls.query(f, np.full((1, 4, 4), 0.5), design, n_queries=201, rng=0)).fit(L_ratio=0.5)
    >>> result.certificate.passed, round(result.L_ratio, 6)
    (True, 0.5)
    """

    L_per_row: FloatArray
    L_max_per_row: FloatArray
    certificates: tuple[Certificate, ...]
    engine: str
    selection: str
    face_width: float | None = None

    @property
    def L(self) -> float:
        """Radius of the constraint (the largest over channels, where conventions scale each by itself)."""
        return float(self.L_per_row.max())

    @property
    def L_max(self) -> float:
        """Smallest L with a constant solution in every channel."""
        return float(self.L_max_per_row.max())

    @property
    def L_ratio(self) -> float:
        """L / L_max, the authors' lambda; 0 where L_max is 0."""
        return self.L / self.L_max if self.L_max > 0 else 0.0

    @property
    def certificate(self) -> Certificate:
        """The certificate with the largest gap over the channels."""
        return max(self.certificates, key=lambda c: c.gap)

    @cached_property
    def regions(self) -> IntArray:
        """Connected regions of constant estimate, shape (P, p1, p2): numbered from 0 over all channels."""
        grid = Grid(self.grid_shape)  # neighbours within the grid, whatever the design's boundary
        tail, head = grid.edges
        labels, total = np.empty((len(self.channel_maps), grid.n_cells), dtype=np.int64), 0
        for channel, row in enumerate(self.channel_maps.reshape(-1, grid.n_cells)):
            same = np.abs(row[head] - row[tail]) <= REGION_TOLERANCE * float(np.ptp(row))
            ends = (tail[same], head[same])
            links = scipy.sparse.csr_array((np.ones(len(ends[0])), ends), shape=(grid.n_cells,) * 2)
            count, numbers = connected_components(links, directed=False)
            labels[channel] = total + np.asarray(numbers)
            total += int(count)
        labels.flags.writeable = False
        return labels.reshape(self.channel_maps.shape)

    @property
    def n_regions(self) -> int:
        """Connected regions of constant estimate, added up over channels."""
        return int(self.regions.max()) + 1

    def replace(self, **changes: Any) -> Self:
        """The same result with some attributes changed."""
        return dataclasses.replace(self, **changes)

    def conf_int(self, level: float = 0.95, simultaneous: bool = False) -> FloatArray:
        """Not available: the penalty biases the estimate and chooses the regions from the same data.

        Raises
        ------
        InferenceUnavailableError
            Always; the text says which intervals are valid.
        """
        raise InferenceUnavailableError(_NO_INFERENCE)

    if not TYPE_CHECKING:  # a type checker is to go on missing names that are not there

        def __getattr__(self, name: str) -> NoReturn:
            """Say why LEG-TV lacks what `LEGResults` has."""
            if name in vars(Inferring) and not name.startswith("_"):
                raise _NotForLEGTV(f"{_NO_INFERENCE} So there is no `{name}`.")
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _extra(self) -> tuple[JSON, dict[str, FloatArray]]:
        certificates = [dataclasses.asdict(c) for c in self.certificates]
        header: JSON = {name: getattr(self, name) for name in ("engine", "selection", "face_width")}
        header["certificates"] = certificates
        return header, {"L_per_row": self.L_per_row, "L_max_per_row": self.L_max_per_row}

    @classmethod
    def _from_extra(cls, header: JSON, arrays: dict[str, FloatArray]) -> dict[str, Any]:
        extra: dict[str, Any] = {name: header[name] for name in ("engine", "selection", "face_width")}
        extra["certificates"] = tuple(Certificate(**c) for c in header["certificates"])
        return {**extra, "L_per_row": arrays["L_per_row"], "L_max_per_row": arrays["L_max_per_row"]}

    def summary(self) -> Summary:
        """Summary in the manner of statsmodels, with ``as_text``, ``as_html`` and ``as_latex``."""
        return legtv_summary(self)

    def __repr__(self) -> str:
        shape, certificate = "x".join(map(str, self.grid_shape)), self.certificate
        state = "optimal" if certificate.passed else "NOT certified"
        program = f"L={self.L:.3g} ({self.L_ratio:.2g} L_max) {state} gap={certificate.gap:.0e}"
        return f"<LEGTVResults {shape} {program} n={self.n}>"
