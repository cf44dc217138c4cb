"""A network's score with its history, for whoever wants its gradient: the same numbers as without."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from legstat.responses.network.preprocessing import Preprocessing
from legstat.responses.network.scores import Score

if TYPE_CHECKING:
    import torch


def preprocessed(pictures: torch.Tensor, rule: Preprocessing, dtype: torch.dtype) -> torch.Tensor:
    """The network's input for pictures (n, C, H, W) in [0, 1], on their device, with their history."""
    import torch

    channels = pictures.shape[1]
    if rule.reverses(channels):
        pictures = pictures.flip(1)
    factor, offset = (torch.as_tensor(one, dtype=pictures.dtype) for one in rule.affine(channels))
    inputs = pictures * factor.to(pictures.device)[:, None, None] + offset.to(pictures.device)[:, None, None]
    if rule.layout == "NHWC":
        inputs = inputs.permute(0, 2, 3, 1).contiguous()
    return inputs.to(dtype)


def scored(score: Score, outputs: torch.Tensor) -> torch.Tensor:
    """Scores (n,) of class outputs (n, K) in float64, as `Score` computes them, with their history."""
    import torch

    values = outputs.double()
    kind = score.kind
    if isinstance(score.target, tuple):
        chances = _probabilities(values, kind)[:, list(score.target)]
        return chances[:, 0] - chances[:, 1] if score.name == "difference" else chances.sum(dim=1)
    target = score.target
    chosen = values[:, target]
    if score.name == "logit" or (score.name == "log_odds" and kind == "sigmoid_logits"):
        return chosen
    if score.name == "probability":
        return _probabilities(values, kind)[:, target]
    others = torch.cat([values[:, :target], values[:, target + 1 :]], dim=1)
    if kind in ("logits", "log_probabilities"):
        return chosen - torch.logsumexp(others, dim=1)
    # a probability that the network's precision has rounded to 0 is taken as its smallest positive number
    floor = torch.finfo(outputs.dtype).smallest_normal * torch.finfo(outputs.dtype).eps
    rest = 1.0 - chosen if kind == "sigmoid_probabilities" else others.sum(dim=1)
    return chosen.clamp_min(floor).log() - rest.clamp_min(floor).log()


def scored_by_row(scores: Sequence[Score], outputs: torch.Tensor) -> torch.Tensor:
    """As `scored`, each row by a score of its own; those that follow each other by the same one at once."""
    import torch

    parts, at = [], 0
    for score, some in groupby(scores):
        end = at + len(list(some))
        parts.append(scored(score, outputs[at:end]))
        at = end
    return torch.cat(parts)


def _probabilities(values: torch.Tensor, kind: str) -> torch.Tensor:
    if kind == "logits":
        return values.softmax(dim=1)
    if kind == "log_probabilities":
        return values.exp()
    return values.sigmoid() if kind == "sigmoid_logits" else values


def score_module(scores: Callable[[torch.Tensor], torch.Tensor], network: torch.nn.Module) -> torch.nn.Module:
    """A module that computes `scores`, with the network that they go through as its part ``network``."""
    import torch

    class Scored(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            return scores(pictures)

    return Scored()
