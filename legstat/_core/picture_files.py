"""Picture files by folder and pattern, and what a table says of them."""

from __future__ import annotations

import csv
import glob
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from legstat._core.errors import invalid


def picture_files(where: str, places: Sequence[str | Path]) -> dict[str, Path]:
    """Picture files by name: those named, those in folders, those that a pattern with ``*`` or ``?`` finds.

    Parameters
    ----------
    where : str
        Call to name in an error.
    places : sequence of str or Path
        Files, folders, patterns.

    Returns
    -------
    dict of str to Path
        In the order of the places, sorted within each. A name is the file's, or where that is there twice its path.

    Raises
    ------
    ValueError
        Nothing at one of the places.
    """
    known = {end for end, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    files: dict[Path, None] = {}
    for place in places:
        path = Path(place)
        if path.is_dir():
            found = sorted(file for file in path.iterdir() if file.suffix.lower() in known)
        elif path.is_file():
            found = [path]
        else:
            found = sorted(Path(file) for file in glob.glob(str(place), recursive=True) if Path(file).is_file())
        if not found:
            valid = "a picture file, a folder with pictures, or a pattern that finds some"
            raise ValueError(invalid(where, "pictures", str(place), valid))
        files.update(dict.fromkeys(found))
    names = [file.name for file in files]
    return {file.name if names.count(file.name) == 1 else str(file): file for file in files}


def read_truth(where: str, file: str | Path) -> dict[str, str]:
    """True classes by picture, from a CSV file of lines ``picture,class``; a first line ``picture,...`` is a header.

    Raises
    ------
    ValueError
        The file is missing, or a line has other than two entries.
    """
    try:
        with Path(file).open(encoding="utf-8-sig", newline="") as stream:
            lines = [
                (reader.line_num, [cell.strip() for cell in line]) for reader in [csv.reader(stream)] for line in reader
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(
            invalid(where, "truth", str(file), "a CSV file of lines picture,class", f"{error}.")
        ) from error
    found = {}
    for number, line in lines:
        if not line or (number == 1 and line[0].casefold() == "picture"):
            continue
        if len(line) != 2 or not all(line):
            text = f"line {number} of {file}: {','.join(line)}"
            raise ValueError(invalid(where, "truth", text, "of the form picture,class"))
        found[line[0]] = line[1]
    return found
