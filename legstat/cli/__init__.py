"""The command line: ``legstat explain | demo | inspect | verify | compare | audit | report | study``.

Estimates nothing: each command reads its options, calls public functions and tells faults in one line.
"""

import os
import signal
import sys
from io import TextIOWrapper

# the modules put their commands into `app`, in the order in which --help lists them
from legstat.cli import explaining, checking, comparing, auditing, reporting, studying  # isort: skip
from legstat.cli.common import DIFFERENT, FAULT, INTERRUPTED, TERMINATED, app, terminate


def main() -> None:
    """Entry point of the command ``legstat``, whose process is its own."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a label that the terminal lacks the characters of is no fault
    os.environ["MPLBACKEND"] = "agg"  # a notebook's setting need not exist here, and stops matplotlib from loading
    signal.signal(signal.SIGTERM, terminate)
    app()


__all__ = [
    "DIFFERENT",
    "FAULT",
    "INTERRUPTED",
    "TERMINATED",
    "app",
    "auditing",
    "checking",
    "comparing",
    "explaining",
    "main",
    "reporting",
    "studying",
]
