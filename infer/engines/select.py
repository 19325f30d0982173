"""Which engine runs a compiled model on this host, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List

from clip2om.infer.engines.acl import AclEngine
from clip2om.infer.engines.ais_bench import AisBenchEngine
from clip2om.infer.engines.base import BackendClass, EngineMissingError
from clip2om.infer.engines.mindspore import MindSporeEngine
from clip2om.infer.engines.msame import MsameEngine
from clip2om.infer.engines.onnxruntime import OnnxRuntimeEngine
from clip2om.infer.engines.openvino import OpenVinoEngine
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.records import CompiledRecord

AUTO = "auto"
# In the order of preference.
ENGINES: Dict[str, BackendClass] = {
    engine.name: engine
    for engine in (OpenVinoEngine, OnnxRuntimeEngine, MindSporeEngine, AclEngine, AisBenchEngine, MsameEngine)
}
_TODO = {
    "openvino": "pip install openvino, or make a model for onnxruntime: python -m convert --format onnx",
    "onnx": "pip install onnxruntime, or pip install openvino",
    "mindir": MindSporeEngine.remedy,
    "om": "on an NPU host source set_env.sh of CANN first; without one, make a model for the CPU: SOC=cpu (--soc cpu)",
}

_REMAKE = {"om": "convert with --soc Ascend..."}


@dataclass(frozen=True)
class Choice:
    """An engine and why it was picked, in words."""

    engine: BackendClass
    reason: str


def choose(name: str, record: CompiledRecord, where: object) -> List[Choice]:
    """Return the engines to try in turn for ``--engine name``; no library is imported.

    ``auto`` takes what can run the model's format and is on this host: OpenVINO before ONNX Runtime; pyACL before
    ais_bench before msame. Later entries are only for the case that those before turn out not to be importable.

    Raises:
        EngineMissingError: nothing that can run the model is installed.
        RequestError: no such engine, or none, or not the named one, can run this format.
    """
    if name not in (AUTO, *ENGINES):
        raise RequestError(f"{name!r} is not an engine", "--engine", f"choose one of: {AUTO}, {', '.join(ENGINES)}")
    able = [engine for engine in ENGINES.values() if record.format in engine.formats]
    if not able:
        raise RequestError(f"is a model of format {record.format}, which no engine of this release runs", where)
    if name != AUTO:
        return [_named(ENGINES[name], record, where)]
    present = [engine for engine in able if engine.available()]
    absent = [engine.name for engine in able if not engine.available()]
    if not present:
        raise EngineMissingError(
            f"is a model of format {record.format}, which runs on {_either(absent)}, not installed here",
            where,
            _TODO[record.format],
        )
    missing = f"; {', '.join(absent)} {'is' if len(absent) == 1 else 'are'} not installed" if absent else ""
    return [Choice(engine, f"auto: the model is of format {record.format}{missing}") for engine in present]


def _named(engine: BackendClass, record: CompiledRecord, where: object) -> Choice:
    if record.format not in engine.formats:
        wanted = engine.formats[-1]
        raise RequestError(
            f"is a model of format {record.format}, the {engine.name} engine runs {' or '.join(engine.formats)}",
            where,
            f"{_REMAKE.get(wanted, f'convert with --format {wanted}')}, or choose another --engine",
        )
    if not engine.available():
        raise EngineMissingError(f"the {engine.name} engine is not installed", f"--engine {engine.name}", engine.remedy)
    return Choice(engine, "as asked")


def _either(names: List[str]) -> str:
    return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
