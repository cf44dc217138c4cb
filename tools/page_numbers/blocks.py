"""What is said of the block law beside its study: docs/laws.md, docs/studies/laws.md, docs/choosing.md."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tools.page_numbers import results, row, states

COMMAND = "benchmarks/study_blocks.py"


def _pilots() -> dict[tuple[str, str, int], dict[str, Any]]:
    return {
        (one["picture"], each["prior"], each["n"]): each for one in results("blocks")["pilot"] for each in one["rows"]
    }


@states("docs/laws.md", COMMAND)
def pilot() -> Iterator[str]:
    """Standard errors by the pilot's prior; R^2 of shrunken moments; the structured law."""
    found = _pilots()
    for picture in ("golden_retriever", "zebra", "toucan"):
        for prior, title in (("own", "Σ⁻¹"), ("smooth", "smooth")):
            few, many = found[picture, prior, 500], found[picture, prior, 2000]
            name = picture.replace("_", " ") if prior == "own" else ""
            cells = (title, f"{few['box']:.2f}", f"{many['box']:.3f}", f"{many['cell']:.3f}", many["boxes"])
            yield row(name, *cells, f"{many['r2']:.2f}").replace("|  |", "| |", 1)
    shrunken = [one["shrunken r2"] for (_, prior, n), one in found.items() if (prior, n) == ("smooth", 2000)]
    yield f"moments at 2,000 evaluations is {min(shrunken):.2f} to {max(shrunken):.2f}, median {np.median(shrunken):.2f}"
    other, mine = found["golden_retriever", "structured", 2000], found["golden_retriever", "smooth", 2000]
    yield f"the golden retriever's is {other['shrunken r2']:.2f}, LEG's is {other['r2']:.2f}"
    yield f"box is {other['box']:.2f} ({other['boxes']} of 16 found), {other['box'] / mine['box']:.1f} times as wide"


@states("docs/choosing.md", COMMAND)
def beside_the_structured_law() -> Iterator[str]:
    """The golden retriever under blocks and under the structured law."""
    found = _pilots()
    mine, other = (found["golden_retriever", law, 2000] for law in ("smooth", "structured"))
    shares = (f"{100 * one['shrunken r2']:.0f} %" for one in (mine, other))
    yield "explain {} of the score's odd response out of sample, not {}".format(*shares)
    yield f"a 7 x 7 box is {other['box'] / mine['box']:.1f} times smaller"


def _two(lift: str, what: str) -> str:
    a, b = (one[lift][what] for one in results("blocks")["edges"])
    return f"{a:.2g} and {b:.2g}" if what != "box" else f"{a:.2f} and {b:.2f}"


@states("docs/laws.md", COMMAND)
def even_part() -> Iterator[str]:
    """The even part of the chameleon's response before SqueezeNet."""
    yield f"SqueezeNet's even part is {results('blocks')['edges'][1]['cells']['even over odd']:.2g} times its odd part there"


@states("docs/studies/laws.md", COMMAND)
def edges() -> Iterator[str]:
    """The chameleon under sharp and smooth edges."""
    sharp, smooth = (_two(lift, "even over odd") for lift in ("cells", "smooth"))
    yield f"part of the response is {sharp} times the odd part with cells, {smooth} times under the smooth lift"
    yield f"box at 702 evaluations falls from {_two('cells', 'box')} to {_two('smooth', 'box')}"
