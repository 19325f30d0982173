"""Graphs of other frameworks than ONNX, told by names and first bytes, and the command that makes ONNX of each."""

from __future__ import annotations

from pathlib import Path
from typing import Optional, Tuple

from clip2om.pipeline.file_kinds import is_onnx

_HEAD = 1 << 16
# The kinds of GraphDef's nodes that every graph with weights in it has.
_NODES = (b"Placeholder", b"Const")
_OPSET = 11


def foreign_graph(path: Path) -> Optional[Tuple[str, str]]:
    """Return what a graph that is no ONNX is, and how ONNX is made of it; None where it is none that is known.

    The commands are those that tf2onnx, paddle2onnx and MindSpore document; a node's or a folder's name that the file
    does not tell is in capitals.
    """
    if path.is_dir():
        if (path / "saved_model.pb").is_file():
            return _saved_model(path)
        models = sorted([*path.glob("*.pdmodel"), *path.glob("inference.json")])
        return _paddle(models[0]) if models else None
    if is_onnx(path):
        return None
    with open(path, "rb") as stream:
        head = stream.read(_HEAD)
    if path.name == "saved_model.pb":
        return _saved_model(path.parent)
    if path.suffix in (".pdmodel", ".pdiparams") or path.name == "inference.json":
        return _paddle(path)
    if path.suffix in (".mindir", ".air"):
        return (
            "is a graph of MindSpore, for which there is no converter to ONNX",
            "where the network is, mindspore.export(network, input, file_name='model', file_format='ONNX'); or give "
            "its checkpoint to a card of framework mindspore",
        )
    if path.suffix == ".tflite" or head[4:8] == b"TFL3":
        return "is a graph of TensorFlow Lite", f"python -m tf2onnx.convert --tflite {path} {_options()}"
    if path.suffix == ".pb" and any(word in head for word in _NODES):
        return (
            "is a frozen graph of TensorFlow",
            f"python -m tf2onnx.convert --graphdef {path} --inputs INPUT:0 --outputs OUTPUT:0 {_options()}",
        )
    return None


def _saved_model(folder: Path) -> Tuple[str, str]:
    return "is a SavedModel of TensorFlow", f"python -m tf2onnx.convert --saved-model {folder} {_options()}"


def _paddle(path: Path) -> Tuple[str, str]:
    suffix = path.suffix if path.suffix != ".pdiparams" else ".pdmodel"
    files = f"--model_filename {path.stem}{suffix} --params_filename {path.stem}.pdiparams"
    return (
        "is an inference model of Paddle",
        f"paddle2onnx --model_dir {path.parent} {files} --save_file model.onnx --opset_version {_OPSET}",
    )


def _options() -> str:
    return f"--opset {_OPSET} --output model.onnx"
