"""Parts of the engines that run .om models, one by one."""

from __future__ import annotations

import gc
import json
import os
import pickle
import re
import signal
import sys
from pathlib import Path
from typing import List, Type

import numpy as np
import pytest

from clip2om.infer.delegate import delegate
from clip2om.infer.devices import share
from clip2om.infer.engines.acl import AclEngine
from clip2om.infer.engines.acl_library import AclError
from clip2om.infer.engines.ais_bench import AisBenchEngine
from clip2om.infer.engines.ais_bench_help import Dialect, remedy
from clip2om.infer.engines.base import Engine, EngineMissingError, Options
from clip2om.infer.engines.msame import MsameEngine
from clip2om.infer.engines.om import same_family
from clip2om.infer.engines.tool import Stage
from clip2om.infer.job import load_job
from clip2om.infer.scores import ScoreFolder
from clip2om.infer.staging import part_sizes
from clip2om.infer.task import Hooks, Task
from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import RequestError, ShortfallError
from clip2om.pipeline.records import CompiledRecord, read_record
from clip2om.pipeline.run_names import compiled_name, scored_name
from clip2om.pipeline.undisturbed import undisturbed
from tests.cann_sim.samples import loaded_acl
from tests.infer.cases import Case
from tests.infer.npu import Npu
from tests.infer.sleeping import BreakingEngine, SleepingEngine


def _team(case: Case, kind: Type[Engine], kept: List[str]) -> tuple:
    case.build(form="onnx", count=160)
    case.output.mkdir()
    job = load_job(case.compiled, case.batches)
    engine = kind(case.compiled, job.record, Options(devices=(0, 1, 2)))
    task = Task(job, job.groups, ScoreFolder(case.output, 1, 4), 0, False)
    hooks = Hooks(lambda: None, lambda group, _: kept.append(group.files[0].name), Console("test", quiet=True))
    return engine, task, hooks


def test_a_slow_device_does_not_hold_the_others_up(case: Case) -> None:
    kept: List[str] = []
    outcome = share(*_team(case, SleepingEngine, kept))
    done = {device: len(times) for device, times in outcome.clock.compute_ms.items()}
    assert sum(done.values()) == 40
    assert done[0] < 8 < min(done[1], done[2])
    assert sorted(kept) == [file.name for file in case.manifest().files]
    sums = case.clips.reshape(len(case.clips), -1).sum(1)
    np.testing.assert_allclose(case.scores()[:, 0], sums, rtol=1e-5)


def test_what_breaks_in_another_process_is_told_here(case: Case) -> None:
    with pytest.raises(RequestError, match=r"model.onnx: breaking failed \(no more\); run again"):
        share(*_team(case, BreakingEngine, []))


@pytest.mark.parametrize("kind", [RequestError, ShortfallError, EngineMissingError, AclError])
def test_errors_come_whole_out_of_another_process(kind: Type[RequestError]) -> None:
    error = pickle.loads(pickle.dumps(kind("what", "where", "todo")))
    assert type(error) is kind
    assert (error.line(), error.todo) == ("where: what; todo", "todo")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_undisturbed_steps_are_finished_first(number: int) -> None:
    former = signal.getsignal(number)
    signal.signal(number, signal.default_int_handler)
    done = []
    try:
        with pytest.raises(KeyboardInterrupt):
            with undisturbed(), undisturbed():
                os.kill(os.getpid(), number)
                os.kill(os.getpid(), number)
                done.append("finished")
            done.append("not reached")
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, former)
    assert done == ["finished"]


def test_files_are_read_into_page_locked_memory(npu: Npu, monkeypatch: pytest.MonkeyPatch) -> None:
    npu.build()
    for name, value in npu.environment().items():
        monkeypatch.setenv(name, value)
    record = read_record(npu.case.compiled / "model.json", CompiledRecord, "")
    (spec,) = record.inputs
    with loaded_acl(), AclEngine(npu.case.compiled, record, Options(requests=2)) as engine:
        memory = sys.modules["_cann_sim.state"].process.memory  # type: ignore[attr-defined]
        lent = [engine.allocate(spec) for _ in range(7)]
        blocks = [memory.find(array.__array_interface__["data"][0]) for array in lent]
        # Two in flight, two read ahead, and two between; then ordinary memory has to do.
        assert [block and block.kind for block in blocks] == ["pinned"] * 6 + [None]
        assert len({block.base for block in blocks[:6]}) == 6
        assert all(array.shape == spec.shape and array.dtype == np.float32 for array in lent)
        first = lent[0].__array_interface__["data"][0]
        del lent[0]
        gc.collect()
        assert engine.allocate(spec).__array_interface__["data"][0] == first
    assert npu.violations() == []


@pytest.mark.parametrize(
    ("found", "expected", "same"),
    [
        ("Ascend310P3", "Ascend310P3", True),
        ("Ascend310P3", "Ascend310P3Vir01", True),
        ("Ascend310P1", "Ascend310P3", True),
        ("Ascend310", "Ascend310P3", False),
        ("Ascend310B4", "Ascend310P3", False),
        ("Ascend910B2", "Ascend910B4", True),
        ("Ascend910B", "Ascend910B4", False),
        ("Ascend910B", "Ascend910A", True),
        ("Ascend910ProB", "Ascend910A", True),
        ("Ascend910_9391", "Ascend910_9362", True),
        ("Ascend910_9391", "Ascend910B1", False),
    ],
)
def test_chips(found: str, expected: str, same: bool) -> None:
    assert same_family(found, expected) is same


@pytest.mark.parametrize(
    ("executions", "devices", "most", "sizes"),
    [
        (5, 1, 10**6, [5]),
        (5, 4, 10**6, [2, 1, 1, 1]),
        (4, 3, 10**6, [2, 1, 1]),
        (1, 2, 10**6, [1]),
        (250, 1, 100, [100, 100, 50]),
        (1000, 2, 10**6, [250, 188, 141, 106, 100, 100, 100, 15]),
    ],
)
def test_a_tool_shares_executions_among_devices(executions: int, devices: int, most: int, sizes: list) -> None:
    assert part_sizes(executions, devices, most) == sizes


HELP = """usage: ais_bench [-h] --model MODEL [--output_dirname OUTPUT_DIRNAME]
                 [--divide_input DIVIDE_INPUT]

options:
  -h, --help            show this help message and exit
  --model MODEL, --om MODEL, -m MODEL
                        the path of the om model, see --nothing
  --output_dirname OUTPUT_DIRNAME
                        actual output directory name, also --no-such-option
  --outfmt {NPY,BIN,TXT}  Output file format (NPY or BIN or TXT)
"""
TABLE = """
╭─ Options ────────────────────────────────────────────────────────────────────────────╮
│ *  --model           -m      TEXT  the .om [default: None] [required]                 │
│    --output-dirname          TEXT  like --output_dirname of old; needs --output       │
│    --dym-batch               INTEGER  dynamic batch size                              │
│    --divide-input    --no-divide-input    share the input [default: no-divide-input] │
╰──────────────────────────────────────────────────────────────────────────────────────╯
"""


def test_options_are_those_at_the_begin_of_a_line_of_the_help() -> None:
    early = Dialect.of(HELP)
    assert early.options == {"help", "model", "om", "output_dirname", "outfmt"}
    assert (early.spell("output_dirname"), early.strict) == ("--output_dirname", False)
    table = Dialect.of(TABLE)
    assert (table.spell("output_dirname"), table.spell("dymBatch")) == ("--output-dirname", "--dym-batch")
    assert table.strict and not table.knows("output")


@pytest.mark.parametrize(
    ("text", "todo"),
    [
        ("ModuleNotFoundError: No module named 'tqdm'", "python3 -m pip install tqdm"),
        ("ModuleNotFoundError: No module named 'pkg_resources'", "'setuptools<82'"),
        ("ModuleNotFoundError: No module named 'aclruntime'", "aclruntime wheels"),
        ("ModuleNotFoundError: No module named 'acl'", "set_env.sh"),
        ("ImportError: libascendcl.so: cannot open shared object file", "set_env.sh"),
        ("ImportError: libascend_hal.so: cannot open", "driver"),
        ("ValueError: 3", "run it by hand: python3 -m ais_bench --help"),
    ],
)
def test_what_mends_an_ais_bench_that_cannot_be_started(text: str, todo: str) -> None:
    assert todo in remedy(f"Traceback\n{text}\n", "python3")


@pytest.mark.parametrize(
    ("content", "times"),
    [
        ({"npu_compute_time_list": [1.5, 2.5]}, [1.5, 2.5]),
        ({"npu_compute_time_list": [[10.0, 11.5], [11.5, 14.0]]}, [1.5, 2.5]),
        ({"NPU_compute_time": {"mean": 2.0, "count": 2}, "npu_compute_time_list": []}, [2.0, 2.0]),
        # A count takes no memory on its word: more than were asked for did not run.
        ({"NPU_compute_time": {"mean": 2.0, "count": 3_000_000_000}}, [2.0, 2.0]),
        ({}, [9.5, 9.5]),
        ("not a summary", [9.5, 9.5]),
    ],
)
@pytest.mark.parametrize("name", ["run_summary.json", "run/sumary.json"])
def test_summaries_of_all_ages(npu: Npu, name: str, content: object, times: list) -> None:
    npu.build()
    record = read_record(npu.case.compiled / "model.json", CompiledRecord, "")
    engine = AisBenchEngine(npu.case.compiled, record, Options(devices=(3,)))
    stage = Stage(npu.root, "model.om", "input", "results", 2, 2, 4, 1, 3)
    path = npu.root / "results" / name
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content) if isinstance(content, dict) else str(content))
    console = "[INFO] NPU_compute_time (ms): min = 9.1, max = 9.9, mean = 9.5, median = 9.5, percentile(99%) = 9.9\n"
    assert engine.compute_ms(stage, console) == {3: times}


def test_a_tool_without_times_is_not_believed(npu: Npu, monkeypatch: pytest.MonkeyPatch) -> None:
    npu.build()
    tool = npu.root / "bin" / "msame"
    tool.parent.mkdir()
    tool.write_text(
        "#!/bin/sh\nmkdir results/0/2024111_9_5_3_123456\n"
        "for file in input/0/*; do\n"
        "head -c 80 /dev/zero > results/0/2024111_9_5_3_123456/$(basename $file .bin)_output_0.bin\n"
        "done\necho '[INFO] pid: 1 Execute sample success'\n"
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    job = load_job(npu.case.compiled, npu.case.batches)
    npu.case.output.mkdir()
    task = Task(job, job.groups, ScoreFolder(npu.case.output, 1, 4), 0, False)
    hooks = Hooks(lambda: pytest.fail("results were taken"), lambda *_: None, Console("test", quiet=True))
    with pytest.raises(RequestError, match=r"msame.log: msame reports no compute times"):
        delegate(MsameEngine(npu.case.compiled, job.record, Options()), task, hooks)


def test_tools_take_no_single_batches(npu: Npu) -> None:
    record = read_record(npu.build().case.compiled / "model.json", CompiledRecord, "")
    for kind in (AisBenchEngine, MsameEngine):
        with pytest.raises(RequestError, match="takes folders, not single batches; use --engine acl"):
            kind(npu.case.compiled, record, Options()).__enter__()


def test_an_msame_that_says_nothing_has_not_succeeded(tmp_path: Path) -> None:
    record = read_record(Npu(tmp_path, Case(tmp_path)).build().case.compiled / "model.json", CompiledRecord, "")
    engine = MsameEngine(tmp_path, record, Options())
    assert not engine.succeeded(0, "[INFO] input parameter must be folder or file ending in '.bin'")
    assert not engine.succeeded(1, "[INFO] pid: 7 Execute sample success")
    assert engine.succeeded(0, "[INFO] pid: 7 Execute sample success\n")


def test_no_folder_of_ours_is_refused_by_the_later_ais_bench() -> None:
    compiled = compiled_name("Ascend910B4-1", 10, dynamic=True, int8=True, variant="must_keep_origin_dtype")
    name = scored_name(compiled, "bf16", "ais_bench", (0, 1, 12))
    # The character set is read in its source, path_security_check.py of December 2025.
    assert re.fullmatch(r"[_A-Za-z0-9/.-]+", name), name
