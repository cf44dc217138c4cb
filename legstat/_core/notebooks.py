"""How results show themselves in a notebook."""

from __future__ import annotations

from html import escape

_ROWS = 20
"""Rows of a table that are shown; the first and the last of them where there are more."""


class Rich:
    """What stands in a notebook in place of the `repr`: the summary, else the table, else the text that it has."""

    def _repr_html_(self) -> str:
        """The summary, for notebooks."""
        if hasattr(self, "summary"):
            shown = self.summary()
            return str(shown.as_html() if hasattr(shown, "as_html") else shown.to_html(index=False))
        head = f"<div>{escape(repr(self))}</div>"
        if hasattr(self, "to_frame"):
            return head + str(self.to_frame().to_html(max_rows=_ROWS, index=False, float_format="{:.4g}".format))
        text = self.as_text() if hasattr(self, "as_text") else str(self)
        return f"<pre style='white-space: pre-wrap'>{escape(text)}</pre>"
