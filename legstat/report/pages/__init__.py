"""Reports as pages: one template for a single picture and for thousands, and the same as JSON with its schema.

Shows what it is handed, computes no estimate, and writes nothing that a reader would have to fetch.
"""

from legstat.report.pages.explanation import save_page

__all__ = ["save_page"]
