"""From the parsed graph to the .om: outputs, precision, gears, sizes (steps 17 to 20)."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

import numpy as np

from _cann_sim.atc import onnx_graph
from _cann_sim.atc.console import Refused, bad_value
from _cann_sim.atc.numbers import EXACT, round_values, weight_size, work_size
from _cann_sim.atc.operators import check_operators
from _cann_sim.atc.shapes import Shapes
from _cann_sim.om import Gears, Om, Tensor

_TYPES = {"FP32": "float32", "FP16": "float16", "UINT8": "uint8", "INT8": "int8"}


def compile_onnx(flags: Dict[str, str], shapes: Shapes, model: Any, cmdline: str) -> Om:
    """Return the compiled model.

    Raises:
        Refused: what the parser or the compiler refuses.
    """
    dims = onnx_graph.settle_inputs(model, shapes.inputs)
    _choose_outputs(model, flags.get("out_nodes", ""))
    precision = flags.get("precision_mode") or flags.get("precision_mode_v2") or "force_fp16"
    found = onnx_graph.infer(model, dims)
    gears = _gears(model, shapes, dims)
    names = [value.name for value in model.graph.output]
    check_operators(model, found if gears is None else onnx_graph.infer(model, _largest(dims, gears)), precision)
    if precision not in EXACT:
        _round_weights(model)
    onnx_graph.set_input_dims(model, dims)
    inputs = _inputs(model, dims, flags)
    outputs = _outputs(model, names, found)
    _set_output_types(model, outputs, flags.get("output_type", ""))
    om = Om(
        soc=flags["soc_version"],
        framework=int(flags["framework"]),
        precision=precision,
        cmdline=cmdline,
        inputs=inputs,
        outputs=outputs,
        gears=gears,
        weight_size=weight_size(sum(int(np.prod(entry.dims)) for entry in model.graph.initializer), precision),
        external_weight="weight" if flags.get("external_weight", "0") != "0" else "",
        versions={"atc_version": "8.0.0", "opp_version": "8.0.0"},
        graph=model.SerializeToString(),
    )
    om.work_size = work_size(om)
    return om


def _choose_outputs(model: Any, out_nodes: str) -> None:
    wanted = [entry for entry in out_nodes.split(";") if entry]
    if not wanted:
        return
    makers = {onnx_graph.producer(model, name): name for node in model.graph.node for name in node.output}
    tensors = set(makers.values())
    indexed = [entry for entry in wanted if entry not in tensors]
    if indexed and len(indexed) != len(wanted):
        raise bad_value(out_nodes, "--out_nodes", "Only one of index, top_name and output_name can be used.")
    chosen = [_find_output(entry, makers) if indexed else entry for entry in wanted]
    known = {value.name: value for value in model.graph.output}
    from onnx import TensorProto, helper

    values = [known.get(name) or helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in chosen]
    copies = [type(value).FromString(value.SerializeToString()) for value in values]
    del model.graph.output[:]
    model.graph.output.extend(copies)


def _find_output(entry: str, makers: Dict[Optional[str], str]) -> str:
    if entry in makers:
        return makers[entry]
    node, _, index = entry.rpartition(":")
    if any(maker is not None and maker.rpartition(":")[0] == node for maker in makers):
        raise bad_value(entry, "--out_nodes", f"node {node} has no output {index}", "E10003")
    raise Refused(
        "E10016",
        f"Opname [{node or entry}] specified in [--out_nodes] is not found in the model, confirm whether this node "
        "name exists, or node is not split with the specified delimiter ';'",
    )


def _gears(model: Any, shapes: Shapes, dims: Dict[str, List[int]]) -> Optional[Gears]:
    if shapes.gears is None or shapes.kind is None:
        return None
    gears = Gears(shapes.kind, shapes.gears)
    for values in shapes.gears:
        chosen = shapes.fill(dims, values)
        found = onnx_graph.infer(model, chosen)
        gears.inputs.append([chosen[name] for name in chosen])
        gears.outputs.append([found[value.name] for value in model.graph.output])
    return gears


def _largest(dims: Dict[str, List[int]], gears: Gears) -> Dict[str, List[int]]:
    return dict(zip(dims, gears.inputs[gears.largest]))


def _round_weights(model: Any) -> None:
    from onnx import numpy_helper

    constants = [a.t for n in model.graph.node if n.op_type == "Constant" for a in n.attribute if a.name == "value"]
    for tensor in (*model.graph.initializer, *constants):
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32:
            tensor.CopyFrom(numpy_helper.from_array(round_values(values), tensor.name))


def _inputs(model: Any, dims: Dict[str, List[int]], flags: Dict[str, str]) -> List[Tensor]:
    from onnx import helper

    layout = flags.get("input_format", "NCHW")
    values = onnx_graph.open_inputs(model)
    types = {
        name: helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name for name, value in values.items()
    }
    for name in filter(None, flags.get("input_fp16_nodes", "").split(";")):
        if name not in values:
            raise Refused("E10016", f"Opname [{name}] specified in [--input_fp16_nodes] is not found in the model")
        types[name] = "float16"
        _cast_input(model, values[name])
    # A format that names more axes than the tensor has says nothing about it.
    return [Tensor(n, types[n], d, layout if len(d) == len(layout) else "ND") for n, d in dims.items()]


def _cast_input(model: Any, value: Any) -> None:
    from onnx import TensorProto, helper

    inner = f"{value.name}__float32"
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            if name == value.name:
                node.input[place] = inner
    value.type.tensor_type.elem_type = TensorProto.FLOAT16
    model.graph.node.insert(0, helper.make_node("Cast", [value.name], [inner], to=TensorProto.FLOAT))


def _outputs(model: Any, names: List[str], found: Dict[str, List[int]]) -> List[Tensor]:
    from onnx import helper

    tensors = []
    for value in model.graph.output:
        dtype = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name
        # [D] node:index:tensor, as in Gemm_120:0:output.
        tensors.append(Tensor(f"{onnx_graph.producer(model, value.name)}:{value.name}", dtype, found[value.name]))
    return tensors


def _set_output_types(model: Any, outputs: List[Tensor], asked: str) -> None:
    if not asked:
        return
    for tensor, value in zip(outputs, model.graph.output):
        node = tensor.name[: -len(value.name) - 1]
        single = {entry.rpartition(":")[0]: entry.rpartition(":")[2] for entry in asked.split(";") if ":" in entry}
        name = single.get(node, "") if single else asked
        if not name:
            continue
        if name not in _TYPES:
            raise bad_value(name, "--output_type", f"must be one of {sorted(_TYPES)}")
        if _TYPES[name] != tensor.dtype:
            _cast_output(model, value, _TYPES[name])
            tensor.dtype = _TYPES[name]


def _cast_output(model: Any, value: Any, dtype: str) -> None:
    from onnx import helper

    number = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    renamed = f"{value.name}__{dtype}"
    model.graph.node.append(helper.make_node("Cast", [value.name], [renamed], to=number))
    value.name = renamed
    value.type.tensor_type.elem_type = number
