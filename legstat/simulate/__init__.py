"""Truths that estimators and methods are tested on: responses of known gamma, pictures of known cause, whole games.

Knows designs, for the exact LEG under each; spends no evaluation and knows no estimator, no method.
"""

from legstat.simulate.games import banzhaf, shapley
from legstat.simulate.responses import (
    SimulatedResponse,
    linear,
    logistic,
    piecewise_constant,
    probit,
    quadratic,
)
from legstat.simulate.tetrominoes import Tetrominoes, tetrominoes

__all__ = [
    "SimulatedResponse",
    "Tetrominoes",
    "banzhaf",
    "linear",
    "logistic",
    "piecewise_constant",
    "probit",
    "quadratic",
    "shapley",
    "tetrominoes",
]
