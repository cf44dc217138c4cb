"""A finished run as a table of its pictures, and what it spent."""

from __future__ import annotations

import importlib.util
import io

from legstat._core.files import replacing, write_text
from legstat._core.typing import JSON
from legstat.audit.across import Findings, finding_rows
from legstat.audit.run import AuditRun


def write_table(run: AuditRun) -> JSON:
    """Write pictures.parquet, or pictures.csv where pyarrow is missing, and findings.csv, each whole or not at all.

    Parameters
    ----------
    run : AuditRun
        The run.

    Returns
    -------
    dict
        Its evaluations: see `AuditRun.ledger`.
    """
    frame = run.to_frame()
    if importlib.util.find_spec("pyarrow") is None:
        write_text(run.folder / "pictures.csv", frame.to_csv(index=False))
    else:
        whole = io.BytesIO()
        frame.to_parquet(whole, index=False)
        with replacing(run.folder / "pictures.parquet") as stream:
            stream.write(whole.getvalue())
    write_text(
        run.folder / "findings.csv", Findings(rows=finding_rows(run), mean_maps=()).to_frame().to_csv(index=False)
    )
    return run.ledger
