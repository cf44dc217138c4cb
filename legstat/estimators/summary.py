"""Summaries in the manner of statsmodels: plain text, HTML and LaTeX from one set of tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from legstat._typing import JSON

if TYPE_CHECKING:
    from statsmodels.iolib.summary import Summary

    from legstat.estimators.results import LEGResults, LEGTVResults, Results


def leg_summary(results: LEGResults) -> Summary:
    """Summary of LEG: the experiment, then the strongest cells with their standard errors."""
    header = ["cell (row, column)", "gamma"]
    inference = results.moments.variances is not None and len(results.channel_maps) == 1
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
                f"{results.zstats[i]:.2f}",
                f"{results.pvalues[i]:.3f}",
                _number(low),
                _number(high),
            ]
        rows.append(cells)
    notes = [_sum_note(results)] if len(results.channel_maps) > 1 else []
    if inference:
        notes.append(
            "Intervals and p-values are pointwise, for cells named in advance; these were chosen for their size."
        )
    elif results.moments.variances is None:
        notes.append(
            f"Standard errors: n/a ({results.moments.kind} moments carry none; see LEG(sample, moments='crossfit'))."
        )
    right = [("Moments:", results.moments.kind), *_fidelity(results)]
    return _summary("LEG: linearly estimated gradient", results, right, header, rows, notes)


def legtv_summary(results: LEGTVResults) -> Summary:
    """Summary of LEG-TV: the experiment and the program, then the strongest cells."""
    certificate = results.certificate
    right = [
        ("Moments:", results.moments.kind),
        ("L:", _number(results.L)),
        ("L_max:", _number(results.L_max)),
        ("L / L_max:", f"{results.L_ratio:.3f}"),
        ("Regions:", str(results.n_regions)),
        ("Engine, selection:", f"{results.engine}, {results.selection}"),
        ("Certificate:", f"{'passed' if certificate.passed else 'FAILED'}, gap {certificate.gap:.0e}"),
        *_fidelity(results),
    ]
    rows = [[f"({row}, {column})", _number(value)] for row, column, value in results.strongest()]
    notes = [_sum_note(results)] if len(results.channel_maps) > 1 else []
    notes.append("LEG-TV is shrunken by its penalty and carries no intervals; LEG(sample).fit() does.")
    return _summary(
        "LEG-TV: total-variation penalised LEG", results, right, ["cell (row, column)", "gamma"], rows, notes
    )


def _summary(
    title: str,
    results: Results,
    right: list[tuple[str, str]],
    header: list[str],
    rows: list[list[str]],
    notes: list[str],
) -> Summary:
    from statsmodels.iolib.summary import Summary
    from statsmodels.iolib.table import SimpleTable
    from statsmodels.iolib.tableformatting import fmt_params

    left = _experiment(results)
    blank = ("", "")
    height = max(len(left), len(right))
    left, right = left + [blank] * (height - len(left)), right + [blank] * (height - len(right))
    facts = [[a, b, c, d] for (a, b), (c, d) in zip(left, right, strict=True)]
    text = {**fmt_params, "colsep": "   ", "table_dec_below": None}
    summary = Summary()
    summary.tables.append(SimpleTable(facts, title=title, txt_fmt={**text, "data_aligns": "lrlr"}))
    summary.tables.append(SimpleTable(rows, headers=header, txt_fmt=fmt_params))
    warnings = _warnings(results)
    if notes or warnings:
        summary.add_extra_txt([f"[{i}] {text}" for i, text in enumerate([*warnings, *notes], start=1)])
    return summary


def _experiment(results: Results) -> list[tuple[str, str]]:
    """The facts about the experiment, as far as the moments know them."""
    source, design = results.moments.source, results.moments.design
    facts = [
        ("Grid:", f"{design.grid.shape[0]} x {design.grid.shape[1]}, {design.grid.boundary} boundary"),
        ("Design:", type(design).__name__),
        ("Scale (sigma):", f"{design.scale:g}"),
        ("Channels:", design.channels),
    ]
    if not source:
        return [*facts, ("Units (n):", str(results.n))]
    response: JSON = source["response"]
    ledger = source["ledger"]
    unit = "pairs" if source["antithetic"] else "draws"
    return [
        ("Model:", str(response.get("name", response.get("kind", "?")))),
        ("Target:", _target(response)),
        ("Score:", str(response.get("score", "custom"))),
        ("f(x0):", _number(source["f_x0"])),
        ("Mean shift:", _number(source["mean_shift"])),
        ("Std. dev. of f:", _number(source["sd"])),
        *facts,
        ("Perturbation:", source["perturbation"]),
        ("Queries:", f"{ledger['spent']} of {ledger['n_queries']}"),
        ("Units (n):", f"{results.n} {unit}"),
        ("Conventions:", source["conventions"]),
    ]


def _target(response: JSON) -> str:
    target, label = response.get("target"), response.get("target_label")
    if target is None:
        return "-"
    return f"{target} ({label})" if label else str(target)


def _fidelity(results: Results) -> list[tuple[str, str]]:
    value = "n/a (too few units)" if results.fidelity is None else f"{results.fidelity:.3f}"
    return [("Out-of-sample R2:", value)]


def _warnings(results: Results) -> list[str]:
    """What a reader of the map must know before believing it."""
    texts = []
    source = results.moments.source
    if source and source["sd"] <= 1e-6 * max(abs(source["f_base"]), 1e-300):
        texts.append(
            "WARNING: the score hardly moved; this map is rounding noise. Raise the scale or use score='log_odds'."
        )
    if results.fidelity is not None and results.fidelity <= 0:
        texts.append(
            "WARNING: out of sample the map predicts the response no better than its mean. Raise n_queries, or choose "
            "a larger L or a coarser grid."
        )
    return texts


def _sum_note(results: Results) -> str:
    return f"Saliency is the absolute value combined over {len(results.channel_maps)} channels."


def _number(value: float) -> str:
    return f"{value:.4g}"
