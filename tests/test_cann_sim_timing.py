"""Simulated times, overlap, the GIL, and failures on demand."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Iterator, List

import numpy as np
import pytest

from tests.cann_sim import environment
from tests.cann_sim.program import D2H, H2D, IN_BYTES, OUT_BYTES, Program, good
from tests.cann_sim.samples import compile_tiny, loaded_acl

_STAGE_MS = 8


@pytest.fixture(scope="module")
def om(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_tiny(tmp_path_factory.mktemp("om"))


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    for name in ("H2D_MS", "COMPUTE_MS", "D2H_MS"):
        monkeypatch.setenv(f"CANN_SIM_{name}", str(_STAGE_MS))
    monkeypatch.setenv("CANN_SIM_NULL_COMPUTE", "1")
    monkeypatch.setenv("CANN_SIM_VIOLATIONS", str(tmp_path / "violations"))
    with loaded_acl() as module:
        yield module


class Slot:
    """One of several slots on one device: stream, model, buffers and datasets of its own."""

    def __init__(self, acl: Any, om: Path) -> None:
        self.acl = acl
        self.stream = good(acl.rt.create_stream())
        self.model = good(acl.mdl.load_from_file(str(om)))
        self.host = [good(acl.rt.malloc_host(size)) for size in (IN_BYTES, OUT_BYTES)]
        self.device = [good(acl.rt.malloc(size, 0)) for size in (IN_BYTES, OUT_BYTES)]
        self.sets = []
        for pointer, size in zip(self.device, (IN_BYTES, OUT_BYTES)):
            self.sets.append(acl.mdl.create_dataset())
            acl.mdl.add_dataset_buffer(self.sets[-1], acl.create_data_buffer(pointer, size))

    def submit(self) -> None:
        acl = self.acl
        good(acl.rt.memcpy_async(self.device[0], IN_BYTES, self.host[0], IN_BYTES, H2D, self.stream))
        good(acl.mdl.execute_async(self.model, *self.sets, self.stream))
        good(acl.rt.memcpy_async(self.host[1], OUT_BYTES, self.device[1], OUT_BYTES, D2H, self.stream))


def test_stages_of_several_slots_overlap(timed: Any, om: Path, tmp_path: Path) -> None:
    good(timed.init())
    good(timed.rt.set_device(0))
    slots = [Slot(timed, om) for _ in range(4)]
    batches = 40
    begin = time.perf_counter()
    for number in range(batches):
        slot = slots[number % len(slots)]
        good(timed.rt.synchronize_stream(slot.stream))
        slot.submit()
    for slot in slots:
        good(timed.rt.synchronize_stream(slot.stream))
    taken = time.perf_counter() - begin
    # Two more stages fill and drain the pipeline.
    least = (batches + 2) * _STAGE_MS / 1e3
    assert least * 0.999 <= taken < least * 1.4
    assert not (tmp_path / "violations").exists()


def test_one_slot_alone_pays_every_stage(timed: Any, om: Path) -> None:
    good(timed.init())
    good(timed.rt.set_device(0))
    slot = Slot(timed, om)
    begin = time.perf_counter()
    for _ in range(5):
        slot.submit()
        good(timed.rt.synchronize_stream(slot.stream))
    assert time.perf_counter() - begin >= 15 * _STAGE_MS / 1e3


def test_events_measure_the_device(timed: Any, om: Path) -> None:
    good(timed.init())
    good(timed.rt.set_device(0))
    slot = Slot(timed, om)
    events = [good(timed.rt.create_event()) for _ in range(2)]
    good(timed.rt.record_event(events[0], slot.stream))
    good(timed.mdl.execute_async(slot.model, *slot.sets, slot.stream))
    good(timed.rt.record_event(events[1], slot.stream))
    assert timed.rt.event_elapsed_time(*events) == (0.0, 107006)
    good(timed.rt.synchronize_stream(slot.stream))
    # A busy host may submit the second task late.
    assert _STAGE_MS - 0.1 <= good(timed.rt.event_elapsed_time(*events)) < 10 * _STAGE_MS
    assert timed.rt.event_elapsed_time(events[1], events[0]) == (0.0, 107007)


def test_execute_holds_the_gil_and_execute_async_does_not(timed: Any, om: Path) -> None:
    good(timed.init())
    good(timed.rt.set_device(0))
    slot = Slot(timed, om)
    ticks: List[float] = []
    stop = threading.Event()

    def tick() -> None:
        while not stop.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.0005)

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        while not ticks:
            time.sleep(0.001)
        before = time.perf_counter()
        good(timed.mdl.execute(slot.model, *slot.sets))
        between = time.perf_counter()
        good(timed.mdl.execute_async(slot.model, *slot.sets, slot.stream))
        good(timed.rt.synchronize_stream(slot.stream))
        after = time.perf_counter()
    finally:
        stop.set()
        thread.join()
    # Around the blocked interval a switch may still happen.
    assert sum(before + 0.001 < t < between - 0.001 for t in ticks) == 0
    assert sum(between < t < after for t in ticks) >= 3


def test_a_timeout_leaves_the_work_running(timed: Any, om: Path) -> None:
    good(timed.init())
    good(timed.rt.set_device(0))
    slot = Slot(timed, om)
    slot.submit()
    assert timed.rt.synchronize_stream_with_timeout(slot.stream, 1) == 507046
    with pytest.raises(timed.ContractViolation):
        timed.rt.free(slot.device[0])
    good(timed.rt.synchronize_stream_with_timeout(slot.stream, 5000))
    good(timed.rt.free(slot.device[0]))


@pytest.fixture
def acl(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    monkeypatch.setenv("CANN_SIM_VIOLATIONS", str(tmp_path / "violations"))
    monkeypatch.setenv("CANN_SIM_TRACE", str(tmp_path / "trace"))
    with loaded_acl() as module:
        yield module


def _restart(failures: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANN_SIM_FAIL", failures)
    __import__("_cann_sim.state").state.reset()


def test_the_nth_call_fails_as_told(acl: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _restart("acl.rt.malloc:2:207001;acl.rt.create_stream:0:207008;acl.rt.free:1:500004:1", monkeypatch)
    good(acl.init())
    good(acl.rt.set_device(0))
    first = good(acl.rt.malloc(64, 0))
    assert acl.rt.malloc(64, 0) == (0, 207001)
    second = good(acl.rt.malloc(64, 0))
    assert [acl.rt.create_stream() for _ in range(2)] == [(0, 207008)] * 2
    # Limited to device 1.
    good(acl.rt.free(first))
    good(acl.rt.free(second))
    good(acl.rt.reset_device(0))
    good(acl.finalize())
    names = (tmp_path / "trace").read_text().split()
    assert names.count("acl.rt.malloc") == 3
    assert names[0] == "acl.init" and names[-1] == "acl.finalize"
    assert not (tmp_path / "violations").exists()


def test_a_failing_release_has_released(acl: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _restart("acl.rt.free:1:500004", monkeypatch)
    good(acl.init())
    good(acl.rt.set_device(0))
    assert acl.rt.free(good(acl.rt.malloc(64, 0))) == 500004
    good(acl.rt.reset_device(0))
    good(acl.finalize())
    assert not (tmp_path / "violations").exists()


@pytest.mark.parametrize("task", ["h2d", "execute", "d2h"])
def test_a_failing_task_shows_at_synchronisation(
    acl: Any, om: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, task: str
) -> None:
    _restart(f"task.{task}:1:507015", monkeypatch)
    program = Program(acl, om)
    program.view_in()[:] = 1
    program.submit()
    assert acl.rt.synchronize_stream(program.stream) == 507015
    assert np.isnan(program.view_out()).all()
    program.close()
    assert not (tmp_path / "violations").exists()


def _python(code: str, **knobs: object) -> subprocess.CompletedProcess:
    env = environment(**knobs)  # type: ignore[arg-type]
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60)


def test_a_process_that_ends_without_finalize_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "violations"
    done = _python("import acl; acl.init(); acl.rt.set_device(0); acl.rt.malloc(64, 0)", violations=path)
    assert done.returncode == 0
    assert "acl.finalize was not called; 1 block(s) of device memory, 64 bytes; device 0 not reset" in path.read_text()


def test_without_a_driver_the_module_does_not_load() -> None:
    done = _python("import acl", driver=False)
    assert "ImportError: libascend_hal.so: cannot open shared object file" in done.stderr


def test_without_cann_there_is_no_module() -> None:
    done = _python("import acl", toolkit=False)
    assert "ModuleNotFoundError: No module named 'acl'" in done.stderr


@pytest.mark.parametrize(
    ("knobs", "code", "expected"),
    [
        ({"permission": 0}, "print(acl.init())", "507899"),
        ({"devices": 2, "devices_taken": "1"}, "acl.init(); print(acl.rt.set_device(1))", "207005"),
        ({"devices": 2}, "acl.init(); print(acl.rt.get_device_count())", "(2, 0)"),
        # Neither the count nor the name needs acl.init.
        ({"devices": 2}, "print(acl.rt.get_device_count())", "(2, 0)"),
        ({"soc": "Ascend910B4"}, "print(acl.get_soc_name())", "Ascend910B4"),
        ({"run_mode": 0}, "acl.init(); print(acl.rt.get_run_mode())", "(0, 0)"),
    ],
)
def test_what_the_environment_says_of_the_host(knobs: dict, code: str, expected: str, tmp_path: Path) -> None:
    done = _python(f"import acl; {code}", violations=tmp_path / "violations", **knobs)
    assert done.stdout.strip() == expected, done.stderr
    if "init" not in code:
        assert not (tmp_path / "violations").exists()


def test_visible_devices_stop_at_the_first_bad_token(tmp_path: Path) -> None:
    code = "import os; os.environ['ASCEND_RT_VISIBLE_DEVICES'] = '1, 2'; import acl; acl.init(); "
    done = _python(code + "print(acl.rt.get_device_count())", devices=4, violations=tmp_path / "violations")
    assert done.stdout.strip() == "(1, 0)"


def test_a_forked_child_may_not_use_its_parent_s_acl(tmp_path: Path) -> None:
    code = (
        "import acl, os; acl.init(); acl.rt.set_device(0)\n"
        "if os.fork():\n    os.wait(); acl.rt.reset_device(0); acl.finalize()\n"
        "else:\n    try:\n        acl.rt.get_device()\n    finally:\n        os._exit(0)"
    )
    path = tmp_path / "violations"
    _python(code, violations=path)
    assert path.read_text().splitlines() == ["acl.rt.get_device was called in a process forked after acl.init"]


def test_stub_libraries_are_for_compiling_only(tmp_path: Path) -> None:
    code = "import acl; print(acl.init())"
    env = environment(driver=False)
    env["LD_LIBRARY_PATH"] += ":/somewhere/devlib"
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "100039", done.stderr
