"""Whether two maps resemble each other more than maps of the same smoothness do by chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

from legstat._core.checks import check_count, check_rng
from legstat._core.errors import BackendUnavailableError, invalid
from legstat._core.frozen import Portable
from legstat._core.typing import AnyArray, FloatArray
from legstat.metrics import agreement
from legstat.metrics.faithfulness import rank_correlation
from legstat.metrics.masked import check_map

_SMALLEST = 7
"""Cells a side that structural similarity needs."""


def surrogates(values: AnyArray, n: int, *, rng: Any = None) -> FloatArray:
    r"""Random maps as smooth as a given one: its Fourier amplitudes with random phases (Theiler et al., 1992).

    The phases are those of white noise, so that the maps are real; mean and power spectrum stay, to rounding, and with
    them the autocorrelation on the torus. Where something is in the map does not.

    Parameters
    ----------
    values : ndarray of shape (p1, p2)
        The map.
    n : int
        How many.
    rng : int or anything `numpy.random.default_rng` takes
        Source of the phases.

    Returns
    -------
    ndarray of shape (n, p1, p2)
        The maps.

    Examples
    --------
    >>> import numpy as np
    >>> smooth = np.add.outer(np.cos(np.arange(8)), np.sin(np.arange(8)))
    >>> maps = surrogates(smooth, 3, rng=0)
    >>> bool(np.allclose(np.abs(np.fft.fft2(maps)), np.abs(np.fft.fft2(smooth)), atol=1e-9))
    True
    """
    where = "checks.surrogates"
    given = check_map(where, values)
    noise = check_rng(where, rng).standard_normal((check_count(where, "n", n, 1), *given.shape))
    phases = scipy.fft.rfft2(noise)
    turned = phases / np.abs(phases)
    turned[:, 0, 0] = 1.0  # the mean stays
    made: FloatArray = scipy.fft.irfft2(scipy.fft.rfft2(given) * turned, s=given.shape)
    return made


@dataclass(frozen=True)
class Resemblance(Portable):
    """How alike two maps are, and how often maps of the same smoothness are as alike by chance.

    Parameters
    ----------
    values : dict of str to float
        "spearman", and where scikit-image is there and the grid large enough "spearman_abs", "ssim" and "hog", as in
        `legstat.metrics.Agreement`. NaN where a map is constant.
    pvalues : dict of str to float
        Of each, one-sided: (1 + surrogates at least as alike) / (1 + surrogates). 1 where a map is constant.

    Examples
    --------
    >>> Resemblance({"spearman": 0.5}, {"spearman": 0.01})
    <Resemblance spearman 0.500 (p = 0.01)>
    """

    values: dict[str, float]
    pvalues: dict[str, float]

    def __repr__(self) -> str:
        shown = ", ".join(f"{name} {value:.3f} (p = {self.pvalues[name]:.2g})" for name, value in self.values.items())
        return f"<Resemblance {shown}>"


def resemblance(a: AnyArray, b: AnyArray, *, n_surrogates: int = 199, rng: Any = None) -> Resemblance:
    """Agreement of two maps, with p-values against the null that b has nothing to do with a but is as smooth as it is.

    Parameters
    ----------
    a, b : ndarray of shape (p1, p2)
        Two maps of one grid; the surrogates are those of b.
    n_surrogates : int, default 199
        Random maps that b is compared with, at least 19.
    rng : int or anything `numpy.random.default_rng` takes
        Their source.

    Returns
    -------
    Resemblance
        Measures and p-values.

    Raises
    ------
    ValueError
        Maps of different grids.

    Examples
    --------
    >>> import numpy as np
    >>> a = np.add.outer(np.cos(np.arange(8)), np.sin(np.arange(8)))
    >>> resemblance(a, a, rng=0).pvalues["spearman"]
    0.005
    """
    where = "checks.resemblance"
    one, two = check_map(where, a), check_map(where, b)
    if one.shape != two.shape:
        raise ValueError(invalid(where, "b", two.shape, f"on the grid of a, {one.shape}"))
    check_count(where, "n_surrogates", n_surrogates, 19)
    found = _measures(one, two)
    if not np.isfinite(found["spearman"]):
        return Resemblance(found, dict.fromkeys(found, 1.0))
    null = [_measures(one, fake) for fake in surrogates(two, n_surrogates, rng=rng)]
    pvalues = {
        name: (1.0 + sum(not fake[name] < value for fake in null)) / (1.0 + n_surrogates)
        for name, value in found.items()
    }
    return Resemblance(found, pvalues)


def _measures(a: FloatArray, b: FloatArray) -> dict[str, float]:
    """Of two maps: all four where they can be had, ranks alone elsewhere."""
    if min(a.shape) >= _SMALLEST and np.ptp(a) > 0.0 < np.ptp(b):
        try:
            found = agreement(a, b)
        except BackendUnavailableError:
            pass
        else:
            return {name: getattr(found, name) for name in ("spearman", "spearman_abs", "ssim", "hog")}
    return {"spearman": rank_correlation(a, b)}
