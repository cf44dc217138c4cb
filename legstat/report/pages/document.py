"""What a report says of a whole run, as JSON: pages are drawn from it, report.json is it."""

from __future__ import annotations

import datetime
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median

from legstat._core.typing import JSON
from legstat.report.pages.picture import FDRS, LEVEL, PicturePage
from legstat.report.pages.together import mean_map_entry
from legstat.report.pages.words import ESTIMAND, LIMITS, QUESTION, WORDS
from legstat.report.shown import ShownFindings, ShownRun

FORM = 1
"""Version of report.json; its schema is report.schema.json."""
STATUSES = ("passed", "failed", "not_applicable")


def card_of(page: PicturePage, href: str) -> JSON:
    """What galleries and totals need of a picture: little, so that thousands fit."""
    facts, found = page.entry["facts"], page.entry["found"]
    significant = found["significant"]
    return {
        "name": page.entry["name"],
        "href": href,
        "thumbnail": page.thumbnail,
        "target": facts.get("target"),
        "target_label": facts.get("target_label"),
        "probability": facts.get("probability"),
        "right": facts.get("right"),
        "group": facts.get("group"),
        "r2": (facts.get("r2_heldout") or {}).get("legtv"),
        "certified": (facts.get("certificate") or {}).get("passed"),
        "significant": None if significant is None else significant["0.1"] / found["n_cells"],
        "ledger": facts.get("ledger") or {},
        "checks": [(check["name"], check["status"]) for check in page.entry["checks"]],
    }


def document_of(run: ShownRun, cards: Sequence[JSON], digests: JSON, findings: ShownFindings | None) -> JSON:
    """The report of a run, without its pictures one by one.

    Parameters
    ----------
    run : ShownRun
        The run.
    cards : sequence of dict
        `card_of` each of its pictures.
    digests : dict
        SHA-256 of the run's files that speak for all pictures.
    findings : ShownFindings or None
        What pictures say together.

    Returns
    -------
    dict
        What the schema describes, less ``pictures``.
    """
    plan, facts = run.plan, run.facts
    about, query = plan.get("about", {}), plan.get("query", {})
    elsewhere = ("model", "response", "environment", "plan", "ledger", "question", "purpose", "author")
    return {
        "legstat_report": FORM,
        "title": f"Audit of {_model_name(plan, facts)}",
        "author": about.get("author") or None,
        "written": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "purpose": {
            "question": about.get("question") or QUESTION,
            "purpose": about.get("purpose") or None,
            "estimand": ESTIMAND,
            "operator": {"kind": query.get("operator"), "mask_level": query.get("at")},
            "design": {name: query[name] for name in ("law", "grid", "scale") if name in query},
            "score": plan.get("model", {}).get("score"),
            "target": plan.get("model", {}).get("target"),
            "estimate": dict(plan.get("estimate", {})),
        },
        "model": {**plan.get("model", {}), **facts.get("model", {}), "response": facts.get("response", {})},
        "software": dict(facts.get("environment", {})),
        "selection": {
            **_how_chosen(plan.get("pictures", {})),
            "finished": len(cards),
            "failed": len(run.failures),
            "waiting": len(run.waiting),
        },
        "budget": _budget(run, cards),
        "repeat": {
            "seed": query.get("seed"),
            "commands": [shlex.join(one["command"]) for one in facts.get("sessions", []) if one.get("command")],
            "again": "legstat audit --plan plan.toml --out ANOTHER_FOLDER",
            "verify": "legstat verify FOLDER",
            "digests": "sha256sum -c SHA256SUMS",
        },
        "inference": {
            "level": LEVEL,
            "intervals": "Student's, one by one",
            "multiplicity": "cells, and regions, of a picture: false discovery rate by Benjamini and Hochberg",
            "fdr": list(FDRS),
        },
        "overview": _overview(cards),
        "findings": [] if findings is None else list(findings.rows),
        "mean_maps": [] if findings is None else [mean_map_entry(one) for one in findings.mean_maps],
        "checks": {"run": list(run.checks), "pictures": _check_counts(cards)},
        "failures": list(run.failures),
        "limits": [*_own_limits(run, cards), *LIMITS],
        "words": list(WORDS),
        "plan": plan,
        "run": {name: value for name, value in facts.items() if name not in elsewhere},
        "digests": digests,
    }


def _model_name(plan: JSON, facts: JSON) -> str:
    named = facts.get("model", {}).get("file") or plan.get("model", {}).get("model") or "a model"
    return str(named).replace("\\", "/").rpartition("/")[2]


def _how_chosen(pictures: JSON) -> JSON:
    """Places and rule, without what only another rule asks."""
    other = {"all": ("every", "sample", "sample_seed"), "every": ("sample", "sample_seed"), "sample": ("every",)}
    return {name: value for name, value in pictures.items() if name not in other.get(str(pictures.get("choice")), ())}


def _overview(cards: Sequence[JSON]) -> JSON:
    labelled = [card["right"] for card in cards if card["right"] is not None]
    r2 = [card["r2"] for card in cards if card["r2"] is not None]
    shares = [card["significant"] for card in cards if card["significant"] is not None]
    return {
        "labelled": len(labelled),
        "right": sum(labelled),
        "r2_median": median(r2) if r2 else None,
        "r2_not_above_0": sum(value <= 0 for value in r2),
        "with_intervals": len(shares),
        "significant_share_median": median(shares) if shares else None,
        "certified": sum(card["certified"] is True for card in cards),
        "with_failed_checks": sum(any(status == "failed" for _, status in card["checks"]) for card in cards),
    }


def _check_counts(cards: Sequence[JSON]) -> JSON:
    """Name of a check to how many pictures passed, failed, or could not be asked, and which failed."""
    counts: dict[str, Counter[str]] = {}
    failed: dict[str, list[JSON]] = {}
    for card in cards:
        for name, status in card["checks"]:
            counts.setdefault(name, Counter())[status] += 1
            if status == "failed":
                failed.setdefault(name, []).append({"name": card["name"], "href": card["href"]})
    return {
        name: {**{status: count[status] for status in STATUSES}, "failing": failed.get(name, [])}
        for name, count in counts.items()
    }


def _budget(run: ShownRun, cards: Sequence[JSON]) -> JSON:
    ledger = dict(run.facts.get("ledger") or run.ledger)
    return {
        "ceiling_a_picture": run.plan.get("query", {}).get("n_queries"),
        "total": ledger.pop("total"),
        "evaluations": ledger,
        "tuning": _total(card["ledger"].get("tuning", 0) for card in cards),
        "cached": _total(card["ledger"].get("cached", 0) for card in cards),
    }


def _total(counts: Iterable[int]) -> int:
    return int(sum(counts))


def _own_limits(run: ShownRun, cards: Sequence[JSON]) -> list[str]:
    """What this run in particular does not say."""
    overview, texts = _overview(cards), []
    if run.waiting:
        texts.append(f"The run is not finished: {len(run.waiting)} pictures are still to be audited.")
    if run.failures:
        texts.append(f"{len(run.failures)} pictures failed and are not in the figures; their reasons are listed.")
    if (without := len(cards) - overview["with_intervals"]) > 0:
        texts.append(f"{without} pictures have no intervals: their evaluations were too few for them.")
    if overview["r2_not_above_0"]:
        texts.append(
            f"On {overview['r2_not_above_0']} pictures LEG-TV predicts the response no better than its mean: these "
            "maps say nothing."
        )
    if (uncertified := len(cards) - overview["certified"]) > 0:
        texts.append(f"{uncertified} pictures have a map whose certificate did not pass: it may not be the optimum.")
    return texts
