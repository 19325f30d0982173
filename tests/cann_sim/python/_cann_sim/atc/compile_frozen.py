"""From a frozen TensorFlow graph to the .om (steps 17 to 20): OpenVINO reads and shapes it, and executes it later."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

import numpy as np

from _cann_sim import ir
from _cann_sim.atc.console import Refused
from _cann_sim.atc.graph_def import Node, settle_inputs, settle_outputs
from _cann_sim.atc.numbers import EXACT, round_values, weight_size, work_size
from _cann_sim.atc.operators import KEEPING, no_type
from _cann_sim.atc.shapes import Shapes
from _cann_sim.om import Gears, Om, Tensor

Dims = Dict[str, List[int]]
_DTYPES = {"f32": "float32", "f16": "float16", "u8": "uint8", "i8": "int8", "i32": "int32", "i64": "int64"}
_NOT_SIMULATED = ("insert_op_conf", "input_fp16_nodes", "output_type")


def compile_frozen(flags: Dict[str, str], shapes: Shapes, nodes: Dict[str, Node], cmdline: str) -> Om:
    """Return the compiled model.

    Raises:
        Refused: what the parser or the compiler refuses.
    """
    dims = settle_inputs(nodes, shapes.inputs)
    names = settle_outputs(nodes, flags.get("out_nodes", ""))
    for name in _NOT_SIMULATED:
        if flags.get(name):
            raise Refused("E19999", "Inner Error!", f"The simulator has no --{name} for TensorFlow.")
    precision = flags.get("precision_mode") or flags.get("precision_mode_v2") or "force_fp16"
    _check_types(nodes, precision)
    model = _read(flags["model"], names, dims)
    gears = _gears(model, shapes, dims)
    outputs = _shaped(model, dims)
    weights = _weights(model)
    if precision not in EXACT:
        _round(weights)
    layout = flags.get("input_format", "NHWC")
    om = Om(
        soc=flags["soc_version"],
        framework=int(flags["framework"]),
        precision=precision,
        cmdline=cmdline,
        # A format that names more axes than the tensor has says nothing about it.
        inputs=[Tensor(n, nodes[n].dtype, d, layout if len(d) == len(layout) else "ND") for n, d in dims.items()],
        outputs=[Tensor(name, _dtype(port), d) for name, port, d in zip(names, model.outputs, outputs)],
        gears=gears,
        weight_size=weight_size(sum(int(np.prod(node.get_output_shape(0))) for node in weights), precision),
        external_weight="weight" if flags.get("external_weight", "0") != "0" else "",
        versions={"atc_version": "8.0.0", "opp_version": "8.0.0"},
        graph=ir.pack(model),
    )
    om.work_size = work_size(om)
    return om


def _check_types(nodes: Dict[str, Node], precision: str) -> None:
    # Documented for ONNX; the kernel is the same one [I].
    for name, node in nodes.items():
        if node.op == "Conv3D" and precision in KEEPING:
            raise no_type(name, node.op, "the dtype float32 is unsupported, a 5-D convolution takes float16")


def _read(path: str, outputs: List[str], dims: Dims) -> Any:
    ir.load_openvino()
    from openvino import frontend

    refusals = tuple(kind for name, kind in vars(frontend).items() if name.endswith("Failure"))
    try:
        reader = frontend.FrontEndManager().load_by_framework("tf")
        graph = reader.load(path)
        graph.override_all_outputs([graph.get_place_by_tensor_name(name) for name in outputs])
        model = reader.convert(graph)
    except (RuntimeError, *refusals) as error:
        raise _inner(str(error)) from error
    for port in model.inputs:
        names = {f"{name}:0": name for name in dims}
        port.get_tensor().set_names({names[name] for name in port.get_names() if name in names})
    return model


def _shaped(model: Any, dims: Dims) -> List[List[int]]:
    """Give the inputs ``dims`` (-1: open) and return the dims of the outputs."""
    openvino = ir.load_openvino()
    known = {port.get_any_name() for port in model.inputs}
    try:
        model.reshape({name: openvino.PartialShape(extents) for name, extents in dims.items() if name in known})
    except RuntimeError as error:
        raise _inner(str(error)) from error
    shapes = [port.get_partial_shape() for port in model.outputs]
    if any(shape.rank.is_dynamic for shape in shapes):
        raise _inner("the rank of an output cannot be inferred")
    return [[extent.get_length() if extent.is_static else -1 for extent in shape] for shape in shapes]


def _gears(model: Any, shapes: Shapes, dims: Dims) -> Optional[Gears]:
    if shapes.gears is None or shapes.kind is None:
        return None
    gears = Gears(shapes.kind, shapes.gears)
    for values in shapes.gears:
        chosen = shapes.fill(dims, values)
        gears.inputs.append(list(chosen.values()))
        gears.outputs.append(_shaped(model, chosen))
    return gears


def _weights(model: Any) -> List[Any]:
    constants = [node for node in model.get_ops() if node.get_type_name() == "Constant"]
    return [node for node in constants if node.get_element_type().get_type_name() == "f32"]


def _round(weights: List[Any]) -> None:
    from openvino import opset13

    for node in weights:
        rounded = opset13.constant(round_values(node.data))
        node.output(0).replace(rounded.output(0))


def _dtype(port: Any) -> str:
    return _DTYPES[port.get_element_type().get_type_name()]


def _inner(text: str) -> Refused:
    return Refused("EZ9999", "Inner Error!", " ".join(text.split()))
