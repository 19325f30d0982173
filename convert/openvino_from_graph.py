"""ONNX or a frozen TensorFlow graph to OpenVINO IR with a fixed batch, weights kept in float32."""

from __future__ import annotations

from pathlib import Path
from typing import Any, List

from clip2om.convert.formats import ONNX
from clip2om.convert.request import ConvertRequest
from clip2om.convert.tensor_names import tensor_name
from clip2om.pipeline.artifact import replacing
from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import RequestError, last_line
from clip2om.pipeline.telemetry import silence
from clip2om.pipeline.tensor import TensorSpec

_XML, _BIN = "model.xml", "model.bin"
_DTYPES = {"f32": "float32", "f16": "float16", "u8": "uint8", "i8": "int8", "i32": "int32", "i64": "int64"}


class OpenVinoMissingError(RequestError):
    """OpenVINO is installed and cannot be imported, for example because its wheel is for a newer system."""


def openvino_from_graph(request: ConvertRequest, output: Path, console: Console) -> List[str]:
    """Write ``model.xml`` and ``model.bin`` into ``output`` and return their names, the model first.

    Raises:
        OpenVinoMissingError: OpenVINO cannot be imported.
        RequestError: OpenVINO cannot read the graph, the graph cannot take the batch size, or a disk is full.
    """
    openvino = load_openvino(request)
    model = read_model(openvino, request)
    fix_batch(openvino, model, request)
    return write_ir(openvino, model, output)


def load_openvino(request: ConvertRequest) -> Any:
    """Return the module openvino.

    Raises:
        OpenVinoMissingError: it cannot be imported.
    """
    silence()
    try:
        import openvino
    except ImportError as error:
        todo = "try --format onnx" if request.record.format in ONNX.sources else "install another release of openvino"
        raise OpenVinoMissingError(
            f"OpenVINO cannot be imported ({last_line(error)})", "--format openvino", todo
        ) from None
    return openvino


def read_model(openvino: Any, request: ConvertRequest) -> Any:
    """Return the graph as OpenVINO's model.

    Raises:
        RequestError: OpenVINO cannot read it.
    """
    from openvino import frontend

    try:
        if request.record.format == "pb":
            return _read_frozen(frontend.FrontEndManager(), request)
        return openvino.Core().read_model(str(request.graph))
    except (RequestError, MemoryError):
        raise
    except Exception as error:  # the frontends' errors share no base class, and names may be no UTF-8
        raise RequestError(f"OpenVINO cannot read it ({last_line(error)})", request.graph, "export it again") from None


def _read_frozen(manager: Any, request: ConvertRequest) -> Any:
    """Read a frozen graph with the outputs of its record.

    Such a graph has no list of outputs: left to itself, OpenVINO takes every node that nothing reads. Its tensors are
    called ``node:index``; the IR gets the names of the record, which are those of every other format.
    """
    frontend = manager.load_by_framework("tf")
    graph = frontend.load(str(request.graph))
    places = {spec.name: graph.get_place_by_tensor_name(tensor_name(spec)) for spec in request.outputs}
    for name, place in places.items():
        if place is None:
            raise RequestError(
                f"the record names output {name!r}, the graph has none", request.graph, "export it again"
            )
    graph.override_all_outputs(list(places.values()))
    model = frontend.convert(graph)
    for ports, specs in ((model.inputs, request.inputs), (model.outputs, request.outputs)):
        for spec in specs:
            for port in ports:
                if tensor_name(spec) in port.get_names():
                    port.get_tensor().set_names({spec.name})
    return model


def write_ir(openvino: Any, model: Any, output: Path) -> List[str]:
    """Write the model into ``output`` and return the names of its files, the model first.

    Raises:
        RequestError: the disk is full.
    """
    with replacing(output / _XML) as xml, replacing(output / _BIN) as weights:
        _write(openvino, model, xml, weights, output)
    return [_XML, _BIN]


def _write(openvino: Any, model: Any, xml: Path, weights: Path, output: Path) -> None:
    """Write the two files and read them back: on a full disk some releases of OpenVINO cut them off in silence."""
    try:
        openvino.serialize(model, str(xml), str(weights))
        openvino.Core().read_model(str(xml), str(weights))
    except RuntimeError as error:
        raise RequestError(
            f"OpenVINO could not write the model ({last_line(error)})", output, "check the free space"
        ) from None


def fix_batch(openvino: Any, model: Any, request: ConvertRequest) -> None:
    """Give every input its fixed shape; what comes out must then have the batch too.

    A graph whose reshapes hold a constant batch either fails here or yields another output shape.

    Raises:
        RequestError: it does; the model is then of no further use.
    """
    found = ""
    try:
        model.reshape({spec.name: openvino.PartialShape(list(spec.shape)) for spec in request.inputs})
        found = _difference(model.inputs, request.inputs) or _difference(model.outputs, request.outputs)
    except (RuntimeError, TypeError, UnicodeError) as error:
        found = last_line(error)
    if found:
        raise RequestError(
            f"cannot be compiled for batch {request.batch} ({found})",
            request.graph,
            f"export with --batch {request.batch}",
        )


def _difference(ports: List[Any], specs: List[TensorSpec]) -> str:
    """Return how ``ports`` differ from ``specs`` in number, name, dtype or shape; empty where they agree."""
    if len(ports) != len(specs):
        return f"{len(ports)} tensors where the record has {len(specs)}"
    for port, spec in zip(ports, specs):
        shape = tuple(port.get_partial_shape().to_shape()) if port.get_partial_shape().is_static else None
        dtype = _DTYPES.get(port.get_element_type().get_type_name(), "")
        if spec.name not in port.get_names() or (dtype, shape) != (spec.dtype, spec.shape):
            return f"{port.get_any_name()} {dtype} {shape} where the record has {spec}"
    return ""
