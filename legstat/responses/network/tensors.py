"""Inputs and outputs of a model as it describes them, and which input takes the picture, in which layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from legstat._core.errors import invalid


@dataclass(frozen=True)
class TensorInfo:
    """Name, type and shape of a graph's input or output.

    Parameters
    ----------
    name : str
        Name in the graph.
    dtype : str
        numpy's name of the type, or ONNX's where numpy has none.
    shape : tuple of (int or str or None) or None
        Sizes; a str is a named free size, None an unnamed one; None altogether where the graph gives no shape.
    """

    name: str
    dtype: str
    shape: tuple[int | str | None, ...] | None

    def __str__(self) -> str:
        """As ``name float32 [N, 3, 224, 224]``."""
        shape = "?" if self.shape is None else f"[{', '.join('?' if d is None else str(d) for d in self.shape)}]"
        return f"{self.name} {self.dtype} {shape}"

    def size(self, axis: int) -> int | None:
        """Size along an axis; None where free or unknown."""
        if self.shape is None or axis >= len(self.shape):
            return None
        size = self.shape[axis]
        return size if isinstance(size, int) else None


def choose_input(
    where: str, inputs: Sequence[TensorInfo], name: str | None, constants: Mapping[str, object]
) -> TensorInfo:
    """Pick the input that takes the picture; the others must be fed constants.

    Parameters
    ----------
    where : str
        Call to name in an error.
    inputs : sequence of TensorInfo
        Of the model.
    name : str or None
        The input's name; None takes the only one without a constant.
    constants : mapping of str to array
        Values of the other inputs.

    Returns
    -------
    TensorInfo
        The input.

    Raises
    ------
    ValueError
        Unknown names, several candidates, inputs without a value, an input without four axes.
    """
    by_name = {info.name: info for info in inputs}
    for given in [*constants, *([name] if name is not None else [])]:
        if given not in by_name:
            argument = "input" if given == name else "constants"
            raise ValueError(invalid(where, argument, given, f"one of the graph's inputs {list(by_name)}"))
    open_inputs = [info for info in inputs if info.name not in constants]
    chosen = by_name[name] if name is not None else None
    if chosen is None:
        pictures = [info for info in open_inputs if info.shape is None or len(info.shape) == 4]
        if len(open_inputs) == 1:
            chosen = open_inputs[0]
        elif len(pictures) == 1:
            chosen = pictures[0]
        else:
            listed = "; ".join(map(str, inputs))
            raise ValueError(
                invalid(
                    where,
                    "input",
                    None,
                    "given for a graph with several inputs",
                    f"They are: {listed}. Pass input=name.",
                )
            )
    if missing := [info.name for info in open_inputs if info.name != chosen.name]:
        raise ValueError(
            invalid(
                where,
                "constants",
                sorted(constants),
                f"values for the graph's other inputs {missing}",
                f"Pass constants={{{missing[0]!r}: array}}; only {chosen.name!r} takes the picture.",
            )
        )
    if chosen.name in constants:
        raise ValueError(invalid(where, "input", chosen.name, "another one than those in `constants`"))
    if chosen.shape is not None and len(chosen.shape) != 4:
        raise ValueError(
            invalid(
                where,
                "input",
                str(chosen),
                "of four axes (batch, channels, rows, columns)",
                "Wrap the network in a function of images and pass that as response.",
            )
        )
    if chosen.dtype not in ("float16", "float32", "float64", "uint8"):
        raise ValueError(
            invalid(where, "input", str(chosen), "of type float16, float32, float64 or uint8", "Wrap it in a function.")
        )
    return chosen


def choose_layout(
    where: str, info: TensorInfo, wanted: Literal["auto", "NCHW", "NHWC"]
) -> tuple[Literal["NCHW", "NHWC"], tuple[int | None, int | None, int | None]]:
    """Axes of the picture input, and its (C, H, W).

    Parameters
    ----------
    where : str
        Call to name in an error.
    info : TensorInfo
        The input.
    wanted : {"auto", "NCHW", "NHWC"}
        As the preprocessing says.

    Returns
    -------
    layout : {"NCHW", "NHWC"}
        Settled.
    shape : tuple
        (C, H, W), None where free.

    Raises
    ------
    ValueError
        A layout that does not fit, or sizes from which it cannot be told.
    """
    sizes = tuple(info.size(axis) for axis in range(4))
    shapes: dict[Literal["NCHW", "NHWC"], tuple[int | None, int | None, int | None]] = {
        "NCHW": (sizes[1], sizes[2], sizes[3]),
        "NHWC": (sizes[3], sizes[1], sizes[2]),
    }
    fits: list[Literal["NCHW", "NHWC"]] = [layout for layout, shape in shapes.items() if shape[0] in (1, 3, None)]
    known = [layout for layout in fits if shapes[layout][0] is not None]
    if wanted != "auto":
        if wanted not in fits and fits:
            raise ValueError(
                invalid(
                    where,
                    "layout",
                    wanted,
                    f"{fits[0]!r} for the input {info}",
                    "Leave it out to read it off the graph.",
                )
            )
        return wanted, shapes[wanted]
    if len(known) == 2 or not fits:
        raise ValueError(
            invalid(
                where,
                "layout",
                "auto",
                f"given for the input {info}, whose channels cannot be told",
                "Pass preprocessing=Preprocessing(layout='NCHW', ...) or 'NHWC'.",
            )
        )
    layout = known[0] if known else "NCHW"
    return layout, shapes[layout]
