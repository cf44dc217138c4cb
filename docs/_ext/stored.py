"""Pages drawn from stored results: tables of benchmarks from their JSON, figures of the papers from their manifest.

A page that asks for one is a Jinja template: ``{{ benchmark("sampler") }}``, ``{{ paper_figures() }}``.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

ROOT = Path(__file__).resolve().parents[2]
RESULTS, FIGURES = ROOT / "benchmarks" / "results", ROOT / "paper_figures"
PAGES = ("benchmarks", "figures")


def text_of(value: Any) -> str:
    """A number to three digits; nothing for what is not there."""
    if isinstance(value, bool) or not isinstance(value, float):
        return "" if value is None else str(value).replace("|", "\\|")
    if not math.isfinite(value):
        return "-"
    if value and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e")
    return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def table_of(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> str:
    """Rows as a table of markdown; columns by their key, with the heading that they get."""
    lines = ["| " + " | ".join(columns.values()) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(text_of(row.get(key)) for key in columns) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def measured(found: Mapping[str, Any]) -> str:
    """With which command, where, when and with which versions a result was measured."""
    machine = found["machine"]
    device = found.get("device") or ", ".join(found.get("devices", []))
    where = [device] if device else []
    where += [machine["processor"], f"{machine['cores']} cores", f"load {machine['load']:.1f}"]
    versions = [f"Python {machine['python']}", *(f"{k} {v}" for k, v in machine.get("versions", {}).items())]
    return f"*`{machine['command']}`, {machine['date']}: {', '.join(where)}; {', '.join(versions)}.*\n"


def benchmark(
    name: str,
    part: str = "rows",
    columns: Mapping[str, str] | Sequence[str] | None = None,
    where: Mapping[str, Any] | None = None,
) -> str:
    """The table of one part of a stored result, and how it was measured.

    Parameters
    ----------
    name : str
        Of the file in ``benchmarks/results``.
    part : str
        Which list of rows in it.
    columns : mapping of str to str, or sequence of str, optional
        Which columns, with the headings they get; all that some row has unless given.
    where : mapping, optional
        Only rows with these values.

    Returns
    -------
    str
        Markdown.
    """
    found = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    rows = [row for row in found[part] if all(row.get(key) == value for key, value in (where or {}).items())]
    if columns is None:
        columns = list(dict.fromkeys(key for row in rows for key in row))
    headings = dict(columns) if isinstance(columns, Mapping) else {key: key for key in columns}
    missing = [key for key in headings if not any(key in row for row in rows)]
    if missing:
        raise ExtensionError(f"{name}.json, {part}: no column {missing}")
    return f"{table_of(rows, headings)}\n{measured(found)}"


def paper_figures() -> str:
    """Every figure of the manifest: computed or read, checked, drawn; with the rows of the papers it stands for."""
    make = _maker()
    rows = make.rows()
    parts = []
    for name, entry in make.manifest().items():
        told = io.StringIO()
        with contextlib.redirect_stdout(told):
            faults = make.run(name)
        if faults:
            raise ExtensionError(f"{name}: {'; '.join(faults)}")
        own = [row for row in rows if row.get("by") == name]
        parts.append(
            f"### {entry['title']}\n\n`{name}`, after {entry['paper']}.\n\n"
            f"![{entry['title']}](../paper_figures/out/{name}.png)\n\n{entry['found'].strip()}\n"
        )
        if own:
            headings = {"of": "of", "claim": "the paper's claim", "ours": "found here", "differs": "what differs"}
            parts.append(table_of(own, headings))
    return "\n".join(parts)


def paper_rows() -> str:
    """Every figure and table of the papers in one table."""
    return str(_maker().table())


def _maker() -> Any:
    if str(FIGURES) not in sys.path:
        sys.path.insert(0, str(FIGURES))
    return importlib.import_module("make")


def render(app: Sphinx, name: str, source: list[str]) -> None:
    """Fill in the pages that are templates."""
    if name in PAGES:
        functions = {one.__name__: one for one in (benchmark, paper_figures, paper_rows)}
        source[0] = Environment(undefined=StrictUndefined, autoescape=False).from_string(source[0]).render(functions)


def always(app: Sphinx, env: Any, added: set[str], changed: set[str], removed: set[str]) -> list[str]:
    """Pages that depend on more than their text are read again by every build."""
    return [name for name in PAGES if name in env.found_docs]


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect both to Sphinx."""
    app.connect("source-read", render)
    app.connect("env-get-outdated", always)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
