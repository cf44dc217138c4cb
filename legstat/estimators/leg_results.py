"""Results of LEG: the estimate with its standard errors, intervals and tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from legstat._core.typing import JSON, AnyArray, FloatArray
from legstat.estimators.results import Results
from legstat.inference.cells import Cells
from legstat.report.summary import leg_summary
from legstat.samples.sample import QuerySample

if TYPE_CHECKING:
    from statsmodels.iolib.summary import Summary


@dataclass(frozen=True, kw_only=True, eq=False)
class LEGResults(Cells, Results):
    """LEG with its standard errors, intervals and tests.

    See `Results` for the common attributes and `legstat.inference.cells.Cells` for what stands behind the inference.

    Attributes
    ----------
    sample : QuerySample or None
        What it was estimated from, for covariances between cells; None for a result from moments alone or from a file.
    use_t : bool
        Whether intervals and p-values are Student's, with the degrees of freedom of each standard error, or normal.

    Examples
    --------
    >>> import numpy as np, legstat as ls
    >>> f, design = ls.simulate.linear(np.eye(4)), ls.StructuredGaussian(grid=(4, 4), scale=0.05)
    >>> result = ls.LEG(ls.query(f, np.full((1, 4, 4), 0.5), design, n_queries=201, rng=0)).fit()
    >>> result
    <LEGResults 4x4 n=100 moments=crossfit>
    >>> result.saliency.shape, result.std_errors.shape, result.conf_int(level=0.9).shape
    ((4, 4), (16,), (16, 2))
    """

    sample: QuerySample | None = None
    use_t: bool = True

    def _extra(self) -> tuple[JSON, dict[str, AnyArray]]:
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
