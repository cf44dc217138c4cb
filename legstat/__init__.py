"""legstat: which parts of an image does a model respond to, answered as statistics.

The way of the data: `query` spends the budget and returns a `QuerySample`; `LEG` and `LEGTV` estimate the linearly
estimated gradient from it; results carry summaries, intervals, maps and certificates. `explain` composes these calls.
"""

from legstat import audit, baselines, checks, metrics, simulate, studies
from legstat._core.errors import (
    BackendUnavailableError,
    ConstantScoreWarning,
    InferenceUnavailableError,
    LegstatWarning,
    SmallSampleWarning,
    SolverError,
    TargetNotReachedWarning,
)
from legstat.comparison.compare import compare
from legstat.comparison.method import Method, MethodMap
from legstat.comparison.results import Comparison
from legstat.designs.bernoulli import BernoulliCells
from legstat.designs.design import Design
from legstat.designs.general import GaussianDesign
from legstat.designs.grid import Grid
from legstat.designs.isotropic import IsotropicGaussian
from legstat.designs.multiscale import MultiscaleBlocks
from legstat.designs.spectral import SpectralBinary, SpectralGaussian
from legstat.designs.structured import StructuredGaussian
from legstat.estimators.found_regions import Regions
from legstat.estimators.heldout import HeldOut
from legstat.estimators.leg import LEG
from legstat.estimators.leg_results import LEGResults
from legstat.estimators.legtv import LEGTV
from legstat.estimators.legtv_results import LEGTVResults
from legstat.estimators.path import LEGTVPath
from legstat.estimators.regions import RegionInference, region_inference
from legstat.explanation.explanation import Explanation, explain
from legstat.inference.contrasts import Contrasts, WaldTest
from legstat.inference.multiplicity import MultipleTest
from legstat.inference.needed import solve_queries
from legstat.inference.nested import NestedTest
from legstat.inference.power import solve_half_width, solve_power
from legstat.inspection.endpoint import EndpointReport, inspect_endpoint
from legstat.inspection.onnx_file import ModelReport, inspect_model
from legstat.moments.moments import Moments
from legstat.perturbations.operators import Additive, Blend, Perturbation
from legstat.record import Verification, verify
from legstat.responses.base import Response
from legstat.responses.function import CallableResponse, as_response
from legstat.responses.http.opening import http_response
from legstat.responses.http.response import HttpResponse
from legstat.responses.network.preprocessing import Preprocessing
from legstat.responses.onnx.opening import onnx_response, reopen_onnx
from legstat.responses.onnx.response import OnnxResponse
from legstat.responses.onnx.settings import SessionSettings
from legstat.responses.torch.opening import torch_response
from legstat.responses.torch.response import TorchResponse
from legstat.responses.torch.settings import TorchSettings
from legstat.responses.transport import Transport
from legstat.samples.faults import NonFiniteResponseError, QueryError, QueryInterrupted
from legstat.samples.sample import QuerySample
from legstat.samples.segments import Ledger, Segment
from legstat.samples.splitting import split_sample
from legstat.samples.stopping import HalfWidth, Stopping
from legstat.sampling.batch_size import BatchTimings, measure_batch_sizes, tune_batch_size
from legstat.sampling.cache import QueryCache
from legstat.sampling.noise_probe import NoiseProbe, noise_probe
from legstat.sampling.query import query
from legstat.solvers import Certificate

__all__ = [
    "LEG",
    "LEGTV",
    "Additive",
    "BackendUnavailableError",
    "BatchTimings",
    "BernoulliCells",
    "Blend",
    "CallableResponse",
    "Certificate",
    "Comparison",
    "ConstantScoreWarning",
    "Contrasts",
    "Design",
    "EndpointReport",
    "Explanation",
    "GaussianDesign",
    "Grid",
    "HalfWidth",
    "HeldOut",
    "HttpResponse",
    "InferenceUnavailableError",
    "IsotropicGaussian",
    "LEGResults",
    "LEGTVPath",
    "LEGTVResults",
    "Ledger",
    "LegstatWarning",
    "Method",
    "MethodMap",
    "ModelReport",
    "Moments",
    "MultipleTest",
    "MultiscaleBlocks",
    "NestedTest",
    "NoiseProbe",
    "NonFiniteResponseError",
    "OnnxResponse",
    "Perturbation",
    "Preprocessing",
    "QueryCache",
    "QueryError",
    "QueryInterrupted",
    "QuerySample",
    "RegionInference",
    "Regions",
    "Response",
    "Segment",
    "SessionSettings",
    "SmallSampleWarning",
    "SolverError",
    "SpectralBinary",
    "SpectralGaussian",
    "Stopping",
    "StructuredGaussian",
    "TargetNotReachedWarning",
    "TorchResponse",
    "TorchSettings",
    "Transport",
    "Verification",
    "WaldTest",
    "as_response",
    "audit",
    "baselines",
    "checks",
    "compare",
    "explain",
    "http_response",
    "inspect_endpoint",
    "inspect_model",
    "measure_batch_sizes",
    "metrics",
    "noise_probe",
    "onnx_response",
    "query",
    "region_inference",
    "reopen_onnx",
    "simulate",
    "solve_half_width",
    "solve_power",
    "solve_queries",
    "split_sample",
    "studies",
    "torch_response",
    "tune_batch_size",
    "verify",
]
__version__ = "0.1.0"
