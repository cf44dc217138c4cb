"""legstat: which parts of an image does a model respond to, answered as statistics.

The way of the data: `query` spends the budget and returns a `QuerySample`; `LEG` and `LEGTV` estimate the linearly
estimated gradient from it; results carry summaries, intervals, maps and certificates. `explain` composes these calls.
"""

from legstat import simulate
from legstat.designs import GaussianDesign, IsotropicGaussian, StructuredGaussian
from legstat.errors import (
    BackendUnavailableError,
    ConstantScoreWarning,
    InferenceUnavailableError,
    LegstatWarning,
    NonFiniteResponseError,
    QueryError,
    QueryInterrupted,
    SmallSampleWarning,
    SolverError,
)
from legstat.estimators.leg import LEG
from legstat.estimators.legtv import LEGTV
from legstat.estimators.path import LEGTVPath
from legstat.estimators.results import LEGResults, LEGTVResults
from legstat.explain import Explanation, explain
from legstat.grids import Grid
from legstat.moments import Moments
from legstat.perturbations import Additive, Blend
from legstat.record import Verification, verify
from legstat.responses import (
    Preprocessing,
    QueryCache,
    Response,
    as_response,
    inspect_model,
    onnx_response,
    reopen_onnx,
    torch_response,
    tune_batch_size,
)
from legstat.samples import QuerySample
from legstat.sampling import query

__all__ = [
    "LEG",
    "LEGTV",
    "Additive",
    "BackendUnavailableError",
    "Blend",
    "ConstantScoreWarning",
    "Explanation",
    "GaussianDesign",
    "Grid",
    "InferenceUnavailableError",
    "IsotropicGaussian",
    "LEGResults",
    "LEGTVPath",
    "LEGTVResults",
    "LegstatWarning",
    "Moments",
    "NonFiniteResponseError",
    "Preprocessing",
    "QueryCache",
    "QueryError",
    "QueryInterrupted",
    "QuerySample",
    "Response",
    "SmallSampleWarning",
    "SolverError",
    "StructuredGaussian",
    "Verification",
    "as_response",
    "explain",
    "inspect_model",
    "onnx_response",
    "query",
    "reopen_onnx",
    "simulate",
    "torch_response",
    "tune_batch_size",
    "verify",
]
__version__ = "0.1.0"
