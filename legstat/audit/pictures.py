"""Which pictures are audited: found in folders, tables and array stores, chosen by a rule, and read one at a time."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from legstat._core.digests import file_sha256
from legstat._core.errors import invalid
from legstat._core.picture_files import picture_files, read_truth
from legstat._core.typing import JSON, AnyArray, BoolArray, FloatArray
from legstat.audit.plan import Plan
from legstat.responses.base import Response

if TYPE_CHECKING:
    import pandas as pd

_WHERE = "audit"
_TRIED = 10
"""Pictures of which one must be readable before anything is begun."""
_TABLES, _STORES = (".csv", ".parquet"), (".npz", ".npy")
_OF_A_STORE = ("images", "labels", "groups", "names", "boxes")


@dataclass(frozen=True, kw_only=True)
class Item:
    """A picture that is to be audited: where it lies, and what is known of it.

    Attributes
    ----------
    name : str
        Unique among the pictures found.
    file : str
        Its file, or the store it lies in.
    row : int or None
        Its row in the store.
    label : int or str or None
        Its true class.
    group : str or None
        Its group.
    boxes : list of list of float
        x0, y0, x1, y1 in pixels of the file's picture.
    mask : str or None
        Picture file of the same size, white where the object is.
    sha256 : str
        Of the file, as it was when the run began; empty until the picture is chosen.
    unit : str
        Stem of what is written of it; empty until it is chosen.
    """

    name: str
    file: str
    row: int | None = None
    label: int | str | None = None
    group: str | None = None
    boxes: list[list[float]] = field(default_factory=list)
    mask: str | None = None
    sha256: str = ""
    unit: str = ""

    def to_dict(self) -> JSON:
        """All of it as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, told: JSON) -> Self:
        """What `to_dict` wrote."""
        return cls(**told)

    def numbered(self, number: int, digest: str) -> Self:
        """The picture as it is chosen: with its file's hash and the stem of what is written of it."""
        short = sha256(f"{self.name}\n{digest}".encode("utf-8", "backslashreplace")).hexdigest()[:8]
        stem = re.sub(r"[^A-Za-z0-9._-]", "_", Path(self.name).stem)[:40]
        return replace(self, sha256=digest, unit=f"{number:06}-{stem}-{short}")

    def read(self, response: Response) -> tuple[FloatArray, list[list[float]]]:
        """The picture as the response takes it, and its boxes there.

        Parameters
        ----------
        response : Response
            Whose rule of resizing and cropping it is.

        Returns
        -------
        image : ndarray of shape (C, H, W)
            In [0, 1].
        boxes : list of list of float
            In its pixels.

        Raises
        ------
        ValueError
            The file changed since the run began, or is no picture that the response takes.
        """
        if self.row is not None:
            image = _picture(_stored(self.file, self.sha256)["images"], self.row)
            return response.check_image(image, _WHERE), self.boxes
        now = file_sha256(Path(self.file))
        if now != self.sha256:
            valid = f"the file that it was when the run began (SHA-256 {self.sha256[:12]}...)"
            remedy = "Put the picture back, or begin a run of its own in another folder."
            raise ValueError(invalid(_WHERE, "pictures", f"{self.file} of SHA-256 {now[:12]}...", valid, remedy))
        return response.load_image(self.file), response.load_boxes(self.file, self.boxes) if self.boxes else []


def object_on(
    response: Response, item: Item, shape: tuple[int, int], boxes: Sequence[Sequence[float]]
) -> BoolArray | None:
    """Pixels (H, W) of the object, by its mask or its boxes; None where neither is given, or nothing of it is shown."""
    inside = np.zeros(shape, dtype=np.bool_)
    if item.mask is not None:
        inside = response.load_image(item.mask).mean(axis=0) > 0.5
    for x0, y0, x1, y1 in boxes:
        inside[round(y0) : round(y1), round(x0) : round(x1)] = True
    return inside if inside.any() and not inside.all() else None


def chosen_items(plan: Plan) -> list[Item]:
    """The pictures of a plan, found, chosen and numbered.

    Parameters
    ----------
    plan : Plan
        Its places, its rule, its table of labels.

    Returns
    -------
    list of Item
        In the order in which they were found.

    Raises
    ------
    ValueError
        A place without pictures; a table without a column ``file``, or with files that are not there; a store without
        images; labels of pictures that are not there; a sample that is larger than what it is drawn from.
    """
    found = found_items(plan.places)
    if plan.truth is not None:
        found = _labelled(found, plan.truth)
    kept = range(0, len(found), plan.every) if plan.choice == "every" else range(len(found))
    if plan.choice == "sample":
        if plan.sample > len(found):
            raise ValueError(
                invalid(_WHERE, "pictures.sample", plan.sample, f"at most {len(found)}, the pictures found")
            )
        drawn = np.random.default_rng(plan.sample_seed).choice(len(found), plan.sample, replace=False)
        kept = sorted(drawn.tolist())  # type: ignore[assignment]  # numbers in either case
    digests = {file: file_sha256(Path(file)) for file in dict.fromkeys(found[i].file for i in kept)}
    return [found[i].numbered(number, digests[found[i].file]) for number, i in enumerate(kept)]


def found_items(places: Sequence[str]) -> list[Item]:
    """All pictures at the places, in their order; ValueError as `chosen_items`."""
    found: list[Item] = []
    for place in places:
        end = Path(place).suffix.lower()
        if end in _TABLES:
            found += _of_table(Path(place))
        elif end in _STORES:
            found += _of_store(Path(place))
        else:
            found += [Item(name=name, file=str(file)) for name, file in picture_files(_WHERE, [place]).items()]
    names = [one.name for one in found]
    twice = {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else set()
    named = [replace(one, name=one.file if one.row is None else f"{one.file}[{one.row}]") if one.name in twice else one
             for one in found]  # fmt: skip
    if len({one.name for one in named}) < len(named):
        got = next(one.name for one in named if [other.name for other in named].count(one.name) > 1)
        raise ValueError(invalid(_WHERE, "pictures.places", got, "each picture once"))
    return named


def first_readable(response: Response, items: Sequence[Item]) -> tuple[Item, FloatArray]:
    """The first picture that can be read: one that cannot fails in its turn; ValueError where none of ten can."""
    problem: Exception | None = None
    for item in items[:_TRIED]:
        try:
            return item, item.read(response)[0]
        except (TypeError, ValueError) as error:
            problem = problem or error
    raise problem or ValueError(invalid(_WHERE, "pictures", 0, "at least one"))


# ---------------------------------------------------------------- tables


def _of_table(file: Path) -> list[Item]:
    frame = _frame(file)
    if "file" not in frame:
        valid = "a table with a column file (and label, group, boxes, mask where there are such)"
        raise ValueError(invalid(_WHERE, "pictures.places", f"the columns {list(frame)} in {file}", valid))
    found: dict[str, Item] = {}
    missing = []
    for number, row in enumerate(frame.to_dict("records")):
        name = str(row["file"])
        path = file.parent / name
        if not path.is_file():
            missing.append(name)
            continue
        boxes = _boxes(file, number, row.get("boxes"))
        if name in found:  # a row for each box of a picture
            found[name].boxes.extend(boxes)
            continue
        label, group, mask = (_known(row.get(column)) for column in ("label", "group", "mask"))
        if mask is not None and not (file.parent / str(mask)).is_file():
            missing.append(str(mask))
            continue
        found[name] = Item(name=name, file=str(path), label=_whole(label), group=_text(group), boxes=boxes,
                           mask=None if mask is None else str(file.parent / str(mask)))  # fmt: skip
    if missing:
        got = f"{file} with {', '.join(missing[:3])}{' ...' if len(missing) > 3 else ''}"
        remedy = f"{len(missing)} are missing. Files are looked for from the table's folder."
        raise ValueError(invalid(_WHERE, "pictures.places", got, "a table of files that are there", remedy))
    return list(found.values())


def _frame(file: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        if file.suffix.lower() == ".csv":
            return pd.read_csv(file, dtype={"file": str, "group": str, "label": object, "boxes": str, "mask": str})
        from legstat._core.optional import optional_module

        optional_module("pyarrow", "pyarrow", "audit", "A table in parquet")
        return pd.read_parquet(file)
    except (OSError, ValueError) as error:
        text = f"{type(error).__name__}: {error}."
        raise ValueError(invalid(_WHERE, "pictures.places", str(file), "a table that can be read", text)) from error


def _known(value: Any) -> Any:
    """A cell of a table; None where it is empty."""
    return None if value is None or (isinstance(value, float) and np.isnan(value)) else value


def _whole(label: Any) -> int | str | None:
    """A label as a class index where it is a number, else as it stands there."""
    if isinstance(label, float | np.integer) or (isinstance(label, str) and label.strip().isdecimal()):
        return int(label)
    return label if label is None or isinstance(label, int) else str(label)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _boxes(file: Path, number: int, value: Any) -> list[list[float]]:
    """Boxes of a cell: a JSON list of lists of four, or x0 y0 x1 y1 with blanks, several with semicolons."""
    value = _known(value)
    if value is None:
        return []
    try:
        if isinstance(value, str) and not value.lstrip().startswith("["):
            given: Any = [part.split() for part in value.split(";") if part.strip()]
        else:
            given = json.loads(value) if isinstance(value, str) else value
        boxes = [[float(edge) for edge in box] for box in given]
    except (TypeError, ValueError):
        boxes = [[]]
    if not all(len(box) == 4 and box[0] < box[2] and box[1] < box[3] for box in boxes):
        valid = "boxes [[x0, y0, x1, y1], ...] with x0 < x1 and y0 < y1"
        raise ValueError(invalid(_WHERE, f"boxes in row {number} of {file}", value, valid))
    return boxes


def _labelled(found: Sequence[Item], file: str) -> list[Item]:
    truth = read_truth(_WHERE, file)
    unknown = [name for name in truth if name not in {one.name for one in found}]
    if unknown:
        valid, remedy = "of pictures that were found", f"There are {[one.name for one in found[:3]]}."
        raise ValueError(invalid(_WHERE, "pictures.truth", unknown[0], valid, remedy))
    return [replace(one, label=_whole(truth.get(one.name, one.label))) for one in found]


# ---------------------------------------------------------------- stores


def _of_store(file: Path) -> Iterator[Item]:
    if not file.is_file():
        raise ValueError(invalid(_WHERE, "pictures.places", str(file), "an existing .npz or .npy file"))
    arrays = _stored(str(file), file_sha256(file))
    for i in range(len(arrays["images"])):
        of: JSON = {name: arrays[name][i] if name in arrays else None for name in _OF_A_STORE[1:]}
        boxes = [] if of["boxes"] is None else [b for b in np.atleast_2d(of["boxes"]).tolist() if b[0] < b[2]]
        yield Item(
            name=f"{file.stem}[{i}]" if of["names"] is None else str(of["names"]),
            file=str(file),
            row=i,
            label=_whole(None if of["labels"] is None else of["labels"].item()),
            group=_text(of["groups"]),
            boxes=boxes,
        )


@functools.lru_cache(maxsize=2)
def _stored(file: str, digest: str) -> dict[str, AnyArray]:
    """Arrays of a store; `digest` is its SHA-256: another file of that name is another entry, or refused.

    Pictures are (n, H, W) or (n, C, H, W), floats in [0, 1] or uint8.
    """
    if file_sha256(Path(file)) != digest:
        valid = f"the store that it was when the run began (SHA-256 {digest[:12]}...)"
        raise ValueError(invalid(_WHERE, "pictures.places", file, valid, "Put it back, or begin another run."))
    try:
        loaded = np.load(file, mmap_mode="r", allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            arrays = {"images": loaded}
        else:
            with loaded:
                arrays = {name: loaded[name] for name in loaded.files if name in _OF_A_STORE}
    except (OSError, ValueError) as error:
        text = f"{type(error).__name__}: {error}."
        raise ValueError(
            invalid(_WHERE, "pictures.places", file, "an .npz or .npy file of plain arrays", text)
        ) from error
    images = arrays.get("images")
    if images is None or images.ndim not in (3, 4) or not len(images):
        got = "no array images" if images is None else f"images of shape {images.shape}"
        valid = "a store whose images are (n, H, W) or (n, C, H, W)"
        raise ValueError(invalid(_WHERE, "pictures.places", f"{file} with {got}", valid))
    for name, array in arrays.items():
        if len(array) != len(images):
            got = f"{len(array)} {name} and {len(images)} images in {file}"
            raise ValueError(invalid(_WHERE, "pictures.places", got, "as many of each"))
    return arrays


def _picture(images: AnyArray, row: int) -> FloatArray:
    """A picture of a store as (C, H, W) in [0, 1]."""
    levels = images[row] if images.ndim == 4 else images[row][None]
    return np.asarray(levels / 255.0 if levels.dtype == np.uint8 else levels, dtype=np.float64)
