"""What `explain` is handed, as the experiment that it carries out, and where it came from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from legstat._core.checks import check_type
from legstat._core.conventions import ConventionsName, get_conventions
from legstat._core.errors import invalid
from legstat._core.typing import JSON, AnyArray
from legstat.designs.by_name import LawName, name_of
from legstat.designs.design import Design
from legstat.perturbations.operators import Perturbation
from legstat.responses.base import Response
from legstat.samples.sample import QuerySample
from legstat.sampling.defaults import default_design, default_operator, default_queries
from legstat.sampling.experiment import Experiment


def experiment_for(
    response: Response,
    image: AnyArray | str | Path,
    *,
    grid: tuple[int, int] | None = None,
    scale: float | None = None,
    law: LawName | None = None,
    design: Design | None = None,
    perturbation: Perturbation | None = None,
    n_queries: int | None = None,
    conventions: ConventionsName | None = None,
    resume: QuerySample | None = None,
    **given: Any,
) -> Experiment:
    """The experiment that `explain` carries out: what the user gave, the rest by default or from the resumed sample."""
    where = "explain"
    check_type(where, "resume", resume, QuerySample | None, "an earlier sample, or `error.sample`")
    named: JSON = {"grid": grid, "scale": scale, "law": law}
    picture = response.load_image(image) if isinstance(image, str | Path) else response.check_image(image, where)
    if design is not None:
        for name, value in named.items():
            if value is not None:
                raise ValueError(invalid(where, name, value, "left out with `design`", "The design has its own."))
    elif resume is not None:
        design = resume.design
        there: JSON = {"grid": design.grid.shape, "scale": design.scale, "law": name_of(design)}
        for name, value in named.items():
            if value is not None and value != there[name]:
                raise ValueError(invalid(where, name, value, f"{there[name]}, as in the resumed sample"))
    else:
        rules = get_conventions(conventions or "default", where)
        perturbation = perturbation or default_operator(rules, design_given=False)
        design = default_design((picture.shape[1], picture.shape[2]), perturbation, grid, scale, law)
    asked = default_queries(design) if n_queries is None else n_queries
    given |= {"perturbation": perturbation, "conventions": conventions, "resume": resume}
    return Experiment.of(picture, design, asked, **given)


def origin(response: Response, image: AnyArray | str | Path, rng: Any) -> JSON:
    """Where an explanation's inputs came from, as the facts that `Explanation.of` takes: seed and files."""
    picture = {"picture": image} if isinstance(image, str | Path) else {}
    return {
        "seed": int(rng) if isinstance(rng, int | np.integer) and not isinstance(rng, bool) else None,
        "files": {**picture, **response.files},
        "constant_files": response.constant_files,
    }
