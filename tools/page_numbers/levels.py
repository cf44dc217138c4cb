"""docs/theory.md: refitted and merged regions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tools.page_numbers import results, row, short, states


@states("docs/theory.md", "benchmarks/study_blocks.py")
def levels() -> Iterator[str]:
    """What "simplest" takes of the penalised path, of the relaxed one, and with regions merged."""
    rows = results("levels")["rows"]

    def middle(way: str, what: str) -> float:
        return float(np.median([one[way][what] for one in rows]))

    yield (
        f"has a median of {middle('penalised', 'regions'):.0f} regions in place of {middle('best', 'regions'):.0f}, "
        f"and an R² of {short(middle('penalised', 'r2'), 3)} in place of {short(middle('best', 'r2'), 3)}"
    )
    ways = ("penalised", "relaxed", "merged")
    for one in rows:
        cells = (f"{short(one[w]['r2'], 3)}, {one[w]['regions']}, {short(one[w]['areas'], 3)}" for w in ways)
        yield row(one["picture"].split("_", 1)[1].replace("_", " "), *cells)
    means = {way: float(np.mean([one[way]["areas"] for one in rows])) for way in ways}
    cells = (f"{short(middle(w, 'r2'), 3)}, {middle(w, 'regions'):.0f}, {short(means[w], 3)}" for w in ways)
    yield row("median R², median regions, mean of areas", *cells)
    yield f"merged maps have {short(means['merged'] - means['penalised'], 3, '+')} over the penalised ones"
