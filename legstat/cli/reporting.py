"""``legstat report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from legstat.audit import AuditRun, findings
from legstat.cli.common import Voice, app, speaking
from legstat.cli.groups import grouped
from legstat.report.pages import write_report


@app.command()
@grouped
def report(
    run: Annotated[Path, typer.Argument(help="Folder of an audit.", file_okay=False)],
    voice: Voice,
) -> None:
    """Write the report of an audit into its folder: pages to look at, report.json, SHA256SUMS; nothing is evaluated."""
    with speaking(voice):
        audited = AuditRun.open(run)
        if not audited.complete:
            voice.note(f"{len(audited.waiting)} pictures are still to be audited; the report says so.")
        files = write_report(audited, findings(audited))
        voice.say(f"Open {files[0]}. Besides: " + ", ".join(file.name for file in files[1:]))
        voice.data({"files": [str(file) for file in files]})
