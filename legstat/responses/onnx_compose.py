"""The perturbation in front of a user's graph: only the cells' numbers cross into the session.

The nodes do what `legstat.composition.Composer` and `InputWriter` do, in the same order and precision, so that the
network sees the same bits. The picture is no part of the graph: its arrays are inputs, which a device keeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from legstat._typing import AnyArray, FloatArray
from legstat.composition import Recipe
from legstat.errors import invalid
from legstat.responses.onnx_edit import drop_initialised_inputs
from legstat.responses.preprocessing import Preprocessing

if TYPE_CHECKING:
    import onnx

CELLS, BASE, GAIN = "legstat_cells", "legstat_base", "legstat_gain"
"""Inputs of a composed graph: the cells' numbers, and the two arrays of the recipe."""


@dataclass(frozen=True)
class Prefix:
    """All that the nodes in front of a graph depend on; pictures of one form share a session.

    Parameters
    ----------
    shape : tuple of int
        (C, H, W) of the pictures.
    cells : tuple of int
        (p1, p2).
    gain, clip, quantise : bool
        Which operations of the recipe there are.
    rule : Preprocessing
        With its layout settled.
    dtype : str
        Type of the recipe's arithmetic.
    written : str
        Type of the network's input.
    """

    shape: tuple[int, int, int]
    cells: tuple[int, int]
    gain: bool
    clip: bool
    quantise: bool
    rule: Preprocessing
    dtype: str
    written: str

    @classmethod
    def of(cls, recipe: Recipe, rule: Preprocessing, written: np.dtype[np.generic]) -> Self:
        """The nodes that a recipe needs."""
        count, height, width = recipe.base.shape
        return cls(
            shape=(count, height, width),
            cells=recipe.grid.shape,
            gain=recipe.gain is not None,
            clip=recipe.clip,
            quantise=recipe.quantise,
            rule=rule,
            dtype=str(recipe.dtype),
            written=str(written),
        )

    @property
    def _rows(self) -> tuple[int, int, int, int]:
        """(C, p1, h, W): the rows of a cell on an axis of their own, along which its number is repeated."""
        count, height, width = self.shape
        return count, self.cells[0], height // self.cells[0], width

    @property
    def _reverse(self) -> bool:
        return self.rule.channel_order == "BGR" and self.shape[0] == 3

    def _ordered(self, planes: AnyArray, axis: int) -> AnyArray:
        """Channels in the network's order."""
        return np.flip(planes, axis) if self._reverse else planes

    def arrays(self, recipe: Recipe) -> dict[str, NDArray[np.generic]]:
        """What the composed graph is fed beside the cells' numbers, the same for all pictures of the recipe."""
        named = {BASE: recipe.base, GAIN: recipe.gain}
        return {
            name: np.ascontiguousarray(self._ordered(array.reshape(self._rows), 0)[None])
            for name, array in named.items()
            if array is not None
        }

    def feed(self, recipe: Recipe, z: FloatArray, channel: int | None) -> NDArray[np.generic]:
        """The cells' numbers (n, C, p1, p2, 1) for z of shape (n, planes, p1, p2); 0 in channels that stay."""
        v = recipe.values(z)
        fed = np.zeros((len(z), self.shape[0], *self.cells, 1), dtype=self.dtype)
        if channel is None:
            fed[..., 0] = v
        else:
            fed[:, channel, ..., 0] = v[:, 0]
        return np.ascontiguousarray(self._ordered(fed, 1))


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
    p1, p2 = prefix.cells
    chain = _Chain(graph, prefix.dtype)
    chain.add("Tile", chain.constant([1, 1, 1, 1, width // p2], "int64"))
    chain.reshape(-1, count, p1, 1, width)
    if prefix.gain:
        chain.add("Mul", GAIN)
    chain.add("Add", BASE)
    chain.reshape(-1, count, height, width)
    if prefix.clip:
        chain.clip(0.0, 1.0, opset)
    if prefix.quantise:
        chain.add("Mul", chain.constant(255.0))
        # to a whole number and back truncates towards zero
        chain.add("Cast", to=onnx.TensorProto.INT32)
        chain.add("Cast", to=onnx.helper.np_dtype_to_tensor_dtype(np.dtype(prefix.dtype)))
        chain.add("Div", chain.constant(255.0))
    factor, offset = (values[:, None, None] for values in prefix.rule.affine(count))
    if np.any(factor != 1.0) or np.any(offset != 0.0):
        chain.add("Mul", chain.constant(factor))
        chain.add("Add", chain.constant(offset))
    if integer:
        chain.add("Round")
        chain.clip(0.0, 255.0, opset)
        chain.add("Cast", to=onnx.helper.np_dtype_to_tensor_dtype(np.dtype(prefix.written)))
    if prefix.rule.layout == "NHWC":
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
