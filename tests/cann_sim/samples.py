"""Tiny graphs and compiled models for tests, and the simulated modules inside the testing process."""

from __future__ import annotations

import importlib
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Dict, Iterator, Optional

import numpy as np

from tests import frozen_graph
from tests.cann_sim import HERE, environment

DIMS = (3, 4, 8, 8)
CLASSES = 4
FROZEN_DIMS = (2, 8, 8, 3)


def write_onnx(path: Path, batch: Optional[int] = None, reshape: bool = False, **conv: object) -> Path:
    """Write Conv, GlobalAveragePool, Flatten: ``input`` Nx3x4x8x8 to ``output`` Nx4.

    Args:
        path: File to write.
        batch: Fixed batch size, or None for a symbolic one.
        reshape: End in a Reshape to that fixed batch, which fits no other.
        conv: Attributes of the convolution.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    group = int(str(conv.get("group", 1)))
    weights = np.random.default_rng(0).standard_normal((3 if group > 1 else CLASSES, 3 // group, 2, 3, 3))
    classes = weights.shape[0]
    initializers = [numpy_helper.from_array(weights.astype(np.float32), "weight")]
    attributes = {"pads": [0, 1, 1, 0, 1, 1], **conv}
    if "auto_pad" in conv:
        del attributes["pads"]
    nodes = [
        helper.make_node("Conv", ["input", "weight"], ["conv"], name="Conv_0", **attributes),
        helper.make_node("GlobalAveragePool", ["conv"], ["pool"], name="GlobalAveragePool_1"),
    ]
    if reshape:
        initializers.append(numpy_helper.from_array(np.array([batch, classes]), "target"))
        nodes.append(helper.make_node("Reshape", ["pool", "target"], ["output"], name="Reshape_2"))
    else:
        nodes.append(helper.make_node("Flatten", ["pool"], ["output"], name="Flatten_2"))
    size: object = "N" if batch is None else batch
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [size, *DIMS])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [size, classes])],
        initializers,
    )
    opset = helper.make_opsetid("", 11)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=6), str(path))
    return path


def frozen_arguments(batch: int = 2, **changes: Optional[str]) -> list:
    """Return a correct atc command line for the frozen graph of :func:`write_frozen`, as :func:`arguments`."""
    own: Dict[str, Optional[str]] = {
        "framework": "3",
        "input_format": "NDHWC",
        "input_shape": f"clips:{batch},{','.join(map(str, FROZEN_DIMS))}",
        "out_nodes": "C3D/out/BiasAdd:0",
    }
    return arguments("g.pb", "g", **{**own, **changes})  # type: ignore[arg-type]


def frozen_weights() -> list:
    """Return kernel, matrix and bias of the frozen graph."""
    random = np.random.default_rng(1)
    shapes = ((3, 3, 3, FROZEN_DIMS[-1], 5), (5, CLASSES), (CLASSES,))
    return [random.standard_normal(shape).astype(np.float32) for shape in shapes]


def write_frozen(path: Path, batch: int = -1, dtype: str = "float32", **options: bool) -> Path:
    """Write a frozen TensorFlow graph: ``clips`` Nx2x8x8x3 to ``C3D/out/BiasAdd`` Nx4.

    Args:
        path: File to write.
        batch: Batch size, -1 for an open one.
        dtype: Of the clips.
        options: ``rigid`` and ``batch_accuracy``, see :func:`tests.frozen_graph.clip_network`.
    """
    spec = {"name": "clips", "dtype": dtype, "shape": (batch, *FROZEN_DIMS), "rigid": options.get("rigid", False)}
    graph = frozen_graph.clip_network(spec, frozen_weights(), options.get("batch_accuracy", False))
    path.write_bytes(graph)
    return path


def atc(folder: Path, *arguments: str, env: Optional[Dict[str, str]] = None) -> subprocess.CompletedProcess:
    """Run atc in ``folder``."""
    env = environment() if env is None else env
    command = ["atc", *arguments]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60)


def arguments(model: str = "tiny.onnx", output: str = "tiny", batch: int = 2, **changes: Optional[str]) -> list:
    """Return a correct atc command line for the tiny graph, with options changed, added or (None) left out."""
    options: Dict[str, Optional[str]] = {
        "framework": "5",
        "model": model,
        "output": output,
        "soc_version": "Ascend310P3",
        "input_format": "NCDHW",
        "input_shape": f"input:{batch},3,4,8,8",
        "log": "error",
        **changes,
    }
    return [f"--{name}={value}" for name, value in options.items() if value is not None]


def compile_tiny(folder: Path, batch: int = 2, **changes: Optional[str]) -> Path:
    """Compile the tiny graph; returns the .om."""
    write_onnx(folder / "tiny.onnx")
    output = changes.pop("output", None) or f"tiny_{'dynamic' if batch < 0 else batch}"
    done = atc(folder, *arguments(output=output, batch=batch, **changes))
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / f"{output}.om"


@contextmanager
def loaded_acl() -> Iterator[ModuleType]:
    """Give the simulated ``acl`` inside this process, as in a fresh one, and leave no trace of it."""
    path = str(HERE / "python")
    sys.path.insert(0, path)
    try:
        acl = importlib.import_module("acl")
        state = importlib.import_module("_cann_sim.state")
        state.reset()
        yield acl
        state.process.stage = "reported"
    finally:
        sys.path.remove(path)
        for name in [name for name in sys.modules if name.split(".")[0] in ("acl", "_cann_sim")]:
            del sys.modules[name]


@contextmanager
def loaded_atc() -> Iterator[Any]:
    """Give the ``main`` of the simulated atc inside this process, and leave no trace of it."""
    path = str(HERE / "python")
    sys.path.insert(0, path)
    try:
        yield importlib.import_module("_cann_sim.atc.main").main
    finally:
        sys.path.remove(path)
        for name in [name for name in sys.modules if name.split(".")[0] == "_cann_sim"]:
            del sys.modules[name]
