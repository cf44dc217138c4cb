"""The metrics that need no truth, as measures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import numpy as np

from legstat._core.errors import invalid
from legstat._core.typing import FloatArray
from legstat.comparison.measure import Measure, Measured, told_apart
from legstat.comparison.method import MethodMap
from legstat.designs.grid import Grid
from legstat.metrics.agreement import max_sensitivity
from legstat.metrics.deletion import Curve, deletion, insertion
from legstat.metrics.faithfulness import infidelity, patch_deletions, road
from legstat.metrics.localisation import smallest_box
from legstat.metrics.masking import Masking, key_size, masking_curve
from legstat.metrics.references import ReferenceName
from legstat.responses.base import Response


@dataclass(frozen=True)
class _Area:
    """What both curves have in common."""

    baseline: ReferenceName = "blur"
    steps: int = 56
    name: str = ""
    high_is_good: bool = False
    _curve: ClassVar[Callable[..., Curve]]

    def __call__(
        self, response: Response, image: FloatArray, saliency: FloatArray, rng: np.random.Generator
    ) -> Measured:
        """The area."""
        curve = self._curve(
            response, image, told_apart(saliency, rng), baseline=self.baseline, steps=self.steps, rng=rng
        )
        return Measured(curve.area, curve.n_queries, curve=curve)


@dataclass(frozen=True)
class DeletionArea(_Area):
    """Area under the deletion curve; see `legstat.metrics.deletion`.

    Parameters
    ----------
    baseline, steps : as there
        Of the curve.

    Examples
    --------
    >>> DeletionArea(baseline="zeros")
    DeletionArea(baseline='zeros', steps=56, name='deletion', high_is_good=False)
    """

    name: str = "deletion"
    high_is_good: bool = False
    _curve = staticmethod(deletion)


@dataclass(frozen=True)
class InsertionArea(_Area):
    """Area under the insertion curve; see `legstat.metrics.insertion`.

    Parameters
    ----------
    baseline, steps : as there
        Of the curve.

    Examples
    --------
    >>> InsertionArea().high_is_good
    True
    """

    name: str = "insertion"
    high_is_good: bool = True
    _curve = staticmethod(insertion)


@dataclass(frozen=True)
class DifferenceOf:
    """One measure minus another; what they share with others in a comparison is asked for once.

    Parameters
    ----------
    first, second : Measure
        The two.
    name : str
        What tables call the difference.
    high_is_good : bool, default True
        Which maps it prefers.

    Examples
    --------
    >>> DifferenceOf().name
    'insertion_minus_deletion'
    """

    first: Measure = InsertionArea()
    second: Measure = DeletionArea()
    name: str = "insertion_minus_deletion"
    high_is_good: bool = True

    def __call__(
        self, response: Response, image: FloatArray, saliency: FloatArray, rng: np.random.Generator
    ) -> Measured:
        """The difference, both measures with draws of their own."""
        a, b = (one(response, image, saliency, draws) for one, draws in zip(self.parts, rng.spawn(2), strict=True))
        return self.of(a, b)

    @property
    def parts(self) -> tuple[Measure, Measure]:
        """The two measures."""
        return self.first, self.second

    def of(self, a: Measured, b: Measured) -> Measured:
        """The difference of what was measured."""
        return Measured(a.value - b.value, a.n_queries + b.n_queries)


@dataclass(frozen=True)
class KeySizeShare:
    """Share of cells to mask until the first choice changes; see `legstat.metrics.key_size`.

    Parameters
    ----------
    masking, steps : as there
        How cells are masked, and how many shares are tried.

    Examples
    --------
    >>> KeySizeShare("distance").name
    'key_size'
    """

    masking: Masking = "black"
    steps: int = 56
    name: str = "key_size"
    high_is_good: bool = False

    def __call__(
        self, response: Response, image: FloatArray, saliency: FloatArray, rng: np.random.Generator
    ) -> Measured:
        """The share, censored where no share that was tried changes the choice."""
        found = key_size(response, image, told_apart(saliency, rng), masking=self.masking, steps=self.steps, rng=rng)
        return Measured(found.size, found.n_queries, found.censored)


@dataclass(frozen=True)
class LogOddsRatio:
    """Mean log-odds ratio over 5, 10, ..., 40 % of cells masked; see `legstat.metrics.masking_curve`.

    Parameters
    ----------
    masking : as there
        How cells are masked.

    Examples
    --------
    >>> LogOddsRatio("black").high_is_good
    False
    """

    masking: Masking = "distance"
    name: str = "log_odds_ratio"
    high_is_good: bool = False

    def __call__(
        self, response: Response, image: FloatArray, saliency: FloatArray, rng: np.random.Generator
    ) -> Measured:
        """The mean; very negative is good."""
        curve = masking_curve(response, image, told_apart(saliency, rng), masking=self.masking, rng=rng)
        return Measured(float(curve.log_odds_ratios[1:].mean()), curve.n_queries)


@dataclass(frozen=True)
class PatchCorrelation:
    """Rank correlation with the effects of deleting single patches; see `legstat.metrics.patch_deletions`.

    Parameters
    ----------
    baseline, patches : as there
        The map is summed over patches at the picture's resolution, so its cells need not divide them. A picture
        smaller than that has a patch a pixel. Where map or effects are constant there is no order, and 0 is given.

    Examples
    --------
    >>> PatchCorrelation(patches=(2, 2)).patches
    (2, 2)
    """

    baseline: ReferenceName = "blur"
    patches: tuple[int, int] = (4, 4)
    name: str = "patch_correlation"
    high_is_good: bool = True

    def __call__(self, response: Response, image: FloatArray, saliency: FloatArray, rng: object) -> Measured:
        """The correlation."""
        height, width = image.shape[-2:]
        # the largest numbers of patches that divide the picture, up to those asked for
        rows, columns = (
            max(n for n in range(1, most + 1) if size % n == 0)
            for size, most in zip((height, width), self.patches, strict=True)
        )
        pixels = Grid((saliency.shape[0], saliency.shape[1])).lift(saliency, height, width)
        found = patch_deletions(response, image, pixels, patches=(rows, columns), baseline=self.baseline)
        return Measured(float(np.nan_to_num(found.correlation, nan=0.0)), found.n_queries)


@dataclass(frozen=True)
class Infidelity:
    """Infidelity under deletions of squares, the map's scale fitted; see `legstat.metrics.infidelity`.

    Parameters
    ----------
    baseline, side, draws : as there
        Squares have at most the map's own sides.

    Examples
    --------
    >>> Infidelity(draws=100).draws
    100
    """

    baseline: ReferenceName = "blur"
    side: int = 4
    draws: int = 200
    name: str = "infidelity"
    high_is_good: bool = False

    def __call__(self, response: Response, image: FloatArray, saliency: FloatArray, rng: object) -> Measured:
        """The infidelity."""
        side = min(self.side, *saliency.shape)
        found = infidelity(response, image, saliency, baseline=self.baseline, side=side, draws=self.draws, rng=rng)
        return Measured(found, self.draws + 1)


@dataclass(frozen=True)
class RoadArea:
    """Area under ROAD's curve, the most important cells removed first; see `legstat.metrics.road`.

    Parameters
    ----------
    noise : as there
        On the pixels that are filled in.

    Examples
    --------
    >>> RoadArea().name
    'road'
    """

    noise: float = 0.01
    name: str = "road"
    high_is_good: bool = False

    def __call__(
        self, response: Response, image: FloatArray, saliency: FloatArray, rng: np.random.Generator
    ) -> Measured:
        """The area from 0 to 90 % removed."""
        curve = road(response, image, told_apart(saliency, rng), noise=self.noise, rng=rng)
        return Measured(curve.area, curve.n_queries, curve=curve)


@dataclass(frozen=True)
class SuppressingArea:
    """Area of the smallest box without which the class is gone; see `legstat.metrics.smallest_box`.

    Parameters
    ----------
    baseline, suppression, thresholds : as there
        What a box is replaced by, how much of the score must go, and how many boxes are tried.

    Examples
    --------
    >>> SuppressingArea(suppression=0.95).name
    'smallest_box'
    """

    baseline: ReferenceName = "blur"
    suppression: float = 0.9
    thresholds: int = 20
    name: str = "smallest_box"
    high_is_good: bool = False

    def __call__(
        self, response: Response, image: FloatArray, saliency: FloatArray, rng: np.random.Generator
    ) -> Measured:
        """The area as a share of the map, censored at 1 where no box that was tried suppresses the class."""
        found = smallest_box(
            response,
            image,
            told_apart(saliency, rng),
            baseline=self.baseline,
            suppression=self.suppression,
            thresholds=self.thresholds,
        )
        return Measured(found.area, found.n_queries, found.censored)


@dataclass(frozen=True)
class MaxSensitivity:
    """Largest relative change of a method's map as the picture moves; see `legstat.metrics.max_sensitivity`.

    The method explains `draws` pictures more, each with its whole budget and the draws it had at x0, for the class that
    was explained there. Against a map of zeros no change has a size: censored at 1, and nothing is asked.

    Parameters
    ----------
    radius, draws : as there
        How far pixels move, and how many pictures are tried.

    Examples
    --------
    >>> MaxSensitivity(draws=3).name
    'max_sensitivity'
    """

    radius: float = 0.02
    draws: int = 10
    name: str = "max_sensitivity"
    high_is_good: bool = False
    explain: Callable[[FloatArray], MethodMap] | None = field(default=None, repr=False, compare=False)

    def by(self, explain: Callable[[FloatArray], MethodMap]) -> Self:
        """The same measure of that method."""
        return replace(self, explain=explain)

    def __call__(
        self, response: Response, image: FloatArray, saliency: FloatArray, rng: np.random.Generator
    ) -> Measured:
        """The change."""
        if self.explain is None:
            raise TypeError(invalid("MaxSensitivity", "explain", None, "a method", "See MaxSensitivity.by."))
        if not saliency.any():
            return Measured(1.0, 0, censored=True)
        spent: list[int] = []

        def explain(moved: FloatArray, ask: Callable[[FloatArray], MethodMap] = self.explain) -> FloatArray:
            made = ask(moved)
            spent.append(made.n_queries)
            return made.saliency

        found = max_sensitivity(explain, image, saliency=saliency, radius=self.radius, draws=self.draws, rng=rng)
        return Measured(found, sum(spent))


def primitive(measure: Measure) -> tuple[Measure, ...]:
    """The measures that are made for this one."""
    return measure.parts if isinstance(measure, DifferenceOf) else (measure,)
