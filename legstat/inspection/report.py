"""What an inspection found, wherever the model runs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

from legstat._core.notebooks import Rich
from legstat._core.typing import JSON


@dataclass(frozen=True, kw_only=True)
class Inspection(Rich):
    """What was found out about a model by trying it; ``str(report)`` is what ``legstat inspect`` prints.

    Parameters
    ----------
    inputs, outputs : tuple of str
        With type and shape.
    response : dict
        What `Response.describe` says after a run on the picture; empty where the model cannot be run as it is.
    problems : tuple of str
        What has to be settled before it can be explained, and what looks wrong.
    presets : tuple of (str, int, str or None, float)
        Preset, first choice, its label, its probability: for the given picture under every preset that fits; under
        "as given" for a preprocessing that is none of them.
    repeat_difference : float or None
        Largest difference of the class outputs among repeated runs of one picture; 0 means bit for bit.
    batch_difference : float or None
        Largest difference between running pictures together and one by one; None where they only go one by one.
    evaluations : int
        Forward passes that the inspection took.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    response: JSON = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    presets: tuple[tuple[str, int, str | None, float], ...] = ()
    repeat_difference: float | None = None
    batch_difference: float | None = None
    evaluations: int = 0

    def to_dict(self) -> JSON:
        """The report as plain JSON values."""
        plain: JSON = json.loads(json.dumps(asdict(self)))
        return plain

    def __str__(self) -> str:
        """The report as text, one fact per line."""
        lines = [
            *self._origin(),
            *(f"input        {text}" for text in self.inputs),
            *(f"output       {text}" for text in self.outputs),
        ]
        if self.response:
            lines += [*self._where(self.response), *_classes(self.response)]
        lines += [f"problem      {text}" for text in self.problems]
        for name, top, label, chance in self.presets:
            shown = f"{top}" if label is None else f"{top} ({label})"
            lines.append(f"preset       {name + ':':<10}first choice {shown}, probability {chance:.4g}")
        lines += self._speed()
        if self.repeat_difference is not None:
            lines.append(f"repeated     {_difference(self.repeat_difference)} between runs of one picture")
        if self.batch_difference is not None:
            lines.append(f"batched      {_difference(self.batch_difference)} between one by one and together")
        return "\n".join([*lines, f"cost         {self._cost()}"])

    def _origin(self) -> list[str]:
        """Lines on where the model comes from."""
        return []

    def _where(self, about: JSON) -> list[str]:
        """Lines on what runs it, once it was run."""
        return []

    def _speed(self) -> list[str]:
        """Lines on how fast it is."""
        return []

    def _cost(self) -> str:
        return f"{self.evaluations} forward passes"


def _classes(about: JSON) -> list[str]:
    """Lines on what goes in and what is read."""
    shape = " x ".join("any" if size is None else str(size) for size in about["input_shape"])
    batch = f", batch {about['batch']}" if "batch" in about else ""
    layout = about["preprocessing"]["layout"]
    logits = about["output_kind"] in ("logits", "sigmoid_logits")
    scores = "probability, logit, difference" if logits else "probability, difference"
    while_exact = "" if logits else " (while no probability is rounded to 0)"
    return [
        f"picture      {about['input']!r}: channels x rows x columns = {shape}, {layout}{batch}",
        f"classes      {about['n_classes']}, read from {about['output']!r} as {about['output_kind']}",
        f"  because    {about['output_kind_ground']}",
        f"scores       log_odds{while_exact}, {scores}",
    ]


def _difference(value: float) -> str:
    return "no difference, bit for bit," if value == 0.0 else f"differences of up to {value:.3g}"
