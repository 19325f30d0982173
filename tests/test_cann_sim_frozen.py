"""Frozen TensorFlow graphs in the simulator: what atc refuses, and what the .om gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Tuple

import numpy as np
import pytest

from tests import frozen_graph
from tests.cann_sim import environment
from tests.cann_sim.program import D2H, H2D, Program, good
from tests.cann_sim.samples import (
    CLASSES,
    FROZEN_DIMS,
    atc,
    frozen_arguments,
    frozen_weights,
    loaded_acl,
    loaded_atc,
    write_frozen,
)

SUCCESS = "ATC run success, welcome to the next use."
_SHAPE = ",".join(map(str, FROZEN_DIMS))
_LABELS = f"clips:2,{_SHAPE};batch_labels:2,{CLASSES}"


@pytest.fixture(scope="module")
def main() -> Iterator[Any]:
    with loaded_atc() as run:
        yield run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_frozen(tmp_path / "g.pb")
    return tmp_path


def _refused(main: Any, capsys: Any, code: str, **changes: Optional[str]) -> None:
    assert main(frozen_arguments(**changes)) == 255
    out = capsys.readouterr().out
    assert f"\n{code}: " in out and SUCCESS not in out


REFUSED: List[Tuple[str, Dict[str, Optional[str]]]] = [
    ("E10001", {"input_format": "NCHDW"}),
    ("E10001", {"input_shape": None}),
    ("E10001", {"input_shape": "x:1,2,8,8,3"}),
    ("E10016", {"input_shape": f"clips:2,{_SHAPE};x:1"}),
    ("E10017", {"input_shape": f"clips:2,{_SHAPE};flat:2,5"}),
    ("E10049", {"input_shape": "clips:2,8,8,3"}),
    ("EZ9999", {"input_shape": "clips:2,2,8,8,4"}),
    ("E10001", {"out_nodes": "C3D/out/BiasAdd"}),
    ("E10016", {"out_nodes": "nothing:0"}),
    ("E10003", {"out_nodes": "C3D/out/BiasAdd:1"}),
    ("E10031", {"dynamic_batch_size": "1,2"}),
    ("EZ3002", {"precision_mode": "must_keep_origin_dtype"}),
    ("E19999", {"output_type": "FP16"}),
]


@pytest.mark.parametrize(("code", "changes"), REFUSED)
def test_commands_that_atc_refuses(
    main: Any, folder: Path, capsys: Any, code: str, changes: Dict[str, Optional[str]]
) -> None:
    _refused(main, capsys, code, **changes)
    assert list(folder.glob("*.om")) == []


@pytest.mark.parametrize(
    ("code", "content"),
    [
        ("E16001", b"no graph"),
        ("E16001", b""),
        ("E16001", frozen_graph.graph([])),
        ("E16001", frozen_graph.graph([frozen_graph.node("Placeholder", "clips")])),
        ("E19010", frozen_graph.graph([frozen_graph.node("VariableV2", "clips")])),
    ],
)
def test_files_that_atc_refuses(main: Any, folder: Path, capsys: Any, code: str, content: bytes) -> None:
    (folder / "g.pb").write_bytes(content)
    _refused(main, capsys, code)


def test_constant_batch_in_the_graph(main: Any, folder: Path, capsys: Any) -> None:
    write_frozen(folder / "g.pb", batch=3, rigid=True)
    _refused(main, capsys, "EZ9999")
    assert main(frozen_arguments(batch=3)) == 0


def test_all_inputs_of_an_open_graph_take_a_shape(main: Any, folder: Path, capsys: Any) -> None:
    write_frozen(folder / "g.pb", batch_accuracy=True)
    _refused(main, capsys, "E10001")
    assert main(frozen_arguments(input_shape=_LABELS, out_nodes="output:0")) == 0


def test_without_out_nodes_every_node_that_nothing_reads_is_an_output(main: Any, folder: Path, capsys: Any) -> None:
    write_frozen(folder / "g.pb", batch_accuracy=True)
    assert main(frozen_arguments(input_shape=_LABELS, out_nodes=None)) == 0
    assert main(["--mode=1", "--om=g.om", "--json=g.json"]) == 0
    text = (folder / "g.json").read_text()
    assert '"name": "output:0"' in text and '"name": "C3D/out/BiasAdd:0"' not in text


def _reference(clips: np.ndarray) -> np.ndarray:
    kernel, matrix, bias = (array.astype(np.float64) for array in frozen_weights())
    padded = np.pad(clips.astype(np.float64), [(0, 0), (1, 1), (1, 1), (1, 1), (0, 0)])
    views = np.lib.stride_tricks.sliding_window_view(padded, (3, 3, 3), axis=(1, 2, 3))  # type: ignore[call-overload]
    features = np.maximum(np.einsum("nthwcijk,ijkco->nthwo", views, kernel, optimize=True), 0)
    return features.mean(axis=(1, 2, 3)) @ matrix + bias


def _compile(folder: Path, *, batch: int = 2, graph: Optional[Dict[str, Any]] = None, **changes: Optional[str]) -> Path:
    write_frozen(folder / "g.pb", **(graph or {}))
    done = atc(folder, *frozen_arguments(batch, **changes), env=environment(atc_bits=24))
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "g.om"


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_the_om_gives_the_graph_s_logits(tmp_path: Path, dtype: str) -> None:
    om = _compile(tmp_path, graph={"dtype": dtype})
    clips = np.random.default_rng(0).integers(0, 9, (2, *FROZEN_DIMS)).astype(dtype)
    with loaded_acl() as acl:
        program = Program(acl, om)
        assert program.in_size == clips.nbytes
        dims, _ = acl.mdl.get_input_dims(program.desc, 0)
        assert (dims["name"], dims["dims"]) == ("clips", [2, *FROZEN_DIMS])
        dims, _ = acl.mdl.get_output_dims(program.desc, 0)
        assert (dims["name"], dims["dims"]) == ("C3D/out/BiasAdd:0", [2, CLASSES])
        acl.util.ptr_to_numpy(program.host_in, (clips.nbytes,), 2)[:] = clips.reshape(-1).view(np.int8)
        program.submit(clips.nbytes, program.out_size)
        good(acl.rt.synchronize_stream(program.stream))
        np.testing.assert_allclose(program.view_out(), _reference(clips), rtol=1e-4, atol=1e-4)
        program.close()


def test_gears_choose_the_batch(tmp_path: Path) -> None:
    om = _compile(tmp_path, batch=-1, dynamic_batch_size="1,2,4")
    clips = np.random.default_rng(0).integers(0, 9, (4, *FROZEN_DIMS)).astype(np.float32)
    with loaded_acl() as acl:
        program = Program(acl, om)
        for batch in (1, 4):
            index = good(acl.mdl.get_input_index_by_name(program.desc, "ascend_mbatch_shape_data"))
            good(acl.mdl.set_dynamic_batch_size(program.model, program.feeds, index, batch))
            values, size = clips[:batch], clips[:batch].nbytes
            acl.util.ptr_to_numpy(program.host_in, values.shape, 11)[:] = values
            good(acl.rt.memcpy_async(program.device_in[0], program.in_size, program.host_in, size, H2D, program.stream))
            good(acl.mdl.execute_async(program.model, program.feeds, program.results, program.stream))
            out = batch * CLASSES * 4
            good(acl.rt.memcpy_async(program.host_out, out, program.device_out[0], out, D2H, program.stream))
            good(acl.rt.synchronize_stream(program.stream))
            np.testing.assert_allclose(program.view_out(batch), _reference(values), rtol=1e-4, atol=1e-4)
        program.close()


def test_weights_lose_bits_unless_told_otherwise(tmp_path: Path) -> None:
    clips = np.random.default_rng(0).standard_normal((2, *FROZEN_DIMS)).astype(np.float32)
    results = {}
    for bits in (24, 8):
        write_frozen(tmp_path / "g.pb")
        assert atc(tmp_path, *frozen_arguments(), env=environment(atc_bits=bits)).returncode == 0
        with loaded_acl() as acl:
            program = Program(acl, tmp_path / "g.om")
            acl.util.ptr_to_numpy(program.host_in, clips.shape, 11)[:] = clips
            program.submit(clips.nbytes, program.out_size)
            good(acl.rt.synchronize_stream(program.stream))
            results[bits] = program.view_out().copy()
            program.close()
    assert 1e-4 < np.abs(results[24] - results[8]).max() < 0.1
