"""The sample-size study: error of LEG and LEG-TV over n, grid, sparsity, design and scale."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, cast, get_args

import numpy as np
from tqdm import tqdm

from legstat._core.checks import check_choice, check_count, check_flag, check_positive, check_within, is_number
from legstat._core.errors import invalid
from legstat._core.typing import JSON
from legstat.designs.structured import StructuredGaussian
from legstat.inference.intervals import MINIMUM_UNITS
from legstat.samples.budget import Budget
from legstat.studies.cells import Cell, DesignName, Estimator, ResponseName, digest
from legstat.studies.results import StudyResults
from legstat.studies.store import Store
from legstat.studies.subjects import Reference, Subject

WHERE = "studies.SampleSizeStudy"
FEWEST_UNITS = 20
Match = Literal["trace", "scale"]
Shape = tuple[int, int]
Value = TypeVar("Value")


class SampleSizeStudy:
    """How the error of LEG and LEG-TV depends on n, p, s, the design and the scale, by replication.

    Every factor takes one value or a sequence of them; all combinations are run.

    Parameters
    ----------
    n_queries : int or sequence of int
        Model evaluations, f(x0) included.
    grid : pair of int or sequence of pairs, default (8, 8)
        (p1, p2).
    sparsity : int or sequence of int, default 12
        s of the truths: piecewise-constant maps with exactly so many differing neighbours, another one in each
        replicate, the same one for all other factors. Left aside with a subject.
    design : str or sequence of them, default "structured"
        Family of the law of z: "structured", "isotropic", "blocks" (`MultiscaleBlocks`), "cells" (`BernoulliCells`),
        "smooth" (`SpectralGaussian` of power -1) or "smooth_binary" (`SpectralBinary`). For those that are not normal
        the truth of a saturating response has no closed form: "linear" and "quadratic" alone.
    scale : float or sequence of float, default 0.25
        sigma of the structured design; see `match`.
    estimators : Estimator or str or sequence of them
        What is measured, all of it on the same samples; a text as `Estimator.parse` reads it. By default cross-fitted
        LEG, and LEG-TV by held-out R^2.
    response : {"linear", "probit", "logistic", "quadratic"} or sequence of them, or Subject, default "logistic"
        What is queried: a simulated response along the truth, or a black box of yours.
    antithetic : bool or sequence of bool, default True
        Whether observations are pairs.
    match : {"trace", "scale"}, default "trace"
        What another design has in common with the structured one of the same `scale`: the trace of Sigma (the
        fair comparison), or sigma itself, with about a quarter of the variance in each cell.
    replicates : int, default 20
        Samples of each cell.
    seed : int, default 0
        With the content of each cell, where all random numbers come from.
    amplitude : float, default 1.0
        Largest absolute gamma of simulated responses, before the link.
    offset : float, default 1.0
        Constant before the link. At 0, probit and logistic responses are odd around x0: pairs have nothing to cancel.
    curvature : float, default 0.0
        Weight of the square of "quadratic".
    noise : float, default 0.0
        Standard deviation of normal noise in each evaluation of a simulated response but f(x0).

    Raises
    ------
    ValueError
        If a value cannot be right, before anything is run.

    Notes
    -----
    Random numbers belong to the content of a cell: more cells, more estimators or another order change no replicate.
    A replicate computes on one BLAS thread, so that its bits do not depend on how many run side by side.

    Examples
    --------
    >>> study = SampleSizeStudy(
    ...     (101, 401), grid=(4, 4), sparsity=6, scale=0.5, estimators="leg/printed", replicates=4
    ... )
    >>> results = study.run()
    >>> results.frame[["n", "p", "sparsity", "estimator", "replicate"]].tail(1).values.tolist()
    [[200, 16, 6.0, 'leg/printed', 3]]
    """

    def __init__(
        self,
        n_queries: int | Sequence[int],
        *,
        grid: Shape | Sequence[Shape] = (8, 8),
        sparsity: int | Sequence[int] = 12,
        design: DesignName | Sequence[DesignName] = "structured",
        scale: float | Sequence[float] = 0.25,
        estimators: str | Estimator | Sequence[str | Estimator] = ("leg/crossfit", "legtv/regression/heldout"),
        response: ResponseName | Sequence[ResponseName] | Subject = "logistic",
        antithetic: bool | Sequence[bool] = True,
        match: Match = "trace",
        replicates: int = 20,
        seed: int = 0,
        amplitude: float = 1.0,
        offset: float = 1.0,
        curvature: float = 0.0,
        noise: float = 0.0,
    ) -> None:
        self.n_queries = tuple(check_count(WHERE, "n_queries", n) for n in _several(n_queries))
        self.grid = _grids(grid)
        self.design: tuple[DesignName, ...] = _several(design)
        self.scale = tuple(check_positive(WHERE, "scale", s) for s in _several(scale))
        named: tuple[str | Estimator, ...] = _several(estimators)
        self.estimators = tuple(e if isinstance(e, Estimator) else Estimator.parse(e) for e in named)
        self.subject = response if isinstance(response, Subject) else None
        self.response: tuple[str, ...] = ()
        self.sparsity: tuple[int | None, ...] = (None,)
        if not isinstance(response, Subject):
            self.response = _several(cast("str | Sequence[str]", response))
            self.sparsity = tuple(check_count(WHERE, "sparsity", s, 0) for s in _several(sparsity))
        self.antithetic = tuple(check_flag(WHERE, "antithetic", one) for one in _several(antithetic))
        self.match = match
        self.replicates = check_count(WHERE, "replicates", replicates)
        self.seed = check_count(WHERE, "seed", seed, 0)
        constants = (amplitude, offset, curvature, noise) if self.subject is None else (1.0, 0.0, 0.0, 0.0)
        self.amplitude = check_positive(WHERE, "amplitude", constants[0])
        self.offset = check_within(WHERE, "offset", constants[1], -np.inf)
        self.curvature = check_within(WHERE, "curvature", constants[2], -np.inf)
        self.noise = check_within(WHERE, "noise", constants[3])
        self._check()

    def __repr__(self) -> str:
        counts = f"{len(self.cells)} cells x {len(self.estimators)} estimators x {self.replicates} replicates"
        return f"<SampleSizeStudy {counts}>"

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The experiments: all combinations of the factors."""
        return tuple(cell for cell, _ in self._crossed())

    def run(self, path: str | Path | None = None, *, n_jobs: int | None = None, progress: bool = True) -> StudyResults:
        """Run what is missing, and return the results of everything.

        Parameters
        ----------
        path : str or Path, optional
            SQLite file in which finished replicates are kept, on a disk of this machine. The same call goes on where an
            earlier one stopped, however it was stopped; a study with more cells, replicates or estimators runs these
            alone. Nothing is kept where it is left out.
        n_jobs : int, optional
            Replicates at a time, through joblib: that of ``joblib.parallel_config``, or 1, unless given. Every backend
            of joblib's serves (``with joblib.parallel_config(backend="dask"):`` for a cluster); a subject must survive
            a pickle to travel. It is this process that writes the file.
        progress : bool, default True
            Show a progress bar if the output is a terminal.

        Returns
        -------
        StudyResults
            One row for each replicate and estimator.

        Raises
        ------
        ValueError
            If the file holds something else, or is in use by another run.
        """
        from legstat._core.parallel import side_by_side
        from legstat.studies.replicates import run_task

        file = None if path is None else Path(path)
        with Store(file) as store:
            tasks = self._tasks(store.done(), self._references(store, file, n_jobs))
            total = len(self.cells) * self.replicates
            bar: tqdm[Any] = tqdm(
                total=total,
                initial=total - len(tasks),
                unit="replicate",
                desc="study",
                disable=None if progress else True,
            )
            with bar:
                for task, rows in side_by_side(run_task, tasks, n_jobs):
                    names = [estimator.name for estimator in task.estimators]
                    store.add(task.cell.key(self.seed), task.replicate, zip(names, rows, strict=True))
                    bar.update(1)
            return StudyResults.of(self._rows(store), self.describe())

    def describe(self) -> JSON:
        """The study in plain values, as results and their files carry it."""
        names = ("n_queries", "grid", "sparsity", "design", "scale", "antithetic", "match", "replicates", "seed")
        constants = ("amplitude", "offset", "curvature", "noise")
        found: JSON = {name: getattr(self, name) for name in names}
        found["estimators"] = tuple(estimator.name for estimator in self.estimators)
        if self.subject is None:
            return {**found, "response": self.response, **{name: getattr(self, name) for name in constants}}
        known = self.subject.gamma is not None
        found["subject"] = {
            "name": self.subject.name,
            "digest": self.subject.digest,
            "response": self.subject.response.describe(),
            "perturbation": repr(self.subject.perturbation),
            "reference_queries": None if known else self.subject.reference_queries,
        }
        return found

    def _crossed(self) -> Iterator[tuple[Cell, float]]:
        """Cells, each with the value of the factor `scale` that it came from."""
        names = self.response if self.subject is None else (f"subject {self.subject.digest}",)
        constants = (self.amplitude, self.offset, self.curvature, self.noise)
        factors = (names, self.grid, self.sparsity, self.design, self.scale, self.antithetic, self.n_queries)
        for name, grid, s, design, scale, antithetic, n in itertools.product(*factors):
            sigma = scale
            if design != "structured" and self.match == "trace":
                sigma = float(np.sqrt(StructuredGaussian(grid=grid, scale=scale).variances.mean()))
            yield Cell(name, grid, s, design, sigma, n, antithetic, *constants), scale

    def _tasks(self, done: set[tuple[str, int, str]], references: dict[str, Reference]) -> list[Any]:
        """Replicates of which something is missing: the first one of every cell, then the second, ..."""
        from legstat.studies.replicates import Task

        keys = [cell.key(self.seed) for cell in self.cells]
        tasks = []
        for replicate in range(self.replicates):
            for cell, key in zip(self.cells, keys, strict=True):
                missing = tuple(e for e in self.estimators if (key, replicate, e.name) not in done)
                if missing:
                    subject = self.subject
                    reference = None if subject is None else references[subject.reference_key(cell, self.seed)]
                    tasks.append(Task(cell, replicate, self.seed, missing, subject, reference))
        return tasks

    def _references(self, store: Store, file: Path | None, n_jobs: int | None) -> dict[str, Reference]:
        """What a subject's cells are compared with; each is made once, and kept."""
        from legstat._core.parallel import side_by_side
        from legstat.studies.replicates import run_reference

        if self.subject is None:
            return {}
        found: dict[str, Reference] = {}
        missing = {}
        # answers are kept block by block, so that a large reference goes on where it was stopped
        cache = None if file is None else file.with_name(file.name + ".answers")
        for cell in self.cells:
            key = self.subject.reference_key(cell, self.seed)
            payload = store.reference(key)
            if payload is None:
                missing[key] = (self.subject, cell, self.seed, cache)
            else:
                found[key] = Reference.read(payload)
        for (subject, cell, seed, _), reference in side_by_side(run_reference, list(missing.values()), n_jobs):
            key = subject.reference_key(cell, seed)
            store.add_reference(key, reference.payload())
            found[key] = reference
        return found

    def _rows(self, store: Store) -> list[JSON]:
        """Every row of this study, in the order of its factors whatever the order in which they were run."""
        rows = []
        for cell, scale in self._crossed():
            key = cell.key(self.seed)
            factors = {
                "response": cell.response if self.subject is None else self.subject.name,
                "design": cell.design,
                "scale": scale,
                "sigma": cell.sigma,
                "grid": "x".join(map(str, cell.grid)),
                "p": cell.law.grid.n_cells,
                "sparsity": cell.sparsity,
                "antithetic": cell.antithetic,
                "n_queries": cell.n_queries,
                "n": self._units(cell),
            }
            for estimator in self.estimators:
                for replicate in range(self.replicates):
                    measured = store.row(key, replicate, estimator.name)
                    rows.append({**factors, "estimator": estimator.name, "replicate": replicate, **measured})
        return rows

    def _units(self, cell: Cell) -> int:
        overhead = 1 + int(self.subject is not None and self.subject.operator.needs_base)
        return Budget(cell.antithetic, overhead=overhead).units(cell.n_queries)

    def _check(self) -> None:
        """Everything that can be known to be wrong before a query is spent."""
        choices = (("design", self.design, DesignName), ("response", self.response, ResponseName))
        for name, values, kind in (*choices, ("match", (self.match,), Match)):
            for value in values:
                check_choice(WHERE, name, value, get_args(kind))
        names = [estimator.name for estimator in self.estimators]
        if not names or len(set(names)) < len(names):
            raise ValueError(invalid(WHERE, "estimators", names, "at least one, and none twice"))
        contents = [digest(cell.content()) for cell in self.cells]
        if not contents or len(set(contents)) < len(contents):
            raise ValueError(invalid(WHERE, "factors", self.describe(), "of values that differ, at least one each"))
        for cell in self.cells:
            self._check_cell(cell)

    def _check_cell(self, cell: Cell) -> None:
        law, units = cell.law, self._units(cell)
        if self.subject is None and not law.gaussian and cell.response in ("probit", "logistic"):
            valid = '"linear" or "quadratic" where z is not normal'
            raise ValueError(invalid(WHERE, "response", cell.response, f"{valid}, as under {cell.design!r}"))
        if self.subject is not None:
            self.subject.check(law.grid)
        else:
            if cell.curvature and cell.response != "quadratic":
                raise ValueError(invalid(WHERE, "curvature", cell.curvature, '0 unless the response is "quadratic"'))
            cell.truth(self.seed, 0)  # a grid without maps of that sparsity is refused here
        if units < FEWEST_UNITS:
            raise ValueError(invalid(WHERE, "n_queries", cell.n_queries, f"enough for {FEWEST_UNITS} observations"))
        if self.subject is None:
            bounded = cell.response in ("probit", "logistic") and not cell.noise
        else:
            bounded = self.subject.response.bounded is not False
        for estimator in self.estimators:
            if estimator.moments == "least_squares" and units <= law.grid.n_cells + 1:
                valid = f"more than {law.grid.n_cells + 1} observations for least squares on {law.grid.n_cells} cells"
                raise ValueError(invalid(WHERE, "n_queries", f"{units} observations", valid))
            if estimator.rule == "bootstrap" and units < MINIMUM_UNITS:
                valid = f"enough for the {MINIMUM_UNITS} observations of 'bootstrap'"
                raise ValueError(invalid(WHERE, "n_queries", cell.n_queries, valid))
            if estimator.rule == "theory" and not bounded:
                remedy = "Theorem 1 assumes it. Use 'bootstrap' or 'heldout'."
                raise ValueError(invalid(WHERE, "response", cell.response, "bounded by 1 for 'theory'", remedy))


def _several(value: Value | Sequence[Value]) -> tuple[Value, ...]:
    """One value or several, as a tuple; a text is one value."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(value)
    return (value,)


def _grids(value: Shape | Sequence[Shape]) -> tuple[Shape, ...]:
    shapes = [value] if len(value) == 2 and all(is_number(side) for side in value) else list(value)
    for shape in shapes:
        if not isinstance(shape, Sequence) or len(shape) != 2 or not all(is_number(side) for side in shape):
            raise ValueError(invalid(WHERE, "grid", value, "a pair (p1, p2) or a sequence of pairs"))
    return tuple(
        (check_count(WHERE, "grid", p1), check_count(WHERE, "grid", p2)) for p1, p2 in cast("Sequence[Shape]", shapes)
    )
