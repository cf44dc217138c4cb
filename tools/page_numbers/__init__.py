"""What the pages say that was measured, and the committed results that say so: a function for each page or part of one.

A function yields texts, sentences or rows of tables, with the numbers put in from the results; each must stand on the
page. `tools/check_numbers.py` looks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
Texts = Callable[[], Iterable[str]]


@dataclass(frozen=True)
class Claim:
    """What a page says that committed results say, and the command that measured it, which the page names."""

    page: str
    command: str
    texts: Texts


CLAIMS: list[Claim] = []


def states(page: str, command: str) -> Callable[[Texts], Texts]:
    """The page holds every text that the function yields, and names the command."""

    def keep(texts: Texts) -> Texts:
        CLAIMS.append(Claim(page, command, texts))
        return texts

    return keep


@cache
def results(file: str) -> Any:
    """What a committed JSON file says; a name alone is one of benchmarks/results."""
    path = ROOT / file if "/" in file else ROOT / "benchmarks" / "results" / f"{file}.json"
    return json.loads(path.read_text(encoding="utf-8"))


def short(value: float, digits: int, sign: str = "-") -> str:
    """A number below 1 without its leading zero, as prose and some tables write it."""
    return f"{value:{sign}.{digits}f}".replace("0.", ".", 1)


def row(*cells: object) -> str:
    """A line of a table; what is left out at the end is not compared."""
    return "| " + " | ".join(map(str, cells)) + " |"


def table_of(lines: Iterable[str]) -> Iterator[str]:
    """The rows of a table of markdown: what stands between its rule and its end."""
    yield from (line for line in lines if line.startswith("|") and not line.startswith("|---"))
