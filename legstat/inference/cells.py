"""What LEG's results can say about their cells: standard errors, intervals and tests, contrasts, regions."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import Any, cast

import numpy as np

from legstat._core.checks import check_count, check_flag, check_level
from legstat._core.conventions import MomentKind, get_conventions
from legstat._core.errors import invalid
from legstat._core.typing import AnyArray, FloatArray
from legstat.inference.contrasts import Box, Contrasts, WaldTest, region_weights
from legstat.inference.covariance import SEED, Covariance, contrast_matrix, covariance_of, no_variance
from legstat.inference.estimates import Basis, Inferring
from legstat.inference.intervals import (
    N_DRAWS,
    absolute_sum_intervals,
    bonferroni_quantile,
    contrast_df,
    joint_df,
    sequential_df,
    symmetric,
    t_quantiles,
)
from legstat.inference.nested import NestedTest, nested_test
from legstat.moments.moments import Moments
from legstat.samples.sample import QuerySample


class Cells(Inferring):
    """Inference on gamma from `params`, `moments` and, for anything between cells, the `sample`."""

    params: FloatArray
    moments: Moments
    sample: QuerySample | None
    use_t: bool

    @property
    def _basis(self) -> Basis:
        """Its joint law comes from how each observation moved the estimate: the Gaussian multiplier bootstrap."""
        return Basis(
            estimates=self.params,
            std_errors=self.std_errors,
            df=self.df,
            # a half, for which the third of a run that stopped by widths makes up
            joint_df=self.df if self._stopped else joint_df(self.df),
            cov_type=self.cov_type,
            n=self.moments.n,
            unknowns=self._unknowns,
            map_shape=self.moments.design.grid.shape,
            draws=lambda: self.covariance,
        )

    @property
    def cov_type(self) -> str:
        """Which estimate of variance stands behind the standard errors: "sandwich", "crossfit", "HC0" to "HC3"."""
        return self.moments.cov_type

    @cached_property
    def std_errors(self) -> FloatArray:
        """Standard errors of params, shape (P p,).

        Raises
        ------
        InferenceUnavailableError
            For regression moments, which are shrunken, and for given moments, which carry no variance.
        """
        if self.moments.variances is not None:
            return np.sqrt(self.moments.variances).ravel()
        raise no_variance(self.moments.kind, "LEGResults")

    @property
    def df(self) -> FloatArray:
        """Degrees of freedom of each standard error, shape (P p,); infinite with ``use_t=False``.

        Satterthwaite's, from the fourth moments of what the observations contribute: about a quarter of their number. A
        third of that where the run chose its own n by widths (`query` with `until`), which makes up for the choice.
        """
        if not self.use_t or self.moments.df is None:
            return np.full(self.params.size, np.inf)
        return self._df_after_stopping(np.asarray(self.moments.df.ravel(), dtype=np.float64))

    @property
    def _stopped(self) -> bool:
        return self.moments.source.get("stopping") is not None

    def _df_after_stopping(self, df: FloatArray) -> FloatArray:
        return sequential_df(df) if self._stopped else df

    @property
    def _unknowns(self) -> int:
        """Unknowns that one stream's observations determine together."""
        design = self.moments.design
        return self.params.size if design.channels == "joint" else design.grid.n_cells

    @cached_property
    def covariance(self) -> Covariance:
        """The covariance of params without its p x p matrix; drawn again from the sample in every use.

        Raises
        ------
        InferenceUnavailableError
            As `std_errors`, and for a result that was loaded: a file keeps the diagonal alone.
        """
        units = None
        if self.sample is not None:
            # drawn again in every pass, so that a result that is kept does not keep the draws
            units = tuple(dataclasses.replace(u, keep=False) for u in self.sample.units)
        moments = self.moments
        if self.sample is not None and moments.variances is not None:
            # a result does not keep how each observation moved it either: with least squares that is a p x p matrix
            moments = self.sample.moments(cast("MomentKind", moments.kind), cov_type=moments.cov_type)
        return covariance_of(moments, units, "LEGResults")

    def cov_params(self) -> FloatArray:
        """Covariance matrix of params, shape (P p, P p); O(p^2) memory, one pass over the draws."""
        return self.covariance.matrix()

    def saliency_conf_int(
        self, *, level: float = 0.95, simultaneous: bool = False, n_draws: int = N_DRAWS, rng: Any = SEED
    ) -> FloatArray:
        """Intervals of the saliency map: of gamma itself, or of its absolute values combined over channels.

        Parameters
        ----------
        level : float, default 0.95
            Coverage, at least.
        simultaneous : bool, default False
            Whether all cells hold at once.
        n_draws, rng : optional
            As for `conf_int`.

        Returns
        -------
        ndarray of shape (p1 p2, 2)
            With several channels conservative: the sum of absolute values is not normal, so its interval is the image
            of bands that hold for the cell's channels together (Bonferroni), or for everything (max-t).
        """
        where, channels = "LEGResults.saliency_conf_int", self.params.size // self.moments.design.grid.n_cells
        checked = check_level(where, "level", level)
        if channels == 1 or check_flag(where, "simultaneous", simultaneous):
            flat = self.conf_int(level=checked, simultaneous=simultaneous, n_draws=n_draws, rng=rng)
        else:
            basis = self._basis
            basis.check(where, False)
            quantile = bonferroni_quantile(checked, channels)
            flat = symmetric(basis.estimates, t_quantiles(quantile, basis.joint_df) * basis.std_errors)
        if channels == 1:
            return flat
        summed = absolute_sum_intervals(flat.reshape(channels, -1, 2))
        rules = get_conventions(self.moments.source.get("conventions", "default"), "LEGResults")
        return summed / channels if rules.aggregation == "mean" else summed

    def contrasts(self, C: AnyArray, labels: tuple[str, ...] | None = None) -> Contrasts:
        """Linear contrasts C gamma with their covariance.

        Parameters
        ----------
        C : ndarray of shape (k, P p) or (P p,)
            One row a contrast.
        labels : tuple of str, optional
            Their names.

        Returns
        -------
        Contrasts
            Estimates, standard errors, intervals, tests.

        Raises
        ------
        ValueError
            If C is not finite or has another number of columns.
        InferenceUnavailableError
            As `covariance`.
        """
        matrix = contrast_matrix("LEGResults.contrasts", "C", C, self.params.size)
        names = tuple(f"contrast {i}" for i in range(len(matrix))) if labels is None else tuple(labels)
        if len(names) != len(matrix):
            raise ValueError(invalid("LEGResults.contrasts", "labels", labels, f"{len(matrix)} names"))
        variances, df = self.covariance.of(matrix)
        own = self._df_after_stopping(df) if self.use_t else np.full(len(matrix), np.inf)
        return Contrasts(
            labels=names,
            estimates=matrix @ self.params,
            covariance=variances,
            df=contrast_df(matrix, own),
            joint_df=joint_df(own),
            n=self.moments.n,
            cov_type=self.cov_type,
            unknowns=self._unknowns,
        )

    def wald_test(self, R: AnyArray, r: FloatArray | float = 0.0) -> WaldTest:
        """Test R gamma = r.

        Parameters
        ----------
        R : ndarray of shape (k, P p)
            One row a hypothesis, linearly independent.
        r : float or ndarray of shape (k,), default 0
            Right-hand sides.

        Returns
        -------
        WaldTest
            Statistic and p-value.
        """
        return self.contrasts(R).wald_test(r)

    def region(self, region: AnyArray | Box, *, aggregate: str = "mean", channel: int | str | None = None) -> Contrasts:
        """Mean or sum of gamma over a region, or over each of several.

        Parameters
        ----------
        region : ndarray of shape (p1, p2) or tuple of four int
            A boolean mask; a map of labels (superpixels), one contrast for each label >= 0; or a box (row, row after
            the last, column, column after the last). Named before looking at this sample's map: for regions that the
            data choose see `region_inference`.
        aggregate : {"mean", "sum"}, default "mean"
            Over the cells.
        channel : int or "sum", optional
            One channel, or the signed sum over channels; each channel by itself where it is left out.

        Returns
        -------
        Contrasts
            One for each region and channel.
        """
        return self.contrasts(*self._regions("LEGResults.region", region, aggregate, channel))

    def compare_regions(
        self, a: AnyArray | Box, b: AnyArray | Box, *, aggregate: str = "mean", channel: int | str | None = None
    ) -> Contrasts:
        """The difference of two regions, a - b, in each channel.

        Parameters
        ----------
        a, b : ndarray of shape (p1, p2) or tuple of four int
            Two regions, as for `region`.
        aggregate, channel : optional
            As for `region`.

        Returns
        -------
        Contrasts
            One for each channel.
        """
        (left, names), (right, others) = (
            self._regions("LEGResults.compare_regions", one, aggregate, channel) for one in (a, b)
        )
        if len(left) != len(right):
            got = f"{len(left)} and {len(right)}"
            raise ValueError(invalid("LEGResults.compare_regions", "a, b", got, "as many regions in either"))
        pairs = tuple(f"{one} - {other}" for one, other in zip(names, others, strict=True))
        return self.contrasts(left - right, pairs)

    def test_boxes(self, *, fwer: float = 0.05, smallest: int = 1) -> NestedTest:
        """Where the evidence is, at the finest scale at which it is certain; see `nested_test`.

        Parameters
        ----------
        fwer : float, default 0.05
            Probability of any false box, at most.
        smallest : int, default 1
            Sides of so many cells and fewer are not cut any more.

        Returns
        -------
        NestedTest
            The grid, its quarters, theirs and so on, with the decisions.
        """
        shape = self.moments.design.grid.shape
        channels = self.params.size // self.moments.design.grid.n_cells
        return nested_test(self.contrasts, (channels, *shape), fwer=fwer, smallest=smallest)

    def _regions(
        self, where: str, region: AnyArray | Box, aggregate: str, channel: int | str | None
    ) -> tuple[FloatArray, tuple[str, ...]]:
        """Contrast matrix and labels."""
        grid = self.moments.design.grid
        channels = self.params.size // grid.n_cells
        labels, weights = region_weights(where, region, grid.shape, aggregate)
        if channel == "sum":
            return np.tile(weights, channels), labels
        wanted = range(channels) if channel is None else [channel]
        rows, names = [], []
        for c in wanted:
            c = check_count(where, "channel", c, 0, channels - 1, remedy='Or "sum".')
            block = np.zeros((len(weights), channels, grid.n_cells))
            block[:, c] = weights
            rows.append(block.reshape(len(weights), -1))
            names += [f"{label}, channel {c}" if channels > 1 else label for label in labels]
        return np.concatenate(rows), tuple(names)
