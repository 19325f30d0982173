"""Parsing an ONNX model and inferring its shapes (step 17)."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence

import numpy as np

from _cann_sim.atc.console import Refused, bad_value
from _cann_sim.knobs import names

# [D] ONNX opset 11 to 18, domain ai.onnx.
OPSETS = range(11, 19)
# The operators that the contract names [D]; those of the last line are in the vendor's list of supported ONNX
# operators too, but not in the contract [I].
_OPS = frozenset(
    names("""
    Add AveragePool BatchNormalization Concat Constant ConstantOfShape Conv Flatten Gather Gemm GlobalAveragePool MatMul
    MaxPool Pad ReduceMean Relu Reshape Shape Slice Softmax Squeeze Transpose Unsqueeze
    Cast Clip Div Dropout Identity Mul ReduceSum Sigmoid Sub Tanh
    """)
)


def read_model(path: str) -> Any:
    """Return the parsed model.

    Raises:
        Refused: not ONNX, another opset, an operator that no parser knows.
    """
    import onnx

    try:
        model = onnx.load(path)
    except Exception as error:  # protobuf's and onnx's errors share no base class
        raise Refused("E16001", f"Failed to parse the ONNX model [{path}]: {error}") from error
    if not model.graph.node:
        raise Refused("E16001", f"Failed to parse the ONNX model [{path}]: it has no node.")
    domains = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    if len(domains) > 1:
        raise Refused("E16005", f"The model has {len(domains)} domain_version fields, but only one is allowed.")
    version = domains.get("ai.onnx", 0)
    for node in model.graph.node:
        if version not in OPSETS or node.op_type not in _OPS:
            raise Refused(
                "E19010",
                f"No parser is registered for Op [{node.name}, optype [ai.onnx::{version}::{node.op_type}]].",
            )
    return model


def open_inputs(model: Any) -> Dict[str, Any]:
    """Return the inputs that are not weights, by name."""
    weights = {entry.name for entry in model.graph.initializer}
    return {entry.name: entry for entry in model.graph.input if entry.name not in weights}


def own_dims(value: Any) -> List[int]:
    """Return the dims that the model states, -1 for symbols."""
    return [
        d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else -1 for d in value.type.tensor_type.shape.dim
    ]


def settle_inputs(model: Any, asked: Dict[str, List[int]]) -> Dict[str, List[int]]:
    """Return the dims of every input: as asked for, else the model's own.

    Raises:
        Refused: E10016 unknown name, E10017 not an input, E10049 another rank, E10001 an open dim not given.
    """
    inputs = open_inputs(model)
    inner = {name for node in model.graph.node for name in (node.name, *node.output)}
    inner |= {entry.name for entry in model.graph.initializer}
    dims = {name: own_dims(value) for name, value in inputs.items()}
    # An input left open is named first: a misspelled name of a dynamic model gives that message [S].
    for name, own in dims.items():
        if -1 in own and name not in asked:
            raise bad_value("-1", name, "maybe you should set input_shape to specify its shape.")
    for name, extents in asked.items():
        if name not in inputs:
            _refuse_name(name, inner)
        if len(extents) != len(dims[name]):
            raise Refused(
                "E10049",
                f"The dim size [{len(extents)}] of input [{name}] in [--input_shape] differs from that of the model "
                f"[{len(dims[name])}].",
            )
        dims[name] = extents
    return dims


def _refuse_name(name: str, inner: Any) -> None:
    if name in inner:
        raise Refused("E10017", f"Input op [{name}] in [--input_shape] is invalid. Reason: it is not a Data node.")
    raise Refused(
        "E10016",
        f"Opname [{name}] specified in [--input_shape] is not found in the model, confirm whether this node name "
        "exists, or node is not split with the specified delimiter ';'",
    )


def infer(model: Any, dims: Dict[str, List[int]]) -> Dict[str, List[int]]:
    """Return the dims of every tensor when the inputs have ``dims`` (-1: open).

    Raises:
        Refused: the graph cannot have these shapes; EZ9999 stands for the inner error of shape inference [I].
    """
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.value_info[:]
    for value in copy.graph.input:
        if value.name in dims:
            _set_dims(value, dims[value.name])
    for value in copy.graph.output:
        value.type.tensor_type.ClearField("shape")
    try:
        done = onnx.shape_inference.infer_shapes(copy, check_type=True, strict_mode=True, data_prop=True)
    except Exception as error:  # onnx's errors share no base class
        raise _inner(str(error)) from error
    found = {value.name: own_dims(value) for value in (*done.graph.input, *done.graph.value_info, *done.graph.output)}
    found.update({entry.name: list(entry.dims) for entry in model.graph.initializer})
    for node in model.graph.node:
        if node.op_type == "Reshape":
            _check_reshape(node, found)
    missing = [v.name for v in copy.graph.output if not v.name or v.name not in found]
    if missing:
        raise _inner(f"the shape of output {missing[0]} cannot be inferred")
    return found


def _inner(text: str) -> Refused:
    return Refused(
        "EZ9999",
        "Inner Error!",
        text.replace("\n", " "),
        "TraceBack (most recent call last):",
        "Call InferShapeAndType for node failed[FUNC:Infer][FILE:infershape_pass.cc][LINE:118]",
    )


def _set_dims(value: Any, dims: Sequence[int]) -> None:
    for number, (entry, extent) in enumerate(zip(value.type.tensor_type.shape.dim, dims)):
        if extent == -1:
            entry.dim_param = f"{value.name}_{number}"
        else:
            entry.dim_value = extent


def set_input_dims(model: Any, dims: Dict[str, List[int]]) -> None:
    """Write the dims into the model's inputs, and forget what it knew of other shapes."""
    del model.graph.value_info[:]
    for value in model.graph.input:
        if value.name in dims:
            _set_dims(value, dims[value.name])
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")


def _check_reshape(node: Any, found: Dict[str, List[int]]) -> None:
    # ONNX's own inference does not compare the number of elements.
    before, after = found.get(node.input[0]), found.get(node.output[0])
    if before and after and -1 not in before and -1 not in after and np.prod(before) != np.prod(after):
        raise _inner(f"Reshape {node.name}: {before} cannot become {after}")


def producer(model: Any, tensor: str) -> Optional[str]:
    """Return ``node:index`` of the tensor's producer; nodes without a name are called after type and place."""
    for place, node in enumerate(model.graph.node):
        if tensor in node.output:
            return f"{node.name or f'{node.op_type}_{place}'}:{list(node.output).index(tensor)}"
    return None
