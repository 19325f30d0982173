"""Which operators a network's graph may have, and where those leave what ATC documents."""

from __future__ import annotations

from typing import Any, List, Set

import onnx

from clip2om.export.pytorch.networks import FAMILIES
from clip2om.export.request import ExportRequest

_POOLING = {
    "global": {"GlobalAveragePool", "Flatten"},
    "average": {"AveragePool", "Flatten"},
    "mean": {"ReduceMean"},
}


def operators(request: ExportRequest) -> Set[str]:
    """Return the operators that the graph of a request may have: those that the NPU's converter documents."""
    card = request.card
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


def atc_limits(model: onnx.ModelProto) -> List[str]:
    """Return a line for each thing in a graph that the public operator specifications of CANN do not vouch for."""
    grouped = sum(node.op_type == "Conv" and _attribute(node, "group", 1) != 1 for node in model.graph.node)
    normalising = sum(node.op_type == "BatchNormalization" for node in model.graph.node)
    lines = []
    if grouped:
        lines.append(
            f"{grouped} convolutions have groups; on 5-D tensors ATC documents group 1 only and may refuse the graph"
        )
    if normalising:
        lines.append(
            f"{normalising} BatchNormalization stay in the graph, having no convolution before them; "
            "ATC lists the operator, on 5-D tensors it is untried"
        )
    return lines


def explicit_pads(model: onnx.ModelProto) -> onnx.ModelProto:
    """Write the rounding up of poolings as padding at the end, in place, and return the model.

    Both give the same windows. Converters document pads for 5-D tensors and are silent about ``ceil_mode``.
    """
    rounded = [node for node in model.graph.node if node.op_type == "MaxPool" and _attribute(node, "ceil_mode", 0)]
    if not rounded:
        return model
    inferred = onnx.shape_inference.infer_shapes(model).graph
    values = {value.name: value for value in [*inferred.input, *inferred.value_info]}
    for node in rounded:
        extents = [extent.dim_value for extent in values[node.input[0]].type.tensor_type.shape.dim[2:]]
        kernel, strides = _attribute(node, "kernel_shape", []), _attribute(node, "strides", [])
        before = list(_attribute(node, "pads", [0] * 2 * len(extents)))[: len(extents)]
        after = [
            # The last window starts at a multiple of the stride and ends here.
            -(-(extent + 2 * pad - size) // stride) * stride + size - extent - pad
            for extent, size, stride, pad in zip(extents, kernel, strides, before)
        ]
        kept = [attribute for attribute in node.attribute if attribute.name not in ("pads", "ceil_mode")]
        del node.attribute[:]
        node.attribute.extend([*kept, onnx.helper.make_attribute("pads", [*before, *after])])
    return model


def _attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    found = [attribute for attribute in node.attribute if attribute.name == name]
    return onnx.helper.get_attribute_value(found[0]) if found else default
