"""Black boxes: any function, ONNX files, torch modules; preprocessing, scores and labels.

`legstat` itself offers the public names; nothing here imports onnx, onnxruntime or torch before it is needed.
"""

from legstat.responses.base import CallableResponse, Response, as_response
from legstat.responses.batching import BatchTimings, measure_batch_sizes, tune_batch_size
from legstat.responses.cache import QueryCache
from legstat.responses.endpoint_inspection import EndpointReport, inspect_endpoint
from legstat.responses.http.opening import http_response, reopen_http
from legstat.responses.http.response import HttpResponse
from legstat.responses.inspection import ModelReport, inspect_model
from legstat.responses.network.preprocessing import PRESETS, Preprocessing
from legstat.responses.network.response import NetworkResponse
from legstat.responses.onnx.opening import onnx_response, reopen_onnx
from legstat.responses.onnx.response import OnnxResponse
from legstat.responses.torch.response import TorchResponse, torch_response

__all__ = [
    "PRESETS",
    "BatchTimings",
    "CallableResponse",
    "EndpointReport",
    "HttpResponse",
    "ModelReport",
    "NetworkResponse",
    "OnnxResponse",
    "Preprocessing",
    "QueryCache",
    "Response",
    "TorchResponse",
    "as_response",
    "http_response",
    "inspect_endpoint",
    "inspect_model",
    "measure_batch_sizes",
    "onnx_response",
    "reopen_http",
    "reopen_onnx",
    "torch_response",
    "tune_batch_size",
]
