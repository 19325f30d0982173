"""Networks into files by MindSpore's own exporters: ONNX, MINDIR and AIR."""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
from pathlib import Path
from typing import Iterator

import mindspore
import numpy as np
import onnx
from mindspore import Tensor, nn

from clip2om.export.mindspore.onnx_repair import repair
from clip2om.export.request import ExportRequest
from clip2om.pipeline.errors import RequestError, last_line
from clip2om.pipeline.tensor import DYNAMIC, TensorSpec

OPSET = 11
_NOT_EXPORTED = re.compile(r"Can not find key (\w+) in convert map")


def onnx_graph_of(network: nn.Cell, request: ExportRequest) -> onnx.ModelProto:
    """Return the ONNX graph of a deployed network, repaired, with the card's names and the batch asked for.

    MindSpore exports fixed shapes only. Once the batch norms are folded nothing in the graph depends on the batch, so
    a symbolic one is written into the graph's ends.

    Raises:
        RequestError: MindSpore refuses the network.
        ShortfallError: MindSpore wrote something else than can be repaired.
    """
    fixed = request.input.with_batch(1 if request.batch == DYNAMIC else request.batch)
    with _folder() as folder, _refusals():
        _export_onnx(network, _example(fixed), folder / "graph.onnx")
        model = onnx.load(str(folder / "graph.onnx"))
    model = repair(model)
    _rename(model, model.graph.input[0].name, request.input.name)
    _rename(model, model.graph.output[0].name, request.logits.name)
    for value in (model.graph.input[0], model.graph.output[0]):
        if request.batch == DYNAMIC:
            value.type.tensor_type.shape.dim[0].dim_param = "batch"
    return model


def write_graph(network: nn.Cell, spec: TensorSpec, path: Path) -> None:
    """Write a deployed network for the input ``spec`` as MINDIR or AIR, by the suffix of ``path``.

    Raises:
        RequestError: MindSpore refuses the network.
    """
    kind = path.suffix[1:]
    with _folder() as folder, _refusals():
        mindspore.export(network, _example(spec), file_name=str(folder / f"graph.{kind}"), file_format=kind.upper())
        shutil.copyfile(folder / f"graph.{kind}", path)


def _export_onnx(network: nn.Cell, example: Tensor, path: Path) -> None:
    # Its older door says that it will be closed; MindSpore 2.7 has no other.
    if hasattr(mindspore, "onnx"):
        mindspore.onnx.export(network, example, file_name=str(path))
    else:
        mindspore.export(network, example, file_name=str(path), file_format="ONNX")


def _rename(model: onnx.ModelProto, old: str, new: str) -> None:
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [new if name == old else name for name in names]
    for value in (*model.graph.input, *model.graph.output):
        value.name = new if value.name == old else value.name


def _example(spec: TensorSpec) -> Tensor:
    if spec.batch == DYNAMIC:
        return Tensor(shape=[None, *spec.shape[1:]], dtype=getattr(mindspore, spec.dtype))
    return Tensor(np.zeros(spec.shape, spec.dtype))


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """Yield a folder of its own: MindSpore refuses paths with blanks or letters outside ASCII."""
    with tempfile.TemporaryDirectory(prefix="mindspore-") as name:
        yield Path(name)


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, ValueError, TypeError, KeyError) as error:
        missing = _NOT_EXPORTED.search(str(error))
        what = f"{missing[1]} is not in its ONNX exporter" if missing else last_line(error)
        raise RequestError(f"MindSpore cannot export the network ({what})", None, "use --format mindir") from None
