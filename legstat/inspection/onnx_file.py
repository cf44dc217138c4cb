"""What an ONNX file is: everything an auditor asks before the first query."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from legstat._core.errors import LegstatWarning
from legstat._core.typing import JSON, AnyArray, FloatArray
from legstat.responses.network.preprocessing import PRESETS, Preprocessing
from legstat.responses.network.response import NetworkResponse
from legstat.responses.onnx.binding import load_runtime
from legstat.responses.onnx.graph import read_model
from legstat.responses.onnx.opening import onnx_response
from legstat.responses.onnx.response import OnnxResponse
from legstat.sampling.batch_size import BatchTimings, measure_batch_sizes


@dataclass(frozen=True, kw_only=True)
class ModelReport:
    """What `inspect_model` found; ``str(report)`` is the text that ``legstat inspect`` prints.

    Parameters
    ----------
    file, sha256, producer : str
        Name of the file, SHA-256 (of all its files), program that wrote it.
    n_bytes, opset, ir_version, n_parameters : int
        Size of the model file, versions of operators and format, numbers in the initialisers.
    external_files, inputs, outputs : tuple of str
        Data files beside it; inputs and outputs with type and shape.
    response : dict
        What `Response.describe` says after a run on the picture; empty where the file cannot be run as it is.
    problems : tuple of str
        What has to be settled before it can be explained, and what looks wrong.
    presets : tuple of (str, int, str or None, float)
        Preset, first choice, its label, its probability: for the given picture under every preset that fits; under
        "as given" for a preprocessing that is none of them.
    providers : dict of str to str
        Installed providers, each with the number of nodes that it executes, or what it said.
    placement : dict of str to int
        Nodes executed, by provider.
    timings : dict of int to float
        Seconds per image by batch size.
    best_batch_size : int or None
        The fastest one.
    repeat_difference : float or None
        Largest difference of the class outputs among repeated runs of one picture; 0 means bit for bit.
    batch_difference : float or None
        Largest difference between running pictures together and one by one.
    evaluations : int
        Forward passes that the inspection took.

    Examples
    --------
    >>> from legstat.data import digits_model_path
    >>> report = inspect_model(digits_model_path(), seconds=0)
    >>> report.problems[0][:29], report.timings
    ('no preprocessing was given: t', {})
    >>> print(str(report).splitlines()[4])
    output       logits float32 [N, 10]
    """

    file: str
    sha256: str
    producer: str
    n_bytes: int
    opset: int
    ir_version: int
    n_parameters: int
    external_files: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    response: JSON = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    presets: tuple[tuple[str, int, str | None, float], ...] = ()
    providers: dict[str, str] = field(default_factory=dict)
    placement: dict[str, int] = field(default_factory=dict)
    timings: dict[int, float] = field(default_factory=dict)
    best_batch_size: int | None = None
    repeat_difference: float | None = None
    batch_difference: float | None = None
    evaluations: int = 0

    def to_dict(self) -> JSON:
        """The report as plain JSON values."""
        plain: JSON = json.loads(json.dumps(asdict(self)))
        return plain

    def __repr__(self) -> str:
        return f"<ModelReport {self.file}: {self.n_parameters:,} parameters, {len(self.problems)} problems>"

    def __str__(self) -> str:
        """The report as text, one fact per line."""
        about = self.response
        lines = [
            f"model        {self.file}, {self.n_bytes:,} bytes, {self.n_parameters:,} parameters",
            f"sha256       {self.sha256}",
            f"written by   {self.producer or 'unknown'}; opset {self.opset}, format version {self.ir_version}",
            *(f"data file    {name}" for name in self.external_files),
            *(f"input        {text}" for text in self.inputs),
            *(f"output       {text}" for text in self.outputs),
        ]
        if about:
            rule = about["preprocessing"]
            shape = " x ".join("any" if size is None else str(size) for size in about["input_shape"])
            lines += [
                f"picture      {about['input']!r}: channels x rows x columns = {shape}, {rule['layout']}, batch "
                f"{about['batch']}",
                f"classes      {about['n_classes']}, read from {about['output']!r} as {about['output_kind']}",
                f"  because    {about['output_kind_ground']}",
                f"scores       {scores_text(about['output_kind'])}",
            ]
        lines += [f"problem      {text}" for text in self.problems]
        for name, top, label, chance in self.presets:
            shown = f"{top}" if label is None else f"{top} ({label})"
            lines.append(f"preset       {name + ':':<10}first choice {shown}, probability {chance:.4g}")
        lines += [f"provider     {name}: {said}" for name, said in self.providers.items()]
        if self.placement:
            lines.append("nodes on     " + ", ".join(f"{name}: {count}" for name, count in self.placement.items()))
        if self.timings:
            times = BatchTimings(self.timings, 0)
            lines.append(f"speed        per image at batch {times}; best {self.best_batch_size}")
        if self.repeat_difference is not None:
            lines.append(f"repeated     {difference_text(self.repeat_difference)} between runs of one picture")
        if self.batch_difference is not None:
            lines.append(f"batched      {difference_text(self.batch_difference)} between one by one and together")
        lines.append(f"cost         {self.evaluations} forward passes")
        return "\n".join(lines)


def inspect_model(
    path: str | Path,
    *,
    image: str | Path | AnyArray | None = None,
    preprocessing: Preprocessing | str | Path | Mapping[str, object] | None = None,
    labels: str | Path | Sequence[str] | None = None,
    input: str | None = None,
    output: str | None = None,
    output_kind: str | None = None,
    constants: Mapping[str, AnyArray] | None = None,
    provider: str | Sequence[str] = "cpu",
    threads: int | None = None,
    repeats: int = 5,
    seconds: float = 2.0,
) -> ModelReport:
    """Look into an ONNX file and run it a little.

    Parameters
    ----------
    path : str or Path
        The model.
    image : str or Path or ndarray, optional
        A picture file, or (C, H, W) in [0, 1]; by default random pixels, from which no preset can be judged.
    preprocessing, labels, input, output, output_kind, constants, provider, threads : optional
        As for `onnx_response`.
    repeats : int
        Runs of the same picture in the determinism probe.
    seconds : float
        Time for the speed measurement; 0 leaves it out.

    Returns
    -------
    ModelReport
        The findings. What stops the model from being run is reported in `problems`, not raised.

    Raises
    ------
    ValueError
        The file is missing, corrupt or refers to data outside its folder; the picture is bad.

    Examples
    --------
    >>> from legstat.data import digits_model_path
    >>> from legstat.inspection.onnx_file import inspect_model
    >>> report = inspect_model(digits_model_path(), seconds=0)
    >>> report.inputs, report.response["n_classes"], report.repeat_difference
    (('input float32 [N, 1, 8, 8]',), 10, 0.0)
    """
    facts = read_model("inspect_model", path)
    known: JSON = {
        "file": facts.path.name,
        "sha256": facts.sha256,
        "producer": facts.producer,
        "n_bytes": facts.path.stat().st_size,
        "opset": facts.opset,
        "ir_version": facts.ir_version,
        "n_parameters": facts.n_parameters,
        "external_files": facts.external_files,
        "inputs": tuple(map(str, facts.inputs)),
        "outputs": tuple(map(str, facts.outputs)),
    }
    problems: list[str] = []

    def opened(rule: object, **more: object) -> OnnxResponse:
        settings: JSON = {
            "preprocessing": rule,
            "labels": labels,
            "input": input,
            "output": output,
            "output_kind": output_kind,
            "constants": constants,
            "provider": provider,
            "threads": threads,
            **more,
        }
        return onnx_response(path, score="probability", **settings)

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", LegstatWarning)
        try:
            fresh = opened(preprocessing)
        except (ValueError, RuntimeError) as error:
            return ModelReport(**known, problems=(str(error),))
        picture = picture_for(fresh, image)
        try:
            settled, _ = fresh.bind(picture)
        except ValueError as error:
            return ModelReport(**known, problems=(str(error),), evaluations=1)
    problems += [str(one.message) for one in said]
    if preprocessing is None:
        problems.append(
            f"no preprocessing was given: taken to want {'0..255' if settled.preprocessing.scale == 255 else '[0, 1]'} "
            "in RGB order; nothing in the file tells. Compare the presets on a picture whose class is known."
        )
    pictures = variants(picture).astype(settled.dtype)
    one_by_one = np.concatenate([settled.class_outputs(one[None]) for one in pictures]).astype(np.float64)
    together = fresh.with_batch_size(len(pictures)).class_outputs(pictures).astype(np.float64)
    again = [settled.class_outputs(pictures[:1]).astype(np.float64) for _ in range(max(repeats - 1, 0))]
    checks = settled.describe()["checks"].get("free_batch", {})
    evaluations = 1 + 2 * len(pictures) + len(again) + int(checks.get("evaluations", 0))
    timings = measure_batch_sizes(settled, picture, seconds=seconds) if seconds > 0 else None
    presets = _presets(opened, settled, picture) if image is not None else ()
    evaluations += len(presets)
    if presets and preprocessing is not None:
        presets = (*own_rule(settled), *presets)
    return ModelReport(
        **known,
        response=settled.describe(),
        problems=tuple(problems),
        presets=presets,
        providers=_providers(opened, picture),
        placement=settled.node_placement(picture),
        timings={} if timings is None else timings.seconds,
        best_batch_size=None if timings is None else timings.best,
        repeat_difference=max((float(np.abs(run - one_by_one[:1]).max()) for run in again), default=None),
        batch_difference=float(np.abs(together - one_by_one).max()),
        evaluations=evaluations + 1 + (0 if timings is None else timings.evaluations),
    )


def picture_for(response: NetworkResponse, image: str | Path | AnyArray | None) -> FloatArray:
    """The picture that was given, or random pixels."""
    if isinstance(image, str | Path):
        return response.load_image(image)
    if image is not None:
        return np.asarray(image, dtype=np.float64)
    usual = (3, *(response.preprocessing.size or (224, 224)))
    channels, rows, columns = (
        size or free for size, free in zip(response.input_shape or (None, None, None), usual, strict=True)
    )
    return np.random.default_rng(0).random((channels, rows, columns))


def variants(picture: FloatArray) -> FloatArray:
    """A handful of different pictures made of one: as it is, mirrored, upside down, negative, dark."""
    return np.stack([picture, picture[:, :, ::-1], picture[:, ::-1], 1.0 - picture, 0.5 * picture])


def _presets(
    opened: Callable[..., OnnxResponse], settled: OnnxResponse, picture: FloatArray
) -> tuple[tuple[str, int, str | None, float], ...]:
    """First choice under every preset that fits the network's channels."""
    found = []
    for name in PRESETS:
        with contextlib.suppress(ValueError), warnings.catch_warnings():
            warnings.simplefilter("ignore", LegstatWarning)
            response, _ = opened(name, free_batch_axis=False).bind(picture)
            top, label, chance = response.describe()["top_x0"][0]
            found.append((name, top, label, chance))
    return tuple(found)


def own_rule(settled: NetworkResponse) -> tuple[tuple[str, int, str | None, float], ...]:
    """First choice under the preprocessing that was given, where it is none of the presets."""
    if replace(settled.preprocessing, layout="auto") in PRESETS.values():
        return ()
    top, label, chance = settled.describe()["top_x0"][0]
    return (("as given", top, label, chance),)


def _providers(opened: Callable[..., OnnxResponse], picture: FloatArray) -> dict[str, str]:
    """What each installed provider really executes of the model, by running it there."""
    said: dict[str, str] = {}
    for name in load_runtime().get_available_providers():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", LegstatWarning)
                nodes = opened(None, provider=name, free_batch_axis=False).node_placement(picture)
        except (ValueError, RuntimeError) as error:
            reason = str(error).strip().splitlines()[0].removeprefix("legstat.onnx_response: ")
            said[name] = f"does not run it: {reason.partition('. Pass ')[0][:200]}"
        else:
            said[name] = f"runs {nodes.get(name, 0)} of {sum(nodes.values())} nodes"
    return said


def scores_text(kind: str) -> str:
    """Scores that the kind of output allows."""
    if kind in ("logits", "sigmoid_logits"):
        return "log_odds, probability, logit, difference"
    return "log_odds (while no probability is rounded to 0), probability, difference"


def difference_text(value: float) -> str:
    """A largest difference in words."""
    return "no difference, bit for bit," if value == 0.0 else f"differences of up to {value:.3g}"
