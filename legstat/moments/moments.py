"""The moment vector with what is needed to use it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import partial

import numpy as np

from legstat._core.errors import invalid
from legstat._core.typing import JSON, FloatArray
from legstat._core.values import read_only
from legstat.designs.design import Design
from legstat.moments.influence import Influence


@dataclass(frozen=True, kw_only=True, eq=False)
class Moments:
    """A moment vector with what is needed to use it; all that those who may share no responses must hand over.

    Attributes
    ----------
    b : ndarray of shape (P, p)
        Estimate of Sigma gamma, one row for each channel that was perturbed by itself, one in all where they share z.
        Units: score times units of z.
    design : Design
        Law of z, hence Sigma.
    n : int
        Independent observations behind each row: draws, or pairs if antithetic.
    kind : str
        How b was estimated; "given" for a vector that came from elsewhere.
    variances : ndarray of shape (P, p) or None
        Estimated variance of each entry of LEG = Sigma^{-1} b, where the kind has one that is valid.
    df : ndarray of shape (P, p) or None
        Degrees of freedom of these variances (`legstat.moments.influence.degrees_of_freedom`).
    source : dict
        Facts about the experiment (`QuerySample.summary_header`), empty for given moments.
    cov_type : str
        Which estimate of variance stands behind `variances`, "none" without one.
    influence : tuple of Influence or None
        How each observation moved the estimate, stream by stream: with the sample's it gives covariances, contrasts and
        the multiplier bootstrap. Not saved with results.

    Examples
    --------
    >>> from legstat import LEG, Moments, StructuredGaussian
    >>> design = StructuredGaussian(grid=(4, 4), scale=0.1)
    >>> b = design.covariance(np.linspace(-1, 1, 16))
    >>> np.allclose(LEG(Moments(b=b, design=design, n=1000)).fit().params, np.linspace(-1, 1, 16))
    True
    """

    b: FloatArray
    design: Design
    n: int
    kind: str = "given"
    variances: FloatArray | None = None
    df: FloatArray | None = None
    source: JSON = field(default_factory=dict)
    cov_type: str = "none"
    influence: tuple[Influence, ...] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.design, Design):
            raise TypeError(invalid("Moments", "design", type(self.design).__name__, "a Design: the law of z"))
        p = self.design.grid.n_cells
        if np.iscomplexobj(self.b) or np.asarray(self.b).dtype.kind not in "biuf":
            raise TypeError(invalid("Moments", "b", self.b, "real numbers"))
        b = np.array(self.b, dtype=np.float64)
        if b.size == 0 or b.size % p or not np.isfinite(b).all():
            got = f"shape {b.shape}, finite: {bool(np.isfinite(b).all())}"
            raise ValueError(invalid("Moments", "b", got, f"finite, with a multiple of p = {p} entries"))
        n: object = self.n
        if not isinstance(n, int | np.integer) or isinstance(n, bool) or n < 1:
            raise ValueError(invalid("Moments", "n", n, "a whole number of draws >= 1"))
        object.__setattr__(self, "b", read_only(b.reshape(-1, p)))
        for name, given in (("variances", self.variances), ("df", self.df)):
            if given is None:
                continue
            array = np.array(given, dtype=np.float64)
            if array.size != b.size or not (np.isfinite(array).all() and (array >= 0).all()):
                valid = f"finite, >= 0, one for each of the {b.size} entries of LEG"
                raise ValueError(invalid("Moments", name, given, valid))
            object.__setattr__(self, name, read_only(array.reshape(self.b.shape)))

    def __reduce__(self) -> tuple[partial[Moments], tuple[()]]:
        # made again by the constructor, which locks its arrays
        return partial(Moments, **{f.name: getattr(self, f.name) for f in fields(self)}), ()

    def __repr__(self) -> str:
        shape = "x".join(map(str, (*self.b.shape[:1], *self.design.grid.shape)[len(self.b) == 1 :]))
        return f"<Moments {shape} n={self.n} kind={self.kind} cov_type={self.cov_type}>"

    @property
    def gamma(self) -> FloatArray:
        """LEG, eq. 4: Sigma^{-1} b, shape (P, p)."""
        return self.design.solve(self.b)
