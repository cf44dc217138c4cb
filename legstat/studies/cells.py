"""What a study is made of: estimators, and cells, each of which is one experiment to be repeated.

The random numbers of a replicate come from the content of its cell, the study's seed and its own number. So nothing
that is added to a study, left out of it or put in another order changes any replicate that it has in common with
another one; and every n, design and estimator meets the same truth in replicate r.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Literal, Self, cast, get_args

import numpy as np

from legstat import simulate
from legstat._core.checks import check_choice, check_positive
from legstat._core.conventions import MomentKind
from legstat._core.errors import invalid
from legstat._core.typing import JSON, FloatArray
from legstat.designs.by_name import LawName, law_named
from legstat.designs.design import Design
from legstat.simulate.responses import Link, SimulatedResponse

Method = Literal["leg", "legtv"]
Rule = Literal["theory", "L_ratio", "heldout", "bootstrap"]
DesignName = LawName
ResponseName = Literal["linear", "probit", "logistic", "quadratic"]

VALUES: dict[str, float] = {"theory": 0.95, "L_ratio": 0.1, "heldout": 0.02, "bootstrap": 0.95}
"""What a rule's value is where it is not given: probability, L_ratio, smallest L_ratio of the path, level."""


@dataclass(frozen=True)
class Estimator:
    """One way to a map, with its choice of moments and of L.

    Parameters
    ----------
    method : {"leg", "legtv"}
        `LEG` or `LEGTV`.
    moments : {"printed", "centred", "regression", "adaptive", "crossfit", "least_squares"}
        How b is estimated; see `QuerySample.moments`.
    rule : {"theory", "L_ratio", "heldout", "bootstrap"}, optional
        How LEG-TV's L is chosen, by the names of `LEGTV.fit`: Theorem 1, a fraction of L_max, held-out R^2 on a path of
        20, the multiplier bootstrap. Left out for LEG.
    value : float, optional
        Of "theory" and "bootstrap" the probability (0.95), of "L_ratio" L / L_max (0.1), of "heldout" the smallest
        L / L_max of the path (0.02).

    Raises
    ------
    ValueError
        If a part is unknown, or the rule is missing or out of place.

    Examples
    --------
    >>> Estimator.parse("legtv/regression/L_ratio=0.2")
    Estimator(method='legtv', moments='regression', rule='L_ratio', value=0.2)
    >>> Estimator("leg", "crossfit").name
    'leg/crossfit'
    """

    method: Method
    moments: MomentKind
    rule: Rule | None = None
    value: float | None = None

    def __post_init__(self) -> None:
        where = "studies.Estimator"
        check_choice(where, "method", self.method, get_args(Method))
        check_choice(where, "moments", self.moments, get_args(MomentKind))
        if (self.method == "legtv") != (self.rule is not None) or self.rule not in (None, *get_args(Rule)):
            valid = "one of " + ", ".join(map(repr, get_args(Rule))) + " for 'legtv', left out for 'leg'"
            raise ValueError(invalid(where, "rule", self.rule, valid))
        if self.rule is None and self.value is not None:
            raise ValueError(invalid(where, "value", self.value, "left out for 'leg'"))
        if self.rule is not None:
            value = check_positive(where, "value", VALUES[self.rule] if self.value is None else self.value)
            if value > 1.0 or (value == 1.0 and self.rule in ("theory", "bootstrap")):
                raise ValueError(invalid(where, "value", self.value, f"inside (0, 1) for {self.rule!r}"))
            object.__setattr__(self, "value", value)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``method/moments`` or ``method/moments/rule`` or ``method/moments/rule=value``.

        Parameters
        ----------
        text : str
            Such as "leg/crossfit", "legtv/regression/heldout", "legtv/printed/L_ratio=0.3".

        Returns
        -------
        Estimator
            The same in parts.
        """
        method, _, rest = text.strip().partition("/")
        moments, _, chosen = rest.partition("/")
        rule, equals, value = chosen.partition("=")
        try:
            number = float(value) if equals else None
        except ValueError:
            remedy = "Such as legtv/regression/L_ratio=0.2."
            raise ValueError(invalid("studies.Estimator", "value", value, "a number", remedy)) from None
        return cls(cast("Method", method), cast("MomentKind", moments), cast("Rule", rule) if rule else None, number)

    @property
    def name(self) -> str:
        """The text that `parse` reads; the value stands in it where it is not the rule's usual one."""
        parts: list[str] = [self.method, self.moments]
        if self.rule is not None:
            parts.append(self.rule if self.value == VALUES[self.rule] else f"{self.rule}={self.value!r}")
        return "/".join(parts)


@dataclass(frozen=True)
class Cell:
    """One experiment of a study.

    Attributes
    ----------
    response : str
        Name of a simulated response, or "subject" with its digest.
    grid : tuple of int
        (p1, p2).
    sparsity : int or None
        s of the truths; None for a subject.
    design : {"structured", "isotropic", "blocks", "cells", "smooth", "smooth_binary"}
        Family of the law of z.
    sigma : float
        Its scale.
    n_queries : int
        Model evaluations, f(x0) included.
    antithetic : bool
        Whether observations are pairs.
    amplitude, offset, curvature, noise : float
        Of a simulated response: largest absolute gamma, constant before the link, weight of the square, standard
        deviation of the noise that each evaluation but f(x0) carries.
    """

    response: str
    grid: tuple[int, int]
    sparsity: int | None
    design: DesignName
    sigma: float
    n_queries: int
    antithetic: bool
    amplitude: float = 1.0
    offset: float = 0.0
    curvature: float = 0.0
    noise: float = 0.0

    def content(self) -> JSON:
        """Everything that the numbers of a replicate depend on, beside seed and number."""
        return dataclasses.asdict(self)

    def key(self, seed: int) -> str:
        """Name of this cell's replicates under that seed."""
        return digest({"cell": self.content(), "seed": seed})

    @property
    def law(self) -> Design:
        """The law of z, all channels sharing it."""
        return law_named(self.design, self.grid, self.sigma)

    @property
    def picture(self) -> FloatArray:
        """x0 of a simulated response: black, one pixel a cell, so that the linear part is 0 there."""
        return np.zeros((1, *self.grid))

    def simulated(self, truth: FloatArray) -> SimulatedResponse:
        """The simulated response without its noise."""
        link: Link = self.response if self.response in ("probit", "logistic") else "identity"  # type: ignore[assignment]
        return SimulatedResponse(truth, curvature=self.curvature, offset=self.offset, link=link)

    def truth(self, seed: int, replicate: int) -> FloatArray:
        """gamma of the linear part in replicate r, shape (p1, p2): the same for all n, designs and estimators."""
        content = {"truth": [*self.grid, self.sparsity]}
        gamma = simulate.piecewise_constant(self.grid, self.sparsity or 0, rng=stream(content, seed, replicate))
        return self.amplitude * gamma


def digest(content: JSON) -> str:
    """SHA-256 of a mapping of plain values."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def stream(content: JSON, seed: int, *number: int) -> np.random.SeedSequence:
    """The source of random numbers that belongs to a content, a seed and a number under them."""
    words = np.frombuffer(bytes.fromhex(digest(content)), dtype=">u4")
    return np.random.SeedSequence([seed, *map(int, words)], spawn_key=number)
