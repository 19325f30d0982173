"""The simulated ais_bench, both generations, and msame: their grouping, names, files, and odd exit codes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np
import pytest

from tests.cann_sim import environment
from tests.cann_sim.samples import CLASSES, DIMS, compile_tiny
from tests.command import ROOT

CLIP_BYTES = int(np.prod(DIMS)) * 4


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("om")
    compile_tiny(path)
    compile_tiny(path, batch=-1, dynamic_batch_size="1,2,4")
    return path


def clip(number: int, batch: int = 1) -> np.ndarray:
    return np.random.default_rng(number).standard_normal((batch, *DIMS)).astype(np.float32)


def write_clips(folder: Path, names: List[str], batch: int = 1) -> None:
    folder.mkdir()
    for number, name in enumerate(names):
        clip(number, batch).tofile(folder / name)


def expected(models: Path, numbers: List[int]) -> np.ndarray:
    import onnxruntime

    feed = np.concatenate([clip(number) for number in numbers])
    return onnxruntime.InferenceSession(str(models / "tiny.onnx")).run(None, {"input": feed})[0]


def run(command: List[str], cwd: Path, **knobs: Any) -> subprocess.CompletedProcess:
    env = environment(violations=cwd / "violations", **knobs)
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=120)
    assert not (cwd / "violations").exists(), (cwd / "violations").read_text()
    return done


def ais_bench(cwd: Path, *words: object, generation: str = "G2", **knobs: Any) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "ais_bench", *map(str, words)]
    return run(command, cwd, ais_bench=generation, **knobs)


@pytest.mark.parametrize("generation", ["G1", "G2"])
def test_files_are_grouped_padded_and_named(models: Path, tmp_path: Path, generation: str) -> None:
    # Natural order: clip2 before clip10; the last batch is filled with its own first file.
    write_clips(tmp_path / "in", ["clip2.bin", "clip10.bin", "Clip1.bin"])
    (tmp_path / "in" / "notes.txt").touch()
    words = ["--model", models / "tiny_2.om", "--input", "in", "--output", "out", "--output_dirname", "x"]
    done = ais_bench(tmp_path, *words, generation=generation)
    assert done.returncode == 0, done.stderr
    assert f"get filesperbatch files0 size:{CLIP_BYTES} tensor0size:{2 * CLIP_BYTES} filesperbatch:2 runcount:2" in (
        done.stdout
    )
    assert sorted(path.name for path in (tmp_path / "out/x").iterdir()) == [
        "Clip1_0.bin", "clip10_0.bin", "clip2_0.bin"
    ]  # fmt: skip
    found = [np.fromfile(tmp_path / f"out/x/{name}_0.bin", np.float32) for name in ("clip2", "clip10", "Clip1")]
    np.testing.assert_allclose(found, expected(models, [0, 1, 2]), atol=1e-3)
    summary = json.loads((tmp_path / "out/x_summary.json").read_text())
    # An entry per input file.
    assert [os.path.basename(entry["infiles"][0]) for entry in summary["filesinfo"].values()] == [
        "Clip1.bin", "clip2.bin", "clip10.bin"
    ]  # fmt: skip
    assert [os.path.basename(path) for path in summary["filesinfo"]["2"]["outfiles"]] == ["clip10_0.bin"]
    # The bar is on stdout, and what follows is on its line.
    assert "100%|" in done.stdout and "[INFO] -----" in done.stdout.split("100%|")[1].splitlines()[0]
    compute = summary["NPU_compute_time"]
    assert compute["count"] == 2 == len(summary["npu_compute_time_list"])
    assert summary["throughput"] == pytest.approx(2000 / compute["mean"])
    last = re.findall(r"throughput 1000\*batchsize\.mean\(2\)/NPU_compute_time\.mean\(.*\): (\S+)", done.stdout)
    assert float(last[0]) == summary["throughput"]
    mode = (tmp_path / "out/x/clip2_0.bin").stat().st_mode & 0o777
    assert (mode == 0o640) == (generation == "G2")


def test_names_are_cut_at_the_first_dot_and_collide(models: Path, tmp_path: Path) -> None:
    write_clips(tmp_path / "in", ["a.1.bin", "a.2.bin"])
    words = ["--model", models / "tiny_2.om", "--output", "out", "--output_dirname", "x"]
    assert ais_bench(tmp_path, *words, "--input", "in").returncode == 0
    assert [path.name for path in (tmp_path / "out/x").iterdir()] == ["a_0.bin"]
    write_clips(tmp_path / "in2", ["a.1.bin", "a.2.bin"], batch=2)
    assert ais_bench(tmp_path, *words, "--input", "in2", "--pipeline", "true").returncode == 0
    assert (tmp_path / "out/x/a.2_0.bin").exists()


def test_older_versions_wrote_the_summary_inside(models: Path, tmp_path: Path) -> None:
    words = ["--model", models / "tiny_2.om", "--output", "out", "--output_dirname", "x"]
    assert ais_bench(tmp_path, *words, generation="G0").returncode == 0
    assert sorted(path.name for path in (tmp_path / "out/x").iterdir()) == ["pure_infer_data_0.bin", "sumary.json"]


@pytest.mark.parametrize(
    ("generation", "folders", "counts"),
    [("G1", ["device0", "device1"], [2, 1]), ("G2", ["device0_0", "device1_1"], [3, 3])],
)
def test_several_devices(models: Path, tmp_path: Path, generation: str, folders: List[str], counts: List[int]) -> None:
    write_clips(tmp_path / "in", ["a.bin", "b.bin", "c.bin"], batch=2)
    words = ["--model", models / "tiny_2.om", "--input", "in", "--output", "out", "--output_dirname", "x"]
    done = ais_bench(tmp_path, *words, "--device", "0,1", generation=generation, devices=2)
    assert done.returncode == 0, done.stderr
    assert [len(list((tmp_path / "out/x" / name).iterdir())) for name in folders] == counts
    assert all((tmp_path / "out/x" / f"{name}_summary.json").exists() for name in folders)
    prefix = "" if generation == "G1" else r"\[INFO\] "
    assert re.search(rf"^{prefix}i:1 device_1 throughput:\S+ start_time:\S+ end_time:\S+$", done.stdout, re.M)
    assert "multidevice run end qsize:4 result:0" in done.stdout


def test_a_list_of_devices_opens_device_0_and_is_shared_evenly_later(models: Path, tmp_path: Path) -> None:
    write_clips(tmp_path / "in", [f"{name}.bin" for name in "abcde"], batch=2)
    words = ["--model", models / "tiny_2.om", "--input", "in", "--output", "out", "--device", "1,2,3"]
    words += ["--divide_input", "True"]
    done = ais_bench(tmp_path, *words, "--output_dirname", "x", devices=4)
    assert done.returncode == 0, done.stderr
    counts = [len(list((tmp_path / "out/x" / name).iterdir())) for name in ("device1_0", "device2_1", "device3_2")]
    assert counts == [2, 2, 1]
    done = ais_bench(tmp_path, *words, "--output_dirname", "y", devices=4, devices_taken="0")
    assert done.returncode == 1
    assert "[ERROR] create context failed. ret=207005" in done.stdout


def test_the_later_ais_bench_counts_files_and_checks_the_dump(models: Path, tmp_path: Path) -> None:
    write_clips(tmp_path / "in", ["a.bin", "b.bin"], batch=2)
    words = ["--model", models / "tiny_2.om"]
    done = ais_bench(tmp_path, *words, "--input", "in", most_files=1)
    assert "OverflowError: file count under directory: in is over 1!" in done.stderr
    dumps = tmp_path / "dumps"
    config = tmp_path / "acl.json"
    config.write_text(
        json.dumps({"dump": {"dump_path": str(dumps), "dump_list": [{"model_name": "tiny_2"}], "dump_mode": "all"}})
    )
    for mode, fine in ((None, False), (0o755, False), (0o750, True)):
        if mode:
            dumps.mkdir(exist_ok=True)
            dumps.chmod(mode)
        done = ais_bench(tmp_path, *words, "--acl_json_path", config)
        assert (done.returncode == 0) == fine, done.stderr
        assert ("dump path in acl json file" in done.stderr) != fine


def test_the_dump_that_the_documentation_describes_is_taken(models: Path, tmp_path: Path) -> None:
    text = (ROOT / "docs/drift.md").read_text(encoding="utf-8").replace("/tmp/dumps", str(tmp_path / "dumps"))
    (make,) = re.findall(r"^ +(mkdir .*)$", text, re.M)
    (config,) = re.findall(r'^ +(\{"dump": .*\})$', text, re.M)
    subprocess.run(["sh", "-c", make], check=True)
    (tmp_path / "acl.json").write_text(config)
    done = ais_bench(tmp_path, "--model", models / "tiny_2.om", "--acl_json_path", "acl.json")
    assert done.returncode == 0, done.stderr


def test_an_execution_that_fails_is_told_without_a_number(models: Path, tmp_path: Path) -> None:
    done = ais_bench(tmp_path, "--model", models / "tiny_2.om", fail="acl.mdl.execute:1:507015")
    errors = [line for line in done.stdout.splitlines() if "ERROR]" in line]
    assert errors[0].startswith("[ACL ERROR] E")
    assert errors[1:] == ["[ERROR] execute model failed, modelId is 1", "[ERROR] execute Infer failed ret:-1"]
    assert done.stderr.rstrip().endswith("RuntimeError: [-1][ACL: general failure]")


def test_a_device_that_is_missing_fails_the_whole_run(models: Path, tmp_path: Path) -> None:
    done = ais_bench(tmp_path, "--model", models / "tiny_2.om", "--device", "0,1")
    assert done.returncode == 1
    assert "subprocess run failed error_callback:" in done.stdout
    assert "multidevice run end qsize:2 result:1" in done.stdout


BENCH_ERRORS: Dict[str, Tuple[List[str], str, int, str]] = {
    "unknown option": (["--nonsense", "1"], "G2", 2, "unrecognized arguments"),
    "an option of the other generation": (["--pipeline", "true"], "G1", 2, "unrecognized arguments"),
    "no om": (["--model", "tiny.onnx"], "G2", 2, "the model must end with .om"),
    "group may write the input": (["--input", "open.bin"], "G2", 2, "written by group or others"),
    "a link": (["--input", "link.bin"], "G2", 2, "symbolic link"),
    "an illegal character": (["--input", "a@b.bin"], "G2", 2, "only _, A-Z"),
    "an output that others may read": (["--output", "shared"], "G2", 2, "its permissions 755 exceed 750"),
    "profiler and dump": (["--profiler", "1", "--dump", "1"], "G2", 1, "error bad parameters --profiler and --dump"),
    "dump without output": (["--dump", "1"], "G1", 1, "miss output parameter!"),
    "dirname without output": (["--output_dirname", "x"], "G1", 1, "error bad parameters --output_dirname"),
    "a size that does not divide": (["--input", "odd.bin"], "G1", 1, "not match"),
    "an empty folder": (["--input", "empty"], "G1", 1, "not find valid file"),
    "two folders for one input": (["--input", "empty,empty"], "G1", 1, "error dirs list"),
    "a gear of a static model": (["--dymBatch", "2"], "G2", 1, "[1][ACL: invalid parameter]"),
    "a second file of another size": (["--input", "clip.bin,odd.bin"], "G1", 1, "[1][ACL: invalid parameter]"),
    "gears without dymBatch": (["--model", "tiny_dynamic.om"], "G2", 1, "dynamic batch om model detected"),
    "a device that is missing": (["--device", "3"], "G2", 1, "[1][ACL: invalid parameter]"),
}


@pytest.mark.parametrize("name", BENCH_ERRORS)
def test_ais_bench_refuses(models: Path, tmp_path: Path, name: str) -> None:
    words, generation, status, message = BENCH_ERRORS[name]
    for file in ("tiny_2.om", "tiny_dynamic.om", "tiny.onnx"):
        (tmp_path / file).write_bytes((models / file).read_bytes())
        (tmp_path / file).chmod(0o640)
    for file in ("open.bin", "a@b.bin", "clip.bin"):
        clip(0).tofile(tmp_path / file)
        (tmp_path / file).chmod(0o666 if file == "open.bin" else 0o640)
    (tmp_path / "odd.bin").write_bytes(b"12345")
    (tmp_path / "link.bin").symlink_to("clip.bin")
    (tmp_path / "empty").mkdir()
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o755)
    given = words if "--model" in words else ["--model", "tiny_2.om", *words]
    done = ais_bench(tmp_path, *given, generation=generation)
    assert done.returncode == status, done.stdout + done.stderr
    assert message in done.stderr


def test_a_foreign_om_is_refused_in_the_tool_s_words(models: Path, tmp_path: Path) -> None:
    done = ais_bench(tmp_path, "--model", models / "tiny_2.om", soc="Ascend310B4")
    assert done.returncode == 1
    assert f"[ERROR] load model from file failed, model file is {models / 'tiny_2.om'}" in done.stdout
    assert done.stderr.rstrip().endswith("RuntimeError: [1][ACL: invalid parameter]")


def test_dymbatch_takes_a_gear(models: Path, tmp_path: Path) -> None:
    write_clips(tmp_path / "in", ["a.bin", "b.bin"])
    words = ["--input", "in", "--output", "out", "--output_dirname", "x", "--outfmt", "NPY", "--dymBatch", 2]
    assert ais_bench(tmp_path, "--model", models / "tiny_dynamic.om", *words).returncode == 0
    found = np.concatenate([np.load(tmp_path / f"out/x/{name}_0.npy") for name in "ab"])
    np.testing.assert_allclose(found, expected(models, [0, 1]), atol=1e-3)


def test_the_python_interface(models: Path, tmp_path: Path) -> None:
    code = (
        "import numpy as np; from ais_bench.infer.interface import InferSession\n"
        f"s = InferSession(0, {str(models / 'tiny_dynamic.om')!r})\n"
        "print([(t.name, t.shape) for t in s.get_inputs()])\n"
        f"print(s.infer([np.ones((2, *{DIMS}), np.float32)], 'dymbatch')[0].shape)\n"
        "s.free_resource()"
    )
    done = run([sys.executable, "-c", code], tmp_path)
    assert f"[('input', [-1, {', '.join(map(str, DIMS))}])]" in done.stdout
    assert f"(2, {CLASSES})" in done.stdout


def msame(cwd: Path, *words: object, **knobs: Any) -> subprocess.CompletedProcess:
    return run(["msame", *map(str, words)], cwd, **knobs)


SAMPLE_SUCCESS = re.compile(r"^\[INFO\] pid: \d+ Execute sample success$", re.M)


def test_msame_takes_every_file_of_a_folder_in_lexicographic_order(models: Path, tmp_path: Path) -> None:
    write_clips(tmp_path / "in", ["a.10.bin", "a.2.dat", ".hidden"], batch=2)
    done = msame(tmp_path, "--model", models / "tiny_2.om", "--input", "in", "--output", "out")
    assert done.returncode == 0 and SAMPLE_SUCCESS.search(done.stdout)
    assert re.findall(r"start to process file:(.*)", done.stdout) == ["in/a.10.bin", "in/a.2.dat"]
    folder = next((tmp_path / "out").iterdir())
    assert done.stdout.splitlines()[0] == f"out/{folder.name}"
    assert re.fullmatch(r"\d{6,8}_\d{1,2}_\d{1,2}_\d{1,2}_\d{1,6}", folder.name)
    # Cut at the last dot.
    assert sorted(path.name for path in folder.iterdir()) == ["a.10_output_0.bin", "a.2_output_0.bin"]
    assert len(re.findall(r"^Inference time: [\d.e-]+ms$", done.stdout, re.M)) == 2
    assert re.search(r"^Inference average time : \d+\.\d\d ms$", done.stdout, re.M)


def test_msame_writes_text(models: Path, tmp_path: Path) -> None:
    clip(0, 2).tofile(tmp_path / "a.bin")
    words = ["--model", models / "tiny_2.om", "--input", "a.bin", "--output", "out", "--outfmt", "TXT", "--loop", 2]
    done = msame(tmp_path, *words)
    assert re.search(r"^Inference average time: \d+\.\d{6} ms$", done.stdout, re.M)
    assert re.search(r"^Inference average time without first time: \d+\.\d{6} ms$", done.stdout, re.M)
    text = next((tmp_path / "out").glob("*/tiny_2_output_0.txt")).read_text()
    assert np.array([line.split() for line in text.splitlines()], float).shape == (2, CLASSES)


def test_msame_fails_on_after_a_failure_and_stops_at_the_second_file_only(models: Path, tmp_path: Path) -> None:
    write_clips(tmp_path / "in", ["a.bin", "b.bin", "c.bin", "d.bin"], batch=2)
    words = ["--model", models / "tiny_2.om", "--input", "in"]
    # What the third file left in the dataset makes the fourth fail as well.
    done = msame(tmp_path, *words, fail="acl.mdl.execute:3:507015")
    assert done.returncode == 0 and SAMPLE_SUCCESS.search(done.stdout)
    assert done.stdout.count("[ERROR] execute model failed, modelId is 1\n[ERROR] model execute failed") == 2
    assert "507015" not in done.stdout
    assert re.search(r"^Inference average time without first time: \d+\.\d\d ms$", done.stdout, re.M)
    (tmp_path / "in/b.bin").write_bytes(b"short")
    done = msame(tmp_path, *words)
    assert done.returncode == 1 and not SAMPLE_SUCCESS.search(done.stdout)


MSAME: Dict[str, Tuple[List[str], int, str]] = {
    "nothing": ([], 1, "usage"),
    "unknown option": (["--nonsense", "1"], 0, "usage"),
    "no om": (["--model", "tiny.onnx"], 0, "[ERROR] input model file type is not .om"),
    "loop out of range": (["--model", "tiny_2.om", "--loop", "101"], 0, "loop must in 1 to 100"),
    "profiler and dump": (["--model", "tiny_2.om", "--dump", "true", "--profiler", "true"], 1, "can not both"),
    "dump without output": (["--model", "tiny_2.om", "--dump", "true"], 1, "miss output path"),
    "two kinds of shape": (["--model", "tiny_2.om", "--dymBatch", "1", "--dymHW", "1,2"], 1, "at the same time"),
    "a missing input": (["--model", "tiny_2.om", "--input", "nowhere"], 0, "doesn't exist"),
    "another kind of file": (["--model", "tiny_2.om", "--input", "tiny.onnx"], 0, "must be folder or file ending"),
    "an output without parent": (["--model", "tiny_2.om", "--output", "a/b"], 0, "does not have permission"),
    "a missing model": (["--model", "nowhere.om"], 1, "load model from file failed, model file is nowhere.om"),
    "a wrong size": (["--model", "tiny_2.om", "--input", "short.bin"], 1, "[ERROR] model execute failed"),
    "a device that is missing": (["--model", "tiny_2.om", "--device", "7"], 1, "open device 7 failed"),
}


@pytest.mark.parametrize("name", MSAME)
def test_msame_refuses_with_its_own_exit_codes(models: Path, tmp_path: Path, name: str) -> None:
    words, status, message = MSAME[name]
    for file in ("tiny_2.om", "tiny.onnx"):
        (tmp_path / file).symlink_to(models / file)
    (tmp_path / "short.bin").write_bytes(b"short")
    done = msame(tmp_path, *words)
    assert done.returncode == status, done.stdout + done.stderr
    assert message in done.stdout
    assert not SAMPLE_SUCCESS.search(done.stdout)


def test_msame_crashes_on_a_name_without_a_dot(models: Path, tmp_path: Path) -> None:
    write_clips(tmp_path / "in", ["clip"], batch=2)
    done = msame(tmp_path, "--model", models / "tiny_2.om", "--input", "in")
    assert done.returncode not in (0, 1)
    assert "std::out_of_range" in done.stderr


def test_msame_writes_more_than_a_gear_that_does_not_divide_the_largest(models: Path, tmp_path: Path) -> None:
    compile_tiny(tmp_path, batch=-1, dynamic_batch_size="2,4,10", output="odd")
    clip(0, 4).tofile(tmp_path / "a.bin")
    words = ["--model", "odd.om", "--input", "a.bin", "--output", "out", "--dymBatch", 4]
    assert SAMPLE_SUCCESS.search(msame(tmp_path, *words, output_padding=32).stdout)
    # 10 // 4 = 2 parts of the largest gear's bytes, and of the padding.
    written = next((tmp_path / "out").glob("*/odd_output_0.bin")).stat().st_size
    assert written == (10 * CLASSES * 4 + 32) // 2 > 4 * CLASSES * 4


def test_msame_sets_a_gear(models: Path, tmp_path: Path) -> None:
    clip(0, 1).tofile(tmp_path / "a.bin")
    words = ["--model", models / "tiny_dynamic.om", "--input", "a.bin", "--output", "out", "--dymBatch", 1]
    assert SAMPLE_SUCCESS.search(msame(tmp_path, *words).stdout)
    found = np.fromfile(next((tmp_path / "out").glob("*/tiny_dynamic_output_0.bin")), np.float32)
    np.testing.assert_allclose(found[None], expected(models, [0]), atol=1e-3)
