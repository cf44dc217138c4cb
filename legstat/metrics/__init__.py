"""Is a map any good? Curves, key sizes, faithfulness, localisation and agreement, each under its paper's convention.

Takes any map of any method; spends evaluations through a response and counts them; knows of no estimator.
"""

from legstat.metrics.agreement import Agreement, agreement, max_sensitivity
from legstat.metrics.deletion import Curve, deletion, insertion
from legstat.metrics.faithfulness import PatchDeletions, infidelity, patch_deletions, road
from legstat.metrics.localisation import (
    Localisation,
    SuppressingBox,
    localisation,
    pointing,
    saliency_share,
    smallest_box,
)
from legstat.metrics.masking import KeySize, MaskingCurve, key_size, masking_curve, mean_log_odds_ratio
from legstat.metrics.truth import earth_mover, mass_inside, precision

__all__ = [
    "Agreement",
    "Curve",
    "KeySize",
    "Localisation",
    "MaskingCurve",
    "PatchDeletions",
    "SuppressingBox",
    "agreement",
    "deletion",
    "earth_mover",
    "infidelity",
    "insertion",
    "key_size",
    "localisation",
    "masking_curve",
    "mass_inside",
    "max_sensitivity",
    "mean_log_odds_ratio",
    "patch_deletions",
    "pointing",
    "precision",
    "road",
    "saliency_share",
    "smallest_box",
]
