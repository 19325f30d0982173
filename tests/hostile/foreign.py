"""Readers of what other programs write: checkpoints, graphs, split files, logs; and of the inputs of the pages."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import struct
from pathlib import Path
from typing import Any, Callable, Dict, List

import numpy as np
import torch

from clip2om.clip2om.memory import recall
from clip2om.convert import onnx_check, openvino_from_graph
from clip2om.convert.request import cpu_request
from clip2om.export.adopted import onnx_file
from clip2om.export.checkpoint_files import tensorflow_files
from clip2om.export.mindspore.walk import check_content
from clip2om.export.paddle.pdparams import read_state
from clip2om.export.pytorch.checkpoint import find_network, read_checkpoint
from clip2om.infer.engines import tool_failure
from clip2om.infer.engines.ais_bench import AisBenchEngine
from clip2om.infer.engines.ais_bench_help import Dialect
from clip2om.infer.engines.base import Options
from clip2om.infer.engines.msame import MsameEngine
from clip2om.infer.engines.openvino import OpenVinoEngine
from clip2om.infer.engines.tool import Stage
from clip2om.pipeline import cards, npu_smi
from clip2om.pipeline.ascend_codes import codes_in, find, words_with
from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.labels import read_labels
from clip2om.pipeline.records import CompiledRecord, GraphRecord, read_record
from clip2om.scripts.card import graph as card_graph
from clip2om.scripts.compare.__main__ import main as compare
from clip2om.scripts.dataset import split_files
from clip2om.scripts.drift.graph import OnnxGraph
from clip2om.scripts.drift.npu_dump import read_dumps
from clip2om.scripts.explain.__main__ import main as explain
from clip2om.scripts.report.__main__ import main as report
from tests.convert.graphs import Graph, write_frozen, write_graph
from tests.hostile.readers import Reader
from tests.infer.cases import write_model
from tests.scripts.drift.test_drift import dump_file
from tests.scripts.report_cases import Case


def foreign(folder: Path) -> Dict[str, Reader]:
    """Return the readers by name; ``folder`` is for what they need beside the damaged file."""
    return {**_checkpoints(), **_graphs(folder), **_lists(), **_tools(), **_pages(folder / "pages")}


def _all(*calls: Callable[[], object]) -> object:
    """Call each, though those before may have refused; the first refusal comes out in the end."""
    refused = []
    for call in calls:
        try:
            call()
        except RequestError as error:
            refused.append(error)
    if refused:
        raise refused[0]
    return None


def _checkpoints() -> Dict[str, Reader]:
    state = {
        "conv1.weight": torch.ones(2, 3, 1, 2, 2),
        "bn1.num_batches_tracked": torch.tensor(3),
        "fc.bias": torch.ones(2),
    }
    arrays = {name: value.numpy() for name, value in state.items()}
    paddle = pickle.dumps({**arrays, "StructuredToParameterName@@": {"fc.bias": "linear_0.b_0"}}, protocol=2)
    return {
        "PyTorch": Reader(
            "a.pth",
            [_torch({"state_dict": state, "epoch": 3}), _torch(state, old=True), pickle.dumps(arrays)],
            _pytorch,
        ),
        "safetensors": Reader(
            "a.safetensors", [_safetensors(arrays)], lambda place: read_checkpoint(place / "a.safetensors")
        ),
        ".pdparams": Reader("a.pdparams", [paddle, pickle.dumps(arrays, 4)], lambda p: read_state(p / "a.pdparams")),
        "MindSpore": Reader("a.ckpt", [_mindspore()], lambda place: check_content(place / "a.ckpt")),
        "TensorFlow state": Reader(
            "checkpoint", [b'model_checkpoint_path: "model-3"\nall_model_checkpoint_paths: "model-3"\n'], _tensorflow
        ),
    }


def _pytorch(place: Path) -> object:
    with contextlib.suppress(RequestError):  # these weights are of no network
        find_network(place / "a.pth")
    return read_checkpoint(place / "a.pth")


def _tensorflow(place: Path) -> object:
    for name in ("model-3.index", "model-3.data-00000-of-00001"):
        (place / name).write_bytes(b"")
    return tensorflow_files(place)


def _torch(content: Any, old: bool = False) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=not old)
    return stream.getvalue()


def _safetensors(arrays: Dict[str, np.ndarray]) -> bytes:
    head, data = {}, b""
    for name, value in arrays.items():
        kind = {"float32": "F32", "int64": "I64"}[value.dtype.name]
        offsets = [len(data), len(data) + value.nbytes]
        head[name] = {"dtype": kind, "shape": list(value.shape), "data_offsets": offsets}
        data += value.tobytes()
    text = json.dumps(head).encode()
    return struct.pack("<Q", len(text)) + text + data


def _mindspore() -> bytes:
    def field(number: int, content: bytes) -> bytes:
        return bytes([number << 3 | 2, len(content)]) + content

    values = np.ones((2, 3), np.float32).tobytes()
    tensor = b"\x08\x02\x08\x03" + field(2, b"Float32") + field(3, values)
    return b"".join(field(1, field(1, name) + field(2, tensor)) for name in (b"conv1.weight", b"fc.bias"))


def _graphs(folder: Path) -> Dict[str, Reader]:
    card, console = cards.load("3d_resnet"), Console("fuzz", quiet=True)
    graph = Graph(2, shape=(3, 2, 4, 4))
    write_graph(folder / "onnx", graph)
    write_frozen(folder / "pb", graph)
    model = write_model(folder / "ir", graph)
    record, frozen = (read_record(folder / kind / "model.json", GraphRecord, "") for kind in ("onnx", "pb"))

    def converted(path: Path, record: GraphRecord) -> None:
        openvino = openvino_from_graph.load_openvino(cpu_request(card, path, record, "cpu", 2))
        request = cpu_request(card, path, record, "cpu", 2)
        found = openvino_from_graph.read_model(openvino, request)
        openvino_from_graph.fix_batch(openvino, found, request)

    def opened(place: Path, record: CompiledRecord) -> None:
        for name in record.files:
            if not (place / name).exists():
                (place / name).write_bytes((folder / "ir" / name).read_bytes())
        with OpenVinoEngine(place, record, Options()) as engine:
            engine.inputs(), engine.outputs()

    def looked_at(place: Path) -> object:
        path = place / "model.onnx"
        return _all(
            lambda: onnx_check.doubts(path),
            lambda: onnx_file.read(path),
            lambda: card_graph.describe(path, console),
            lambda: OnnxGraph(path, 2),
        )

    onnx = (folder / "onnx" / "model.onnx").read_bytes()
    return {
        "ONNX": Reader("model.onnx", [onnx], looked_at),
        "ONNX in convert": Reader("model.onnx", [onnx], lambda place: converted(place / "model.onnx", record), 0.2),
        "frozen graph": Reader(
            frozen.file, [(folder / "pb" / frozen.file).read_bytes()], lambda p: converted(p / frozen.file, frozen), 0.2
        ),
        "OpenVINO IR": Reader(
            "model.xml", [(folder / "ir" / "model.xml").read_bytes()], lambda place: opened(place, model), 0.1
        ),
    }


def _lists() -> Dict[str, Reader]:
    kinetics = b"label,youtube_id,time_start,time_end,split\nwalk,abc,1,11,train\nrun,def,20,30,train\n"

    def read_kinetics(place: Path) -> object:
        (place / "kinetics-2_val.csv").write_bytes(kinetics)
        return split_files.read_kinetics(place, 2), split_files.kinetics_sizes(place)

    def read_ucf101(place: Path) -> object:
        for name in ("trainlist01.txt", "testlist01.txt"):
            (place / name).write_bytes(b"A/v_a_g01_c01.avi 1\n")
        return split_files.read_ucf101(place, 1)

    return {
        "HMDB51 split": Reader(
            "walk_test_split1.txt", [b"a.avi 1\nb.avi 2\nc.avi 0\n"], lambda place: split_files.read_hmdb51(place, 1)
        ),
        "UCF101 classes": Reader("classInd.txt", [b"1 A\n2 B\n"], read_ucf101),
        "Kinetics split": Reader("kinetics-2_train.csv", [kinetics], read_kinetics),
        "labels": Reader("labels.txt", [b"walk\nrun\n\xe8\xb7\x91\n"], lambda place: read_labels(place / "labels.txt")),
    }


_LOG = """[PID: 123] 2026-01-01-10:00:00.123.456 Input parameter[--input_shape]'s value E10016 is invalid
E10016: Opname [input] specified in --input_shape is not found in the model
[ERROR] GE(7,atc):2026-01-01 EZ3003: No supported Ops kernel and engine are found for [conv1], optype [Conv3D].
        Possible Cause: TraceBack (most recent call last):
"""
_CONSOLE = """[INFO] Load model success
Inference time: 12.5 ms
[ERROR] execute model failed, ret = 507011, EE9999: inner error
acl.mdl.execute failed, ret 507011
Execute sample success
NPU_compute_time (ms): min = 1.2, max = 3.4, mean = 2.3, median = 2.2, percentile(99%) = 3.4
"""
_HELP = "usage: ais_bench [-h] --model MODEL [--input INPUT] [--output OUTPUT] [--output_dirname X]\n  --dymBatch N\n"
_SMI = """+-------------------------------------------------------------------------------------------+
| npu-smi 23.0.0                   Version: 23.0.0                                           |
| NPU     Name                  | Health          | Power(W)     Temp(C)    Hugepages-Usage(page) |
| Chip    Device                | Bus-Id          | AICore(%)    Memory-Usage(MB)                 |
+===============================+=================+===============================================+
| 0       310P3                 | OK              | NA           49                0     / 0      |
| 0       0                     | 0000:01:00.0    | 0            1693 / 21534                     |
+===============================+=================+===============================================+
"""


def _tools() -> Dict[str, Reader]:
    def meanings(place: Path) -> object:
        path = place / "atc.log"
        text = path.read_text(encoding="utf-8", errors="replace")
        _quiet(lambda: explain(["--log", str(path)]))
        return [find(code, words_with(code, text)) for code in codes_in(text)]

    def stage(place: Path) -> Stage:
        return Stage(place, "model.om", "inputs", ".", 2, 2, 1, 0)

    def console(place: Path) -> object:
        text = (place / "log").read_text(encoding="utf-8", errors="replace")
        tools = [object.__new__(MsameEngine), object.__new__(AisBenchEngine)]
        times = [tool.compute_ms(stage(place), text) for tool in tools]
        return times, tool_failure.why(text), tool_failure.advice(text, "Ascend310P3"), Dialect, npu_smi.parse(text)

    summary = {"NPU_compute_time": {"mean": 2.5, "count": 2}, "npu_compute_time_list": [[1.0, 2.5], 3.0]}
    dump = dump_file(np.ones((1, 2, 3, 3), np.float32), 1, 0)
    name = "Conv2D.op.1.2.1764000000123456"
    stream = io.BytesIO()
    np.save(stream, np.ones((1, 2), np.float32))
    return {
        "ATC log": Reader("atc.log", [_LOG.encode()], meanings),
        "consoles of tools": Reader("log", [_CONSOLE.encode(), _SMI.encode(), _HELP.encode()], console),
        "ais_bench summary": Reader(
            "sumary.json",
            [json.dumps(summary).encode(), json.dumps({"NPU_compute_time": {"mean": 2.5, "count": 2}}).encode()],
            lambda place: object.__new__(AisBenchEngine).compute_ms(stage(place), ""),
        ),
        "dump": Reader(name, [dump], read_dumps),
        "dump .npy": Reader(f"{name}.output.0.1_2.npy", [stream.getvalue()], read_dumps),
    }


def _quiet(call: Callable[[], int]) -> int:
    """Call a command; its exit code must be one of those that are told, its error one line without a fault of ours.

    Raises:
        RequestError: with that line.
        AssertionError: it is another one.
    """
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = call()
    lines = [line for line in err.getvalue().splitlines() if "error:" in line]
    assert code in (0, 1, 2), code
    assert "a fault of clip2om" not in err.getvalue() and "Traceback" not in err.getvalue(), lines
    assert "not enough memory" not in err.getvalue(), lines
    if code:
        assert len(lines) == 1, lines
        raise RequestError(lines[0])
    return code


def _pages(folder: Path) -> Dict[str, Reader]:
    case = Case(folder, classes=3, videos=6)
    results, other = case.run("a", case.logits()), case.run("b", case.logits(seed=1))
    build = results.parent.parent
    files = {
        "accuracy.json": results / "accuracy.json",
        "scores.npz": results / "scores.npz",
        "manifest": build / "batches" / "manifest.json",
        "summary": build / "scores" / "cpu-b10" / "summary.json",
        "model.json": build / "compiled" / "cpu-b10" / "model.json",
    }
    found = {}
    for name, path in files.items():
        good = path.read_bytes()

        def read(place: Path, path: Path = path, good: bytes = good) -> object:
            times = path.stat()
            path.write_bytes((place / "file").read_bytes())
            words = ["--model", str(case.card), "--strips", "0", "--quiet"]
            output = ["--output", str(place / "made.html")]
            try:
                return _all(
                    lambda: _quiet(lambda: report([*words, "--results", str(results), *output])),
                    lambda: _quiet(
                        lambda: compare([str(results), str(other), *words, *output[:1], str(place / "compared")])
                    ),
                )
            finally:
                path.write_bytes(good)
                os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

        found[f"{name} in report and compare"] = Reader("file", [good], read, share=0.03)
    remembered = {"kind": "clip2om.run", "version": 1, "options": {"LIMIT": ["3"]}}
    return {**found, "run.json": Reader("run.json", [json.dumps(remembered).encode()], recall)}


__all__: List[str] = ["foreign"]
