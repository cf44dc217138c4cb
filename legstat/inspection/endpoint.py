"""What a model behind an address is: what its server says of it, and what a few requests show."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from legstat._core.errors import LegstatWarning
from legstat._core.pictures import rounded
from legstat._core.typing import JSON, AnyArray
from legstat.inspection.report import Inspection
from legstat.inspection.trials import Preset, assumed, compare_presets, picture_for, run_alone, variants
from legstat.responses.http.opening import http_response
from legstat.responses.http.response import HttpResponse
from legstat.responses.network.preprocessing import Preprocessing


@dataclass(frozen=True, kw_only=True)
class EndpointReport(Inspection):
    """What `inspect_endpoint` found, beside what stands in every `Inspection`.

    Parameters
    ----------
    inputs, outputs, response, problems, presets, repeat_difference, batch_difference, evaluations : optional
        As for `Inspection`.
    url, model : str
        Address, and the model's name there.
    seconds : dict of str to float
        Seconds for a picture: one request of one picture, and all requests under way at once.
    requests : int
        Requests that the inspection took.

    Examples
    --------
    >>> report = EndpointReport(url="http://localhost:8000", model="digits", inputs=("x float32 [?, 1, 8, 8]",),
    ...                         outputs=("logits float32 [?, 10]",))
    >>> print(str(report).splitlines()[0])
    model        digits at http://localhost:8000
    """

    url: str
    model: str
    seconds: dict[str, float] = field(default_factory=dict)
    requests: int = 0

    def __repr__(self) -> str:
        return f"<EndpointReport {self.model} at {self.url}: {len(self.problems)} problems>"

    def _origin(self) -> list[str]:
        return [f"model        {self.model} at {self.url}"]

    def _where(self, about: JSON) -> list[str]:
        served = about["version_served"] or "not told"
        return [
            f"version      asked for: {about['version'] or 'none'}; that answered: {served}",
            f"platform     {about['platform'] or 'not told'}; what the network is cannot be seen from here",
            f"numbers      sent as {'bytes' if about['binary'] else 'JSON'}",
        ]

    def _speed(self) -> list[str]:
        if not self.seconds:
            return []
        return ["speed        per picture, " + ", ".join(f"{n}: {1e3 * s:.3g} ms" for n, s in self.seconds.items())]

    def _cost(self) -> str:
        return f"{self.evaluations} evaluations in {self.requests} requests"


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
        problems.append(assumed(settled, "the server does not tell"))
    if settled.describe()["version"] is None:
        problems.append("no version was asked for: the model may be replaced under its name, and no answers are kept.")
    pictures = rounded(variants(picture), settled.dtype)
    began = settled.requests
    start = time.perf_counter()
    trial = run_alone(settled, pictures, repeats)
    seconds = {"one by one": (time.perf_counter() - start) / trial.evaluations}
    many = np.resize(pictures, (settled.batch_size, *pictures.shape[1:]))
    start = time.perf_counter()
    together = settled.class_outputs(many).astype(np.float64)
    size, at_once = settled.request_size, -(-len(many) // settled.request_size)
    seconds[f"{at_once} requests of {size} at once"] = (time.perf_counter() - start) / len(many)
    presets: tuple[Preset, ...] = ()
    asked = 0
    if image is not None:
        presets, asked = compare_presets(opened, settled, picture, preprocessing is not None)
    expected = np.resize(trial.one_by_one, together.shape)
    return EndpointReport(
        url=url,
        model=model,
        inputs=inputs,
        outputs=outputs,
        response=settled.describe(),
        problems=tuple(problems),
        presets=presets,
        seconds=seconds,
        repeat_difference=trial.repeat_difference,
        batch_difference=float(np.abs(together - expected).max()),
        evaluations=1 + trial.evaluations + len(many) + asked,
        requests=1 + settled.requests - began + asked,
    )
