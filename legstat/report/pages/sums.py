"""SHA256SUMS: the digests of a folder's files, as ``sha256sum -c`` reads them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from legstat._core.digests import file_sha256
from legstat._core.files import replacing

SUMS = "SHA256SUMS"


def write_sums(home: Path, files: Iterable[Path]) -> Path:
    r"""Write the digests of files into the folder that holds them.

    Parameters
    ----------
    home : Path
        The folder.
    files : iterable of Path
        Files below it; SHA256SUMS itself is left out.

    Returns
    -------
    Path
        SHA256SUMS.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "a.txt"
    ...     _ = file.write_bytes(b"abc")
    ...     print(write_sums(Path(folder), [file]).read_text()[:16])
    ba7816bf8f01cfea
    """
    target = home / SUMS
    lines = [_line(file_sha256(file), file.relative_to(home).as_posix()) for file in sorted(files) if file != target]
    with replacing(target) as stream:
        stream.writelines(lines)
    return target


def read_sums(file: Path) -> dict[str, str]:
    """Names and digests that `write_sums` wrote; none where there is no such file."""
    if not file.is_file():
        return {}
    found = {}
    for line in os.fsdecode(file.read_bytes()).split("\n")[:-1]:
        digest, _, name = line.removeprefix("\\").partition("  ")
        if line.startswith("\\"):
            name = re.sub(r"\\(.)", lambda mark: {"n": "\n", "r": "\r"}.get(mark[1], mark[1]), name)
        found[name] = digest
    return found


def _line(digest: str, name: str) -> bytes:
    """A name with line breaks or backslashes has them escaped, and its line a backslash in front."""
    spelt = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return os.fsencode(f"{'' if spelt == name else chr(92)}{digest}  {spelt}\n")
