"""Templates to pages: everything from outside is text, and a page may load nothing that is not in it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from legstat._core.files import json_text
from legstat._core.typing import JSON
from legstat.report.colours import BLUE_TO_RED, LIGHT_TO_BROWN
from legstat.report.pages.picture import FDRS, LEVEL
from legstat.report.pages.words import QUERY_NOISE
from legstat.report.summary import printable

if TYPE_CHECKING:
    from jinja2 import Environment

FILES = Path(__file__).resolve().parent / "files"


def render(template: str, **values: Any) -> str:
    """A page.

    Parameters
    ----------
    template : str
        Name of its file.
    **values
        What it shows; strings are text, whatever is in them.

    Returns
    -------
    str
        HTML that needs nothing beside it.
    """
    return _environment().get_template(template).render(**values)


def number(value: object, digits: int = 4) -> str:
    """A number for a reader; "n/a" where there is none.

    Examples
    --------
    >>> number(0.123456), number(None), number(1234567), number(True)
    ('0.1235', 'n/a', '1,234,567', 'yes')
    """
    if value is None or value != value:
        return "n/a"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def percent(value: float | None, unit: str = "%") -> str:
    """A share for a reader in percent, or a difference of shares in percentage points, in three digits.

    Examples
    --------
    >>> percent(0.12345), percent(-1.0, unit=""), percent(float("nan"))
    ('12.3 %', '-100', 'n/a')
    """
    text = number(None if value is None else 100.0 * value, digits=3)
    return f"{text} {unit}" if unit and text != number(None) else text


def interval(entry: JSON, shown: Callable[[float], str] = number) -> str:
    """The interval of an entry with ``low`` and ``high``; "n/a" where none is offered.

    Examples
    --------
    >>> interval({"low": 0.5, "high": 0.75}), interval({"low": float("nan"), "high": float("nan")})
    ('0.5 to 0.75', 'n/a')
    >>> interval({"low": 0.5, "high": 0.75}, percent)
    '50 % to 75 %'
    """
    low, high = shown(entry["low"]), shown(entry["high"])
    return low if low == high == number(None) else f"{low} to {high}"


def told(facts: JSON, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Names and values of nested facts, one a line, in their order; what is empty is left out.

    Examples
    --------
    >>> list(told({"law": {"class": "Structured", "grid": [8, 8]}, "seed": None}))
    [('law: class', 'Structured'), ('law: grid', '8, 8')]
    """
    for name, value in facts.items():
        label = f"{prefix}{str(name).replace('_', ' ')}"
        if isinstance(value, dict):
            yield from told(value, f"{label}: ")
        elif isinstance(value, list | tuple) and any(isinstance(one, dict) for one in value):
            for i, one in enumerate(value, start=1):
                yield from told(one if isinstance(one, dict) else {"value": one}, f"{label} {i}: ")
        elif isinstance(value, list | tuple):
            if value:
                yield label, ", ".join(number(one) for one in value)
        elif value is not None and value != "":
            yield label, number(value, digits=10)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # here: only who writes a page waits for it
    from markupsafe import Markup

    def finalize(value: object) -> object:
        return printable(value) if type(value) is str else value  # control characters, as the terminal shows them

    def data(value: object) -> Markup:
        text = json_text(value)
        for mark in "<>&":  # nothing in it ends the script that it stands in
            text = text.replace(mark, f"\\u{ord(mark):04x}")
        return Markup(text)

    environment = Environment(
        loader=FileSystemLoader(FILES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=finalize,
    )
    style, script = ((FILES / name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    environment.filters |= {
        "number": number,
        "interval": interval,
        "share_interval": partial(interval, shown=percent),
        "points_interval": partial(interval, shown=partial(percent, unit="")),
        "percent": percent,
        "told": told,
        "data": data,
    }
    environment.globals |= {
        "style": Markup(style),
        "script": Markup(script),
        # style and script by their digests: nothing else is applied or run, nothing is fetched
        "policy": f"default-src 'none'; img-src data:; style-src '{_source(style)}'; script-src '{_source(script)}'; "
        "base-uri 'none'; form-action 'none'",
        "query_noise": QUERY_NOISE,
        "level": LEVEL,
        "rates": FDRS,
        "colours": {"signed": BLUE_TO_RED, "unsigned": LIGHT_TO_BROWN},
    }
    return environment


def _source(text: str) -> str:
    """The name of an inline style or script in a content security policy."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"
