"""Black boxes: any function, ONNX files, torch modules; preprocessing, scores and labels.

`legstat` itself offers the public names; nothing here imports onnx, onnxruntime or torch before it is needed.
"""

from legstat.responses.base import CallableResponse, Response, as_response
from legstat.responses.network import NetworkResponse
from legstat.responses.onnx import OnnxResponse, onnx_response
from legstat.responses.preprocessing import PRESETS, Preprocessing
from legstat.responses.torch import TorchResponse, torch_response

__all__ = [
    "PRESETS",
    "CallableResponse",
    "NetworkResponse",
    "OnnxResponse",
    "Preprocessing",
    "Response",
    "TorchResponse",
    "as_response",
    "onnx_response",
    "torch_response",
]
