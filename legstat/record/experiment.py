"""The experiment of a record: written so that nothing of it is left to a default, read, and carried out again."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from legstat._core.digests import array_sha256
from legstat._core.errors import invalid
from legstat._core.typing import JSON, FloatArray
from legstat.designs.by_name import design_from_parameters
from legstat.perturbations.operators import PERTURBATIONS
from legstat.record.reopening import find_file
from legstat.responses.base import Response
from legstat.samples.budget import Budget
from legstat.samples.sample import QuerySample
from legstat.samples.stopping import HalfWidth
from legstat.sampling.experiment import Experiment
from legstat.sampling.query import evaluate


def experiment_of(sample: QuerySample, seed: int | None) -> JSON:
    """What a record says of the experiment behind a sample; arrays by their hash, they lie in sample.npz.

    Parameters
    ----------
    sample : QuerySample
        What was queried.
    seed : int or None
        What the key came from, where it was a number.

    Returns
    -------
    dict
        What `carry_out` reads.

    Raises
    ------
    ValueError
        If the sample was made from arrays or merged: such an experiment cannot be repeated from one key.
    """
    if sample.external_z is not None or len({s.channel for s in sample.segments}) != len(sample.segments):
        remedy = "Save the sample itself: QuerySample.save keeps all there is."
        raise ValueError(invalid("record", "sample", "from arrays, or merged", "the sample of one run", remedy))
    first = sample.segments[0]
    return {
        "design": _parameters(sample.design),
        "perturbation": _parameters(sample.perturbation),
        "antithetic": sample.antithetic,
        "conventions": sample.conventions,
        "n_queries": sample.ledger.n_queries,
        "until": None if sample.stopping is None else sample.stopping.rule.parameters(),
        "until_from": 0 if sample.stopping is None else sample.stopping.start,
        "beforehand": sample.ledger.beforehand,
        "seed": seed,
        "key": [str(word) for word in first.key],
        "first_block": first.first_block,
    }


def carry_out(then: JSON, home: Path, response: Response, image: FloatArray, *, progress: bool = True) -> QuerySample:
    """The recorded experiment done again from its key.

    Parameters
    ----------
    then : dict
        What `experiment_of` wrote.
    home : Path
        Folder of the record, with sample.npz where the experiment has arrays.
    response : Response
        The recorded one.
    image : ndarray of shape (C, H, W)
        The recorded picture.
    progress : bool, default True
        Show a progress bar if the output is a terminal.

    Returns
    -------
    QuerySample
        As many evaluations as the run spent.
    """
    design = design_from_parameters(then["design"]["class"], _arguments(then, "design", home))
    operator = PERTURBATIONS[then["perturbation"]["class"]](**_arguments(then, "perturbation", home))
    experiment = partial(
        Experiment.of,
        image,
        design,
        perturbation=operator,
        antithetic=then["antithetic"],
        conventions=then["conventions"],
        beforehand=then.get("beforehand", 0),
    )
    drawn: JSON = {"key": (int(then["key"][0]), int(then["key"][1])), "first_block": then["first_block"]}
    rule = None if then.get("until") is None else HalfWidth.from_parameters(then["until"])
    if rule is not None and then["until_from"]:
        # the rule set in when so much was there already: nothing was analysed at less
        budget = Budget.of(design, operator, image, then["antithetic"], more=then["beforehand"])
        before = experiment(budget.queries(then["until_from"]), **drawn)
        drawn = {"resume": evaluate(response, before, progress=progress)}
    return evaluate(response, experiment(then["n_queries"], until=rule, **drawn), progress=progress)


def _arguments(then: JSON, of: str, home: Path) -> JSON:
    """Constructor arguments of design or perturbation; arrays from sample.npz."""
    plain = {name: value for name, value in then[of].items() if name != "class"}
    if any(isinstance(value, dict) for value in plain.values()):
        saved = QuerySample.load(find_file("sample.npz", None, None, home, "sample.npz"))
        for name, value in plain.items():
            if isinstance(value, dict):
                plain[name] = getattr(saved, of).parameters()[name]
                if array_sha256(plain[name]) != value["sha256"]:
                    raise ValueError(invalid("verify", f"sample.npz: {name}", "another array", "the recorded one"))
    return plain


def _parameters(of: Any) -> JSON:
    """Class and constructor arguments; arrays by their hash, to be taken from sample.npz."""
    plain = {
        name: {"sha256": array_sha256(value), "file": "sample.npz"} if isinstance(value, np.ndarray) else value
        for name, value in of.parameters().items()
    }
    return {"class": type(of).__name__, **plain}
