"""The convert stage as its user runs it, with the strict simulator's atc, with broken ones, and without any."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from clip2om.pipeline.artifact import sha256_file
from clip2om.pipeline.records import CompiledRecord, read_record, write_record
from clip2om.pipeline.tensor import TensorSpec
from tests.cann_sim import samples
from tests.command import ROOT, refused, stage
from tests.convert.atc_host import bare, scripted, simulated
from tests.convert.conftest import Folders
from tests.convert.graphs import Graph, write_frozen, write_graph

_OK = 'echo "ATC run success, welcome to the next use."'
_FAIL = "ATC run failed, Please check the detail log, Try 'atc --help' for more information"
_ARGS = 'for word in "$@"; do case "$word" in --output=*) out="${word#--output=}";; esac; done'


def convert(folders: Folders, *more: object, env: dict, soc: str = "Ascend310P3") -> subprocess.CompletedProcess:
    return stage("convert", "--graph", folders.graph, "--output", folders.output, "--soc", soc, *more, env=env)


def done(finished: subprocess.CompletedProcess) -> subprocess.CompletedProcess:
    assert finished.returncode == 0, finished.stderr
    return finished


def record_of(folder: Path) -> CompiledRecord:
    return read_record(folder / "model.json", CompiledRecord, "")


def names(folder: Path) -> list:
    return sorted(path.name for path in folder.iterdir())


def test_om_with_its_record_and_log(folders: Folders) -> None:
    write_graph(folders.graph, Graph(dtype="uint8"))
    finished = done(convert(folders, env=simulated()))
    assert names(folders.output) == [".lock", "atc.log", "model.json", "model.om"]
    record = record_of(folders.output)
    assert (record.format, record.soc, record.batch, record.gears) == ("om", "Ascend310P3", 4, ())
    assert record.files == {"model.om": sha256_file(folders.output / "model.om")}
    assert record.graph_sha256 == sha256_file(folders.graph / "model.onnx")
    assert record.precision == "float16"
    assert "precision on the device: float16; inputs and outputs stay uint8, float32" in finished.stderr
    assert "float16" in finished.stdout
    assert [str(spec) for spec in record.inputs] == ["input uint8 4x3x4x8x8 NCTHW"]
    assert "--input_shape=input:4,3,4,8,8" in shlex.split(record.atc_command)
    log = (folders.output / "atc.log").read_text()
    assert log.startswith("$ atc --model=")
    assert "ATC run success" in log
    assert (folders.output / "model.om").stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_second_run_does_not_start_atc(folders: Folders, tmp_path: Path) -> None:
    write_graph(folders.graph)
    done(convert(folders, env=simulated()))
    before = (folders.output / "model.om").stat().st_mtime_ns
    again = done(convert(folders, env=simulated()))
    assert "up to date" in again.stderr
    # An inference host has the files and no ATC.
    assert "up to date" in done(convert(folders, env=bare())).stderr
    assert (folders.output / "model.om").stat().st_mtime_ns == before
    for change in (["--force"], ["--precision-mode", "allow_mix_precision"], ["--atc-arg=--jit_compile=0"]):
        assert "running, possibly for many minutes: atc" in done(convert(folders, *change, env=simulated())).stderr
    (folders.output / "model.om").write_bytes(b"IMOD")
    assert "running, possibly for many minutes: atc" in done(convert(folders, *change, env=simulated())).stderr
    other = done(convert(folders, env=simulated(), soc="Ascend310B4"))
    assert "running, possibly for many minutes: atc" in other.stderr
    assert record_of(folders.output).soc == "Ascend310B4"


def test_new_cann_compiles_again(folders: Folders, tmp_path: Path) -> None:
    write_graph(folders.graph)
    home = tmp_path / "cann"
    home.mkdir()
    (home / "version.cfg").write_text("# version: 1.0\ntoolkit_running_version=[7.0.0.5.242:7.0.0]\n")
    done(convert(folders, env=simulated(ASCEND_HOME_PATH=str(home))))
    assert record_of(folders.output).tool == "atc, CANN 7.0.0"
    (home / "version.cfg").write_text("# version: 1.0\ntoolkit_running_version=[7.6.0.1.220:8.0.RC3]\n")
    done(convert(folders, env=simulated(ASCEND_HOME_PATH=str(home))))
    assert record_of(folders.output).tool == "atc, CANN 8.0.RC3"


def test_one_om_per_batch_and_one_for_all(folders: Folders) -> None:
    write_graph(folders.graph, Graph(batch=-1))
    done(convert(folders, "--batch", "1,4", env=simulated()))
    assert names(folders.output) == ["Ascend310P3-b1", "Ascend310P3-b4"]
    assert [record_of(folders.output / f"Ascend310P3-b{size}").batch for size in (1, 4)] == [1, 4]
    command = record_of(folders.output / "Ascend310P3-b4").command
    assert shlex.split(command)[-2:] == ["--output", str(folders.output / "Ascend310P3-b4")]
    again = stage(*shlex.split(command)[2:], env=simulated())
    assert "up to date" in again.stderr
    folders.output = folders.output / "dynamic"
    done(convert(folders, "--dynamic_batch", "8,1,4", env=simulated()))
    record = record_of(folders.output)
    assert (record.batch, record.gears) == (8, (1, 4, 8))
    assert record.inputs[0].batch == record.outputs[0].batch == -1
    assert stage(*shlex.split(record.command)[2:], env=simulated()).returncode == 0


def test_auto_asks_npu_smi(folders: Folders) -> None:
    write_graph(folders.graph)
    done(convert(folders, env=simulated(CANN_SIM_SOC="Ascend310B4"), soc="auto"))
    assert record_of(folders.output).soc == "Ascend310B4"


def test_dry_run_needs_neither_cann_nor_chip(folders: Folders, tmp_path: Path) -> None:
    write_graph(folders.graph, Graph(batch=-1))
    finished = done(convert(folders, "--dry-run", "--batch", "2", env=bare()))
    mkdir, command = finished.stdout.splitlines()
    assert shlex.split(mkdir) == ["mkdir", "-p", str(folders.output)]
    assert not folders.output.exists()
    words = shlex.split(command)
    assert words[0] == "atc"
    assert f"--model={folders.graph / 'model.onnx'}" in words
    assert f"--output={folders.output / 'model'}" in words
    # Pasted on the NPU host, it compiles.
    pasted = subprocess.run(
        ["sh"], input=finished.stdout, env=simulated(), cwd=tmp_path, text=True, capture_output=True
    )
    assert "ATC run success" in pasted.stdout
    assert (folders.output / "model.om").is_file()
    assert len(done(convert(folders, "--dry-run", "--batch", "1,4", env=bare())).stdout.splitlines()) == 4


def test_host_code_in_the_name(folders: Folders, tmp_path: Path) -> None:
    write_graph(folders.graph)
    env = scripted(tmp_path / "bin", f'{_ARGS}\necho om > "${{out}}_linux_x86_64.om"\n{_OK}')
    done(convert(folders, env=env))
    assert list(record_of(folders.output).files) == ["model.om"]
    assert (folders.output / "model.om").read_text() == "om\n"


def test_side_files_of_atc_are_gone(folders: Folders, tmp_path: Path) -> None:
    write_graph(folders.graph)
    body = f'{_ARGS}\nmkdir kernel_meta_1; touch kernel_meta_1/k.o fusion_result.json\necho om > "$out.om"\n{_OK}'
    (folders.output / ".atc-left").mkdir(parents=True)
    (folders.output / ".atc-left" / "model.om").touch()
    env = {**scripted(tmp_path / "bin", body), "PYTHONPATH": str(ROOT)}
    paths = ["--graph", folders.graph, "--output", folders.output]
    done(stage("convert", *paths, "--soc", "Ascend310P3", env=env, cwd=tmp_path))
    assert names(folders.output) == [".lock", "atc.log", "model.json", "model.om"]
    assert not list(tmp_path.glob("kernel_meta*"))


# What goes wrong.


def failed(folders: Folders, env: dict, *words: str) -> subprocess.CompletedProcess:
    """Compile once, fail with --force, and check that the finished model is whole."""
    write_graph(folders.graph)
    done(convert(folders, env=simulated()))
    kept = {name: (folders.output / name).read_bytes() for name in ("model.om", "model.json")}
    finished = convert(folders, "--force", env=env)
    assert refused(finished, *words) == finished.stderr.splitlines()[-1]
    assert {name: (folders.output / name).read_bytes() for name in kept} == kept
    assert names(folders.output) == [".lock", "atc.log", "model.json", "model.om"]
    return finished


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("EZ3003", ["EZ3003, no engine of the chip", "export.pooling=average"]),
        ("E10016", ["E10016", "not in the model", "the record says input:4,3,4,8,8"]),
        ("E40021", ["E40021", "operator compiler", "conda deactivate"]),
        ("E19999", ["E19999", "atc.log", "make doctor"]),
        ("E77777", ["E77777, a code this release does not know", "atc.log"]),
    ],
)
def test_codes_are_translated(folders: Folders, code: str, words: list) -> None:
    finished = failed(folders, simulated(CANN_SIM_ATC_FAIL=code), "model.onnx", "exit code 255", *words)
    assert "the last lines of" in finished.stderr
    assert f"{code}:" in (folders.output / "atc.log").read_text()


def _operators(root: Path, chip: str) -> str:
    """Lay out a CANN 8.5 with the operator package of one chip and return its home."""
    home = root / "cann"
    for name, package in (("toolkit", "Ascend-cann-toolkit"), ("ops", f"Ascend-cann-{chip}-ops")):
        path = home / f"x86_64-linux/ascend_{name}_install.info"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"package_name={package}\nversion=8.5.0\n")
    return str(home)


def test_operators_of_another_chip(folders: Folders, tmp_path: Path) -> None:
    """From 8.5 on ATC says so with a parameter that nobody gave."""
    home = _operators(tmp_path, "910b")
    host = simulated(CANN_SIM_OPERATORS="910b", ASCEND_HOME_PATH=home)
    write_graph(folders.graph)
    failed = convert(folders, env=host)
    line = refused(failed, "E10001", "host_env_os", "Ascend-cann-<chip>-ops", "that of 910b", "needs that of 310p")
    assert "--precision-mode" not in line and "--batch" not in line
    assert "warning: CANN 8.5.0 has only the operators of 910b here" in failed.stderr


def test_a_name_that_is_believed_is_said_so(folders: Folders) -> None:
    write_graph(folders.graph)
    shown = done(convert(folders, "--dry-run", env=simulated(), soc="Ascend310P33"))
    assert "--soc_version=Ascend310P33" in shown.stdout
    assert "it is believed, ATC decides; did you mean Ascend310P3?" in shown.stderr


def test_specific_code_goes_before_the_general_one(folders: Folders, tmp_path: Path) -> None:
    text = f"{_FAIL}\nE19999: Inner Error!\n        EZ9010: No parser is registered for Op [Div_1]"
    body = f"cat <<'END'\n{text}\nEND\nexit 255"
    finished = failed(folders, scripted(tmp_path / "bin", body), "EZ9010", "No parser is registered for Op [Div_1]")
    assert "E19999: an inner error, whose" in finished.stderr


def test_code_that_the_log_has_in_hexadecimal_only(folders: Folders, tmp_path: Path) -> None:
    body = f'echo "{_FAIL}"\necho "rtModelCheckCompatibility failed, ret: 0x7BC80"\nexit 255'
    failed(folders, scripted(tmp_path / "bin", body), "507008")


def test_failure_without_a_code(folders: Folders, tmp_path: Path) -> None:
    failed(folders, scripted(tmp_path / "bin", f'echo "{_FAIL}"\nexit 255'), "exit code 255", "without an error code")


def test_exit_0_without_the_file(folders: Folders) -> None:
    failed(folders, simulated(CANN_SIM_ATC_NO_OUTPUT="1"), "exit code 0, but it wrote no .om", "atc.log")


def test_exit_0_with_an_empty_file(folders: Folders, tmp_path: Path) -> None:
    failed(folders, scripted(tmp_path / "bin", f'{_ARGS}\n: > "$out.om"\n{_OK}'), "wrote no .om")


def test_exit_0_without_the_line_of_success(folders: Folders, tmp_path: Path) -> None:
    failed(folders, scripted(tmp_path / "bin", f'{_ARGS}\necho om > "$out.om"'), "line of success is missing")


def test_atc_killed_while_it_writes(folders: Folders) -> None:
    failed(folders, simulated(CANN_SIM_ATC_KILL="1"), "killed by SIGKILL", "memory", "TE_PARALLEL_COMPILER=1")


def test_worker_of_the_atc_script_killed(folders: Folders, tmp_path: Path) -> None:
    failed(folders, scripted(tmp_path / "bin", "sh -c 'kill -9 $$'\nexit $?"), "killed by SIGKILL")


def test_toolkit_without_driver(folders: Folders, tmp_path: Path) -> None:
    home = tmp_path / "cann"
    home.mkdir()
    env = simulated(CANN_SIM_DRIVER="0", ASCEND_HOME_PATH=str(home))
    failed(folders, env, "libascend_hal.so", "without a driver", f"{home}/", "-linux/devlib", "never where models run")


def test_toolkit_with_devlib(folders: Folders, tmp_path: Path) -> None:
    write_graph(folders.graph)
    done(convert(folders, env=simulated(CANN_SIM_DRIVER="0", LD_LIBRARY_PATH=f"{tmp_path}/x86_64-linux/devlib")))


def test_other_missing_library(folders: Folders, tmp_path: Path) -> None:
    text = "atc.bin: error while loading shared libraries: libge_runner.so: cannot open shared object file"
    failed(folders, scripted(tmp_path / "bin", f'echo "{text}" >&2\nexit 127'), "libge_runner.so", "set_env.sh")


def test_argument_that_atc_does_not_know(folders: Folders) -> None:
    write_graph(folders.graph)
    finished = convert(folders, "--atc-arg=--nonsense=1", env=simulated())
    refused(finished, "does not know an argument", "--atc-arg")
    assert "'nonsense'" in finished.stderr


def test_atc_that_cannot_be_started(folders: Folders, tmp_path: Path) -> None:
    env = scripted(tmp_path / "bin", "")
    (tmp_path / "bin" / "atc").write_bytes(b"\x7fELF of another machine")
    failed(folders, env, "atc")


def test_no_cann(folders: Folders) -> None:
    write_graph(folders.graph)
    refused(
        convert(folders, env=bare()), "Ascend310P3", "atc is not on the PATH", "toolkit", "nnrt", "--dry-run", "SOC=cpu"
    )
    assert not folders.output.exists()


def test_cann_that_is_not_sourced(folders: Folders, tmp_path: Path) -> None:
    write_graph(folders.graph)
    home = tmp_path / "Ascend" / "ascend-toolkit" / "latest"
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "atc").touch()
    refused(convert(folders, env=bare(HOME=str(tmp_path))), f"source {home.parent}/set_env.sh", "SOC=cpu")


def test_cann_without_atc(folders: Folders, tmp_path: Path) -> None:
    write_graph(folders.graph)
    home = tmp_path / "nnrt" / "latest"
    home.mkdir(parents=True)
    refused(convert(folders, env=bare(ASCEND_HOME_PATH=str(home))), str(home), "holds none", "toolkit", "SOC=cpu")


def test_options_of_atc_on_the_cpu(folders: Folders) -> None:
    write_graph(folders.graph)
    for option in ("--dry-run", "--dynamic-batch=1,2", "--precision-mode=force_fp16", "--atc-arg=--a=b"):
        refused(convert(folders, option, env=bare(), soc="cpu"), "is for ATC", "CPU", "--soc Ascend310P3")


def test_format_of_the_cpu_with_atc(folders: Folders) -> None:
    write_graph(folders.graph)
    refused(convert(folders, "--format", "onnx", env=bare()), "onnx is for the CPU", ".om")


@pytest.mark.parametrize("option", ["--batch=4,4", "--dynamic-batch=1,1", "--batch=1,", "--dynamic-batch=0,1"])
def test_malformed_lists(folders: Folders, option: str) -> None:
    finished = convert(folders, option, env=bare())
    assert finished.returncode == 2
    assert len(finished.stderr.splitlines()) == 1


def _children(marker: str) -> list:
    """Return the processes whose command line holds ``marker``."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if marker in path.read_bytes().decode(errors="replace") and path.parent.name != str(os.getpid()):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupt_ends_atc_and_its_workers(folders: Folders, tmp_path: Path, number: int) -> None:
    write_graph(folders.graph)
    seconds = f"61.{os.getpid()}{int(number):02d}"
    # A worker that does not listen to SIGTERM, below the script.
    body = f"trap '' TERM\n{_ARGS}\necho half > \"$out.om\"\nsleep {seconds} &\nsleep {seconds}\n{_OK}"
    command = [
        sys.executable,
        "-m",
        "convert",
        "--graph",
        folders.graph,
        "--output",
        folders.output,
        "--soc",
        "Ascend310P3",
    ]
    running = subprocess.Popen(
        [str(word) for word in command],
        cwd=ROOT,
        env=scripted(tmp_path / "bin", body),
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + 20
    while len(_children(f"sleep\0{seconds}")) < 2 and time.monotonic() < until:
        time.sleep(0.02)
    assert len(_children(f"sleep\0{seconds}")) == 2
    running.send_signal(number)
    _, error = running.communicate(timeout=20)
    assert running.returncode == 130
    assert error.splitlines()[-1].startswith("convert: error: interrupted")
    time.sleep(0.1)
    assert _children(f"sleep\0{seconds}") == []
    assert names(folders.output) == [".lock"]


def test_killed_convert_leaves_no_model_and_the_next_run_cleans_up(folders: Folders) -> None:
    write_graph(folders.graph)
    command = [
        sys.executable,
        "-m",
        "convert",
        "--graph",
        folders.graph,
        "--output",
        folders.output,
        "--soc",
        "Ascend310P3",
    ]
    running = subprocess.Popen(
        [str(word) for word in command], cwd=ROOT, env=simulated(CANN_SIM_ATC_SECONDS="1.5"), stderr=subprocess.DEVNULL
    )
    until = time.monotonic() + 20
    while not list(folders.output.glob(".atc-*/atc.log")) and time.monotonic() < until:
        time.sleep(0.02)
    running.kill()
    running.wait()
    assert not (folders.output / "model.om").exists()
    done(convert(folders, env=simulated()))
    # The orphaned atc of the killed run ends later, in a folder that is gone.
    time.sleep(2)
    assert names(folders.output) == [".lock", "atc.log", "model.json", "model.om"]
    assert record_of(folders.output).files["model.om"] == sha256_file(folders.output / "model.om")


# Frozen TensorFlow graphs.


def test_frozen_graph_is_compiled_by_its_nodes(folders: Folders) -> None:
    write_frozen(folders.graph, Graph(4, batch_accuracy=True))
    card = ("--set", "atc.framework=3", "--set", "atc.input_format=NDHWC")
    done(convert(folders, *card, env=simulated()))
    record = record_of(folders.output)
    words = shlex.split(record.atc_command)
    assert "--framework=3" in words and "--input_format=NDHWC" in words
    assert "--input_shape=input:4,4,8,8,3;batch_labels:4,5" in words
    assert "--out_nodes=C3D/out/BiasAdd:0;output:0" in words
    assert [str(spec) for spec in record.outputs] == ["C3D/out/BiasAdd float32 4x5 NC", "output float32 scalar"]
    # As published: the accuracy alone.
    done(convert(folders, *card, "--out-nodes", "output:0", env=simulated()))
    assert [spec.name for spec in record_of(folders.output).outputs] == ["output"]


def test_frozen_graph_with_gears(folders: Folders) -> None:
    write_frozen(folders.graph, Graph(-1))
    card = ("--set", "atc.framework=3", "--set", "atc.input_format=NDHWC")
    done(convert(folders, *card, "--dynamic-batch", "1,2,4", env=simulated()))
    record = record_of(folders.output)
    assert (record.gears, record.inputs[0].shape) == ((1, 2, 4), (-1, 4, 8, 8, 3))


def test_frozen_graph_for_a_card_of_onnx(folders: Folders) -> None:
    write_frozen(folders.graph)
    line = refused(convert(folders, env=simulated()), "atc.framework is 5", "model.pb is pb: framework 3")
    assert "--set atc.framework=3" in line


# What ATC may refuse.


@pytest.mark.parametrize(
    ("conv", "words"),
    [
        ({"group": 3}, "Conv Conv_0 is a 5-D convolution in 3 groups, ATC documents one"),
        ({"auto_pad": "SAME_UPPER"}, "Conv Conv_0 is a 5-D convolution with auto_pad SAME_UPPER"),
    ],
)
def test_doubts_are_said_before_atc_runs_and_do_not_stop_it(folders: Folders, conv: dict, words: str) -> None:
    clips = TensorSpec("input", "float32", (2, *samples.DIMS), "NCTHW")
    scores = TensorSpec("output", "float32", (2, 3 if "group" in conv else samples.CLASSES), "NC")
    record = write_graph(folders.graph, inputs=[clips], outputs=[scores])
    file = samples.write_onnx(folders.graph / "model.onnx", batch=2, **conv)
    write_record(folders.graph / "model.json", replace(record, sha256=sha256_file(file)))
    finished = convert(folders, env=simulated())
    # The simulator refuses what is documented as refused.
    refused(finished, "EZ3003", "no engine of the chip")
    lines = finished.stderr.splitlines()
    (place,) = [number for number, line in enumerate(lines) if words in line]
    assert "warning" in lines[place]
    assert place < next(number for number, line in enumerate(lines) if "running, possibly for many minutes" in line)
    assert words in done(convert(folders, "--dry-run", env=bare())).stderr
