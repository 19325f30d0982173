"""What MindSpore's ONNX exporter gets wrong or leaves in the way, put right on the graph.

It writes a convolution's padding in its own order, SAME padding as ``auto_pad``, and each 3-D batch norm as a 2-D one
between two reshapes to constant shapes. ONNX wants another order, ATC wants explicit padding on 5-D operators, and the
reshapes would fix the batch. Seen with MindSpore 2.10, which writes opset 11.
"""

from __future__ import annotations

import math
from typing import Dict, List, Optional, Tuple

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, helper, numpy_helper, shape_inference

from clip2om.pipeline.errors import ShortfallError

Pads = Tuple[int, ...]
_TODO = "use --format mindir, or another release of MindSpore (2.10 was tried)"


def repair(model: ModelProto) -> ModelProto:
    """Return the graph with plain Conv nodes only: batch norm folded, every padding explicit and in ONNX's order.

    The graph's shapes must be fixed: SAME padding depends on the size of what is padded.

    Raises:
        ShortfallError: the exporter wrote something else than it is known to write.
    """
    graph = model.graph
    for node in graph.node:
        if node.op_type == "Conv":
            _set(node, "pads", conv_pads(_get(node, "pads")))
    _fold_batch_norms(model)
    _drop_unused(model)
    shapes = _shapes(model)
    for node in graph.node:
        if node.op_type == "MaxPool":
            _pad_explicitly(node, shapes[node.input[0]])
    return model


def conv_pads(pads: List[int]) -> Pads:
    """Return a symmetric 3-D padding in ONNX's order (T, H, W before, then T, H, W after).

    MindSpore's order is before and after T, before and after H, before and after W. A symmetric padding that reads the
    same both ways is equal in all places, so the order can be told from the numbers.

    Raises:
        ShortfallError: symmetric in neither order.
    """
    if tuple(pads[:3]) == tuple(pads[3:]):
        return tuple(pads)
    before, after = tuple(pads[0::2]), tuple(pads[1::2])
    if len(pads) != 6 or before != after:
        raise ShortfallError(f"MindSpore wrote a convolution with the asymmetric padding {pads}", None, _TODO)
    return before + after


def same_pads(sizes: Tuple[int, ...], kernel: List[int], strides: List[int]) -> Pads:
    """Return what SAME padding adds to ``sizes`` (T, H, W), in ONNX's order; the odd sample goes to the end."""
    whole = [
        max((math.ceil(size / stride) - 1) * stride + extent - size, 0)
        for size, extent, stride in zip(sizes, kernel, strides)
    ]
    return (*(total // 2 for total in whole), *(total - total // 2 for total in whole))


def _fold_batch_norms(model: ModelProto) -> None:
    """Replace Conv, Reshape, BatchNormalization, Reshape by one Conv wherever nothing else reads what is between."""
    graph = model.graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    readers: Dict[str, List[NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    gone = []
    for conv in [node for node in graph.node if node.op_type == "Conv"]:
        chain = _chain(conv, readers)
        if chain is None:
            continue
        before, norm, after = chain
        weight, bias = _folded(conv, norm, tensors)
        for name, array in ((conv.input[1], weight), (norm.input[2], bias)):
            tensors[name].CopyFrom(numpy_helper.from_array(array, name))
        conv.input.append(norm.input[2])
        conv.output[0] = after.output[0]
        gone += [before, norm, after]
    for node in gone:
        graph.node.remove(node)


def _chain(conv: NodeProto, readers: Dict[str, List[NodeProto]]) -> Optional[List[NodeProto]]:
    """Return the reshape, batch norm and reshape that follow a convolution without bias; None where others do."""
    chain, node = [], conv
    for kind in ("Reshape", "BatchNormalization", "Reshape"):
        following = readers.get(node.output[0], [])
        if len(conv.input) != 2 or [reader.op_type for reader in following] != [kind]:
            return None
        node = following[0]
        chain.append(node)
    return chain


def _folded(conv: NodeProto, norm: NodeProto, tensors: Dict[str, onnx.TensorProto]) -> Tuple[np.ndarray, np.ndarray]:
    arrays = [numpy_helper.to_array(tensors[name]).astype(np.float64) for name in (conv.input[1], *norm.input[1:])]
    weight, gamma, beta, mean, variance = arrays
    scale = gamma / np.sqrt(variance + helper.get_node_attr_value(norm, "epsilon"))
    return (weight * scale[:, None, None, None, None]).astype(np.float32), (beta - mean * scale).astype(np.float32)


def _drop_unused(model: ModelProto) -> None:
    """Drop constants that nothing reads any more, such as the reshapes' targets and the batch norms' statistics."""
    graph = model.graph
    used = {name for node in graph.node for name in node.input}
    for node in [node for node in graph.node if node.op_type == "Constant" and node.output[0] not in used]:
        graph.node.remove(node)
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)


def _shapes(model: ModelProto) -> Dict[str, Tuple[int, ...]]:
    inferred = shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    values = [*inferred.input, *inferred.value_info, *inferred.output]
    return {value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim) for value in values}


def _pad_explicitly(node: NodeProto, shape: Tuple[int, ...]) -> None:
    attributes = {attribute.name: attribute for attribute in node.attribute}
    if attributes.get("auto_pad") is None or attributes["auto_pad"].s != b"SAME_UPPER":
        raise ShortfallError("MindSpore wrote a pooling without auto_pad SAME_UPPER", None, _TODO)
    node.attribute.remove(attributes["auto_pad"])
    _set(node, "pads", same_pads(shape[2:], _get(node, "kernel_shape"), _get(node, "strides")))


def _get(node: NodeProto, name: str) -> List[int]:
    return list(helper.get_node_attr_value(node, name))


def _set(node: NodeProto, name: str, value: Pads) -> None:
    for attribute in [attribute for attribute in node.attribute if attribute.name == name]:
        node.attribute.remove(attribute)
    node.attribute.append(helper.make_attribute(name, list(value)))
