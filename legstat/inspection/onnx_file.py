"""What an ONNX file is: everything an auditor asks before the first query."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from legstat._core.errors import LegstatWarning
from legstat._core.pictures import rounded
from legstat._core.typing import JSON, AnyArray, FloatArray
from legstat.inspection.report import Inspection
from legstat.inspection.trials import Preset, assumed, compare_presets, picture_for, run_alone, variants
from legstat.responses.network.preprocessing import Preprocessing
from legstat.responses.onnx.binding import load_runtime
from legstat.responses.onnx.graph import read_model
from legstat.responses.onnx.opening import onnx_response
from legstat.responses.onnx.response import OnnxResponse
from legstat.responses.onnx.settings import SessionSettings
from legstat.sampling.batch_size import CANDIDATES, BatchTimings, measure_batch_sizes


@dataclass(frozen=True, kw_only=True)
class ModelReport(Inspection):
    """What `inspect_model` found, beside what stands in every `Inspection`.

    Parameters
    ----------
    inputs, outputs, response, problems, presets, repeat_difference, batch_difference, evaluations : optional
        As for `Inspection`.
    file, sha256, producer : str
        Name of the file, SHA-256 (of all its files), program that wrote it.
    n_bytes, opset, ir_version, n_parameters : int
        Size of the model file, versions of operators and format, numbers in the initialisers.
    external_files : tuple of str
        Data files beside it.
    providers : dict of str to str
        Installed providers, each with the number of nodes that it executes, or what it said.
    placement : dict of str to int
        Nodes executed, by provider.
    timings : dict of int to float
        Seconds per image by batch size.
    best_batch_size : int or None
        The fastest one.

    Examples
    --------
    >>> from legstat.data import digits_model_path
    >>> report = inspect_model(digits_model_path(), seconds=0)
    >>> report
    <ModelReport digits_cnn.onnx: 9,930 parameters, 1 problems>
    """

    file: str
    sha256: str
    producer: str
    n_bytes: int
    opset: int
    ir_version: int
    n_parameters: int
    external_files: tuple[str, ...]
    providers: dict[str, str] = field(default_factory=dict)
    placement: dict[str, int] = field(default_factory=dict)
    timings: dict[int, float] = field(default_factory=dict)
    best_batch_size: int | None = None

    def __repr__(self) -> str:
        return f"<ModelReport {self.file}: {self.n_parameters:,} parameters, {len(self.problems)} problems>"

    def _origin(self) -> list[str]:
        return [
            f"model        {self.file}, {self.n_bytes:,} bytes, {self.n_parameters:,} parameters",
            f"sha256       {self.sha256}",
            f"written by   {self.producer or 'unknown'}; opset {self.opset}, format version {self.ir_version}",
            *(f"data file    {name}" for name in self.external_files),
        ]

    def _speed(self) -> list[str]:
        lines = [f"provider     {name}: {said}" for name, said in self.providers.items()]
        if self.placement:
            lines.append("nodes on     " + ", ".join(f"{name}: {count}" for name, count in self.placement.items()))
        if self.timings:
            times = BatchTimings(self.timings, 0)
            lines.append(f"speed        per image at batch {times}; best {self.best_batch_size}")
        return lines


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
    session: SessionSettings | None = None,
    batch_size: int | None = None,
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
    preprocessing, labels, input, output, output_kind, constants, provider, threads, session : optional
        As for `onnx_response`.
    batch_size : int, optional
        Pictures at once, at most, in all that is tried; by default as for `onnx_response`, and the speed of all sizes
        is measured.
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
            "session": session,
            "batch_size": batch_size,
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
    problems = [str(one.message) for one in said]
    if preprocessing is None:
        problems.append(assumed(settled, "nothing in the file tells"))
    pictures = rounded(variants(picture), settled.dtype)
    trial = run_alone(settled, pictures, repeats)
    batch_difference: float | None = None
    most = len(pictures) if batch_size is None else min(batch_size, len(pictures))
    if most > 1:
        # of the response before `bind`, which may have found that pictures have to go one by one
        together = fresh.with_batch_size(most).class_outputs(pictures).astype(np.float64)
        batch_difference = float(np.abs(together - trial.one_by_one).max())
    about = settled.describe()
    checks = (about["company"], about["checks"].get("free_batch"))
    tried = sum(check.get("evaluations", 0) for check in checks if check is not None)
    sizes = [size for size in CANDIDATES if batch_size is None or size <= batch_size]
    timings = measure_batch_sizes(settled, picture, candidates=sizes, seconds=seconds) if seconds > 0 else None
    presets: tuple[Preset, ...] = ()
    spent = 0
    if image is not None:
        presets, spent = compare_presets(
            lambda name: opened(name, free_batch_axis=False), settled, picture, preprocessing is not None
        )
    placement = settled.node_placement(picture)
    return ModelReport(
        **known,
        response=about,
        problems=tuple(problems),
        presets=presets,
        providers=_providers(opened, picture),
        placement=placement,
        timings={} if timings is None else timings.seconds,
        best_batch_size=None if timings is None else timings.best,
        repeat_difference=trial.repeat_difference,
        batch_difference=batch_difference,
        # f(x0), the pictures together and one profiled run beside the trials
        evaluations=2
        + trial.evaluations
        + (0 if batch_difference is None else len(pictures))
        + tried
        + spent
        + (0 if timings is None else timings.evaluations),
    )


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
