"""Can a map be believed? Checks of a model, of a run and of one picture, each of which can fail and says what it found.

Takes what `explain` leaves and a response; counts every evaluation of its own; knows no command and no report.
"""

from legstat.checks.layers import WeightLayer
from legstat.checks.randomise import randomize, weight_layers
from legstat.checks.result import CheckResult

__all__ = ["CheckResult", "WeightLayer", "randomize", "weight_layers"]
