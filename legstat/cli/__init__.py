"""The command line: ``legstat explain | demo | inspect | verify | study``."""

# the modules put their commands into `app`, in the order in which --help lists them
from legstat.cli import explaining, checking, studying  # isort: skip
from legstat.cli.common import DIFFERENT, FAULT, INTERRUPTED, app


def main() -> None:
    """Entry point of the command ``legstat``."""
    app()


__all__ = ["DIFFERENT", "FAULT", "INTERRUPTED", "app", "checking", "explaining", "main", "studying"]
