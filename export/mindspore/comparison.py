"""A written graph against MindSpore's network.

Every 3-D convolution with a kernel over 1 runs MindSpore's reference code on the CPU: one clip of 16x112x112 takes
minutes. The networks are convolutional up to the mean over time and space, so the same weights are compared on clips of
reduced size, whose sizes leave the same remainders wherever a stride or SAME padding asks for them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, List, Tuple

import mindspore
import numpy as np
import onnx
from mindspore import Tensor, nn
from mindspore.train import mind_ir_pb2

from clip2om.export import onnx_graph, parity
from clip2om.export.mindspore.deployed import Deployed
from clip2om.export.mindspore.graph_files import write_graph
from clip2om.export.mindspore.recognition import options_of
from clip2om.export.request import ExportRequest
from clip2om.pipeline.errors import ShortfallError
from clip2om.pipeline.records import Parity
from clip2om.pipeline.tensor import DYNAMIC, TensorSpec

if TYPE_CHECKING:
    from clip2om.export.run import Run

_SMALLEST = (8, 32, 32)
_BATCH = 2


def compare_onnx(network: nn.Cell, graph: Path, request: ExportRequest) -> Parity:
    """Return how far an ONNX graph, its sizes reduced, is from the network of logits that it was made of."""
    spec = reduced(request)
    pixels, reference = _reference(network, spec, request)
    model = onnx.load(str(graph))
    for value, shape in ((model.graph.input[0], spec.shape), (model.graph.output[0], (spec.batch,))):
        for dim, extent in zip(value.type.tensor_type.shape.dim, shape):
            if extent != DYNAMIC:
                dim.dim_value = extent
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "small.onnx"
        onnx.save(model, str(small))
        found = onnx_graph.run(small, pixels)
    return parity.compare(reference, found, _name("MindSpore", spec, request))


def compare_mindir(network: nn.Cell, whole: nn.Cell, graph: Path, request: ExportRequest) -> Parity:
    """Return how far a graph of MindSpore's is from the network of logits that it was made of.

    A MINDIR has fixed sizes. Where those are not the reduced ones, a second one is written for these and run, and the
    first one must have the same operators in the same order and the very weights. An AIR cannot be run or read without
    ATC: the MINDIR stands in for it.

    Raises:
        ShortfallError: the written graph has other weights, operators, inputs or outputs.
    """
    spec = reduced(request)
    pixels, reference = _reference(network, spec, request)
    with tempfile.TemporaryDirectory(prefix="mindspore-") as folder:
        small = graph
        if spec != request.input or request.format != "mindir":
            small = Path(folder) / "small.mindir"
            write_graph(whole, spec, small)
        if request.format == "mindir":
            _check_whole(whole, graph, small, request)
        run = runner(nn.GraphCell(mindspore.load(str(small))))
        found = np.concatenate([run(batch) for batch in pixels])
    stand_in = "a MINDIR against MindSpore" if request.format == "air" else "MindSpore"
    return parity.compare(reference, found, _name(stand_in, spec, request))


def reduced(request: ExportRequest) -> TensorSpec:
    """Return the input at the size to compare on: at least 8x32x32, at most the graph's.

    Every axis keeps its remainder by the stem's stride times two, so that the max pooling behind it pads the same.
    """
    strides = (getattr(options_of(request.card), "conv1_t_stride", 1), 2, 2)
    full = request.input.shape[2:]
    sizes = tuple(
        min(size, least + (size - least) % (2 * stride)) for size, least, stride in zip(full, _SMALLEST, strides)
    )
    if sizes == full:
        return request.input
    batch = request.batch if request.batch == DYNAMIC else min(request.batch, _BATCH)
    return TensorSpec(request.input.name, request.input.dtype, (batch, 3, *sizes), request.input.layout)


def runner(cell: nn.Cell) -> Run:
    """Return a cell of one input and one output, in evaluation mode, as a function of arrays."""
    cell.set_train(False)
    return lambda batch: cell(Tensor(batch)).asnumpy()


def _reference(network: nn.Cell, spec: TensorSpec, request: ExportRequest) -> Tuple[List[np.ndarray], np.ndarray]:
    """Return batches for the graph, and what the network gives for them.

    The network gets normalised values also where the graph takes pixels, so that the folding is part of the test.
    """
    pixels = parity.probe_batches(spec)
    values = [parity.normalised(batch, spec.layout, request.card.transform) for batch in pixels]
    run = runner(Deployed(network, request.card.export.softmax, None))
    return pixels if request.input_dtype == "uint8" else values, np.concatenate([run(batch) for batch in values])


def _name(reference: str, spec: TensorSpec, request: ExportRequest) -> str:
    sizes = ["x".join(map(str, tensor.shape[2:])) for tensor in (spec, request.input)]
    return reference if sizes[0] == sizes[1] else f"{reference} on clips of {sizes[0]} instead of {sizes[1]}"


def _check_whole(network: nn.Cell, graph: Path, small: Path, request: ExportRequest) -> None:
    model, other = read_mindir(graph), read_mindir(small)
    where = request.output / f"model.{request.format}"
    found = [_shape(value) for value in (*model.graph.input, *model.graph.output)]
    expected = [request.input.shape, request.logits.shape]
    if found != expected:
        raise ShortfallError(f"the graph has tensors of shape {found}, expected {expected}", where, "export again")
    if [node.op_type for node in model.graph.node] != [node.op_type for node in other.graph.node]:
        raise ShortfallError("the graph has other operators than for reduced clips", where, "use --format onnx")
    weights = {parameter.name: parameter.asnumpy() for parameter in network.get_parameters()}
    written = {tensor.name.rpartition(":")[2]: tensor.raw_data for tensor in model.graph.parameter}
    if {name: value.tobytes() for name, value in weights.items()} != written:
        raise ShortfallError("the graph does not hold the checkpoint's weights", where, "export again")


def read_mindir(path: Path) -> mind_ir_pb2.ModelProto:
    """Return a MINDIR as the message it is."""
    model = mind_ir_pb2.ModelProto()
    model.ParseFromString(path.read_bytes())
    return model


def _shape(value: mind_ir_pb2.ValueInfoProto) -> Tuple[int, ...]:
    return tuple(value.tensor[0].dims)
