"""The simulated pyACL: gears, callbacks, programs that run on the chip itself, several devices, dangling weights."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Iterator, List

import numpy as np
import pytest

from tests.cann_sim.program import D2H, H2D, IN_BYTES, OUT_BYTES, Program, good
from tests.cann_sim.samples import CLASSES, DIMS, compile_tiny, loaded_acl


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("om")
    compile_tiny(path)
    compile_tiny(path, batch=-1, dynamic_batch_size="1,2,4")
    compile_tiny(path, external_weight="1", output="outside")
    return path


@pytest.fixture
def acl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("CANN_SIM_VIOLATIONS", str(tmp_path / "violations"))
    monkeypatch.setenv("CANN_SIM_WARNINGS", str(tmp_path / "warnings"))
    monkeypatch.setenv("CANN_SIM_DEVICES", "2")
    with loaded_acl() as module:
        yield module


@pytest.fixture
def program(acl: Any, folder: Path) -> Program:
    return Program(acl, folder / "tiny_dynamic.om")


def _gear(program: Program, batch: int, dataset: int = 0) -> int:
    index = good(program.acl.mdl.get_input_index_by_name(program.desc, "ascend_mbatch_shape_data"))
    return program.acl.mdl.set_dynamic_batch_size(program.model, dataset or program.feeds, index, batch)


def test_a_batch_that_is_no_gear_is_refused(program: Program) -> None:
    assert _gear(program, 3) == 145013
    assert "[3] is not among the gears [[1], [2], [4]]" in program.acl.get_recent_err_msg()
    assert _gear(program, 0) == 100000


def test_a_gear_buffer_must_hold_the_gear(program: Program) -> None:
    acl = program.acl
    dataset = acl.mdl.create_dataset()
    for pointer, size in zip(program.device_in, (program.in_size, 3)):
        acl.mdl.add_dataset_buffer(dataset, acl.create_data_buffer(pointer, size))
    assert _gear(program, 2, dataset) == 145012


def test_without_a_gear_the_largest_is_used(program: Program, tmp_path: Path) -> None:
    acl = program.acl
    program.view_in(4)[:] = 1
    program.submit(program.in_size, program.out_size)
    good(acl.rt.synchronize_stream(program.stream))
    assert np.isfinite(program.view_out(4)).all()
    assert "the largest is used" in (tmp_path / "warnings").read_text()
    program.close()
    assert not (tmp_path / "violations").exists()


def test_a_gear_is_not_changed_in_flight(program: Program) -> None:
    good(_gear(program, 2))
    good(program.acl.mdl.execute_async(program.model, program.feeds, program.results, program.stream))
    with pytest.raises(program.acl.ContractViolation, match="has not been synchronised"):
        _gear(program, 1)


def test_a_gear_buffer_shared_by_two_datasets_is_noticed(program: Program) -> None:
    acl = program.acl
    other = acl.mdl.create_dataset()
    for buffer in program.buffers[:2]:
        acl.mdl.add_dataset_buffer(other, buffer)
    good(_gear(program, 2))
    good(_gear(program, 1, other))
    with pytest.raises(acl.ContractViolation, match=r"the gear buffer holds \[1\], the dataset was set to \[2\]"):
        acl.mdl.execute(program.model, program.feeds, program.results)


def test_a_small_gear_leaves_the_rest_of_the_output_alone(program: Program) -> None:
    acl = program.acl
    good(_gear(program, 1))
    program.view_in(4)[:] = 1
    good(acl.rt.memset(program.device_out[0], program.out_size, 0xFF, program.out_size))
    program.submit(program.in_size, program.out_size)
    good(acl.rt.synchronize_stream(program.stream))
    assert np.isfinite(program.view_out(4)[0]).all()
    assert np.isnan(program.view_out(4)[1:]).all()


def test_dims_and_names_of_gears(program: Program) -> None:
    mdl, desc = program.acl.mdl, program.desc
    assert mdl.get_num_inputs(desc) == 2
    assert mdl.get_input_size_by_index(desc, 0) == 4 * int(np.prod(DIMS)) * 4
    assert mdl.get_output_dims(desc, 0)[0]["dims"] == [4, CLASSES]
    assert mdl.get_output_name_by_index(desc, 0) == "Flatten_2:0:output"
    assert (mdl.get_input_format(desc, 0), mdl.get_input_data_type(desc, 0)) == (30, 0)
    assert mdl.get_input_name_by_index(desc, 9) == "" and mdl.get_input_data_type(desc, 9) == -1
    assert mdl.get_input_dynamic_gear_count(desc, 0) == (0, 100000)


def test_callbacks_are_made_by_the_thread_that_subscribed(acl: Any, folder: Path, tmp_path: Path) -> None:
    program = Program(acl, folder / "tiny_2.om")
    called: List[Any] = []
    ready, stop = threading.Event(), threading.Event()

    def serve(context: int) -> None:
        good(acl.rt.set_context(context))
        ready.set()
        while not stop.is_set():
            acl.rt.process_report(20)

    thread = good(acl.util.start_thread(serve, [program.context]))
    assert acl.rt.launch_callback(called.append, "early", 1, program.stream) == 107000
    good(acl.rt.subscribe_report(thread, program.stream))
    ready.wait(5)
    good(acl.rt.launch_callback(called.append, "first", 1, program.stream))
    good(acl.rt.synchronize_stream(program.stream))
    assert called == ["first"]
    stop.set()
    good(acl.util.stop_thread(thread))
    good(acl.rt.unsubscribe_report(thread, program.stream))
    program.close()
    assert not (tmp_path / "violations").exists()


def test_on_the_chip_itself_every_pointer_is_a_host_pointer(
    acl: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANN_SIM_RUN_MODE", "0")
    __import__("_cann_sim.state").state.reset()
    program = Program(acl, folder / "tiny_2.om")
    assert acl.rt.get_run_mode() == (0, 0)
    acl.util.ptr_to_numpy(program.device_in[0], (IN_BYTES,), 2)[:] = 0
    good(acl.mdl.execute(program.model, program.feeds, program.results))
    assert acl.util.ptr_to_bytes(program.device_out[0], OUT_BYTES) == bytes(OUT_BYTES)
    program.close()
    assert not (tmp_path / "violations").exists()


def test_memory_of_another_device_is_refused(acl: Any, folder: Path) -> None:
    program = Program(acl, folder / "tiny_2.om")
    good(acl.rt.set_device(1))
    with pytest.raises(acl.ContractViolation, match="is of device 0, the context of device 1"):
        acl.rt.memcpy(program.device_in[0], 64, program.host_in, 64, H2D)


def test_synchronous_outputs_of_nothing_are_allocated_and_must_be_freed(acl: Any, folder: Path, tmp_path: Path) -> None:
    program = Program(acl, folder / "tiny_2.om")
    results = acl.mdl.create_dataset()
    buffer = acl.create_data_buffer(0, 0)
    acl.mdl.add_dataset_buffer(results, buffer)
    good(acl.mdl.execute(program.model, program.feeds, results))
    pointer = acl.get_data_buffer_addr(buffer)
    assert acl.get_data_buffer_size_v2(buffer) == OUT_BYTES
    good(acl.rt.memcpy(program.host_out, OUT_BYTES, pointer, OUT_BYTES, D2H))
    good(acl.mdl.destroy_dataset(results))
    good(acl.destroy_data_buffer(buffer))
    with pytest.raises(acl.ContractViolation, match="1 block"):
        program.close()
    assert "1 block(s) of device memory" in (tmp_path / "violations").read_text()


def test_external_weights_must_travel_with_the_om(acl: Any, folder: Path, tmp_path: Path) -> None:
    good(acl.init())
    good(acl.rt.set_device(0))
    number = good(acl.mdl.load_from_file(str(folder / "outside.om")))
    good(acl.mdl.unload(number))
    (tmp_path / "alone.om").write_bytes((folder / "outside.om").read_bytes())
    assert acl.mdl.load_from_file(str(tmp_path / "alone.om")) == (0, 545001)


def test_the_host_may_not_write_outside_its_memory(acl: Any, tmp_path: Path) -> None:
    import ctypes

    good(acl.init())
    good(acl.rt.set_device(0))
    pointer = good(acl.rt.malloc_host(64))
    ctypes.memset(pointer + 64, 0, 1)
    good(acl.rt.free_host(pointer))
    assert "the host wrote outside pinned memory" in (tmp_path / "violations").read_text()


def test_an_om_is_loaded_from_memory_too(acl: Any, folder: Path) -> None:
    good(acl.init())
    good(acl.rt.set_device(0))
    data = (folder / "tiny_2.om").read_bytes()
    good(acl.mdl.unload(good(acl.mdl.load_from_mem(acl.util.bytes_to_ptr(data), len(data)))))
    assert acl.mdl.load_from_mem(acl.util.bytes_to_ptr(data), len(data) - 1) == (0, 145000)


def test_a_second_init_after_finalize_wants_the_same_config(acl: Any, tmp_path: Path) -> None:
    config = tmp_path / "acl.json"
    config.write_text("{}")
    assert acl.init(str(tmp_path / "nowhere.json")) == 100003
    good(acl.init(str(config)))
    good(acl.finalize())
    assert acl.init() == 100000
    good(acl.init(str(config)))
    good(acl.finalize())
    config.write_text("{")
    assert acl.init(str(config)) == 100006
