"""What gradients are usually asked for: the mask, I-GOS and l1-q, each with exact gradients or with queries alone.

Minimises over masks and pictures through ``gradients/``; never imports estimators, and knows no backend.
"""

from legstat.baselines.adversarial import adversarial
from legstat.baselines.defence import Detection, Recovery, detection, recovery
from legstat.baselines.games import mask
from legstat.baselines.integrated import igos
from legstat.baselines.layers import layer_mask
from legstat.baselines.result import BaselineResult
from legstat.baselines.sparse import l1q
from legstat.baselines.together import batched

__all__ = [
    "BaselineResult",
    "Detection",
    "Recovery",
    "adversarial",
    "batched",
    "detection",
    "igos",
    "l1q",
    "layer_mask",
    "mask",
    "recovery",
]
