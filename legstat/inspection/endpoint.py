"""What a model behind an address is: what its server says of it, and what a few requests show."""

from __future__ import annotations

import contextlib
import json
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from legstat._core.errors import LegstatWarning
from legstat._core.typing import JSON, AnyArray
from legstat.inspection.onnx_file import difference_text, own_rule, picture_for, scores_text, variants
from legstat.responses.http.opening import http_response
from legstat.responses.http.response import HttpResponse
from legstat.responses.network.preprocessing import PRESETS, Preprocessing


@dataclass(frozen=True, kw_only=True)
class EndpointReport:
    """What `inspect_endpoint` found; ``str(report)`` is the text that ``legstat inspect --url`` prints.

    Parameters
    ----------
    url, model : str
        Address, and the model's name there.
    inputs, outputs : tuple of str
        With type and shape.
    response : dict
        What `Response.describe` says after a run on the picture; empty where there was none.
    problems : tuple of str
        What has to be settled before it can be explained, and what looks wrong.
    presets : tuple of (str, int, str or None, float)
        Preset, first choice, its label, its probability: for the given picture under every preset that fits.
    seconds : dict of str to float
        Seconds for a picture: one request of one picture, and all requests under way at once.
    repeat_difference : float or None
        Largest difference of the class outputs among repeated requests of one picture; 0 means bit for bit.
    batch_difference : float or None
        Largest difference between sending pictures together and one by one.
    evaluations, requests : int
        Pictures and requests that the inspection took.

    Examples
    --------
    >>> report = EndpointReport(url="http://localhost:8000", model="digits", inputs=("x float32 [?, 1, 8, 8]",),
    ...                         outputs=("logits float32 [?, 10]",))
    >>> print(str(report).splitlines()[0])
    model        digits at http://localhost:8000
    """

    url: str
    model: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    response: JSON = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    presets: tuple[tuple[str, int, str | None, float], ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    repeat_difference: float | None = None
    batch_difference: float | None = None
    evaluations: int = 0
    requests: int = 0

    def to_dict(self) -> JSON:
        """The report as plain JSON values."""
        plain: JSON = json.loads(json.dumps(asdict(self)))
        return plain

    def __repr__(self) -> str:
        return f"<EndpointReport {self.model} at {self.url}: {len(self.problems)} problems>"

    def __str__(self) -> str:
        """The report as text, one fact per line."""
        about = self.response
        lines = [
            f"model        {self.model} at {self.url}",
            *(f"input        {text}" for text in self.inputs),
            *(f"output       {text}" for text in self.outputs),
        ]
        if about:
            shape = " x ".join("any" if size is None else str(size) for size in about["input_shape"])
            served = about["version_served"] or "not told"
            lines += [
                f"version      asked for: {about['version'] or 'none'}; that answered: {served}",
                f"platform     {about['platform'] or 'not told'}; what the network is cannot be seen from here",
                f"numbers      sent as {'bytes' if about['binary'] else 'JSON'}",
                f"picture      {about['input']!r}: channels x rows x columns = {shape}, "
                f"{about['preprocessing']['layout']}",
                f"classes      {about['n_classes']}, read from {about['output']!r} as {about['output_kind']}",
                f"  because    {about['output_kind_ground']}",
                f"scores       {scores_text(about['output_kind'])}",
            ]
        lines += [f"problem      {text}" for text in self.problems]
        for name, top, label, chance in self.presets:
            shown = f"{top}" if label is None else f"{top} ({label})"
            lines.append(f"preset       {name + ':':<10}first choice {shown}, probability {chance:.4g}")
        if self.seconds:
            lines.append(
                "speed        per picture, " + ", ".join(f"{n}: {1e3 * s:.3g} ms" for n, s in self.seconds.items())
            )
        if self.repeat_difference is not None:
            lines.append(f"repeated     {difference_text(self.repeat_difference)} between requests of one picture")
        if self.batch_difference is not None:
            lines.append(f"batched      {difference_text(self.batch_difference)} between one by one and together")
        lines.append(f"cost         {self.evaluations} evaluations in {self.requests} requests")
        return "\n".join(lines)


def inspect_endpoint(
    url: str,
    model: str,
    *,
    image: str | Path | AnyArray | None = None,
    preprocessing: Preprocessing | str | Path | Mapping[str, object] | None = None,
    labels: str | Path | Sequence[str] | None = None,
    repeats: int = 5,
    **settings: object,
) -> EndpointReport:
    """Ask what a model behind an address is, and try it on a few pictures.

    Parameters
    ----------
    url, model : str
        As for `http_response`.
    image : str or Path or ndarray, optional
        A picture file, or (C, H, W) in [0, 1]; by default random pixels, from which no preset can be judged.
    preprocessing, labels : optional
        As for `http_response`.
    repeats : int, default 5
        Requests of the same picture, to see whether it is answered alike.
    **settings
        Further arguments of `http_response`: version, input, output, transport, ...

    Returns
    -------
    EndpointReport
        The findings. What stops the model from being asked is reported in `problems`, not raised.

    Raises
    ------
    ConnectionError
        The endpoint does not answer.
    RuntimeError
        It refuses; there is no such model.

    Examples
    --------
    >>> import legstat as ls
    >>> ls.inspect_endpoint("http://localhost:9", "digits", transport=ls.Transport(retries=0, timeout=1.0))
    Traceback (most recent call last):
    ConnectionError: legstat.http_response: no answer from http://localhost:9/v2/models/digits in 1 attempts of 1 s: ...
    """

    def opened(rule: object) -> HttpResponse:
        more: JSON = {"labels": labels, "score": "probability", "preprocessing": rule, **settings}
        return http_response(url, model, **more)

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", LegstatWarning)
        try:
            fresh = opened(preprocessing)
        except ValueError as error:
            return EndpointReport(url=url, model=model, inputs=(), outputs=(), problems=(str(error),))
        inputs, outputs = fresh.tensors
        picture = picture_for(fresh, image)
        try:
            settled, _ = fresh.bind(picture)
        except (ValueError, RuntimeError) as error:
            return EndpointReport(
                url=url, model=model, inputs=inputs, outputs=outputs, problems=(str(error),), evaluations=1, requests=1
            )
    problems = [str(one.message) for one in said]
    if preprocessing is None:
        problems.append(
            f"no preprocessing was given: taken to want {'0..255' if settled.preprocessing.scale == 255 else '[0, 1]'} "
            "in RGB order; the server does not tell. Compare the presets on a picture whose class is known."
        )
    if settled.describe()["version"] is None:
        problems.append("no version was asked for: the model may be replaced under its name, and no answers are kept.")
    pictures = variants(picture).astype(settled.dtype)
    began = settled.requests
    alone = settled.with_batch_size(1)
    start = time.perf_counter()
    one_by_one = np.concatenate([alone.class_outputs(one[None]) for one in pictures]).astype(np.float64)
    seconds = {"one by one": (time.perf_counter() - start) / len(pictures)}
    again = [alone.class_outputs(pictures[:1]).astype(np.float64) for _ in range(max(repeats - 1, 0))]
    many = np.resize(pictures, (settled.batch_size, *pictures.shape[1:]))
    start = time.perf_counter()
    together = settled.class_outputs(many).astype(np.float64)
    size, at_once = settled.request_size, -(-len(many) // settled.request_size)
    seconds[f"{at_once} requests of {size} at once"] = (time.perf_counter() - start) / len(many)
    presets = _presets(opened, picture) if image is not None else ()
    asked = len(presets)
    if presets and preprocessing is not None:
        presets = (*own_rule(settled), *presets)
    expected = np.resize(one_by_one, together.shape)
    return EndpointReport(
        url=url,
        model=model,
        inputs=inputs,
        outputs=outputs,
        response=settled.describe(),
        problems=tuple(problems),
        presets=presets,
        seconds=seconds,
        repeat_difference=max((float(np.abs(run - one_by_one[:1]).max()) for run in again), default=None),
        batch_difference=float(np.abs(together - expected).max()),
        evaluations=1 + len(pictures) + len(again) + len(many) + asked,
        requests=1 + settled.requests - began + asked,
    )


def _presets(
    opened: Callable[[object], HttpResponse], picture: AnyArray
) -> tuple[tuple[str, int, str | None, float], ...]:
    """First choice under every preset that fits the network's channels."""
    found = []
    for name in PRESETS:
        with contextlib.suppress(ValueError), warnings.catch_warnings():
            warnings.simplefilter("ignore", LegstatWarning)
            response, _ = opened(name).bind(picture)
            top, label, chance = response.describe()["top_x0"][0]
            found.append((name, top, label, chance))
    return tuple(found)
