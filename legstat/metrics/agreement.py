"""Whether maps agree: with one another, and with themselves when the picture hardly changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from legstat._core.checks import check_count, check_positive, check_rng
from legstat._core.errors import invalid
from legstat._core.optional import optional_module
from legstat._core.pictures import check_picture
from legstat._core.typing import AnyArray, FloatArray
from legstat.metrics.faithfulness import rank_correlation
from legstat.metrics.masked import check_map


@dataclass(frozen=True)
class Agreement:
    """How alike two maps are (Adebayo et al., 2018, section 3).

    Attributes
    ----------
    spearman : float
        Rank correlation of the cells; NaN where a map is constant.
    spearman_abs : float
        The same of their absolute values.
    ssim : float
        Structural similarity of the maps scaled to [0, 1].
    hog : float
        Correlation of their histograms of oriented gradients; NaN where a map has none.

    Examples
    --------
    >>> Agreement(1.0, 1.0, 1.0, 1.0)
    Agreement(spearman=1.0, spearman_abs=1.0, ssim=1.0, hog=1.0)
    """

    spearman: float
    spearman_abs: float
    ssim: float
    hog: float


def agreement(a: AnyArray, b: AnyArray) -> Agreement:
    """Agreement of two maps of the same grid, by ranks, by structure and by gradients.

    Parameters
    ----------
    a, b : ndarray of shape (p1, p2)
        The maps; for structure and gradients each is scaled to [0, 1], and at least 7 x 7 cells are needed.

    Returns
    -------
    Agreement
        Four measures.

    Raises
    ------
    ValueError
        Maps of different or too small grids.
    BackendUnavailableError
        scikit-image is missing (extra ``compare``).

    Examples
    --------
    >>> row = np.add.outer(np.arange(14.0), np.arange(14.0))
    >>> agreement(row, 2.0 * row).spearman
    1.0
    """
    one, two = check_map("agreement", a), check_map("agreement", b)
    if one.shape != two.shape:
        raise ValueError(invalid("agreement", "b", two.shape, f"on the grid of a, {one.shape}"))
    if min(one.shape) < 7:
        raise ValueError(invalid("agreement", "a, b", one.shape, "of at least 7 x 7 cells, the window of SSIM"))
    needed = ("scikit-image", "compare", "Structural similarity of maps")
    metrics, feature = (optional_module(f"skimage.{part}", *needed) for part in ("metrics", "feature"))
    first, second = _scaled(one), _scaled(two)
    cell = max(min(one.shape) // 4, 2)
    hogs = [np.asarray(feature.hog(m, pixels_per_cell=(cell, cell), cells_per_block=(1, 1))) for m in (first, second)]
    constant = any(np.ptp(h) == 0.0 for h in hogs)
    return Agreement(
        spearman=rank_correlation(one, two),
        spearman_abs=rank_correlation(np.abs(one), np.abs(two)),
        ssim=float(metrics.structural_similarity(first, second, data_range=1.0)),
        hog=float("nan") if constant else float(np.corrcoef(hogs[0], hogs[1])[0, 1]),
    )


def max_sensitivity(
    explain: Callable[[FloatArray], AnyArray],
    image: AnyArray,
    *,
    saliency: AnyArray | None = None,
    radius: float = 0.02,
    draws: int = 10,
    rng: object = 0,
) -> float:
    r"""Largest relative change of a map when the picture changes by at most `radius` (Yeh et al., 2019, def. 3.1).

    .. math:: \max_{\|x - x_0\|_\infty \le r} \|s(x) - s(x_0)\| / \|s(x_0)\|

    over uniform draws. A method with random draws of its own moves even at r = 0: hold its seed fixed.

    Parameters
    ----------
    explain : callable
        Picture (C, H, W) in [0, 1] to map.
    image : ndarray of shape (C, H, W)
        x0.
    saliency : ndarray of shape (p1, p2), optional
        s(x0), where it is there already.
    radius : float, default 0.02
        r in pixel values.
    draws : int, default 10
        Pictures that are tried.
    rng : int or anything `numpy.random.default_rng` takes, default 0
        Draws them.

    Returns
    -------
    float
        Low is stable.

    Raises
    ------
    ValueError
        Arguments out of range; a map of zeros at x0.

    Notes
    -----
    Costs `draws` maps, and that of x0 where it is not given.

    Examples
    --------
    >>> max_sensitivity(lambda x: x[0], np.full((1, 4, 4), 0.5), radius=0.0001) < 0.001
    True
    """
    check_positive("max_sensitivity", "radius", radius)
    check_count("max_sensitivity", "draws", draws)
    generator = check_rng("max_sensitivity", rng)
    picture = check_picture("max_sensitivity", image)
    start = check_map("max_sensitivity", explain(picture) if saliency is None else saliency)
    norm = float(np.linalg.norm(start))
    if norm == 0.0:
        raise ValueError(invalid("max_sensitivity", "explain", "a map of zeros at x0", "a map that is not zero"))
    moved = (np.clip(picture + generator.uniform(-radius, radius, picture.shape), 0.0, 1.0) for _ in range(draws))
    changes = [np.linalg.norm(check_map("max_sensitivity", explain(x)) - start) / norm for x in moved]
    return float(max(changes))


def _scaled(values: FloatArray) -> FloatArray:
    span = np.ptp(values)
    return (values - values.min()) / span if span > 0 else np.zeros_like(values)
