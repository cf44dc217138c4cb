"""What determines an answer, as the key under which a cache keeps it."""

from __future__ import annotations

import json

from legstat._core.digests import value_sha256
from legstat._core.errors import invalid
from legstat._core.typing import FloatArray
from legstat.responses.base import Response

FORMAT = 2
"""Form of the entries, and of what determines them. Part of every key: entries of another form are not found."""

# what a description says that does not determine scores, by the promise that ONNX Runtime on one machine gives.
# "company" does not either, whatever was found: a network whose answers depend on their batch is run one by one
_IDLE = (
    "batch_size", "threads", "saturated", "checks", "file", "request_size", "in_flight", "version_served", "company",
)  # fmt: skip
# what, besides, only says how the settled response came about
_SETTLED = ("n_classes", "target_given", "target_label", "top_x0", "score_x0", "probability_x0", "logit_x0", "remark")
_GROUNDS = ("output_kind_source", "output_kind_ground", "preprocessing_given")


def _without(value: object, names: tuple[str, ...]) -> object:
    """A JSON value without the entries of those names, at any depth."""
    if isinstance(value, dict):
        return {key: _without(inside, names) for key, inside in value.items() if key not in names}
    return value


def settled_key(response: Response, where: str = "query", name: str = "cache") -> str:
    """What the scores of a settled response depend on; ValueError about the argument `name` where that is not known."""
    return _described(response, _IDLE + _SETTLED + _GROUNDS, where, name)


def anchor_key(response: Response, image: FloatArray) -> str:
    """What f(x0), and what it settles, depends on: of a network the batches too, in which company is tried then."""
    about = response.describe()
    tried_with = about["batch_size"] if "company" in about else None
    return value_sha256(FORMAT, _described(response, _IDLE), tried_with, image)[0]


def _described(response: Response, but: tuple[str, ...], where: str = "query", name: str = "cache") -> str:
    about = response.describe()
    if about.get("fingerprint_complete") is False:
        gaps = about.get("fingerprint_gaps", ())
        remedy = "Name the model's version."
        if about.get("kind") != "http":
            seen = f"Not seen by its fingerprint: {'; '.join(gaps[:3])}{'; ...' if gaps[3:] else ''}. "
            remedy = f"{seen}Give it an attribute `fingerprint`: a string, another one for other scores."
            if about.get("kind") == "torch":
                remedy = f"{seen}A function with an attribute `fingerprint` that calls the module may be cached."
        valid = "left out for a response that cannot be told from others"
        raise ValueError(invalid(where, name, f"with {response!r}", valid, remedy))
    return json.dumps(_without({**about, "fingerprint": response.fingerprint}, but), sort_keys=True)
