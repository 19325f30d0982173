"""The simulated pyACL: a correct program passes, results come only after synchronisation, every breach is refused."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any, Iterator, List

import numpy as np
import pytest

from tests.cann_sim.program import BATCH, D2H, H2D, IN_BYTES, OUT_BYTES, Program, good
from tests.cann_sim.samples import CLASSES, DIMS, compile_tiny, loaded_acl


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


def expected(folder: Path, values: np.ndarray) -> np.ndarray:
    import onnxruntime

    return onnxruntime.InferenceSession(str(folder / "tiny.onnx")).run(None, {"input": values})[0]


def clips(batch: int = BATCH) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((batch, *DIMS)).astype(np.float32)


def test_a_correct_program_gets_the_model_s_results(acl: Any, folder: Path, tmp_path: Path) -> None:
    program = Program(acl, folder / "tiny_2.om")
    values, out = clips(), program.view_out()
    program.view_in()[:] = values
    program.submit()
    good(acl.rt.synchronize_stream(program.stream))
    truth = expected(folder, values)
    np.testing.assert_allclose(out, truth, atol=2e-3)
    # The default precision rounds weights to float16.
    assert (out != truth).any()
    program.close()
    assert violations(tmp_path) == []


def test_float32_compiled_with_force_fp32_is_exact(acl: Any, folder: Path, tmp_path: Path) -> None:
    program = Program(acl, compile_tiny(tmp_path, precision_mode="force_fp32"))
    values, out = clips(), program.view_out()
    program.view_in()[:] = values
    program.submit()
    good(acl.rt.synchronize_stream(program.stream))
    np.testing.assert_array_equal(out, expected(folder, values))
    program.close()


@pytest.mark.parametrize("batch", [1, 2, 4])
def test_gears_execute_at_the_batch_set(acl: Any, folder: Path, tmp_path: Path, batch: int) -> None:
    program = Program(acl, folder / "tiny_dynamic.om")
    assert acl.mdl.get_dynamic_batch(program.desc) == ({"batchCount": 3, "batch": [1, 2, 4]}, 0)
    assert acl.mdl.get_input_dims(program.desc, 0)[0]["dims"] == [-1, *DIMS]
    index = good(acl.mdl.get_input_index_by_name(program.desc, "ascend_mbatch_shape_data"))
    good(acl.mdl.set_dynamic_batch_size(program.model, program.feeds, index, batch))
    assert acl.mdl.get_cur_output_dims(program.desc, 0)[0]["dims"] == [batch, CLASSES]
    values, out = clips(batch), program.view_out(batch)
    program.view_in(batch)[:] = values
    program.submit(values.nbytes, batch * CLASSES * 4)
    good(acl.rt.synchronize_stream(program.stream))
    np.testing.assert_allclose(out, expected(folder, values), atol=2e-3)
    program.close()
    assert violations(tmp_path) == []


def test_results_are_garbage_until_synchronised_however_late_they_are_read(acl: Any, folder: Path) -> None:
    program = Program(acl, folder / "tiny_2.om")
    program.view_in()[:] = clips()
    out = program.view_out()
    out[:] = 7
    program.submit()
    time.sleep(0.2)
    assert np.isnan(out).all()
    with pytest.raises(acl.ContractViolation, match="ptr_to_bytes reads"):
        acl.util.ptr_to_bytes(program.host_out, OUT_BYTES)
    good(acl.rt.synchronize_stream(program.stream))
    assert np.isfinite(out).all()


def test_an_event_orders_streams_and_shows_what_came_before_it(acl: Any, folder: Path, tmp_path: Path) -> None:
    program = Program(acl, folder / "tiny_2.om")
    copy_in, copy_out = good(acl.rt.create_stream()), good(acl.rt.create_stream())
    events = [good(acl.rt.create_event()) for _ in range(3)]
    program.view_in()[:] = clips()
    out = program.view_out()
    good(acl.rt.memcpy_async(program.device_in[0], IN_BYTES, program.host_in, IN_BYTES, H2D, copy_in))
    good(acl.rt.record_event(events[0], copy_in))
    good(acl.rt.stream_wait_event(program.stream, events[0]))
    good(acl.mdl.execute_async(program.model, program.feeds, program.results, program.stream))
    good(acl.rt.record_event(events[1], program.stream))
    good(acl.rt.stream_wait_event(copy_out, events[1]))
    good(acl.rt.memcpy_async(program.host_out, OUT_BYTES, program.device_out[0], OUT_BYTES, D2H, copy_out))
    good(acl.rt.record_event(events[2], copy_out))
    good(acl.rt.synchronize_event(events[2]))
    assert np.isfinite(out).all()
    assert good(acl.rt.query_event_status(events[2])) == 1
    assert good(acl.rt.query_event(events[2])) == 0
    for event in events:
        good(acl.rt.destroy_event(event))
    for stream in (copy_in, copy_out):
        good(acl.rt.destroy_stream(stream))
    program.close()
    assert violations(tmp_path) == []


def test_a_stream_that_does_not_wait_for_the_copy_is_refused(acl: Any, folder: Path, tmp_path: Path) -> None:
    program = Program(acl, folder / "tiny_2.om")
    other = good(acl.rt.create_stream())
    good(acl.rt.memcpy_async(program.device_in[0], IN_BYTES, program.host_in, IN_BYTES, H2D, other))
    with pytest.raises(acl.ContractViolation, match=r"input input on stream .* is not synchronised with"):
        acl.mdl.execute_async(program.model, program.feeds, program.results, program.stream)
    assert len(violations(tmp_path)) == 1


def test_a_thread_has_no_context_until_it_sets_one(acl: Any, folder: Path) -> None:
    program = Program(acl, folder / "tiny_2.om")
    found: List[Any] = []

    def work() -> None:
        found.append(acl.rt.malloc(64, 0))
        found.append(acl.rt.set_context(program.context))
        found.append(acl.rt.get_context())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [(0, 107002), 0, (program.context, 0)]


def test_calls_before_init_are_refused(acl: Any) -> None:
    with pytest.raises(acl.ContractViolation, match=r"before acl\.init"):
        acl.rt.set_device(0)


def test_what_is_left_at_finalize_is_reported(acl: Any, folder: Path, tmp_path: Path) -> None:
    Program(acl, folder / "tiny_2.om")
    good(acl.finalize())
    text = "\n".join(violations(tmp_path))
    for thing in ("Stream", "Dataset", "DataBuffer", "Description", "Context", "model 1", "pinned memory",
                  "device memory", "device 0 not reset"):  # fmt: skip
        assert thing in text
    assert acl.finalize() == 100037


def test_device_memory_is_bounded_and_counts_models(acl: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANN_SIM_DEVICE_MEMORY", "20000")
    __import__("_cann_sim.state").state.reset()
    good(acl.init())
    good(acl.rt.set_device(0))
    free, total, ret = acl.rt.get_mem_info(0)
    assert (free, total, ret) == (20000, 20000, 0)
    good(acl.mdl.load_from_file(str(folder / "tiny_2.om")))
    assert acl.rt.get_mem_info(0)[0] < free
    assert acl.rt.malloc(15000, 0) == (0, 207001)
    assert "of 20000 free" in acl.get_recent_err_msg()


def test_two_loads_may_share_their_weights(acl: Any, folder: Path, tmp_path: Path) -> None:
    program = Program(acl, folder / "tiny_2.om")
    work, weight = acl.mdl.query_size(str(program.om))[:2]
    shared = good(acl.rt.malloc(weight, 0))
    works = [good(acl.rt.malloc(work, 0)) for _ in range(2)]
    models = [good(acl.mdl.load_from_file_with_mem(str(program.om), w, work, shared, weight)) for w in works]
    for model in models:
        good(acl.mdl.execute(model, program.feeds, program.results))
        good(acl.mdl.unload(model))
    for pointer in (shared, *works):
        good(acl.rt.free(pointer))
    program.close()
    assert violations(tmp_path) == []


def test_a_cut_om_is_refused(acl: Any, folder: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.om"
    cut.write_bytes((folder / "tiny_2.om").read_bytes()[:-1])
    (tmp_path / "empty.om").touch()
    good(acl.init())
    good(acl.rt.set_device(0))
    assert acl.mdl.load_from_file(str(cut)) == (0, 145000)
    assert acl.mdl.load_from_file(str(tmp_path / "empty.om")) == (0, 145002)
    assert "Invalid om file" in acl.get_recent_err_msg()
