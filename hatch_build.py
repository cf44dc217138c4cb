"""The description that an index shows: README.md without what only a checkout has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class Description(MetadataHookInterface):
    """Leaves out the picture, which lies beside README.md, and the paragraph below it, which speaks of it."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Called by hatchling with the table [project], whose readme is dynamic."""
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        text = re.sub(r"^!\[[^\]]*\]\(docs/[^)]*\)\n\n.+?\n\n", "", text, flags=re.MULTILINE | re.DOTALL)
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
