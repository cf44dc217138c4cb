"""Can a map be believed? Checks of a model, of a run and of one picture, each of which can fail and says what it found.

Takes what `explain` leaves and a response; counts every evaluation of its own; knows no command and no report.
"""

from legstat.checks.cascades import Cascade, cascade, cascading_randomisation
from legstat.checks.classes import other_target
from legstat.checks.estimates import certified, enough_queries, mean_shift, predicts, score_moves
from legstat.checks.layers import WeightLayer
from legstat.checks.learnt import learnt_weights
from legstat.checks.likeness import Resemblance, resemblance, surrogates
from legstat.checks.networks import batch_independence, determinism, preprocessing
from legstat.checks.placebos import placebo, placebo_sample
from legstat.checks.randomise import randomize, weight_layers
from legstat.checks.result import CheckResult
from legstat.checks.together import check_picture, check_run

__all__ = [
    "Cascade",
    "CheckResult",
    "Resemblance",
    "WeightLayer",
    "batch_independence",
    "cascade",
    "cascading_randomisation",
    "certified",
    "check_picture",
    "check_run",
    "determinism",
    "enough_queries",
    "learnt_weights",
    "mean_shift",
    "other_target",
    "placebo",
    "placebo_sample",
    "predicts",
    "preprocessing",
    "randomize",
    "resemblance",
    "score_moves",
    "surrogates",
    "weight_layers",
]
