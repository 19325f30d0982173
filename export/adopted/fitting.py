"""What is done to a graph so that it is the one that its card describes: one output, extents, batch axis, pixels."""

from __future__ import annotations

from typing import List, Optional

import numpy as np
from onnx import ModelProto, TensorProto, ValueInfoProto, helper, numpy_helper

from clip2om.export import onnx_graph, parity
from clip2om.export.request import ExportRequest
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.tensor import DYNAMIC

_DTYPES = {"float32": TensorProto.FLOAT, "uint8": TensorProto.UINT8}


def inputs(model: ModelProto) -> List[ValueInfoProto]:
    """Return the inputs that are no weights, which old graphs list among them."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in weights]


def keep_output(model: ModelProto, request: ExportRequest) -> None:
    """Leave the one output that the card names.

    Raises:
        RequestError: there are several, and it is none of them.
    """
    names = [value.name for value in model.graph.output]
    wanted = request.card.export.output_name
    if wanted not in names:
        todo = f"--set export.output_name={names[0]}" if names else "give another graph"
        raise RequestError(f"has no output {wanted!r}, but {', '.join(names) or 'none'}", request.checkpoint, todo)
    for value in [value for value in model.graph.output if value.name != wanted]:
        model.graph.output.remove(value)
    for value in [value for value in model.graph.input if value not in inputs(model)]:
        model.graph.input.remove(value)


def check_interface(model: ModelProto, request: ExportRequest) -> None:
    """Compare names, dtypes, ranks and fixed extents with the card's.

    Raises:
        RequestError: naming the entry of the card that would fit, or that nothing does.
    """
    where, card = request.checkpoint, request.card
    found = inputs(model)
    if len(found) != 1:
        names = ", ".join(value.name for value in found) or "none"
        raise RequestError(
            f"has {len(found)} inputs ({names}), a card describes one", where, "give a graph of one input"
        )
    spec, wanted = onnx_graph.spec_of(found[0], request.input.layout), request.input
    if spec.name != wanted.name:
        raise RequestError(
            f"its input is called {spec.name!r}, input.name is {wanted.name!r}", where, f"--set input.name={spec.name}"
        )
    if len(spec.shape) != len(wanted.shape):
        extents = "x".join(map(str, spec.shape)).replace("-1", "?")
        raise RequestError(
            f"its input has {len(spec.shape)} axes ({extents}), layout {wanted.layout} has {len(wanted.shape)}",
            where,
            "give the graph of a video network, or another input.layout and input.shape",
        )
    if any(extent not in (DYNAMIC, asked) for extent, asked in zip(spec.shape[1:], wanted.shape[1:])):
        raise RequestError(f"its input is {spec}, the card's is {wanted}", where, _extents(spec.shape[1:], card))
    if spec.dtype != wanted.dtype and (spec.dtype, wanted.dtype) != ("float32", "uint8"):
        raise RequestError(
            f"its input is {spec.dtype}, input.dtype is {wanted.dtype}",
            where,
            f"--set input.dtype={spec.dtype}" if spec.dtype in _DTYPES else "export it with a float32 input",
        )
    classes = onnx_graph.spec_of(model.graph.output[0], "").shape[-1:]
    if classes and classes[0] not in (DYNAMIC, card.model.classes):
        raise RequestError(
            f"it gives {classes[0]} scores, model.classes is {card.model.classes}",
            where,
            f"--set model.classes={classes[0]}",
        )


def _extents(shape: "tuple[int, ...]", card: object) -> str:
    found = [int(extent) for extent in shape]
    return (
        f"set input.shape to {found}, and clips.frames and transform.size to match"
        if DYNAMIC not in found
        else ("set input.shape, clips.frames and transform.size to what it takes")
    )


def fit_extents(model: ModelProto, request: ExportRequest) -> None:
    """Fix the axes of a clip that the graph leaves open to the card's extents."""
    axes = inputs(model)[0].type.tensor_type.shape.dim
    for axis, extent in list(zip(axes, request.input.shape))[1:]:
        _set(axis, extent)


def fit_batch(model: ModelProto, request: ExportRequest) -> None:
    """Give the graph the batch size that is asked for: a number, or none.

    What lies between was computed for the old size and is left out; the comparison afterwards runs what remains.
    """
    output = model.graph.output[0].type.tensor_type
    _set(inputs(model)[0].type.tensor_type.shape.dim[0], request.input.shape[0])
    del model.graph.value_info[:]
    wanted = request.logits.shape
    del output.shape.dim[:]
    for extent in wanted:
        _set(output.shape.dim.add(), extent)


def fold_pixels(model: ModelProto, request: ExportRequest, volume: Optional[np.ndarray]) -> None:
    """Put scale, mean and std before the graph, which takes uint8 then: Cast, Sub and Mul."""
    value = inputs(model)[0]
    inner = f"{value.name}_normalised"
    for node in model.graph.node:
        for position, name in enumerate(node.input):
            if name == value.name:
                node.input[position] = inner
    transform = request.card.transform
    mean, std = (part.astype(np.float64) for part in parity.statistics(request.input.layout, transform, volume))
    offset, factor = transform.scale * mean, 1 / (transform.scale * std)
    for name, constant in (("clip2om_offset", offset), ("clip2om_factor", factor)):
        model.graph.initializer.append(numpy_helper.from_array(constant.astype(np.float32), name))
    for node in reversed(
        [
            helper.make_node("Cast", [value.name], ["clip2om_cast"], to=TensorProto.FLOAT),
            helper.make_node("Sub", ["clip2om_cast", "clip2om_offset"], ["clip2om_sub"]),
            helper.make_node("Mul", ["clip2om_sub", "clip2om_factor"], [inner]),
        ]
    ):
        model.graph.node.insert(0, node)
    value.type.tensor_type.elem_type = TensorProto.UINT8


def _set(axis: object, extent: int) -> None:
    axis.Clear()  # type: ignore[attr-defined]
    if extent == DYNAMIC:
        axis.dim_param = "batch"  # type: ignore[attr-defined]
    else:
        axis.dim_value = extent  # type: ignore[attr-defined]
