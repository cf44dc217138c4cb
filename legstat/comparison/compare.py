"""`compare`: every method before the same pictures with the same number of counted evaluations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from legstat._core.checks import check_choice, check_count, check_type, check_within
from legstat._core.digests import value_sha256
from legstat._core.errors import invalid
from legstat._core.files import json_text, json_value, write_text
from legstat._core.typing import JSON, AnyArray, FloatArray
from legstat.comparison.method import Method, MethodMap
from legstat.comparison.methods.controls import CentreMap, EdgeMap, RandomMap
from legstat.comparison.methods.games import KernelShap
from legstat.comparison.methods.masks import Occlusion, Rise
from legstat.comparison.methods.own import LegMap, LegTvMap
from legstat.comparison.methods.regressions import LimeCells, LimeSuperpixels
from legstat.comparison.methods.variances import Hsic, SobolIndices
from legstat.comparison.outcome import Outcome
from legstat.comparison.results import HIGH_IS_GOOD, Comparison
from legstat.metrics.deletion import Curve, deletion, insertion
from legstat.metrics.masking import key_size
from legstat.responses.base import Response

METHODS: dict[str, Callable[[], Method]] = {
    method().name: method
    for method in (
        *(LegMap, LegTvMap, Rise, LimeCells, LimeSuperpixels, KernelShap, SobolIndices, Hsic, Occlusion),
        *(CentreMap, RandomMap, EdgeMap),
    )
}
"""The methods that `compare` knows by name."""


@dataclass(frozen=True, eq=False)
class _Work:
    """One picture before every method and budget."""

    response: Response
    name: str
    number: int
    image: FloatArray
    methods: tuple[Method, ...]
    budgets: tuple[int, ...]
    metrics: tuple[str, ...]
    seed: int
    store: Path | None

    def __call__(self) -> list[tuple[list[JSON], Outcome]]:
        """The rows of each map and the map; what is in the store already is read from there."""
        found = []
        for number, method in enumerate(self.methods):
            for budget in self.budgets:
                place = self._place(method, budget)
                if place is not None and place.is_file():
                    kept = json_value(place.read_text(encoding="utf-8"))
                    found.append((kept["rows"], Outcome.from_json(kept["outcome"])))
                    continue
                rows, outcome = self._measured(method, number, budget)
                if place is not None:
                    write_text(place, json_text({"rows": rows, "outcome": outcome.to_json()}) + "\n")
                found.append((rows, outcome))
        return found

    def _place(self, method: Method, budget: int) -> Path | None:
        if self.store is None:
            return None
        known = (self.response.fingerprint, self.image, repr(method), budget, self.metrics, self.seed, self.number)
        return self.store / f"{value_sha256('rows and outcome', *known)[0]}.json"

    def _measured(self, method: Method, number: int, budget: int) -> tuple[list[JSON], Outcome]:
        # a method's draws depend on the picture and on the method, not on which others are compared with it
        rng = np.random.default_rng([self.seed, self.number, int(value_sha256(method.name)[0][:8], 16)])
        found = method(self.response, self.image, budget, rng)
        about = {"method": method.name, "n_queries": budget, "spent": found.n_queries, "picture": self.name}
        if found.n_queries > budget:
            raise ValueError(
                invalid("compare", f"methods[{number}]", found.n_queries, f"within its budget of {budget}")
            )
        curves: dict[str, Curve] = {}
        rows = [{**about, **row} for row in self._metrics(found, curves)]
        return rows, Outcome(method.name, budget, self.name, found.saliency, curves)

    def _metrics(self, found: MethodMap, curves: dict[str, Curve]) -> list[JSON]:
        """A row for each metric; the curves behind areas are put into `curves`, and drawn once each."""
        rows: list[JSON] = []
        for name in self.metrics:
            if name == "key_size":
                size = key_size(self.response, self.image, found.saliency)
                rows.append({"metric": name, "value": size.size, "censored": size.censored})
                continue
            for part in ("insertion", "deletion") if name == "insertion_minus_deletion" else (name,):
                if part not in curves:
                    metric = insertion if part == "insertion" else deletion
                    curves[part] = metric(self.response, self.image, found.saliency)
            if name == "insertion_minus_deletion":
                value = curves["insertion"].area - curves["deletion"].area
            else:
                value = curves[name].area
            rows.append({"metric": name, "value": value, "censored": False})
        return rows


def compare(
    methods: Sequence[str | Method],
    response: Response,
    images: Mapping[str, AnyArray] | Sequence[AnyArray],
    *,
    metrics: Sequence[str] = ("deletion", "insertion", "insertion_minus_deletion", "key_size"),
    n_queries: Sequence[int] = (500, 2000),
    rng: int = 0,
    least_score: float | None = None,
    store: str | Path | None = None,
    progress: bool = True,
) -> Comparison:
    """Compare methods on the same pictures, each with the same number of counted evaluations.

    Parameters
    ----------
    methods : sequence of str or Method
        Names ("leg", "legtv", "rise", "lime_cells", "lime_superpixels", "kernelshap", "sobol", "hsic", "occlusion",
        "centre", "random", "edges"), or anything with `Method`'s protocol.
    response : Response
        The black box, whose score is explained; with target "top" each picture is explained for its own first choice.
    images : mapping of str to ndarray, or sequence of ndarray of shape (C, H, W)
        The pictures, with names or numbered.
    metrics : sequence of str
        Of "deletion", "insertion", "insertion_minus_deletion", "key_size": areas against the blurred picture in 56
        steps, and the share of cells to blacken.
    n_queries : sequence of int, default (500, 2000)
        Budgets of a map; what metrics ask comes on top, and is the same for all.
    rng : int, default 0
        Seed: each picture and method has draws of its own, whatever else is compared.
    least_score : float, optional
        Pictures whose first choice has a lower probability are dropped, and listed in ``.dropped``.
    store : str or Path, optional
        Folder in which every finished map's numbers are kept: a comparison that was stopped goes on from there.
    progress : bool, default True
        Show a progress bar if the output is a terminal.

    Returns
    -------
    Comparison
        Rows, ``summary()`` and ``differences(against=)``.

    Raises
    ------
    ValueError
        Unknown names, doubled names, a budget below a method's least, pictures that do not fit; before any map.

    Notes
    -----
    Costs, for each picture and method, the budgets and some 170 evaluations of metrics for each map. Pictures that the
    network gets wrong stay in: a map explains what the network does.

    Examples
    --------
    >>> import legstat as ls
    >>> from legstat.comparison.methods.controls import CentreMap, RandomMap
    >>> from legstat.data import digits_model_path, load_digit
    >>> f = ls.onnx_response(digits_model_path(), preprocessing="unit")
    >>> digits = [load_digit(i)[0] for i in range(3)]
    >>> methods = [RandomMap((8, 8)), CentreMap((8, 8))]
    >>> found = ls.compare(methods, f, digits, n_queries=[0], progress=False)
    >>> found
    <Comparison: methods 2, budgets 1, pictures 3, metrics 4>
    """
    check_type("compare", "response", response, Response, "a network; as_response(f) makes one of a function")
    for name, given in {"methods": methods, "n_queries": n_queries, "metrics": metrics}.items():
        if isinstance(given, str) or not isinstance(given, Iterable):
            raise TypeError(invalid("compare", name, given, f"a list, such as [{given!r}]"))
    chosen = _methods(methods)
    budgets = tuple(check_count("compare", "n_queries", one, 0) for one in n_queries)
    for method in chosen:
        if budgets and min(budgets) < method.least:
            got = f"{min(budgets)} for {method.name!r}"
            raise ValueError(invalid("compare", "n_queries", got, f"at least {method.least} for that method"))
    if not budgets or len(set(budgets)) < len(budgets):
        raise ValueError(invalid("compare", "n_queries", n_queries, "one or more different budgets"))
    asked = tuple(check_choice("compare", "metrics", one, tuple(HIGH_IS_GOOD)) for one in metrics)
    if not asked or len(set(asked)) < len(asked):
        raise ValueError(invalid("compare", "metrics", metrics, "one or more different metrics"))
    if "key_size" in asked and not response.has_classes:
        raise ValueError(invalid("compare", "metrics", "key_size", "left out for a function, which has no classes"))
    seed = check_count("compare", "rng", rng, 0)
    if least_score is not None:
        check_within("compare", "least_score", least_score, 0.0, 1.0)
    named = dict(images) if isinstance(images, Mapping) else {f"{i}": image for i, image in enumerate(images)}
    if not named:
        raise ValueError(invalid("compare", "images", images, "at least one picture"))
    pictures = {name: response.check_image(image, "compare") for name, image in named.items()}
    folder = None if store is None else Path(store)
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            fault = f"{type(error).__name__}: {error}."
            raise ValueError(invalid("compare", "store", str(folder), "a folder to write to", fault)) from error
    rows: list[JSON] = []
    outcomes: list[Outcome] = []
    dropped: dict[str, str] = {}
    for number, (name, picture) in enumerate(tqdm(pictures.items(), "pictures", disable=None if progress else True)):
        bound, _ = response.bind(picture)
        if least_score is not None:
            _, p = bound.as_probability().bind(picture)
            if p < least_score:
                dropped[name] = f"the score of its first choice is {p:.3g}, below {least_score:g}"
                continue
        for some, outcome in _Work(bound, name, number, picture, chosen, budgets, asked, seed, folder)():
            rows += some
            outcomes.append(outcome)
    return Comparison(rows, dropped, outcomes)


def _methods(given: Sequence[object]) -> tuple[Method, ...]:
    chosen: list[Method] = []
    for one in given:
        if isinstance(one, str):
            if one not in METHODS:
                raise ValueError(invalid("compare", "methods", one, "one of " + ", ".join(map(repr, METHODS))))
            chosen.append(METHODS[one]())
        elif isinstance(one, Method):
            chosen.append(one)
        else:
            valid = "names, or callables with `name` and `least`"
            raise TypeError(invalid("compare", "methods", one, valid, "See legstat.comparison.method.Method."))
    names = [method.name for method in chosen]
    if not names or len(set(names)) < len(names):
        raise ValueError(invalid("compare", "methods", names, "one or more different methods"))
    return tuple(chosen)
