"""Which operators a network's graph may have, and in which form."""

from __future__ import annotations

from typing import Optional, Set

import onnx

from clip2om.export.code import names_code
from clip2om.export.onnx_graph import attribute
from clip2om.export.pytorch.networks import FAMILIES
from clip2om.export.request import ExportRequest

_POOLING = {
    "global": {"GlobalAveragePool", "Flatten"},
    "average": {"AveragePool", "Flatten"},
    "mean": {"ReduceMean"},
}


def operators(request: ExportRequest) -> Optional[Set[str]]:
    """Return the operators that the graph of a request may have: those that the NPU's converter documents.

    None for a network that is code, whose operators nobody has listed.
    """
    card = request.card
    if names_code(card):
        return None
    family = FAMILIES[card.model.network]
    allowed = set(family.operators)
    if family.pooled:
        allowed |= _POOLING[card.export.pooling]
    if request.input_dtype == "uint8":
        allowed |= {"Cast", "Sub", "Mul"}
    if card.export.softmax:
        allowed |= {"Softmax"}
    if "K" in card.input.layout:
        allowed |= {"Reshape", "ReduceMean"} if card.export.average_clips else {"Reshape"}
    return allowed


def explicit_pads(model: onnx.ModelProto) -> onnx.ModelProto:
    """Write the rounding up of poolings as padding at the end, in place, and return the model.

    Both give the same windows. Converters document pads for 5-D tensors and are silent about ``ceil_mode``.
    """
    rounded = [node for node in model.graph.node if node.op_type == "MaxPool" and attribute(node, "ceil_mode", 0)]
    if not rounded:
        return model
    inferred = onnx.shape_inference.infer_shapes(model).graph
    values = {value.name: value for value in [*inferred.input, *inferred.value_info]}
    for node in rounded:
        extents = [extent.dim_value for extent in values[node.input[0]].type.tensor_type.shape.dim[2:]]
        kernel, strides = attribute(node, "kernel_shape", []), attribute(node, "strides", [])
        before = list(attribute(node, "pads", [0] * 2 * len(extents)))[: len(extents)]
        after = [
            # The last window starts at a multiple of the stride and ends here.
            -(-(extent + 2 * pad - size) // stride) * stride + size - extent - pad
            for extent, size, stride, pad in zip(extents, kernel, strides, before)
        ]
        kept = [attribute for attribute in node.attribute if attribute.name not in ("pads", "ceil_mode")]
        del node.attribute[:]
        node.attribute.extend([*kept, onnx.helper.make_attribute("pads", [*before, *after])])
    return model
