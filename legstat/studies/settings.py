"""A study from plain values, as a TOML file and the command line have them."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, cast

from legstat._core.errors import invalid
from legstat._core.typing import JSON
from legstat.perturbations.operators import Additive, Baseline, Blend
from legstat.studies.sample_size import SampleSizeStudy
from legstat.studies.subjects import Subject

WHERE = "studies.settings"
LISTS = ("n_queries", "grid", "sparsity", "design", "scale", "estimators", "response", "antithetic")
SINGLE = ("match", "replicates", "seed", "amplitude", "offset", "curvature", "noise")
SUBJECT = ("model", "picture", "name", "target", "score", "preprocessing", "perturb", "at", "reference_queries")


def read_settings(path: Path) -> JSON:
    """The settings in a TOML file.

    Parameters
    ----------
    path : Path
        Arguments of `SampleSizeStudy` by name, grids as "8x8"; in place of `response` a table ``[subject]`` with
        `model` (an ONNX file) and `picture`, and, where wanted, `name`, `target`, `score`, `preprocessing`, `perturb`
        ("additive", "blur", "mean", "black", "noise"), `at` and `reference_queries`.

    Returns
    -------
    dict
        The values, files made relative to this one's folder.
    """
    try:
        settings: JSON = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"legstat.{WHERE}: {str(path)!r} is not TOML: {error}.") from error
    subject = settings.get("subject")
    if isinstance(subject, dict):
        for name in ("model", "picture"):
            if isinstance(subject.get(name), str):
                subject[name] = str(path.parent / subject[name])
    return settings


def study_from(settings: JSON) -> SampleSizeStudy:
    """The study that the settings describe.

    Parameters
    ----------
    settings : dict
        As `read_settings` returns them.

    Returns
    -------
    SampleSizeStudy
        Ready to run.

    Raises
    ------
    ValueError
        If a name is unknown, or a value cannot be right.
    """
    _check_names("settings", settings, (*LISTS, *SINGLE, "subject"))
    values = dict(settings)
    if "n_queries" not in values:
        raise ValueError(invalid(WHERE, "n_queries", None, "given", "Model evaluations, such as [500, 2000, 8000]."))
    if "grid" in values:
        given = values["grid"]
        pair = isinstance(given, list) and all(isinstance(side, int) for side in given)
        values["grid"] = [_shape(one) for one in ([given] if pair or not isinstance(given, list) else given)]
    table = values.pop("subject", None)
    if table is not None:
        if "response" in values:
            raise ValueError(invalid(WHERE, "response", values["response"], "left out with a subject"))
        values["response"] = _subject(table)
    return SampleSizeStudy(**values)


def _subject(table: JSON) -> Subject:
    from legstat.responses.onnx.opening import onnx_response

    _check_names("subject", table, SUBJECT)
    for name in ("model", "picture"):
        if name not in table:
            raise ValueError(invalid(WHERE, f"subject.{name}", None, "the path of a file"))
    options = {name: table[name] for name in ("target", "score", "preprocessing") if name in table}
    response = onnx_response(table["model"], threads=1, **options)
    perturb, at = table.get("perturb", "additive"), table.get("at")
    if perturb == "additive" and at is not None:
        raise ValueError(invalid(WHERE, "subject.at", at, "left out with perturb = 'additive'"))
    return Subject(
        response,
        response.load_image(table["picture"]),
        perturbation=Additive()
        if perturb == "additive"
        else Blend(cast("Baseline", perturb), at=0.5 if at is None else at),
        reference_queries=table.get("reference_queries", 100_000),
        name=table.get("name", Path(table["picture"]).stem),
    )


def _check_names(where: str, given: Any, known: tuple[str, ...]) -> None:
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ValueError(invalid(WHERE, where, unknown, "of these names: " + ", ".join(known)))


def _shape(given: Any) -> tuple[int, int]:
    parts = given.lower().split("x") if isinstance(given, str) else given
    if not isinstance(parts, list) or len(parts) != 2 or not all(str(part).strip().isdigit() for part in parts):
        raise ValueError(invalid(WHERE, "grid", given, "rows x columns, such as 8x8"))
    return int(parts[0]), int(parts[1])
