"""The acl engine when something goes wrong: every call failing once, Ctrl-C and kill at any time, then resume."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Iterator, List

import pytest

from clip2om.infer import devices
from clip2om.infer.__main__ import main
from tests.cann_sim.samples import loaded_acl
from tests.command import ROOT, refused
from tests.infer.npu import Npu

OUT_OF_MEMORY = 207001
EXECUTION = 507011


@pytest.fixture
def small(npu: Npu) -> Npu:
    return npu.build(count=16, gears=(4, 8))


def _in_process(npu: Npu, monkeypatch: pytest.MonkeyPatch, *more: object) -> int:
    """Run with the simulated ACL inside this process, which is quicker; check that nothing stays behind."""
    for name, value in npu.environment().items():
        monkeypatch.setenv(name, value)
    with loaded_acl():
        code = main(npu.case.argv("--engine", "acl", "--requests", 3, *more))
        process = sys.modules["_cann_sim.state"].process  # type: ignore[attr-defined]
        assert process.stage in ("new", "finalized"), "acl.finalize was not called"
        assert process.leaks() == []
    return code


def test_every_call_may_fail(small: Npu, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    assert _in_process(small, monkeypatch) == 0
    calls = Counter((small.root / "trace").read_text().split())
    assert len(calls) > 40
    assert small.violations() == []
    before = small.case.results()
    for name, count in calls.items():
        task = name.startswith("task.")
        for nth in sorted({1, count}):
            small.knobs["fail"] = f"{name}:{nth}:{EXECUTION if task else OUT_OF_MEMORY}"
            capsys.readouterr()
            code = _in_process(small, monkeypatch, "--force")
            lines = capsys.readouterr().err.splitlines()
            errors = [line for line in lines if "error:" in line]
            # Only a check beforehand: loading decides whether the chip is right; and a figure that may be left out.
            if name in ("acl.get_soc_name", "acl.rt.get_mem_info"):
                assert (code, errors) == (0, []), lines
                continue
            assert (code, len(errors)) == (2, 1), (name, nth, lines)
            assert ("acl.rt.synchronize_stream" if task else f"{name} failed") in errors[0]
            assert small.violations() == [], (name, nth)
    del small.knobs["fail"]
    assert _in_process(small, monkeypatch) == 0
    assert small.case.results() == before


def test_an_event_that_stays_set_ends_the_run(npu: Npu) -> None:
    # Executions would overlap from then on, and the times of single ones be wrong, without a word.
    npu.build(count=80).knobs["fail"] = "acl.rt.reset_event:1:107000"
    refused(npu.infer("--engine", "acl"), "acl.rt.reset_event failed with 107000")


def test_a_worker_that_is_done_is_not_cut_in_two(monkeypatch: pytest.MonkeyPatch) -> None:
    former = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(devices, "_serve", lambda *_: None)
    try:
        devices._work(*([None] * 4))  # type: ignore[arg-type]
        # As its parent does where another device has failed, while this process ends.
        signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, former)


@pytest.mark.parametrize(("name", "code"), [("acl.rt.malloc", OUT_OF_MEMORY), ("task.execute", EXECUTION)])
def test_one_of_two_devices_fails(npu: Npu, name: str, code: int) -> None:
    npu.knobs.update(devices=2, compute_ms=1, fail=f"{name}:4:{code}:1")
    npu.build(count=80)
    done = npu.infer("--engine", "acl", "--devices", "0,1")
    refused(done, "on device 1", str(code))
    assert npu.violations() == []
    assert not (npu.case.output / "summary.json").exists()
    del npu.knobs["fail"]
    npu.passes("--engine", "acl", "--devices", "0,1")


def test_a_device_process_that_is_killed(npu: Npu) -> None:
    npu.knobs.update(devices=2, compute_ms=20)
    process = _start(npu.build(count=240), 8, "--engine", "acl", "--devices", "0,1")
    os.kill(_children(process.pid)[0], signal.SIGKILL)
    _, text = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "the process of device" in text
    assert "ended with code -9; finished batches are kept: run again to resume" in text
    assert npu.violations() == []
    npu.knobs["compute_ms"] = 0
    npu.passes("--engine", "acl")


@pytest.mark.parametrize(
    ("kind", "devices"),
    [(signal.SIGINT, "0"), (signal.SIGKILL, "0"), (signal.SIGTERM, "0,1"), (signal.SIGKILL, "0,1")],
)
def test_interrupted_run_resumes(npu: Npu, kind: int, devices: str) -> None:
    npu.knobs.update(devices=2, compute_ms=20)
    process = _start(npu.build(count=240), 6, "--engine", "acl", "--devices", devices)
    children = _children(process.pid)
    process.send_signal(kind)
    _, text = process.communicate(timeout=60)
    assert process.returncode == (-signal.SIGKILL if kind == signal.SIGKILL else 130)
    if kind != signal.SIGKILL:
        said = [line for line in text.splitlines() if "engine acl" not in line and "infer: warning" not in line]
        assert said == ["infer: error: interrupted; run the same command again to resume"]
    _wait_for_end(children)
    assert npu.violations() == []
    kept = (npu.case.output / ".progress.jsonl").read_text().count("\n") - 1
    assert 6 <= kept < 60
    npu.knobs["compute_ms"] = 0
    npu.passes("--engine", "acl", "--devices", devices)
    figures = npu.case.summary().throughput
    assert figures is not None
    assert kept <= figures.resumed_batches < 60


def test_interrupt_from_the_terminal_reaches_every_process(npu: Npu) -> None:
    npu.knobs.update(devices=2, compute_ms=20)
    process = _start(npu.build(count=240), 6, "--engine", "acl", "--devices", "0,1", start_new_session=True)
    for _ in range(3):
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.01)
    _, text = process.communicate(timeout=60)
    assert process.returncode == 130, text
    assert "Traceback" not in text
    assert npu.violations() == []


@pytest.mark.parametrize("delay_ms", (20, 150))
def test_interrupt_while_the_model_is_loaded(npu: Npu, delay_ms: int) -> None:
    npu.build(count=8)
    command = [sys.executable, "-m", "infer", *npu.case.argv("--engine", "acl", "--requests", 60)]
    process = subprocess.Popen(command, cwd=ROOT, env=npu.environment(), stderr=subprocess.PIPE, text=True)
    time.sleep(0.15 + delay_ms / 1000)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert npu.violations() == []


@pytest.mark.parametrize("timeouts", [1, 0])
def test_a_second_interrupt_does_not_wait_for_a_device_that_hangs(npu: Npu, timeouts: int) -> None:
    npu.knobs.update(hang=1, timeouts=timeouts)
    npu.build(count=8)
    command = [sys.executable, "-m", "infer", *npu.case.argv("--engine", "acl")]
    process = subprocess.Popen(command, cwd=ROOT, env=npu.environment(), stderr=subprocess.PIPE, text=True)
    for _ in _patiently():
        if (npu.root / "concurrency").is_file():
            break
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
    _, text = process.communicate(timeout=30)
    assert process.returncode == 130, text
    assert "Traceback" not in text
    assert text.splitlines()[-1] == "interrupted again: ended at once; run the same command again to resume"


@pytest.mark.parametrize("timeouts", [1, 0])
def test_a_device_that_hangs_does_not_hold_the_run_for_ever(
    npu: Npu, timeouts: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    npu.build(count=8).knobs.update(hang=1, timeouts=timeouts)
    for name, value in npu.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("clip2om.infer.engines.acl_library.LONGEST_S", 2)
    with loaded_acl():
        assert main(npu.case.argv("--engine", "acl", "--quiet")) == 2
    assert "the device has not finished a batch within 2 s" in capsys.readouterr().err


@pytest.mark.parametrize(("engine", "kind"), [("ais_bench", signal.SIGINT), ("msame", signal.SIGTERM)])
def test_interrupted_tool_is_stopped_and_leaves_earlier_results(npu: Npu, engine: str, kind: int) -> None:
    npu.build(count=240).passes("--engine", engine)
    before = npu.case.results()
    npu.case.change_batch(1)
    npu.knobs["compute_ms"] = 50
    command = [sys.executable, "-m", "infer", *npu.case.argv("--engine", engine, "--force")]
    process = subprocess.Popen(command, cwd=ROOT, env=npu.environment(), stderr=subprocess.PIPE, text=True)
    for _ in _patiently():
        if process.poll() is not None or list(npu.case.output.glob(".staging-*/results/0/*")):
            break
    children = _children(process.pid)
    process.send_signal(kind)
    _, text = process.communicate(timeout=60)
    assert process.returncode == 130, text
    _wait_for_end(children)
    assert npu.case.results() == before
    assert (npu.case.output / "summary.json").is_file()
    assert not list(npu.case.output.glob(".staging-*"))
    npu.knobs["compute_ms"] = 0
    npu.passes("--engine", engine)


def test_killed_run_of_a_tool_leaves_nothing_that_matters(npu: Npu) -> None:
    npu.knobs["compute_ms"] = 50
    npu.build(count=240)
    command = [sys.executable, "-m", "infer", *npu.case.argv("--engine", "ais_bench")]
    process = subprocess.Popen(command, cwd=ROOT, env=npu.environment(), stderr=subprocess.DEVNULL)
    for _ in _patiently():
        if process.poll() is not None or list(npu.case.output.glob(".staging-*/results/0/run/*")):
            break
    process.kill()
    process.wait()
    assert npu.case.results() == {}
    npu.knobs["compute_ms"] = 0
    npu.passes("--engine", "ais_bench")
    assert not list(npu.case.output.glob(".staging-*"))
    assert not list(npu.case.output.glob(".partial-*"))


def _start(npu: Npu, done: int, *more: object, **options: object) -> subprocess.Popen:
    """Start a run and return when ``done`` batches are recorded."""
    command = [sys.executable, "-m", "infer", *npu.case.argv(*more)]
    process = subprocess.Popen(  # type: ignore[call-overload]
        command, cwd=ROOT, env=npu.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )
    journal = npu.case.output / ".progress.jsonl"
    for _ in _patiently():
        assert process.poll() is None, process.communicate()
        if journal.is_file() and journal.read_text().count("\n") > done:
            return process
    raise AssertionError("the run does not get on")


def _patiently() -> Iterator[None]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        yield
        time.sleep(0.005)


def _children(parent: int) -> List[int]:
    """Return the processes that run a stage or tool for ``parent``; helpers of multiprocessing do not count."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            words = (path / "cmdline").read_text()
        except OSError:
            continue
        if int(fields[1]) == parent and "resource_tracker" not in words:
            found.append(int(path.name))
    return found


def _wait_for_end(pids: List[int]) -> None:
    for _ in _patiently():
        if not any(_runs(pid) for pid in pids):
            return
    raise AssertionError(f"still running: {[pid for pid in pids if _runs(pid)]}")


def _runs(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
