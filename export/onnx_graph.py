"""An ONNX graph after any framework's exporter: simplify, check, describe, run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Callable, Iterable, List, Optional, Tuple

import numpy as np
import onnx
from onnx import ModelProto

from clip2om.pipeline.artifact import PathLike
from clip2om.pipeline.errors import RequestError, ShortfallError, last_line
from clip2om.pipeline.tensor import DYNAMIC, TensorSpec


def simplify(model: ModelProto) -> ModelProto:
    """Return the graph with constants folded by onnxsim and every constant tensor an initializer.

    Raises:
        ShortfallError: onnxsim does not vouch for its result.
    """
    import onnxsim

    simplified, valid = onnxsim.simplify(model)
    if not valid:
        raise ShortfallError("onnxsim changed the graph's results", todo="try another --opset")
    return _constants_to_initializers(simplified)


def simplified(model: ModelProto, batch: np.ndarray) -> Tuple[ModelProto, str]:
    """Return what onnxsim makes of a graph if that runs and gives the same, else the graph itself and why."""
    try:
        smaller = simplify(model)
        onnx.checker.check_model(smaller, full_check=True)
        if np.allclose(rows_of(model, batch), rows_of(smaller, batch), rtol=1e-3, atol=1e-4):
            return smaller, ""
        reason = "the simpler graph gives other outputs"
    except ImportError:
        reason = "onnxsim is not installed"
    except Exception as error:  # onnxsim and ONNX Runtime have exceptions of their own
        reason = f"the simpler graph does not run ({last_line(error)[:80]})"
    return _constants_to_initializers(model), reason


def rows_of(model: ModelProto, batch: np.ndarray) -> np.ndarray:
    """Run a graph of one input that is in memory and return its first output."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: batch})[0]


def check(model: ModelProto, operators: Optional[Iterable[str]]) -> None:
    """Refuse a graph that the ONNX checker rejects or that has other than the known operators; None knows all.

    Raises:
        ShortfallError: with the checker's words, or the operators that converters may not take.
    """
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ShortfallError(f"the ONNX checker rejects the graph: {error}", todo="try another --opset") from None
    if operators is None:
        return
    allowed = set(operators)
    strange = sorted({node.op_type for node in model.graph.node} - allowed)
    if strange:
        raise ShortfallError(
            f"the graph has operators {', '.join(strange)}, expected only {', '.join(sorted(allowed))}",
            todo="try another --opset",
        )


def describe(model: ModelProto, expected: Iterable[TensorSpec]) -> List[TensorSpec]:
    """Return the graph's inputs and outputs as read from it, having checked that they are those ``expected``.

    Raises:
        ShortfallError: another name, dtype or shape.
    """
    wanted = list(expected)
    values = [*model.graph.input, *model.graph.output]
    found = [
        replace(spec_of(value, spec.layout), frames=spec.frames, views=spec.views)
        for value, spec in zip(values, wanted)
    ]
    if len(values) != len(wanted) or found != wanted:
        raise ShortfallError(f"the graph has {', '.join(map(str, found))}, expected {', '.join(map(str, wanted))}")
    return found


def run(path: PathLike, batches: Iterable[np.ndarray]) -> np.ndarray:
    """Run a graph of one input and one output in ONNX Runtime on the CPU and return all its rows."""
    graph = load(path)
    return np.concatenate([graph(batch) for batch in batches])


def load(path: PathLike) -> Callable[[np.ndarray], np.ndarray]:
    """Return a graph of one input, executed by ONNX Runtime on the CPU: from a batch to its first output."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (feed,) = session.get_inputs()
    return lambda batch: session.run(None, {feed.name: batch})[0]


def _constants_to_initializers(model: ModelProto) -> ModelProto:
    for node in [node for node in model.graph.node if node.op_type == "Constant"]:
        tensor = next((attribute.t for attribute in node.attribute if attribute.name == "value"), None)
        if tensor is not None:
            tensor.name = node.output[0]
            model.graph.initializer.append(tensor)
            model.graph.node.remove(node)
    return model


def atc_limits(model: onnx.ModelProto) -> List[str]:
    """Return a line for each thing in a graph that the public operator specifications of CANN do not vouch for."""
    grouped = sum(node.op_type == "Conv" and attribute(node, "group", 1) != 1 for node in model.graph.node)
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


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """Return an attribute of a node, ``default`` where it has none of that name."""
    found = [attribute for attribute in node.attribute if attribute.name == name]
    return onnx.helper.get_attribute_value(found[0]) if found else default


def spec_of(value: onnx.ValueInfoProto, layout: str) -> TensorSpec:
    """Return what an input or output of a graph is; an extent that is not a number is taken for an open batch.

    Raises:
        RequestError: its values are of a type that ONNX does not have.
    """
    tensor = value.type.tensor_type
    shape = tuple(extent.dim_value if extent.HasField("dim_value") else DYNAMIC for extent in tensor.shape.dim)
    try:
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)).name
    except (KeyError, TypeError):
        raise RequestError(f"is of an unknown type ({tensor.elem_type})", value.name[:80], "export it again") from None
    return TensorSpec(value.name, dtype, shape, layout)
