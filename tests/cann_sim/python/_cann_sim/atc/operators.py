"""What is documented about single operators: ranges of attributes, ranks, types (step 19)."""

from __future__ import annotations

from typing import Any, Callable, Dict, List

from _cann_sim.atc.console import Refused

_LONGEST_WIDTH = 4096
# [D] 5-D convolutions take float16 only; the modes that leave float32 as it is cannot compile them.
KEEPING = ("must_keep_origin_dtype", "origin")


def _no_kernel(node: Any, cause: str) -> Refused:
    return Refused(
        "EZ3003",
        f"No supported Ops kernel and engine are found for [{node.name}], optype [{node.op_type}].",
        "Possible Cause: The operator is not supported by the system. Therefore, no hit is found in any operator "
        f"information library: {cause}",
        "Solution: 1. Check that the OPP component is installed properly. 2. Submit an issue to request the support of "
        "this operator type.",
        "TraceBack (most recent call last):",
        "No supported Ops kernel and engine are found[FUNC:SelectEngine][FILE:engine_place.cc][LINE:144]",
    )


def _no_type(node: Any, cause: str) -> Refused:
    return no_type(node.name, node.op_type, cause)


def no_type(name: str, kind: str, cause: str) -> Refused:
    """Return the refusal of a data type that no kernel of an operator has."""
    return Refused(
        "EZ3002",
        f"Optype [{kind}] of Ops kernel [AIcoreEngine] is unsupported. Reason: [{name}]: {cause}.",
        "Possible Cause: The operator type, data type or format is unsupported in the operator information library.",
        "Solution: Check that the data type and format are in the operator specifications.",
    )


def _attributes(node: Any) -> Dict[str, Any]:
    from onnx.helper import get_attribute_value

    return {attribute.name: get_attribute_value(attribute) for attribute in node.attribute}


def _auto_pad(found: Dict[str, Any]) -> str:
    value = found.get("auto_pad", b"NOTSET")
    return value.decode() if isinstance(value, bytes) else str(value)


def _conv(node: Any, dims: List[int], precision: str) -> None:
    found = _attributes(node)
    if len(dims) not in (4, 5):
        raise _no_kernel(node, f"the input has {len(dims)} dims, 4 or 5 are supported")
    if len(dims) == 5 and precision in KEEPING:
        raise _no_type(node, "the dtype float32 is unsupported, a 5-D convolution takes float16")
    if len(dims) == 5 and found.get("group", 1) != 1:
        raise _no_kernel(node, f"group is {found['group']}, only 1 is supported")
    # VALID from 8.3 on; the profile is an earlier 8.x.
    if len(dims) == 5 and _auto_pad(found) != "NOTSET":
        raise _no_kernel(node, f"auto_pad is {_auto_pad(found)}, only NOTSET is supported for NCDHW")
    if any(not 1 <= stride <= 63 for stride in found.get("strides", [1])[-2:]):
        raise _no_kernel(node, f"strides {found['strides']} of H and W must be 1 to 63")
    if any(not 1 <= size <= 255 for size in found.get("kernel_shape", [1])[-2:]):
        raise _no_kernel(node, f"kernel {found['kernel_shape']} of H and W must be 1 to 255")
    if dims[-1] > _LONGEST_WIDTH:
        raise _no_kernel(node, f"the width {dims[-1]} exceeds {_LONGEST_WIDTH}")


def _global_pool(node: Any, dims: List[int], precision: str) -> None:
    if len(dims) not in (4, 5):
        raise _no_kernel(node, f"the input has {len(dims)} dims, 4 or 5 are supported")


def _pool(node: Any, dims: List[int], precision: str) -> None:
    # Only NCHW is described, but published conversions use 5-D pools.
    found = _attributes(node)
    if any(found.get("pads", [])) and _auto_pad(found) != "NOTSET":
        raise _no_kernel(node, "pads and auto_pad exclude each other")


def _average_pool(node: Any, dims: List[int], precision: str) -> None:
    _pool(node, dims, precision)
    found = _attributes(node)
    if _auto_pad(found) == "SAME_LOWER":
        raise _no_kernel(node, "auto_pad SAME_LOWER is not supported")
    if found.get("count_include_pad", 0) and any(found.get("pads", [])):
        raise _no_kernel(node, "count_include_pad is not supported")
    if precision in KEEPING:
        raise _no_type(node, "the dtype float32 is unsupported with must_keep_origin_dtype")


_CHECKS: Dict[str, Callable[[Any, List[int], str], None]] = {
    "Conv": _conv,
    "GlobalAveragePool": _global_pool,
    "MaxPool": _pool,
    "AveragePool": _average_pool,
}


def check_operators(model: Any, dims: Dict[str, List[int]], precision: str) -> None:
    """Refuse the first operator that no kernel is documented for.

    Args:
        model: The ONNX model.
        dims: Of every tensor.
        precision: --precision_mode or --precision_mode_v2.
    """
    for node in model.graph.node:
        check = _CHECKS.get(node.op_type)
        if check is not None and node.input[0] in dims:
            check(node, dims[node.input[0]], precision)
