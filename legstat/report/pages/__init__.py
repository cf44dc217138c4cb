"""Reports as pages: one template for a single picture and for thousands, and the same as JSON with its schema.

Shows what it is handed, computes no estimate, and writes nothing that a reader would have to fetch.
"""

from legstat.report.pages.explanation import save_page
from legstat.report.pages.run import write_report

__all__ = ["save_page", "write_report"]
