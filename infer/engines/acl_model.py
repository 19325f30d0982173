"""What a loaded .om says about itself: tensors, sizes, gears."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, List, Optional, Sequence, Tuple

from clip2om.infer.engines.acl_library import Library
from clip2om.infer.engines.base import spec_like
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.tensor import DYNAMIC, TensorSpec

# The hidden input through which the batch size is chosen has this name in every release.
_GEAR_INPUT = "ascend_mbatch_shape_data"
# aclDataType.
_DTYPES = {
    0: "float32",
    1: "float16",
    2: "int8",
    3: "int32",
    4: "uint8",
    6: "int16",
    7: "uint16",
    8: "uint32",
    9: "int64",
    10: "uint64",
    11: "float64",
    12: "bool",
}


@dataclass(frozen=True)
class Port:
    """One tensor and the bytes that its buffer must have: those of the largest gear, and maybe some padding."""

    spec: TensorSpec
    size: int


@dataclass(frozen=True)
class Description:
    """The visible tensors of a model.

    Attributes:
        gears: Batch sizes that can be chosen; () for a model of one batch size.
        gear_index: Position of the hidden input, counted among all inputs; ``gear_size`` its bytes.
    """

    inputs: List[Port]
    outputs: List[Port]
    gears: Tuple[int, ...] = ()
    gear_index: Optional[int] = None
    gear_size: int = 0


def describe(library: Library, desc: int, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> Description:
    """Read a model description; a tensor is named as in ``inputs`` or ``outputs`` where that is one of its names.

    Raises:
        AclError: pyACL cannot tell.
    """
    gears = _gears(library, desc)
    index = library.take("mdl.get_input_index_by_name", desc, _GEAR_INPUT) if gears else None
    size = library.ask("mdl.get_input_size_by_index", desc, index) if gears else 0
    visible = [number for number in range(library.ask("mdl.get_num_inputs", desc)) if number != index]
    count = library.ask("mdl.get_num_outputs", desc)
    return Description(
        [_port(library, desc, "input", number, inputs, gears) for number in visible],
        [_port(library, desc, "output", number, outputs, gears) for number in range(count)],
        gears,
        index,
        size,
    )


def _gears(library: Library, desc: int) -> Tuple[int, ...]:
    found = library.take("mdl.get_dynamic_batch", desc)
    return tuple(found["batch"][: found["batchCount"]])


def _port(
    library: Library, desc: int, role: str, index: int, expected: Sequence[TensorSpec], gears: Tuple[int, ...]
) -> Port:
    found = library.take(f"mdl.get_{role}_dims", desc, index)
    dims = list(found["dims"][: found["dimCount"]])
    if gears and dims:
        # Outputs are described at the largest gear.
        dims[0] = DYNAMIC
    kind = library.ask(f"mdl.get_{role}_data_type", desc, index, bad=-1)
    size = library.ask(f"mdl.get_{role}_size_by_index", desc, index)
    return Port(spec_like(expected, _names(found["name"]), _DTYPES.get(kind, f"type {kind}"), dims), size)


def _names(name: str) -> List[Any]:
    """Return the names that a tensor may go by: ATC calls outputs ``node:0:tensor``, TensorFlow's ``node:0``."""
    node, colon, tensor = name.rpartition(":")
    return [name, node, tensor] if colon else [name]


def check_sizes(description: Description, batch: int, where: object) -> None:
    """Refuse a model whose buffers are smaller than its tensors at ``batch``.

    ACL itself lets buffers pass that are up to 64 bytes too small, and checks nothing where there are gears.

    Raises:
        RequestError: naming tensor and sizes.
    """
    for port in (*description.inputs, *description.outputs):
        needed = port.spec.with_batch(batch).nbytes
        if port.size < needed:
            raise RequestError(
                f"{port.spec.name} takes {port.size} bytes, {port.spec} at batch {batch} has {needed}",
                where,
                "convert again",
            )
