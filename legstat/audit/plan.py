"""The plan of an audit: one value that says everything that numbers depend on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self, cast, get_args

from legstat._core.checks import check_choice, check_count, check_flag, check_positive, check_within
from legstat._core.errors import invalid
from legstat._core.files import write_text
from legstat._core.frozen import Portable
from legstat._core.typing import JSON
from legstat.audit.plan_file import MODEL, SCHEMA, SECTIONS, fields_of, read_plan, toml_of
from legstat.designs.by_name import LAWS, LawName, name_of
from legstat.explanation.defaults import choose_L
from legstat.perturbations.operators import Additive, Blend, Perturbation
from legstat.sampling.defaults import default_design, default_queries

Operator = Literal["additive", "blur", "mean", "black", "noise"]
Choice = Literal["all", "every", "sample"]
_COUNTS = {
    "every": 1, "sample": 1, "sample_seed": 0, "n_queries": 1, "seed": 0, "batch_size": 1, "n_regions": 1, "steps": 0,
    "placebos": 0, "randomised": 0, "workers": 1, "max_failures": 0,
}  # fmt: skip
"""Whole numbers, and the least that each may be."""


class PlanError(ValueError):
    """Everything that is wrong with a plan, each with its key, value, valid range and remedy.

    Attributes
    ----------
    problems : tuple of str
        One sentence or two each.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        head = f"legstat.audit: the plan cannot be carried out, {count} thing{'s' if count > 1 else ''} to mend:"
        super().__init__("\n".join([head, *(f"- {one}" for one in self.problems)]))

    def __reduce__(self) -> tuple[type[PlanError], tuple[tuple[str, ...]]]:
        return type(self), (self.problems,)


@dataclass(frozen=True, kw_only=True)
class Plan(Portable):
    r"""What is done with which pictures. Checked as a whole: all that is wrong is told at once.

    Parameters
    ----------
    places : sequence of str
        Where the pictures are: folders, files, patterns; tables (.csv, .parquet) with a column ``file`` and, where
        there are such, ``label``, ``group``, ``boxes``, ``mask``; array stores (.npz, .npy).
    model : dict
        The black box, by the names in `MODEL`.
    question, purpose, author : str
        For the report: what is asked, what for, and by whom.
    choice : {"all", "every", "sample"}
        Which of them: all, every `every`-th, or `sample` of them at random by `sample_seed`.
    every, sample, sample_seed : int
        See `choice`.
    truth : str, optional
        CSV file of lines picture,class: labels, where no table has them.
    law : {"structured", "isotropic", "blocks", "cells", "smooth", "smooth_binary"}, optional
        Law of z; by default, as n_queries, what `explain` takes for that operator.
    grid : tuple of int, optional
        Cells; by default the finest of at most 28 a side that divides the first picture.
    scale : float, optional
        sigma; by default what fits law and operator.
    operator : {"additive", "blur", "mean", "black", "noise"}
        How z acts.
    at : float
        Mask level of all operators but "additive".
    n_queries : int, optional
        Ceiling on evaluations of a picture for its map.
    seed : int
        Of all draws: with a picture's own hash it makes the key of its generator.
    batch_size : int, optional
        Pictures per call; the model's own unless given.
    L : float or str, optional
        L or the rule for it, see `explain`; "readable" where none of the three is given.
    L_ratio : float, optional
        L as a fraction of L_max.
    n_regions : int, optional
        The most detailed map with at most so many regions.
    relaxed : bool
        Whether LEG-TV's levels are refitted on its regions, see `explain`.
    steps : int
        Of the curves of deletion and insertion; 0 for none.
    baseline : str
        Of these curves.
    checks : bool
        Whether checks are made: of each picture, and at the end of model and run.
    placebos : int
        Of each picture; see `legstat.checks.placebo`.
    randomised : int
        Pictures on which weights are randomised and other classes tried at the end, at some ten times a map's
        evaluations each; see `legstat.checks.check_run`.
    workers : int
        Pictures at a time, in processes of this machine.
    scheduler : str, optional
        Address of a Dask scheduler (``tcp://host:8786``), all of whose workers take the place of `workers`.
    max_failures : int
        Failed pictures after which a run stops.

    Raises
    ------
    PlanError
        Anything that can be seen to be wrong without model and pictures.

    Examples
    --------
    >>> plan = Plan(places=("pictures",), model={"model": "net.onnx"}, n_queries=2000)
    >>> Plan.from_dict(plan.to_dict()) == plan
    True
    >>> try:
    ...     Plan(places=(), model={"model": "net.onnx"}, n_queries=0)
    ... except PlanError as error:
    ...     print(*error.problems, sep="\n")
    legstat.Plan: `pictures.places` must be at least one folder, file or pattern. Got ().
    legstat.Plan: `query.n_queries` must be a whole number >= 1. Got 0.
    """

    places: tuple[str, ...]
    model: Mapping[str, Any]
    question: str = ""
    purpose: str = ""
    author: str = ""
    choice: Choice = "all"
    every: int = 1
    sample: int = 100
    sample_seed: int = 0
    truth: str | None = None
    law: LawName | None = None
    grid: tuple[int, int] | None = None
    scale: float | None = None
    operator: Operator = "blur"
    at: float = 0.5
    n_queries: int | None = None
    seed: int = 0
    batch_size: int | None = None
    L: float | str | None = None
    L_ratio: float | None = None
    n_regions: int | None = None
    relaxed: bool = True
    steps: int = 56
    baseline: str = "blur"
    checks: bool = True
    placebos: int = 5
    randomised: int = 1
    workers: int = 1
    scheduler: str | None = None
    max_failures: int = 10

    def __post_init__(self) -> None:
        if not isinstance(self.model, Mapping):
            raise PlanError([invalid("Plan", "model", self.model, "a table of names and values")])
        object.__setattr__(self, "model", {k: v for k, v in dict(self.model).items() if v is not None and v != []})
        for name in ("places", "grid"):
            if isinstance(value := getattr(self, name), list):
                object.__setattr__(self, name, tuple(value))
        if self.L is None and self.L_ratio is None and self.n_regions is None:
            object.__setattr__(self, "L", "readable")
        problems = [*self._of_the_model(), *_told(*self._of_the_rest())]
        if problems:
            raise PlanError(problems)

    def _of_the_model(self) -> list[str]:
        names = ", ".join(MODEL)
        wrong = [
            invalid("Plan", f"model.{name}", value, f"of these names: {names}")
            for name, value in self.model.items()
            if name not in MODEL
        ]
        if not self.model.get("model"):
            wrong.append(invalid("Plan", "model.model", None, "an ONNX file, or with url a model's name"))
        return wrong

    def _of_the_rest(self) -> Iterable[Callable[[], object]]:
        def key(name: str) -> str:
            return next(f"{section}.{name}" for section, names in SECTIONS.items() if name in names)

        def check(of: Callable[..., object], name: str, *more: Any, **named: Any) -> Callable[[], object]:
            return partial(of, "Plan", key(name), getattr(self, name), *more, **named)

        yield partial(_check_texts, key("places"), self.places)
        yield check(check_choice, "choice", get_args(Choice))
        if self.law is not None:
            yield check(check_choice, "law", LAWS)
        yield check(check_choice, "operator", get_args(Operator))
        yield check(check_choice, "baseline", ("blur", "igos", "zeros", "rise", "mean", "black", "white", "noise"))
        yield partial(_check_level, key("at"), self.at)
        for name, least in _COUNTS.items():
            if getattr(self, name) is not None:
                yield check(check_count, name, least)
        if self.grid is not None:
            yield partial(_check_grid, key("grid"), self.grid)
        if self.scale is not None:
            yield check(check_positive, "scale")
        yield self._check_rule
        if self.scheduler is not None:
            yield self._check_workers
        for name in ("question", "purpose", "author", "truth", "scheduler"):
            if name not in ("truth", "scheduler") or getattr(self, name) is not None:
                yield partial(_check_text, key(name), getattr(self, name))
        for name in ("checks", "relaxed"):
            yield check(check_flag, name)

    def _check_rule(self) -> None:
        choose_L(self.L, self.L_ratio, self.n_regions, "default")

    def _check_workers(self) -> None:
        if self.workers != 1:
            remedy = "All workers of the cluster work."
            raise ValueError(invalid("Plan", "work.workers", self.workers, "left out with work.scheduler", remedy))

    # ---------------------------------------------------------------- what it means

    @property
    def perturbation(self) -> Perturbation:
        """How z acts."""
        return Additive() if self.operator == "additive" else Blend(self.operator, at=self.at)

    @property
    def rule(self) -> JSON:
        """How L is chosen, as the arguments of `explain`."""
        return {"L": self.L, "L_ratio": self.L_ratio, "n_regions": self.n_regions}

    @property
    def at_a_time(self) -> int | None:
        """Pictures at a time; None where a cluster says it."""
        return self.workers if self.scheduler is None else None

    def resolved(self, size: tuple[int, int]) -> Self:
        """The plan with nothing left to a default, for pictures of (rows, columns)."""
        design = default_design(size, self.perturbation, self.grid, self.scale, self.law)
        n_queries = default_queries(design) if self.n_queries is None else self.n_queries
        law = cast("LawName", name_of(design))
        return replace(self, grid=design.grid.shape, scale=design.scale, law=law, n_queries=n_queries)

    @property
    def budget(self) -> int:
        """`n_queries` of a plan that is resolved."""
        if self.n_queries is None:
            raise ValueError(invalid("Plan", "query.n_queries", None, "given, or the plan resolved"))
        return self.n_queries

    def differences(self, other: Plan) -> list[str]:
        """Keys whose values differ, but for those that change no number and no picture (``work``)."""
        mine, theirs = self.to_dict(), other.to_dict()
        found = []
        for section in SECTIONS:
            here, there = mine.get(section, {}), theirs.get(section, {})
            if section != "work":
                found += [f"{section}.{k}" for k in dict.fromkeys([*here, *there]) if here.get(k) != there.get(k)]
        return found

    # ---------------------------------------------------------------- files

    def to_dict(self) -> JSON:
        """The plan by sections, as its file has it; what is left open is left out."""
        told: JSON = {"schema": SCHEMA}
        for section, names in SECTIONS.items():
            values = self.model if section == "model" else {name: getattr(self, name) for name in names}
            told[section] = {
                name: list(value) if isinstance(value, tuple) else value
                for name, value in values.items()
                if value is not None
            }
        return told

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Self:
        """The plan of such sections.

        Parameters
        ----------
        told : mapping
            As `to_dict` gives it; a table ``cost`` is no part of the plan.

        Returns
        -------
        Plan
            The same plan.

        Raises
        ------
        PlanError
            Unknown sections and keys, and whatever `Plan` refuses.
        """
        given, problems = fields_of(told)
        try:
            plan = cls(**given)
        except PlanError as error:
            raise PlanError([*problems, *error.problems]) from None
        if problems:
            raise PlanError(problems)
        return plan

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a plan's file.

        Parameters
        ----------
        path : str or Path
            A TOML file.

        Returns
        -------
        Plan
            The plan.

        Raises
        ------
        PlanError
            The file is missing, no TOML, or whatever `from_dict` refuses.
        """
        try:
            told = read_plan(path)
        except ValueError as error:
            raise PlanError([str(error)]) from error
        return cls.from_dict(told)

    def save(self, path: str | Path, cost: JSON | None = None) -> None:
        """Write the plan's file, whole or not at all, with what each entry means beside it.

        Parameters
        ----------
        path : str or Path
            The file.
        cost : dict, optional
            What a pilot found; a table that is not read again.
        """
        write_text(path, toml_of(self.to_dict(), cost))

    def __repr__(self) -> str:
        queries = "usual" if self.n_queries is None else self.n_queries
        return f"<Plan {self.model.get('model')!r}, {queries} queries a picture, pictures: {self.choice}>"


def _told(*checks: Callable[[], object]) -> list[str]:
    """What those of the checks say that fail."""
    told = []
    for check in checks:
        try:
            check()
        except (TypeError, ValueError) as error:
            told.append(str(error))
    return told


def _check_texts(key: str, value: object) -> None:
    if not isinstance(value, tuple) or not value or not all(isinstance(one, str) and one for one in value):
        raise ValueError(invalid("Plan", key, value, "at least one folder, file or pattern"))


def _check_text(key: str, value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(invalid("Plan", key, value, "a text"))


def _check_level(key: str, value: object) -> None:
    if not 0.0 < check_within("Plan", key, value, 0.0, 1.0) < 1.0:
        raise ValueError(invalid("Plan", key, value, "strictly between 0 and 1", "0.5 is usual."))


def _check_grid(key: str, value: object) -> None:
    if not isinstance(value, tuple) or len(value) != 2:
        raise ValueError(invalid("Plan", key, value, "two whole numbers: rows, columns"))
    for side in value:
        check_count("Plan", key, side, 2)
