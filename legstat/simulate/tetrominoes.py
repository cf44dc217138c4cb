"""Pictures of 8 x 8 pixels whose class a known tetromino decides, in the manner of XAI-TRIS (Clark et al., 2023)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import scipy

from legstat._core.checks import check_choice, check_count, check_rng, check_within
from legstat._core.typing import BoolArray, FloatArray, IntArray

Scenario = Literal["linear", "multiplicative", "rigid", "xor"]
Background = Literal["white", "correlated"]

SIDE = 8
_SMOOTHING = 3.0  # pixels of the Gaussian that makes a background correlated
_T = np.array([[1, 0], [1, 1], [1, 0]], dtype=np.float64)
_L = np.array([[1, 0], [1, 0], [1, 1]], dtype=np.float64)
_PLACES = ((1, 1), (4, 5))  # upper left corners of T and L where they do not move
_ALPHA: dict[tuple[str, str], float] = {
    ("linear", "white"): 0.18,
    ("linear", "correlated"): 0.0125,
    ("multiplicative", "white"): 0.7,
    ("multiplicative", "correlated"): 0.1,
    ("rigid", "white"): 0.65,
    ("rigid", "correlated"): 0.2,
    ("xor", "white"): 0.35,
    ("xor", "correlated"): 0.15,
}
"""Shares of the signal as in the paper's 8 x 8 experiments."""


@dataclass(frozen=True, eq=False)
class Tetrominoes:
    """Pictures, their classes, and the pixels that decide them.

    Attributes
    ----------
    images : ndarray of shape (n, 1, 8, 8)
        In [0, 1]; 1/2 is no signal.
    labels : ndarray of shape (n,)
        0 or 1.
    truths : ndarray of shape (n, 8, 8)
        True where a pixel carries the class: the pixels of both tetrominoes where they have places of their own (what
        is missing at one place tells the class as well), those of the picture's only tetromino where it moves.

    Examples
    --------
    >>> tetrominoes("linear", "white", 4, rng=0)
    <Tetrominoes: 4 pictures>
    """

    images: FloatArray = field(repr=False)
    labels: IntArray = field(repr=False)
    truths: BoolArray = field(repr=False)

    def __repr__(self) -> str:
        return f"<Tetrominoes: {len(self.labels)} pictures>"


def tetrominoes(
    scenario: Scenario, background: Background, n: int, *, alpha: float | None = None, rng: Any = None
) -> Tetrominoes:
    r"""Random pictures of 8 x 8 pixels that a T or an L decides (Clark, Wilming and Haufe, 2023, section 2).

    With the signal s of a tetromino's pixels and the background :math:`\eta`, both scaled to norm 1 over all pictures,

    .. math:: x = \alpha s + (1 - \alpha) \eta \quad\text{or, if multiplicative,}\quad x = (1 - \alpha s)\,\eta,

    scaled to :math:`|x| \le 1` over all pictures and given as (1 + x) / 2.

    Parameters
    ----------
    scenario : {"linear", "multiplicative", "rigid", "xor"}
        "linear" and "multiplicative": class 0 has a T, class 1 an L, each at a place of its own. "rigid": T or L,
        turned by a multiple of 90 degrees, anywhere. "xor": both, of one sign (class 0) or of different signs (class
        1).
    background : {"white", "correlated"}
        Independent normal numbers, or these smoothed by a Gaussian of 3 pixels.
    n : int
        Pictures, half of each class.
    alpha : float, optional
        Share of the signal, within [0, 1]. By default that of the paper's experiments.
    rng : None, int, Generator or anything `numpy.random.default_rng` takes
        Of everything that is drawn.

    Returns
    -------
    Tetrominoes
        Pictures in random order.

    Raises
    ------
    ValueError
        An unknown scenario or background, alpha out of range, fewer than two pictures.

    Notes
    -----
    The scale depends on all pictures of the call: draw those to train and to test with at once.

    Examples
    --------
    >>> found = tetrominoes("rigid", "correlated", 6, rng=0)
    >>> found.images.shape, found.truths.sum(axis=(1, 2)).tolist()
    ((6, 1, 8, 8), [4, 4, 4, 4, 4, 4])
    """
    where = "tetrominoes"
    check_choice(where, "scenario", scenario, get_args(Scenario))
    check_choice(where, "background", background, get_args(Background))
    count = check_count(where, "n", n, 2)
    share = _ALPHA[scenario, background] if alpha is None else check_within(where, "alpha", alpha, 0.0, 1.0)
    generator = check_rng(where, rng)
    labels = generator.permutation(np.arange(count) % 2)
    signal = np.array([_signal(scenario, label, generator) for label in labels])
    noise = generator.standard_normal((count, SIDE, SIDE))
    if background == "correlated":
        noise = scipy.ndimage.gaussian_filter(noise, _SMOOTHING, axes=(1, 2))
    truths = signal != 0.0 if scenario == "rigid" else np.broadcast_to(_fixed(1.0, 1.0) != 0.0, signal.shape).copy()
    if scenario == "multiplicative":
        x = (1.0 - share * signal) * noise
    else:
        x = share * signal / np.linalg.norm(signal) + (1.0 - share) * noise / np.linalg.norm(noise)
    return Tetrominoes((1.0 + x / np.abs(x).max())[:, None] / 2.0, labels, truths)


def _signal(scenario: str, label: int, rng: np.random.Generator) -> FloatArray:
    if scenario == "rigid":
        turned = np.rot90((_T, _L)[label], int(rng.integers(4)))
        corner = tuple(int(rng.integers(SIDE - size + 1)) for size in turned.shape)
        return _placed(turned, (corner[0], corner[1]))
    if scenario == "xor":
        sign = rng.choice([-1.0, 1.0])
        return _fixed(sign, sign if label == 0 else -sign)
    return _fixed(*((1.0, 0.0), (0.0, 1.0))[label])


def _fixed(t: float, l: float) -> FloatArray:  # noqa: E741  # the tetrominoes' names
    return t * _placed(_T, _PLACES[0]) + l * _placed(_L, _PLACES[1])


def _placed(pattern: FloatArray, corner: tuple[int, int]) -> FloatArray:
    picture = np.zeros((SIDE, SIDE))
    (row, column), (height, width) = corner, pattern.shape
    picture[row : row + height, column : column + width] = pattern
    return picture
