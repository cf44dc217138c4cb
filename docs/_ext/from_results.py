"""Pages drawn from stored results: tables of benchmarks from their JSON, figures of the papers from their manifest.

A page that asks for one is a Jinja template: ``{{ benchmark("sampler") }}``, ``{{ paper_figures() }}``.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

ROOT = Path(__file__).resolve().parents[2]
RESULTS, FIGURES = ROOT / "benchmarks" / "results", ROOT / "paper_figures"
PAGES = ("benchmarks", "figures")
CLAIMS = {"claim": "the paper's claim", "ours": "found here", "differs": "what differs"}
"""Columns of a row of the manifest, with their headings."""


def text_of(value: Any) -> str:
    """A number to three digits; nothing for what is not there."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if not isinstance(value, float):
        return "" if value is None else str(value).replace("|", "\\|")
    if not math.isfinite(value):
        return "-"
    if value and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e")
    return "0" if value == 0 else f"{value:#.3g}".rstrip(".") if abs(value) < 1000 else f"{value:,.0f}"


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
    known = machine.get("versions") or {name: found[name] for name in ("torch", "cuda", "onnxruntime") if name in found}
    versions = [f"Python {machine['python']}", *(f"{name} {version}" for name, version in known.items())]
    return f"*`{machine['command']}`, {machine['date']}: {', '.join(where)}; {', '.join(versions)}.*\n"


def benchmark(
    name: str,
    part: str = "rows",
    columns: Mapping[str, str] | Sequence[str] | None = None,
    where: Mapping[str, Any] | None = None,
    having: str | None = None,
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
    having : str, optional
        Only rows that have this column.

    Returns
    -------
    str
        Markdown.
    """
    found = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    rows = [row for row in found[part] if all(row.get(key) == value for key, value in (where or {}).items())]
    rows = [row for row in rows if having is None or having in row]
    if columns is None:
        columns = list(dict.fromkeys(key for row in rows for key in row))
    headings = dict(columns) if isinstance(columns, Mapping) else {key: key for key in columns}
    missing = [key for key in headings if not any(key in row for row in rows)]
    if missing:
        raise ExtensionError(f"{name}.json, {part}: no column {missing}")
    return f"{table_of(rows, headings)}\n{measured(found)}"


def paper_index() -> str:
    """Every figure and table of the papers, with a link to what stands for it."""
    papers: dict[str, list[str]] = {}
    for row in _manifest()["row"]:
        paper, _, item = row["of"].partition(", ")
        papers.setdefault(paper, []).append(f"[{item}](#{row.get('by', 'not-drawn')})")
    return "\n".join(f"- **{paper}**: {', '.join(items)}." for paper, items in papers.items()) + "\n"


def paper_figures() -> str:
    """Every figure of the manifest: computed or read, checked, drawn; with the rows of the papers it stands for."""
    done = subprocess.run([sys.executable, str(FIGURES / "make.py")], capture_output=True, text=True, check=False)
    if done.returncode:  # a claim or a number does not hold
        raise ExtensionError(f"paper_figures/make.py:\n{done.stdout}\n{done.stderr}")
    manifest, parts = _manifest(), []
    for figure in manifest["figure"]:
        name, title = figure["name"], figure["title"]
        parts.append(
            f"({name})=\n\n### {title}\n\n`{name}`, after {figure['paper']}.\n\n"
            f"![{title}](../paper_figures/out/{name}.png)\n\n{figure['found'].strip()}\n"
        )
        own = [row for row in manifest["row"] if row.get("by") == name]
        parts += [table_of(own, {"of": "of", **CLAIMS})] if own else []
    return "\n".join(parts)


def paper_others() -> str:
    """The figures and tables that are not drawn: with the command that makes them, or with what stands in the way."""
    rows = [row for row in _manifest()["row"] if "by" not in row]
    how = [f"`{row['command']}`" if "command" in row else f"not here: {row['reason']}" for row in rows]
    told = [{**row, "how": text} for row, text in zip(rows, how, strict=True)]
    return table_of(told, {"of": "of", "how": "how", **CLAIMS})


def _manifest() -> dict[str, Any]:
    return tomllib.loads((FIGURES / "manifest.toml").read_text(encoding="utf-8"))


def render(app: Sphinx, name: str, source: list[str]) -> None:
    """Fill in the pages that are templates."""
    if name in PAGES:
        functions = {one.__name__: one for one in (benchmark, paper_index, paper_figures, paper_others)}
        source[0] = Environment(undefined=StrictUndefined, autoescape=False).from_string(source[0]).render(functions)


def always(app: Sphinx, env: Any, added: set[str], changed: set[str], removed: set[str]) -> list[str]:
    """Pages that depend on more than their text are read again by every build."""
    return [name for name in PAGES if name in env.found_docs]


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect both to Sphinx."""
    app.connect("source-read", render)
    app.connect("env-get-outdated", always)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
