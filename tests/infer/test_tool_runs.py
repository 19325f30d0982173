"""Runs of a tool on several devices: who gets what, and that nothing stays behind."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import List

import pytest

from clip2om.infer.delegate import _check_ended
from clip2om.infer.engines.base import Options
from clip2om.infer.engines.msame import MsameEngine
from clip2om.infer.engines.tool import Stage
from clip2om.infer.staging import Part
from clip2om.infer.tool_runs import Ended, run_parts
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.records import CompiledRecord
from tests.command import refused
from tests.infer.npu import Npu
from tests.infer.test_tool_failure import BAR

# A tool that starts a process of its own, as a Pool or a Manager is, and notes both.
_TOOL = """
import glob, os, subprocess, sys, time
device, folder, until, code = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(99)"
helper = subprocess.Popen([sys.executable, "-c", deaf])
with open(os.path.join(folder, f"{os.getpid()}.part"), "w") as stream:
    stream.write(f"{os.getpid()} {helper.pid}")
os.rename(stream.name, stream.name.replace(".part", ".pid"))
while len(glob.glob(os.path.join(folder, "*.pid"))) < until:
    time.sleep(0.01)
print("device", device)
sys.exit(code)
"""


class _Tool(MsameEngine):
    """Runs the script above; each device goes on until so many runs have begun, and ends with its code."""

    def __init__(self, record: CompiledRecord, until: List[int], codes: List[int]) -> None:
        super().__init__(Path("nowhere"), record, Options(devices=tuple(range(len(until)))))
        self._until, self._codes = until, codes

    def command(self, stage: Stage) -> List[str]:
        numbers = [stage.device, stage.root, self._until[stage.device], self._codes[stage.device]]
        return [sys.executable, "-c", _TOOL, *map(str, numbers)]

    def succeeded(self, code: int, console: str) -> bool:
        return code == 0


@pytest.fixture
def record(npu: Npu) -> CompiledRecord:
    return CompiledRecord("om", {"model.om": ""}, "card", "Ascend310P3", 4, "float16", "", "", "", [], [])


def _parts(root: Path, count: int) -> List[Part]:
    for name in ("results", "input"):
        (root / name).mkdir()
    return [Part(Stage(root, "model.om", f"input/{i}", f"results/{i}", 1, 1, 4, 0), []) for i in range(count)]


def _alive(root: Path) -> List[int]:
    """Return the noted processes that still run."""
    found = [int(word) for path in root.glob("*.pid") for word in path.read_text().split()]
    assert found
    return [pid for pid in found if _runs(pid)]


def _runs(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _gone(root: Path) -> bool:
    deadline = time.monotonic() + 20
    while _alive(root) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not _alive(root)


def test_an_interrupt_ends_what_the_tool_started_itself(record: CompiledRecord, tmp_path: Path) -> None:
    def interrupt() -> None:
        while len(list(tmp_path.glob("*.pid"))) < 2:
            time.sleep(0.01)
        # The helpers take no SIGTERM: the second interrupt does not wait for them.
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.3)

    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=interrupt)
    thread.start()
    begin = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            run_parts(_Tool(record, [99, 99], [0, 0]), _parts(tmp_path, 2))
    finally:
        thread.join()
        signal.signal(signal.SIGINT, former)
    assert time.monotonic() - begin < 15
    assert _gone(tmp_path)


def test_a_tool_that_fails_stops_the_others_and_is_told_last(record: CompiledRecord, tmp_path: Path) -> None:
    tool = _Tool(record, [0, 3], [0, 3])
    ended = run_parts(tool, _parts(tmp_path, 400))
    assert (ended[-1].stage.device, ended[-1].code) == (1, 3)
    assert len(ended) < 400
    assert _gone(tmp_path)


def test_a_slow_device_gets_less(record: CompiledRecord, tmp_path: Path) -> None:
    ended = run_parts(_Tool(record, [0, 4], [0, 0]), _parts(tmp_path, 4))
    devices = [run.stage.device for run in ended]
    assert (devices.count(0), devices.count(1)) == (3, 1)
    assert all(run.console == f"device {run.stage.device}\n" for run in ended)
    assert sorted(run.stage.inputs for run in ended) == [f"input/{i}" for i in range(4)]
    assert _gone(tmp_path)


@pytest.mark.parametrize("generation", ["G1", "G2"])
def test_ais_bench_opens_the_devices_that_were_named_alone(npu: Npu, generation: str) -> None:
    npu.knobs.update(devices=3, devices_taken="0", ais_bench=generation)
    npu.build().passes("--engine", "ais_bench", "--devices", "1,2")
    summary = npu.case.summary()
    assert (summary.device, summary.options["devices"]) == ("Ascend310P3 device 1, 2", [1, 2])


@pytest.mark.parametrize(("count", "ran"), [(18, [0, 1, 2, 3]), (3, [0])])
def test_devices_of_the_record_are_those_that_ran(npu: Npu, count: int, ran: List[int]) -> None:
    npu.knobs.update(devices=4)
    npu.build(count=count).passes("--engine", "ais_bench", "--devices", "0,1,2,3")
    summary = npu.case.summary()
    assert summary.device == f"Ascend310P3 device {', '.join(map(str, ran))}"
    assert summary.options["devices"] == ran
    log = (npu.case.output / "ais_bench.log").read_text()
    assert [f"--device {device} " in log for device in range(4)] == [device in ran for device in range(4)]
    assert "divide_input" not in log


def test_the_device_that_fails_is_named(npu: Npu) -> None:
    npu.build().knobs.update(devices=2, devices_taken="1")
    refused(npu.infer("--engine", "ais_bench", "--devices", "0,1"), "has not done its work on device 1")
    assert npu.violations() == []


def test_a_tool_that_was_killed_is_said_to_have_been(record: CompiledRecord, tmp_path: Path) -> None:
    tool = _Tool(record, [0], [-signal.SIGKILL])
    run = Ended(Stage(tmp_path, "", "", "", 1, 1, 4, 0), Part(Stage(tmp_path, "", "", "", 1, 1, 4, 0), []), "", -9, BAR)
    with pytest.raises(RequestError, match="killed by SIGKILL") as caught:
        _check_ended(tool, run, tmp_path / "log")
    assert "Processing" not in str(caught.value)
