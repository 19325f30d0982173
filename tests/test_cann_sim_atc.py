"""The simulated atc and npu-smi refuse what the real ones document, in the documented order."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Tuple

import pytest

from tests.cann_sim import environment
from tests.cann_sim.samples import arguments, atc, compile_tiny, loaded_atc, write_onnx

SUCCESS = "ATC run success, welcome to the next use."
FAILED = "ATC run failed, Please check the detail log, Try 'atc --help' for more information"


@pytest.fixture(scope="module")
def main() -> Iterator[Any]:
    with loaded_atc() as run:
        yield run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_onnx(tmp_path / "tiny.onnx")
    return tmp_path


def _changed(**changes: Optional[str]) -> List[str]:
    return arguments(**changes)  # type: ignore[arg-type]


_DYNAMIC = {"input_shape": "input:-1,3,4,8,8"}
_GEARS = ",".join(str(size) for size in range(1, 102))
# Code → changes of a correct command line.
REFUSED: List[Tuple[str, Dict[str, Optional[str]]]] = [
    ("E10007", {"framework": None}),
    ("E10007", {"framework": "2"}),
    ("E10008", {"framework": "0"}),
    ("E10001", {"input_format": "NHWC"}),
    ("E10001", {"framework": "1", "input_format": "NCDHW"}),
    ("E10054", {"soc_version": None}),
    ("E10054", {"output": None}),
    ("E10054", {"model": None}),
    ("E13000", {"model": "nowhere.onnx"}),
    ("E13000", {"output": "nowhere/tiny"}),
    ("E10022", {"output": "./"}),
    ("E10010", {"log": "verbose"}),
    ("E10006", {"disable_reuse_memory": "2"}),
    ("E10005", {"enable_single_stream": "1"}),
    ("E10001", {"op_select_implmode": "fast"}),
    ("E10001", {"optypelist_for_implmode": "Conv"}),
    ("E10056", {"precision_mode": "force_fp16", "precision_mode_v2": "fp16"}),
    ("E10001", {"precision_mode": "fp16"}),
    ("E10001", {"precision_mode_v2": "mixed_bfloat16"}),
    ("E10001", {"modify_mixlist": "list.json"}),
    ("E10001", {"auto_tune_mode": "RL"}),
    ("E10002", {"input_shape": "input"}),
    ("E10002", {"input_shape": "input:1.5,3,4,8,8"}),
    ("E10014", {"input_shape": "input:a,3,4,8,8"}),
    ("E10014", {"input_shape": "input:1, 3,4,8,8"}),
    ("E10013", {"input_shape": "input:99999999999,3,4,8,8"}),
    ("E10001", {"input_shape": None}),
    ("E10001", {"input_shape": "inputs:2,3,4,8,8"}),
    ("E10016", {"input_shape": "input:2,3,4,8,8;other:1"}),
    ("E10017", {"input_shape": "input:2,3,4,8,8;Conv_0:1"}),
    ("E10049", {"input_shape": "input:2,3,8,8"}),
    ("E10009", {**_DYNAMIC, "dynamic_batch_size": "1,2", "dynamic_dims": "1;2"}),
    ("E10004", {"input_shape": None, "dynamic_batch_size": "1,2"}),
    ("E10003", {**_DYNAMIC, "dynamic_batch_size": "1,x"}),
    ("E10018", {"input_shape": "input:-1,3,-1,8,8", "dynamic_batch_size": "1,2"}),
    ("E10031", {"dynamic_batch_size": "1,2"}),
    ("E10012", {"input_shape": "input:", "dynamic_batch_size": "1,2"}),
    ("E10035", {**_DYNAMIC, "dynamic_batch_size": "1"}),
    ("E10036", {**_DYNAMIC, "dynamic_batch_size": _GEARS}),
    ("E10039", {**_DYNAMIC, "dynamic_batch_size": "2,2"}),
    ("E10040", {"input_shape": "input:1~4,3,4,8,8", "dynamic_batch_size": "1,2"}),
    ("E10019", {**_DYNAMIC, "dynamic_image_size": "8,8;16,16"}),
    ("E10001", {**_DYNAMIC, "dynamic_dims": "1;2"}),
    ("E10003", {**_DYNAMIC, "input_format": "ND", "dynamic_dims": "1,2;2,3"}),
    ("E10016", {"out_nodes": "Nothing:0"}),
    ("E10003", {"out_nodes": "Flatten_2:1"}),
    ("E10001", {"out_nodes": "Flatten_2:0;conv"}),
    ("E10001", {"output_type": "BF16"}),
    ("E10001", {"soc_version": "Ascend310P9"}),
    ("EZ3002", {"precision_mode": "must_keep_origin_dtype"}),
    ("E13000", {"insert_op_conf": "aipp.cfg"}),
    ("E10055", {"mode": "30"}),
    ("E10004", {"mode": "6", "framework": None}),
]


@pytest.mark.parametrize(("code", "changes"), REFUSED, ids=lambda value: value if isinstance(value, str) else None)
def test_atc_refuses(main: Any, folder: Path, capsys: Any, code: str, changes: Dict[str, Optional[str]]) -> None:
    assert main(_changed(**changes)) == 255
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == ["ATC start working now, please wait for a moment.", "...", FAILED]
    found = re.match(r"(E[A-Z]?\d{4,5}): \[PID: \d+\] \d{4}-\d\d-\d\d-\d\d:\d\d:\d\d\.\d{3}\.\d{3} ", lines[3])
    assert found is not None and found.group(1) == code, lines[3]
    assert SUCCESS not in lines
    assert list(folder.glob("*.om")) == []


ORDER: List[Tuple[str, Dict[str, Optional[str]]]] = [
    ("E10010", {"log": "x", "framework": None}),
    ("E10007", {"framework": None, "input_format": "NHWC"}),
    ("E10001", {"input_format": "NHWC", "soc_version": None}),
    ("E10054", {"output": None, "model": "nowhere"}),
    ("E13000", {"model": "nowhere", "precision_mode": "x"}),
    ("E10001", {"precision_mode": "x", "input_shape": "input"}),
    ("E10002", {"input_shape": "input", "keep_dtype": "nowhere"}),
    ("E13000", {"keep_dtype": "nowhere", "input_shape": "other:1"}),
    ("E10001", {"input_shape": None, "precision_mode": "must_keep_origin_dtype"}),
]


@pytest.mark.parametrize(("code", "changes"), ORDER)
def test_the_first_failing_check_is_reported(
    main: Any, folder: Path, capsys: Any, code: str, changes: Dict[str, Optional[str]]
) -> None:
    assert main(_changed(**changes)) == 255
    errors = [line for line in capsys.readouterr().out.splitlines() if re.match(r"E[A-Z]?\d{4,5}:", line)]
    assert [error.split(":")[0] for error in errors] == [code]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--nonsense=1"], "ERROR: unknown command line flag 'nonsense'"),
        (["--model"], "ERROR: flag '--model' is missing its argument"),
        (["stray"], "ERROR: Non-option parameter: stray"),
        (["--input_shape=a:1", "2"], "ERROR: Non-option parameter: 2"),
    ],
)
def test_flag_syntax(main: Any, capsys: Any, words: List[str], message: str) -> None:
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 255
    assert capsys.readouterr().err.startswith(message)


def test_flags_take_blanks_hyphens_and_the_last_value(main: Any, folder: Path, capsys: Any) -> None:
    words = ["-framework", "5", "--model", "tiny.onnx", "--output=a.om", "--soc-version", "Ascend310P3"]
    assert main([*words, "--input-format=NCHW", "--input-format=NCDHW", "--input_shape=input:1,3,4,8,8"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == SUCCESS
    # The suffix is always appended.
    assert sorted(path.name for path in folder.iterdir()) == ["a.om.om", "fusion_result.json", "tiny.onnx"]


GRAPHS: List[Tuple[str, Dict[str, Any]]] = [
    ("EZ3003", {"group": 3}),
    ("EZ3003", {"auto_pad": "SAME_UPPER"}),
    ("EZ3003", {"strides": [1, 64, 1]}),
    ("EZ9999", {"batch": 3, "reshape": True}),
]


@pytest.mark.parametrize(("code", "graph"), GRAPHS)
def test_graphs_that_are_not_documented_to_compile(
    main: Any, folder: Path, capsys: Any, code: str, graph: Dict[str, Any]
) -> None:
    write_onnx(folder / "tiny.onnx", **graph)
    assert main(_changed()) == 255
    assert f"\n{code}: " in capsys.readouterr().out


def test_a_fixed_batch_is_overridden_where_the_graph_allows_it(main: Any, folder: Path) -> None:
    write_onnx(folder / "tiny.onnx", batch=3)
    assert main(_changed()) == 0


@pytest.mark.parametrize(("opset", "domain"), [(19, ""), (11, "custom")])
def test_opsets_and_domains_that_have_no_parser(main: Any, folder: Path, capsys: Any, opset: int, domain: str) -> None:
    import onnx

    model = onnx.load(str(folder / "tiny.onnx"))
    model.opset_import[0].version = opset
    if domain:
        model.opset_import.append(onnx.helper.make_opsetid(domain, 1))
    onnx.save(model, str(folder / "tiny.onnx"))
    assert main(_changed()) == 255
    out = capsys.readouterr().out
    assert "E16005" in out if domain else "No parser is registered for Op [Conv_0, optype [ai.onnx::19::Conv]]" in out


def test_an_operator_outside_the_list_has_no_parser(main: Any, folder: Path, capsys: Any) -> None:
    import onnx

    model = onnx.load(str(folder / "tiny.onnx"))
    model.graph.node[-1].op_type = "Hardmax"
    onnx.save(model, str(folder / "tiny.onnx"))
    assert main(_changed()) == 255
    assert "E19010" in capsys.readouterr().out


def test_what_is_no_onnx_is_not_parsed(main: Any, folder: Path, capsys: Any) -> None:
    (folder / "tiny.onnx").write_bytes(b"no model")
    assert main(_changed()) == 255
    assert "E16001" in capsys.readouterr().out
    assert (folder / "check_result.json").exists()


def test_mindspore_ignores_shapes(main: Any, folder: Path) -> None:
    (folder / "g.air").write_bytes(b"air")
    assert main(_changed(framework="1", model="g.air", input_format="NCHW", input_shape="any:1")) == 0


def test_modes_1_and_6_show_the_om(main: Any, folder: Path, capsys: Any) -> None:
    assert main(_changed()) == 0
    assert main(["--mode=1", "--om=tiny.om", "--json=tiny.json"]) == 0
    assert '"soc_version": "Ascend310P3"' in (folder / "tiny.json").read_text()
    assert main(["--mode=6", "--om=tiny.om"]) == 0
    assert "soc_version[Ascend310P3], framework_type[5]" in capsys.readouterr().out
    assert main(["--mode=6", "--om=tiny.om", "--framework=5"]) == 255
    assert "E10057" in capsys.readouterr().out


def test_the_executable_works_through_path_alone(tmp_path: Path) -> None:
    om = compile_tiny(tmp_path, soc_version="Ascend310P3")
    data = om.read_bytes()
    assert data[:4] == b"IMOD" and len(data) > 256
    assert oct(om.stat().st_mode & 0o777) in ("0o640", "0o600")
    done = atc(tmp_path, "--help")
    assert done.returncode == 0 and SUCCESS not in done.stdout


@pytest.mark.parametrize(
    ("knobs", "status", "om"),
    [
        ({"atc_fail": "E19999"}, 255, None),
        ({"atc_no_output": 1}, 0, None),
        ({"atc_kill": 1}, -9, "cut"),
        ({"driver": False}, 127, None),
    ],
)
def test_atc_can_be_told_to_break(tmp_path: Path, knobs: Dict[str, Any], status: int, om: Optional[str]) -> None:
    write_onnx(tmp_path / "tiny.onnx")
    done = atc(tmp_path, *arguments(), env=environment(**knobs))
    assert done.returncode == status, done.stdout + done.stderr
    assert (SUCCESS in done.stdout) == (status == 0)
    assert (tmp_path / "tiny.om").exists() == (om is not None)
    if status == 127:
        assert "libascend_hal.so: cannot open shared object file" in done.stderr


def test_devlib_stands_in_for_the_driver(tmp_path: Path) -> None:
    write_onnx(tmp_path / "tiny.onnx")
    env = environment(driver=False)
    env["LD_LIBRARY_PATH"] += ":" + os.path.join(env["ASCEND_HOME_PATH"], "x86_64-linux", "devlib")
    assert atc(tmp_path, *arguments(), env=env).returncode == 0


# The contract's verbatim listing, with the second card's readings made those of the first.
LISTING = """\
+--------------------------------------------------------------------------------------------------------+
| npu-smi 24.1.0.1                                 Version: 24.1.0.1                                     |
+-------------------------------+-----------------+------------------------------------------------------+
| NPU     Name                  | Health          | Power(W)     Temp(C)           Hugepages-Usage(page) |
| Chip    Device                | Bus-Id          | AICore(%)    Memory-Usage(MB)                        |
+===============================+=================+======================================================+
| 0       310P3                 | OK              | NA           56                0     / 0             |
| 0       0                     | 0000:01:00.0    | 0            1844 / 21527                            |
+===============================+=================+======================================================+
| 32      310P3                 | OK              | NA           56                0     / 0             |
| 0       1                     | 0000:02:00.0    | 0            1844 / 21527                            |
+===============================+=================+======================================================+
+-------------------------------+-----------------+------------------------------------------------------+
| NPU     Chip                  | Process id      | Process name             | Process memory(MB)        |
+===============================+=================+======================================================+
| No running processes found in NPU 0                                                                    |
+===============================+=================+======================================================+
"""


def _npu_smi(*words: str, **knobs: Any) -> subprocess.CompletedProcess:
    env = environment(**knobs)
    return subprocess.run(["npu-smi", *words], env=env, capture_output=True, text=True, timeout=60)


def test_npu_smi_lists_310p_as_observed() -> None:
    found = _npu_smi("info", devices=2).stdout
    lines = found.splitlines()
    assert lines[:-2] == LISTING.splitlines()
    assert "NPU 32" in lines[-2]


@pytest.mark.parametrize(
    ("soc", "expected"),
    [
        ("Ascend310B4", "| 0       310B4                 | Alarm           | 0.0          "),
        ("Ascend310", "| npu-smi 21.0.3.1                     Version: 21.0.3.1                       |"),
        ("Ascend310", "| 1       310       | OK              | 12.8              49                   |"),
        (
            "Ascend910B4",
            "| npu-smi 25.5.2                   Version: 25.5.2                                               |",
        ),
        (
            "Ascend910B4",
            "| 0     910B4               | OK            | 89.9        39                0    / 0             |",
        ),
        ("Ascend910_9392", "| 0     Ascend910           | OK            |"),
    ],
)
def test_npu_smi_names_every_family(soc: str, expected: str) -> None:
    done = _npu_smi("info", soc=soc)
    assert expected in done.stdout
    assert len({len(line) for line in done.stdout.splitlines()}) == 1


@pytest.mark.parametrize(
    ("words", "knobs", "status", "pattern"),
    [
        (["info", "-l"], {"devices": 2}, 0, r"\tTotal Count {20}: 2\n\n\tNPU ID {25}: 0\n"),
        (["info", "-m"], {"devices": 2}, 0, r"\n\t32 {29}0 {30}1 {30}Ascend 310P3"),
        (["info", "-t", "board", "-i", "0", "-c", "0"], {}, 0, r"\tChip Name {22}: 310P3\n"),
        (["info", "-t", "board", "-i", "0", "-c", "0"], {"soc": "Ascend910_9392"}, 0, r"\tNPU Name {23}: 9392\n"),
        (["info", "-t", "power", "-i", "0"], {"soc": "Ascend910B4"}, 0, r"NPU Real-time Power\(W\) +: 12.8"),
        (["info", "-t", "board"], {}, 1, "-i is required"),
        (["info", "-t", "board", "-i", "7"], {}, 1, "does not exist"),
        (["info"], {"permission": 0}, 1, r"^dcmi module initialize failed\. ret is -8005\n$"),
    ],
)
def test_npu_smi_answers(words: List[str], knobs: Dict[str, Any], status: int, pattern: str) -> None:
    done = _npu_smi(*words, **knobs)
    assert done.returncode == status
    assert re.search(pattern, done.stdout), done.stdout
