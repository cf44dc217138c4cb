"""The perturbation in front of a user's graph: only the cells' numbers cross into the session.

The nodes do what `legstat.perturbations.recipe.Composer` does with the recipe of the network's input, in the same order
and precision, so that the network sees the same bits. The picture is no part of the graph: its arrays are inputs, which
a device keeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from legstat._core.errors import invalid
from legstat._core.typing import AnyArray, FloatArray
from legstat.designs.tiling import Tiling
from legstat.perturbations.lifts import Between
from legstat.perturbations.recipe import Recipe
from legstat.responses.onnx.edits import drop_initialised_inputs

if TYPE_CHECKING:
    import onnx

CELLS, BASE, GAIN = "legstat_cells", "legstat_base", "legstat_gain"
"""Inputs of a composed graph: the cells' numbers, and the two arrays of the recipe."""


Numbers = tuple[tuple[float, ...], tuple[float, ...]]
"""Two numbers for each channel."""


@dataclass(frozen=True)
class Prefix:
    """All that the nodes in front of a graph depend on; pictures of one form share a session.

    Parameters
    ----------
    shape : tuple of int
        (C, H, W) of the pictures.
    cells : tuple of int
        (p1, p2).
    gain, quantise : bool
        Which operations of the recipe there are.
    limits, affine : tuple of tuple of float or None
        The recipe's.
    layout : {"NCHW", "NHWC"}
        Of the network's input.
    dtype : str
        Type of the recipe's arithmetic.
    written : str
        Type of the network's input.
    smooth : bool
        The recipe's.
    """

    shape: tuple[int, int, int]
    cells: tuple[int, int]
    gain: bool
    quantise: bool
    limits: Numbers | None
    affine: Numbers | None
    layout: str
    dtype: str
    written: str
    smooth: bool

    @classmethod
    def of(cls, recipe: Recipe, layout: str, written: np.dtype[np.generic]) -> Self:
        """The nodes that a recipe of the network's input needs."""
        count, height, width = recipe.base.shape
        return cls(
            shape=(count, height, width),
            cells=recipe.grid.shape,
            gain=recipe.gain is not None,
            quantise=recipe.quantise,
            limits=_numbers(recipe.limits),
            affine=_numbers(recipe.affine),
            layout=layout,
            dtype=str(recipe.dtype),
            written=str(written),
            smooth=recipe.smooth,
        )

    @property
    def _rows(self) -> tuple[int, int, int, int]:
        """(C, p1, h, W): the rows of a cell on an axis of their own, along which its number is repeated.

        (C, 1, H, W) where cells differ in size, or the lift is smooth: their numbers are then lifted to all pixels.
        """
        count, height, width = self.shape
        return (count, self.cells[0], self.tiling.size[0], width) if self.repeats else (count, 1, height, width)

    @property
    def repeats(self) -> bool:
        """Whether each cell's number is repeated equally often."""
        return self.tiling.even and not self.smooth

    @property
    def tiling(self) -> Tiling:
        """How the pictures are cut into cells."""
        return Tiling.of(self.cells, *self.shape[1:])

    def arrays(self, recipe: Recipe) -> dict[str, NDArray[np.generic]]:
        """What the composed graph is fed beside the cells' numbers, the same for all pictures of the recipe."""
        named = {BASE: recipe.base, GAIN: recipe.gain}
        return {name: array.reshape(self._rows)[None] for name, array in named.items() if array is not None}

    def feed(self, recipe: Recipe, z: FloatArray, channel: int | None) -> NDArray[np.generic]:
        """The cells' numbers (n, C, p1, p2, 1) for z of shape (n, planes, p1, p2)."""
        cells = recipe.cells(z, channel)[..., None]
        return np.ascontiguousarray(np.broadcast_to(cells, (len(z), self.shape[0], *self.cells, 1)))


def _numbers(pair: tuple[AnyArray, AnyArray] | None) -> Numbers | None:
    return None if pair is None else (tuple(map(float, pair[0])), tuple(map(float, pair[1])))


class _Chain:
    """Nodes one after the other, each fed what the last one made."""

    def __init__(self, graph: onnx.GraphProto, dtype: str) -> None:
        self._graph, self._dtype = graph, dtype
        self.nodes: list[onnx.NodeProto] = []
        self._last = CELLS

    def constant(self, value: Any, dtype: str | None = None) -> str:
        import onnx

        name = f"legstat_constant_{len(self._graph.initializer)}"
        self._graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value, dtype or self._dtype), name))
        return name

    def add(self, kind: str, *more: str, **attributes: Any) -> None:
        import onnx

        made = f"legstat_made_{len(self.nodes)}"
        self.nodes.append(onnx.helper.make_node(kind, [self._last, *more], [made], **attributes))
        self._last = made

    def reshape(self, *shape: int) -> None:
        self.add("Reshape", self.constant(shape, "int64"))

    def interpolate(self, between: Between, axis: int) -> None:
        """From cells to pixels along one axis of (n, C, ., ., 1)."""
        cells = self._last
        self.add("Gather", self.constant(between.first, "int64"), axis=axis)
        first, self._last = self._last, cells
        self.add("Gather", self.constant(between.second, "int64"), axis=axis)
        self.add("Sub", first)
        self.add("Mul", self.constant(between.share.reshape(-1, *(1,) * (4 - axis))))
        self.add("Add", first)

    def clip_channels(self, limits: Numbers, opset: int) -> None:
        """Clip each channel of (n, C, H, W) to limits of its own; before opset 8 no operator broadcasts them."""
        ends = list(zip(*limits, strict=True))
        if len(set(ends)) == 1:
            self.clip(*ends[0], opset)
            return
        import onnx

        names = [f"legstat_channel_{c}" for c in range(len(ends))]
        more: dict[str, Any] = {"num_outputs": len(ends)} if opset >= 18 else {}
        self.nodes.append(onnx.helper.make_node("Split", [self._last], names, axis=1, **more))
        clipped = []
        for name, (low, high) in zip(names, ends, strict=True):
            self._last = name
            self.clip(low, high, opset)
            clipped.append(self._last)
        self._last = clipped[0]
        self.add("Concat", *clipped[1:], axis=1)

    def clip(self, low: float, high: float, opset: int) -> None:
        if self._dtype == "float64" and opset < 12:  # Clip was for float32 alone
            self.add("Max", self.constant(low))
            self.add("Min", self.constant(high))
        elif opset < 11:
            self.add("Clip", min=low, max=high)
        else:
            self.add("Clip", self.constant(low), self.constant(high))


def prepend(where: str, model: onnx.ModelProto, picture: str, prefix: Prefix, opset: int, fixed: int | None) -> None:
    """Put the perturbation and the preprocessing in front of a graph (in place).

    Parameters
    ----------
    where : str
        Call to name in an error.
    model : onnx.ModelProto
        The model; its input `picture` becomes a tensor inside it.
    picture : str
        Name of the picture input, which takes ``prefix.written``.
    prefix : Prefix
        What to put there.
    opset : int
        The model's version of the standard operators.
    fixed : int or None
        Batch size of the graph; None where it is free.

    Raises
    ------
    ValueError
        The operators of that opset cannot do it.
    """
    import onnx

    graph, integer = model.graph, np.dtype(prefix.written).kind == "u"
    if integer and opset < 11:
        valid, remedy = "'outside' for a whole-numbered input below opset 11", "The operators cannot round there."
        raise ValueError(invalid(where, "compose", "inside", valid, remedy))
    count, height, width = prefix.shape
    (p1, p2), tiling = prefix.cells, prefix.tiling
    chain = _Chain(graph, prefix.dtype)
    if prefix.repeats:
        chain.add("Tile", chain.constant([1, 1, 1, 1, tiling.size[1]], "int64"))
        chain.reshape(-1, count, p1, 1, width)
    elif prefix.smooth:
        for axis, n, pixels in ((3, p2, width), (2, p1, height)):
            chain.interpolate(Between.of(n, pixels), axis)
        chain.reshape(-1, count, 1, height, width)
    else:
        chain.add("Gather", chain.constant(tiling.column_of, "int64"), axis=3)
        chain.add("Gather", chain.constant(tiling.row_of, "int64"), axis=2)
        chain.reshape(-1, count, 1, height, width)
    if prefix.gain:
        chain.add("Mul", GAIN)
    chain.add("Add", BASE)
    chain.reshape(-1, count, height, width)
    if prefix.limits is not None:
        chain.clip_channels(prefix.limits, opset)
    if prefix.quantise:
        chain.add("Mul", chain.constant(255.0))
        # to a whole number and back truncates towards zero
        chain.add("Cast", to=onnx.TensorProto.INT32)
        chain.add("Cast", to=onnx.helper.np_dtype_to_tensor_dtype(np.dtype(prefix.dtype)))
        chain.add("Div", chain.constant(255.0))
    if prefix.affine is not None:
        factor, offset = (np.array(numbers)[:, None, None] for numbers in prefix.affine)
        chain.add("Mul", chain.constant(factor))
        chain.add("Add", chain.constant(offset))
    if integer:
        chain.add("Round")
        chain.clip(0.0, 255.0, opset)
        chain.add("Cast", to=onnx.helper.np_dtype_to_tensor_dtype(np.dtype(prefix.written)))
    if prefix.layout == "NHWC":
        chain.add("Transpose", perm=[0, 2, 3, 1])
    chain.nodes[-1].output[0] = picture

    drop_initialised_inputs(model)
    taken = next(value for value in graph.input if value.name == picture)
    # with the sizes that the input had the runtime fuses the same nodes; a Reshape would leave the batch without a name
    graph.value_info.append(taken)
    graph.input.remove(taken)
    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(prefix.dtype))
    rows: list[int | str] = [1, *prefix._rows]
    sizes = taken.type.tensor_type.shape.dim
    batch: int | str = fixed or (sizes[0].dim_param if sizes else "") or "legstat_n"
    shapes: dict[str, list[int | str]] = {CELLS: [batch, count, p1, p2, 1], BASE: rows}
    if prefix.gain:
        shapes[GAIN] = rows
    graph.input.extend(onnx.helper.make_tensor_value_info(name, kind, shape) for name, shape in shapes.items())
    for at, node in enumerate(chain.nodes):
        graph.node.insert(at, node)
