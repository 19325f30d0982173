"""atc itself: the order of the checks, the files it writes, and the faults it can be told to have.

CANN_SIM_ATC_FAIL=E19999       fail with that code while compiling
CANN_SIM_ATC_SECONDS=2         take that long to compile
CANN_SIM_ATC_KILL=1            die by SIGKILL with the .om half written
CANN_SIM_ATC_NO_OUTPUT=1       report success and write no .om
CANN_SIM_OPERATORS=310p        the chip of the operator package (8.5 on); "none" where there is none
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import signal
import sys
import time
from pathlib import Path
from typing import Any, Dict, List

from _cann_sim import knobs, soc
from _cann_sim.atc import console, flags, graph_def, modes, onnx_graph, rules, shapes
from _cann_sim.atc.compile import compile_onnx
from _cann_sim.atc.compile_frozen import compile_frozen
from _cann_sim.atc.console import Refused, bad_value
from _cann_sim.om import Om, write_om

_NO_DRIVER = (
    "atc.bin: error while loading shared libraries: libascend_hal.so: cannot open shared object file: "
    "No such file or directory\n"
)
_FUSION = {"session_and_graph_id_0_0": {"graph_fusion": {}, "ub_fusion": {}}}


def main(arguments: List[str]) -> int:
    """Run atc and return its exit status."""
    if not knobs.driver_present() and not knobs.stub_libraries():
        # [D] a host without driver needs devlib on LD_LIBRARY_PATH; exit 127 is [I].
        sys.stderr.write(_NO_DRIVER)
        return 127
    given = flags.parse(arguments)
    if "help" in given:
        console.say("usage: atc <args>", *[f"  --{name}" for name in sorted(flags.KNOWN)])
        return 0
    try:
        return _run(given, shlex.join(["atc", *arguments]))
    except Refused as refused:
        return console.failure(refused)


def _run(given: Dict[str, str], cmdline: str) -> int:
    mode = given.get("mode", "0")
    if mode == "1":
        return modes.to_json(given)
    if mode == "6":
        return modes.show(given)
    console.start()
    flags.check_sets(given)
    if mode not in ("0", "3"):
        raise Refused("E10055", f"The simulator does not have mode {mode}.")
    if mode == "3" and given.get("framework") == "1":
        raise Refused("E10055", "[--framework] 1(MindSpore) is supported with mode 0 only.")
    rules.check(given)
    wanted = shapes.read_shapes(given)
    _check_operators(given["soc_version"])
    om = _parse_and_compile(given, wanted, cmdline)
    if mode == "3":
        _write_json(given.get("check_report") or "check_result.json", {"is_support": True})
        console.success()
        return 0
    _write_json("fusion_result.json", _FUSION)
    _write_model(given, om)
    console.success()
    return 0


def _check_operators(name: str) -> None:
    """Refuse a chip that the operator package does not hold the operators of [S, O]: named is the host's system."""
    chip = knobs.text("OPERATORS")
    if chip and not name[len("Ascend") :].lower().startswith(chip):
        raise Refused(
            "E10001",
            "Value [linux] for parameter [--host_env_os] is invalid. Reason: The OS linux is not within the support "
            "list of {}, and the OS type must be consistent with that of the opp.",
        )


def _parse_and_compile(given: Dict[str, str], wanted: shapes.Shapes, cmdline: str) -> Om:
    readers = {"5": _from_onnx, "3": compile_frozen, "1": _from_mindspore}
    reader = readers.get(given["framework"])
    if reader is None:
        raise Refused("E16001", "The simulator does not parse Caffe models.")
    try:
        model = _read(given)
    except Refused as refused:
        _write_json(given.get("check_report") or "check_result.json", {"is_support": False, "error": refused.text})
        raise
    if soc.find_soc(given["soc_version"]) is None:
        # Late, after parsing; code and wording are unverified.
        raise bad_value(given["soc_version"], "--soc_version", "the platform information of this SoC is not found")
    return reader(given, wanted, model, cmdline)


def _read(given: Dict[str, str]) -> Any:
    if given["framework"] == "5":
        return onnx_graph.read_model(given["model"])
    if given["framework"] == "3":
        return graph_def.read_nodes(given["model"])
    if os.path.getsize(given["model"]) == 0:
        raise Refused("E10041", f"Failed to load the model from {given['model']}.")
    return None


def _from_onnx(given: Dict[str, str], wanted: shapes.Shapes, model: Any, cmdline: str) -> Om:
    if given.get("insert_op_conf"):
        _refuse_aipp(model, wanted)
    return compile_onnx(given, wanted, model, cmdline)


def _refuse_aipp(model: Any, wanted: shapes.Shapes) -> None:
    ranks = {len(dims) for dims in onnx_graph.settle_inputs(model, wanted.inputs).values()}
    if 4 not in ranks:
        raise Refused("E13014", "AIPP is supported for 4-D image inputs (NCHW or NHWC) only.")
    raise Refused("E19999", "Inner Error!", "The simulator does not compile AIPP.")


def _from_mindspore(given: Dict[str, str], wanted: shapes.Shapes, _: Any, cmdline: str) -> Om:
    # [D+S] input_shape, out_nodes and input_fp16_nodes are ignored and the conversion succeeds.
    # Nothing here executes AIR.
    precision = given.get("precision_mode") or given.get("precision_mode_v2") or "force_fp16"
    versions = {"atc_version": "8.0.0", "opp_version": "8.0.0"}
    framework = int(given["framework"])
    return Om(given["soc_version"], framework, precision, cmdline, [], [], versions=versions)


def _write_model(given: Dict[str, str], om: Om) -> None:
    time.sleep(knobs.number("ATC_SECONDS"))
    code = knobs.text("ATC_FAIL")
    if code:
        raise Refused(code, "Inner Error!" if code == "E19999" else f"Told to fail with {code}.")
    target = _target(given, om)
    if knobs.flag("ATC_NO_OUTPUT"):
        return
    try:
        write_om(target, om)
        if om.external_weight:
            weights = target.parent / om.external_weight
            weights.mkdir(exist_ok=True)
            (weights / f"{target.stem}_weight").write_bytes(b"\0" * min(om.weight_size, 4096))
    except OSError as error:
        raise Refused("E13001", f"Failed to write file [{target}]: {error.strerror}") from error
    if knobs.flag("ATC_KILL"):
        os.truncate(target, target.stat().st_size // 2)
        sys.stdout.flush()
        os.kill(os.getpid(), signal.SIGKILL)


def _target(given: Dict[str, str], om: Om) -> Path:
    suffix = ""
    if om.gears is None and any(-1 in tensor.dims for tensor in om.inputs):
        # [D+S] host-side code is embedded, typically with unbounded shapes.
        cpu = given.get("host_env_cpu") or ("aarch64" if platform.machine() == "aarch64" else "x86_64")
        suffix = f"_linux_{cpu}"
    return Path(f"{given['output']}{suffix}.om")


def _write_json(path: str, content: Any) -> None:
    try:
        Path(path).write_text(json.dumps(content) + "\n")
    except OSError as error:
        raise Refused("E13001", f"Failed to write file [{path}]: {error.strerror}") from error
