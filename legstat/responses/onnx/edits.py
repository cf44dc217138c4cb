"""Two changes to a user's graph that leave what it computes alone: one more output, a free batch size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx


WIDENED = "legstat_class_output"
"""Name of the float32 copy of a float16 tensor."""


def expose(model: onnx.ModelProto, inside: Sequence[str], narrow: str | None) -> None:
    """Make tensors inside the graph outputs, beside the declared ones (in place).

    Parameters
    ----------
    model : onnx.ModelProto
        The model.
    inside : sequence of str
        Tensors that nodes produce. Their types are left to the runtime's own inference.
    narrow : str or None
        A float16 tensor to give out as float32, under the name `WIDENED`. Where the runtime computes float16 graphs in
        float32 (the CPU does), the rounding that is saved is several times what perturbations do to a logit of 30:
        float16 has steps of 1/32 there.
    """
    import onnx

    wanted = [name for name in inside if name != narrow]
    if narrow is not None:
        wanted.append(WIDENED)
        model.graph.node.append(onnx.helper.make_node("Cast", [narrow], [WIDENED], to=onnx.TensorProto.FLOAT))
    declared = {value.name for value in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted if name not in declared)


WIDE_INPUT = "legstat_picture"
"""Name of the float32 input in front of a float16 one."""


def widen_input(model: onnx.ModelProto, picture: str) -> None:
    """Put a float32 input and a Cast in front of a float16 picture input (in place).

    The network sees the same rounded numbers; the runtime rounds them several times faster than numpy does.

    Parameters
    ----------
    model : onnx.ModelProto
        The model.
    picture : str
        Name of the picture input.
    """
    import onnx

    value = next(value for value in model.graph.input if value.name == picture)
    value.name, value.type.tensor_type.elem_type = WIDE_INPUT, onnx.TensorProto.FLOAT
    cast = onnx.helper.make_node("Cast", [WIDE_INPUT], [picture], to=onnx.TensorProto.FLOAT16)
    model.graph.node.insert(0, cast)


def drop_initialised_inputs(model: onnx.ModelProto) -> None:
    """Make the format at least version 4, before which initialisers had to be inputs as well (in place).

    Initialisers that are added are no inputs, which version 3 does not allow. Those that are could be fed from version
    4 on, and the runtime would no longer take them for constants: they are taken off the list.

    Parameters
    ----------
    model : onnx.ModelProto
        The model.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    for value in [value for value in model.graph.input if value.name in constants]:
        model.graph.input.remove(value)
    model.ir_version = max(model.ir_version, 4)


def free_batch(model: onnx.ModelProto, picture: str) -> None:
    """Free the batch axis of the picture input and of all that follows from it (in place).

    The sizes noted in the graph are dropped, and constant targets of Reshape nodes that depend on the picture and begin
    with the fixed batch size get 0 there ("as the input has it"). Whether the result computes the same has to be
    verified by running it: other operators may carry the batch size too.

    Parameters
    ----------
    model : onnx.ModelProto
        The model.
    picture : str
        Name of the picture input.
    """
    import onnx

    graph = model.graph
    fixed = next(value for value in graph.input if value.name == picture).type.tensor_type.shape.dim[0].dim_value
    for value in [*graph.output, *(value for value in graph.input if value.name == picture)]:
        dims = value.type.tensor_type.shape.dim
        if dims and dims[0].dim_value == fixed:
            dims[0].dim_param = "legstat_batch"
    del graph.value_info[:]
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].HasField("t"):
            constants[node.output[0]] = node.attribute[0].t
    drop_initialised_inputs(model)
    depends = {picture}
    for node in graph.node:
        if not depends.intersection(node.input):
            continue
        depends.update(node.output)
        if node.op_type != "Reshape" or node.input[0] not in depends or node.input[1] not in constants:
            continue
        target = onnx.numpy_helper.to_array(constants[node.input[1]]).copy()
        if target.size == 0 or target[0] != fixed:
            continue
        target[0] = 0
        name = f"{node.input[1]}_legstat_{node.output[0]}"
        graph.initializer.append(onnx.numpy_helper.from_array(target, name))
        node.input[1] = name
