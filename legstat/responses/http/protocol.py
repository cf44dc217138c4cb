"""The Open Inference Protocol, version 2, as bytes: what Triton, KServe, OpenVINO and others speak over HTTP.

Requests and answers are JSON; with the binary extension the numbers follow the JSON as raw little-endian bytes, whose
counts stand in the JSON and in the header ``Inference-Header-Content-Length``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import cast

import numpy as np
from numpy.typing import NDArray

from legstat._core.typing import JSON
from legstat.responses.network.tensors import TensorInfo

JSON_LENGTH = "Inference-Header-Content-Length"
"""Header that tells how much of a body is JSON."""
DATATYPES = {"FP16": "float16", "FP32": "float32", "FP64": "float64", "BOOL": "bool"} | {
    f"{kind.upper()}{bits}": f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)
}
"""numpy's names of the protocol's types; its BYTES and BF16 have none."""
_NAMES = {numpy_name: name for name, numpy_name in DATATYPES.items()}


class ProtocolError(RuntimeError):
    """An endpoint's answer is not what the protocol, or its own description, says."""


def tensor_infos(described: object, which: str) -> tuple[TensorInfo, ...]:
    """Inputs or outputs of a model's metadata.

    Parameters
    ----------
    described : object
        The metadata, as JSON gave it.
    which : {"inputs", "outputs"}
        Which of them.

    Returns
    -------
    tuple of TensorInfo
        A size of -1 is free.

    Raises
    ------
    ProtocolError
        The metadata is not of the protocol's form.
    """
    try:
        tensors = cast("JSON", described)[which]
        return tuple(
            TensorInfo(
                str(one["name"]),
                DATATYPES.get(str(one["datatype"]), str(one["datatype"])),
                tuple(None if int(size) < 0 else int(size) for size in one["shape"]),
            )
            for one in tensors
        )
    except (KeyError, TypeError, ValueError) as error:
        text = f"the model's description has no proper list of {which}: {type(error).__name__} {error}"
        raise ProtocolError(text) from error


def encode_request(
    inputs: Mapping[str, NDArray[np.generic]], output: str, binary: bool
) -> tuple[bytes, dict[str, str]]:
    """Body and headers of an inference request.

    Parameters
    ----------
    inputs : mapping of str to ndarray
        Values by name of the input.
    output : str
        The output that is wanted.
    binary : bool
        Whether numbers travel as bytes.

    Returns
    -------
    body : bytes
        To be posted.
    headers : dict
        To go with it.
    """
    tensors: list[JSON] = []
    raw: list[bytes] = []
    for name, array in inputs.items():
        tensor: JSON = {"name": name, "shape": list(array.shape), "datatype": _NAMES[str(array.dtype)]}
        if binary:
            raw.append(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes())
            tensor["parameters"] = {"binary_data_size": len(raw[-1])}
        else:
            tensor["data"] = array.ravel().tolist()
        tensors.append(tensor)
    wanted: JSON = {"name": output, **({"parameters": {"binary_data": True}} if binary else {})}
    head = json.dumps({"inputs": tensors, "outputs": [wanted]}, separators=(",", ":")).encode()
    if not binary:
        return head, {"Content-Type": "application/json"}
    return b"".join([head, *raw]), {"Content-Type": "application/octet-stream", JSON_LENGTH: str(len(head))}


def decode_answer(body: bytes, headers: Mapping[str, str], output: str) -> tuple[NDArray[np.generic], str | None]:
    """One output of an inference answer.

    Parameters
    ----------
    body : bytes
        As it came.
    headers : mapping
        The answer's headers.
    output : str
        Name of the output.

    Returns
    -------
    values : ndarray
        In the type that the answer states; numbers that JSON has as null are NaN.
    version : str or None
        Version of the model that answered, where the answer tells.

    Raises
    ------
    ProtocolError
        No JSON, no such output, a type that is no number, or more or fewer numbers than its shape says.
    """
    stated = headers.get(JSON_LENGTH)
    if stated is not None and not (stated.isdigit() and int(stated) <= len(body)):
        raise ProtocolError(f"{JSON_LENGTH} is {stated!r} in an answer of {len(body)} bytes")
    end = len(body) if stated is None else int(stated)
    rest = memoryview(body)[end:]
    try:
        told = json.loads(body[:end])
        outputs, version = told["outputs"], told.get("model_version")
        found = None
        for one in outputs:
            size = one.get("parameters", {}).get("binary_data_size")
            if size is not None:
                if not 0 <= int(size) <= len(rest):
                    raise ProtocolError(f"{size} bytes are announced for {one['name']!r}, {len(rest)} came")
                one["data"], rest = rest[: int(size)], rest[int(size) :]
            if one["name"] == output:
                found = one
        if found is None:
            raise ProtocolError(f"the answer has no output {output!r}, only {[one['name'] for one in outputs]}")
        dtype = np.dtype(DATATYPES[str(found["datatype"])]).newbyteorder("<")
        shape = tuple(int(size) for size in found["shape"])
        data = found["data"]
        raw = isinstance(data, memoryview)
        if raw and len(data) % dtype.itemsize:
            raise ProtocolError(f"{len(data)} bytes are no whole number of {found['datatype']}")
        # float64 first: None becomes NaN there
        values = np.frombuffer(data, dtype=dtype) if raw else np.asarray(data, dtype=np.float64).ravel().astype(dtype)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ProtocolError(f"the answer is not of the protocol's form: {type(error).__name__} {error}") from error
    if min(shape, default=0) < 0 or math.prod(shape) != values.size:
        raise ProtocolError(f"the answer's shape is {list(shape)}, and {values.size} numbers came")
    return values.reshape(shape), None if version is None else str(version)
