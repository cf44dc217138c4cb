"""Pages of docs/studies whose tables the Monte Carlo studies of tests/statistical write, and those beside them."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tools.page_numbers import ROOT, results, row, short, states, table_of

STUDIES = ROOT / "docs" / "studies"


def _module(name: str) -> Any:
    return importlib.import_module(f"tests.statistical.{name}")


def _written(page: str, write: Callable[[Path], None]) -> Iterator[str]:
    """The rows of the tables that a study writes below the text of its page."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / page
        copy.write_bytes((STUDIES / page).read_bytes())
        write(copy)
        text = copy.read_text(encoding="utf-8")
    for part in text.split("from here on -->")[1].split("\n\n"):
        if part.startswith("|"):
            yield from table_of(part.splitlines())
        elif not part.startswith("#") and part.strip():
            yield part


@states("docs/studies/coverage.md", "tests.statistical.coverage")
def coverage() -> Iterator[str]:
    """Every table."""
    parts = _module("coverage").load(STUDIES / "coverage.json")
    yield from _written("coverage.md", lambda path: _module("coverage_table").write(parts, path))


@states("docs/laws.md", "tests.statistical.coverage")
def coverage_of_laws() -> Iterator[str]:
    """How often single 95 % intervals hold gamma under laws that are not normal, at 8 x 8 cells."""
    shares = [one["pointwise_0.95"] for one in results("docs/studies/coverage.json")["laws"]]
    yield f"covered {100 * min(shares):.0f} to {100 * max(shares):.0f} %"


@states("docs/studies/regions.md", "tests.statistical.regions")
def regions() -> Iterator[str]:
    """Every table below the page's own text."""
    document = results("docs/studies/regions.json")
    yield from _written("regions.md", lambda path: _module("regions").write(document, path.with_suffix("")))


@states("docs/studies/sequential.md", "tests.statistical.sequential")
def sequential() -> Iterator[str]:
    """The table and its verdict."""
    text = _module("sequential").markdown(results("docs/studies/sequential.json")["rows"])
    yield from table_of(text.splitlines())
    yield next(part for part in text.split("\n\n") if " runs a line. " in part)


@states("docs/studies/confidence_set.md", "tests.statistical.sets")
def confidence_set() -> Iterator[str]:
    """The table."""
    yield from table_of(_module("sets").markdown(results("docs/studies/confidence_set.json")))


@states("docs/studies/choice_of_L.md", "tests.statistical.confidence_set")
def choice_of_radius() -> Iterator[str]:
    """The table: a line for each moments, number of pairs and rule."""
    for one in results("docs/studies/choice_of_L.json")["rows"]:
        for rule, found in one["rules"].items():
            shown = f"{found['holds_gamma']:.2f}", f"{found['r2_fresh']:.3f}", f"{one['attainable_r2']:.3f}"
            held, r2, attainable = shown
            yield row(
                one["moments"], one["units"], rule, f"{found['L']:.4g}", held, r2, attainable, f"{found['error']:.3f}"
            )


@states("docs/studies/comparison.md", "tests.statistical.comparisons")
def comparison() -> Iterator[str]:
    """Its tables; what is said of ranks."""
    found = results("docs/studies/comparison.json")
    titles = {
        "normal": "normal, correlated",
        "areas": "of areas in [0, 1], easy pictures easy for all",
        "signs": "signs: less, tied, more",
        "skewed": "skewed: exponential less its mean",
    }
    for law, title in titles.items():
        for one in (one for one in found["paired"] if one["law"] == law):
            what = f"| {title} " if one["pictures"] == 10 else "| "
            yield what + row(one["pictures"], *(short(one[name], 3) for name in ("cover", "fwer", "fwer partial")))
    mean = sum(one["cover"] for one in found["paired"] if one["law"] != "skewed") / 9
    yield f"keep their level within a point or two: on average {short(mean, 3)}"
    for one in found["censored"]:
        ways = []
        for way in ("pseudo-values", "plain", "counted as 1"):
            bias, error, cover = (one[f"{way}: {what}"] for what in ("bias", "error of that", "cover"))
            ways.append(f"{short(bias, 3, '+')} ± {short(error, 3)}; {short(cover, 2)}")
        yield row(one["pictures"], *ways)
    ratios = [short(one["ratio"], 2) for one in found["ranks"]]
    yield f"is {ratios[0]}, {ratios[1]} and {ratios[2]} of the true one"
