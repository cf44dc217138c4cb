"""Does the map say what the response does? Single deletions, infidelity, and ROAD's deletions that leave no edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import scipy

from legstat._core.checks import check_count, check_rng, check_within
from legstat._core.errors import invalid
from legstat._core.typing import AnyArray, BoolArray, FloatArray, IntArray
from legstat._core.values import read_only
from legstat.designs.grid import Grid
from legstat.metrics.deletion import Curve
from legstat.metrics.masked import Answering, MaskedPicture, check_map, ranked, removed_shares
from legstat.metrics.references import ReferenceName, reference_picture


@dataclass(frozen=True, eq=False)
class PatchDeletions:
    """A map beside the effect of deleting one patch after the other.

    Attributes
    ----------
    effects : ndarray of shape (a, b)
        f(x0) - f(x0 without that patch).
    sums : ndarray of shape (a, b)
        The map's sum over the patch.
    correlation : float
        Spearman's rank correlation of the two; NaN where one of them is constant.
    n_queries : int
        Evaluations spent.

    Examples
    --------
    >>> PatchDeletions(np.eye(2), np.eye(2), 1.0, 5)
    <PatchDeletions 2x2: rank correlation 1>
    """

    effects: FloatArray = field(repr=False)
    sums: FloatArray = field(repr=False)
    correlation: float
    n_queries: int

    def __repr__(self) -> str:
        rows, columns = self.effects.shape
        return f"<PatchDeletions {rows}x{columns}: rank correlation {self.correlation:.3g}>"


def patch_deletions(
    response: Answering,
    image: AnyArray,
    saliency: AnyArray,
    *,
    patches: tuple[int, int] = (4, 4),
    baseline: ReferenceName | FloatArray = "blur",
) -> PatchDeletions:
    """Rank correlation of a map with the effect of deleting each of a few patches.

    Parameters
    ----------
    response : Response or callable
        The black box; a network's score is the probability of its target.
    image : ndarray of shape (C, H, W)
        x0 in [0, 1].
    saliency : ndarray of shape (p1, p2)
        The map.
    patches : tuple of int, default (4, 4)
        Rows and columns of patches, which must divide picture and map.
    baseline : str or ndarray, default "blur"
        What a patch is replaced by, see `deletion`.

    Returns
    -------
    PatchDeletions
        Effects, the map's sums, and their correlation.

    Raises
    ------
    ValueError
        Anything that does not fit, before the first evaluation.

    Notes
    -----
    Costs one evaluation a patch and one at x0.

    Examples
    --------
    >>> import legstat as ls
    >>> gamma = np.arange(16.0).reshape(4, 4)
    >>> ls.metrics.patch_deletions(ls.simulate.linear(gamma), np.ones((1, 8, 8)), gamma, baseline="black").correlation
    1.0
    """
    where = "patch_deletions"
    values = check_map(where, saliency)
    given: object = patches
    if not (isinstance(given, tuple | list) and len(given) == 2 and min(given) >= 1):
        raise ValueError(invalid(where, "patches", patches, "(rows, columns) of patches, such as (4, 4)"))
    subject = MaskedPicture(where, response, image, patches)
    if values.shape[0] % patches[0] or values.shape[1] % patches[1]:
        raise ValueError(invalid(where, "patches", patches, f"a grid that divides the map {values.shape}"))
    reference = reference_picture(where, baseline, subject.image, subject.opened)
    n = patches[0] * patches[1]
    keep = 1.0 - np.eye(n).reshape(n, *patches)
    effects = (subject.f_x0 - subject.scores(reference, keep)).reshape(patches)
    size = values.size / n
    sums = Grid(patches).cell_means(values) * size
    return PatchDeletions(effects, sums, rank_correlation(effects, sums), subject.n_queries)


def infidelity(
    response: Answering,
    image: AnyArray,
    saliency: AnyArray,
    *,
    baseline: ReferenceName | FloatArray = "blur",
    side: int = 4,
    draws: int = 200,
    rescale: bool = True,
    rng: object = 0,
) -> float:
    r"""Infidelity of a map under deletions of random squares (Yeh et al., 2019, eq. 1, with squares as in their 2.3).

    .. math:: E\left[\left(\beta \sum_{c \in Q} s_c - (f(x_0) - f(x_0 \text{ without } Q))\right)^2\right]

    Q a square of `side` cells placed uniformly, and beta = 1 or (`rescale`) the factor that makes it least, since maps
    come in units of their own.

    Parameters
    ----------
    response, image, saliency, baseline : as for `deletion`
        What is asked.
    side : int, default 4
        Cells along a side of the squares.
    draws : int, default 200
        Squares.
    rescale : bool, default True
        Whether beta is fitted.
    rng : int or anything `numpy.random.default_rng` takes, default 0
        Places the squares.

    Returns
    -------
    float
        Low is good; in squared units of the score.

    Raises
    ------
    ValueError
        Anything that does not fit, before the first evaluation.

    Notes
    -----
    Costs `draws` + 1 evaluations.

    Examples
    --------
    >>> import legstat as ls
    >>> gamma = np.arange(16.0).reshape(4, 4)
    >>> f, image = ls.simulate.linear(gamma), np.ones((1, 8, 8))
    >>> round(ls.metrics.infidelity(f, image, gamma, baseline="black", side=2), 12)
    0.0
    """
    where = "infidelity"
    values = check_map(where, saliency)
    n, a = check_count(where, "draws", draws, 2), check_count(where, "side", side, 1, min(values.shape))
    generator = check_rng(where, rng)
    subject = MaskedPicture(where, response, image, (values.shape[0], values.shape[1]))
    reference = reference_picture(where, baseline, subject.image, subject.opened)
    keep = np.ones((n, *values.shape))
    corners = generator.integers(0, [values.shape[0] - a + 1, values.shape[1] - a + 1], size=(n, 2))
    for mask, (row, column) in zip(keep, corners, strict=True):
        mask[row : row + a, column : column + a] = 0.0
    said = np.einsum("nij,ij->n", 1.0 - keep, values)
    effects = subject.f_x0 - subject.scores(reference, keep)
    beta = float(said @ effects) / max(float(said @ said), np.finfo(float).tiny) if rescale else 1.0
    return float(np.mean((beta * said - effects) ** 2))


def road(
    response: Answering,
    image: AnyArray,
    saliency: AnyArray,
    *,
    fractions: Sequence[float] | FloatArray = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
    noise: float = 0.01,
    most_first: bool = True,
    rng: object = 0,
) -> Curve:
    """ROAD: deletions filled in from their surroundings, so that the shape of what is gone tells nothing.

    Pixels that are removed become the solution of a linear system in which each is the weighted mean of its eight
    neighbours (1/6 beside, 1/12 across), plus a little noise (Rong et al., 2022, section 4.2).

    Parameters
    ----------
    response, image, saliency : as for `deletion`
        What is asked.
    fractions : sequence of float
        Ascending shares of cells that are removed, strictly between 0 and 1.
    noise : float, default 0.01
        Standard deviation of the noise on filled pixels, in units of [0, 1].
    most_first : bool, default True
        Remove the most important cells first (a low area is good), or the least important ones (a high one is).
    rng : int or anything `numpy.random.default_rng` takes, default 0
        Of ties and noise.

    Returns
    -------
    Curve
        f(x0) at 0, then a score for each share.

    Raises
    ------
    ValueError
        Anything that does not fit, before the first evaluation.

    Notes
    -----
    Costs one evaluation a share and one at x0; the sparse solves of 224 x 224 pixels take some seconds.

    Examples
    --------
    >>> import legstat as ls
    >>> f = ls.simulate.linear(np.array([[1.0, 0.0], [0.0, 0.0]]))
    >>> ls.metrics.road(f, np.full((1, 4, 4), 0.5), [[1, 0], [0, 0]], fractions=[0.25], noise=0.0).scores.round(6)
    array([0.5, 0.5])
    """
    where = "road"
    values = check_map(where, saliency)
    shares = np.asarray(fractions, dtype=np.float64)
    if shares.ndim != 1 or not shares.size or shares.min() <= 0 or shares.max() >= 1 or np.any(np.diff(shares) <= 0):
        raise ValueError(invalid(where, "fractions", fractions, "ascending, strictly between 0 and 1"))
    sd = check_within(where, "noise", noise, 0.0, 1.0)
    generator = check_rng(where, rng)
    order, tied = ranked(where, values if most_first else -values, generator)
    subject = MaskedPicture(where, response, image, (values.shape[0], values.shape[1]))
    counts = np.clip(np.round(shares * values.size).astype(np.int64), 1, values.size - 1)
    removed = subject.grid.lift(removed_shares(order, counts, subject.grid.shape), *subject.image.shape[-2:]) > 0.5
    pictures = np.array([filled_in(subject.image, gone, sd, generator) for gone in removed])
    scores = np.concatenate([[subject.f_x0], subject.picture_scores(pictures)])
    return Curve("road", np.concatenate([[0.0], counts / values.size]), scores, "filled in", tied, subject.n_queries)


def filled_in(image: FloatArray, gone: BoolArray, noise: float, rng: np.random.Generator) -> FloatArray:
    """The picture (C, H, W) with the pixels `gone` (H, W) as weighted means of their neighbours, plus noise."""
    from scipy.sparse.linalg import splu  # slow to load, and only this function solves

    order, weights = _neighbours(*gone.shape)
    unknown = gone.ravel()[order]
    rows, pixels = weights[unknown], image.reshape(len(image), -1)
    # at the border the weights of the neighbours that are there are rescaled to 1
    system = scipy.sparse.diags_array(rows.sum(axis=1)) - rows[:, unknown]
    # a symmetric pattern whose diagonal dominates needs no pivots; its order is that of the pixels
    factors = splu(
        scipy.sparse.csc_matrix(system),
        permc_spec="NATURAL",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )
    solved = factors.solve(rows[:, ~unknown] @ pixels[:, order[~unknown]].T)
    picture = image.copy()
    picture.reshape(pixels.shape)[:, order[unknown]] = solved.T
    picture[:, gone] = np.clip(picture[:, gone] + noise * rng.standard_normal(solved.T.shape), 0.0, 1.0)
    return picture


@lru_cache(maxsize=4)
def _neighbours(height: int, width: int) -> tuple[IntArray, Any]:
    """Pixels in the order of nested dissection, and the weights of each one's neighbours, in that order (CSR)."""
    order = _dissected(np.arange(height * width).reshape(height, width))
    place = np.empty((height, width), dtype=np.int64)
    place.flat[order] = np.arange(order.size)
    pairs = (
        (1 / 6, place[:, :-1], place[:, 1:]),
        (1 / 6, place[:-1], place[1:]),
        (1 / 12, place[:-1, :-1], place[1:, 1:]),
        (1 / 12, place[:-1, 1:], place[1:, :-1]),
    )
    one, other, weight = (
        np.concatenate(parts)
        for parts in zip(*((a.ravel(), b.ravel(), np.full(a.size, w)) for w, a, b in pairs), strict=True)
    )
    half = scipy.sparse.csr_array((weight, (one, other)), shape=(order.size, order.size))
    return read_only(order), scipy.sparse.csr_array(half + half.T)


def _dissected(pixels: IntArray) -> IntArray:
    """Pixels in the order of nested dissection (George, 1973): both halves of a picture, then the line between them.

    Eliminated in that order, a system of neighbours fills in less than in any order that is found from its entries, for
    every subset of the pixels: the factors of 45,000 take 0.1 s, in SciPy's own order 0.22.
    """
    across = pixels if pixels.shape[0] >= pixels.shape[1] else pixels.T
    if len(across) < 3:
        return pixels.ravel()
    middle = len(across) // 2
    return np.concatenate([_dissected(across[:middle]), _dissected(across[middle + 1 :]), across[middle]])


def rank_correlation(a: FloatArray, b: FloatArray) -> float:
    """Spearman's rank correlation of two arrays; NaN where one is constant."""
    if np.ptp(a) == 0.0 or np.ptp(b) == 0.0:
        return float("nan")
    return float(scipy.stats.spearmanr(a.ravel(), b.ravel()).statistic)
