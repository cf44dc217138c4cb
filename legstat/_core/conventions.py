"""The three sets of conventions: ours, the paper's, and the authors' code's.

The LEG paper and its authors' code differ in several places that move the numbers (padding of D, how channels are
combined, rounding of the perturbed picture, resizing of the map). A sample carries one set by name and the estimators
inherit it, so that a map is never half one and half the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from legstat._core.errors import invalid

ConventionsName = Literal["default", "paper", "upstream"]
Boundary = Literal["free", "zero"]
Channels = Literal["shared", "separate", "joint"]
MomentKind = Literal["printed", "centred", "regression", "adaptive", "crossfit", "least_squares"]
Aggregation = Literal["sum", "mean"]
Resize = Literal["nearest", "bilinear"]


@dataclass(frozen=True)
class Conventions:
    """Everything on which the paper, the authors' code and this package's defaults differ.

    Attributes
    ----------
    name : {"default", "paper", "upstream"}
        Name of the set.
    boundary : {"free", "zero"}
        Boundary of D. The authors' code pads D by default.
    channels : {"shared", "separate", "joint"}
        Which channels a draw perturbs.
    antithetic : bool
        Whether draws come in pairs z, -z.
    clip : bool
        Whether perturbed pictures are clipped to [0, 1].
    quantise : bool
        Whether perturbed pictures are truncated to whole grey levels of 0..255 (the authors' code; the picture itself
        is evaluated unrounded, and the estimate uses the unrounded z).
    leg_moments, legtv_moments : str
        Moment kind of LEG and of LEG-TV.
    aggregation : {"sum", "mean"}
        How absolute values are combined over channels.
    resize : {"nearest", "bilinear"}
        How the map goes from cells to pixels.
    L_ratio_per_channel : bool
        Whether a ratio of L_max is taken in each channel by itself.
    """

    name: ConventionsName
    boundary: Boundary
    channels: Channels
    antithetic: bool
    clip: bool
    quantise: bool
    leg_moments: MomentKind
    legtv_moments: MomentKind
    aggregation: Aggregation
    resize: Resize
    L_ratio_per_channel: bool


_SETS: dict[str, Conventions] = {
    "default": Conventions(
        name="default",
        boundary="free",
        channels="shared",
        antithetic=True,
        clip=True,
        quantise=False,
        leg_moments="crossfit",
        legtv_moments="adaptive",
        aggregation="sum",
        resize="nearest",
        L_ratio_per_channel=False,
    ),
    "paper": Conventions(
        name="paper",
        boundary="free",
        channels="separate",
        antithetic=False,
        clip=False,
        quantise=False,
        leg_moments="printed",
        legtv_moments="printed",
        aggregation="sum",
        resize="nearest",
        L_ratio_per_channel=True,
    ),
    "upstream": Conventions(
        name="upstream",
        boundary="zero",
        channels="separate",
        antithetic=False,
        clip=False,
        quantise=True,
        leg_moments="printed",
        legtv_moments="printed",
        aggregation="mean",
        resize="bilinear",
        L_ratio_per_channel=True,
    ),
}


def get_conventions(name: str, where: str = "query") -> Conventions:
    """The set of that name; ValueError naming the three for any other.

    Examples
    --------
    >>> get_conventions("upstream").boundary
    'zero'
    """
    if name not in _SETS:
        raise ValueError(
            invalid(where, "conventions", name, "one of " + ", ".join(map(repr, get_args(ConventionsName))))
        )
    return _SETS[name]


def clash(where: str, name: str, value: object, conventions: Conventions, implied: object) -> ValueError:
    """The error for an explicit argument that contradicts the conventions."""
    return ValueError(
        invalid(
            where,
            name,
            value,
            f'{implied!r}, which conventions="{conventions.name}" implies',
            f'Leave `{name}` out, or use conventions="default".',
        )
    )
