"""Reading an ONNX file without running it: inputs, outputs, files it refers to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

import numpy as np

from legstat._core.digests import file_sha256, value_sha256
from legstat._core.errors import BackendUnavailableError, invalid
from legstat.responses.network.tensors import TensorInfo
from legstat.responses.onnx.tails import Tail, tail

if TYPE_CHECKING:
    import onnx

OLDEST_OPSET = 7
"""ONNX Runtime promises its CPU kernels from opset 7 on."""


@dataclass(frozen=True)
class ModelFacts:
    """What the file says about itself.

    Parameters
    ----------
    path : Path
        The file.
    sha256 : str
        Of the file and of its external data.
    inputs, outputs : tuple of TensorInfo
        Without initialisers.
    tails : mapping of str to Tail
        By output.
    tensors : frozenset of str
        Every tensor that a node produces.
    opset : int
        Version of the standard operators.
    ir_version : int
        Version of the file format.
    producer : str
        Program that wrote the file.
    n_parameters : int
        Numbers in the initialisers.
    external_files : tuple of str
        Data files beside the model.
    """

    path: Path
    sha256: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    tails: Mapping[str, Tail]
    tensors: frozenset[str]
    opset: int
    ir_version: int
    producer: str
    n_parameters: int
    external_files: tuple[str, ...]


def load_proto(where: str, path: str | Path) -> onnx.ModelProto:
    """Parse a file without its external data, or raise an error that says what is wrong with it.

    Parameters
    ----------
    where : str
        Call to name in an error.
    path : str or Path
        The file.

    Returns
    -------
    onnx.ModelProto
        The parsed model.
    """
    try:
        import onnx
    except ImportError as error:
        raise BackendUnavailableError("onnx", "onnx", "Reading an ONNX file") from error
    path = Path(path)
    if not path.is_file():
        remedy = "That is a folder." if path.is_dir() else "Check the path."
        raise ValueError(invalid(where, "path", str(path), "an existing ONNX file", remedy))
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf's DecodeError and others: whatever it is, the file cannot be read
        raise ValueError(
            invalid(
                where,
                "path",
                str(path),
                "a readable ONNX file",
                f"It is corrupt, truncated or something else ({error}). Fetch or export it again.",
            )
        ) from error
    if not model.graph.node or not model.graph.output:
        raise ValueError(
            invalid(
                where, "path", str(path), "an ONNX model with a graph", "It holds none: fetch or export the file again."
            )
        )
    return model


def read_model(where: str, path: str | Path) -> ModelFacts:
    """The facts of a model file; nothing is executed. See `model_facts`."""
    return model_facts(where, path, load_proto(where, path))


def model_facts(where: str, path: str | Path, model: onnx.ModelProto) -> ModelFacts:
    """The facts of a parsed model.

    Parameters
    ----------
    where : str
        Call to name in an error.
    path : str or Path
        The file it was parsed from.
    model : onnx.ModelProto
        What `load_proto` returned.

    Returns
    -------
    ModelFacts
        The facts.

    Raises
    ------
    ValueError
        Opset below 7, external data outside the model's folder.
    """
    path = Path(path)
    graph = model.graph
    opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)
    if 0 < opset < OLDEST_OPSET:
        raise ValueError(
            invalid(
                where,
                "path",
                f"{path.name} (opset {opset})",
                f"a model of opset {OLDEST_OPSET} or newer",
                "Convert it: onnx.version_converter.convert_version(model, 13).",
            )
        )
    external = _external_files(where, model, path)
    initialisers = {tensor.name for tensor in graph.initializer}
    return ModelFacts(
        path=path,
        sha256=model_sha256(path, external),
        inputs=tuple(_tensor_info(value) for value in graph.input if value.name not in initialisers),
        outputs=tuple(_tensor_info(value) for value in graph.output),
        tails={value.name: tail(graph, value.name) for value in graph.output},
        tensors=frozenset(name for node in graph.node for name in node.output if name),
        opset=opset,
        ir_version=model.ir_version,
        producer=f"{model.producer_name} {model.producer_version}".strip(),
        n_parameters=sum(int(np.prod(tensor.dims)) for tensor in graph.initializer),
        external_files=external,
    )


def model_sha256(path: Path, external_files: tuple[str, ...]) -> str:
    """SHA-256 of a model file; with external data, of the digests of all its files.

    Parameters
    ----------
    path : Path
        The model file.
    external_files : tuple of str
        Data files, relative to its folder.

    Returns
    -------
    str
        Hexadecimal digest. Without external data it is what ``sha256sum`` prints.
    """
    digest = file_sha256(path)
    if not external_files:
        return digest
    return value_sha256(digest, *((name, file_sha256(path.parent / name)) for name in external_files))[0]


def _tensor_info(value: onnx.ValueInfoProto) -> TensorInfo:
    import onnx

    if not value.type.HasField("tensor_type"):
        return TensorInfo(value.name, str(value.type.WhichOneof("value")), None)
    tensor = value.type.tensor_type
    try:
        dtype = str(np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)))
    except (KeyError, TypeError):
        dtype = onnx.TensorProto.DataType.Name(tensor.elem_type).lower()
    if not tensor.HasField("shape"):
        return TensorInfo(value.name, dtype, None)
    sizes = [
        dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else (dim.dim_param or None)
        for dim in tensor.shape.dim
    ]
    return TensorInfo(value.name, dtype, tuple(sizes))


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Every constant of a graph, of its nodes' attributes and of its subgraphs."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for subgraph in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
                yield from _tensors(subgraph)


def _stays(location: PurePosixPath) -> bool:
    """Whether a path never leaves the folder that it starts from."""
    depth = 0
    for part in location.parts:
        depth += -1 if part == ".." else 1
        if depth < 0:
            return False
    return True


def _external_files(where: str, model: onnx.ModelProto, path: Path) -> tuple[str, ...]:
    """Names of external data files, refused unless they lie inside the model's folder.

    A model from a stranger could otherwise read any file of the machine into its weights.
    """
    import onnx

    # a download cache may hold model and data as links into a folder of its own: that one counts as the model's too
    folder, target = path.parent.resolve(), path.resolve().parent
    names: dict[str, None] = {}
    for tensor in _tensors(model.graph):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
        if location in names:
            continue
        absolute = PurePosixPath(location).is_absolute() or PureWindowsPath(location).is_absolute()
        named = bool(location) and not absolute and _stays(PurePosixPath(location))
        inside = named and any((folder / location).resolve().is_relative_to(home) for home in (folder, target))
        if not inside or "\\" in location:
            raise ValueError(
                invalid(
                    where,
                    "path",
                    f"{path.name} with external data {location!r}",
                    "a model whose external data lie in its own folder",
                    "Such a file could read anything on this machine; put the data beside the model and save it again.",
                )
            )
        if not (folder / location).is_file():
            raise ValueError(
                invalid(
                    where, "path", str(path), f"accompanied by its data file {location!r}", "Put it beside the model."
                )
            )
        names[location] = None
    return tuple(names)
