"""The self-test as a person with an NPU would run it, under the simulator."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Dict, Optional

import numpy as np
import pytest

from clip2om.pipeline.errors import RequestError
from clip2om.scripts.npu_selftest.page import agreement
from clip2om.scripts.npu_selftest.steps import error_line
from tests.cann_sim import environment
from tests.command import refused, stage

MODEL = "3d_resnet_demo"


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Graph and batches of the demo model for eight videos, as another machine would have made them."""
    root = tmp_path_factory.mktemp("selftest")
    data, made = root / "data", root / MODEL
    videos = ["--video-path", data / "videos", "--annotation-path", data / "annotation.json"]
    for name, *args in (
        ["scripts.demo_dataset", data, "--subset", "validation", "--videos-per-class", 1],
        ["export", "--model", MODEL, "--output", made / "graph"],
        ["preprocess", "--model", MODEL, *videos, "--output", made / "batches"],
    ):
        done = stage(name, *args)
        assert done.returncode == 0, done.stderr
    return made


class Result:
    """What one run left: exit code, page, record."""

    def __init__(self, done: subprocess.CompletedProcess, output: Path) -> None:
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr
        self.page = output.with_name(f"{output.name}.txt").read_text()
        self.record = json.loads(output.with_name(f"{output.name}.json").read_text())

    def steps(self) -> Dict[str, int]:
        """Return the exit code of each step."""
        return {step["name"]: step["code"] for step in self.record["steps"]}

    def run(self, name: str) -> Optional[dict]:
        """Return the figures of one run."""
        return next((run for run in self.record["runs"] if run["name"] == name), None)


def _selftest(build: Path, output: Path, *args: object, **knobs: object) -> Result:
    env = environment(**knobs)  # type: ignore[arg-type]
    done = stage("scripts.npu_selftest", "--build", build, "--output", output, *args, env=env)
    assert "Traceback" not in done.stderr, done.stderr
    return Result(done, output)


@pytest.mark.slow
def test_host_with_an_npu_passes(build: Path, tmp_path: Path) -> None:
    violations = tmp_path / "violations"
    done = _selftest(build, tmp_path / "npu", soc="Ascend310P3", devices=2, violations=violations)
    assert done.code == 0, done.out + done.err
    assert not violations.exists() or violations.read_text() == ""
    assert done.page.startswith("clip2om NPU self-test: PASSED\n")
    assert done.page in done.out
    assert "Ascend310P3; npu-smi lists 310P3 310P3; driver 24.1.0.1" in done.page
    assert len(done.page.splitlines()) < 60
    cpu, acl, bench = (done.run(name) for name in ("cpu", "acl", "ais_bench"))
    assert cpu is not None and acl is not None and bench is not None
    assert cpu["accuracy"] == acl["accuracy"] == bench["accuracy"]
    assert acl["agreement"]["videos"] == 1.0
    assert 0 < acl["agreement"]["max_score_diff"] < 0.01
    assert acl["device"].endswith("device 0")
    assert done.record["host"]["ascend"]["chips"] == ["310P3", "310P3"]


def test_one_engine_another_device_and_scores_from_elsewhere(build: Path, tmp_path: Path) -> None:
    """The CPU's scores came with the batches, so this host needs no engine for its processor."""
    copied = tmp_path / MODEL
    shutil.copytree(build, copied)
    for name, *args in (
        ["convert", "--graph", copied / "graph", "--soc", "cpu", "--output", copied / "compiled/cpu-b10"],
        ["infer", "--compiled", copied / "compiled/cpu-b10", "--output", copied / "scores/cpu-b10"],
        ["postprocess", "--scores", copied / "scores/cpu-b10", "--output", copied / "results/cpu-b10"],
    ):
        batches = [] if name == "convert" else ["--batches", copied / "batches"]
        done = stage(name, "--model", MODEL, *args, *batches)
        assert done.returncode == 0, done.stderr
    result = _selftest(copied, tmp_path / "npu", "--device", 1, devices=2, ais_bench=None)
    assert result.code == 0, result.out + result.err
    assert set(result.steps()) == {"doctor", "convert Ascend310P3", "infer acl", "postprocess acl"}
    acl = result.run("acl")
    assert acl is not None
    assert acl["device"].endswith("device 1")


def test_scores_that_are_too_far_away_fall_short(build: Path, tmp_path: Path) -> None:
    result = _selftest(build, tmp_path / "npu", "--min-cosine", 1, ais_bench=None)
    assert result.code == 1, result.out
    assert result.page.startswith("clip2om NPU self-test: FELL SHORT, acl: cosine ")
    assert "(at least 1.0)" in result.page


def test_failing_compiler_is_on_the_page(build: Path, tmp_path: Path) -> None:
    result = _selftest(build, tmp_path / "npu", atc_fail="EZ3003", ais_bench=None)
    assert result.code == 2
    assert result.page.startswith("clip2om NPU self-test: FAILED")
    assert result.steps()["convert Ascend310P3"] == 2
    assert "EZ3003" in result.page
    assert "infer acl" not in result.steps()
    assert result.run("cpu") is not None


def test_failing_device_is_on_the_page_and_the_other_engine_still_runs(build: Path, tmp_path: Path) -> None:
    result = _selftest(build, tmp_path / "npu", fail="acl.rt.create_stream:1:207008")
    assert result.code == 2
    assert result.steps()["infer acl"] == 2
    assert "207008" in result.page
    assert result.steps()["infer ais_bench"] in (0, 2)
    assert "postprocess acl" not in result.steps()


def test_host_without_anything_to_compile_says_how_to_get_it(tmp_path: Path) -> None:
    result = _selftest(tmp_path / "nothing", tmp_path / "npu", "--export-python", tmp_path / "no_python")
    assert result.code == 2
    assert result.steps()["export"] == 127
    assert "cannot be run" in result.page
    assert result.record["runs"] == []


def test_what_the_doctor_finds_is_on_the_page(tmp_path: Path) -> None:
    target = ["--soc", "Ascend310P3", "--export-python", tmp_path / "no_python"]
    result = _selftest(tmp_path / "nothing", tmp_path / "npu", *target, permission=0)
    assert "doctor\n  wrong npu-smi: " in result.page
    assert "-8005" in result.page


def test_host_without_npu_is_refused(tmp_path: Path) -> None:
    env = environment(toolkit=False, driver=False)
    done = stage("scripts.npu_selftest", "--output", tmp_path / "npu", env=env)
    refused(done, "there is no NPU to test", "SOC=")
    assert not (tmp_path / "npu.json").exists()
    refused(stage("scripts.npu_selftest", "--soc", "Ascend31OP3"), "Ascend31OP3")
    refused(
        stage("scripts.npu_selftest", "--output", tmp_path / "npu", env=environment(permission=0)), "npu-smi", "-8005"
    )


def test_error_line_of_a_stage_is_found_among_its_lines() -> None:
    assert (
        error_line("infer: reading\ninfer: error: no device; wait\nmake: Error 2\n") == "infer: error: no device; wait"
    )
    assert error_line("killed\n\n") == "killed"
    assert error_line("") == "no output"


def test_agreement_of_known_scores(tmp_path: Path) -> None:
    """Two clips of one video and one of another; the second archive has one clip turned around."""
    first = np.array([[2, 0], [2, 0], [0, 1]], np.float32)
    second = np.array([[2, 0], [0, 2], [0, 1]], np.float32)
    paths = [_archive(tmp_path / f"{number}.npz", logits) for number, logits in enumerate((first, second))]
    found = agreement(paths[1], paths[0])
    assert found.max_logit_diff == 2.0
    assert found.max_score_diff == pytest.approx(np.tanh(1.0))
    assert found.cosine == pytest.approx(5 / 9)
    assert found.clips == pytest.approx(2 / 3)
    assert found.videos == 1.0
    assert agreement(paths[0], paths[0]).cosine == pytest.approx(1.0)
    with pytest.raises(RequestError, match="not of the same clips"):
        agreement(paths[0], _archive(tmp_path / "other.npz", first[:2]))


def _archive(path: Path, logits: np.ndarray) -> Path:
    from clip2om.postprocess.archive import to_bytes
    from clip2om.postprocess.scores import Origin, Scores

    clip_video = np.array([0, 0, 1][: len(logits)], np.int32)
    videos = int(clip_video.max()) + 1
    origin = Origin("card", "data", "validation", "packed", "softmax", "0", None, None, "0", "BIN float32", 0)
    scores = Scores(
        labels=["a", "b"],
        ids=["x", "y"][:videos],
        truth=np.zeros(videos, np.int32),
        counted=np.ones(videos, bool),
        clip_video=clip_video,
        logits=logits,
        absent=[],
        origin=origin,
    )
    path.write_bytes(to_bytes(scores))
    return path
