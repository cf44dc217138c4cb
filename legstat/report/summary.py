"""Summaries in the manner of statsmodels: plain text, HTML and LaTeX from one set of tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from legstat._core.typing import JSON
from legstat.inference.intervals import MINIMUM_UNITS
from legstat.report.shown import Shown, ShownAtL, ShownRegions, ShownWithIntervals

if TYPE_CHECKING:
    from statsmodels.iolib.summary import Summary

_R2_NOTE = (
    "o.o.s. R2: share of the score's response to z that the linear map explains on draws it was not fitted to, 5-fold."
)


_MOST_REGIONS = 10
"""Rows of regions in a summary."""


def printable(text: str) -> str:
    r"""A text from outside on one line: line breaks, terminal commands and other control characters as escapes.

    Parameters
    ----------
    text : str
        A label, the name of a file or of a model.

    Returns
    -------
    str
        The same, if all of it can be printed.

    Examples
    --------
    >>> printable("tabby cat \x1b[2J")
    'tabby cat \\x1b[2J'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def leg_summary(results: ShownWithIntervals) -> Summary:
    """Summary of LEG: the experiment, then the strongest cells with their standard errors."""
    right = [("Moments:", results.moments.kind), *_r2_heldout(results)]
    return _summary(
        "LEG: linearly estimated gradient", results, right, [("", *_leg_cells(results))], _leg_notes(results)
    )


def legtv_summary(results: ShownAtL) -> Summary:
    """Summary of LEG-TV: the experiment and the program, then the strongest cells."""
    right = [("Moments:", results.moments.kind), *_program(results), *_r2_heldout(results)]
    title = "LEG-TV: total-variation penalised LEG"
    return _summary(title, results, right, [("", *_legtv_cells(results))], _legtv_notes(results))


def joint_summary(leg: ShownWithIntervals, tv: ShownAtL, regions: ShownRegions | None = None) -> Summary:
    """Summary of LEG and LEG-TV of one sample: the experiment once, then the regions, or the strongest cells of each.

    Cells stand where no regions were tested; `leg_summary` has them always.
    """
    right = [
        ("LEG moments:", leg.moments.kind),
        ("LEG o.o.s. R2:", _r2_heldout(leg)[0][1]),
        ("LEG-TV moments:", tv.moments.kind),
        ("LEG-TV o.o.s. R2:", _r2_heldout(tv)[0][1]),
        *_program(tv),
    ]
    if regions is None:
        tables = [("LEG, strongest cells", *_leg_cells(leg)), ("LEG-TV, strongest cells", *_legtv_cells(tv))]
        notes = [f"LEG: {text}" for text in _leg_notes(leg)] + [f"LEG-TV: {text}" for text in _legtv_notes(tv)]
    else:
        tables = [_regions(regions)]
        notes = [f"LEG: {text}" for text in [*_warnings(leg), *_sum_note(leg)]]
        notes += [f"LEG-TV: {text}" for text in [*_warnings(tv), *_sum_note(tv)]] + _regions_notes(regions, leg)
    return _summary("Explanation by LEG and LEG-TV", leg, right, tables, [_R2_NOTE, *notes])


def _regions(regions: ShownRegions) -> tuple[str, list[str], list[list[str]]]:
    """Heading, header and rows of the regions that were found, or of the strongest where none was."""
    heading = f"{regions.n_found} of {regions.n_regions} regions differ from 0, strongest first"
    header = ["region", "cells", "around (row, column)", "sum", "std err", "P>|z|", "[0.025", "0.975]"]
    frame = regions.to_frame(every=regions.n_found == 0)
    rows = []
    for number, row in frame.head(_MOST_REGIONS).iterrows():
        # of several channels the place says which
        place = (row["row"], row["column"]) if regions.found_labels.shape[0] == 1 else tuple(row.iloc[:3])
        values = [row[name] for name in ("sum", "std_error")]
        ends = [_number(row[name]) for name in ("conf_low", "conf_high")]
        cells = [str(number), str(int(row["cells"])), "(" + ", ".join(str(int(at)) for at in place) + ")"]
        rows.append([*cells, *map(_number, values), f"{row['pvalue_adjusted']:.3f}", *ends])
    if len(frame) > len(rows) and regions.n_found:
        heading += f": the first {len(rows)}"
    return heading, header, rows


def _regions_notes(regions: ShownRegions, leg: ShownWithIntervals) -> list[str]:
    unit = "pairs" if leg.moments.source.get("antithetic") else "draws"
    found = (
        f"Regions: found by LEG-TV on {regions.n_finding} {unit}, summed and tested by LEG on the other "
        f"{regions.n_testing}; P>|z| is adjusted for all {regions.n_regions} (familywise error "
        f"{100.0 * regions.level:g} %), and all intervals hold at once."
    )
    return [found, "Sum: change of the score, to first order, per unit of z of all cells of the region together."]


def _leg_cells(results: ShownWithIntervals) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the strongest cells, with inference where there is one value a cell."""
    header = ["cell (row, column)", "gamma"]
    inference = results.has_intervals and len(results.channel_maps) == 1
    if inference:
        header += ["std err", "z", "P>|z|", "[0.025", "0.975]"]
    rows = []
    for row, column, value in results.strongest():
        cells = [f"({row}, {column})", _number(value)]
        if inference:
            i = row * results.grid_shape[1] + column
            low, high = results.conf_int()[i]
            cells += [
                _number(results.std_errors[i]),
                f"{results.tstats[i]:.2f}",
                f"{results.pvalues[i]:.3f}",
                _number(low),
                _number(high),
            ]
        rows.append(cells)
    return header, rows


def _leg_notes(results: ShownWithIntervals) -> list[str]:
    texts = [*_warnings(results), *_sum_note(results)]
    if results.moments.variances is None:
        kind = results.moments.kind
        return [*texts, f"Standard errors: n/a ({kind} moments carry none; see LEG(sample, moments='crossfit'))."]
    if not results.has_intervals:
        return [*texts, f"Intervals: n/a ({results.n} observations; they are offered from {MINIMUM_UNITS})."]
    if len(results.channel_maps) == 1:
        texts.append(
            "Intervals and p-values are pointwise, for cells named in advance; these were chosen for their size."
        )
    return texts


def _legtv_cells(results: ShownAtL) -> tuple[list[str], list[list[str]]]:
    rows = [[f"({row}, {column})", _number(value)] for row, column, value in results.strongest()]
    return ["cell (row, column)", "gamma"], rows


def _legtv_notes(results: ShownAtL) -> list[str]:
    why = "its regions are chosen by the data" if results.relaxed else "shrunken by its penalty"
    note = f"{why}, without intervals of its own; those of LEG(sample).fit() are valid."
    return [*_warnings(results), *_sum_note(results), note]


def _program(results: ShownAtL) -> list[tuple[str, str]]:
    certificate = results.certificate
    return [
        ("L:", _number(results.L)),
        ("L_max:", _number(results.L_max)),
        ("L / L_max:", f"{results.L_ratio:.3f}"),
        ("Regions:", f"{results.n_regions}{', levels refitted' if results.relaxed else ''}"),
        ("Engine, selection:", f"{results.engine}, {results.selection}"),
        ("Width of the optimum:", "n/a" if results.face_width is None else _number(results.face_width)),
        ("Certificate:", f"{'passed' if certificate.passed else 'FAILED'}, gap {certificate.gap:.0e}"),
    ]


def _summary(
    title: str,
    results: Shown,
    right: list[tuple[str, str]],
    tables: list[tuple[str, list[str], list[list[str]]]],
    notes: list[str],
) -> Summary:
    from legstat.report.tables import summary_of  # here: statsmodels is slow to load

    left, blank = _experiment(results), ("", "")
    height = max(len(left), len(right))
    left, right = left + [blank] * (height - len(left)), right + [blank] * (height - len(right))
    facts = [(a, printable(b), c, printable(d)) for (a, b), (c, d) in zip(left, right, strict=True)]
    return summary_of(title, facts, tables, notes)


def _experiment(results: Shown) -> list[tuple[str, str]]:
    """The facts about the experiment, as far as the moments know them."""
    source, design = results.moments.source, results.moments.design
    facts = [
        ("Grid:", f"{design.grid.shape[0]} x {design.grid.shape[1]}, {design.grid.boundary} boundary"),
        ("Design:", design.label),
        ("Scale (sigma):", f"{design.scale:g}"),
        ("Channels:", design.channels),
    ]
    if not source:
        return [*facts, ("Observations (n):", str(results.n))]
    response: JSON = source["response"]
    ledger = source["ledger"]
    unit = "pairs" if source["antithetic"] else "draws"
    return [
        ("Model:", str(response.get("name") or response.get("file") or response.get("kind", "?"))),
        ("Target:", _target(response)),
        ("Score:", str(response.get("score", "custom"))),
        ("f(x0):", _number(source["f_x0"])),
        *([("f(base point):", _number(source["f_base"]))] if ledger["base"] else []),
        ("Mean shift:", _number(source["mean_shift"])),
        ("Std. dev. of f:", _number(source["sd"])),
        *facts,
        ("Perturbation:", source["perturbation"]),
        ("Queries:", f"{ledger['spent']} of {ledger['n_queries']}" + _served(ledger)),
        ("Observations (n):", f"{results.n} {unit}"),
        *_stopped(source.get("stopping")),
        ("Conventions:", source["conventions"]),
    ]


def _target(response: JSON) -> str:
    target, label = response.get("target"), response.get("target_label")
    if target is None:
        return "-"
    return f"{target} ({label})" if label else str(target)


def _r2_heldout(results: Shown) -> list[tuple[str, str]]:
    value = "n/a (too few observations)" if results.r2_heldout is None else f"{results.r2_heldout:.3f}"
    return [("Out-of-sample R2:", value)]


def _warnings(results: Shown) -> list[str]:
    """What a reader of the map must know before believing it."""
    texts = []
    source = results.moments.source
    if source and source["sd"] <= 1e-6 * max(abs(source["f_base"]), 1e-300):
        texts.append(
            "WARNING: the score hardly moved; this map is rounding noise. Raise the scale or use score='log_odds'."
        )
    if results.r2_heldout is not None and results.r2_heldout <= 0:
        texts.append(
            "WARNING: out of sample the map predicts the response no better than its mean. Raise n_queries, or choose "
            "a larger L or a coarser grid."
        )
    return texts


def _sum_note(results: Shown) -> list[str]:
    planes = len(results.channel_maps)
    return [f"Saliency is the absolute value combined over {planes} channels."] if planes > 1 else []


def _served(ledger: JSON) -> str:
    """What a cache spared and what was spent before the run, where there was any."""
    served = f", {ledger['cached']} served" if ledger.get("cached") else ""
    trials = f", {ledger['trials']} trials besides" if ledger.get("trials") else ""
    return served + (f", {ledger['beforehand']} beforehand" if ledger.get("beforehand") else "") + trials


def _stopped(stopping: JSON | None) -> list[tuple[str, str]]:
    """What a run by widths came to."""
    if not stopping or not stopping["units"]:
        return []
    state = "reached" if stopping["reached"] else "NOT reached"
    return [("Half-width:", f"{_number(stopping['half_widths'][-1])}, {stopping['rule']['target']:g} {state}")]


def _number(value: float) -> str:
    return f"{value:.4g}"
