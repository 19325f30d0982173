"""Model descriptions: names, sizes, dims, types, formats, gears."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Optional

from _cann_sim import errors, execution, models, state
from _cann_sim.call import api
from _cann_sim.errors import AclError
from _cann_sim.models import Model
from _cann_sim.om import ACL_FORMATS, ACL_TYPES, MBATCH, Tensor

_LONGEST_NAME = 127


@dataclass(eq=False)
class Description:
    """What create_desc makes and get_desc fills."""

    model: Optional[Model] = None
    handle: int = 0


def _model(handle: int, what: str) -> Model:
    description = state.process.handles.get(handle, Description, what)
    if description.model is None:
        raise AclError(errors.INVALID_PARAM, f"EH0001: {what}: the description is empty")
    return description.model


def _pick(tensors: List[Tensor], index: int, what: str) -> Tensor:
    if index >= len(tensors):
        raise AclError(errors.INVALID_PARAM, f"EH0001: {what}: index {index} is invalid, there are {len(tensors)}")
    return tensors[index]


@api("acl.mdl.create_desc", bare=0, end="!")
def create_desc() -> int:
    """Make an empty description."""
    return state.process.handles.add(Description())


@api("acl.mdl.get_desc", "kI", end="!")
def get_desc(handle: int, number: int) -> None:
    """Fill a description with that of a model; returns the code alone."""
    description = state.process.handles.get(handle, Description, "acl.mdl.get_desc")
    try:
        description.model = models.find(number)
    except AclError as error:
        # 145003 inside, 545008 outside [O, CANN 8.0].
        raise AclError(errors.GET_TENSOR_INFO, error.text) from error


@api("acl.mdl.destroy_desc", "k", end="!")
def destroy_desc(handle: int) -> None:
    """Free a description."""
    state.process.handles.get(handle, Description, "acl.mdl.destroy_desc")
    state.process.handles.remove(handle)


@api("acl.mdl.get_num_inputs", "k", bare=0, end="!")
def get_num_inputs(handle: int) -> int:
    """Return the number of inputs, the hidden one of gears included."""
    return len(_model(handle, "acl.mdl.get_num_inputs").inputs)


@api("acl.mdl.get_num_outputs", "k", bare=0, end="!")
def get_num_outputs(handle: int) -> int:
    """Return the number of outputs."""
    return len(_model(handle, "acl.mdl.get_num_outputs").om.outputs)


@api("acl.mdl.get_input_size_by_index", "kk", bare=0, end="!")
def get_input_size_by_index(handle: int, index: int) -> int:
    """Return the bytes of an input, for gears those of the largest; 0 where it is unbounded."""
    model = _model(handle, "acl.mdl.get_input_size_by_index")
    _pick(model.inputs, index, "acl.mdl.get_input_size_by_index")
    return execution.required_inputs(model)[index]


@api("acl.mdl.get_output_size_by_index", "kk", bare=0, end="!")
def get_output_size_by_index(handle: int, index: int) -> int:
    """Return the bytes of an output, for gears those of the largest."""
    model = _model(handle, "acl.mdl.get_output_size_by_index")
    _pick(model.om.outputs, index, "acl.mdl.get_output_size_by_index")
    return execution.required_outputs(model)[index]


def _dims(name: str, dims: List[int]) -> Dict[str, Any]:
    return {"name": name, "dimCount": len(dims), "dims": list(dims)}


def _input_dims(handle: int, index: int, what: str) -> Dict[str, Any]:
    model = _model(handle, what)
    tensor = _pick(model.inputs, index, what)
    long = len(tensor.name) > _LONGEST_NAME
    name = f"acl_modelId_{model.number}_input_{index}" if long else tensor.name
    return _dims(name, tensor.dims)


@api("acl.mdl.get_input_dims", "kk", fails=({},), end="!")
def get_input_dims(handle: int, index: int) -> Dict[str, Any]:
    """Return the dims of an input; -1 where gears apply."""
    return _input_dims(handle, index, "acl.mdl.get_input_dims")


@api("acl.mdl.get_input_dims_v2", "kk", fails=({},), end="!")
def get_input_dims_v2(handle: int, index: int) -> Dict[str, Any]:
    """Return the storage dims of an input: other than get_input_dims only with static AIPP."""
    return _input_dims(handle, index, "acl.mdl.get_input_dims_v2")


@api("acl.mdl.get_output_dims", "kk", fails=({},), end="!")
def get_output_dims(handle: int, index: int) -> Dict[str, Any]:
    """Return the dims of an output, for gears those of the largest."""
    model = _model(handle, "acl.mdl.get_output_dims")
    tensor = _pick(model.om.outputs, index, "acl.mdl.get_output_dims")
    gears = model.om.gears
    return _dims(tensor.name, tensor.dims if gears is None else gears.outputs[gears.largest][index])


@api("acl.mdl.get_cur_output_dims", "kk", fails=({},), end="!")
def get_cur_output_dims(handle: int, index: int) -> Dict[str, Any]:
    """Return the dims of an output for the gear that was set last."""
    model = _model(handle, "acl.mdl.get_cur_output_dims")
    tensor = _pick(model.om.outputs, index, "acl.mdl.get_cur_output_dims")
    gears = model.om.gears
    if gears is None:
        if -1 in tensor.dims:
            raise AclError(errors.API_NOT_SUPPORT, "EH0001: not supported for models with unbounded shapes")
        return _dims(tensor.name, tensor.dims)
    gear = gears.largest if model.gear is None else model.gear
    return _dims(tensor.name, gears.outputs[gear][index])


@api("acl.mdl.get_input_data_type", "kk", bare=-1, end="!")
def get_input_data_type(handle: int, index: int) -> int:
    """Return the aclDataType of an input."""
    what = "acl.mdl.get_input_data_type"
    return ACL_TYPES[_pick(_model(handle, what).inputs, index, what).dtype]


@api("acl.mdl.get_output_data_type", "kk", bare=-1, end="!")
def get_output_data_type(handle: int, index: int) -> int:
    """Return the aclDataType of an output."""
    what = "acl.mdl.get_output_data_type"
    return ACL_TYPES[_pick(_model(handle, what).om.outputs, index, what).dtype]


@api("acl.mdl.get_input_format", "kk", bare=-1, end="!")
def get_input_format(handle: int, index: int) -> int:
    """Return the aclFormat of an input."""
    what = "acl.mdl.get_input_format"
    return ACL_FORMATS[_pick(_model(handle, what).inputs, index, what).format]


@api("acl.mdl.get_output_format", "kk", bare=-1, end="!")
def get_output_format(handle: int, index: int) -> int:
    """Return the aclFormat of an output."""
    what = "acl.mdl.get_output_format"
    return ACL_FORMATS[_pick(_model(handle, what).om.outputs, index, what).format]


@api("acl.mdl.get_input_name_by_index", "kk", bare="", end="!")
def get_input_name_by_index(handle: int, index: int) -> str:
    """Return the name of an input."""
    what = "acl.mdl.get_input_name_by_index"
    return _pick(_model(handle, what).inputs, index, what).name


@api("acl.mdl.get_output_name_by_index", "kk", bare="", end="!")
def get_output_name_by_index(handle: int, index: int) -> str:
    """Return the name of an output: node:index:tensor."""
    what = "acl.mdl.get_output_name_by_index"
    return _pick(_model(handle, what).om.outputs, index, what).name


def _index(tensors: List[Tensor], name: str, what: str) -> int:
    names = [tensor.name for tensor in tensors]
    if name not in names:
        raise AclError(errors.INVALID_PARAM, f"EH0001: {what}: name {name} is invalid, there are {names}")
    return names.index(name)


@api("acl.mdl.get_input_index_by_name", "ks", fails=(0,), end="!")
def get_input_index_by_name(handle: int, name: str) -> int:
    """Return the index of an input."""
    what = "acl.mdl.get_input_index_by_name"
    return _index(_model(handle, what).inputs, name, what)


@api("acl.mdl.get_output_index_by_name", "ks", fails=(0,), end="!")
def get_output_index_by_name(handle: int, name: str) -> int:
    """Return the index of an output."""
    what = "acl.mdl.get_output_index_by_name"
    return _index(_model(handle, what).om.outputs, name, what)


def _gear_values(handle: int, kind: str, what: str) -> List[List[int]]:
    gears = _model(handle, what).om.gears
    return gears.values if gears is not None and gears.kind == kind else []


@api("acl.mdl.get_dynamic_batch", "k", fails=({},), end="!")
def get_dynamic_batch(handle: int) -> Dict[str, Any]:
    """Return the batch gears; a count of 0 for a model without."""
    values = [value[0] for value in _gear_values(handle, "batch", "acl.mdl.get_dynamic_batch")]
    if len(values) > 128:
        raise AclError(300000, "EH0001: more than 128 gears")
    return {"batchCount": len(values), "batch": values}


@api("acl.mdl.get_dynamic_hw", "kk", fails=({},), end="!")
def get_dynamic_hw(handle: int, index: int) -> Dict[str, Any]:
    """Return the height and width gears; the index must be -1."""
    _check_minus_one(index, "acl.mdl.get_dynamic_hw")
    values = _gear_values(handle, "hw", "acl.mdl.get_dynamic_hw")
    return {"hwCount": len(values), "hw": values}


def _check_minus_one(index: int, what: str) -> None:
    # As a size_t, -1 is the largest of them.
    if index not in (-1, (1 << 64) - 1):
        raise AclError(errors.INVALID_PARAM, f"EH0001: {what}: the index must be -1, not {index}")


@api("acl.mdl.get_input_dynamic_gear_count", "ki", fails=(0,), end="!")
def get_input_dynamic_gear_count(handle: int, index: int) -> int:
    """Return the number of dims gears; the index must be -1."""
    _check_minus_one(index, "acl.mdl.get_input_dynamic_gear_count")
    return len(_gear_values(handle, "dims", "acl.mdl.get_input_dynamic_gear_count"))


@api("acl.mdl.get_input_dynamic_dims", "kik", fails=([],), end="!")
def get_input_dynamic_dims(handle: int, index: int, count: int) -> List[Dict[str, Any]]:
    """Return the dims of all inputs, one after the other, of every gear."""
    what = "acl.mdl.get_input_dynamic_dims"
    _check_minus_one(index, what)
    gears = _model(handle, what).om.gears
    if gears is None or gears.kind != "dims" or count < len(gears.values):
        raise AclError(errors.INVALID_PARAM, f"EH0001: {what}: {count} gears")
    return [_dims(MBATCH, [extent for dims in gear for extent in dims]) for gear in gears.inputs]
