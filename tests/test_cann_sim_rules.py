"""The simulated pyACL refuses every breach of the contract, and returns the documented codes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple

import numpy as np
import pytest

from tests.cann_sim.program import D2H, H2D, Program, good
from tests.cann_sim.samples import compile_tiny, loaded_acl


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("om")
    compile_tiny(path)
    compile_tiny(path, batch=-1, dynamic_batch_size="1,2,4")
    compile_tiny(path, soc_version="Ascend310B4", output="other_soc")
    return path


@pytest.fixture
def acl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("CANN_SIM_VIOLATIONS", str(tmp_path / "violations"))
    monkeypatch.setenv("CANN_SIM_DEVICES", "2")
    with loaded_acl() as module:
        yield module


def violations(tmp_path: Path) -> List[str]:
    path = tmp_path / "violations"
    return path.read_text().splitlines() if path.exists() else []


Case = Callable[[Any, Program], Any]


def _async(acl: Any, p: Program) -> None:
    good(acl.rt.memcpy_async(p.device_in[0], p.in_size, p.host_in, p.in_size, H2D, p.stream))


def _pending(then: Case) -> Case:
    def case(acl: Any, p: Program) -> Any:
        _async(acl, p)
        return then(acl, p)

    return case


def _executing(then: Case) -> Case:
    def case(acl: Any, p: Program) -> Any:
        good(acl.mdl.execute_async(p.model, p.feeds, p.results, p.stream))
        return then(acl, p)

    return case


def _two_streams(acl: Any, p: Program) -> Any:
    other, event = good(acl.rt.create_stream()), good(acl.rt.create_event())
    good(acl.mdl.execute_async(p.model, p.feeds, p.results, p.stream))
    # Even ordered by an event: the documentation forbids it.
    good(acl.rt.record_event(event, p.stream))
    good(acl.rt.stream_wait_event(other, event))
    return acl.mdl.execute_async(p.model, p.feeds, p.results, other)


def _changed_source(acl: Any, p: Program) -> Any:
    _async(acl, p)
    p.view_in()[:] = 3
    return acl.rt.synchronize_stream(p.stream)


def _written_destination(acl: Any, p: Program) -> Any:
    good(acl.rt.memcpy_async(p.host_out, p.out_size, p.device_out[0], p.out_size, D2H, p.stream))
    time.sleep(0.1)
    p.view_out()[:] = 3
    return acl.rt.synchronize_stream(p.stream)


def _freed(acl: Any, p: Program) -> int:
    pointer = good(acl.rt.malloc(64, 0))
    good(acl.rt.free(pointer))
    return pointer


def _other_context(then: Case) -> Case:
    def case(acl: Any, p: Program) -> Any:
        good(acl.rt.create_context(p.device))
        return then(acl, p)

    return case


def _dataset(acl: Any, *buffers: Tuple[int, int]) -> int:
    dataset = acl.mdl.create_dataset()
    for pointer, size in buffers:
        acl.mdl.add_dataset_buffer(dataset, acl.create_data_buffer(pointer, size))
    return dataset


def _execute(change: int) -> Case:
    def case(acl: Any, p: Program) -> Any:
        return acl.mdl.execute(p.model, _dataset(acl, (p.device_in[0], p.in_size + change)), p.results)

    return case


def _dangling(acl: Any, p: Program) -> Any:
    pointer = acl.util.numpy_contiguous_to_ptr(np.zeros(64, np.uint8))[0]
    return acl.rt.memcpy(p.device_in[0], 64, pointer, 64, H2D)


def _model_of_memory(acl: Any, p: Program) -> Any:
    work, weight = acl.mdl.query_size(str(p.om))[:2]
    areas = [good(acl.rt.malloc(size, 0)) for size in (work, weight)]
    good(acl.mdl.load_from_file_with_mem(str(p.om), areas[0], work, areas[1], weight))
    return acl.rt.free(areas[1])


REFUSED: Dict[str, Case] = {
    "free of freed memory": lambda acl, p: acl.rt.free(_freed(acl, p)),
    "free of an unknown pointer": lambda acl, p: acl.rt.free(p.device_in[0] + 64),
    "free of host memory": lambda acl, p: acl.rt.free(p.host_in),
    "free_host of device memory": lambda acl, p: acl.rt.free_host(p.device_in[0]),
    "copy to freed memory": lambda acl, p: acl.rt.memcpy(_freed(acl, p), 64, p.host_in, 64, H2D),
    "copy beyond the source": lambda acl, p: acl.rt.memcpy(p.device_in[0], p.in_size, p.host_out, p.in_size, H2D),
    "copy beyond the destination": lambda acl, p: acl.rt.memcpy(p.device_out[0], 9999, p.host_in, 9999, H2D),
    "wrong direction": lambda acl, p: acl.rt.memcpy(p.device_in[0], 64, p.host_in, 64, D2H),
    "async copy of pageable memory": lambda acl, p: acl.rt.memcpy_async(
        p.device_in[0], 64, np.zeros(64, np.uint8).ctypes.data, 64, H2D, p.stream
    ),
    "async copy of an unaligned address": lambda acl, p: acl.rt.memcpy_async(
        p.device_in[0], 64, p.host_in + 4, 64, H2D, p.stream
    ),
    "free while a copy is pending": _pending(lambda acl, p: acl.rt.free(p.device_in[0])),
    "free_host while a copy is pending": _pending(lambda acl, p: acl.rt.free_host(p.host_in)),
    "destroy_stream while a copy is pending": _pending(lambda acl, p: acl.rt.destroy_stream(p.stream)),
    "execute while its input is pending": _pending(lambda acl, p: acl.mdl.execute(p.model, p.feeds, p.results)),
    "copy from pending memory": _executing(
        lambda acl, p: acl.rt.memcpy(p.host_out, p.out_size, p.device_out[0], p.out_size, D2H)
    ),
    "unload while executing": _executing(lambda acl, p: acl.mdl.unload(p.model)),
    "destroy_dataset while executing": _executing(lambda acl, p: acl.mdl.destroy_dataset(p.feeds)),
    "update_data_buffer while executing": _executing(lambda acl, p: acl.update_data_buffer(p.buffers[0], 0, 0)),
    "a model on two streams": _two_streams,
    "source changed in flight": _changed_source,
    "destination written in flight": _written_destination,
    "a model of another context": _other_context(lambda acl, p: acl.mdl.execute(p.model, p.feeds, p.results)),
    "unload in another context": _other_context(lambda acl, p: acl.mdl.unload(p.model)),
    "synchronize a stream of another context": _other_context(lambda acl, p: acl.rt.synchronize_stream(p.stream)),
    "a buffer 64 bytes too small": _execute(-64),
    "a host pointer in a dataset": lambda acl, p: acl.mdl.execute(
        p.model, _dataset(acl, (p.host_in, p.in_size)), p.results
    ),
    "destroy_data_buffer in a dataset": lambda acl, p: acl.destroy_data_buffer(p.buffers[0]),
    "a dataset destroyed twice": lambda acl, p: (acl.mdl.destroy_dataset(p.feeds), acl.mdl.destroy_dataset(p.feeds)),
    "a description destroyed twice": lambda acl, p: (acl.mdl.destroy_desc(p.desc), acl.mdl.destroy_desc(p.desc)),
    "a stream used as an event": lambda acl, p: acl.rt.synchronize_event(p.stream),
    "an event never recorded": lambda acl, p: acl.rt.synchronize_event(good(acl.rt.create_event())),
    "a wait for an event never recorded": lambda acl, p: acl.rt.stream_wait_event(
        p.stream, good(acl.rt.create_event())
    ),
    "bytes_to_ptr of a temporary": lambda acl, p: acl.util.bytes_to_ptr(np.zeros(8).tobytes()),
    "a pointer into a dead array": _dangling,
    "ptr_to_bytes of device memory": lambda acl, p: acl.util.ptr_to_bytes(p.device_in[0], 8),
    "ptr_to_numpy of device memory": lambda acl, p: acl.util.ptr_to_numpy(p.device_in[0], (8,), 11),
    "ptr_to_numpy beyond the block": lambda acl, p: acl.util.ptr_to_numpy(p.host_out, (p.out_size,), 11),
    "free of a model's weights": _model_of_memory,
    "reset_device with everything alive": lambda acl, p: acl.rt.reset_device(0),
    "destroy_context with a stream": lambda acl, p: acl.rt.destroy_context(p.context),
    "a call after finalize": lambda acl, p: (acl.finalize(), acl.rt.get_device()),
}


@pytest.mark.parametrize("name", REFUSED)
def test_misuse_is_refused(acl: Any, folder: Path, tmp_path: Path, name: str) -> None:
    program = Program(acl, folder / "tiny_2.om")
    with pytest.raises(acl.ContractViolation):
        REFUSED[name](acl, program)
    assert violations(tmp_path)


def test_the_wrappers_of_these_cases_are_right_by_themselves(acl: Any, folder: Path, tmp_path: Path) -> None:
    program = Program(acl, folder / "tiny_2.om")
    good(_pending(lambda acl, p: acl.rt.synchronize_stream(p.stream))(acl, program))
    good(_executing(lambda acl, p: acl.rt.synchronize_device())(acl, program))
    good(_execute(0)(acl, program))
    assert violations(tmp_path) == []


CODES: Dict[str, Tuple[int, Case]] = {
    "second init": (100002, lambda acl, p: acl.init()),
    "device out of range": (107001, lambda acl, p: acl.rt.set_device(2)),
    "context of a device out of range": (107001, lambda acl, p: acl.rt.create_context(7)),
    "set_context of null": (100000, lambda acl, p: acl.rt.set_context(0)),
    "destroy_context of null": (100000, lambda acl, p: acl.rt.destroy_context(0)),
    "malloc of nothing": (100000, lambda acl, p: acl.rt.malloc(0, 0)),
    "malloc_host of nothing": (100000, lambda acl, p: acl.rt.malloc_host(0)),
    "malloc of a negative size": (207001, lambda acl, p: acl.rt.malloc(-1, 0)),
    "free of null": (100000, lambda acl, p: acl.rt.free(0)),
    "memcpy larger than its destination": (107000, lambda acl, p: acl.rt.memcpy(p.device_in[0], 4, p.host_in, 8, H2D)),
    "memcpy of an unknown kind": (100000, lambda acl, p: acl.rt.memcpy(p.device_in[0], 8, p.host_in, 8, 9)),
    "memcpy to null": (100000, lambda acl, p: acl.rt.memcpy(0, 8, p.host_in, 8, H2D)),
    "memcpy_async from host to host": (
        207000,
        lambda acl, p: acl.rt.memcpy_async(p.host_in, 64, p.host_out, 32, 0, p.stream),
    ),
    "destroy_stream of null": (100000, lambda acl, p: acl.rt.destroy_stream(0)),
    "a stream of another context": (
        107003,
        _other_context(lambda acl, p: acl.rt.memcpy_async(p.device_in[0], 8, p.host_in, 8, H2D, p.stream)),
    ),
    "a timeout of 0": (107000, lambda acl, p: acl.rt.synchronize_stream_with_timeout(p.stream, 0)),
    "a model file that is missing": (145002, lambda acl, p: acl.mdl.load_from_file("/nowhere.om")),
    "a model file that is not an om": (145000, lambda acl, p: acl.mdl.load_from_file(str(p.om.parent / "tiny.onnx"))),
    "a model of another chip": (500002, lambda acl, p: acl.mdl.load_from_file(str(p.om.parent / "other_soc.om"))),
    "unload of an unknown model": (145003, lambda acl, p: acl.mdl.unload(77)),
    "get_desc of an unknown model": (545008, lambda acl, p: acl.mdl.get_desc(p.desc, 77)),
    "execute of an unknown model": (145003, lambda acl, p: acl.mdl.execute(77, p.feeds, p.results)),
    "execute without a dataset": (100000, lambda acl, p: acl.mdl.execute(p.model, 0, p.results)),
    "too few buffers": (145000, lambda acl, p: acl.mdl.execute(p.model, _dataset(acl), p.results)),
    "a buffer 65 bytes too small": (145000, _execute(-65)),
    "a gear of a static model": (145013, lambda acl, p: acl.mdl.set_dynamic_batch_size(p.model, p.feeds, 0, 2)),
    "a gear of 0": (100000, lambda acl, p: acl.mdl.set_dynamic_batch_size(p.model, p.feeds, 0, 0)),
    "dims of a bad index": (100000, lambda acl, p: acl.mdl.get_input_dims(p.desc, 5)),
    "an unknown input name": (100000, lambda acl, p: acl.mdl.get_input_index_by_name(p.desc, "x")),
    "elapsed time of unrecorded events": (
        507000,
        lambda acl, p: acl.rt.event_elapsed_time(good(acl.rt.create_event()), good(acl.rt.create_event())),
    ),
    "a work area too small": (
        145000,
        lambda acl, p: acl.mdl.load_from_file_with_mem(str(p.om), p.device_in[0], 1, 0, 0),
    ),
    "reset of a device that is not set": (107000, lambda acl, p: acl.rt.reset_device(1)),
}


@pytest.mark.parametrize("name", CODES)
def test_documented_codes(acl: Any, folder: Path, tmp_path: Path, name: str) -> None:
    code, case = CODES[name]
    program = Program(acl, folder / "tiny_2.om")
    acl.get_recent_err_msg()
    result = case(acl, program)
    assert (result[-1] if isinstance(result, tuple) else result) == code
    assert acl.get_recent_err_msg()
    assert acl.get_recent_err_msg() is None
    assert violations(tmp_path) == []


TYPE_ERRORS: Dict[str, Case] = {
    "numpy integers as sizes": lambda acl, p: acl.rt.malloc(np.int64(8), 0),
    "floats": lambda acl, p: acl.rt.malloc(8.0, 0),
    "None": lambda acl, p: acl.rt.malloc(None, 0),
    "bytes as a path": lambda acl, p: acl.mdl.load_from_file(b"x"),
    "keywords": lambda acl, p: acl.rt.malloc(size=8, policy=0),
    "too few": lambda acl, p: acl.rt.malloc(8),
    "too many": lambda acl, p: acl.rt.malloc(8, 0, 0),
}


@pytest.mark.parametrize("name", TYPE_ERRORS)
def test_arguments_are_parsed_as_c_does(acl: Any, folder: Path, name: str) -> None:
    program = Program(acl, folder / "tiny_2.om")
    with pytest.raises(TypeError):
        TYPE_ERRORS[name](acl, program)
    good(acl.rt.malloc(True, np.int64(0)))
